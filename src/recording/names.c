#include "recording/names.h"

#include <stdlib.h>

#include "base/hash.h"

#define FIRST_BUCKETS 64

void names_fini(struct names *t, void (*release)(struct named *item)) {
    for (size_t i = 0; i < t->bucket_count; i++)
        for (struct named *item = t->buckets[i], *next; item; item = next) {
            next = item->next;
            free(item->name);
            if (release)
                release(item);
        }
    free(t->buckets);
    *t = (struct names){0};
}

static struct named **bucket_of(const struct names *t, uint64_t hash) {
    return &t->buckets[hash & (t->bucket_count - 1)];
}

struct named *names_find(const struct names *t, const char *name) {
    if (!t->count)
        return NULL;
    uint64_t hash = hash_bytes(name, strlen(name));
    struct named *item = *bucket_of(t, hash);
    while (item && (item->hash != hash || strcmp(item->name, name) != 0))
        item = item->next;
    return item;
}

static int grow(struct names *t) {
    struct names grown = {.count = t->count, .bucket_count = t->bucket_count ? t->bucket_count * 2 : FIRST_BUCKETS};
    grown.buckets = calloc(grown.bucket_count, sizeof(struct named *));
    if (!grown.buckets)
        return MF_ENOMEM;
    for (size_t i = 0; i < t->bucket_count; i++)
        for (struct named *item = t->buckets[i], *next; item; item = next) {
            next = item->next;
            struct named **bucket = bucket_of(&grown, item->hash);
            item->next = *bucket;
            *bucket = item;
        }
    free(t->buckets);
    *t = grown;
    return MF_OK;
}

int names_add(struct names *t, struct named *item, const char *name) {
    if (t->count >= t->bucket_count && grow(t) < 0)
        return MF_ENOMEM;
    if (!(item->name = strdup(name)))
        return MF_ENOMEM;
    item->hash = hash_bytes(name, strlen(name));
    struct named **bucket = bucket_of(t, item->hash);
    item->next = *bucket;
    *bucket = item;
    t->count++;
    return MF_OK;
}

void names_remove(struct names *t, struct named *item) {
    struct named **at = bucket_of(t, item->hash);
    while (*at != item)
        at = &(*at)->next;
    *at = item->next;
    free(item->name);
    item->name = NULL;
    t->count--;
}

struct named *names_next(const struct names *t, const struct named *after) {
    if (after && after->next)
        return after->next;
    for (size_t i = after ? (after->hash & (t->bucket_count - 1)) + 1 : 0; i < t->bucket_count; i++)
        if (t->buckets[i])
            return t->buckets[i];
    return NULL;
}

void names_make_unique(const struct names *t, const char *name, struct buf *out) {
    struct named *first = names_find(t, name);
    buf_reset(out);
    buf_puts(out, name);
    while (first && !out->failed && names_find(t, buf_cstr(out))) {
        buf_reset(out);
        buf_printf(out, "%s-%u", name, first->again++ + 2);
    }
}
