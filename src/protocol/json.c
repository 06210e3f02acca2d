#include "protocol/json.h"

#include <stdlib.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "protocol/utf8.h"

struct scan {
    const char *text, *p, *end;
    struct json_tape *tape;
    bool high; /* a byte above 0x7f was seen: the text must be checked for UTF-8 */
    int status;
};

void json_tape_fini(struct json_tape *tape) {
    free(tape->nodes);
    tape->nodes = NULL;
    tape->count = tape->cap = 0;
}

/* A new node; its index, or UINT32_MAX. Pointers to nodes die here: hold indexes. */
static uint32_t add_node(struct scan *s) {
    struct json_tape *t = s->tape;
    if (t->count == t->cap) {
        if (t->count >= t->max) {
            s->status = MF_ELIMIT;
            return UINT32_MAX;
        }
        uint32_t cap = MIN(t->cap ? t->cap * 2 : 64, t->max);
        struct json_node *nodes = realloc(t->nodes, cap * sizeof *nodes);
        if (!nodes) {
            s->status = MF_ENOMEM;
            return UINT32_MAX;
        }
        t->nodes = nodes;
        t->cap = cap;
    }
    t->nodes[t->count] = (struct json_node){0};
    return t->count++;
}

static bool bad(struct scan *s) {
    s->status = MF_EINVAL;
    return false;
}

static void skip_space(struct scan *s) {
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\t' || *s->p == '\r'))
        s->p++;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool scan_digits(struct scan *s) {
    if (!is_digit(*s->p))
        return bad(s);
    while (is_digit(*s->p))
        s->p++;
    return true;
}

/* RFC 8259 section 6. The NUL behind the text ends every loop here. */
static bool scan_number(struct scan *s, struct json_node *n) {
    bool negative = *s->p == '-', integer = true;
    s->p += negative;
    const char *digits = s->p;
    if (*s->p == '0')
        s->p++;
    else if (!scan_digits(s))
        return false;
    size_t len = (size_t)(s->p - digits);
    if (*s->p == '.') {
        integer = false;
        s->p++;
        if (!scan_digits(s))
            return false;
    }
    if (*s->p == 'e' || *s->p == 'E') {
        integer = false;
        s->p++;
        if (*s->p == '+' || *s->p == '-')
            s->p++;
        if (!scan_digits(s))
            return false;
    }
    /* Nineteen digits may or may not fit; "-0" is a double, or its sign would be lost. */
    if (integer && (len < 19 || (len == 19 && memcmp(digits, "9223372036854775807", 19) <= 0)))
        integer = !(negative && *digits == '0');
    else if (integer)
        integer = negative && len == 19 && !memcmp(digits, "9223372036854775808", 19);
    n->kind = integer ? JSON_INTEGER : JSON_DECIMAL;
    return true;
}

static bool is_hex(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool scan_escape(struct scan *s) {
    switch (*++s->p) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        s->p++;
        return true;
    case 'u':
        for (int i = 1; i <= 4; i++)
            if (!is_hex(s->p[i])) /* the NUL stops it before the end is passed */
                return bad(s);
        s->p += 5;
        return true;
    default:
        return bad(s);
    }
}

/* What a string is mostly made of: ASCII without quotes, backslashes and controls. */
static const bool is_plain[256] = {[' '] = true, ['!'] = true, ['#' ... '['] = true, [']' ... 0x7f] = true};

/* The next byte that means something in a string or is not ASCII. There always is one: the NUL at `end`. */
static inline const unsigned char *pass_plain(const unsigned char *p, const unsigned char *end) {
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), space = _mm_set1_epi8(0x20);
    for (; end - p >= 16; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        /* As signed numbers controls and what is not ASCII are less than the space. */
        __m128i special = _mm_or_si128(_mm_cmplt_epi8(v, space),
                                       _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, backslash)));
        unsigned mask = (unsigned)_mm_movemask_epi8(special);
        if (mask)
            return p + __builtin_ctz(mask);
    }
#endif
    (void)end;
    while (is_plain[*p])
        p++;
    return p;
}

