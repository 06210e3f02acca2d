/* Plays the server's half of a recorded connection to one client. */
#include "handler/replay.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "handler/handlers.h"
#include "protocol/handshake.h"
#include "relay/unmatched.h"
#include "replay/handshake.h"

/* What is gathered for one client before it is written. */
#define GATHER_MAX (64u << 10)
#define STEPS_A_LOOK 8u /* what the player does between two looks at the clock */
#define SHOWN_MAX 160   /* bytes of a reason in the log */

/* ---- the clock ---- */

static void on_clock(evutil_socket_t fd, short what, void *arg);

static void no_memory(struct replay *r) {
    session_end(replay_session(r), END_NO_MEMORY, END_BY_GATEWAY, "no memory for a replay");
}

/* due_us 0: no time is waited for. */
static void set_clock(struct replay *r, uint64_t due_us, uint64_t now_us) {
    if (due_us == r->due_us)
        return;
    r->due_us = due_us;
    if (!due_us) {
        event_del(r->clock);
        return;
    }
    if (!r->clock)
        r->clock = evtimer_new(replay_session(r)->worker->loop.base, on_clock, r);
    uint64_t wait = due_us > now_us ? due_us - now_us : 0;
    const struct timeval tv = {.tv_sec = (time_t)(wait / 1000000), .tv_usec = (suseconds_t)(wait % 1000000)};
    if (!r->clock || event_add(r->clock, &tv) < 0) {
        r->due_us = 0;
        no_memory(r);
    }
}

/* ---- what the player wants done ---- */

static void send_frame(struct replay *r, const struct player_action *a) {
    struct session *s = replay_session(r);
    struct fragment f = {.opcode = a->frame->opcode,
                         .fin = a->frame->fin,
                         .frame_length = a->len,
                         .first = true,
                         .last = true,
                         .payload = a->data,
                         .len = a->len,
                         .lasting = !a->made};
    session_from_endpoint(s, &f);
    if (!ws_is_control(f.opcode)) {
        r->in_message = !f.fin;
        if (f.fin)
            replay_choice_heard(r);
    }
    if (peer_gathered(&s->client) >= GATHER_MAX)
        peer_flush(&s->client);
    if (replay_program(r)->asks) {
        spy_sent(r, a->frame, a->data, a->len);
        spy_between_messages(r);
    }
}

/* What is due goes out in one, where nobody wants to see each of the messages. */
static bool send_run(struct replay *r, uint64_t now_us) {
    struct session *s = replay_session(r);
    struct player_run run;
    if (r->choice || !session_passes_all(s) || !player_run(r->player, now_us, &run))
        return false;
    peer_send_frames(&s->client, run.frames, run.len, run.messages, run.payload);
    if (peer_gathered(&s->client) >= GATHER_MAX)
        peer_flush(&s->client);
    return true;
}

static void close_as_recorded(struct replay *r, const struct replay_frame *frame) {
    unsigned code = WS_CLOSE_NORMAL;
    const char *reason = "";
    size_t len = 0;
    if (frame_close_parse(frame->data, frame->len, &code, &reason, &len) < 0) { /* no endpoint may send what it holds */
        code = WS_CLOSE_NORMAL;
        len = 0;
    }
    session_close_by_endpoint(replay_session(r), code, reason, len);
}

/* The recorded server was gone without a word: what it said before that arrives, and then nothing. */
static void vanish(struct replay *r) {
    struct session *s = replay_session(r);
    peer_flush(&s->client);
    struct link *link = s->client.link;
    s->client.link = NULL;
    link_close(link, LINK_CLOSE_FINISH);
    session_end(s, END_DROPPED, END_BY_GATEWAY, "the recorded connection ended so");
}

static void time_out(struct replay *r, const char *awaited) {
    struct session *s = replay_session(r);
    struct buf reason = BUF_INIT;
    LOG_LIMITED(LOG_WARN, "replay_timeout", "connection=%s file=%s awaited=%s instead=%s", s->connection.id,
                log_quote(replay_program(r)->source->file), log_quote(awaited),
                r->last_miss ? log_quote(r->last_miss) : "nothing");
    metrics_inc(&s->worker->metrics, METRIC_ERRORS_TIMEOUT);
    buf_printf(&reason, "replay: did not come in time: %s", awaited);
    session_close_by_endpoint(s, WS_CLOSE_POLICY, buf_cstr(&reason), reason.len);
    buf_fini(&reason);
}

static void time_out_player(struct replay *r, uint32_t message) {
    struct buf awaited = BUF_INIT;
    player_describe(r->player, message, &awaited);
    time_out(r, buf_cstr(&awaited));
    buf_fini(&awaited);
}

