/* A stage of a chain: one small thing done to every fragment of one direction (tap, transform; later chaos, limits).
 *
 *     client -> [stage] -> [stage] -> sink (the endpoint)          and the same the other way round
 *
 * A stage passes on what it wants with stage_pass(), at once or later, changed or not, several or none. It is one
 * static type and one instance for each session and direction; the session frees it. Thread: the session's worker. */
#ifndef MF_RELAY_STAGE_H
#define MF_RELAY_STAGE_H

#include "relay/fragment.h"

struct session;
struct stage;

struct stage_type {
    const char *name;
    void (*on_fragment)(struct stage *stage, struct fragment *f);
    void (*free)(struct stage *stage); /* NULL: nothing to free */
};

struct stage {
    const struct stage_type *type;
    struct stage *next; /* NULL for a sink */
    struct session *session;
};

static inline void stage_run(struct stage *stage, struct fragment *f) {
    stage->type->on_fragment(stage, f);
}
static inline void stage_pass(struct stage *stage, struct fragment *f) {
    stage_run(stage->next, f);
}

#endif
