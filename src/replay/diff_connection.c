/* One recorded connection against another. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "protocol/frame.h"
#include "replay/align.h"
#include "replay/diff_private.h"
#include "replay/pairing.h"

#define WORK_MAX (2u << 20) /* similarities asked for one direction of a connection */

struct work {
    const struct diff_options *o;
    const struct path_table *paths; /* a's */
    struct diff_side a, b;
    struct diff_names names;
    struct diff_paths free_paths;
};

/* ---- the two sides ---- */

static int side_init(struct diff_side *s, const struct correlation *c, size_t connection,
                     const struct replay_connection *recorded) {
    *s = (struct diff_side){.correlation = c, .connection = connection, .recorded = recorded};
    s->structures = calloc(recorded->message_count + 1, sizeof(struct structure *));
    for (size_t i = 0; s->structures && i < recorded->message_count; i++)
        s->structures[i] = correlation_structure(c, connection, i);
    return s->structures ? MF_OK : MF_ENOMEM;
}

/* b's messages once more, with a's paths. */
static int side_read(struct diff_side *s, const struct path_table *paths) {
    struct structure_scratch scratch = {0};
    const struct replay_connection *r = s->recorded;
    int rc = MF_OK;
    s->read = calloc(r->message_count + 1, sizeof *s->read);
    if (!s->read)
        return MF_ENOMEM;
    for (size_t i = 0; rc == MF_OK && i < r->message_count; i++)
        rc = structure_read(&s->read[i], &scratch, paths, NULL, r->messages[i].data, r->messages[i].len,
                            r->messages[i].binary);
    structure_scratch_fini(&scratch);
    return rc;
}

static void side_fini(struct diff_side *s) {
    for (size_t i = 0; s->read && i < s->recorded->message_count; i++)
        structure_fini(&s->read[i]);
    free(s->read);
    free(s->structures);
}

/* ---- the messages of one direction ---- */

struct lane {
    struct work *w;
    uint32_t *a, *b; /* indexes of the messages */
    size_t a_count, b_count;
    uint64_t *hashes; /* a's, then b's */
    uint32_t *partner;
};

static bool is_ignored(const struct work *w, uint32_t path) {
    for (size_t i = 0; i < w->o->compare.ignore_count; i++)
        if (path_matches(w->o->compare.ignore[i], path_text(w->paths, path)))
            return true;
    return false;
}

/* Of all that counts. What has a path that a does not know is told by its bytes alone. */
static uint64_t hash_message(const struct work *w, const struct diff_side *s, size_t message) {
    const struct structure *st = diff_structure(s, message);
    const struct replay_message *m = &s->recorded->messages[message];
    uint64_t sum = (uint64_t)st->form + 1;
    uint32_t begin, end;
    if (st->form == FORM_BINARY)
        return hash_bytes(m->data, m->len);
    for (uint32_t i = 0; i < st->count; i++) {
        const struct message_value *v = &st->values[i];
        if (v->path != PATH_UNKNOWN && is_ignored(w, v->path))
            continue;
        bool is_free = diff_is_free(s, message, i, &begin, &end);
        uint64_t parts[3] = {v->path, v->kind, is_free ? 0 : hash_bytes(m->data + v->begin, v->end - v->begin)};
        sum += hash_bytes(parts, sizeof parts);
    }
    return sum;
}

static bool wanted(const struct work *w, enum event_direction direction) {
    return !w->o->one_direction || w->o->direction == direction;
}

static size_t list_messages(const struct replay_connection *r, enum event_direction direction, uint32_t *out) {
    size_t n = 0;
    for (size_t i = 0; i < r->message_count; i++)
        if (r->messages[i].direction == direction)
            out[n++] = (uint32_t)i;
    return n;
}

static void lane_fini(struct lane *l) {
    free(l->a);
    free(l->b);
    free(l->hashes);
    free(l->partner);
}

static int lane_init(struct lane *l, struct work *w, enum event_direction direction) {
    const struct replay_connection *a = w->a.recorded, *b = w->b.recorded;
    *l = (struct lane){.w = w,
                       .a = calloc(a->message_count + 1, sizeof *l->a),
                       .b = calloc(b->message_count + 1, sizeof *l->b),
                       .hashes = calloc(a->message_count + b->message_count + 1, sizeof *l->hashes),
                       .partner = calloc(a->message_count + 1, sizeof *l->partner)};
    if (!l->a || !l->b || !l->hashes || !l->partner)
        return MF_ENOMEM;
    l->a_count = list_messages(a, direction, l->a);
    l->b_count = list_messages(b, direction, l->b);
    for (size_t i = 0; i < l->a_count; i++)
        l->hashes[i] = hash_message(w, &w->a, l->a[i]);
    for (size_t j = 0; j < l->b_count; j++)
        l->hashes[l->a_count + j] = hash_message(w, &w->b, l->b[j]);
    return MF_OK;
}

