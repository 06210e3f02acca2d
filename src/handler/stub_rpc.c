/* `methods`: JSON-RPC 2.0, by its specification (jsonrpc.org/specification): batches, notifications, error codes.
 *
 * A message is one request or a batch; each request is answered in its turn, a batch when all of its requests are.
 * While a handler waits the next message does; a method's delay holds nobody up. */
#include <stdlib.h>
#include <string.h>

#include "handler/stub.h"

enum rpc_code {
    RPC_PARSE_ERROR = -32700,
    RPC_INVALID_REQUEST = -32600,
    RPC_METHOD_NOT_FOUND = -32601,
    RPC_INTERNAL_ERROR = -32603,
};

struct rpc {
    struct list in_stub;
    struct stub *stub;
    struct plan *plan;        /* counted: methods are part of it */
    struct chunk_set *chunks; /* counted: their Lua */
    const struct stub_program *program;
    struct moment moment;
    char *text; /* the copy that moment looks at, once it has to last */
    bool batch;
    uint32_t at;                     /* the node of the request that is answered */
    uint32_t end;                    /* behind the last */
    uint32_t id;                     /* of the request: a node, or JSON_NO_NODE for a notification */
    struct buf out;                  /* the answer so far */
    unsigned answers;                /* in it */
    const struct rpc_method *method; /* whose delay or handler is under way */
    bool delayed;                    /* the method's delay is over */
    bool detached;                   /* a delay was: nobody waits for this answer any more */
    bool holding;                    /* it waits, and the next message for it */
    bool delaying;                   /* it waits, and nobody for it: counted in stub->delayed */
    bool advancing;                  /* in rpc_on() */
    bool over;
    struct stub_timer timer;
    struct stub_call call;
};

static void rpc_on(struct rpc *r);

/* ---- whose turn it is ---- */

static void wait(struct rpc *r) {
    struct stub *st = r->stub;
    r->holding = !r->detached;
    r->delaying = r->detached;
    st->holding += r->holding;
    st->delayed += r->delaying;
    st->delayed_bytes += r->delaying ? r->moment.len : 0;
}

static void wait_no_more(struct rpc *r) {
    struct stub *st = r->stub;
    st->holding -= r->holding;
    st->delayed -= r->delaying;
    st->delayed_bytes -= r->delaying ? r->moment.len : 0;
    r->holding = r->delaying = false;
}

/* ---- writing ---- */

static void begin_answer(struct rpc *r) {
    if (r->batch)
        buf_puts(&r->out, r->answers ? "," : "[");
    r->answers++;
    buf_puts(&r->out, "{\"jsonrpc\":\"2.0\",");
}

static void end_answer(struct rpc *r) {
    buf_puts(&r->out, ",\"id\":");
    if (r->id == JSON_NO_NODE) {
        buf_puts(&r->out, "null}");
        return;
    }
    const struct json_node *n = &r->moment.tape->nodes[r->id];
    buf_append(&r->out, r->moment.text + n->begin, n->end - n->begin); /* as it came: its type too */
    buf_putc(&r->out, '}');
}

static void answer_error(struct rpc *r, enum rpc_code code, const char *message) {
    begin_answer(r);
    buf_printf(&r->out, "\"error\":{\"code\":%d,\"message\":\"%s\"}", (int)code, message);
    end_answer(r);
}

static void answer_member(struct rpc *r, const char *name, const char *json, size_t len) {
    begin_answer(r);
    buf_printf(&r->out, "\"%s\":", name);
    buf_append(&r->out, json, len);
    end_answer(r);
}

