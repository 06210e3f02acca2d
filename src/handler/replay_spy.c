/* A replay with an upstream: what the recording does not answer, the upstream does.
 *
 * It is dialled at the first miss. What the client said until then, and was answered from the recording, is said to it
 * first, so that a conversation with a state (a greeting, a login, subscriptions) is where the client believes it to
 * be; from then on it hears everything that the client says. Each message waits a little for the upstream to have said
 * what the client had heard before it: who subscribes before the login was answered is thrown out. Its answers to what
 * the recording answers as well are swallowed, each once; everything else goes to the client, as whole messages between
 * those of the recording. */
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/log.h"
#include "handler/handlers.h"
#include "handler/replay.h"
#include "handler/replay_twins.h"
#include "handler/upstream.h"

/* What is kept of the client's messages for an upstream that may never be asked. */
#define EARLIER_BYTES_MAX (1u << 20)
/* What may wait while it is dialled; then the client is not read from. */
#define WAITING_BYTES_MAX (256u << 10)
/* So long the upstream may take to say what the client had heard before its next message; and over a whole connection,
 * for it may never say it. */
#define PATIENCE_US 1000000u
#define PATIENCE_ALL_US (3 * PATIENCE_US)

/* A message that waits: of the client for the upstream, or of the upstream for the client. */
struct spoken {
    struct spoken *next;
    bool binary;
    uint64_t after; /* of the client: so many recorded messages it had heard (struct twins) */
    size_t len;
    uint8_t data[];
};
struct spoken_queue {
    struct spoken *first, **last;
    size_t bytes;
};

struct spy {
    struct upstream *upstream; /* NULL: not dialled yet */
    bool open;
    bool forgot; /* not all that the client said was kept */
    struct spoken_queue to_upstream, to_client;
    struct assembler assembler; /* what the upstream says */
    struct twins twins;
    uint64_t given_up;      /* so many twins are not waited for */
    struct event *patience; /* runs while the first of to_upstream waits for twins */
    unsigned patience_left_us;
    struct capture *capture; /* what was missed goes there; NULL: nothing was yet */
};

static void no_memory(struct replay *r) {
    session_end(replay_session(r), END_NO_MEMORY, END_BY_GATEWAY, "no memory for a replay");
}

static struct spy *spy_of(struct replay *r) {
    if (!r->spy && (r->spy = calloc(1, sizeof *r->spy))) {
        r->spy->to_upstream.last = &r->spy->to_upstream.first;
        r->spy->to_client.last = &r->spy->to_client.first;
        r->spy->patience_left_us = PATIENCE_ALL_US;
    }
    if (!r->spy)
        no_memory(r);
    return r->spy;
}

/* ---- messages that wait ---- */

static bool enqueue(struct spoken_queue *q, uint64_t after, bool binary, const void *data, size_t len) {
    struct spoken *m = malloc(sizeof *m + len);
    if (!m)
        return false;
    *m = (struct spoken){.binary = binary, .after = after, .len = len};
    if (len)
        memcpy(m->data, data, len);
    *q->last = m;
    q->last = &m->next;
    q->bytes += sizeof *m + len;
    return true;
}

static struct spoken *dequeue(struct spoken_queue *q) {
    struct spoken *m = q->first;
    if (!m)
        return NULL;
    q->first = m->next;
    if (!q->first)
        q->last = &q->first;
    q->bytes -= sizeof *m + m->len;
    return m;
}

static void empty(struct spoken_queue *q) {
    for (struct spoken *m; (m = dequeue(q));)
        free(m);
}

/* ---- the recording of what was missed ---- */

static void capture(struct spy *spy, enum event_direction direction, bool binary, const void *data, size_t len) {
    const struct capture_fragment f = {
        .direction = direction,
        .leg = EVENT_LEG_CLIENT,
        .opcode = binary ? WS_BINARY : WS_TEXT,
        .fin = true,
        .first = true,
        .last = true,
        .frame_length = len,
        .data = data,
        .len = len,
        .time_us = clock_mono_us(),
    };
    if (spy->capture)
        capture_add(spy->capture, &f);
}

