/* Transforms: what goes in, what the script says, what comes out. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "script/script.h"

static struct script_vm *vm;
static struct rng rng;
static struct connection connection;
static struct script_env *env;
static struct buf out;

static void set_up(void) {
    struct script_limits limits = {.max_memory = 16u << 20, .max_instructions = 2000000, .max_ms = 2000};
    struct err err;
    rng_init(&rng, 7);
    ck_assert_int_eq(script_vm_new(&limits, &rng, &vm, &err), 0);
    connection_init(&connection, 42);
    connection.path = strdup("/chat");
    connection.query = strdup("a=1");
    connection.remote_addr = strdup("127.0.0.1:5");
    ck_assert_int_eq(headers_add(&connection.headers, "X-Tenant", "blue"), 0);
    ck_assert_int_eq(script_env_new(vm, &connection, &env), 0);
}

static void tear_down(void) {
    script_env_free(vm, env);
    script_vm_free(vm);
    connection_fini(&connection);
    buf_fini(&out);
}

static bool out_binary;
static struct err error;

static enum script_verdict run_bytes(const char *source, const void *data, size_t len, bool binary) {
    struct script_chunk *chunk;
    char text[1024];
    int code = script_compile(vm, source, strlen(source), "t.lua", 1, &chunk, &error);
    ck_assert_msg(code == 0, "%s: %s", source, err_format(&error, text, sizeof text));
    struct script_message in = {.incoming = true, .binary = binary, .data = data, .len = len};
    enum script_verdict v = script_transform(vm, chunk, env, &in, &out, &out_binary, &error);
    script_chunk_free(vm, chunk);
    return v;
}

static enum script_verdict run(const char *source, const char *in) {
    return run_bytes(source, in, strlen(in), false);
}

struct row {
    const char *source, *in, *out; /* out NULL: unchanged; "!…": an error that holds what follows; "-": dropped */
};

static void check_row(const struct row *r) {
    char text[1024];
    enum script_verdict v = run(r->source, r->in);
    const char *said = v == SCRIPT_ERROR ? err_format(&error, text, sizeof text) : buf_cstr(&out);
    if (!r->out) {
        ck_assert_msg(v == SCRIPT_UNCHANGED, "%s on %s: verdict %d, %s", r->source, r->in, v, said);
    } else if (r->out[0] == '!') {
        ck_assert_msg(v == SCRIPT_ERROR, "%s on %s: verdict %d, %s", r->source, r->in, v, said);
        ck_assert_msg(strstr(said, r->out + 1), "%s: said %s, not %s", r->source, said, r->out + 1);
    } else if (!strcmp(r->out, "-")) {
        ck_assert_msg(v == SCRIPT_DROP, "%s on %s: verdict %d, %s", r->source, r->in, v, said);
    } else {
        ck_assert_msg(v == SCRIPT_REPLACED, "%s on %s: verdict %d, %s", r->source, r->in, v, said);
        ck_assert_msg(!strcmp(said, r->out), "%s on %s:\n got %s\nwant %s", r->source, r->in, said, r->out);
    }
}

