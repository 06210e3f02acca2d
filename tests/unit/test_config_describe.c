/* What is printed from the option table: the schema and the reference page in the tree are up to date, the examples in
 * conf/ load, and the effective configuration can be read again. Runs in the root of the source tree. */
#include <check.h>
#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/describe.h"
#include "config/option.h"
#include "template/template.h"

static struct buf read_whole(const char *name) {
    struct buf b = BUF_INIT;
    FILE *f = fopen(name, "rb");
    ck_assert_msg(f != NULL, "%s: run this in the root of the source tree", name);
    char block[4096];
    for (size_t n; (n = fread(block, 1, sizeof block, f)) > 0;)
        buf_append(&b, block, n);
    fclose(f);
    return b;
}

static void check_same(const char *file, struct buf *printed, const char *command) {
    struct buf kept = read_whole(file);
    ck_assert_msg(!strcmp(buf_cstr(&kept), buf_cstr(printed)), "%s is not up to date: build/mockforge %s > %s", file,
                  command, file);
    buf_fini(&kept);
    buf_fini(printed);
}

START_TEST(test_schema_is_up_to_date) {
    struct buf printed = BUF_INIT;
    ck_assert_int_eq(config_print_schema(&printed), 0);
    check_same("conf/mockforge.schema.json", &printed, "config schema");
}
END_TEST

START_TEST(test_reference_is_up_to_date) {
    struct buf printed = BUF_INIT;
    ck_assert_int_eq(config_print_reference(&printed), 0);
    ck_assert_int_eq(template_print_reference(&printed), 0);
    check_same("docs/configuration.md", &printed, "config schema --markdown");
}
END_TEST

/* ---- the schema ---------------------------------------------------------------------------------------------------
 */

/* Every $ref leads somewhere, and every object that lists properties refuses others. */
static void check_schema(const json_t *root, const json_t *node) {
    const char *ref = json_string_value(json_object_get(node, "$ref"));
    if (ref) {
        ck_assert_int_eq(strncmp(ref, "#/$defs/", 8), 0);
        ck_assert_ptr_nonnull(json_object_get(json_object_get(root, "$defs"), ref + 8));
    }
    if (json_is_object(json_object_get(node, "properties")))
        ck_assert(json_is_false(json_object_get(node, "additionalProperties")));
    const char *key;
    json_t *value;
    size_t i;
    if (json_is_object(node))
        json_object_foreach((json_t *)(uintptr_t)node, key, value) check_schema(root, value);
    json_array_foreach(node, i, value) check_schema(root, value);
}

START_TEST(test_schema_holds_together) {
    struct buf printed = BUF_INIT;
    ck_assert_int_eq(config_print_schema(&printed), 0);
    json_t *schema = json_loads(buf_cstr(&printed), JSON_REJECT_DUPLICATES, NULL);
    ck_assert_ptr_nonnull(schema);
    check_schema(schema, schema);
    json_t *handler = json_object_get(json_object_get(schema, "$defs"), "handler");
    ck_assert_str_eq(json_string_value(json_array_get(json_object_get(handler, "required"), 0)), "path");
    json_t *path = json_object_get(json_object_get(handler, "properties"), "record_path");
    ck_assert_str_eq(json_string_value(json_object_get(path, "type")), "string");
    ck_assert_ptr_null(json_object_get(json_object_get(handler, "properties"), "chaos"));
    /* A value is anything; a step holds steps. */
    json_t *step = json_object_get(json_object_get(schema, "$defs"), "step");
    json_t *response = json_object_get(json_object_get(step, "properties"), "response");
    ck_assert(json_object_size(response) == 1 && json_object_get(response, "description"));
    json_t *then = json_object_get(json_object_get(json_object_get(step, "properties"), "then"), "anyOf");
    ck_assert_str_eq(json_string_value(json_object_get(json_array_get(then, 0), "$ref")), "#/$defs/step");
    json_t *items = json_object_get(json_array_get(then, 1), "items");
    ck_assert_str_eq(json_string_value(json_object_get(items, "$ref")), "#/$defs/step");
    json_decref(schema);
    buf_fini(&printed);
}
END_TEST

