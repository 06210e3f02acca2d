/* Is a live message what was recorded? Values that stand at the same path are paired; what has no partner, and what
 * differs, takes from the score by what it tells. */
#include <stdlib.h>
#include <string.h>

#include "replay/paths.h"
#include "replay/structure.h"

#define PAIRS_ON_STACK 128u
#define INSERTION_MAX 32u /* values, which are nearly in order */
#define SHOWN_MAX 80u     /* bytes of a value in a message for people */

/* The structure is worth more than the values; beneath these shares of it (in thousandths) the messages have hardly
 * anything in common. The second holds where a tag says that they are of a kind. */
#define STRUCTURE_WORTH 600u
#define STRUCTURE_LEAST 300u
#define STRUCTURE_LEAST_TAGGED 100u

struct side {
    const struct structure *s;
    const void *data;
    size_t len;
};

struct comparing {
    const struct path_table *paths;
    struct side recorded, live;
    const struct match_hints *hints;
    struct buf *why;
    struct buf a, b;         /* scratch: values without their escapes */
    uint64_t shared, places; /* weights of what stands at the same path, of everything */
    uint64_t same, values;   /* weights of values that are equal, of all that were compared */
    bool tagged;             /* a value that tells which message it is was equal */
    bool other_number;       /* the arrays begin with different small numbers */
    bool refused;            /* they cannot be the same message */
};

/* ---- saying why ---- */

static void show(struct comparing *c, const struct side *side, const struct message_value *v) {
    if (!v) {
        buf_puts(c->why, "nothing");
        return;
    }
    size_t len;
    buf_reset(&c->a);
    value_text(&c->a, side->data, v);
    len = MIN(c->a.len, SHOWN_MAX);
    if (v->kind == VALUE_STRING || v->kind == VALUE_WORD)
        json_write_string(c->why, (const char *)c->a.data, len);
    else
        json_write_clean_text(c->why, (const char *)c->a.data, len);
    if (len < c->a.len)
        buf_puts(c->why, "...");
}

static void refuse_value(struct comparing *c, uint32_t path, const struct message_value *recorded,
                         const struct message_value *live) {
    if (c->why) {
        const char *text = path_text(c->paths, path);
        buf_puts(c->why, *text ? text : "/");
        buf_puts(c->why, ": expected ");
        show(c, &c->recorded, recorded);
        buf_puts(c->why, ", got ");
        show(c, &c->live, live);
    }
    c->refused = true;
}

static unsigned refuse(struct buf *why, const char *expected, const char *got) {
    if (why)
        buf_printf(why, "expected %s, got %s", expected, got);
    return 0;
}

/* ---- are two values equal? ---- */

static const uint8_t *bytes_of(const struct side *side, const struct message_value *v) {
    return (const uint8_t *)side->data + v->begin;
}

static bool plain_strings_differ(const struct comparing *c, const struct message_value *r,
                                 const struct message_value *l) {
    return r->nested == 0 && l->nested == 0 && !memchr(bytes_of(&c->recorded, r), '\\', r->end - r->begin) &&
           !memchr(bytes_of(&c->live, l), '\\', l->end - l->begin);
}

static bool is_integer(const struct buf *b) {
    return !memchr(b->data, '.', b->len) && !memchr(b->data, 'e', b->len) && !memchr(b->data, 'E', b->len);
}

/* What both stand for, in c->a and c->b. */
static bool same_text(struct comparing *c, const struct message_value *r, const struct message_value *l) {
    buf_reset(&c->a);
    buf_reset(&c->b);
    value_text(&c->a, c->recorded.data, r);
    value_text(&c->b, c->live.data, l);
    if (c->a.len == c->b.len && (c->a.len == 0 || !memcmp(c->a.data, c->b.data, c->a.len)))
        return true;
    if (r->kind != VALUE_NUMBER || !c->a.len || !c->b.len || (is_integer(&c->a) && is_integer(&c->b)))
        return false;
    return strtod(buf_cstr(&c->a), NULL) == strtod(buf_cstr(&c->b), NULL); /* 1.0 and 1 */
}

static bool same_value(struct comparing *c, const struct message_value *r, const struct message_value *l) {
    uint32_t len = r->end - r->begin;
    if (r->kind != l->kind)
        return false;
    if (r->nested == l->nested && len == l->end - l->begin &&
        !memcmp(bytes_of(&c->recorded, r), bytes_of(&c->live, l), len))
        return true;
    switch (r->kind) {
    case VALUE_STRING:
        return !plain_strings_differ(c, r, l) && same_text(c, r, l);
    case VALUE_EMPTY: /* "{}" and "{ }" */
        return *bytes_of(&c->recorded, r) == *bytes_of(&c->live, l);
    case VALUE_WORD: /* of bytes: the same text behind the same kind of length */
    case VALUE_BYTES:
        return false;
    default:
        return same_text(c, r, l);
    }
}

