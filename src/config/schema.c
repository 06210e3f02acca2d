/* The option table -> JSON Schema, draft 2020-12. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "config/describe.h"
#include "config/option.h"

#define SIZE_PATTERN "^(0|[1-9][0-9]*) *(([KkMmGgTt][Ii]?)?[Bb])?$"
#define DURATION_PATTERN "^(0|[1-9][0-9]*) *[SsMmHhDd]?$"

/* In a YAML 1.2 editor, yes and on are texts. */
#define BOOLEAN "{s:[b,b,s,s,s,s]}", "enum", 1, 0, "yes", "no", "on", "off"

/* A text, or {name: text} for "name:text". */
#define TAGGED                                                                                                         \
    "{s:[s,s],s:i,s:i,s:i,s:{s:s}}", "type", "string", "object", "minLength", 1, "minProperties", 1, "maxProperties",  \
        1, "additionalProperties", "type", "string"

/* Jansson passes NULL on: a failed allocation anywhere makes the whole NULL. */

static json_t *reference(const struct option_table *table) {
    return json_pack("{s:s+}", "$ref", "#/$defs/", table->name);
}

static json_t *choices(const struct option *row) {
    json_t *names = json_array();
    for (const struct option_choice *c = row->choices; c->name; c++)
        if (!c->later)
            json_array_append_new(names, json_string(c->name));
    return json_pack("{s:o}", "enum", names);
}

static json_t *list_schema(const struct option *row) {
    json_t *list =
        json_pack("{s:s,s:I,s:o}", "type", "array", "maxItems", (json_int_t)row->max, "items", reference(row->table));
    return row->single ? json_pack("{s:[o,o]}", "anyOf", reference(row->table), list) : list;
}

static json_t *value_schema(const struct option *row) {
    switch (row->kind) {
    case OPTION_BOOL:
        return json_pack(BOOLEAN);
    case OPTION_UINT:
    case OPTION_INT:
    case OPTION_PORT:
    case OPTION_UINT64:
        return json_pack("{s:s,s:I,s:I}", "type", "integer", "minimum", (json_int_t)row->min, "maximum",
                         (json_int_t)row->max);
    case OPTION_SIZE:
    case OPTION_DURATION:
        return json_pack("{s:[s,s],s:I,s:I,s:s}", "type", "integer", "string", "minimum", (json_int_t)row->min,
                         "maximum", (json_int_t)row->max, "pattern",
                         row->kind == OPTION_SIZE ? SIZE_PATTERN : DURATION_PATTERN);
    case OPTION_ENUM:
        return choices(row);
    case OPTION_STRING:
    case OPTION_TEXT:
        if (row->tagged)
            return json_pack(TAGGED);
        if (row->numeric)
            return json_pack("{s:[s,s],s:i}", "type", "string", "number", "minLength", 1);
        return json_pack("{s:s,s:i}", "type", "string", "minLength", 1);
    case OPTION_STRINGS:
        return json_pack("{s:[s,s],s:{s:s,s:i}}", "type", "array", "string", "items", "type", "string", "minLength", 1);
    case OPTION_HEADERS:
        return json_pack("{s:s,s:{s:[s,s,s]}}", "type", "object", "additionalProperties", "type", "string", "number",
                         "boolean");
    case OPTION_VALUE:
        return json_object();
    case OPTION_LIST:
        return list_schema(row);
    case OPTION_SECTION:
        return reference(row->table);
    case OPTION_ALIAS:
    case OPTION_LATER:
        break;
    }
    return NULL;
}

static json_t *default_value(const struct option *row) {
    char *end;
    long long n = strtoll(row->fallback, &end, 10);
    if (row->kind == OPTION_BOOL)
        return json_boolean(!strcmp(row->fallback, "true"));
    bool text = row->kind == OPTION_STRING || row->kind == OPTION_TEXT || row->kind == OPTION_ENUM;
    return text || *end ? json_string(row->fallback) : json_integer(n);
}

/* The row that an alias means: "record.path" from its own table, "/admin.port" from the top. */
static const struct option *resolve(const struct option_table *table, const char *alias) {
    if (*alias == '/') {
        alias++;
        table = &option_root;
    }
    for (;;) {
        size_t len = strcspn(alias, ".");
        const struct option *row = option_find(table, alias, len);
        MUST(row);
        if (!alias[len])
            return row;
        table = row->table;
        alias += len + 1;
    }
}

static json_t *row_schema(const struct option_table *table, const struct option *row) {
    json_t *schema = value_schema(row->kind == OPTION_ALIAS ? resolve(table, row->alias) : row);
    json_object_set_new(schema, "description", json_string(row->help));
    if (row->fallback)
        json_object_set_new(schema, "default", default_value(row));
    return schema;
}

static json_t *table_schema(const struct option_table *table) {
    json_t *properties = json_object();
    for (size_t i = 0; i < table->count; i++)
        if (table->rows[i].kind != OPTION_LATER)
            json_object_set_new(properties, table->rows[i].key, row_schema(table, &table->rows[i]));
    /* `websocket:` with nothing below it is a section as well. */
    json_t *map =
        json_pack("{s:[s,s],s:o,s:b}", "type", "object", "null", "properties", properties, "additionalProperties", 0);
    if (table->required)
        json_object_set_new(map, "required", json_pack("[s]", table->required));
    if (table->shorthand) {
        const struct option *row = option_find(table, table->shorthand, strlen(table->shorthand));
        map = json_pack("{s:[o,o]}", "anyOf", value_schema(row), map);
    }
    json_object_set_new(map, "description", json_string(table->help));
    return map;
}

static void add_definitions(json_t *definitions, const struct option_table *table) {
    for (size_t i = 0; i < table->count; i++) {
        const struct option_table *below = table->rows[i].table;
        if (!below || json_object_get(definitions, below->name))
            continue;
        json_object_set_new(definitions, below->name, table_schema(below));
        add_definitions(definitions, below);
    }
}

int config_print_schema(struct buf *out) {
    json_t *definitions = json_object(), *root = table_schema(&option_root);
    add_definitions(definitions, &option_root);
    json_t *schema = json_pack("{s:s,s:s}", "$schema", "https://json-schema.org/draft/2020-12/schema", "title",
                               "mockforge configuration");
    json_object_update(schema, root);
    json_decref(root);
    json_object_set_new(schema, "$defs", definitions);
    char *text = json_dumps(schema, JSON_INDENT(2));
    json_decref(schema);
    if (!text)
        return MF_ENOMEM;
    buf_puts(out, text);
    buf_putc(out, '\n');
    free(text);
    return out->failed ? MF_ENOMEM : 0;
}
