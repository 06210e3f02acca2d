#include "replay/spoken.h"

#include <stdlib.h>

#include "base/array.h"

void spoken_clear(struct spoken *s) {
    bool sparse = s->text_count < s->mask / 64; /* one large connection should not slow down those after it */
    s->text_count = s->place_count = 0;
    if (sparse && s->mask > 4096)
        spoken_fini(s);
    else if (s->slots)
        memset(s->slots, 0, ((size_t)s->mask + 1) * sizeof *s->slots);
}

void spoken_fini(struct spoken *s) {
    free(s->texts);
    free(s->places);
    free(s->slots);
    *s = (struct spoken){0};
}

static uint32_t tag_of(uint64_t hash) {
    return (uint32_t)(hash >> 32);
}

static struct text_slot *slot_of(const struct spoken *s, uint64_t hash) {
    for (uint32_t i = (uint32_t)hash & s->mask;; i = (i + 1) & s->mask) {
        struct text_slot *slot = &s->slots[i];
        if (!slot->text || (slot->tag == tag_of(hash) && s->texts[slot->text - 1].hash == hash))
            return slot;
    }
}

struct text_said *spoken_find(const struct spoken *s, uint64_t hash) {
    uint32_t text = s->slots ? slot_of(s, hash)->text : 0;
    return text ? &s->texts[text - 1] : NULL;
}

struct place_said *spoken_place(const struct spoken *s, const struct text_said *t, unsigned direction, uint32_t key) {
    for (uint32_t i = t->places[direction]; i != SPOKEN_NONE; i = s->places[i].next)
        if (s->places[i].key == key)
            return &s->places[i];
    return NULL;
}

/* Room for one text more, with half of the slots free. */
static bool grow_texts(struct spoken *s) {
    if (s->texts && s->text_count < s->text_cap)
        return true;
    uint32_t cap = s->text_cap ? s->text_cap * 2 : 256;
    struct text_said *texts = realloc(s->texts, cap * sizeof *texts);
    if (!texts)
        return false;
    memset(texts + s->text_cap, 0, (cap - s->text_cap) * sizeof *texts);
    s->texts = texts;
    struct text_slot *slots = calloc((size_t)cap * 2, sizeof *slots);
    if (!slots)
        return false;
    free(s->slots);
    s->slots = slots;
    s->mask = cap * 2 - 1;
    s->text_cap = cap;
    for (uint32_t i = 0; i < s->text_count; i++)
        *slot_of(s, s->texts[i].hash) = (struct text_slot){i + 1, tag_of(s->texts[i].hash)};
    return true;
}

static struct text_said *text_of(struct spoken *s, uint64_t hash, unsigned direction) {
    struct text_said *t = spoken_find(s, hash);
    if (t)
        return t;
    if (!grow_texts(s))
        return NULL;
    t = &s->texts[s->text_count];
    *t = (struct text_said){hash, {SPOKEN_NONE, SPOKEN_NONE}, {SPOKEN_NONE, SPOKEN_NONE}, (uint8_t)direction};
    *slot_of(s, hash) = (struct text_slot){++s->text_count, tag_of(hash)};
    return t;
}

/* The place's index, taken out of its list; what has gone unsaid longest makes room. */
static uint32_t take_place(struct spoken *s, struct text_said *t, unsigned direction, uint32_t key) {
    uint32_t *link = &t->places[direction], n = 0;
    for (; *link != SPOKEN_NONE; n++) {
        struct place_said *p = &s->places[*link];
        if (p->key == key || (n + 1 == SPOKEN_PLACES && p->next == SPOKEN_NONE))
            break;
        link = &p->next;
    }
    uint32_t index = *link;
    if (index == SPOKEN_NONE)
        return index;
    *link = s->places[index].next;
    return index;
}

static uint32_t new_place(struct spoken *s) {
    if (!ARRAY_ROOM(s->places, s->place_count, s->place_cap, 256))
        return SPOKEN_NONE;
    s->places[s->place_count] = (struct place_said){.key = KEY_NONE};
    return s->place_count++;
}

struct place_said *spoken_say(struct spoken *s, const struct atom *atom, unsigned direction, uint32_t message,
                              uint32_t ordinal, struct text_said **text) {
    struct text_said *t = text_of(s, atom->hash, direction);
    uint32_t index = t ? take_place(s, t, direction, atom->key) : SPOKEN_NONE;
    if (t && index == SPOKEN_NONE)
        index = new_place(s);
    if (index == SPOKEN_NONE) {
        s->failed = true;
        return NULL;
    }
    struct place_said *p = &s->places[index];
    bool again = p->key == atom->key && p->last == message;
    if (p->key != atom->key)
        *p = (struct place_said){.key = atom->key, .first = message, .variable = SPOKEN_NONE, .birth = SPOKEN_NONE};
    p->next = t->places[direction];
    t->places[direction] = index;
    *text = t;
    if (again)
        return p; /* the first of several in a message */
    p->last = message;
    p->value = atom->value;
    p->begin = atom->begin;
    p->end = atom->end;
    p->ordinal = ordinal;
    p->form = atom->form;
    p->kind = atom->kind;
    return p;
}
