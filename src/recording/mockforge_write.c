#include "recording/mockforge_write.h"

#include <stdlib.h>

#include "protocol/text.h"
#include "protocol/utf8.h"

#define AWAITED_MAX 4096 /* bytes: a pattern of more is no use to anybody */

/* Is the event of the connection that is written? */
static int belongs(struct mockforge_writer *w, const struct session_event *e, bool *out, struct err *err) {
    *out = e->type != EVENT_RECORDING && (!w->only || !strcmp(w->only, e->connection));
    if (!*out || w->only)
        return MF_OK;
    if (!w->name && !(w->name = strdup(e->connection)))
        return err_set(err, MF_ENOMEM, "out of memory");
    if (!strcmp(w->name, e->connection) || !strcmp(e->connection, "*"))
        return MF_OK;
    return err_set(err, MF_EINVAL, "expected one connection, as these lines have no names: choose one (%s, %s, …)",
                   w->name, e->connection);
}

/* As a regular expression that means just this text. */
static void await(struct mockforge_writer *w, const struct event_bytes *text) {
    buf_reset(&w->awaited);
    w->awaits = text->len <= AWAITED_MAX;
    if (!w->awaits)
        return;
    buf_putc(&w->awaited, '^');
    for (size_t i = 0; i < text->len; i++) {
        if (text->data[i] && strchr(".*+?()[]{}|^$\\", text->data[i]))
            buf_putc(&w->awaited, '\\');
        buf_putc(&w->awaited, (char)text->data[i]);
    }
    buf_putc(&w->awaited, '$');
}

static void put_line(struct mockforge_writer *w, const struct session_event *e, const struct assembled *m,
                     struct buf *out) {
    bool in = e->direction == EVENT_INCOMING;
    bool as_text = m->type == EVENT_TEXT && utf8_valid(m->data.data, m->data.len);
    buf_puts(out, "{\"ts\":");
    text_ms(out, e->timestamp_us > w->begin_us ? e->timestamp_us - w->begin_us : 0);
    buf_puts(out, in ? ",\"dir\":\"in\"" : ",\"dir\":\"out\"");
    buf_puts(out, as_text ? ",\"text\":\"" : ",\"binary\":\"");
    if (as_text)
        json_escape(out, m->data.data, m->data.len);
    else
        base64_append(out, m->data.data, m->data.len);
    buf_putc(out, '"');
    if (!in && w->awaits) {
        buf_puts(out, ",\"waitFor\":\"");
        json_escape(out, w->awaited.data, w->awaited.len);
        buf_putc(out, '"');
    }
    buf_puts(out, "}\n");
    w->written++;
    w->awaits = false;
    if (in && as_text)
        await(w, &m->data);
}

int mockforge_writer_add(struct mockforge_writer *w, const struct session_event *e, struct buf *out, struct err *err) {
    struct assembled message;
    bool ours;
    int rc = belongs(w, e, &ours, err);
    if (rc < 0 || !ours)
        return rc;
    if (!w->begun)
        w->begin_us = e->timestamp_us;
    w->begun = true;
    if (e->type < EVENT_TEXT || e->type > EVENT_CONTINUATION || e->leg == EVENT_LEG_UPSTREAM) {
        w->control += event_is_frame(e->type) && e->leg == EVENT_LEG_CLIENT;
        return MF_OK;
    }
    rc = assembly_add(&w->directions[e->direction], e, &message, err);
    if (rc <= 0)
        return rc;
    w->joined += message.joined;
    put_line(w, e, &message, out);
    return w->awaited.failed ? err_set(err, MF_ENOMEM, "out of memory") : MF_OK;
}

void mockforge_writer_fini(struct mockforge_writer *w) {
    free(w->name);
    buf_fini(&w->awaited);
    assembly_fini(&w->directions[0]);
    assembly_fini(&w->directions[1]);
    *w = (struct mockforge_writer){0};
}
