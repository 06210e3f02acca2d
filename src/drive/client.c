#include "drive/client.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "drive/inbound.h"
#include "protocol/handshake.h"

#define LOCATION_SHOWN 120u /* bytes of what a refusal says */
#define ASKS_SHOWN 60u
#define OUT_KEPT_MAX 16384u /* of the buffer in which frames are masked */

enum client_state {
    CLIENT_DIALLING,
    CLIENT_OPENING, /* our request is out */
    CLIENT_OPEN,
    CLIENT_CLOSING, /* our close frame is out */
    CLIENT_OVER,
};

struct client {
    enum client_state state;
    struct loop *loop;
    const struct client_events *events;
    void *owner;

    struct dial *dial;
    struct link *link;
    struct event *deadline; /* of the handshake, of a stall, of the closing handshake */
    unsigned timeout_ms;
    uint64_t begun_us;

    /* until it is open */
    struct buf request, head;
    struct headers offered;
    char key[WS_KEY_LEN];

    struct inbound in;
    struct buf out;
    uint8_t ping[FRAME_CONTROL_MAX]; /* to be answered once the socket takes more: the last one (section 5.5.3) */
    size_t ping_len;
    bool ping_waits;
};

static void client_destroy(void *object) {
    struct client *c = object;
    if (c->deadline)
        event_free(c->deadline);
    buf_fini(&c->request);
    buf_fini(&c->head);
    buf_fini(&c->out);
    headers_fini(&c->offered);
    inbound_fini(&c->in);
    free(c);
}

/* Nothing comes from it any more. */
static void leave(struct client *c, enum link_close_mode mode) {
    c->state = CLIENT_OVER;
    dial_cancel(c->dial);
    c->dial = NULL;
    link_close(c->link, mode);
    c->link = NULL;
    if (c->deadline)
        event_del(c->deadline);
}

static void end_with(struct client *c, enum link_close_mode mode, const struct client_end *end) {
    struct client_end told = *end;
    told.by_us = c->state == CLIENT_CLOSING;
    leave(c, mode);
    c->events->on_end(c, &told, c->owner);
}

static void end(struct client *c, enum client_end_kind kind, const char *why) {
    end_with(c, LINK_CLOSE_NOW, &(struct client_end){.kind = kind, .why = why, .reason = ""});
}

static void set_deadline(struct client *c, unsigned ms) {
    const struct timeval after = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    event_add(c->deadline, &after);
}

/* It may send without end, and yet not read: what is for it would wait as long. */
static void look_at_stall(struct client *c) {
    uint64_t since = link_blocked_since_ms(c->link);
    uint64_t stalled = since && c->loop->now_ms > since ? c->loop->now_ms - since : 0;
    if (since && stalled >= CLIENT_STALL_MS)
        end(c, CLIENT_LOST, "takes nothing that is sent to it");
    else if (since)
        set_deadline(c, (unsigned)(CLIENT_STALL_MS - stalled));
}

static void end_late(struct client *c) {
    char why[80];
    snprintf(why, sizeof why, "did not answer the handshake within %g s", c->timeout_ms / 1000.0);
    end(c, CLIENT_TIMED_OUT, why);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct client *c = arg;
    if (c->state == CLIENT_CLOSING)
        end(c, CLIENT_UNCLOSED, "did not answer the close frame");
    else if (c->state == CLIENT_OPEN)
        look_at_stall(c);
    else
        end_late(c);
}

/* ---- sending ---- */

static int write_frame(struct client *c, uint8_t opcode, bool fin, const void *data, size_t len) {
    buf_reset(&c->out);
    int rc = frame_write(&c->out, opcode, fin, 0, true, data, len);
    const struct iovec iov = {c->out.data, c->out.len};
    if (rc == MF_OK)
        rc = link_write(c->link, &iov, 1);
    if (c->state == CLIENT_OPEN && link_blocked(c->link) && !evtimer_pending(c->deadline, NULL))
        set_deadline(c, CLIENT_STALL_MS);
    if (c->out.cap > OUT_KEPT_MAX)
        buf_fini(&c->out);
    return rc;
}

int client_send(struct client *c, uint8_t opcode, bool fin, const void *data, size_t len) {
    MUST(opcode != WS_CLOSE);
    return c->state == CLIENT_OPEN ? write_frame(c, opcode, fin, data, len) : MF_ECLOSED;
}

bool client_blocked(const struct client *c) {
    return c->link && link_blocked(c->link);
}

void client_close(struct client *c, const void *payload, size_t len) {
    if (c->state != CLIENT_OPEN)
        return;
    /* A link that is broken tells so itself. */
    (void)!write_frame(c, WS_CLOSE, true, payload, len);
    c->state = CLIENT_CLOSING;
    set_deadline(c, CLIENT_CLOSE_MS);
}

/* A server that pings faster than it reads gets an answer to its last ping only. */
static void answer_ping(struct client *c, const uint8_t *data, size_t len) {
    if (c->state != CLIENT_OPEN)
        return;
    if (link_blocked(c->link)) {
        memcpy(c->ping, data, len);
        c->ping_len = len;
        c->ping_waits = true;
    } else {
        (void)!write_frame(c, WS_PONG, true, data, len);
    }
}

