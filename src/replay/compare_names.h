/* The members of a JSON object by their names: of a repeated one the last. Small objects are searched as they stand,
 * large ones have a table. */
#ifndef MF_REPLAY_COMPARE_NAMES_H
#define MF_REPLAY_COMPARE_NAMES_H

#include "replay/compare_private.h"

struct name_entry {
    uint64_t hash;
    uint32_t node;
};

struct member_names {
    const struct json_doc *doc;
    uint32_t object;
    struct name_entry *entries; /* sorted by hash, then backwards in the text; NULL: a small object */
    size_t count;
    struct buf one, two; /* names without their escapes */
};

/* MF_ENOMEM. member_names_fini() in any case. */
MF_MUSTCHECK int member_names_init(struct member_names *n, const struct json_doc *doc, uint32_t object);
void member_names_fini(struct member_names *n);
/* The member that is called as `member` of `doc` is, or JSON_NO_NODE. */
uint32_t member_names_find(struct member_names *n, const struct json_doc *doc, uint32_t member);

#endif
