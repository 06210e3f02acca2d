/* A connection to a named host: look-up off the loop, then its addresses with a head start each (RFC 8305), then TLS.
 *
 * One dial gives one on_done, unless dial_cancel() comes first. Thread: the loop's. */
#ifndef MF_NET_DIALER_H
#define MF_NET_DIALER_H

#include "net/link.h"
#include "net/resolver.h"
#include "net/tls.h"

#define DIAL_HEAD_START_MS 250 /* RFC 8305 section 5: how long an address has before the next is tried beside it */

enum dial_result {
    DIAL_OK,
    DIAL_RESOLVE_FAILED,
    DIAL_CONNECT_FAILED,
    DIAL_TLS_FAILED,
    DIAL_TIMED_OUT,
};

/* DIAL_OK: link is the callee's, paused, without events (link_set_owner, link_resume). Otherwise link is NULL and
 * why is one line for people. */
typedef void (*dial_done_fn)(void *owner, enum dial_result result, MF_TAKES struct link *link, const char *why);

struct dial_target {
    const char *host;
    uint16_t port;
    SSL_CTX *tls;                          /* NULL: plain */
    const struct upstream_tls_config *tls_config; /* with tls */
    unsigned timeout_ms;                   /* for all of it: look-up, TCP, TLS */
};

struct dial;
/* target's strings are copied, its
 * tls and tls_config borrowed until the end. NULL: no memory. on_done is never called from inside. */
struct dial *dial_start(struct loop *loop, struct resolver *resolver, const struct dial_target *target,
                        dial_done_fn on_done, void *owner);
/* No on_done after it. NULL is accepted. */
void dial_cancel(struct dial *dial);

#endif
