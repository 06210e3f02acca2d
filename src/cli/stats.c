#include "cli/stats.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "cli/stats_kind.h"

#define CONNECTIONS_MAX (1u << 18) /* open at once: 200 MB at worst */
#define IDS_MAX 16u                /* client messages of a connection that wait for the answer with their id */
#define SECONDS_KEPT 16u           /* times step back a little from line to line */
#define WHOLE_MAX (256u << 10)     /* of a message's text that is kept to see its kind */
#define HELD_MAX (64u << 20)       /* the same, of all messages together */
#define TAPE_NODES_MAX (1u << 20)
#define KIND_SLOTS (4 * STATS_KINDS_MAX)
#define US 1000000u

/* ---- connections that are open ---- */

struct waiting_id {
    uint64_t id, time_us;
};

/* A message of one direction and leg on its way. */
struct lane {
    uint64_t size, last_us;
    bool begun, seen; /* seen: last_us is a message's time */
    bool binary;
    struct buf text;
};

struct connection {
    struct connection *next;
    bool counts;       /* one of those asked for */
    bool opened, seen; /* its open line was seen; any event that counts */
    uint64_t first_us, last_us, messages, bytes;
    bool unanswered; /* the client has spoken since it was last spoken to */
    uint64_t unanswered_us;
    struct lane lanes[2][2]; /* leg, direction */
    struct waiting_id *ids;  /* IDS_MAX, once there is one */
    unsigned id_count, id_next;
    char name[];
};

struct stats_table {
    struct connection **buckets;
    size_t size, count; /* size: a power of two */
    struct connection *last;
};

static void connection_free(struct stats *s, struct connection *c) {
    for (unsigned i = 0; i < 4; i++) {
        s->held -= c->lanes[i / 2][i % 2].text.len;
        buf_fini(&c->lanes[i / 2][i % 2].text);
    }
    free(c->ids);
    free(c);
}

static struct connection **bucket_of(const struct stats_table *t, const char *name) {
    return &t->buckets[hash_bytes(name, strlen(name)) & (t->size - 1)];
}

static int table_grow(struct stats_table *t) {
    struct stats_table larger = {.size = t->size ? t->size * 2 : 64, .count = t->count};
    larger.buckets = calloc(larger.size, sizeof *larger.buckets);
    if (!larger.buckets)
        return MF_ENOMEM;
    for (size_t i = 0; i < t->size; i++)
        for (struct connection *c = t->buckets[i], *next; c; c = next) {
            struct connection **bucket = bucket_of(&larger, c->name);
            next = c->next;
            c->next = *bucket;
            *bucket = c;
        }
    free(t->buckets);
    *t = larger;
    return MF_OK;
}

static bool is_asked_for(const struct stats *s, const char *name) {
    for (size_t i = 0; i < s->options.connections_count; i++)
        if (!strcmp(s->options.connections[i], name))
            return true;
    return !s->options.connections_count;
}

static int connection_of(struct stats *s, const struct session_event *e, struct connection **out) {
    struct stats_table *t = s->open;
    if (t->last && !strcmp(t->last->name, e->connection)) {
        *out = t->last;
        return MF_OK;
    }
    struct connection *c = t->size ? *bucket_of(t, e->connection) : NULL;
    while (c && strcmp(c->name, e->connection) != 0)
        c = c->next;
    if (!c) {
        size_t len = strlen(e->connection);
        if (t->count >= CONNECTIONS_MAX)
            return MF_ELIMIT;
        if ((t->count >= t->size && table_grow(t) < 0) || !(c = calloc(1, sizeof *c + len + 1)))
            return MF_ENOMEM;
        memcpy(c->name, e->connection, len + 1);
        c->first_us = c->last_us = e->timestamp_us;
        c->counts = is_asked_for(s, c->name) && !s->options.path;
        struct connection **bucket = bucket_of(t, c->name);
        c->next = *bucket;
        *bucket = c;
        t->count++;
    }
    *out = t->last = c;
    return MF_OK;
}

/* ---- tables ---- */

static void remember_connection(struct stats *s, const struct connection *c) {
    size_t at = s->top_count;
    while (at && s->top[at - 1].messages < c->messages)
        at--;
    if (at == STATS_TOP_CONNECTIONS)
        return;
    s->top_count = MIN(s->top_count + 1, (size_t)STATS_TOP_CONNECTIONS);
    memmove(&s->top[at + 1], &s->top[at], (s->top_count - at - 1) * sizeof s->top[0]);
    struct stats_connection_row *row = &s->top[at];
    *row = (struct stats_connection_row){
        .messages = c->messages, .bytes = c->bytes, .from_us = c->first_us, .to_us = c->last_us};
    memcpy(row->name, c->name, MIN(strlen(c->name), (size_t)STATS_KIND_LEN));
}

