/* What was found for one connection, message by message. */
#include <stdlib.h>

#include "base/array.h"
#include "replay/correlation.h"

bool plan_slot(struct connection_plan *p, struct slot slot) {
    if (!ARRAY_ROOM(p->slots, p->slot_count, p->slot_cap, 16))
        return false;
    p->slots[p->slot_count++] = slot;
    return true;
}

bool plan_birth(struct connection_plan *p, struct birth birth) {
    if (birth.message == MESSAGE_HANDSHAKE) {
        if (!ARRAY_ROOM(p->handshake_births, p->handshake_birth_count, p->handshake_birth_cap, 16))
            return false;
        p->handshake_births[p->handshake_birth_count++] = birth;
        return true;
    }
    if (!ARRAY_ROOM(p->births, p->birth_count, p->birth_cap, 16))
        return false;
    p->births[p->birth_count++] = birth;
    return true;
}

bool plan_free(struct connection_plan *p, uint32_t path) {
    if (!ARRAY_ROOM(p->free_paths, p->free_count, p->free_cap, 16))
        return false;
    p->free_paths[p->free_count++] = path;
    return true;
}

uint32_t plan_variable(struct connection_plan *p, uint32_t parent) {
    if (!ARRAY_ROOM(p->parents, p->variable_count, p->variable_cap, 16))
        return SPOKEN_NONE;
    p->parents[p->variable_count] = parent;
    return p->variable_count++;
}

bool plan_begin(struct connection_plan *p, size_t messages) {
    p->slots_of = calloc(messages + 1, sizeof *p->slots_of);
    p->births_of = calloc(messages + 1, sizeof *p->births_of);
    p->free_of = calloc(messages + 1, sizeof *p->free_of);
    return p->slots_of && p->births_of && p->free_of;
}

static int by_number(const void *a, const void *b) {
    const uint32_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static int by_begin(const void *a, const void *b) {
    const struct slot *x = a, *y = b;
    return x->begin < y->begin ? -1 : x->begin > y->begin;
}

void plan_end_message(struct connection_plan *p, size_t message) {
    uint32_t slot = p->slots_of[message], from = p->free_of[message], to = from;
    if (p->slot_count - slot > 1)
        qsort(p->slots + slot, p->slot_count - slot, sizeof *p->slots, by_begin);
    if (p->free_count - from > 1)
        qsort(p->free_paths + from, p->free_count - from, sizeof *p->free_paths, by_number);
    for (uint32_t i = from; i < p->free_count; i++)
        if (to == from || p->free_paths[to - 1] != p->free_paths[i])
            p->free_paths[to++] = p->free_paths[i];
    p->free_count = to;
    p->slots_of[message + 1] = p->slot_count;
    p->births_of[message + 1] = p->birth_count;
    p->free_of[message + 1] = p->free_count;
}

/* Gives back what was set aside; a failure leaves it as it is. */
static void trim(void **items, uint32_t count, size_t size) {
    void *smaller = count ? realloc(*items, count * size) : NULL;
    if (!count) {
        free(*items);
        *items = NULL;
    } else if (smaller) {
        *items = smaller;
    }
}

void plan_end(struct connection_plan *p) {
    trim((void **)&p->slots, p->slot_count, sizeof *p->slots);
    trim((void **)&p->births, p->birth_count, sizeof *p->births);
    trim((void **)&p->free_paths, p->free_count, sizeof *p->free_paths);
    trim((void **)&p->parents, p->variable_count, sizeof *p->parents);
    if (!p->slot_count) {
        free(p->slots_of);
        p->slots_of = NULL;
    }
    if (!p->birth_count) {
        free(p->births_of);
        p->births_of = NULL;
    }
    if (!p->free_count) {
        free(p->free_of);
        p->free_of = NULL;
    }
}

void plan_fini(struct connection_plan *p) {
    free(p->structures);
    free(p->slots);
    free(p->births);
    free(p->free_paths);
    free(p->parents);
    free(p->handshake_births);
    free(p->slots_of);
    free(p->births_of);
    free(p->free_of);
}

/* ---- parts ---- */

/* The n-th time (0: the first) that a text stands in another; SIZE_MAX: it does not. *count: how often it does, when n
 * is SIZE_MAX. */
static size_t nth(const char *text, size_t len, const char *part, size_t size, size_t n, size_t *count) {
    size_t found = 0;
    for (const char *at = text; (at = memmem(at, len - (size_t)(at - text), part, size)); at++)
        if (found++ == n)
            return (size_t)(at - text);
    *count = found;
    return SIZE_MAX;
}

bool part_in_message(const void *data, const struct message_value *v, const char *text, size_t size, uint32_t begin,
                     uint32_t end, uint32_t *from, uint32_t *to) {
    if (v->code) { /* behind its length, as it is */
        *from = v->end - (uint32_t)size + begin;
        *to = *from + (end - begin);
        return true;
    }
    size_t quotes = v->kind == VALUE_STRING, raw_len = v->end - v->begin;
    const char *raw = (const char *)data + v->begin;
    if (!v->nested && raw_len == size + 2 * quotes) { /* no escapes */
        *from = (uint32_t)(v->begin + quotes + begin);
        *to = *from + (end - begin);
        return true;
    }
    /* What stands between escapes is written as it is: it is found by how often it came before. */
    size_t before = 0, all = 0, all_raw = 0;
    nth(text, begin + (end - begin) - 1, text + begin, end - begin, SIZE_MAX, &before);
    nth(text, size, text + begin, end - begin, SIZE_MAX, &all);
    nth(raw, raw_len, text + begin, end - begin, SIZE_MAX, &all_raw);
    size_t at = all == all_raw ? nth(raw, raw_len, text + begin, end - begin, before, &all) : SIZE_MAX;
    if (at == SIZE_MAX)
        return false;
    *from = v->begin + (uint32_t)at;
    *to = *from + (end - begin);
    return true;
}
