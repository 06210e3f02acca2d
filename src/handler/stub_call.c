/* A handler of Lua from its start to its end, with what it waits for in between. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "handler/stub.h"
#include "store/store.h"

struct script_chunk *stub_chunk(struct stub *st, size_t script) {
    return script == PLAN_NO_SCRIPT ? NULL : stub_session(st)->chunks->items[script].chunk;
}

void stub_log_script_error(struct stub *st, const struct err *err) {
    struct session *s = stub_session(st);
    char text[sizeof err->file + sizeof err->text + 32];
    metrics_inc(&s->worker->metrics, METRIC_ERRORS_SCRIPT);
    LOG_LIMITED(LOG_ERROR, "script_failed", "connection=%s route=%s error=%s", s->connection.id,
                log_quote(s->route->config->path), log_quote(err_format(err, text, sizeof text)));
}

void stub_script_event(struct moment *m, enum script_event_kind kind, struct script_event *event,
                       struct script_message *message) {
    *message =
        (struct script_message){.incoming = true, .binary = m->binary, .data = (const uint8_t *)m->text, .len = m->len};
    *event = (struct script_event){.kind = kind, .message = message};
    if (m->tape && m->params != JSON_NO_NODE) {
        const struct json_node *n = &m->tape->nodes[m->params];
        event->params = m->text + n->begin;
        event->params_len = n->end - n->begin;
    }
}

bool stub_test(struct stub *st, size_t script, struct moment *m) {
    struct script_env *env = stub_env(st);
    struct script_event event;
    struct script_message message;
    struct err err;
    bool yes = false;
    if (!env)
        return false;
    stub_script_event(m, SCRIPT_RULE, &event, &message);
    if (script_test(stub_session(st)->worker->vm, env, stub_chunk(st, script), &event, &yes, &err) == SCRIPT_FAILED) {
        stub_log_script_error(st, &err);
        return false;
    }
    return yes;
}

/* ---- a stretch of the handler is over ---- */

static void stop_waiting(struct stub_call *call) {
    struct worker *w = stub_session(call->stub)->worker;
    slots_release(&w->waits, call->number);
    call->number = 0;
    stub_timer_stop(&call->sleep);
    list_remove(&call->in_stub);
}

static void after(struct stub_call *call, enum script_progress progress, struct script_result *result,
                  struct err *err) {
    struct stub *st = call->stub;
    st->running = NULL;
    (void)stub_must_yield(st);
    if (progress == SCRIPT_WAITING) {
        list_append(&st->calls, &call->in_stub);
    } else {
        call->task = NULL;
        stop_waiting(call); /* an error may have come between the request and the wait */
    }
    if (progress == SCRIPT_FAILED) {
        stub_drop_actions(st); /* half of what a handler meant to do is nobody's intention */
        stub_log_script_error(st, err);
    }
    stub_do_actions(st);
    if (progress != SCRIPT_WAITING)
        call->done(call, progress == SCRIPT_DONE ? result : NULL, progress == SCRIPT_DONE ? NULL : err);
    buf_fini(&result->data);
}

void stub_call_start(struct stub_call *call, struct stub *st, struct script_chunk *chunk,
                     const struct script_event *event,
                     void (*done)(struct stub_call *call, const struct script_result *result, const struct err *err)) {
    struct session *s = stub_session(st);
    struct script_result result = {0};
    struct err err;
    *call = (struct stub_call){.stub = st, .done = done};
    list_init(&call->in_stub);
    struct script_env *env = stub_env(st);
    if (!env) {
        err_set(&err, MF_ENOMEM, "out of memory");
        after(call, SCRIPT_FAILED, &result, &err);
        return;
    }
    st->running = call;
    (void)worker_burst_us(s->worker); /* the burst's time begins here at the latest */
    enum script_progress progress = script_start(s->worker->vm, env, chunk, event, &result, &call->task, &err);
    after(call, progress, &result, &err);
}

static void resume(struct stub_call *call, const struct script_answer *answer) {
    struct session *s = stub_session(call->stub);
    struct script_result result = {0};
    struct err err;
    stop_waiting(call);
    call->stub->running = call;
    (void)worker_burst_us(s->worker);
    after(call, script_resume(s->worker->vm, call->task, answer, &result, &err), &result, &err);
    session_flush(s);
}

void stub_call_cancel(struct stub_call *call) {
    if (!call->task) /* it was never started, or does not wait */
        return;
    stop_waiting(call);
    script_cancel(stub_session(call->stub)->worker->vm, call->task);
    call->task = NULL;
}

/* ---- what handlers wait for ---- */

static void on_slept(struct stub_timer *t) {
    const struct script_answer nothing = {0};
    resume(container_of(t, struct stub_call, sleep), &nothing);
}

static void on_shared(struct store_request *r, void *receiver) {
    struct worker *w = receiver;
    struct stub_call *call = slots_find(&w->waits, r->wait);
    if (call) {
        const struct script_answer answer = {r->json, r->json_len, r->error[0] ? r->error : NULL};
        worker_begin_burst(w);
        resume(call, &answer);
    }
    store_request_free(r);
}

int stub_call_sleep(struct stub_call *call, uint64_t ms, struct err *err) {
    return stub_timer_start(&call->sleep, call->stub, ms, false, on_slept) < 0
               ? err_set(err, MF_ENOMEM, "out of memory")
               : MF_OK;
}

int stub_call_shared(struct stub_call *call, const struct script_shared_request *request, struct err *err) {
    struct worker *w = stub_session(call->stub)->worker;
    if (!w->store)
        return err_set(err, MF_EINVAL, "shared state is off: websocket.shared_state.enabled");
    if (request->key_len > STORE_KEY_MAX || request->value_len > STORE_VALUE_MAX)
        return err_set(err, MF_ELIMIT, "the %s is too long for shared state",
                       request->key_len > STORE_KEY_MAX ? "key" : "value");
    struct store_request *r = store_request_new(request);
    call->number = r ? slots_take(&w->waits, call) : 0;
    if (!call->number) {
        store_request_free(r);
        return err_set(err, MF_ENOMEM, "out of memory");
    }
    r->reply_to = &w->loop.inbox;
    r->done = on_shared;
    r->wait = call->number;
    store_post(w->store, r);
    return MF_OK;
}
