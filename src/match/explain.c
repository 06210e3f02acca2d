/* Why a message does not match: all conditions are asked, and the first that does not hold is put into words. */
#include <stdio.h>

#include "match/condition.h"
#include "protocol/text.h"

/* In bytes of the explanation; "…" stands for what is cut off. */
#define VALUE_MAX 40
#define EXPECTED_MAX 80
#define PATH_MAX_SHOWN 60

struct explanation {
    struct look look;
    struct buf path; /* "user.tags.0" */
    struct match_miss *out;
    bool told;
};

/* ---- values ---- */

/* The length at or below max at which no character is cut in two. */
static size_t cut(const char *s, size_t len, size_t max) {
    if (len <= max)
        return len;
    while (max && ((unsigned char)s[max] & 0xc0) == 0x80)
        max--;
    return max;
}

static void put_text(struct buf *out, const char *s, size_t len) {
    size_t n = cut(s, len, VALUE_MAX);
    json_quote(out, s, n);
    if (n < len && !out->failed) {
        out->len--; /* its closing quote */
        buf_puts(out, "…\"");
    }
}

static void put_raw(struct buf *out, const char *s, size_t len) {
    size_t n = cut(s, len, VALUE_MAX);
    buf_append(out, s, n);
    if (n < len)
        buf_puts(out, "…");
}

static void put_bytes(struct buf *out, const char *s, size_t len) {
    buf_puts(out, len ? "bytes " : "no bytes");
    for (size_t i = 0; i < len && i < VALUE_MAX / 2; i++)
        buf_printf(out, "%02x", (unsigned char)s[i]);
    if (len > VALUE_MAX / 2)
        buf_puts(out, "…");
}

/* What a condition that wants JSON (or not) finds at that place. */
static void put_found(struct look *l, uint32_t at, bool json, struct buf *out) {
    const char *s;
    size_t len;
    if (at == WHOLE_MESSAGE && l->in->binary) {
        put_bytes(out, l->in->data, l->in->len);
        return;
    }
    const struct json_node *n = at == WHOLE_MESSAGE && !json ? NULL : look_node(l, at);
    if (n && n->kind == JSON_OBJECT)
        buf_puts(out, "an object");
    else if (n && n->kind == JSON_ARRAY)
        buf_puts(out, "an array");
    else if (n && n->kind != JSON_STRING)
        put_raw(out, l->in->data + n->begin, n->end - n->begin);
    else if (look_text(l, n ? (uint32_t)(n - l->tape->nodes) : at, &s, &len))
        put_text(out, s, len);
}

/* ---- conditions ---- */

static void put_condition(const struct condition *c, bool whole, struct buf *out);

static void put_list(const struct condition *c, bool whole, const char *between, struct buf *out) {
    for (size_t i = 0; i < c->count && out->len <= EXPECTED_MAX; i++) { /* what is beyond is cut off anyway */
        if (i)
            buf_puts(out, between);
        if (c->children[i].name) {
            json_escape(out, c->children[i].name, c->children[i].name_len);
            buf_puts(out, ": ");
        }
        put_condition(&c->children[i], whole, out);
    }
}

static void put_comparison(const struct condition *c, bool whole, struct buf *out) {
    static const char *const signs[] = {
        [COMPARE_GT] = ">", [COMPARE_GTE] = ">=", [COMPARE_LT] = "<", [COMPARE_LTE] = "<="};
    buf_printf(out, "%s %s ", c->number ? "a number" : whole ? "a text" : "a string", signs[c->comparison]);
    if (c->number)
        put_raw(out, c->text, c->len);
    else
        put_text(out, c->text, c->len);
}