/* ---- values that tell which message it is ---- */

static const bool in_names[256] = {['a' ... 'z'] = true, ['A' ... 'Z'] = true, ['_'] = true, ['-'] = true,
                                   ['.'] = true,         [':'] = true,         ['/'] = true, [' '] = true};

/* "dbIXFklHvygATlPuAAAB": two runs of capitals among small letters are no name, unless it has two abbreviations in it.
 */
static bool looks_random(const uint8_t *s, uint32_t len) {
    unsigned runs = 0, small = 0;
    for (uint32_t i = 0, run = 0; i < len; i++) {
        bool capital = s[i] >= 'A' && s[i] <= 'Z';
        run = capital ? run + 1 : 0;
        runs += run == 2;
        small += s[i] >= 'a' && s[i] <= 'z';
        if (!capital && !(s[i] >= 'a' && s[i] <= 'z'))
            return false; /* put together: "USER_JOINED_room" */
    }
    return len >= 10 && runs >= 2 && small >= 2;
}

/* "chat", "phx_join": a name and nothing that was made up for the occasion. The quotes are among the bytes. */
static bool is_short_word(const struct side *side, const struct message_value *v) {
    const uint8_t *s = bytes_of(side, v);
    uint32_t len = v->end - v->begin;
    if (v->kind != VALUE_STRING || v->nested || len < 3 || len > 42)
        return false;
    for (uint32_t i = 1; i < len - 1; i++)
        if (!in_names[s[i]])
            return false;
    return !looks_random(s + 1, len - 2);
}

static bool is_small_number(const struct message_value *v) {
    return v->kind == VALUE_NUMBER && v->end - v->begin <= 3;
}

/* How long the number or the word in capitals is that a text begins with: "42", "42/admin", "SUBSCRIBE", "GET:"; 0:
 * it begins with something else. Numbers of more than four digits are times or ids. */
static uint32_t tag_length(const struct side *side, const struct message_value *v) {
    const uint8_t *s = bytes_of(side, v);
    uint32_t len = v->end - v->begin, n = 0;
    while (n < len && s[n] >= '0' && s[n] <= '9')
        n++;
    if (n)
        return n <= 4 && (n == len || s[n] == '/') ? n : 0;
    while (n < len && ((s[n] >= 'A' && s[n] <= 'Z') || (n && (s[n] == '_' || s[n] == '-'))))
        n++;
    return n >= 2 && (n == len || s[n] == ':') ? n : 0;
}

static bool same_first_word(const struct comparing *c, const struct message_value *r, const struct message_value *l) {
    uint32_t n = tag_length(&c->recorded, r);
    return n == tag_length(&c->live, l) && !memcmp(bytes_of(&c->recorded, r), bytes_of(&c->live, l), n);
}

static bool is_covered(const char *const *patterns, size_t count, const struct comparing *c, uint32_t path) {
    for (size_t i = 0; i < count; i++)
        if (path_matches(patterns[i], path_text(c->paths, path)))
            return true;
    return false;
}

static bool is_free(const struct comparing *c, uint32_t path) {
    const struct match_hints *h = c->hints;
    return paths_include(h->free_paths, h->free_count, path);
}

/* Must the value at this path be equal? `live` may be NULL. */
static bool is_tag(const struct comparing *c, const struct message_value *r, const struct message_value *live,
                   unsigned flags) {
    if (is_covered(c->hints->exact, c->hints->exact_count, c, r->path))
        return true;
    if (!(flags & (PATH_TAG | PATH_FIRST)) || is_free(c, r->path))
        return false;
    if (flags & PATH_TAG)
        return r->kind == VALUE_STRING || r->kind == VALUE_NUMBER || r->kind == VALUE_BOOLEAN;
    if (r->kind == VALUE_WORD)
        return tag_length(&c->recorded, r) || (live && tag_length(&c->live, live));
    return is_short_word(&c->recorded, r);
}

/* ---- weights ---- */

/* Elements behind an array's first count little: how many there are hardly ever tells messages apart. In the outermost
 * array they may be arguments. */
static unsigned place_weight(const struct message_value *v) {
    static const unsigned weights[] = {24, 3, 8};
    return weights[v->repeats];
}

/* A word that was chosen from a few tells more than a number, and a small number more than a large one. */
static unsigned value_weight(const struct comparing *c, const struct message_value *r) {
    unsigned weight = 1;
    if (r->kind == VALUE_WORD)
        return r->repeats ? 12 : 24;
    if (r->kind == VALUE_STRING)
        weight = is_short_word(&c->recorded, r) ? 3 : 1;
    else if (r->kind == VALUE_NUMBER)
        weight = r->end - r->begin <= 4 ? 2 : 1;
    return weight * (r->repeats == 1 ? 1 : r->repeats == 2 ? 4 : 8);
}

