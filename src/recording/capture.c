#include <stdlib.h>
#include <string.h>

#include "protocol/frame.h"
#include "protocol/mask.h"
#include "recording/writer.h"

/* The least that a frame takes on the wire is 2 bytes (an empty one from a server), and its record is 24: no frame
 * becomes more than 12 times as large in the ring (one payload byte: 3 -> 32). A frame that is cut by the read's end
 * or begin has 16 bytes more; there are two of these at most in a read, and RESERVE has them. */
#define RING_PER_WIRE_BYTE 12u
/* Of the ring, 1/16 is for one padding at its end (no record is larger), and 1/16 for opens, ends, gaps, our own
 * pings and pongs, cut frames, and what a transform added to its message. */
#define RECORD_MAX(ring_size) ((ring_size) / 16)
#define RESERVE(ring_size) ((ring_size) / 8)
/* Fragments leave so much to gaps and ends. */
#define KEEP_FOR_CONTROL(ring_size) ((ring_size) / 64)
/* Of what a transform made, that waits for the ring: a message of the largest size that a stage may assemble, for a few
 * connections at once. Beyond it frames are dropped and counted. */
#define SPILL_MAX (64u << 20)
/* Reads of a few bytes are not worth their system calls: below this the worker waits for a ring that is half empty. */
#define ROOM_MIN 16384u

static size_t round_up(size_t n) {
    return (n + (RING_ALIGN - 1)) & ~(size_t)(RING_ALIGN - 1);
}

/* After a record: does the writer have to be told? */
static void published(struct record_port *port) {
    struct writer *w = &port->recorder->writer;
    int state = atomic_load_explicit(&w->state, memory_order_relaxed);
    if (MF_UNLIKELY(state == WRITER_ASLEEP)) {
        writer_wake(w, WRITER_ASLEEP);
        return;
    }
    size_t head = atomic_load_explicit(&port->ring.head, memory_order_relaxed), half = port->ring.size / 2;
    if (MF_LIKELY(head - port->ring.tail_seen < half) || head < port->wake_at)
        return;
    if (ring_refresh(&port->ring) >= half)
        writer_wake(w, WRITER_POLLING);
    port->wake_at = head + port->ring.size / 64;
}

/* ---- outside of the ring ---- */

static struct record *spill_reserve(struct record_port *port, struct spilled *node, size_t size) {
    if (!node && (port->spill_bytes + size > SPILL_MAX || !(node = malloc(offsetof(struct spilled, record) + size))))
        return NULL;
    port->spill_new = node;
    return &node->record;
}

static void spill_publish(struct record_port *port) {
    struct spilled *node = port->spill_new;
    port->spill_new = NULL;
    node->next = NULL;
    *(port->spill_first ? port->spill_last : &port->spill_first) = node;
    port->spill_last = &node->next;
    port->spill_bytes += node->record.head.size;
}

static void move_to_ring(struct record_port *port) {
    for (struct spilled *node; (node = port->spill_first);) {
        size_t size = node->record.head.size;
        void *to = ring_reserve(&port->ring, size, KEEP_FOR_CONTROL(port->ring.size));
        if (!to)
            return;
        memcpy(to, &node->record, size);
        port->spill_first = node->next;
        port->spill_bytes -= size;
        if (!node->embedded)
            free(node);
        /* With an end in it, its track (and the node) may be gone from here on. */
        ring_publish(&port->ring, size);
        published(port);
    }
}

bool port_unspill(struct record_port *port) {
    if (MF_LIKELY(!port->spill_first))
        return true;
    move_to_ring(port);
    if (!port->spill_first)
        return true;
    /* As in capture_room(): first say so, then look once more. */
    atomic_store(&port->waiting, true);
    ring_refresh(&port->ring);
    move_to_ring(port);
    if (port->spill_first)
        writer_wake(&port->recorder->writer, WRITER_POLLING);
    return !port->spill_first;
}

/* ---- records ---- */

/* Room for a record, in the ring; or outside of it, when the connection's route wants nothing lost: behind what is
 * there already, for a track's records stay in order. */
static struct record *reserve(struct capture *c, enum record_kind kind, size_t extra, size_t keep, uint64_t time_us) {
    struct record_port *port = c->port;
    struct track *t = c->track;
    bool may_spill = kind != RECORD_OPEN && c->rules.on_full == RECORD_FULL_PAUSE;
    size_t size = round_up(sizeof(struct record) + extra);
    struct record *r = NULL;
    if (MF_LIKELY(!may_spill || port_unspill(port)))
        r = ring_reserve(&port->ring, size, keep);
    if (MF_UNLIKELY(!r)) {
        if (!may_spill || !(r = spill_reserve(port, kind == RECORD_END ? &t->end_spill : NULL, size)))
            return NULL;
        port->spill_new->embedded = kind == RECORD_END;
    }
    *r = (struct record){.head = {.size = (uint32_t)size, .kind = (uint8_t)kind}, .track = t, .time_us = time_us};
    r->head.user[RECORD_USER_SLACK] = (uint8_t)(size - sizeof *r - extra);
    return r;
}

