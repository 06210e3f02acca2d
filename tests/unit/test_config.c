/* config_load(): defaults, the guide's own examples, value forms, layers, inheritance, and every kind of error. */
#include <check.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/arena.h"
#include "config/config.h"
#include "config/option.h"

static struct config *load_with(const char *text, const struct config_override *overrides, size_t count, bool env) {
    struct config_input in = {
        .file = "t.yaml", .text = text, .overrides = overrides, .overrides_count = count, .ignore_environment = !env};
    struct config *c = NULL;
    struct err err = {0};
    char message[1024];
    int rc = config_load(&in, &c, &err);
    ck_assert_msg(rc == 0, "%s\n%s", text, err_format(&err, message, sizeof message));
    return c;
}

static struct config *load(const char *text) {
    return load_with(text, NULL, 0, false);
}

/* The whole error message, in a static buffer. */
static const char *refusal_of(const struct config_input *in) {
    static char message[1024];
    struct config *c = NULL;
    struct err err = {0};
    int rc = config_load(in, &c, &err);
    ck_assert_msg(rc < 0, "accepted: %s", in->text ? in->text : in->file);
    ck_assert_ptr_null(c);
    return err_format(&err, message, sizeof message);
}

/* ---- defaults and the guide ------------------------------------------------------------------------------------- */

static void check_default_record(const struct record_config *r) {
    ck_assert(!r->enabled && !r->exclude_ping && r->redact_defaults);
    ck_assert_str_eq(r->path.text, "recordings/ws-{{date}}.jsonl.zst");
    ck_assert_int_eq(r->path.line, 0);
    ck_assert_uint_eq(r->flush_ms, 100);
    ck_assert_int_eq(r->fsync, RECORD_FSYNC_NEVER);
    ck_assert_int_eq(r->on_full, RECORD_FULL_PAUSE);
    ck_assert_int_eq(r->on_error, RECORD_ERROR_CONTINUE);
    ck_assert_int_eq(r->leg, RECORD_LEG_CLIENT);
    ck_assert_ptr_null(r->path_filter);
    ck_assert_uint_eq(r->rotate_size + r->rotate_seconds + r->keep_files + r->keep_seconds + r->keep_bytes, 0);
    ck_assert_int_eq(r->level, 1);
    ck_assert_uint_eq(r->redact_headers_count + r->redact_query_count + r->redact_json_count, 0);
}

START_TEST(test_defaults) {
    struct config_input in = {.ignore_environment = true};
    struct config *c;
    ck_assert_int_eq(config_load(&in, &c, NULL), 0);
    ck_assert_ptr_null(c->source);
    ck_assert_int_eq(c->log_level, LOG_INFO);
    const struct websocket_config *ws = &c->websocket;
    ck_assert(!ws->enabled && !ws->hot_reload && !ws->tls.enabled);
    ck_assert_str_eq(ws->host, "0.0.0.0");
    ck_assert_uint_eq(ws->port, 8080);
    ck_assert_str_eq(ws->path, "/ws");
    ck_assert_uint_eq(ws->workers, 0);
    ck_assert_uint_eq(ws->max_connections, 10000);
    ck_assert_uint_eq(ws->max_message_size, 65536);
    ck_assert_uint_eq(ws->ping_interval, 30);
    ck_assert_uint_eq(ws->head_timeout_ms, 10000);
    ck_assert_uint_eq(ws->close_timeout_ms, 5000);
    ck_assert_uint_eq(ws->send_timeout_ms, 30000);
    ck_assert_uint_eq(ws->seed, 0);
    ck_assert_ptr_null(ws->tls.cert_path);
    ck_assert_uint_eq(ws->script.max_memory, 32 << 20);
    ck_assert_uint_eq(ws->script.max_instructions, 10000000);
    ck_assert_uint_eq(ws->script.max_ms, 40);
    ck_assert_uint_eq(ws->routes_count, 0);
    check_default_record(&ws->record);
    ck_assert(c->admin.enabled);
    ck_assert_str_eq(c->admin.host, "127.0.0.1");
    ck_assert_uint_eq(c->admin.port, 3000);
    ck_assert_ptr_null(c->admin.token);
    config_unref(c);
}
END_TEST

START_TEST(test_route_defaults) {
    struct config *c = load("websocket:\n  handlers:\n    - path: /a\n");
    ck_assert(c->websocket.enabled);
    ck_assert_str_eq(c->source, "t.yaml");
    ck_assert_uint_eq(c->websocket.routes_count, 1);
    const struct route_config *r = c->websocket.routes;
    ck_assert_str_eq(r->path, "/a");
    ck_assert_int_eq(r->line, 3);
    ck_assert_int_eq(r->column, 7);
    ck_assert_int_eq(r->type, HANDLER_DEFAULT);
    ck_assert_ptr_null(r->upstream.text);
    ck_assert(r->upstream_tls.verify);
    ck_assert_int_eq(r->transform.on_error, TRANSFORM_FORWARD);
    ck_assert_uint_eq(r->max_message_size, 0);
    ck_assert_uint_eq(r->connect_timeout_ms, 10000);
    ck_assert_uint_eq(r->handshake_timeout_ms, 10000);
    ck_assert_uint_eq(r->subprotocols_count + r->headers_count, 0);
    check_default_record(&r->record);
    config_unref(c);
}
END_TEST

/* "Basic Configuration", "Proxy Mode", "Record and Forward" and "TLS Configuration", as the guide writes them. */
static const char guide[] = "# mockforge.yaml\n"
                            "websocket:\n"
                            "  enabled: true\n"
                            "  port: 8080\n"
                            "  path: \"/ws\"\n"
                            "  max_connections: 10000\n"
                            "  max_message_size: 65536\n"
                            "  tls:\n"
                            "    enabled: true\n"
                            "    cert_path: \"./certs/server.crt\"\n"
                            "    key_path: \"./certs/server.key\"\n"
                            "  handlers:\n"
                            "    - path: \"/echo\"\n"
                            "      type: echo\n"
                            "    - path: \"/proxy\"\n"
                            "      type: proxy\n"
                            "      upstream: \"wss://api.example.com/ws\"\n"
                            "      on_connect:\n"
                            "        headers:\n"
                            "          Authorization: \"Bearer {{env.API_TOKEN}}\"\n"
                            "      transform:\n"
                            "        incoming: |\n"
                            "          // Modify messages from client before forwarding\n"
                            "          msg.client_id = connection.id;\n"
                            "          return msg;\n"
                            "        outgoing: |\n"
                            "          // Modify messages from upstream before sending to client\n"
                            "          delete msg.internal_id;\n"
                            "          return msg;\n"
                            "    - path: \"/recorded-proxy\"\n"
                            "      type: proxy\n"
                            "      upstream: \"wss://api.example.com/ws\"\n"
                            "      record: true\n"
                            "      record_path: \"./recordings/ws-{{date}}.json\"\n";

