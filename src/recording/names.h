/* A table of connections by their names, for those who follow many of them through a file.
 *
 * What is found is the caller's struct, whose first member is a struct named. Zeroed memory is a valid empty table.
 * Thread: the owner's. */
#ifndef MF_RECORDING_NAMES_H
#define MF_RECORDING_NAMES_H

#include "base/buf.h"
#include "base/defs.h"

struct named {
    char *name; /* the table's copy */
    uint64_t hash;
    unsigned again; /* how many names names_make_unique() has tried after this one: they stay taken */
    struct named *next;
};

struct names {
    struct named **buckets;
    size_t count, bucket_count;
};

/* Frees the names and the table; the callers' structs by `release`, if it is not NULL. */
void names_fini(struct names *t, void (*release)(struct named *item));
struct named *names_find(const struct names *t, const char *name);
/* The name is not in the table yet. MF_ENOMEM. */
MF_MUSTCHECK int names_add(struct names *t, struct named *item, const char *name);
void names_remove(struct names *t, struct named *item);
/* One after the other, in no order; NULL first, NULL at the end. Nothing is added or removed meanwhile. */
struct named *names_next(const struct names *t, const struct named *after);
/* A name that is not in the table: this one, or "NAME-2", "NAME-3", …; each is tried once in the table's life, so that a
 * name that comes again 100,000 times costs no more than as many names. */
void names_make_unique(const struct names *t, const char *name, struct buf *out);

#endif
