/* "did you mean …?": the known word nearest to a mistyped one. Thread: any; nothing is kept. */
#ifndef MF_BASE_NEAR_H
#define MF_BASE_NEAR_H

#include "base/defs.h"

struct near {
    const char *word;
    const char *best; /* borrowed from the caller of near_try() */
    size_t distance;  /* of best */
};

static inline struct near near_to(const char *word) {
    return (struct near){.word = word, .best = NULL, .distance = SIZE_MAX};
}
/* Remembers the candidate when it is nearer than all before and near enough to be meant: about one slip in three
 * letters (insertion, deletion, replacement, two letters swapped), compared without case. */
void near_try(struct near *n, const char *candidate);

#endif
