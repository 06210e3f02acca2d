#include "gateway/gateway.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/admin.h"
#include "gateway/reload.h"
#include "gateway/worker.h"
#include "handler/handlers.h"
#include "net/tls.h"
#include "protocol/json.h"
#include "relay/unmatched.h"
#include "store/store.h"

#define WORKERS_MAX 64
#define RESOLVER_THREADS 4
#define STATUS_MS 500

struct gateway {
    struct gateway_options options;
    struct plan *plan;
    pthread_mutex_t plan_lock; /* the pointer: the admin thread reads it, the main thread changes it */
    SSL_CTX *tls;
    struct shared shared;
    struct resolver *resolver;
    struct recorder *recorder;
    struct store *store; /* NULL: shared_state is off */
    struct worker_thread *workers;
    unsigned count;   /* initialised */
    char address[ADDRESS_TEXT_LEN];
    uint64_t started_us;

    struct event_base *base;
    struct event *signals[3], *status, *worker_ended;
    int ended_fd;
    unsigned ended; /* workers whose thread has ended */
    unsigned stops; /* signals that asked for it */
    struct reloader *reloader;
    struct admin *admin; /* NULL: off, or its address is taken */
};

/* As many sockets as the system lets us have: each session may need two. */
static void raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static unsigned worker_count(const struct config *config) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned n = config->websocket.workers ? config->websocket.workers : cores > 0 ? (unsigned)cores : 1;
    return MIN(n, (unsigned)WORKERS_MAX);
}

/* ---- signals ---- */

static void stop(struct gateway *g) {
    bool hurry = ++g->stops > 1;
    log_info("stopping", "hurry=%s", hurry ? "yes" : "no");
    admin_stopping(g->admin);
    for (unsigned i = 0; i < g->count; i++)
        worker_stop(&g->workers[i], hurry);
}

static void apply(struct plan *plan, void *arg) {
    struct gateway *g = arg;
    workers_set_plan(g->workers, g->count, plan);
    pthread_mutex_lock(&g->plan_lock);
    plan_unref(g->plan);
    g->plan = plan;
    pthread_mutex_unlock(&g->plan_lock);
}

static void on_signal(evutil_socket_t number, short what, void *arg) {
    (void)what;
    struct gateway *g = arg;
    if (number == SIGHUP)
        reloader_reload(g->reloader);
    else
        stop(g);
}

/* Workers end by themselves once their sessions have; until then signals are still heard. */
static void on_worker_ended(evutil_socket_t fd, short what, void *arg) {
    (void)what;
    struct gateway *g = arg;
    uint64_t ended = 0;
    if (read(fd, &ended, sizeof ended) == sizeof ended)
        g->ended += (unsigned)ended;
    if (g->ended == g->count)
        event_base_loopbreak(g->base);
}

/* Any thread, while the workers are there. */
static void sum_metrics(void *arg, uint64_t sum[METRIC_COUNT]) {
    const struct gateway *g = arg;
    for (unsigned i = 0; i < g->count; i++)
        metrics_sum(&g->workers[i].worker.metrics, sum);
    metrics_sum(recorder_metrics(g->recorder), sum);
}

/* Any thread. */
static void list_routes(void *arg, struct buf *recorded, struct buf *unrecorded) {
    struct gateway *g = arg;
    pthread_mutex_lock(&g->plan_lock);
    for (size_t i = 0; i < g->plan->count; i++) {
        const struct route *route = &g->plan->routes[i];
        const char *path = route->config->path;
        struct buf *out = route->record_path ? recorded : unrecorded;
        if (out->len)
            buf_putc(out, ',');
        json_write_string(out, path, strlen(path));
    }
    pthread_mutex_unlock(&g->plan_lock);
}

static void on_status(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct gateway *g = arg;
    struct gateway_status status = {.up_ms = (clock_mono_us() - g->started_us) / 1000};
    sum_metrics(g, status.metrics);
    g->options.on_status(&status, g->options.arg);
}

