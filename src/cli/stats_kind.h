/* What kind of message is this? For people who look at a protocol that they do not know yet, and for `ws stats`.
 * Main thread. */
#ifndef MF_CLI_STATS_KIND_H
#define MF_CLI_STATS_KIND_H

#include "match/json_path.h"

/* What a message was taken apart into. */
struct message_kind {
    bool has_id;
    uint64_t id; /* hash of the value of its outermost member "id" */
};

/* Appends the kind's name: the value at by_path, or of the outermost member type, op, event, action, method, command,
 * cmd or kind (whichever of them comes first in this order); of an array its first text; what letters or digits stand
 * in front of JSON come before it ("42 chat"); of plain text its first word. "(…)" where there is nothing of the kind.
 * text is followed by a NUL; tape and scratch are working memory. */
void message_kind_read(struct message_kind *k, struct buf *name, const char *text, size_t len,
                       const struct json_path *by_path, struct json_tape *tape, struct buf *scratch);

#endif
