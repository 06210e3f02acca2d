#include "recording/inspect.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"

struct inspected_frame {
    struct session_event event; /* without its data */
    size_t len;
};

struct inspection {
    struct buf text;
    struct inspected_frame *frames;
    size_t count, cap;
    bool headless;          /* its first frame was lost: what it is about nobody can tell */
    bool too_large, opaque; /* opaque: an extension has changed the bytes */
    bool begun;             /* its first frame is written, and says why the text is not */
};

static void inspection_free(struct inspector *w, struct inspection *i) {
    *w->held_bytes -= i->text.len;
    buf_fini(&i->text);
    free(i->frames);
    free(i);
}

void inspection_drop(struct inspector *w, struct inspect_lane *lane) {
    if (!lane->inspection)
        return;
    inspection_free(w, lane->inspection);
    lane->inspection = NULL;
}

static bool add_frame(struct inspection *i, const struct session_event *e) {
    if (!ARRAY_ROOM(i->frames, i->count, i->cap, 1))
        return false;
    i->frames[i->count++] = (struct inspected_frame){.event = *e};
    return true;
}

static void add_data(struct inspector *w, struct inspection *i, const struct session_event *e) {
    struct inspected_frame *frame = &i->frames[i->count - 1];
    frame->event.timestamp_us = e->timestamp_us;
    frame->len += e->data.len;
    i->opaque |= e->rsv != 0;
    if (i->too_large || i->headless)
        return;
    if (i->text.len + e->data.len <= INSPECT_MAX_BYTES && i->count <= INSPECT_MAX_FRAMES &&
        *w->held_bytes + e->data.len <= INSPECT_HELD_MAX_BYTES) {
        buf_append(&i->text, e->data.data, e->data.len);
        if (!i->text.failed) {
            *w->held_bytes += e->data.len;
            return;
        }
    }
    i->too_large = true;
    *w->held_bytes -= i->text.len;
    buf_fini(&i->text);
}

/* The text that the first frame gets instead of its own; false: nothing has to be replaced. */
static bool replacement(struct inspector *w, const struct inspection *i, const struct redactor *r, bool whole,
                        struct event_bytes *out) {
    const char *why = i->headless    ? "[redacted: message without its beginning]"
                      : i->too_large ? "[redacted: message too large to inspect]"
                      : i->opaque    ? "[redacted: compressed message]"
                      : !whole       ? "[redacted: message without its end]"
                                     : NULL;
    int rc = 1;
    if (!why) {
        buf_reset(w->scratch);
        rc = redact_json(r, i->text.data, i->text.len, w->scratch);
        why = rc == MF_ELIMIT ? "[redacted: message that is not quite JSON]"
              : rc < 0        ? "[redacted: message too large to inspect]"
                              : NULL;
    }
    w->withheld += why != NULL;
    w->replaced += !why && rc == 1;
    if (why)
        *out = (struct event_bytes){(const uint8_t *)why, strlen(why)};
    else
        *out = (struct event_bytes){w->scratch->data, w->scratch->len};
    return rc != 0;
}

static void write_frames(struct inspector *w, const struct redactor *r, struct inspection *i, bool whole) {
    struct event_bytes text;
    bool replaced = replacement(w, i, r, whole, &text);
    size_t at = 0;
    for (size_t k = 0; k < i->count; k++) {
        struct session_event e = i->frames[k].event;
        if (!replaced)
            e.data = (struct event_bytes){i->text.data + at, i->frames[k].len};
        else
            e.data = i->begun ? (struct event_bytes){NULL, 0} : text;
        at += i->frames[k].len;
        /* What is written is text, and no extension's any more. */
        if (replaced)
            e.rsv = 0;
        w->write(w->arg, &e);
        i->begun = true;
    }
    i->count = 0;
}

void inspection_finish(struct inspector *w, const struct redactor *r, struct inspect_lane *lane, bool whole) {
    write_frames(w, r, lane->inspection, whole);
    inspection_drop(w, lane);
}

/* Is this fragment part of a message that might hold a secret? At its first frame, or at the first that is left of it,
 * the inspection begins. */
static bool belongs_to_text(struct inspector *w, const struct redactor *r, struct inspect_lane *lane,
                            const struct session_event *e, bool first) {
    if (e->type == EVENT_BINARY && first)
        lane->binary = !e->fin;
    if (e->type == EVENT_TEXT && first) {
        lane->binary = false;
        if (lane->inspection)
            inspection_finish(w, r, lane, false);
    }
    if ((e->type != EVENT_TEXT && e->type != EVENT_CONTINUATION) || lane->binary)
        return false;
    if (first && !lane->inspection && (lane->inspection = calloc(1, sizeof *lane->inspection)))
        lane->inspection->headless = e->type == EVENT_CONTINUATION;
    return true;
}

bool inspect_fragment(struct inspector *w, const struct redactor *r, struct inspect_lane *lane,
                      const struct session_event *e, bool first, bool last) {
    if (!belongs_to_text(w, r, lane, e, first)) {
        if (last && e->fin && e->type == EVENT_CONTINUATION)
            lane->binary = false;
        return false;
    }
    struct inspection *i = lane->inspection;
    if (first && i && !add_frame(i, e)) {
        inspection_drop(w, lane);
        i = NULL;
    }
    /* Without memory nothing of it is written. */
    if (!i || !i->count)
        return true;
    add_data(w, i, e);
    if (last && e->fin)
        inspection_finish(w, r, lane, true);
    else if (last && (i->too_large || i->headless))
        write_frames(w, r, i, false); /* nothing that comes can change it: a message without end must not fill memory */
    return true;
}