static const struct row basics[] = {
    {"", "{\"a\":1}", NULL},
    {"return msg", "{\"a\":1}", NULL},
    {"return message", "{\"a\":1}", NULL},
    {"local x = msg.a; msg.a = x", "{\"a\":1}", NULL},
    {"return false", "{\"a\":1}", "-"},
    {"return true", "{}", "!not true"},
    {"return 5", "{}", "!not number"},
    {"return function() end", "{}", "!not function"},
    {"msg.n = msg.n * 2 + '1'", "{\"n\":\"43251.17\"}", "{\"n\":86503.34}"},
    {"return 'plain'", "{}", "plain"},
    {"return ''", "{}", ""},
    {"return {a = 1}", "{}", "{\"a\":1}"},
    {"return {}", "[]", "{}"},
    {"return json.array()", "{}", "[]"},
    {"return {1, 2, 'x'}", "{}", "[1,2,\"x\"]"},
    {"msg = {fresh = true}", "{\"a\":1}", "{\"fresh\":true}"},
    {"msg = false", "{\"a\":1}", "-"},
    {"msg.client_id = connection.id\nreturn msg", "{\"b\": 1, \"a\" :2 }",
     "{\"b\": 1, \"a\" :2,\"client_id\":\"conn-42\" }"},
    {"msg.internal_id = nil", "{\"x\":[ 1 ,2],\"internal_id\":\"q\",\"y\":{}}", "{\"x\":[ 1 ,2],\"y\":{}}"},
    {"msg.internal_id = nil", "{\"internal_id\":1, \"y\":{}}", "{\"y\":{}}"},
    {"msg.internal_id = nil", "{ \"internal_id\":1 }", "{  }"},
    {"msg.internal_id = nil", "{\"a\":1}", NULL},
    {"msg.b = nil; msg.c = nil", "{\"a\":1, \"b\":2, \"c\":3, \"d\":4}", "{\"a\":1, \"d\":4}"},
    {"msg.a = nil; msg.b = nil", "{\"a\":1, \"b\":2, \"c\":3}", "{\"c\":3}"},
    {"msg.b = nil; msg.z = 1", "{\"a\":1,\"b\":2}", "{\"a\":1,\"z\":1}"},
    {"msg.a = nil; msg.z = 1", "{\"a\":1}", "{\"z\":1}"},
    {"msg.z = 1; msg.y = 2", "{ }", "{\"y\":2,\"z\":1 }"},
    {"msg.a = 2", "{\"a\":1,\"b\":[1, 2]}", "{\"a\":2,\"b\":[1, 2]}"},
    {"msg.a.b.c = 'x'", "{\"a\": {\"q\":0.10, \"b\": {\"c\": null}}, \"z\":1e2}",
     "{\"a\": {\"q\":0.10, \"b\": {\"c\": \"x\"}}, \"z\":1e2}"},
    {"if direction == 'incoming' then msg.d = direction end", "{}", "{\"d\":\"incoming\"}"},
    {"msg.t = math.type(timestamp_ms) == 'float' and timestamp_ms >= 0 and timestamp_ms < 1e6", "{}", "{\"t\":true}"},
};

START_TEST(test_basics) {
    check_row(&basics[_i]);
}
END_TEST

