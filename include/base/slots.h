/* Numbers for things that another thread answers to: what comes back is a number, and whoever it was for may be gone.
 *
 * A number is a slot and the slot's generation, so that it is never mistaken for a later owner's. Thread: the owner's. */
#ifndef MF_BASE_SLOTS_H
#define MF_BASE_SLOTS_H

#include "base/defs.h"

struct slots {
    struct slots_place {
        void *owner; /* NULL: free */
        uint32_t generation, next_free;
    } *items;
    uint32_t count, first_free; /* first_free == count: none */
};

/* A number for owner, which is not NULL; 0: no memory. */
uint64_t slots_take(struct slots *s, void *owner);
/* Whose number it is; NULL: nobody's any more. */
void *slots_find(const struct slots *s, uint64_t number);
void slots_release(struct slots *s, uint64_t number);
void slots_fini(struct slots *s);

#endif
