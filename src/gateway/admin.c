#include "gateway/admin.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/admin_answer.h"
#include "gateway/admin_tail.h"
#include "net/link.h"
#include "net/listener.h"

struct admin {
    struct admin_options options;
    struct admin_config config; /* strings owned */
    char address[ADDRESS_TEXT_LEN];
    int64_t started_us;
    atomic_bool stopping;

    struct loop loop;
    struct listener *listener;
    struct list connections; /* in the order of their accepts, so that of their deadlines */
    size_t count;
    struct list tails; /* those who look on: admin_tail.c */
    struct tap *tapped; /* for the request that is being answered: its answer goes on */
    struct metrics counts; /* this thread's cells */
    struct inbox_item stop;
    pthread_t thread;
    bool started;
};

/* A client that has not asked yet; answered, its link lingers by itself. */
struct admin_connection {
    struct list item;
    struct admin *admin;
    struct link *link;
    struct buf head;
    uint64_t deadline_ms;
};

/* ---- connections ---- */

static void connection_free(void *object) {
    struct admin_connection *c = object;
    buf_fini(&c->head);
    free(c);
}

static void connection_close(struct admin_connection *c, enum link_close_mode mode) {
    list_remove(&c->item);
    c->admin->count--;
    link_close(c->link, mode);
    loop_bury(&c->admin->loop, c, connection_free);
}

static void connection_send(struct admin_connection *c, const struct buf *answer) {
    const struct iovec iov = {answer->data, answer->len};
    bool sent = !answer->failed && link_write(c->link, &iov, 1) == MF_OK;
    connection_close(c, sent ? LINK_CLOSE_FINISH : LINK_CLOSE_NOW);
}

/* Adds what this thread counts itself: accepts that failed. */
static void sum_all(void *arg, uint64_t sum[METRIC_COUNT]) {
    struct admin *a = arg;
    metrics_sum(&a->counts, sum);
    a->options.metrics(a->options.arg, sum);
}

/* ---- looking on ---- */

/* A line of its own for programs too: a session file's first, with what can be seen as a further member. */
static void write_first_line(struct admin *a, struct buf *out) {
    struct buf recorded = BUF_INIT, unrecorded = BUF_INIT;
    char when[CLOCK_RFC3339_LEN];
    a->options.routes(a->options.arg, &recorded, &unrecorded);
    buf_printf(out,
               "{\"type\":\"recording\",\"version\":1,\"recorded_at\":\"%s\",\"generator\":\"mockforge " MF_VERSION "\","
               "\"tail\":{\"note\":\"%s\",\"recorded_routes\":[",
               clock_rfc3339(clock_wall_us(), when),
               recorded.len ? "only connections to recorded routes are seen"
                            : "nothing can be seen: no route is recorded (record: true on a route)");
    buf_append(out, recorded.data, recorded.len);
    buf_puts(out, "],\"unrecorded_routes\":[");
    buf_append(out, unrecorded.data, unrecorded.len);
    buf_puts(out, "]}}\n");
    out->failed |= recorded.failed || unrecorded.failed;
    buf_fini(&recorded);
    buf_fini(&unrecorded);
}

static void on_tail(void *arg, const struct http_head *request, struct buf *out) {
    struct admin *a = arg;
    struct tap_options options;
    struct buf space = BUF_INIT, line = BUF_INIT;
    struct err err;
    char why[160];
    bool chunked = request->minor > 0;
    if (!admin_tail_options(request, &options, &space, why, sizeof why)) {
        admin_refuse(400, "bad_request", why, false, out);
    } else if (recorder_tap(a->options.recorder, &options, &a->tapped, &err) < 0) {
        bool glob = err.code == MF_EINVAL;
        admin_refuse(glob ? 400 : 503, glob ? "bad_request" : "too_many",
                     glob ? "path= is not a glob: [ without its ], or a backslash at its end" : err.text, false, out);
    } else {
        write_first_line(a, &line);
        admin_tail_head(out, chunked);
        admin_tail_chunk(out, chunked, &line);
        out->failed |= line.failed;
    }
    buf_fini(&space);
    buf_fini(&line);
}

/* The answer goes on until the client has enough: the link gets another owner. */
static void connection_tail(struct admin_connection *c, const struct buf *answer, bool chunked) {
    struct admin *a = c->admin;
    const struct iovec iov = {answer->data, answer->len};
    struct tap *tap = a->tapped;
    a->tapped = NULL;
    if (answer->failed || link_write(c->link, &iov, 1) < 0) {
        tap_free(tap);
        connection_close(c, LINK_CLOSE_NOW);
        return;
    }
    list_remove(&c->item);
    a->count--;
    if (admin_tail_start(&a->loop, &a->tails, c->link, tap, chunked) < 0)
        LOG_LIMITED(LOG_WARN, "tail_refused", "why=%s", "\"out of memory\"");
    loop_bury(&a->loop, c, connection_free);
}

/* A whole head, or the part of one that can be refused already. */
static void connection_answer(struct admin_connection *c, int size) {
    struct admin *a = c->admin;
    const struct admin_site site = {.host = a->config.host,
                                    .token = a->config.token,
                                    .ready = !atomic_load(&a->stopping),
                                    .started_us = a->started_us,
                                    .metrics = sum_all,
                                    .arg = a,
                                    .unmatched = a->options.unmatched,
                                    .tail = a->options.recorder ? on_tail : NULL};
    struct buf answer = BUF_INIT;
    struct http_head request = {0};
    const char *why = "malformed or oversized request head";
    int rc = size < 0 ? size : http_request_parse(&request, (const char *)c->head.data, (size_t)size, &why);
    if (rc == MF_OK)
        admin_answer(&site, &request, &answer);
    else if (rc != MF_ENOMEM)
        admin_refuse(-rc, "bad_request", why, false, &answer);
    else
        answer.failed = true;
    if (a->tapped)
        connection_tail(c, &answer, request.minor > 0);
    else
        connection_send(c, &answer);
    http_head_fini(&request);
    buf_fini(&answer);
}