/* ---- which is which ---- */

static unsigned similarity(void *arg, size_t i, size_t j) {
    struct lane *l = arg;
    struct work *w = l->w;
    uint32_t a = l->a[i], b = l->b[j];
    const struct replay_message *x = &w->a.recorded->messages[a], *y = &w->b.recorded->messages[b];
    struct match_hints hints = {.any = w->o->compare.ignore, .any_count = w->o->compare.ignore_count};
    correlation_free_paths(w->a.correlation, w->a.connection, a, &hints.free_paths, &hints.free_count);
    return structure_similarity(w->paths, diff_structure(&w->a, a), x->data, x->len, diff_structure(&w->b, b), y->data,
                                y->len, &hints, NULL);
}

static uint8_t cost(void *arg, size_t i, size_t j) {
    unsigned alike = similarity(arg, i, j);
    if (alike < ALIGN_LEAST)
        return PAIRING_NEVER;
    return alike >= SIMILARITY_EQUAL
               ? 0
               : (uint8_t)(1 + (SIMILARITY_EQUAL - alike) * (PAIRING_NEVER - 2) / SIMILARITY_EQUAL);
}

static bool in_any_order(const struct work *w) {
    for (size_t i = 0; i < w->o->compare.unordered_count; i++)
        if (!*w->o->compare.unordered[i] || !strcmp(w->o->compare.unordered[i], "/"))
            return true;
    return false;
}

static int pair_lane(struct lane *l) {
    bool *taken = calloc(l->b_count + 1, sizeof *taken);
    struct pairing p = {.expected_count = l->a_count,
                        .got_count = l->b_count,
                        .expected_hash = l->hashes,
                        .got_hash = l->hashes + l->a_count,
                        .cost = cost,
                        .arg = l,
                        .partner = l->partner,
                        .taken = taken};
    int rc = taken ? pairing_run(&p) : MF_ENOMEM;
    free(taken);
    return rc;
}

static int match_lane(struct lane *l, struct comparison *c) {
    struct align al = {.a_count = l->a_count,
                       .b_count = l->b_count,
                       .a_hash = l->hashes,
                       .b_hash = l->hashes + l->a_count,
                       .similarity = similarity,
                       .arg = l,
                       .work_max = WORK_MAX,
                       .partner = l->partner};
    if (in_any_order(l->w)) {
        if (MAX(l->a_count, l->b_count) <= PAIRING_MAX)
            return pair_lane(l);
        c->in_order++;
    }
    return align_run(&al);
}

/* ---- what is to be compared, in the order of the conversation ---- */

struct step {
    uint64_t order;
    uint32_t a, b; /* messages; ALIGN_NONE: there is none on that side */
};

static int by_order(const void *x, const void *y) {
    const struct step *p = x, *q = y;
    if (p->order != q->order)
        return p->order < q->order ? -1 : 1;
    return (p->b > q->b) - (p->b < q->b);
}

/* Messages that only b has come behind the one that they followed. */
static int lane_steps(const struct lane *l, struct step *steps, size_t *count) {
    uint64_t *after = calloc(l->b_count + 1, sizeof *after); /* of each of b: its partner's order; 0: none */
    if (!after)
        return MF_ENOMEM;
    for (size_t i = 0; i < l->a_count; i++) {
        uint32_t partner = l->partner[i];
        uint64_t order = 2 * (uint64_t)l->a[i] + 1;
        steps[(*count)++] = (struct step){order, l->a[i], partner == ALIGN_NONE ? ALIGN_NONE : l->b[partner]};
        if (partner != ALIGN_NONE)
            after[partner] = order;
    }
    uint64_t order = 0;
    for (size_t j = 0; j < l->b_count; j++) {
        if (after[j])
            order = after[j] + 1;
        else
            steps[(*count)++] = (struct step){order, ALIGN_NONE, l->b[j]};
    }
    free(after);
    return MF_OK;
}