static const struct row fidelity[] = {
    {"msg.x = 1", "{\"big\":12345678901234567890,\"n\":null,\"e\":[],\"o\":{},\"f\":1.0,\"d\":0.10,\"h\":1e400}",
     "{\"big\":12345678901234567890,\"n\":null,\"e\":[],\"o\":{},\"f\":1.0,\"d\":0.10,\"h\":1e400,\"x\":1}"},
    {"for k, v in pairs(msg) do msg[k] = v end",
     "{\"big\":12345678901234567890,\"n\":null,\"e\":[],\"f\":-0.0,\"z\":-0}", NULL},
    {"for _, k in ipairs({'a', 'b'}) do local t = msg[k]; for i, v in ipairs(t) do t[i] = v end end",
     "{\"a\":[1,2.50,null,\"\\u00e9\"],\"b\":[[],{}]}", NULL},
    {"msg.s = msg.s .. '!'", "{\"s\":\"\\ud83d\\ude00 \\u00e9\\n\\u0000\"}",
     "{\"s\":\"\xf0\x9f\x98\x80 \xc3\xa9\\n\\u0000!\"}"},
    {"msg.t = msg.s", "{\"s\":\"\\ud800\"}", "{\"s\":\"\\ud800\",\"t\":\"\\ud800\"}"},
    {"msg.k = 1", "{\"\\ud800\":1}", "{\"\\ud800\":1,\"k\":1}"},
    {"msg['a\"b'] = 2", "{\"a\\\"b\":1}", "{\"a\\\"b\":2}"},
    {"msg.a = msg.a + 1", "{\"a\":9007199254740993}", "{\"a\":9007199254740994}"},
    {"msg.a = msg.a + 1", "{\"a\":-9223372036854775808}", "{\"a\":-9223372036854775807}"},
    {"msg.a = math.type(msg.a)", "{\"a\":9223372036854775808}", "{\"a\":\"float\"}"},
    {"msg.a = math.type(msg.a)", "{\"a\":9223372036854775807}", "{\"a\":\"integer\"}"},
    {"msg.a = msg.a * 2", "{\"a\":0.1}", "{\"a\":0.2}"},
    {"msg.a = 0.1 + 0.2", "{\"a\":1}", "{\"a\":0.30000000000000004}"},
    {"msg.a = 6 / 2", "{\"a\":1}", "{\"a\":3.0}"},
    {"msg.a = 1e300", "{\"a\":1}", "{\"a\":1e+300}"},
    {"msg.a = 1 / 0", "{\"a\":1}", "!infinite"},
    {"msg.a = 0 / 0", "{\"a\":1}", "!not-a-number"},
    {"msg.b = msg.a", "{\"a\": {\"n\": 12345678901234567890, \"x\" : [ ]}}",
     "{\"a\": {\"n\": 12345678901234567890, \"x\" : [ ]},\"b\":{\"n\": 12345678901234567890, \"x\" : [ ]}}"},
    {"msg.a.y = 1; msg.b = msg.a", "{\"a\":{\"x\": 1}}", "{\"a\":{\"x\": 1,\"y\":1},\"b\":{\"x\": 1,\"y\":1}}"},
    {"return msg.a", "{\"a\":{\"x\":  1e1}}", "{\"x\":  1e1}"},
    {"msg.a = json.null", "{\"a\":1}", "{\"a\":null}"},
    {"if msg.a == json.null then msg.a = 1 end", "{\"a\":null}", "{\"a\":1}"},
    {"msg.r = tostring(msg.a)", "{\"a\":null}", "{\"a\":null,\"r\":\"null\"}"},
    {"msg.s = '\\xff\\xfe'", "{}", "{\"s\":\"\xef\xbf\xbd\xef\xbf\xbd\"}"},
    {"return '\\xff'", "{}", "\xef\xbf\xbd"},
    {"msg.a = 2", "{\"a\":1,\"b\":2,\"a\":3}", "{\"b\":2,\"a\":2}"},
    {"msg.b = 9", "{\"a\":1,\"b\":2,\"a\":3}", "{\"a\":1,\"b\":9,\"a\":3}"},
    {"msg.a = nil", "{\"a\":1,\"b\":2,\"a\":3}", "{\"b\":2}"},
    {"local x = msg.a", "{\"a\":1,\"b\":2,\"a\":3}", NULL},
    /* arrays */
    {"table.insert(msg.l, 4)", "{\"l\":[1, 2,3 ]}", "{\"l\":[1, 2,3,4 ]}"},
    {"table.insert(msg.l, 1, 0)", "{\"l\":[1, 2]}", "{\"l\":[0, 1,2]}"},
    {"table.remove(msg.l, 1)", "{\"l\":[{\"a\": 1}, {\"b\": 2}]}", "{\"l\":[{\"b\": 2}]}"},
    {"table.remove(msg.l)", "{\"l\":[1]}", "{\"l\":[]}"},
    {"msg.l[#msg.l + 1] = 'x'", "{\"l\":[ ]}", "{\"l\":[\"x\" ]}"},
    {"msg.l[5] = 1", "{\"l\":[1]}", "!holes"},
    {"msg.l.x = 1", "{\"l\":[1]}", "!both names and positions"},
    {"msg.l.x = 1", "{\"l\":[]}", "{\"l\":{\"x\":1}}"},
    {"msg.o[1] = 1", "{\"o\":{}}", "{\"o\":[1]}"},
    {"msg[1] = 'z'", "[1, 2]", "[\"z\", 2]"},
    {"return msg", "[1, 2]", NULL},
    {"json.array(msg.o)", "{\"o\":{}}", "{\"o\":[]}"},
    {"msg.a = {}", "{}", "{\"a\":{}}"},
    {"msg.a = json.array()", "{}", "{\"a\":[]}"},
    {"msg.a = json.decode('{\"x\": 1.50}')", "{}", "{\"a\":{\"x\": 1.50}}"},
    {"msg.a = json.encode({b = {1}})", "{}", "{\"a\":\"{\\\"b\\\":[1]}\"}"},
    {"local t = {} t.t = t msg.a = t", "{}", "!contains itself"},
    {"msg.self = msg", "{}", "!contains itself"},
    {"msg.f = print or function() end", "{}", "!function cannot be JSON"},
    {"msg.f = {[1.5] = 1}", "{}", "!neither"},
    {"msg.f = connection", "{}", "!cannot be JSON"},
    {"msg.f = msg.a", "{\"a\":false}", "{\"a\":false,\"f\":false}"},
};

