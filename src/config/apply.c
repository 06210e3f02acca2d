#include "config/apply.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "config/config_value.h"
#include "config/value.h"

static void *field_at(const struct option *row, void *at) {
    return (char *)at + row->offset;
}

static size_t *count_at(const struct option *row, void *at) {
    return (size_t *)(void *)((char *)at + row->count_offset);
}

/* ---- errors ---------------------------------------------------------------------------------------------------- */

static int MF_PRINTF(5, 0) fail_v(const struct apply *ctx, const struct yaml_node *node, bool at_key, const char *key,
                                  const char *fmt, va_list ap) {
    char what[sizeof ctx->err->text];
    vsnprintf(what, sizeof what, fmt, ap);
    const char *dot = key && *ctx->path ? "." : "", *colon = key || *ctx->path ? ": " : "";
    key = key ? key : "";
    switch (node->source) {
    case YAML_FROM_ENVIRONMENT:
        return err_set_at(ctx->err, MF_EINVAL, "environment", 0, 0, "%s: %s", node->variable, what);
    case YAML_FROM_COMMAND_LINE:
        return err_set_at(ctx->err, MF_EINVAL, "command line", 0, 0, "%s%s%s%s%s", ctx->path, dot, key, colon, what);
    default:
        return err_set_at(ctx->err, MF_EINVAL, ctx->file, at_key ? node->key_line : node->line,
                          at_key ? node->key_column : node->column, "%s%s%s%s%s", ctx->path, dot, key, colon, what);
    }
}

int apply_fail(const struct apply *ctx, const struct yaml_node *node, const char *key, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    int rc = fail_v(ctx, node, false, key, fmt, ap);
    va_end(ap);
    return rc;
}

/* The place is the key's, for what is wrong with the key itself. */
static int MF_PRINTF(3, 4) fail_key(const struct apply *ctx, const struct yaml_node *node, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    int rc = fail_v(ctx, node, true, node->key, fmt, ap);
    va_end(ap);
    return rc;
}

int apply_no_memory(const struct apply *ctx) {
    return err_set(ctx->err, MF_ENOMEM, "out of memory");
}

static int fail_kind(const struct apply *ctx, const struct option *row, const struct yaml_node *node, const char *key) {
    static const char *const found[] = {"a single value", "a list", "a mapping"};
    char expected[256];
    value_expected(row, expected, sizeof expected);
    if (yaml_is_null(node))
        return apply_fail(ctx, node, key, "expected %s; found nothing", expected);
    return apply_fail(ctx, node, key, "expected %s; found %s", expected, found[node->kind]);
}

/* ---- the path of where we are ----------------------------------------------------------------------------------- */

size_t apply_enter(struct apply *ctx, const char *fmt, ...) {
    size_t before = strlen(ctx->path);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(ctx->path + before, sizeof ctx->path - before, fmt, ap);
    va_end(ap);
    return before;
}

void apply_leave(struct apply *ctx, size_t before) {
    ctx->path[before] = '\0';
}

/* ---- single values ---------------------------------------------------------------------------------------------- */

/* In the file, "8080" is a text and 8080 a number: what YAML says is kept. The environment knows texts only. */
static bool is_quoted(const struct option *row, const struct yaml_node *node) {
    bool text_is_fine = row->kind == OPTION_STRING || row->kind == OPTION_TEXT || row->kind == OPTION_ENUM ||
                        row->kind == OPTION_SIZE || row->kind == OPTION_DURATION;
    return node->source == YAML_FROM_FILE && !node->plain && !text_is_fine;
}

/* A Kubernetes service called "mockforge-ws" puts MOCKFORGE_WS_PORT=tcp://10.0.0.1:8080 into every pod beside it. */
static const char *kubernetes_hint(const struct yaml_node *node) {
    return node->source == YAML_FROM_ENVIRONMENT && !strncmp(node->text, "tcp://", 6)
               ? " (Kubernetes sets this for a service of that name; see enableServiceLinks)"
               : "";
}

static int apply_value(struct apply *ctx, const struct option *row, const struct yaml_node *node, void *at,
                       const char *key);

