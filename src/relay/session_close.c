/* The one way out of a session. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "relay/session.h"

static void session_free(void *object) {
    struct session *s = object;
    free(s->endpoint);
    connection_fini(&s->connection);
    buf_fini(&s->head);
    free(s->handshake_key);
    plan_unref(s->plan);
    free(s);
}

static void free_chain(struct session *s, enum direction direction) {
    struct stage *stage = s->chains[direction];
    while (stage && stage->next) { /* the sink is part of the session */
        struct stage *next = stage->next;
        if (stage->type->free)
            stage->type->free(stage);
        stage = next;
    }
    s->chains[direction] = NULL;
}

static void log_end(struct session *s) {
    log_info("session_end",
             "connection=%s reason=%s by=%s code=%u path=%s received=%" PRIu64 " sent=%" PRIu64 " bytes_received=%" PRIu64
             " bytes_sent=%" PRIu64 " ms=%" PRIu64,
             s->connection.id, end_reasons[s->reason].word, end_by_names[s->by], s->close_code,
             log_quote(s->connection.path), s->messages[FROM_CLIENT], s->messages[TO_CLIENT], s->bytes[FROM_CLIENT],
             s->bytes[TO_CLIENT], (clock_mono_us() - s->connection.opened_us) / 1000);
}

static void finish(struct session *s) {
    struct worker *w = s->worker;
    bool was_open = s->state == SESSION_CLOSING;
    session_set_state(s, SESSION_ENDED, 0);
    peer_drop(&s->client);
    if (s->endpoint && s->endpoint->type->drop)
        s->endpoint->type->drop(s->endpoint);
    if (s->member)
        hub_remove(w->hub, s);
    capture_close(s->capture, end_by_names[s->by], end_reasons[s->reason].word, s->close_code, clock_mono_us());
    s->capture = NULL;
    free_chain(s, FROM_CLIENT);
    free_chain(s, TO_CLIENT);
    if (s->env)
        script_env_free(w->vm, s->env);
    s->env = NULL;
    chunk_set_unref(w, s->chunks);
    s->chunks = NULL;
    if (was_open)
        log_end(s);
    if (s->counted) {
        atomic_fetch_sub(&w->shared->open, 1);
        metrics_dec(&w->metrics, METRIC_CONNECTIONS_ACTIVE);
    }
    session_drop_queue(s);
    list_remove(&s->waiting);
    list_remove(&s->in_state);
    loop_bury(&w->loop, s, session_free);
}

/* What the side that is not at fault is told: a client that left is "going away" for the upstream, an upstream that
 * failed is an internal error for the client. What the gateway decides, both are told as it is. */
static unsigned code_for_other(enum end_reason reason, enum end_by by) {
    if (by == END_BY_GATEWAY)
        return end_reasons[reason].code;
    return by == END_BY_CLIENT ? WS_CLOSE_GOING_AWAY : WS_CLOSE_INTERNAL;
}

static void close_client(struct session *s, unsigned code, const char *reason) {
    if (!code || !session_close_client(s, code, reason))
        peer_drop(&s->client); /* nothing fits into the middle of a frame: the client sees the end without a close frame */
}

static void close_open(struct session *s, const char *detail) {
    unsigned own = end_reasons[s->reason].code, other = code_for_other(s->reason, s->by);
    bool client_fault = s->by == END_BY_CLIENT;
    session_set_state(s, SESSION_CLOSING, s->worker->loop.now_ms + s->plan->config->websocket.close_timeout_ms);
    if (!s->close_code)
        s->close_code = client_fault ? own : other;
    close_client(s, client_fault ? own : other, detail);
    if (client_fault)
        peer_drop(&s->client); /* its bytes mean nothing any more, or it is gone */
    if (s->endpoint->type->close)
        s->endpoint->type->close(s->endpoint, s->by == END_BY_UPSTREAM ? own : other, detail);
    session_flush(s);
}

/* Whoever waits for an answer to its close frame, and will get none from the other side, gets it from us (RFC 6455
 * section 5.5.1). */
