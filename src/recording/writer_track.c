#include <stdlib.h>
#include <string.h>

#include "protocol/frame.h"
#include "protocol/utf8.h"
#include "recording/writer.h"

/* Frames up to here are never cut, however much is held: control frames, and whatever is not worth a cut. */
#define CUT_MIN 4096u

static enum event_type type_of(unsigned opcode) {
    switch (opcode) {
    case WS_CONTINUATION:
        return EVENT_CONTINUATION;
    case WS_TEXT:
        return EVENT_TEXT;
    case WS_CLOSE:
        return EVENT_CLOSE;
    case WS_PING:
        return EVENT_PING;
    case WS_PONG:
        return EVENT_PONG;
    default:
        return EVENT_BINARY;
    }
}

/* ---- lines about the connection ---- */

static int redact_open(const struct redactor *r, struct track *t, struct session_event *e, char **query,
                       char **upstream) {
    const struct connection *c = &t->connection;
    if (redact_headers(r, &t->connection.headers) < 0 || redact_headers(r, &t->response_headers) < 0)
        return MF_ENOMEM;
    if ((c->query && !(*query = redact_query(r, c->query))) ||
        (t->upstream && !(*upstream = redact_url(r, t->upstream))))
        return MF_ENOMEM;
    *e = (struct session_event){.type = EVENT_OPEN,
                                .connection = c->id,
                                .timestamp_us = recording_timestamp(t->recording, t->opened_us),
                                .path = c->path,
                                .query = *query,
                                .remote_addr = c->remote_addr,
                                .upstream = *upstream,
                                .subprotocol = redact_subprotocol(r, c->subprotocol),
                                .request_headers = &c->headers,
                                .response_headers = &t->response_headers};
    return MF_OK;
}

static void write_open(struct writer *w, struct track *t) {
    struct recording *rec = t->recording;
    char *query = NULL, *upstream = NULL;
    struct session_event e;
    if (redact_open(t->redactor, t, &e, &query, &upstream) == MF_OK) {
        recording_write(w, rec, &e);
        t->open_written = true;
        e.continued = true;
        if (event_write_line(&t->open_line, &e) < 0)
            buf_fini(&t->open_line);
    }
    free(query);
    free(upstream);
    if (t->open_written) {
        /* The id is all that further lines need. */
        headers_fini(&t->connection.headers);
        headers_fini(&t->response_headers);
    }
}

void track_continue(struct writer *w, struct track *t) {
    if (!t->open_line.len)
        return;
    buf_append(&t->recording->journal.lines, t->open_line.data, t->open_line.len);
    recording_line_added(w, t->recording);
}

static void write_gap(struct writer *w, struct track *t, const struct record_gap *gap, uint64_t time_us) {
    if (!gap->frames && !gap->bytes)
        return;
    struct session_event e = {.type = EVENT_GAP,
                              .connection = t->connection.id,
                              .timestamp_us = recording_timestamp(t->recording, time_us),
                              .gap_frames = gap->frames,
                              .gap_bytes = gap->bytes};
    recording_write(w, t->recording, &e);
}

/* ---- frames ---- */

static void fill_close(struct session_event *e) {
    const uint8_t *p = e->data.data;
    if (e->data.len == 0)
        e->code = WS_CLOSE_NO_STATUS;
    else if (e->data.len >= 2)
        e->code = (unsigned)p[0] << 8 | p[1];
    if (e->data.len > 2)
        e->reason = (struct event_bytes){p + 2, e->data.len - 2};
}

/* How many bytes at the end are the beginning of a character that is not all there. */
static size_t utf8_tail(const uint8_t *data, size_t len) {
    for (size_t back = 1; back <= 3 && back <= len; back++) {
        uint8_t c = data[len - back];
        if ((c & 0xc0) == 0x80)
            continue;
        size_t needs = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
        return needs > back ? back : 0;
    }
    return 0;
}

