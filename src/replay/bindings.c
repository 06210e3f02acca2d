/* One replay's values: learnt from live messages, written into recorded ones. */
#include <stdlib.h>

#include "replay/bytes.h"
#include "replay/correlation.h"

#define LIVE_LENGTH_MAX 4096u /* bytes of a live value; longer ones are not carried over */
#define PARENTS_MAX 64u       /* how far back the same text is looked for */
#define SEARCH_STEPS 4096u    /* values looked at one by one, before they are sorted */
#define SEARCH_NEAR 16u       /* values behind the last one found that are looked at first */

struct binding {
    uint32_t variable; /* SPOKEN_NONE: free */
    uint32_t len;
    char *text;
    uint8_t kind, recorded_kind; /* enum value_kind */
    bool whole;                  /* of a value, not of a part of one */
};

struct bindings {
    struct correlation *c;
    size_t connection;
    struct binding *items; /* open addressing */
    uint32_t count, mask;
    struct buf text, around;
};

int bindings_new(const struct correlation *c, size_t connection, struct bindings **out) {
    struct bindings *b = calloc(1, sizeof *b);
    if (!b)
        return MF_ENOMEM;
    b->c = correlation_ref((struct correlation *)(uintptr_t)c);
    b->connection = connection;
    *out = b;
    return MF_OK;
}

void bindings_free(struct bindings *b) {
    if (!b)
        return;
    for (uint32_t i = 0; b->items && i <= b->mask; i++)
        free(b->items[i].text);
    free(b->items);
    buf_fini(&b->text);
    buf_fini(&b->around);
    correlation_unref(b->c);
    free(b);
}

/* ---- the table ---- */

static struct binding *place_of(const struct bindings *b, uint32_t variable) {
    uint32_t i = variable * 0x9e3779b1u & b->mask;
    while (b->items[i].variable != SPOKEN_NONE && b->items[i].variable != variable)
        i = (i + 1) & b->mask;
    return &b->items[i];
}

static int grow(struct bindings *b) {
    if (b->items && b->count * 2 <= b->mask)
        return MF_OK;
    struct bindings grown = {.mask = b->items ? b->mask * 2 + 1 : 7};
    grown.items = malloc(((size_t)grown.mask + 1) * sizeof *grown.items);
    if (!grown.items)
        return MF_ENOMEM;
    for (uint32_t i = 0; i <= grown.mask; i++)
        grown.items[i] = (struct binding){.variable = SPOKEN_NONE};
    for (uint32_t i = 0; b->items && i <= b->mask; i++)
        if (b->items[i].variable != SPOKEN_NONE)
            *place_of(&grown, b->items[i].variable) = b->items[i];
    free(b->items);
    b->items = grown.items;
    b->mask = grown.mask;
    return MF_OK;
}

/* The variable's, or that of the same text before it. */
static const struct binding *find(const struct bindings *b, uint32_t variable) {
    const struct connection_plan *plan = &b->c->plans[b->connection];
    for (unsigned n = 0; b->items && variable < plan->variable_count && n < PARENTS_MAX; n++) {
        const struct binding *v = place_of(b, variable);
        if (v->variable == variable)
            return v;
        variable = plan->parents[variable];
    }
    return NULL;
}

static int set(struct bindings *b, struct binding value, const char *text) {
    char *copy = malloc((size_t)value.len + 1);
    if (!copy || grow(b) < 0) {
        free(copy);
        return MF_ENOMEM;
    }
    memcpy(copy, text, value.len);
    copy[value.len] = '\0';
    struct binding *v = place_of(b, value.variable);
    b->count += v->variable == SPOKEN_NONE;
    free(v->text);
    *v = value;
    v->text = copy;
    return MF_OK;
}

int bindings_clone(const struct bindings *b, struct bindings **out) {
    struct bindings *copy;
    if (bindings_new(b->c, b->connection, &copy) < 0)
        return MF_ENOMEM;
    for (uint32_t i = 0; b->items && i <= b->mask; i++) {
        if (b->items[i].variable != SPOKEN_NONE && set(copy, b->items[i], b->items[i].text) < 0) {
            bindings_free(copy);
            return MF_ENOMEM;
        }
    }
    *out = copy;
    return MF_OK;
}

/* ---- where a recorded value stands in a live message ---- */

struct place {
    uint32_t path, value;
};

struct search {
    const struct structure *live;
    uint32_t at;          /* mostly it is the next one */
    uint32_t steps;       /* taken so far: a message with many values must not cost their square */
    struct place *sorted; /* by path, once there were many steps */
    bool failed;          /* out of memory */
};