START_TEST(test_guide) {
    struct config *c = load(guide);
    const struct websocket_config *ws = &c->websocket;
    ck_assert(ws->enabled && ws->tls.enabled);
    ck_assert_str_eq(ws->tls.cert_path, "./certs/server.crt");
    ck_assert_str_eq(ws->tls.key_path, "./certs/server.key");
    ck_assert_uint_eq(ws->routes_count, 3);
    ck_assert_int_eq(ws->routes[0].type, HANDLER_ECHO);
    const struct route_config *proxy = &ws->routes[1];
    ck_assert_int_eq(proxy->type, HANDLER_PROXY);
    ck_assert_str_eq(proxy->upstream.text, "wss://api.example.com/ws");
    ck_assert_int_eq(proxy->upstream.line, 17);
    ck_assert_int_eq(proxy->upstream.column, 18);
    ck_assert_uint_eq(proxy->headers_count, 1);
    ck_assert_str_eq(proxy->headers[0].name, "Authorization");
    ck_assert_str_eq(proxy->headers[0].value.text, "Bearer {{env.API_TOKEN}}");
    ck_assert_int_eq(proxy->headers[0].value.line, 20);
    ck_assert_int_eq(proxy->transform.incoming.line, 23);
    ck_assert_int_eq(proxy->transform.incoming.column, 11);
    ck_assert_int_eq(strncmp(proxy->transform.outgoing.text, "// Modify", 9), 0);
    ck_assert(!proxy->record.enabled && ws->routes[2].record.enabled);
    ck_assert_str_eq(ws->routes[2].record.path.text, "./recordings/ws-{{date}}.json");
    ck_assert_int_eq(ws->routes[2].record.path.line, 34);
    config_unref(c);
}
END_TEST

/* ---- every key, in forms that are not the default -----------------------------------------------------------------
 */

static const char all_keys[] =
    "log: {level: debug}\n"
    "admin: {enabled: no, host: \"::1\", port: 0, token: abc.DEF-1}\n"
    "websocket:\n"
    "  enabled: off\n"
    "  host: \"::\"\n"
    "  port: 0\n"
    "  path: /x\n"
    "  workers: 64\n"
    "  max_connections: 10000000\n"
    "  max_message_size: 1GiB\n"
    "  ping_interval: 0\n"
    "  hot_reload: Yes\n"
    "  head_timeout_ms: 1\n"
    "  close_timeout_ms: 2\n"
    "  send_timeout_ms: 3\n"
    "  seed: 9223372036854775807\n"
    "  script: {max_memory: 1 MiB, max_instructions: 1000, max_ms: 7}\n"
    "  record:\n"
    "    path: \"r/{{uuid}}.jsonl\"\n"
    "    flush_ms: 60000\n"
    "    fsync: interval\n"
    "    on_full: drop\n"
    "    on_error: close\n"
    "    leg: both\n"
    "    exclude_ping: on\n"
    "    only_path: /api/**\n"
    "    rotate_size: 10MB\n"
    "    rotate_interval: 24h\n"
    "    keep_files: 9\n"
    "    keep_age: 7d\n"
    "    keep_bytes: 2TiB\n"
    "    level: -5\n"
    "    redact: {defaults: false, headers: [X-A, X-B], query: q, json: [a.b, \"c.*.d\"]}\n"
    "  handlers:\n"
    "    - path: /api/*/x/**\n"
    "      upstream: WS://[::1]:9/\n"
    "      upstream_tls: {ca: a.pem, cert: c.pem, key: k.pem, verify: false, server_name: n.example}\n"
    "      on_connect: {headers: {X-N: 5, x-m: \"\"}}\n"
    "      transform: {incoming: a.lua, outgoing: b.lua, on_error: drop}\n"
    "      max_message_size: 64kib\n"
    "      connect_timeout_ms: 11\n"
    "      handshake_timeout_ms: 12\n"
    "      subprotocols: [graphql-ws, mqtt]\n"
    "    - {path: /b, record: false, subprotocols: one}\n"
    "    - {path: /c, record: {redact: false}}\n";

static void check_record_of_all_keys(const struct record_config *r) {
    ck_assert(r->enabled && r->exclude_ping && !r->redact_defaults);
    ck_assert_str_eq(r->path.text, "r/{{uuid}}.jsonl");
    ck_assert_int_eq(r->path.line, 19);
    ck_assert_uint_eq(r->flush_ms, 60000);
    ck_assert_int_eq(r->fsync, RECORD_FSYNC_INTERVAL);
    ck_assert_int_eq(r->on_full, RECORD_FULL_DROP);
    ck_assert_int_eq(r->on_error, RECORD_ERROR_CLOSE);
    ck_assert_int_eq(r->leg, RECORD_LEG_BOTH);
    ck_assert_str_eq(r->path_filter, "/api/**");
    ck_assert_uint_eq(r->rotate_size, 10000000);
    ck_assert_uint_eq(r->rotate_seconds, 86400);
    ck_assert_uint_eq(r->keep_files, 9);
    ck_assert_uint_eq(r->keep_seconds, 7 * 86400);
    ck_assert_uint_eq(r->keep_bytes, (uint64_t)2 << 40);
    ck_assert_int_eq(r->level, -5);
    ck_assert_uint_eq(r->redact_headers_count, 2);
    ck_assert_str_eq(r->redact_headers[1], "X-B");
    ck_assert_uint_eq(r->redact_query_count, 1);
    ck_assert_str_eq(r->redact_query[0], "q");
    ck_assert_uint_eq(r->redact_json_count, 2);
    ck_assert_str_eq(r->redact_json[1], "c.*.d");
}

static void check_route_of_all_keys(const struct route_config *r) {
    ck_assert_str_eq(r->path, "/api/*/x/**");
    ck_assert_int_eq(r->type, HANDLER_PROXY);
    ck_assert_str_eq(r->upstream.text, "WS://[::1]:9/");
    ck_assert_str_eq(r->upstream_tls.ca, "a.pem");
    ck_assert_str_eq(r->upstream_tls.cert, "c.pem");
    ck_assert_str_eq(r->upstream_tls.key, "k.pem");
    ck_assert_str_eq(r->upstream_tls.server_name, "n.example");
    ck_assert(!r->upstream_tls.verify);
    ck_assert_uint_eq(r->headers_count, 2);
    ck_assert_str_eq(r->headers[0].value.text, "5");
    ck_assert_str_eq(r->headers[1].value.text, "");
    ck_assert_str_eq(r->transform.incoming.text, "a.lua");
    ck_assert_str_eq(r->transform.outgoing.text, "b.lua");
    ck_assert_int_eq(r->transform.on_error, TRANSFORM_DROP);
    ck_assert_uint_eq(r->max_message_size, 65536);
    ck_assert_uint_eq(r->connect_timeout_ms, 11);
    ck_assert_uint_eq(r->handshake_timeout_ms, 12);
    ck_assert_uint_eq(r->subprotocols_count, 2);
    ck_assert_str_eq(r->subprotocols[0], "graphql-ws");
}

