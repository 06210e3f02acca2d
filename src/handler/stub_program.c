#include "handler/stub_program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IN_RULES (TEMPLATE_MESSAGE | TEMPLATE_STATE)
#define IN_METHODS (TEMPLATE_MESSAGE | TEMPLATE_PARAMS | TEMPLATE_STATE)

static int no_memory(struct plan_build *b) {
    return err_set(b->err, MF_ENOMEM, "out of memory");
}

/* The error has a place of its own within the value, or is the value's. */
static int fail_in(struct plan_build *b, const char *key, const struct config_value *v) {
    int line = b->err->line ? b->err->line : v->line, column = b->err->line ? b->err->column : v->column;
    b->err->line = b->err->column = 0;
    return plan_fail(b, key, line, column);
}

static int compile_json(struct plan_build *b, const char *key, const struct config_value *v, unsigned roots,
                        struct json_template **out) {
    return !v || json_template_compile(v, roots, out, b->err) == MF_OK ? MF_OK : fail_in(b, key, v);
}

static int compile_matcher(struct plan_build *b, const char *key, const struct config_value *v, struct matcher **out) {
    return !v || matcher_compile(v, out, b->err) == MF_OK ? MF_OK : fail_in(b, key, v);
}

/* "rules[2]". */
static const char *numbered(char out[64], const char *list, size_t i) {
    snprintf(out, 64, "%s[%zu]", list, i);
    return out;
}

/* ---- static, rules, methods ---- */

static int compile_messages(struct plan_build *b, const struct route_config *c, struct stub_program *p) {
    char key[64];
    int rc = MF_OK;
    for (size_t i = 0; i < c->messages_count && rc == MF_OK; i++) {
        numbered(key, "messages", i);
        rc = pieces_add(b, key, c->messages[i].on_connect, TEMPLATE_STATE | PIECES_VERBATIM, &p->on_connect);
        if (rc == MF_OK)
            rc = pieces_add(b, key, c->messages[i].on_message, IN_RULES | PIECES_VERBATIM, &p->on_message);
        if (rc == MF_OK)
            rc = pieces_add(b, key, c->messages[i].on_close, TEMPLATE_STATE | PIECES_VERBATIM, &p->on_close);
    }
    return rc;
}

static bool answers_requests(const struct route_config *c) {
    return c->methods_count || c->type == HANDLER_JSONRPC;
}

static int compile_rules(struct plan_build *b, const struct route_config *c, struct stub_program *p) {
    p->rules = calloc(c->rules_count + 1, sizeof *p->rules);
    if (!p->rules)
        return no_memory(b);
    char key[64];
    int rc = MF_OK;
    for (size_t i = 0; i < c->rules_count && rc == MF_OK; i++) {
        numbered(key, "rules", i);
        const struct rule_config *from = &c->rules[i];
        struct rule *rule = &p->rules[p->rule_count++];
        *rule = (struct rule){.when = PLAN_NO_SCRIPT, .line = from->step.line};
        rc = compile_matcher(b, key, from->match, &rule->match);
        if (rc == MF_OK)
            rc = plan_add_script(b, key, PLAN_EXPRESSION, &from->when, &rule->when);
        if (rc == MF_OK)
            rc = answer_compile(b, key, &from->step, IN_RULES, &rule->answer);
    }
    if (rc == MF_OK && c->has_fallback)
        rc = answer_compile(b, "default", &c->fallback, answers_requests(c) ? IN_METHODS : IN_RULES, &p->fallback);
    p->has_fallback = c->has_fallback;
    return rc;
}

/* A response is {result: …}, {error: …}, or the result itself. */
static int compile_method(struct plan_build *b, const char *key, const struct method_config *from,
                          struct rpc_method *m) {
    const struct config_value *result = from->response ? config_value_get(from->response, "result") : NULL;
    const struct config_value *error = from->response ? config_value_get(from->response, "error") : NULL;
    bool wrapped =
        from->response && from->response->kind == CONFIG_MAP && from->response->count == 1 && (result || error);
    int rc = compile_json(b, key, wrapped ? result : from->response, IN_METHODS, &m->result);
    if (rc == MF_OK)
        rc = compile_json(b, key, wrapped && error ? error : from->error, IN_METHODS, &m->error);
    return rc < 0 ? rc : plan_add_script(b, key, PLAN_CHUNK, &from->handler, &m->handler);
}

