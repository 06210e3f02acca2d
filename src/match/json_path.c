/* All ways through the path are followed at once: at each level stands a set of the segments that may come next, one
 * bit each, so that `**` costs nothing extra, and the text is gone over once. */
#include "match/json_path.h"

#include <stdlib.h>

#define NO_ELEMENT UINT32_MAX
#define RARE_MIN 2 /* bytes of a name that is looked for before a text is parsed */

enum segment_kind { SEGMENT_NAME, SEGMENT_ANY, SEGMENT_DEEP };

struct segment {
    enum segment_kind kind;
    char *name;
    size_t len;
    uint32_t element; /* the name as a number, or NO_ELEMENT */
};

struct json_path {
    struct segment segments[JSON_PATH_SEGMENTS_MAX];
    unsigned count;
    const struct segment *telling; /* the longest name that has nothing to escape; NULL */
};

/* ---- compiling ---- */

static uint32_t element_number(const char *s, size_t len) {
    uint64_t n = 0;
    if (len == 0 || len > 9 || (len > 1 && *s == '0'))
        return NO_ELEMENT;
    for (size_t i = 0; i < len; i++) {
        if (s[i] < '0' || s[i] > '9')
            return NO_ELEMENT;
        n = n * 10 + (uint64_t)(s[i] - '0');
    }
    return (uint32_t)n;
}

/* RFC 6901 section 4, in place. */
static bool unescape_pointer(struct segment *s) {
    size_t out = 0;
    for (size_t i = 0; i < s->len; i++) {
        char c = s->name[i];
        if (c == '~') {
            c = i + 1 < s->len ? s->name[++i] : ' ';
            if (c != '0' && c != '1')
                return false;
            c = c == '0' ? '~' : '/';
        }
        s->name[out++] = c;
    }
    s->len = out;
    s->name[out] = '\0';
    return true;
}

static int add_segment(struct json_path *p, const char *text, size_t len, bool pointer, struct err *err) {
    if (p->count == JSON_PATH_SEGMENTS_MAX)
        return err_set(err, MF_EINVAL, "expected at most %u segments", JSON_PATH_SEGMENTS_MAX);
    struct segment *s = &p->segments[p->count];
    *s = (struct segment){.name = strndup(text, len), .len = len, .element = NO_ELEMENT};
    if (!s->name)
        return err_set(err, MF_ENOMEM, "out of memory");
    p->count++;
    if (!strcmp(s->name, "*"))
        s->kind = SEGMENT_ANY;
    else if (!strcmp(s->name, "**"))
        s->kind = SEGMENT_DEEP;
    if (pointer && !unescape_pointer(s))
        return err_set(err, MF_EINVAL, "expected ~0 or ~1 after a path with slashes, found another ~");
    if (!pointer && len == 0)
        return err_set(err, MF_EINVAL,
                       "expected a name between the dots of a path (or \"/a/b\", where a name may be empty)");
    s->element = element_number(s->name, s->len);
    return MF_OK;
}

static int split(struct json_path *p, const char *text, struct err *err) {
    bool pointer = *text == '/';
    if (!pointer && text[0] == '$' && (!text[1] || text[1] == '.'))
        text += text[1] ? 2 : 1;
    if (!*text || !strcmp(text, "/"))
        return MF_OK;
    text += pointer;
    for (;;) {
        size_t len = strcspn(text, pointer ? "/" : ".");
        int rc = add_segment(p, text, len, pointer, err);
        if (rc < 0 || !text[len])
            return rc;
        text += len + 1;
    }
}

/* Can it stand in JSON text in no other way than as it is, but for \u escapes? */
static bool is_plain(const struct segment *s) {
    for (size_t i = 0; i < s->len; i++)
        if ((unsigned char)s->name[i] < 0x20 || s->name[i] == '"' || s->name[i] == '\\' || s->name[i] == '/')
            return false;
    return s->kind == SEGMENT_NAME && s->element == NO_ELEMENT;
}

