/* JSON against JSON, value by value. */
#include <stdlib.h>
#include <string.h>

#include "replay/compare_names.h"
#include "replay/compare_private.h"

static size_t size_of(const struct json_node *n) {
    return n->end - n->begin;
}

static char *excerpt_node(const struct json_doc *doc, uint32_t at) {
    const struct json_node *n = &doc->tape.nodes[at];
    return excerpt_json(doc->text + n->begin, size_of(n));
}

/* ---- differences ---- */

static uint64_t nodes_below(const struct json_doc *doc, uint32_t at) {
    return doc->tape.nodes[at].next - at;
}

void add_missing_node(struct compare_run *run, const struct json_doc *expected, uint32_t e) {
    if (run->counting)
        run->weight += run_ignored(run) ? 0 : nodes_below(expected, e);
    else
        run_add(run, MISSING_VALUE, excerpt_node(expected, e), NULL);
}

void add_extra_node(struct compare_run *run, const struct json_doc *got, uint32_t g) {
    if (run->counting)
        run->weight += run_ignored(run) ? 0 : nodes_below(got, g);
    else
        run_add(run, EXTRA_VALUE, NULL, excerpt_node(got, g));
}

/* Long ones are shown where they differ. */
static void add_different_strings(struct compare_run *run, const struct json_doc *expected, uint32_t e,
                                  const struct json_doc *got, uint32_t g) {
    const struct json_node *x = &expected->tape.nodes[e], *y = &got->tape.nodes[g];
    const char *a = expected->text + x->begin, *b = got->text + y->begin;
    size_t at = first_difference(a, size_of(x), b, size_of(y));
    run_add(run, DIFFERENT_VALUE, excerpt_around(a, size_of(x), at), excerpt_around(b, size_of(y), at));
}

static void add_different(struct compare_run *run, enum difference_kind kind, const struct json_doc *expected,
                          uint32_t e, const struct json_doc *got, uint32_t g) {
    if (run->counting)
        run->weight += run_ignored(run) ? 0 : MAX(nodes_below(expected, e), nodes_below(got, g));
    else if (expected->tape.nodes[e].kind == JSON_STRING && got->tape.nodes[g].kind == JSON_STRING)
        add_different_strings(run, expected, e, got, g);
    else
        run_add(run, kind, excerpt_node(expected, e), excerpt_node(got, g));
}

/* ---- strings, and JSON in them ---- */

const char *string_text(const struct json_doc *doc, const struct json_node *n, struct buf *scratch, size_t *len) {
    const char *raw = doc->text + n->begin + 1;
    *len = size_of(n) - 2;
    if (!n->escaped)
        return raw;
    buf_reset(scratch);
    json_unescape(scratch, raw, *len);
    *len = scratch->len;
    return buf_cstr(scratch);
}

static bool may_be_json(const char *s, size_t len) {
    size_t i = 0;
    while (i < len && (s[i] == ' ' || s[i] == '\t' || s[i] == '\n' || s[i] == '\r'))
        i++;
    return i < len && (s[i] == '{' || s[i] == '[');
}

static bool compare_json_texts(struct compare_run *run, const char *expected, size_t expected_len, const char *got,
                               size_t got_len);

/* Copies, because parsing goes on below with the same working memory, and wants a NUL behind the text. */
static bool compare_nested(struct compare_run *run, const char *e, size_t e_len, const char *g, size_t g_len) {
    struct buf expected = BUF_INIT, got = BUF_INIT;
    bool done = false;
    if (run->nested == STRUCTURE_NESTED_MAX || !may_be_json(e, e_len) || !may_be_json(g, g_len))
        return false;
    buf_append(&expected, e, e_len);
    buf_append(&got, g, g_len);
    const char *e_text = buf_cstr(&expected), *g_text = buf_cstr(&got);
    if (expected.failed || got.failed) {
        run->rc = MF_ENOMEM;
    } else {
        size_t up = run_down(run, "@json");
        run->nested++;
        done = compare_json_texts(run, e_text, e_len, g_text, g_len);
        run->nested--;
        run_up(run, up);
    }
    buf_fini(&expected);
    buf_fini(&got);
    return done;
}

