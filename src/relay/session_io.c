/* What travels through a session: fragments through the chains, output in bursts, back-pressure. */
#include <string.h>

#include "base/log.h"
#include "protocol/mask.h"
#include "relay/session.h"

/* ---- inwards ---- */

static void note_close(struct session *s, struct peer *from) {
    if (s->state == SESSION_OPEN) {
        s->reason = END_CLOSED;
        s->by = from->leg == LEG_CLIENT ? END_BY_CLIENT : END_BY_UPSTREAM;
        session_set_state(s, SESSION_CLOSING,
                          s->worker->loop.now_ms + s->plan->config->websocket.close_timeout_ms);
    }
}

void session_on_fragment(struct session *s, struct peer *from, struct fragment *f) {
    /* When the gateway closes both sides, data has nowhere to go; close frames are what we wait for, and are recorded. */
    bool pass = s->state == SESSION_OPEN || s->reason == END_CLOSED || f->opcode == WS_CLOSE;
    if (f->direction == FROM_CLIENT && !ws_is_control(f->opcode)) {
        bool whole = f->last && f->fin;
        s->bytes[FROM_CLIENT] += f->len;
        s->messages[FROM_CLIENT] += whole;
        metrics_add(&s->worker->metrics, METRIC_BYTES_RECEIVED, f->len);
        metrics_add(&s->worker->metrics, METRIC_MESSAGES_RECEIVED, whole);
    }
    if (f->opcode == WS_CLOSE)
        note_close(s, from);
    const struct endpoint_type *type = s->endpoint->type;
    if (pass && from->leg == LEG_UPSTREAM && type->on_upstream_fragment)
        type->on_upstream_fragment(s->endpoint, f);
    else if (pass)
        stage_run(s->chains[f->direction], f);
}

void session_from_endpoint(struct session *s, struct fragment *f) {
    f->direction = TO_CLIENT;
    stage_run(s->chains[TO_CLIENT], f);
}

void session_send(struct session *s, uint8_t opcode, const void *payload, size_t len) {
    struct fragment f = {.opcode = opcode, .fin = true, .frame_length = len, .first = true, .last = true,
                         .payload = payload, .len = len};
    session_from_endpoint(s, &f);
}

bool session_answer_control(struct session *s, const struct fragment *f) {
    if (!ws_is_control(f->opcode))
        return false;
    uint8_t payload[FRAME_CONTROL_MAX];
    if (f->masked)
        mask_copy(payload, f->payload, f->len, f->key, 0);
    else
        memcpy(payload, f->payload, f->len);
    if (f->opcode == WS_PING)
        session_send(s, WS_PONG, payload, f->len);
    else if (f->opcode == WS_CLOSE)
        session_send(s, WS_CLOSE, payload, f->len); /* the same code and reason: RFC 6455 section 5.5.1 */
    return true;
}

void session_close_by_endpoint(struct session *s, unsigned code, const char *reason, size_t reason_len) {
    if (s->state != SESSION_OPEN)
        return;
    uint8_t payload[FRAME_CONTROL_MAX];
    size_t len = frame_close_payload(payload, code, reason, reason_len);
    session_send_queue(s, true);
    if (s->state != SESSION_OPEN)
        return;
    s->reason = END_CLOSED;
    s->by = END_BY_GATEWAY;
    if (!s->close_code)
        s->close_code = code;
    session_set_state(s, SESSION_CLOSING, s->worker->loop.now_ms + s->plan->config->websocket.close_timeout_ms);
    session_send(s, WS_CLOSE, payload, len);
}

bool session_close_client(struct session *s, unsigned code, const char *reason) {
    struct peer *p = &s->client;
    if (!p->link || p->close_sent)
        return true;
    if (p->out_left)
        return false;
    uint8_t payload[FRAME_CONTROL_MAX];
    size_t len = frame_close_payload(payload, code, reason, reason ? strlen(reason) : 0);
    struct fragment f = {.opcode = WS_CLOSE, .fin = true, .frame_length = len, .first = true, .last = true,
                         .payload = payload, .len = len, .direction = TO_CLIENT};
    s->worker->burst_us = 0;
    stage_run(s->client_door, &f);
    return true;
}

/* ---- bursts and back-pressure ---- */

void session_flush(struct session *s) {
    if (s->endpoint && s->endpoint->type->flush)
        s->endpoint->type->flush(s->endpoint);
    peer_flush(&s->client);
    if (s->state == SESSION_ENDED)
        return;
    session_settle_queue(s);
    bool blocked = s->client.link && link_blocked(s->client.link);
    if (blocked && !s->client_blocked && s->endpoint && s->endpoint->type->on_client_blocked) {
        s->client_blocked = true;
        s->endpoint->type->on_client_blocked(s->endpoint, true);
    }
    if (s->state == SESSION_CLOSING)
        session_check_closed(s);
}

static void on_drained(struct link *link, void *owner) {
    (void)link;
    struct session *s = owner;
    s->client.heard_ms = s->worker->loop.now_ms; /* who takes its output lives */
    if (s->queue) {
        worker_begin_burst(s->worker);
        session_send_queue(s, false);
        session_flush(s);
    }
    if (s->state == SESSION_ENDED || !s->client_blocked || (s->client.link && link_blocked(s->client.link)))
        return;
    s->client_blocked = false;
    s->endpoint->type->on_client_blocked(s->endpoint, false);
}

size_t session_room(struct session *s, struct peer *p) {
    if (!s->capture)
        return LOOP_SCRATCH;
    if (s->state == SESSION_OPEN && capture_state(s->capture) == CAPTURE_MUST_CLOSE) {
        session_end(s, END_RECORDER, END_BY_GATEWAY, "the recording failed");
        return p->link ? LOOP_SCRATCH : 0;
    }
    size_t room = capture_room(s->capture);
    if (room == 0) {
        metrics_inc(&s->worker->metrics, METRIC_RECORD_PAUSES);
        peer_hold(p, HOLD_RECORDER, true);
        list_remove(&s->waiting);
        list_append(&s->worker->waiting_for_recorder, &s->waiting);
    }
    return room;
}

static size_t on_room(struct link *link, void *owner) {
    (void)link;
    struct session *s = owner;
    return session_room(s, &s->client);
}

static void on_data(struct link *link, uint8_t *data, size_t len, void *owner) {
    (void)link;
    struct session *s = owner;
    s->client.heard_ms = s->worker->loop.now_ms;
    worker_begin_burst(s->worker);
    peer_feed(&s->client, data, len);
    session_flush(s);
}

static void on_end(struct link *link, enum link_end end, void *owner) {
    (void)link;
    struct session *s = owner;
    session_link_ended(s, &s->client, end);
}

const struct link_events session_link_events = {
    .on_data = on_data, .on_room = on_room, .on_drained = on_drained, .on_end = on_end};
