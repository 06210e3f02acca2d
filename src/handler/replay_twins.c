/* Twins: what the upstream of a spy says, and the client hears from the recording. */
#include "handler/replay_twins.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

/* Recorded messages that the client got last: those whose twin may still come from the upstream. */
#define TWINS_MAX 256u
#define AHEAD_MAX PLAYER_PENDING_MAX
/* structure_similarity(): from here on two messages have the same structure, whatever their values. */
#define TWIN_LEAST 300u

struct twin {
    uint32_t connection, message;
    uint64_t marks;  /* hash of the values in it that were carried over */
    uint64_t serial; /* of this client */
};

/* All of the value but its quotes: no piece of a sentence. */
static bool is_whole(const struct slot *slot, const struct message_value *v) {
    return slot->end - slot->begin + 2 >= v->end - v->begin;
}

/* What was carried over into this message: an answer to somebody else's request has other values there. */
static uint64_t marks_of(struct twins *w, const struct replay *r, const struct twin *t, const struct structure *live,
                         const void *data) {
    const struct correlation *c = replay_program(r)->correlation;
    const struct structure *recorded = correlation_structure(c, t->connection, t->message);
    size_t count, at = 0;
    const struct slot *slots = correlation_slots(c, t->connection, t->message, &count);
    struct buf *text = &w->text;
    buf_reset(text);
    for (size_t i = 0; i < count; i++) {
        while (at < recorded->count && recorded->values[at].end < slots[i].end)
            at++;
        if (slots[i].kind != SLOT_VARIABLE || at == recorded->count || !is_whole(&slots[i], &recorded->values[at]))
            continue;
        const struct message_value *v = structure_find(live, recorded->values[at].path);
        if (v)
            value_text(text, data, v);
        buf_putc(text, '\0');
    }
    return hash_bytes(text->data, text->len);
}

static bool read_structure(struct twins *w, const struct replay *r, const void *data, size_t len, bool binary) {
    return structure_read(&w->live, &w->scratch, correlation_paths(replay_program(r)->correlation), NULL, data, len,
                          binary) == MF_OK;
}

/* Which recorded message is it that was sent? The frame may be one that the player has made of several, with live
 * values in it: it has the time of the message's last one. */
static bool find_message(struct twins *w, const struct replay *r, const struct replay_frame *frame, const void *data,
                         size_t len, struct twin *t) {
    const struct replay_program *p = replay_program(r);
    unsigned best = 0;
    for (size_t i = 0; i < p->source->count; i++) {
        const struct replay_connection *rc = &p->source->connections[i];
        const struct replay_message *m = frame->message < rc->message_count ? &rc->messages[frame->message] : NULL;
        if (!m || m->direction != EVENT_OUTGOING || rc->frames[m->last_frame].time_us != frame->time_us)
            continue;
        unsigned like = structure_similarity(correlation_paths(p->correlation),
                                             correlation_structure(p->correlation, i, frame->message), m->data, m->len,
                                             &w->live, data, len, NULL, NULL);
        if (like >= best) {
            best = like;
            *t = (struct twin){.connection = (uint32_t)i, .message = frame->message};
        }
    }
    return t->message != REPLAY_NONE;
}

static size_t find_ahead(const struct twins *w, const struct twin *t) {
    size_t i = 0;
    while (i < w->ahead_count && (w->ahead[i].message != t->message || w->ahead[i].marks != t->marks))
        i++;
    return i;
}

/* Was it the upstream's before it was the recording's? */
static bool was_ahead(struct twins *w, const struct twin *t) {
    size_t i = find_ahead(w, t);
    if (i == w->ahead_count)
        return false;
    memmove(&w->ahead[i], &w->ahead[i + 1], (--w->ahead_count - i) * sizeof *w->ahead);
    return true;
}

/* Joins the fragments of a message in w->sent. False: it is not whole yet, or none of the recording's. */
static bool is_whole_now(struct twins *w, const struct replay_frame *frame, const void *data, size_t len) {
    if (ws_is_control(frame->opcode))
        return false;
    if (frame->opcode != WS_CONTINUATION) {
        buf_reset(&w->sent);
        w->sent_binary = frame->opcode == WS_BINARY;
    }
    buf_append(&w->sent, data, len);
    return frame->fin && frame->message != REPLAY_NONE;
}

