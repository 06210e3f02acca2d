/* A compiled template from the inside: segments of literal text and of calls. Immutable once compiled. */
#ifndef MF_TEMPLATE_SEGMENT_H
#define MF_TEMPLATE_SEGMENT_H

#include "template/template.h"

struct call;
struct faker;
struct filter;

/* What out[from..) holds while a placeholder is rendered. */
enum form {
    FORM_MISSING, /* nothing; JSON's null too */
    FORM_PLAIN,   /* text that stands in JSON as it is: ASCII without quotes, backslashes and controls */
    FORM_TEXT,    /* any other bytes */
    FORM_JSON,    /* JSON text, never null unless the template says so itself */
};

/* Where a placeholder stands: what becomes of the value at the end. */
enum place {
    PLACE_RAW,    /* text, byte for byte: header fields, file names */
    PLACE_TEXT,   /* text of a message: valid UTF-8 */
    PLACE_JSON,   /* a whole JSON value */
    PLACE_STRING, /* between the quotes of a JSON string */
};

/* -- what a placeholder names -------------------------------------------------------------------------------------- */

/* How a placeholder's name is matched with a function's. */
enum name_match {
    NAME_EXACT,  /* "uuid" */
    NAME_PREFIX, /* "env." and something after it */
    NAME_TIME,   /* "now", and "now+1h" */
    NAME_PATH,   /* "message", and "message.a.b" */
};

struct function {
    const char *name;
    enum name_match match;
    unsigned arguments_max;
    /* Checks and keeps the arguments. NULL: none to keep. Fills err's text. */
    int (*prepare)(struct call *call, struct err *err);
    /* Appends the value; nothing when it is missing. */
    enum form (*render)(const struct call *call, const struct template_context *ctx, struct buf *out);
    unsigned root; /* NAME_PATH: the enum template_root that it is; else 0 */
};
/* In the order of template_functions[]. */
extern const struct function functions[];
extern const size_t function_count;

/* path.c */
int prepare_path(struct call *call, struct err *err);
enum form render_path(const struct call *call, const struct template_context *ctx, struct buf *out);
/* faker.c */
int prepare_faker(struct call *call, struct err *err);
enum form render_faker(const struct call *call, const struct template_context *ctx, struct buf *out);

/* -- filters ------------------------------------------------------------------------------------------------------- */

struct filter_call {
    const struct filter *filter;
    char *argument; /* or NULL */
    size_t argument_len;
    bool quoted;    /* the argument stood in quotes */
    enum form form; /* of default's argument */
    int decimals;   /* of round */
};

enum filter_argument { ARGUMENT_NONE, ARGUMENT_OPTIONAL, ARGUMENT_ONE };

struct filter {
    const char *name;
    enum filter_argument takes;
    /* Checks and keeps the argument. NULL: none to keep. Fills err's text. */
    int (*prepare)(struct filter_call *call, struct err *err);
    /* Changes the value out[from..) and returns what it is now. */
    enum form (*apply)(const struct filter_call *call, enum form form, struct buf *out, size_t from);
};
/* In the order of template_filters[]. */
extern const struct filter filters[];
extern const size_t filter_count;

/* -- a template ---------------------------------------------------------------------------------------------------- */

#define CALL_ARGUMENTS_MAX 2

/* One placeholder. */
struct call {
    const struct function *function;
    char *name;   /* as written: "header.X-User", "now+1h" */
    char *suffix; /* NAME_PREFIX, NAME_TIME, NAME_PATH: what follows the function's name; points into name */
    char *arguments[CALL_ARGUMENTS_MAX];
    unsigned argument_count;
    enum place place;
    union {
        int64_t offset_us;
        struct {
            int64_t low, high;
        } integer;
        struct {
            double low, high;
            int decimals;
        } number;
        const struct faker *faker;
    };
    char **path; /* NAME_PATH: the segments below the root */
    size_t path_count;
    struct filter_call *filters;
    size_t filter_count;
};

struct segment {
    char *literal; /* or NULL: then it is a call */
    size_t literal_len;
    struct call call;
};

struct template {
    struct segment *segments;
    size_t count, cap;
};

/* A further segment, zeroed; NULL: no memory. Valid until the next is added. */
struct segment *template_add_segment(struct template *t);
/* Frees what t holds, not t. */
void template_fini(struct template *t);

/* -- values on their way (render.c) -------------------------------------------------------------------------------- */

/* out[from..) becomes what it reads as in a text: strings without their quotes, other JSON as it stands. */
void value_to_text(enum form form, struct buf *out, size_t from);
/* Takes the bytes out[from..at) away. */
void value_cut_front(struct buf *out, size_t from, size_t at);
/* Appends a value that stands in the template itself. */
enum form value_put(struct buf *out, enum form form, const char *s, size_t len);

#endif
