#include "recording/parse_json.h"

#include <stdarg.h>
#include <stdio.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "protocol/utf8.h"

void parse_error(struct parse *p, const uint8_t *at, const char *fmt, ...) {
    char text[300];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    err_set(p->err, MF_EINVAL, "%s", text);
    /* No file name here: the reader knows it. err_at() would take a bare line for a place that is complete. */
    if (p->err) {
        p->err->line = p->line + 1;
        p->err->column = (int)(at - p->line_begin) + 1;
    }
}

void json_space_slow(struct parse *p) {
    while (parse_is_space(*p->at)) {
        if (*p->at == '\n' && p->at < p->end) {
            p->line++;
            p->line_begin = p->at + 1;
        }
        if (p->at == p->end)
            break;
        p->at++;
    }
}

static const char *describe(const struct parse *p, char out[16]) {
    if (p->at >= p->end)
        return "the end";
    uint8_t c = *p->at;
    snprintf(out, 16, c > 0x20 && c < 0x7f ? "'%c'" : "byte 0x%02x", c);
    return out;
}

bool json_expect(struct parse *p, uint8_t c, const char *what) {
    json_space(p);
    char found[16];
    if (MF_UNLIKELY(*p->at != c || p->at >= p->end))
        return parse_fail(p, p->at, "expected %s, found %s", what, describe(p, found));
    p->at++;
    json_space(p);
    return true;
}

/* --- strings --- */

/* Those that the writer uses; "\/" and \u are looked at where they are met. */
static const uint8_t short_escape[256] = {
    ['"'] = '"', ['\\'] = '\\', ['b'] = '\b', ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t',
};

#ifdef __SSE2__
static inline void copy_block(uint8_t *dst, const uint8_t *src) {
    _mm_storeu_si128((__m128i *)(void *)dst, _mm_loadu_si128((const __m128i *)(const void *)src));
}
#endif

/* Copies a string's characters, short escapes resolved, up to what ends that: the quote, a control (there is always
 * one: the byte after the text), another escape's backslash. Gives where that is in the source, and moves *to; clears
 * *ascii when a byte is not. May read 15 bytes beyond it and write as many.
 *
 * What means something in a block is found at once, and the pieces between are copied with whole blocks: JSON within
 * JSON has an escape every few bytes, and to look for each anew would wait for the one before it. */
static inline const uint8_t *copy_characters(uint8_t **to, const uint8_t *src, bool *ascii) {
    uint8_t *dst = *to;
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), control = _mm_set1_epi8(0x1f);
    for (;;) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)src);
        __m128i special = _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, backslash));
        special = _mm_or_si128(special, _mm_cmpeq_epi8(_mm_min_epu8(v, control), v));
        unsigned found = (unsigned)_mm_movemask_epi8(special), high = (unsigned)_mm_movemask_epi8(v), done = 0;
        while (found) {
            unsigned at = (unsigned)__builtin_ctz(found);
            uint8_t c = src[at] == '\\' ? short_escape[src[at + 1]] : 0;
            copy_block(dst, src + done);
            dst += at - done;
            if (!c) {
                *ascii &= !(high & ((1u << at) - 1));
                *to = dst;
                return src + at;
            }
            *dst++ = c;
            done = at + 2;
            found &= ~0u << done;
        }
        *ascii &= !high;
        if (done < 16) {
            copy_block(dst, src + done);
            dst += 16 - done;
            done = 16;
        }
        src += done;
    }
#else
    for (;;) {
        if (*src == '\\' && short_escape[src[1]]) {
            *dst++ = short_escape[src[1]];
            src += 2;
        } else if (*src == '"' || *src == '\\' || *src <= 0x1f) {
            *to = dst;
            return src;
        } else {
            *ascii &= *src < 0x80;
            *dst++ = *src++;
        }
    }
#endif
}

