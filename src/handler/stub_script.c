/* `script` and `script_file`: Lua for each message, and a module's on_connect and on_close. */
#include <stdlib.h>

#include "handler/stub.h"

struct message_call {
    struct stub_call call;
    bool is_close;
    bool started; /* start() is over */
    bool over;
};

static void on_done(struct stub_call *call, const struct script_result *result, const struct err *err) {
    struct message_call *c = container_of(call, struct message_call, call);
    struct stub *st = call->stub;
    (void)err;
    c->over = true;
    if (result && result->any)
        stub_send(st, result->binary, result->data.data, result->data.len);
    if (!c->started) /* start() frees it */
        return;
    bool is_close = c->is_close;
    free(c);
    st->holding--;
    if (is_close)
        st->closing = false;
    stub_go_on(st);
    if (is_close)
        stub_closed(st);
}

void stub_script_drop(struct stub *st) {
    LIST_EACH_SAFE(&st->calls, it) {
        struct stub_call *call = container_of(it, struct stub_call, in_stub);
        if (call->done != on_done)
            continue;
        struct message_call *c = container_of(call, struct message_call, call);
        stub_call_cancel(call);
        c->over = c->started = true;
        loop_bury(&stub_session(st)->worker->loop, c, free); /* start() may be looking at it */
    }
}

static void start(struct stub *st, struct script_chunk *chunk, const struct script_event *event) {
    struct message_call *c = calloc(1, sizeof *c);
    if (!c) {
        session_end(stub_session(st), END_NO_MEMORY, END_BY_GATEWAY, "no memory for a handler");
        return;
    }
    stub_call_start(&c->call, st, chunk, event, on_done);
    if (c->over) {
        if (!c->started)
            free(c);
        return;
    }
    c->started = true;
    c->is_close = event->kind == SCRIPT_CLOSE;
    st->closing = c->is_close;
    st->holding++;
}

static const struct script_module *module_of(struct stub *st) {
    const struct stub_program *p = stub_program(st);
    return p->script_is_module ? &stub_session(st)->chunks->items[p->script].module : NULL;
}

bool stub_script_take(struct stub *st, struct moment *m) {
    const struct stub_program *p = stub_program(st);
    if (p->script == PLAN_NO_SCRIPT)
        return false;
    const struct script_module *module = module_of(st);
    struct script_chunk *chunk = module ? module->on_message : stub_chunk(st, p->script);
    struct script_event event;
    struct script_message message;
    if (!chunk)
        return false;
    stub_script_event(m, SCRIPT_FRAME, &event, &message);
    start(st, chunk, &event);
    return true;
}

void stub_script_connect(struct stub *st) {
    const struct script_module *module = module_of(st);
    const struct script_event event = {.kind = SCRIPT_CONNECT};
    if (module && module->on_connect)
        start(st, module->on_connect, &event);
}

bool stub_hears_close(struct stub *st) {
    const struct script_module *module = module_of(st);
    return module && module->on_close;
}

void stub_script_close(struct stub *st, unsigned code, const char *reason) {
    const struct script_event event = {.kind = SCRIPT_CLOSE, .close_code = code, .close_reason = reason};
    if (stub_hears_close(st))
        start(st, module_of(st)->on_close, &event);
}
