/* Who plays when: actors wait in a queue by their time, and are let in while not too many are dialling. */
#include "drive/driver.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/log.h"
#include "drive/actor.h"
#include "protocol/frame.h"

#define RESOLVER_THREADS 4
#define STATUS_US 200000
#define DESCRIPTORS_SPARE 64u   /* for what is no client */
#define AGAIN_US 1000u          /* between two rounds of a client that loops */
#define AGAIN_FAILED_US 500000u /* after one that failed: a server that is down is not stormed */
#define LINGER_US 1000000u      /* for servers that end their connections after us */
/* Differences that are kept over all clients; those of further ones are only counted. */
#define DIFFERENCES_KEPT_MAX 100000u

struct driver {
    struct drive_run run;
    struct actor *actors;
    size_t count;
    struct list queue; /* by due_us */
    size_t dialling, active;
    size_t differences_kept;
    bool ending; /* nobody begins any more */
    unsigned signals_seen;
    uint64_t begun_us;
    struct event *starter, *duration, *status, *signals[2];
};

static struct driver *driver_of(const struct actor *a) {
    return container_of(a->run, struct driver, run);
}

/* ---- the queue ---- */

static void end_if_done(struct driver *d) {
    if (!d->active && list_empty(&d->queue))
        loop_stop(&d->run.loop);
}

static void set_starter(struct driver *d) {
    if (list_empty(&d->queue) || d->dialling >= DRIVE_DIALS_MAX)
        return;
    const struct actor *first = container_of(list_first(&d->queue), struct actor, queued);
    uint64_t now = clock_mono_us(), after = first->due_us > now ? first->due_us - now : 0;
    const struct timeval tv = {.tv_sec = (time_t)(after / 1000000), .tv_usec = (suseconds_t)(after % 1000000)};
    event_add(d->starter, &tv);
}

/* Nearly always at the end. */
static void enqueue(struct driver *d, struct actor *a, uint64_t due_us) {
    struct list *at = d->queue.prev;
    a->due_us = due_us;
    a->state = ACTOR_WAITING;
    while (at != &d->queue && container_of(at, struct actor, queued)->due_us > due_us)
        at = at->prev;
    list_append(at->next, &a->queued);
}

static void on_starter(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct driver *d = arg;
    uint64_t now = clock_mono_us();
    while (!list_empty(&d->queue) && d->dialling < DRIVE_DIALS_MAX) {
        struct actor *a = container_of(list_first(&d->queue), struct actor, queued);
        if (a->due_us > now)
            break;
        list_remove(&a->queued);
        d->dialling++;
        d->active++;
        actor_start(a);
    }
    set_starter(d);
    end_if_done(d);
}

static void on_opened(struct actor *a) {
    struct driver *d = driver_of(a);
    d->dialling--;
    set_starter(d);
}

/* Its counts stay; its items go when there are too many of them over all. */
static void bound_differences(struct driver *d, struct comparison *c) {
    d->differences_kept += c->count;
    if (d->differences_kept <= DIFFERENCES_KEPT_MAX)
        return;
    d->differences_kept -= c->count;
    const struct comparison counts = *c;
    comparison_fini(c);
    c->total = counts.total;
    c->compared = counts.compared;
    c->missing = counts.missing;
    c->extra = counts.extra;
    c->in_order = counts.in_order;
}

static void on_round_over(struct actor *a, bool well) {
    struct driver *d = driver_of(a);
    d->active--;
    if (d->run.options->loop && !d->ending)
        enqueue(d, a, clock_mono_us() + (well ? AGAIN_US : AGAIN_FAILED_US));
    else if (a->report)
        bound_differences(d, &a->report->comparison);
    set_starter(d);
    end_if_done(d);
}

/* ---- the end ---- */

static void end_all(struct driver *d, unsigned code, bool hurry) {
    d->ending = true;
    event_del(d->starter);
    LIST_EACH_SAFE(&d->queue, it)
    list_remove(it);
    for (size_t i = 0; i < d->count; i++)
        actor_stop(&d->actors[i], code, hurry);
    end_if_done(d);
}

static void on_duration(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    end_all(arg, WS_CLOSE_NORMAL, false);
}

static void on_signal(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct driver *d = arg;
    d->run.interrupted = true;
    end_all(d, WS_CLOSE_GOING_AWAY, d->signals_seen++ > 0);
}

static void on_status(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct driver *d = arg;
    d->run.numbers.elapsed_us = clock_mono_us() - d->begun_us;
    d->run.options->on_status(&d->run.numbers, d->run.options->arg);
}

/* ---- what a run needs ---- */