static void publish(struct record_port *port, const struct record *r) {
    if (MF_UNLIKELY(port->spill_new)) {
        spill_publish(port);
        port_unspill(port);
        return;
    }
    ring_publish(&port->ring, r->head.size);
    published(port);
}

/* ---- captures ---- */

static void free_track(struct track *t) {
    connection_fini(&t->connection);
    headers_fini(&t->response_headers);
    free(t->upstream);
    redactor_unref(t->redactor);
    free(t);
}

static struct track *new_track(struct recording *rec, const struct capture_open *info) {
    struct track *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    list_init(&t->link);
    t->redactor = redactor_ref(info->redactor);
    t->opened_us = info->time_us;
    line_prefix_init(&t->prefix, info->connection->id);
    if (connection_copy(&t->connection, info->connection) < 0 ||
        (info->response_headers && headers_copy(&t->response_headers, info->response_headers) < 0) ||
        (info->upstream && !(t->upstream = strdup(info->upstream)))) {
        free_track(t);
        return NULL;
    }
    t->recording = recording_ref(rec);
    return t;
}

int capture_open(struct record_port *port, struct recording *rec, const struct capture_open *info,
                 struct capture **out) {
    struct capture *c = calloc(1, sizeof *c);
    struct track *t = c ? new_track(rec, info) : NULL;
    if (!t) {
        free(c);
        return MF_ENOMEM;
    }
    const struct record_config *config = info->config;
    *c = (struct capture){.port = port,
                          .track = t,
                          .recording = rec,
                          .rules = {config->on_full, config->on_error, config->leg, config->exclude_ping}};
    /* Only a hint: the writer writes the open line before the first record that it sees of this track. */
    struct record *r = reserve(c, RECORD_OPEN, 0, 0, info->time_us);
    if (r)
        publish(port, r);
    *out = c;
    return MF_OK;
}

/* What the ring has for fragments, in bytes of the wire. */
static size_t wire_room(const struct capture *c, size_t used) {
    const struct ring *ring = &c->port->ring;
    size_t fragments = ring->size - RESERVE(ring->size);
    size_t legs = c->rules.leg == RECORD_LEG_BOTH ? 2 : 1;
    return used >= fragments ? 0 : (fragments - used) / (RING_PER_WIRE_BYTE * legs);
}

size_t capture_room(struct capture *c) {
    if (c->rules.on_full != RECORD_FULL_PAUSE)
        return SIZE_MAX;
    struct record_port *port = c->port;
    if (MF_UNLIKELY(!port_unspill(port))) {
        metrics_inc(port->counts, METRIC_RECORD_PAUSES);
        return 0;
    }
    size_t enough = MIN((size_t)ROOM_MIN, wire_room(c, 0) / 8);
    size_t head = atomic_load_explicit(&port->ring.head, memory_order_relaxed);
    size_t room = wire_room(c, head - port->ring.tail_seen);
    /* The last look at the writer's progress will do while it promises plenty. */
    if (MF_LIKELY(room >= wire_room(c, 0) / 2))
        return room;
    room = wire_room(c, ring_refresh(&port->ring));
    if (room >= enough)
        return room;
    /* Say so first, look again then: the writer does these two the other way round. */
    bool waited = atomic_exchange(&port->waiting, true);
    room = wire_room(c, ring_refresh(&port->ring));
    if (room >= enough) {
        atomic_store(&port->waiting, false);
        return room;
    }
    if (!waited) {
        metrics_inc(port->counts, METRIC_RECORD_PAUSES);
        writer_wake(&port->recorder->writer, WRITER_POLLING);
    }
    return 0;
}

static bool wanted(const struct capture *c, const struct capture_fragment *f) {
    const struct capture_rules *s = &c->rules;
    if (s->exclude_ping && (f->opcode == WS_PING || f->opcode == WS_PONG))
        return false;
    return s->leg == RECORD_LEG_BOTH || (s->leg == RECORD_LEG_CLIENT) == (f->leg == EVENT_LEG_CLIENT);
}

/* What was lost goes before what comes next. */
static bool hand_over_gap(struct capture *c, uint64_t time_us) {
    struct record *r = reserve(c, RECORD_GAP, sizeof c->gap, KEEP_FOR_CONTROL(c->port->ring.size), time_us);
    if (!r)
        return false;
    memcpy(r + 1, &c->gap, sizeof c->gap);
    publish(c->port, r);
    c->gap = (struct record_gap){0};
    return true;
}

