#include "handler/stub.h"

#include <stdlib.h>
#include <string.h>

#include "handler/handlers.h"
#include "handler/mock.h"
#include "protocol/mask.h"

/* ---- one message ---- */

static void answer_rest(struct stub *st, struct moment *m) {
    const struct stub_program *p = stub_program(st);
    if ((p->rule_count || p->scenario_count) && !m->binary && m->len && !moment_parse(st, m))
        metrics_inc(&stub_session(st)->worker->metrics, METRIC_ERRORS_PARSE);
    if (p->on_message.count)
        stub_send_pieces(st, &p->on_message, m);
    else if (p->has_fallback)
        stub_run_answer(st, &p->fallback, m);
    else if (p->echo)
        stub_send(st, m->binary, m->text, m->len);
    else
        stub_unmatched(st, m);
}

static void answer(struct stub *st, bool binary, const char *text, size_t len) {
    static bool (*const responders[])(struct stub *, struct moment *) = {
        stub_rpc_take,
        stub_scenario_take,
        stub_rules_take,
        stub_script_take,
    };
    struct moment m;
    moment_init(&m, binary, text, len);
    for (size_t i = 0; i < ARRAY_LEN(responders); i++)
        if (responders[i](st, &m) || !stub_is_open(st))
            return;
    answer_rest(st, &m);
}

/* ---- whose turn it is ---- */

static void unref_plan(void *plan) {
    plan_unref(plan);
}

void stub_unref_plan(struct stub *st, struct plan *plan) {
    if (plan)
        loop_bury(&stub_session(st)->worker->loop, plan, unref_plan);
}

bool stub_must_yield(struct stub *st) {
    struct worker *w = stub_session(st)->worker;
    uint64_t begin_us = worker_burst_us(w);
    w->burst_over = w->burst_over || clock_mono_us() - begin_us >= WORKER_BURST_US;
    return w->burst_over;
}

/* The client asks for more than it takes. */
static bool is_ahead(struct stub *st) {
    return st->blocked || stub_session(st)->queue || st->delayed >= STUB_DELAYED_MAX ||
           st->delayed_bytes >= STUB_DELAYED_BYTES_MAX;
}

static bool may_take(struct stub *st) {
    return !st->holding && !is_ahead(st) && stub_is_open(st) && !stub_scenario_is_busy(st);
}

static void hold_or_release(struct stub *st) {
    bool hold = stub_is_open(st) && (is_ahead(st) || st->waiting_bytes >= STUB_WAITING_BYTES_MAX);
    peer_hold(&stub_session(st)->client, HOLD_HANDLER, hold);
}

static void say_farewell(struct stub *st);

static void on_again(struct stub_timer *t) {
    stub_go_on(t->stub);
}

/* The rest after the loop's turn. false: no memory to put it off. */
static bool put_off(struct stub *st) {
    return st->again.running || stub_timer_start(&st->again, st, 0, false, on_again) == MF_OK;
}

void stub_go_on(struct stub *st) {
    if (st->taking)
        return;
    st->taking = true;
    while (st->first && may_take(st) && !(stub_must_yield(st) && put_off(st))) {
        struct waiting *w = st->first;
        st->first = w->next;
        st->waiting_bytes -= sizeof *w + w->len;
        answer(st, w->binary, w->text, w->len);
        loop_bury(&stub_session(st)->worker->loop, w, free); /* a moment may look at it to the turn's end */
    }
    st->taking = false;
    if (st->farewell && !st->first && !st->holding && stub_is_open(st))
        say_farewell(st);
    hold_or_release(st);
}

static void wait_for_turn(struct stub *st, bool binary, const char *text, size_t len) {
    struct waiting *w = malloc(sizeof *w + len + 1);
    if (!w) {
        session_end(stub_session(st), END_NO_MEMORY, END_BY_GATEWAY, "no memory for a message");
        return;
    }
    *w = (struct waiting){.binary = binary, .len = len};
    if (len)
        memcpy(w->text, text, len);
    w->text[len] = '\0';
    *(st->first ? st->last : &st->first) = w;
    st->last = &w->next;
    st->waiting_bytes += sizeof *w + len;
}

static void take(struct stub *st) {
    bool binary = st->assembler.opcode == WS_BINARY;
    size_t len = st->assembler.data.len;
    const char *text = buf_cstr(&st->assembler.data);
    if (st->first || st->taking || !may_take(st)) {
        wait_for_turn(st, binary, text, len);
    } else {
        (void)stub_must_yield(st); /* the burst's time begins */
        st->taking = true;
        answer(st, binary, text, len);
        st->taking = false;
        (void)stub_must_yield(st); /* what came with this message may have to wait */
    }
    hold_or_release(st);
}

/* ---- the end ---- */

void stub_closed(struct stub *st) {
    st->closing = false;
    session_check_closed(stub_session(st));
}

/* on_close, and when the script has done with it, our close frame. */
static void say_farewell(struct stub *st) {
    struct session *s = stub_session(st);
    struct farewell *f = st->farewell;
    if (!st->said) {
        struct moment nothing;
        st->said = true;
        moment_init(&nothing, false, NULL, 0);
        stub_send_pieces(st, &stub_program(st)->on_close, &nothing);
        if (stub_is_open(st))
            stub_script_close(st, f->code, f->reason);
        if (st->closing || !stub_is_open(st))
            return;
    }
    session_send_queue(s, true);
    session_send(s, WS_CLOSE, f->payload, f->len); /* the same code and reason: RFC 6455 section 5.5.1 */
}

