#include "recording/document_cursor.h"

#include <stdarg.h>
#include <stdio.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "recording/parse.h"
#include "recording/reader.h"

#define DEPTH_MAX (PARSE_DEPTH_MAX + 2) /* parse.c says it better for a value that is taken */

int cursor_open(struct cursor *c, const char *path, struct err *err) {
    *c = (struct cursor){.line = 1};
    if (buf_reserve(&c->text, PARSE_PADDING) < 0)
        return err_set(err, MF_ENOMEM, "out of memory");
    return input_open(&c->in, path, err);
}

int cursor_share(struct cursor *c, const struct cursor *of, struct err *err) {
    *c = (struct cursor){.line = 1};
    if (buf_reserve(&c->text, PARSE_PADDING) < 0)
        return err_set(err, MF_ENOMEM, "out of memory");
    return input_share(&c->in, &of->in, err);
}

void cursor_close(struct cursor *c) {
    input_close(&c->in);
    buf_fini(&c->text);
}

int cursor_pass_bom(struct cursor *c, struct err *err) {
    uint8_t first;
    int rc = cursor_peek(c, &first, err);
    if (rc > 0 && first == 0xef && c->text.len - c->at >= 3 && !memcmp(c->text.data + c->at, "\xef\xbb\xbf", 3))
        c->at += 3;
    return rc;
}

struct cursor_place cursor_here(const struct cursor *c) {
    return (struct cursor_place){c->dropped + c->at, c->line_begin, c->line};
}

int cursor_seek(struct cursor *c, struct cursor_place place, struct err *err) {
    MUST(!c->in.zstd);
    buf_reset(&c->text);
    c->at = 0;
    c->dropped = place.offset;
    c->line = place.line;
    c->line_begin = place.line_begin;
    return input_seek(&c->in, place.offset, err);
}

static int column(const struct cursor *c) {
    return (int)(c->dropped + c->at - c->line_begin) + 1;
}

int cursor_fail(struct cursor *c, struct err *err, const char *fmt, ...) {
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return err_set_at(err, MF_EINVAL, c->in.path, c->line, column(c), "%s", text);
}

void cursor_place(const struct cursor *c, struct err *err) {
    int line = err->line, at = err->column;
    if (line <= 1)
        at += column(c) - 1;
    err->line = 0;
    err_at(err, c->in.path, c->line + MAX(line, 1) - 1, at);
}

/* More text behind what is there; what was passed is dropped. */
static int fill(struct cursor *c, struct err *err) {
    if (c->text.len - c->at > READER_LINE_MAX) {
        int rc = cursor_fail(c, err, "expected a value of at most %u MiB", READER_LINE_MAX >> 20);
        return err ? (int)(err->code = MF_ELIMIT) : rc;
    }
    c->dropped += c->at;
    buf_consume(&c->text, c->at);
    c->at = 0;
    return input_fill(&c->in, &c->text, err);
}

static void advance(struct cursor *c, size_t to) {
    if (to == c->at)
        return; /* before the first fill there is no text at all */
    const uint8_t *from = c->text.data + c->at, *end = c->text.data + to, *nl;
    while (from < end && (nl = memchr(from, '\n', (size_t)(end - from)))) {
        from = nl + 1;
        c->line++;
        c->line_begin = c->dropped + (uint64_t)(from - c->text.data);
    }
    c->at = to;
}

int cursor_peek(struct cursor *c, uint8_t *out, struct err *err) {
    for (size_t passed = 0;;) {
        size_t i = c->at;
        while (i < c->text.len && parse_is_space(c->text.data[i]))
            i++;
        passed += i - c->at;
        advance(c, i);
        if (passed > READER_LINE_MAX) { /* a few KiB of zstd are as much as anybody likes */
            (void)cursor_fail(c, err, "expected at most %u MiB of white space", READER_LINE_MAX >> 20);
            return err ? (int)(err->code = MF_ELIMIT) : MF_ELIMIT;
        }
        if (i < c->text.len) {
            *out = c->text.data[i];
            return 1;
        }
        int rc = fill(c, err);
        if (rc <= 0)
            return rc;
    }
}

int cursor_expect(struct cursor *c, uint8_t want, const char *what, struct err *err) {
    uint8_t found;
    int rc = cursor_peek(c, &found, err);
    if (rc <= 0)
        return rc;
    if (found != want)
        return cursor_fail(c, err,
                           found > 0x20 && found < 0x7f ? "expected %s, found '%c'" : "expected %s, found byte 0x%02x",
                           what, found);
    c->at++;
    return 1;
}

int cursor_enter(struct cursor *c, uint8_t bracket, struct err *err) {
    return cursor_expect(c, bracket, bracket == '{' ? "an object" : "an array", err);
}

int cursor_next(struct cursor *c, uint8_t bracket, bool *first, bool *more, struct err *err) {
    uint8_t found;
    int rc = cursor_peek(c, &found, err);
    if (rc <= 0)
        return rc;
    *more = found != bracket;
    if (found == bracket) {
        c->at++;
        return 1;
    }
    if (!*first) {
        rc = cursor_expect(c, ',', bracket == '}' ? "',' or '}'" : "',' or ']'", err);
        if (rc > 0)
            rc = cursor_peek(c, &found, err);
        if (rc <= 0)
            return rc;
        if (found == bracket)
            return cursor_fail(c, err, "expected a value after ','");
    }
    *first = false;
    return 1;
}