/* Cut to whole characters. */
static void copy_name(char out[STATS_KIND_LEN + 1], const struct buf *name) {
    size_t len = MIN(name->len, (size_t)STATS_KIND_LEN);
    while (len && len < name->len && (name->data[len] & 0xc0) == 0x80)
        len--;
    memset(out, 0, STATS_KIND_LEN + 1);
    if (len)
        memcpy(out, name->data, len);
}

static struct stats_kind *kind_of(struct stats *s, const char *name) {
    size_t slot = hash_bytes(name, strlen(name)) % KIND_SLOTS;
    for (; s->kind_index[slot]; slot = (slot + 1) % KIND_SLOTS)
        if (!strcmp(s->kinds[s->kind_index[slot] - 1].name, name))
            return &s->kinds[s->kind_index[slot] - 1];
    if (s->kind_count == STATS_KINDS_MAX)
        return &s->other_kinds;
    struct stats_kind *k = &s->kinds[s->kind_count++];
    s->kind_index[slot] = (uint16_t)s->kind_count;
    memcpy(k->name, name, STATS_KIND_LEN + 1);
    return k;
}

/* ---- the fullest second ---- */

struct stats_seconds {
    struct {
        uint64_t second, count;
    } kept[2][STATS_FLOWS][SECONDS_KEPT];
};

static void count_second(struct stats *s, enum event_leg leg, enum stats_flow_of of, uint64_t time_us) {
    uint64_t second = time_us / US;
    struct stats_flow *flow = &s->flows[leg][of];
    unsigned i = (unsigned)(second % SECONDS_KEPT);
    if (s->seconds->kept[leg][of][i].second != second) {
        s->seconds->kept[leg][of][i].second = second;
        s->seconds->kept[leg][of][i].count = 0;
    }
    uint64_t n = ++s->seconds->kept[leg][of][i].count;
    if (n > flow->peak) {
        flow->peak = n;
        flow->peak_second = second;
    }
}

/* ---- messages ---- */

static void wait_for_id(struct connection *c, uint64_t id, uint64_t time_us) {
    if (!c->ids && !(c->ids = calloc(IDS_MAX, sizeof *c->ids)))
        return;
    c->ids[c->id_next] = (struct waiting_id){id, time_us};
    c->id_next = (c->id_next + 1) % IDS_MAX;
    c->id_count = MIN(c->id_count + 1, IDS_MAX);
}

/* The newest that waits with this id, which waits no longer. */
static bool take_id(struct connection *c, uint64_t id, uint64_t *time_us) {
    for (unsigned n = 1; n <= c->id_count; n++) {
        struct waiting_id *w = &c->ids[(c->id_next + IDS_MAX - n) % IDS_MAX];
        if (w->time_us != UINT64_MAX && w->id == id) {
            *time_us = w->time_us;
            w->time_us = UINT64_MAX;
            return true;
        }
    }
    return false;
}

static uint64_t since(uint64_t from_us, uint64_t to_us) {
    return to_us > from_us ? to_us - from_us : 0;
}

static void count_answer(struct stats *s, struct connection *c, const struct session_event *e,
                         const struct message_kind *kind) {
    uint64_t asked_us;
    if (e->direction == EVENT_INCOMING) {
        if (!c->unanswered)
            c->unanswered_us = e->timestamp_us;
        c->unanswered = true;
        if (kind->has_id)
            wait_for_id(c, kind->id, e->timestamp_us);
        return;
    }
    if (c->unanswered)
        histogram_add(&s->first_answers, since(c->unanswered_us, e->timestamp_us));
    c->unanswered = false;
    if (kind->has_id && take_id(c, kind->id, &asked_us))
        histogram_add(&s->id_answers, since(asked_us, e->timestamp_us));
}

static void count_kind(struct stats *s, const struct lane *lane, const struct session_event *e, const char *text,
                       size_t len, struct message_kind *kind) {
    char name[STATS_KIND_LEN + 1];
    buf_reset(&s->label);
    *kind = (struct message_kind){0};
    if (lane->binary || e->rsv)
        buf_puts(&s->label, lane->binary ? "(binary)" : "(compressed)");
    else if (len < lane->size)
        buf_puts(&s->label, "(large)");
    else
        message_kind_read(kind, &s->label, text, len, s->options.by_path, &s->tape, &s->scratch);
    copy_name(name, &s->label);
    struct stats_kind *k = kind_of(s, name);
    k->count[e->direction]++;
    k->bytes += lane->size;
}

