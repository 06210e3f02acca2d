#include "drive/opening.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "drive/driver.h"
#include "protocol/handshake.h"
#include "protocol/http_head.h"
#include "recording/redact.h"

#define PROTOCOL_FIELD "Sec-WebSocket-Protocol"
#define HANDSHAKE_PREFIX "Sec-WebSocket-"

static bool is_redacted(const char *text, size_t len) {
    static const char *const marks[] = {REDACTED, "%5Bredacted%5D", "%5bredacted%5d"};
    for (size_t i = 0; i < ARRAY_LEN(marks); i++)
        if (memmem(text, len, marks[i], strlen(marks[i])))
            return true;
    return false;
}

static bool is_noted(const struct buf *left_out, const void *item, size_t len) {
    const uint8_t *end = left_out->data + left_out->len;
    for (const uint8_t *p = left_out->data; p < end;) {
        const uint8_t *comma = memmem(p, (size_t)(end - p), ", ", 2);
        size_t n = (size_t)((comma ? comma : end) - p);
        if (n == len && !memcmp(p, item, len))
            return true;
        p += n + 2;
    }
    return false;
}

/* Once, however many connections have it. */
static void note(struct buf *left_out, const char *name, size_t len, const char *where) {
    struct buf item = BUF_INIT;
    buf_append(&item, name, len);
    buf_puts(&item, where);
    if (!left_out->len || !is_noted(left_out, item.data, item.len)) {
        buf_puts(left_out, left_out->len ? ", " : "");
        buf_append(left_out, item.data, item.len);
    }
    left_out->failed |= item.failed;
    buf_fini(&item);
}

/* A recording that was not made by us may hold what no request line can: it is escaped. */
static void append_escaped(struct buf *out, const char *text, size_t len) {
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= ' ' || c >= 0x7f || c == '#')
            buf_printf(out, "%%%02X", c);
        else
            buf_putc(out, (char)c);
    }
}

static void append_recorded_query(struct buf *out, const char *query, struct buf *left_out) {
    char gap = '?';
    while (*query) {
        size_t len = strcspn(query, "&");
        if (is_redacted(query, len)) {
            note(left_out, query, MIN(strcspn(query, "="), len), " (query)");
        } else if (len) {
            buf_putc(out, gap);
            append_escaped(out, query, len);
            gap = '&';
        }
        query += len + (query[len] == '&');
    }
}

static int build_path(struct opening *o, const struct url *target, const struct replay_connection *recorded,
                      struct buf *left_out) {
    struct buf out = BUF_INIT;
    bool own = strcmp(target->path, "/") != 0 || !recorded->path;
    const char *path = own ? target->path : recorded->path;
    if (*path != '/')
        buf_putc(&out, '/');
    append_escaped(&out, path, strlen(path));
    if (target->query)
        buf_printf(&out, "?%s", target->query);
    else if (recorded->query)
        append_recorded_query(&out, recorded->query, left_out);
    o->path = buf_steal(&out);
    return o->path ? MF_OK : MF_ENOMEM;
}

/* Everything end to end, and which subprotocols were offered; the rest of the handshake is made anew. */
static bool is_carried(const struct headers *all, const char *name) {
    if (!strcasecmp(name, PROTOCOL_FIELD))
        return true;
    return !ws_is_hop_header(all, name) && strncasecmp(name, HANDSHAKE_PREFIX, strlen(HANDSHAKE_PREFIX)) != 0;
}

static int add_recorded(struct headers *fields, const struct replay_connection *recorded, const struct headers *extra,
                        struct buf *left_out) {
    const struct headers *all = &recorded->request_headers;
    int rc = MF_OK;
    for (size_t i = 0; rc == MF_OK && i < all->count; i++) {
        const char *name = all->items[i].name, *value = all->items[i].value;
        bool sound = http_name_is_valid(name, strlen(name)) && http_value_is_valid(value, strlen(value));
        if (!sound || !is_carried(all, name) || (extra && headers_count(extra, name)))
            continue;
        if (is_redacted(value, strlen(value)))
            note(left_out, name, strlen(name), "");
        else
            rc = headers_add(fields, name, value);
    }
    if (rc == MF_OK && recorded->subprotocol && !headers_count(fields, PROTOCOL_FIELD) &&
        !(extra && headers_count(extra, PROTOCOL_FIELD)))
        rc = headers_add(fields, PROTOCOL_FIELD, recorded->subprotocol);
    return rc;
}

static int add_extra(struct headers *fields, const struct headers *extra) {
    int rc = MF_OK;
    for (size_t i = 0; extra && rc == MF_OK && i < extra->count; i++)
        if (strcasecmp(extra->items[i].name, "Host") != 0)
            rc = headers_add(fields, extra->items[i].name, extra->items[i].value);
    return rc;
}

int opening_build(struct opening *o, const struct url *target, const struct replay_connection *recorded,
                  const struct headers *extra, struct buf *left_out) {
    *o = (struct opening){0};
    const char *host = extra ? headers_get(extra, "Host") : NULL;
    o->host = host ? strdup(host) : url_authority(target);
    int rc = o->host ? build_path(o, target, recorded, left_out) : MF_ENOMEM;
    if (rc == MF_OK)
        rc = add_recorded(&o->fields, recorded, extra, left_out);
    if (rc == MF_OK)
        rc = add_extra(&o->fields, extra);
    return rc == MF_OK && left_out->failed ? MF_ENOMEM : rc;
}

void opening_fini(struct opening *o) {
    free(o->host);
    free(o->path);
    headers_fini(&o->fields);
    *o = (struct opening){0};
}

bool drive_header_allowed(const char *name) {
    static const struct headers none = {0};
    return !strcasecmp(name, "Host") || is_carried(&none, name);
}
