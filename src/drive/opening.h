/* The opening handshake that a recorded client made, as it is made again with another server. Pure. */
#ifndef MF_DRIVE_OPENING_H
#define MF_DRIVE_OPENING_H

#include "protocol/url.h"
#include "replay/source.h"

struct opening {
    char *host;            /* the Host field */
    char *path;            /* request target: path and query */
    struct headers fields; /* the client's end-to-end fields, and Sec-WebSocket-Protocol */
};

/* A target URL with a path of its own (not "/") replaces the recorded path, one with a query the recorded query.
 * `extra` (may be NULL) replaces recorded fields of the same names; Host may be among them. Values that the recorder
 * redacted are left out, and their names appended to `left_out`: "Authorization, token (query)".
 * MF_ENOMEM. opening_fini() on every path. */
MF_MUSTCHECK int opening_build(struct opening *o, const struct url *target, const struct replay_connection *recorded,
                               const struct headers *extra, struct buf *left_out);
void opening_fini(struct opening *o);

#endif
