/* Globs over characters. When a star is met, whatever the one before it took is settled: a later place for what stands
 * between them could only leave less text. So only the last star is ever tried again. */
#include <stdlib.h>

#include "match/condition.h"

enum token_kind { TOKEN_BYTE, TOKEN_ANY, TOKEN_STAR, TOKEN_CLASS };

struct token {
    uint8_t kind;
    char byte;
    bool negated;
    uint32_t first, count; /* of a class: its ranges */
};

struct range {
    uint32_t low, high;
};

struct glob {
    struct token *tokens;
    size_t count;
    struct range *ranges;
    uint32_t ranges_count;
};

/* What a byte counts as that begins no character: beyond Unicode, so that no range has it. */
#define NO_CHARACTER UINT32_MAX

/* The character at s, and how many bytes it has. Lenient: surrogates, which JSON's escapes can make, are characters. */
static size_t decode(const char *s, const char *end, uint32_t *c) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char lead = (unsigned char)*s;
    if (lead < 0x80) {
        *c = lead;
        return 1;
    }
    size_t n = lead < 0xc0 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf8 ? 4 : 0;
    bool good = n && n <= (size_t)(end - s);
    uint32_t value = good ? lead & (0x7fu >> n) : 0;
    for (size_t i = 1; good && i < n; i++) {
        good = ((unsigned char)s[i] & 0xc0) == 0x80;
        value = value << 6 | ((unsigned char)s[i] & 0x3f);
    }
    good = good && value >= least[n];
    *c = good ? value : NO_CHARACTER;
    return good ? n : 1;
}

/* ---- compiling ---- */

struct parser {
    const char *p, *end;
    struct glob *out;
    const char *why;
};

/* One character of a class, its `\` taken away. */
static bool class_character(struct parser *s, uint32_t *c) {
    if (*s->p == '\\')
        s->p++;
    if (s->p == s->end) {
        s->why = "\"[\" without its \"]\" (\"\\[\" is the character itself)";
        return false;
    }
    s->p += decode(s->p, s->end, c);
    return true;
}

/* p stands behind the '['; afterwards behind the ']'. */
static bool parse_class(struct parser *s, struct token *t) {
    struct glob *g = s->out;
    t->negated = *s->p == '!' || *s->p == '^';
    s->p += t->negated;
    t->first = g->ranges_count;
    do { /* a ']' that comes first stands for itself */
        struct range r;
        if (!class_character(s, &r.low))
            return false;
        r.high = r.low;
        if (s->p[0] == '-' && s->p[1] != ']') {
            s->p++;
            if (!class_character(s, &r.high))
                return false;
        }
        if (r.high < r.low) {
            s->why = "a range in \"[…]\" that runs backwards";
            return false;
        }
        g->ranges[g->ranges_count++] = r;
    } while (*s->p != ']');
    s->p++;
    t->count = g->ranges_count - t->first;
    return true;
}

static bool parse_token(struct parser *s, struct token *t) {
    char c = *s->p++;
    switch (c) {
    case '*':
        t->kind = TOKEN_STAR;
        while (*s->p == '*')
            s->p++;
        return true;
    case '?':
        t->kind = TOKEN_ANY;
        return true;
    case '[':
        t->kind = TOKEN_CLASS;
        return parse_class(s, t);
    case '\\':
        if (s->p == s->end) {
            s->why = "\"\\\" at the end, with no character behind it (\"\\\\\" is the character itself)";
            return false;
        }
        c = *s->p++;
        break;
    default:
        break;
    }
    t->kind = TOKEN_BYTE;
    t->byte = c;
    return true;
}

int glob_compile(const char *text, struct glob **out, const char **why) {
    size_t len = strlen(text);
    struct glob *g = calloc(1, sizeof *g);
    *out = NULL;
    if (!g)
        return MF_ENOMEM;
    g->tokens = calloc(len + 1, sizeof *g->tokens);
    g->ranges = calloc(len + 1, sizeof *g->ranges);
    if (!g->tokens || !g->ranges) {
        glob_free(g);
        return MF_ENOMEM;
    }
    struct parser s = {.p = text, .end = text + len, .out = g};
    while (s.p < s.end) {
        if (!parse_token(&s, &g->tokens[g->count++])) {
            *why = s.why;
            glob_free(g);
            return MF_EINVAL;
        }
    }
    *out = g;
    return MF_OK;
}

void glob_free(struct glob *g) {
    if (!g)
        return;
    free(g->tokens);
    free(g->ranges);
    free(g);
}

bool glob_is_literal(const struct glob *g, char **text) {
    for (size_t i = 0; i < g->count; i++)
        if (g->tokens[i].kind != TOKEN_BYTE)
            return false;
    *text = malloc(g->count + 1);
    for (size_t i = 0; *text && i < g->count; i++)
        (*text)[i] = g->tokens[i].byte;
    if (*text)
        (*text)[g->count] = '\0';
    return true;
}

/* ---- matching ---- */

static bool in_class(const struct glob *g, const struct token *t, uint32_t c) {
    for (uint32_t i = t->first; i < t->first + t->count; i++)
        if (c >= g->ranges[i].low && c <= g->ranges[i].high)
            return !t->negated;
    return t->negated;
}

/* How many bytes at s the token takes; 0: it does not match there. */
static size_t take(const struct glob *g, const struct token *t, const char *s, const char *end) {
    uint32_t c;
    if (t->kind == TOKEN_BYTE)
        return *s == t->byte;
    size_t n = decode(s, end, &c);
    return t->kind == TOKEN_ANY || in_class(g, t, c) ? n : 0;
}

/* The next place behind s where what follows a star may begin, or NULL. */
static const char *next_start(const struct token *t, const char *s, const char *end) {
    uint32_t c;
    if (t->kind == TOKEN_BYTE)
        return memchr(s + 1, t->byte, (size_t)(end - s) - 1);
    return s + decode(s, end, &c);
}

bool glob_matches(const struct glob *g, const char *s, size_t len) {
    const struct token *t = g->tokens, *last = t + g->count, *after_star = NULL;
    const char *end = s + len, *start = NULL;
    for (;;) {
        if (t < last && t->kind == TOKEN_STAR) {
            after_star = ++t;
            start = s;
            if (t == last)
                return true;
            continue;
        }
        if (s == end)
            return t == last; /* each further token wants text, wherever the star ended */
        size_t n = t < last ? take(g, t, s, end) : 0;
        if (n) {
            s += n;
            t++;
            continue;
        }
        if (!after_star || !(start = next_start(after_star, start, end)))
            return false;
        s = start;
        t = after_star;
    }
}
