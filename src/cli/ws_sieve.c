/* Messages put together where a filter looks at payloads: what comes in several frames, or in pieces of one, is held
 * until it is whole and then passes or does not, as one. */
#include <stdlib.h>

#include "base/hash.h"
#include "cli/ws_filter.h"

#define LANES_MAX 16384u /* unfinished messages; a further one is looked at frame by frame */

enum lane_state { LANE_HOLDING, LANE_PASSING, LANE_DROPPING };

/* An unfinished message of one connection, direction and leg. */
struct ws_lane {
    struct ws_lane *next;
    enum lane_state state;
    enum event_direction direction;
    enum event_leg leg;
    struct buf payload;
    struct buf events; /* struct session_event; data.len is true, data.data is not */
    char connection[];
};

/* --- one whole payload --- */

static bool value_is(const struct ws_wish *w, const char *text, const struct json_node *n, struct buf *scratch) {
    const char *s = text + n->begin;
    size_t len = n->end - n->begin;
    if (n->kind == JSON_STRING) {
        s++;
        len -= 2;
        if (n->escaped) {
            buf_reset(scratch);
            json_unescape(scratch, s, len);
            s = buf_cstr(scratch);
            len = scratch->len;
        }
    } else if (w->string) {
        return false;
    }
    if (w->string)
        return strlen(w->value) == len && !memcmp(w->value, s, len);
    return glob_matches(w->glob, s, len);
}

/* 5 is 5.0 and 5e0. */
static bool number_is(const struct ws_wish *w, const char *text, const struct json_node *n) {
    struct json_tape one = {.max = 1};
    size_t at;
    if (n->kind != JSON_INTEGER && n->kind != JSON_DECIMAL)
        return false;
    bool number = json_tape_parse(&one, w->value, strlen(w->value), &at) == MF_OK && one.count == 1 &&
                  (one.nodes[0].kind == JSON_INTEGER || one.nodes[0].kind == JSON_DECIMAL);
    bool equal = number && number_compare(w->value + one.nodes[0].begin, one.nodes[0].end - one.nodes[0].begin,
                                          text + n->begin, n->end - n->begin) == 0;
    json_tape_fini(&one);
    return equal;
}

struct asking {
    struct ws_filter *filter;
    const struct ws_wish *wish;
    const char *text;
};

static bool on_node(const struct json_tape *tape, uint32_t at, void *arg) {
    const struct asking *a = arg;
    const struct json_node *n = &tape->nodes[at];
    return !a->wish->value || value_is(a->wish, a->text, n, &a->filter->copy) ||
           (!a->wish->string && number_is(a->wish, a->text, n));
}

static bool on_selected(const struct json_tape *tape, uint32_t at, void *arg) {
    const struct asking *a = arg;
    const struct json_node *n = &tape->nodes[at];
    buf_append(&a->filter->selected, a->text + n->begin, n->end - n->begin);
    buf_putc(&a->filter->selected, '\0');
    return false;
}

/* Can the value be in the text? It is parsed only then. */
static bool value_possible(const struct ws_wish *w, const char *text, size_t len) {
    return !w->plain || memmem(text, len, w->value, w->plain) || memmem(text, len, "\\u", 2);
}

/* text is followed by a NUL. */
static bool json_passes(struct ws_filter *f, const char *text, size_t len) {
    size_t error_at;
    for (size_t i = 0; i < f->wish_count; i++)
        if (!json_path_possible(f->wishes[i].path, text, len) || !value_possible(&f->wishes[i], text, len))
            return false;
    if (f->select && !json_path_possible(f->select, text, len))
        return false;
    if (json_tape_parse(&f->tape, text, len, &error_at) < 0)
        return false;
    struct asking a = {f, NULL, text};
    for (size_t i = 0; i < f->wish_count; i++) {
        a.wish = &f->wishes[i];
        if (!json_path_find(a.wish->path, text, &f->tape, on_node, &a, &f->scratch))
            return false;
    }
    buf_reset(&f->selected);
    if (f->select)
        json_path_find(f->select, text, &f->tape, on_selected, &a, &f->scratch);
    return !f->select || f->selected.len;
}

