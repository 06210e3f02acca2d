/* The transforms that are shipped in lua/, each run as a user would run it. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script/script.h"

static struct script_vm *vm;
static struct rng rng;
static struct connection connection;
static struct script_env *env;
static struct buf out;

static void set_up(void) {
    struct script_limits limits = {.max_memory = 16u << 20, .max_instructions = 2000000, .max_ms = 5000};
    struct err err;
    rng_init(&rng, 7);
    ck_assert_int_eq(script_vm_new(&limits, &rng, &vm, &err), 0);
    connection_init(&connection, 3);
    ck_assert_int_eq(script_env_new(vm, &connection, &env), 0);
}

static void tear_down(void) {
    script_env_free(vm, env);
    script_vm_free(vm);
    connection_fini(&connection);
    buf_fini(&out);
}

static struct script_chunk *load(const char *path) {
    char source[8192], text[1024];
    FILE *f = fopen(path, "r");
    ck_assert_msg(f != NULL, "%s (run from the repository's root)", path);
    size_t len = fread(source, 1, sizeof source, f);
    fclose(f);
    struct script_chunk *chunk;
    struct err err;
    int code = script_compile(vm, source, len, path, 1, &chunk, &err);
    ck_assert_msg(code == 0, "%s", err_format(&err, text, sizeof text));
    return chunk;
}

/* The outcome as text: what is sent, "=" for unchanged, "-" for dropped. */
static const char *run(struct script_chunk *chunk, bool incoming, const char *in) {
    struct script_message message = {.incoming = incoming, .data = (const uint8_t *)in, .len = strlen(in)};
    struct err err;
    char text[1024];
    bool binary;
    switch (script_transform(vm, chunk, env, &message, &out, &binary, &err)) {
    case SCRIPT_UNCHANGED:
        return "=";
    case SCRIPT_DROP:
        return "-";
    case SCRIPT_REPLACED:
        return buf_cstr(&out);
    default:
        ck_abort_msg("%s", err_format(&err, text, sizeof text));
    }
}

struct row {
    const char *path, *in, *out;
};
static const struct row rows[] = {
    {"lua/redact.lua", "{\"user\":\"x\", \"Password\":\"hunter2\",\"a\":[{\"access_token\": {\"v\":1}, \"n\":1.0}]}",
     "{\"user\":\"x\", \"Password\":\"[redacted]\",\"a\":[{\"access_token\": \"[redacted]\", \"n\":1.0}]}"},
    {"lua/redact.lua", "{\"user\":\"x\", \"n\" : 1e2}", "="},
    {"lua/redact.lua", "{\"token\":null}", "="},
    {"lua/redact.lua", "my token is text", "="},
    {"lua/add_client_id.lua", "{\"a\":1}", "{\"a\":1,\"client_id\":\"conn-3\"}"},
    {"lua/add_client_id.lua", "plain", "="},
    {"lua/drop_heartbeats.lua", "{\"type\":\"ping\"}", "-"},
    {"lua/drop_heartbeats.lua", "{\"op\":\"pong\"}", "-"},
    {"lua/drop_heartbeats.lua", "{\"type\":\"trade\"}", "="},
    {"lua/drop_heartbeats.lua", "{\"type\":{}}", "="},
    {"lua/drop_heartbeats.lua", "ping", "="},
};

START_TEST(test_ready) {
    struct script_chunk *chunk = load(rows[_i].path);
    ck_assert_str_eq(run(chunk, true, rows[_i].in), rows[_i].out);
    script_chunk_free(vm, chunk);
}
END_TEST

START_TEST(test_timestamp) {
    struct script_chunk *chunk = load("lua/add_timestamp.lua");
    const char *got = run(chunk, false, "{}");
    ck_assert_uint_eq(strlen(got), strlen("{\"gateway_time\":\"2024-01-15T10:30:00.000Z\"}"));
    script_chunk_free(vm, chunk);
}
END_TEST

START_TEST(test_rewrite_ids) {
    struct script_chunk *chunk = load("lua/rewrite_ids.lua");
    char sent[256], back[256];
    snprintf(sent, sizeof sent, "%s", run(chunk, true, "{\"id\":17,\"m\":1.0}"));
    ck_assert_uint_eq(strlen(sent), strlen("{\"id\":\"00000000-0000-0000-0000-000000000000\",\"m\":1.0}"));
    ck_assert_str_eq(run(chunk, false, sent), "{\"id\":17,\"m\":1.0}");
    ck_assert_str_eq(run(chunk, false, "{\"id\":\"unknown\"}"), "=");
    ck_assert_str_eq(run(chunk, true, "{\"x\":1}"), "=");
    ck_assert_str_eq(run(chunk, true, "[1]"), "=");
    for (int i = 0; i < 1500; i++) /* the first entry is forgotten, the last is not */
        snprintf(back, sizeof back, "%s", run(chunk, true, "{\"id\":1}"));
    ck_assert_str_eq(run(chunk, false, sent), "=");
    ck_assert_str_eq(run(chunk, false, back), "{\"id\":1}");
    script_chunk_free(vm, chunk);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("script, ready transforms");
    TCase *tc = tcase_create("lua/");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, test_ready, 0, ARRAY_LEN(rows));
    tcase_add_test(tc, test_timestamp);
    tcase_add_test(tc, test_rewrite_ids);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