/* Any shape. What the environment and the command line give is a text: YAML of its own. */
static int apply_any(struct apply *ctx, const struct option *row, const struct yaml_node *node, void *at,
                     const char *key) {
    if (node->source == YAML_FROM_FILE && yaml_is_null(node))
        return fail_kind(ctx, row, node, key);
    struct config_value *v = NULL;
    if (node->source == YAML_FROM_FILE || node->kind != YAML_SCALAR) {
        v = config_value_copy(ctx->arena, node);
    } else {
        struct err err;
        if (config_value_read(ctx->arena, node->text, &v, &err) == MF_EINVAL)
            return apply_fail(ctx, node, key, "as YAML: %s", err.text);
    }
    if (!v)
        return apply_no_memory(ctx);
    /* Else `config print` would not be read again. */
    if (ctx->depth + config_value_depth(v) > YAML_DEPTH_MAX)
        return apply_fail(ctx, node, key, "nested deeper than %d levels", YAML_DEPTH_MAX);
    v->key = NULL;
    *(const struct config_value **)field_at(row, at) = v;
    return 0;
}

/* `{room: lobby}` as the text "room:lobby". */
static int apply_tagged(struct apply *ctx, const struct option *row, const struct yaml_node *node, void *at) {
    const struct yaml_node *only = node->first;
    if (node->count != 1 || only->kind != YAML_SCALAR)
        return fail_kind(ctx, row, node, row->key);
    size_t size = strlen(only->key) + 1 + strlen(only->text) + 1;
    char *text = arena_alloc(ctx->arena, size);
    if (!text)
        return apply_no_memory(ctx);
    snprintf(text, size, "%s:%s", only->key, only->text);
    struct yaml_node joined = *only;
    joined.text = text;
    joined.plain = false;
    return apply_value(ctx, row, &joined, at, row->key);
}

static int apply_value(struct apply *ctx, const struct option *row, const struct yaml_node *node, void *at,
                       const char *key) {
    if (row->kind == OPTION_VALUE)
        return apply_any(ctx, row, node, at, key);
    if (row->tagged && node->kind == YAML_MAP)
        return apply_tagged(ctx, row, node, at);
    if (node->kind != YAML_SCALAR || (yaml_is_null(node) && node->source == YAML_FROM_FILE))
        return fail_kind(ctx, row, node, key);
    char why[VALUE_WHY_SIZE];
    if (is_quoted(row, node)) {
        char expected[256];
        return apply_fail(ctx, node, key, "expected %s; found a text in quotes",
                          value_expected(row, expected, sizeof expected));
    }
    void *field = field_at(row, at);
    int rc = value_store(row, node->text, ctx->arena, field, why);
    if (rc == MF_ENOMEM)
        return apply_no_memory(ctx);
    if (rc)
        return apply_fail(ctx, node, key, "%s%s", why, kubernetes_hint(node));
    if (row->kind == OPTION_TEXT && node->source == YAML_FROM_FILE) {
        ((struct config_text *)field)->line = node->text_line;
        ((struct config_text *)field)->column = node->text_column;
    }
    return 0;
}

/* ---- several values --------------------------------------------------------------------------------------------- */

static int add_string(const struct apply *ctx, const struct option *row, const struct yaml_node *node, const char *text,
                      size_t len, char **items, size_t *count) {
    char *copy = arena_strndup(ctx->arena, text, len);
    if (!copy)
        return apply_no_memory(ctx);
    const char *wrong = row->wrong ? row->wrong(copy) : NULL;
    if (wrong)
        return apply_fail(ctx, node, row->key, "%.100s %s", log_quote_n(copy, strnlen(copy, 80)), wrong);
    items[(*count)++] = copy;
    return 0;
}

/* "a, b,c": how a list looks in a variable or on the command line. */
static int split_strings(const struct apply *ctx, const struct option *row, const struct yaml_node *node, char **items,
                         size_t *count) {
    for (const char *p = node->text; *p;) {
        size_t len = strcspn(p, ",");
        const char *next = p + len + (p[len] == ',');
        for (; len && *p == ' '; len--)
            p++;
        while (len && p[len - 1] == ' ')
            len--;
        int rc = len ? add_string(ctx, row, node, p, len, items, count) : 0;
        if (rc)
            return rc;
        p = next;
    }
    return 0;
}

