/* The relay's other side: a WebSocket server that is dialled for each client, before the client gets its 101.
 *
 *     open -> dial (look-up, TCP, TLS) -> request -> head of the answer -> 101: session_accept(), frames
 *                                                                      -> anything else: session_refuse()
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "handler/handlers.h"
#include "handler/upstream.h"
#include "handler/upstream_body.h"
#include "handler/upstream_request.h"

static struct upstream *upstream_of(struct endpoint *e) {
    return container_of(e, struct upstream, endpoint);
}

static void forget_opening(struct upstream *u) {
    dial_cancel(u->dial);
    u->dial = NULL;
    if (u->deadline)
        event_free(u->deadline);
    u->deadline = NULL;
    buf_fini(&u->in);
    headers_fini(&u->offered);
    http_head_fini(&u->refusal);
    u->refusal = (struct http_head){0};
}

static void accept_client(struct upstream *u, const char *subprotocol, const struct headers *fields) {
    session_accept(u->endpoint.session, subprotocol, fields);
}

static void refuse_client(struct upstream *u, int status, const char *why, const struct headers *fields,
                          const void *body, size_t body_len) {
    session_refuse(u->endpoint.session, status, why, fields, body, body_len);
}

static const struct upstream_events proxy_events = {.opened = accept_client, .failed = refuse_client};

/* The upstream is at fault: the client is told in one line which upstream, and why. */
static void fail(struct upstream *u, int status, const char *why) {
    struct session *s = u->endpoint.session;
    struct buf text = BUF_INIT;
    buf_printf(&text, "upstream %s://%s: %s", u->route->url.tls ? "wss" : "ws", u->route->authority, why);
    metrics_inc(&s->worker->metrics, METRIC_ERRORS_UPSTREAM);
    LOG_LIMITED(LOG_WARN, "upstream_failed", "connection=%s remote=%s path=%s upstream=%s status=%d why=%s",
                s->connection.id, s->connection.remote_addr, log_quote(s->connection.path), u->route->authority, status,
                log_quote(why));
    u->events->failed(u, status, buf_cstr(&text), NULL, NULL, 0);
    buf_fini(&text);
}

/* ---- frames ---- */

static size_t on_room(struct link *link, void *owner) {
    (void)link;
    struct upstream *u = owner;
    return session_room(u->endpoint.session, &u->peer);
}

static void on_data(struct link *link, uint8_t *data, size_t len, void *owner) {
    (void)link;
    struct upstream *u = owner;
    struct session *s = u->endpoint.session;
    u->peer.heard_ms = s->worker->loop.now_ms;
    worker_begin_burst(s->worker);
    peer_feed(&u->peer, data, len);
    session_flush(s);
}

static void on_drained(struct link *link, void *owner) {
    (void)link;
    struct upstream *u = owner;
    struct session *s = u->endpoint.session;
    u->peer.heard_ms = s->worker->loop.now_ms; /* who takes its output lives */
    peer_hold(&s->client, HOLD_BLOCKED, false);
}

static void on_end(struct link *link, enum link_end end, void *owner) {
    (void)link;
    struct upstream *u = owner;
    session_link_ended(u->endpoint.session, &u->peer, end);
}

static const struct link_events frame_events = {
    .on_data = on_data, .on_room = on_room, .on_drained = on_drained, .on_end = on_end};

static void on_fragment(struct endpoint *e, struct fragment *f) {
    peer_send(&upstream_of(e)->peer, f);
}

static void flush(struct endpoint *e) {
    struct upstream *u = upstream_of(e);
    peer_flush(&u->peer);
    if (u->peer.link && link_blocked(u->peer.link))
        peer_hold(&e->session->client, HOLD_BLOCKED, true);
}

static void on_client_blocked(struct endpoint *e, bool blocked) {
    peer_hold(&upstream_of(e)->peer, HOLD_BLOCKED, blocked);
}

static void on_recorder_ready(struct endpoint *e) {
    peer_hold(&upstream_of(e)->peer, HOLD_RECORDER, false);
}

static void check(struct endpoint *e, uint64_t now_ms) {
    const struct websocket_config *c = &e->session->plan->config->websocket;
    peer_check(&upstream_of(e)->peer, now_ms, (uint64_t)c->ping_interval * 1000, c->send_timeout_ms);
}

/* ---- the answer to our opening handshake ---- */

