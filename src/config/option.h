/* The option table: one row for each key of mockforge.yaml.
 *
 * From these rows come the parser, the defaults, the checks, the error messages, the names of environment variables,
 * the dotted keys of the command line, the JSON Schema, the reference page and `config print`. A new key is a field in
 * config.h and a row in table.c. Thread: any; the tables are constant. */
#ifndef MF_CONFIG_OPTION_H
#define MF_CONFIG_OPTION_H

#include "base/buf.h"
#include "config/arena.h"
#include "config/config.h"
#include "config/yaml.h"

enum option_kind {
    OPTION_BOOL,     /* bool */
    OPTION_UINT,     /* unsigned */
    OPTION_INT,      /* int */
    OPTION_PORT,     /* uint16_t */
    OPTION_UINT64,   /* uint64_t */
    OPTION_SIZE,     /* uint64_t: bytes, or a number with a unit */
    OPTION_DURATION, /* unsigned seconds: a number, or one with a unit */
    OPTION_ENUM,     /* an enum of config.h (the size of an int), one of `choices` */
    OPTION_STRING,   /* char * */
    OPTION_TEXT,     /* struct config_text */
    OPTION_STRINGS,  /* char **, and a size_t at `count_offset` */
    OPTION_HEADERS,  /* struct config_header *, and a size_t at `count_offset` */
    OPTION_VALUE,    /* const struct config_value *: any shape; YAML text where only a text can be given */
    OPTION_SECTION,  /* a mapping with the rows of `table`, whose offsets count from this row's */
    OPTION_LIST,     /* a list of mappings with the rows of `table`: an array of `item_size`, count at `count_offset` */
    OPTION_ALIAS,    /* another name for the key `alias` */
    OPTION_LATER,    /* in the guide, but not in this version: refused by name */
};

struct option_choice {
    const char *name; /* NULL ends the list */
    int value;
    bool later; /* not in this version yet */
};

struct option {
    const char *key;
    enum option_kind kind;
    size_t offset;
    const char *fallback; /* the default, as it would be written in the file; NULL: not set */
    int64_t min, max;     /* of numbers, sizes (bytes) and durations (seconds); max: of items in a list or mapping */
    const struct option_choice *choices;
    const struct option_table *table;
    size_t count_offset, item_size;
    size_t given_offset; /* of a section: a bool that says whether it is there, printed only then; 0: it always is */
    bool single;         /* of a list: a mapping alone is a list of one */
    bool numeric;        /* of a string: numbers are written without quotes */
    bool tagged;         /* of a text: {name: x} is another way to write name:x */
    /* What is wrong with this text, or NULL: for strings, texts, each of several strings, and header names. */
    const char *(*wrong)(const char *text);
    const char *alias; /* the other key, dotted, within the same mapping; from the top when it begins with '/' */
    const char *env;   /* this row's part of the variable's name; NULL: the key in capitals */
    bool secret;       /* never printed, not in errors either */
    bool sensitive;    /* may hold a secret: not quoted in errors, printed redacted */
    const char *help;  /* one sentence or two for the reference page and the schema */
};

/* Fills what the file left open and checks what is beyond one row, once a mapping has been applied. `node` is the
 * mapping, or the short form's scalar; `at` is the struct. */
struct apply;
typedef int (*option_finish_fn)(const struct apply *ctx, const struct yaml_node *node, void *at);

struct option_table {
    const char *name; /* of the definition in the JSON Schema */
    const struct option *rows;
    size_t count;
    const char *shorthand; /* the row that a plain value in place of the mapping sets; NULL: none */
    /* With an OPTION_VALUE as shorthand: a mapping is one of the table's rows, not that value, when all its keys are
     * rows and one of these is among them. The last is NULL; none at all: a mapping always is. */
    const char *const *own;
    bool implied;          /* a mapping in the file without `enabled` means enabled */
    const char *required;  /* the key that each item must have; NULL: none */
    void (*begin)(const void *parent, void *item); /* of a list: what an item inherits from the struct around it */
    option_finish_fn finish;
    const char *help;
};

extern const struct option_table option_root;

/* The row with that key, or NULL. */
const struct option *option_find(const struct option_table *table, const char *key, size_t len);
/* Is the node the table's short form, in place of a mapping of its rows? */
bool option_is_short(const struct option_table *table, const struct yaml_node *node);
/* Is this a single value, which an environment variable can hold? */
bool option_is_leaf(const struct option *row);
/* What follows "unknown key": "; did you mean …?" with the nearest key of the table, else where in the configuration
 * that key does exist, else the keys that are known here. Returns out. */
const char *option_suggest(const struct option_table *table, const char *key, char *out, size_t size);

/* One call for each variable; variable and path are only valid during it. Stops at the first that returns not 0. */
typedef int (*option_env_fn)(void *arg, const char *variable, const char *path, const struct option *row);
int option_each_env(option_env_fn fn, void *arg);

#endif
