/* Incremental UTF-8 check (RFC 3629; RFC 6455 section 8.1 wants it on text messages and close reasons).
 *
 * Fed in pieces cut anywhere; says no at the first byte that cannot be part of valid text (fail fast), overlong forms,
 * surrogates and code points above U+10FFFF included. ASCII goes through many bytes at a time. No allocation.
 * Thread: the owner's. */
#ifndef MF_PROTOCOL_UTF8_H
#define MF_PROTOCOL_UTF8_H

#include "base/defs.h"

struct utf8 {
    uint8_t need;     /* continuation bytes still to come; 0 between characters */
    uint8_t low, high; /* range of the next continuation byte */
};

static inline void utf8_init(struct utf8 *u) {
    *u = (struct utf8){0, 0x80, 0xbf};
}
/* false: what came so far is not the beginning of valid UTF-8; feed no more. */
MF_MUSTCHECK bool utf8_feed(struct utf8 *u, const uint8_t *data, size_t len);
/* The same on a masked payload (RFC 6455 section 5.3) without writing it: `offset` is the position of data[0] in its
 * frame's payload, so that key[offset % 4] masks it. */
MF_MUSTCHECK bool utf8_feed_masked(struct utf8 *u, const uint8_t *data, size_t len, const uint8_t key[4], uint64_t offset);
/* No character is half done. */
static inline bool utf8_complete(const struct utf8 *u) {
    return u->need == 0;
}
/* All of it at once. */
bool utf8_valid(const void *data, size_t len);

#endif
