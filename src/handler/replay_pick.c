/* Which recorded connection a client gets, and what it is told in its handshake. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "handler/replay.h"
#include "protocol/handshake.h"
#include "protocol/http_head.h"

/* ---- candidates ---- */

struct list_of {
    uint32_t *items;
    size_t count;
};
typedef bool (*suits_fn)(const struct replay_connection *rc, const struct session *s);

static bool has_path(const struct replay_connection *rc, const struct session *s) {
    return rc->path && !strcmp(rc->path, s->connection.path);
}

static bool has_query(const struct replay_connection *rc, const struct session *s) {
    const char *recorded = rc->query ? rc->query : "", *asked = s->connection.query ? s->connection.query : "";
    return !strcmp(recorded, asked);
}

static bool has_subprotocol(const struct replay_connection *rc, const struct session *s) {
    return rc->subprotocol && ws_subprotocol_offered(&s->connection.headers, rc->subprotocol);
}

/* A connection in which nobody said a word is nothing to play: a probe, or an archive's entry of a refused handshake.
 */
static bool says_something(const struct replay_connection *rc, const struct session *s) {
    (void)s;
    return rc->frame_count || rc->end == REPLAY_END_SERVER;
}

/* Keeps those that suit; all of them when none does, and returns false. */
static bool narrow(const struct replay_program *p, const struct session *s, struct list_of *list, suits_fn suits) {
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++)
        kept += suits(&p->source->connections[list->items[i]], s);
    if (!kept)
        return false;
    for (size_t i = 0, to = 0; i < list->count; i++)
        if (suits(&p->source->connections[list->items[i]], s))
            list->items[to++] = list->items[i];
    list->count = kept;
    return true;
}

static bool narrow_to_path(const struct replay_program *p, const struct session *s, struct list_of *list) {
    if (!narrow(p, s, list, has_path))
        return false;
    narrow(p, s, list, has_query);
    return true;
}

/* What was recorded, for a client that asked for something else: "/a, /b". */
static void list_texts(const struct replay_program *p, bool paths, struct buf *out) {
    const char *shown[8];
    size_t count = 0;
    for (size_t i = 0; i < p->source->count && count < ARRAY_LEN(shown); i++) {
        const struct replay_connection *rc = &p->source->connections[i];
        const char *text = paths ? rc->path : rc->subprotocol;
        bool known = !text;
        for (size_t j = 0; j < count && !known; j++)
            known = !strcmp(shown[j], text);
        if (!known)
            shown[count++] = text;
    }
    for (size_t i = 0; i < count; i++)
        buf_printf(out, "%s%s", i ? ", " : "", log_quote_n(shown[i], strnlen(shown[i], 60)));
    if (!count)
        buf_puts(out, "none");
}

static bool choose(const struct replay_program *p, const struct session *s, struct list_of *list, int *status,
                   struct buf *why) {
    switch (p->pick) {
    case REPLAY_PICK_TURN:
        return true;
    case REPLAY_PICK_PATH:
        if (narrow_to_path(p, s, list))
            return true;
        *status = 404;
        buf_puts(why, "no recorded connection has this path; recorded: ");
        list_texts(p, true, why);
        return false;
    case REPLAY_PICK_SUBPROTOCOL:
        if (narrow(p, s, list, has_subprotocol))
            return true;
        *status = 400;
        buf_puts(why, "no recorded connection has a subprotocol that is offered; recorded: ");
        list_texts(p, false, why);
        return false;
    default:
        narrow_to_path(p, s, list);
        narrow(p, s, list, has_subprotocol);
        return true;
    }
}

uint32_t *replay_candidates(const struct replay_program *p, const struct session *s, size_t *count, int *status,
                            struct buf *why) {
    struct list_of list = {.items = calloc(p->source->count + 1, sizeof *list.items), .count = p->source->count};
    *count = 0;
    if (!list.items)
        return NULL;
    for (size_t i = 0; i < list.count; i++)
        list.items[i] = (uint32_t)i;
    if (choose(p, s, &list, status, why)) {
        narrow(p, s, &list, says_something);
        *count = list.count;
    }
    return list.items;
}

/* Whoever was given least often; other workers do the same at the same time. */
uint32_t replay_next_in_turn(const struct replay_program *p, const uint32_t *candidates, size_t count) {
    for (;;) {
        uint32_t best = candidates[0];
        unsigned least = atomic_load_explicit(&p->given[best], memory_order_relaxed);
        for (size_t i = 1; i < count && least; i++) {
            unsigned given = atomic_load_explicit(&p->given[candidates[i]], memory_order_relaxed);
            if (given < least) {
                least = given;
                best = candidates[i];
            }
        }
        if (atomic_compare_exchange_weak(&p->given[best], &least, least + 1))
            return best;
    }
}

/* ---- by the first message ---- */

/* So many recorded connections are compared with a client's first message that is none of theirs byte by byte. */
#define COMPARED_MAX 512u
/* With timed play a client that only listens is waited for so long: on a busy machine one that does speak may be late.
 */
#define SILENCE_US ((uint64_t)5 * 1000000)

/* The client's first message, when nothing that is to be heard comes before it. */
static const struct replay_message *opening_of(const struct replay_connection *rc) {
    for (size_t i = 0; i < rc->frame_count; i++) {
        const struct replay_frame *f = &rc->frames[i];
        if (f->direction == EVENT_INCOMING && f->message != REPLAY_NONE)
            return &rc->messages[f->message];
        if (f->direction == EVENT_OUTGOING && f->opcode != WS_PONG)
            return NULL;
    }
    return NULL;
}

