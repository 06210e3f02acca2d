/* The admin side: HTTP on a port and a thread of its own ("mf-admin"), with its own loop.
 *
 *     GET /metrics        Prometheus text 0.0.4 (docs/metrics.md)
 *     GET /health/live    200 {"status":"live"}
 *     GET /health/ready   200 {"status":"ready"}, 503 {"status":"stopping"} from admin_stopping() on
 *     GET /__mockforge/ws/unmatched   {"unmatched":[{…}],"total":N}: messages that no rule matched
 *     GET /__mockforge/ws/tail        recorded lines as they are written, JSON lines without an end (chunked);
 *                                     ?connection=NAME&path=GLOB&direction=incoming|outgoing
 *
 * Everything else is refused as JSON: {"error":"not_found","message":"…"}. One request a connection.
 *
 * Requests are read by our own strict parser rather than evhttp: evhttp has no hook for the end of a connection that
 * sent no request, so connections could not be counted, and its time-out starts anew with each byte.
 *
 * Counters are read from other threads' cells through atomics; nothing else of a worker is touched. */
#ifndef MF_GATEWAY_ADMIN_H
#define MF_GATEWAY_ADMIN_H

#include "base/buf.h"
#include "base/metrics.h"
#include "config/config.h"

#define ADMIN_CONNECTIONS_MAX 64      /* beyond it the oldest, which has not asked yet, makes room */
#define ADMIN_REQUEST_TIMEOUT_MS 5000 /* from the accept to the end of the request's head */

struct admin;
struct recorder;
struct unmatched;

struct admin_options {
    const struct admin_config *config; /* copied */
    /* Adds every counter to sum[]. Called on the admin thread until admin_free() returns. */
    void (*metrics)(void *arg, uint64_t sum[METRIC_COUNT]);
    void *arg;
    struct unmatched *unmatched; /* borrowed */
    struct recorder *recorder;   /* borrowed */
    /* Appends the paths of the routes that are recorded and of those that are not, as JSON strings with commas between
     * them. On the admin thread. */
    void (*routes)(void *arg, struct buf *recorded, struct buf *unrecorded);
};

/* Binds the address and starts the thread; "admin_listening" is logged. Main thread; blocks on the resolution of a host
 * name. On failure (the address is taken, most of all) nothing is left behind. */
MF_MUSTCHECK int admin_new(const struct admin_options *options, struct admin **out, struct err *err);
/* From now on the gateway is not ready. Any thread; NULL is accepted. */
void admin_stopping(struct admin *a);
/* Ends the thread at once, whatever is open. Main thread; NULL is accepted. */
void admin_free(struct admin *a);

#endif
