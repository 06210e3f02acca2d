#include "base/hash.h"

#include <pthread.h>
#include <string.h>

#include "base/rng.h"

static uint64_t process_key[2];
static pthread_once_t drawn = PTHREAD_ONCE_INIT;

static void draw(void) {
    rng_secure(process_key, sizeof process_key);
}

static uint64_t rotate(uint64_t x, unsigned bits) {
    return x << bits | x >> (64 - bits);
}

static void mix(uint64_t v[4], unsigned rounds) {
    while (rounds--) {
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
}

/* Up to eight bytes, the first one lowest. */
static uint64_t read_word(const uint8_t *p, size_t len) {
    uint64_t word = 0;
    for (size_t i = 0; i < len; i++)
        word |= (uint64_t)p[i] << (8 * i);
    return word;
}

uint64_t hash_bytes_with(const uint64_t key[2], const void *data, size_t len) {
    const uint8_t *p = data;
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d, key[0] ^ 0x6c7967656e657261,
                     key[1] ^ 0x7465646279746573};
    size_t left = len;
    for (; left >= 8; p += 8, left -= 8) {
        uint64_t word = read_word(p, 8);
        v[3] ^= word;
        mix(v, 2);
        v[0] ^= word;
    }
    uint64_t last = read_word(p, left) | (uint64_t)len << 56;
    v[3] ^= last;
    mix(v, 2);
    v[0] ^= last;
    v[2] ^= 0xff;
    mix(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t hash_bytes(const void *data, size_t len) {
    pthread_once(&drawn, draw);
    return hash_bytes_with(process_key, data, len);
}
