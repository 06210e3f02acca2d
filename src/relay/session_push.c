/* Messages that no read has asked for: from rooms, timers and schedules. A client that is slower than these has them
 * wait, within a bound, because here there is nobody whose reading could be paused. */
#include <stdlib.h>

#include "base/log.h"
#include "relay/session.h"

/* What a message costs beside its bytes: empty ones are bounded as well. */
#define MESSAGE_COST 64u
/* What is gathered for one client before it is written: one answer may have many messages. */
#define GATHER_MAX (64u << 10)

struct push_queue {
    struct hub_message **items; /* a ring; counted */
    size_t first, count, cap;
    uint64_t bytes;   /* MESSAGE_COST for each of them included */
    uint64_t dropped; /* since the last line of the log about it */
    bool settled;     /* it was there when this event began */
};

static struct hub_message *take_first(struct push_queue *q) {
    struct hub_message *m = q->items[q->first];
    q->first = (q->first + 1) % q->cap;
    q->count--;
    q->bytes -= m->len + MESSAGE_COST;
    return m;
}

static bool grow(struct push_queue *q) {
    size_t cap = q->cap ? q->cap * 2 : 16;
    struct hub_message **items = malloc(cap * sizeof(struct hub_message *));
    if (!items)
        return false;
    for (size_t i = 0; i < q->count; i++)
        items[i] = q->items[(q->first + i) % q->cap];
    free(q->items);
    q->items = items;
    q->first = 0;
    q->cap = cap;
    return true;
}

void session_drop_queue(struct session *s) {
    struct push_queue *q = s->queue;
    if (!q)
        return;
    while (q->count)
        hub_message_unref(take_first(q));
    free(q->items);
    free(q);
    s->queue = NULL;
}

void session_settle_queue(struct session *s) {
    if (s->queue)
        s->queue->settled = true;
}

/* Room for one more message within send_queue; false: the session is ending. What one event makes has room in any case:
 * a client whose socket is full at the first of ten messages has not been slow yet. */
static bool make_room(struct session *s, size_t cost) {
    const struct send_queue_config *c = &s->plan->config->websocket.send_queue;
    struct push_queue *q = s->queue;
    if (q->bytes + cost <= c->bytes || !q->settled)
        return true;
    if (c->policy == SEND_QUEUE_CLOSE) {
        session_end(s, END_SLOW, END_BY_CLIENT, "does not keep up with what it is sent: websocket.send_queue is full");
        return false;
    }
    while (q->count && q->bytes + cost > c->bytes) {
        hub_message_unref(take_first(q));
        q->dropped++;
        metrics_inc(&s->worker->metrics, METRIC_PUSHES_DROPPED);
    }
    LOG_LIMITED(LOG_WARN, "pushes_dropped", "connection=%s remote=%s count=%llu why=\"the client is slow\"",
                s->connection.id, s->connection.remote_addr, (unsigned long long)q->dropped);
    return true;
}

static void enqueue(struct session *s, bool binary, const void *data, size_t len, struct hub_message *shared) {
    if (!s->queue && !(s->queue = calloc(1, sizeof *s->queue))) {
        session_end(s, END_NO_MEMORY, END_BY_GATEWAY, "no memory for what waits for the client");
        return;
    }
    struct push_queue *q = s->queue;
    if (!make_room(s, len + MESSAGE_COST))
        return;
    struct hub_message *m = shared ? hub_message_ref(shared) : hub_message_new(binary, data, len);
    if (!m || (q->count == q->cap && !grow(q))) {
        hub_message_unref(m);
        session_end(s, END_NO_MEMORY, END_BY_GATEWAY, "no memory for what waits for the client");
        return;
    }
    q->items[(q->first + q->count) % q->cap] = m;
    q->count++;
    q->bytes += len + MESSAGE_COST;
}

static bool takes(const struct session *s) {
    return s->client.link && !link_blocked(s->client.link);
}

static void send_now(struct session *s, bool binary, const void *data, size_t len) {
    session_send(s, binary ? WS_BINARY : WS_TEXT, data, len);
    if (peer_gathered(&s->client) >= GATHER_MAX)
        peer_flush(&s->client);
}

void session_push(struct session *s, bool binary, const void *data, size_t len, struct hub_message *shared) {
    if (!session_may_send(s))
        return;
    if (takes(s) && !s->queue)
        send_now(s, binary, data, len);
    else
        enqueue(s, binary, data, len, shared);
}

void session_send_queue(struct session *s, bool all) {
    while (s->queue && s->queue->count && s->client.link && (all || takes(s)) && session_may_send(s)) {
        struct hub_message *m = take_first(s->queue);
        send_now(s, m->binary, m->data, m->len);
        hub_message_unref(m);
    }
    if (s->queue && !s->queue->count)
        session_drop_queue(s);
}