static void compare_strings(struct compare_run *run, const struct json_doc *expected, uint32_t e,
                            const struct json_doc *got, uint32_t g) {
    size_t e_len, g_len;
    const char *e_text = string_text(expected, &expected->tape.nodes[e], &run->one, &e_len);
    const char *g_text = string_text(got, &got->tape.nodes[g], &run->two, &g_len);
    if ((e_len == g_len && !memcmp(e_text, g_text, e_len)) || compare_nested(run, e_text, e_len, g_text, g_len))
        return;
    if (!run->o->types_only && !run_free(run))
        add_different(run, DIFFERENT_VALUE, expected, e, got, g);
}

/* ---- objects ---- */

/* Goes down to a member and returns the way back. */
static size_t down_to_member(struct compare_run *run, const struct json_doc *doc, uint32_t at) {
    const struct json_node *n = &doc->tape.nodes[at];
    if (!n->key_escaped)
        return run_down_name(run, doc->text + n->key, n->key_len);
    buf_reset(&run->one);
    json_unescape(&run->one, doc->text + n->key, n->key_len);
    return run_down_name(run, buf_cstr(&run->one), run->one.len);
}

static void compare_objects(struct compare_run *run, const struct json_doc *expected, uint32_t e,
                            const struct json_doc *got, uint32_t g) {
    struct member_names mine, theirs = {0};
    if (member_names_init(&mine, expected, e) < 0 || member_names_init(&theirs, got, g) < 0)
        run->rc = MF_ENOMEM;
    const struct json_node *nodes = expected->tape.nodes;
    for (uint32_t at = e + 1; at < nodes[e].next && run->rc == MF_OK; at = nodes[at].next) {
        if (member_names_find(&mine, expected, at) != at)
            continue; /* the name comes again: the last counts */
        uint32_t other = member_names_find(&theirs, expected, at);
        size_t up = down_to_member(run, expected, at);
        if (other == JSON_NO_NODE)
            add_missing_node(run, expected, at);
        else
            compare_nodes(run, expected, at, got, other);
        run_up(run, up);
    }
    nodes = got->tape.nodes;
    for (uint32_t at = g + 1; at < nodes[g].next && run->rc == MF_OK && !run->o->allow_extra; at = nodes[at].next) {
        if (member_names_find(&mine, got, at) != JSON_NO_NODE || member_names_find(&theirs, got, at) != at)
            continue;
        size_t up = down_to_member(run, got, at);
        add_extra_node(run, got, at);
        run_up(run, up);
    }
    member_names_fini(&mine);
    member_names_fini(&theirs);
}

/* ---- values ---- */

/* Kinds as a reader of JSON knows them. */
static enum json_kind kind_of(const struct json_node *n) {
    if (n->kind == JSON_FALSE)
        return JSON_TRUE;
    return n->kind == JSON_INTEGER ? JSON_DECIMAL : (enum json_kind)n->kind;
}

static void compare_scalars(struct compare_run *run, const struct json_doc *expected, uint32_t e,
                            const struct json_doc *got, uint32_t g) {
    const struct json_node *x = &expected->tape.nodes[e], *y = &got->tape.nodes[g];
    bool number = kind_of(x) == JSON_DECIMAL;
    if (run->o->types_only ||
        (number && numbers_agree(run->o, expected->text + x->begin, size_of(x), got->text + y->begin, size_of(y))) ||
        run_free(run))
        return;
    add_different(run, DIFFERENT_VALUE, expected, e, got, g);
}

void compare_nodes(struct compare_run *run, const struct json_doc *expected, uint32_t e, const struct json_doc *got,
                   uint32_t g) {
    const struct json_node *x = &expected->tape.nodes[e], *y = &got->tape.nodes[g];
    if (run->counting)
        run->work++;
    if (run->rc < 0 ||
        (size_of(x) == size_of(y) && !memcmp(expected->text + x->begin, got->text + y->begin, size_of(x))))
        return;
    if (kind_of(x) != kind_of(y)) {
        add_different(run, DIFFERENT_TYPE, expected, e, got, g);
        return;
    }
    switch (kind_of(x)) {
    case JSON_OBJECT:
        compare_objects(run, expected, e, got, g);
        break;
    case JSON_ARRAY:
        compare_arrays(run, expected, e, got, g);
        break;
    case JSON_STRING:
        compare_strings(run, expected, e, got, g);
        break;
    default:
        compare_scalars(run, expected, e, got, g);
    }
}