void track_write_frame(struct writer *w, struct track *t, struct session_event *e) {
    if (e->type == EVENT_CLOSE)
        fill_close(e);
    uint64_t size = e->data.len;
    if (size <= FRAME_PIECE_BYTES) {
        recording_write(w, t->recording, e);
        return;
    }
    struct session_event piece = *e;
    for (uint64_t at = 0; at < size; at += piece.data.len) {
        size_t n = (size_t)MIN(size - at, (uint64_t)FRAME_PIECE_BYTES);
        if (at + n < size && e->type != EVENT_BINARY)
            n -= utf8_tail(e->data.data + at, n);
        piece.data = (struct event_bytes){e->data.data + at, n};
        piece.frame_offset = at;
        piece.frame_size = size;
        recording_write(w, t->recording, &piece);
    }
}

/* Text messages under record.redact's JSON paths. */
struct track_inspector {
    struct inspector base;
    struct writer *writer;
    struct track *track;
};

static void write_inspected(void *arg, struct session_event *e) {
    struct track_inspector *i = arg;
    track_write_frame(i->writer, i->track, e);
}

static struct inspector *inspector_of(struct writer *w, struct track *t, struct track_inspector *i) {
    *i = (struct track_inspector){
        .base = {.held_bytes = &w->assembly_bytes, .scratch = &w->scratch, .write = write_inspected, .arg = i},
        .writer = w,
        .track = t};
    return &i->base;
}

static void lane_event(const struct track *t, const struct lane *lane, unsigned index, uint64_t time_us,
                       struct session_event *e) {
    *e = (struct session_event){.type = type_of(lane->opcode),
                                .connection = t->connection.id,
                                .timestamp_us = recording_timestamp(t->recording, time_us),
                                .direction = index & 1 ? EVENT_OUTGOING : EVENT_INCOMING,
                                .leg = index & 2 ? EVENT_LEG_UPSTREAM : EVENT_LEG_CLIENT,
                                .fin = lane->fin,
                                .rsv = lane->rsv,
                                .data = {lane->data.data, lane->data.len}};
}

/* Writes what the lane holds as a piece of its frame. At the frame's end, or when the rest will not come: all of it. */
static void write_piece(struct writer *w, struct track *t, struct lane *lane, unsigned index, uint64_t time_us,
                        bool all) {
    struct session_event e;
    lane_event(t, lane, index, time_us, &e);
    if (!all && e.type != EVENT_BINARY)
        e.data.len -= utf8_tail(e.data.data, e.data.len);
    if (!e.data.len)
        return;
    e.frame_offset = lane->offset;
    e.frame_size = lane->frame_length;
    recording_write(w, t->recording, &e);
    w->assembly_bytes -= e.data.len;
    lane->offset += e.data.len;
    lane->pieces = true;
    buf_consume(&lane->data, e.data.len);
}

static void lane_reset(struct writer *w, struct lane *lane) {
    w->assembly_bytes -= lane->data.len;
    buf_fini(&lane->data);
    lane->pieces = false;
}

/* The rest of what has begun will not come: a gap, or the end. */
static void break_off(struct writer *w, struct track *t, uint64_t time_us) {
    struct track_inspector inspector;
    for (unsigned i = 0; i < LANES; i++) {
        struct lane *lane = &t->lanes[i];
        if (lane->inspect.inspection)
            inspection_finish(inspector_of(w, t, &inspector), t->redactor, &lane->inspect, false);
        lane->inspect.binary = false;
        if (lane->data.len)
            write_piece(w, t, lane, i, time_us, true);
        lane_reset(w, lane);
    }
}

static void lane_complete(struct writer *w, struct track *t, struct lane *lane, unsigned index, uint64_t time_us) {
    if (lane->pieces) {
        write_piece(w, t, lane, index, time_us, true);
    } else {
        struct session_event e;
        lane_event(t, lane, index, time_us, &e);
        track_write_frame(w, t, &e);
    }
    lane_reset(w, lane);
}

struct fragment_view {
    const uint8_t *data;
    size_t len;
    uint64_t frame_length, offset, time_us;
    unsigned flags;
    uint8_t opcode, rsv;
};

