#include "config/yaml.h"

#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define ANCHORS_MAX 256
#define MERGED_KEYS_MAX 1000

struct anchor {
    char *name;
    struct yaml_node *node;
    struct anchor *next;
};

struct reader {
    yaml_parser_t parser;
    struct arena *arena;
    const char *name, *text;
    size_t len;
    struct err *err;
    struct anchor *anchors; /* the newest first: a name may be given again */
    size_t anchors_count, nodes_count, merged_count;
};

/* ---- the tree ------------------------------------------------------------------------------------------------- */

struct yaml_node *yaml_get(const struct yaml_node *map, const char *key) {
    if (!map || map->kind != YAML_MAP)
        return NULL;
    for (struct yaml_node *child = map->first; child; child = child->next)
        if (!strcmp(child->key, key))
            return child;
    return NULL;
}

struct yaml_node *yaml_at(const struct yaml_node *list, size_t i) {
    struct yaml_node *child = list->first;
    while (child && i--)
        child = child->next;
    return child;
}

void yaml_append(struct yaml_node *parent, struct yaml_node *child) {
    MUST(parent && child);
    child->next = NULL;
    if (parent->last)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
    parent->count++;
}

void yaml_remove(struct yaml_node *parent, struct yaml_node *child) {
    struct yaml_node *before = NULL;
    for (struct yaml_node *it = parent->first; it != child; it = it->next)
        before = it;
    if (before)
        before->next = child->next;
    else
        parent->first = child->next;
    if (parent->last == child)
        parent->last = before;
    child->next = NULL;
    parent->count--;
}

bool yaml_is_null(const struct yaml_node *node) {
    return node->kind == YAML_SCALAR && node->plain &&
           (!*node->text || !strcmp(node->text, "~") || !strcasecmp(node->text, "null"));
}

/* ---- errors --------------------------------------------------------------------------------------------------- */

static int line_of(yaml_mark_t mark) {
    return mark.line < INT_MAX ? (int)mark.line + 1 : INT_MAX;
}

static int column_of(yaml_mark_t mark) {
    return mark.column < INT_MAX ? (int)mark.column + 1 : INT_MAX;
}

static int MF_PRINTF(3, 4) fail(struct reader *r, yaml_mark_t mark, const char *fmt, ...) {
    char text[sizeof r->err->text];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return err_set_at(r->err, MF_EINVAL, r->name, line_of(mark), column_of(mark), "%s", text);
}

static int no_memory(struct reader *r) {
    return err_set(r->err, MF_ENOMEM, "out of memory");
}

/* The start of a line of the text, counted from 0; NULL past the end. */
static const char *find_line(const struct reader *r, size_t line) {
    const char *p = r->text, *end = r->text + r->len;
    while (p && line--) {
        p = memchr(p, '\n', (size_t)(end - p));
        p = p ? p + 1 : NULL;
    }
    return p < end ? p : NULL;
}

/* Does the line hold a template that begins a value without a quote? That is what breaks YAML most often here. */
static bool line_has_bare_template(const struct reader *r, size_t line) {
    const char *p = find_line(r, line);
    if (!p)
        return false;
    const char *end = memchr(p, '\n', (size_t)(r->text + r->len - p));
    const char *brace = memmem(p, (size_t)((end ? end : r->text + r->len) - p), "{{", 2);
    if (!brace)
        return false;
    while (brace > p && brace[-1] == ' ')
        brace--;
    return brace > p && (brace[-1] == ':' || brace[-1] == '-' || brace[-1] == '[' || brace[-1] == ',');
}

static int fail_unreadable(struct reader *r) {
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR)
        return no_memory(r);
    yaml_mark_t mark = p->problem_mark;
    if (p->error == YAML_READER_ERROR) {
        /* libyaml tells the byte only. */
        mark = (yaml_mark_t){0};
        for (size_t i = 0; i < p->problem_offset && i < r->len; i++) {
            mark.column = r->text[i] == '\n' ? 0 : mark.column + 1;
            mark.line += r->text[i] == '\n';
        }
        return fail(r, mark, "the text must be UTF-8 without control characters (%s)", p->problem);
    }
    if (line_has_bare_template(r, mark.line) || line_has_bare_template(r, p->context_mark.line))
        return fail(r, mark, "%s; quote templates: \"{{now}}\"", p->problem);
    const char *at = find_line(r, mark.line);
    if (at && memchr(at, '\t', MIN(mark.column + 1, (size_t)(r->text + r->len - at))))
        return fail(r, mark, "%s; indent with spaces, not with tabs", p->problem);
    if (p->context && p->context_mark.line != mark.line)
        return fail(r, mark, "%s (%s that began in line %d)", p->problem, p->context, line_of(p->context_mark));
    return fail(r, mark, "%s", p->problem ? p->problem : "not YAML");
}

