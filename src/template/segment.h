/* A compiled template from the inside: segments of literal text and of calls. Immutable once compiled. */
#ifndef MF_TEMPLATE_SEGMENT_H
#define MF_TEMPLATE_SEGMENT_H

#include "template/template.h"

struct call;

/* How a placeholder's name is matched with a function's. */
enum name_match {
    NAME_EXACT,  /* "uuid" */
    NAME_PREFIX, /* "env." and something after it */
    NAME_TIME,   /* "now", and "now+1h" */
};

struct function {
    const char *name;
    enum name_match match;
    unsigned arguments_max;
    /* Checks and keeps the arguments. NULL: none to keep. Fills err's text. */
    int (*prepare)(struct call *call, struct err *err);
    /* Appends the value; false when it is missing (and nothing was appended). */
    bool (*render)(const struct call *call, const struct template_context *ctx, struct buf *out);
};
/* In the order of template_functions[]. */
extern const struct function functions[];
extern const size_t function_count;

struct filter_call;

struct filter {
    const char *name;
    bool takes_argument;
    /* The value is out[from..); a missing one is empty. */
    void (*apply)(const struct filter_call *call, bool missing, struct buf *out, size_t from);
};
extern const struct filter filters[];
extern const size_t filter_count;

struct filter_call {
    const struct filter *filter;
    char *argument; /* or NULL */
};

#define CALL_ARGUMENTS_MAX 2

/* One placeholder. */
struct call {
    const struct function *function;
    char *name;   /* as written: "header.X-User", "now+1h" */
    char *suffix; /* NAME_PREFIX, NAME_TIME: what follows the function's name; points into name */
    char *arguments[CALL_ARGUMENTS_MAX];
    unsigned argument_count;
    union {
        int64_t offset_us;
        struct {
            int64_t low, high;
        } integer;
        struct {
            double low, high;
            int decimals;
        } number;
    };
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

#endif
