/* The opening handshake (RFC 6455 section 4), both sides, on parsed heads. No I/O. Thread: the owner's. */
#ifndef MF_PROTOCOL_HANDSHAKE_H
#define MF_PROTOCOL_HANDSHAKE_H

#include "base/buf.h"
#include "protocol/http_head.h"

#define WS_KEY_LEN 25    /* base64 of 16 bytes, with the NUL */
#define WS_ACCEPT_LEN 29 /* base64 of 20 bytes, with the NUL */

/* Base64(SHA-1(key ++ GUID)): RFC 6455 section 4.2.2. Returns out. */
char *ws_accept(const char *key, char out[WS_ACCEPT_LEN]);
/* A fresh key (section 4.1). Returns out. */
char *ws_key(char out[WS_KEY_LEN]);

/* Is `name` one of the subprotocols that these request fields offer? Compared with case (section 4.1, step 6). */
bool ws_subprotocol_offered(const struct headers *offered, const char *name);

/* Server side. Is it a WebSocket opening handshake that we can answer? 0: yes. Otherwise the HTTP status to answer
 * with: 426 for a request that asks for no upgrade or for another version, 400 for a broken handshake, 405 for another
 * method than GET; *why is a constant phrase. Tokens are compared without case ("Upgrade: WebSocket"). */
MF_MUSTCHECK int ws_request_check(const struct http_head *h, const char **why);

/* Appends the 101 head. subprotocol may be NULL. extra may be NULL: further fields. */
void ws_response_write(struct buf *out, const char *key, const char *subprotocol, const struct headers *extra);

/* Appends the request head that opens a WebSocket: GET target, Host, Upgrade, Connection, Sec-WebSocket-Key and
 * -Version, then `fields` as they are (the caller has left out what it must not pass on). */
void ws_request_write(struct buf *out, const char *host, const char *target, const char *key, const struct headers *fields);

/* Client side. Does this 101 accept our key, without extensions, with a subprotocol that was offered (`offered` is our
 * request's fields) or none? 0, or MF_EPROTO with *why a constant phrase. */
MF_MUSTCHECK int ws_response_check(const struct http_head *h, const char *key, const struct headers *offered, const char **why);

/* Is it one of the fields that concern one hop only (RFC 9110 section 7.6.1: Connection and what it names, Keep-Alive,
 * Proxy-*, TE, Trailer, Transfer-Encoding, Upgrade), or the handshake's own (Host, Sec-WebSocket-Key, -Version,
 * -Extensions, -Accept, Content-Length), which a relay does not copy? */
bool ws_is_hop_header(const struct headers *all, const char *name);

#endif
