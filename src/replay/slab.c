#include "replay/slab.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_MIN ((size_t)4 << 10)
#define CHUNK_MAX ((size_t)4 << 20)

struct slab_chunk {
    struct slab_chunk *next;
    uint8_t data[];
};

void slab_fini(struct slab *a) {
    struct slab_chunk *next;
    for (struct slab_chunk *c = a->chunks; c; c = next) {
        next = c->next;
        free(c);
    }
    *a = (struct slab){0};
}

/* Chunks grow with the whole, so that an eighth of it is unused at most. */
static size_t chunk_size(const struct slab *a) {
    return MIN(MAX(a->bytes / 8, CHUNK_MIN), CHUNK_MAX);
}

void *slab_bytes(struct slab *a, size_t len) {
    if (a->cap - a->used < len) {
        size_t size = chunk_size(a), need;
        bool alone = len > size / 2; /* large: a chunk of its own, behind the one being used */
        if (__builtin_add_overflow(alone ? len : size, sizeof(struct slab_chunk), &need))
            return NULL;
        struct slab_chunk *c = malloc(need);
        if (!c)
            return NULL;
        a->bytes += need;
        if (alone && a->chunks) {
            c->next = a->chunks->next;
            a->chunks->next = c;
            return c->data;
        }
        c->next = a->chunks;
        a->chunks = c;
        a->used = 0;
        a->cap = need - sizeof *c;
    }
    void *p = a->chunks->data + a->used;
    a->used += len;
    return p;
}

char *slab_copy(struct slab *a, const void *data, size_t len) {
    char *p = len < SIZE_MAX ? slab_bytes(a, len + 1) : NULL;
    if (!p)
        return NULL;
    if (len)
        memcpy(p, data, len);
    p[len] = '\0';
    return p;
}
