/* Fields of binary messages: what one side says at a place and the other says again at a place of its own.
 *
 * Messages are sorted by direction and tag (first byte); of each sort the latest few are remembered. When the other
 * side says something, byte by byte: which places hold what one of those had, at which place? What does not hold is
 * dropped at once, so that little is left after a few messages. Bytes next to each other that hold make a run. In a
 * second walk whole runs are looked at, and judged by how unlikely it is that they met by chance. */
#include <stdlib.h>
#include <string.h>

#include "replay/bytes.h"
#include "replay/bytes_runs.h"

#define MESSAGES_MAX 5000u      /* binary ones of a recording that are looked at, */
#define LEARNT_BYTES (4u << 20) /* and so much of them */

struct learning {
    const struct replay_source *source;
    struct bytes_length length;
    bool tagged;
    struct runs runs;
    struct bytes_schema *schema;
    struct sort *sorts[2 * BYTES_TAGS]; /* by direction and tag */
    uint16_t seen[2 * BYTES_TAGS];      /* those that are not NULL, in the order in which they came */
    uint32_t seen_count;
    bool failed;
};

/* ---- which messages ---- */

/* Text in a binary message is looked at as text is. */
static bool is_bytes(const struct replay_message *m) {
    return m->binary && m->len && !bytes_is_plain_text(m->data, MIN(m->len, BYTES_LOOKED_AT));
}

typedef void visit_fn(struct learning *l, uint32_t connection, const struct replay_message *m);

static void visit(struct learning *l, visit_fn *fn) {
    uint32_t count = 0;
    size_t bytes = 0;
    for (uint32_t c = 0; c < l->source->count; c++) {
        const struct replay_connection *rc = &l->source->connections[c];
        for (uint32_t i = 0; i < l->seen_count; i++)
            l->sorts[l->seen[i]]->count = 0;
        for (size_t i = 0; i < rc->message_count && count < MESSAGES_MAX && bytes < LEARNT_BYTES && !l->failed; i++) {
            if (!is_bytes(&rc->messages[i]))
                continue;
            bytes += MIN(rc->messages[i].len, BYTES_LOOKED_AT);
            fn(l, c, &rc->messages[i]);
            count++;
        }
    }
}

/* ---- the message's own length ---- */

#define LENGTH_AT_MAX 4u
#define LENGTH_MESSAGES_MIN 3u

struct length_evidence {
    struct bytes_length length;
    size_t first;
    uint32_t held;
    bool failed, varied;
};

static void weigh_length(struct length_evidence *e, const struct replay_message *m) {
    uint64_t n;
    size_t at = e->length.at;
    size_t size = at < m->len ? bytes_read_length(e->length.code, m->data + at, m->len - at, &n) : 0;
    if (!size || n != (e->length.whole ? m->len : m->len - at - size)) {
        e->failed = true;
        return;
    }
    e->varied |= e->held && e->first != m->len;
    e->first = e->held ? e->first : m->len;
    e->held++;
}

static bool is_length(const struct replay_source *source, struct length_evidence *e) {
    uint32_t count = 0;
    for (size_t c = 0; c < source->count; c++) {
        const struct replay_connection *rc = &source->connections[c];
        for (size_t i = 0; i < rc->message_count && count < MESSAGES_MAX && !e->failed; i++)
            if (is_bytes(&rc->messages[i])) {
                weigh_length(e, &rc->messages[i]);
                count++;
            }
    }
    return !e->failed && e->varied && e->held >= LENGTH_MESSAGES_MIN;
}

/* It must be right in every message: no exception is forgiven where bytes would be moved. */
static void find_length(struct learning *l) {
    /* The widest first; a byte is as good as a varint, and may be one. */
    static const uint8_t codes[] = {CODE_U32_BE, CODE_U32_LE, CODE_U16_BE, CODE_U16_LE, CODE_VARINT, CODE_U8};
    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        for (unsigned at = 0; at < LENGTH_AT_MAX; at++)
            for (unsigned whole = 0; whole < 2; whole++) {
                struct length_evidence e = {.length = {(uint8_t)at, codes[i], whole}};
                if (is_length(l->source, &e)) {
                    l->length = e.length;
                    return;
                }
            }
}