/* Each client is a descriptor. */
static int raise_descriptors(size_t clients, struct err *err) {
    struct rlimit limit;
    rlim_t wanted = clients + DESCRIPTORS_SPARE;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
        return MF_OK;
    if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < wanted)
        return err_set(err, MF_EINVAL,
                       "%zu clients need %" PRIu64 " open files, and this process may have %" PRIu64
                       ": take fewer, or raise the hard limit (ulimit -Hn)",
                       clients, (uint64_t)wanted, (uint64_t)limit.rlim_max);
    limit.rlim_cur = wanted;
    setrlimit(RLIMIT_NOFILE, &limit);
    return MF_OK;
}

static int measure(struct role *role, const struct replay_connection *c) {
    role->awaited = calloc(c->message_count + 1, 1);
    if (!role->awaited)
        return MF_ENOMEM;
    for (uint32_t i = 0; i < c->message_count; i++) {
        role->awaited[i] = c->messages[i].direction == EVENT_OUTGOING && player_plan_awaits(role->plan, i);
        role->awaited_count += role->awaited[i];
        role->client_messages += c->messages[i].direction == EVENT_INCOMING;
    }
    for (size_t i = 0; i < c->frame_count; i++) {
        uint64_t *last = c->frames[i].direction == EVENT_OUTGOING ? &role->last_server_us : &role->last_client_us;
        *last = MAX(*last, c->frames[i].time_us);
    }
    return MF_OK;
}

static void warn_left_out(struct buf *names) {
    if (names->len)
        log_warn("redacted", "names=%s why=%s", log_quote(buf_cstr(names)),
                 "\"the recording does not have their values, they are left out; --header gives others\"");
}

static int make_roles(struct drive_run *run, struct err *err) {
    const struct drive_options *o = run->options;
    struct buf left_out = BUF_INIT;
    int rc = MF_OK;
    run->roles = calloc(run->source->count, sizeof *run->roles);
    if (!run->roles)
        return err_set(err, MF_ENOMEM, "out of memory");
    for (size_t i = 0; rc == MF_OK && i < run->source->count; i++) {
        const struct replay_connection *c = &run->source->connections[i];
        rc = opening_build(&run->roles[i].opening, o->target, c, o->headers, &left_out);
        if (rc == MF_OK)
            rc = player_plan_new(run->correlation, i, EVENT_INCOMING, o->hints, &run->roles[i].plan);
        if (rc == MF_OK)
            rc = measure(&run->roles[i], c);
    }
    warn_left_out(&left_out);
    buf_fini(&left_out);
    return rc < 0 ? err_set(err, rc, "out of memory") : MF_OK;
}

static int make_case(struct drive_run *run, struct actor *a, struct drive_case *report, bool numbered) {
    struct buf name = BUF_INIT;
    buf_printf(&name, "%s %s", run->source->file, a->recorded->name);
    if (numbered)
        buf_printf(&name, ", client %" PRIu64, a->number);
    report->name = buf_steal(&name);
    a->report = report;
    return report->name ? MF_OK : MF_ENOMEM;
}

/* With no number given they begin as the recorded ones did. */
static uint64_t due_after(const struct driver *d, const struct actor *a) {
    const struct drive_options *o = d->run.options;
    const struct replay_source *s = d->run.source;
    uint64_t since_first = a->recorded->begin_us - MIN(s->connections[0].begin_us, a->recorded->begin_us);
    return o->clients || o->speed <= 0 ? 0 : (uint64_t)((double)since_first / o->speed);
}

static int make_actors(struct driver *d, struct err *err) {
    const struct drive_options *o = d->run.options;
    size_t connections = d->run.source->count, count = o->clients ? o->clients : connections;
    struct drive_result *result = d->run.result;
    int rc = MF_OK;
    d->actors = calloc(count, sizeof *d->actors);
    result->cases = o->verify ? calloc(count, sizeof *result->cases) : NULL;
    if (!d->actors || (o->verify && !result->cases))
        return err_set(err, MF_ENOMEM, "out of memory");
    d->begun_us = clock_mono_us();
    for (; rc == MF_OK && d->count < count; d->count++) {
        struct actor *a = &d->actors[d->count];
        rc = actor_init(a, &d->run, d->count + 1, d->count % connections);
        if (rc == MF_OK && o->verify)
            rc = make_case(&d->run, a, &result->cases[result->cases_count++], count != connections);
        if (rc == MF_OK)
            enqueue(d, a, d->begun_us + due_after(d, a));
    }
    return rc < 0 ? err_set(err, rc, "out of memory") : MF_OK;
}

static bool add_event(struct event **event, struct event *made, uint64_t every_us) {
    const struct timeval tv = {.tv_sec = (time_t)(every_us / 1000000), .tv_usec = (suseconds_t)(every_us % 1000000)};
    *event = made;
    return made && event_add(made, every_us ? &tv : NULL) == 0;
}

