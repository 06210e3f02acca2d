/* What the keys of mocks mean together. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/near.h"
#include "config/check.h"
#include "config/config_value.h"

#define CLOSE_REASON_MAX 123 /* a control frame holds 125 bytes (RFC 6455 section 5.5), two are the code */

/* ---- texts ------------------------------------------------------------------------------------------------------ */

const char *check_close_reason(const char *text) {
    /* How long a template gets is known when it is rendered. */
    return strlen(text) > CLOSE_REASON_MAX && !strstr(text, "{{")
               ? "is longer than 123 bytes, all that a close frame holds"
               : NULL;
}

const char *check_respond_to(const char *text) {
    static const char *const words[] = {"sender", "room", "route", "all"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (!strcmp(text, words[i]))
            return NULL;
    if (!strncmp(text, "room:", 5))
        return text[5] ? NULL : "names no room";
    if (!strncmp(text, "route:", 6))
        return check_route_path(text + 6) ? "names no route: its path begins with /, as in handlers" : NULL;
    return "is none of sender, room, route, all, {room: NAME} and {route: /PATH}";
}

const char *check_label(const char *text) {
    if (!*text)
        return "is empty";
    if (!strcmp(text, "close") || !strcmp(text, "continue"))
        return "is a word of on_timeout; a label needs another name";
    for (const char *p = text; *p; p++)
        if (isspace((unsigned char)*p))
            return "holds a blank";
    return NULL;
}

/* ---- steps of an answer ----------------------------------------------------------------------------------------- */

int check_close(const struct apply *ctx, const struct yaml_node *node, void *at) {
    const struct close_config *close = at;
    /* RFC 6455 section 7.4: 1004 to 1006 and 1015 are never sent; the rest below 3000 is reserved. */
    bool fine = close->code <= 1003 || (close->code >= 1007 && close->code <= 1014) || close->code >= 3000;
    if (fine)
        return 0;
    const struct yaml_node *code = yaml_get(node, "code");
    return apply_fail(ctx, code ? code : node, code ? "code" : NULL,
                      "%u is not a code that an endpoint sends: 1000 to 1003, 1007 to 1014, 3000 to 4999", close->code);
}

/* Of two that exclude each other: the place is the second's. */
static int fail_both(const struct apply *ctx, const struct yaml_node *node, const char *one, const char *other) {
    return apply_fail(ctx, yaml_get(node, other), other, "\"%s\" and \"%s\" are both given; one or the other", one,
                      other);
}

static int finish_step(const struct apply *ctx, const struct yaml_node *node, struct step_config *step,
                       const char *what) {
    step->line = node->line;
    step->column = node->column;
    if (step->response && step->handler.text)
        return fail_both(ctx, node, "response", "handler");
    if (!step->response && !step->handler.text && !step->close.given)
        return apply_fail(ctx, node, NULL, "%s needs \"response\", \"handler\" or \"close\"", what);
    return 0;
}

int check_step(const struct apply *ctx, const struct yaml_node *node, void *at) {
    return finish_step(ctx, node, at, "a step");
}

int check_rule(const struct apply *ctx, const struct yaml_node *node, void *at) {
    return finish_step(ctx, node, &((struct rule_config *)at)->step, "a rule");
}

/* ---- methods ---------------------------------------------------------------------------------------------------- */

/* The child, or the node where that has none of its own: a text from the command line. */
static const struct yaml_node *child_of(const struct yaml_node *node, const char *key) {
    const struct yaml_node *child = yaml_get(node, key);
    return child ? child : node;
}

/* JSON-RPC 2.0 section 5.1. */
static int check_rpc_error(const struct apply *ctx, const struct yaml_node *node, const struct config_value *error) {
    const struct config_value *code = config_value_get(error, "code"), *message = config_value_get(error, "message");
    if (error->kind != CONFIG_MAP || !code || !message)
        return apply_fail(ctx, node, "error", "expected a mapping with \"code\" and \"message\"");
    if (code->kind != CONFIG_SCALAR || config_scalar_type(code) != CONFIG_INTEGER)
        return apply_fail(ctx, child_of(node, "code"), "error.code", "expected a whole number, such as -32000");
    if (message->kind != CONFIG_SCALAR)
        return apply_fail(ctx, child_of(node, "message"), "error.message", "expected a text");
    for (const struct config_value *v = error->first; v; v = v->next)
        if (v != code && v != message && strcmp(v->key, "data") != 0)
            return apply_fail(ctx, child_of(node, v->key), "error",
                              "unknown key \"%.60s\"; known here: code, message, data", v->key);
    return 0;
}

int check_method(const struct apply *ctx, const struct yaml_node *node, void *at) {
    struct method_config *method = at;
    method->line = node->line;
    method->column = node->column;
    if (method->response && method->error)
        return fail_both(ctx, node, "response", "error");
    if (method->handler.text && (method->response || method->error))
        return fail_both(ctx, node, method->response ? "response" : "error", "handler");
    if (!method->response && !method->error && !method->handler.text)
        return apply_fail(ctx, node, NULL, "a method needs \"response\", \"error\" or \"handler\"");
    return method->error ? check_rpc_error(ctx, yaml_get(node, "error"), method->error) : 0;
}

/* ---- what is sent without being asked for ------------------------------------------------------------------------ */

int check_static(const struct apply *ctx, const struct yaml_node *node, void *at) {
    const struct static_config *messages = at;
    return messages->on_connect || messages->on_message || messages->on_close
               ? 0
               : apply_fail(ctx, node, NULL, "expected \"on_connect\", \"on_message\" or \"on_close\"");
}

int check_schedule(const struct apply *ctx, const struct yaml_node *node, void *at) {
    struct schedule_config *schedule = at;
    schedule->line = node->line;
    schedule->column = node->column;
    if (!yaml_get(node, "delay_ms"))
        schedule->delay_ms = schedule->interval_ms;
    if (schedule->message && schedule->handler.text)
        return fail_both(ctx, node, "message", "handler");
    return schedule->message || schedule->handler.text
               ? 0
               : apply_fail(ctx, node, NULL, "a scheduled message needs \"message\" or \"handler\"");
}

int check_broadcast(const struct apply *ctx, const struct yaml_node *node, void *at) {
    struct schedule_config *broadcast = at;
    broadcast->line = node->line;
    broadcast->column = node->column;
    broadcast->delay_ms = broadcast->interval_ms;
    return broadcast->message ? 0 : apply_fail(ctx, node, NULL, "a broadcast needs \"message\"");
}

int check_state(const struct apply *ctx, const struct yaml_node *node, void *at) {
    const struct config_value *initial = ((const struct route_config *)at)->state_initial;
    return initial->kind == CONFIG_MAP ? 0
                                       : apply_fail(ctx, yaml_get(node, "initial"), "initial",
                                                    "expected a mapping, such as {authenticated: false}");
}

/* ---- scenarios --------------------------------------------------------------------------------------------------- */

int check_scenario_step(const struct apply *ctx, const struct yaml_node *node, void *at) {
    static const char *const actions[] = {"send", "expect", "goto", "close"};
    struct scenario_step_config *step = at;
    step->line = node->line;
    step->column = node->column;
    const char *found = NULL;
    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        if (!yaml_get(node, actions[i]))
            continue;
        if (found)
            return apply_fail(ctx, yaml_get(node, actions[i]), actions[i],
                              "\"%s\" and \"%s\" are two steps; write two items", found, actions[i]);
        found = actions[i];
    }
    if (!found && !step->label && !step->delay_ms)
        return apply_fail(ctx, node, NULL,
                          "a step needs \"send\", \"expect\", \"goto\", \"close\", \"label\" or "
                          "\"delay_ms\"");
    if (step->timeout_ms && !step->expect)
        return apply_fail(ctx, yaml_get(node, "timeout_ms"), "timeout_ms", "only \"expect\" has a time-out");
    if (!strncmp(step->on_timeout, "goto ", 5))
        step->on_timeout += 5;
    if (strcmp(step->on_timeout, "close") != 0 && !step->timeout_ms)
        return apply_fail(ctx, yaml_get(node, "on_timeout"), "on_timeout", "\"timeout_ms\" is missing");
    return 0;
}