static int make_steps(struct work *w, struct comparison *c, struct step *steps, size_t *count) {
    static const enum event_direction directions[] = {EVENT_INCOMING, EVENT_OUTGOING};
    int rc = MF_OK;
    for (size_t i = 0; rc == MF_OK && i < ARRAY_LEN(directions); i++) {
        struct lane l;
        if (!wanted(w, directions[i]))
            continue;
        rc = lane_init(&l, w, directions[i]);
        if (rc == MF_OK)
            rc = match_lane(&l, c);
        if (rc == MF_OK)
            rc = lane_steps(&l, steps, count);
        lane_fini(&l);
    }
    qsort(steps, *count, sizeof *steps, by_order);
    return rc;
}

static int compare_pair(struct work *w, struct comparison *c, uint32_t a, uint32_t b) {
    const struct replay_message *x = &w->a.recorded->messages[a], *y = &w->b.recorded->messages[b];
    int rc = diff_free_paths(&w->names, w->paths, &w->a, a, &w->b, b, &w->free_paths);
    if (rc >= 0)
        rc = compare_opcode(c, a, x->binary, y->binary);
    if (rc >= 0)
        rc = compare_message(c, &w->o->compare, w->paths, a, diff_structure(&w->a, a), x->data, x->len,
                             diff_structure(&w->b, b), y->data, y->len, w->free_paths.items, w->free_paths.count);
    return rc;
}

static int take_step(struct work *w, struct comparison *c, const struct step *s) {
    if (s->a != ALIGN_NONE && s->b != ALIGN_NONE)
        return compare_pair(w, c, s->a, s->b);
    if (s->a != ALIGN_NONE)
        return compare_missing(c, s->a, w->a.recorded->messages[s->a].data, w->a.recorded->messages[s->a].len);
    if (w->o->compare.allow_extra)
        return 0;
    return compare_extra(c, s->b, w->b.recorded->messages[s->b].data, w->b.recorded->messages[s->b].len);
}

static int compare_messages(struct work *w, struct comparison *c) {
    size_t count = 0, max = w->a.recorded->message_count + w->b.recorded->message_count;
    struct step *steps = calloc(max + 1, sizeof *steps);
    int rc = steps ? make_steps(w, c, steps, &count) : MF_ENOMEM;
    for (size_t i = 0; rc >= 0 && i < count; i++)
        rc = take_step(w, c, &steps[i]);
    free(steps);
    return rc < 0 ? rc : MF_OK;
}

/* ---- the connection itself ---- */

/* The code of the close frame that came first; WS_CLOSE_NO_STATUS: it has none (RFC 6455 section 7.1.5); 0: there is no
 * such frame.
 */
static unsigned close_code(const struct replay_connection *r) {
    for (size_t i = 0; i < r->frame_count; i++) {
        const struct replay_frame *f = &r->frames[i];
        if (f->opcode == WS_CLOSE)
            return f->len >= 2 ? (unsigned)f->data[0] << 8 | f->data[1] : WS_CLOSE_NO_STATUS;
    }
    return 0;
}

static int compare_ends(struct comparison *c, const struct replay_connection *a, const struct replay_connection *b) {
    int rc = compare_handshake(c, "path", a->path, b->path);
    if (rc >= 0)
        rc = compare_handshake(c, "query", a->query, b->query);
    if (rc >= 0)
        rc = compare_handshake(c, "subprotocol", a->subprotocol, b->subprotocol);
    return rc;
}

int diff_connection(struct comparison *c, const struct diff_options *o, const struct correlation *a,
                    size_t a_connection, const struct replay_connection *a_recorded, const struct correlation *b,
                    size_t b_connection, const struct replay_connection *b_recorded) {
    struct work w = {.o = o, .paths = correlation_paths(a)};
    c->expected = a_recorded;
    c->got = b_recorded;
    int rc = side_init(&w.a, a, a_connection, a_recorded);
    if (rc == MF_OK)
        rc = side_init(&w.b, b, b_connection, b_recorded);
    if (rc == MF_OK)
        rc = side_read(&w.b, w.paths);
    if (rc == MF_OK)
        rc = compare_ends(c, a_recorded, b_recorded);
    if (rc >= 0)
        rc = compare_messages(&w, c);
    if (rc >= 0)
        rc = compare_close(c, close_code(a_recorded), close_code(b_recorded));
    c->expected = c->got = NULL;
    side_fini(&w.a);
    side_fini(&w.b);
    diff_names_fini(&w.names);
    free(w.free_paths.items);
    return rc < 0 ? rc : MF_OK;
}