static void begin_capture(struct replay *r) {
    struct session *s = replay_session(r);
    struct worker *w = s->worker;
    const struct replay_program *p = replay_program(r);
    struct recording *recording;
    struct err err;
    if (r->spy->capture)
        return;
    const struct capture_open info = {
        .connection = &s->connection,
        .upstream = r->route->config->upstream.text,
        .config = &p->record,
        .redactor = p->redactor,
        .time_us = clock_mono_us(),
    };
    int rc = recorder_open(w->recorder, p->source->file, &p->record, &recording, &err);
    if (rc == MF_OK) {
        rc = capture_open(w->port, recording, &info, &r->spy->capture);
        recording_unref(recording);
    }
    if (rc < 0) {
        r->spy->capture = NULL;
        metrics_inc(&w->metrics, METRIC_ERRORS_RECORDING);
        LOG_LIMITED(LOG_ERROR, "recording_failed", "connection=%s file=%s why=\"what was missed cannot be added\"",
                    s->connection.id, log_quote(p->source->file));
    }
}

void spy_sent(struct replay *r, const struct replay_frame *frame, const void *data, size_t len) {
    struct spy *spy = spy_of(r);
    if (spy && !twins_sent(&spy->twins, r, frame, data, len))
        no_memory(r);
}

/* ---- to the upstream ---- */

/* Has the upstream said what the client had heard before this? */
static bool is_timely(const struct spy *spy, const struct spoken *m) {
    return !twins_missing(&spy->twins, spy->given_up, m->after);
}

static void say(struct spy *spy, const struct spoken *m) {
    peer_send_frame(&spy->upstream->peer, m->binary ? WS_BINARY : WS_TEXT, m->data, m->len);
}

static void say_all(struct spy *spy) {
    for (struct spoken *m; (m = dequeue(&spy->to_upstream)); free(m))
        say(spy, m);
}

static void on_impatient(evutil_socket_t fd, short what, void *arg);

static void be_patient(struct replay *r) {
    struct spy *spy = r->spy;
    const struct timeval tv = {.tv_sec = PATIENCE_US / 1000000, .tv_usec = PATIENCE_US % 1000000};
    if (!spy->patience)
        spy->patience = evtimer_new(replay_session(r)->worker->loop.base, on_impatient, r);
    if (!spy->patience || event_add(spy->patience, &tv) < 0)
        say_all(spy);
}

/* Says what may be said now. */
static void go_on_saying(struct replay *r) {
    struct spy *spy = r->spy;
    if (!spy->open)
        return;
    bool said = false;
    while (spy->to_upstream.first && (!spy->patience_left_us || is_timely(spy, spy->to_upstream.first))) {
        struct spoken *m = dequeue(&spy->to_upstream);
        say(spy, m);
        free(m);
        said = true;
    }
    if (said && spy->patience)
        event_del(spy->patience);
    if (spy->to_upstream.first && (!spy->patience || !event_pending(spy->patience, EV_TIMEOUT, NULL)))
        be_patient(r);
    if (spy->to_upstream.bytes <= WAITING_BYTES_MAX)
        peer_hold(&replay_session(r)->client, HOLD_HANDLER, false);
}

static void on_impatient(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct replay *r = arg;
    struct spy *spy = r->spy;
    if (!spy->open || !spy->to_upstream.first)
        return;
    spy->given_up = MAX(spy->given_up, spy->to_upstream.first->after);
    spy->patience_left_us -= PATIENCE_US;
    worker_begin_burst(replay_session(r)->worker);
    go_on_saying(r);
    session_flush(replay_session(r));
}

/* ---- to the client ---- */

static void pass(struct replay *r, bool binary, const void *data, size_t len) {
    session_send(replay_session(r), binary ? WS_BINARY : WS_TEXT, data, len);
    capture(r->spy, EVENT_OUTGOING, binary, data, len);
}

/* While a fragmented message of the recording is on its way nothing else fits (RFC 6455 section 5.4). */
void spy_between_messages(struct replay *r) {
    struct spy *spy = r->spy;
    if (!spy || !spy->to_client.first || r->in_message)
        return;
    for (struct spoken *m; (m = dequeue(&spy->to_client)); free(m))
        pass(r, m->binary, m->data, m->len);
    peer_hold(&spy->upstream->peer, HOLD_HANDLER, false);
}