/* Every row says what it is for, and its kind has what it needs. */
static void check_table(const struct option_table *table, int depth) {
    ck_assert_int_lt(depth, 8);
    ck_assert_ptr_nonnull(table->help);
    ck_assert(!table->shorthand || option_find(table, table->shorthand, strlen(table->shorthand)));
    ck_assert(!table->required || option_find(table, table->required, strlen(table->required)));
    ck_assert(!table->implied || option_find(table, "enabled", 7)->kind == OPTION_BOOL);
    ck_assert(!table->own ||
              option_find(table, table->shorthand, strlen(table->shorthand))->kind == OPTION_VALUE);
    for (const char *const *key = table->own; key && *key; key++)
        ck_assert_ptr_nonnull(option_find(table, *key, strlen(*key)));
    for (size_t i = 0; i < table->count; i++) {
        const struct option *row = &table->rows[i];
        ck_assert_msg(row->help || row->kind == OPTION_LATER, "%s.%s: no help", table->name, row->key);
        ck_assert_ptr_eq(option_find(table, row->key, strlen(row->key)), row);
        ck_assert_int_eq(row->kind == OPTION_SECTION || row->kind == OPTION_LIST, row->table != NULL);
        ck_assert_int_eq(row->kind == OPTION_ENUM, row->choices != NULL);
        ck_assert_int_eq(row->kind == OPTION_ALIAS, row->alias != NULL);
        bool number = row->kind == OPTION_UINT || row->kind == OPTION_INT || row->kind == OPTION_PORT ||
                      row->kind == OPTION_UINT64 || row->kind == OPTION_SIZE || row->kind == OPTION_DURATION;
        ck_assert_msg(!number || row->min < row->max, "%s.%s: no range", table->name, row->key);
        ck_assert(row->kind != OPTION_HEADERS || (row->wrong && row->max > 0));
        ck_assert(!row->given_offset || row->kind == OPTION_SECTION);
        ck_assert(!row->single || row->kind == OPTION_LIST);
        ck_assert(!row->tagged || row->kind == OPTION_TEXT);
        if (row->table && row->table != table)
            check_table(row->table, depth + 1);
    }
}

START_TEST(test_table_holds_together) {
    check_table(&option_root, 0);
}
END_TEST

/* ---- the effective configuration ------------------------------------------------------------------------------------
 */

static int load(const char *name, const char *text, struct config **out, struct err *err) {
    struct config_input in = {.file = name, .text = text, .ignore_environment = true};
    return config_load(&in, out, err);
}

static void check_same_value(const struct config_value *a, const struct config_value *b) {
    ck_assert(!a == !b);
    if (!a)
        return;
    ck_assert(a->kind == b->kind && a->count == b->count);
    if (a->kind == CONFIG_SCALAR) {
        enum config_scalar_type type = config_scalar_type(a);
        ck_assert_int_eq(type, config_scalar_type(b));
        ck_assert(type == CONFIG_NULL || !strcmp(a->text, b->text));
    }
    ck_assert(!a->key == !b->key && (!a->key || !strcmp(a->key, b->key)));
    for (a = a->first, b = b->first; a || b; a = a->next, b = b->next) {
        ck_assert(a && b);
        check_same_value(a, b);
    }
}

static void check_same_step(const struct step_config *a, const struct step_config *b) {
    check_same_value(a->response, b->response);
    ck_assert(a->delay_ms == b->delay_ms && a->close.given == b->close.given && a->close.code == b->close.code);
    ck_assert(!a->handler.text == !b->handler.text && a->then_count == b->then_count);
    for (size_t i = 0; i < a->then_count; i++)
        check_same_step(&a->then[i], &b->then[i]);
}

