/* Environment and command line, laid over the file's tree before it is applied: so both inherit, are checked and
 * complain just as the file does. Thread: the caller's. */
#ifndef MF_CONFIG_EDIT_H
#define MF_CONFIG_EDIT_H

#include "config/apply.h"

struct edit {
    struct apply *ctx;      /* for errors */
    struct arena *arena;    /* of the tree */
    struct yaml_node *root; /* a mapping */
};

/* Moves what stands under another name (record_path, log_level, http.port) to where it belongs. First of the three. */
MF_MUSTCHECK int edit_aliases(struct edit *e);
/* Every known MOCKFORGE_* that is set and not empty; warns about an unknown MOCKFORGE_WS_*. */
MF_MUSTCHECK int edit_environment(struct edit *e);
MF_MUSTCHECK int edit_override(struct edit *e, const char *key, const char *value);

#endif
