#include "base/near.h"

#include <string.h>

#define WORD_MAX 48 /* longer words are never near: bounds the work that a hostile key can cause */

static char fold(char c) {
    if (c >= 'A' && c <= 'Z')
        return (char)(c - 'A' + 'a');
    return c == '-' ? '_' : c;
}

/* Optimal string alignment: Levenshtein's distance in which swapping two neighbours counts one. */
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len) {
    size_t rows[3][WORD_MAX + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b_len; j++)
        above[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            bool same = fold(a[i - 1]) == fold(b[j - 1]);
            size_t best = MIN(MIN(above[j], row[j - 1]) + 1, above[j - 1] + (same ? 0 : 1));
            if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) && fold(a[i - 2]) == fold(b[j - 1]))
                best = MIN(best, before[j - 2] + 1);
            row[j] = best;
        }
        size_t *spare = before;
        before = above;
        above = row;
        row = spare;
    }
    return above[b_len];
}

void near_try(struct near *n, const char *candidate) {
    size_t word_len = strlen(n->word), candidate_len = strlen(candidate);
    if (word_len == 0 || word_len > WORD_MAX || candidate_len > WORD_MAX)
        return;
    size_t d = distance(n->word, word_len, candidate, candidate_len);
    if (d < n->distance && d <= MAX(1, MIN(word_len, candidate_len) / 3)) {
        n->best = candidate;
        n->distance = d;
    }
}
