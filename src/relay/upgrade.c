/* From an accepted socket to an open session: the request head, the route, the endpoint, the 101 or a refusal. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "protocol/handshake.h"
#include "relay/session.h"

/* ---- answers ---- */

static void count_refusal(struct session *s, int status, const char *why) {
    metrics_inc(&s->worker->metrics, METRIC_CONNECTIONS_REJECTED);
    if (status == 400 || status == 414 || status == 431)
        metrics_inc(&s->worker->metrics, METRIC_ERRORS_PARSE);
    if (s->state == SESSION_OPENING) /* an upstream's failure has its own line already */
        return;
    LOG_LIMITED(LOG_INFO, "session_refused", "connection=%s remote=%s status=%d path=%s why=%s", s->connection.id,
                s->connection.remote_addr, status, log_quote(s->connection.path), log_quote(why));
}

static void write_refusal(const struct session *s, struct buf *out, int status, const char *why,
                          const struct headers *fields, const void *body, size_t body_len) {
    buf_printf(out, "HTTP/1.1 %d %s\r\n", status, http_status_text(status));
    for (size_t i = 0; fields && i < fields->count; i++)
        if (!ws_is_hop_header(fields, fields->items[i].name))
            buf_printf(out, "%s: %s\r\n", fields->items[i].name, fields->items[i].value);
    if (!body && why[0])
        buf_puts(out, "Content-Type: text/plain; charset=utf-8\r\n");
    if (status == 405 && !fields) /* RFC 9110 section 15.5.6 */
        buf_puts(out, "Allow: GET\r\n");
    if (status == 426) /* RFC 9110 section 15.5.22, RFC 6455 section 4.4 */
        buf_puts(out, "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
    buf_printf(out, "Content-Length: %zu\r\nConnection: close%s\r\n\r\n", body ? body_len : strlen(why) + 1,
               status == 426 ? ", Upgrade" : "");
    if (s->asked_with_head) /* RFC 9110 section 9.3.2 */
        return;
    if (body)
        buf_append(out, body, body_len);
    else
        buf_printf(out, "%s\n", why);
}

void session_refuse(struct session *s, int status, const char *why, const struct headers *fields, const void *body,
                    size_t body_len) {
    if (s->state != SESSION_HEAD && s->state != SESSION_OPENING)
        return;
    count_refusal(s, status, why);
    struct link *link = s->client.link;
    if (link) {
        struct buf out = BUF_INIT;
        write_refusal(s, &out, status, why, fields, body, body_len);
        const struct iovec iov = {out.data, out.len};
        bool sent = !out.failed && link_write(link, &iov, 1) == MF_OK;
        s->client.link = NULL;
        link_close(link, sent ? LINK_CLOSE_FINISH : LINK_CLOSE_NOW);
        buf_fini(&out);
    }
    session_end(s, END_REFUSED, END_BY_GATEWAY, why);
}

static const struct stage_type to_client_sink, to_endpoint_sink;

static int build_chains(struct session *s) {
    s->sinks[FROM_CLIENT] = (struct stage){.type = &to_endpoint_sink, .session = s};
    s->sinks[TO_CLIENT] = (struct stage){.type = &to_client_sink, .session = s};
    s->chains[FROM_CLIENT] = &s->sinks[FROM_CLIENT];
    s->chains[TO_CLIENT] = s->client_door = &s->sinks[TO_CLIENT];
    return s->worker->build_chains(s);
}

static void sink_to_client(struct stage *stage, struct fragment *f) {
    peer_send(&stage->session->client, f);
}

static void sink_to_endpoint(struct stage *stage, struct fragment *f) {
    struct session *s = stage->session;
    if (s->state == SESSION_OPEN || s->reason == END_CLOSED) /* else the gateway has closed both sides */
        s->endpoint->type->on_fragment(s->endpoint, f);
}

static const struct stage_type to_client_sink = {.name = "client", .on_fragment = sink_to_client};
static const struct stage_type to_endpoint_sink = {.name = "endpoint", .on_fragment = sink_to_endpoint};

/* What came behind the head, before anybody could read it. */
static void feed_early(struct session *s) {
    struct buf early = s->head;
    s->head = (struct buf)BUF_INIT;
    worker_begin_burst(s->worker);
    peer_feed(&s->client, early.data, early.len);
    session_flush(s);
    buf_fini(&early);
}

void session_accept(struct session *s, const char *subprotocol, const struct headers *fields) {
    if (s->state != SESSION_OPENING)
        return;
    struct buf out = BUF_INIT;
    ws_response_write(&out, s->handshake_key, subprotocol, fields);
    const struct iovec iov = {out.data, out.len};
    free(s->handshake_key);
    s->handshake_key = NULL;
    s->connection.subprotocol = subprotocol ? strdup(subprotocol) : NULL;
    s->response_fields = fields;
    bool ok = !out.failed && (!subprotocol || s->connection.subprotocol) && build_chains(s) == MF_OK;
    s->response_fields = NULL;
    int rc = ok ? link_write(s->client.link, &iov, 1) : MF_ENOMEM;
    buf_fini(&out);
    if (rc < 0) {
        session_end(s, ok ? END_GONE : END_NO_MEMORY, ok ? END_BY_CLIENT : END_BY_GATEWAY, "no 101 could be sent");
        return;
    }
    session_set_state(s, SESSION_OPEN, s->worker->loop.now_ms + SESSION_CHECK_MS);
    link_set_owner(s->client.link, &session_link_events, s);
    const char *shown = s->route->redactor ? redact_subprotocol(s->route->redactor, subprotocol) : subprotocol;
    log_info("session_open", "connection=%s remote=%s path=%s route=%s handler=%s subprotocol=%s", s->connection.id,
             s->connection.remote_addr, log_quote(s->connection.path), log_quote(s->route->config->path),
             s->route->endpoint->name, log_quote(shown));
    if (s->route->endpoint->on_open)
        s->route->endpoint->on_open(s->endpoint);
    feed_early(s);
    peer_hold(&s->client, HOLD_OPENING, false);
}

/* ---- the request ---- */

static int take_request(struct session *s, struct http_head *h) {
    s->connection.path = h->path;
    s->connection.query = h->query;
    s->connection.headers = h->headers;
    h->path = h->query = NULL;
    h->headers = (struct headers){0};
    const char *key = headers_get(&s->connection.headers, "Sec-WebSocket-Key");
    s->handshake_key = key ? strdup(key) : NULL;
    return s->handshake_key ? MF_OK : MF_ENOMEM;
}

/* Room under max_connections is taken before the upstream is dialled, so that opening sessions count too. */
static bool count_in(struct session *s) {
    struct shared *shared = s->worker->shared;
    if (atomic_fetch_add(&shared->open, 1) >= s->plan->config->websocket.max_connections) {
        atomic_fetch_sub(&shared->open, 1);
        return false;
    }
    s->counted = true;
    metrics_inc(&s->worker->metrics, METRIC_CONNECTIONS_ACTIVE);
    metrics_inc(&s->worker->metrics, METRIC_CONNECTIONS_TOTAL);
    return true;
}

static void open_endpoint(struct session *s) {
    const struct endpoint_type *type = s->route->endpoint;
    s->client.max_message_size = s->route->max_message_size;
    session_set_state(s, SESSION_OPENING, 0);
    s->endpoint = calloc(1, type->size);
    if (!s->endpoint) {
        session_refuse(s, 503, "out of memory", NULL, NULL, 0);
        return;
    }
    s->endpoint->type = type;
    s->endpoint->session = s;
    type->open(s->endpoint);
}

static void handle_request(struct session *s, struct http_head *h) {
    const char *why = "";
    s->plan = plan_ref(s->worker->plan);
    s->chunks = chunk_set_ref(s->worker->chunks);
    s->route = plan_find(s->plan, h->path, &s->path_suffix);
    int status = s->route ? ws_request_check(h, &why) : 404;
    size_t suffix_at = s->route ? (size_t)(s->path_suffix - h->path) : 0;
    if (status) {
        s->connection.path = h->path; /* for the log */
        h->path = NULL;
        session_refuse(s, status, s->route ? why : "no WebSocket route has this path", NULL, NULL, 0);
    } else if (take_request(s, h) < 0) {
        session_refuse(s, 503, "out of memory", NULL, NULL, 0);
    } else if (s->worker->stopping) {
        session_refuse(s, 503, "the gateway is stopping", NULL, NULL, 0);
    } else if (!count_in(s)) {
        session_refuse(s, 503, "max_connections is reached", NULL, NULL, 0);
    } else {
        s->path_suffix = s->connection.path + suffix_at;
        open_endpoint(s);
    }
}

static void on_data(struct link *link, uint8_t *data, size_t len, void *owner) {
    (void)link;
    struct session *s = owner;
    if (s->state != SESSION_HEAD && s->state != SESSION_OPENING)
        return;
    size_t seen = s->head.len;
    buf_append(&s->head, data, len);
    if (s->state == SESSION_OPENING) { /* read on all the same: only so is it seen when the client leaves */
        if (s->head.failed)
            session_refuse(s, 503, "out of memory", NULL, NULL, 0);
        else if (s->head.len >= HTTP_HEAD_MAX)
            peer_hold(&s->client, HOLD_OPENING, true);
        return;
    }
    int size = s->head.failed ? -503 : http_head_end((const char *)s->head.data, s->head.len, seen);
    if (size == 0)
        return;
    if (size < 0) {
        session_refuse(s, -size, "malformed or oversized request head", NULL, NULL, 0);
        return;
    }
    struct http_head h = {0};
    const char *why = "out of memory";
    int rc = http_request_parse(&h, (const char *)s->head.data, (size_t)size, &why);
    s->asked_with_head = h.method && !strcmp(h.method, "HEAD");
    if (rc == MF_OK) {
        buf_consume(&s->head, (size_t)size);
        if (s->head.len == 0)
            buf_fini(&s->head);
        handle_request(s, &h);
    } else {
        session_refuse(s, rc == MF_ENOMEM ? 503 : -rc, why, NULL, NULL, 0);
    }
    http_head_fini(&h);
}

/* A head, and a few frames of a client that does not wait for its 101; the rest stays in the socket. */
static size_t on_room(struct link *link, void *owner) {
    (void)link;
    const struct session *s = owner;
    return HTTP_HEAD_MAX + 1 > s->head.len ? HTTP_HEAD_MAX + 1 - s->head.len : 1;
}

static void on_drained(struct link *link, void *owner) {
    (void)link, (void)owner;
}

static void on_end(struct link *link, enum link_end end, void *owner) {
    struct session *s = owner;
    if (end == LINK_END_ERROR && link_is_tls(link) && s->state == SESSION_HEAD && !s->head.len) {
        char why[256];
        metrics_inc(&s->worker->metrics, METRIC_ERRORS_TLS);
        LOG_LIMITED(LOG_INFO, "tls_failed", "connection=%s remote=%s why=%s", s->connection.id,
                    s->connection.remote_addr, log_quote(link_error_text(link, why, sizeof why)));
    }
    peer_drop(&s->client);
    session_end(s, END_REFUSED, END_BY_CLIENT, "the client left before its session was open");
}

const struct link_events upgrade_link_events = {
    .on_data = on_data, .on_room = on_room, .on_drained = on_drained, .on_end = on_end};