static int watch_signals(struct gateway *g, struct err *err) {
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    const struct timeval every = {.tv_usec = STATUS_MS * 1000};
    bool ok = (g->base = event_base_new());
    for (size_t i = 0; ok && i < ARRAY_LEN(numbers); i++) {
        /* What libevent puts back when the event is freed: a late second signal must not kill what is ending well. */
        signal(numbers[i], SIG_IGN);
        g->signals[i] = evsignal_new(g->base, numbers[i], on_signal, g);
        ok = g->signals[i] && event_add(g->signals[i], NULL) == 0;
    }
    if (ok && g->options.on_status) {
        g->status = event_new(g->base, -1, EV_PERSIST, on_status, g);
        ok = g->status && event_add(g->status, &every) == 0;
    }
    g->ended_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    g->worker_ended = ok ? event_new(g->base, g->ended_fd, EV_READ | EV_PERSIST, on_worker_ended, g) : NULL;
    ok = g->worker_ended && event_add(g->worker_ended, NULL) == 0;
    return ok ? MF_OK : err_set(err, MF_ENOMEM, "out of memory");
}

/* ---- life ---- */

/* The last word, when nothing counts any more. workers: what they had counted. */
static void tell_end(struct gateway *g, const uint64_t workers[METRIC_COUNT]) {
    struct gateway_status status = {.up_ms = (clock_mono_us() - g->started_us) / 1000};
    memcpy(status.metrics, workers, sizeof status.metrics);
    metrics_sum(recorder_metrics(g->recorder), status.metrics);
    g->options.on_status(&status, g->options.arg);
}

static int end_threads(struct gateway *g) {
    uint64_t counted[METRIC_COUNT] = {0};
    admin_free(g->admin); /* reads the workers' counters */
    g->admin = NULL;
    for (unsigned i = 0; i < g->count; i++)
        worker_join(&g->workers[i]);
    resolver_free(g->resolver);
    g->resolver = NULL;
    store_free(g->store); /* its answers go to the workers' inboxes, its news to their hubs */
    g->store = NULL;
    for (unsigned i = 0; i < g->count; i++)
        g->workers[i].worker.store = NULL;
    g->shared.publish_elsewhere = NULL;
    g->shared.worker_count = 0; /* what ends from here on tells no other worker, which may be gone */
    for (unsigned i = 0; i < g->count; i++) {
        worker_fini(&g->workers[i]);
        metrics_sum(&g->workers[i].worker.metrics, counted);
    }
    g->count = 0;
    int rc = g->recorder ? recorder_finish(g->recorder) : MF_OK;
    if (g->recorder && g->options.on_status)
        tell_end(g, counted);
    recorder_free(g->recorder);
    g->recorder = NULL;
    return rc;
}

static void gateway_free(struct gateway *g) {
    for (size_t i = 0; i < ARRAY_LEN(g->signals); i++)
        if (g->signals[i])
            event_free(g->signals[i]);
    if (g->status)
        event_free(g->status);
    if (g->worker_ended)
        event_free(g->worker_ended);
    if (g->ended_fd >= 0)
        close(g->ended_fd);
    reloader_free(g->reloader);
    if (g->base)
        event_base_free(g->base);
    SSL_CTX_free(g->tls);
    plan_unref(g->plan);
    free(g->workers);
    free(g->shared.workers);
    unmatched_free(g->shared.unmatched);
    pthread_mutex_destroy(&g->plan_lock);
    free(g);
}

static int server_context(const struct config *config, const char *state_dir, SSL_CTX **out,
                          char fingerprint[TLS_FINGERPRINT_LEN], bool *self_signed, struct err *err) {
    int rc = tls_server_context(&config->websocket.tls, state_dir, out, fingerprint, self_signed, err);
    if (rc < 0) {
        err_place_to_text(err);
        err_prefix(err, "websocket.tls");
        err_at(err, config->source, 0, 0);
    }
    return rc;
}

