#include "base/numbers.h"

#include <stdlib.h>

static size_t place(const struct numbers *n, uint64_t number) {
    return (size_t)(number * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (n->cap - 1);
}

/* Where it stands, or the free slot where it would. */
static size_t find(const struct numbers *n, uint64_t number) {
    size_t i = place(n, number);
    while (n->slots[i] && n->slots[i] != number)
        i = (i + 1) & (n->cap - 1);
    return i;
}

static int grow(struct numbers *n) {
    struct numbers grown = {.cap = n->cap ? n->cap * 2 : 8, .count = n->count};
    grown.slots = calloc(grown.cap, sizeof *grown.slots);
    if (!grown.slots)
        return MF_ENOMEM;
    for (size_t i = 0; i < n->cap; i++)
        if (n->slots[i])
            grown.slots[find(&grown, n->slots[i])] = n->slots[i];
    free(n->slots);
    *n = grown;
    return MF_OK;
}

int numbers_add(struct numbers *n, uint64_t number) {
    MUST(number);
    if (n->count + 1 > n->cap / 4 * 3 && grow(n) < 0)
        return MF_ENOMEM;
    size_t i = find(n, number);
    n->count += !n->slots[i];
    n->slots[i] = number;
    return MF_OK;
}

/* Those behind it move up, so that no look-up stops at the gap. */
void numbers_remove(struct numbers *n, uint64_t number) {
    size_t mask = n->cap - 1, gap = n->cap ? find(n, number) : 0;
    if (!n->cap || !n->slots[gap])
        return;
    for (size_t i = (gap + 1) & mask; n->slots[i]; i = (i + 1) & mask)
        if (((i - place(n, n->slots[i])) & mask) >= ((i - gap) & mask)) { /* its place is not behind the gap */
            n->slots[gap] = n->slots[i];
            gap = i;
        }
    n->slots[gap] = 0;
    n->count--;
}

bool numbers_has(const struct numbers *n, uint64_t number) {
    return number && n->cap && n->slots[find(n, number)];
}

void numbers_fini(struct numbers *n) {
    free(n->slots);
    *n = (struct numbers){0};
}
