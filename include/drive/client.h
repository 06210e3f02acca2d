/* A WebSocket client (RFC 6455) on a loop: dials, shakes hands, sends frames exactly as it is told, checks strictly
 * what comes, answers pings, closes as section 7 wants it.
 *
 * Its owner gets whole messages. One client gives one on_end, unless client_free() or client_drop() comes first; it is
 * never called from inside client_open(). Any callback may free the client. Thread: the loop's. */
#ifndef MF_DRIVE_CLIENT_H
#define MF_DRIVE_CLIENT_H

#include "net/dialer.h"
#include "protocol/http_head.h"

#define CLIENT_MESSAGE_MAX ((size_t)64 << 20) /* a larger message is answered with 1009 */
#define CLIENT_STALL_MS 10000                 /* a server that takes nothing for so long is given up */
#define CLIENT_CLOSE_MS 5000                  /* for the server's answer to our close frame */

enum client_end_kind {
    /* it was never open */
    CLIENT_RESOLVE_FAILED,
    CLIENT_CONNECT_FAILED,
    CLIENT_TLS_FAILED,
    CLIENT_TIMED_OUT,  /* of any of these, or of the handshake */
    CLIENT_REFUSED,    /* the server answered with another status than 101 */
    CLIENT_BAD_ANSWER, /* what it answered is no WebSocket handshake */
    /* it was */
    CLIENT_CLOSED,   /* a close frame came */
    CLIENT_LOST,     /* the connection ended without one */
    CLIENT_UNCLOSED, /* our close frame was not answered in CLIENT_CLOSE_MS */
    CLIENT_BROKEN,   /* the server broke the protocol; it was told so with a close frame */
    CLIENT_NO_MEMORY,
};
struct client_end {
    enum client_end_kind kind;
    int status;         /* REFUSED */
    unsigned code;      /* CLOSED: the server's code, 1005 when it gave none. BROKEN: the one that it got */
    const char *reason; /* CLOSED: the server's; not NUL-terminated */
    size_t reason_len;
    bool by_us;      /* our close frame was out first */
    const char *why; /* one line for people; never NULL */
};

struct client;
struct client_events {
    /* The head of the 101; borrowed. */
    void (*on_open)(struct client *c, const struct http_head *answer, void *owner);
    /* A whole message, a NUL behind it; valid during the call. Comes after client_close(), too, until the server's
     * close frame is there. */
    void (*on_message)(struct client *c, bool binary, const uint8_t *data, size_t len, void *owner);
    /* The socket takes more, after client_blocked() was true. */
    void (*on_drained)(struct client *c, void *owner);
    void (*on_end)(struct client *c, const struct client_end *end, void *owner);
};

struct client_options {
    struct dial_target target; /* its timeout_ms holds for all of it: dial and handshake */
    const char *host;          /* the Host field */
    const char *path;          /* request target: path and query */
    size_t *large_bytes; /* memory of large messages, of all clients that share it (at most 256 MiB); NULL: alone */
    const struct headers *fields; /* further fields of the request, Sec-WebSocket-Protocol among them; copied */
};
/* What options point to is copied or used before it returns, but for target.tls and target.tls_config. MF_ENOMEM. */
MF_MUSTCHECK int client_open(struct loop *loop, struct resolver *resolver, const struct client_options *options,
                             const struct client_events *events, void *owner, struct client **out);

/* One frame, while it is open and before client_close(). Control frames at most 125 bytes. What the socket does not
 * take is kept: look at client_blocked(), and wait for on_drained before more is sent. MF_ECLOSED: it is not open (any
 * more); MF_ENOMEM. */
MF_MUSTCHECK int client_send(struct client *c, uint8_t opcode, bool fin, const void *data, size_t len);
bool client_blocked(const struct client *c);
/* Sends a close frame with this payload (at most 125 bytes, as it is; empty: no code), then waits for the server's.
 * Idempotent. */
void client_close(struct client *c, const void *payload, size_t len);
/* Ends the TCP connection, without a close frame. */
void client_drop(struct client *c);
/* Drops it where it is still open. NULL is accepted. */
void client_free(struct client *c);

#endif
