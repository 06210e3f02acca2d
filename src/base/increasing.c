/* Patience sorting: each pile's top is the least number that ends an increasing run of that length. */
#include "base/increasing.h"

#include <stdlib.h>

#define NONE SIZE_MAX

/* The first pile whose top is not below the number. */
static size_t find_pile(const uint32_t *numbers, const size_t *piles, size_t count, uint32_t number) {
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (numbers[piles[middle]] < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int increasing_mark(const uint32_t *numbers, size_t count, bool *kept) {
    /* piles: indexes of their tops; before: what a number follows in its run. */
    size_t *piles = calloc(count + 1, sizeof *piles), *before = calloc(count + 1, sizeof *before), length = 0;
    bool ok = piles && before;
    for (size_t i = 0; ok && i < count; i++) {
        kept[i] = false;
        if (numbers[i] == INCREASING_SKIP)
            continue;
        size_t pile = find_pile(numbers, piles, length, numbers[i]);
        before[i] = pile ? piles[pile - 1] : NONE;
        piles[pile] = i;
        length = MAX(length, pile + 1);
    }
    for (size_t i = ok && length ? piles[length - 1] : NONE; i != NONE; i = before[i])
        kept[i] = true;
    free(piles);
    free(before);
    return ok ? MF_OK : MF_ENOMEM;
}