static uint64_t scaled(const struct replay_program *p, uint64_t recorded_us) {
    double us = p->options.speed > 0 ? (double)recorded_us / p->options.speed : 0;
    return us < (double)(UINT64_MAX / 4) ? (uint64_t)us : UINT64_MAX / 4;
}

uint64_t replay_first_word(const struct replay_program *p, size_t connection, bool theirs) {
    const struct replay_connection *rc = &p->source->connections[connection];
    const struct replay_message *m = theirs ? opening_of(rc) : NULL;
    size_t at = 0;
    while (at < rc->frame_count && (rc->frames[at].direction != EVENT_OUTGOING || rc->frames[at].opcode == WS_PONG))
        at++;
    if (m)
        return scaled(p, m->time_us);
    return scaled(p, at < rc->frame_count ? rc->frames[at].time_us : rc->end_us);
}

bool replay_waits_for_first_message(const struct replay_program *p, const uint32_t *candidates, size_t count) {
    const struct replay_connection *all = p->source->connections;
    if (p->spies || p->pick == REPLAY_PICK_FIRST_MESSAGE)
        return !p->spies;
    if (p->pick == REPLAY_PICK_TURN || count < 2)
        return false;
    for (size_t i = 0; i < count; i++) {
        const char *a = all[candidates[0]].subprotocol, *b = all[candidates[i]].subprotocol;
        if (!opening_of(&all[candidates[i]]) || strcmp(a ? a : "", b ? b : "") != 0)
            return false; /* the server speaks, or one of them is agreed to, before there is a message */
    }
    return true;
}

uint64_t replay_first_message_due(const struct replay_program *p, const struct session *s) {
    struct buf ignored = BUF_INIT;
    size_t count;
    int status;
    uint64_t latest = 0, first = UINT64_MAX / 4;
    uint32_t *candidates = replay_candidates(p, s, &count, &status, &ignored);
    for (size_t i = 0; i < count; i++) {
        const struct replay_message *m = opening_of(&p->source->connections[candidates[i]]);
        latest = m ? MAX(latest, m->time_us) : latest;
        first = MIN(first, replay_first_word(p, candidates[i], false));
    }
    uint64_t patience = p->options.timeout_us ? MIN(p->options.timeout_us, SILENCE_US) : SILENCE_US;
    free(candidates);
    buf_fini(&ignored);
    return replay_keeps_times(p) ? first + patience : scaled(p, latest) + p->options.timeout_us;
}

static size_t keep_same_bytes(const struct replay_program *p, uint32_t *candidates, size_t count, bool binary,
                              const void *data, size_t len) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        const struct replay_message *m = opening_of(&p->source->connections[candidates[i]]);
        if (m && m->binary == binary && m->len == len && (!len || !memcmp(m->data, data, len)))
            candidates[kept++] = candidates[i];
    }
    return kept;
}

static size_t keep_most_like(const struct replay_program *p, uint32_t *candidates, size_t count, bool binary,
                             const void *data, size_t len) {
    unsigned scores[COMPARED_MAX], best = 1;
    size_t kept = 0;
    count = MIN(count, COMPARED_MAX);
    if (player_first_message(p->correlation, candidates, count, EVENT_INCOMING, &p->hints, binary, data, len, scores) <
        0)
        return 0;
    for (size_t i = 0; i < count; i++) {
        if (scores[i] > best)
            kept = 0;
        if (scores[i] >= best) {
            best = scores[i];
            candidates[kept++] = candidates[i];
        }
    }
    return kept;
}

uint32_t *replay_by_first_message(const struct replay_program *p, const struct session *s, bool binary,
                                  const void *data, size_t len, size_t *count) {
    struct buf ignored = BUF_INIT;
    int status;
    uint32_t *candidates = replay_candidates(p, s, count, &status, &ignored);
    buf_fini(&ignored);
    size_t kept = keep_same_bytes(p, candidates, *count, binary, data, len);
    *count = kept ? kept : keep_most_like(p, candidates, *count, binary, data, len);
    return candidates;
}

/* ---- the handshake ---- */

/* A recording may come from anywhere: nothing of it makes a second field. */
static bool is_sound(const struct header *h) {
    return http_name_is_valid(h->name, strlen(h->name)) && http_value_is_valid(h->value, strlen(h->value));
}

/* Of that connection alone, or of that day. */
static bool is_passing(const struct headers *all, const struct header *h) {
    return ws_is_hop_header(all, h->name) || !strncasecmp(h->name, "Sec-WebSocket-", 14) ||
           !strncasecmp(h->name, "Content-", 8) || /* a 101 has none: they would be of what never follows */
           !strcasecmp(h->name, "Date") || strstr(h->value, REDACTED);
}

int replay_response_fields(const struct replay_connection *rc, struct headers *out) {
    for (size_t i = 0; i < rc->response_headers.count; i++) {
        const struct header *h = &rc->response_headers.items[i];
        if (is_sound(h) && !is_passing(&rc->response_headers, h) && headers_add(out, h->name, h->value) < 0)
            return MF_ENOMEM;
    }
    return MF_OK;
}