/* What a handler gave back: a value, or {result: …} or {error: …}. */
static void answer_result(struct rpc *r, const struct script_result *result) {
    const char *text = (const char *)result->data.data;
    struct json_tape tape = {.max = 1u << 20};
    struct buf copy = BUF_INIT;
    size_t error_at;
    const char *member = NULL;
    uint32_t node = JSON_NO_NODE;
    buf_append(&copy, text, result->data.len);
    if (result->is_json && json_tape_parse(&tape, buf_cstr(&copy), copy.len, &error_at) == MF_OK &&
        tape.nodes[0].kind == JSON_OBJECT && tape.nodes[0].count == 1) {
        static const char *const names[] = {"result", "error"};
        for (size_t i = 0; i < ARRAY_LEN(names) && node == JSON_NO_NODE; i++) {
            member = names[i];
            node = json_member(&tape, buf_cstr(&copy), 0, member, strlen(member),
                               &stub_session(r->stub)->worker->scratch_name);
        }
    }
    if (node != JSON_NO_NODE)
        answer_member(r, member, buf_cstr(&copy) + tape.nodes[node].begin,
                      tape.nodes[node].end - tape.nodes[node].begin);
    else if (result->is_json)
        answer_member(r, "result", text, result->data.len);
    else {
        begin_answer(r);
        buf_puts(&r->out, "\"result\":");
        json_write_string(&r->out, text, result->data.len);
        end_answer(r);
    }
    json_tape_fini(&tape);
    buf_fini(&copy);
}

static void answer_template(struct rpc *r, const char *name, const struct json_template *t) {
    struct stub_values values;
    struct template_context ctx;
    struct buf *json = &stub_session(r->stub)->worker->scratch_message;
    moment_context(r->stub, &r->moment, &values, &ctx);
    buf_reset(json);
    if (json_template_render(t, &ctx, json) < 0)
        answer_error(r, RPC_INTERNAL_ERROR, "Internal error");
    else
        answer_member(r, name, (const char *)json->data, json->len);
}

/* ---- the end ---- */

static void end_rpc(struct rpc *r) {
    struct worker *w = stub_session(r->stub)->worker;
    if (r->over)
        return;
    r->over = true;
    wait_no_more(r);
    list_remove(&r->in_stub);
    stub_timer_stop(&r->timer);
    stub_call_cancel(&r->call);
    stub_unref_plan(r->stub, r->plan);
    chunk_set_unref(w, r->chunks);
    if (r->out.data) /* it may be on its way out */
        loop_bury(&w->loop, r->out.data, free);
    r->out = (struct buf)BUF_INIT;
    if (r->text)
        loop_bury(&w->loop, r->text, free);
    loop_bury(&w->loop, r, free);
}

static void send_answers(struct rpc *r) {
    if (!r->answers || !stub_is_open(r->stub))
        return;
    if (r->batch)
        buf_putc(&r->out, ']');
    if (r->out.failed)
        session_end(stub_session(r->stub), END_NO_MEMORY, END_BY_GATEWAY, "no memory for an answer");
    else
        stub_send(r->stub, false, r->out.data, r->out.len);
}

/* ---- one request ---- */

static uint32_t member(struct rpc *r, const char *name) {
    return json_member(r->moment.tape, r->moment.text, r->at, name, strlen(name),
                       &stub_session(r->stub)->worker->scratch_name);
}

static bool is_string(struct rpc *r, uint32_t node, const char *text) {
    return node != JSON_NO_NODE && json_string_is(r->moment.text, &r->moment.tape->nodes[node], text, strlen(text),
                                                  &stub_session(r->stub)->worker->scratch_name);
}

