/* The table of paths from within: structure_read() walks it segment by segment, and the comparison of messages asks
 * what kind of place a path is. A path is known by its parent and its last segment. Thread: as the table's. */
#ifndef MF_REPLAY_PATHS_H
#define MF_REPLAY_PATHS_H

#include "replay/structure.h"

/* What every table begins with. */
enum { PATH_JSON, PATH_HEAD, PATH_WORD, PATH_RECORD, PATH_BYTES, PATH_ROOTS };

enum path_flags {
    PATH_ELEMENT = 1, /* of an array; the words of a text too */
    PATH_BELOW = 2,   /* it or something above it is an element */
    PATH_TAG = 4,     /* by its name it tells which message it is: "/type", "/payload/op" */
    PATH_FIRST = 8,   /* the first element of the outermost array, the first word */
};

/* Where a walk through a message is: the path, if the table has it, and what it adds to the message's shape. */
struct place {
    uint32_t path;
    uint64_t shape; /* hash of the path with all elements of an array as one */
};

struct place path_root(unsigned root);
/* The place below a place. `element`: the segment is an index. `alike`: for the shape it does not matter which one.
 * With `add` (the same table) it is added when it is new; what has no room in it is PATH_UNKNOWN. MF_ENOMEM. */
MF_MUSTCHECK int path_below(const struct path_table *t, struct path_table *add, struct place parent,
                            const char *segment, size_t len, bool element, bool alike, struct place *out);
uint32_t path_parent(const struct path_table *t, uint32_t path);   /* PATH_UNKNOWN: it is a root, or unknown */
unsigned path_flags_of(const struct path_table *t, uint32_t path); /* enum path_flags; 0: unknown */

/* Is it among these, which are sorted? */
bool paths_include(const uint32_t *sorted, size_t count, uint32_t path);

/* Joins two hashes; both count, and their order. */
static inline uint64_t path_mix(uint64_t a, uint64_t b) {
    unsigned __int128 m = (unsigned __int128)(a ^ 0x9e3779b97f4a7c15) * (b ^ 0xd1b54a32d192ed03);
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

#endif