/* ---- the walks ---- */

static struct sort *sort_of(struct learning *l, unsigned direction, unsigned tag) {
    uint16_t id = (uint16_t)(direction * BYTES_TAGS + tag);
    if (!l->sorts[id]) {
        l->sorts[id] = calloc(1, sizeof **l->sorts);
        l->failed |= !l->sorts[id];
        if (l->failed)
            return NULL;
        l->sorts[id]->id = id;
        l->seen[l->seen_count++] = id;
    }
    return l->sorts[id];
}

static void remember(struct sort *s, const struct saying *said, unsigned connection) {
    s->ring[s->next] = *said;
    s->next = (s->next + 1) % RUNS_RECENT;
    s->count = MIN(s->count + 1, RUNS_RECENT);
    s->connection = connection;
}

/* Compares a message with what the other side said before it, and remembers it. */
static void compare(struct learning *l, uint32_t connection, const struct replay_message *m, bool whole_runs) {
    struct saying said;
    unsigned tag = l->tagged ? bytes_tag(&l->length, m->data, m->len) : BYTES_TAG_ANY;
    saying_read(&said, &l->length, m->data, m->len, tag < BYTES_TAG_ANY);
    struct sort *own = sort_of(l, m->direction, tag);
    if (!own)
        return;
    for (uint32_t i = 0; i < l->seen_count && !l->failed; i++) {
        const struct sort *other = l->sorts[l->seen[i]];
        bool theirs = other->id / BYTES_TAGS != m->direction;
        if (theirs && other->count && other->connection == connection + 1)
            l->failed |= !(whole_runs ? runs_weigh : runs_narrow)(&l->runs, other, own, &said);
    }
    if (!whole_runs)
        runs_note(&l->runs, m->direction, &said);
    remember(own, &said, connection + 1);
}

static void narrow(struct learning *l, uint32_t connection, const struct replay_message *m) {
    compare(l, connection, m, false);
}

static void weigh(struct learning *l, uint32_t connection, const struct replay_message *m) {
    compare(l, connection, m, true);
}

static void forget(struct learning *l) {
    for (uint32_t i = 0; i < l->seen_count; i++) {
        free(l->sorts[l->seen[i]]);
        l->sorts[l->seen[i]] = NULL;
    }
    l->seen_count = 0;
    runs_fini(&l->runs);
}

static void take_layout(struct learning *l, uint32_t connection, const struct replay_message *m) {
    (void)connection;
    layout_add(l->schema, m->direction, m->data, m->len);
}

static void find_fields(struct learning *l, bool tagged, struct bytes_schema *schema) {
    *schema = (struct bytes_schema){.length = l->length, .tagged = tagged};
    l->schema = schema;
    l->tagged = tagged;
    visit(l, narrow);
    l->failed |= !runs_begin(&l->runs);
    visit(l, weigh);
    if (!l->failed)
        runs_judge(&l->runs, schema);
    forget(l);
    if (schema->link_count) {
        visit(l, take_layout);
        layout_finish(schema);
    }
}

int bytes_learn(const struct replay_source *source, struct bytes_schema **out) {
    bool any = false;
    *out = NULL;
    for (size_t c = 0; c < source->count && !any; c++)
        for (size_t i = 0; i < source->connections[c].message_count && !any; i++)
            any = is_bytes(&source->connections[c].messages[i]);
    if (!any)
        return MF_OK;
    struct learning *l = calloc(1, sizeof *l);
    struct bytes_schema *schema = calloc(1, sizeof *schema);
    bool failed = !l || !schema;
    if (!failed) {
        l->source = source;
        find_length(l);
        find_fields(l, true, schema);
        /* What comes first need not tell what a message is: an id may. */
        if (!l->failed && !schema->link_count)
            find_fields(l, false, schema);
        schema->tagged |= !schema->link_count;
        failed = l->failed;
    }
    free(l);
    if (failed) {
        free(schema);
        return MF_ENOMEM;
    }
    *out = schema;
    return MF_OK;
}
