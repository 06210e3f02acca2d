#include "base/slots.h"

#include <stdlib.h>

static bool grow(struct slots *s) {
    uint32_t count = s->count ? s->count * 2 : 16;
    struct slots_place *items = count > s->count ? realloc(s->items, count * sizeof *items) : NULL;
    if (!items)
        return false;
    for (uint32_t i = s->count; i < count; i++)
        items[i] = (struct slots_place){.generation = 1, .next_free = i + 1};
    s->items = items;
    s->count = count;
    return true;
}

uint64_t slots_take(struct slots *s, void *owner) {
    MUST(owner);
    if (s->first_free == s->count && !grow(s))
        return 0;
    uint32_t i = s->first_free;
    s->first_free = s->items[i].next_free;
    s->items[i].owner = owner;
    return (uint64_t)s->items[i].generation << 32 | i;
}

void *slots_find(const struct slots *s, uint64_t number) {
    uint32_t i = (uint32_t)number;
    return i < s->count && s->items[i].generation == number >> 32 ? s->items[i].owner : NULL;
}

void slots_release(struct slots *s, uint64_t number) {
    if (!slots_find(s, number))
        return;
    struct slots_place *slot = &s->items[(uint32_t)number];
    slot->owner = NULL;
    slot->generation += slot->generation == UINT32_MAX ? 2 : 1; /* never 0 */
    slot->next_free = s->first_free;
    s->first_free = (uint32_t)number;
}

void slots_fini(struct slots *s) {
    free(s->items);
    *s = (struct slots){0};
}