static int by_path(const void *a, const void *b) {
    const struct place *p = a, *q = b;
    if (p->path != q->path)
        return p->path < q->path ? -1 : 1;
    return p->value < q->value ? -1 : p->value > q->value;
}

static void sort_places(struct search *s) {
    uint32_t count = s->live->count;
    s->sorted = malloc((count + 1) * sizeof *s->sorted);
    s->failed = !s->sorted;
    if (s->failed)
        return;
    for (uint32_t i = 0; i < count; i++)
        s->sorted[i] = (struct place){s->live->values[i].path, i};
    qsort(s->sorted, count, sizeof *s->sorted, by_path);
}

static uint32_t search_sorted(const struct search *s, uint32_t path) {
    uint32_t low = 0, high = s->live->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (s->sorted[middle].path < path)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < s->live->count && s->sorted[low].path == path;
    return found ? s->sorted[low].value : s->live->count;
}

static uint32_t search_all(struct search *s, uint32_t path) {
    uint32_t i = 0;
    if (!s->sorted && !s->failed && s->steps > SEARCH_STEPS)
        sort_places(s);
    if (s->sorted)
        return search_sorted(s, path);
    while (i < s->live->count && s->live->values[i].path != path)
        i++;
    s->steps += i;
    return s->failed ? s->live->count : i;
}

static const struct message_value *search_path(struct search *s, uint32_t path) {
    uint32_t i = s->at, near = MIN(s->live->count, s->at + SEARCH_NEAR);
    while (i < near && s->live->values[i].path != path)
        i++;
    if (i == near)
        i = search_all(s, path);
    if (i == s->live->count)
        return NULL;
    s->at = i + 1;
    return &s->live->values[i];
}

/* What stands in a live message where `birth` has it in the recorded one: in b->text, at [*begin, *begin + *len). */
static const struct message_value *read_live(struct bindings *b, const struct birth *birth, struct search *search,
                                             const void *data, size_t *begin, size_t *len) {
    const struct connection_plan *plan = &b->c->plans[b->connection];
    const struct replay_message *recorded = birth->message == MESSAGE_HANDSHAKE
                                                ? &plan->handshake
                                                : &b->c->source->connections[b->connection].messages[birth->message];
    const struct message_value *value = &plan_structure(plan, birth->message)->values[birth->value];
    const struct message_value *v = search_path(search, value->path);
    if (!v || v->end - v->begin > 8 * LIVE_LENGTH_MAX)
        return NULL;
    buf_reset(&b->text);
    value_text(&b->text, data, v);
    *begin = 0;
    *len = b->text.len;
    if (!birth->whole) {
        buf_reset(&b->around);
        value_text(&b->around, recorded->data, value);
        size_t before = birth->begin, behind = b->around.len - birth->end;
        if (b->around.failed || b->text.failed || b->text.len <= before + behind ||
            memcmp(b->text.data, b->around.data, before) != 0 ||
            memcmp(b->text.data + b->text.len - behind, b->around.data + birth->end, behind) != 0)
            return NULL;
        *begin = before;
        *len -= before + behind;
    }
    return *len <= LIVE_LENGTH_MAX && !b->text.failed ? v : NULL;
}

static const struct birth *births_of(const struct bindings *b, size_t message, size_t *count) {
    const struct connection_plan *plan = &b->c->plans[b->connection];
    *count = plan->births_of ? plan->births_of[message + 1] - plan->births_of[message] : 0;
    return *count ? plan->births + plan->births_of[message] : NULL;
}

/* Is it a value of a binary message that may be another, or none? */
static bool is_doubtful(const struct bindings *b, const struct birth *birth, const struct message_value *v,
                        const void *data, size_t size) {
    const struct replay_connection *rc = &b->c->source->connections[b->connection];
    if (birth->message == MESSAGE_HANDSHAKE || !v->code)
        return false;
    const struct replay_message *m = &rc->messages[birth->message];
    if (bytes_is_text(v->code))
        return !layout_text_is_sure(path_table_bytes(b->c->paths), data, size, v->begin, m->data, m->len);
    if (v->code != CODE_FIELD && v->code != CODE_VARINT)
        return true;
    return !layout_is_sure(path_table_bytes(b->c->paths), m->direction, data, size, v->begin);
}