int json_path_compile(const char *text, struct json_path **out, struct err *err) {
    struct json_path *p = calloc(1, sizeof *p);
    if (!p)
        return err_set(err, MF_ENOMEM, "out of memory");
    int rc = split(p, text, err);
    for (unsigned i = 0; i < p->count; i++) {
        const struct segment *s = &p->segments[i];
        if (is_plain(s) && s->len >= (p->telling ? p->telling->len : RARE_MIN))
            p->telling = s;
    }
    if (rc < 0)
        json_path_free(p);
    else
        *out = p;
    return rc;
}

void json_path_free(struct json_path *p) {
    if (!p)
        return;
    for (unsigned i = 0; i < p->count; i++)
        free(p->segments[i].name);
    free(p);
}

bool json_path_possible(const struct json_path *p, const char *text, size_t len) {
    const struct segment *s = p->telling;
    return len && (!s || memmem(text, len, s->name, s->len) || memmem(text, len, "\\u", 2));
}

/* ---- searching ---- */

/* Bit n: the path's segment n comes next; bit `count`: this is the place. */
typedef uint64_t states;

/* `**` may be nothing at all. */
static states past_deep(const struct json_path *p, states set) {
    for (unsigned i = 0; i < p->count; i++)
        if (p->segments[i].kind == SEGMENT_DEEP && set >> i & 1)
            set |= (states)1 << (i + 1);
    return set;
}

static bool is_named(const struct segment *s, const char *text, const struct json_node *n, struct buf *scratch) {
    if (!n->key_escaped)
        return n->key_len == s->len && !memcmp(text + n->key, s->name, s->len);
    if (!json_may_unescape_to(n->key_len, s->len))
        return false;
    buf_reset(scratch);
    json_unescape(scratch, text + n->key, n->key_len);
    return !scratch->failed && scratch->len == s->len && !memcmp(scratch->data, s->name, s->len);
}

/* element: the node's number in an array; NO_ELEMENT: it is a member. */
static states enter(const struct json_path *p, states set, const char *text, const struct json_node *n,
                    uint32_t element, struct buf *scratch) {
    states next = 0;
    for (states left = set & (((states)1 << p->count) - 1); left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);
        const struct segment *s = &p->segments[i];
        if (s->kind == SEGMENT_DEEP)
            next |= (states)1 << i;
        else if (s->kind == SEGMENT_ANY ||
                 (element == NO_ELEMENT ? is_named(s, text, n, scratch) : s->element == element))
            next |= (states)1 << (i + 1);
    }
    return next ? past_deep(p, next) : 0;
}

struct level {
    uint32_t end;     /* index of the node behind this container */
    uint32_t element; /* of an array: the next one's number; of an object NO_ELEMENT */
    states set;
};

static struct level level_of(const struct json_node *n, states set) {
    return (struct level){n->next, n->kind == JSON_ARRAY ? 0 : NO_ELEMENT, set};
}

bool json_path_find(const struct json_path *p, const char *text, const struct json_tape *tape, json_path_fn fn,
                    void *arg, struct buf *scratch) {
    struct level levels[JSON_MAX_DEPTH + 1];
    unsigned depth = 0;
    const states found = (states)1 << p->count;
    if (!tape->count)
        return false;
    states set = past_deep(p, 1);
    if (set & found && fn(tape, 0, arg))
        return true;
    levels[0] = level_of(&tape->nodes[0], set);
    for (uint32_t at = 1;;) {
        while (at >= levels[depth].end) {
            if (depth == 0)
                return false;
            depth--;
        }
        struct level *up = &levels[depth];
        const struct json_node *n = &tape->nodes[at];
        states here = enter(p, up->set, text, n, up->element, scratch);
        if (up->element != NO_ELEMENT)
            up->element++;
        if (here & found && fn(tape, at, arg))
            return true;
        if (here & (found - 1) && n->next > at + 1 && depth < JSON_MAX_DEPTH) {
            levels[++depth] = level_of(n, here);
            at++;
        } else {
            at = n->next;
        }
    }
}
