/* What a configuration says of mocks: every key, short forms, what goes together, each error with its place. The
 * guide's own examples are in test_config_guide.c. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "config/arena.h"
#include "config/config.h"

static struct config *load_with(const char *text, const struct config_override *overrides, size_t count) {
    struct config_input in = {
        .file = "t.yaml", .text = text, .overrides = overrides, .overrides_count = count, .ignore_environment = true};
    struct config *c = NULL;
    struct err err = {0};
    char message[1024];
    int rc = config_load(&in, &c, &err);
    ck_assert_msg(rc == 0, "%s\n%s", text, err_format(&err, message, sizeof message));
    return c;
}

static struct config *load(const char *text) {
    return load_with(text, NULL, 0);
}

/* The whole error message, in a static buffer. */
static const char *refusal_of(const char *text, const struct config_override *override) {
    static char message[1024];
    struct config_input in = {.file = "t.yaml",
                              .text = text,
                              .overrides = override,
                              .overrides_count = override ? 1 : 0,
                              .ignore_environment = true};
    struct config *c = NULL;
    struct err err = {0};
    int rc = config_load(&in, &c, &err);
    ck_assert_msg(rc < 0, "accepted: %s", text);
    ck_assert_ptr_null(c);
    return err_format(&err, message, sizeof message);
}

/* The text of a scalar somewhere in a value: keys and numbers of items, with dots between. */
static const char *text_at(const struct config_value *v, const char *path) {
    while (v && *path) {
        char key[64];
        size_t len = strcspn(path, ".");
        snprintf(key, sizeof key, "%.*s", (int)len, path);
        if (v->kind == CONFIG_LIST) {
            long i = strtol(key, NULL, 10);
            for (v = v->first; v && i; i--)
                v = v->next;
        } else {
            v = config_value_get(v, key);
        }
        path += len + (path[len] == '.');
    }
    return v ? v->text : NULL;
}

static const struct route_config *only_route(const struct config *c) {
    ck_assert_uint_eq(c->websocket.routes_count, 1);
    return c->websocket.routes;
}

/* ---- every key, in forms that are not the default ------------------------------------------------------------------
 */

static const char all_keys[] =
    "websocket:\n"
    "  shared_state: {redis_url: \"redis://u:p%40@[::1]:7000/3\", prefix: \"x:\", timeout_ms: 60000}\n"
    "  send_queue: {bytes: 64KiB, policy: drop_oldest}\n"
    "  unmatched_keep: 0\n"
    "  handlers:\n"
    "    - path: /all\n"
    "      type: rooms\n"
    "      messages:\n"
    "        - {on_connect: hello, on_message: [a, {b: 1}], on_close: {$hex: \"00ff\"}}\n"
    "      rules:\n"
    "        - match: {a: {$gt: 5}, b: [1, null, \"2\"]}\n"
    "          when: message.a > 5\n"
    "          handler: a.lua\n"
    "          delay_ms: 1\n"
    "          close: {code: 4999, reason: \"bye {{now}}\"}\n"
    "          respond_to: {room: \"{{message.room}}\"}\n"
    "          then:\n"
    "            - {response: one, respond_to: room}\n"
    "            - {response: two, respond_to: {route: \"/all/*\"}, then: {close: 1001, then: [{response: three}]}}\n"
    "        - response: []\n"
    "      methods:\n"
    "        - {name: a, response: 5, delay_ms: 86400000}\n"
    "        - {name: \"*\", handler: return 1}\n"
    "      default: {delay_ms: 7, response: {type: error}, respond_to: \"route:/x\"}\n"
    "      script_file: s.lua\n"
    "      scheduled:\n"
    "        - {interval_ms: 10, delay_ms: 0, count: 3, handler: \"return now()\"}\n"
    "      broadcast: {interval_ms: 86400000, message: tick}\n"
    "      state: {initial: {n: 1}}\n"
    "      steps:\n"
    "        - {label: top, send: hi, delay_ms: 5}\n"
    "        - {expect: {type: x}, timeout_ms: 9, on_timeout: goto top}\n"
    "        - {expect: \"*\", timeout_ms: 9, on_timeout: continue}\n"
    "        - goto: top\n"
    "        - close: {reason: done}\n";