static void take_answer(struct replay *r, bool binary, const char *data, size_t len) {
    switch (twins_find(&r->spy->twins, r, binary, data, len)) {
    case TWIN_HEARD:
        go_on_saying(r);
        return;
    case TWIN_TO_COME:
        return;
    case TWIN_NO_MEMORY:
        no_memory(r);
        return;
    case TWIN_NONE:
        break;
    }
    if (!r->in_message) {
        pass(r, binary, data, len);
        return;
    }
    if (!enqueue(&r->spy->to_client, 0, binary, data, len))
        no_memory(r);
    else
        peer_hold(&r->spy->upstream->peer, HOLD_HANDLER, true);
}

/* ---- the upstream ---- */

static void on_opened(struct upstream *u, const char *subprotocol, const struct headers *fields) {
    (void)subprotocol, (void)fields; /* the client has its 101, as recorded */
    struct replay *r = u->owner;
    struct spy *spy = r->spy;
    spy->open = true;
    log_info("replay_upstream", "connection=%s upstream=%s", replay_session(r)->connection.id, u->route->authority);
    go_on_saying(r);
}

/* fail() has logged it. */
static void on_failed(struct upstream *u, int status, const char *why, const struct headers *fields, const void *body,
                      size_t body_len) {
    (void)fields, (void)body, (void)body_len;
    struct replay *r = u->owner;
    struct session *s = replay_session(r);
    unsigned code = status == 503 ? WS_CLOSE_INTERNAL : WS_CLOSE_BAD_GATEWAY;
    upstream_endpoint.drop(&u->endpoint); /* whatever it says now, it has failed */
    peer_hold(&s->client, HOLD_HANDLER, false);
    session_close_by_endpoint(s, code, why, strlen(why));
    session_flush(s);
}

static const struct upstream_events events = {.opened = on_opened, .failed = on_failed};

static void dial(struct replay *r) {
    struct spy *spy = r->spy;
    struct upstream *u = spy->upstream = calloc(1, sizeof *u);
    if (!u) {
        no_memory(r);
        return;
    }
    if (spy->forgot)
        LOG_LIMITED(LOG_WARN, "replay_upstream",
                    "connection=%s why=\"it is asked late: not all that the client said was kept for it\"",
                    replay_session(r)->connection.id);
    *u = (struct upstream){
        .endpoint = {.type = &upstream_endpoint, .session = replay_session(r)},
        .events = &events,
        .owner = r,
        .route = r->route,
    };
    upstream_endpoint.open(&u->endpoint);
}

/* The client said this: the upstream hears it now or later. */
static void tell(struct replay *r, bool binary, const void *data, size_t len) {
    struct spy *spy = r->spy;
    if (!enqueue(&spy->to_upstream, spy->twins.heard, binary, data, len)) {
        no_memory(r);
        return;
    }
    go_on_saying(r);
    if (spy->upstream && spy->to_upstream.bytes > WAITING_BYTES_MAX)
        peer_hold(&replay_session(r)->client, HOLD_HANDLER, true);
    for (; !spy->upstream && spy->to_upstream.bytes > EARLIER_BYTES_MAX; spy->forgot = true)
        free(dequeue(&spy->to_upstream));
}

void spy_answered(struct replay *r, bool binary, const void *data, size_t len) {
    if (spy_of(r))
        tell(r, binary, data, len);
}

void spy_missed(struct replay *r, bool binary, const void *data, size_t len, const char *why) {
    struct session *s = replay_session(r);
    struct buf reason = BUF_INIT;
    switch (replay_program(r)->on_miss) {
    case REPLAY_MISS_CLOSE:
        replay_unmatched(r, binary, data, len, why);
        buf_printf(&reason, "replay: no recorded answer: %s", why);
        session_close_by_endpoint(s, WS_CLOSE_POLICY, buf_cstr(&reason), reason.len);
        buf_fini(&reason);
        return;
    case REPLAY_MISS_IGNORE:
        replay_unmatched(r, binary, data, len, why);
        return;
    default:
        break;
    }
    if (!spy_of(r))
        return;
    LOG_LIMITED(LOG_INFO, "replay_miss", "connection=%s route=%s bytes=%zu why=%s", s->connection.id,
                log_quote(r->route->config->path), len, log_quote(why));
    begin_capture(r);
    capture(r->spy, EVENT_INCOMING, binary, data, len);
    tell(r, binary, data, len);
    if (!r->spy->upstream && s->state == SESSION_OPEN)
        dial(r);
}