uint8_t count_nodes(struct compare_run *run, const struct json_doc *expected, uint32_t e, const struct json_doc *got,
                    uint32_t g) {
    bool counting = run->counting;
    uint64_t weight = run->weight, all = MAX(nodes_below(expected, e), nodes_below(got, g));
    run->counting = true;
    run->weight = 0;
    compare_nodes(run, expected, e, got, g);
    uint64_t found = run->weight * UINT8_MAX / all;
    if (run->weight && !found)
        found = 1;
    run->counting = counting;
    run->weight = weight;
    return (uint8_t)MIN(found, (uint64_t)UINT8_MAX);
}

/* One of them is not JSON: false; nothing was compared. */
static bool compare_json_texts(struct compare_run *run, const char *expected, size_t expected_len, const char *got,
                               size_t got_len) {
    struct json_doc e = {.text = expected, .tape = {.max = COMPARE_NODES_MAX}};
    struct json_doc g = {.text = got, .tape = {.max = COMPARE_NODES_MAX}};
    size_t at;
    int rc = json_tape_parse(&e.tape, expected, expected_len, &at);
    if (rc == MF_OK)
        rc = json_tape_parse(&g.tape, got, got_len, &at);
    if (rc == MF_OK)
        compare_nodes(run, &e, 0, &g, 0);
    else if (rc == MF_ENOMEM)
        run->rc = rc;
    json_tape_fini(&e.tape);
    json_tape_fini(&g.tape);
    return rc == MF_OK || rc == MF_ENOMEM;
}

/* ---- several JSON texts in one message ---- */

/* White space and control characters may stand between them and behind the last (structure.h). */
static size_t skip_controls(const char *text, size_t len, size_t at) {
    while (at < len && ((uint8_t)text[at] <= ' ' || text[at] == 0x7f))
        at++;
    return at;
}

struct records {
    const char *text;
    size_t len, at;
    struct json_doc doc; /* the one that was read last */
};

/* 1: the next one is in r->doc; 0: there is none; MF_EINVAL: something else is there. */
static int next_record(struct records *r) {
    size_t error_at;
    r->at = skip_controls(r->text, r->len, r->at);
    if (r->at == r->len)
        return 0;
    r->doc.text = r->text + r->at;
    int rc = json_tape_parse(&r->doc.tape, r->doc.text, r->len - r->at, &error_at);
    bool whole = r->doc.tape.count && r->doc.tape.nodes[0].end;
    if (rc < 0 && (rc != MF_EINVAL || !whole))
        return rc;
    r->at += r->doc.tape.nodes[0].end;
    return 1;
}

static void compare_record(struct compare_run *run, uint32_t index, int e_rc, const struct records *e, int g_rc,
                           const struct records *g) {
    size_t up = run->path.len;
    if (index)
        buf_printf(&run->path, "@record/%u", index);
    if (e_rc && g_rc)
        compare_nodes(run, &e->doc, 0, &g->doc, 0);
    else if (e_rc)
        add_missing_node(run, &e->doc, 0);
    else
        add_extra_node(run, &g->doc, 0);
    run_up(run, up);
}

bool compare_records(struct compare_run *run, const char *expected, size_t expected_len, const char *got,
                     size_t got_len) {
    struct records e = {.text = expected, .len = expected_len, .doc.tape.max = COMPARE_NODES_MAX};
    struct records g = {.text = got, .len = got_len, .doc.tape.max = COMPARE_NODES_MAX};
    int x = 1, y = 1;
    for (uint32_t i = 0; x >= 0 && y >= 0 && run->rc == MF_OK; i++) {
        x = x ? next_record(&e) : 0;
        y = y ? next_record(&g) : 0;
        if (!x && !y)
            break;
        if (x >= 0 && y >= 0)
            compare_record(run, i, x, &e, y, &g);
    }
    if (x == MF_ENOMEM || y == MF_ENOMEM)
        run->rc = MF_ENOMEM;
    json_tape_fini(&e.doc.tape);
    json_tape_fini(&g.doc.tape);
    return (x >= 0 && y >= 0) || run->rc < 0;
}
