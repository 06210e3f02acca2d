/* A handshake as a message: what a client said before its first one, for correlation to look at like at any other.
 *
 *     GET /rooms/7?user=bob   ->   {"@query":{"user":"bob"},"@path":["rooms","7"],"@header":{"x-device":"d-81"}}
 *     X-Device: d-81
 *
 * Names of header fields are in small letters. Left out are fields of every handshake, those that say what the client's
 * program is like, and values that were redacted. Thread: any. */
#ifndef MF_REPLAY_HANDSHAKE_H
#define MF_REPLAY_HANDSHAKE_H

#include "base/buf.h"
#include "base/headers.h"

/* Appends it; a failure is out->failed. path, query, fields: as they were sent; NULL: there is none. */
void handshake_request_text(struct buf *out, const char *path, const char *query, const struct headers *fields);

#endif
