/* Names to addresses, off the event loop: getaddrinfo(3) on a few helper threads, the answer by inbox.
 *
 * Literal addresses (IPv4, IPv6 with or without a scope) are answered without a thread, but by inbox all the same. The
 * queue is bounded; what does not fit is answered with an error. Any thread may ask. */
#ifndef MF_NET_RESOLVER_H
#define MF_NET_RESOLVER_H

#include <sys/socket.h>

#include "base/err.h"
#include "base/inbox.h"

#define RESOLVER_ADDRESSES_MAX 8
#define RESOLVER_QUEUE_MAX 4096
#define RESOLVER_GRACE_MS 500

struct resolver;

struct resolver_address {
    struct sockaddr_storage addr;
    socklen_t len;
};
/* Posted to the asker's inbox; the receiver frees it with resolver_answer_free(). */
struct resolver_answer {
    struct inbox_item item; /* first */
    uint64_t tag;           /* the asker's: an id, so that a session that died meanwhile is not touched */
    size_t count;           /* 0: failed, and why says it */
    struct resolver_address addresses[RESOLVER_ADDRESSES_MAX]; /* families interleaved (RFC 8305 section 4) */
    char why[128];
};

/* threads: 1 to 16; so many slow names can be looked up at a time. */
MF_MUSTCHECK int resolver_new(unsigned threads, struct resolver **out, struct err *err);
/* Answers those queued with an error and gives look-ups under way RESOLVER_GRACE_MS to end. What hangs longer
 * (getaddrinfo cannot be stopped) is answered with an error, too; its thread is left behind, touches no inbox any more,
 * and frees what it holds when it gets that far. After all askers have ended, while their inboxes still exist. */
void resolver_free(struct resolver *r);
/* host: a name, or an address with or without brackets; copied. deliver is the item's callback, on the thread that
 * empties `to`. Always answers exactly once; MF_ENOMEM: not at all. */
MF_MUSTCHECK int resolver_ask(struct resolver *r, const char *host, uint16_t port, struct inbox *to,
                              void (*deliver)(struct inbox_item *item, void *receiver), uint64_t tag);
void resolver_answer_free(struct resolver_answer *a);

#endif