/* false: nothing more is to be done now. */
static bool step(struct replay *r, uint64_t now_us) {
    struct player_action a;
    player_next(r->player, now_us, &a);
    switch (a.step) {
    case PLAYER_SEND:
        send_frame(r, &a);
        return true;
    case PLAYER_WAIT:
        set_clock(r, a.until_us, clock_mono_us());
        return false;
    case PLAYER_CLOSE:
        close_as_recorded(r, a.frame);
        return false;
    case PLAYER_DROP:
        vanish(r);
        return false;
    case PLAYER_TIMED_OUT:
        time_out_player(r, a.awaited);
        return false;
    case PLAYER_DONE:
        set_clock(r, 0, now_us);
        return false;
    }
    return false;
}

/* Has the recorder, where what is replayed is recorded, room for more? */
static bool has_room(struct replay *r) {
    struct session *s = replay_session(r);
    return !s->capture || session_room(s, &s->client) > 0;
}

static bool may_play(struct replay *r) {
    struct session *s = replay_session(r);
    return s->state == SESSION_OPEN && s->client.link && !r->blocked && !link_blocked(s->client.link) && has_room(r);
}

static bool must_yield(struct replay *r, uint64_t now_us) {
    struct worker *w = replay_session(r)->worker;
    uint64_t begin_us = worker_burst_us(w);
    w->burst_over = w->burst_over || (now_us > begin_us && now_us - begin_us >= WORKER_BURST_US);
    return w->burst_over;
}

/* Whatever is due goes out; then the clock is set. */
static void go_on(struct replay *r) {
    if (r->playing || !r->player)
        return;
    r->playing = true;
    uint64_t now_us = clock_mono_us();
    for (unsigned steps = 1; may_play(r); steps++) {
        if (steps % STEPS_A_LOOK == 0) /* looking at the clock costs a fifth of a step */
            now_us = clock_mono_us();
        if (must_yield(r, now_us)) { /* other connections first */
            set_clock(r, 1, 1);
            break;
        }
        if (send_run(r, now_us))
            now_us = clock_mono_us();
        else if (!step(r, now_us))
            break;
    }
    r->playing = false;
}

static bool hears_handshake(const struct replay *r) {
    const struct replay_program *p = replay_program(r);
    bool hears = false;
    for (size_t i = 0; p->spies && i < p->source->count && !hears; i++)
        hears = correlation_hears_handshake(p->correlation, i);
    return hears || (!p->spies && correlation_hears_handshake(p->correlation, r->connection));
}

int replay_start_player(struct replay *r) {
    const struct replay_program *p = replay_program(r);
    struct player_options options = p->options;
    options.plan = p->plans[p->spies ? 0 : r->connection];
    uint64_t now_us = replay_keeps_times(p) ? r->begin_us : clock_mono_us();
    struct buf handshake = BUF_INIT;
    if (hears_handshake(r)) {
        const struct connection *c = &replay_session(r)->connection;
        handshake_request_text(&handshake, c->path, c->query, &c->headers);
        options.handshake = buf_cstr(&handshake);
    }
    int rc = MF_ENOMEM;
    if (!handshake.failed)
        rc = player_new(p->correlation, p->spies ? PLAYER_ALL : r->connection, &options, now_us, &r->player);
    buf_fini(&handshake);
    return rc;
}

/* Of timed play that waited for a choice: nothing is said earlier than it was, and who was late shifts all of it. */
static void begin_late(struct replay *r, bool spoke) {
    uint64_t before_us = replay_first_word(replay_program(r), r->connection, spoke), now_us = clock_mono_us();
    r->begin_us = MAX(r->opened_us, now_us - MIN(before_us, now_us));
}

/* No message has chosen one. */
static void choose_in_turn(struct replay *r) {
    struct buf ignored = BUF_INIT;
    size_t count;
    int status;
    uint32_t *candidates = replay_candidates(replay_program(r), replay_session(r), &count, &status, &ignored);
    if (count)
        r->connection = replay_next_in_turn(replay_program(r), candidates, count);
    begin_late(r, false);
    if (!count || replay_start_player(r) < 0)
        no_memory(r);
    free(candidates);
    buf_fini(&ignored);
}

static void on_clock(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct replay *r = arg;
    struct session *s = replay_session(r);
    r->due_us = 0;
    if (s->state != SESSION_OPEN)
        return;
    worker_begin_burst(s->worker);
    const struct replay_program *p = replay_program(r);
    if (!r->player && (p->options.go_on || replay_keeps_times(p)))
        choose_in_turn(r);
    if (r->player)
        go_on(r);
    else if (s->state == SESSION_OPEN)
        time_out(r, "a first message, which chooses the recorded connection");
    session_flush(s);
}

