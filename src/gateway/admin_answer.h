/* What the admin side says to a request: who may ask, the paths, the answer's bytes. Knows no socket.
 * Thread: the caller's. */
#ifndef MF_GATEWAY_ADMIN_ANSWER_H
#define MF_GATEWAY_ADMIN_ANSWER_H

#include "base/buf.h"
#include "base/metrics.h"
#include "protocol/http_head.h"
#include "relay/unmatched.h"

struct admin_site {
    const char *host;  /* as configured: a name or an address */
    const char *token; /* NULL: none is asked for */
    bool ready;
    int64_t started_us; /* clock_wall_us() */
    void (*metrics)(void *arg, uint64_t sum[METRIC_COUNT]);
    void *arg;
    struct unmatched *unmatched;
    /* GET /__mockforge/ws/tail: appends the answer's beginning, or a refusal. Further lines follow, when it says so,
     * from whoever holds the connection. NULL: there is no such page. */
    void (*tail)(void *arg, const struct http_head *request, struct buf *out);
};

/* Appends the whole response to a request. */
void admin_answer(const struct admin_site *site, const struct http_head *request, struct buf *out);
/* Appends a refusal: {"error":error,"message":message}. */
void admin_refuse(int status, const char *error, const char *message, bool head_only, struct buf *out);

/* May a request with this Host field be answered? A page of another site that has its own name resolve to our address
 * (DNS rebinding) is told by the name it asks for. */
bool admin_host_allowed(const struct admin_site *site, const char *host);

/* Prometheus text format 0.0.4: each name's HELP and TYPE once; a counter whose name lacks "_total" is served again
 * with it. */
void admin_metrics_page(struct buf *out, const uint64_t sum[METRIC_COUNT], int64_t started_us);

#endif
