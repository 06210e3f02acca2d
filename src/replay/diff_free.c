/* Values that were made up: one recording's "a7" is the other's "b3", and must be everywhere. */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/hash.h"
#include "replay/diff_private.h"
#include "replay/paths.h"

/* Shorter texts ("1") are likely to be different things under different names; longer ones are the same thing
 * wherever they stand. */
#define ALONE_LEN 6u

/* ---- which bytes ---- */

static bool is_free_path(const struct diff_side *s, size_t message, uint32_t path) {
    const uint32_t *paths;
    size_t count;
    correlation_free_paths(s->correlation, s->connection, message, &paths, &count);
    return paths_include(paths, count, path);
}

bool diff_is_free(const struct diff_side *s, size_t message, uint32_t value, uint32_t *begin, uint32_t *end) {
    const struct message_value *v = &s->structures[message]->values[value];
    size_t count, parts = 0;
    const struct slot *slots = correlation_slots(s->correlation, s->connection, message, &count);
    *begin = v->begin;
    *end = v->end;
    for (size_t i = 0; i < count && slots[i].begin < v->end; i++) {
        if (slots[i].kind != SLOT_VARIABLE || slots[i].end <= v->begin)
            continue;
        *begin = ++parts == 1 ? slots[i].begin : v->begin;
        *end = parts == 1 ? slots[i].end : v->end;
    }
    return parts || is_free_path(s, message, v->path);
}

/* ---- names for each other ---- */

/* One way or the other: what a text stands for on the other side. */
struct diff_name {
    uint64_t key, other; /* hashes; key 0: nothing here */
};

void diff_names_fini(struct diff_names *n) {
    free(n->slots);
    *n = (struct diff_names){0};
}

static struct diff_name *find(struct diff_name *slots, size_t cap, uint64_t key) {
    size_t i = key & (cap - 1);
    while (slots[i].key && slots[i].key != key)
        i = (i + 1) & (cap - 1);
    return &slots[i];
}

static int make_room(struct diff_names *n) {
    if (n->cap && n->count * 2 < n->cap)
        return MF_OK;
    size_t cap = n->cap ? n->cap * 2 : 64;
    struct diff_name *slots = calloc(cap, sizeof *slots);
    if (!slots)
        return MF_ENOMEM;
    for (size_t i = 0; i < n->cap; i++)
        if (n->slots[i].key)
            *find(slots, cap, n->slots[i].key) = n->slots[i];
    free(n->slots);
    n->slots = slots;
    n->cap = cap;
    return MF_OK;
}

/* 1: it stands for that, from now on at least; 0: for something else. MF_ENOMEM. */
static int stands_for(struct diff_names *n, uint64_t key, uint64_t other) {
    if (make_room(n) < 0)
        return MF_ENOMEM;
    struct diff_name *slot = find(n->slots, n->cap, key);
    if (slot->key)
        return slot->other == other;
    *slot = (struct diff_name){key, other};
    n->count++;
    return 1;
}

/* What a made-up text is known by: a short one together with the name of its place. */
static uint64_t key_of(int side, const char *name, const char *text, size_t len) {
    uint64_t parts[3] = {(uint64_t)side, len < ALONE_LEN ? hash_bytes(name, strlen(name)) : 0, hash_bytes(text, len)};
    uint64_t key = hash_bytes(parts, sizeof parts);
    return key + !key;
}

/* ---- a pair of messages ---- */

static int add_path(struct diff_paths *p, uint32_t path) {
    if (!ARRAY_ROOM(p->items, p->count, p->cap, 16))
        return MF_ENOMEM;
    p->items[p->count++] = path;
    return MF_OK;
}

static int by_number(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* The value with that path; most often it stands in the same place. */
static const struct message_value *counterpart(const struct structure *s, uint32_t at, uint32_t path) {
    if (at < s->count && s->values[at].path == path)
        return &s->values[at];
    return structure_find(s, path);
}

struct part {
    const char *text; /* of the value, all of it */
    size_t before, len, after;
};

static struct part part_of(const struct diff_side *s, size_t message, const struct message_value *v, uint32_t begin,
                           uint32_t end) {
    const char *text = (const char *)s->recorded->messages[message].data + v->begin;
    return (struct part){text, begin - v->begin, end - begin, v->end - end};
}

static bool same_around(const struct part *x, const struct part *y) {
    return x->before == y->before && x->after == y->after && !memcmp(x->text, y->text, x->before) &&
           !memcmp(x->text + x->before + x->len, y->text + y->before + y->len, x->after);
}

/* 1: these two stand for each other; 0: no. */
static int agree(struct diff_names *n, const char *name, const struct part *x, const struct part *y) {
    if (!same_around(x, y))
        return 0;
    uint64_t here = key_of(0, name, x->text + x->before, x->len), there = key_of(1, name, y->text + y->before, y->len);
    int rc = stands_for(n, here, there);
    return rc == 1 ? stands_for(n, there, here) : rc;
}

int diff_free_paths(struct diff_names *n, const struct path_table *paths, const struct diff_side *a, size_t a_message,
                    const struct diff_side *b, size_t b_message, struct diff_paths *out) {
    const struct structure *mine = diff_structure(a, a_message), *theirs = diff_structure(b, b_message);
    int rc = MF_OK;
    out->count = 0;
    for (uint32_t i = 0; rc == MF_OK && i < mine->count; i++) {
        const struct message_value *v = &mine->values[i];
        uint32_t begin, end, other_begin, other_end;
        if (v->path == PATH_UNKNOWN || !diff_is_free(a, a_message, i, &begin, &end))
            continue;
        const struct message_value *w = counterpart(theirs, i, v->path);
        if (!w || !diff_is_free(b, b_message, (uint32_t)(w - theirs->values), &other_begin, &other_end))
            continue;
        struct part x = part_of(a, a_message, v, begin, end), y = part_of(b, b_message, w, other_begin, other_end);
        rc = agree(n, path_name(paths, v->path), &x, &y);
        if (rc == 1)
            rc = add_path(out, v->path);
    }
    if (out->count > 1)
        qsort(out->items, out->count, sizeof *out->items, by_number);
    return rc;
}
