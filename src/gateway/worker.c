#include "gateway/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "handler/broadcast.h"
#include "stage/stages.h"

/* Closed connections whose clients keep their end open do not hold up the end of the process for long. */
#define LINGER_AT_STOP_MS 500
/* Values in a message that a mock answers; one with more is no JSON to it. */
#define TAPE_NODES_MAX (1u << 20)

/* ---- mail ---- */

/* The first worker ticks for all. */
static void restart_broadcasts(struct worker_thread *t) {
    broadcasts_free(t->broadcasts);
    t->broadcasts = NULL;
    if (t->worker.index == 0 && !t->worker.stopping && broadcasts_new(&t->worker, &t->broadcasts) < 0)
        log_error("broadcasts_failed", "why=%s", "\"out of memory\"");
}

struct stop_item {
    struct inbox_item item;
    bool hurry;
};

static void on_stop(struct inbox_item *item, void *receiver) {
    struct worker_thread *t = receiver;
    bool hurry = container_of(item, struct stop_item, item)->hurry;
    free(container_of(item, struct stop_item, item));
    t->worker.stopping = true;
    restart_broadcasts(t);
    t->idle_ms = t->worker.loop.now_ms;
    listener_free(t->listener);
    t->listener = NULL;
    sessions_shut_down(&t->worker, hurry);
    t->hurry = hurry;
    if (hurry)
        link_abort_lingering(&t->worker.loop);
}

void worker_stop(struct worker_thread *t, bool hurry) {
    struct stop_item *stop = malloc(sizeof *stop);
    MUST(stop);
    *stop = (struct stop_item){{.deliver = on_stop}, hurry};
    inbox_post(&t->worker.loop.inbox, &stop->item);
}

/* A plan on its way to every worker. The last that has taken it says so: from that line of the log on, every new
 * connection has it. */
struct rollout {
    struct plan *plan; /* counted */
    atomic_uint left;  /* workers that have not had their item yet; who takes the last one frees all */
    atomic_bool failed;
    struct plan_item {
        struct inbox_item item;
        struct rollout *rollout;
    } items[];
};

_Static_assert(offsetof(struct worker_thread, worker) == 0, "mail from other workers goes to the worker");

static int take_plan(struct worker_thread *t, struct plan *plan) {
    struct worker *w = &t->worker;
    struct chunk_set *chunks;
    struct err err;
    if (chunk_set_new(w, plan, &chunks, &err) < 0) { /* it compiled in the main thread: memory is short */
        log_error("reload_failed", "worker=%u why=%s", w->index, log_quote(err.text));
        return MF_ENOMEM;
    }
    chunk_set_unref(w, w->chunks);
    plan_unref(w->plan);
    w->plan = plan_ref(plan);
    w->chunks = chunks;
    sessions_adopt_plan(w);
    restart_broadcasts(t);
    return MF_OK;
}

static void on_plan(struct inbox_item *item, void *receiver) {
    struct rollout *r = container_of(item, struct plan_item, item)->rollout;
    if (take_plan(receiver, r->plan) < 0)
        atomic_store(&r->failed, true);
    if (atomic_fetch_sub(&r->left, 1) > 1)
        return;
    if (!atomic_load(&r->failed))
        log_info("reloaded", "routes=%zu", r->plan->count);
    plan_unref(r->plan);
    free(r);
}

void workers_set_plan(struct worker_thread *workers, unsigned count, struct plan *plan) {
    struct rollout *r = malloc(sizeof *r + count * sizeof r->items[0]);
    MUST(r);
    r->plan = plan_ref(plan);
    atomic_init(&r->left, count);
    atomic_init(&r->failed, false);
    for (unsigned i = 0; i < count; i++)
        r->items[i] = (struct plan_item){{.deliver = on_plan}, r};
    for (unsigned i = 0; i < count; i++)
        inbox_post(&workers[i].worker.loop.inbox, &r->items[i].item);
}

/* ---- the loop ---- */

static void on_accept(void *owner, int fd, const struct sockaddr *peer) {
    session_new(owner, fd, peer);
}

