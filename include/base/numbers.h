/* A set of numbers other than 0: adding, removing and looking up take the same time however many there are.
 *
 * Zeroed memory is an empty set. Thread: the owner's. */
#ifndef MF_BASE_NUMBERS_H
#define MF_BASE_NUMBERS_H

#include "base/defs.h"

struct numbers {
    uint64_t *slots;   /* cap of them; 0: free. A number stands at its place or behind it, without a free one between */
    size_t cap, count; /* cap: 0 or a power of two */
};

/* Twice is once. MF_ENOMEM. */
MF_MUSTCHECK int numbers_add(struct numbers *n, uint64_t number);
void numbers_remove(struct numbers *n, uint64_t number);
bool numbers_has(const struct numbers *n, uint64_t number);
void numbers_fini(struct numbers *n);

#endif
