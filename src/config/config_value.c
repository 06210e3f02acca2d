#include "config/config_value.h"

#include <stdlib.h>
#include <string.h>

/* A value with the memory behind it. */
struct parsed {
    struct config_value value;
    struct arena arena;
};

static int fill(struct arena *a, const struct yaml_node *node, struct config_value *v) {
    static const enum config_value_kind kinds[] = {
        [YAML_SCALAR] = CONFIG_SCALAR, [YAML_LIST] = CONFIG_LIST, [YAML_MAP] = CONFIG_MAP};
    *v = (struct config_value){.kind = kinds[node->kind], .plain = node->plain, .count = node->count};
    v->line = node->kind == YAML_SCALAR ? node->text_line : node->line;
    v->column = node->kind == YAML_SCALAR ? node->text_column : node->column;
    if ((node->key && !(v->key = arena_strdup(a, node->key))) ||
        (node->text && !(v->text = arena_strdup(a, node->text))))
        return MF_ENOMEM;
    const struct config_value **link = &v->first;
    for (const struct yaml_node *child = node->first; child; child = child->next) {
        struct config_value *copy = config_value_copy(a, child);
        if (!copy)
            return MF_ENOMEM;
        *link = copy;
        link = &copy->next;
    }
    return MF_OK;
}

struct config_value *config_value_copy(struct arena *a, const struct yaml_node *node) {
    struct config_value *v = arena_alloc(a, sizeof *v);
    return v && fill(a, node, v) == MF_OK ? v : NULL;
}

static void forget_places(struct yaml_node *node) {
    node->line = node->column = node->text_line = node->text_column = 0;
    for (struct yaml_node *child = node->first; child; child = child->next)
        forget_places(child);
}

int config_value_read(struct arena *a, const char *text, struct config_value **out, struct err *err) {
    struct arena scratch = {0};
    struct yaml_node *root = NULL;
    int rc = yaml_read(&scratch, "value", text, strlen(text), &root, err);
    if (rc == MF_OK && !root) {
        rc = err_set(err, MF_EINVAL, "expected a value; found nothing");
    } else if (rc == MF_OK) {
        forget_places(root);
        *out = config_value_copy(a, root);
        rc = *out ? MF_OK : err_set(err, MF_ENOMEM, "out of memory");
    }
    arena_fini(&scratch);
    return rc;
}

int config_value_depth(const struct config_value *v) {
    int deepest = 0;
    for (const struct config_value *child = v->first; child; child = child->next)
        deepest = MAX(deepest, config_value_depth(child));
    return v->kind == CONFIG_SCALAR ? 0 : 1 + deepest;
}

int config_value_parse(const char *text, const struct config_value **out, struct err *err) {
    struct arena scratch = {0};
    struct yaml_node *root = NULL;
    struct parsed *p = calloc(1, sizeof *p);
    int rc = p ? yaml_read(&scratch, "value", text, strlen(text), &root, err) : MF_ENOMEM;
    if (rc == MF_OK && !root)
        rc = err_set(err, MF_EINVAL, "expected a value; found nothing");
    else if (rc == MF_OK)
        rc = fill(&p->arena, root, &p->value);
    arena_fini(&scratch);
    if (rc == MF_ENOMEM)
        err_set(err, MF_ENOMEM, "out of memory");
    if (rc < 0)
        config_value_free(p ? &p->value : NULL);
    else
        *out = &p->value;
    return rc;
}

void config_value_free(const struct config_value *v) {
    if (!v)
        return;
    struct parsed *p = (struct parsed *)(uintptr_t)((const char *)v - offsetof(struct parsed, value));
    arena_fini(&p->arena);
    free(p);
}

const struct config_value *config_value_get(const struct config_value *map, const char *key) {
    for (const struct config_value *v = map->kind == CONFIG_MAP ? map->first : NULL; v; v = v->next)
        if (!strcmp(v->key, key))
            return v;
    return NULL;
}

/* YAML 1.2 section 10.3.2, without octal, hexadecimal, .inf and .nan, which JSON has not. */
static enum config_scalar_type number_type(const char *s) {
    bool real = false;
    s += *s == '-' || *s == '+';
    size_t whole = strspn(s, "0123456789"), fraction = 0;
    s += whole;
    if (*s == '.') {
        real = true;
        fraction = strspn(++s, "0123456789");
        s += fraction;
    }
    if (whole + fraction == 0)
        return CONFIG_STRING;
    if (*s == 'e' || *s == 'E') {
        real = true;
        s += 1 + (s[1] == '-' || s[1] == '+');
        size_t digits = strspn(s, "0123456789");
        if (!digits)
            return CONFIG_STRING;
        s += digits;
    }
    return *s ? CONFIG_STRING : real ? CONFIG_REAL : CONFIG_INTEGER;
}

enum config_scalar_type config_scalar_type(const struct config_value *v) {
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    static const char *const booleans[] = {"true", "True", "TRUE", "false", "False", "FALSE"};
    if (!v->plain)
        return CONFIG_STRING;
    for (size_t i = 0; i < ARRAY_LEN(nulls); i++)
        if (!strcmp(v->text, nulls[i]))
            return CONFIG_NULL;
    for (size_t i = 0; i < ARRAY_LEN(booleans); i++)
        if (!strcmp(v->text, booleans[i]))
            return CONFIG_BOOLEAN;
    return number_type(v->text);
}
