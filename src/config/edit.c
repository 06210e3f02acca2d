#include "config/edit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/near.h"

#define WS_PREFIX "MOCKFORGE_WS_"

extern char **environ;

/* What is being set, and who says so. */
struct setting {
    struct edit *e;
    enum yaml_source source;
    const char *variable; /* YAML_FROM_ENVIRONMENT */
    const char *key;      /* YAML_FROM_COMMAND_LINE: as it was given */
    const char *value;
};

static int set_in(const struct setting *s, struct yaml_node *map, const struct option_table *table, const char *rest);

static int no_memory(const struct edit *e) {
    return apply_no_memory(e->ctx);
}

static int MF_PRINTF(2, 3) fail(const struct setting *s, const char *fmt, ...) {
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return err_set_at(s->e->ctx->err, MF_EINVAL, "command line", 0, 0, "%.150s: %s", s->key, text);
}

static struct yaml_node *add_child(struct edit *e, struct yaml_node *parent, enum yaml_kind kind, const char *key) {
    struct yaml_node *child = arena_alloc(e->arena, sizeof *child);
    if (!child || (key && !(child->key = arena_strdup(e->arena, key))))
        return NULL;
    child->kind = kind;
    yaml_append(parent, child);
    return child;
}

/* ---- sections --------------------------------------------------------------------------------------------------- */

/* Puts what the node is into a new child of it: `record: true` becomes `record: {enabled: true}`, and a mapping alone a
 * list of one. key NULL: into a list. */
static bool wrap(struct edit *e, struct yaml_node *node, enum yaml_kind kind, const char *key) {
    struct yaml_node *inner = arena_alloc(e->arena, sizeof *inner);
    if (!inner)
        return false;
    *inner = *node;
    inner->key = key ? arena_strdup(e->arena, key) : NULL;
    if (key && !inner->key)
        return false;
    node->kind = kind;
    node->first = node->last = NULL;
    node->count = 0;
    yaml_append(node, inner);
    return true;
}

/* Is the section's short form one that can stand in a mapping? Otherwise apply_map() will refuse it. */
static bool can_wrap(const struct option_table *table, const struct yaml_node *section) {
    if (!table->shorthand || !option_is_short(table, section))
        return false;
    return section->kind == YAML_SCALAR ||
           option_find(table, table->shorthand, strlen(table->shorthand))->kind == OPTION_VALUE;
}

/* The mapping below `map` that the row means, made when it is not there: as if by `like`, whose place and source it
 * takes. NULL: out of memory. */
static struct yaml_node *get_section(struct edit *e, struct yaml_node *map, const struct option *row,
                                     const struct yaml_node *like) {
    struct yaml_node *section = yaml_get(map, row->key);
    if (!section) {
        section = add_child(e, map, YAML_MAP, row->key);
        if (!section)
            return NULL;
        section->source = like->source;
        section->variable = like->variable;
        section->line = section->key_line = like->key_line;
        section->column = section->key_column = like->key_column;
        return section;
    }
    if (yaml_is_null(section))
        section->kind = YAML_MAP;
    else if (can_wrap(row->table, section) && !wrap(e, section, YAML_MAP, row->table->shorthand))
        return NULL;
    return section;
}

/* ---- aliases ---------------------------------------------------------------------------------------------------- */

static int move_alias(struct edit *e, struct yaml_node *map, const struct option_table *table,
                      const struct option *alias) {
    struct yaml_node *node = yaml_get(map, alias->key);
    if (!node)
        return 0;
    const char *rest = alias->alias;
    struct yaml_node *to = map;
    if (*rest == '/') {
        rest++;
        to = e->root;
        table = &option_root;
    }
    for (const char *dot; (dot = strchr(rest, '.')); rest = dot + 1) {
        const struct option *row = option_find(table, rest, (size_t)(dot - rest));
        MUST(row && row->kind == OPTION_SECTION);
        to = get_section(e, to, row, node);
        if (!to)
            return no_memory(e);
        table = row->table;
    }
    const struct yaml_node *twin = yaml_get(to, rest);
    if (twin)
        return apply_fail(e->ctx, node, alias->key, "the same as \"%s\", which is given in line %d", alias->alias,
                          twin->line);
    yaml_remove(map, node);
    node->key = arena_strdup(e->arena, rest);
    if (!node->key)
        return no_memory(e);
    yaml_append(to, node);
    return 0;
}

static int move_aliases(struct edit *e, struct yaml_node *map, const struct option_table *table);

static int move_aliases_in_items(struct edit *e, struct yaml_node *list, const struct option *row) {
    int rc = 0;
    size_t i = 0;
    for (struct yaml_node *item = list->first; item && !rc; item = item->next) {
        size_t before = apply_enter(e->ctx, "[%zu]", i++);
        rc = move_aliases(e, item, row->table);
        apply_leave(e->ctx, before);
    }
    return rc;
}