int cursor_find(struct cursor *c, const char *name, bool *first, bool *found, struct err *err) {
    for (;;) {
        char is[64];
        int rc = cursor_next(c, '}', first, found, err);
        if (rc <= 0 || !*found)
            return rc;
        rc = cursor_name(c, is, sizeof is, err);
        if (rc <= 0 || !strcmp(is, name))
            return rc;
        rc = cursor_skip(c, err);
        if (rc <= 0)
            return rc;
    }
}

/* --- whole values --- */

struct scan {
    unsigned depth;
    bool in_string, escaped, scalar;
};

enum scanned { SCAN_GOES_ON, SCAN_ENDS_WITH, SCAN_ENDED_BEFORE };

static enum scanned scan_in_string(struct scan *s, uint8_t c) {
    if (s->escaped) {
        s->escaped = false;
    } else if (c == '\\') {
        s->escaped = true;
    } else if (c == '"') {
        s->in_string = false;
        return s->depth ? SCAN_GOES_ON : SCAN_ENDS_WITH;
    }
    return SCAN_GOES_ON;
}

static enum scanned scan_byte(struct scan *s, uint8_t c) {
    if (c == '"' && !s->scalar) {
        s->in_string = true;
    } else if (c == '{' || c == '[') {
        s->depth++;
    } else if (s->depth) {
        if (c == '}' || c == ']')
            return --s->depth ? SCAN_GOES_ON : SCAN_ENDS_WITH;
    } else if (c == ',' || c == '}' || c == ']' || c == ':' || parse_is_space(c)) {
        return SCAN_ENDED_BEFORE;
    } else {
        s->scalar = true; /* a number or a word: it ends where something else begins */
    }
    return SCAN_GOES_ON;
}

/* How many bytes of a string come before the next quote or backslash. */
static size_t plain_bytes(const uint8_t *data, size_t len) {
    size_t n = 0;
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
    for (; len - n >= 16; n += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(data + n));
        __m128i stop = _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, backslash));
        unsigned mask = (unsigned)_mm_movemask_epi8(stop);
        if (mask)
            return n + (unsigned)__builtin_ctz(mask);
    }
#endif
    while (n < len && data[n] != '"' && data[n] != '\\')
        n++;
    return n;
}

/* Looks for the end of the value in data[*at..len): true when *at is behind it. Goes on where the last call ended. */
static bool scan_value(struct scan *s, const uint8_t *data, size_t *at, size_t len) {
    enum scanned how = SCAN_GOES_ON;
    size_t i = *at;
    while (how == SCAN_GOES_ON && i < len && s->depth <= DEPTH_MAX) {
        if (s->in_string && !s->escaped && (i += plain_bytes(data + i, len - i)) == len)
            break;
        how = s->in_string ? scan_in_string(s, data[i]) : scan_byte(s, data[i]);
        i += how != SCAN_ENDED_BEFORE;
    }
    *at = i;
    return how != SCAN_GOES_ON;
}

static int check_scan(struct cursor *c, const struct scan *s, struct err *err) {
    if (s->depth > DEPTH_MAX)
        return cursor_fail(c, err, "expected at most %d levels of arrays and objects", PARSE_DEPTH_MAX);
    return 1;
}

int cursor_skip(struct cursor *c, struct err *err) {
    uint8_t first;
    int rc = cursor_peek(c, &first, err);
    struct scan scan = {0};
    while (rc > 0) {
        size_t to = c->at;
        bool done = scan_value(&scan, c->text.data, &to, c->text.len);
        rc = check_scan(c, &scan, err);
        if (rc > 0 && done && to == c->at)
            rc = cursor_fail(c, err, "expected a value, found '%c'", first);
        advance(c, to);
        if (done)
            break;
        if (rc > 0)
            rc = fill(c, err);
    }
    return rc;
}

/* The end of the value that begins at c->at; c->at stays, though the text may move. */
static int find_end(struct cursor *c, size_t *len, struct err *err) {
    struct scan scan = {0};
    size_t seen = 0;
    for (;;) {
        size_t to = c->at + seen;
        bool done = scan_value(&scan, c->text.data, &to, c->text.len);
        seen = to - c->at;
        int rc = check_scan(c, &scan, err);
        if (rc > 0 && !done)
            rc = fill(c, err);
        if (rc <= 0)
            return rc;
        if (done) {
            *len = seen;
            return 1;
        }
    }
}

int cursor_take(struct cursor *c, const uint8_t **text, size_t *len, struct err *err) {
    uint8_t first;
    int rc = cursor_peek(c, &first, err);
    if (rc > 0)
        rc = find_end(c, len, err);
    if (rc <= 0)
        return rc;
    *text = c->text.data + c->at;
    return 1;
}

void cursor_taken(struct cursor *c, size_t len) {
    advance(c, c->at + len);
}

int cursor_name(struct cursor *c, char *out, size_t size, struct err *err) {
    uint8_t first;
    size_t len;
    int rc = cursor_peek(c, &first, err);
    if (rc <= 0)
        return rc;
    if (first != '"')
        return cursor_fail(c, err, "expected a member's name");
    rc = find_end(c, &len, err);
    if (rc <= 0)
        return rc;
    snprintf(out, size, "%.*s", (int)MIN(len - 2, size), (const char *)c->text.data + c->at + 1);
    c->at += len;
    return cursor_expect(c, ':', "':' after the member's name", err);
}