static void on_close_frame(struct stub *st, const struct fragment *f) {
    struct farewell *w = calloc(1, sizeof *w);
    unsigned code;
    const char *reason;
    size_t len;
    if (!w) {
        session_end(stub_session(st), END_NO_MEMORY, END_BY_GATEWAY, "no memory for a close frame");
        return;
    }
    if (f->masked)
        mask_copy(w->payload, f->payload, f->len, f->key, 0);
    else
        memcpy(w->payload, f->payload, f->len);
    w->len = f->len;
    w->code = WS_CLOSE_NO_STATUS;
    if (frame_close_parse(w->payload, w->len, &code, &reason, &len) == MF_OK) {
        w->code = code;
        memcpy(w->reason, reason, len); /* at most 123 bytes: a NUL follows */
    }
    free(st->farewell);
    st->farewell = w;
    stub_go_on(st);
}

/* Nobody waits for it any more, but the script hears of it all the same. */
static void on_last_call(struct stub_timer *t) {
    struct stub *st = t->stub;
    const struct session *s = stub_session(st);
    const struct farewell *f = st->farewell;
    if (s->reason == END_GONE)
        stub_script_close(st, WS_CLOSE_ABNORMAL, "");
    else
        stub_script_close(st, f ? f->code : s->close_code, f ? f->reason : "");
    if (!st->closing)
        stub_closed(st);
}

/* By whatever ends the session, but for the client's close frame in its turn. */
static void close_stub(struct endpoint *e, unsigned code, const char *reason) {
    (void)code, (void)reason;
    struct stub *st = stub_of(e);
    if (st->said || !stub_hears_close(st))
        return;
    st->said = true;
    /* In a turn of its own: a session may end while another one's message is answered. */
    st->closing = stub_timer_start(&st->last_call, st, 0, false, on_last_call) == MF_OK;
}

static bool is_closed(const struct endpoint *e) {
    return !container_of(e, const struct stub, endpoint)->closing;
}

/* ---- the endpoint ---- */

static void open_stub(struct endpoint *e) {
    struct stub *st = stub_of(e);
    list_init(&st->calls);
    list_init(&st->runs);
    list_init(&st->timers);
    list_init(&st->schedules);
    list_init(&st->rpcs);
    mock_open(e);
}

static void on_open(struct endpoint *e) {
    struct stub *st = stub_of(e);
    struct session *s = e->session;
    struct moment nothing;
    if (hub_add(s->worker->hub, s) < 0) {
        session_end(s, END_NO_MEMORY, END_BY_GATEWAY, "no memory for a connection");
        return;
    }
    worker_begin_burst(s->worker);
    moment_init(&nothing, false, NULL, 0);
    st->taking = true; /* what came behind the head waits until the greeting is out */
    stub_send_pieces(st, &stub_program(st)->on_connect, &nothing);
    stub_script_connect(st);
    stub_schedules_start(st);
    stub_scenario_start(st);
    st->taking = false;
    hold_or_release(st);
    session_flush(s);
}

static void on_fragment(struct endpoint *e, struct fragment *f) {
    struct stub *st = stub_of(e);
    struct session *s = e->session;
    if (f->opcode == WS_CLOSE && stub_is_open(st)) {
        on_close_frame(st, f);
        return;
    }
    if (f->opcode == WS_CLOSE) /* the answer to ours */
        close_stub(e, 0, "");
    if (session_answer_control(s, f) || !stub_is_open(st)) /* nobody answers what comes behind our close frame */
        return;
    switch (assembler_add(&st->assembler, f, s->route->assemble_limit)) {
    case ASSEMBLED_NOT_YET:
        break;
    case ASSEMBLED_WHOLE:
        take(st);
        assembler_reset(&st->assembler);
        break;
    case ASSEMBLED_TOO_BIG:
        session_end(s, END_TOO_BIG, END_BY_CLIENT, "message over max_message_size");
        break;
    case ASSEMBLED_NO_MEMORY:
        session_end(s, END_NO_MEMORY, END_BY_GATEWAY, "no memory for a message");
        break;
    }
}

static void on_client_blocked(struct endpoint *e, bool blocked) {
    struct stub *st = stub_of(e);
    st->blocked = blocked;
    if (blocked) {
        hold_or_release(st);
        return;
    }
    worker_begin_burst(e->session->worker);
    stub_go_on(st);
    session_flush(e->session);
}

static void drop(struct endpoint *e) {
    struct stub *st = stub_of(e);
    struct loop *loop = &e->session->worker->loop;
    if (!st->calls.next) /* it was never opened */
        return;
    stub_timer_stop(&st->again);
    stub_timer_stop(&st->last_call);
    stub_scenario_drop(st);
    stub_rpc_drop(st);
    stub_schedules_drop(st);
    stub_script_drop(st);
    stub_runs_drop(st);
    stub_host_drop(st);
    stub_timers_drop(st);
    for (struct waiting *w = st->first, *next; w; w = next) {
        next = w->next;
        free(w);
    }
    st->first = NULL;
    st->said = true;
    st->closing = false;
    if (st->farewell)
        loop_bury(loop, st->farewell, free);
    st->farewell = NULL;
    /* The message that is being answered may be in it: it stays to the turn's end. */
    if (st->assembler.data.data)
        loop_bury(loop, st->assembler.data.data, free);
    st->assembler.data = (struct buf)BUF_INIT;
}

const struct endpoint_type stub_endpoint = {
    .name = "mock",
    .size = sizeof(struct stub),
    .compile = stub_program_compile,
    .release = stub_program_release,
    .open = open_stub,
    .on_open = on_open,
    .on_fragment = on_fragment,
    .on_client_blocked = on_client_blocked,
    .close = close_stub,
    .closed = is_closed,
    .drop = drop,
};
