/* Latencies in buckets of about 1.5 %, from nanoseconds to minutes. */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>
#include <string.h>

#define HISTOGRAM_STEPS 64u /* for each doubling */

struct histogram {
    uint64_t count, max;
    uint32_t bucket[40 * HISTOGRAM_STEPS];
};

static inline void histogram_add(struct histogram *h, uint64_t ns) {
    unsigned index = (unsigned)ns;
    if (ns >= HISTOGRAM_STEPS) {
        unsigned shift = 63 - (unsigned)__builtin_clzll(ns) - 6;
        index = (shift + 1) * HISTOGRAM_STEPS + ((unsigned)(ns >> shift) - HISTOGRAM_STEPS);
    }
    if (index >= sizeof h->bucket / sizeof h->bucket[0])
        index = sizeof h->bucket / sizeof h->bucket[0] - 1;
    h->bucket[index]++;
    h->count++;
    if (ns > h->max)
        h->max = ns;
}

/* The latency that this part (0..1) of all stayed below, in ns. */
static inline uint64_t histogram_at(const struct histogram *h, double part) {
    uint64_t wanted = (uint64_t)((double)h->count * part), seen = 0;
    for (unsigned i = 0; i < sizeof h->bucket / sizeof h->bucket[0]; i++) {
        seen += h->bucket[i];
        if (seen > wanted) {
            unsigned shift = i / HISTOGRAM_STEPS;
            return shift == 0 ? i : (uint64_t)(i % HISTOGRAM_STEPS + HISTOGRAM_STEPS) << (shift - 1);
        }
    }
    return h->max;
}

#endif