static void open_frames(struct upstream *u, const struct http_head *h, size_t head_size) {
    struct session *s = u->endpoint.session;
    struct headers fields = {0};
    if (upstream_response_fields(&fields, &h->headers) < 0) {
        headers_fini(&fields);
        fail(u, 503, "out of memory");
        return;
    }
    struct buf rest = u->in;
    u->in = (struct buf)BUF_INIT;
    forget_opening(u);
    u->peer.link = u->link;
    u->link = NULL;
    u->peer.heard_ms = s->worker->loop.now_ms;
    link_set_owner(u->peer.link, &frame_events, u);
    if (u->peer.holds)
        link_pause(u->peer.link);
    u->events->opened(u, headers_get(&h->headers, "Sec-WebSocket-Protocol"), &fields);
    headers_fini(&fields);
    /* Frames that came with the 101 are the first that the client gets. */
    worker_begin_burst(s->worker);
    peer_feed(&u->peer, rest.data + head_size, rest.len - head_size);
    session_flush(s);
    buf_fini(&rest);
}

static void pass_refusal(struct upstream *u, const struct buf *body) {
    struct session *s = u->endpoint.session;
    struct headers *fields = &u->refusal.headers;
    char why[64];
    snprintf(why, sizeof why, "the upstream answered %d", u->refusal.status);
    metrics_inc(&s->worker->metrics, METRIC_ERRORS_UPSTREAM);
    LOG_LIMITED(LOG_WARN, "upstream_refused", "connection=%s remote=%s path=%s upstream=%s status=%d", s->connection.id,
                s->connection.remote_addr, log_quote(s->connection.path), u->route->authority, u->refusal.status);
    headers_remove(fields, "Content-Length");
    if (!body) {
        headers_remove(fields, "Content-Type");
        headers_remove(fields, "Content-Encoding");
    }
    u->events->failed(u, u->refusal.status, why, fields, body ? (body->len ? body->data : (const void *)"") : NULL,
                      body ? body->len : 0);
}

/* A status of its own is passed on with its body, as far as that is short and comes in time. */
static void look_at_body(struct upstream *u, bool ended) {
    struct buf body = BUF_INIT;
    enum body_state state = refusal_body(&u->refusal.headers, &u->in, ended, &body);
    if (state != BODY_MORE)
        pass_refusal(u, state == BODY_WHOLE ? &body : NULL);
    buf_fini(&body);
}

static void take_refusal(struct upstream *u, struct http_head *h, size_t head_size) {
    buf_consume(&u->in, head_size);
    u->refusal = *h;
    *h = (struct http_head){0};
    look_at_body(u, false);
}

static void take_answer(struct upstream *u, struct http_head *h, size_t head_size) {
    const char *why = "";
    char text[96];
    if (h->status == 101) {
        if (ws_response_check(h, u->key, &u->offered, &why) == MF_OK)
            open_frames(u, h, head_size);
        else
            fail(u, 502, why);
    } else if (h->status >= 300) {
        take_refusal(u, h, head_size);
    } else {
        snprintf(text, sizeof text, "answered %d, which is no WebSocket handshake", h->status);
        fail(u, 502, text);
    }
}

/* true: it was an interim answer (100, 103: RFC 9110 section 15.2), and the next head may be there. */
static bool look_at_head(struct upstream *u, size_t seen) {
    int size = http_head_end((const char *)u->in.data, u->in.len, seen);
    if (size == 0)
        return false;
    struct http_head h = {0};
    const char *why = "the head of its answer is too long or is not HTTP";
    bool good = size > 0 && http_response_parse(&h, (const char *)u->in.data, (size_t)size, &why) == MF_OK;
    bool interim = good && h.status < 200 && h.status != 101;
    if (interim)
        buf_consume(&u->in, (size_t)size);
    else if (good)
        take_answer(u, &h, (size_t)size);
    else
        fail(u, 502, why);
    http_head_fini(&h);
    return interim;
}

static void on_head_data(struct link *link, uint8_t *data, size_t len, void *owner) {
    (void)link;
    struct upstream *u = owner;
    size_t seen = u->in.len;
    buf_append(&u->in, data, len);
    if (u->in.failed) {
        fail(u, 503, "out of memory");
        return;
    }
    if (u->refusal.status) {
        look_at_body(u, false);
        return;
    }
    while (look_at_head(u, seen))
        seen = 0;
}

static void on_head_end(struct link *link, enum link_end end, void *owner) {
    struct upstream *u = owner;
    char why[256];
    if (u->refusal.status) {
        look_at_body(u, true);
        return;
    }
    fail(u, 502, end == LINK_END_EOF ? "closed the connection instead of answering the handshake"
                                     : link_error_text(link, why, sizeof why));
}

static void on_head_drained(struct link *link, void *owner) {
    (void)link, (void)owner;
}

static size_t on_head_room(struct link *link, void *owner) {
    (void)link;
    const struct upstream *u = owner;
    size_t most = u->refusal.status ? REFUSAL_BODY_MAX : HTTP_HEAD_MAX + 1;
    return most > u->in.len ? most - u->in.len : 1;
}

