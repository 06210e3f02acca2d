#include "recording/assembly.h"

#include "recording/reader.h"

#define KEEP_MAX (64u << 10) /* of memory, from one message to the next */

static bool is_last_piece(const struct session_event *e) {
    return !e->frame_size || e->frame_offset + e->data.len == e->frame_size;
}

void assembly_drop(struct assembly *a) {
    a->lost += a->under_way;
    a->under_way = false;
    a->skipping = false;
    if (a->data.cap > KEEP_MAX)
        buf_fini(&a->data);
    buf_reset(&a->data);
}

void assembly_fini(struct assembly *a) {
    buf_fini(&a->data);
    *a = (struct assembly){0};
}

/* Does this belong where the message is now? */
static bool fits(struct assembly *a, const struct session_event *e) {
    if (e->frame_offset)
        return a->under_way && a->frame_begin + e->frame_offset == a->data.len;
    if (e->type == EVENT_CONTINUATION)
        a->frame_begin = a->data.len;
    return e->type != EVENT_CONTINUATION || a->under_way;
}

static void begin(struct assembly *a, const struct session_event *e) {
    assembly_drop(a);
    a->type = e->type;
    a->rsv = e->rsv;
    a->frame_begin = 0;
    a->under_way = true;
}

static int append(struct assembly *a, const struct session_event *e, struct err *err) {
    if (a->data.len + e->data.len > READER_LINE_MAX)
        return err_set(err, MF_ELIMIT, "expected messages of at most %u MiB", READER_LINE_MAX >> 20);
    buf_append(&a->data, e->data.data, e->data.len);
    return a->data.failed ? err_set(err, MF_ENOMEM, "out of memory") : MF_OK;
}

int assembly_add(struct assembly *a, const struct session_event *e, struct assembled *out, struct err *err) {
    bool starts = e->type != EVENT_CONTINUATION && !e->frame_offset, ends = e->fin && is_last_piece(e);
    if (starts && ends) { /* most are so: nothing is copied */
        assembly_drop(a);
        *out = (struct assembled){e->type, e->data, e->rsv, false};
        return 1;
    }
    if (starts)
        begin(a, e);
    else if (!fits(a, e)) {
        a->lost += !a->under_way && !a->skipping;
        assembly_drop(a);
        a->skipping = !ends;
        return 0;
    }
    int rc = append(a, e, err);
    if (rc < 0)
        return rc;
    if (!ends)
        return 0;
    *out = (struct assembled){a->type, {a->data.data, a->data.len}, a->rsv, true};
    a->under_way = false;
    return 1;
}