/* Both sides are ours to answer: pings stay on their side, a close frame crosses. */
void spy_on_upstream_fragment(struct replay *r, struct fragment *f) {
    struct session *s = replay_session(r);
    struct spy *spy = r->spy;
    if (f->opcode == WS_PING)
        peer_send_frame(&spy->upstream->peer, WS_PONG, f->payload, f->len);
    else if (f->opcode == WS_CLOSE)
        session_send(s, WS_CLOSE, f->payload, f->len);
    if (ws_is_control(f->opcode))
        return;
    switch (assembler_add(&spy->assembler, f, s->route->answer_limit)) {
    case ASSEMBLED_NOT_YET:
        break;
    case ASSEMBLED_WHOLE:
        take_answer(r, spy->assembler.opcode == WS_BINARY, buf_cstr(&spy->assembler.data), spy->assembler.data.len);
        assembler_reset(&spy->assembler);
        break;
    case ASSEMBLED_TOO_BIG:
        session_end(s, END_TOO_BIG, END_BY_UPSTREAM, "message too big for a replay");
        break;
    case ASSEMBLED_NO_MEMORY:
        no_memory(r);
        break;
    }
}

/* ---- the endpoint's part ---- */

static struct endpoint *upstream_end(const struct replay *r) {
    return r->spy && r->spy->upstream ? &r->spy->upstream->endpoint : NULL;
}

void spy_on_close_frame(struct replay *r, struct fragment *f) {
    struct endpoint *e = upstream_end(r);
    if (e && r->spy->open) {
        say_all(r->spy);
        upstream_endpoint.on_fragment(e, f);
    } else if (e) {
        upstream_endpoint.drop(e);
    }
}

void spy_flush(struct replay *r) {
    struct endpoint *e = upstream_end(r);
    if (e && r->spy->open)
        upstream_endpoint.flush(e);
}

void spy_on_client_blocked(struct replay *r, bool blocked) {
    struct endpoint *e = upstream_end(r);
    if (e)
        upstream_endpoint.on_client_blocked(e, blocked);
}

void spy_on_recorder_ready(struct replay *r) {
    struct endpoint *e = upstream_end(r);
    if (e)
        upstream_endpoint.on_recorder_ready(e);
}

void spy_check(struct replay *r, uint64_t now_ms) {
    struct endpoint *e = upstream_end(r);
    if (e && r->spy->open)
        upstream_endpoint.check(e, now_ms);
}

void spy_close(struct replay *r, unsigned code, const char *reason) {
    struct endpoint *e = upstream_end(r);
    if (e && r->spy->open)
        upstream_endpoint.close(e, code, reason);
    else if (e)
        upstream_endpoint.drop(e);
}

bool spy_takes_its_close(const struct replay *r, uint64_t patience_ms) {
    const struct endpoint *e = upstream_end(r);
    return e && upstream_endpoint.takes_its_close(e, patience_ms);
}

bool spy_closed(const struct replay *r) {
    const struct endpoint *e = upstream_end(r);
    return !e || upstream_endpoint.closed(e);
}

void spy_drop(struct replay *r) {
    struct spy *spy = r->spy;
    struct session *s = replay_session(r);
    struct loop *loop = &s->worker->loop;
    r->spy = NULL;
    if (spy->upstream) {
        upstream_endpoint.drop(&spy->upstream->endpoint);
        loop_bury(loop, spy->upstream, free);
    }
    capture_close(spy->capture, end_by_names[s->by], end_reasons[s->reason].word, s->close_code, clock_mono_us());
    if (spy->patience)
        event_free(spy->patience);
    empty(&spy->to_upstream);
    empty(&spy->to_client);
    if (spy->assembler.data.data)
        loop_bury(loop, spy->assembler.data.data, free);
    twins_fini(&spy->twins);
    loop_bury(loop, spy, free);
}