static void check_rules_of_all_keys(const struct route_config *r) {
    ck_assert_uint_eq(r->rules_count, 2);
    const struct step_config *s = &r->rules[0].step;
    ck_assert_str_eq(text_at(r->rules[0].match, "a.$gt"), "5");
    ck_assert_str_eq(r->rules[0].when.text, "message.a > 5");
    ck_assert_str_eq(s->handler.text, "a.lua");
    ck_assert_ptr_null(s->response);
    ck_assert_uint_eq(s->delay_ms, 1);
    ck_assert(s->close.given);
    ck_assert_uint_eq(s->close.code, 4999);
    ck_assert_str_eq(s->close.reason.text, "bye {{now}}");
    ck_assert_str_eq(s->respond_to.text, "room:{{message.room}}");
    ck_assert_int_eq(s->respond_to.line, 16);
    ck_assert_int_eq(s->respond_to.column, 31);
    ck_assert_uint_eq(s->then_count, 2);
    ck_assert_str_eq(s->then[0].response->text, "one");
    ck_assert_ptr_null(s->then[0].response->key);
    ck_assert_str_eq(s->then[0].respond_to.text, "room");
    ck_assert_str_eq(s->then[1].respond_to.text, "route:/all/*");
    const struct step_config *last = s->then[1].then;
    ck_assert_uint_eq(s->then[1].then_count, 1);
    ck_assert(last->close.given && last->close.code == 1001);
    ck_assert_ptr_null(last->close.reason.text);
    ck_assert_str_eq(last->then->response->text, "three");
    ck_assert(!last->then->close.given);
    ck_assert_int_eq(last->then->line, 19);
    /* A rule without match is for every message; an empty list sends nothing. */
    ck_assert_ptr_null(r->rules[1].match);
    ck_assert_uint_eq(r->rules[1].step.response->count, 0);
}

static void check_steps_of_all_keys(const struct route_config *r) {
    ck_assert_uint_eq(r->steps_count, 5);
    ck_assert_str_eq(r->steps[0].label, "top");
    ck_assert_str_eq(r->steps[0].send->text, "hi");
    ck_assert_uint_eq(r->steps[0].delay_ms, 5);
    ck_assert_str_eq(r->steps[0].on_timeout, "close");
    ck_assert_uint_eq(r->steps[1].timeout_ms, 9);
    ck_assert_str_eq(r->steps[1].on_timeout, "top");
    ck_assert_str_eq(r->steps[2].on_timeout, "continue");
    ck_assert_str_eq(r->steps[3].go_to, "top");
    ck_assert_int_eq(r->steps[3].line, 34);
    ck_assert(r->steps[4].close.given);
    ck_assert_uint_eq(r->steps[4].close.code, 1000);
    ck_assert_str_eq(r->steps[4].close.reason.text, "done");
}

START_TEST(test_all_keys) {
    struct config *c = load(all_keys);
    const struct websocket_config *ws = &c->websocket;
    ck_assert(ws->shared_state.enabled);
    ck_assert_str_eq(ws->shared_state.prefix, "x:");
    ck_assert_uint_eq(ws->shared_state.timeout_ms, 60000);
    ck_assert_uint_eq(ws->send_queue.bytes, 65536);
    ck_assert_int_eq(ws->send_queue.policy, SEND_QUEUE_DROP_OLDEST);
    ck_assert_uint_eq(ws->unmatched_keep, 0);
    const struct route_config *r = only_route(c);
    ck_assert_int_eq(r->type, HANDLER_ROOMS);
    ck_assert_uint_eq(r->messages_count, 1);
    ck_assert_str_eq(text_at(r->messages[0].on_message, "1.b"), "1");
    ck_assert_str_eq(text_at(r->messages[0].on_close, "$hex"), "00ff");
    check_rules_of_all_keys(r);
    ck_assert_uint_eq(r->methods_count, 2);
    ck_assert_str_eq(r->methods[0].response->text, "5");
    ck_assert_uint_eq(r->methods[0].delay_ms, 86400000);
    ck_assert_str_eq(r->methods[1].handler.text, "return 1");
    ck_assert(r->has_fallback);
    ck_assert_uint_eq(r->fallback.delay_ms, 7);
    ck_assert_str_eq(r->fallback.respond_to.text, "route:/x");
    ck_assert_str_eq(text_at(r->fallback.response, "type"), "error");
    ck_assert_str_eq(r->script_file, "s.lua");
    ck_assert_uint_eq(r->scheduled[0].delay_ms, 0);
    ck_assert_uint_eq(r->scheduled[0].count, 3);
    ck_assert_str_eq(r->scheduled[0].handler.text, "return now()");
    ck_assert_uint_eq(r->broadcast.interval_ms, 86400000);
    ck_assert_str_eq(text_at(r->state_initial, "n"), "1");
    check_steps_of_all_keys(r);
    config_unref(c);
}
END_TEST