START_TEST(test_fidelity) {
    check_row(&fidelity[_i]);
}
END_TEST

static const struct row views[] = {
    {"msg.r = type(msg)", "{}", "{\"r\":\"table\"}"},
    {"assert(next(msg) == 'a')", "{\"a\":1}", NULL},
    {"assert(rawget(msg, 'a') == 1)", "{\"a\":1}", NULL},
    {"assert(rawlen(msg) == 2 and #msg == 2)", "[5,6]", NULL},
    {"assert(#msg.l == 2); for i, v in ipairs(msg.l) do assert(v == i) end", "{\"l\":[1,2]}", NULL},
    {"local n = 0 for i, v in ipairs(msg) do n = n + v end assert(n == 6)", "[1,2,3]", NULL},
    {"assert(select('#', table.unpack(msg)) == 3)", "[1,2,3]", NULL},
    {"assert(table.concat(msg, ',') == '1,2,3')", "[1,2,3]", NULL},
    {"rawset(msg, 'a', 2)", "{\"a\":1}", "{\"a\":2}"},
    {"local n = 0 for k, v in pairs(msg) do assert(type(k) == 'string') n = n + 1 end assert(n == 2)",
     "{\"a\":1,\"b\":2}", NULL},
    {"local n = 0 for k in next, msg do n = n + 1 end assert(n == 2)", "{\"a\":1,\"b\":2}", NULL},
    {"table.sort(msg)", "[3,1,2]", "[1,2,3]"},
    {"table.sort(msg, function(a, b) return a.n > b.n end)", "[{\"n\":1},{\"n\": 2}]", "[{\"n\": 2},{\"n\":1}]"},
    {"assert(msg.a == msg.a)", "{\"a\":{}}", NULL},
    {"assert(not getmetatable(msg)); assert(not pcall(setmetatable, msg, {}))", "{}", NULL},
    {"state.kept = msg.a", "{\"a\":{\"x\": [1, 2]}}", NULL},
};

START_TEST(test_views) {
    check_row(&views[_i]);
}
END_TEST

START_TEST(test_kept_view) {
    ck_assert_int_eq(
        run("state.lazy, state.open = msg.a, msg.b; local x = msg.b.y", "{\"a\":{\"x\": [1, 2]},\"b\":{\"y\":  1.0}}"),
        SCRIPT_UNCHANGED);
    for (int i = 0; i < 50; i++)
        ck_assert_int_eq(run("local t = {} for i = 1, 1000 do t[i] = {} end", "{}"), SCRIPT_UNCHANGED);
    struct row r = {"msg.x, msg.y = state.lazy, state.open", "{}", "{\"x\":{\"x\": [1, 2]},\"y\":{\"y\":  1.0}}"};
    check_row(&r);
    r = (struct row){"state.lazy.x[1] = 7; return state.lazy", "{}", "{\"x\": [7, 2]}"};
    check_row(&r);
}
END_TEST

static const struct row plain_text[] = {
    {"", "hello", NULL},
    {"msg.client_id = connection.id", "hello", NULL},
    {"msg.x = nil", "hello", NULL},
    {"msg.text = nil", "hello", NULL},
    {"msg.text = msg.text:upper()", "hello", "HELLO"},
    {"msg.text = {}", "hello", "!msg.text must be a string"},
    {"msg.r = type(msg.text)", "5", NULL},
    {"assert(msg.text == '5')", "5", NULL},
    {"assert(msg.text == '\"x\"')", "\"x\"", NULL},
    {"assert(msg.text == '{\"a\":}')", "{\"a\":}", NULL},
    {"assert(msg.text == '')", "", NULL},
    {"return {t = msg.text}", "hello", "{\"t\":\"hello\"}"},
    {"return msg.text .. '!'", "hello", "hello!"},
    {"return msg", "hello", NULL},
};

