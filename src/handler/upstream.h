/* A WebSocket server that is dialled for one client: a proxy's other side, or where a replay finds what its recording
 * does not answer. Thread: the session's worker. */
#ifndef MF_HANDLER_UPSTREAM_H
#define MF_HANDLER_UPSTREAM_H

#include "net/dialer.h"
#include "protocol/handshake.h"
#include "relay/session.h"

struct upstream;

/* What its opening comes to, told once. */
struct upstream_events {
    /* It has answered 101, with these end-to-end fields. Its frames follow. */
    void (*opened)(struct upstream *u, const char *subprotocol, const struct headers *fields);
    /* A failure (why: one line that names it), or a refusal of its own, with its fields and its body where there is
     * one. */
    void (*failed)(struct upstream *u, int status, const char *why, const struct headers *fields, const void *body,
                   size_t body_len);
};

struct upstream {
    struct endpoint endpoint;
    const struct upstream_events *events; /* NULL: a proxy's: the client is accepted or refused */
    void *owner;                          /* of the events */
    const struct route *route;            /* NULL: the session's */
    struct peer peer;
    /* until it is open */
    struct dial *dial;
    struct link *link; /* in its HTTP phase; peer.link after it */
    struct event *deadline;
    struct buf in; /* the answer's head and what came behind it */
    char key[WS_KEY_LEN];
    struct headers offered; /* request fields, to compare the answer with */
    struct http_head refusal;
};

#endif