START_TEST(test_defaults) {
    struct config *c = load("websocket:\n  handlers:\n    - path: /a\n");
    const struct websocket_config *ws = &c->websocket;
    ck_assert(!ws->shared_state.enabled);
    ck_assert_ptr_null(ws->shared_state.redis_url);
    ck_assert_str_eq(ws->shared_state.prefix, "mockforge:");
    ck_assert_uint_eq(ws->shared_state.timeout_ms, 1000);
    ck_assert_uint_eq(ws->send_queue.bytes, 1 << 20);
    ck_assert_int_eq(ws->send_queue.policy, SEND_QUEUE_CLOSE);
    ck_assert_uint_eq(ws->unmatched_keep, 100);
    const struct route_config *r = only_route(c);
    ck_assert_uint_eq(r->messages_count + r->rules_count + r->methods_count + r->scheduled_count + r->steps_count, 0);
    ck_assert(!r->has_fallback && !r->script.text && !r->script_file && !r->state_initial);
    ck_assert_uint_eq(r->broadcast.interval_ms, 0);
    config_unref(c);
}
END_TEST

#define HANDLER "websocket:\n  handlers:\n    - path: /a\n      "

/* What a route is when it does not say so. */
static const struct {
    const char *keys;
    enum handler_type type;
} types[] = {
    {"record: false", HANDLER_DEFAULT},
    {"scheduled: []", HANDLER_DEFAULT},
    {"upstream: ws://x", HANDLER_PROXY},
    {"rules: [{response: x}]", HANDLER_PATTERN},
    {"default: x", HANDLER_PATTERN},
    {"methods: [{name: a, response: x}]", HANDLER_JSONRPC},
    {"script: x", HANDLER_SCRIPT},
    {"script_file: x.lua", HANDLER_SCRIPT},
    {"messages: [{on_connect: x}]", HANDLER_STATIC},
    {"steps: [{send: x}]", HANDLER_SCENARIO},
    {"scheduled: [{interval_ms: 10, message: x}]", HANDLER_PUSH},
    {"broadcast: {interval_ms: 10, message: x}", HANDLER_PUSH},
    {"state: {initial: {}}", HANDLER_PUSH},
    {"state: {initial: {}}\n      messages: [{on_close: x}]\n      script: x", HANDLER_SCRIPT},
    {"messages: [{on_close: x}]\n      default: x", HANDLER_STATIC},
    {"methods: [{name: a, response: x}]\n      rules: [{response: x}]", HANDLER_PATTERN},
    {"type: echo\n      rules: [{response: x}]", HANDLER_ECHO},
    {"type: rooms\n      default: x", HANDLER_ROOMS},
    {"type: jsonrpc\n      default: x", HANDLER_JSONRPC},
};

START_TEST(test_types) {
    char text[256];
    snprintf(text, sizeof text, HANDLER "%s\n", types[_i].keys);
    struct config *c = load(text);
    ck_assert_msg(only_route(c)->type == types[_i].type, "%s: %d", types[_i].keys, only_route(c)->type);
    config_unref(c);
}
END_TEST

/* `default`: a step, or the response itself. */
static const struct {
    const char *yaml;
    const char *path, *text; /* in the response; NULL: there is none */
    unsigned delay_ms;
} fallbacks[] = {
    {"sorry", "", "sorry", 0},
    {"5", "", "5", 0},
    {"[a, {b: c}]", "1.b", "c", 0},
    {"{type: error}", "type", "error", 0},
    {"{response: x, delay_ms: 5}", "", "x", 5},
    {"{response: {response: x}}", "response", "x", 0},
    {"{response: x, type: error}", "response", "x", 0}, /* type is no key of a step */
    {"{delay_ms: 5, then: []}", "delay_ms", "5", 0},    /* nothing to do in it: a message */
    {"{close: 4000}", NULL, NULL, 0},
    {"{handler: return}", NULL, NULL, 0},
};

START_TEST(test_fallback) {
    char text[256];
    snprintf(text, sizeof text, HANDLER "default: %s\n", fallbacks[_i].yaml);
    struct config *c = load(text);
    const struct step_config *step = &only_route(c)->fallback;
    ck_assert(only_route(c)->has_fallback);
    ck_assert_uint_eq(step->delay_ms, fallbacks[_i].delay_ms);
    ck_assert_str_eq(step->respond_to.text, "sender");
    ck_assert_int_eq(step->line, 4);
    ck_assert_int_eq(step->column, 16);
    if (fallbacks[_i].path)
        ck_assert_str_eq(text_at(step->response, fallbacks[_i].path), fallbacks[_i].text);
    else
        ck_assert(!step->response && (step->close.given || step->handler.text));
    config_unref(c);
}
END_TEST

