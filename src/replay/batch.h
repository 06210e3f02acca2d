/* Several messages in one: a JSON array of objects. */
#ifndef MF_REPLAY_BATCH_H
#define MF_REPLAY_BATCH_H

#include "protocol/json.h"

#define BATCH_MAX 64u /* messages */

struct batch {
    struct json_tape tape;
    const char *text; /* borrowed */
};

/* False: it is none, or too large to be looked into. A NUL follows the text. */
bool batch_read(struct batch *b, const char *text, size_t len);
/* The i-th message, 0 the first, in place of what `out` holds. False: there are not so many. */
bool batch_item(const struct batch *b, uint32_t i, struct buf *out);
void batch_fini(struct batch *b);

#endif