/* Finds id, method and params. false: it is no request, and was told so. */
static bool read_request(struct rpc *r, uint32_t *name) {
    const struct json_node *nodes = r->moment.tape->nodes;
    r->id = JSON_NO_NODE;
    r->moment.params = JSON_NO_NODE;
    r->moment.request = r->at;
    bool good = nodes[r->at].kind == JSON_OBJECT;
    uint32_t id = good ? member(r, "id") : JSON_NO_NODE;
    bool good_id = id == JSON_NO_NODE || nodes[id].kind == JSON_STRING || nodes[id].kind == JSON_NULL ||
                   nodes[id].kind == JSON_INTEGER || nodes[id].kind == JSON_DECIMAL;
    if (good_id)
        r->id = id;
    *name = good ? member(r, "method") : JSON_NO_NODE;
    uint32_t params = good ? member(r, "params") : JSON_NO_NODE;
    good = good && good_id && is_string(r, good ? member(r, "jsonrpc") : JSON_NO_NODE, "2.0") &&
           *name != JSON_NO_NODE && nodes[*name].kind == JSON_STRING &&
           (params == JSON_NO_NODE || nodes[params].kind == JSON_OBJECT || nodes[params].kind == JSON_ARRAY);
    if (good)
        r->moment.params = params;
    else
        answer_error(r, RPC_INVALID_REQUEST, "Invalid Request");
    return good;
}

static const struct rpc_method *find_method(struct rpc *r, uint32_t name) {
    const struct rpc_method *rest = NULL;
    for (size_t i = 0; i < r->program->method_count; i++) {
        const struct rpc_method *m = &r->program->methods[i];
        if (is_string(r, name, m->name))
            return m;
        if (!strcmp(m->name, "*"))
            rest = m;
    }
    return rest || !r->program->rpc_rest.name ? rest : &r->program->rpc_rest;
}

/* The message is about to be gone: nodes are the same once the copy is parsed. */
static bool keep_message(struct rpc *r) {
    if (r->text)
        return true;
    r->text = malloc(r->moment.len + 1);
    if (!r->text)
        return false;
    memcpy(r->text, r->moment.text, r->moment.len);
    r->text[r->moment.len] = '\0';
    r->moment.text = r->text;
    return true;
}

/* Another message may have been parsed into the worker's tape since. */
static bool parse_again(struct rpc *r) {
    r->moment.parsed = false;
    return moment_parse(r->stub, &r->moment);
}

static void next_request(struct rpc *r) {
    r->at = r->moment.tape->nodes[r->at].next;
    r->method = NULL;
    r->delayed = false;
}

static void rpc_on_again(struct rpc *r) {
    struct stub *st = r->stub;
    wait_no_more(r);
    if (parse_again(r))
        rpc_on(r);
    else
        end_rpc(r);
    stub_go_on(st);
}

static void on_delay(struct stub_timer *t) {
    struct rpc *r = container_of(t, struct rpc, timer);
    r->delayed = true;
    rpc_on_again(r);
}

static void on_pause(struct stub_timer *t) {
    rpc_on_again(container_of(t, struct rpc, timer));
}

static void on_handler(struct stub_call *call, const struct script_result *result, const struct err *err) {
    struct rpc *r = container_of(call, struct rpc, call);
    struct stub *st = r->stub;
    (void)err;
    if (!r->over && (r->advancing || parse_again(r))) {
        bool notification = member(r, "id") == JSON_NO_NODE;
        if (!result && !notification)
            answer_error(r, RPC_INTERNAL_ERROR, "Internal error");
        else if (!notification && result->any)
            answer_result(r, result);
        else if (!notification)
            answer_member(r, "result", "null", 4);
        next_request(r);
    }
    if (r->advancing || r->over)
        return;
    wait_no_more(r);
    rpc_on(r);
    stub_go_on(st);
}

/* true: it is over at once. */
static bool start_handler(struct rpc *r) {
    struct script_event event;
    struct script_message message;
    uint32_t at = r->at;
    stub_script_event(&r->moment, SCRIPT_RULE, &event, &message);
    stub_call_start(&r->call, r->stub, r->chunks->items[r->method->handler].chunk, &event, on_handler);
    if (r->over || r->at != at)
        return true;
    if (!keep_message(r)) {
        end_rpc(r);
        return true;
    }
    wait(r);
    return false;
}

static bool start_delay(struct rpc *r) {
    if (!keep_message(r) || stub_timer_start(&r->timer, r->stub, r->method->delay_ms, false, on_delay) < 0)
        return false;
    r->detached = true;
    wait(r);
    return true;
}

