/* What link.c and link_tls.c share. */
#ifndef MF_NET_LINK_PRIVATE_H
#define MF_NET_LINK_PRIVATE_H

#include <event2/event_struct.h>

#include "net/link.h"

struct link {
    struct loop *loop;
    const struct link_events *events;
    void *owner;

    int fd;
    SSL *ssl;
    struct event read_event, write_event;

    uint8_t *pending; /* what the socket refused; ciphertext when TLS */
    size_t pending_len, pending_at, pending_cap;
    uint64_t blocked_since_ms;

    uint8_t *back; /* what the owner gave back of a read; nothing new is read before it has that */
    size_t back_len, back_at;

    struct list unread;    /* in loop->unread while something waits that no readiness tells of: in SSL, or given back */
    struct list lingering; /* in loop->lingering after link_close(FINISH|WAIT) */
    uint64_t linger_until_ms, linger_end_ms;

    int error;          /* errno of the failure, 0 */
    char *error_text;   /* TLS: why, malloc'd */
    bool paused;
    bool ended;         /* on_end was called */
    bool write_armed;
    bool secure;        /* TLS: handshake complete */
    bool drained;       /* TLS: the socket has nothing more in this event */
    bool more;          /* TLS: whole records may wait inside SSL, which no readiness will announce */
    bool finish_after_flush; /* lingering: shut down our side once pending is out */
};

/* Sends raw bytes; what is refused is set aside. Returns as link_write(). */
int link_send_raw(struct link *link, const struct iovec *iov, int count);
void link_fail(struct link *link, enum link_end end);

/* link_tls.c */
void link_tls_attach(struct link *link);
/* Reads all records that are there, up to room bytes, into the scratch buffer. >0 bytes, 0: none now, <0: ended (link_fail called). */
ssize_t link_tls_read(struct link *link, size_t room);
int link_tls_write(struct link *link, const struct iovec *iov, int count);
void link_tls_shutdown(struct link *link);

#endif
