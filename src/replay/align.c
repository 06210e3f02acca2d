/* Equal beginnings and ends first; then messages that are there exactly once on both sides are anchors (patience diff);
 * what lies between two anchors is aligned by similarity, with dynamic programming. */
#include "replay/align.h"

#include <stdlib.h>
#include <string.h>

#include "base/increasing.h"

/* [a, a_end) against [b, b_end). */
struct stretch {
    size_t a, a_end, b, b_end;
};

/* ---- ends ---- */

static bool same(const struct align *al, size_t a, size_t b) {
    return al->a_hash[a] == al->b_hash[b];
}

static void trim(struct align *al, struct stretch *s) {
    while (s->a < s->a_end && s->b < s->b_end && same(al, s->a, s->b))
        al->partner[s->a++] = (uint32_t)s->b++;
    while (s->a < s->a_end && s->b < s->b_end && same(al, s->a_end - 1, s->b_end - 1))
        al->partner[--s->a_end] = (uint32_t)--s->b_end;
}

/* ---- anchors ---- */

struct place {
    uint64_t hash;
    uint32_t index;
    bool b;
};

static int by_hash(const void *x, const void *y) {
    const struct place *p = x, *q = y;
    if (p->hash != q->hash)
        return p->hash < q->hash ? -1 : 1;
    return p->b != q->b ? p->b - q->b : (p->index > q->index) - (p->index < q->index);
}

/* Anchors: once in a and once in b. `of` has one for each of a's, from s->a on: its place in b, or ALIGN_NONE. */
static int find_unique(const struct align *al, const struct stretch *s, uint32_t *of) {
    size_t n = s->a_end - s->a, all = n + s->b_end - s->b;
    struct place *places = calloc(all + 1, sizeof *places);
    if (!places)
        return MF_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        places[i] = (struct place){al->a_hash[s->a + i], (uint32_t)(s->a + i), false};
        of[i] = ALIGN_NONE;
    }
    for (size_t i = n; i < all; i++)
        places[i] = (struct place){al->b_hash[s->b + i - n], (uint32_t)(s->b + i - n), true};
    qsort(places, all, sizeof *places, by_hash);
    for (size_t begin = 0, end; begin < all; begin = end) {
        for (end = begin + 1; end < all && places[end].hash == places[begin].hash;)
            end++;
        if (end - begin == 2 && !places[begin].b && places[begin + 1].b)
            of[places[begin].index - s->a] = places[begin + 1].index;
    }
    free(places);
    return MF_OK;
}

/* Keeps those of `of` that are in one order on both sides. */
static int keep_increasing(uint32_t *of, size_t n) {
    bool *kept = calloc(n + 1, sizeof *kept);
    int rc = kept ? increasing_mark(of, n, kept) : MF_ENOMEM;
    for (size_t i = 0; rc == MF_OK && i < n; i++)
        of[i] = kept[i] ? of[i] : ALIGN_NONE;
    free(kept);
    return rc;
}

/* ---- by similarity ---- */

enum step { STEP_A, STEP_B, STEP_BOTH };

#define BEYOND INT64_MIN

/* Rows are a's messages, columns b's; only those columns are looked at that lie near the diagonal. */
struct grid {
    size_t rows, columns;
    size_t half, width; /* of the band */
    int64_t *scores, *scores_below;
    uint8_t *steps;
};

static size_t first_column(const struct grid *g, size_t row) {
    size_t middle = g->rows ? (size_t)((unsigned __int128)row * g->columns / g->rows) : 0;
    return middle > g->half ? middle - g->half : 0;
}

static size_t end_column(const struct grid *g, size_t row) {
    return MIN(first_column(g, row) + g->width, g->columns + 1);
}

static int64_t score_at(const struct grid *g, const int64_t *scores, size_t row, size_t column) {
    size_t first = first_column(g, row);
    return column < first || column >= end_column(g, row) ? BEYOND : scores[column - first];
}

/* What a pair is worth: two that are half alike are worth less than one that is the same. */
static int64_t worth(unsigned similarity) {
    return similarity < ALIGN_LEAST ? BEYOND : (int64_t)similarity * similarity / 1000 + 1;
}

/* One that is left alone costs: messages that are hardly alike are still better told as one difference than as one
 * missing and one that is not expected. */
static int64_t without_partner(int64_t score) {
    return score == BEYOND ? BEYOND : score - ALIGN_ALONE;
}

