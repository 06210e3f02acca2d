#include "recording/summary.h"

/* Text or binary, and not a later piece of its frame. */
static bool begins_message(const struct session_event *e) {
    return (e->type == EVENT_TEXT || e->type == EVENT_BINARY) && e->frame_offset == 0;
}

void summary_add(struct session_summary *s, const struct session_event *e) {
    if (e->type == EVENT_RECORDING) {
        if (!s->recorded_at_us)
            s->recorded_at_us = e->recorded_at_us;
        return;
    }
    s->duration_us = MAX(s->duration_us, e->timestamp_us);
    if (e->type == EVENT_OPEN)
        s->connections++;
    if (!event_is_frame(e->type))
        return;
    s->messages += begins_message(e);
    s->frames += e->frame_offset == 0;
    s->payload_bytes += e->data.len;
    if (!s->connections)
        s->connections = 1; /* a document without opens: its messages are of one connection */
}

int reader_summary(const char *path, struct session_summary *out, struct err *err) {
    struct reader *r;
    struct session_event e;
    *out = (struct session_summary){0};
    int rc = reader_open(path, &r, err);
    if (rc < 0)
        return rc;
    reader_run_ahead(r);
    reader_growing(r, true);
    while ((rc = reader_next(r, &e, err)) > 0)
        summary_add(out, &e);
    out->form = reader_form(r);
    out->end = reader_ended(r);
    out->file_bytes = reader_size(r);
    if (rc == 0 && !reader_damaged(r, &out->damage))
        out->damage = (struct err){0};
    reader_close(r);
    return rc;
}