/* Bytes that are none may have no address, which memmem(3) must not be given. */
static bool text_passes(const struct ws_filter *f, const struct event_bytes *b) {
    const char *s = b->len ? (const char *)b->data : "";
    return (!f->grep || memmem(s, b->len, f->grep, strlen(f->grep))) &&
           (!f->regex || regex_matches(f->regex, s, b->len)) && (!f->nocase || regex_matches(f->nocase, s, b->len));
}

/* data is followed by a NUL where it is not empty. */
static bool payload_passes(struct ws_filter *f, const struct event_bytes *data) {
    if (!text_passes(f, data))
        return false;
    return (!f->wish_count && !f->select) || (data->len && json_passes(f, (const char *)data->data, data->len));
}

/* --- events --- */

static bool is_data(enum event_type type) {
    return type == EVENT_TEXT || type == EVENT_BINARY || type == EVENT_CONTINUATION;
}

static bool is_in_time(const struct ws_filter *f, const struct session_event *e) {
    if (e->type == EVENT_RECORDING)
        return f->from_us == 0;
    return e->timestamp_us >= f->from_us && e->timestamp_us <= f->to_us;
}

/* All but the payload. */
static bool stands_right(const struct ws_filter *f, const struct session_event *e) {
    return f->types >> e->type & 1 && is_in_time(f, e) && ws_filter_place(f, e);
}

static int pass(struct ws_sieve *s, const struct session_event *events, size_t count, struct err *err) {
    return s->fn(events, count, s->filter->select ? &s->filter->selected : NULL, s->arg, err);
}

/* --- unfinished messages --- */

static struct ws_lane **bucket_of(struct ws_sieve *s, const char *connection) {
    return &s->lanes[hash_bytes(connection, strlen(connection)) % WS_LANE_BUCKETS];
}

static struct ws_lane **find_lane(struct ws_sieve *s, const struct session_event *e) {
    struct ws_lane **at = bucket_of(s, e->connection);
    while (*at &&
           ((*at)->direction != e->direction || (*at)->leg != e->leg || strcmp((*at)->connection, e->connection) != 0))
        at = &(*at)->next;
    return at;
}

static void lane_release(struct ws_sieve *s, struct ws_lane *lane) {
    s->held -= lane->payload.len;
    buf_fini(&lane->payload);
    buf_fini(&lane->events);
}

static void lane_free(struct ws_sieve *s, struct ws_lane **at) {
    struct ws_lane *lane = *at;
    *at = lane->next;
    s->lane_count--;
    lane_release(s, lane);
    free(lane);
}

/* Where it hangs; NULL: out of memory. */
static struct ws_lane **lane_new(struct ws_sieve *s, const struct session_event *e) {
    size_t len = strlen(e->connection);
    struct ws_lane *lane = calloc(1, sizeof *lane + len + 1), **bucket = bucket_of(s, e->connection);
    if (!lane)
        return NULL;
    memcpy(lane->connection, e->connection, len + 1);
    lane->direction = e->direction;
    lane->leg = e->leg;
    lane->next = *bucket;
    *bucket = lane;
    s->lane_count++;
    return bucket;
}

/* Points the events at the lane's own memory. */
static struct session_event *lane_events(struct ws_lane *lane, size_t *count) {
    struct session_event *events = (struct session_event *)(void *)lane->events.data;
    const uint8_t *data = lane->payload.data;
    *count = lane->events.len / sizeof *events;
    for (size_t i = 0; i < *count; i++) {
        events[i].connection = lane->connection;
        events[i].data.data = data;
        data += events[i].data.len;
    }
    return events;
}

/* Looks at what was held. */
static int lane_decide(struct ws_sieve *s, struct ws_lane *lane, struct err *err) {
    size_t count;
    struct session_event *events = lane_events(lane, &count);
    const struct ws_filter *f = s->filter;
    int rc = MF_OK;
    buf_cstr(&lane->payload);
    if (lane->payload.failed || lane->events.failed)
        return err_set(err, MF_ENOMEM, "out of memory");
    const struct event_bytes whole = {lane->payload.data, lane->payload.len};
    /* It is of its first frame's type, and of its last one's time. */
    bool passes = count && f->types & (1u << events[0].type | 1u << EVENT_CONTINUATION) &&
                  is_in_time(f, &events[count - 1]) && payload_passes(s->filter, &whole);
    lane->state = passes ? LANE_PASSING : LANE_DROPPING;
    if (passes)
        rc = pass(s, events, count, err);
    lane_release(s, lane);
    return rc;
}