static bool is_ignored(const struct comparing *c, uint32_t path) {
    return c->hints->any_count && is_covered(c->hints->any, c->hints->any_count, c, path);
}

/* ---- one pair, one without a partner ---- */

static void compare_values(struct comparing *c, const struct message_value *r, const struct message_value *l,
                           unsigned flags) {
    bool same = same_value(c, r, l);
    if (is_tag(c, r, l, flags)) {
        bool enough = r->kind == VALUE_WORD && l->kind == VALUE_WORD && (flags & PATH_FIRST) &&
                      !is_covered(c->hints->exact, c->hints->exact_count, c, r->path);
        if (!same && !(enough && same_first_word(c, r, l)))
            refuse_value(c, r->path, r, l);
        c->tagged = true;
    }
    unsigned weight = value_weight(c, r);
    if (same) {
        c->values += weight;
        c->same += weight;
    } else if (!is_free(c, r->path)) {
        c->values += weight;
        c->other_number |= (flags & PATH_FIRST) && is_small_number(r) && is_small_number(l);
    } else if (r->kind == VALUE_WORD && l->kind == VALUE_WORD) {
        /* Only a part of the word may be the client's: "420" and "421". */
        const uint8_t *a = bytes_of(&c->recorded, r), *b = bytes_of(&c->live, l);
        uint32_t n = 0, len = MIN(r->end - r->begin, l->end - l->begin);
        while (n < len && a[n] == b[n])
            n++;
        c->values += weight;
        c->same += weight * n / MAX(r->end - r->begin, 1u);
    }
}

static void pair(struct comparing *c, const struct message_value *r, const struct message_value *l) {
    unsigned flags = path_flags_of(c->paths, r->path), weight = place_weight(r);
    if (is_ignored(c, r->path))
        return;
    c->places += weight;
    if (r->kind == l->kind)
        c->shared += weight;
    else
        c->shared += r->kind == VALUE_NULL || l->kind == VALUE_NULL ? weight / 2 : weight / 4;
    compare_values(c, r, l, flags);
}

static void recorded_only(struct comparing *c, const struct message_value *r) {
    if (is_ignored(c, r->path))
        return;
    c->places += place_weight(r);
    if (is_tag(c, r, NULL, path_flags_of(c->paths, r->path)))
        refuse_value(c, r->path, r, NULL);
}

static void live_only(struct comparing *c, const struct message_value *l) {
    if (l->path != PATH_UNKNOWN) {
        if (is_ignored(c, l->path))
            return;
        /* "/method": what the recorded message does not have and others do. */
        if ((path_flags_of(c->paths, l->path) & PATH_TAG) && !strchr(path_text(c->paths, l->path) + 1, '/') &&
            l->kind != VALUE_NULL && !is_free(c, l->path))
            refuse_value(c, l->path, NULL, l);
    }
    c->places += place_weight(l);
}

/* ---- pairing ---- */

static bool same_paths(const struct structure *a, const struct structure *b) {
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (a->values[i].path != b->values[i].path || a->values[i].path == PATH_UNKNOWN)
            return false;
    return true;
}

