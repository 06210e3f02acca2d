/* What goes to an upstream, and comes back, of the HTTP around the handshake. */
#ifndef MF_HANDLER_UPSTREAM_REQUEST_H
#define MF_HANDLER_UPSTREAM_REQUEST_H

#include "protocol/handshake.h"
#include "relay/session.h"

/* Makes the key, the request's fields (the client's end-to-end fields, then on_connect.headers over them) and the
 * request itself. MF_ENOMEM. */
MF_MUSTCHECK int upstream_request(struct session *s, const struct route *r, char key[WS_KEY_LEN],
                                  struct headers *fields, struct buf *out);
/* The fields of an upstream's 101 that its client gets too (Set-Cookie and the like). MF_ENOMEM. */
MF_MUSTCHECK int upstream_response_fields(struct headers *out, const struct headers *from);

#endif
