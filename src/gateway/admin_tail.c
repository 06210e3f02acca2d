#include "gateway/admin_tail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define CHUNK_BYTES (32u << 10)
#define PENDING_MAX (128u << 10) /* what the socket has not taken; then the tap's buffer fills */
#define CHUNKS_A_TURN 16u        /* others on this loop have their turn */

struct admin_tail {
    struct list item;
    struct loop *loop;
    struct link *link; /* NULL: closed */
    struct tap *tap;
    struct event *event; /* of the tap */
    bool chunked;
    struct buf lines, chunk;
};

/* ---- the request ---- */

static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* Appends what stands for a query's value, and a NUL; false where a % has no two digits, or for a NUL. */
static bool decode(struct buf *out, const char *text, size_t len) {
    for (size_t i = 0; i < len; i++) {
        int c = (unsigned char)text[i];
        if (c == '%') {
            int high = i + 2 < len ? hex_digit(text[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
            c = low >= 0 ? high << 4 | low : 0;
            i += 2;
        }
        if (c == 0)
            return false;
        buf_putc(out, (char)(c == '+' && text[i] == '+' ? ' ' : c));
    }
    buf_putc(out, '\0');
    return !out->failed;
}

static bool take_direction(struct tap_options *o, const char *value) {
    o->has_direction = true;
    return event_direction_named(value, &o->direction);
}

static bool take_parameter(struct tap_options *o, const char *name, const char *value) {
    if (!strcmp(name, "connection"))
        o->connection = value;
    else if (!strcmp(name, "path"))
        o->path = value;
    else
        return !strcmp(name, "direction") && take_direction(o, value);
    return true;
}

bool admin_tail_options(const struct http_head *request, struct tap_options *options, struct buf *space, char *why,
                        size_t why_size) {
    const char *query = request->query ? request->query : "";
    *options = (struct tap_options){0};
    /* Texts are pointed to: the buffer must not move. */
    if (buf_reserve(space, 2 * strlen(query) + 2) < 0) {
        snprintf(why, why_size, "out of memory");
        return false;
    }
    while (*query) {
        size_t len = strcspn(query, "&"), name_len = strcspn(query, "=&");
        size_t name = space->len;
        bool good = decode(space, query, name_len);
        size_t value = space->len;
        good = good && decode(space, query + MIN(name_len + 1, len), len - MIN(name_len + 1, len));
        if (len &&
            (!good || !take_parameter(options, (const char *)space->data + name, (const char *)space->data + value))) {
            snprintf(why, why_size,
                     "expected ?connection=NAME, path=GLOB, direction=incoming or direction=outgoing, joined by &");
            return false;
        }
        query += len + (query[len] == '&');
    }
    return true;
}

/* ---- the answer ---- */

void admin_tail_head(struct buf *out, bool chunked) {
    buf_printf(out,
               "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n%sCache-Control: no-store\r\n"
               "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
               chunked ? "Transfer-Encoding: chunked\r\n" : "");
}

void admin_tail_chunk(struct buf *out, bool chunked, const struct buf *text) {
    if (!text->len)
        return;
    if (chunked)
        buf_printf(out, "%zx\r\n", text->len);
    buf_append(out, text->data, text->len);
    if (chunked)
        buf_puts(out, "\r\n");
}

/* ---- an open one ---- */

static void tail_free(void *object) {
    struct admin_tail *t = object;
    buf_fini(&t->lines);
    buf_fini(&t->chunk);
    free(t);
}

static void tail_close(struct admin_tail *t, enum link_close_mode mode) {
    if (!t->link)
        return;
    list_remove(&t->item);
    event_free(t->event);
    tap_free(t->tap);
    link_close(t->link, mode);
    t->link = NULL;
    loop_bury(t->loop, t, tail_free);
}

static void tail_send(struct admin_tail *t, const struct buf *text) {
    buf_reset(&t->chunk);
    admin_tail_chunk(&t->chunk, t->chunked, text);
    const struct iovec iov = {t->chunk.data, t->chunk.len};
    if (t->chunk.failed || text->failed || (iov.iov_len && link_write(t->link, &iov, 1) < 0))
        tail_close(t, LINK_CLOSE_NOW);
}

static void pump(struct admin_tail *t) {
    bool more = true;
    for (unsigned i = 0; more && i < CHUNKS_A_TURN && t->link && link_pending(t->link) < PENDING_MAX; i++) {
        buf_reset(&t->lines);
        more = tap_take(t->tap, &t->lines, CHUNK_BYTES);
        tail_send(t, &t->lines);
    }
    if (!t->link)
        return;
    /* The descriptor stays readable until all was taken: nothing to hear of it while the peer is slow. */
    if (link_pending(t->link) >= PENDING_MAX)
        event_del(t->event);
    else
        event_add(t->event, NULL);
}

static void on_lines(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    pump(arg);
}

static void on_data(struct link *link, uint8_t *data, size_t len, void *owner) {
    (void)link, (void)data, (void)len, (void)owner; /* it has asked already */
}

static void on_drained(struct link *link, void *owner) {
    (void)link;
    pump(owner);
}

static void on_end(struct link *link, enum link_end end, void *owner) {
    (void)link, (void)end;
    tail_close(owner, LINK_CLOSE_NOW);
}

static const struct link_events events = {.on_data = on_data, .on_drained = on_drained, .on_end = on_end};

int admin_tail_start(struct loop *loop, struct list *list, struct link *link, struct tap *tap, bool chunked) {
    struct admin_tail *t = calloc(1, sizeof *t);
    struct event *event = t ? event_new(loop->base, tap_fd(tap), EV_READ | EV_PERSIST, on_lines, t) : NULL;
    if (!event || event_add(event, NULL) < 0) {
        if (event)
            event_free(event);
        free(t);
        tap_free(tap);
        link_close(link, LINK_CLOSE_NOW);
        return MF_ENOMEM;
    }
    t->loop = loop;
    t->link = link;
    t->tap = tap;
    t->event = event;
    t->chunked = chunked;
    list_append(list, &t->item);
    link_set_owner(link, &events, t);
    return MF_OK;
}

void admin_tails_check(struct list *list) {
    LIST_EACH_SAFE(list, it) {
        struct admin_tail *t = container_of(it, struct admin_tail, item);
        uint64_t since_ms = link_blocked_since_ms(t->link);
        if (!since_ms || t->loop->now_ms - since_ms < ADMIN_TAIL_STALLED_MS)
            continue;
        LOG_LIMITED(LOG_WARN, "tail_stalled", "after_ms=%u", ADMIN_TAIL_STALLED_MS);
        tail_close(t, LINK_CLOSE_NOW);
    }
}

void admin_tails_end(struct list *list) {
    static const char last[] = "0\r\n\r\n";
    LIST_EACH_SAFE(list, it) {
        struct admin_tail *t = container_of(it, struct admin_tail, item);
        const struct iovec iov = {(void *)(uintptr_t)last, sizeof last - 1};
        pump(t);
        if (t->link && t->chunked && link_write(t->link, &iov, 1) < 0)
            tail_close(t, LINK_CLOSE_NOW);
        tail_close(t, LINK_CLOSE_FINISH);
    }
}