/* `default` answers requests that no method has. */
static int compile_rpc_rest(struct plan_build *b, const struct route_config *c, struct stub_program *p) {
    const struct step_config *from = &c->fallback;
    bool plain = !from->then_count && !from->close.given &&
                 !strcmp(from->respond_to.text ? from->respond_to.text : "sender", "sender") &&
                 (from->handler.text || (from->response && from->response->kind != CONFIG_LIST));
    if (!plain && c->type == HANDLER_JSONRPC) {
        err_set(b->err, MF_EINVAL,
                "in a jsonrpc handler it answers a request: it has one response or a handler, and delay_ms");
        return plan_fail(b, "default", from->line, from->column);
    }
    if (!plain)
        return MF_OK;
    const struct method_config like = {.response = from->response, .handler = from->handler};
    p->rpc_rest = (struct rpc_method){.handler = PLAN_NO_SCRIPT, .delay_ms = from->delay_ms, .name = strdup("*")};
    return p->rpc_rest.name ? compile_method(b, "default", &like, &p->rpc_rest) : no_memory(b);
}

static int compile_methods(struct plan_build *b, const struct route_config *c, struct stub_program *p) {
    p->methods = calloc(c->methods_count + 1, sizeof *p->methods);
    if (!p->methods)
        return no_memory(b);
    char key[64];
    int rc = MF_OK;
    for (size_t i = 0; i < c->methods_count && rc == MF_OK; i++) {
        struct rpc_method *m = &p->methods[p->method_count++];
        *m = (struct rpc_method){.handler = PLAN_NO_SCRIPT, .delay_ms = c->methods[i].delay_ms};
        m->name = strdup(c->methods[i].name);
        rc = m->name ? compile_method(b, numbered(key, "methods", i), &c->methods[i], m) : no_memory(b);
    }
    p->rpc = answers_requests(c);
    return rc == MF_OK && p->rpc && c->has_fallback ? compile_rpc_rest(b, c, p) : rc;
}

/* ---- schedules ---- */

static int compile_schedule(struct plan_build *b, const char *key, const struct schedule_config *from, unsigned roots,
                            struct schedule *out) {
    *out = (struct schedule){from->interval_ms, from->delay_ms, from->count, {0}, PLAN_NO_SCRIPT};
    int rc = pieces_compile(b, key, from->message, roots, &out->message);
    return rc < 0 ? rc : plan_add_script(b, key, PLAN_CHUNK, &from->handler, &out->handler);
}

static int compile_schedules(struct plan_build *b, const struct route_config *c, struct stub_program *p) {
    p->schedules = calloc(c->scheduled_count + 1, sizeof *p->schedules);
    if (!p->schedules)
        return no_memory(b);
    char key[64];
    int rc = MF_OK;
    for (size_t i = 0; i < c->scheduled_count && rc == MF_OK; i++)
        rc = compile_schedule(b, numbered(key, "scheduled", i), &c->scheduled[i], TEMPLATE_STATE,
                              &p->schedules[p->schedule_count++]);
    return rc == MF_OK && c->broadcast.interval_ms ? compile_schedule(b, "broadcast", &c->broadcast, 0, &p->broadcast)
                                                   : rc;
}

/* ---- scenario ---- */

static size_t step_named(const struct route_config *c, const char *label) {
    for (size_t i = 0; i < c->steps_count; i++)
        if (c->steps[i].label && !strcmp(c->steps[i].label, label))
            return i;
    MUST(!"a label that the configuration's check has not seen");
    return 0;
}