static int by_key(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Path and index of each value, by path. Messages are nearly always short. Returns the end of what was written. */
static uint64_t *sort_paths(uint64_t *keys, const struct structure *s) {
    uint64_t *end = keys;
    for (uint32_t i = 0; i < s->count; i++) {
        uint64_t key = (uint64_t)s->values[i].path << 32 | i, *to = end++;
        for (; s->count <= INSERTION_MAX && to > keys && to[-1] > key; to--)
            *to = to[-1];
        *to = key;
    }
    if (s->count > INSERTION_MAX)
        qsort(keys, s->count, sizeof *keys, by_key);
    return end;
}

static void merge(struct comparing *c, const uint64_t *r, const uint64_t *r_end, const uint64_t *l,
                  const uint64_t *l_end) {
    const struct message_value *recorded = c->recorded.s->values, *live = c->live.s->values;
    while (!c->refused && (r < r_end || l < l_end)) {
        uint64_t r_path = r < r_end ? *r >> 32 : UINT64_MAX, l_path = l < l_end ? *l >> 32 : UINT64_MAX;
        if (r_path == l_path && r_path != PATH_UNKNOWN)
            pair(c, &recorded[(uint32_t)*r++], &live[(uint32_t)*l++]);
        else if (r_path <= l_path)
            recorded_only(c, &recorded[(uint32_t)*r++]);
        else
            live_only(c, &live[(uint32_t)*l++]);
    }
}

static void compare_all(struct comparing *c) {
    const struct structure *r = c->recorded.s, *l = c->live.s;
    if (same_paths(r, l)) {
        for (uint32_t i = 0; i < r->count && !c->refused; i++)
            pair(c, &r->values[i], &l->values[i]);
        return;
    }
    uint64_t stack[2 * PAIRS_ON_STACK], *keys = stack;
    size_t count = (size_t)r->count + l->count;
    if (count > ARRAY_LEN(stack) && !(keys = malloc(count * sizeof *keys))) {
        c->refused = true; /* no memory: it is not found out */
        return;
    }
    uint64_t *r_end = sort_paths(keys, r), *l_end = sort_paths(r_end, l);
    merge(c, keys, r_end, r_end, l_end);
    if (keys != stack)
        free(keys);
}

/* ---- the score ---- */

static unsigned share(uint64_t part, uint64_t all, unsigned worth) {
    return all ? (unsigned)(part * worth / all) : worth;
}

static unsigned score(struct comparing *c) {
    if (c->refused)
        return 0;
    unsigned structure = share(c->shared, c->places, 1000);
    if (structure < (c->tagged ? STRUCTURE_LEAST_TAGGED : STRUCTURE_LEAST)) {
        if (c->why)
            buf_printf(c->why, "expected the recorded message's values, got others: %u %% stand at the same paths",
                       structure / 10);
        return 0;
    }
    if (c->shared == c->places && c->same == c->values)
        return SIMILARITY_EQUAL;
    unsigned points = structure * STRUCTURE_WORTH / 1000 + share(c->same, c->values, 1000 - STRUCTURE_WORTH);
    if (c->other_number)
        points /= 2;
    return MIN(MAX(points, 1u), SIMILARITY_EQUAL - 1);
}

/* By length and first bytes. */
static unsigned compare_bytes(const struct side *recorded, const struct side *live) {
    const uint8_t *a = recorded->data, *b = live->data;
    size_t shorter = MIN(recorded->len, live->len), longer = MAX(recorded->len, live->len), n = 0;
    if (shorter == longer && (shorter == 0 || !memcmp(a, b, shorter)))
        return SIMILARITY_EQUAL;
    size_t most = MIN(shorter, 32u);
    while (n < most && a[n] == b[n])
        n++;
    unsigned points = 100 + (unsigned)(shorter * 300 / longer);
    if (n)
        points += 200; /* the first byte is a type more often than not */
    if (most)
        points += (unsigned)(n * 399 / most);
    return MIN(points, SIMILARITY_EQUAL - 1);
}

/* The same but for what its sender chose freely? Text in the one and bytes in the other have other paths. */
static bool same_but_free(struct comparing *c) {
    const struct structure *r = c->recorded.s, *l = c->live.s;
    if (!same_paths(r, l) || r->form != l->form)
        return false;
    for (uint32_t i = 0; i < r->count; i++)
        if (!is_free(c, r->values[i].path) && !is_ignored(c, r->values[i].path) &&
            !same_value(c, &r->values[i], &l->values[i]))
            return false;
    return true;
}

static unsigned compare_binary(struct comparing *c) {
    unsigned points = compare_bytes(&c->recorded, &c->live);
    return points < SIMILARITY_EQUAL && same_but_free(c) ? SIMILARITY_EQUAL - 1 : points;
}

unsigned structure_similarity(const struct path_table *paths, const struct structure *recorded,
                              const void *recorded_data, size_t recorded_len, const struct structure *live,
                              const void *live_data, size_t live_len, const struct match_hints *hints,
                              struct buf *why) {
    static const struct match_hints none = {0};
    static const char *const forms[] = {[FORM_BINARY] = "a binary message",
                                        [FORM_WORDS] = "text",
                                        [FORM_PREFIXED] = "text that ends in JSON",
                                        [FORM_JSON] = "JSON"};
    struct comparing c = {.paths = paths,
                          .recorded = {recorded, recorded_data, recorded_len},
                          .live = {live, live_data, live_len},
                          .hints = hints ? hints : &none,
                          .why = why};
    /* Bytes that happen to be text are bytes all the same. */
    if (MIN(recorded->form, live->form) == FORM_BINARY && MAX(recorded->form, live->form) <= FORM_WORDS)
        return compare_binary(&c);
    if (recorded->form != live->form)
        return refuse(why, forms[recorded->form], forms[live->form]);
    if (recorded->is_array != live->is_array)
        return refuse(why, recorded->is_array ? "an array" : "an object", live->is_array ? "an array" : "an object");
    compare_all(&c);
    unsigned points = score(&c);
    buf_fini(&c.a);
    buf_fini(&c.b);
    return points;
}
