/* --refresh-time: which values are times near the recording's own, and which ones count. */
#include <stdlib.h>

#include "base/array.h"
#include "replay/correlation.h"

#define NEAR_US (INT64_C(24) * 3600 * 1000000) /* a time so near the message's own is one that was taken then */
#define COUNTER_VALUES_MIN 3u
#define COUNTER_DIGITS_MAX 18u

/* Integers at one path, as long as they grow. */
struct track {
    uint32_t connection; /* + 1; another one's: not begun */
    uint32_t values;
    uint32_t counter; /* index in the correlation's, once it is one */
    int64_t first, last, step;
    bool steady, even; /* grows; by the same each time */
};

struct refresh {
    struct correlation *c;
    const struct path_marks *marks;
    struct track *tracks; /* by path and direction */
    struct buf text;
};

int refresh_new(struct correlation *c, const struct path_marks *marks, struct refresh **out) {
    struct refresh *r = calloc(1, sizeof *r);
    if (!r)
        return MF_ENOMEM;
    r->c = c;
    r->marks = marks;
    r->tracks = calloc(2 * (size_t)path_count(c->paths) + 1, sizeof *r->tracks);
    *out = r;
    return r->tracks ? MF_OK : MF_ENOMEM;
}

void refresh_free(struct refresh *r) {
    if (!r)
        return;
    free(r->tracks);
    buf_fini(&r->text);
    free(r);
}

static bool read_text(struct refresh *r, const void *data, const struct message_value *v) {
    bool scalar = v->kind == VALUE_NUMBER || v->kind == VALUE_STRING || v->kind == VALUE_WORD;
    if (!scalar || v->path == PATH_UNKNOWN || r->marks->excluded[v->path] || v->end - v->begin > 64)
        return false;
    buf_reset(&r->text);
    value_text(&r->text, data, v);
    return !r->text.failed && r->text.len;
}

/* ---- counters ---- */

static bool read_integer(const char *text, size_t len, int64_t *out) {
    if (!text_is_integer(text, len) || len > COUNTER_DIGITS_MAX)
        return false;
    *out = json_read_integer(text, len);
    return true;
}

/* Does the name say that it counts, whatever the steps are? */
static bool is_sequence(const char *name) {
    static const char *const ends[] = {"seq", "sequence", "offset", "counter", "nonce", "index", "cursor"};
    size_t len = strlen(name);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        if (len >= strlen(ends[i]) && !strcasecmp(name + len - strlen(ends[i]), ends[i]))
            return true;
    return false;
}

static void follow(struct track *t, uint32_t connection, bool is_integer, int64_t n) {
    if (t->connection != connection + 1)
        *t = (struct track){
            .connection = connection + 1, .counter = SPOKEN_NONE, .first = n, .steady = true, .even = true};
    else if (n <= t->last || (t->values > 1 && n - t->last != t->step))
        t->even = false;
    t->steady &= is_integer && (!t->values || n > t->last);
    t->step = n - t->last;
    t->last = n;
    t->values++;
}

static struct track *track_of(struct refresh *r, uint32_t path, uint8_t direction) {
    return &r->tracks[2 * (size_t)path + direction];
}

static int add_counter(struct refresh *r, uint32_t connection, uint32_t path, uint8_t direction) {
    struct correlation *c = r->c;
    struct track *t = track_of(r, path, direction);
    if (t->connection != connection + 1 || !t->steady || t->values < COUNTER_VALUES_MIN || t->counter != SPOKEN_NONE ||
        (!t->even && !is_sequence(path_name(c->paths, path))))
        return MF_OK;
    if (!ARRAY_ROOM(c->counters, c->counter_count, c->counter_cap, 16))
        return MF_ENOMEM;
    t->counter = c->counter_count++;
    c->counters[t->counter] = (struct counter){connection, path, direction, t->values, 0, t->first, t->last};
    return MF_OK;
}

int refresh_connection(struct refresh *r, size_t connection) {
    const struct replay_connection *recorded = &r->c->source->connections[connection];
    const struct structure *structures = r->c->plans[connection].structures;
    for (int pass = 0; pass < 2; pass++)
        for (size_t m = 0; m < recorded->message_count; m++)
            for (uint32_t i = 0; i < structures[m].count; i++) {
                const struct message_value *v = &structures[m].values[i];
                const struct replay_message *message = &recorded->messages[m];
                int64_t n = 0, us;
                if (pass && v->path != PATH_UNKNOWN) {
                    if (add_counter(r, (uint32_t)connection, v->path, message->direction) < 0)
                        return MF_ENOMEM;
                } else if (!pass && read_text(r, message->data, v)) {
                    const char *text = (const char *)r->text.data;
                    bool is_integer = read_integer(text, r->text.len, &n) && !refresh_read_time(text, r->text.len, &us);
                    follow(track_of(r, v->path, message->direction), (uint32_t)connection, is_integer, n);
                }
            }
    return r->text.failed ? MF_ENOMEM : MF_OK;
}

bool refresh_counter_text(const char *text, size_t len, const struct counter *counter, uint64_t round,
                          struct buf *out) {
    int64_t n, more, sum;
    int64_t step = MAX(1, (counter->last - counter->first) / (int64_t)(counter->values - 1));
    if (!round || round > INT64_MAX || !read_integer(text, len, &n) ||
        __builtin_mul_overflow(counter->last - counter->first + step, (int64_t)round, &more) ||
        __builtin_add_overflow(n, more, &sum))
        return false;
    json_write_integer(out, sum);
    return true;
}

/* ---- slots ---- */

static bool is_near(const struct correlation *c, size_t connection, size_t message, int64_t us) {
    const struct replay_connection *recorded = &c->source->connections[connection];
    if (!c->source->recorded_at_us)
        return false; /* nobody knows when it was */
    int64_t then =
        c->source->recorded_at_us + (int64_t)recorded->begin_us + (int64_t)recorded->messages[message].time_us;
    return us > then - NEAR_US && us < then + NEAR_US;
}

bool refresh_slot(struct refresh *r, size_t connection, size_t message, const struct message_value *v,
                  struct slot *slot) {
    const struct replay_message *recorded = &r->c->source->connections[connection].messages[message];
    int64_t us;
    if (!read_text(r, recorded->data, v))
        return false;
    if (refresh_read_time((const char *)r->text.data, r->text.len, &us)) {
        slot->kind = SLOT_TIME;
        return is_near(r->c, connection, message, us);
    }
    const struct track *t = track_of(r, v->path, recorded->direction);
    slot->kind = SLOT_COUNTER;
    slot->variable = t->counter;
    return t->connection == connection + 1 && t->counter != SPOKEN_NONE;
}