/* ---- the client's messages ---- */

void replay_unmatched(struct replay *r, bool binary, const void *data, size_t len, const char *why) {
    struct session *s = replay_session(r);
    char *kept = strndup(why, SHOWN_MAX);
    free(r->last_miss);
    r->last_miss = kept;
    metrics_inc(&s->worker->metrics, METRIC_UNMATCHED);
    LOG_LIMITED(LOG_INFO, "unmatched", "connection=%s route=%s recorded=%s bytes=%zu why=%s", s->connection.id,
                log_quote(r->route->config->path), log_quote(replay_connection(r)->name), len, log_quote(why));
    unmatched_add(s->worker->shared->unmatched, s, binary, data, len, why);
}

/* false: it chooses none, or the session ends. */
static bool choose_by_message(struct replay *r, bool binary, const char *text, size_t len) {
    const struct replay_program *p = replay_program(r);
    size_t count;
    uint32_t *rivals = replay_by_first_message(p, replay_session(r), binary, text, len, &count);
    if (count) {
        r->connection = replay_next_in_turn(p, rivals, count);
        replay_choice_begin(r, rivals, count);
    }
    free(rivals);
    if (!count) {
        if (!replay_keeps_times(p))
            replay_unmatched(r, binary, text, len, "no recorded connection begins with a message like this");
        return false;
    }
    set_clock(r, 0, 0);
    begin_late(r, true);
    if (replay_start_player(r) == MF_OK)
        return true;
    no_memory(r);
    return false;
}

/* With timed play the client may say what it likes. */
static bool is_expected_of(const struct replay *r) {
    return replay_program(r)->options.mode != PLAYER_TIMED;
}

static void take_message(struct replay *r, bool binary, const char *text, size_t len) {
    struct buf why = BUF_INIT;
    uint32_t message;
    bool spies = replay_program(r)->spies;
    if (!r->player && !choose_by_message(r, binary, text, len))
        return;
    replay_choice_said(r, binary, text, len);
    switch (player_take(r->player, clock_mono_us(), binary, text, len, &message, &why)) {
    case PLAYER_MATCHED:
        if (replay_program(r)->asks)
            spy_answered(r, binary, text, len);
        break;
    case PLAYER_UNMATCHED:
        if (spies)
            spy_missed(r, binary, text, len, buf_cstr(&why));
        else if (is_expected_of(r))
            replay_unmatched(r, binary, text, len, buf_cstr(&why));
        break;
    case PLAYER_NO_MEMORY:
        no_memory(r);
        break;
    }
    buf_fini(&why);
    go_on(r);
}

static void on_fragment(struct endpoint *e, struct fragment *f) {
    struct replay *r = replay_of(e);
    struct session *s = e->session;
    if (f->opcode == WS_CLOSE && r->spy)
        spy_on_close_frame(r, f);
    if (session_answer_control(s, f) || s->state != SESSION_OPEN)
        return;
    switch (assembler_add(&r->assembler, f, s->route->assemble_limit)) {
    case ASSEMBLED_NOT_YET:
        break;
    case ASSEMBLED_WHOLE:
        take_message(r, r->assembler.opcode == WS_BINARY, buf_cstr(&r->assembler.data), r->assembler.data.len);
        assembler_reset(&r->assembler);
        break;
    case ASSEMBLED_TOO_BIG:
        session_end(s, END_TOO_BIG, END_BY_CLIENT, "message over max_message_size");
        break;
    case ASSEMBLED_NO_MEMORY:
        no_memory(r);
        break;
    }
}

/* ---- the endpoint ---- */

static void accept_as_recorded(struct replay *r) {
    struct session *s = replay_session(r);
    const struct replay_connection *rc = replay_connection(r);
    struct headers fields = {0};
    const char *subprotocol = rc->subprotocol;
    if (subprotocol && !ws_subprotocol_offered(&s->connection.headers, subprotocol)) { /* RFC 6455 section 4.2.2 */
        LOG_LIMITED(LOG_WARN, "replay_subprotocol",
                    "connection=%s recorded=%s subprotocol=%s why=\"the client does not offer it\"", s->connection.id,
                    log_quote(rc->name), log_quote(subprotocol));
        subprotocol = NULL;
    }
    if (replay_response_fields(rc, &fields) == MF_OK)
        session_accept(s, subprotocol, &fields);
    else
        session_refuse(s, 503, "out of memory", NULL, NULL, 0);
    headers_fini(&fields);
}

