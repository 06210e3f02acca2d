#include "config/option.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/near.h"

#define NAME_SIZE 128 /* of a variable or a dotted path; a test walks them all */

const struct option *option_find(const struct option_table *table, const char *key, size_t len) {
    for (size_t i = 0; i < table->count; i++)
        if (!strncmp(table->rows[i].key, key, len) && !table->rows[i].key[len])
            return &table->rows[i];
    return NULL;
}

static bool is_own(const struct option_table *table, const struct yaml_node *map) {
    for (const struct yaml_node *child = map->first; child; child = child->next)
        if (!option_find(table, child->key, strlen(child->key)))
            return false;
    for (const char *const *key = table->own; *key; key++)
        if (yaml_get(map, *key))
            return true;
    return false;
}

bool option_is_short(const struct option_table *table, const struct yaml_node *node) {
    /* What environment and command line put together key by key is always a mapping of rows. */
    if (node->kind == YAML_MAP)
        return table->own && node->source == YAML_FROM_FILE && !is_own(table, node);
    return !yaml_is_null(node);
}

bool option_is_leaf(const struct option *row) {
    switch (row->kind) {
    case OPTION_HEADERS:
    case OPTION_SECTION:
    case OPTION_LIST:
    case OPTION_ALIAS:
    case OPTION_LATER:
        return false;
    default:
        return true;
    }
}

/* The dotted place of the first row with that key below the table; false: there is none. */
static bool find_below(const struct option_table *table, const char *key, char *path, size_t size) {
    for (size_t i = 0; i < table->count; i++) {
        const struct option *row = &table->rows[i];
        if (row->kind == OPTION_ALIAS || row->kind == OPTION_LATER)
            continue;
        if (!strcmp(row->key, key)) {
            snprintf(path, size, "%s", row->key);
            return true;
        }
    }
    for (size_t i = 0; i < table->count; i++) {
        const struct option *row = &table->rows[i];
        char below[NAME_SIZE];
        /* A table that holds itself has nothing else below. */
        if (row->table && row->table != table && find_below(row->table, key, below, sizeof below)) {
            snprintf(path, size, "%s%s.%.80s", row->key, row->kind == OPTION_LIST ? "[]" : "", below);
            return true;
        }
    }
    return false;
}

const char *option_suggest(const struct option_table *table, const char *key, char *out, size_t size) {
    struct near near = near_to(key);
    for (size_t i = 0; i < table->count; i++)
        near_try(&near, table->rows[i].key);
    char path[NAME_SIZE];
    if (near.best) {
        snprintf(out, size, "; did you mean \"%s\"?", near.best);
    } else if (find_below(&option_root, key, path, sizeof path)) {
        snprintf(out, size, "; did you mean \"%s\"?", path);
    } else {
        size_t used = (size_t)snprintf(out, size, "; known here:");
        for (size_t i = 0; i < table->count && used < size; i++)
            if (table->rows[i].kind != OPTION_LATER)
                used += (size_t)snprintf(out + used, size - used, "%s %s", out[used - 1] == ':' ? "" : ",",
                                         table->rows[i].key);
    }
    return out;
}

static int each_env(const struct option_table *table, const char *variable, const char *path, option_env_fn fn,
                    void *arg) {
    int rc = 0;
    for (size_t i = 0; i < table->count && !rc; i++) {
        const struct option *row = &table->rows[i];
        char capitals[64], name[NAME_SIZE], key[NAME_SIZE];
        size_t n = 0;
        for (; n < sizeof capitals - 1 && row->key[n]; n++)
            capitals[n] = (char)toupper((unsigned char)row->key[n]);
        capitals[n] = '\0';
        snprintf(name, sizeof name, "%s_%s", variable, row->env ? row->env : capitals);
        snprintf(key, sizeof key, "%s%s%s", path, *path ? "." : "", row->key);
        if (option_is_leaf(row) || (row->kind == OPTION_SECTION && row->table->shorthand))
            rc = fn(arg, name, key, row);
        if (!rc && row->kind == OPTION_SECTION)
            rc = each_env(row->table, name, key, fn, arg);
    }
    return rc;
}

int option_each_env(option_env_fn fn, void *arg) {
    return each_env(&option_root, "MOCKFORGE", "", fn, arg);
}
