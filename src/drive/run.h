/* What all actors of one run share. Thread: the loop's. */
#ifndef MF_DRIVE_RUN_H
#define MF_DRIVE_RUN_H

#include "drive/driver.h"
#include "drive/latencies.h"
#include "drive/lua_filter.h"
#include "drive/opening.h"
#include "net/loop.h"
#include "net/resolver.h"

struct actor;

/* One recorded connection, as all actors that play it see it. */
struct role {
    struct opening opening;
    struct player_plan *plan;
    uint8_t *awaited; /* by message: the server's, but for heartbeats */
    size_t awaited_count, client_messages;
    uint64_t last_client_us, last_server_us; /* of their last frames, since the connection's begin */
};

struct drive_run {
    const struct drive_options *options;
    struct replay_source *source;
    struct correlation *correlation;
    struct role *roles; /* by connection */

    struct loop loop;
    struct resolver *resolver;
    struct lua_filter *transform; /* NULL: none */
    struct structure_scratch scratch;
    size_t large_bytes, stranger_bytes; /* of messages that are held, over all actors */

    struct drive_numbers numbers;
    struct latencies latencies;
    struct drive_result *result;
    bool interrupted;

    /* The driver's. on_opened: the connection is open, or never will be. on_round_over: comes after it; the actor is as
     * it was before actor_start(). */
    void (*on_opened)(struct actor *a);
    void (*on_round_over)(struct actor *a, bool well);
};

#endif
