/* Masking (RFC 6455 section 5.3), by machine words. Masking and unmasking are the same. Thread: any. */
#ifndef MF_PROTOCOL_MASK_H
#define MF_PROTOCOL_MASK_H

#include <endian.h>
#include <string.h>

#include "base/defs.h"

/* to[i] = from[i] ^ key[(offset + i) % 4]. to and from may be the same, and must not overlap otherwise. */
void mask_copy(uint8_t *to, const uint8_t *from, size_t len, const uint8_t key[4], uint64_t offset);

/* The key as it lies over eight bytes of payload that begin at `offset`; the lowest byte belongs to the first of them. */
static inline uint64_t mask_key_word(const uint8_t key[4], uint64_t offset) {
    uint32_t k;
    memcpy(&k, key, sizeof k);
    k = le32toh(k);
    unsigned turn = (unsigned)(offset % 4) * 8;
    k = k >> turn | k << ((32 - turn) & 31);
    return (uint64_t)k << 32 | k;
}

#endif