static struct fragment_view view(const struct record *r) {
    struct fragment_view f = {
        .data = (const uint8_t *)(r + 1),
        .len = r->head.size - sizeof *r - r->head.user[RECORD_USER_SLACK],
        .time_us = r->time_us,
        .flags = r->head.user[RECORD_USER_FLAGS],
        .opcode = r->head.user[RECORD_USER_OPCODE] & 15,
        .rsv = r->head.user[RECORD_USER_OPCODE] >> 4,
    };
    if ((f.flags & (RECORD_FIRST | RECORD_LAST)) == (RECORD_FIRST | RECORD_LAST)) {
        f.frame_length = f.len;
        return f;
    }
    struct record_place place;
    memcpy(&place, f.data, sizeof place);
    f.data += sizeof place;
    f.len -= sizeof place;
    f.frame_length = place.frame_length;
    f.offset = place.offset;
    return f;
}

static void lane_begin(struct writer *w, struct track *t, struct lane *lane, unsigned index,
                       const struct fragment_view *f) {
    if (lane->data.len)
        write_piece(w, t, lane, index, f->time_us, true);
    lane_reset(w, lane);
    lane->skipping = false;
    lane->opcode = f->opcode;
    lane->rsv = f->rsv;
    lane->fin = f->flags & RECORD_FIN;
    lane->frame_length = f->frame_length;
    lane->offset = 0;
}

static void lose(struct writer *w, struct track *t, struct lane *lane, const struct fragment_view *f, bool new_loss) {
    if (new_loss) {
        t->lost.frames++;
        atomic_fetch_add_explicit(&t->recording->dropped, 1, memory_order_relaxed);
        metrics_inc(&w->counts, METRIC_RECORD_DROPPED);
    }
    t->lost.bytes += f->len;
    lane->skipping = !(f->flags & RECORD_LAST);
}

/* Joins what came in several fragments, up to FRAME_PIECE_BYTES. */
static void assemble(struct writer *w, struct track *t, struct lane *lane, unsigned index,
                     const struct fragment_view *f) {
    size_t at = 0;
    do {
        size_t n = MIN(f->len - at, FRAME_PIECE_BYTES - lane->data.len);
        if (buf_reserve(&lane->data, n) < 0) {
            lane_reset(w, lane);
            lose(w, t, lane, f, true);
            return;
        }
        buf_append(&lane->data, f->data + at, n);
        w->assembly_bytes += n;
        at += n;
        bool full = lane->data.len >= FRAME_PIECE_BYTES ||
                    (w->assembly_bytes > ASSEMBLY_MAX_BYTES && lane->data.len >= CUT_MIN);
        if (full && lane->offset + lane->data.len < lane->frame_length)
            write_piece(w, t, lane, index, f->time_us, false);
    } while (at < f->len);
    if (f->flags & RECORD_LAST)
        lane_complete(w, t, lane, index, f->time_us);
}

static void write_whole(struct writer *w, struct track *t, unsigned index, const struct fragment_view *f) {
    struct recording *rec = t->recording;
    uint64_t ts = recording_timestamp(rec, f->time_us);
    if (f->opcode == WS_TEXT && !f->rsv && (f->flags & RECORD_FIN) && f->len <= FRAME_PIECE_BYTES &&
        line_text_frame(&rec->journal.lines, &t->prefix, ts, index & 1 ? EVENT_OUTGOING : EVENT_INCOMING,
                        index & 2 ? EVENT_LEG_UPSTREAM : EVENT_LEG_CLIENT, f->data, f->len)) {
        recording_count(w, rec, 1, f->len);
        recording_line_added(w, rec);
        return;
    }
    struct lane lane = {.opcode = f->opcode, .rsv = f->rsv, .fin = f->flags & RECORD_FIN};
    struct session_event e;
    lane_event(t, &lane, index, f->time_us, &e);
    e.data = (struct event_bytes){f->data, f->len};
    track_write_frame(w, t, &e);
}

