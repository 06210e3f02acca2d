/* Memory that is freed all at once: a configuration's strings and arrays, and the YAML tree while it is read.
 *
 * Every allocation is its own block, so that the address sanitizer sees each border. Zeroed memory is a valid empty
 * arena. Thread: the owner's while it is filled; any once it is only read. */
#ifndef MF_CONFIG_ARENA_H
#define MF_CONFIG_ARENA_H

#include "base/defs.h"

struct arena_block;

struct arena {
    struct arena_block *blocks;
};

/* Zeroed, aligned for anything; NULL when out of memory. */
MF_MUSTCHECK void *arena_alloc(struct arena *a, size_t size);
/* An array of count items; NULL when out of memory or when the product overflows. */
MF_MUSTCHECK void *arena_array(struct arena *a, size_t count, size_t size);
/* Copies, NUL-terminated; NULL when out of memory. */
MF_MUSTCHECK char *arena_strdup(struct arena *a, const char *s);
MF_MUSTCHECK char *arena_strndup(struct arena *a, const char *s, size_t len);
void arena_fini(struct arena *a);

/* For tests: the n-th allocation from now on fails, and all after it. 0: none fails. Not for use with threads. */
void arena_fail_after(unsigned n);

#endif