static int lane_add(struct ws_sieve *s, struct ws_lane **at, const struct session_event *e, bool last,
                    struct err *err) {
    struct ws_lane *lane = *at;
    int rc = MF_OK;
    if (lane->state == LANE_HOLDING) {
        buf_append(&lane->events, e, sizeof *e);
        buf_append(&lane->payload, e->data.data, e->data.len);
        s->held += e->data.len;
        bool full = lane->payload.len >= WS_WHOLE_MAX || s->held >= WS_HELD_MAX;
        s->cut += full && !last;
        if (last || full)
            rc = lane_decide(s, lane, err);
    } else if (lane->state == LANE_PASSING && !s->filter->select) {
        rc = pass(s, e, 1, err);
    }
    if (last)
        lane_free(s, at);
    return rc;
}

/* connection NULL: all in the bucket. */
static int end_bucket(struct ws_sieve *s, struct ws_lane **at, const char *connection, struct err *err) {
    int rc = MF_OK;
    while (*at && rc >= 0) {
        if (connection && strcmp((*at)->connection, connection) != 0) {
            at = &(*at)->next;
            continue;
        }
        if ((*at)->state == LANE_HOLDING)
            rc = lane_decide(s, *at, err);
        lane_free(s, at);
    }
    return rc;
}

static bool ends_frame(const struct session_event *e) {
    return !e->frame_size || e->frame_offset + e->data.len >= e->frame_size;
}

static int add_data(struct ws_sieve *s, const struct session_event *e, struct err *err) {
    bool last = e->fin && ends_frame(e);
    bool begins = e->type != EVENT_CONTINUATION && e->frame_offset == 0;
    struct ws_lane **at = s->lane_count ? find_lane(s, e) : NULL;
    if (at && *at && begins) { /* the rest of the one before it is missing */
        if ((*at)->state == LANE_HOLDING) {
            int rc = lane_decide(s, *at, err);
            if (rc < 0)
                return rc;
        }
        lane_free(s, at);
        at = NULL;
    }
    if (at && *at)
        return lane_add(s, at, e, last, err);
    if (last || s->lane_count >= LANES_MAX)
        return stands_right(s->filter, e) && payload_passes(s->filter, &e->data) ? pass(s, e, 1, err) : MF_OK;
    at = lane_new(s, e);
    return at ? lane_add(s, at, e, last, err) : err_set(err, MF_ENOMEM, "out of memory");
}

int ws_sieve_add(struct ws_sieve *s, const struct session_event *e, struct err *err) {
    struct ws_filter *f = s->filter;
    if (!ws_filter_looks(f))
        return stands_right(f, e) ? pass(s, e, 1, err) : MF_OK;
    if (is_data(e->type))
        return ws_filter_place(f, e) ? add_data(s, e, err) : MF_OK;
    if (!event_is_frame(e->type)) {
        /* What ends a connection, or begins one of its name, ends its unfinished messages. */
        bool ends = s->lane_count && e->connection && !e->continued &&
                    (e->type == EVENT_OPEN || e->type == EVENT_END || e->type == EVENT_GAP);
        return ends ? end_bucket(s, bucket_of(s, e->connection), e->connection, err) : MF_OK;
    }
    const struct event_bytes *payload = e->type == EVENT_CLOSE ? &e->reason : &e->data;
    return stands_right(f, e) && payload_passes(f, payload) ? pass(s, e, 1, err) : MF_OK;
}

int ws_sieve_end(struct ws_sieve *s, struct err *err) {
    int rc = MF_OK;
    for (size_t i = 0; i < WS_LANE_BUCKETS && s->lane_count && rc >= 0; i++)
        rc = end_bucket(s, &s->lanes[i], NULL, err);
    return rc;
}

void ws_sieve_fini(struct ws_sieve *s) {
    for (size_t i = 0; i < WS_LANE_BUCKETS; i++)
        while (s->lanes[i])
            lane_free(s, &s->lanes[i]);
}
