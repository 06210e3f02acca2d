/* `scheduled`: messages that come by themselves, to each connection at its own times. */
#include <stdlib.h>

#include "handler/stub.h"

struct scheduled {
    struct list in_stub;
    struct stub_timer timer;
    struct plan *plan;        /* counted: the schedule is part of it */
    struct chunk_set *chunks; /* counted: its Lua */
    const struct schedule *schedule;
    unsigned sent;
    bool first; /* the initial delay is running */
    bool busy;  /* its handler waits: the next time is skipped */
    struct stub_call call;
};

static void end_schedule(struct scheduled *s) {
    struct worker *w = stub_session(s->timer.stub)->worker;
    list_remove(&s->in_stub);
    stub_timer_stop(&s->timer);
    stub_call_cancel(&s->call);
    stub_unref_plan(s->timer.stub, s->plan);
    chunk_set_unref(w, s->chunks);
    loop_bury(&w->loop, s, free);
}

static void on_handler(struct stub_call *call, const struct script_result *result, const struct err *err) {
    struct scheduled *s = container_of(call, struct scheduled, call);
    (void)err;
    s->busy = false;
    if (result && result->any)
        stub_send(call->stub, result->binary, result->data.data, result->data.len);
}

static void send_now(struct scheduled *s) {
    struct stub *st = s->timer.stub;
    struct moment nothing;
    const struct script_event event = {.kind = SCRIPT_TIMER};
    moment_init(&nothing, false, NULL, 0);
    stub_send_pieces(st, &s->schedule->message, &nothing);
    if (s->schedule->handler == PLAN_NO_SCRIPT || s->busy || !stub_is_open(st))
        return;
    s->busy = true;
    stub_call_start(&s->call, st, s->chunks->items[s->schedule->handler].chunk, &event, on_handler);
}

static void on_time(struct stub_timer *t) {
    struct scheduled *s = container_of(t, struct scheduled, timer);
    struct stub *st = t->stub;
    if (!stub_is_open(st)) { /* its client has closed: nothing is sent any more */
        stub_timer_stop(t);
        return;
    }
    bool last = s->schedule->count && ++s->sent >= s->schedule->count;
    if (s->first && !last) {
        s->first = false;
        if (stub_timer_start(&s->timer, st, s->schedule->interval_ms, true, on_time) < 0)
            last = true;
    }
    send_now(s);
    if (last && !s->busy && !list_empty(&s->in_stub))
        end_schedule(s);
}

void stub_schedules_start(struct stub *st) {
    const struct stub_program *p = stub_program(st);
    for (size_t i = 0; i < p->schedule_count; i++) {
        const struct schedule *schedule = &p->schedules[i];
        struct scheduled *s = calloc(1, sizeof *s);
        if (!s)
            break;
        *s = (struct scheduled){.plan = plan_ref(stub_session(st)->plan),
                                .schedule = schedule,
                                .first = true,
                                .chunks = chunk_set_ref(stub_session(st)->chunks)};
        s->timer.stub = st;
        list_append(&st->schedules, &s->in_stub);
        if (stub_timer_start(&s->timer, st, schedule->delay_ms, false, on_time) < 0)
            end_schedule(s);
    }
}

void stub_schedules_drop(struct stub *st) {
    LIST_EACH_SAFE(&st->schedules, it)
    end_schedule(container_of(it, struct scheduled, in_stub));
}