/* ---- errors ---------------------------------------------------------------------------------------------------------
 */

#define DEEP_16 "[[[[[[[[[[[[[[[["
#define FLAT_16 "]]]]]]]]]]]]]]]]"
#define TEXT_124                                                                                                       \
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"             \
    "012345678901234567890123"

static const struct {
    const char *keys, *error; /* below HANDLER, whose line they go on in */
} refused[] = {
    /* what a type needs */
    {"type: static", "t.yaml:4:13: websocket.handlers[0].type: a static handler needs \"messages\""},
    {"type: static\n      messages: []",
     "t.yaml:4:13: websocket.handlers[0].type: a static handler needs \"messages\""},
    {"type: pattern", "t.yaml:4:13: websocket.handlers[0].type: a pattern handler needs \"rules\" or \"default\""},
    {"type: rooms", "t.yaml:4:13: websocket.handlers[0].type: a rooms handler needs \"rules\" or \"default\""},
    {"type: jsonrpc", "t.yaml:4:13: websocket.handlers[0].type: a jsonrpc handler needs \"methods\" or \"default\""},
    {"type: script", "t.yaml:4:13: websocket.handlers[0].type: a script handler needs \"script\" or \"script_file\""},
    {"type: scenario", "t.yaml:4:13: websocket.handlers[0].type: a scenario needs \"steps\""},
    {"rules: []", "t.yaml:4:14: websocket.handlers[0].rules: a pattern handler needs \"rules\" or \"default\""},
    {"steps:", "t.yaml:4:13: websocket.handlers[0].steps: a scenario needs \"steps\""},
    {"script: x\n      script_file: y",
     "t.yaml:5:20: websocket.handlers[0].script_file: \"script\" and \"script_file\" are both given; one or the other"},
    {"upstream: ws://x\n      rules: []",
     "t.yaml:5:14: websocket.handlers[0].rules: a proxy has none: what answers there is the upstream"},
    {"upstream: ws://x\n      default: x",
     "t.yaml:5:16: websocket.handlers[0].default: a proxy has none: what answers there is the upstream"},
    {"type: pattern\n      rules: [{response: x}]\n      upstream: ws://x",
     "t.yaml:6:17: websocket.handlers[0].upstream: only handlers of type proxy and replay have an upstream"},
    /* steps and rules */
    {"rules: [{match: x}]", "t.yaml:4:15: websocket.handlers[0].rules[0]: a rule needs \"response\", \"handler\" or "
                            "\"close\""},
    {"rules: [{response: x, handler: y}]",
     "t.yaml:4:38: websocket.handlers[0].rules[0].handler: \"response\" and \"handler\" are both given; one or the "
     "other"},
    {"rules: [{response: x, then: {delay_ms: 5}}]",
     "t.yaml:4:35: websocket.handlers[0].rules[0].then: a step needs \"response\", \"handler\" or \"close\""},
    {"rules: [{response: x, then: [{response: y}, {then: []}]}]",
     "t.yaml:4:51: websocket.handlers[0].rules[0].then[1]: a step needs \"response\", \"handler\" or \"close\""},
    {"rules: [{response: x, then: {respones: x}}]",
     "t.yaml:4:36: websocket.handlers[0].rules[0].then.respones: unknown key; did you mean \"response\"?"},
    {"rules: [{response: x, then: x}]",
     "t.yaml:4:35: websocket.handlers[0].rules[0].then: expected a mapping, or a list of them; found a single value"},
    {"rules: [{mtach: x}]", "t.yaml:4:16: websocket.handlers[0].rules[0].mtach: unknown key; did you mean \"match\"?"},
    {"rules: {match: x}", "t.yaml:4:14: websocket.handlers[0].rules: expected a list of mappings; found a mapping"},
    {"rules: [{match: , response: x}]",
     "t.yaml:4:23: websocket.handlers[0].rules[0].match: expected a value; found nothing"},
    {"rules: [{response: ~}]", "t.yaml:4:26: websocket.handlers[0].rules[0].response: expected a value; found nothing"},
    {"rules: [{response: x, delay_ms: -1}]",
     "t.yaml:4:39: websocket.handlers[0].rules[0].delay_ms: expected a whole number from 0 to 86400000; found \"-1\""},
    {"default:", "t.yaml:4:15: websocket.handlers[0].default: a step needs \"response\", \"handler\" or \"close\""},
    {"default: {response: x, handler: y}", "t.yaml:4:39: websocket.handlers[0].default.handler: \"response\" and "
                                           "\"handler\" are both given; one or the other"},
    {"default: " DEEP_16 DEEP_16 FLAT_16 FLAT_16, "t.yaml:4:44: nested deeper than 32 levels"},
    {"default: " DEEP_16 "[[[[[[[[[[[[" FLAT_16 "]]]]]]]]]]]]",
     "t.yaml:4:16: websocket.handlers[0].default: nested deeper than 32 levels"},
    /* close */
    {"rules: [{close: 999}]",
     "t.yaml:4:23: websocket.handlers[0].rules[0].close: expected a whole number from 1000 to 4999; found \"999\""},
    {"rules: [{close: 1005}]", "t.yaml:4:23: websocket.handlers[0].rules[0].close: 1005 is not a code that an endpoint "
                               "sends: 1000 to 1003, 1007 to 1014, 3000 to 4999"},
    {"rules: [{close: {code: 1015}}]",
     "t.yaml:4:30: websocket.handlers[0].rules[0].close.code: 1015 is not a code that an endpoint sends: 1000 to 1003, "
     "1007 to 1014, 3000 to 4999"},
    {"rules: [{close: {code: 2999}}]",
     "t.yaml:4:30: websocket.handlers[0].rules[0].close.code: 2999 is not a code that an endpoint sends: 1000 to 1003, "
     "1007 to 1014, 3000 to 4999"},
    {"rules: [{close: [1]}]", "t.yaml:4:23: websocket.handlers[0].rules[0].close: expected a mapping; found a list"},
    {"rules: [{close: {reason: " TEXT_124 "}}]", "t.yaml:4:32: websocket.handlers[0].rules[0].close.reason: "
                                                 "\"0123456789012345678901234567890123456789012345678901234567890123456"
                                                 "7890123456789\" is longer than 123 bytes, all "
                                                 "that a close frame holds"},
    /* respond_to */
    {"rules: [{response: x, respond_to: rooms}]",
     "t.yaml:4:41: websocket.handlers[0].rules[0].respond_to: \"rooms\" is none of sender, room, route, all, {room: "
     "NAME} and {route: /PATH}"},
    {"rules: [{response: x, respond_to: {group: a}}]",
     "t.yaml:4:49: websocket.handlers[0].rules[0].respond_to: \"group:a\" is none of sender, room, route, all, {room: "
     "NAME} and {route: /PATH}"},
    {"rules: [{response: x, respond_to: {room: \"\"}}]",
     "t.yaml:4:48: websocket.handlers[0].rules[0].respond_to: \"room:\" names no room"},
    {"rules: [{response: x, respond_to: {route: a}}]",
     "t.yaml:4:49: websocket.handlers[0].rules[0].respond_to: \"route:a\" names no route: its path begins with /, as "
     "in handlers"},
    {"rules: [{response: x, respond_to: {room: a, route: b}}]",
     "t.yaml:4:41: websocket.handlers[0].rules[0].respond_to: expected a text, or a mapping of one text; found a "
     "mapping"},
    {"rules: [{response: x, respond_to: {room: [a]}}]",
     "t.yaml:4:41: websocket.handlers[0].rules[0].respond_to: expected a text, or a mapping of one text; found a "
     "mapping"},
    /* methods */
    {"methods: [{response: x}]", "t.yaml:4:17: websocket.handlers[0].methods[0]: \"name\" is missing"},
    {"methods: [{name: a}]", "t.yaml:4:17: websocket.handlers[0].methods[0]: a method needs \"response\", \"error\" or "
                             "\"handler\""},
    {"methods: [{name: a, response: x, error: {code: 1, message: x}}]",
     "t.yaml:4:47: websocket.handlers[0].methods[0].error: \"response\" and \"error\" are both given; one or the "
     "other"},
    {"methods: [{name: a, error: {code: 1, message: x}, handler: x}]",
     "t.yaml:4:66: websocket.handlers[0].methods[0].handler: \"error\" and \"handler\" are both given; one or the "
     "other"},
    {"methods: [{name: a, error: x}]",
     "t.yaml:4:34: websocket.handlers[0].methods[0].error: expected a mapping with \"code\" and \"message\""},
    {"methods: [{name: a, error: {code: \"1\", message: x}}]",
     "t.yaml:4:41: websocket.handlers[0].methods[0].error.code: expected a whole number, such as -32000"},
    {"methods: [{name: a, error: {code: 1, message: []}}]",
     "t.yaml:4:53: websocket.handlers[0].methods[0].error.message: expected a text"},
    {"methods: [{name: a, error: {code: 1, message: x, date: y}}]",
     "t.yaml:4:62: websocket.handlers[0].methods[0].error: unknown key \"date\"; known here: code, message, data"},
    {"methods: [{name: a, response: x},\n        {name: a, response: y}]",
     "t.yaml:5:16: websocket.handlers[0].methods: \"a\" is the name of the method in line 4 already"},
    /* what is sent without being asked for */
    {"messages: [{}]", "t.yaml:4:18: websocket.handlers[0].messages[0]: expected \"on_connect\", \"on_message\" or "
                       "\"on_close\""},
    {"scheduled: [{message: x}]", "t.yaml:4:19: websocket.handlers[0].scheduled[0]: \"interval_ms\" is missing"},
    {"scheduled: [{interval_ms: 9, message: x}]",
     "t.yaml:4:33: websocket.handlers[0].scheduled[0].interval_ms: expected a whole number from 10 to 86400000; found "
     "\"9\""},
    {"scheduled: [{interval_ms: 10}]",
     "t.yaml:4:19: websocket.handlers[0].scheduled[0]: a scheduled message needs \"message\" or \"handler\""},
    {"scheduled: [{interval_ms: 10, message: x, handler: y}]",
     "t.yaml:4:58: websocket.handlers[0].scheduled[0].handler: \"message\" and \"handler\" are both given; one or the "
     "other"},
    {"broadcast: {interval_ms: 86400001, message: x}",
     "t.yaml:4:32: websocket.handlers[0].broadcast.interval_ms: expected a whole number from 10 to 86400000; found "
     "\"86400001\""},
    {"broadcast: {interval_ms: 10}", "t.yaml:4:18: websocket.handlers[0].broadcast: a broadcast needs \"message\""},
    {"broadcast: {interval_ms: 10, handler: x}",
     "t.yaml:4:36: websocket.handlers[0].broadcast.handler: unknown key; did you mean "
     "\"websocket.handlers[].rules[].handler\"?"},
    {"state: {}", "t.yaml:4:14: websocket.handlers[0].state: \"initial\" is missing"},
    {"state: {initial: 5}",
     "t.yaml:4:24: websocket.handlers[0].state.initial: expected a mapping, such as {authenticated: false}"},
    /* scenarios */
    {"steps: [{}]", "t.yaml:4:15: websocket.handlers[0].steps[0]: a step needs \"send\", \"expect\", \"goto\", "
                    "\"close\", \"label\" or \"delay_ms\""},
    {"steps: [{send: x, expect: y}]",
     "t.yaml:4:33: websocket.handlers[0].steps[0].expect: \"send\" and \"expect\" are two steps; write two items"},
    {"steps: [{send: x, timeout_ms: 5}]",
     "t.yaml:4:37: websocket.handlers[0].steps[0].timeout_ms: only \"expect\" has a time-out"},
    {"steps: [{expect: x, on_timeout: continue}]",
     "t.yaml:4:39: websocket.handlers[0].steps[0].on_timeout: \"timeout_ms\" is missing"},
    {"steps: [{expect: x, timeout_ms: 5, on_timeout: contniue}]",
     "t.yaml:4:54: websocket.handlers[0].steps[0].on_timeout: no step has the label \"contniue\"; did you mean "
     "\"continue\"?"},
    {"steps: [{expect: x, timeout_ms: 5, on_timeout: goto tpo}, {label: top}]",
     "t.yaml:4:54: websocket.handlers[0].steps[0].on_timeout: no step has the label \"tpo\"; did you mean \"top\"?"},
    {"steps: [{label: again}, {expect: x}, {goto: agian}]",
     "t.yaml:4:51: websocket.handlers[0].steps[2].goto: no step has the label \"agian\"; did you mean \"again\"?"},
    {"steps: [{goto: nowhere}]", "t.yaml:4:22: websocket.handlers[0].steps[0].goto: no step has the label \"nowhere\""},
    {"steps:\n        - label: a\n        - label: a",
     "t.yaml:6:18: websocket.handlers[0].steps[1].label: \"a\" is the label of the step in line 5 already"},
    {"steps: [{label: a b}]", "t.yaml:4:23: websocket.handlers[0].steps[0].label: \"a b\" holds a blank"},
    {"steps: [{label: close}]", "t.yaml:4:23: websocket.handlers[0].steps[0].label: \"close\" is a word of on_timeout; "
                                "a label needs another name"},
    {"steps: [{label: a, send: x}, {goto: a}]",
     "t.yaml:4:43: websocket.handlers[0].steps[1].goto: goes round for ever; "
     "it needs an \"expect\" or a \"delay_ms\" on its way"},
    {"steps: [{label: a}, {goto: b}, {expect: x}, {label: b}, {goto: a}]",
     "t.yaml:4:34: websocket.handlers[0].steps[1].goto: goes round for ever; it needs an \"expect\" or a \"delay_ms\" "
     "on its way"},
    /* beside handlers */
    {"type: echo\n  shared_state: {redis_url: \"rediss://u:hush@x\"}",
     "t.yaml:5:29: websocket.shared_state.redis_url: the value begins with rediss://: TLS to Redis is not supported "
     "yet, only redis://"},
    {"type: echo\n  shared_state: {prefix: \"a b\"}",
     "t.yaml:5:26: websocket.shared_state.prefix: \"a b\" holds a blank or a control character"},
    {"type: echo\n  send_queue: {policy: drop}",
     "t.yaml:5:24: websocket.send_queue.policy: expected one of close, drop_oldest; found \"drop\""},
    {"type: echo\n  send_queue: {bytes: 0}",
     "t.yaml:5:23: websocket.send_queue.bytes: expected a size from 1KiB to 1GiB, such as 65536, 64KiB or 10MB; found "
     "\"0\""},
    {"type: echo\n  unmatched_keep: 10001",
     "t.yaml:5:19: websocket.unmatched_keep: expected a whole number from 0 to 10000; found \"10001\""},
};

