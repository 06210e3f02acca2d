#include "replay/source_build.h"

#include <stdlib.h>

#include "protocol/frame.h"

/* In replay_frame.message while loading: of a message of this direction that is not whole yet, or that never will be.
 */
#define PENDING(direction) (REPLAY_NONE - 1 - (uint32_t)(direction))
#define DROPPED (REPLAY_NONE - 3)

/* ---- memory ---- */

static int append(struct keep *k, struct buf *b, const void *data, size_t len) {
    size_t before = b->cap;
    buf_append(b, data, len);
    k->bytes += b->cap - before;
    return b->failed ? MF_ENOMEM : MF_OK;
}

static void release(struct keep *k, struct buf *b) {
    k->bytes -= b->cap;
    buf_fini(b);
}

/* Room for one item more in an array of `count`. */
static int grow(struct keep *k, void **array, size_t count, size_t *cap, size_t size) {
    if (count < *cap)
        return MF_OK;
    size_t more = *cap ? *cap + *cap / 2 + 1 : 4;
    void *p = realloc(*array, more * size);
    if (!p)
        return MF_ENOMEM;
    k->bytes += (more - *cap) * size;
    *array = p;
    *cap = more;
    return MF_OK;
}

static const char *keep_text(struct keep *k, const char *s, int *rc) {
    char *copy = s ? slab_copy(&k->slab, s, strlen(s)) : NULL;
    if (s && !copy)
        *rc = MF_ENOMEM;
    return copy;
}

static int keep_headers(struct keep *k, struct headers *to, const struct headers *from) {
    if (!from)
        return MF_OK;
    int rc = headers_copy(to, from);
    k->bytes += to->cap * sizeof *to->items;
    for (size_t i = 0; i < to->count; i++) /* with what the allocator needs for each */
        k->bytes += strlen(to->items[i].name) + strlen(to->items[i].value) + 34;
    return rc;
}

/* ---- time ---- */

/* A frame that counts, at this time; its time since the connection's begin. Times of one connection never run
 * backwards, whatever the file says: who plays them waits from one to the next. */
static uint64_t keep_time(struct building *b, uint64_t timestamp_us) {
    if (!b->kept || b->went_on) {
        b->kept = true;
        b->went_on = false;
        b->c.begin_us = b->last_us = timestamp_us;
    }
    b->last_us = MAX(b->last_us, timestamp_us);
    return b->last_us - b->c.begin_us;
}

/* ---- frames and messages ---- */

static int add_frame(struct building *b, struct keep *k, const struct replay_frame *f) {
    int rc = grow(k, (void **)&b->c.frames, b->c.frame_count, &b->frame_cap, sizeof *f);
    if (rc == MF_OK && b->c.frame_count >= DROPPED)
        rc = MF_ENOMEM;
    if (rc == MF_OK)
        b->c.frames[b->c.frame_count++] = *f;
    return rc;
}

static int add_message(struct building *b, struct keep *k, const struct replay_message *m) {
    int rc = grow(k, (void **)&b->c.messages, b->c.message_count, &b->message_cap, sizeof *m);
    if (rc == MF_OK)
        b->c.messages[b->c.message_count++] = *m;
    return rc;
}

/* The message of this direction that is not whole is left out, with its frames. */
static void abandon(struct building *b, struct keep *k, unsigned direction) {
    struct lane *lane = &b->lanes[direction];
    if (!lane->in_message)
        return;
    for (size_t i = lane->first_frame; i < b->c.frame_count; i++)
        if (b->c.frames[i].message == PENDING(direction)) {
            b->c.frames[i].message = DROPPED;
            b->dropped++;
        }
    lane->in_message = false;
    release(k, &lane->message);
}

/* The last fragment has come: all of them are put into one place, and the frames point into it. */
static int complete(struct building *b, struct keep *k, unsigned direction) {
    struct lane *lane = &b->lanes[direction];
    struct replay_frame *frames = b->c.frames;
    uint32_t last = (uint32_t)b->c.frame_count - 1;
    uint8_t *data = (uint8_t *)slab_copy(&k->slab, lane->message.data, lane->message.len);
    if (!data)
        return MF_ENOMEM;
    struct replay_message m = {.data = data,
                               .len = lane->message.len,
                               .time_us = frames[last].time_us,
                               .first_frame = lane->first_frame,
                               .last_frame = last,
                               .direction = (uint8_t)direction,
                               .binary = lane->binary};
    for (uint32_t i = lane->first_frame; i <= last; i++) {
        if (frames[i].message != PENDING(direction))
            continue;
        frames[i].message = (uint32_t)b->c.message_count;
        frames[i].data = data;
        data += frames[i].len;
    }
    lane->in_message = false;
    release(k, &lane->message);
    return add_message(b, k, &m);
}