/* ---- frames ---- */

static void on_close_frame(struct client *c) {
    const struct inbound *in = &c->in;
    if (c->state == CLIENT_OPEN) { /* the same code comes back (section 5.5.1) */
        uint8_t payload[FRAME_CONTROL_MAX];
        size_t len = frame_close_payload(payload, in->code, "", 0);
        (void)!write_frame(c, WS_CLOSE, true, payload, len);
    }
    /* The server ends the TCP connection first (section 7.1.1). */
    end_with(c, LINK_CLOSE_WAIT,
             &(struct client_end){.kind = CLIENT_CLOSED,
                                  .code = in->code,
                                  .reason = in->reason,
                                  .reason_len = in->reason_len,
                                  .why = "closed by the server"});
}

static void on_broken(struct client *c) {
    const struct inbound *in = &c->in;
    if (c->state == CLIENT_OPEN) {
        uint8_t payload[FRAME_CONTROL_MAX];
        size_t len = frame_close_payload(payload, in->code, in->why, strlen(in->why));
        (void)!write_frame(c, WS_CLOSE, true, payload, len);
    }
    end_with(c, LINK_CLOSE_FINISH,
             &(struct client_end){.kind = in->code == WS_CLOSE_INTERNAL ? CLIENT_NO_MEMORY : CLIENT_BROKEN,
                                  .code = in->code,
                                  .reason = "",
                                  .why = in->why});
}

static void take_frames(struct client *c, const uint8_t *data, size_t len) {
    /* A callback may free the client: it is buried then, and still there. */
    while (c->state != CLIENT_OVER) {
        switch (inbound_next(&c->in, &data, &len)) {
        case INBOUND_MORE:
            return;
        case INBOUND_MESSAGE:
            c->events->on_message(c, c->in.binary, c->in.message.data, c->in.message.len, c->owner);
            break;
        case INBOUND_PING:
            answer_ping(c, c->in.control, c->in.control_len);
            break;
        case INBOUND_PONG:
            break;
        case INBOUND_CLOSE:
            on_close_frame(c);
            return;
        case INBOUND_FAILED:
            on_broken(c);
            return;
        }
    }
}

static void on_data(struct link *link, uint8_t *data, size_t len, void *owner) {
    (void)link;
    take_frames(owner, data, len);
}

static void on_drained(struct link *link, void *owner) {
    (void)link;
    struct client *c = owner;
    if (c->ping_waits) {
        c->ping_waits = false;
        answer_ping(c, c->ping, c->ping_len);
    }
    if (c->state == CLIENT_OPEN)
        c->events->on_drained(c, c->owner);
}

static void on_link_end(struct link *link, enum link_end how, void *owner) {
    char why[256], text[320];
    snprintf(text, sizeof text, "broke off the connection: %s", link_error_text(link, why, sizeof why));
    end(owner, CLIENT_LOST, how == LINK_END_EOF ? "ended the connection without a close frame" : text);
}

static const struct link_events frame_events = {.on_data = on_data, .on_drained = on_drained, .on_end = on_link_end};

/* ---- the opening handshake ---- */

static void open_frames(struct client *c, const struct http_head *answer, size_t head_size) {
    struct buf rest = c->head;
    c->head = (struct buf)BUF_INIT;
    c->state = CLIENT_OPEN;
    event_del(c->deadline);
    link_set_owner(c->link, &frame_events, c);
    c->events->on_open(c, answer, c->owner);
    /* Frames may have come with the 101. */
    take_frames(c, rest.data + head_size, rest.len - head_size);
    buf_fini(&rest);
}

/* What was answered in place of a 101, and what to do about it. */
static void describe_refusal(const struct http_head *answer, char *out, size_t size) {
    const char *meaning = http_status_text(answer->status), *location = headers_get(&answer->headers, "Location"),
               *asks = headers_get(&answer->headers, "WWW-Authenticate");
    char more[224] = "";
    if (answer->status >= 300 && answer->status < 400 && location)
        snprintf(more, sizeof more, ", to %s: redirects are not followed, give that as the target",
                 log_quote_n(location, strnlen(location, LOCATION_SHOWN)));
    else if (answer->status == 401)
        snprintf(more, sizeof more, "%s%s: --header \"Authorization: VALUE\" gives what a recording does not have",
                 asks ? ", asking for " : "", asks ? log_quote_n(asks, strnlen(asks, ASKS_SHOWN)) : "");
    snprintf(out, size, "refused the handshake with status %d%s%s%s", answer->status, *meaning ? " " : "", meaning,
             more);
}

static void take_answer(struct client *c, const struct http_head *answer, size_t head_size) {
    const char *why = "";
    char text[320];
    if (answer->status != 101) {
        describe_refusal(answer, text, sizeof text);
        end_with(c, LINK_CLOSE_NOW,
                 &(struct client_end){.kind = CLIENT_REFUSED, .status = answer->status, .why = text, .reason = ""});
    } else if (ws_response_check(answer, c->key, &c->offered, &why) < 0) {
        snprintf(text, sizeof text, "broke the handshake: %s", why);
        end(c, CLIENT_BAD_ANSWER, text);
    } else {
        open_frames(c, answer, head_size);
    }
}

