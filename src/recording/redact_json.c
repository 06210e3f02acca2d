/* Secrets in JSON text: the values at given paths are replaced in place, every other byte stays as it came.
 *
 * One pass over the text checks that it is JSON (RFC 8259; one value or several) and follows all paths at once: at each
 * level a path has a set of segments that may come next, one bit each. Nothing is parsed into a tree. */
#include <stdlib.h>
#include <string.h>

#include "recording/redact_private.h"

#define DEPTH_MAX 256

/* ---- paths ---- */

static int add_segment(struct redact_path *p, const char *text, size_t len) {
    struct redact_segment *grown = realloc(p->segments, (p->count + 1) * sizeof *grown);
    if (!grown)
        return MF_ENOMEM;
    p->segments = grown;
    struct redact_segment *s = &p->segments[p->count];
    *s = (struct redact_segment){.kind = SEGMENT_NAME, .len = len};
    if (len == 1 && text[0] == '*')
        s->kind = SEGMENT_ANY;
    else if (len == 2 && text[0] == '*' && text[1] == '*')
        s->kind = SEGMENT_DEEP;
    if (!(s->name = strndup(text, len)))
        return MF_ENOMEM;
    p->count++;
    return MF_OK;
}

int redact_path_add(struct redactor *r, const char *text, struct err *err) {
    if (r->paths_count >= REDACT_PATHS_MAX)
        return err_set(err, MF_EINVAL, "more than %d JSON paths to redact", REDACT_PATHS_MAX);
    struct redact_path *paths = realloc(r->paths, (r->paths_count + 1) * sizeof *paths);
    if (!paths)
        return err_set(err, MF_ENOMEM, "out of memory");
    r->paths = paths;
    struct redact_path *p = &paths[r->paths_count++];
    *p = (struct redact_path){0};
    for (const char *at = text;; at++) {
        size_t len = strcspn(at, ".");
        if (len == 0)
            return err_set(err, MF_EINVAL, "\"%s\" is not a JSON path: names with dots between them were expected",
                           text);
        if (p->count >= REDACT_SEGMENTS_MAX)
            return err_set(err, MF_EINVAL, "\"%s\": a JSON path has at most %d names", text, REDACT_SEGMENTS_MAX);
        if (add_segment(p, at, len) < 0)
            return err_set(err, MF_ENOMEM, "out of memory");
        at += len;
        if (!*at)
            break;
    }
    if (p->segments[p->count - 1].kind == SEGMENT_DEEP)
        return err_set(err, MF_EINVAL, "\"%s\": a name was expected after \"**\"", text);
    return MF_OK;
}

void redact_paths_free(struct redactor *r) {
    for (size_t i = 0; i < r->paths_count; i++) {
        for (size_t k = 0; k < r->paths[i].count; k++)
            free(r->paths[i].segments[k].name);
        free(r->paths[i].segments);
    }
    free(r->paths);
}

/* ---- the scanner ---- */

/* For each path, which of its segments may name the next member: bit n, segment n. */
struct place {
    uint32_t next[REDACT_PATHS_MAX];
};

struct scanner {
    const struct redactor *r;
    const char *text, *at, *end;
    const char *copied; /* up to here the text is in out */
    struct buf *out;
    struct buf name; /* of a member whose name has escapes */
    bool changed, too_deep;
    bool met; /* a member that is to be replaced, whatever its value turns out to be */
};

static bool scan_value(struct scanner *s, const struct place *place, unsigned depth);

/* "**" may stand for nothing: what follows it may come at once. */
static uint32_t past_deep(const struct redact_path *p, uint32_t bits) {
    for (size_t k = 0; k + 1 < p->count; k++)
        if (bits >> k & 1 && p->segments[k].kind == SEGMENT_DEEP)
            bits |= 2u << k;
    return bits;
}