static int move_aliases(struct edit *e, struct yaml_node *map, const struct option_table *table) {
    if (map->kind != YAML_MAP)
        return 0;
    int rc = 0;
    for (size_t i = 0; i < table->count && !rc; i++) {
        const struct option *row = &table->rows[i];
        if (row->kind == OPTION_ALIAS) {
            rc = move_alias(e, map, table, row);
            continue;
        }
        struct yaml_node *child = yaml_get(map, row->key);
        if (!child || (row->kind != OPTION_SECTION && row->kind != OPTION_LIST))
            continue;
        size_t before = apply_enter(e->ctx, "%s%s", *e->ctx->path ? "." : "", row->key);
        bool items = row->kind == OPTION_LIST && child->kind == YAML_LIST;
        rc = items ? move_aliases_in_items(e, child, row) : move_aliases(e, child, row->table);
        apply_leave(e->ctx, before);
    }
    return rc;
}

int edit_aliases(struct edit *e) {
    return move_aliases(e, e->root, &option_root);
}

/* ---- setting one key --------------------------------------------------------------------------------------------- */

static void stamp(const struct setting *s, struct yaml_node *node) {
    node->source = s->source;
    node->variable = s->variable;
    node->line = node->column = node->key_line = node->key_column = 0;
}

static int set_leaf(const struct setting *s, struct yaml_node *map, const char *key) {
    struct yaml_node *node = yaml_get(map, key);
    if (!node)
        node = add_child(s->e, map, YAML_SCALAR, key);
    if (!node)
        return no_memory(s->e);
    node->kind = YAML_SCALAR;
    node->first = node->last = NULL;
    node->count = 0;
    node->plain = true;
    node->text = arena_strdup(s->e->arena, s->value);
    stamp(s, node);
    return node->text ? 0 : no_memory(s->e);
}

static int set_in_section(const struct setting *s, struct yaml_node *map, const struct option *row, const char *after) {
    const char *rest = *after == '.' ? after + 1 : row->table->shorthand;
    if ((*after && *after != '.') || !rest)
        return fail(s, "name a key of this section, such as \"%s.%s\"", row->key, row->table->rows[0].key);
    struct yaml_node like = {.source = s->source, .variable = s->variable};
    struct yaml_node *section = get_section(s->e, map, row, &like);
    if (!section)
        return no_memory(s->e);
    return section->kind == YAML_MAP ? set_in(s, section, row->table, rest) : 0; /* apply_map() will refuse it */
}

/* Can an item of the list be named by its path? */
static bool has_paths(const struct option *row) {
    return option_find(row->table, "path", strlen("path")) != NULL;
}

/* "handlers[/proxy].upstream": the handler with that path, made when there is none. NULL: out of memory. */
static struct yaml_node *find_by_path(const struct setting *s, struct yaml_node *list, const char *path) {
    for (struct yaml_node *item = list->first; item; item = item->next) {
        const struct yaml_node *value = yaml_get(item, "path");
        if (value && value->kind == YAML_SCALAR && !strcmp(value->text, path))
            return item;
    }
    struct yaml_node *item = add_child(s->e, list, YAML_MAP, NULL);
    struct yaml_node *value = item ? add_child(s->e, item, YAML_SCALAR, "path") : NULL;
    if (!value || !(value->text = arena_strdup(s->e->arena, path)))
        return NULL;
    stamp(s, item);
    stamp(s, value);
    return item;
}

static int set_in_item(const struct setting *s, struct yaml_node *item, const struct option *row, const char *rest) {
    return item->kind == YAML_MAP ? set_in(s, item, row->table, rest) : 0; /* apply_map() will refuse it */
}

static int set_in_items(const struct setting *s, struct yaml_node *list, const struct option *row, const char *which,
                        const char *rest) {
    if (!strcmp(which, "*")) {
        int rc = 0;
        for (struct yaml_node *item = list->first; item && !rc; item = item->next)
            rc = set_in_item(s, item, row, rest);
        return rc;
    }
    if (*which == '/' && has_paths(row)) {
        struct yaml_node *item = find_by_path(s, list, which);
        return item ? set_in_item(s, item, row, rest) : no_memory(s->e);
    }
    char *end;
    unsigned long i = strtoul(which, &end, 10);
    if (*which < '0' || *which > '9' || *end)
        return fail(s, "in the brackets: a number from 0%s, or * for all",
                    has_paths(row) ? ", a path such as /proxy" : "");
    struct yaml_node *item = yaml_at(list, i);
    return item ? set_in_item(s, item, row, rest) : fail(s, "there are only %zu %s", list->count, row->key);
}