/* Four hexadecimal digits, or -1. */
static int hex4(const uint8_t *s) {
    int value = 0;
    for (int i = 0; i < 4; i++) {
        uint8_t c = s[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

static uint8_t *put_utf8(uint8_t *dst, unsigned c) {
    if (c < 0x80) {
        *dst++ = (uint8_t)c;
        return dst;
    }
    if (c < 0x800) {
        *dst++ = (uint8_t)(0xc0 | c >> 6);
    } else {
        if (c < 0x10000) {
            *dst++ = (uint8_t)(0xe0 | c >> 12);
        } else {
            *dst++ = (uint8_t)(0xf0 | c >> 18);
            *dst++ = (uint8_t)(0x80 | (c >> 12 & 0x3f));
        }
        *dst++ = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    }
    *dst++ = (uint8_t)(0x80 | (c & 0x3f));
    return dst;
}

/* src is behind "\u". Returns what follows the escape (or the pair of them), NULL when it is malformed. */
static const uint8_t *unicode_escape(const uint8_t *src, uint8_t **dst) {
    int unit = hex4(src);
    if (unit < 0)
        return NULL;
    src += 4;
    unsigned c = (unsigned)unit;
    if (c >= 0xd800 && c <= 0xdfff) {
        int low = c < 0xdc00 && src[0] == '\\' && src[1] == 'u' ? hex4(src + 2) : -1;
        if (low >= 0xdc00 && low <= 0xdfff) {
            c = 0x10000 + ((c - 0xd800) << 10) + ((unsigned)low - 0xdc00);
            src += 6;
        } else {
            c = 0xfffd; /* a lone surrogate stands for no character: RFC 8259 section 8.2 leaves it to us */
        }
    }
    *dst = put_utf8(*dst, c);
    return src;
}

/* src is behind the backslash; as unicode_escape(). */
static const uint8_t *rare_escape(const uint8_t *src, uint8_t **dst) {
    if (*src == '/') {
        *(*dst)++ = '/';
        return src + 1;
    }
    return *src == 'u' ? unicode_escape(src + 1, dst) : NULL;
}

bool parse_json_string(struct parse *p, struct event_bytes *out) {
    char found[16];
    if (MF_UNLIKELY(*p->at != '"' || p->at >= p->end))
        return parse_fail(p, p->at, "expected a string, found %s", describe(p, found));
    const uint8_t *src = p->at + 1;
    uint8_t *begin = p->space.data + p->space.len, *dst = begin;
    bool ascii = true;
    for (;;) {
        src = copy_characters(&dst, src, &ascii);
        if (*src == '\\') {
            const uint8_t *next = rare_escape(src + 1, &dst);
            p->odd_escape = true;
            if (!next)
                return parse_fail(p, src, "expected an escape (\\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX)");
            src = next;
        } else if (*src == '"') {
            break;
        } else if (src >= p->end) {
            return parse_fail(p, p->at, "expected a '\"' that ends the string");
        } else {
            return parse_fail(p, src, "expected no control character in a string, found byte 0x%02x", *src);
        }
    }
    if (!ascii && !utf8_valid(begin, (size_t)(dst - begin)))
        return parse_fail(p, p->at, "expected UTF-8 in the string");
    *dst = '\0';
    *out = (struct event_bytes){begin, (size_t)(dst - begin)};
    p->space.len = (size_t)(dst + 1 - p->space.data);
    p->at = src + 1;
    return true;
}

/* --- numbers and words --- */

static const uint8_t *digits(const uint8_t *s) {
    while (*s >= '0' && *s <= '9')
        s++;
    return s;
}

bool json_number(struct parse *p, const char **text, size_t *len) {
    const uint8_t *s = p->at, *from;
    if (*s == '-')
        s++;
    from = s;
    s = *s == '0' ? s + 1 : digits(s);
    bool ok = s > from;
    if (ok && *s == '.') {
        from = s + 1;
        s = digits(from);
        ok = s > from;
    }
    if (ok && (*s == 'e' || *s == 'E')) {
        from = s + 1 + (s[1] == '+' || s[1] == '-');
        s = digits(from);
        ok = s > from;
    }
    char found[16];
    if (!ok)
        return parse_fail(p, p->at, "expected a number, found %s", describe(p, found));
    *text = (const char *)p->at;
    *len = (size_t)(s - p->at);
    p->at = s;
    return true;
}

bool json_whole(struct parse *p, const char *name, uint64_t max, uint64_t *out) {
    const uint8_t *at = p->at;
    const char *text;
    size_t len;
    if (!json_number(p, &text, &len))
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9' || __builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text[i] - '0'), &value) || value > max)
            return parse_fail(p, at, "expected a whole number from 0 to %llu for \"%s\"", (unsigned long long)max,
                              name);
    }
    *out = value;
    return true;
}

static bool word(struct parse *p, const char *w, size_t len) {
    if ((size_t)(p->end - p->at) < len || memcmp(p->at, w, len) != 0)
        return false;
    p->at += len;
    return true;
}

bool parse_json_null(struct parse *p) {
    return *p->at == 'n' && word(p, "null", 4);
}

bool json_bool(struct parse *p, const char *name, bool *out) {
    if (word(p, "true", 4))
        *out = true;
    else if (word(p, "false", 5))
        *out = false;
    else
        return parse_fail(p, p->at, "expected true or false for \"%s\"", name);
    return true;
}

/* --- values that nobody asked for --- */

static bool skip_scalar(struct parse *p) {
    struct event_bytes s = {0};
    const char *text;
    size_t len;
    if (*p->at == '"') {
        if (!parse_json_string(p, &s))
            return false;
        parse_json_string_drop(p, &s);
        return true;
    }
    if (parse_json_null(p) || word(p, "true", 4) || word(p, "false", 5))
        return true;
    char found[16];
    if (*p->at != '-' && (*p->at < '0' || *p->at > '9'))
        return parse_fail(p, p->at, "expected a value, found %s", describe(p, found));
    return json_number(p, &text, &len);
}

static bool skip_key(struct parse *p) {
    struct event_bytes key = {0};
    if (!parse_json_string(p, &key))
        return false;
    parse_json_string_drop(p, &key);
    return json_expect(p, ':', "':' after the member's name");
}

bool json_skip(struct parse *p) {
    bool object[PARSE_DEPTH_MAX]; /* else an array */
    unsigned depth = 0;
    for (;;) {
        /* A value begins here. */
        if (*p->at == '{' || *p->at == '[') {
            if (depth == PARSE_DEPTH_MAX)
                return parse_fail(p, p->at, "expected at most %d levels of arrays and objects", PARSE_DEPTH_MAX);
            object[depth] = *p->at == '{';
            p->at++;
            json_space(p);
            if (*p->at != (object[depth] ? '}' : ']')) {
                if (object[depth++] && !skip_key(p))
                    return false;
                continue;
            }
            p->at++;
        } else if (!skip_scalar(p)) {
            return false;
        }
        /* A value ended here: close what ends with it, or go on to the next one. */
        for (;;) {
            if (depth == 0)
                return true;
            json_space(p);
            if (*p->at == ',')
                break;
            if (!json_expect(p, object[depth - 1] ? '}' : ']', object[depth - 1] ? "',' or '}'" : "',' or ']'"))
                return false;
            depth--;
        }
        p->at++;
        json_space(p);
        if (object[depth - 1] && !skip_key(p))
            return false;
    }
}

/* --- values that somebody asked for --- */

bool parse_json_text(struct parse *p, const char *name, const char **out) {
    const uint8_t *at = p->at;
    struct event_bytes s = {0};
    if (!parse_json_string(p, &s))
        return false;
    if (memchr(s.data, '\0', s.len))
        return parse_fail(p, at, "expected no NUL in \"%s\"", name);
    *out = (const char *)s.data;
    return true;
}

bool json_members(struct parse *p, parse_member_fn *take, void *arg) {
    json_space(p);
    if (!json_expect(p, '{', "an object"))
        return false;
    if (*p->at == '}') {
        p->at++;
        return true;
    }
    for (;;) {
        struct event_bytes name = {0};
        if (!parse_json_string(p, &name) || !json_expect(p, ':', "':' after the member's name") || !take(p, &name, arg))
            return false;
        json_space(p);
        if (*p->at != ',')
            return json_expect(p, '}', "',' or '}' after the member");
        p->at++;
        json_space(p);
    }
}

bool json_elements(struct parse *p, parse_member_fn *take, void *arg) {
    json_space(p);
    if (!json_expect(p, '[', "an array"))
        return false;
    if (*p->at == ']') {
        p->at++;
        return true;
    }
    for (;;) {
        if (!take(p, NULL, arg))
            return false;
        json_space(p);
        if (*p->at != ',')
            return json_expect(p, ']', "',' or ']'");
        p->at++;
        json_space(p);
    }
}