/* p stands on the opening quote; afterwards behind the closing one. */
static bool scan_string(struct scan *s, bool *escaped) {
    const unsigned char *p = (const unsigned char *)s->p + 1;
    for (;;) {
        p = pass_plain(p, (const unsigned char *)s->end);
        s->p = (const char *)p;
        if (*p == '"')
            break;
        if (*p == '\\') {
            *escaped = true;
            if (!scan_escape(s))
                return false;
            p = (const unsigned char *)s->p;
        } else if (*p >= 0x80) {
            s->high = true;
            p++;
        } else { /* controls, and the NUL behind the text */
            return bad(s);
        }
    }
    s->p++;
    return true;
}

static bool scan_word(struct scan *s, const char *word, size_t len) {
    if ((size_t)(s->end - s->p) < len || memcmp(s->p, word, len))
        return bad(s);
    s->p += len;
    return true;
}

static uint32_t scan_value(struct scan *s, unsigned depth);

/* One `"name":` before a value. */
static bool scan_name(struct scan *s, uint32_t *key, uint32_t *key_len, bool *escaped) {
    if (*s->p != '"')
        return bad(s);
    const char *begin = s->p + 1;
    if (!scan_string(s, escaped))
        return false;
    *key = (uint32_t)(begin - s->text);
    *key_len = (uint32_t)(s->p - 1 - begin);
    skip_space(s);
    if (*s->p != ':')
        return bad(s);
    s->p++;
    skip_space(s);
    return true;
}

static bool scan_container(struct scan *s, uint32_t self, char close, unsigned depth) {
    uint32_t count = 0;
    if (depth >= JSON_MAX_DEPTH)
        return bad(s);
    s->p++;
    skip_space(s);
    if (*s->p == close) {
        s->p++;
        return true;
    }
    for (;;) {
        uint32_t key = 0, key_len = 0;
        bool key_escaped = false;
        if (close == '}' && !scan_name(s, &key, &key_len, &key_escaped))
            return false;
        uint32_t child = scan_value(s, depth + 1);
        if (child == UINT32_MAX)
            return false;
        struct json_node *n = &s->tape->nodes[child];
        n->key = key;
        n->key_len = key_len;
        n->key_escaped = key_escaped;
        count++;
        skip_space(s);
        char c = *s->p;
        if (c != ',' && c != close)
            return bad(s);
        s->p++;
        if (c == close)
            break;
        skip_space(s);
    }
    s->tape->nodes[self].count = count;
    return true;
}

/* Any value: the index of its node, or UINT32_MAX with s->status set. */
static uint32_t scan_value(struct scan *s, unsigned depth) {
    uint32_t self = add_node(s);
    if (self == UINT32_MAX)
        return self;
    struct json_node *n = &s->tape->nodes[self];
    const char *begin = s->p;
    bool ok, escaped = false;
    switch (*s->p) {
    case '{':
        n->kind = JSON_OBJECT;
        ok = scan_container(s, self, '}', depth);
        break;
    case '[':
        n->kind = JSON_ARRAY;
        ok = scan_container(s, self, ']', depth);
        break;
    case '"':
        n->kind = JSON_STRING;
        ok = scan_string(s, &escaped);
        break;
    case 't':
        n->kind = JSON_TRUE;
        ok = scan_word(s, "true", 4);
        break;
    case 'f':
        n->kind = JSON_FALSE;
        ok = scan_word(s, "false", 5);
        break;
    case 'n':
        n->kind = JSON_NULL;
        ok = scan_word(s, "null", 4);
        break;
    default:
        ok = scan_number(s, n);
    }
    if (!ok)
        return UINT32_MAX;
    n = &s->tape->nodes[self];
    n->begin = (uint32_t)(begin - s->text);
    n->end = (uint32_t)(s->p - s->text);
    n->escaped = escaped;
    n->next = s->tape->count;
    return self;
}

int json_tape_parse(struct json_tape *tape, const char *text, size_t len, size_t *error_at) {
    struct scan s = {.text = text, .p = text, .end = text + len, .tape = tape, .status = MF_OK};
    tape->count = 0;
    *error_at = 0;
    if (len >= UINT32_MAX)
        return MF_ELIMIT;
    skip_space(&s);
    if (scan_value(&s, 0) != UINT32_MAX) {
        skip_space(&s);
        if (s.p != s.end || (s.high && !utf8_valid(text, len)))
            s.status = MF_EINVAL;
    }
    *error_at = (size_t)(s.p - text);
    return s.status;
}