/* "expected …" of a condition; whole: where the whole message stands. */
static void put_condition(const struct condition *c, bool whole, struct buf *out) {
    switch (c->kind) {
    case CONDITION_PRESENT:
        buf_puts(out, whole ? "a text" : "a value");
        break;
    case CONDITION_TEXT:
        put_text(out, c->text, c->len);
        break;
    case CONDITION_GLOB:
    case CONDITION_REGEX:
        buf_puts(out, whole ? "a text" : "a string");
        buf_puts(out, c->kind == CONDITION_GLOB ? " like " : " that matches ");
        put_text(out, c->text, c->len);
        break;
    case CONDITION_NUMBER:
        put_raw(out, c->text, c->len);
        break;
    case CONDITION_WORD:
        buf_puts(out, c->word == JSON_NULL ? "null" : c->word == JSON_TRUE ? "true" : "false");
        break;
    case CONDITION_OBJECT:
        buf_puts(out, "{");
        put_list(c, false, ", ", out);
        buf_puts(out, "}");
        break;
    case CONDITION_ARRAY:
        buf_puts(out, "[");
        put_list(c, false, ", ", out);
        buf_puts(out, "]");
        break;
    case CONDITION_ALL:
        put_list(c, whole, " and ", out);
        break;
    case CONDITION_EXISTS:
        buf_puts(out, c->wanted ? "a value" : "no value");
        break;
    case CONDITION_IN:
        buf_puts(out, c->count > 1 ? "one of " : "");
        put_list(c, whole, ", ", out);
        break;
    case CONDITION_COMPARE:
        put_comparison(c, whole, out);
        break;
    case CONDITION_NOT:
        buf_puts(out, "anything but ");
        put_condition(c->children, whole, out);
        break;
    case CONDITION_HEX:
        if (c->len || !c->prefix)
            put_bytes(out, c->text, c->len);
        buf_puts(out, !c->prefix ? "" : c->len ? " and more" : "any bytes");
        break;
    case CONDITION_JSON:
        put_condition(c->children, false, out);
        break;
    }
}

/* ---- telling ---- */

static void append_cut(struct buf *out, struct buf *piece, size_t max) {
    size_t n = cut(buf_cstr(piece), piece->len, max);
    buf_append(out, piece->data, n);
    if (n < piece->len)
        buf_puts(out, "…");
}

/* Whether a condition wants JSON, text or bytes where the whole message stands: NULL when it may be any. */
static const char *wanted_kind(const struct condition *c) {
    switch (c->kind) {
    case CONDITION_NUMBER:
    case CONDITION_WORD:
    case CONDITION_OBJECT:
    case CONDITION_ARRAY:
    case CONDITION_JSON:
        return "JSON";
    case CONDITION_COMPARE:
        return c->number ? "JSON" : "text";
    case CONDITION_PRESENT:
    case CONDITION_TEXT:
    case CONDITION_GLOB:
    case CONDITION_REGEX:
        return "text";
    case CONDITION_HEX:
        return "binary";
    default:
        return NULL;
    }
}

static bool is_of_kind(const struct look *l, const char *kind) {
    if (!strcmp(kind, "JSON"))
        return l->tape != NULL;
    return l->in->binary == !strcmp(kind, "binary");
}

static void finish(struct explanation *e, struct buf *text) {
    size_t size = sizeof e->out->text;
    const char *s = buf_cstr(text);
    size_t n = text->len;
    if (n >= size) {
        n = cut(s, n, size - sizeof "…");
        memcpy(e->out->text + n, "…", sizeof "…");
    } else {
        e->out->text[n] = '\0';
    }
    memcpy(e->out->text, s, n);
    e->told = true;
}