static const struct scenario_step_config *find_label(const struct route_config *route, const char *label) {
    for (size_t i = 0; i < route->steps_count; i++)
        if (route->steps[i].label && !strcmp(route->steps[i].label, label))
            return &route->steps[i];
    return NULL;
}

/* key: of the i-th step, that holds the label. */
static int fail_label(const struct apply *ctx, const struct yaml_node *item, size_t i, const char *key,
                      const struct route_config *route, const char *label) {
    struct near near = near_to(label);
    for (size_t j = 0; j < route->steps_count; j++)
        if (route->steps[j].label)
            near_try(&near, route->steps[j].label);
    if (!strcmp(key, "on_timeout")) {
        near_try(&near, "close");
        near_try(&near, "continue");
    }
    char path[64];
    snprintf(path, sizeof path, "steps[%zu].%s", i, key);
    const struct yaml_node *at = yaml_get(item, key);
    if (near.best)
        return apply_fail(ctx, at, path, "no step has the label %.80s; did you mean \"%s\"?",
                          log_quote_n(label, strnlen(label, 60)), near.best);
    return apply_fail(ctx, at, path, "no step has the label %.80s", log_quote_n(label, strnlen(label, 60)));
}

/* From there on, does it come back for ever without waiting for anything? Such a step would hold up the loop, or flood
 * the client. */