/* b->text has what was recorded: whatever is made of it is as it was. */
static void recall(struct bindings *b, const struct birth *birth, size_t *at, size_t *len) {
    const struct connection_plan *plan = &b->c->plans[b->connection];
    const struct message_value *v = &plan_structure(plan, birth->message)->values[birth->value];
    buf_reset(&b->text);
    value_text(&b->text, b->c->source->connections[b->connection].messages[birth->message].data, v);
    *at = birth->whole ? 0 : birth->begin;
    *len = birth->whole ? b->text.len : birth->end - birth->begin;
}

static int learn(struct bindings *b, const struct birth *births, size_t count, struct search *search, const void *data,
                 size_t size) {
    size_t at, len;
    for (size_t i = 0; i < count; i++) {
        const struct message_value *v = read_live(b, &births[i], search, data, &at, &len);
        if (b->text.failed || b->around.failed || search->failed)
            return MF_ENOMEM;
        if (!v)
            continue;
        if (is_doubtful(b, &births[i], v, data, size))
            recall(b, &births[i], &at, &len);
        if (b->text.failed)
            return MF_ENOMEM;
        struct binding value = {
            .variable = births[i].variable,
            .len = (uint32_t)len,
            .kind = v->kind,
            .recorded_kind =
                plan_structure(&b->c->plans[b->connection], births[i].message)->values[births[i].value].kind,
            .whole = births[i].whole};
        if (set(b, value, len ? (const char *)b->text.data + at : "") < 0)
            return MF_ENOMEM;
    }
    return MF_OK;
}

int bindings_learn(struct bindings *b, size_t message, const struct structure *live, const void *data, size_t len) {
    struct search search = {.live = live};
    size_t count;
    const struct birth *births = births_of(b, message, &count);
    int rc = learn(b, births, count, &search, data, len);
    free(search.sorted);
    return rc;
}

int bindings_learn_handshake(struct bindings *b, const char *text, size_t len) {
    const struct connection_plan *plan = &b->c->plans[b->connection];
    struct structure_scratch scratch = {0};
    struct structure live = {0};
    struct search search = {.live = &live};
    int rc = structure_read(&live, &scratch, b->c->paths, NULL, text, len, false);
    if (rc == MF_OK && live.form == FORM_JSON)
        rc = learn(b, plan->handshake_births, plan->handshake_birth_count, &search, text, len);
    free(search.sorted);
    structure_fini(&live);
    structure_scratch_fini(&scratch);
    return rc;
}

/* ---- is it this one? ---- */

static bool is_text(const struct binding *v, const struct buf *text, size_t begin, size_t len) {
    return v->len == len && (!len || !memcmp(v->text, text->data + begin, len));
}

/* The value that a slot fills as a whole; NULL: it is a part of one. Values stand in their order. */
static const struct message_value *value_of_slot(const struct structure *s, const struct slot *slot) {
    uint32_t low = 0, high = s->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (s->values[middle].begin < slot->begin)
            low = middle + 1;
        else
            high = middle;
    }
    bool whole = low < s->count && s->values[low].begin == slot->begin && s->values[low].end == slot->end;
    return whole ? &s->values[low] : NULL;
}

/* 1, 0, -1: as bindings_agree() has it, of the variable's value `v` and what the live message has for it. */
static int said_again(struct bindings *b, size_t message, const struct message_value *value, const struct binding *v,
                      struct search *search, const void *data) {
    const struct structure *s = &b->c->plans[b->connection].structures[message];
    struct birth whole = {.message = (uint32_t)message, .value = (uint32_t)(value - s->values), .whole = true};
    size_t begin, len;
    if (!read_live(b, &whole, search, data, &begin, &len))
        return 0;
    return is_text(v, &b->text, begin, len) ? 1 : -1;
}

static int births_agree(struct bindings *b, size_t message, struct search *search, const void *data) {
    const uint32_t *parents = b->c->plans[b->connection].parents;
    size_t count, at, len;
    int agreed = 0;
    const struct birth *births = births_of(b, message, &count);
    for (size_t i = 0; i < count; i++) {
        const struct binding *v = find(b, parents[births[i].variable]);
        if (!v || !read_live(b, &births[i], search, data, &at, &len))
            continue;
        if (!is_text(v, &b->text, at, len))
            return -1;
        agreed = 1;
    }
    return agreed;
}

static int slots_agree(struct bindings *b, size_t message, struct search *search, const void *data) {
    const struct structure *recorded = &b->c->plans[b->connection].structures[message];
    size_t count;
    int agreed = 0;
    const struct slot *slots = correlation_slots(b->c, b->connection, message, &count);
    for (size_t i = 0; i < count; i++) {
        const struct binding *v = slots[i].kind == SLOT_VARIABLE ? find(b, slots[i].variable) : NULL;
        const struct message_value *value = v ? value_of_slot(recorded, &slots[i]) : NULL;
        int said = value ? said_again(b, message, value, v, search, data) : 0;
        if (said < 0)
            return -1;
        agreed |= said;
    }
    return agreed;
}