START_TEST(test_plain_text) {
    check_row(&plain_text[_i]);
}
END_TEST

START_TEST(test_binary) {
    static const uint8_t data[] = {0, 1, 0xff, '{'};
    ck_assert_int_eq(run_bytes("assert(msg.binary == true and #msg.data == 4 and msg.text == nil)", data, 4, true),
                     SCRIPT_UNCHANGED);
    ck_assert_int_eq(run_bytes("msg.client_id = 1", data, 4, true), SCRIPT_UNCHANGED);
    ck_assert_int_eq(run_bytes("msg.data = msg.data .. '\\0\\xfe'", data, 4, true), SCRIPT_REPLACED);
    ck_assert(out_binary);
    ck_assert_uint_eq(out.len, 6);
    ck_assert_mem_eq(out.data, "\0\1\xff{\0\xfe", 6);
    ck_assert_int_eq(run_bytes("msg.binary, msg.text = false, 'now text'", data, 4, true), SCRIPT_REPLACED);
    ck_assert(!out_binary);
    ck_assert_str_eq(buf_cstr(&out), "now text");
    ck_assert_int_eq(run_bytes("msg.binary, msg.data = true, '\\xff'", "abc", 3, false), SCRIPT_REPLACED);
    ck_assert(out_binary);
    ck_assert_mem_eq(out.data, "\xff", 1);
}
END_TEST

static const struct row surroundings[] = {
    {"assert(connection.id == 'conn-42' and connection.path == '/chat' and connection.query == 'a=1')", "{}", NULL},
    {"assert(connection.headers['x-tenant'] == 'blue' and connection.headers['X-TENANT'] == 'blue')", "{}", NULL},
    {"assert(connection.headers.nope == nil and connection.subprotocol == nil)", "{}", NULL},
    {"assert(connection.remote_addr == '127.0.0.1:5')", "{}", NULL},
    {"for k, v in pairs(connection.headers) do assert(k == 'X-Tenant' and v == 'blue') end", "{}", NULL},
    {"local n = 0 for k in pairs(connection) do n = n + 1 end assert(n == 6, n)", "{}", NULL},
    {"connection.id = 'x'", "{}", "!only state can be set"},
    {"connection.headers.a = 'x'", "{}", "!read-only"},
    {"assert(#now() == 24 and math.type(now_ms()) == 'integer' and #uuid() == 36)", "{}", NULL},
    {"assert(base64.decode(base64.encode('\\0abc')) == '\\0abc')", "{}", NULL},
    {"base64.decode('=!=')", "{}", "!not base64"},
    {"json.decode('{')", "{}", "!not JSON at byte 2"},
    {"assert(json.decode('5') == 5 and json.decode('\"x\"') == 'x' and json.decode('null') == json.null)", "{}", NULL},
    {"local r = math.random(1, 6) assert(r >= 1 and r <= 6) assert(math.random() < 1)", "{}", NULL},
    {"assert(os.time() > 1e9 and os.date('!%Y', 0) == '1970' and os.clock() >= 0)", "{}", NULL},
    {"assert(os.execute == nil and os.getenv == nil and os.exit == nil and os.remove == nil)", "{}", NULL},
    {"assert(utf8.len('\xc3\xa9') == 1 and utf8.char(233) == '\xc3\xa9')", "{}", NULL},
    {"log.info('hello') log.warn({}) log.error(nil)", "{}", NULL},
    {"x = 1", "{}", "!global 'x' cannot be set: make it local, or keep it in state"},
    {"function helper() end", "{}", "!global 'helper' cannot be set"},
    {"assert(_G.msg == msg and _ENV.msg == msg)", "{}", NULL},
    {"connection.state = connection.state or {n = 0}; state.n = (state.n or 0) + 1; msg.n = state.n", "{}",
     "{\"n\":1}"},
};

