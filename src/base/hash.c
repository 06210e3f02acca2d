#include "base/hash.h"

#include <endian.h>
#include <pthread.h>
#include <string.h>

#include "base/rng.h"

static uint64_t process_key[2];
static pthread_once_t drawn = PTHREAD_ONCE_INIT;

static void draw(void) {
    rng_secure(process_key, sizeof process_key);
}

static inline uint64_t rotate(uint64_t x, unsigned bits) {
    return x << bits | x >> (64 - bits);
}

static inline void mix(uint64_t v[4]) {
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32) + v[3];
    v[2] += v[1];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

static inline void absorb(uint64_t v[4], uint64_t word) {
    v[3] ^= word;
    mix(v);
    mix(v);
    v[0] ^= word;
}

/* Bytes in memory, the first one lowest. */
static inline uint64_t read_4(const uint8_t *p) {
    uint32_t word;
    memcpy(&word, p, sizeof word);
    return le32toh(word);
}

static inline uint64_t read_8(const uint8_t *p) {
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return le64toh(word);
}

/* Up to seven bytes, the first one lowest. Some are read twice, into the same place. */
static inline uint64_t read_rest(const uint8_t *p, size_t len) {
    if (len >= 4)
        return read_4(p) | read_4(p + len - 4) << (8 * (len - 4));
    if (!len)
        return 0;
    return p[0] | (uint64_t)p[len / 2] << (8 * (len / 2)) | (uint64_t)p[len - 1] << (8 * (len - 1));
}

uint64_t hash_bytes_with(const uint64_t key[2], const void *data, size_t len) {
    const uint8_t *p = data;
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d, key[0] ^ 0x6c7967656e657261,
                     key[1] ^ 0x7465646279746573};
    size_t left = len;
    for (; left >= 8; p += 8, left -= 8)
        absorb(v, read_8(p));
    absorb(v, read_rest(p, left) | (uint64_t)len << 56);
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++)
        mix(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t hash_bytes(const void *data, size_t len) {
    pthread_once(&drawn, draw);
    return hash_bytes_with(process_key, data, len);
}
