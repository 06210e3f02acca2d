/* Texts that are not JSON, and bytes. */
#include <stdlib.h>
#include <string.h>

#include "replay/compare_private.h"

struct word {
    const char *text;
    size_t len, begin, end; /* where it stands */
};
struct words {
    struct word list[STRUCTURE_WORDS_MAX];
    size_t count;
    const char *data;
    size_t len; /* of what the words were taken from */
};

static void list_words(struct words *w, const struct structure *s, const char *data, size_t len) {
    w->count = 0;
    w->data = data;
    w->len = len;
    for (uint32_t i = 0; i < s->count && w->count < STRUCTURE_WORDS_MAX; i++) {
        const struct message_value *v = &s->values[i];
        if (v->kind == VALUE_WORD && v->end <= len)
            w->list[w->count++] = (struct word){data + v->begin, v->end - v->begin, v->begin, v->end};
    }
}

/* "@word/3" */
static size_t down_to_word(struct compare_run *run, const char *prefix, size_t i) {
    size_t up = run->path.len;
    buf_printf(&run->path, "%s/%zu", prefix, i);
    return up;
}

/* ---- the same words? ---- */

static bool same_word(struct compare_run *run, const struct word *a, const struct word *b) {
    if (a->len == b->len && !memcmp(a->text, b->text, a->len))
        return true;
    return (run->o->tolerance > 0 || run->o->tolerance_relative > 0) && is_json_number(a->text, a->len) &&
           is_json_number(b->text, b->len) && numbers_agree(run->o, a->text, a->len, b->text, b->len);
}

/* At the i-th word of the recorded text: does it matter what stands there? */
static bool any_word(struct compare_run *run, const char *prefix, size_t i) {
    size_t up = down_to_word(run, prefix, i);
    bool any = run_free(run) || run_ignored(run);
    run_up(run, up);
    return any;
}

/* ---- which words were changed, came, went ---- */

/* The longest common subsequence of the words (longest(i, j): of what is left from i and j on), so that a word more at
 * the beginning is one difference. */
struct common {
    uint16_t *longest; /* rows of `width` */
    size_t width;
    bool any[STRUCTURE_WORDS_MAX];
};

static uint16_t *longest(const struct common *l, size_t i, size_t j) {
    return &l->longest[i * l->width + j];
}

static bool are_common(struct compare_run *run, const struct common *l, const struct words *e, size_t i,
                       const struct words *g, size_t j) {
    return (l->any[i] && i == j) || same_word(run, &e->list[i], &g->list[j]);
}

static void find_common(struct compare_run *run, struct common *l, const struct words *e, const struct words *g,
                        const char *prefix) {
    for (size_t i = 0; i < e->count; i++)
        l->any[i] = any_word(run, prefix, i);
    for (size_t i = e->count; i-- > 0;)
        for (size_t j = g->count; j-- > 0;)
            if (are_common(run, l, e, i, g, j))
                *longest(l, i, j) = (uint16_t)(*longest(l, i + 1, j + 1) + 1);
            else
                *longest(l, i, j) = MAX(*longest(l, i + 1, j), *longest(l, i, j + 1));
}

static void add_word(struct compare_run *run, const struct word *e, const struct word *g) {
    size_t at = first_difference(e->text, e->len, g->text, g->len);
    run_add(run, DIFFERENT_VALUE, excerpt_around(e->text, e->len, at), excerpt_around(g->text, g->len, at));
}

/* Words from i to i_end stand where those from j to j_end should not. */
static void add_stretch(struct compare_run *run, const struct words *e, size_t i, size_t i_end, const struct words *g,
                        size_t j, size_t j_end, const char *prefix) {
    while (i < i_end || j < j_end) {
        bool expected = i < i_end, got = j < j_end;
        size_t up = down_to_word(run, prefix, expected ? i : j);
        if (expected && got)
            add_word(run, &e->list[i], &g->list[j]);
        else if (expected)
            run_add(run, MISSING_VALUE, excerpt_text(e->list[i].text, e->list[i].len), NULL);
        else
            run_add(run, EXTRA_VALUE, NULL, excerpt_text(g->list[j].text, g->list[j].len));
        run_up(run, up);
        i += expected;
        j += got;
    }
}

