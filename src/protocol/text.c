#include "protocol/text.h"

#include <endian.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "protocol/utf8.h"

/* -- JSON ---------------------------------------------------------------------------------------------------------- */

/* Bytes are copied sixteen at a time, and a mask says which of them need an escape: for each of those the copy is
 * repeated one place on, over what was written too far. A branch for each byte would cost three times as much. */
#define BLOCK 16
#define ESCAPE_MAX 6 /* \u00XX */
/* Input bytes between two looks at the output's room, which is made for the worst case so that the loop has no check. */
#define CHUNK 4096

#define U8 'u'
static const char escapes[0x20] = {U8, U8, U8, U8, U8, U8, U8, U8, 'b', 't', 'n', U8, 'f', 'r', U8, U8,
                                   U8, U8, U8, U8, U8, U8, U8, U8, U8,  U8,  U8,  U8, U8,  U8,  U8, U8};
#undef U8

/* Bit i: p[i] needs an escape. */
static inline unsigned escape_mask(const uint8_t *p) {
#ifdef __SSE2__
    __m128i v = _mm_loadu_si128((const __m128i *)p);
    __m128i quote = _mm_cmpeq_epi8(v, _mm_set1_epi8('"')), slash = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));
    __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, slash), control));
#else
    unsigned mask = 0;
    for (unsigned i = 0; i < BLOCK; i++)
        mask |= (unsigned)(p[i] == '"' || p[i] == '\\' || p[i] < 0x20) << i;
    return mask;
#endif
}

/* Writes the escape for c; returns its end. */
static inline uint8_t *put_escape(uint8_t *to, uint8_t c) {
    to[0] = '\\';
    if (MF_LIKELY(c >= 0x20)) {
        to[1] = c;
        return to + 2;
    }
    to[1] = (uint8_t)escapes[c];
    if (MF_LIKELY(to[1] != 'u'))
        return to + 2;
    static const char hex[] = "0123456789abcdef";
    memcpy(to + 2, "00", 2);
    to[4] = (uint8_t)hex[c >> 4];
    to[5] = (uint8_t)hex[c & 15];
    return to + ESCAPE_MAX;
}

/* Escapes the first `count` bytes (at most BLOCK) at `from`, where 2 * BLOCK bytes can be read; writes up to BLOCK bytes
 * beyond what it returns as the end. */
static inline uint8_t *escape_block(uint8_t *to, const uint8_t *from, size_t count, unsigned mask) {
    memcpy(to, from, BLOCK);
    size_t done = 0;
    for (; mask; mask &= mask - 1) {
        size_t at = (size_t)__builtin_ctz(mask);
        to = put_escape(to + (at - done), from[at]);
        done = at + 1;
        memcpy(to, from + done, BLOCK);
    }
    return to + (count - done);
}

static uint8_t *escape_chunk(uint8_t *to, const uint8_t *from, size_t len) {
    for (; len >= 2 * BLOCK; len -= BLOCK, from += BLOCK)
        to = escape_block(to, from, BLOCK, escape_mask(from));
    if (len == 0)
        return to;
    uint8_t tail[3 * BLOCK] = {0};
    memcpy(tail, from, len);
    for (const uint8_t *p = tail; len; p += BLOCK) {
        size_t count = MIN(len, (size_t)BLOCK);
        to = escape_block(to, p, count, escape_mask(p) & ((1u << count) - 1));
        len -= count;
    }
    return to;
}

void json_escape(struct buf *out, const void *data, size_t len) {
    const uint8_t *from = data;
    while (len) {
        size_t n = MIN(len, (size_t)CHUNK);
        if (buf_reserve(out, n * ESCAPE_MAX + BLOCK) < 0)
            return;
        out->len = (size_t)(escape_chunk(out->data + out->len, from, n) - out->data);
        from += n;
        len -= n;
    }
}

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* How many bytes at the front are valid UTF-8; *bad is how many after them form one ill-formed piece (a maximal subpart,
 * as Unicode chapter 3 recommends replacing). */
static size_t valid_prefix(const uint8_t *s, size_t len, size_t *bad) {
    struct utf8 u;
    utf8_init(&u);
    size_t good = 0;
    for (size_t i = 0; i < len; i++) {
        if (!utf8_feed(&u, s + i, 1)) {
            *bad = i > good ? i - good : 1;
            return good;
        }
        if (utf8_complete(&u))
            good = i + 1;
    }
    *bad = len - good;
    return good;
}

void json_quote(struct buf *out, const char *s, size_t len) {
    buf_putc(out, '"');
    const uint8_t *p = (const uint8_t *)s;
    if (utf8_valid(p, len)) {
        json_escape(out, p, len);
    } else {
        while (len) {
            size_t bad, good = valid_prefix(p, len, &bad);
            json_escape(out, p, good);
            if (bad)
                buf_puts(out, REPLACEMENT);
            p += good + bad;
            len -= good + bad;
        }
    }
    buf_putc(out, '"');
}