static void answer_close(struct session *s, const struct peer *only) {
    unsigned code = s->close_code ? s->close_code : WS_CLOSE_GOING_AWAY;
    if (s->client.close_received && (!only || only == &s->client))
        close_client(s, code, "");
    if (only != &s->client && s->endpoint->type->close)
        s->endpoint->type->close(s->endpoint, code, "");
}

/* A violation while closing: that side is given up, what is owed to the other goes on. */
static void give_up_side(struct session *s, enum end_by by) {
    if (by == END_BY_CLIENT)
        peer_drop(&s->client);
    else if (by == END_BY_UPSTREAM && s->endpoint->type->drop)
        s->endpoint->type->drop(s->endpoint);
    else
        return;
    answer_close(s, NULL);
}

void session_end(struct session *s, enum end_reason reason, enum end_by by, const char *detail) {
    if (s->state == SESSION_ENDED)
        return;
    if (s->state == SESSION_CLOSING) {
        give_up_side(s, by);
        return;
    }
    s->reason = reason;
    s->by = by;
    if (end_reasons[reason].metric != NO_METRIC)
        metrics_inc(&s->worker->metrics, end_reasons[reason].metric);
    if (reason != END_CLOSED && reason != END_SHUTDOWN && reason != END_REFUSED && reason != END_DROPPED)
        LOG_LIMITED(LOG_WARN, "session_fault", "connection=%s remote=%s reason=%s by=%s detail=%s", s->connection.id,
                    s->connection.remote_addr ? s->connection.remote_addr : "?", end_reasons[reason].word,
                    end_by_names[by], log_quote(detail));
    if (s->state == SESSION_OPEN)
        close_open(s, detail);
    else
        finish(s);
}

bool session_closes_slowly(const struct session *s) {
    uint64_t patience_ms = s->plan->config->websocket.close_timeout_ms;
    const struct endpoint_type *type = s->endpoint->type;
    return !s->worker->stopping && (peer_takes_its_close(&s->client, patience_ms) ||
                                    (type->takes_its_close && type->takes_its_close(s->endpoint, patience_ms)));
}

void session_give_up(struct session *s) {
    answer_close(s, NULL);
    peer_drop(&s->client);
    if (s->endpoint->type->drop)
        s->endpoint->type->drop(s->endpoint);
    session_check_closed(s);
}

void session_link_ended(struct session *s, struct peer *p, enum link_end end) {
    char why[160] = "";
    if (p->link)
        link_error_text(p->link, why, sizeof why);
    if (s->state == SESSION_CLOSING && end == LINK_END_EOF && p->close_received) /* it has closed its half only */
        answer_close(s, p);
    peer_drop(p);
    if (s->state == SESSION_CLOSING) {
        answer_close(s, NULL);
        session_flush(s);
        return;
    }
    session_end(s, END_GONE, p->leg == LEG_CLIENT ? END_BY_CLIENT : END_BY_UPSTREAM, why);
}

/* A side that is gone holds up nobody: the other one is read again, for its close frame. Nor does a handler that waits:
 * messages have nowhere to go any more. */
static void release_holds(struct session *s) {
    const struct endpoint_type *type = s->endpoint->type;
    if (!s->client.link && s->client_blocked) {
        s->client_blocked = false;
        type->on_client_blocked(s->endpoint, false);
    }
    if (!type->closed || type->closed(s->endpoint))
        peer_hold(&s->client, HOLD_BLOCKED, false);
    peer_hold(&s->client, HOLD_HANDLER, false);
}

void session_check_closed(struct session *s) {
    if (s->state != SESSION_CLOSING)
        return;
    release_holds(s);
    if (s->state != SESSION_CLOSING) /* what was released has ended it */
        return;
    if (peer_closed(&s->client))
        peer_drop(&s->client); /* the server ends the connection first: RFC 6455 section 7.1.1 */
    const struct endpoint_type *type = s->endpoint->type;
    if (!s->client.link && (!type->closed || type->closed(s->endpoint)))
        finish(s);
}