/* ---- events -> nodes ------------------------------------------------------------------------------------------ */

static int next_event(struct reader *r, yaml_event_t *event) {
    return yaml_parser_parse(&r->parser, event) ? 0 : fail_unreadable(r);
}

static int new_node(struct reader *r, enum yaml_kind kind, yaml_mark_t mark, struct yaml_node **out) {
    if (++r->nodes_count > YAML_NODES_MAX)
        return fail(r, mark, "more than %d values, counting what aliases repeat", YAML_NODES_MAX);
    struct yaml_node *node = arena_alloc(r->arena, sizeof *node);
    if (!node)
        return no_memory(r);
    node->kind = kind;
    node->line = node->text_line = line_of(mark);
    node->column = node->text_column = column_of(mark);
    *out = node;
    return 0;
}

/* Where the text of a quoted or block scalar really begins: errors inside scripts and templates count from there. */
static void set_text_place(const struct reader *r, struct yaml_node *node, yaml_scalar_style_t style,
                           yaml_mark_t mark) {
    if (style == YAML_SINGLE_QUOTED_SCALAR_STYLE || style == YAML_DOUBLE_QUOTED_SCALAR_STYLE)
        node->text_column++;
    if (style != YAML_LITERAL_SCALAR_STYLE && style != YAML_FOLDED_SCALAR_STYLE)
        return;
    node->text_line++;
    node->text_column = 1;
    /* The block's indentation is that of its first line that is not empty. */
    const char *p = find_line(r, mark.line + 1), *end = r->text + r->len;
    while (p && p < end && (*p == ' ' || *p == '\n' || *p == '\r')) {
        node->text_column = *p == ' ' ? node->text_column + 1 : 1;
        p++;
    }
}

static int check_tag(struct reader *r, const yaml_char_t *tag, yaml_mark_t mark) {
    return tag ? fail(r, mark, "tags (%.60s) are not supported here", (const char *)tag) : 0;
}

static int add_anchor(struct reader *r, const yaml_char_t *name, yaml_mark_t mark, struct yaml_node *node) {
    if (!name)
        return 0;
    if (++r->anchors_count > ANCHORS_MAX)
        return fail(r, mark, "more than %d anchors", ANCHORS_MAX);
    struct anchor *anchor = arena_alloc(r->arena, sizeof *anchor);
    if (!anchor || !(anchor->name = arena_strdup(r->arena, (const char *)name)))
        return no_memory(r);
    anchor->node = node;
    anchor->next = r->anchors;
    r->anchors = anchor;
    return 0;
}

static int read_scalar(struct reader *r, const yaml_event_t *event, struct yaml_node **out) {
    const char *value = (const char *)event->data.scalar.value;
    size_t len = event->data.scalar.length;
    int rc = check_tag(r, event->data.scalar.tag, event->start_mark);
    if (!rc && memchr(value, '\0', len))
        rc = fail(r, event->start_mark, "a NUL character cannot be used here");
    if (!rc)
        rc = new_node(r, YAML_SCALAR, event->start_mark, out);
    if (rc)
        return rc;
    MUST(*out);
    (*out)->text = arena_strndup(r->arena, value, len);
    if (!(*out)->text)
        return no_memory(r);
    (*out)->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    set_text_place(r, *out, event->data.scalar.style, event->start_mark);
    return add_anchor(r, event->data.scalar.anchor, event->start_mark, *out);
}

/* A copy keeps the places of the original: that is where the user has to look. Depth is bounded as the original's is,
 * plus the depth of the alias. */