static bool spins(const struct route_config *route, const struct scenario_step_config *step) {
    const struct scenario_step_config *end = route->steps + route->steps_count;
    for (size_t n = 0; n <= route->steps_count; n++) {
        if (step == end || step->expect || step->delay_ms || step->close.given)
            return false;
        step = step->go_to ? find_label(route, step->go_to) : step + 1;
    }
    return true;
}

static int check_scenario(const struct apply *ctx, const struct yaml_node *list, const struct route_config *route) {
    const struct yaml_node *item = list->first;
    char path[64];
    for (size_t i = 0; i < route->steps_count; i++, item = item->next) {
        const struct scenario_step_config *step = &route->steps[i];
        const struct scenario_step_config *twin = step->label ? find_label(route, step->label) : step;
        snprintf(path, sizeof path, "steps[%zu].label", i);
        if (twin != step)
            return apply_fail(ctx, yaml_get(item, "label"), path, "%.80s is the label of the step in line %d already",
                              log_quote_n(step->label, strnlen(step->label, 60)), twin->line);
        bool named = strcmp(step->on_timeout, "close") != 0 && strcmp(step->on_timeout, "continue") != 0;
        if (named && !find_label(route, step->on_timeout))
            return fail_label(ctx, item, i, "on_timeout", route, step->on_timeout);
        if (step->go_to && !find_label(route, step->go_to))
            return fail_label(ctx, item, i, "goto", route, step->go_to);
    }
    item = list->first;
    for (size_t i = 0; i < route->steps_count; i++, item = item->next) {
        snprintf(path, sizeof path, "steps[%zu].goto", i);
        if (route->steps[i].go_to && spins(route, &route->steps[i]))
            return apply_fail(ctx, yaml_get(item, "goto"), path,
                              "goes round for ever; it needs an \"expect\" or a \"delay_ms\" on its way");
    }
    return 0;
}

/* ---- routes ------------------------------------------------------------------------------------------------------ */

