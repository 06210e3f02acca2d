#include "protocol/utf8.h"

#include <endian.h>
#include <string.h>

#include "protocol/mask.h"

/* One body serves plain and masked text: bytes are looked at through a key that is zero for plain text. The key is a
 * mask_key_word() for data[0], so that a turn by 8 * (i % 4) bits lays it over data[i]. */
#define HIGH_BITS 0x8080808080808080u
#define WORD sizeof(uint64_t)

typedef uint8_t block __attribute__((vector_size(16)));
typedef uint64_t block_words __attribute__((vector_size(16)));

/* The word that begins at data[i], unmasked; data[i] is its lowest byte. */
static inline uint64_t word_at(const uint8_t *data, size_t i, uint64_t key) {
    uint64_t w;
    memcpy(&w, data + i, sizeof w);
    unsigned turn = (unsigned)(i % 4) * 8;
    return le64toh(w) ^ (key >> turn | key << ((64 - turn) & 63));
}

static inline uint8_t byte_at(const uint8_t *data, size_t i, uint64_t key) {
    return data[i] ^ (uint8_t)(key >> (i % 4) * 8);
}

/* A lead byte sets how many bytes follow and what the first of them may be (RFC 3629 section 4); those after it may be
 * 80..BF. */
static inline bool step_lead(struct utf8 *u, uint8_t c) {
    u->low = 0x80;
    u->high = 0xbf;
    if (c < 0x80) {
        u->need = 0;
    } else if (c < 0xc2 || c > 0xf4) {
        return false; /* a continuation byte, an overlong form, or above U+10FFFF */
    } else if (c < 0xe0) {
        u->need = 1;
    } else if (c < 0xf0) {
        u->need = 2;
        if (c == 0xe0)
            u->low = 0xa0; /* overlong below */
        else if (c == 0xed)
            u->high = 0x9f; /* surrogates above */
    } else {
        u->need = 3;
        if (c == 0xf0)
            u->low = 0x90;
        else if (c == 0xf4)
            u->high = 0x8f;
    }
    return true;
}

static inline bool step(struct utf8 *u, uint8_t c) {
    if (!u->need)
        return step_lead(u, c);
    if (c < u->low || c > u->high)
        return false;
    u->need--;
    u->low = 0x80;
    u->high = 0xbf;
    return true;
}

/* How many of the 64-byte strides from data[i] on are nothing but ASCII: returns where they end. */
static inline size_t skip_ascii_strides(const uint8_t *data, size_t i, size_t len, uint64_t key) {
    unsigned turn = (unsigned)(i % 4) * 8;
    uint64_t turned = htole64(key >> turn | key << ((64 - turn) & 63));
    block_words wide = {turned, turned};
    for (; len - i >= 64; i += 64) {
        block_words a, b, c, d;
        memcpy(&a, data + i, sizeof a);
        memcpy(&b, data + i + 16, sizeof b);
        memcpy(&c, data + i + 32, sizeof c);
        memcpy(&d, data + i + 48, sizeof d);
        block_words any = (a ^ wide) | (b ^ wide) | (c ^ wide) | (d ^ wide);
        if ((any[0] | any[1]) & HIGH_BITS)
            break;
    }
    return i;
}

/* The size of the character that begins in w's lowest byte, which is not ASCII; 0 when it is not valid. w holds all of
 * it. Each test is one mask of the shape that lead and continuation bytes must have, and one of the forbidden ranges. */
static inline size_t character_size(uint64_t w) {
    if ((w & 0xc0e0) == 0x80c0)
        return (w & 0x1e) ? 2 : 0; /* C0, C1 are overlong */
    if ((w & 0xc0c0f0) == 0x8080e0) {
        uint64_t range = w & 0x200f; /* 0: overlong below U+0800; 0x200d: surrogates */
        return range != 0 && range != 0x200d ? 3 : 0;
    }
    if ((w & 0xc0c0c0f8) == 0x808080f0) {
        uint64_t range = w & 0x3007; /* 0: overlong below U+10000; above 0x0004: beyond U+10FFFF */
        return range != 0 && ((range & 4) == 0 || range == 4) ? 4 : 0;
    }
    return 0;
}

/* Two three-byte characters in a row, neither at the edge of a forbidden range: the usual case in Chinese, Japanese and
 * Korean text, taken in one step because each step waits for the one before. */
static inline bool is_three_byte_pair(uint64_t w) {
    if ((w & 0xc0c0f0c0c0f0) != 0x8080e08080e0)
        return false;
    uint64_t first = w & 0x200f, second = w >> 24 & 0x200f;
    return first != 0 && first != 0x200d && second != 0 && second != 0x200d;
}

static inline __attribute__((always_inline)) bool feed(struct utf8 *u, const uint8_t *data, size_t len, uint64_t key) {
    size_t i = 0;
    while (u->need && i < len)
        if (!step(u, byte_at(data, i++, key)))
            return false;
    while (len - i >= WORD) {
        uint64_t w = word_at(data, i, key);
        uint64_t high = w & HIGH_BITS;
        if (!high) {
            i += WORD;
            if (len - i >= 64)
                i = skip_ascii_strides(data, i, len, key);
            continue;
        }
        size_t ascii = (size_t)__builtin_ctzll(high) / 8;
        if (ascii > WORD - 4) {
            i += ascii;
            continue;
        }
        w >>= ascii * 8;
        i += ascii;
        if (ascii <= WORD - 6 && is_three_byte_pair(w)) {
            i += 6;
            continue;
        }
        size_t size = character_size(w);
        if (!size)
            return false;
        i += size;
    }
    if (i < len && len >= WORD) {
        uint64_t w = word_at(data, len - WORD, key) >> 8 * (WORD - (len - i));
        if (!(w & HIGH_BITS))
            return true;
    }
    for (; i < len; i++)
        if (!step(u, byte_at(data, i, key)))
            return false;
    return true;
}

bool utf8_feed(struct utf8 *u, const uint8_t *data, size_t len) {
    return feed(u, data, len, 0);
}

bool utf8_feed_masked(struct utf8 *u, const uint8_t *data, size_t len, const uint8_t key[4], uint64_t offset) {
    return feed(u, data, len, mask_key_word(key, offset));
}

bool utf8_valid(const void *data, size_t len) {
    struct utf8 u;
    utf8_init(&u);
    return utf8_feed(&u, data, len) && utf8_complete(&u);
}
