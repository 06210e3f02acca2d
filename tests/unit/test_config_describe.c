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
    ck_assert_ptr_null(json_object_get(json_object_get(handler, "properties"), "rules"));
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
        if (row->table)
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

START_TEST(test_secrets_are_redacted) {
    static const char text[] = "admin: {token: hush1}\n"
                               "websocket:\n"
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
    tcase_add_test(tc, test_secrets_are_redacted);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