/* Of a recording of both legs the client's counts. */
static bool leg_counts(const struct stats *s, const struct session_event *e) {
    return e->leg == EVENT_LEG_CLIENT || !s->flows[EVENT_LEG_CLIENT][STATS_BOTH].frames;
}

static void count_flow(struct stats *s, enum stats_flow_of of, const struct session_event *e, uint64_t size) {
    struct stats_flow *flow = &s->flows[e->leg][of];
    flow->messages++;
    histogram_add(&flow->sizes, size);
    count_second(s, e->leg, of, e->timestamp_us);
}

/* A message is whole. text holds all of it, unless it is too large. */
static void count_message(struct stats *s, struct connection *c, struct lane *lane, const struct session_event *e,
                          const char *text, size_t len) {
    enum stats_flow_of of = e->direction == EVENT_INCOMING ? STATS_INCOMING : STATS_OUTGOING;
    const struct lane *other = &c->lanes[e->leg][!e->direction];
    struct message_kind kind;
    count_flow(s, of, e, lane->size);
    count_flow(s, STATS_BOTH, e, lane->size);
    if (lane->seen)
        histogram_add(&s->flows[e->leg][of].gaps, since(lane->last_us, e->timestamp_us));
    if (lane->seen || other->seen) {
        uint64_t last_us = MAX(lane->seen ? lane->last_us : 0, other->seen ? other->last_us : 0);
        histogram_add(&s->flows[e->leg][STATS_BOTH].gaps, since(last_us, e->timestamp_us));
    }
    lane->seen = true;
    lane->last_us = e->timestamp_us;
    c->messages++;
    c->bytes += lane->size;
    if (leg_counts(s, e)) {
        count_kind(s, lane, e, text, len, &kind);
        count_answer(s, c, e, &kind);
    }
}

static void lane_release(struct stats *s, struct lane *lane) {
    s->held -= lane->text.len;
    buf_fini(&lane->text);
}

static void add_data(struct stats *s, struct connection *c, const struct session_event *e) {
    struct lane *lane = &c->lanes[e->leg][e->direction];
    struct stats_flow *one = &s->flows[e->leg][e->direction == EVENT_INCOMING ? STATS_INCOMING : STATS_OUTGOING];
    struct stats_flow *both = &s->flows[e->leg][STATS_BOTH];
    bool frame_begins = e->frame_offset == 0;
    bool last = e->fin && (!e->frame_size || e->frame_offset + e->data.len >= e->frame_size);
    if (frame_begins && e->type != EVENT_CONTINUATION) { /* the end of one before it is missing: it never was whole */
        lane->size = 0;
        lane->begun = false;
        lane->binary = e->type == EVENT_BINARY;
        lane_release(s, lane);
    }
    one->frames += frame_begins;
    both->frames += frame_begins;
    one->bytes += e->data.len;
    both->bytes += e->data.len;
    lane->size += e->data.len;
    if (last && !lane->begun) {
        count_message(s, c, lane, e, e->data.len ? (const char *)e->data.data : "", e->data.len);
    } else {
        lane->begun = true;
        if (!lane->binary && lane->text.len + e->data.len <= WHOLE_MAX && s->held + e->data.len <= HELD_MAX) {
            buf_append(&lane->text, e->data.data, e->data.len);
            s->held += e->data.len;
        }
        if (last)
            count_message(s, c, lane, e, buf_cstr(&lane->text), lane->text.len);
    }
    if (last) {
        lane->size = 0;
        lane->begun = false;
        lane_release(s, lane);
    }
}

/* ---- events ---- */

static void end_connection(struct stats *s, struct connection *c, bool ended) {
    if (c->counts && c->seen) {
        remember_connection(s, c);
        if (ended && c->opened)
            histogram_add(&s->lifetimes, since(c->first_us, c->last_us));
        s->open_at_end += !ended;
    }
    connection_free(s, c);
}

static void end_all(struct stats *s, bool ended) {
    struct stats_table *t = s->open;
    for (size_t i = 0; i < t->size; i++)
        for (struct connection *c = t->buckets[i], *next; c; c = next) {
            next = c->next;
            end_connection(s, c, ended);
        }
    free(t->buckets);
    *t = (struct stats_table){0};
}