/* From the place of an object or array to that of its member. True: the member itself is to be replaced. */
static bool step(const struct redactor *r, const struct place *from, struct place *to, const char *name, size_t len) {
    bool hit = false;
    for (size_t i = 0; i < r->paths_count; i++) {
        const struct redact_path *p = &r->paths[i];
        uint32_t bits = from->next[i], next = 0;
        for (size_t k = 0; bits && k < p->count; k++) {
            if (!(bits >> k & 1))
                continue;
            const struct redact_segment *seg = &p->segments[k];
            if (seg->kind == SEGMENT_DEEP)
                next |= 1u << k;
            else if (seg->kind == SEGMENT_ANY || (seg->len == len && !memcmp(seg->name, name, len))) {
                hit |= k + 1 == p->count;
                if (k + 1 < p->count)
                    next |= 2u << k;
            }
        }
        to->next[i] = past_deep(p, next);
    }
    return hit;
}

static void skip_space(struct scanner *s) {
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
        s->at++;
}

static bool take(struct scanner *s, char c) {
    if (s->at >= s->end || *s->at != c)
        return false;
    s->at++;
    return true;
}

static bool scan_digits(struct scanner *s) {
    const char *start = s->at;
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
        s->at++;
    return s->at > start;
}

static bool scan_number(struct scanner *s) {
    take(s, '-');
    if (!take(s, '0') && !scan_digits(s))
        return false;
    if (take(s, '.') && !scan_digits(s))
        return false;
    if (take(s, 'e') || take(s, 'E')) {
        if (!take(s, '+'))
            take(s, '-');
        return scan_digits(s);
    }
    return true;
}

static bool scan_word(struct scanner *s, const char *word) {
    size_t len = strlen(word);
    if ((size_t)(s->end - s->at) < len || memcmp(s->at, word, len) != 0)
        return false;
    s->at += len;
    return true;
}

static int hex4(const char *p) {
    int v = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int d = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
        if (d < 0)
            return -1;
        v = v << 4 | d;
    }
    return v;
}

static void put_utf8(struct buf *out, unsigned c) {
    if (c < 0x80) {
        buf_putc(out, (char)c);
        return;
    }
    if (c < 0x800) {
        buf_putc(out, (char)(0xc0 | c >> 6));
    } else {
        if (c < 0x10000) {
            buf_putc(out, (char)(0xe0 | c >> 12));
        } else {
            buf_putc(out, (char)(0xf0 | c >> 18));
            buf_putc(out, (char)(0x80 | (c >> 12 & 63)));
        }
        buf_putc(out, (char)(0x80 | (c >> 6 & 63)));
    }
    buf_putc(out, (char)(0x80 | (c & 63)));
}

/* After a backslash. `decoded` gets the character; NULL: it is only checked. */
static bool scan_escape(struct scanner *s, struct buf *decoded) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (s->at >= s->end)
        return false;
    char c = *s->at++;
    const char *simple = c ? strchr(from, c) : NULL;
    unsigned code = simple ? (unsigned char)to[simple - from] : 0;
    if (!simple) {
        int unit = c == 'u' && s->end - s->at >= 4 ? hex4(s->at) : -1;
        if (unit < 0)
            return false;
        s->at += 4;
        code = (unsigned)unit;
        if (unit >= 0xd800 && unit < 0xdc00 && s->end - s->at >= 6 && s->at[0] == '\\' && s->at[1] == 'u') {
            int low = hex4(s->at + 2);
            if (low >= 0xdc00 && low < 0xe000) {
                code = 0x10000u + (((unsigned)unit & 0x3ff) << 10 | ((unsigned)low & 0x3ff));
                s->at += 6;
            }
        }
    }
    if (decoded)
        put_utf8(decoded, code);
    return true;
}

/* After the opening quote, past the closing one. *name: what it says, when asked for. */
static bool scan_string(struct scanner *s, const char **name, size_t *len) {
    const char *start = s->at;
    bool escaped = false;
    while (s->at < s->end) {
        unsigned char c = (unsigned char)*s->at++;
        if (c == '"') {
            if (name) {
                *name = escaped ? (const char *)s->name.data : start;
                *len = escaped ? s->name.len : (size_t)(s->at - 1 - start);
            }
            return true;
        }
        if (c < 0x20)
            return false;
        if (c == '\\') {
            if (name && !escaped) {
                buf_reset(&s->name);
                buf_append(&s->name, start, (size_t)(s->at - 1 - start));
            }
            escaped = true;
            if (!scan_escape(s, name ? &s->name : NULL))
                return false;
        } else if (name && escaped) {
            buf_putc(&s->name, (char)c);
        }
    }
    return false;
}