START_TEST(test_all_keys) {
    struct config *c = load(all_keys);
    const struct websocket_config *ws = &c->websocket;
    ck_assert_int_eq(c->log_level, LOG_DEBUG);
    ck_assert(!c->admin.enabled && !ws->enabled && ws->hot_reload);
    ck_assert_str_eq(c->admin.host, "::1");
    ck_assert_uint_eq(c->admin.port, 0);
    ck_assert_str_eq(c->admin.token, "abc.DEF-1");
    ck_assert_str_eq(ws->host, "::");
    ck_assert_uint_eq(ws->port, 0);
    ck_assert_str_eq(ws->path, "/x");
    ck_assert_uint_eq(ws->workers, 64);
    ck_assert_uint_eq(ws->max_connections, 10000000);
    ck_assert_uint_eq(ws->max_message_size, 1 << 30);
    ck_assert_uint_eq(ws->ping_interval, 0);
    ck_assert_uint_eq(ws->head_timeout_ms, 1);
    ck_assert_uint_eq(ws->close_timeout_ms, 2);
    ck_assert_uint_eq(ws->send_timeout_ms, 3);
    ck_assert_uint_eq(ws->seed, INT64_MAX);
    ck_assert_uint_eq(ws->script.max_memory, 1 << 20);
    ck_assert_uint_eq(ws->script.max_instructions, 1000);
    ck_assert_uint_eq(ws->script.max_ms, 7);
    check_record_of_all_keys(&ws->record);
    ck_assert_uint_eq(ws->routes_count, 3);
    check_route_of_all_keys(&ws->routes[0]);
    check_record_of_all_keys(&ws->routes[0].record);
    /* The second only switches off; the third also forgets what was to be redacted. */
    ck_assert(!ws->routes[1].record.enabled);
    ck_assert_uint_eq(ws->routes[1].record.redact_json_count, 2);
    ck_assert_str_eq(ws->routes[1].subprotocols[0], "one");
    ck_assert(ws->routes[2].record.enabled);
    ck_assert_uint_eq(ws->routes[2].record.redact_json_count, 0);
    ck_assert_uint_eq(ws->routes[2].record.redact_headers_count, 0);
    config_unref(c);
}
END_TEST

/* ---- what a section alone means -----------------------------------------------------------------------------------
 */

static const struct {
    const char *text;
    bool websocket, tls, record, route_record;
} presence[] = {
    {"{}", false, false, false, false},
    {"admin: {port: 1}", false, false, false, false},
    {"websocket:", true, false, false, false},
    {"websocket: {}", true, false, false, false},
    {"websocket: {enabled: false}", false, false, false, false},
    {"websocket: off", false, false, false, false},
    {"websocket: {tls: {cert_path: a, key_path: b}}", true, true, false, false},
    {"websocket: {tls: {enabled: false, cert_path: a, key_path: b}}", true, false, false, false},
    {"websocket: {tls: true}", true, true, false, false},
    {"websocket: {record: true, handlers: [{path: /}]}", true, false, true, true},
    {"websocket: {record: {level: 3}, handlers: [{path: /}]}", true, false, true, true},
    {"websocket: {record: {enabled: no, level: 3}, handlers: [{path: /}]}", true, false, false, false},
    {"websocket: {record_path: x, handlers: [{path: /}]}", true, false, true, true},
    {"websocket: {record: false, record_path: x, handlers: [{path: /}]}", true, false, false, false},
    {"websocket: {handlers: [{path: /, record: true}], record: false}", true, false, false, true},
    {"websocket: {handlers: [{path: /, record: false}], record: true}", true, false, true, false},
    {"websocket: {handlers: [{path: /, record: {level: 2}}]}", true, false, false, true},
    {"websocket: {handlers: [{path: /, record_path: x}]}", true, false, false, true},
};

START_TEST(test_presence) {
    struct config *c = load(presence[_i].text);
    ck_assert_int_eq(c->websocket.enabled, presence[_i].websocket);
    ck_assert_int_eq(c->websocket.tls.enabled, presence[_i].tls);
    ck_assert_int_eq(c->websocket.record.enabled, presence[_i].record);
    if (c->websocket.routes_count)
        ck_assert_int_eq(c->websocket.routes[0].record.enabled, presence[_i].route_record);
    config_unref(c);
}
END_TEST

START_TEST(test_other_names) {
    struct config *c = load("log_level: warn\nhttp: {port: 99}\nadmin: {token: x}\nwebsocket: {record_path: y}\n");
    ck_assert_int_eq(c->log_level, LOG_WARN);
    ck_assert_uint_eq(c->admin.port, 99);
    ck_assert_str_eq(c->admin.token, "x");
    ck_assert_str_eq(c->websocket.record.path.text, "y");
    config_unref(c);
    c = load("log: error\n");
    ck_assert_int_eq(c->log_level, LOG_ERROR);
    config_unref(c);
}
END_TEST

START_TEST(test_inheritance_key_by_key) {
    struct config *c = load("websocket:\n"
                            "  handlers:\n"
                            "    - {path: /a, record: {fsync: close}}\n"
                            "    - {path: /b, record_path: b.json}\n"
                            "  record: {path: all.jsonl, level: 7, fsync: interval, redact: {json: [x]}}\n");
    const struct record_config *a = &c->websocket.routes[0].record, *b = &c->websocket.routes[1].record;
    ck_assert_str_eq(a->path.text, "all.jsonl");
    ck_assert_str_eq(b->path.text, "b.json");
    ck_assert_int_eq(a->level, 7);
    ck_assert_int_eq(a->fsync, RECORD_FSYNC_ALWAYS_CLOSE);
    ck_assert_int_eq(b->fsync, RECORD_FSYNC_INTERVAL);
    ck_assert_str_eq(b->redact_json[0], "x");
    config_unref(c);
}
END_TEST

/* ---- environment and command line ---------------------------------------------------------------------------------
 */