int64_t json_read_integer(const char *p, size_t len) {
    bool negative = *p == '-';
    uint64_t n = 0;
    for (size_t i = negative; i < len; i++)
        n = n * 10 + (uint64_t)(p[i] - '0');
    return (int64_t)(negative ? 0 - n : n);
}

static unsigned hex4(const char *s) {
    unsigned v = 0;
    for (int i = 0; i < 4; i++) {
        char c = s[i];
        v = v * 16 + (unsigned)(is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return v;
}

static void put_utf8(struct buf *out, unsigned c) {
    char b[4];
    size_t n = 0;
    if (c < 0x80) {
        b[n++] = (char)c;
    } else if (c < 0x800) {
        b[n++] = (char)(0xc0 | (c >> 6));
        b[n++] = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        b[n++] = (char)(0xe0 | (c >> 12));
        b[n++] = (char)(0x80 | ((c >> 6) & 0x3f));
        b[n++] = (char)(0x80 | (c & 0x3f));
    } else {
        b[n++] = (char)(0xf0 | (c >> 18));
        b[n++] = (char)(0x80 | ((c >> 12) & 0x3f));
        b[n++] = (char)(0x80 | ((c >> 6) & 0x3f));
        b[n++] = (char)(0x80 | (c & 0x3f));
    }
    buf_append(out, b, n);
}

/* s stands on a backslash; returns how many bytes the escape has. */
static size_t unescape_one(struct buf *out, const char *s, size_t left) {
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    if (s[1] == 'u') {
        unsigned c = hex4(s + 2), low;
        if (c >= 0xd800 && c < 0xdc00 && left >= 12 && s[6] == '\\' && s[7] == 'u' && (low = hex4(s + 8)) >= 0xdc00 &&
            low < 0xe000) {
            put_utf8(out, 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00));
            return 12;
        }
        put_utf8(out, c);
        return 6;
    }
    const char *f = strchr(from, s[1]);
    buf_putc(out, f ? to[f - from] : s[1]);
    return 2;
}

void json_unescape(struct buf *out, const char *s, size_t len) {
    const char *end = s + len;
    while (s < end) {
        const char *slash = memchr(s, '\\', (size_t)(end - s));
        if (!slash)
            slash = end;
        buf_append(out, s, (size_t)(slash - s));
        s = slash;
        if (s < end)
            s += unescape_one(out, s, (size_t)(end - s));
    }
}

/* ---- looking things up ---- */

static bool is_text(const char *raw, size_t raw_len, bool escaped, const char *s, size_t len, struct buf *scratch) {
    if (!escaped)
        return raw_len == len && !memcmp(raw, s, len);
    if (raw_len < len) /* an escape is never shorter than what it stands for */
        return false;
    buf_reset(scratch);
    json_unescape(scratch, raw, raw_len);
    return scratch->len == len && !memcmp(scratch->data, s, len);
}

bool json_string_is(const char *text, const struct json_node *n, const char *s, size_t len, struct buf *scratch) {
    return n->kind == JSON_STRING && is_text(text + n->begin + 1, n->end - n->begin - 2, n->escaped, s, len, scratch);
}

uint32_t json_member(const struct json_tape *tape, const char *text, uint32_t object, const char *name, size_t len,
                     struct buf *scratch) {
    const struct json_node *o = &tape->nodes[object];
    uint32_t found = JSON_NO_NODE;
    if (o->kind != JSON_OBJECT)
        return found;
    for (uint32_t i = object + 1; i < o->next; i = tape->nodes[i].next) {
        const struct json_node *n = &tape->nodes[i];
        if (is_text(text + n->key, n->key_len, n->key_escaped, name, len, scratch))
            found = i;
    }
    return found;
}

uint32_t json_element(const struct json_tape *tape, uint32_t array, uint32_t i) {
    const struct json_node *a = &tape->nodes[array];
    if (a->kind != JSON_ARRAY || i >= a->count)
        return JSON_NO_NODE;
    uint32_t at = array + 1;
    for (; i; i--)
        at = tape->nodes[at].next;
    return at;
}
