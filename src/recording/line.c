#include "recording/line.h"

#include <stdio.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "protocol/text.h"
#include "protocol/utf8.h"

#define ESCAPED_MAX 6u /* bytes that one byte can become: \u001f */
#define BLOCK 16u
#define STRIDE                                                                                                         \
    4096u /* room is made for so many bytes at a time, so that a large frame does not ask for six times its size */

static const struct {
    char text[7];
    uint8_t len;
} escapes[256] = {
#define U(n, hex) [n] = {"\\u00" hex, 6}
    U(0, "00"),          U(1, "01"),           U(2, "02"),          U(3, "03"),          U(4, "04"),
    U(5, "05"),          U(6, "06"),           U(7, "07"),          U(11, "0b"),         U(14, "0e"),
    U(15, "0f"),         U(16, "10"),          U(17, "11"),         U(18, "12"),         U(19, "13"),
    U(20, "14"),         U(21, "15"),          U(22, "16"),         U(23, "17"),         U(24, "18"),
    U(25, "19"),         U(26, "1a"),          U(27, "1b"),         U(28, "1c"),         U(29, "1d"),
    U(30, "1e"),         U(31, "1f"),
#undef U
    ['\b'] = {"\\b", 2}, ['\f'] = {"\\f", 2},  ['\n'] = {"\\n", 2}, ['\r'] = {"\\r", 2}, ['\t'] = {"\\t", 2},
    ['"'] = {"\\\"", 2}, ['\\'] = {"\\\\", 2},
};

static const char *const middles[2][2] = {
    [EVENT_INCOMING] = {",\"direction\":\"incoming\",\"type\":\"text\",\"data\":\"",
                        ",\"direction\":\"incoming\",\"leg\":\"upstream\",\"type\":\"text\",\"data\":\""},
    [EVENT_OUTGOING] = {",\"direction\":\"outgoing\",\"type\":\"text\",\"data\":\"",
                        ",\"direction\":\"outgoing\",\"leg\":\"upstream\",\"type\":\"text\",\"data\":\""},
};

void line_prefix_init(struct line_prefix *p, const char *id) {
    int n = snprintf(p->text, sizeof p->text, "{\"connection\":\"%s\",\"timestamp_ms\":", id);
    MUST(n > 0 && (size_t)n < sizeof p->text);
    p->len = (uint8_t)n;
}

static uint8_t *put(uint8_t *to, const char *text, size_t len) {
    memcpy(to, text, len);
    return to + len;
}

static uint8_t *escape_byte(uint8_t *to, uint8_t c) {
    if (!escapes[c].len) {
        *to = c;
        return to + 1;
    }
    memcpy(to, escapes[c].text, ESCAPED_MAX);
    return to + escapes[c].len;
}

#ifdef __SSE2__
/* Which of 16 bytes need escaping: controls, the quote, the backslash; *high: which are not ASCII. */
static inline unsigned special_bytes(__m128i v, unsigned *high) {
    __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
    __m128i quote = _mm_cmpeq_epi8(v, _mm_set1_epi8('"')), backslash = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));
    *high |= (unsigned)_mm_movemask_epi8(v);
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(control, _mm_or_si128(quote, backslash)));
}

/* Escapes whole blocks. `to` has room for ESCAPED_MAX times n and a block more, which is written to and not used. */
static size_t escape_blocks(uint8_t **out, const uint8_t *from, size_t n, unsigned *high) {
    uint8_t *to = *out;
    size_t i = 0;
    for (; n - i >= BLOCK; i += BLOCK) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(from + i));
        unsigned specials = special_bytes(v, high), done = 0;
        _mm_storeu_si128((__m128i *)(void *)to, v);
        while (specials) {
            unsigned at = (unsigned)__builtin_ctz(specials);
            to = escape_byte(to + (at - done), from[i + at]);
            specials &= specials - 1;
            done = at + 1;
            /* May read up to a block past this one: only the last block of the data has nothing behind it. */
            if (n - i - done >= BLOCK)
                _mm_storeu_si128((__m128i *)(void *)to,
                                 _mm_loadu_si128((const __m128i *)(const void *)(from + i + done)));
            else
                memcpy(to, from + i + done, BLOCK - done);
        }
        to += BLOCK - done;
    }
    *out = to;
    return i;
}
#else
static size_t escape_blocks(uint8_t **out, const uint8_t *from, size_t n, unsigned *high) {
    (void)out, (void)from, (void)n, (void)high;
    return 0;
}
#endif

/* Appends data escaped; *high becomes other than 0 when any of it is not ASCII. False: no memory. */
static bool escape(struct buf *out, const uint8_t *data, size_t len, unsigned *high) {
    while (len) {
        size_t n = MIN(len, (size_t)STRIDE);
        if (buf_reserve(out, n * ESCAPED_MAX + BLOCK) < 0)
            return false;
        uint8_t *to = out->data + out->len;
        size_t i = escape_blocks(&to, data, n, high);
        for (; i < n; i++) {
            *high |= data[i] & 0x80u;
            to = escape_byte(to, data[i]);
        }
        out->len = (size_t)(to - out->data);
        data += n;
        len -= n;
    }
    return true;
}

bool line_text_frame(struct buf *out, const struct line_prefix *prefix, uint64_t timestamp_us,
                     enum event_direction direction, enum event_leg leg, const uint8_t *data, size_t len) {
    size_t before = out->len;
    unsigned high = 0;
    const char *middle = middles[direction][leg];
    size_t middle_len = strlen(middle);
    if (buf_reserve(out, sizeof prefix->text + 32 + middle_len) < 0)
        return false;
    out->len = (size_t)(put(out->data + out->len, prefix->text, prefix->len) - out->data);
    text_ms(out, timestamp_us);
    buf_append(out, middle, middle_len);
    bool good = escape(out, data, len, &high);
    buf_append(out, "\"}\n", 3);
    /* What is not ASCII is looked at again: most messages are. */
    if (!good || out->failed || (high && !utf8_valid(data, len))) {
        out->len = before;
        return false;
    }
    return true;
}
