/* Places in JSON texts by name: "/payload/items/0/id" or "payload.items.0.id".
 *
 * With a slash in front the segments are parted by slashes (RFC 6901: `~0` is `~`, `~1` is `/`), otherwise by dots;
 * "$." in front of dots is passed over. A number is an array's element as well as a member of that name. `*` is one
 * segment of any name, `**` any number of segments, even none. "", "/" and "$" are the whole text.
 *
 * Compiled once, immutable, any thread. A search takes time as the text has nodes and the path has segments. */
#ifndef MF_MATCH_JSON_PATH_H
#define MF_MATCH_JSON_PATH_H

#include "base/err.h"
#include "protocol/json.h"

#define JSON_PATH_SEGMENTS_MAX 60u

struct json_path;
/* MF_EINVAL: err's text says what was expected; no place is set. */
MF_MUSTCHECK int json_path_compile(const char *text, struct json_path **out, struct err *err);
void json_path_free(struct json_path *p);

/* Is there any sense in parsing this text? False: no name of the path's stands in it. */
bool json_path_possible(const struct json_path *p, const char *text, size_t len);

/* Calls fn for each node at that place, in the order of the text, until it returns true; was that so? `scratch` is for
 * names with escapes. */
typedef bool (*json_path_fn)(const struct json_tape *tape, uint32_t node, void *arg);
bool json_path_find(const struct json_path *p, const char *text, const struct json_tape *tape, json_path_fn fn,
                    void *arg, struct buf *scratch);

#endif