static const struct link_events head_events = {
    .on_data = on_head_data, .on_room = on_head_room, .on_drained = on_head_drained, .on_end = on_head_end};

static void on_handshake_deadline(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct upstream *u = arg;
    metrics_inc(&u->endpoint.session->worker->metrics, METRIC_ERRORS_TIMEOUT);
    if (u->refusal.status)
        pass_refusal(u, NULL);
    else
        fail(u, 504, "did not answer the handshake in time");
}

/* ---- opening ---- */

static bool send_request(struct upstream *u) {
    struct session *s = u->endpoint.session;
    struct buf out = BUF_INIT;
    bool ok = upstream_request(s, u->route, u->key, &u->offered, &out) == MF_OK;
    const struct iovec iov = {out.data, out.len};
    ok = ok && link_write(u->link, &iov, 1) == MF_OK;
    buf_fini(&out);
    unsigned ms = u->route->config->handshake_timeout_ms;
    const struct timeval deadline = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    u->deadline = evtimer_new(s->worker->loop.base, on_handshake_deadline, u);
    return ok && u->deadline && event_add(u->deadline, &deadline) == 0;
}

static void on_dialled(void *owner, enum dial_result result, struct link *link, const char *why) {
    struct upstream *u = owner;
    struct session *s = u->endpoint.session;
    u->dial = NULL;
    if (result == DIAL_OK) {
        u->link = link;
        link_set_owner(link, &head_events, u);
        if (send_request(u))
            link_resume(link);
        else
            fail(u, 502, "the handshake could not be sent");
        return;
    }
    if (result == DIAL_TLS_FAILED)
        metrics_inc(&s->worker->metrics, METRIC_ERRORS_TLS);
    if (result == DIAL_TIMED_OUT)
        metrics_inc(&s->worker->metrics, METRIC_ERRORS_TIMEOUT);
    fail(u, result == DIAL_TIMED_OUT ? 504 : 502, why);
}

static void open_upstream(struct endpoint *e) {
    struct upstream *u = upstream_of(e);
    struct session *s = e->session;
    const struct route *r = u->route = u->route ? u->route : s->route;
    /* A proxy passes messages on as they come; a replay puts them together. */
    peer_init(&u->peer, s, LEG_UPSTREAM, u->events ? r->answer_limit : r->max_message_size);
    if (!u->events)
        u->events = &proxy_events;
    const struct dial_target target = {
        .host = r->url.host,
        .port = r->url.port,
        .tls = r->tls,
        .tls_config = &r->config->upstream_tls,
        .timeout_ms = r->config->connect_timeout_ms,
    };
    u->dial = dial_start(&s->worker->loop, s->worker->resolver, &target, on_dialled, u);
    if (!u->dial)
        fail(u, 503, "out of memory");
}

/* ---- the end ---- */

static void close_upstream(struct endpoint *e, unsigned code, const char *reason) {
    struct upstream *u = upstream_of(e);
    if (!u->peer.link)
        return;
    if (!u->peer.close_sent && code && !u->peer.out_left) {
        uint8_t payload[FRAME_CONTROL_MAX];
        size_t len = frame_close_payload(payload, code, reason, strlen(reason));
        peer_send_frame(&u->peer, WS_CLOSE, payload, len);
    }
    /* At fault, or in the middle of a frame that will never end: nothing more can be said to it. */
    if (!u->peer.close_sent || (e->session->by == END_BY_UPSTREAM && e->session->reason != END_CLOSED))
        peer_drop(&u->peer);
}

static bool takes_its_close(const struct endpoint *e, uint64_t patience_ms) {
    const struct upstream *u = container_of(e, const struct upstream, endpoint);
    return peer_takes_its_close(&u->peer, patience_ms);
}

static bool closed(const struct endpoint *e) {
    const struct upstream *u = container_of(e, const struct upstream, endpoint);
    return peer_closed(&u->peer);
}

static void drop(struct endpoint *e) {
    struct upstream *u = upstream_of(e);
    forget_opening(u);
    link_close(u->link, LINK_CLOSE_NOW);
    u->link = NULL;
    peer_drop(&u->peer);
}

const struct endpoint_type upstream_endpoint = {
    .name = "proxy",
    .size = sizeof(struct upstream),
    .open = open_upstream,
    .on_fragment = on_fragment,
    .flush = flush,
    .on_client_blocked = on_client_blocked,
    .on_recorder_ready = on_recorder_ready,
    .check = check,
    .close = close_upstream,
    .takes_its_close = takes_its_close,
    .closed = closed,
    .drop = drop,
};