START_TEST(test_refused) {
    char text[512];
    snprintf(text, sizeof text, HANDLER "%s\n", refused[_i].keys);
    ck_assert_str_eq(refusal_of(text, NULL), refused[_i].error);
}
END_TEST

/* As deep as may be, and one deeper: `close: 4000` counts as the mapping that it is short for. */
START_TEST(test_depth) {
    for (int deepest = 0; deepest < 2; deepest++) {
        struct buf yaml = BUF_INIT;
        buf_puts(&yaml, HANDLER "rules: [{response: x, then: ");
        int steps = 25 + deepest; /* the rule stands at 6 */
        for (int i = 0; i < steps; i++)
            buf_puts(&yaml, i + 1 < steps ? "{response: x, then: " : "{close: 4000");
        for (int i = 0; i < steps; i++)
            buf_putc(&yaml, '}');
        buf_puts(&yaml, "}]\n");
        if (!deepest)
            config_unref(load(buf_cstr(&yaml)));
        else
            ck_assert_ptr_nonnull(strstr(refusal_of(buf_cstr(&yaml), NULL), ".close: nested deeper than 32 levels"));
        buf_fini(&yaml);
    }
}
END_TEST

/* ---- the command line
 * ------------------------------------------------------------------------------------------------ */

START_TEST(test_overrides) {
    static const char text[] = HANDLER "rules: [{match: a, response: b, then: {response: c}}]\n"
                                       "      default: {type: error}\n"
                                       "      methods: [{name: m, response: 1}]\n"
                                       "    - path: /b\n"
                                       "      rules: [{response: x}]\n";
    static const struct config_override overrides[] = {
        {"websocket.handlers[/a].rules[0].match", "{type: [ping, 5]}"},
        {"websocket.handlers[/a].rules[0].response", "hello"},
        {"websocket.handlers[/a].rules[0].then[0].respond_to", "all"},
        {"websocket.handlers[/a].rules[0].close", "4001"},
        {"websocket.handlers[/a].rules[0].close.reason", "over"},
        {"websocket.handlers[/a].default.delay_ms", "9"},
        {"websocket.handlers[/b].default", "{response: {a: b}}"},
        {"websocket.handlers[*].rules[*].when", "true"},
        {"websocket.handlers[/c].script", "return 1"},
        {"websocket.shared_state", "true"},
        {"websocket.send_queue.policy", "drop_oldest"},
    };
    struct config *c = load_with(text, overrides, ARRAY_LEN(overrides));
    const struct route_config *r = c->websocket.routes;
    const struct rule_config *rule = r[0].rules;
    ck_assert_str_eq(text_at(rule->match, "type.0"), "ping");
    ck_assert_int_eq(rule->match->line + rule->match->first->line + rule->match->first->first->line, 0);
    ck_assert_str_eq(rule->step.response->text, "hello");
    ck_assert_str_eq(rule->step.then[0].response->text, "c");
    ck_assert_str_eq(rule->step.then[0].respond_to.text, "all");
    ck_assert(rule->step.close.given && rule->step.close.code == 4001);
    ck_assert_str_eq(rule->step.close.reason.text, "over");
    ck_assert_uint_eq(r[0].fallback.delay_ms, 9);
    ck_assert_str_eq(text_at(r[0].fallback.response, "type"), "error");
    /* Given whole, it is always the response. */
    ck_assert_str_eq(text_at(r[1].fallback.response, "response.a"), "b");
    ck_assert_str_eq(r[1].rules[0].when.text, "true");
    ck_assert_int_eq(r[2].type, HANDLER_SCRIPT);
    ck_assert(c->websocket.shared_state.enabled);
    ck_assert_int_eq(c->websocket.send_queue.policy, SEND_QUEUE_DROP_OLDEST);
    config_unref(c);
}
END_TEST