/* The guide's table. */
START_TEST(test_guide_variables) {
    setenv("MOCKFORGE_WS_ENABLED", "true", 1);
    setenv("MOCKFORGE_WS_PORT", "9001", 1);
    setenv("MOCKFORGE_WS_PATH", "/e", 1);
    setenv("MOCKFORGE_WS_MAX_CONNECTIONS", "5", 1);
    setenv("MOCKFORGE_WS_MAX_MESSAGE_SIZE", "1024", 1);
    setenv("MOCKFORGE_WS_PING_INTERVAL", "6", 1);
    setenv("MOCKFORGE_WS_HOTRELOAD", "yes", 1);
    struct config_input in = {0};
    struct config *c;
    ck_assert_int_eq(config_load(&in, &c, NULL), 0);
    const struct websocket_config *ws = &c->websocket;
    ck_assert(ws->enabled && ws->hot_reload);
    ck_assert_uint_eq(ws->port, 9001);
    ck_assert_str_eq(ws->path, "/e");
    ck_assert_uint_eq(ws->max_connections, 5);
    ck_assert_uint_eq(ws->max_message_size, 1024);
    ck_assert_uint_eq(ws->ping_interval, 6);
    config_unref(c);
}
END_TEST

START_TEST(test_layers) {
    static const char text[] =
        "websocket: {port: 1, workers: 1, max_connections: 1, record: {level: 2, redact: {json: [a]}}}";
    static const struct config_override overrides[] = {{"websocket.port", "3"}, {"log_level", "error"}};
    setenv("MOCKFORGE_WS_PORT", "2", 1);
    setenv("MOCKFORGE_WS_WORKERS", "2", 1);
    setenv("MOCKFORGE_WS_HOST", "", 1); /* empty counts as not set */
    setenv("MOCKFORGE_WS_RECORD_REDACT_JSON", " b,c.d ,,", 1);
    setenv("MOCKFORGE_LOG_LEVEL", "debug", 1);
    setenv("MOCKFORGE_ADMIN_TOKEN", "t0ken", 1);
    struct config *c = load_with(text, overrides, ARRAY_LEN(overrides), true);
    ck_assert_uint_eq(c->websocket.port, 3);
    ck_assert_uint_eq(c->websocket.workers, 2);
    ck_assert_uint_eq(c->websocket.max_connections, 1);
    ck_assert_str_eq(c->websocket.host, "0.0.0.0");
    ck_assert_int_eq(c->log_level, LOG_ERROR);
    ck_assert_str_eq(c->admin.token, "t0ken");
    ck_assert_uint_eq(c->websocket.record.redact_json_count, 2);
    ck_assert_str_eq(c->websocket.record.redact_json[0], "b");
    ck_assert_str_eq(c->websocket.record.redact_json[1], "c.d");
    config_unref(c);
}
END_TEST

/* A variable for another key does not open the port: only the file's section, or `enabled`, does. */
START_TEST(test_variables_enable_nothing) {
    setenv("MOCKFORGE_WS_PORT", "2", 1);
    setenv("MOCKFORGE_WS_TLS_CERT_PATH", "a", 1);
    setenv("MOCKFORGE_WS_TLS_KEY_PATH", "b", 1);
    setenv("MOCKFORGE_WS_RECORD_LEVEL", "2", 1);
    struct config *c = load_with("", NULL, 0, true);
    ck_assert(!c->websocket.enabled && !c->websocket.tls.enabled && !c->websocket.record.enabled);
    ck_assert_str_eq(c->websocket.tls.key_path, "b");
    config_unref(c);
    setenv("MOCKFORGE_WS_TLS", "on", 1);
    setenv("MOCKFORGE_WS_RECORD", "1", 1);
    struct config_input in = {0};
    ck_assert_str_eq(refusal_of(&in), "environment: MOCKFORGE_WS_RECORD: expected true or false; found \"1\"");
    setenv("MOCKFORGE_WS_RECORD", "true", 1);
    c = load_with("", NULL, 0, true);
    ck_assert(!c->websocket.enabled && c->websocket.tls.enabled && c->websocket.record.enabled);
    config_unref(c);
}
END_TEST

START_TEST(test_bad_variables) {
    struct config_input in = {.file = "t.yaml", .text = "websocket:\n"};
    setenv("MOCKFORGE_WS_PORT", "80x", 1);
    ck_assert_str_eq(refusal_of(&in),
                     "environment: MOCKFORGE_WS_PORT: expected a whole number from 0 to 65535; found \"80x\"");
    setenv("MOCKFORGE_WS_PORT", "tcp://10.0.0.1:80", 1);
    ck_assert_ptr_nonnull(strstr(refusal_of(&in), "Kubernetes"));
    unsetenv("MOCKFORGE_WS_PORT");
    setenv("MOCKFORGE_ADMIN_TOKEN", "a secret", 1);
    ck_assert_ptr_null(strstr(refusal_of(&in), "a secret"));
}
END_TEST

/* An unknown MOCKFORGE_WS_* is warned about, with the nearest name, and stops nothing. */
START_TEST(test_unknown_variable) {
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    log_set_fd(ends[1]);
    setenv("MOCKFORGE_WS_PROT", "1", 1);
    setenv("MOCKFORGE_OTHER", "1", 1);
    config_unref(load_with("", NULL, 0, true));
    char line[1024] = "";
    ck_assert_int_gt((int)read(ends[0], line, sizeof line - 1), 0);
    ck_assert_ptr_nonnull(strstr(line, "unknown_variable name=\"MOCKFORGE_WS_PROT\" did_you_mean=MOCKFORGE_WS_PORT"));
    ck_assert_ptr_null(strstr(line, "OTHER"));
}
END_TEST

static int count_and_set(void *arg, const char *variable, const char *path, const struct option *row) {
    (void)path;
    ck_assert_int_eq(setenv(variable, row->fallback ? row->fallback : "", 1), 0);
    ++*(int *)arg;
    return 0;
}

/* Every variable of the table takes its row's default, which changes nothing. */
START_TEST(test_every_variable) {
    int count = 0;
    ck_assert_int_eq(option_each_env(count_and_set, &count), 0);
    ck_assert_int_gt(count, 40);
    struct config *c = load_with("", NULL, 0, true);
    ck_assert(!c->websocket.enabled);
    check_default_record(&c->websocket.record);
    config_unref(c);
}
END_TEST