static int compile_scenario_step(struct plan_build *b, const struct route_config *c, size_t i,
                                 struct scenario_step *s) {
    char key[64];
    numbered(key, "steps", i);
    const struct scenario_step_config *from = &c->steps[i];
    *s = (struct scenario_step){.delay_ms = from->delay_ms,
                                .timeout_ms = from->timeout_ms,
                                .next = i + 1,
                                .closes = from->close.given,
                                .close_code = from->close.code,
                                .line = from->line};
    s->on_timeout = !from->on_timeout || !strcmp(from->on_timeout, "close") ? STEP_CLOSES
                    : !strcmp(from->on_timeout, "continue")                 ? i + 1
                                                                            : step_named(c, from->on_timeout);
    if (from->go_to)
        s->next = step_named(c, from->go_to);
    int rc = pieces_compile(b, key, from->send, IN_RULES, &s->send);
    if (rc == MF_OK && from->close.reason.text &&
        template_compile_roots(from->close.reason.text, IN_RULES, &s->close_reason, b->err) < 0)
        rc = plan_fail(b, key, from->close.reason.line, from->close.reason.column);
    return rc < 0 ? rc : compile_matcher(b, key, from->expect, &s->expect);
}

static int compile_scenario(struct plan_build *b, const struct route_config *c, struct stub_program *p) {
    p->scenario = calloc(c->steps_count + 1, sizeof *p->scenario);
    if (!p->scenario)
        return no_memory(b);
    int rc = MF_OK;
    for (size_t i = 0; i < c->steps_count && rc == MF_OK; i++)
        rc = compile_scenario_step(b, c, i, &p->scenario[p->scenario_count++]);
    return rc;
}

/* ---- the rest ---- */

static int compile_script(struct plan_build *b, const struct route_config *c, struct stub_program *p) {
    const struct config_text file = {.text = c->script_file};
    p->script = PLAN_NO_SCRIPT;
    p->script_is_module = c->script_file;
    if (c->script_file)
        return plan_add_script(b, "script_file", PLAN_MODULE, &file, &p->script);
    return plan_add_script(b, "script", PLAN_CHUNK, &c->script, &p->script);
}

/* Placeholders in it are filled at once, without a connection: state is what the file says. */
static int compile_state(struct plan_build *b, const struct route_config *c, struct stub_program *p) {
    struct json_template *t = NULL;
    const struct template_context nobody = {0};
    if (!c->state_initial)
        return MF_OK;
    int rc = compile_json(b, "state.initial", c->state_initial, 0, &t);
    if (rc == MF_OK && json_template_render(t, &nobody, &p->state) < 0)
        rc = no_memory(b);
    json_template_free(t);
    b->plan->needs_lua = true;
    return rc;
}

int stub_program_compile(struct plan_build *b, struct route *r) {
    static int (*const parts[])(struct plan_build *, const struct route_config *, struct stub_program *) = {
        compile_messages, compile_rules,  compile_methods, compile_schedules,
        compile_scenario, compile_script, compile_state,
    };
    struct stub_program *p = calloc(1, sizeof *p);
    if (!p)
        return no_memory(b);
    r->program = p;
    p->echo = r->config->type == HANDLER_ECHO;
    int rc = MF_OK;
    for (size_t i = 0; i < ARRAY_LEN(parts) && rc == MF_OK; i++)
        rc = parts[i](b, r->config, p);
    return rc;
}

static void schedule_fini(struct schedule *s) {
    pieces_fini(&s->message);
}

static void method_fini(struct rpc_method *m) {
    free(m->name);
    json_template_free(m->result);
    json_template_free(m->error);
}

void stub_program_release(struct route *r) {
    struct stub_program *p = r->program;
    pieces_fini(&p->on_connect);
    pieces_fini(&p->on_message);
    pieces_fini(&p->on_close);
    for (size_t i = 0; i < p->rule_count; i++) {
        matcher_free(p->rules[i].match);
        answer_fini(&p->rules[i].answer);
    }
    free(p->rules);
    answer_fini(&p->fallback);
    for (size_t i = 0; i < p->method_count; i++)
        method_fini(&p->methods[i]);
    free(p->methods);
    method_fini(&p->rpc_rest);
    for (size_t i = 0; i < p->schedule_count; i++)
        schedule_fini(&p->schedules[i]);
    free(p->schedules);
    schedule_fini(&p->broadcast);
    for (size_t i = 0; i < p->scenario_count; i++) {
        pieces_fini(&p->scenario[i].send);
        matcher_free(p->scenario[i].expect);
        template_free(p->scenario[i].close_reason);
    }
    free(p->scenario);
    buf_fini(&p->state);
    free(p);
    r->program = NULL;
}