static bool hand_over(struct capture *c, const struct capture_fragment *f, uint8_t flags) {
    bool whole = f->first && f->last;
    struct record_place place = {f->frame_length, f->offset};
    size_t head = whole ? 0 : sizeof place;
    struct record *r = reserve(c, RECORD_FRAGMENT, head + f->len, KEEP_FOR_CONTROL(c->port->ring.size), f->time_us);
    if (MF_UNLIKELY(!r))
        return false;
    r->head.user[RECORD_USER_FLAGS] = flags;
    r->head.user[RECORD_USER_OPCODE] = (uint8_t)(f->opcode | f->rsv << 4);
    uint8_t *to = (uint8_t *)(r + 1);
    if (!whole) {
        memcpy(to, &place, sizeof place);
        to += sizeof place;
    }
    if (f->key)
        mask_copy(to, f->data, f->len, f->key, f->offset);
    else if (f->len)
        memcpy(to, f->data, f->len);
    publish(c->port, r);
    return true;
}

static uint8_t fragment_flags(const struct capture_fragment *f) {
    return (uint8_t)((f->fin ? RECORD_FIN : 0) | (f->first ? RECORD_FIRST : 0) | (f->last ? RECORD_LAST : 0) |
                     (f->direction == EVENT_OUTGOING ? RECORD_OUTGOING : 0) |
                     (f->leg == EVENT_LEG_UPSTREAM ? RECORD_UPSTREAM : 0));
}

/* No room: this fragment and the rest of its frame are lost. */
static void lose(struct capture *c, const struct capture_fragment *f, unsigned lane, bool new_loss) {
    if (new_loss) {
        c->gap.frames++;
        metrics_inc(c->port->counts, METRIC_RECORD_DROPPED);
        atomic_fetch_add_explicit(&c->recording->dropped, 1, memory_order_relaxed);
    }
    c->gap.bytes += f->len;
    c->skipping[lane] = !f->last;
    if (c->rules.on_full == RECORD_FULL_CLOSE)
        c->must_close = true;
}

static void add_piece(struct capture *c, const struct capture_fragment *f) {
    uint8_t flags = fragment_flags(f);
    unsigned lane = lane_index(flags);
    if (f->first)
        c->skipping[lane] = false;
    if (MF_UNLIKELY(c->skipping[lane])) {
        lose(c, f, lane, false);
        return;
    }
    if (MF_UNLIKELY(c->gap.frames || c->gap.bytes) && !hand_over_gap(c, f->time_us))
        lose(c, f, lane, true);
    else if (MF_UNLIKELY(!hand_over(c, f, flags)))
        lose(c, f, lane, true);
}

void capture_add(struct capture *c, const struct capture_fragment *f) {
    if (!wanted(c, f))
        return;
    size_t most = RECORD_MAX(c->port->ring.size) - sizeof(struct record) - sizeof(struct record_place);
    if (MF_LIKELY(f->len <= most)) {
        add_piece(c, f);
        return;
    }
    /* Larger than a record may be: an assembled message. */
    for (size_t at = 0; at < f->len; at += most) {
        struct capture_fragment piece = *f;
        piece.data += at;
        piece.offset += at;
        piece.len = MIN(most, f->len - at);
        piece.first = f->first && at == 0;
        piece.last = f->last && at + piece.len == f->len;
        add_piece(c, &piece);
    }
}

enum capture_state capture_state(const struct capture *c) {
    if (c->must_close)
        return CAPTURE_MUST_CLOSE;
    bool failed =
        c->rules.on_error == RECORD_ERROR_CLOSE && atomic_load_explicit(&c->recording->failed, memory_order_relaxed);
    return failed ? CAPTURE_MUST_CLOSE : CAPTURE_OK;
}

void capture_close(struct capture *c, const char *by, const char *reason, unsigned code, uint64_t time_us) {
    if (!c)
        return;
    struct track *t = c->track;
    struct record_port *port = c->port;
    t->end.by = by;
    t->end.reason = reason;
    t->end.code = code;
    t->end.time_us = time_us;
    t->end.gap = c->gap;
    struct record *r = reserve(c, RECORD_END, 0, 0, time_us);
    if (r) {
        publish(port, r);
    } else {
        /* Not one byte left: the writer looks here after it has emptied the ring, which then holds nothing of t. */
        t->late_next = atomic_load(&port->late);
        while (!atomic_compare_exchange_weak(&port->late, &t->late_next, t))
            continue;
        writer_wake(&port->recorder->writer, WRITER_POLLING);
    }
    free(c);
}
