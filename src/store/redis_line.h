/* One connection to Redis that comes back: look-up of the name, connecting, AUTH and SELECT, backoff. hiredis does none
 * of it but the connecting. Thread: the store's. */
#ifndef MF_STORE_REDIS_LINE_H
#define MF_STORE_REDIS_LINE_H

#include <hiredis/async.h>

#include "config/redis_url.h"
#include "net/loop.h"
#include "net/resolver.h"

enum line_state {
    LINE_DOWN,
    LINE_RESOLVING,  /* its name is looked up: takes as long as the system's resolver does */
    LINE_CONNECTING, /* until the PING behind AUTH and SELECT is answered */
    LINE_UP,
};

struct line {
    /* identity */
    const char *name; /* for the log */
    unsigned number;  /* of the owner's lines, 0 or 1: finds the line when a look-up is answered */
    struct loop *loop;
    struct resolver *resolver;
    const struct redis_url *url;
    unsigned timeout_ms; /* for connecting */
    void (*on_up)(struct line *l);
    /* A look-up's answer, with the loop's receiver: the owner's, which hands it to line_take_addresses(). */
    void (*on_addresses)(struct inbox_item *item, void *receiver);
    /* state */
    enum line_state state;
    redisAsyncContext *context; /* NULL: none */
    uint64_t since_ms;          /* of the state */
    uint64_t retry_ms;          /* when it is down: not before this */
    unsigned backoff_ms;
    uint64_t look_up; /* number of the newest one */
    struct resolver_address addresses[RESOLVER_ADDRESSES_MAX];
    size_t address_count, next_address; /* of this round: once all were tried, the name is looked up again */
    char why[160];                      /* it is down; "" before the first failure */
    uint64_t said_ms;                   /* when the log was told so */
    bool refused;                       /* by Redis itself: the password, the database */
    bool ending;
};

/* Fills what was not set by the caller: everything below `state`. */
void line_init(struct line *l);
/* Begins to connect, unless it does, has, or must wait. */
void line_start(struct line *l);
/* Every LOOP_TICK_MS. */
void line_tick(struct line *l);
/* Ends the connection; replies that are owed come as NULL. It will come back. */
void line_drop(struct line *l, const char *why);
/* For good. */
void line_end(struct line *l);
/* Which line a look-up was for, so that the owner can hand it over. */
unsigned line_of_answer(const struct resolver_answer *a);
void line_take_addresses(struct line *l, MF_TAKES struct resolver_answer *a);

#endif