static int set_in_list(const struct setting *s, struct yaml_node *map, const struct option *row, const char *after) {
    /* A path may hold dots, and even brackets: it ends at the first "]." */
    const char *end = *after == '[' ? strstr(after, "].") : NULL;
    if (!end || !end[2])
        return fail(s, "name one of the %s and a key of it, such as \"%s[%s.%s\"", row->key, row->key,
                    has_paths(row) ? "/proxy]" : "0]", has_paths(row) ? "upstream" : row->table->rows[0].key);
    struct yaml_node *list = yaml_get(map, row->key);
    if (!list) {
        list = add_child(s->e, map, YAML_LIST, row->key);
        if (!list)
            return no_memory(s->e);
        stamp(s, list);
    }
    if (yaml_is_null(list))
        list->kind = YAML_LIST;
    if (row->single && list->kind == YAML_MAP && !wrap(s->e, list, YAML_LIST, NULL))
        return no_memory(s->e);
    if (list->kind != YAML_LIST)
        return 0;
    char *which = arena_strndup(s->e->arena, after + 1, (size_t)(end - after - 1));
    return which ? set_in_items(s, list, row, which, end + 2) : no_memory(s->e);
}

static int set_header(const struct setting *s, struct yaml_node *map, const struct option *row, const char *after) {
    if (*after != '.' || !after[1])
        return fail(s, "name one of the %s, such as \"%s.Authorization\"", row->key, row->key);
    struct yaml_node *headers = yaml_get(map, row->key);
    if (!headers) {
        headers = add_child(s->e, map, YAML_MAP, row->key);
        if (!headers)
            return no_memory(s->e);
        stamp(s, headers);
    }
    if (yaml_is_null(headers))
        headers->kind = YAML_MAP;
    return headers->kind == YAML_MAP ? set_leaf(s, headers, after + 1) : 0;
}

static int set_in(const struct setting *s, struct yaml_node *map, const struct option_table *table, const char *rest) {
    size_t len = strcspn(rest, ".[");
    const struct option *row = option_find(table, rest, len);
    const char *after = rest + len;
    if (!row) {
        char *key = arena_strndup(s->e->arena, rest, len), hint[200];
        return key ? fail(s, "unknown key%s", option_suggest(table, key, hint, sizeof hint)) : no_memory(s->e);
    }
    switch (row->kind) {
    case OPTION_SECTION:
        return set_in_section(s, map, row, after);
    case OPTION_LIST:
        return set_in_list(s, map, row, after);
    case OPTION_HEADERS:
        return set_header(s, map, row, after);
    case OPTION_LATER:
        return fail(s, "\"%s\" is not available in this version yet", row->key);
    default:
        break;
    }
    if (*after)
        return fail(s, "\"%s\" is a single value%s", row->key, row->kind == OPTION_VALUE ? ", given whole" : "");
    if (row->kind != OPTION_ALIAS)
        return set_leaf(s, map, row->key);
    return *row->alias == '/' ? set_in(s, s->e->root, &option_root, row->alias + 1) : set_in(s, map, table, row->alias);
}

int edit_override(struct edit *e, const char *key, const char *value) {
    struct setting s = {.e = e, .source = YAML_FROM_COMMAND_LINE, .key = key, .value = value};
    return set_in(&s, e->root, &option_root, key);
}

/* ---- the environment -------------------------------------------------------------------------------------------- */

static int set_from_variable(void *arg, const char *variable, const char *path, const struct option *row) {
    (void)row;
    struct edit *e = arg;
    const char *value = getenv(variable);
    if (!value || !*value)
        return 0;
    struct setting s = {.e = e, .source = YAML_FROM_ENVIRONMENT, .key = path, .value = value};
    s.variable = arena_strdup(e->arena, variable);
    return s.variable ? set_in(&s, e->root, &option_root, path) : no_memory(e);
}

struct variable_search {
    const char *name;
    bool found;
    struct near near;
    char best[128]; /* near.best lives as long as one call only */
};

static int compare_variable(void *arg, const char *variable, const char *path, const struct option *row) {
    (void)path;
    (void)row;
    struct variable_search *search = arg;
    size_t before = search->near.distance;
    search->found = search->found || !strcmp(search->name, variable);
    near_try(&search->near, variable);
    if (search->near.distance < before)
        snprintf(search->best, sizeof search->best, "%s", variable);
    return search->found;
}

static void warn_unknown_variables(void) {
    for (char **it = environ; it && *it; it++) {
        if (strncmp(*it, WS_PREFIX, strlen(WS_PREFIX)))
            continue;
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(*it, "="), *it);
        struct variable_search search = {.name = name, .near = near_to(name)};
        option_each_env(compare_variable, &search);
        if (!search.found)
            log_warn("unknown_variable", "name=%s%s%s", log_quote(name), *search.best ? " did_you_mean=" : "",
                     search.best);
    }
}

int edit_environment(struct edit *e) {
    warn_unknown_variables();
    return option_each_env(set_from_variable, e);
}
