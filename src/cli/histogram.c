#include "cli/histogram.h"

#include <math.h>

/* The middle of a bucket. */
static uint64_t value_of(unsigned index) {
    if (index < HISTOGRAM_STEPS)
        return index;
    unsigned shift = index / HISTOGRAM_STEPS - 1;
    uint64_t low = (uint64_t)(index % HISTOGRAM_STEPS + HISTOGRAM_STEPS) << shift;
    return low + (((uint64_t)1 << shift) - 1) / 2;
}

uint64_t histogram_at(const struct histogram *h, double part) {
    double rank = ceil((double)h->count * part);
    uint64_t wanted = rank < 1 ? 1 : (uint64_t)rank, seen = 0;
    if (wanted >= h->count)
        return h->most;
    for (unsigned i = 0; i < ARRAY_LEN(h->bucket); i++) {
        seen += h->bucket[i];
        if (seen >= wanted) {
            uint64_t n = value_of(i);
            return n < h->least ? h->least : n > h->most ? h->most : n;
        }
    }
    return h->most;
}
