/* Memory that is given out piece by piece and given back all at once: what a recording loaded for replay, or a table of
 * paths, is made of. What is given out never moves. Thread: the owner's. */
#ifndef MF_REPLAY_SLAB_H
#define MF_REPLAY_SLAB_H

#include "base/defs.h"

struct slab_chunk;
/* Zeroed memory is a valid empty slab. */
struct slab {
    struct slab_chunk *chunks; /* the one being used first */
    size_t used, cap;          /* of that one */
    size_t bytes;              /* of all */
};

void slab_fini(struct slab *a);
/* NULL when out of memory. Not aligned: for bytes. */
void *slab_bytes(struct slab *a, size_t len);
/* A copy with a NUL behind it; NULL when out of memory. */
char *slab_copy(struct slab *a, const void *data, size_t len);

#endif
