/* An ordered list of HTTP header fields (RFC 9110 section 5). Names keep the case they came in and are compared
 * without it. Owns copies of its strings. Zeroed memory is a valid empty list. Thread: the owner's. */
#ifndef MF_BASE_HEADERS_H
#define MF_BASE_HEADERS_H

#include "base/defs.h"

struct header {
    char *name, *value;
};
struct headers {
    struct header *items;
    size_t count, cap;
};

void headers_fini(struct headers *h);
MF_MUSTCHECK int headers_add(struct headers *h, const char *name, const char *value);
MF_MUSTCHECK int headers_add_n(struct headers *h, const char *name, size_t name_len, const char *value, size_t value_len);
/* Replaces all fields of that name by one (in the first one's place), or adds it. */
MF_MUSTCHECK int headers_set(struct headers *h, const char *name, const char *value);
void headers_remove(struct headers *h, const char *name);
/* The first field of that name, or NULL. Borrowed. */
const char *headers_get(const struct headers *h, const char *name);
/* How many fields have that name. */
size_t headers_count(const struct headers *h, const char *name);
/* Does any field of that name have `token` in its comma-separated list, compared without case? (RFC 9110 5.6.1) */
bool headers_has_token(const struct headers *h, const char *name, const char *token);
MF_MUSTCHECK int headers_copy(struct headers *to, const struct headers *from);

#endif
