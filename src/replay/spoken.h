/* What was said on one connection so far: each text, by whom first, and where each side said it last.
 *
 * Memory is bounded by the texts; of each text and side only so many places are kept, the latest ones.
 * Thread: the owner's. */
#ifndef MF_REPLAY_SPOKEN_H
#define MF_REPLAY_SPOKEN_H

#include "replay/atoms.h"

#define SPOKEN_PLACES 8u /* of one text and side */
#define SPOKEN_NONE UINT32_MAX

/* A text at a key. */
struct place_said {
    uint32_t next; /* of the same text and side; the latest first */
    uint32_t key;
    uint32_t first, last;       /* messages */
    uint32_t value, begin, end; /* in `last`: index in the structure, and the part of the value's text */
    uint32_t ordinal;           /* of `last` among all that was said at this key */
    uint64_t outline;           /* infer.c: of `first`, what sort of message it is */
    uint32_t variable, birth;   /* infer.c: the latest variable that was born here, and in which message */
    uint8_t form, kind;         /* enum atom_form, enum value_kind */
};

struct text_said {
    uint64_t hash;
    uint32_t places[2];   /* by enum event_direction */
    uint32_t variable[2]; /* infer.c: the latest one with this text */
    uint8_t first;        /* who said it first */
};

/* Most lookups find nothing: the slots alone tell, without a look at the texts. */
struct text_slot {
    uint32_t text; /* + 1; 0: free */
    uint32_t tag;  /* the upper half of its hash */
};

struct spoken {
    struct text_said *texts;
    uint32_t text_count, text_cap;
    struct place_said *places;
    uint32_t place_count, place_cap;
    struct text_slot *slots; /* open addressing */
    uint32_t mask;
    bool failed;
};

/* For another connection; the memory is kept. */
void spoken_clear(struct spoken *s);
void spoken_fini(struct spoken *s);
/* It will be asked for soon: the table is larger than the processor's caches. */
static inline void spoken_expect(const struct spoken *s, uint64_t hash) {
    if (s->slots)
        __builtin_prefetch(&s->slots[(uint32_t)hash & s->mask]);
}
struct text_said *spoken_find(const struct spoken *s, uint64_t hash);
struct place_said *spoken_place(const struct spoken *s, const struct text_said *t, unsigned direction, uint32_t key);
/* Adds the place, or moves it to the front. NULL: no memory (failed). The pointer is good until the next call; *text is
 * the text's. */
struct place_said *spoken_say(struct spoken *s, const struct atom *atom, unsigned direction, uint32_t message,
                              uint32_t ordinal, struct text_said **text);

#endif