/* A frame of a message of several. */
static int add_fragment(struct building *b, struct keep *k, struct replay_frame *f, const void *data) {
    struct lane *lane = &b->lanes[f->direction];
    if (f->opcode != WS_CONTINUATION) {
        abandon(b, k, f->direction);
        lane->in_message = true;
        lane->binary = f->opcode == WS_BINARY;
        lane->first_frame = (uint32_t)b->c.frame_count;
    }
    f->message = PENDING(f->direction);
    int rc = add_frame(b, k, f);
    if (rc == MF_OK)
        rc = append(k, &lane->message, data, f->len);
    return rc == MF_OK && f->fin ? complete(b, k, f->direction) : rc;
}

/* A control frame, or a message in one frame. */
static int add_whole(struct building *b, struct keep *k, struct replay_frame *f, const void *data) {
    f->data = (const uint8_t *)slab_copy(&k->slab, data, f->len);
    if (!f->data)
        return MF_ENOMEM;
    f->message = REPLAY_NONE;
    if (ws_is_control(f->opcode))
        return add_frame(b, k, f);
    abandon(b, k, f->direction);
    f->message = (uint32_t)b->c.message_count;
    uint32_t index = (uint32_t)b->c.frame_count;
    struct replay_message m = {.data = f->data,
                               .len = f->len,
                               .time_us = f->time_us,
                               .first_frame = index,
                               .last_frame = index,
                               .direction = f->direction,
                               .binary = f->opcode == WS_BINARY};
    int rc = add_frame(b, k, f);
    return rc == MF_OK ? add_message(b, k, &m) : rc;
}

static int take_frame(struct building *b, struct keep *k, const struct session_event *e, uint8_t opcode,
                      const void *data, size_t len) {
    if (opcode == WS_CONTINUATION && !b->lanes[e->direction].in_message)
        return MF_OK; /* its beginning is missing */
    if (ws_is_control(opcode) && len > FRAME_CONTROL_MAX)
        return MF_OK; /* no endpoint may send it */
    struct replay_frame f = {.time_us = keep_time(b, e->timestamp_us),
                             .len = len,
                             .opcode = opcode,
                             .fin = e->fin || ws_is_control(opcode),
                             .direction = (uint8_t)e->direction};
    bool alone = ws_is_control(opcode) || (f.fin && opcode != WS_CONTINUATION);
    return alone ? add_whole(b, k, &f, data) : add_fragment(b, k, &f, data);
}

/* ---- pieces of frames ---- */

/* The frame whose pieces were coming does not become whole. */
static void lose_frame(struct building *b, struct keep *k, unsigned direction) {
    struct lane *lane = &b->lanes[direction];
    if (!lane->in_frame)
        return;
    lane->in_frame = false;
    release(k, &lane->frame);
    if (!ws_is_control(lane->frame_opcode))
        abandon(b, k, direction);
}

static int take_piece(struct building *b, struct keep *k, const struct session_event *e, uint8_t opcode) {
    struct lane *lane = &b->lanes[e->direction];
    if (e->frame_offset == 0) {
        lose_frame(b, k, e->direction);
        lane->in_frame = true;
        lane->frame_opcode = opcode;
        lane->frame_size = e->frame_size;
    } else if (!lane->in_frame || opcode != lane->frame_opcode || e->frame_offset != lane->frame.len ||
               e->frame_size != lane->frame_size) {
        lose_frame(b, k, e->direction);
        if (!ws_is_control(opcode))
            abandon(b, k, e->direction);
        return MF_OK;
    }
    int rc = append(k, &lane->frame, e->data.data, e->data.len);
    if (rc < 0 || lane->frame.len < lane->frame_size)
        return rc;
    rc = take_frame(b, k, e, opcode, lane->frame.data, lane->frame.len);
    lane->in_frame = false;
    release(k, &lane->frame);
    return rc;
}

/* ---- events ---- */

/* Of a recording of both legs the client's is taken; until it shows, the upstream's may be all there is. False: pass
 * over this frame. */
static bool takes_leg(struct building *b, struct keep *k, const struct session_event *e) {
    if (e->leg != EVENT_LEG_CLIENT)
        return !b->client_leg;
    if (!b->client_leg) { /* what was taken so far was the other's */
        building_break(b, k);
        b->c.frame_count = b->c.message_count = 0;
        b->dropped = 0;
        b->rsv_seen = b->close_seen[0] = b->close_seen[1] = false;
        b->client_leg = true;
    }
    return true;
}