static void add_words(struct compare_run *run, const struct common *l, const struct words *e, const struct words *g,
                      const char *prefix) {
    size_t i = 0, j = 0, i_from = 0, j_from = 0;
    while (i < e->count && j < g->count) {
        if (are_common(run, l, e, i, g, j) && *longest(l, i, j) == *longest(l, i + 1, j + 1) + 1) {
            add_stretch(run, e, i_from, i, g, j_from, j, prefix);
            i_from = ++i;
            j_from = ++j;
        } else if (*longest(l, i + 1, j) >= *longest(l, i, j + 1)) {
            i++;
        } else {
            j++;
        }
    }
    add_stretch(run, e, i_from, e->count, g, j_from, g->count, prefix);
}

/* ---- what stands between them ---- */

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* White space does not count. */
static bool same_but_for_space(const char *a, size_t a_len, const char *b, size_t b_len) {
    size_t i = 0, j = 0;
    for (;;) {
        while (i < a_len && is_space(a[i]))
            i++;
        while (j < b_len && is_space(b[j]))
            j++;
        if (i == a_len || j == b_len)
            return i == a_len && j == b_len;
        if (a[i++] != b[j++])
            return false;
    }
}

/* From the i-th word's end to the next one's begin, or to the text's end. */
static const char *gap(const struct words *w, size_t i, size_t *len) {
    size_t begin = i ? w->list[i - 1].end : 0, end = i < w->count ? w->list[i].begin : w->len;
    *len = end - begin;
    return w->data + begin;
}

/* The words are the same; the rest, and what comes behind STRUCTURE_WORDS_MAX of them? */
static bool same_gaps(const struct words *e, const struct words *g) {
    for (size_t i = 0; i <= e->count; i++) {
        size_t a_len, b_len;
        const char *a = gap(e, i, &a_len), *b = gap(g, i, &b_len);
        if (!same_but_for_space(a, a_len, b, b_len))
            return false;
    }
    return true;
}

static void compare_lists(struct compare_run *run, const struct words *e, const struct words *g, const char *prefix) {
    struct common l = {.width = g->count + 1};
    l.longest = calloc((e->count + 1) * l.width, sizeof *l.longest);
    if (!l.longest) {
        run->rc = MF_ENOMEM;
        return;
    }
    find_common(run, &l, e, g, prefix);
    int before = run->added;
    add_words(run, &l, e, g, prefix);
    if (run->added == before && e->count == g->count && !same_gaps(e, g)) {
        size_t at = first_difference(e->data, e->len, g->data, g->len);
        run_add(run, DIFFERENT_VALUE, excerpt_around(e->data, e->len, at), excerpt_around(g->data, g->len, at));
    }
    free(l.longest);
}

void compare_words(struct compare_run *run, const struct structure *expected, const char *expected_data,
                   size_t expected_len, const struct structure *got, const char *got_data, size_t got_len,
                   const char *prefix) {
    struct words e, g;
    if (run->o->types_only)
        return;
    list_words(&e, expected, expected_data, expected_len);
    list_words(&g, got, got_data, got_len);
    compare_lists(run, &e, &g, prefix);
}

void compare_bytes(struct compare_run *run, const uint8_t *expected, size_t expected_len, const uint8_t *got,
                   size_t got_len) {
    size_t at = first_difference(expected, expected_len, got, got_len);
    if (expected_len != got_len || at < expected_len)
        run_add(run, DIFFERENT_VALUE, excerpt_bytes(expected, expected_len, at), excerpt_bytes(got, got_len, at));
}