static void fill_cell(struct align *al, const struct stretch *s, struct grid *g, size_t row, size_t column) {
    size_t first = first_column(g, row);
    int64_t down = without_partner(score_at(g, g->scores_below, row + 1, column));
    int64_t right = without_partner(score_at(g, g->scores, row, column + 1));
    int64_t best = MAX(down, right), both = BEYOND;
    if (column < g->columns) {
        both = score_at(g, g->scores_below, row + 1, column + 1);
        int64_t pair = both == BEYOND ? BEYOND : worth(al->similarity(al->arg, s->a + row, s->b + column));
        both = pair == BEYOND ? BEYOND : both + pair;
    }
    enum step step = both != BEYOND && both >= best ? STEP_BOTH : down >= right ? STEP_A : STEP_B;
    g->scores[column - first] = step == STEP_BOTH ? both : best;
    g->steps[row * g->width + column - first] = (uint8_t)step;
}

static void fill(struct align *al, const struct stretch *s, struct grid *g) {
    size_t first = first_column(g, g->rows);
    for (size_t column = first; column < end_column(g, g->rows); column++) /* nothing of a is left */
        g->scores[column - first] = -ALIGN_ALONE * (int64_t)(g->columns - column);
    for (size_t row = g->rows; row-- > 0;) {
        int64_t *swap = g->scores;
        g->scores = g->scores_below;
        g->scores_below = swap;
        for (size_t column = end_column(g, row); column-- > first_column(g, row);)
            fill_cell(al, s, g, row, column);
    }
}

static void follow(struct align *al, const struct stretch *s, const struct grid *g) {
    size_t row = 0, column = 0;
    while (row < g->rows) {
        enum step step = g->steps[row * g->width + column - first_column(g, row)];
        if (step == STEP_BOTH)
            al->partner[s->a + row] = (uint32_t)(s->b + column);
        row += step != STEP_B;
        column += step != STEP_A;
    }
}

/* How far from the diagonal: what the work allows, but never so little that a row's band does not touch the next
 * one's. */
static size_t half_band(const struct align *al, size_t rows, size_t columns) {
    uint64_t allowed = al->work_max / al->a_count / 2; /* all stretches together */
    return (size_t)MIN(MAX(allowed, columns / rows + 2), columns + 1);
}

static int align_by_similarity(struct align *al, const struct stretch *s) {
    struct grid g = {.rows = s->a_end - s->a, .columns = s->b_end - s->b};
    if (g.rows == 0 || g.columns == 0)
        return MF_OK;
    g.half = half_band(al, g.rows, g.columns);
    g.width = MIN(2 * g.half + 1, g.columns + 1);
    int64_t *one = calloc(g.width + 1, sizeof *one), *two = calloc(g.width + 1, sizeof *two);
    g.scores = one;
    g.scores_below = two;
    g.steps = calloc(g.rows, g.width + 1);
    int rc = one && two && g.steps ? MF_OK : MF_ENOMEM;
    if (rc == MF_OK) {
        fill(al, s, &g);
        follow(al, s, &g);
    }
    free(one);
    free(two);
    free(g.steps);
    return rc;
}

/* ---- all of it ---- */

static int align_between(struct align *al, struct stretch s) {
    trim(al, &s);
    return align_by_similarity(al, &s);
}

static int align_at_anchors(struct align *al, const struct stretch *s, const uint32_t *of) {
    struct stretch next = {s->a, s->a, s->b, s->b};
    int rc = MF_OK;
    for (size_t i = 0; rc == MF_OK && i < s->a_end - s->a; i++) {
        if (of[i] == ALIGN_NONE)
            continue;
        al->partner[s->a + i] = of[i];
        next.a_end = s->a + i;
        next.b_end = of[i];
        rc = align_between(al, next);
        next.a = next.a_end + 1;
        next.b = next.b_end + 1;
    }
    next.a_end = s->a_end;
    next.b_end = s->b_end;
    return rc < 0 ? rc : align_between(al, next);
}

int align_run(struct align *al) {
    struct stretch s = {0, al->a_count, 0, al->b_count};
    for (size_t i = 0; i < al->a_count; i++)
        al->partner[i] = ALIGN_NONE;
    trim(al, &s);
    if (s.a == s.a_end || s.b == s.b_end)
        return MF_OK;
    uint32_t *of = calloc(s.a_end - s.a, sizeof *of);
    int rc = of ? find_unique(al, &s, of) : MF_ENOMEM;
    if (rc == MF_OK)
        rc = keep_increasing(of, s.a_end - s.a);
    if (rc == MF_OK)
        rc = align_at_anchors(al, &s, of);
    free(of);
    return rc;
}