static const struct {
    const char *key, *value, *error;
} bad_overrides[] = {
    {"rules[0].response", "{a",
     "rules[0].response: as YAML: did not find expected ',' or '}' (while parsing a flow mapping that began in line "
     "1)"},
    {"rules[0].response", "", "rules[0].response: as YAML: expected a value; found nothing"},
    {"rules[0].response", "[" DEEP_16 "[[[[[[[[[[" FLAT_16 "]]]]]]]]]]]",
     "rules[0].response: nested deeper than 32 levels"},
    {"rules[0].match.type", "x", "rules[0].match.type: \"match\" is a single value, given whole"},
    {"rules[/a].when", "x", "rules[/a].when: in the brackets: a number from 0, or * for all"},
    {"rules", "x", "rules: name one of the rules and a key of it, such as \"rules[0].match\""},
    {"rules[0].close", "1006",
     "rules[0].close.code: 1006 is not a code that an endpoint sends: 1000 to 1003, 1007 to "
     "1014, 3000 to 4999"},
    {"default.delay_ms", "1", "default: a step needs \"response\", \"handler\" or \"close\""},
    {"methods[0].error", "{code: x, message: y}", "methods[0].error.code: expected a whole number, such as -32000"},
    {"upstream", "ws://x", "rules: a proxy has none: what answers there is the upstream"},
};

