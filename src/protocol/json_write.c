#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/json.h"
#include "protocol/text.h"
#include "protocol/utf8.h"

/* How long the UTF-8 sequence at s is; 0 when it is none. */
static size_t sequence_length(const unsigned char *s, size_t left) {
    struct utf8 u;
    utf8_init(&u);
    for (size_t n = 0; n < left && utf8_feed(&u, s + n, 1); n++)
        if (utf8_complete(&u))
            return n + 1;
    return 0;
}

static bool is_surrogate(const unsigned char *s, size_t left) {
    return left >= 3 && s[0] == 0xed && (s[1] & 0xe0) == 0xa0 && (s[2] & 0xc0) == 0x80;
}

/* Text that is not wholly valid: in runs of what is. `json` escapes what is valid and writes surrogates as escapes. */
static void write_mended(struct buf *out, const char *text, size_t len, bool json) {
    const unsigned char *s = (const unsigned char *)text, *end = s + len, *run = s;
    while (s < end) {
        size_t n = *s < 0x80 ? 1 : sequence_length(s, (size_t)(end - s));
        if (n) {
            s += n;
            continue;
        }
        if (json)
            json_escape(out, run, (size_t)(s - run));
        else
            buf_append(out, run, (size_t)(s - run));
        if (json && is_surrogate(s, (size_t)(end - s))) {
            unsigned c = (unsigned)((s[0] & 0x0f) << 12 | (s[1] & 0x3f) << 6 | (s[2] & 0x3f));
            buf_printf(out, "\\u%04x", c);
            s += 3;
        } else {
            buf_puts(out, "\xef\xbf\xbd");
            s++;
        }
        run = s;
    }
    if (json)
        json_escape(out, run, (size_t)(s - run));
    else
        buf_append(out, run, (size_t)(s - run));
}

void json_write_characters(struct buf *out, const char *s, size_t len) {
    if (utf8_valid(s, len))
        json_escape(out, s, len);
    else
        write_mended(out, s, len, true);
}

void json_write_string(struct buf *out, const char *s, size_t len) {
    buf_putc(out, '"');
    json_write_characters(out, s, len);
    buf_putc(out, '"');
}

void json_write_clean_text(struct buf *out, const char *s, size_t len) {
    if (utf8_valid(s, len))
        buf_append(out, s, len);
    else
        write_mended(out, s, len, false);
}

/* Lets `write` append to out what becomes of out's own tail, and moves that into the tail's place. `room` is the most
 * that `write` makes: with it set aside beforehand, the bytes that it reads stay where they are. */
static void rewrite_tail(struct buf *out, size_t from, size_t room, void (*write)(struct buf *, const char *, size_t)) {
    size_t end = out->len;
    if (buf_reserve(out, room) < 0)
        return;
    write(out, (const char *)out->data + from, end - from);
    out->len -= end - from;
    memmove(out->data + from, out->data + end, out->len - from);
}

#define SLACK 64 /* json_escape() and buf_printf() reserve a little more than they use */

void json_quote_tail(struct buf *out, size_t from) {
    if (!out->failed)
        rewrite_tail(out, from, 6 * (out->len - from) + SLACK, json_write_string);
}

void json_clean_tail(struct buf *out, size_t from) {
    if (!out->failed && out->len > from && !utf8_valid(out->data + from, out->len - from))
        rewrite_tail(out, from, 3 * (out->len - from) + SLACK, json_write_clean_text);
}

void json_write_integer(struct buf *out, int64_t n) {
    uint64_t u = (uint64_t)n;
    if (n < 0) {
        buf_putc(out, '-');
        u = 0 - u;
    }
    text_u64(out, u);
}

void json_write_double(struct buf *out, double d) {
    char s[40];
    int n = 0;
    for (int digits = 15; digits <= 17; digits++) {
        n = snprintf(s, sizeof s, "%.*g", digits, d);
        if (strtod(s, NULL) == d)
            break;
    }
    buf_append(out, s, (size_t)n);
    if (!strpbrk(s, ".e"))
        buf_puts(out, ".0"); /* 3.0 stays a decimal, as 3 stays an integer */
}