static int make_events(struct driver *d, struct err *err) {
    static const int numbers[] = {SIGINT, SIGTERM};
    struct event_base *base = d->run.loop.base;
    const struct drive_options *o = d->run.options;
    bool ok = (d->starter = evtimer_new(base, on_starter, d));
    for (size_t i = 0; ok && i < ARRAY_LEN(numbers); i++) {
        signal(numbers[i], SIG_IGN); /* what is put back when the event goes: the report is on its way then */
        ok = add_event(&d->signals[i], evsignal_new(base, numbers[i], on_signal, d), 0);
    }
    if (ok && o->duration_us)
        ok = add_event(&d->duration, evtimer_new(base, on_duration, d), o->duration_us);
    if (ok && o->on_status)
        ok = add_event(&d->status, event_new(base, -1, EV_PERSIST, on_status, d), STATUS_US);
    return ok ? MF_OK : err_set(err, MF_ENOMEM, "out of memory");
}

static int prepare(struct driver *d, struct err *err) {
    const struct drive_options *o = d->run.options;
    int rc = raise_descriptors(o->clients ? o->clients : d->run.source->count, err);
    if (rc == MF_OK && o->script)
        rc = lua_filter_new(o->script, o->script_len, o->script_name, &d->run.transform, err);
    if (rc == MF_OK)
        rc = make_roles(&d->run, err);
    if (rc == MF_OK)
        rc = resolver_new(RESOLVER_THREADS, &d->run.resolver, err);
    if (rc == MF_OK)
        rc = make_events(d, err);
    return rc == MF_OK ? make_actors(d, err) : rc;
}

static void clean_up(struct driver *d) {
    struct drive_run *run = &d->run;
    struct event *events[] = {d->starter, d->duration, d->status, d->signals[0], d->signals[1]};
    for (size_t i = 0; i < d->count; i++)
        actor_fini(&d->actors[i]);
    free(d->actors);
    resolver_free(run->resolver);
    for (size_t i = 0; i < ARRAY_LEN(events); i++)
        if (events[i])
            event_free(events[i]);
    for (size_t i = 0; run->roles && i < run->source->count; i++) {
        opening_fini(&run->roles[i].opening);
        player_plan_unref(run->roles[i].plan);
        free(run->roles[i].awaited);
    }
    free(run->roles);
    lua_filter_free(run->transform);
    structure_scratch_fini(&run->scratch);
    loop_fini(&run->loop);
}

static void sum_up(struct driver *d) {
    struct drive_result *result = d->run.result;
    d->run.numbers.elapsed_us = clock_mono_us() - d->begun_us;
    result->numbers = d->run.numbers;
    result->interrupted = d->run.interrupted;
    latencies_sum(&d->run.latencies, &result->latency);
    for (size_t i = 0; i < result->cases_count; i++) {
        struct drive_case *c = &result->cases[i];
        if (!c->error && !d->actors[i].rounds)
            c->error = strdup(d->run.interrupted ? "interrupted before its end" : "the time was over before its end");
    }
}

/* What was said last is still on its way to some servers: a close frame that is not followed by a reset is seen. */
static void let_linger(struct driver *d) {
    struct loop *loop = &d->run.loop;
    uint64_t until = clock_mono_us() + LINGER_US;
    /* The loop's tick comes by now and then. */
    while (!list_empty(&loop->lingering) && clock_mono_us() < until && d->signals_seen < 2)
        if (event_base_loop(loop->base, EVLOOP_ONCE) < 0)
            break;
}

int drive(struct replay_source *source, struct correlation *correlation, const struct drive_options *options,
          struct drive_result *out, struct err *err) {
    struct driver *d = calloc(1, sizeof *d);
    *out = (struct drive_result){0};
    if (!d || loop_init(&d->run.loop, d) < 0) {
        free(d);
        return err_set(err, MF_ENOMEM, "out of memory");
    }
    list_init(&d->queue);
    d->run.options = options;
    d->run.source = source;
    d->run.correlation = correlation;
    d->run.result = out;
    d->run.on_opened = on_opened;
    d->run.on_round_over = on_round_over;
    int rc = prepare(d, err);
    if (rc == MF_OK) {
        set_starter(d);
        loop_run(&d->run.loop);
        sum_up(d);
        let_linger(d);
    }
    clean_up(d);
    free(d);
    return rc;
}

void drive_result_fini(struct drive_result *r) {
    for (size_t i = 0; i < r->cases_count; i++) {
        comparison_fini(&r->cases[i].comparison);
        free(r->cases[i].name);
        free(r->cases[i].error);
    }
    free(r->cases);
    free(r->unreachable);
    free(r->broken);
    free(r->closed_early);
    *r = (struct drive_result){0};
}
