#include "base/rng.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

/* One system call for about a thousand masking keys. */
#define POOL_SIZE 4096

static void kernel_bytes(void *out, size_t len) {
    uint8_t *p = out;
    while (len) {
        ssize_t n = getrandom(p, len, 0);
        if (n < 0) {
            MUST(errno == EINTR);
            continue;
        }
        p += n;
        len -= (size_t)n;
    }
}

void rng_secure(void *out, size_t len) {
    static _Thread_local uint8_t pool[POOL_SIZE];
    static _Thread_local size_t left;
    if (len > sizeof pool) {
        kernel_bytes(out, len);
        return;
    }
    if (left < len) {
        kernel_bytes(pool, sizeof pool);
        left = sizeof pool;
    }
    left -= len;
    memcpy(out, pool + left, len);
    memset(pool + left, 0, len);
}

static uint64_t splitmix(uint64_t *x) {
    uint64_t z = (*x += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void rng_init(struct rng *rng, uint64_t seed) {
    if (!seed)
        kernel_bytes(&seed, sizeof seed);
    for (size_t i = 0; i < ARRAY_LEN(rng->s); i++)
        rng->s[i] = splitmix(&seed);
}

static uint64_t rotl(uint64_t x, int k) {
    return (x << k) | (x >> (64 - k));
}

uint64_t rng_u64(struct rng *rng) {
    uint64_t *s = rng->s;
    uint64_t result = rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

int64_t rng_range(struct rng *rng, int64_t low, int64_t high) {
    MUST(low <= high);
    uint64_t span = (uint64_t)high - (uint64_t)low + 1;
    if (span == 0)
        return (int64_t)rng_u64(rng);
    uint64_t limit = UINT64_MAX - UINT64_MAX % span;
    uint64_t x;
    do {
        x = rng_u64(rng);
    } while (x >= limit);
    return (int64_t)((uint64_t)low + x % span);
}

double rng_unit(struct rng *rng) {
    return (double)(rng_u64(rng) >> 11) * 0x1.0p-53;
}

static char *put_hex(char *to, uint64_t bits, int digits) {
    for (int i = digits; i--; bits >>= 4)
        to[i] = "0123456789abcdef"[bits & 15];
    return to + digits;
}

char *rng_uuid(struct rng *rng, char out[RNG_UUID_LEN]) {
    uint64_t a = rng_u64(rng), b = rng_u64(rng);
    char *p = put_hex(out, a >> 32, 8);
    *p++ = '-';
    p = put_hex(p, a >> 16, 4);
    *p++ = '-';
    *p++ = '4';
    p = put_hex(p, a, 3);
    *p++ = '-';
    p = put_hex(p, 0x8000 | b >> 50, 4);
    *p++ = '-';
    p = put_hex(p, b, 12);
    *p = '\0';
    return out;
}