/* -- base64 -------------------------------------------------------------------------------------------------------- */

static const char alphabet[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static inline void put_three(uint8_t *to, const uint8_t *from) {
    uint32_t w = (uint32_t)from[0] << 16 | (uint32_t)from[1] << 8 | from[2];
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)alphabet[w >> (18 - 6 * i) & 63];
}

void base64_append(struct buf *out, const void *data, size_t len) {
    const uint8_t *from = data;
    size_t need;
    if (__builtin_mul_overflow(len / 3 + 1, 4, &need) || buf_reserve(out, need) < 0) {
        out->failed = true;
        return;
    }
    uint8_t *to = out->data + out->len;
    for (; len >= 8; len -= 6, from += 6, to += 8) {
        uint64_t w;
        memcpy(&w, from, sizeof w);
        w = be64toh(w);
        for (int i = 0; i < 8; i++)
            to[i] = (uint8_t)alphabet[w >> (58 - 6 * i) & 63];
    }
    for (; len >= 3; len -= 3, from += 3, to += 4)
        put_three(to, from);
    if (len) {
        uint8_t last[3] = {from[0], len == 2 ? from[1] : 0, 0};
        put_three(to, last);
        to[3] = '=';
        if (len == 1)
            to[2] = '=';
        to += 4;
    }
    out->len = (size_t)(to - out->data);
}

/* A character's six bits, or -1. */
static int sextet(char c) {
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Four characters, the last `pads` of which are '=': -1 when they are not canonical. */
static int get_four(const char *text, int pads) {
    int bits = 0;
    for (int i = 0; i < 4; i++) {
        int six = i < 4 - pads ? sextet(text[i]) : 0;
        if (six < 0)
            return -1;
        bits = bits << 6 | six;
    }
    /* Bits that padding leaves over must be zero (RFC 4648 section 3.5). */
    return bits & ((1 << 8 * pads) - 1) ? -1 : bits;
}

int base64_decode(struct buf *out, const char *text, size_t len) {
    if (len % 4)
        return MF_EINVAL;
    if (buf_reserve(out, len / 4 * 3) < 0)
        return MF_ENOMEM;
    size_t before = out->len;
    for (size_t i = 0; i < len; i += 4) {
        bool last = i + 4 == len;
        int pads = last && text[i + 3] == '=' ? (text[i + 2] == '=' ? 2 : 1) : 0;
        int bits = get_four(text + i, pads);
        if (bits < 0) {
            out->len = before;
            return MF_EINVAL;
        }
        uint8_t three[3] = {(uint8_t)(bits >> 16), (uint8_t)(bits >> 8), (uint8_t)bits};
        memcpy(out->data + out->len, three, 3 - (size_t)pads);
        out->len += 3 - (size_t)pads;
    }
    return MF_OK;
}

/* -- numbers ------------------------------------------------------------------------------------------------------- */

#define U64_DIGITS 20

static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748"
                            "4950515253545556575859606162636465666768697071727374757677787980818283848586878889909192939495969798"
                            "99";

static size_t count_digits(uint64_t n) {
    size_t digits = 1;
    for (; n >= 10000; n /= 10000)
        digits += 4;
    return digits + (n >= 10) + (n >= 100) + (n >= 1000);
}

/* Writes n's digits at `to`; returns their end. */
static uint8_t *put_digits(uint8_t *to, uint64_t n) {
    uint8_t *end = to + count_digits(n), *p = end;
    while (n >= 100) {
        p -= 2;
        memcpy(p, pairs + n % 100 * 2, 2);
        n /= 100;
    }
    if (n >= 10)
        memcpy(to, pairs + n * 2, 2);
    else
        *to = (uint8_t)('0' + n);
    return end;
}

void text_u64(struct buf *out, uint64_t n) {
    if (buf_reserve(out, U64_DIGITS) < 0)
        return;
    out->len = (size_t)(put_digits(out->data + out->len, n) - out->data);
}

void text_ms(struct buf *out, uint64_t us) {
    if (buf_reserve(out, U64_DIGITS + 4) < 0)
        return;
    uint8_t *end = put_digits(out->data + out->len, us / 1000);
    unsigned rest = (unsigned)(us % 1000);
    if (rest) {
        *end++ = '.';
        *end++ = (uint8_t)('0' + rest / 100);
        memcpy(end, pairs + rest % 100 * 2, 2);
        end += 2;
        while (end[-1] == '0')
            end--;
    }
    out->len = (size_t)(end - out->data);
}