/* A member's value. replace: the whole of it goes. */
static bool scan_member(struct scanner *s, const struct place *place, bool replace, unsigned depth) {
    skip_space(s);
    const char *start = s->at;
    static const struct place nowhere;
    s->met |= replace;
    /* Within what is replaced nothing else is: only its end is looked for. */
    if (!scan_value(s, replace ? &nowhere : place, depth))
        return false;
    if (replace) {
        buf_append(s->out, s->copied, (size_t)(start - s->copied));
        buf_puts(s->out, "\"" REDACTED "\"");
        s->copied = s->at;
        s->changed = true;
    }
    return true;
}

static bool scan_object(struct scanner *s, const struct place *place, unsigned depth) {
    skip_space(s);
    if (take(s, '}'))
        return true;
    do {
        const char *name;
        size_t len;
        skip_space(s);
        if (!take(s, '"') || !scan_string(s, &name, &len))
            return false;
        struct place inner;
        bool replace = step(s->r, place, &inner, name, len);
        skip_space(s);
        if (!take(s, ':') || !scan_member(s, &inner, replace, depth))
            return false;
        skip_space(s);
    } while (take(s, ','));
    return take(s, '}');
}

static size_t decimal(char out[20], size_t n) {
    char *end = out + 20, *p = end;
    do
        *--p = (char)('0' + n % 10);
    while (n /= 10);
    memmove(out, p, (size_t)(end - p));
    return (size_t)(end - p);
}

static bool scan_array(struct scanner *s, const struct place *place, unsigned depth) {
    skip_space(s);
    if (take(s, ']'))
        return true;
    for (size_t index = 0;; index++) {
        char name[20];
        struct place inner;
        bool replace = step(s->r, place, &inner, name, decimal(name, index));
        if (!scan_member(s, &inner, replace, depth))
            return false;
        skip_space(s);
        if (!take(s, ','))
            return take(s, ']');
    }
}

static bool scan_value(struct scanner *s, const struct place *place, unsigned depth) {
    skip_space(s);
    if (depth >= DEPTH_MAX)
        s->too_deep = true;
    if (s->at >= s->end || s->too_deep)
        return false;
    switch (*s->at) {
    case '{':
        s->at++;
        return scan_object(s, place, depth + 1);
    case '[':
        s->at++;
        return scan_array(s, place, depth + 1);
    case '"':
        s->at++;
        return scan_string(s, NULL, NULL);
    case 't':
        return scan_word(s, "true");
    case 'f':
        return scan_word(s, "false");
    case 'n':
        return scan_word(s, "null");
    default:
        return scan_number(s);
    }
}

int redact_json(const struct redactor *r, const void *text, size_t len, struct buf *out) {
    if (!r->paths_count)
        return 0;
    size_t before = out->len;
    struct scanner s = {.r = r, .text = text, .at = text, .end = (const char *)text + len, .copied = text, .out = out};
    struct place top = {{0}};
    for (size_t i = 0; i < r->paths_count; i++)
        top.next[i] = past_deep(&r->paths[i], 1);
    /* One value; or several: JSON lines, and Socket.IO's `42["login",{…}]`. */
    bool json = true;
    for (skip_space(&s); json && s.at < s.end; skip_space(&s))
        json = scan_value(&s, &top, 0);
    bool failed = s.name.failed;
    buf_fini(&s.name);
    if (json && s.changed)
        buf_append(out, s.copied, (size_t)(s.end - s.copied));
    failed |= out->failed;
    if (failed || !json || !s.changed)
        out->len = before;
    if (failed)
        return MF_ENOMEM;
    if (!json)
        return s.met || s.too_deep ? MF_ELIMIT : 0;
    return s.changed;
}
