/* Text messages under record.redact's JSON paths: held until they are whole, searched, and then written.
 *
 * What cannot be searched is not written: its data is replaced by a sentence that says why. */
#include <stdlib.h>
#include <string.h>

#include "protocol/frame.h"
#include "recording/writer.h"

struct inspected_frame {
    struct session_event event; /* without its data */
    size_t len;
};

struct inspection {
    struct buf text;
    struct inspected_frame *frames;
    size_t count, cap;
    bool too_large, opaque; /* opaque: an extension has changed the bytes */
};

static void inspection_free(struct writer *w, struct inspection *i) {
    w->assembly_bytes -= i->text.len;
    buf_fini(&i->text);
    free(i->frames);
    free(i);
}

void inspection_drop(struct writer *w, struct lane *lane) {
    if (!lane->inspection)
        return;
    inspection_free(w, lane->inspection);
    lane->inspection = NULL;
}

static bool add_frame(struct inspection *i, const struct session_event *e) {
    if (i->count == i->cap) {
        size_t cap = i->cap ? i->cap * 2 : 1;
        struct inspected_frame *p = realloc(i->frames, cap * sizeof *p);
        if (!p)
            return false;
        i->frames = p;
        i->cap = cap;
    }
    i->frames[i->count++] = (struct inspected_frame){.event = *e};
    return true;
}

static void add_data(struct writer *w, struct inspection *i, const struct session_event *e) {
    struct inspected_frame *frame = &i->frames[i->count - 1];
    frame->event.timestamp_us = e->timestamp_us;
    frame->len += e->data.len;
    i->opaque |= e->rsv != 0;
    if (i->too_large)
        return;
    if (i->text.len + e->data.len <= INSPECT_MAX_BYTES && i->count <= INSPECT_MAX_FRAMES &&
        w->assembly_bytes + e->data.len <= ASSEMBLY_MAX_BYTES) {
        buf_append(&i->text, e->data.data, e->data.len);
        if (!i->text.failed) {
            w->assembly_bytes += e->data.len;
            return;
        }
    }
    i->too_large = true;
    w->assembly_bytes -= i->text.len;
    buf_fini(&i->text);
}

/* The text that the first frame gets instead of its own; false: nothing has to be replaced. */
static bool replacement(struct writer *w, const struct inspection *i, const struct redactor *r, bool whole,
                        struct event_bytes *out) {
    static const char large[] = "[redacted: message too large to inspect]";
    static const char opaque[] = "[redacted: compressed message]";
    static const char cut_short[] = "[redacted: message without its end]";
    if (i->too_large || i->opaque || !whole) {
        const char *text = i->too_large ? large : i->opaque ? opaque : cut_short;
        *out = (struct event_bytes){(const uint8_t *)text, strlen(text)};
        return true;
    }
    buf_reset(&w->scratch);
    int rc = redact_json(r, i->text.data, i->text.len, &w->scratch);
    if (rc == 0)
        return false;
    if (rc < 0)
        *out = (struct event_bytes){(const uint8_t *)large, strlen(large)};
    else
        *out = (struct event_bytes){w->scratch.data, w->scratch.len};
    return true;
}

void inspection_finish(struct writer *w, struct track *t, struct lane *lane, bool whole) {
    struct inspection *i = lane->inspection;
    struct event_bytes text;
    bool replaced = replacement(w, i, t->redactor, whole, &text);
    size_t at = 0;
    for (size_t k = 0; k < i->count; k++) {
        struct session_event e = i->frames[k].event;
        if (!replaced)
            e.data = (struct event_bytes){i->text.data + at, i->frames[k].len};
        else
            e.data = k ? (struct event_bytes){NULL, 0} : text;
        at += i->frames[k].len;
        /* What is written is text, and no extension's any more. */
        if (replaced)
            e.rsv = 0;
        track_write_frame(w, t, &e);
    }
    inspection_drop(w, lane);
}

bool inspect_fragment(struct writer *w, struct track *t, struct lane *lane, const struct session_event *e, bool first,
                      bool last) {
    if (first && e->type == EVENT_TEXT) {
        if (lane->inspection)
            inspection_finish(w, t, lane, false);
        lane->inspection = calloc(1, sizeof *lane->inspection);
    }
    struct inspection *i = lane->inspection;
    bool in_message = e->type == EVENT_TEXT || e->type == EVENT_CONTINUATION;
    if (!in_message || !i)
        /* Without memory nothing of a message that might hold a secret is written. */
        return e->type == EVENT_TEXT;
    if (first && !add_frame(i, e)) {
        inspection_drop(w, lane);
        return true;
    }
    if (!i->count)
        return true;
    add_data(w, i, e);
    if (last && e->fin)
        inspection_finish(w, t, lane, true);
    return true;
}