static void check_same_route(const struct route_config *a, const struct route_config *b) {
    ck_assert(a->type == b->type && a->has_fallback == b->has_fallback);
    ck_assert(a->messages_count == b->messages_count && a->rules_count == b->rules_count);
    ck_assert(a->methods_count == b->methods_count && a->scheduled_count == b->scheduled_count);
    ck_assert(a->steps_count == b->steps_count && a->broadcast.interval_ms == b->broadcast.interval_ms);
    check_same_step(&a->fallback, &b->fallback);
    check_same_value(a->state_initial, b->state_initial);
    check_same_value(a->broadcast.message, b->broadcast.message);
    for (size_t i = 0; i < a->messages_count; i++)
        check_same_value(a->messages[i].on_message, b->messages[i].on_message);
    for (size_t i = 0; i < a->rules_count; i++) {
        check_same_value(a->rules[i].match, b->rules[i].match);
        check_same_step(&a->rules[i].step, &b->rules[i].step);
    }
    for (size_t i = 0; i < a->scheduled_count; i++)
        ck_assert_uint_eq(a->scheduled[i].delay_ms, b->scheduled[i].delay_ms);
    for (size_t i = 0; i < a->steps_count; i++)
        ck_assert_str_eq(a->steps[i].on_timeout, b->steps[i].on_timeout);
}

/* Prints, reads that, and prints again: the same. */
static void check_round_trip(const char *name, const char *text) {
    struct config *first, *second;
    struct buf once = BUF_INIT, twice = BUF_INIT;
    struct err err = {0};
    char message[1024];
    int rc = load(name, text, &first, &err);
    ck_assert_msg(rc == 0, "%s", err_format(&err, message, sizeof message));
    ck_assert_int_eq(config_print_yaml(first, &once), 0);
    rc = load("printed", buf_cstr(&once), &second, &err);
    ck_assert_msg(rc == 0, "%s\n%s", err_format(&err, message, sizeof message), buf_cstr(&once));
    ck_assert_int_eq(config_print_yaml(second, &twice), 0);
    ck_assert_str_eq(buf_cstr(&once), buf_cstr(&twice));
    ck_assert_uint_eq(first->websocket.routes_count, second->websocket.routes_count);
    for (size_t i = 0; i < first->websocket.routes_count; i++)
        check_same_route(&first->websocket.routes[i], &second->websocket.routes[i]);
    config_unref(first);
    config_unref(second);
    buf_fini(&once);
    buf_fini(&twice);
}

START_TEST(test_examples_load) {
    DIR *dir = opendir("conf");
    ck_assert_ptr_nonnull(dir);
    int count = 0;
    for (struct dirent *e; (e = readdir(dir));) {
        size_t len = strlen(e->d_name);
        if (len < 5 || strcmp(e->d_name + len - 5, ".yaml"))
            continue;
        char name[300];
        snprintf(name, sizeof name, "conf/%s", e->d_name);
        check_round_trip(name, NULL);
        count++;
    }
    closedir(dir);
    ck_assert_int_ge(count, 3);
}
END_TEST

/* What `make run` promises. */
START_TEST(test_default_configuration) {
    static const struct config_override upstream = {"websocket.handlers[/proxy].upstream", "wss://api.example.com/ws"};
    struct config_input in = {.file = "conf/mockforge.yaml", .ignore_environment = true};
    struct config *c;
    ck_assert_int_eq(config_load(&in, &c, NULL), 0);
    ck_assert_str_eq(c->websocket.host, "127.0.0.1");
    ck_assert_uint_eq(c->websocket.port, 8080);
    ck_assert_uint_eq(c->websocket.routes_count, 2);
    ck_assert_int_eq(c->websocket.routes[0].type, HANDLER_ECHO);
    const struct route_config *proxy = &c->websocket.routes[1];
    ck_assert_str_eq(proxy->path, "/proxy");
    ck_assert_str_eq(proxy->upstream.text, "ws://127.0.0.1:8080/echo");
    ck_assert(proxy->record.enabled);
    ck_assert_str_eq(proxy->record.path.text, "./recordings/ws-{{date}}.jsonl.zst");
    config_unref(c);
    in.overrides = &upstream;
    in.overrides_count = 1;
    ck_assert_int_eq(config_load(&in, &c, NULL), 0);
    ck_assert_uint_eq(c->websocket.routes_count, 2);
    ck_assert_str_eq(c->websocket.routes[1].upstream.text, "wss://api.example.com/ws");
    config_unref(c);
}
END_TEST