START_TEST(test_handler_overrides) {
    static const char text[] = "websocket:\n"
                               "  handlers:\n"
                               "    - {path: /echo, type: echo}\n"
                               "    - {path: /proxy, upstream: \"ws://old\", record: true, record_path: old}\n";
    static const struct config_override overrides[] = {
        {"websocket.handlers[/proxy].upstream", "wss://new/x=1"},
        {"websocket.handlers[/proxy].record_path", "new"},
        {"websocket.handlers[/proxy].on_connect.headers.X-Y.z", "v"},
        {"websocket.handlers[0].record", "true"},
        {"websocket.handlers[/a.b/[c]/**].upstream", "ws://made"},
        {"websocket.handlers[*].record.level", "9"},
        {"websocket.handlers[*].subprotocols", "a, b"},
    };
    struct config *c = load_with(text, overrides, ARRAY_LEN(overrides), false);
    const struct route_config *r = c->websocket.routes;
    ck_assert_uint_eq(c->websocket.routes_count, 3);
    ck_assert_str_eq(r[1].upstream.text, "wss://new/x=1");
    ck_assert_int_eq(r[1].upstream.line, 0);
    ck_assert_str_eq(r[1].record.path.text, "new");
    ck_assert_str_eq(r[1].headers[0].name, "X-Y.z");
    ck_assert(r[0].record.enabled && r[1].record.enabled && !r[2].record.enabled);
    ck_assert_str_eq(r[2].path, "/a.b/[c]/**");
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(r[i].record.level, 9);
        ck_assert_uint_eq(r[i].subprotocols_count, 2);
    }
    config_unref(c);
}
END_TEST

/* A recording reverse proxy with no file at all: what `ws record --upstream URL` needs. */
START_TEST(test_no_file) {
    static const struct config_override overrides[] = {
        {"websocket.enabled", "true"},
        {"websocket.record", "true"},
        {"websocket.record.path", "out.json"},
        {"websocket.handlers[/**].upstream", "ws://127.0.0.1:9/"},
    };
    struct config_input in = {
        .overrides = overrides, .overrides_count = ARRAY_LEN(overrides), .ignore_environment = true};
    struct config *c;
    ck_assert_int_eq(config_load(&in, &c, NULL), 0);
    ck_assert(c->websocket.enabled && c->websocket.routes[0].record.enabled);
    ck_assert_int_eq(c->websocket.routes[0].type, HANDLER_PROXY);
    ck_assert_str_eq(c->websocket.routes[0].record.path.text, "out.json");
    config_unref(c);
}
END_TEST

static const struct {
    const char *key, *value, *error;
} bad_overrides[] = {
    {"websocket.prot", "1", "command line: websocket.prot: unknown key; did you mean \"port\"?"},
    {"port", "1", "command line: port: unknown key; did you mean \"websocket.port\"?"},
    {"websocket.port", "x", "command line: websocket.port: expected a whole number from 0 to 65535; found \"x\""},
    {"websocket.port.x", "1", "command line: websocket.port.x: \"port\" is a single value"},
    {"websocket.script", "1",
     "command line: websocket.script: name a key of this section, such as \"script.max_memory\""},
    {"websocket.handlers", "1",
     "command line: websocket.handlers: name one of the handlers and a key of it, such as "
     "\"handlers[/proxy].upstream\""},
    {"websocket.handlers[7].type", "echo", "command line: websocket.handlers[7].type: there are only 1 handlers"},
    {"websocket.handlers[x].type", "echo",
     "command line: websocket.handlers[x].type: in the brackets: a number from 0, a path such as /proxy, or * for all"},
    {"websocket.handlers[0].chaos", "x",
     "command line: websocket.handlers[0].chaos: \"chaos\" is not available in this version yet"},
    {"websocket.handlers[/b].type", "proxy",
     "command line: websocket.handlers[1].type: a proxy needs \"upstream\", such as upstream: "
     "\"wss://api.example.com/ws\""},
    {"websocket.handlers[0].on_connect.headers", "x",
     "command line: websocket.handlers[0].on_connect.headers: name one of the headers, such as "
     "\"headers.Authorization\""},
    {"websocket.handlers[0].on_connect.headers.a b", "x",
     "command line: websocket.handlers[0].on_connect.headers.a b: the name is not a name that HTTP allows (letters, "
     "digits, - and the like)"},
    {"", "x", "command line: : unknown key; known here: websocket, admin, http, log, log_level"},
};

START_TEST(test_bad_override) {
    struct config_override override = {bad_overrides[_i].key, bad_overrides[_i].value};
    struct config_input in = {.file = "t.yaml",
                              .text = "websocket: {handlers: [{path: /a}]}",
                              .overrides = &override,
                              .overrides_count = 1,
                              .ignore_environment = true};
    ck_assert_str_eq(refusal_of(&in), bad_overrides[_i].error);
}
END_TEST

/* ---- errors in the file --------------------------------------------------------------------------------------------
 */

#define REPLAY HANDLER "input: a.jsonl\n      "
/* Every key of a replay, and what they become. */
START_TEST(test_replay) {
    struct config *c =
        load("websocket:\n  handlers:\n"
             "    - path: /a\n      input: a.jsonl.zst\n"
             "      upstream: ws://x/\n"
             "      replay:\n"
             "        {mode: reactive, speed: 2.5, loop: true, connection: [conn-1, conn-2], pick: path,\n"
             "         from: 1.5, to: 2m, timeout_ms: 0, on_timeout: continue, exact: /a, any: [/b, /c],\n"
             "         correlate: [incoming /id = outgoing /id], no_correlate: /d, refresh_time: true,\n"
             "         recover: true}\n"
             "    - {path: /b, type: replay, input: b.json, replay: {speed: max, correlate: false}}\n"
             "    - {path: /c, input: b.json}\n");
    const struct route_config *r = c->websocket.routes;
    ck_assert_int_eq(r[0].type, HANDLER_REPLAY);
    ck_assert_str_eq(r[0].input.text, "a.jsonl.zst");
    ck_assert_int_eq(r[0].input.line, 4);
    ck_assert_int_eq(r[0].on_miss, REPLAY_MISS_RECORD);
    const struct replay_config *p = &r[0].replay;
    ck_assert(p->given && p->loop && p->refresh_time && p->recover && !p->correlate_off);
    ck_assert_int_eq(p->mode, REPLAY_MODE_REACTIVE);
    ck_assert_double_eq(p->speed, 2.5);
    ck_assert_uint_eq(p->connections_count, 2);
    ck_assert_str_eq(p->connections[1], "conn-2");
    ck_assert_int_eq(p->pick, REPLAY_PICK_PATH);
    ck_assert_uint_eq(p->from_us, 1500000);
    ck_assert_uint_eq(p->to_us, 120000000);
    ck_assert_uint_eq(p->timeout_ms, 0);
    ck_assert_int_eq(p->on_timeout, REPLAY_TIMEOUT_CONTINUE);
    ck_assert_str_eq(p->exact[0], "/a");
    ck_assert_uint_eq(p->any_count, 2);
    ck_assert_uint_eq(p->rules_count, 1);
    ck_assert_str_eq(p->rules[0], "incoming /id = outgoing /id");
    ck_assert_str_eq(p->no_correlate[0], "/d");
    ck_assert(r[1].replay.correlate_off);
    ck_assert_double_eq(r[1].replay.speed, 0.0);
    ck_assert_int_eq(r[1].on_miss, REPLAY_MISS_NOT_GIVEN);
    ck_assert_int_eq(r[2].type, HANDLER_REPLAY);
    ck_assert(!r[2].replay.given);
    ck_assert_double_eq(r[2].replay.speed, 1.0);
    ck_assert_uint_eq(r[2].replay.timeout_ms, 30000);
    config_unref(c);
}
END_TEST