static int open_tls(struct gateway *g, const struct config *config, struct err *err) {
    const struct server_tls_config *tls = &config->websocket.tls;
    if (!tls->enabled && tls->cert_path) /* from the command line or the environment it switches nothing on */
        log_warn("tls_off", "cert_path=%s why=%s", log_quote(tls->cert_path), "\"websocket.tls.enabled is false\"");
    if (!tls->enabled)
        return MF_OK;
    char fingerprint[TLS_FINGERPRINT_LEN];
    bool self_signed = false;
    char *state_dir = tls_state_dir();
    int rc = state_dir ? server_context(config, state_dir, &g->tls, fingerprint, &self_signed, err)
                       : err_set(err, MF_ENOMEM, "out of memory");
    if (rc == MF_OK)
        log_info("certificate", "kind=%s sha256=%s%s%s", self_signed ? "self-signed" : "given", fingerprint,
                 self_signed ? " directory=" : "", self_signed ? state_dir : "");
    free(state_dir);
    return rc;
}

int gateway_check(struct config *config, struct err *err) {
    const struct server_tls_config *tls = &config->websocket.tls;
    struct plan *plan = NULL;
    SSL_CTX *ctx = NULL;
    int rc = plan_new(config, handler_endpoint, &plan, err);
    if (rc == MF_OK && tls->enabled && tls->cert_path) /* one of our own would be made */
        rc = server_context(config, "", &ctx, NULL, NULL, err);
    SSL_CTX_free(ctx);
    plan_unref(plan);
    return rc;
}

/* ---- what gateways on one Redis tell each other ---- */

static void on_news(void *arg, const struct store_news *news) {
    struct gateway *g = arg;
    const struct hub_target to = {(enum hub_audience)news->audience, news->name, news->name_len};
    struct hub_message *m =
        news->audience <= HUB_ALL ? hub_message_new(news->binary, news->data, news->len) : NULL;
    if (m)
        hub_publish_from(&g->shared, &to, m);
    hub_message_unref(m);
}

static void publish_elsewhere(void *store, const struct hub_target *to, struct hub_message *m) {
    const struct store_news news = {to->audience, m->binary, to->name, to->audience == HUB_ALL ? 0 : to->len, m->data,
                                    m->len};
    store_publish(store, &news);
}

static uint64_t connections_elsewhere(const void *store) {
    return store_connections_elsewhere(store);
}

static uint64_t connection_count(void *arg) {
    return atomic_load(&((struct gateway *)arg)->shared.open);
}

static int start_store(struct gateway *g, const struct shared_state_config *config, struct err *err) {
    const struct store_options options = {.config = config, .on_news = on_news, .connection_count = connection_count,
                                          .arg = g};
    if (!config->enabled)
        return MF_OK;
    int rc = store_new(&options, &g->store, err);
    if (rc == MF_OK && config->redis_url) {
        g->shared.publish_elsewhere = publish_elsewhere;
        g->shared.connections_elsewhere = connections_elsewhere;
        g->shared.bus = g->store;
    }
    return rc;
}