static int copy_node(struct reader *r, const struct yaml_node *from, yaml_mark_t mark, int depth,
                     struct yaml_node **out) {
    if (depth > YAML_DEPTH_MAX)
        return fail(r, mark, "nested deeper than %d levels", YAML_DEPTH_MAX);
    struct yaml_node *node;
    int rc = new_node(r, from->kind, mark, &node);
    if (rc)
        return rc;
    *node = *from;
    node->first = node->last = node->next = NULL;
    node->count = 0;
    *out = node;
    for (const struct yaml_node *child = from->first; child; child = child->next) {
        struct yaml_node *copy;
        rc = copy_node(r, child, mark, depth + 1, &copy);
        if (rc)
            return rc;
        yaml_append(node, copy);
    }
    return 0;
}

static int read_alias(struct reader *r, const yaml_event_t *event, int depth, struct yaml_node **out) {
    const char *name = (const char *)event->data.alias.anchor;
    for (const struct anchor *a = r->anchors; a; a = a->next)
        if (!strcmp(a->name, name))
            return copy_node(r, a->node, event->start_mark, depth, out);
    return fail(r, event->start_mark, "no finished anchor \"&%.60s\" before this alias", name);
}

static int read_node(struct reader *r, yaml_event_t *event, int depth, struct yaml_node **out);

static int read_list(struct reader *r, struct yaml_node *list, int depth) {
    for (;;) {
        yaml_event_t event;
        int rc = next_event(r, &event);
        if (rc)
            return rc;
        if (event.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&event);
            return 0;
        }
        struct yaml_node *child;
        rc = read_node(r, &event, depth, &child);
        if (rc)
            return rc;
        yaml_append(list, child);
    }
}

static int compare_keys(const void *a, const void *b) {
    const struct yaml_node *x = *(struct yaml_node *const *)a, *y = *(struct yaml_node *const *)b;
    int order = strcmp(x->key, y->key);
    if (order)
        return order;
    if (x->key_line != y->key_line)
        return x->key_line < y->key_line ? -1 : 1;
    return (x->key_column > y->key_column) - (x->key_column < y->key_column);
}

static int refuse_duplicates(struct reader *r, const struct yaml_node *map) {
    MUST(map);
    if (map->count < 2)
        return 0;
    struct yaml_node **sorted = malloc(map->count * sizeof *sorted);
    if (!sorted)
        return no_memory(r);
    size_t n = 0;
    for (struct yaml_node *child = map->first; child; child = child->next)
        sorted[n++] = child;
    qsort(sorted, n, sizeof *sorted, compare_keys);
    int rc = 0;
    for (size_t i = 1; i < n && !rc; i++)
        if (!strcmp(sorted[i - 1]->key, sorted[i]->key))
            rc = err_set_at(r->err, MF_EINVAL, r->name, sorted[i]->key_line, sorted[i]->key_column,
                            "the key \"%.60s\" is given twice; first in line %d", sorted[i]->key,
                            sorted[i - 1]->key_line);
    free(sorted);
    return rc;
}

static int merge_map(struct reader *r, struct yaml_node *map, struct yaml_node *from, yaml_mark_t mark) {
    if (from->kind != YAML_MAP)
        return fail(r, mark, "\"<<\" takes a mapping, or a list of mappings");
    while (from->first) {
        struct yaml_node *child = from->first;
        yaml_remove(from, child);
        if (++r->merged_count > MERGED_KEYS_MAX)
            return fail(r, mark, "\"<<\" brings in more than %d keys", MERGED_KEYS_MAX);
        if (!yaml_get(map, child->key))
            yaml_append(map, child);
    }
    return 0;
}

/* `<<: *defaults` (YAML 1.1's merge key): what the mapping says itself comes first. */
static int resolve_merge(struct reader *r, struct yaml_node *map) {
    struct yaml_node *merge = yaml_get(map, "<<");
    if (!merge)
        return 0;
    yaml_mark_t mark = {.line = (size_t)merge->key_line - 1, .column = (size_t)merge->key_column - 1};
    yaml_remove(map, merge);
    if (merge->kind != YAML_LIST)
        return merge_map(r, map, merge, mark);
    int rc = 0;
    for (struct yaml_node *from = merge->first; from && !rc; from = from->next)
        rc = merge_map(r, map, from, mark);
    return rc;
}

