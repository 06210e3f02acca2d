/* Which message of one recording is which of another, in their order: an alignment that keeps as much in common as it
 * can, in bounded time. */
#ifndef MF_REPLAY_ALIGN_H
#define MF_REPLAY_ALIGN_H

#include "base/defs.h"

#define ALIGN_NONE UINT32_MAX
#define ALIGN_LEAST 350u /* thousandths: what is less similar is not the same message */
#define ALIGN_ALONE 75   /* thousandths of an equal pair: what a message without a partner costs */

struct align {
    size_t a_count, b_count;
    const uint64_t *a_hash, *b_hash; /* of all that counts: equal ones are the same message */
    /* How similar they are, in thousandths. */
    unsigned (*similarity)(void *arg, size_t a, size_t b);
    void *arg;
    uint64_t work_max; /* how often it may be asked, about: what is more only looks near the diagonal */
    uint32_t *partner; /* out: of each of a its index in b, or ALIGN_NONE. The caller's */
};
/* MF_ENOMEM. Memory: a byte for each pair that is looked at. */
MF_MUSTCHECK int align_run(struct align *al);

#endif