/* true: it was an interim answer (100, 103: RFC 9110 section 15.2), and the next head may be there. */
static bool look_at_head(struct client *c, size_t seen) {
    int size = http_head_end((const char *)c->head.data, c->head.len, seen);
    if (size == 0)
        return false;
    struct http_head answer = {0};
    const char *why = "its answer is too long or not HTTP";
    bool good = size > 0 && http_response_parse(&answer, (const char *)c->head.data, (size_t)size, &why) == MF_OK;
    bool interim = good && answer.status < 200 && answer.status != 101;
    char text[160];
    snprintf(text, sizeof text, "did not answer with HTTP: %s", why);
    if (interim)
        buf_consume(&c->head, (size_t)size);
    else if (good)
        take_answer(c, &answer, (size_t)size);
    else
        end(c, CLIENT_BAD_ANSWER, text);
    http_head_fini(&answer);
    return interim;
}

static void on_head_data(struct link *link, uint8_t *data, size_t len, void *owner) {
    (void)link;
    struct client *c = owner;
    size_t seen = c->head.len;
    buf_append(&c->head, data, len);
    if (c->head.failed) {
        end(c, CLIENT_NO_MEMORY, "out of memory");
        return;
    }
    while (look_at_head(c, seen))
        seen = 0;
}

static size_t on_head_room(struct link *link, void *owner) {
    (void)link;
    const struct client *c = owner;
    return HTTP_HEAD_MAX + 1 > c->head.len ? HTTP_HEAD_MAX + 1 - c->head.len : 1;
}

static void on_head_end(struct link *link, enum link_end how, void *owner) {
    char why[256], text[320];
    snprintf(text, sizeof text, "broke off the connection instead of answering the handshake: %s",
             link_error_text(link, why, sizeof why));
    end(owner, CLIENT_BAD_ANSWER,
        how == LINK_END_EOF ? "closed the connection instead of answering the handshake" : text);
}

static void on_head_drained(struct link *link, void *owner) {
    (void)link, (void)owner;
}

static const struct link_events head_events = {
    .on_data = on_head_data, .on_room = on_head_room, .on_drained = on_head_drained, .on_end = on_head_end};

/* ---- dialling ---- */

static enum client_end_kind dial_failure(enum dial_result result) {
    switch (result) {
    case DIAL_RESOLVE_FAILED:
        return CLIENT_RESOLVE_FAILED;
    case DIAL_TLS_FAILED:
        return CLIENT_TLS_FAILED;
    case DIAL_TIMED_OUT:
        return CLIENT_TIMED_OUT;
    case DIAL_OK:
    case DIAL_CONNECT_FAILED:
        break;
    }
    return CLIENT_CONNECT_FAILED;
}

static void on_dialled(void *owner, enum dial_result result, struct link *link, const char *why) {
    struct client *c = owner;
    c->dial = NULL;
    if (result != DIAL_OK) {
        end(c, dial_failure(result), why);
        return;
    }
    c->link = link;
    c->state = CLIENT_OPENING;
    link_set_owner(link, &head_events, c);
    const struct iovec iov = {c->request.data, c->request.len};
    int rc = link_write(link, &iov, 1);
    buf_fini(&c->request);
    if (rc < 0) {
        end(c, CLIENT_CONNECT_FAILED, "the connection broke before the handshake");
        return;
    }
    uint64_t gone_ms = (clock_mono_us() - c->begun_us) / 1000;
    set_deadline(c, gone_ms < c->timeout_ms ? c->timeout_ms - (unsigned)gone_ms : 1);
    link_resume(link);
}

int client_open(struct loop *loop, struct resolver *resolver, const struct client_options *options,
                const struct client_events *events, void *owner, struct client **out) {
    struct client *c = calloc(1, sizeof *c);
    if (!c)
        return MF_ENOMEM;
    *c = (struct client){.loop = loop,
                         .events = events,
                         .owner = owner,
                         .timeout_ms = options->target.timeout_ms,
                         .begun_us = clock_mono_us()};
    inbound_init(&c->in, CLIENT_MESSAGE_MAX, options->large_bytes);
    ws_request_write(&c->request, options->host, options->path, ws_key(c->key), options->fields);
    c->deadline = evtimer_new(loop->base, on_deadline, c);
    if (!c->request.failed && c->deadline && headers_copy(&c->offered, options->fields) == MF_OK)
        c->dial = dial_start(loop, resolver, &options->target, on_dialled, c);
    if (!c->dial) {
        client_destroy(c);
        return MF_ENOMEM;
    }
    *out = c;
    return MF_OK;
}

/* ---- the end ---- */

void client_drop(struct client *c) {
    if (c->state != CLIENT_OVER)
        leave(c, LINK_CLOSE_NOW);
}

void client_free(struct client *c) {
    if (!c)
        return;
    client_drop(c);
    loop_bury(c->loop, c, client_destroy);
}