START_TEST(test_bad_override) {
    char key[128], error[256];
    snprintf(key, sizeof key, "websocket.handlers[0].%s", bad_overrides[_i].key);
    bool in_file = !strcmp(bad_overrides[_i].key, "upstream"); /* the place is the key that it does not go with */
    snprintf(error, sizeof error, "%s: websocket.handlers[0].%s", in_file ? "t.yaml:4:14" : "command line",
             bad_overrides[_i].error);
    struct config_override override = {key, bad_overrides[_i].value};
    ck_assert_str_eq(refusal_of(HANDLER
                                "rules: [{response: x}]\n      methods: [{name: a, error: {code: 1, message: x}}]\n",
                                &override),
                     error);
}
END_TEST

/* ---- memory
 * ---------------------------------------------------------------------------------------------------------- */

START_TEST(test_no_memory) {
    static const struct config_override overrides[] = {
        {"websocket.handlers[0].rules[1].response", "{a: [b]}"},
        {"websocket.handlers[0].rules[0].then[1].then[0].delay_ms", "1"},
        {"websocket.handlers[0].rules[1].close", "1000"},
    };
    struct config_input in = {
        .file = "t.yaml", .text = all_keys, .overrides = overrides, .overrides_count = 3, .ignore_environment = true};
    int failures = 0;
    for (unsigned n = 1;; n++) {
        struct config *c;
        struct err err;
        arena_fail_after(n);
        int rc = config_load(&in, &c, &err);
        arena_fail_after(0);
        if (!rc) {
            config_unref(c);
            break;
        }
        ck_assert_int_eq(rc, MF_ENOMEM);
        ck_assert_str_eq(err.text, "out of memory");
        ck_assert_ptr_null(c);
        failures++;
    }
    ck_assert_int_gt(failures, 400);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("config_mocks");
    TCase *tc = tcase_create("mocks");
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, test_all_keys);
    tcase_add_test(tc, test_defaults);
    tcase_add_loop_test(tc, test_types, 0, (int)ARRAY_LEN(types));
    tcase_add_loop_test(tc, test_fallback, 0, (int)ARRAY_LEN(fallbacks));
    tcase_add_loop_test(tc, test_refused, 0, (int)ARRAY_LEN(refused));
    tcase_add_test(tc, test_depth);
    tcase_add_test(tc, test_overrides);
    tcase_add_loop_test(tc, test_bad_override, 0, (int)ARRAY_LEN(bad_overrides));
    tcase_add_test(tc, test_no_memory);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
