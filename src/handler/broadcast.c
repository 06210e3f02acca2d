#include "handler/broadcast.h"

#include <stdlib.h>
#include <string.h>

#include "handler/stub_program.h"
#include "relay/hub.h"
#include "relay/session.h"

struct ticker {
    struct broadcasts *owner;
    struct event *event;
    const struct route *route;
    unsigned sent;
};

struct broadcasts {
    struct worker *worker;
    struct plan *plan; /* counted: its routes are ticked for */
    size_t count;
    struct ticker tickers[];
};

static const struct schedule *broadcast_of(const struct route *r) {
    const struct stub_program *p = r->endpoint->compile == stub_program_compile ? r->program : NULL;
    return p && p->broadcast.interval_ms ? &p->broadcast : NULL;
}

static void publish(struct worker *w, const struct route *r, const struct piece *piece) {
    uint64_t open = atomic_load(&w->shared->open);
    const struct template_context ctx = {.rng = &w->rng, .connection_count = open,
                                         .cluster_connection_count = worker_cluster_count(w, open)};
    const char *path = r->config->path;
    const struct hub_target to = {HUB_ROUTE, path, strlen(path)};
    struct buf made = BUF_INIT;
    int rc = MF_OK;
    if (piece->kind == PIECE_TEXT)
        rc = template_render(piece->text, &ctx, &made);
    else if (piece->kind == PIECE_JSON)
        rc = json_template_render(piece->json, &ctx, &made);
    else
        buf_append(&made, piece->bytes.data, piece->bytes.len);
    struct hub_message *m =
        rc == MF_OK && !made.failed ? hub_message_new(piece->kind == PIECE_BYTES, made.data, made.len) : NULL;
    if (m) /* not to other gateways: the same configuration ticks there, too */
        hub_publish_from(w->shared, &to, m);
    hub_message_unref(m);
    buf_fini(&made);
}

static void on_tick(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct ticker *t = arg;
    const struct schedule *s = broadcast_of(t->route);
    for (size_t i = 0; i < s->message.count; i++)
        publish(t->owner->worker, t->route, &s->message.items[i]);
    if (s->count && ++t->sent >= s->count)
        event_del(t->event);
}

static bool start(struct ticker *t, const struct schedule *s) {
    const struct timeval every = {.tv_sec = s->interval_ms / 1000, .tv_usec = s->interval_ms % 1000 * 1000};
    t->event = event_new(t->owner->worker->loop.base, -1, EV_PERSIST, on_tick, t);
    return t->event && event_add(t->event, &every) == 0;
}

int broadcasts_new(struct worker *w, struct broadcasts **out) {
    struct plan *p = w->plan;
    struct broadcasts *b = calloc(1, sizeof *b + p->count * sizeof b->tickers[0]);
    if (!b)
        return MF_ENOMEM;
    b->worker = w;
    b->plan = plan_ref(p);
    for (size_t i = 0; i < p->count; i++) {
        const struct schedule *s = broadcast_of(&p->routes[i]);
        if (!s)
            continue;
        struct ticker *t = &b->tickers[b->count++];
        *t = (struct ticker){.owner = b, .route = &p->routes[i]};
        if (!start(t, s)) {
            broadcasts_free(b);
            return MF_ENOMEM;
        }
    }
    *out = b;
    return MF_OK;
}

void broadcasts_free(struct broadcasts *b) {
    if (!b)
        return;
    for (size_t i = 0; i < b->count; i++)
        if (b->tickers[i].event)
            event_free(b->tickers[i].event);
    plan_unref(b->plan);
    free(b);
}