static int fail_key(struct reader *r, const yaml_event_t *event) {
    if (event->type == YAML_MAPPING_START_EVENT && event->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE)
        return fail(r, event->start_mark, "a mapping cannot be a key; quote templates: \"{{now}}\"");
    return fail(r, event->start_mark, "a key must be a word or a quoted text");
}

static int read_map(struct reader *r, struct yaml_node *map, int depth) {
    for (;;) {
        yaml_event_t event;
        int rc = next_event(r, &event);
        if (rc)
            return rc;
        if (event.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&event);
            rc = refuse_duplicates(r, map);
            return rc ? rc : resolve_merge(r, map);
        }
        struct yaml_node *key = NULL, *value;
        rc = event.type == YAML_SCALAR_EVENT ? read_scalar(r, &event, &key) : fail_key(r, &event);
        yaml_event_delete(&event);
        if (!rc)
            rc = next_event(r, &event);
        if (!rc)
            rc = read_node(r, &event, depth, &value);
        if (rc)
            return rc;
        MUST(key && value);
        value->key = key->text;
        value->key_line = key->line;
        value->key_column = key->column;
        yaml_append(map, value);
    }
}

/* Consumes the event. depth: of this node, 1 for the document's. */
static int read_node(struct reader *r, yaml_event_t *event, int depth, struct yaml_node **out) {
    int rc;
    bool list = event->type == YAML_SEQUENCE_START_EVENT;
    if (event->type == YAML_SCALAR_EVENT) {
        rc = read_scalar(r, event, out);
    } else if (event->type == YAML_ALIAS_EVENT) {
        rc = read_alias(r, event, depth, out);
    } else if (depth > YAML_DEPTH_MAX) {
        rc = fail(r, event->start_mark, "nested deeper than %d levels", YAML_DEPTH_MAX);
    } else {
        const yaml_char_t *tag = list ? event->data.sequence_start.tag : event->data.mapping_start.tag;
        const yaml_char_t *anchor = list ? event->data.sequence_start.anchor : event->data.mapping_start.anchor;
        rc = check_tag(r, tag, event->start_mark);
        if (!rc)
            rc = new_node(r, list ? YAML_LIST : YAML_MAP, event->start_mark, out);
        if (!rc)
            rc = list ? read_list(r, *out, depth + 1) : read_map(r, *out, depth + 1);
        /* Only now: an alias inside of its own anchor would have no end. */
        if (!rc)
            rc = add_anchor(r, anchor, event->start_mark, *out);
    }
    yaml_event_delete(event);
    return rc;
}

static int read_stream(struct reader *r, struct yaml_node **root) {
    bool seen = false;
    for (;;) {
        yaml_event_t event;
        int rc = next_event(r, &event);
        if (rc)
            return rc;
        yaml_event_type_t type = event.type;
        if (type == YAML_DOCUMENT_START_EVENT && seen)
            rc = fail(r, event.start_mark, "one document to a file; this is the second");
        seen |= type == YAML_DOCUMENT_START_EVENT;
        if (!rc && (type == YAML_SCALAR_EVENT || type == YAML_ALIAS_EVENT || type == YAML_SEQUENCE_START_EVENT ||
                    type == YAML_MAPPING_START_EVENT))
            rc = read_node(r, &event, 1, root);
        else
            yaml_event_delete(&event);
        if (rc || type == YAML_STREAM_END_EVENT)
            return rc;
    }
}

int yaml_read(struct arena *a, const char *name, const char *text, size_t len, struct yaml_node **root,
              struct err *err) {
    *root = NULL;
    if (len > YAML_TEXT_MAX)
        return err_set_at(err, MF_EINVAL, name, 0, 0, "larger than 1 MiB; a configuration is not that long");
    struct err ignored;
    struct reader r = {.arena = a, .name = name, .text = text, .len = len, .err = err ? err : &ignored};
    if (!yaml_parser_initialize(&r.parser))
        return no_memory(&r);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
    int rc = read_stream(&r, root);
    yaml_parser_delete(&r.parser);
    if (!rc && *root && yaml_is_null(*root))
        *root = NULL;
    return rc;
}
