#include "template/json_values.h"

/* "0", "17"; not "-1", "007", nor what is beyond all arrays. */
static bool read_index(const char *s, uint32_t *index) {
    uint64_t n = 0;
    if (!*s || (*s == '0' && s[1]))
        return false;
    for (; *s; s++) {
        if (*s < '0' || *s > '9')
            return false;
        n = n * 10 + (uint64_t)(*s - '0');
        if (n >= UINT32_MAX)
            return false;
    }
    *index = (uint32_t)n;
    return true;
}

static uint32_t step(const struct json_values *v, uint32_t node, const char *segment) {
    uint32_t index;
    switch (v->tape->nodes[node].kind) {
    case JSON_OBJECT:
        return json_member(v->tape, v->text, node, segment, strlen(segment), v->scratch);
    case JSON_ARRAY:
        return read_index(segment, &index) ? json_element(v->tape, node, index) : JSON_NO_NODE;
    default:
        return JSON_NO_NODE;
    }
}

static bool find_node(const struct json_values *v, uint32_t node, char *const *segments, size_t count,
                      struct buf *json) {
    for (size_t i = 0; i < count && node != JSON_NO_NODE; i++)
        node = step(v, node, segments[i]);
    if (node == JSON_NO_NODE)
        return false;
    const struct json_node *n = &v->tape->nodes[node];
    buf_append(json, v->text + n->begin, n->end - n->begin);
    return true;
}

/* As a script sees it: a message that is not JSON is an object with its text. */
static bool find_text(const struct json_values *v, char *const *segments, size_t count, struct buf *json) {
    if (count > 1 || (count == 1 && strcmp(segments[0], "text") != 0))
        return false;
    json_write_string(json, v->text, v->len);
    return true;
}

static bool find(const struct template_values *values, enum template_root root, char *const *segments, size_t count,
                 struct buf *json) {
    const struct json_values *v = (const struct json_values *)values; /* its first member */
    switch (root) {
    case TEMPLATE_MESSAGE:
        if (!v->text)
            return false;
        return v->tape ? find_node(v, v->message, segments, count, json) : find_text(v, segments, count, json);
    case TEMPLATE_PARAMS:
        return v->tape && find_node(v, v->params, segments, count, json);
    case TEMPLATE_STATE:
        break;
    }
    return v->rest && v->rest->find(v->rest, root, segments, count, json);
}

void json_values_init(struct json_values *v) {
    v->values.find = find;
}
