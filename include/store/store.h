/* Shared state: keys and values that all connections of all workers see, and with Redis all gateways; and the bus that
 * carries broadcasts between those.
 *
 *     worker: store_post(request) -> the store's thread: memory, or Redis -> request->done() on the worker's thread
 *
 * Always asynchronous; a worker's requests are carried out in their order. Values are JSON text. A number is kept as
 * Redis keeps numbers, so that incr works and other clients understand it; what others have put there that is not JSON
 * comes back as a JSON string. Redis away: requests wait for it as long as timeout_ms lets them, then fail; none is sent
 * twice. Memory is bounded by STORE_MEMORY_MAX, requests under way by STORE_PENDING_MAX and STORE_PENDING_BYTES_MAX:
 * more are refused at once. Time-outs are LOOP_TICK_MS exact.
 *
 * Threads: "mf-store" is the store's own. Each function says who calls it. */
#ifndef MF_STORE_STORE_H
#define MF_STORE_STORE_H

#include "base/inbox.h"
#include "config/config.h"
#include "script/script.h"

#define STORE_KEY_MAX 1024u                 /* bytes */
#define STORE_VALUE_MAX (1u << 20)          /* bytes */
#define STORE_MEMORY_MAX (256u << 20)       /* bytes of keys, values and what they cost beside that; without Redis */
#define STORE_PENDING_MAX 100000u           /* requests under way, of all workers */
#define STORE_PENDING_BYTES_MAX (64u << 20) /* of their keys and values */
#define STORE_NEWS_BYTES_MAX (32u << 20)    /* of broadcasts on their way to Redis */
#define STORE_EXPIRE_MAX_MS UINT64_C(3155760000000) /* a hundred years; what is longer is shortened to it */

struct store;

/* A broadcast on its way between gateways; `audience` means something to those at the ends. */
struct store_news {
    unsigned audience;
    bool binary;
    const char *name;
    size_t name_len;
    const void *data;
    size_t len;
};

struct store_options {
    const struct shared_state_config *config; /* copied */
    /* News from another gateway; on the store's thread. NULL: nobody listens. */
    void (*on_news)(void *arg, const struct store_news *news);
    /* Open connections of this gateway, told to the others once a second; on the store's thread. */
    uint64_t (*connection_count)(void *arg);
    void *arg;
};

/* Starts the thread. Redis need not be there yet. Main thread. */
MF_MUSTCHECK int store_new(const struct store_options *options, struct store **out, struct err *err);
/* Ends the thread; what is under way is answered with an error. Main thread, while the inboxes that requests name are
 * still there. NULL is accepted. */
void store_free(struct store *s);

struct store_request {
    struct inbox_item item;
    struct script_shared_request request; /* key and value point into this allocation */
    struct inbox *reply_to;               /* the caller's */
    /* On the caller's thread, with its inbox's receiver; owns the request from then on. */
    void (*done)(struct store_request *r, void *receiver);
    uint64_t wait; /* the caller's: whose answer it is */
    /* the answer */
    char *json; /* malloc'd; NULL: nothing */
    size_t json_len;
    char error[160]; /* "": none */
};
/* Copies key and value. NULL: no memory. */
struct store_request *store_request_new(const struct script_shared_request *what);
void store_request_free(struct store_request *r);
/* Any thread. The answer always comes: an error after timeout_ms at the latest. */
void store_post(struct store *s, MF_TAKES struct store_request *r);

/* Any thread: to the other gateways, if Redis is there now. Without Redis nothing happens. When Redis takes less than is
 * published, what exceeds STORE_NEWS_BYTES_MAX is lost, and logged. */
void store_publish(struct store *s, const struct store_news *news);
/* Any thread: connections of the other gateways that were heard of in the last seconds. s NULL: none. */
uint64_t store_connections_elsewhere(const struct store *s);

#endif