static void drop_connection(struct stats *s, struct connection *c) {
    struct connection **at = bucket_of(s->open, c->name);
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    s->open->count--;
    s->open->last = NULL;
    end_connection(s, c, true);
}

static void add_open(struct stats *s, struct connection *c, const struct session_event *e) {
    const char *path = e->path ? e->path : "";
    c->counts = is_asked_for(s, c->name) && (!s->options.path || glob_matches(s->options.path, path, strlen(path)));
    c->opened = true;
}

static void add_end(struct stats *s, const struct session_event *e) {
    static const char *const words[] = {"client", "upstream", "gateway"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        s->ended_by[i] += e->by && !strcmp(e->by, words[i]);
}

static void add_event(struct stats *s, struct connection *c, const struct session_event *e) {
    bool first = !s->events++;
    s->first_us = first ? e->timestamp_us : MIN(s->first_us, e->timestamp_us);
    s->last_us = MAX(s->last_us, e->timestamp_us);
    if (e->frame_offset == 0)
        s->types[e->leg][e->type]++;
    if (e->type == EVENT_TEXT || e->type == EVENT_BINARY || e->type == EVENT_CONTINUATION)
        add_data(s, c, e);
    else if (e->type == EVENT_CLOSE && e->code < STATS_CODES && leg_counts(s, e))
        s->codes[e->direction][e->code]++;
    else if (e->type == EVENT_END)
        add_end(s, e);
}

static bool is_in_time(const struct stats *s, const struct session_event *e) {
    return e->timestamp_us >= s->options.from_us && e->timestamp_us <= s->options.to_us;
}

int stats_add(struct stats *s, const struct session_event *e) {
    struct connection *c = NULL;
    if (e->type == EVENT_RECORDING) {
        if (!s->recorded_at_us)
            s->recorded_at_us = e->recorded_at_us;
        else
            end_all(s, true); /* the run that comes may use their names anew */
        return MF_OK;
    }
    bool in_time = is_in_time(s, e);
    if (e->type == EVENT_GAP) { /* of one connection, or of any of them ("*") */
        in_time = in_time && (!strcmp(e->connection, "*") || is_asked_for(s, e->connection));
        s->gap_frames += in_time ? e->gap_frames : 0;
        s->gap_bytes += in_time ? e->gap_bytes : 0;
        return MF_OK;
    }
    int rc = connection_of(s, e, &c);
    if (rc < 0)
        return rc;
    if (e->type == EVENT_OPEN && !c->opened)
        add_open(s, c, e);
    if (c->counts && in_time) {
        s->connections += !c->seen;
        c->seen = true;
        c->last_us = MAX(c->last_us, e->timestamp_us);
        add_event(s, c, e);
    }
    if (e->type == EVENT_END)
        drop_connection(s, c);
    return MF_OK;
}

void stats_end(struct stats *s) {
    end_all(s, false);
}

enum event_leg stats_leg(const struct stats *s) {
    return s->flows[EVENT_LEG_CLIENT][STATS_BOTH].frames || !s->flows[EVENT_LEG_UPSTREAM][STATS_BOTH].frames
               ? EVENT_LEG_CLIENT
               : EVENT_LEG_UPSTREAM;
}

/* ---- life ---- */

int stats_new(const struct stats_options *options, struct stats **out) {
    struct stats *s = calloc(1, sizeof *s);
    if (!s)
        return MF_ENOMEM;
    s->options = *options;
    s->tape.max = TAPE_NODES_MAX;
    s->open = calloc(1, sizeof *s->open);
    s->seconds = calloc(1, sizeof *s->seconds);
    s->kinds = calloc(STATS_KINDS_MAX, sizeof *s->kinds);
    s->kind_index = calloc(KIND_SLOTS, sizeof *s->kind_index);
    s->codes[0] = calloc(STATS_CODES, sizeof *s->codes[0]);
    s->codes[1] = calloc(STATS_CODES, sizeof *s->codes[1]);
    if (!s->open || !s->seconds || !s->kinds || !s->kind_index || !s->codes[0] || !s->codes[1]) {
        stats_free(s);
        return MF_ENOMEM;
    }
    *out = s;
    return MF_OK;
}

void stats_free(struct stats *s) {
    if (!s)
        return;
    if (s->open)
        end_all(s, false);
    free(s->open);
    free(s->seconds);
    free(s->kinds);
    free(s->kind_index);
    free(s->codes[0]);
    free(s->codes[1]);
    json_tape_fini(&s->tape);
    buf_fini(&s->scratch);
    buf_fini(&s->label);
    free(s);
}
