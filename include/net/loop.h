/* A worker's event loop: one event base without locks, its mail, its clock tick, and the buffers that its connections
 * borrow.
 *
 * A connection owns no input buffer: every read goes into `scratch`, is looked at, and leaves before the next event.
 * Nothing is freed inside its own callback: loop_bury() keeps it until the turn ends. Thread: the one that runs it. */
#ifndef MF_NET_LOOP_H
#define MF_NET_LOOP_H

#include <event2/event.h>

#include "base/buf.h"
#include "base/inbox.h"
#include "base/list.h"
#include "base/metrics.h"

#define LOOP_SCRATCH 262144u /* bytes one read may bring; matches what a socket buffer holds under load */
#define LOOP_TICK_MS 100     /* granularity of every time-out that is not exact */

struct loop {
    struct event_base *base;
    struct inbox inbox;
    void *receiver; /* what inbox items are delivered to */

    uint8_t *scratch;      /* LOOP_SCRATCH bytes: valid during one event only */
    struct buf ciphertext; /* TLS output on its way to the socket; empty between events */

    uint64_t now_ms; /* clock_mono_us() / 1000 at the last tick */
    void (*on_tick)(void *receiver); /* every LOOP_TICK_MS; may be NULL */

    struct list unread;    /* links that have more inside SSL, which no readiness tells of (net/link.c) */
    struct list lingering; /* links that wait for their peer's end (net/link.c) */
    struct buried *graveyard;
    struct event *inbox_event, *tick_event, *unread_event;
    bool stopping;
};

MF_MUSTCHECK int loop_init(struct loop *loop, void *receiver);
/* After loop_run() has returned and everything on it was closed. */
void loop_fini(struct loop *loop);
/* Runs until loop_stop(). */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
/* Calls free_fn(object) when this turn has ended. */
void loop_bury(struct loop *loop, void *object, void (*free_fn)(void *object));

#endif
