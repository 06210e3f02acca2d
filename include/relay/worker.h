/* What one worker thread owns and its sessions share. No locks: nothing here is touched by another thread, but for
 * the counters (metrics) and the atomics of struct shared. The thread itself is gateway/worker.c's. */
#ifndef MF_RELAY_WORKER_H
#define MF_RELAY_WORKER_H

#include "base/clock.h"
#include "base/rng.h"
#include "base/slots.h"
#include "net/loop.h"
#include "net/resolver.h"
#include "protocol/json.h"
#include "recording/recorder.h"
#include "relay/hub.h"
#include "relay/peer.h"
#include "relay/route.h"
#include "script/script.h"

enum session_state {
    SESSION_HEAD,    /* waits for TLS and the request head */
    SESSION_OPENING, /* the endpoint is getting ready (an upstream is dialled) */
    SESSION_OPEN,
    SESSION_CLOSING, /* close frames are on their way */
    SESSION_ENDED,   /* to be freed when the loop's turn ends */
    SESSION_STATE_COUNT
};
extern const char *const session_state_names[];

/* One for the gateway, in its main thread's hands; workers count in it. */
struct shared {
    atomic_uint_least64_t last_connection; /* number of the newest connection */
    atomic_uint open;                      /* sessions that passed their handshake, for max_connections */
    struct worker **workers;               /* all, for what one sends to the others; fixed before their threads start */
    unsigned worker_count;
    /* Takes a published message to other gateways; NULL: there are none. Any worker. */
    void (*publish_elsewhere)(void *bus, const struct hub_target *to, struct hub_message *m);
    /* Open connections of those; NULL: there are none. */
    uint64_t (*connections_elsewhere)(const void *bus);
    void *bus;
    struct unmatched *unmatched; /* of all workers; NULL: nothing is kept */
};

struct worker;

/* The Lua of one plan, compiled in one worker's state. Counted, because a session whose route is gone from a reloaded
 * configuration keeps the one that it had. */
struct chunk_set {
    unsigned refs;
    size_t count;
    struct plan_chunk {
        struct script_chunk *chunk;  /* of a PLAN_CHUNK or PLAN_EXPRESSION */
        struct script_module module; /* of a PLAN_MODULE */
    } items[]; /* as in plan->scripts */
};
/* Compiles the plan's scripts, making the worker's Lua state when it is the first to need one. */
MF_MUSTCHECK int chunk_set_new(struct worker *w, const struct plan *p, struct chunk_set **out, struct err *err);
struct chunk_set *chunk_set_ref(struct chunk_set *set);
void chunk_set_unref(struct worker *w, struct chunk_set *set);

/* Output of one peer during one event: what we made ourselves, then bytes that are forwarded where they stand. */
struct outbox {
    struct peer *owner; /* NULL: empty */
    struct buf made;
    const uint8_t *raw;
    size_t raw_len;
};

struct worker {
    unsigned index;
    struct loop loop;
    struct shared *shared;
    struct metrics metrics;
    struct rng rng;
    struct plan *plan; /* for new sessions; counted */
    SSL_CTX *tls;      /* NULL: plain clients */

    struct resolver *resolver;
    struct recorder *recorder;
    struct record_port *port;
    struct event *port_event;
    struct list waiting_for_recorder; /* sessions */

    struct hub *hub; /* rooms and routes, for mocks */
    struct script_vm *vm;       /* NULL while no route has Lua */
    struct chunk_set *chunks;   /* the plan's, for new sessions; counted */
    struct slots waits;         /* handlers that wait for the store */
    struct store *store;        /* NULL: no shared state */
    struct json_tape tape;      /* of the message that is answered, during one call */
    struct buf scratch_message; /* a message that is made, during one call */
    struct buf scratch_name;    /* for JSON names with escapes, during one look-up */

    /* Puts the session's stages between its sinks and its ends: stage/chains.c. MF_ENOMEM. */
    int (*build_chains)(struct session *s);

    struct list states[SESSION_STATE_COUNT]; /* sessions, each list in the order of its deadlines */
    struct outbox outboxes[2];               /* by enum leg */
    uint8_t held[2][PEER_HELD_MAX];          /* by enum leg: a frame that came in two reads, while it is passed on */
    uint64_t burst_us;                       /* clock_mono_us() of this burst, once somebody asked; 0: nobody has */
    bool burst_over;                         /* it took its time: what is left of it waits for the loop's next turn */
    bool stopping;                           /* no new sessions; those that open are closed with 1001 */
};

/* A burst whose stages compute longer than this lets other connections go first. */
#define WORKER_BURST_US 5000

static inline void worker_begin_burst(struct worker *w) {
    w->burst_us = 0;
    w->burst_over = false;
}

/* Of all gateways, with so many open here. */
static inline uint64_t worker_cluster_count(const struct worker *w, uint64_t open) {
    return open + (w->shared->connections_elsewhere ? w->shared->connections_elsewhere(w->shared->bus) : 0);
}

/* The time of this burst of fragments, read once. */
static inline uint64_t worker_burst_us(struct worker *w) {
    if (!w->burst_us)
        w->burst_us = clock_mono_us();
    return w->burst_us;
}

#endif