static void on_recorder(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    sessions_recorder_ready(arg);
}

static void on_tick(void *receiver) {
    struct worker_thread *t = receiver;
    sessions_tick(&t->worker);
    struct loop *loop = &t->worker.loop;
    if (!t->worker.stopping)
        return;
    if (sessions_any(&t->worker))
        t->idle_ms = loop->now_ms;
    bool waited = loop->now_ms - t->idle_ms >= LINGER_AT_STOP_MS || list_empty(&loop->lingering);
    if (t->hurry || (waited && !sessions_any(&t->worker)))
        loop_stop(loop);
}

int worker_init(struct worker_thread *t, unsigned index, struct plan *plan, SSL_CTX *tls, struct shared *shared,
                struct resolver *resolver, struct recorder *recorder, int listen_fd, struct err *err) {
    struct worker *w = &t->worker;
    *t = (struct worker_thread){.worker = {.index = index, .shared = shared, .tls = tls, .resolver = resolver,
                                           .recorder = recorder, .build_chains = chains_build}};
    for (size_t i = 0; i < SESSION_STATE_COUNT; i++)
        list_init(&w->states[i]);
    list_init(&w->waiting_for_recorder);
    uint64_t seed = plan->config->websocket.seed;
    rng_init(&w->rng, seed ? seed + index : 0);
    w->plan = plan_ref(plan);
    if (loop_init(&w->loop, t) < 0) {
        plan_unref(w->plan);
        close(listen_fd);
        return err_set(err, MF_ENOMEM, "no memory for a worker");
    }
    w->loop.on_tick = on_tick;
    w->tape.max = TAPE_NODES_MAX;
    w->port = recorder_port(recorder, index, &w->metrics);
    w->port_event = event_new(w->loop.base, record_port_fd(w->port), EV_READ | EV_PERSIST, on_recorder, w);
    t->listener = listener_new(&w->loop, listen_fd, &w->metrics, on_accept, w);
    int rc = chunk_set_new(w, plan, &w->chunks, err);
    if (rc == MF_OK && hub_new(w, &w->hub) < 0)
        rc = err_set(err, MF_ENOMEM, "no memory for a worker");
    if (rc == MF_OK && (!w->port_event || event_add(w->port_event, NULL) < 0 || !t->listener))
        rc = err_set(err, MF_ENOMEM, "no memory for a worker");
    if (rc < 0)
        worker_fini(t);
    else
        restart_broadcasts(t);
    return rc;
}

static void *run(void *arg) {
    struct worker_thread *t = arg;
    char name[16];
    snprintf(name, sizeof name, "mf-worker-%u", t->worker.index);
    pthread_setname_np(pthread_self(), name);
    loop_run(&t->worker.loop);
    const uint64_t one = 1;
    ssize_t ignored = write(t->ended_fd, &one, sizeof one);
    (void)ignored;
    return NULL;
}

int worker_start(struct worker_thread *t, int ended_fd) {
    t->ended_fd = ended_fd;
    t->started = pthread_create(&t->thread, NULL, run, t) == 0;
    return t->started ? MF_OK : MF_ENOMEM;
}

void worker_join(struct worker_thread *t) {
    if (t->started)
        pthread_join(t->thread, NULL);
    t->started = false;
}

void worker_fini(struct worker_thread *t) {
    struct worker *w = &t->worker;
    sessions_shut_down(w, true);
    listener_free(t->listener);
    t->listener = NULL; /* mail that nobody has read is still to come, out of loop_fini() */
    if (w->port_event)
        event_free(w->port_event);
    w->stopping = true; /* a plan in the mail begins nothing any more */
    restart_broadcasts(t);
    loop_fini(&w->loop);
    chunk_set_unref(w, w->chunks);
    script_vm_free(w->vm);
    for (size_t i = 0; i < ARRAY_LEN(w->outboxes); i++)
        buf_fini(&w->outboxes[i].made);
    buf_fini(&w->scratch_message);
    buf_fini(&w->scratch_name);
    json_tape_fini(&w->tape);
    hub_free(w->hub);
    slots_fini(&w->waits);
    plan_unref(w->plan);
}
