#include "drive/latencies.h"

#define STEPS (1u << LATENCY_STEPS_LOG2)

/* Below STEPS each value has its own bucket; above, the highest bit and the LATENCY_STEPS_LOG2 bits behind it. */
static size_t bucket_of(uint64_t us) {
    if (us < STEPS)
        return (size_t)us;
    unsigned top = 63u - (unsigned)__builtin_clzll(us);
    unsigned shift = top - LATENCY_STEPS_LOG2;
    return ((size_t)(shift + 1) << LATENCY_STEPS_LOG2) + (size_t)((us >> shift) & (STEPS - 1));
}

/* The largest value that falls into a bucket. */
static uint64_t bucket_end(size_t bucket) {
    if (bucket < STEPS)
        return bucket;
    unsigned shift = (unsigned)(bucket >> LATENCY_STEPS_LOG2) - 1;
    uint64_t first = (uint64_t)(STEPS + (bucket & (STEPS - 1))) << shift;
    return first + (((uint64_t)1 << shift) - 1);
}

void latencies_add(struct latencies *l, uint64_t us) {
    l->counts[bucket_of(us)]++;
    l->total++;
    l->max_us = MAX(l->max_us, us);
}

/* The value that `of` in a hundred are not above. */
static uint64_t percentile(const struct latencies *l, unsigned of) {
    uint64_t rank = l->total / 100 * of + (l->total % 100 * of + 99) / 100, seen = 0;
    for (size_t i = 0; i < LATENCY_BUCKETS; i++) {
        seen += l->counts[i];
        if (seen >= rank && seen)
            return MIN(bucket_end(i), l->max_us);
    }
    return l->max_us;
}

void latencies_sum(const struct latencies *l, struct drive_latency *out) {
    *out = (struct drive_latency){.count = l->total, .max_us = l->max_us};
    if (!l->total)
        return;
    out->p50_us = percentile(l, 50);
    out->p90_us = percentile(l, 90);
    out->p99_us = percentile(l, 99);
}