static const struct {
    const char *transform, *printed; /* both as they stand in the file */
} texts[] = {
    {"|\n          one\n          two", "|\n          one\n          two\n"},
    {"|-\n          one\n\n          two", "|-\n          one\n\n          two\n"},
    {"|+\n          one\n\n", "\"one\\n\\n\\n\"\n"},
    {"\"  one\\n two\"", "\"  one\\n two\"\n"},
    {"\"a\\tb\\\"\\\\c\"", "\"a\\U00000009b\\\"\\\\c\"\n"},
    {"\"a\\u0001\\x7f\\N\\L\\P\\uFEFF\\xe9\"",
     "\"a\\U00000001\\U0000007f\\U00000085\\U00002028\\U00002029\\U0000feff\xc3\xa9\"\n"},
    {"a.lua", "\"a.lua\"\n"},
};

START_TEST(test_texts) {
    struct buf text = BUF_INIT, printed = BUF_INIT;
    buf_printf(&text, "websocket:\n  handlers:\n    - path: /a\n      transform:\n        incoming: %s\n",
               texts[_i].transform);
    check_round_trip("t", buf_cstr(&text));
    struct config *c;
    ck_assert_int_eq(load("t", buf_cstr(&text), &c, NULL), 0);
    ck_assert_int_eq(config_print_yaml(c, &printed), 0);
    const char *at = strstr(buf_cstr(&printed), "incoming: ");
    ck_assert_ptr_nonnull(at);
    at += strlen("incoming: ");
    ck_assert_msg(!strncmp(at, texts[_i].printed, strlen(texts[_i].printed)), "%s\n---\n%s", at, texts[_i].printed);
    config_unref(c);
    buf_fini(&text);
    buf_fini(&printed);
}
END_TEST

#define KEY_102                                                                                                        \
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789ab"
#define KEY_1020 KEY_102 KEY_102 KEY_102 KEY_102 KEY_102 KEY_102 KEY_102 KEY_102 KEY_102 KEY_102

/* Keys of a handler, and what they are printed as, in part. */
static const struct {
    const char *keys, *printed;
} mocks[] = {
    {"rules: [{response: {type: pong, n: 5, f: 1.5e3, b: true, z: ~, e: , t: \"5\", q: 'null', o: {}, l: []}}]",
     "        - response:\n"
     "            \"type\": \"pong\"\n"
     "            \"n\": 5\n"
     "            \"f\": 1.5e3\n"
     "            \"b\": true\n"
     "            \"z\": ~\n"
     "            \"e\": null\n"
     "            \"t\": \"5\"\n"
     "            \"q\": \"null\"\n"
     "            \"o\": {}\n"
     "            \"l\": []\n"},
    {"rules: [{response: [[[a, b], c], {d: {e: [f]}}, [], \"two\\nlines\"]}]",
     "        - response:\n"
     "            - - - \"a\"\n"
     "                - \"b\"\n"
     "              - \"c\"\n"
     "            - \"d\":\n"
     "                \"e\":\n"
     "                  - \"f\"\n"
     "            - []\n"
     "            - |-\n"
     "              two\n"
     "              lines\n"},
    {"rules: [{response: yes, match: -17, then: [{close: 4000}]}]",
     "        - match: -17\n"
     "          response: \"yes\"\n"
     "          delay_ms: 0\n"
     "          respond_to: \"sender\"\n"
     "          then:\n"
     "            delay_ms: 0\n"
     "            close:\n"
     "              code: 4000\n"
     "            respond_to: \"sender\"\n"},
    {"rules: [{response: x, respond_to: {room: a b}, then: [{response: y}, {response: z}]}]",
     "          respond_to: \"room:a b\"\n"
     "          then:\n"
     "            - response: \"y\"\n"},
    {"default: {response: {response: x}}", "      default:\n        response:\n          \"response\": \"x\"\n"},
    {"default: [a]", "      default:\n        response:\n          - \"a\"\n        delay_ms: 0\n"},
    {"steps: [{label: a, expect: x, timeout_ms: 5, on_timeout: goto a}]",
     "        - label: \"a\"\n"
     "          expect: \"x\"\n"
     "          timeout_ms: 5\n"
     "          on_timeout: \"a\"\n"
     "          delay_ms: 0\n"},
    {"scheduled: [{interval_ms: 10, delay_ms: 0, message: {$hex: \"00\"}}]",
     "        - interval_ms: 10\n"
     "          delay_ms: 0\n"
     "          count: 0\n"
     "          message:\n"
     "            \"$hex\": \"00\"\n"},
    {"state: {initial: {\"a\\nb\": {\"\": x}}}",
     "      state:\n        initial:\n          \"a\\nb\":\n            \"\": \"x\"\n"},
    {"broadcast: {interval_ms: 10, message: {? \"" KEY_1020 "\" : {a: b}}}",
     "        message:\n          ? \"" KEY_1020 "\"\n          :\n            \"a\": \"b\"\n"},
};