static int apply_strings(struct apply *ctx, const struct option *row, const struct yaml_node *node, void *at) {
    if (node->kind == YAML_MAP || yaml_is_null(node))
        return fail_kind(ctx, row, node, row->key);
    bool list = node->kind == YAML_LIST, split = !list && node->source != YAML_FROM_FILE;
    size_t most = list ? node->count : 1, count = 0;
    for (const char *p = node->text; split && (p = strchr(p, ',')); p++)
        most++;
    char **items = arena_array(ctx->arena, MAX(most, 1), sizeof *items);
    if (!items)
        return apply_no_memory(ctx);
    int rc = 0;
    if (split)
        rc = split_strings(ctx, row, node, items, &count);
    else if (!list)
        rc = add_string(ctx, row, node, node->text, strlen(node->text), items, &count);
    for (const struct yaml_node *item = list ? node->first : NULL; item && !rc; item = item->next)
        rc = item->kind == YAML_SCALAR ? add_string(ctx, row, item, item->text, strlen(item->text), items, &count)
                                       : fail_kind(ctx, row, item, row->key);
    if (rc)
        return rc;
    *(char ***)field_at(row, at) = items;
    *count_at(row, at) = count;
    return 0;
}

static int apply_header(struct apply *ctx, const struct option *row, const struct yaml_node *node,
                        struct config_header *headers, size_t count) {
    if (node->kind != YAML_SCALAR)
        return apply_fail(ctx, node, node->key, "expected a text");
    const char *wrong = row->wrong(node->key);
    if (wrong)
        return fail_key(ctx, node, "the name %s", wrong);
    if (node->text[strcspn(node->text, "\r\n")])
        return apply_fail(ctx, node, node->key, "a header's value is one line");
    for (size_t i = 0; i < count; i++)
        if (!strcasecmp(headers[i].name, node->key))
            return fail_key(ctx, node, "the same header as \"%s\"; their case does not matter", headers[i].name);
    struct config_header *h = &headers[count];
    h->name = arena_strdup(ctx->arena, node->key);
    h->value.text = arena_strdup(ctx->arena, node->text);
    if (!h->name || !h->value.text)
        return apply_no_memory(ctx);
    if (node->source == YAML_FROM_FILE) {
        h->value.line = node->text_line;
        h->value.column = node->text_column;
    }
    return 0;
}

static int apply_headers(struct apply *ctx, const struct option *row, const struct yaml_node *node, void *at) {
    if (node->kind != YAML_MAP && !yaml_is_null(node))
        return fail_kind(ctx, row, node, row->key);
    if (node->count > (size_t)row->max)
        return apply_fail(ctx, node, row->key, "more than %lld headers", (long long)row->max);
    struct config_header *headers = arena_array(ctx->arena, MAX(node->count, 1), sizeof *headers);
    if (!headers)
        return apply_no_memory(ctx);
    size_t before = apply_enter(ctx, ".%s", row->key), count = 0;
    int rc = 0;
    for (const struct yaml_node *child = node->first; child && !rc; child = child->next)
        rc = apply_header(ctx, row, child, headers, count++);
    apply_leave(ctx, before);
    *(struct config_header **)field_at(row, at) = headers;
    *count_at(row, at) = node->count;
    return rc;
}

static int apply_item(struct apply *ctx, const struct option *row, const struct yaml_node *node, const void *parent,
                      void *item) {
    int rc = apply_defaults(ctx, row->table, item);
    if (!rc && row->table->begin)
        row->table->begin(parent, item);
    return rc ? rc : apply_map(ctx, row->table, node, item);
}

static int apply_items(struct apply *ctx, const struct option *row, const struct yaml_node *list, const void *parent,
                       char *items) {
    size_t i = 0;
    int rc = 0;
    for (const struct yaml_node *child = list->first; child && !rc; child = child->next, i++) {
        size_t before = apply_enter(ctx, "%s%s[%zu]", *ctx->path ? "." : "", row->key, i);
        rc = apply_item(ctx, row, child, parent, items + i * row->item_size);
        apply_leave(ctx, before);
    }
    return rc;
}

static int apply_list(struct apply *ctx, const struct option *row, const struct yaml_node *node, void *at) {
    bool alone = row->single && node->kind == YAML_MAP;
    if (node->kind != YAML_LIST && !alone && !yaml_is_null(node))
        return fail_kind(ctx, row, node, row->key);
    size_t count = alone ? 1 : node->count;
    if (count > (size_t)row->max)
        return apply_fail(ctx, node, row->key, "more than %lld of them", (long long)row->max);
    char *items = arena_array(ctx->arena, MAX(count, 1), row->item_size);
    if (!items)
        return apply_no_memory(ctx);
    *(void **)field_at(row, at) = items;
    *count_at(row, at) = count;
    int levels = row->single && count == 1 ? 1 : 2, rc;
    ctx->depth += levels;
    if (alone) {
        size_t before = apply_enter(ctx, "%s%s", *ctx->path ? "." : "", row->key);
        rc = apply_item(ctx, row, node, at, items);
        apply_leave(ctx, before);
    } else {
        rc = apply_items(ctx, row, node, at, items);
    }
    ctx->depth -= levels;
    return rc;
}

