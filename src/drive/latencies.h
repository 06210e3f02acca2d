/* How long answers took: a histogram in constant memory. 32 steps to each power of two: values are kept within 4 %.
 * Thread: the owner's. */
#ifndef MF_DRIVE_LATENCIES_H
#define MF_DRIVE_LATENCIES_H

#include "drive/driver.h"

#define LATENCY_STEPS_LOG2 5u
#define LATENCY_BUCKETS ((65u - LATENCY_STEPS_LOG2) << LATENCY_STEPS_LOG2)

struct latencies {
    uint64_t counts[LATENCY_BUCKETS], total, max_us;
};

void latencies_add(struct latencies *l, uint64_t us);
void latencies_sum(const struct latencies *l, struct drive_latency *out);

#endif
