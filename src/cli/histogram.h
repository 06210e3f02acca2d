/* Numbers counted in buckets of less than 1 %, from 0 to 2^64: the median and other parts of a run of any length in a
 * fixed amount of memory. What is below HISTOGRAM_STEPS, the least, the largest and the sum are exact. Main thread. */
#ifndef MF_CLI_HISTOGRAM_H
#define MF_CLI_HISTOGRAM_H

#include "base/defs.h"

#define HISTOGRAM_BITS 7u
#define HISTOGRAM_STEPS (1u << HISTOGRAM_BITS) /* for each doubling */

struct histogram {
    uint64_t count, sum, least, most;
    uint64_t bucket[(64 - HISTOGRAM_BITS + 1) * HISTOGRAM_STEPS];
};

static inline unsigned histogram_index(uint64_t n) {
    if (n < HISTOGRAM_STEPS)
        return (unsigned)n;
    unsigned shift = 63 - (unsigned)__builtin_clzll(n) - HISTOGRAM_BITS;
    return (shift + 1) * HISTOGRAM_STEPS + ((unsigned)(n >> shift) - HISTOGRAM_STEPS);
}

static inline void histogram_add(struct histogram *h, uint64_t n) {
    h->bucket[histogram_index(n)]++;
    h->least = h->count && h->least < n ? h->least : n;
    h->most = MAX(h->most, n);
    h->count++;
    h->sum += n;
}

/* The number that this part (0 to 1) of all does not exceed: of sorted numbers the one at rank ceil(part * count). 0 of
 * none. */
uint64_t histogram_at(const struct histogram *h, double part);

#endif