static void on_data(struct link *link, uint8_t *data, size_t len, void *owner) {
    (void)link;
    struct admin_connection *c = owner;
    size_t seen = c->head.len;
    buf_append(&c->head, data, len);
    int size = http_head_end((const char *)c->head.data, c->head.len, seen);
    if (c->head.failed)
        connection_close(c, LINK_CLOSE_NOW);
    else if (size != 0)
        connection_answer(c, size);
}

static size_t on_room(struct link *link, void *owner) {
    (void)link;
    return HTTP_HEAD_MAX - ((const struct admin_connection *)owner)->head.len;
}

static void on_drained(struct link *link, void *owner) {
    (void)link, (void)owner;
}

static void on_end(struct link *link, enum link_end end, void *owner) {
    (void)link, (void)end;
    connection_close(owner, LINK_CLOSE_NOW);
}

static const struct link_events link_events = {
    .on_data = on_data, .on_room = on_room, .on_drained = on_drained, .on_end = on_end};

static struct admin_connection *oldest(struct admin *a) {
    struct list *first = list_first(&a->connections);
    return first ? container_of(first, struct admin_connection, item) : NULL;
}

static size_t lingering_count(struct admin *a) {
    size_t n = 0;
    LIST_EACH_SAFE(&a->loop.lingering, it)
        n++;
    return n;
}

/* Who says nothing gives way, so that a probe gets its answer whatever else is connected. */
static void make_room(struct admin *a) {
    if (a->count + lingering_count(a) < ADMIN_CONNECTIONS_MAX)
        return;
    LOG_LIMITED(LOG_WARN, "admin_full", "connections=%d", ADMIN_CONNECTIONS_MAX);
    if (a->count)
        connection_close(oldest(a), LINK_CLOSE_NOW);
    else
        link_abort_lingering(&a->loop);
}

static void on_accept(void *owner, int fd, const struct sockaddr *peer) {
    (void)peer;
    struct admin *a = owner;
    make_room(a);
    struct admin_connection *c = calloc(1, sizeof *c);
    if (!c) {
        close(fd);
        return;
    }
    c->admin = a;
    c->link = link_new(&a->loop, fd, NULL, &link_events, c);
    if (!c->link) {
        free(c);
        return;
    }
    c->deadline_ms = a->loop.now_ms + ADMIN_REQUEST_TIMEOUT_MS;
    list_append(&a->connections, &c->item);
    a->count++;
}

static void on_tick(void *receiver) {
    struct admin *a = receiver;
    for (struct admin_connection *c; (c = oldest(a)) && c->deadline_ms <= a->loop.now_ms;)
        connection_close(c, LINK_CLOSE_NOW);
    admin_tails_check(&a->tails);
}

/* ---- life ---- */

static void on_stop(struct inbox_item *item, void *receiver) {
    (void)item;
    struct admin *a = receiver;
    loop_stop(&a->loop);
}

static void *run(void *arg) {
    struct admin *a = arg;
    pthread_setname_np(pthread_self(), "mf-admin");
    loop_run(&a->loop);
    return NULL;
}

static int start(struct admin *a, struct err *err) {
    struct sockaddr_storage bound;
    int fd;
    int rc = listener_bind(a->config.host, a->config.port, &fd, 1, &bound, err);
    if (rc < 0)
        return rc;
    address_text((struct sockaddr *)&bound, a->address);
    a->listener = listener_new(&a->loop, fd, &a->counts, on_accept, a);
    a->started = a->listener && pthread_create(&a->thread, NULL, run, a) == 0;
    return a->started ? MF_OK : err_set(err, MF_ENOMEM, "no memory or thread for the admin side");
}

int admin_new(const struct admin_options *options, struct admin **out, struct err *err) {
    struct admin *a = calloc(1, sizeof *a);
    if (!a)
        return err_set(err, MF_ENOMEM, "out of memory");
    a->options = *options;
    a->started_us = clock_wall_us();
    a->stop.deliver = on_stop;
    list_init(&a->connections);
    list_init(&a->tails);
    a->config = *options->config;
    a->config.host = strdup(options->config->host);
    a->config.token = options->config->token ? strdup(options->config->token) : NULL;
    if (!a->config.host || !a->config.token != !options->config->token || loop_init(&a->loop, a) < 0) {
        free(a->config.host);
        free(a->config.token);
        free(a);
        return err_set(err, MF_ENOMEM, "out of memory");
    }
    a->loop.on_tick = on_tick;
    int rc = start(a, err);
    if (rc < 0) {
        admin_free(a);
        return rc;
    }
    log_info("admin_listening", "address=%s token=%s", a->address, a->config.token ? "yes" : "no");
    *out = a;
    return MF_OK;
}

void admin_stopping(struct admin *a) {
    if (a)
        atomic_store(&a->stopping, true);
}

void admin_free(struct admin *a) {
    if (!a)
        return;
    if (a->started) {
        inbox_post(&a->loop.inbox, &a->stop);
        pthread_join(a->thread, NULL);
    }
    listener_free(a->listener);
    for (struct admin_connection *c; (c = oldest(a));)
        connection_close(c, LINK_CLOSE_NOW);
    admin_tails_end(&a->tails);
    loop_fini(&a->loop);
    free(a->config.host);
    free(a->config.token);
    free(a);
}