static void on_fragment(struct writer *w, struct track *t, const struct record *r, bool ready) {
    struct fragment_view f = view(r);
    unsigned index = lane_index(f.flags);
    struct lane *lane = &t->lanes[index];
    bool first = f.flags & RECORD_FIRST, last = f.flags & RECORD_LAST;
    if (!ready) {
        bool new_loss = first || !lane->skipping;
        struct track_inspector i;
        inspection_drop(inspector_of(w, t, &i), &lane->inspect);
        lane->inspect.binary = false;
        lane_reset(w, lane);
        lose(w, t, lane, &f, new_loss);
        return;
    }
    if (first && (lane->data.len || lane->skipping || !last))
        lane_begin(w, t, lane, index, &f);
    if (lane->skipping) {
        lose(w, t, lane, &f, false);
        return;
    }
    if (redactor_has_json(t->redactor)) {
        struct session_event e;
        struct track_inspector i;
        struct lane now = {.opcode = f.opcode, .rsv = f.rsv, .fin = f.flags & RECORD_FIN};
        lane_event(t, &now, index, f.time_us, &e);
        e.data = (struct event_bytes){f.data, f.len};
        if (inspect_fragment(inspector_of(w, t, &i), t->redactor, &lane->inspect, &e, first, last))
            return;
    }
    if (first && last)
        write_whole(w, t, index, &f);
    else
        assemble(w, t, lane, index, &f);
}

/* ---- records ---- */

static void see(struct track *t) {
    if (t->seen)
        return;
    t->seen = true;
    list_append(&t->recording->tracks, &t->link);
    count_relaxed(&t->recording->connections, 1);
}

/* May a line of this connection be written now? Before the first one goes its open line, and after a time without a
 * disk the gap. */
static bool prepare(struct writer *w, struct track *t, uint64_t time_us) {
    see(t);
    if (!recording_ready(w, t->recording))
        return false;
    w->speaking = t; /* what opening the file wrote was not this connection's */
    if (MF_UNLIKELY(!t->open_written))
        write_open(w, t);
    if (MF_UNLIKELY(t->lost.frames || t->lost.bytes)) {
        write_gap(w, t, &t->lost, time_us);
        t->lost = (struct record_gap){0};
    }
    return true;
}

void track_record(struct writer *w, const struct record *r) {
    struct track *t = r->track;
    if (r->head.kind == RECORD_END) {
        track_end(w, t);
        return;
    }
    bool ready = prepare(w, t, r->time_us);
    if (r->head.kind == RECORD_FRAGMENT) {
        on_fragment(w, t, r, ready);
    } else if (r->head.kind == RECORD_GAP) {
        struct record_gap gap;
        memcpy(&gap, r + 1, sizeof gap);
        if (ready) {
            break_off(w, t, r->time_us);
            write_gap(w, t, &gap, r->time_us);
        } else {
            t->lost.frames += gap.frames;
            t->lost.bytes += gap.bytes;
        }
    }
    w->speaking = NULL;
    if (MF_UNLIKELY(journal_wants_list(&t->recording->journal)))
        recording_list_open(w, t->recording);
}

void track_end(struct writer *w, struct track *t) {
    struct recording *rec = t->recording;
    if (prepare(w, t, t->end.time_us)) {
        break_off(w, t, t->end.time_us);
        write_gap(w, t, &t->end.gap, t->end.time_us);
        struct session_event e = {.type = EVENT_END,
                                  .connection = t->connection.id,
                                  .timestamp_us = recording_timestamp(rec, t->end.time_us),
                                  .by = t->end.by ? t->end.by : "gateway",
                                  .code = t->end.code};
        const char *reason = t->end.reason ? t->end.reason : "";
        e.reason = (struct event_bytes){(const uint8_t *)reason, strlen(reason)};
        recording_write(w, rec, &e);
    }
    w->speaking = NULL;
    track_free(w, t);
    recording_unref(rec);
}

void track_free(struct writer *w, struct track *t) {
    struct track_inspector inspector;
    list_remove(&t->link);
    for (unsigned i = 0; i < LANES; i++) {
        inspection_drop(inspector_of(w, t, &inspector), &t->lanes[i].inspect);
        lane_reset(w, &t->lanes[i]);
    }
    connection_fini(&t->connection);
    headers_fini(&t->response_headers);
    free(t->upstream);
    redactor_unref(t->redactor);
    buf_fini(&t->open_line);
    free(t);
}
