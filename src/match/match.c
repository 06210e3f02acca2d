/* Asking: does a message hold what a condition wants. */
#include "match/condition.h"

void look_init(struct look *l, const struct match_input *in) {
    bool json = !in->binary && in->tape && in->tape->count > 0;
    *l = (struct look){.in = in, .tape = json ? in->tape : NULL};
}

const struct json_node *look_node(const struct look *l, uint32_t at) {
    if (!l->tape || at == JSON_NO_NODE)
        return NULL;
    return &l->tape->nodes[at == WHOLE_MESSAGE ? 0 : at];
}

bool look_text(struct look *l, uint32_t at, const char **s, size_t *len) {
    if (at == WHOLE_MESSAGE) {
        *s = l->in->data;
        *len = l->in->len;
        return !l->in->binary;
    }
    const struct json_node *n = look_node(l, at);
    if (!n || n->kind != JSON_STRING)
        return false;
    *s = l->in->data + n->begin + 1;
    *len = n->end - n->begin - 2;
    if (!n->escaped)
        return true;
    buf_reset(&l->scratch);
    json_unescape(&l->scratch, *s, *len);
    bool whole = !l->scratch.failed;
    *s = buf_cstr(&l->scratch);
    *len = l->scratch.len;
    return whole;
}

/* ---- leaves ---- */

static bool text_is(struct look *l, const struct condition *c, uint32_t at) {
    if (at == WHOLE_MESSAGE)
        return !l->in->binary && l->in->len == c->len && !memcmp(l->in->data, c->text, c->len);
    const struct json_node *n = look_node(l, at);
    return n && json_string_is(l->in->data, n, c->text, c->len, &l->scratch);
}

static bool glob_holds(struct look *l, const struct condition *c, uint32_t at) {
    const char *s;
    size_t len;
    return look_text(l, at, &s, &len) && glob_matches(c->glob, s, len);
}

static bool regex_holds(struct look *l, const struct condition *c, uint32_t at) {
    const char *s;
    size_t len;
    return look_text(l, at, &s, &len) && regex_matches(c->regex, s, len);
}

/* What stands at that place against the condition's number: false when it is none. */
static bool compare_number(const struct look *l, const struct condition *c, uint32_t at, int *order) {
    const struct json_node *n = look_node(l, at);
    if (!n || (n->kind != JSON_INTEGER && n->kind != JSON_DECIMAL))
        return false;
    *order = number_compare(l->in->data + n->begin, n->end - n->begin, c->text, c->len);
    return true;
}

/* The same for texts, byte by byte. */
static bool compare_text(struct look *l, const struct condition *c, uint32_t at, int *order) {
    const char *s;
    size_t len;
    if (!look_text(l, at, &s, &len))
        return false;
    *order = memcmp(s, c->text, MIN(len, c->len));
    if (*order == 0)
        *order = (len > c->len) - (len < c->len);
    return true;
}

static bool comparison_holds(struct look *l, const struct condition *c, uint32_t at) {
    int order;
    if (c->number ? !compare_number(l, c, at, &order) : !compare_text(l, c, at, &order))
        return false;
    switch (c->comparison) {
    case COMPARE_GT:
        return order > 0;
    case COMPARE_GTE:
        return order >= 0;
    case COMPARE_LT:
        return order < 0;
    case COMPARE_LTE:
        return order <= 0;
    }
    return false;
}

static bool bytes_hold(const struct look *l, const struct condition *c) {
    if (!l->in->binary || l->in->len < c->len || (l->in->len > c->len && !c->prefix))
        return false;
    return c->len == 0 || !memcmp(l->in->data, c->text, c->len);
}

/* ---- trees ---- */

static bool object_holds(struct look *l, const struct condition *c, uint32_t at) {
    const struct json_node *n = look_node(l, at);
    if (!l->tape || !n || n->kind != JSON_OBJECT)
        return false;
    uint32_t object = (uint32_t)(n - l->tape->nodes);
    for (size_t i = 0; i < c->count; i++) {
        const struct condition *m = &c->children[i];
        if (!condition_holds(l, m, json_member(l->tape, l->in->data, object, m->name, m->name_len, &l->scratch)))
            return false;
    }
    return true;
}

static bool array_holds(struct look *l, const struct condition *c, uint32_t at) {
    const struct json_node *n = look_node(l, at);
    if (!l->tape || !n || n->kind != JSON_ARRAY || n->count != c->count)
        return false;
    uint32_t element = (uint32_t)(n - l->tape->nodes) + 1;
    for (size_t i = 0; i < c->count; i++, element = l->tape->nodes[element].next)
        if (!condition_holds(l, &c->children[i], element))
            return false;
    return true;
}

static bool all_hold(struct look *l, const struct condition *c, uint32_t at) {
    for (size_t i = 0; i < c->count; i++)
        if (!condition_holds(l, &c->children[i], at))
            return false;
    return true;
}

static bool one_holds(struct look *l, const struct condition *c, uint32_t at) {
    for (size_t i = 0; i < c->count; i++)
        if (condition_holds(l, &c->children[i], at))
            return true;
    return false;
}

bool condition_holds(struct look *l, const struct condition *c, uint32_t at) {
    const struct json_node *n;
    int order;
    switch (c->kind) {
    case CONDITION_PRESENT:
        return at == WHOLE_MESSAGE ? !l->in->binary : at != JSON_NO_NODE;
    case CONDITION_TEXT:
        return text_is(l, c, at);
    case CONDITION_GLOB:
        return glob_holds(l, c, at);
    case CONDITION_NUMBER:
        return compare_number(l, c, at, &order) && order == 0;
    case CONDITION_WORD:
        n = look_node(l, at);
        return n && n->kind == c->word;
    case CONDITION_OBJECT:
        return object_holds(l, c, at);
    case CONDITION_ARRAY:
        return array_holds(l, c, at);
    case CONDITION_ALL:
        return all_hold(l, c, at);
    case CONDITION_REGEX:
        return regex_holds(l, c, at);
    case CONDITION_EXISTS:
        return c->wanted == (at != JSON_NO_NODE);
    case CONDITION_IN:
        return one_holds(l, c, at);
    case CONDITION_COMPARE:
        return comparison_holds(l, c, at);
    case CONDITION_NOT:
        return !condition_holds(l, c->children, at);
    case CONDITION_HEX:
        return bytes_hold(l, c);
    case CONDITION_JSON:
        return l->tape && condition_holds(l, c->children, 0);
    }
    return false;
}

bool matcher_matches(const struct matcher *m, const struct match_input *in) {
    struct look l;
    look_init(&l, in);
    bool yes = condition_holds(&l, &m->root, WHOLE_MESSAGE);
    buf_fini(&l.scratch);
    return yes;
}