bool twins_sent(struct twins *w, const struct replay *r, const struct replay_frame *frame, const void *data,
                size_t len) {
    struct twin t = {.message = REPLAY_NONE};
    if (!is_whole_now(w, frame, data, len))
        return !w->sent.failed;
    data = buf_cstr(&w->sent); /* a NUL follows */
    len = w->sent.len;
    if (w->sent.failed || (!w->ring && !(w->ring = calloc(TWINS_MAX, sizeof *w->ring))) ||
        !read_structure(w, r, data, len, w->sent_binary))
        return false;
    if (!find_message(w, r, frame, data, len, &t))
        return true;
    t.marks = marks_of(w, r, &t, &w->live, data);
    if (was_ahead(w, &t))
        return true;
    t.serial = w->heard++;
    if (w->count == TWINS_MAX) {
        w->first = (w->first + 1) % TWINS_MAX;
        w->count--;
    }
    w->ring[(w->first + w->count++) % TWINS_MAX] = t;
    return true;
}

static unsigned likeness(struct twins *w, const struct replay *r, const struct twin *t, bool binary, const void *data,
                         size_t len) {
    const struct replay_program *p = replay_program(r);
    const struct replay_message *m = &p->source->connections[t->connection].messages[t->message];
    struct match_hints hints = {0};
    correlation_free_paths(p->correlation, t->connection, t->message, &hints.free_paths, &hints.free_count);
    if (m->binary != binary || marks_of(w, r, t, &w->live, data) != t->marks)
        return 0;
    return structure_similarity(correlation_paths(p->correlation),
                                correlation_structure(p->correlation, t->connection, t->message), m->data, m->len,
                                &w->live, data, len, &hints, NULL);
}

/* Has the client heard this already? Once. The live message's structure has been read. */
static bool is_twin(struct twins *w, const struct replay *r, bool binary, const void *data, size_t len) {
    size_t best_at = 0;
    unsigned best = 0;
    for (size_t i = 0; i < w->count; i++) {
        unsigned like = likeness(w, r, &w->ring[(w->first + i) % TWINS_MAX], binary, data, len);
        if (like > best) {
            best = like;
            best_at = i;
        }
    }
    if (best < TWIN_LEAST)
        return false;
    for (size_t i = best_at; i + 1 < w->count; i++)
        w->ring[(w->first + i) % TWINS_MAX] = w->ring[(w->first + i + 1) % TWINS_MAX];
    w->count--;
    return true;
}

struct search {
    struct twins *twins;
    const struct replay *r;
    bool binary;
    const void *data;
    size_t len;
    unsigned best;
    struct twin found;
};

static void on_pending(void *arg, size_t connection, uint32_t message, const void *data, size_t len) {
    struct search *s = arg;
    struct twins *w = s->twins;
    const struct replay_program *p = replay_program(s->r);
    struct twin t = {.connection = (uint32_t)connection, .message = message};
    bool binary = p->source->connections[connection].messages[message].binary;
    if (binary != s->binary ||
        structure_read(&w->pending, &w->scratch, correlation_paths(p->correlation), NULL, data, len, binary) < 0)
        return;
    t.marks = marks_of(w, s->r, &t, &w->pending, data);
    if (find_ahead(w, &t) < w->ahead_count)
        return;
    unsigned like = likeness(w, s->r, &t, s->binary, s->data, s->len);
    if (like > s->best) {
        s->best = like;
        s->found = t;
    }
}

/* Will the client hear this from the recording, which keeps its pace while the upstream is quicker? */
static bool is_to_come(struct twins *w, struct replay *r, bool binary, const void *data, size_t len) {
    struct search s = {.twins = w, .r = r, .binary = binary, .data = data, .len = len};
    if (w->ahead_count < AHEAD_MAX)
        player_pending(r->player, clock_mono_us(), on_pending, &s);
    if (s.best < TWIN_LEAST || (!w->ahead && !(w->ahead = calloc(AHEAD_MAX, sizeof *w->ahead))))
        return false;
    w->ahead[w->ahead_count++] = s.found;
    return true;
}

enum twin_found twins_find(struct twins *w, struct replay *r, bool binary, const void *data, size_t len) {
    if (!read_structure(w, r, data, len, binary))
        return TWIN_NO_MEMORY;
    if (is_twin(w, r, binary, data, len))
        return TWIN_HEARD;
    return is_to_come(w, r, binary, data, len) ? TWIN_TO_COME : TWIN_NONE;
}

/* They stand in the order of their serials. */
bool twins_missing(const struct twins *w, uint64_t from, uint64_t until) {
    for (size_t i = 0; i < w->count; i++) {
        const struct twin *t = &w->ring[(w->first + i) % TWINS_MAX];
        if (t->serial >= from)
            return t->serial < until;
    }
    return false;
}

void twins_fini(struct twins *w) {
    free(w->ring);
    free(w->ahead);
    structure_fini(&w->live);
    structure_fini(&w->pending);
    structure_scratch_fini(&w->scratch);
    buf_fini(&w->text);
    buf_fini(&w->sent);
}