/* A long batch lets other connections go first. false: no memory to do so. */
static bool pause_batch(struct rpc *r) {
    if (!keep_message(r) || stub_timer_start(&r->timer, r->stub, 0, false, on_pause) < 0)
        return false;
    wait(r);
    return true;
}

/* true: go on with the next one. */
static bool take_request(struct rpc *r) {
    uint32_t name;
    if (!r->method) {
        if (!read_request(r, &name)) {
            next_request(r);
            return true;
        }
        r->method = find_method(r, name);
    }
    const struct rpc_method *m = r->method;
    if (m && m->delay_ms && !r->delayed && start_delay(r))
        return false;
    if (m && m->handler != PLAN_NO_SCRIPT)
        return start_handler(r);
    if (r->id != JSON_NO_NODE) { /* a notification gets no answer, not even that there is no such method */
        if (!m)
            answer_error(r, RPC_METHOD_NOT_FOUND, "Method not found");
        else
            answer_template(r, m->error ? "error" : "result", m->error ? m->error : m->result);
    }
    next_request(r);
    return true;
}

static void rpc_on(struct rpc *r) {
    r->advancing = true;
    while (!r->over && r->at < r->end && stub_is_open(r->stub))
        if (!take_request(r) || (!r->over && r->at < r->end && stub_must_yield(r->stub) && pause_batch(r))) {
            r->advancing = false;
            return;
        }
    r->advancing = false;
    if (r->over)
        return;
    send_answers(r);
    end_rpc(r);
}

/* ---- one message ---- */

/* Beside other mock keys, only what means to be JSON-RPC is taken. */
static bool is_meant_for_us(struct stub *st, const struct moment *m) {
    const struct stub_program *p = stub_program(st);
    bool alone =
        !p->rule_count && p->script == PLAN_NO_SCRIPT && !p->on_message.count && !p->scenario_count && !p->echo;
    if (alone || !m->tape)
        return alone;
    if (m->tape->nodes[0].kind == JSON_ARRAY && m->tape->nodes[0].count)
        return m->tape->nodes[1].kind == JSON_OBJECT &&
               json_member(m->tape, m->text, 1, "jsonrpc", 7, &stub_session(st)->worker->scratch_name) != JSON_NO_NODE;
    return json_member(m->tape, m->text, 0, "jsonrpc", 7, &stub_session(st)->worker->scratch_name) != JSON_NO_NODE;
}

bool stub_rpc_take(struct stub *st, struct moment *m) {
    const struct stub_program *p = stub_program(st);
    struct session *s = stub_session(st);
    if (!p->rpc)
        return false;
    moment_parse(st, m);
    if (!is_meant_for_us(st, m))
        return false;
    struct rpc *r = calloc(1, sizeof *r);
    if (!r) {
        session_end(s, END_NO_MEMORY, END_BY_GATEWAY, "no memory for an answer");
        return true;
    }
    *r = (struct rpc){.stub = st,
                      .plan = plan_ref(s->plan),
                      .chunks = chunk_set_ref(s->chunks),
                      .program = p,
                      .moment = *m,
                      .id = JSON_NO_NODE};
    list_append(&st->rpcs, &r->in_stub);
    if (!m->tape) {
        metrics_inc(&s->worker->metrics, METRIC_ERRORS_PARSE);
        answer_error(r, RPC_PARSE_ERROR, "Parse error");
    } else {
        const struct json_node *root = &m->tape->nodes[0];
        r->batch = root->kind == JSON_ARRAY && root->count;
        r->at = r->batch ? 1 : 0;
        r->end = root->next;
    }
    rpc_on(r);
    return true;
}

void stub_rpc_drop(struct stub *st) {
    LIST_EACH_SAFE(&st->rpcs, it)
    end_rpc(container_of(it, struct rpc, in_stub));
}
