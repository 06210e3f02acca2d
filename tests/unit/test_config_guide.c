/* Each YAML block of the WebSocket guide, with Lua in place of its JavaScript, and what config_load() makes of it. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

static int load(const char *text, struct config **out, char *message, size_t size) {
    struct config_input in = {.file = "t.yaml", .text = text, .ignore_environment = true};
    struct err err = {0};
    int rc = config_load(&in, out, &err);
    if (rc < 0)
        err_format(&err, message, size);
    return rc;
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

static bool holds(const struct config_text *lua, const char *word) {
    return lua->text && strstr(lua->text, word);
}

static void check_basic(const struct config *c) {
    ck_assert(c->websocket.enabled);
    ck_assert_uint_eq(c->websocket.port, 8080);
    ck_assert_uint_eq(c->websocket.max_message_size, 65536);
}

static void check_echo(const struct config *c) {
    ck_assert_int_eq(only_route(c)->type, HANDLER_ECHO);
}

static void check_static(const struct config *c) {
    const struct route_config *r = only_route(c);
    ck_assert_int_eq(r->type, HANDLER_STATIC);
    ck_assert_uint_eq(r->messages_count, 3);
    ck_assert_str_eq(r->messages[0].on_connect->text, "{\"type\": \"connected\", \"server\": \"mockforge\"}");
    ck_assert_ptr_null(r->messages[0].on_message);
    ck_assert_str_eq(r->messages[1].on_message->text, "{\"type\": \"ack\", \"received\": true}");
    ck_assert_str_eq(r->messages[2].on_close->text, "{\"type\": \"goodbye\"}");
    ck_assert_int_eq(r->messages[2].on_close->line, 8);
}

static void check_pattern(const struct config *c) {
    const struct route_config *r = only_route(c);
    ck_assert_int_eq(r->type, HANDLER_PATTERN);
    ck_assert_uint_eq(r->rules_count, 3);
    ck_assert_str_eq(text_at(r->rules[0].step.response, "timestamp"), "{{now}}");
    ck_assert_str_eq(text_at(r->rules[1].match, "channel"), "*");
    ck_assert_str_eq(text_at(r->rules[1].step.response, "channel"), "{{message.channel}}");
    ck_assert_int_eq(config_scalar_type(config_value_get(r->rules[2].step.response, "processed")), CONFIG_BOOLEAN);
    ck_assert_str_eq(r->rules[2].step.respond_to.text, "sender");
    ck_assert_int_eq(r->rules[1].step.line, 12);
    ck_assert_int_eq(r->rules[1].step.column, 11);
    ck_assert(!r->has_fallback);
}

static void check_jsonrpc(const struct config *c) {
    const struct route_config *r = only_route(c);
    ck_assert_int_eq(r->type, HANDLER_JSONRPC);
    ck_assert_uint_eq(r->methods_count, 3);
    ck_assert_str_eq(r->methods[0].name, "user.get");
    ck_assert_str_eq(text_at(r->methods[0].response, "result.id"), "{{params.id}}");
    ck_assert_str_eq(text_at(r->methods[2].error, "code"), "-32601");
    ck_assert_int_eq(r->methods[2].line, 18);
    ck_assert_ptr_null(r->methods[2].response);
}

static void check_script(const struct config *c) {
    const struct route_config *r = only_route(c);
    ck_assert_int_eq(r->type, HANDLER_SCRIPT);
    ck_assert(holds(&r->script, "json.decode(message.text)"));
    ck_assert_int_eq(r->script.line, 6);
    ck_assert_int_eq(r->script.column, 9);
    ck_assert_ptr_null(r->script_file);
}

static void check_rooms(const struct config *c) {
    const struct route_config *r = only_route(c);
    ck_assert_int_eq(r->type, HANDLER_ROOMS);
    ck_assert_uint_eq(r->rules_count, 3);
    ck_assert_str_eq(text_at(r->rules[2].match, "action"), "message");
    ck_assert(holds(&r->rules[0].step.handler, "rooms.join"));
    ck_assert(holds(&r->rules[1].step.handler, "rooms.leave"));
    ck_assert(holds(&r->rules[2].step.handler, "now_ms()"));
}

static void check_announcements(const struct config *c) {
    const struct route_config *r = only_route(c);
    ck_assert_int_eq(r->type, HANDLER_PUSH);
    ck_assert_uint_eq(r->broadcast.interval_ms, 5000);
    ck_assert_uint_eq(r->broadcast.delay_ms, 5000);
    ck_assert_uint_eq(r->broadcast.count, 0);
    ck_assert_str_eq(text_at(r->broadcast.message, "connections"), "{{connection_count}}");
    ck_assert_int_eq(r->broadcast.line, 5);
}

static void check_ticker(const struct config *c) {
    const struct route_config *r = only_route(c);
    ck_assert_int_eq(r->type, HANDLER_PUSH);
    ck_assert_uint_eq(r->scheduled_count, 2);
    ck_assert_uint_eq(r->scheduled[0].interval_ms, 1000);
    ck_assert_uint_eq(r->scheduled[0].delay_ms, 1000);
    ck_assert_str_eq(text_at(r->scheduled[0].message, "price"), "{{random_float 40000 50000}}");
    ck_assert_str_eq(text_at(r->scheduled[1].message, "volume"), "{{random_int 1000000 5000000}}");
    ck_assert_uint_eq(r->broadcast.interval_ms, 0);
}

static void check_slow(const struct config *c) {
    const struct route_config *r = only_route(c);
    ck_assert_int_eq(r->type, HANDLER_PATTERN);
    const struct step_config *step = &r->rules[0].step;
    ck_assert_str_eq(text_at(step->response, "type"), "processing");
    ck_assert_uint_eq(step->then_count, 1);
    ck_assert_uint_eq(step->then->delay_ms, 2000);
    ck_assert_str_eq(text_at(step->then->response, "result"), "done");
    ck_assert_uint_eq(step->then->then_count, 0);
    ck_assert_int_eq(step->then->line, 10);
}

static void check_proxy(const struct config *c) {
    const struct route_config *r = only_route(c);
    ck_assert_int_eq(r->type, HANDLER_PROXY);
    ck_assert(holds(&r->transform.incoming, "msg.client_id = connection.id"));
    ck_assert(holds(&r->transform.outgoing, "msg.internal_id = nil"));
    ck_assert_str_eq(r->headers[0].name, "Authorization");
}

static void check_recorded_proxy(const struct config *c) {
    const struct route_config *r = only_route(c);
    ck_assert(r->record.enabled);
    ck_assert_str_eq(r->record.path.text, "./recordings/ws-{{date}}.json");
}

static void check_tls(const struct config *c) {
    ck_assert(c->websocket.tls.enabled);
    ck_assert_str_eq(c->websocket.tls.key_path, "./certs/server.key");
}

static void check_stateful(const struct config *c) {
    const struct route_config *r = only_route(c);
    ck_assert_int_eq(r->type, HANDLER_PATTERN);
    ck_assert_str_eq(text_at(r->state_initial, "authenticated"), "false");
    const struct config_value *list = config_value_get(r->state_initial, "subscriptions");
    ck_assert(list->kind == CONFIG_LIST && list->count == 0);
    ck_assert_str_eq(r->rules[1].when.text, "state.authenticated");
    ck_assert_int_eq(r->rules[1].when.line, 20);
    ck_assert_int_eq(r->rules[1].when.column, 18);
    ck_assert_ptr_null(r->rules[0].when.text);
}

static void check_shared(const struct config *c) {
    ck_assert(c->websocket.shared_state.enabled);
    ck_assert_str_eq(c->websocket.shared_state.redis_url, "redis://localhost:6379");
    ck_assert_str_eq(c->websocket.shared_state.prefix, "mockforge:");
    ck_assert_uint_eq(c->websocket.shared_state.timeout_ms, 1000);
    ck_assert(holds(&only_route(c)->rules[1].step.handler, "shared.incr(\"counter\")"));
}

static const struct {
    const char *title, *yaml;
    void (*check)(const struct config *c);
    const char *later; /* in place of it: the error of what a later version has */
} guide[] = {
    {"Basic Configuration",
     "# mockforge.yaml\n"
     "websocket:\n"
     "  enabled: true\n"
     "  port: 8080\n"
     "  path: \"/ws\"\n"
     "  max_connections: 10000\n"
     "  max_message_size: 65536\n",
     check_basic, NULL},
    {"Echo Handler",
     "websocket:\n"
     "  handlers:\n"
     "    - path: \"/echo\"\n"
     "      type: echo\n",
     check_echo, NULL},
    {"Static Response",
     "websocket:\n"
     "  handlers:\n"
     "    - path: \"/status\"\n"
     "      type: static\n"
     "      messages:\n"
     "        - on_connect: '{\"type\": \"connected\", \"server\": \"mockforge\"}'\n"
     "        - on_message: '{\"type\": \"ack\", \"received\": true}'\n"
     "        - on_close: '{\"type\": \"goodbye\"}'\n",
     check_static, NULL},
    {"Pattern Matching",
     "websocket:\n"
     "  handlers:\n"
     "    - path: \"/api\"\n"
     "      type: pattern\n"
     "      rules:\n"
     "        - match:\n"
     "            type: \"ping\"\n"
     "          response:\n"
     "            type: \"pong\"\n"
     "            timestamp: \"{{now}}\"\n"
     "\n"
     "        - match:\n"
     "            type: \"subscribe\"\n"
     "            channel: \"*\"\n"
     "          response:\n"
     "            type: \"subscribed\"\n"
     "            channel: \"{{message.channel}}\"\n"
     "            id: \"{{uuid}}\"\n"
     "\n"
     "        - match:\n"
     "            type: \"message\"\n"
     "          response:\n"
     "            type: \"ack\"\n"
     "            id: \"{{message.id}}\"\n"
     "            processed: true\n",
     check_pattern, NULL},
    {"JSON-RPC Handler",
     "websocket:\n"
     "  handlers:\n"
     "    - path: \"/jsonrpc\"\n"
     "      type: jsonrpc\n"
     "      methods:\n"
     "        - name: \"user.get\"\n"
     "          response:\n"
     "            result:\n"
     "              id: \"{{params.id}}\"\n"
     "              name: \"John Doe\"\n"
     "              email: \"john@example.com\"\n"
     "        - name: \"user.create\"\n"
     "          response:\n"
     "            result:\n"
     "              id: \"{{uuid}}\"\n"
     "              created: true\n"
     "\n"
     "        - name: \"unknown\"\n"
     "          error:\n"
     "            code: -32601\n"
     "            message: \"Method not found\"\n",
     check_jsonrpc, NULL},
    {"Scripted Handler",
     "websocket:\n"
     "  handlers:\n"
     "    - path: \"/custom\"\n"
     "      type: script\n"
     "      script: |\n"
     "        -- Access connection state\n"
     "        local state = connection.state\n"
     "        state.message_count = (state.message_count or 0) + 1\n"
     "\n"
     "        -- Parse incoming message\n"
     "        local msg = json.decode(message.text)\n"
     "\n"
     "        -- Generate response\n"
     "        return {\n"
     "          type = \"response\",\n"
     "          request_id = msg.id,\n"
     "          message_number = state.message_count,\n"
     "          timestamp = now_ms()\n"
     "        }\n",
     check_script, NULL},
    {"Room-Based Broadcasting",
     "websocket:\n"
     "  handlers:\n"
     "    - path: \"/chat\"\n"
     "      type: rooms\n"
     "      rules:\n"
     "        - match:\n"
     "            action: \"join\"\n"
     "          handler: |\n"
     "            rooms.join(message.room)\n"
     "            broadcast(message.room, {\n"
     "              type = \"user_joined\",\n"
     "              user = connection.id\n"
     "            })\n"
     "\n"
     "        - match:\n"
     "            action: \"leave\"\n"
     "          handler: |\n"
     "            broadcast(message.room, {\n"
     "              type = \"user_left\",\n"
     "              user = connection.id\n"
     "            })\n"
     "            rooms.leave(message.room)\n"
     "\n"
     "        - match:\n"
     "            action: \"message\"\n"
     "          handler: |\n"
     "            broadcast(message.room, {\n"
     "              type = \"chat\",\n"
     "              from = connection.id,\n"
     "              text = message.text,\n"
     "              timestamp = now_ms()\n"
     "            })\n",
     check_rooms, NULL},
    {"Global Broadcasting",
     "websocket:\n"
     "  handlers:\n"
     "    - path: \"/announcements\"\n"
     "      broadcast:\n"
     "        interval_ms: 5000\n"
     "        message:\n"
     "          type: \"heartbeat\"\n"
     "          timestamp: \"{{now}}\"\n"
     "          connections: \"{{connection_count}}\"\n",
     check_announcements, NULL},
    {"Periodic Updates",
     "websocket:\n"
     "  handlers:\n"
     "    - path: \"/ticker\"\n"
     "      scheduled:\n"
     "        - interval_ms: 1000\n"
     "          message:\n"
     "            type: \"price_update\"\n"
     "            symbol: \"BTC\"\n"
     "            price: \"{{random_float 40000 50000}}\"\n"
     "            timestamp: \"{{now}}\"\n"
     "\n"
     "        - interval_ms: 5000\n"
     "          message:\n"
     "            type: \"stats\"\n"
     "            volume: \"{{random_int 1000000 5000000}}\"\n",
     check_ticker, NULL},
    {"Delayed Responses",
     "websocket:\n"
     "  handlers:\n"
     "    - path: \"/slow\"\n"
     "      rules:\n"
     "        - match:\n"
     "            type: \"request\"\n"
     "          response:\n"
     "            type: \"processing\"\n"
     "          then:\n"
     "            delay_ms: 2000\n"
     "            response:\n"
     "              type: \"complete\"\n"
     "              result: \"done\"\n",
     check_slow, NULL},
    {"Forward to Upstream",
     "websocket:\n"
     "  handlers:\n"
     "    - path: \"/proxy\"\n"
     "      type: proxy\n"
     "      upstream: \"wss://api.example.com/ws\"\n"
     "      on_connect:\n"
     "        headers:\n"
     "          Authorization: \"Bearer {{env.API_TOKEN}}\"\n"
     "      transform:\n"
     "        incoming: |\n"
     "          -- Modify messages from client before forwarding\n"
     "          msg.client_id = connection.id\n"
     "          return msg\n"
     "        outgoing: |\n"
     "          -- Modify messages from upstream before sending to client\n"
     "          msg.internal_id = nil\n"
     "          return msg\n",
     check_proxy, NULL},
    {"Record and Forward",
     "websocket:\n"
     "  handlers:\n"
     "    - path: \"/recorded-proxy\"\n"
     "      type: proxy\n"
     "      upstream: \"wss://api.example.com/ws\"\n"
     "      record: true\n"
     "      record_path: \"./recordings/ws-{{date}}.json\"\n",
     check_recorded_proxy, NULL},
    {"Connection Instability",
     "websocket:\n"
     "  chaos:\n"
     "    enabled: true\n"
     "    disconnect_probability: 0.02  # 2% random disconnect\n"
     "    delay:\n"
     "      min_ms: 10\n"
     "      max_ms: 100\n",
     NULL, "t.yaml:2:3: websocket.chaos: \"chaos\" is not available in this version yet"},
    {"Message Corruption",
     "websocket:\n"
     "  chaos:\n"
     "    message_drop_rate: 0.01       # 1% message drop\n"
     "    message_duplicate_rate: 0.005  # 0.5% duplicate\n"
     "    message_reorder_rate: 0.005    # 0.5% reorder\n",
     NULL, "t.yaml:2:3: websocket.chaos: \"chaos\" is not available in this version yet"},
    {"Slow Consumer Simulation",
     "websocket:\n"
     "  chaos:\n"
     "    slow_consumer:\n"
     "      enabled: true\n"
     "      delay_ms: 1000\n"
     "      buffer_size: 10\n"
     "      drop_when_full: true\n",
     NULL, "t.yaml:2:3: websocket.chaos: \"chaos\" is not available in this version yet"},
    {"TLS Configuration",
     "websocket:\n"
     "  tls:\n"
     "    enabled: true\n"
     "    cert_path: \"./certs/server.crt\"\n"
     "    key_path: \"./certs/server.key\"\n",
     check_tls, NULL},
    {"Per-Connection State",
     "websocket:\n"
     "  handlers:\n"
     "    - path: \"/stateful\"\n"
     "      state:\n"
     "        initial:\n"
     "          authenticated: false\n"
     "          subscriptions: []\n"
     "      rules:\n"
     "        - match:\n"
     "            type: \"auth\"\n"
     "          handler: |\n"
     "            if message.token == \"valid-token\" then\n"
     "              state.authenticated = true\n"
     "              return { type = \"auth_success\" }\n"
     "            end\n"
     "            return { type = \"auth_failed\" }\n"
     "\n"
     "        - match:\n"
     "            type: \"subscribe\"\n"
     "          when: \"state.authenticated\"\n"
     "          handler: |\n"
     "            table.insert(state.subscriptions, message.channel)\n"
     "            return { type = \"subscribed\", channel = message.channel }\n",
     check_stateful, NULL},
    {"Shared State",
     "websocket:\n"
     "  shared_state:\n"
     "    enabled: true\n"
     "    redis_url: \"redis://localhost:6379\"\n"
     "\n"
     "  handlers:\n"
     "    - path: \"/shared\"\n"
     "      rules:\n"
     "        - match:\n"
     "            type: \"get_counter\"\n"
     "          handler: |\n"
     "            local count = shared.get(\"counter\") or 0\n"
     "            return { type = \"counter\", value = count }\n"
     "\n"
     "        - match:\n"
     "            type: \"increment\"\n"
     "          handler: |\n"
     "            local count = shared.incr(\"counter\")\n"
     "            broadcast(\"/shared\", { type = \"counter_updated\", value = count })\n"
     "            return { type = \"incremented\", value = count }\n",
     check_shared, NULL},
};

START_TEST(test_guide) {
    struct config *c = NULL;
    char message[1024] = "";
    int rc = load(guide[_i].yaml, &c, message, sizeof message);
    if (guide[_i].later) {
        ck_assert_int_eq(rc, MF_EINVAL);
        ck_assert_str_eq(message, guide[_i].later);
        return;
    }
    ck_assert_msg(rc == 0, "%s: %s", guide[_i].title, message);
    ck_assert(c->websocket.enabled);
    guide[_i].check(c);
    config_unref(c);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("config_guide");
    TCase *tc = tcase_create("guide");
    tcase_add_loop_test(tc, test_guide, 0, (int)ARRAY_LEN(guide));
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
