/* The tree, with environment and command line laid over it -> the structs of config.h. Thread: the caller's. */
#ifndef MF_CONFIG_APPLY_H
#define MF_CONFIG_APPLY_H

#include "config/option.h"

struct apply {
    struct arena *arena; /* of the snapshot */
    const char *file;    /* for errors */
    struct err *err;
    char path[256]; /* of the mapping that is being applied: "websocket.handlers[0]"; "" at the top */
    int depth;      /* of that mapping, in the form that is printed: 1 at the top */
};

/* Every row's default, through all sections. */
MF_MUSTCHECK int apply_defaults(struct apply *ctx, const struct option_table *table, void *at);
/* Lays the mapping over the struct at `at`, which holds the defaults. */
MF_MUSTCHECK int apply_map(struct apply *ctx, const struct option_table *table, const struct yaml_node *node, void *at);

/* Fills the error with the node's place (file:line:column, or the variable, or the command line's key) and the path of
 * the key: "websocket.port: …". key may be NULL: the mapping itself. Returns MF_EINVAL. */
int apply_fail(const struct apply *ctx, const struct yaml_node *node, const char *key, const char *fmt, ...)
    MF_PRINTF(4, 5);
/* Appends to the path, and undoes it: `before` is what entering returned. */
size_t apply_enter(struct apply *ctx, const char *fmt, ...) MF_PRINTF(2, 3);
void apply_leave(struct apply *ctx, size_t before);
int apply_no_memory(const struct apply *ctx);

#endif