#define HANDLER "websocket:\n  handlers:\n    - path: /a\n      "

static const struct {
    const char *text, *error;
} refused[] = {
    /* keys */
    {"websocket:\n  prot: 1\n", "t.yaml:2:3: websocket.prot: unknown key; did you mean \"port\"?"},
    {"websockets: {}\n", "t.yaml:1:1: websockets: unknown key; did you mean \"websocket\"?"},
    {"websocket:\n  max-connections: 1\n",
     "t.yaml:2:3: websocket.max-connections: unknown key; did you mean \"max_connections\"?"},
    {"port: 1\n", "t.yaml:1:1: port: unknown key; did you mean \"websocket.port\"?"},
    {"upstream: x\n", "t.yaml:1:1: upstream: unknown key; did you mean \"websocket.handlers[].upstream\"?"},
    {"log:\n  zzz: 1\n", "t.yaml:2:3: log.zzz: unknown key; known here: level"},
    {HANDLER "upstraem: \"ws://x\"\n",
     "t.yaml:4:7: websocket.handlers[0].upstraem: unknown key; did you mean \"upstream\"?"},
    {"websocket: {record: {redact: {heders: x}}}\n",
     "t.yaml:1:31: websocket.record.redact.heders: unknown key; did you mean \"headers\"?"},
    /* what a later version has */
    {HANDLER "chaos: x\n", "t.yaml:4:7: websocket.handlers[0].chaos: \"chaos\" is not available in this version yet"},
    {"websocket:\n  chaos: {enabled: true}\n",
     "t.yaml:2:3: websocket.chaos: \"chaos\" is not available in this version yet"},
    /* replay */
    {REPLAY "replay: {speed: 0}\n",
     "t.yaml:5:23: websocket.handlers[0].replay.speed: "
     "\"0\" is not a number greater than 0 (2 is twice as fast, 0.5 half as fast), or \"max\""},
    {REPLAY "replay: {speed: -1}\n",
     "t.yaml:5:23: websocket.handlers[0].replay.speed: "
     "\"-1\" is not a number greater than 0 (2 is twice as fast, 0.5 half as fast), or \"max\""},
    {REPLAY "replay: {speed: fast}\n",
     "t.yaml:5:23: websocket.handlers[0].replay.speed: "
     "\"fast\" is not a number greater than 0 (2 is twice as fast, 0.5 half as fast), or \"max\""},
    {REPLAY "replay: {speed: 1e3}\n",
     "t.yaml:5:23: websocket.handlers[0].replay.speed: "
     "\"1e3\" is not a number greater than 0 (2 is twice as fast, 0.5 half as fast), or \"max\""},
    {REPLAY "replay: {speed: 0.0}\n",
     "t.yaml:5:23: websocket.handlers[0].replay.speed: "
     "\"0.0\" is not a number greater than 0 (2 is twice as fast, 0.5 half as fast), or \"max\""},
    {REPLAY "replay: {speed: nan}\n",
     "t.yaml:5:23: websocket.handlers[0].replay.speed: "
     "\"nan\" is not a number greater than 0 (2 is twice as fast, 0.5 half as fast), or \"max\""},
    {REPLAY "replay: {speed: Max}\n",
     "t.yaml:5:23: websocket.handlers[0].replay.speed: "
     "\"Max\" is not a number greater than 0 (2 is twice as fast, 0.5 half as fast), or \"max\""},
    {REPLAY "replay: {from: soon}\n",
     "t.yaml:5:22: websocket.handlers[0].replay.from: \"soon\" is not a time such as 1.5 (seconds), 250ms, 90s, 10m or "
     "2h"},
    {REPLAY "replay: {from: 5, to: 4.5}\n",
     "t.yaml:5:29: websocket.handlers[0].replay.to: nothing is left: it must be later than \"from\""},
    {REPLAY "replay: {correlate: [{a: b}]}\n",
     "t.yaml:5:27: websocket.handlers[0].replay.correlate: expected true, false or a list of rules, such as \"incoming "
     "/id = outgoing /id\""},
    {REPLAY "replay: {mode: quick}\n",
     "t.yaml:5:22: websocket.handlers[0].replay.mode: expected one of auto, timed, reactive; found \"quick\""},
    {REPLAY "on_miss: close\n",
     "t.yaml:5:16: websocket.handlers[0].on_miss: only a replay with an \"upstream\" has it"},
    {REPLAY "rules: []\n",
     "t.yaml:5:14: websocket.handlers[0].rules: a replay has none: what answers there is the recording"},
    {HANDLER "type: replay\n", "t.yaml:4:13: websocket.handlers[0].type: a replay needs \"input\", such as input: "
                               "\"recordings/session.jsonl.zst\""},
    {HANDLER "type: echo\n      input: a.jsonl\n",
     "t.yaml:5:14: websocket.handlers[0].input: only handlers of type replay have it"},
    /* kinds */
    {"- a\n", "t.yaml:1:1: expected a mapping, such as \"websocket:\""},
    {"websocket: []\n", "t.yaml:1:12: websocket: expected a mapping; found a list"},
    {"websocket: 5\n", "t.yaml:1:12: websocket: expected true or false; found \"5\""},
    {"http: 5\n", "t.yaml:1:7: http: expected a mapping; found a single value"},
    {"websocket: {handlers: {}}\n", "t.yaml:1:23: websocket.handlers: expected a list of mappings; found a mapping"},
    {"websocket: {handlers: [x]}\n", "t.yaml:1:24: websocket.handlers[0]: expected a mapping; found a single value"},
    {"websocket: {port: [1]}\n", "t.yaml:1:19: websocket.port: expected a whole number from 0 to 65535; found a list"},
    {"websocket: {port: }\n", "t.yaml:1:19: websocket.port: expected a whole number from 0 to 65535; found nothing"},
    {"websocket: {port: \"80\"}\n",
     "t.yaml:1:19: websocket.port: expected a whole number from 0 to 65535; found a text in quotes"},
    {"websocket: {hot_reload: \"yes\"}\n",
     "t.yaml:1:25: websocket.hot_reload: expected true or false; found a text in quotes"},
    {"websocket: {record: {redact: {json: {a: b}}}}\n",
     "t.yaml:1:37: websocket.record.redact.json: expected a list of texts; found a mapping"},
    {"websocket: {record: {redact: {json: [[a]]}}}\n",
     "t.yaml:1:38: websocket.record.redact.json: expected a list of texts; found a list"},
    {HANDLER "on_connect: {headers: [a]}\n",
     "t.yaml:4:29: websocket.handlers[0].on_connect.headers: expected a mapping of header names to values; found a "
     "list"},
    {HANDLER "on_connect: {headers: {a: [b]}}\n",
     "t.yaml:4:33: websocket.handlers[0].on_connect.headers.a: expected a text"},
    /* numbers, sizes, times */
    {"websocket: {port: 65536}\n",
     "t.yaml:1:19: websocket.port: expected a whole number from 0 to 65535; found \"65536\""},
    {"websocket: {port: -1}\n", "t.yaml:1:19: websocket.port: expected a whole number from 0 to 65535; found \"-1\""},
    {"websocket: {port: 0x50}\n",
     "t.yaml:1:19: websocket.port: expected a whole number from 0 to 65535; found \"0x50\""},
    {"websocket: {port: 010}\n", "t.yaml:1:19: websocket.port: expected a whole number from 0 to 65535; found \"010\""},
    {"websocket: {port: 80.0}\n",
     "t.yaml:1:19: websocket.port: expected a whole number from 0 to 65535; found \"80.0\""},
    {"websocket: {workers: 65}\n",
     "t.yaml:1:22: websocket.workers: expected a whole number from 0 to 64; found \"65\""},
    {"websocket: {max_connections: 0}\n",
     "t.yaml:1:30: websocket.max_connections: expected a whole number from 1 to 10000000; found \"0\""},
    {"websocket: {seed: 9223372036854775808}\n",
     "t.yaml:1:19: websocket.seed: expected a whole number from 0 to 9223372036854775807; found "
     "\"9223372036854775808\""},
    {"websocket: {max_message_size: 64K}\n",
     "t.yaml:1:31: websocket.max_message_size: expected a size from 1 to 1GiB, such as 65536, 64KiB or 10MB; found "
     "\"64K\""},
    {"websocket: {max_message_size: 2GiB}\n",
     "t.yaml:1:31: websocket.max_message_size: expected a size from 1 to 1GiB, such as 65536, 64KiB or 10MB; found "
     "\"2GiB\""},
    {"websocket: {max_message_size: 99999999999TiB}\n",
     "t.yaml:1:31: websocket.max_message_size: expected a size from 1 to 1GiB, such as 65536, 64KiB or 10MB; found "
     "\"99999999999TiB\""},
    {"websocket: {record: {keep_age: 7w}}\n",
     "t.yaml:1:32: websocket.record.keep_age: expected a time from 0 to 3660d, such as 30s, 10m, 24h or 7d; found "
     "\"7w\""},
    {"websocket: {record: {level: 20}}\n",
     "t.yaml:1:29: websocket.record.level: expected a whole number from -5 to 19; found \"20\""},
    /* choices and texts */
    {HANDLER "type: prox\n",
     "t.yaml:4:13: websocket.handlers[0].type: expected one of echo, proxy, static, pattern, jsonrpc, script, rooms, "
     "scenario, replay; found \"prox\"; did you mean \"proxy\"?"},
    {"websocket: {record: {on_full: wait}}\n",
     "t.yaml:1:31: websocket.record.on_full: expected one of pause, drop, close; found \"wait\""},
    {"log: {level: loud}\n", "t.yaml:1:14: log.level: expected one of debug, info, warn, error; found \"loud\""},
    {"websocket: {path: ws}\n", "t.yaml:1:19: websocket.path: \"ws\" does not begin with /"},
    {"websocket: {path: \"/a b\"}\n", "t.yaml:1:19: websocket.path: \"/a b\" holds a blank or a control character"},
    {"websocket: {path: /a?b}\n", "t.yaml:1:19: websocket.path: \"/a?b\" holds ? or #; a path ends before the query"},
    {"websocket: {handlers: [{path: /a*b}]}\n",
     "t.yaml:1:31: websocket.handlers[0].path: \"/a*b\" has a * beside other characters; * is one whole segment, ** "
     "the rest"},
    {"websocket: {handlers: [{path: /**/b}]}\n",
     "t.yaml:1:31: websocket.handlers[0].path: \"/**/b\" goes on after **, which is the whole rest"},
    {"websocket: {host: \"\"}\n", "t.yaml:1:19: websocket.host: \"\" is empty"},
    {"websocket: {host: a/b}\n", "t.yaml:1:19: websocket.host: \"a/b\" is neither a host name nor an address"},
    {"websocket: {host: \"[::1]\"}\n",
     "t.yaml:1:19: websocket.host: \"[::1]\" has brackets; write an IPv6 address without them"},
    {"websocket: {host: \"localhost:80\"}\n",
     "t.yaml:1:19: websocket.host: \"localhost:80\" is not an IPv6 address; the port is a key of its own"},
    {"websocket: {record_path: \"\"}\n", "t.yaml:1:26: websocket.record.path: \"\" is empty"},
    {"websocket: {record: {only_path: api}}\n",
     "t.yaml:1:33: websocket.record.only_path: \"api\" does not begin with / or *"},
    {HANDLER "subprotocols: [\"a b\"]\n",
     "t.yaml:4:22: websocket.handlers[0].subprotocols: \"a b\" is not a name that HTTP allows (letters, digits, - and "
     "the like)"},
    {HANDLER "on_connect: {headers: {\"a b\": x}}\n",
     "t.yaml:4:30: websocket.handlers[0].on_connect.headers.a b: the name is not a name that HTTP allows (letters, "
     "digits, - and the like)"},
    {HANDLER "on_connect: {headers: {a: \"x\\r\\ny: z\"}}\n",
     "t.yaml:4:33: websocket.handlers[0].on_connect.headers.a: a header's value is one line"},
    {HANDLER "on_connect: {headers: {X-A: x, x-a: y}}\n",
     "t.yaml:4:38: websocket.handlers[0].on_connect.headers.x-a: the same header as \"X-A\"; their case does not "
     "matter"},
    {HANDLER "upstream: \"https://user:pass@x\"\n",
     "t.yaml:4:17: websocket.handlers[0].upstream: the value is an HTTP URL; write ws:// for http:// and wss:// for "
     "https://"},
    {HANDLER "upstream: \"x:1\"\n",
     "t.yaml:4:17: websocket.handlers[0].upstream: the value does not begin with ws:// or wss://"},
    {HANDLER "upstream: \"ws://\"\n", "t.yaml:4:17: websocket.handlers[0].upstream: the value has no host"},
    /* keys together */
    {"websocket: {handlers: [{type: echo}]}\n", "t.yaml:1:24: websocket.handlers[0]: \"path\" is missing"},
    {HANDLER "type: proxy\n", "t.yaml:4:13: websocket.handlers[0].type: a proxy needs \"upstream\", such as upstream: "
                              "\"wss://api.example.com/ws\""},
    {HANDLER "type: echo\n      upstream: \"ws://x\"\n",
     "t.yaml:5:17: websocket.handlers[0].upstream: only handlers of type proxy and replay have an upstream"},
    {HANDLER "type: echo\n    - path: /b\n    - path: /a\n",
     "t.yaml:6:13: websocket.handlers: \"/a\" is the path of the handler in line 3 already"},
    {"websocket: {tls: {cert_path: a}}\n",
     "t.yaml:1:30: websocket.tls.cert_path: \"cert_path\" is given without \"key_path\"; both or neither"},
    {HANDLER "upstream: \"wss://x\"\n      upstream_tls: {key: a}\n",
     "t.yaml:5:27: websocket.handlers[0].upstream_tls.key: \"key\" is given without \"cert\"; both or neither"},
    {"admin: {host: 0.0.0.0}\n",
     "t.yaml:1:15: admin.host: \"0.0.0.0\" can be reached from other machines: set \"token\", or "
     "MOCKFORGE_ADMIN_TOKEN"},
    {"websocket:\n  record: {path: x}\n  record_path: y\n",
     "t.yaml:3:16: websocket.record_path: the same as \"record.path\", which is given in line 2"},
    {HANDLER "record: {path: x}\n      record_path: y\n",
     "t.yaml:5:20: websocket.handlers[0].record_path: the same as \"record.path\", which is given in line 4"},
    /* what YAML itself refuses */
    {"websocket:\n  port: 1\n  port: 2\n", "t.yaml:3:3: the key \"port\" is given twice; first in line 2"},
    {HANDLER "record_path: {{date}}.json\n", "t.yaml:4:21: a mapping cannot be a key; quote templates: \"{{now}}\""},
};

