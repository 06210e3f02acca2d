/* A stub's timers, in one list in the order in which they are due, with one event of the loop for the first of them: of
 * two that are due at the same time, the one that was started first goes first, as an answer to an earlier message
 * must. libevent promises no order there. */
#include <stdlib.h>

#include "handler/stub.h"

/* A repeating timer that fell behind goes on from now instead of making up for what it missed. */
#define BEHIND_MAX_US 1000000u

static void on_clock(evutil_socket_t fd, short what, void *arg);

/* For the first timer. */
static int arm(struct stub *st, uint64_t now_us) {
    const struct list *first = list_first(&st->timers);
    if (!first)
        return MF_OK;
    if (!st->clock && !(st->clock = evtimer_new(stub_session(st)->worker->loop.base, on_clock, st)))
        return MF_ENOMEM;
    uint64_t due_us = container_of(first, const struct stub_timer, in_stub)->due_us;
    uint64_t us = due_us > now_us ? due_us - now_us : 0;
    const struct timeval in = {.tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000)};
    return event_add(st->clock, &in) == 0 ? MF_OK : MF_ENOMEM;
}

/* Behind those that are due no later. */
static void insert(struct stub *st, struct stub_timer *t) {
    struct list *before = st->timers.prev;
    while (before != &st->timers && container_of(before, struct stub_timer, in_stub)->due_us > t->due_us)
        before = before->prev;
    list_append(before->next, &t->in_stub);
}

static void fire(struct stub_timer *t, uint64_t now_us) {
    struct stub *st = t->stub;
    struct session *s = stub_session(st);
    list_remove(&t->in_stub);
    if (t->every_us) {
        t->due_us += t->every_us; /* no drift */
        if (t->due_us + BEHIND_MAX_US < now_us)
            t->due_us = now_us + t->every_us;
        insert(st, t);
    } else {
        t->running = false;
    }
    t->fire(t);
    session_flush(s);
}

/* Those that are due; with the burst's time used up, the rest in the loop's next turn. */
static void on_clock(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct stub *st = arg;
    uint64_t now_us = clock_mono_us();
    worker_begin_burst(stub_session(st)->worker);
    for (struct list *first; st->clock && (first = list_first(&st->timers));) {
        struct stub_timer *t = container_of(first, struct stub_timer, in_stub);
        if (t->due_us > now_us) /* later; or libevent's coarse clock was early: a delay is never shorter than it says */
            break;
        fire(t, now_us);
        if (stub_must_yield(st))
            break;
    }
    if (st->clock && arm(st, clock_mono_us()) < 0)
        session_end(stub_session(st), END_NO_MEMORY, END_BY_GATEWAY, "no memory for a timer");
}

int stub_timer_start(struct stub_timer *t, struct stub *st, uint64_t ms, bool repeat,
                     void (*fire_fn)(struct stub_timer *t)) {
    uint64_t now_us = clock_mono_us();
    *t = (struct stub_timer){
        .stub = st, .fire = fire_fn, .due_us = now_us + ms * 1000, .running = true, .every_us = repeat ? ms * 1000 : 0};
    insert(st, t);
    if (st->timers.next != &t->in_stub || arm(st, now_us) == MF_OK)
        return MF_OK;
    stub_timer_stop(t);
    return MF_ENOMEM;
}

/* The loop's event may come for nothing then: it looks at what is due. */
void stub_timer_stop(struct stub_timer *t) {
    if (!t->running)
        return;
    t->running = false;
    list_remove(&t->in_stub);
}

void stub_timers_drop(struct stub *st) {
    if (st->clock)
        event_free(st->clock);
    st->clock = NULL;
}