static int start_workers(struct gateway *g, const struct config *config, struct err *err) {
    unsigned count = worker_count(config);
    int fds[WORKERS_MAX];
    struct sockaddr_storage bound;
    g->workers = calloc(count, sizeof *g->workers);
    g->shared.workers = calloc(count, sizeof(struct worker *));
    g->shared.unmatched = unmatched_new(config->websocket.unmatched_keep);
    if (!g->workers || !g->shared.workers || !g->shared.unmatched)
        return err_set(err, MF_ENOMEM, "out of memory");
    if (listener_bind(config->websocket.host, config->websocket.port, fds, count, &bound, err) < 0)
        return MF_EIO;
    address_text((struct sockaddr *)&bound, g->address);
    int rc = MF_OK;
    for (unsigned i = 0; i < count; i++) {
        if (rc < 0) { /* not handed over */
            close(fds[i]);
            continue;
        }
        rc = worker_init(&g->workers[i], i, g->plan, g->tls, &g->shared, g->resolver, g->recorder, fds[i], err);
        g->count += rc == MF_OK;
    }
    for (unsigned i = 0; rc == MF_OK && i < count; i++)
        g->shared.workers[i] = &g->workers[i].worker;
    g->shared.worker_count = rc == MF_OK ? count : 0;
    if (rc == MF_OK)
        rc = start_store(g, &config->websocket.shared_state, err);
    for (unsigned i = 0; rc == MF_OK && i < count; i++)
        g->workers[i].worker.store = g->store;
    for (unsigned i = 0; rc == MF_OK && i < count; i++)
        rc = worker_start(&g->workers[i], g->ended_fd) < 0 ? err_set(err, MF_ENOMEM, "no thread for a worker") : MF_OK;
    return rc;
}

/* Only the main thread takes signals. */
static void block_signals(sigset_t *old) {
    sigset_t set;
    sigfillset(&set);
    pthread_sigmask(SIG_BLOCK, &set, old);
}

/* Several gateways on one machine share the default port: who comes late does without. */
static void start_admin(struct gateway *g, const struct admin_config *config) {
    const struct admin_options options = {.config = config, .metrics = sum_metrics, .arg = g,
                                          .unmatched = g->shared.unmatched,
                                          .recorder = g->recorder,
                                          .routes = list_routes};
    struct err err;
    sigset_t old;
    if (!config->enabled)
        return;
    block_signals(&old);
    if (admin_new(&options, &g->admin, &err) < 0)
        log_warn("admin_unavailable", "address=%s:%u why=%s", config->host, config->port, log_quote(err.text));
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static int start(struct gateway *g, struct config *config, struct err *err) {
    int rc = plan_new(config, handler_endpoint, &g->plan, err);
    if (rc == MF_OK)
        rc = plan_check_recordings(g->plan, err);
    if (rc == MF_OK)
        rc = open_tls(g, config, err);
    if (rc == MF_OK)
        rc = watch_signals(g, err);
    if (rc == MF_OK)
        rc = reloader_new(g->base, g->options.input, g->plan, apply, g, &g->reloader, err);
    if (rc < 0)
        return rc;
    sigset_t old;
    block_signals(&old);
    const struct recorder_options options = {.ports = worker_count(config)};
    rc = recorder_new(&options, &g->recorder, err);
    if (rc == MF_OK)
        rc = resolver_new(RESOLVER_THREADS, &g->resolver, err);
    if (rc == MF_OK)
        rc = start_workers(g, config, err);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc;
}

int gateway_new(struct config *config, const struct gateway_options *options, struct gateway **out, struct err *err) {
    struct gateway *g = calloc(1, sizeof *g);
    if (!g)
        return err_set(err, MF_ENOMEM, "out of memory");
    g->options = *options;
    g->ended_fd = -1;
    pthread_mutex_init(&g->plan_lock, NULL);
    g->started_us = clock_mono_us();
    raise_descriptor_limit();
    int rc = start(g, config, err);
    if (rc < 0) {
        for (unsigned i = 0; i < g->count; i++)
            worker_stop(&g->workers[i], true);
        int ignored = end_threads(g);
        (void)ignored;
        gateway_free(g);
        return rc;
    }
    log_info("listening", "address=%s tls=%s workers=%u routes=%zu", g->address, g->tls ? "yes" : "no", g->count,
             g->plan->count);
    start_admin(g, &config->admin);
    *out = g;
    return MF_OK;
}

const char *gateway_address(const struct gateway *g) {
    return g->address;
}

int gateway_run(struct gateway *g) {
    event_base_dispatch(g->base);
    int rc = end_threads(g);
    log_info("stopped", "recordings=%s", rc < 0 ? "incomplete" : "complete");
    gateway_free(g);
    return rc;
}