static uint8_t opcode_of(enum event_type type) {
    static const uint8_t opcodes[] = {
        [EVENT_TEXT] = WS_TEXT, [EVENT_BINARY] = WS_BINARY, [EVENT_CONTINUATION] = WS_CONTINUATION,
        [EVENT_PING] = WS_PING, [EVENT_PONG] = WS_PONG,     [EVENT_CLOSE] = WS_CLOSE};
    return opcodes[type];
}

static int take_close(struct building *b, struct keep *k, const struct session_event *e) {
    uint8_t payload[FRAME_CONTROL_MAX];
    size_t len = frame_close_payload(payload, e->code ? e->code : WS_CLOSE_NO_STATUS, (const char *)e->reason.data,
                                     e->reason.len);
    if (!b->close_seen[0] && !b->close_seen[1])
        b->first_close = (uint8_t)e->direction;
    b->close_seen[e->direction] = true;
    return take_frame(b, k, e, WS_CLOSE, payload, len);
}

int building_frame(struct building *b, struct keep *k, const struct session_event *e) {
    if (!takes_leg(b, k, e))
        return MF_OK;
    if (e->rsv && !b->rsv_seen) {
        b->rsv_seen = true;
        b->rsv_at = e->timestamp_us;
    }
    uint8_t opcode = opcode_of(e->type);
    if (e->frame_size && e->data.len < e->frame_size)
        return take_piece(b, k, e, opcode);
    lose_frame(b, k, e->direction);
    return opcode == WS_CLOSE ? take_close(b, k, e) : take_frame(b, k, e, opcode, e->data.data, e->data.len);
}

int building_open(struct building *b, struct keep *k, const struct session_event *e, bool keep) {
    int rc = MF_OK;
    b->opened = true;
    if (keep && !b->kept) {
        (void)keep_time(b, e->timestamp_us);
        b->went_on = e->continued;
    }
    b->c.path = keep_text(k, e->path, &rc);
    b->c.query = keep_text(k, e->query, &rc);
    b->c.subprotocol = keep_text(k, e->subprotocol, &rc);
    b->c.upstream = keep_text(k, e->upstream, &rc);
    if (rc == MF_OK)
        rc = keep_headers(k, &b->c.request_headers, e->request_headers);
    return rc == MF_OK ? keep_headers(k, &b->c.response_headers, e->response_headers) : rc;
}

void building_end(struct building *b, const struct session_event *e) {
    b->ended = true;
    b->c.end = e->by && !strcmp(e->by, "client") ? REPLAY_END_CLIENT : REPLAY_END_SERVER;
    b->last_us = MAX(b->last_us, e->timestamp_us);
}

void building_break(struct building *b, struct keep *k) {
    for (unsigned d = 0; d < 2; d++) {
        lose_frame(b, k, d);
        abandon(b, k, d);
    }
}

/* ---- the end ---- */

/* Frames of messages that never became whole go, and the messages' numbers of frames follow. */
static void compact(struct replay_connection *c) {
    size_t kept = 0;
    for (size_t i = 0; i < c->frame_count; i++) {
        struct replay_frame *f = &c->frames[i];
        if (f->message == DROPPED)
            continue;
        if (f->message != REPLAY_NONE) {
            struct replay_message *m = &c->messages[f->message];
            if (m->first_frame == i)
                m->first_frame = (uint32_t)kept;
            if (m->last_frame == i)
                m->last_frame = (uint32_t)kept;
        }
        c->frames[kept++] = *f;
    }
    c->frame_count = kept;
}

/* Gives back what an array has too much. */
static void shrink(void **array, size_t bytes) {
    void *p = bytes ? realloc(*array, bytes) : NULL;
    if (p)
        *array = p;
}

void building_finish(struct building *b, struct keep *k) {
    struct replay_connection *c = &b->c;
    building_break(b, k);
    if (b->dropped)
        compact(c);
    shrink((void **)&c->frames, c->frame_count * sizeof *c->frames);
    shrink((void **)&c->messages, c->message_count * sizeof *c->messages);
    if (c->end == REPLAY_END_OPEN && (b->close_seen[0] || b->close_seen[1]))
        c->end = b->first_close == EVENT_INCOMING ? REPLAY_END_CLIENT : REPLAY_END_SERVER;
    if (c->end != REPLAY_END_OPEN)
        c->vanished = !b->close_seen[c->end == REPLAY_END_CLIENT ? EVENT_INCOMING : EVENT_OUTGOING];
    c->end_us = b->last_us - c->begin_us;
}

void building_fini(struct building *b) {
    for (unsigned d = 0; d < 2; d++) {
        buf_fini(&b->lanes[d].frame);
        buf_fini(&b->lanes[d].message);
    }
    free(b->c.frames);
    free(b->c.messages);
    headers_fini(&b->c.request_headers);
    headers_fini(&b->c.response_headers);
}
