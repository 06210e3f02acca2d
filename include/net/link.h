/* A link: one connected stream socket, plain or TLS, on a worker's loop. It knows no protocol.
 *
 * Reading: when the socket is readable the owner is asked how much it takes (on_room), one read fills the loop's
 * scratch buffer, and on_data gets the bytes. What it has not dealt with when it returns, it gives back.
 * Writing: link_write() goes to the socket at once; what the socket refuses is set aside (`pending`), and the owner
 * stops whoever feeds it until on_drained. EV_WRITE is armed only then. So an idle link owns no buffer, and a slow peer
 * costs at most what was in one read.
 *
 * TLS works on the descriptor through two small BIOs of ours rather than bufferevent_openssl: one read(2) feeds several
 * records, all records of a write leave in one send(2), and back-pressure is the same code as for plain sockets.
 *
 * A link is freed by link_close() alone. Thread: its loop's. */
#ifndef MF_NET_LINK_H
#define MF_NET_LINK_H

#include <openssl/ssl.h>
#include <sys/uio.h>

#include "net/loop.h"

struct link;

enum link_end {
    LINK_END_EOF,   /* the peer has sent everything it will send */
    LINK_END_ERROR, /* reset, or a TLS failure: link_error_text() */
};

struct link_events {
    /* Bytes that are valid during this call; the owner may change them. May close the link. */
    void (*on_data)(struct link *link, uint8_t *data, size_t len, void *owner);
    /* How many bytes may be read now; 0: none, and link_pause() was or will be called. NULL: as many as there are. */
    size_t (*on_room)(struct link *link, void *owner);
    /* Everything that was set aside has left. */
    void (*on_drained)(struct link *link, void *owner);
    /* Told once. The link stays until link_close(). */
    void (*on_end)(struct link *link, enum link_end end, void *owner);
    /* TLS only: the handshake is complete. May be NULL. */
    void (*on_secure)(struct link *link, void *owner);
};

/* Takes a connected non-blocking socket, and the SSL (NULL: plain; accept or connect state set). Reading begins at
 * once. NULL: no memory; fd and ssl are then closed and freed. */
struct link *link_new(struct loop *loop, MF_TAKES int fd, MF_TAKES SSL *ssl, const struct link_events *events, void *owner);
/* Another owner takes over (from upgrade to session). */
void link_set_owner(struct link *link, const struct link_events *events, void *owner);

/* Sends all of it, or sets the rest aside. MF_ECLOSED: the link is broken (on_end has been or will be called);
 * MF_ENOMEM. */
MF_MUSTCHECK int link_write(struct link *link, const struct iovec *iov, int count);
/* Is there output that the socket has not taken? */
bool link_blocked(const struct link *link);
size_t link_pending(const struct link *link);
/* loop->now_ms when the socket last took something while output was pending; 0: nothing is pending. */
uint64_t link_blocked_since_ms(const struct link *link);

/* From within on_data: the last len of its bytes come again in the loop's next turn (when the link is paused: once it is
 * resumed), before anything new is read. MF_ENOMEM. */
MF_MUSTCHECK int link_give_back(struct link *link, const uint8_t *data, size_t len);

/* Stops and restarts reading; idempotent. */
void link_pause(struct link *link);
void link_resume(struct link *link);

enum link_close_mode {
    LINK_CLOSE_NOW,    /* drop it */
    LINK_CLOSE_FINISH, /* send what is pending, then our end, then wait a little for the peer's end */
    LINK_CLOSE_WAIT,   /* the same, but let the peer end first (a client does: RFC 6455 section 7.1.1) */
};
#define LINK_LINGER_MS 2000      /* for the peer's end, and for each step in taking what is pending */
#define LINK_LINGER_MAX_MS 30000 /* in all */
/* Gives the link up: no callback comes after it, and the pointer is dead. NULL is accepted. */
void link_close(MF_TAKES struct link *link, enum link_close_mode mode);

int link_fd(const struct link *link);
bool link_is_tls(const struct link *link);
/* One line: why it failed. Out is NUL-terminated. Returns out. */
const char *link_error_text(const struct link *link, char *out, size_t size);

/* For the loop. */
void link_read_unread(struct loop *loop);
void link_expire_lingering(struct loop *loop);
void link_abort_lingering(struct loop *loop);

#endif
