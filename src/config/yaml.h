/* YAML text -> a small tree in which every node knows its place.
 *
 * Refused, each with file:line:column: more than 1 MiB, text that is not UTF-8, nesting deeper than YAML_DEPTH_MAX, a
 * key given twice in one mapping, more than one document, tags, keys that are not plain text (an unquoted {{now}} is
 * one), aliases that explode. Aliases and merge keys (`<<`) are resolved here: a tree has no sharing.
 *
 * Nodes belong to the arena they were made in. Thread: the owner's. */
#ifndef MF_CONFIG_YAML_H
#define MF_CONFIG_YAML_H

#include "base/err.h"
#include "config/arena.h"

#define YAML_TEXT_MAX ((size_t)1 << 20)
#define YAML_DEPTH_MAX 32
#define YAML_NODES_MAX 100000 /* after aliases are resolved */

enum yaml_kind { YAML_SCALAR, YAML_LIST, YAML_MAP };

/* Where a node came from: the environment and the command line are laid over the file's tree. */
enum yaml_source { YAML_FROM_FILE, YAML_FROM_ENVIRONMENT, YAML_FROM_COMMAND_LINE };

struct yaml_node {
    enum yaml_kind kind;
    enum yaml_source source;
    const char *variable; /* the environment variable, when source says so */
    int line, column;     /* 1 for the first; 0 when not from the file */
    char *key;            /* in a mapping: its name there, and where that stands */
    int key_line, key_column;
    char *text;                 /* a scalar's; NUL-terminated, holds no NUL */
    bool plain;                 /* a scalar without quotes: it may be a number, a truth value or nothing at all */
    int text_line, text_column; /* of the text's first character, after a quote or a `|` */
    struct yaml_node *first, *last, *next; /* children in the file's order; the next sibling */
    size_t count;                          /* of children */
};

/* *root is NULL for a text without content. `name` is the file's, for errors. */
MF_MUSTCHECK int yaml_read(struct arena *a, const char *name, const char *text, size_t len, struct yaml_node **root,
                           struct err *err);
/* The child of a mapping with that key, or NULL. */
struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);
/* The i-th child, or NULL. */
struct yaml_node *yaml_at(const struct yaml_node *list, size_t i);
void yaml_append(struct yaml_node *parent, struct yaml_node *child);
void yaml_remove(struct yaml_node *parent, struct yaml_node *child);
/* Nothing after the colon, or `null`, or `~`. */
bool yaml_is_null(const struct yaml_node *node);

#endif