START_TEST(test_refused) {
    struct config_input in = {.file = "t.yaml", .text = refused[_i].text, .ignore_environment = true};
    ck_assert_str_eq(refusal_of(&in), refused[_i].error);
}
END_TEST

/* No error quotes a secret. */
START_TEST(test_secrets_stay_out_of_errors) {
    struct config_input in = {.file = "t.yaml", .text = "admin: {token: \"hush hush\"}", .ignore_environment = true};
    ck_assert_ptr_null(strstr(refusal_of(&in), "hush"));
    in.text = HANDLER "upstream: \"http://u:hush@x\"\n";
    ck_assert_ptr_null(strstr(refusal_of(&in), "hush"));
    in.text = HANDLER "on_connect: {headers: {Authorization: \"hush\\n\"}}\n";
    ck_assert_ptr_null(strstr(refusal_of(&in), "hush"));
}
END_TEST

START_TEST(test_file) {
    char name[] = "/tmp/mockforge-config-XXXXXX";
    int fd = mkstemp(name);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq((int)write(fd, guide, strlen(guide)), (int)strlen(guide));
    close(fd);
    struct config_input in = {.file = name, .ignore_environment = true};
    struct config *c;
    ck_assert_int_eq(config_load(&in, &c, NULL), 0);
    ck_assert_str_eq(c->source, name);
    ck_assert_uint_eq(c->websocket.routes_count, 3);
    config_unref(c);
    ck_assert_int_eq(truncate(name, (2 << 20)), 0);
    ck_assert_ptr_nonnull(strstr(refusal_of(&in), "larger than 1 MiB"));
    unlink(name);
    struct err err;
    ck_assert_int_eq(config_load(&in, &c, &err), MF_EIO);
    ck_assert_str_eq(err.text, "cannot be opened: No such file or directory");
    in.file = "/";
    ck_assert_int_eq(config_load(&in, &c, &err), MF_EIO);
    ck_assert_str_eq(err.text, "cannot be read: Is a directory");
}
END_TEST

