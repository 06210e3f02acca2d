/* A value of the configuration becomes a tree of conditions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/near.h"
#include "match/condition.h"

/* Is the value in the whole message's place, where texts are about the raw text? */
enum place { IN_JSON, IN_WHOLE };

static int compile(const struct config_value *v, enum place place, struct condition *out, struct err *err);

static int no_memory(struct err *err) {
    return err_set(err, MF_ENOMEM, "out of memory");
}

/* What a value is, in an error. */
static const char *kind_of(const struct config_value *v) {
    if (v->kind != CONFIG_SCALAR)
        return v->kind == CONFIG_LIST ? "a list" : "a mapping";
    switch (config_scalar_type(v)) {
    case CONFIG_NULL:
        return *v->text ? "null" : "nothing";
    case CONFIG_BOOLEAN:
        return "a truth value";
    case CONFIG_INTEGER:
    case CONFIG_REAL:
        return "a number";
    case CONFIG_STRING:
        break;
    }
    return "a text";
}

static int expected(const struct config_value *v, const char *name, const char *what, struct err *err) {
    return err_set_at(err, MF_EINVAL, NULL, v->line, v->column, "%s: expected %s, found %s", name, what, kind_of(v));
}

static int copy_text(const char *text, struct condition *out, struct err *err) {
    out->text = strdup(text);
    out->len = strlen(text);
    return out->text ? MF_OK : no_memory(err);
}

/* ---- plain places ---- */

static int compile_text(const struct config_value *v, struct condition *out, struct err *err) {
    const char *why;
    char *literal = NULL;
    if (!strcmp(v->text, "*")) {
        out->kind = CONDITION_PRESENT;
        return MF_OK;
    }
    int rc = glob_compile(v->text, &out->glob, &why);
    if (rc == MF_EINVAL)
        return err_set_at(err, rc, NULL, v->line, v->column, "%s", why);
    if (rc < 0)
        return no_memory(err);
    out->kind = CONDITION_GLOB;
    if (!glob_is_literal(out->glob, &literal))
        return copy_text(v->text, out, err);
    out->kind = CONDITION_TEXT;
    out->text = literal;
    out->len = literal ? strlen(literal) : 0;
    glob_free(out->glob);
    out->glob = NULL;
    return literal ? MF_OK : no_memory(err);
}

static int compile_scalar(const struct config_value *v, enum place place, struct condition *out, struct err *err) {
    switch (config_scalar_type(v)) {
    case CONFIG_NULL:
        if (place == IN_WHOLE) /* `match:` with nothing behind it is a slip */
            return err_set_at(
                err, MF_EINVAL, NULL, v->line, v->column,
                "expected what the message must be like, found %s ({$json: null} is a message that is null)",
                kind_of(v));
        out->kind = CONDITION_WORD;
        out->word = JSON_NULL;
        return MF_OK;
    case CONFIG_BOOLEAN:
        out->kind = CONDITION_WORD;
        out->word = *v->text == 't' || *v->text == 'T' ? JSON_TRUE : JSON_FALSE;
        return MF_OK;
    case CONFIG_INTEGER:
    case CONFIG_REAL:
        out->kind = CONDITION_NUMBER;
        return copy_text(v->text, out, err);
    case CONFIG_STRING:
        break;
    }
    return compile_text(v, out, err);
}

/* Each child of a mapping or a list becomes one of out's. */
static int make_children(const struct config_value *v, struct condition *out, struct err *err) {
    out->children = calloc(MAX(v->count, 1), sizeof *out->children);
    if (!out->children)
        return no_memory(err);
    out->count = v->count;
    return MF_OK;
}

static int compile_list(const struct config_value *v, enum place place, struct condition *out, struct err *err) {
    int rc = make_children(v, out, err);
    size_t i = 0;
    for (const struct config_value *child = v->first; child && rc == MF_OK; child = child->next)
        rc = compile(child, place, &out->children[i++], err);
    return rc;
}

static int compile_members(const struct config_value *v, struct condition *out, struct err *err) {
    int rc = make_children(v, out, err);
    struct condition *m = out->children;
    out->kind = CONDITION_OBJECT;
    for (const struct config_value *child = v->first; child && rc == MF_OK; child = child->next, m++) {
        const char *name = child->key + (*child->key == '$'); /* "$$name" is the member "$name" */
        m->name = strdup(name);
        m->name_len = strlen(name);
        rc = m->name ? compile(child, IN_JSON, m, err) : no_memory(err);
    }
    return rc;
}