static void open_replay(struct endpoint *e) {
    struct replay *r = replay_of(e);
    struct session *s = e->session;
    struct buf why = BUF_INIT;
    size_t count;
    int status = 503;
    r->plan = plan_ref(s->plan);
    r->route = s->route;
    const struct replay_program *p = replay_program(r);
    uint32_t *candidates = replay_candidates(p, s, &count, &status, &why);
    if (count) {
        /* A spy answers from all of them, and what it has added is no conversation to begin with. */
        r->chooses = replay_waits_for_first_message(p, candidates, count);
        r->connection = p->spies || r->chooses ? candidates[0] : replay_next_in_turn(p, candidates, count);
        if (!p->spies && !r->chooses && p->pick == REPLAY_PICK_AUTO)
            replay_choice_begin(r, candidates, count);
        accept_as_recorded(r);
    } else {
        session_refuse(s, status, candidates ? buf_cstr(&why) : "out of memory", NULL, NULL, 0);
    }
    free(candidates);
    buf_fini(&why);
}

static void on_open(struct endpoint *e) {
    struct replay *r = replay_of(e);
    struct session *s = e->session;
    const struct replay_program *p = replay_program(r);
    uint64_t now_us = r->opened_us = r->begin_us = clock_mono_us();
    worker_begin_burst(s->worker);
    if (r->chooses) {
        if (p->options.timeout_us || replay_keeps_times(p))
            set_clock(r, now_us + replay_first_message_due(p, s), now_us);
        return;
    }
    if (replay_start_player(r) < 0) {
        no_memory(r);
        return;
    }
    go_on(r);
    session_flush(s);
}

static void flush(struct endpoint *e) {
    if (replay_of(e)->spy)
        spy_flush(replay_of(e));
}

static void on_client_blocked(struct endpoint *e, bool blocked) {
    struct replay *r = replay_of(e);
    r->blocked = blocked;
    peer_hold(&e->session->client, HOLD_BLOCKED, blocked);
    if (r->spy)
        spy_on_client_blocked(r, blocked);
    if (blocked)
        return;
    worker_begin_burst(e->session->worker);
    go_on(r);
    session_flush(e->session);
}

static void on_recorder_ready(struct endpoint *e) {
    struct replay *r = replay_of(e);
    if (r->spy)
        spy_on_recorder_ready(r);
    worker_begin_burst(e->session->worker);
    go_on(r);
    session_flush(e->session);
}

static void check(struct endpoint *e, uint64_t now_ms) {
    if (replay_of(e)->spy)
        spy_check(replay_of(e), now_ms);
}

static void close_replay(struct endpoint *e, unsigned code, const char *reason) {
    if (replay_of(e)->spy)
        spy_close(replay_of(e), code, reason);
}

static bool takes_its_close(const struct endpoint *e, uint64_t patience_ms) {
    const struct replay *r = container_of(e, const struct replay, endpoint);
    return r->spy && spy_takes_its_close(r, patience_ms);
}

static bool is_closed(const struct endpoint *e) {
    const struct replay *r = container_of(e, const struct replay, endpoint);
    return !r->spy || spy_closed(r);
}

static void on_upstream_fragment(struct endpoint *e, struct fragment *f) {
    spy_on_upstream_fragment(replay_of(e), f);
}

static void unref_plan(void *plan) {
    plan_unref(plan);
}

static void free_player(void *player) {
    player_free(player);
}

/* What is in use further down the stack stays to the turn's end. */
static void drop(struct endpoint *e) {
    struct replay *r = replay_of(e);
    struct loop *loop = &e->session->worker->loop;
    if (r->spy)
        spy_drop(r);
    if (r->clock)
        event_free(r->clock);
    r->clock = NULL;
    if (r->player)
        loop_bury(loop, r->player, free_player);
    r->player = NULL;
    if (r->assembler.data.data)
        loop_bury(loop, r->assembler.data.data, free);
    r->assembler.data = (struct buf)BUF_INIT;
    free(r->last_miss);
    r->last_miss = NULL;
    replay_choice_free(r->choice);
    r->choice = NULL;
    if (r->plan)
        loop_bury(loop, r->plan, unref_plan);
    r->plan = NULL;
}

const struct endpoint_type replay_endpoint = {
    .name = "replay",
    .size = sizeof(struct replay),
    .compile = replay_program_compile,
    .release = replay_program_release,
    .open = open_replay,
    .on_open = on_open,
    .on_fragment = on_fragment,
    .on_upstream_fragment = on_upstream_fragment,
    .flush = flush,
    .on_client_blocked = on_client_blocked,
    .on_recorder_ready = on_recorder_ready,
    .check = check,
    .close = close_replay,
    .takes_its_close = takes_its_close,
    .closed = is_closed,
    .drop = drop,
};