/* ---- mappings --------------------------------------------------------------------------------------------------- */

static int apply_section(struct apply *ctx, const struct option *row, const struct yaml_node *node, void *at) {
    if (row->given_offset)
        *(bool *)((char *)at + row->given_offset) = true;
    size_t before = apply_enter(ctx, "%s%s", *ctx->path ? "." : "", row->key);
    ctx->depth++;
    /* A short form stands one level less deep in the file than it is printed. */
    int rc = ctx->depth > YAML_DEPTH_MAX ? apply_fail(ctx, node, NULL, "nested deeper than %d levels", YAML_DEPTH_MAX)
                                         : apply_map(ctx, row->table, node, field_at(row, at));
    ctx->depth--;
    apply_leave(ctx, before);
    return rc;
}

static int apply_row(struct apply *ctx, const struct option *row, const struct yaml_node *node, void *at) {
    switch (row->kind) {
    case OPTION_SECTION:
        return apply_section(ctx, row, node, at);
    case OPTION_LIST:
        return apply_list(ctx, row, node, at);
    case OPTION_HEADERS:
        return apply_headers(ctx, row, node, at);
    case OPTION_STRINGS:
        return apply_strings(ctx, row, node, at);
    case OPTION_LATER:
        return fail_key(ctx, node, "\"%s\" is not available in this version yet", row->key);
    case OPTION_ALIAS: /* edit_aliases() moved them to where they belong */
        return fail_key(ctx, node, "write \"%s\" instead", row->alias);
    default:
        return apply_value(ctx, row, node, at, row->key);
    }
}

static int apply_children(struct apply *ctx, const struct option_table *table, const struct yaml_node *map, void *at) {
    /* Lists last: their items inherit from what stands beside them. */
    for (int lists = 0; lists < 2; lists++)
        for (const struct yaml_node *child = map->first; child; child = child->next) {
            const struct option *row = option_find(table, child->key, strlen(child->key));
            char hint[256];
            if (!row)
                return fail_key(ctx, child, "unknown key%s", option_suggest(table, child->key, hint, sizeof hint));
            int rc = (row->kind == OPTION_LIST) == lists ? apply_row(ctx, row, child, at) : 0;
            if (rc)
                return rc;
        }
    return 0;
}

static int apply_short_form(struct apply *ctx, const struct option_table *table, const struct yaml_node *node,
                            void *at) {
    const struct option *row = table->shorthand ? option_find(table, table->shorthand, strlen(table->shorthand)) : NULL;
    if (!row || (node->kind != YAML_SCALAR && row->kind != OPTION_VALUE))
        return apply_fail(ctx, node, NULL, "expected a mapping; found %s",
                          node->kind == YAML_LIST ? "a list" : "a single value");
    return apply_value(ctx, row, node, at, NULL);
}

int apply_map(struct apply *ctx, const struct option_table *table, const struct yaml_node *node, void *at) {
    bool map = !option_is_short(table, node);
    int rc = map ? apply_children(ctx, table, node, at) : apply_short_form(ctx, table, node, at);
    if (rc)
        return rc;
    if (map && table->implied && node->source == YAML_FROM_FILE && !yaml_get(node, "enabled"))
        *(bool *)field_at(option_find(table, "enabled", strlen("enabled")), at) = true;
    if (table->required && !yaml_get(node, table->required))
        return apply_fail(ctx, node, NULL, "\"%s\" is missing", table->required);
    return table->finish ? table->finish(ctx, node, at) : 0;
}

int apply_defaults(struct apply *ctx, const struct option_table *table, void *at) {
    for (size_t i = 0; i < table->count; i++) {
        const struct option *row = &table->rows[i];
        char why[VALUE_WHY_SIZE] = "";
        int rc = 0;
        if (row->kind == OPTION_SECTION)
            rc = apply_defaults(ctx, row->table, field_at(row, at));
        else if (row->fallback)
            rc = value_store(row, row->fallback, ctx->arena, field_at(row, at), why);
        if (rc == MF_ENOMEM)
            return apply_no_memory(ctx);
        MUST(rc == 0); /* the table's own default is wrong: the first unit test stops here */
    }
    return 0;
}
