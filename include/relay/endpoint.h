/* The other side of a session: an upstream WebSocket, or a mock that answers in its place.
 *
 * A new kind is one .c file in src/handler, one row in its table (handler/handlers.h), and one end-to-end test.
 * An endpoint is one static type and one instance for each session. Thread: the session's worker. */
#ifndef MF_RELAY_ENDPOINT_H
#define MF_RELAY_ENDPOINT_H

#include "relay/fragment.h"
#include "relay/reasons.h"

struct session;
struct endpoint;
struct plan_build;
struct route;

struct endpoint_type {
    const char *name;
    size_t size; /* of the instance, which begins with struct endpoint; calloc'd by the session */
    /* What a route of this type needs is compiled once, when a plan is made; main thread. NULL: nothing is. */
    int (*compile)(struct plan_build *b, struct route *r);
    void (*release)(struct route *r);
    /* The client's handshake is good. Answer it now or later: session_accept() or session_refuse(). */
    void (*open)(struct endpoint *e);
    /* The client has its 101, and nothing of what it sent was looked at yet. NULL: nothing to do. */
    void (*on_open)(struct endpoint *e);
    /* From the client, through the chain; control and close frames too. */
    void (*on_fragment)(struct endpoint *e, struct fragment *f);
    /* From an upstream of its own, in place of the chain to the client. NULL: they go there as they are. */
    void (*on_upstream_fragment)(struct endpoint *e, struct fragment *f);
    /* A burst of fragments is over: send what was gathered. NULL: nothing is. */
    void (*flush)(struct endpoint *e);
    /* The client takes nothing for now (true), or takes again (false): stop or restart what makes output for it. */
    void (*on_client_blocked)(struct endpoint *e, bool blocked);
    /* The recorder's ring has room again: read on. NULL: nothing of its own is read. */
    void (*on_recorder_ready)(struct endpoint *e);
    /* Every check interval: heartbeat, stalled output. May end the session. NULL: nothing to check. */
    void (*check)(struct endpoint *e, uint64_t now_ms);
    /* The session is being closed by somebody else: say so to the far side with this code. NULL: nobody to tell. */
    void (*close)(struct endpoint *e, unsigned code, const char *reason);
    /* While closing: does the far side still take output that ends with our close frame? NULL: never. */
    bool (*takes_its_close)(const struct endpoint *e, uint64_t patience_ms);
    /* Nothing more is owed to the far side: the close handshake is over, or the connection is gone. NULL: always so. */
    bool (*closed)(const struct endpoint *e);
    /* Gives up its connections and frees what it holds, but not itself. May be called twice. NULL: nothing to give up. */
    void (*drop)(struct endpoint *e);
};

struct endpoint {
    const struct endpoint_type *type;
    struct session *session;
};

#endif
