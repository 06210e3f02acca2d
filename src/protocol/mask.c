#include "protocol/mask.h"

/* Sixteen bytes are one register on every x86-64 and arm64, so no run-time choice of an instruction set is needed; a
 * compiler without vectors splits them into words. Loads and stores are unaligned: memcpy() says so. */
typedef uint8_t block __attribute__((vector_size(16)));
#define BLOCK sizeof(block)
#define STRIDE (4 * BLOCK)

static inline block load(const uint8_t *p) {
    block b;
    memcpy(&b, p, sizeof b);
    return b;
}

static inline void store(uint8_t *p, block b) {
    memcpy(p, &b, sizeof b);
}

static inline void mask_word(uint8_t *to, const uint8_t *from, uint64_t key) {
    uint64_t w;
    memcpy(&w, from, sizeof w);
    w ^= key;
    memcpy(to, &w, sizeof w);
}

void mask_copy(uint8_t *to, const uint8_t *from, size_t len, const uint8_t key[4], uint64_t offset) {
    /* Any step by a multiple of four leaves the key where it lies. */
    uint64_t word = htole64(mask_key_word(key, offset));

    if (len >= STRIDE) {
        block wide;
        memcpy(&wide, &word, sizeof word);
        memcpy((uint8_t *)&wide + sizeof word, &word, sizeof word);
        do {
            block a = load(from) ^ wide, b = load(from + BLOCK) ^ wide;
            block c = load(from + 2 * BLOCK) ^ wide, d = load(from + 3 * BLOCK) ^ wide;
            store(to, a);
            store(to + BLOCK, b);
            store(to + 2 * BLOCK, c);
            store(to + 3 * BLOCK, d);
            from += STRIDE;
            to += STRIDE;
            len -= STRIDE;
        } while (len >= STRIDE);
    }
    for (; len >= sizeof word; len -= sizeof word, from += sizeof word, to += sizeof word)
        mask_word(to, from, word);
    const uint8_t *bytes = (const uint8_t *)&word;
    for (size_t i = 0; i < len; i++)
        to[i] = from[i] ^ bytes[i];
}