/* ---- operators ---- */

struct operation {
    const char *name;
    int (*compile)(const struct operation *op, const struct config_value *v, enum place place, struct condition *out,
                   struct err *err);
    bool in_json, in_whole; /* where it may stand */
    enum comparison comparison;
};

static int compile_regex(const struct operation *op, const struct config_value *v, enum place place,
                         struct condition *out, struct err *err) {
    (void)place;
    out->kind = CONDITION_REGEX;
    if (v->kind != CONFIG_SCALAR || config_scalar_type(v) == CONFIG_NULL)
        return expected(v, op->name, "a regular expression", err);
    int rc = regex_compile(v->text, &out->regex, err);
    if (rc == MF_OK)
        return copy_text(v->text, out, err);
    err_prefix(err, "%s", op->name);
    err_at(err, NULL, v->line, v->column);
    return rc;
}

static int compile_exists(const struct operation *op, const struct config_value *v, enum place place,
                          struct condition *out, struct err *err) {
    (void)place;
    out->kind = CONDITION_EXISTS;
    if (v->kind != CONFIG_SCALAR || config_scalar_type(v) != CONFIG_BOOLEAN)
        return expected(v, op->name, "true or false", err);
    out->wanted = *v->text == 't' || *v->text == 'T';
    return MF_OK;
}

static int compile_in(const struct operation *op, const struct config_value *v, enum place place, struct condition *out,
                      struct err *err) {
    out->kind = CONDITION_IN;
    if (v->kind != CONFIG_LIST)
        return expected(v, op->name, "a list of values", err);
    if (v->count == 0)
        return err_set_at(err, MF_EINVAL, NULL, v->line, v->column, "%s: expected at least one value in the list",
                          op->name);
    return compile_list(v, place, out, err);
}

static int compile_comparison(const struct operation *op, const struct config_value *v, enum place place,
                              struct condition *out, struct err *err) {
    (void)place;
    out->kind = CONDITION_COMPARE;
    out->comparison = op->comparison;
    enum config_scalar_type type = v->kind == CONFIG_SCALAR ? config_scalar_type(v) : CONFIG_NULL;
    if (type == CONFIG_NULL || type == CONFIG_BOOLEAN)
        return expected(v, op->name, "a number or a text", err);
    out->number = type != CONFIG_STRING;
    return copy_text(v->text, out, err);
}

static int compile_child(const struct config_value *v, enum place place, enum condition_kind kind,
                         struct condition *out, struct err *err) {
    out->kind = kind;
    out->children = calloc(1, sizeof *out->children);
    if (!out->children)
        return no_memory(err);
    out->count = 1;
    return compile(v, place, out->children, err);
}

static int compile_not(const struct operation *op, const struct config_value *v, enum place place,
                       struct condition *out, struct err *err) {
    (void)op;
    return compile_child(v, place, CONDITION_NOT, out, err);
}

static int compile_json(const struct operation *op, const struct config_value *v, enum place place,
                        struct condition *out, struct err *err) {
    (void)op;
    (void)place;
    return compile_child(v, IN_JSON, CONDITION_JSON, out, err);
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int compile_hex(const struct operation *op, const struct config_value *v, enum place place,
                       struct condition *out, struct err *err) {
    (void)place;
    out->kind = CONDITION_HEX;
    if (v->kind != CONFIG_SCALAR || config_scalar_type(v) == CONFIG_NULL)
        return expected(v, op->name, "bytes in hexadecimal", err);
    out->text = malloc(strlen(v->text) / 2 + 1);
    if (!out->text)
        return no_memory(err);
    const char *p = v->text;
    for (; *p && *p != '*'; p += 2) {
        while (*p == ' ')
            p++;
        int high = hex_digit(p[0]), low = high < 0 ? -1 : hex_digit(p[1]);
        if (low < 0)
            break;
        out->text[out->len++] = (char)(high << 4 | low);
    }
    out->prefix = *p == '*';
    p += out->prefix;
    if (*p)
        return err_set_at(
            err, MF_EINVAL, NULL, v->line, v->column,
            "%s: expected pairs of hexadecimal digits, and \"*\" at the end for the rest, found \"%.20s\"", op->name,
            p);
    return MF_OK;
}

static const struct operation operations[] = {
    {"$regex", compile_regex, true, true, 0},
    {"$exists", compile_exists, true, false, 0},
    {"$in", compile_in, true, true, 0},
    {"$gt", compile_comparison, true, true, COMPARE_GT},
    {"$gte", compile_comparison, true, true, COMPARE_GTE},
    {"$lt", compile_comparison, true, true, COMPARE_LT},
    {"$lte", compile_comparison, true, true, COMPARE_LTE},
    {"$not", compile_not, true, true, 0},
    {"$hex", compile_hex, false, true, 0},
    {"$json", compile_json, false, true, 0},
};

static bool may_stand(const struct operation *op, enum place place) {
    return place == IN_WHOLE ? op->in_whole : op->in_json;
}

static int unknown_operator(const struct config_value *v, enum place place, struct err *err) {
    struct near near = near_to(v->key);
    struct buf known = BUF_INIT;
    for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
        if (!may_stand(&operations[i], place))
            continue;
        near_try(&near, operations[i].name);
        buf_printf(&known, "%s%s", known.len ? ", " : "", operations[i].name);
    }
    int rc = err_set_at(err, MF_EINVAL, NULL, v->line, v->column,
                        "unknown operator \"%.60s\"; %s%s%shere are %s (a member of that name is written \"$%.60s\")",
                        v->key, near.best ? "did you mean \"" : "", near.best ? near.best : "",
                        near.best ? "\"? T" : "t", buf_cstr(&known), v->key);
    buf_fini(&known);
    return rc;
}