int bindings_agree(struct bindings *b, size_t message, const struct structure *live, const void *data, size_t len) {
    (void)len;
    struct search search = {.live = live};
    int births = births_agree(b, message, &search, data), slots = 0;
    search.at = 0;
    if (births >= 0)
        slots = slots_agree(b, message, &search, data);
    free(search.sorted);
    return births < 0 || slots < 0 ? -1 : births | slots;
}

/* ---- rendering ---- */

/* A live value keeps its kind where it takes a whole value's place, unless the recorded sides had different ones: what
 * the server made a string of stays one. */
static enum value_kind kind_for(const struct slot *slot, const struct binding *v) {
    uint8_t kind = slot->value_kind;
    if (v->whole && kind != VALUE_WORD && v->recorded_kind == kind)
        kind = v->kind;
    return kind == VALUE_NUMBER && !text_is_number(v->text, v->len) ? VALUE_STRING : kind;
}

/* Into a message that is rendered: a slot's new value. */
struct rendering {
    struct bindings *b;
    const struct replay_message *m;
    struct buf *out;
    const struct bytes_schema *schema; /* of a binary message; NULL */
    bool resized;
};

/* false: the recorded bytes stay. */
static bool write_coded(struct rendering *r, const struct slot *slot, const char *text, size_t len) {
    size_t from = r->out->len, size = slot->end - slot->begin;
    if (!bytes_value_write(r->out, slot->code, size, text, len))
        return false;
    if (r->out->len - from == size)
        return true;
    if (!bytes_may_resize(r->schema, r->m->data, r->m->len, slot->begin, slot->end)) {
        r->out->len = from;
        return false;
    }
    r->resized = true;
    return true;
}

static void write_value(struct rendering *r, const struct slot *slot, enum value_kind kind, const char *text,
                        size_t len) {
    if (!slot->code)
        value_write(r->out, slot->nested, kind, text, len);
    else if (!write_coded(r, slot, text, len))
        buf_append(r->out, r->m->data + slot->begin, slot->end - slot->begin);
}

static void write_variable(struct rendering *r, const struct slot *slot) {
    const struct binding *v = find(r->b, slot->variable);
    if (v)
        write_value(r, slot, kind_for(slot, v), v->text, v->len);
    else
        buf_append(r->out, r->m->data + slot->begin, slot->end - slot->begin);
}

static void write_refreshed(struct rendering *r, const struct slot *slot, int64_t shift_us, uint64_t round) {
    struct bindings *b = r->b;
    const struct message_value v = {0, slot->begin, slot->end, slot->value_kind, slot->nested, 0, slot->code};
    buf_reset(&b->text);
    buf_reset(&b->around);
    value_text(&b->text, r->m->data, &v);
    const char *text = buf_cstr(&b->text);
    bool changed = slot->kind == SLOT_TIME
                       ? refresh_time_text(text, b->text.len, shift_us, &b->around)
                       : refresh_counter_text(text, b->text.len, &b->c->counters[slot->variable], round, &b->around);
    if (changed)
        write_value(r, slot, slot->value_kind, buf_cstr(&b->around), b->around.len);
    else
        buf_append(r->out, r->m->data + slot->begin, slot->end - slot->begin);
}

int bindings_render(struct bindings *b, size_t message, int64_t shift_us, uint64_t round, struct buf *out) {
    const struct replay_message *m = &b->c->source->connections[b->connection].messages[message];
    struct rendering r = {.b = b, .m = m, .out = out, .schema = path_table_bytes(b->c->paths)};
    size_t count, at = 0;
    const struct slot *slots = correlation_slots(b->c, b->connection, message, &count);
    buf_reset(out);
    if (!count)
        return 0;
    for (size_t i = 0; i < count; i++) {
        buf_append(out, m->data + at, slots[i].begin - at);
        if (slots[i].kind == SLOT_VARIABLE)
            write_variable(&r, &slots[i]);
        else
            write_refreshed(&r, &slots[i], shift_us, round);
        at = slots[i].end;
    }
    buf_append(out, m->data + at, m->len - at);
    if (out->failed || b->text.failed || b->around.failed)
        return MF_ENOMEM;
    if (r.resized && !bytes_fix_length(r.schema, out))
        return 0; /* it cannot say how long it would be */
    return out->len != m->len || memcmp(out->data, m->data, m->len) != 0;
}
