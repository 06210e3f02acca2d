/* An array that grows: a pointer, how many items there are, and how many there is room for.
 *
 *     struct places { struct place *items; uint32_t count, cap; };
 *     if (!ARRAY_ROOM(p->items, p->count, p->cap, 16))
 *         return MF_ENOMEM;
 *     p->items[p->count++] = place;
 *
 * The owner frees the items with free(). Thread: the owner's. */
#ifndef MF_BASE_ARRAY_H
#define MF_BASE_ARRAY_H

#include "base/defs.h"

/* Room for one item more: twice as much as there was, at first for FIRST items (at least 1). ITEMS: a pointer, NULL
 * while CAP is 0; CAP: a uint32_t or a size_t; all are evaluated more than once. What is new is not cleared. false: out
 * of memory, or more than CAP can count; then the items and CAP are as they were. */
#define ARRAY_ROOM(ITEMS, COUNT, CAP, FIRST)                                                                           \
    ((COUNT) < (CAP) || array_grow((void **)&(ITEMS), &(CAP), sizeof(CAP), sizeof *(ITEMS), (FIRST)))

/* What ARRAY_ROOM does when the array is full. cap_size: 4 or 8, the bytes of *cap; item_size and first: not 0. */
MF_MUSTCHECK bool array_grow(void **items, void *cap, size_t cap_size, size_t item_size, size_t first);

#endif