START_TEST(test_surroundings) {
    check_row(&surroundings[_i]);
}
END_TEST

/* state belongs to its connection, and lives from message to message. */
START_TEST(test_state) {
    struct connection other;
    struct script_env *second;
    connection_init(&other, 43);
    ck_assert_int_eq(script_env_new(vm, &other, &second), 0);
    const char *count = "state.n = (state.n or 0) + 1; state.who = state.who or function() return connection.id end;"
                        "return state.who() .. ' ' .. state.n";
    struct script_chunk *chunk;
    ck_assert_int_eq(script_compile(vm, count, strlen(count), "t", 1, &chunk, &error), 0);
    struct script_message in = {.data = (const uint8_t *)"{}", .len = 2};
    struct script_env *envs[] = {env, env, second, env, second};
    const char *want[] = {"conn-42 1", "conn-42 2", "conn-43 1", "conn-42 3", "conn-43 2"};
    for (size_t i = 0; i < ARRAY_LEN(envs); i++) {
        ck_assert_int_eq(script_transform(vm, chunk, envs[i], &in, &out, &out_binary, &error), SCRIPT_REPLACED);
        ck_assert_str_eq(buf_cstr(&out), want[i]);
    }
    script_chunk_free(vm, chunk);
    script_env_free(vm, second);
    connection_fini(&other);
}
END_TEST

struct error_row {
    const char *source, *name;
    int first_line;
    const char *want;
};
static const struct error_row errors[] = {
    {"local x = ", "mockforge.yaml", 12, "mockforge.yaml:12: unexpected symbol near <eof>"},
    {"\n\nlocal x = = 2", "mockforge.yaml", 12, "mockforge.yaml:14: unexpected symbol near '='"},
    {"\x1bLua", "b.lua", 1, "b.lua:1: unexpected symbol near '<\\27>'"},
    {"\nlocal t = msg.a.b.c", "lua/x.lua", 1, "lua/x.lua:2: attempt to index a nil value (field 'a')"},
    {"local t = nope.x", "mockforge.yaml", 100, "mockforge.yaml:100: attempt to index a nil value (global 'nope')"},
    {"error('bad thing')", "x.lua", 1, "x.lua:1: bad thing"},
    {"error('bad thing', 0)", "x.lua", 1, "x.lua:1: bad thing"},
    {"\nerror({})", "x.lua", 1, "x.lua:2: the error value is a table, not a string"},
    {"string.rep()", "x.lua", 1, "x.lua:1: bad argument #1 to 'rep' (string expected, got no value)"},
    {"return true", "x.lua", 3, "x.lua: a transform returns nothing, a table, a string or false, not true"},
    {"require 'os'", "x.lua", 1, "x.lua:1: require: there is no module 'os', only expect, merge, pointer"},
};

START_TEST(test_errors) {
    const struct error_row *r = &errors[_i];
    struct script_chunk *chunk = NULL;
    char text[1024];
    int code = script_compile(vm, r->source, strlen(r->source), r->name, r->first_line, &chunk, &error);
    if (!code) {
        struct script_message in = {.data = (const uint8_t *)"{}", .len = 2};
        ck_assert_int_eq(script_transform(vm, chunk, env, &in, &out, &out_binary, &error), SCRIPT_ERROR);
    }
    script_chunk_free(vm, chunk);
    ck_assert_str_eq(err_format(&error, text, sizeof text), r->want);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("script");
    TCase *tc = tcase_create("transform");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_basics, 0, ARRAY_LEN(basics));
    tcase_add_loop_test(tc, test_fidelity, 0, ARRAY_LEN(fidelity));
    tcase_add_loop_test(tc, test_views, 0, ARRAY_LEN(views));
    tcase_add_test(tc, test_kept_view);
    tcase_add_loop_test(tc, test_plain_text, 0, ARRAY_LEN(plain_text));
    tcase_add_test(tc, test_binary);
    tcase_add_loop_test(tc, test_surroundings, 0, ARRAY_LEN(surroundings));
    tcase_add_test(tc, test_state);
    tcase_add_loop_test(tc, test_errors, 0, ARRAY_LEN(errors));
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
