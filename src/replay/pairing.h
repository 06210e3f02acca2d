/* Who belongs to whom, when the order says nothing: equal ones first, then those that differ least. */
#ifndef MF_REPLAY_PAIRING_H
#define MF_REPLAY_PAIRING_H

#include "base/defs.h"

#define PAIRING_MAX 2000u /* of each side */
#define PAIRING_NONE UINT32_MAX
#define PAIRING_NEVER UINT8_MAX /* cost: the two have nothing in common */

struct pairing {
    size_t expected_count, got_count;         /* at most PAIRING_MAX */
    const uint64_t *expected_hash, *got_hash; /* equal ones are likely equal */
    /* How different are they? 0: not at all; PAIRING_NEVER: they are not to be paired. */
    uint8_t (*cost)(void *arg, size_t expected, size_t got);
    void *arg;
    uint32_t *partner; /* out: of each expected one the index of its partner, or PAIRING_NONE. The caller's */
    bool *taken;       /* out: of each of the others, whether it has one. The caller's */
};
/* MF_ENOMEM. Memory: some bytes for each pair of those that have no equal. */
MF_MUSTCHECK int pairing_run(struct pairing *p);

#endif
