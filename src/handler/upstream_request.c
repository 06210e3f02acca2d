#include "handler/upstream_request.h"

#include <string.h>
#include <strings.h>

/* A rendered value may hold what a client chose ({{header.x}}, {{query.x}}): no second field comes out of it. */
static void clean(struct buf *value) {
    for (size_t i = 0; i < value->len; i++)
        if (value->data[i] < 0x20 || value->data[i] == 0x7f)
            value->data[i] = ' ';
}

static int set_templated(struct session *s, const struct route *r, struct headers *fields, struct buf *host) {
    const struct template_context ctx = {.connection = &s->connection,
                                         .rng = &s->worker->rng,
                                         .connection_count = atomic_load(&s->worker->shared->open)};
    struct buf value = BUF_INIT;
    int rc = MF_OK;
    for (size_t i = 0; rc == MF_OK && i < r->config->headers_count; i++) {
        const char *name = r->config->headers[i].name;
        buf_reset(&value);
        rc = template_render(r->header_values[i], &ctx, &value);
        if (rc < 0)
            break;
        clean(&value);
        if (!strcasecmp(name, "Host")) {
            buf_reset(host);
            buf_append(host, value.data, value.len);
        } else {
            rc = headers_set(fields, name, buf_cstr(&value));
        }
    }
    buf_fini(&value);
    return rc;
}

/* The upstream's path, then what "**" stood for; both queries. A client whose URL has no path asks for "/", which adds
 * nothing; in "/socket.io/" the last slash is the path's own. */
static void append_target(const struct session *s, const struct route *r, struct buf *out) {
    const struct url *url = &r->url;
    const char *suffix = strcmp(s->connection.path, "/") ? s->path_suffix : "";
    size_t base = strlen(url->path);
    if (*suffix && base && url->path[base - 1] == '/')
        base--;
    buf_append(out, url->path, base);
    buf_puts(out, suffix);
    if (url->query)
        buf_printf(out, "?%s", url->query);
    if (s->connection.query)
        buf_printf(out, "%c%s", url->query ? '&' : '?', s->connection.query);
}

/* A client that has its 101 already has its subprotocol too: no other is offered. */
static int keep_to_subprotocol(const struct session *s, struct headers *fields) {
    if (s->state != SESSION_OPEN)
        return MF_OK;
    if (s->connection.subprotocol)
        return headers_set(fields, "Sec-WebSocket-Protocol", s->connection.subprotocol);
    headers_remove(fields, "Sec-WebSocket-Protocol");
    return MF_OK;
}

int upstream_request(struct session *s, const struct route *r, char key[WS_KEY_LEN], struct headers *fields,
                     struct buf *out) {
    const struct headers *from = &s->connection.headers;
    for (size_t i = 0; i < from->count; i++)
        if (!ws_is_hop_header(from, from->items[i].name) &&
            headers_add(fields, from->items[i].name, from->items[i].value) < 0)
            return MF_ENOMEM;
    struct buf host = BUF_INIT, target = BUF_INIT;
    buf_puts(&host, r->authority);
    int rc = keep_to_subprotocol(s, fields);
    if (rc == MF_OK)
        rc = set_templated(s, r, fields, &host);
    if (rc == MF_OK) {
        append_target(s, r, &target);
        ws_request_write(out, buf_cstr(&host), buf_cstr(&target), ws_key(key), fields);
        rc = out->failed || host.failed || target.failed ? MF_ENOMEM : MF_OK;
    }
    buf_fini(&host);
    buf_fini(&target);
    return rc;
}

int upstream_response_fields(struct headers *out, const struct headers *from) {
    for (size_t i = 0; i < from->count; i++) {
        const char *name = from->items[i].name;
        if (!ws_is_hop_header(from, name) && strcasecmp(name, "Sec-WebSocket-Protocol") &&
            headers_add(out, name, from->items[i].value) < 0)
            return MF_ENOMEM;
    }
    return MF_OK;
}