/* The first that fails is told. `expected`: instead of the condition's own words; `found` likewise, or NULL. */
static void tell(struct explanation *e, const struct condition *c, uint32_t at, const char *expected,
                 const char *found) {
    if (e->told)
        return;
    struct buf text = BUF_INIT, piece = BUF_INIT;
    const char *kind = at == WHOLE_MESSAGE ? wanted_kind(c) : NULL;
    append_cut(&text, &e->path, PATH_MAX_SHOWN);
    buf_puts(&text, e->path.len ? ": expected " : "expected ");
    if (kind && !is_of_kind(&e->look, kind)) {
        expected = kind;
        found = e->look.in->binary ? "binary" : "text";
    }
    if (expected)
        buf_puts(&piece, expected);
    else
        put_condition(c, at == WHOLE_MESSAGE, &piece);
    append_cut(&text, &piece, EXPECTED_MAX);
    buf_puts(&text, at == JSON_NO_NODE ? ", missing" : ", found ");
    if (found)
        buf_puts(&text, found);
    else if (at != JSON_NO_NODE)
        put_found(&e->look, at, kind && !strcmp(kind, "JSON"), &text);
    finish(e, &text);
    buf_fini(&text);
    buf_fini(&piece);
}

/* ---- walking ---- */

static void walk(struct explanation *e, const struct condition *c, uint32_t at);

/* The path is longer by a name while its condition is looked at. */
static void walk_into(struct explanation *e, const struct condition *c, const char *name, size_t len, uint32_t at) {
    size_t before = e->path.len;
    if (before)
        buf_putc(&e->path, '.');
    json_escape(&e->path, name, len);
    walk(e, c, at);
    e->path.len = before;
}

static void walk_object(struct explanation *e, const struct condition *c, uint32_t at) {
    struct look *l = &e->look;
    const struct json_node *n = look_node(l, at);
    if (!n || n->kind != JSON_OBJECT) {
        tell(e, c, at, "an object", NULL);
        return;
    }
    uint32_t object = (uint32_t)(n - l->tape->nodes);
    e->out->held++;
    for (size_t i = 0; i < c->count; i++) {
        const struct condition *m = &c->children[i];
        uint32_t member = json_member(l->tape, l->in->data, object, m->name, m->name_len, &l->scratch);
        walk_into(e, m, m->name, m->name_len, member);
    }
}

static void walk_array(struct explanation *e, const struct condition *c, uint32_t at) {
    const struct json_node *n = look_node(&e->look, at);
    if (!n || n->kind != JSON_ARRAY) {
        tell(e, c, at, "an array", NULL);
        return;
    }
    uint32_t element = (uint32_t)(n - e->look.tape->nodes) + 1, count = n->count;
    char name[24], found[24];
    if (count == c->count) {
        e->out->held++;
    } else {
        snprintf(name, sizeof name, "%zu element%s", c->count, c->count == 1 ? "" : "s");
        snprintf(found, sizeof found, "%u", count);
        tell(e, c, at, name, found);
    }
    for (size_t i = 0; i < c->count && i < count; i++) {
        int len = snprintf(name, sizeof name, "%zu", i);
        walk_into(e, &c->children[i], name, (size_t)len, element);
        element = e->look.tape->nodes[element].next;
    }
}

static void walk(struct explanation *e, const struct condition *c, uint32_t at) {
    switch (c->kind) {
    case CONDITION_OBJECT:
        walk_object(e, c, at);
        break;
    case CONDITION_ARRAY:
        walk_array(e, c, at);
        break;
    case CONDITION_ALL:
        for (size_t i = 0; i < c->count; i++)
            walk(e, &c->children[i], at);
        break;
    case CONDITION_JSON:
        if (e->look.tape)
            walk(e, c->children, 0);
        else
            tell(e, c, at, NULL, NULL);
        break;
    default:
        if (condition_holds(&e->look, c, at))
            e->out->held++;
        else
            tell(e, c, at, NULL, NULL);
    }
}

void matcher_explain(const struct matcher *m, const struct match_input *in, struct match_miss *out) {
    struct explanation e = {.out = out};
    out->held = 0;
    out->text[0] = '\0';
    look_init(&e.look, in);
    walk(&e, &m->root, WHOLE_MESSAGE);
    buf_fini(&e.look.scratch);
    buf_fini(&e.path);
}