enum handler_type check_mock_type(const struct yaml_node *node, const struct route_config *route) {
    static const struct {
        const char *key;
        enum handler_type type;
    } types[] = {
        {"rules", HANDLER_PATTERN},      {"methods", HANDLER_JSONRPC}, {"script", HANDLER_SCRIPT},
        {"script_file", HANDLER_SCRIPT}, {"messages", HANDLER_STATIC}, {"steps", HANDLER_SCENARIO},
        {"default", HANDLER_PATTERN},
    };
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (yaml_get(node, types[i].key))
            return types[i].type;
    bool push = route->scheduled_count || route->broadcast.interval_ms || route->state_initial;
    return push ? HANDLER_PUSH : HANDLER_DEFAULT;
}

/* What the route's type must have and has not, in words; NULL: nothing. *key: what the words are about. */
static const char *missing_for_type(const struct route_config *route, const char **key) {
    switch (route->type) {
    case HANDLER_STATIC:
        *key = "messages";
        return route->messages_count ? NULL : "a static handler needs \"messages\"";
    case HANDLER_PATTERN:
        *key = "rules";
        return route->rules_count || route->has_fallback ? NULL : "a pattern handler needs \"rules\" or \"default\"";
    case HANDLER_ROOMS:
        *key = "rules";
        return route->rules_count || route->has_fallback ? NULL : "a rooms handler needs \"rules\" or \"default\"";
    case HANDLER_JSONRPC:
        *key = "methods";
        return route->methods_count || route->has_fallback ? NULL
                                                           : "a jsonrpc handler needs \"methods\" or \"default\"";
    case HANDLER_SCRIPT:
        *key = "script";
        return route->script.text || route->script_file ? NULL : "a script handler needs \"script\" or \"script_file\"";
    case HANDLER_SCENARIO:
        *key = "steps";
        return route->steps_count ? NULL : "a scenario needs \"steps\"";
    default:
        return NULL;
    }
}

static int check_methods(const struct apply *ctx, const struct yaml_node *list, const struct route_config *route) {
    const struct yaml_node *item = list->first;
    for (size_t i = 0; i < route->methods_count; i++, item = item->next)
        for (size_t j = 0; j < i; j++)
            if (!strcmp(route->methods[i].name, route->methods[j].name))
                return apply_fail(
                    ctx, yaml_get(item, "name"), "methods", "%.80s is the name of the method in line %d already",
                    log_quote_n(route->methods[i].name, strnlen(route->methods[i].name, 60)), route->methods[j].line);
    return 0;
}

int check_mock_route(const struct apply *ctx, const struct yaml_node *node, struct route_config *route) {
    static const char *const keys[] = {"messages",    "rules",     "methods",   "default", "script",
                                       "script_file", "scheduled", "broadcast", "state",   "steps"};
    if (route->type == HANDLER_PROXY || route->type == HANDLER_REPLAY) {
        for (size_t i = 0; i < ARRAY_LEN(keys); i++)
            if (yaml_get(node, keys[i]))
                return apply_fail(ctx, yaml_get(node, keys[i]), keys[i], "a %s has none: what answers there is the %s",
                                  route->type == HANDLER_PROXY ? "proxy" : "replay",
                                  route->type == HANDLER_PROXY ? "upstream" : "recording");
        return 0;
    }
    const char *key = NULL, *missing = missing_for_type(route, &key);
    if (missing) {
        const struct yaml_node *type = yaml_get(node, "type"), *at = type ? type : yaml_get(node, key);
        return apply_fail(ctx, at ? at : node, type ? "type" : key, "%s", missing);
    }
    if (route->script.text && route->script_file)
        return fail_both(ctx, node, "script", "script_file");
    const struct yaml_node *methods = yaml_get(node, "methods"), *steps = yaml_get(node, "steps");
    int rc = methods ? check_methods(ctx, methods, route) : 0;
    return rc || !steps ? rc : check_scenario(ctx, steps, route);
}
