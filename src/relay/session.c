/* A session's life: begin, states, deadlines. What travels is in session_io.c, the way out in session_close.c. */
#include "relay/session.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/listener.h"

const char *const session_state_names[SESSION_STATE_COUNT] = {
    [SESSION_HEAD] = "head",
    [SESSION_OPENING] = "opening",
    [SESSION_OPEN] = "open",
    [SESSION_CLOSING] = "closing",
    [SESSION_ENDED] = "ended",
};

void session_set_state(struct session *s, enum session_state state, uint64_t deadline_ms) {
    if (s->state != state)
        log_debug("session_state", "connection=%s from=%s to=%s", s->connection.id, session_state_names[s->state],
                  session_state_names[state]);
    s->state = state;
    s->deadline_ms = deadline_ms;
    list_remove(&s->in_state);
    list_append(&s->worker->states[state], &s->in_state);
}

void session_new(struct worker *w, int fd, const struct sockaddr *remote) {
    struct session *s = calloc(1, sizeof *s);
    SSL *ssl = s && w->tls ? SSL_new(w->tls) : NULL;
    if (!s || (w->tls && !ssl)) {
        free(s);
        link_close(link_new(&w->loop, fd, NULL, NULL, NULL), LINK_CLOSE_NOW);
        return;
    }
    if (ssl)
        SSL_set_accept_state(ssl);
    char address[ADDRESS_TEXT_LEN];
    s->worker = w;
    list_init(&s->in_state);
    list_init(&s->waiting);
    connection_init(&s->connection, atomic_fetch_add(&w->shared->last_connection, 1) + 1);
    s->connection.remote_addr = strdup(address_text(remote, address));
    peer_init(&s->client, s, LEG_CLIENT, 0);
    s->client.heard_ms = w->loop.now_ms;
    session_set_state(s, SESSION_HEAD, w->loop.now_ms + w->plan->config->websocket.head_timeout_ms);
    s->client.link = link_new(&w->loop, fd, ssl, &upgrade_link_events, s);
    if (!s->client.link || !s->connection.remote_addr)
        session_end(s, END_NO_MEMORY, END_BY_GATEWAY, "no memory for a connection");
}

static void check(struct session *s) {
    struct worker *w = s->worker;
    const struct websocket_config *config = &s->plan->config->websocket;
    session_set_state(s, SESSION_OPEN, w->loop.now_ms + SESSION_CHECK_MS);
    if (s->capture && capture_state(s->capture) == CAPTURE_MUST_CLOSE) { /* one where nothing is said hears it here */
        session_end(s, END_RECORDER, END_BY_GATEWAY, "the recording failed");
        return;
    }
    peer_check(&s->client, w->loop.now_ms, (uint64_t)config->ping_interval * 1000, config->send_timeout_ms);
    if (s->state == SESSION_OPEN && s->endpoint->type->check)
        s->endpoint->type->check(s->endpoint, w->loop.now_ms);
}

static void expired(struct session *s) {
    switch (s->state) {
    case SESSION_HEAD:
        if (s->head.len)
            session_refuse(s, 408, "the request head did not come in time", NULL, NULL, 0);
        else
            session_end(s, END_HEAD_TIMEOUT, END_BY_CLIENT, "no request head came in time");
        break;
    case SESSION_OPEN:
        check(s);
        break;
    case SESSION_CLOSING:
        if (session_closes_slowly(s)) {
            session_set_state(s, SESSION_CLOSING,
                              s->worker->loop.now_ms + s->plan->config->websocket.close_timeout_ms);
        } else {
            log_info("close_timeout", "connection=%s", s->connection.id);
            session_give_up(s);
        }
        break;
    default: /* an opening endpoint keeps its own time, and what has ended has none */
        break;
    }
}

void sessions_tick(struct worker *w) {
    for (size_t state = 0; state < SESSION_ENDED; state++) {
        if (state == SESSION_OPENING)
            continue;
        LIST_EACH_SAFE(&w->states[state], it) {
            struct session *s = container_of(it, struct session, in_state);
            if (s->deadline_ms > w->loop.now_ms)
                break; /* in order of their deadlines */
            expired(s);
        }
    }
}

void sessions_recorder_ready(struct worker *w) {
    record_port_clear(w->port);
    struct list waiting;
    list_init(&waiting);
    while (!list_empty(&w->waiting_for_recorder)) { /* those that must wait again go to the list anew */
        struct list *it = w->waiting_for_recorder.next;
        list_remove(it);
        list_append(&waiting, it);
    }
    LIST_EACH_SAFE(&waiting, it) {
        struct session *s = container_of(it, struct session, waiting);
        list_remove(it);
        peer_hold(&s->client, HOLD_RECORDER, false);
        if (s->endpoint && s->endpoint->type->on_recorder_ready)
            s->endpoint->type->on_recorder_ready(s->endpoint);
    }
}

void sessions_shut_down(struct worker *w, bool at_once) {
    for (size_t state = 0; state < SESSION_ENDED; state++)
        LIST_EACH_SAFE(&w->states[state], it) {
            struct session *s = container_of(it, struct session, in_state);
            if (state == SESSION_OPENING)
                session_refuse(s, 503, "the gateway is stopping", NULL, NULL, 0);
            session_end(s, END_SHUTDOWN, END_BY_GATEWAY, "the gateway is stopping");
            if (at_once && s->state == SESSION_CLOSING) {
                s->deadline_ms = 0;
                session_give_up(s);
            }
        }
}

bool sessions_any(const struct worker *w) {
    for (size_t state = 0; state < SESSION_ENDED; state++)
        if (!list_empty(&w->states[state]))
            return true;
    return false;
}

/* The same path and the same kind of handler: the same route, as far as an open session is concerned. */
static const struct route *same_route(const struct plan *p, const struct route *old) {
    for (size_t i = 0; i < p->count; i++)
        if (p->routes[i].endpoint == old->endpoint && !strcmp(p->routes[i].config->path, old->config->path))
            return &p->routes[i];
    return NULL;
}

void sessions_adopt_plan(struct worker *w) {
    LIST_EACH_SAFE(&w->states[SESSION_OPEN], it) {
        struct session *s = container_of(it, struct session, in_state);
        const struct route *route = same_route(w->plan, s->route);
        if (!route)
            continue;
        plan_unref(s->plan);
        s->plan = plan_ref(w->plan);
        s->route = route;
        chunk_set_unref(w, s->chunks);
        s->chunks = chunk_set_ref(w->chunks);
    }
}