START_TEST(test_mocks) {
    struct buf text = BUF_INIT, printed = BUF_INIT;
    buf_printf(&text, "websocket:\n  handlers:\n    - path: /a\n      %s\n", mocks[_i].keys);
    check_round_trip("t", buf_cstr(&text));
    struct config *c;
    ck_assert_int_eq(load("t", buf_cstr(&text), &c, NULL), 0);
    ck_assert_int_eq(config_print_yaml(c, &printed), 0);
    ck_assert_msg(strstr(buf_cstr(&printed), mocks[_i].printed), "%s\n---\n%s", buf_cstr(&printed), mocks[_i].printed);
    config_unref(c);
    buf_fini(&text);
    buf_fini(&printed);
}
END_TEST

START_TEST(test_secrets_are_redacted) {
    static const char text[] = "admin: {token: hush1}\n"
                               "websocket:\n"
                               "  shared_state: {redis_url: \"redis://user:hush6@h:6379/1\"}\n"
                               "  handlers:\n"
                               "    - path: /a\n"
                               "      upstream: \"wss://user:hush2@h:1/p?api_key=hush3&q=seen1&token=#f\"\n"
                               "      on_connect: {headers: {Authorization: hush4, X-Api-Key: hush5, X-Team: seen2}}\n";
    check_round_trip("t", text);
    struct config *c;
    struct buf printed = BUF_INIT;
    ck_assert_int_eq(load("t", text, &c, NULL), 0);
    ck_assert_int_eq(config_print_yaml(c, &printed), 0);
    const char *out = buf_cstr(&printed);
    ck_assert_ptr_null(strstr(out, "hush"));
    ck_assert_ptr_null(strstr(out, "user"));
    ck_assert_ptr_nonnull(strstr(out, "\"wss://REDACTED@h:1/p?api_key=REDACTED&q=seen1&token=REDACTED\""));
    ck_assert_ptr_nonnull(strstr(out, "\"X-Team\": \"seen2\""));
    ck_assert_ptr_nonnull(strstr(out, "token: \"REDACTED\""));
    ck_assert_ptr_nonnull(strstr(out, "redis_url: \"redis://REDACTED@h:6379/1\""));
    config_unref(c);
    buf_fini(&printed);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("config_describe");
    TCase *tc = tcase_create("describe");
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, test_schema_is_up_to_date);
    tcase_add_test(tc, test_reference_is_up_to_date);
    tcase_add_test(tc, test_schema_holds_together);
    tcase_add_test(tc, test_table_holds_together);
    tcase_add_test(tc, test_examples_load);
    tcase_add_test(tc, test_default_configuration);
    tcase_add_loop_test(tc, test_texts, 0, (int)ARRAY_LEN(texts));
    tcase_add_loop_test(tc, test_mocks, 0, (int)ARRAY_LEN(mocks));
    tcase_add_test(tc, test_secrets_are_redacted);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
