/* The only source of chance.
 *
 * Two kinds: a seeded generator for what users want repeatable (templates, chaos), and bytes from the kernel for what
 * must be unpredictable (masking keys, RFC 6455 section 5.3; handshake keys; ids). Thread: a struct rng belongs to one. */
#ifndef MF_BASE_RNG_H
#define MF_BASE_RNG_H

#include "base/defs.h"

struct rng {
    uint64_t s[4]; /* xoshiro256** state */
};

/* seed 0: seeded by the kernel. */
void rng_init(struct rng *rng, uint64_t seed);
uint64_t rng_u64(struct rng *rng);
/* Uniform in [low, high], both included; low <= high. */
int64_t rng_range(struct rng *rng, int64_t low, int64_t high);
/* Uniform in [0, 1). */
double rng_unit(struct rng *rng);
#define RNG_UUID_LEN 37 /* with the NUL */
/* A version 4 UUID (RFC 9562) drawn from rng. Returns out. */
char *rng_uuid(struct rng *rng, char out[RNG_UUID_LEN]);

/* Unpredictable bytes, from a per-thread pool that getrandom(2) fills. */
void rng_secure(void *out, size_t len);

#endif