/* One that is known, but means nothing there. */
static int misplaced_operator(const struct operation *op, const struct config_value *v, struct err *err) {
    return err_set_at(err, MF_EINVAL, NULL, v->line, v->column,
                      op->in_whole ? "%s is about the whole message: it cannot stand within one"
                                   : "%s is about a member: the whole message is always there",
                      op->name);
}

static int compile_operator(const struct config_value *v, enum place place, struct condition *out, struct err *err) {
    for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
        const struct operation *op = &operations[i];
        if (strcmp(op->name, v->key) != 0)
            continue;
        return may_stand(op, place) ? op->compile(op, v, place, out, err) : misplaced_operator(op, v, err);
    }
    return unknown_operator(v, place, err);
}

static int compile_operators(const struct config_value *v, enum place place, struct condition *out, struct err *err) {
    if (v->count == 1)
        return compile_operator(v->first, place, out, err);
    out->kind = CONDITION_ALL;
    int rc = make_children(v, out, err);
    size_t i = 0;
    for (const struct config_value *child = v->first; child && rc == MF_OK; child = child->next)
        rc = compile_operator(child, place, &out->children[i++], err);
    return rc;
}

/* ---- any value ---- */

static bool is_operator(const struct config_value *v) {
    return v->key[0] == '$' && v->key[1] != '$';
}

static int compile_map(const struct config_value *v, enum place place, struct condition *out, struct err *err) {
    for (const struct config_value *child = v->first; child; child = child->next) {
        if (is_operator(child) == is_operator(v->first))
            continue;
        const struct config_value *op = is_operator(child) ? child : v->first;
        const struct config_value *member = op == child ? v->first : child;
        return err_set_at(
            err, MF_EINVAL, NULL, child->line, child->column,
            "\"%.60s\" is an operator and \"%.60s\" a member: a mapping holds one or the other (a member of "
            "that name is written \"$%.60s\")",
            op->key, member->key, op->key);
    }
    return v->first && is_operator(v->first) ? compile_operators(v, place, out, err) : compile_members(v, out, err);
}

static int compile(const struct config_value *v, enum place place, struct condition *out, struct err *err) {
    switch (v->kind) {
    case CONFIG_SCALAR:
        return compile_scalar(v, place, out, err);
    case CONFIG_LIST:
        out->kind = CONDITION_ARRAY;
        return compile_list(v, IN_JSON, out, err);
    case CONFIG_MAP:
        break;
    }
    return compile_map(v, place, out, err);
}

static void condition_fini(struct condition *c) {
    for (size_t i = 0; i < c->count; i++)
        condition_fini(&c->children[i]);
    free(c->children);
    free(c->name);
    free(c->text);
    glob_free(c->glob);
    regex_free(c->regex);
}

int matcher_compile(const struct config_value *value, struct matcher **out, struct err *err) {
    struct matcher *m = calloc(1, sizeof *m);
    *out = NULL;
    if (!m)
        return no_memory(err);
    int rc = compile(value, IN_WHOLE, &m->root, err);
    if (rc == MF_OK)
        *out = m;
    else
        matcher_free(m);
    return rc;
}

void matcher_free(struct matcher *m) {
    if (!m)
        return;
    condition_fini(&m->root);
    free(m);
}