START_TEST(test_references) {
    struct config *c = load(guide);
    ck_assert_ptr_eq(config_ref(c), c);
    config_unref(c);
    ck_assert_str_eq(c->websocket.path, "/ws");
    config_unref(c);
    config_unref(NULL);
}
END_TEST

START_TEST(test_no_memory) {
    static const struct config_override overrides[] = {{"websocket.handlers[/new].upstream", "ws://x"},
                                                       {"websocket.record.level", "2"}};
    struct config_input in = {
        .file = "t.yaml", .text = all_keys, .overrides = overrides, .overrides_count = 2, .ignore_environment = true};
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
        ck_assert_ptr_null(c);
        failures++;
    }
    ck_assert_int_gt(failures, 200);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("config");
    TCase *tc = tcase_create("config");
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, test_defaults);
    tcase_add_test(tc, test_route_defaults);
    tcase_add_test(tc, test_guide);
    tcase_add_test(tc, test_replay);
    tcase_add_test(tc, test_all_keys);
    tcase_add_loop_test(tc, test_presence, 0, (int)ARRAY_LEN(presence));
    tcase_add_test(tc, test_other_names);
    tcase_add_test(tc, test_inheritance_key_by_key);
    tcase_add_test(tc, test_guide_variables);
    tcase_add_test(tc, test_layers);
    tcase_add_test(tc, test_variables_enable_nothing);
    tcase_add_test(tc, test_bad_variables);
    tcase_add_test(tc, test_unknown_variable);
    tcase_add_test(tc, test_every_variable);
    tcase_add_test(tc, test_handler_overrides);
    tcase_add_test(tc, test_no_file);
    tcase_add_loop_test(tc, test_bad_override, 0, (int)ARRAY_LEN(bad_overrides));
    tcase_add_loop_test(tc, test_refused, 0, (int)ARRAY_LEN(refused));
    tcase_add_test(tc, test_secrets_stay_out_of_errors);
    tcase_add_test(tc, test_file);
    tcase_add_test(tc, test_references);
    tcase_add_test(tc, test_no_memory);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
