/* The lazy view of a JSON message: however it is touched, it reads and writes as a table that was opened at once. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/json.h"
#include "script/script.h"

static struct script_vm *vm;
static struct rng rng;
static struct connection connection;
static struct script_env *env;
static struct buf out;

static void set_up(void) {
    struct script_limits limits = {.max_memory = 64u << 20, .max_instructions = 200000000, .max_ms = 60000};
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

/* What comes out as text; "=" when nothing changed. */
static const char *run(const char *source, const char *in) {
    struct script_chunk *chunk;
    struct err err;
    char text[1024];
    bool binary;
    int code = script_compile(vm, source, strlen(source), "t", 1, &chunk, &err);
    ck_assert_msg(code == 0, "%s", err_format(&err, text, sizeof text));
    struct script_message message = {.incoming = true, .data = (const uint8_t *)in, .len = strlen(in)};
    enum script_verdict v = script_transform(vm, chunk, env, &message, &out, &binary, &err);
    script_chunk_free(vm, chunk);
    ck_assert_msg(v == SCRIPT_UNCHANGED || v == SCRIPT_REPLACED, "%s: %s", source, err_format(&err, text, sizeof text));
    return v == SCRIPT_UNCHANGED ? "=" : buf_cstr(&out);
}

struct row {
    const char *source, *in, *out;
};
static const struct row rows[] = {
    {"msg.a = 2; msg.a = nil; assert(msg.a == nil)", "{\"a\":1,\"b\": 2}", "{\"b\": 2}"},
    {"msg.a = nil; assert(msg.a == nil); msg.a = 1", "{\"a\":1,\"b\": 2}", "="},
    {"msg.a = nil; msg.a = 3", "{\"a\":1,\"b\": 2}", "{\"a\":3,\"b\": 2}"},
    {"msg.a = 2; local n = 0; for k, v in pairs(msg) do n = n + v end; assert(n == 4)", "{\"a\":1,\"b\": 2}",
     "{\"a\":2,\"b\": 2}"},
    {"msg.a = nil; local n = 0; for k, v in pairs(msg) do n = n + v end; assert(n == 2)", "{\"a\":1,\"b\": 2}",
     "{\"b\": 2}"},
    {"local a = msg.a; a.x = 1; assert(msg.a == a); for k in pairs(msg) do end assert(msg.a == a)", "{\"a\":{}}",
     "{\"a\":{\"x\":1}}"},
    {"local a = msg.a; msg.a = nil; msg.b = a", "{\"a\":{\"x\":  1}, \"c\":1}", "{\"c\":1,\"b\":{\"x\":  1}}"},
    {"local a = msg.a; msg.a = nil; msg.a = a", "{\"a\":{\"x\":  1}, \"c\":1}", "="},
    {"msg.n = nil; msg.m = nil", "{\"a\":{\"x\":  1}, \"c\":1}", "="},
    {"msg.n = 1; msg.n = nil", "{\"a\":1}", "="},
    {"assert(msg['a\"'] == 1); msg['a\"'] = 2", "{\"a\\\"\": 1}", "{\"a\\\"\": 2}"},
    {"assert(msg.e == 1 and msg['\xc3\xa9'] == 2)", "{\"\\u0065\": 1,\"\\u00e9\": 2}", "="},
    {"assert(msg.a == 3 and rawget(msg, 'a') == 3)", "{\"a\":1,\"a\":3}", "="},
    {"msg.b = 1; msg.a = 4", "{\"a\":1, \"b\":2, \"a\":3}", "{\"b\":1, \"a\":4}"},
    {"msg.a = msg.b", "{\"a\":1,\"b\":[ 1]}", "{\"a\":[ 1],\"b\":[ 1]}"},
    {"local b = msg.b b[1] = 2 msg.a = b", "{\"a\":1,\"b\":[ 1]}", "{\"a\":[ 2],\"b\":[ 2]}"},
    {"assert(msg[1] == nil and msg.a == 1) msg.a = 2", "{\"a\":1}", "{\"a\":2}"},
    {"assert(not next(msg.e)) msg.e.k = json.null", "{\"e\":{ }}", "{\"e\":{\"k\":null }}"},
    {"msg.a.b.c.d = 1", "{\"a\" : {\"b\" : {\"c\" : {\"d\" : 0 } } } }",
     "{\"a\" : {\"b\" : {\"c\" : {\"d\" : 1 } } } }"},
    {"msg.a.b = nil", "{\"a\":{\"b\":1},\"c\":[]}", "{\"a\":{},\"c\":[]}"},
    {"msg.a.b = nil json.array(msg.a)", "{\"a\":{\"b\":1},\"c\":[]}", "{\"a\":[],\"c\":[]}"},
    {"msg[1].x = 5", "[{\"x\": 1}, {\"x\": 2}]", "[{\"x\": 5}, {\"x\": 2}]"},
    {"for _, v in ipairs(msg) do v.y = nil end", "[{\"x\": 1, \"y\":1},{\"y\":2}]", "[{\"x\": 1},{}]"},
};

START_TEST(test_rows) {
    const char *got = run(rows[_i].source, rows[_i].in);
    ck_assert_msg(!strcmp(got, rows[_i].out), "%s on %s:\n got %s\nwant %s", rows[_i].source, rows[_i].in, got,
                  rows[_i].out);
}
END_TEST

/* Random operations on a lazy view and on a twin that was opened at once: what is read and written is the same. */
static const char twins[] =
    "local seed = %d\n"
    "local function rand(n) seed = (seed * 1103515245 + 12345) %% 2147483648 return (seed >> 8) %% n + 1 end\n"
    "local text = '{\"a\": 1,\"b\":{\"x\": [1, 2.50], \"y\":{}} , \"c\":\"s\\\\u00e9\",\"d\":null, "
    "\"\\\\u0065\":[{\"x\": 1},{ }],\"f\":[ ]}'\n"
    "local big = {} for i = 1, 40 do big[i] = ('\"k%%d\" : {\"a\":%%d}'):format(i, i) end\n"
    "local bigtext = '{' .. table.concat(big, ' ,') .. '}'\n"
    "local function open(t) for k, v in pairs(t) do if type(v) == 'table' then open(v) end end return t end\n"
    "local names = {'a', 'b', 'c', 'd', 'e', 'f', 'g', 'x', 'y', 'k1', 'k40'}\n"
    "local function same(u, v) if type(u) == 'table' then return json.encode(u) == json.encode(v) end return u == v "
    "end\n"
    "for round = 1, 150 do\n"
    "  local source = round %% 5 == 0 and bigtext or text\n"
    "  local one, two = json.decode(source), open(json.decode(source))\n"
    "  for step = 1, rand(12) do\n"
    "    local p, q, name, op = one, two, names[rand(#names)], rand(7)\n"
    "    while rand(2) == 1 do\n"
    "      local into = names[rand(#names)]\n"
    "      if type(p[into]) ~= 'table' or #p[into] > 0 then break end\n"
    "      p, q = p[into], q[into]\n"
    "    end\n"
    "    assert(same(p[name], q[name]))\n"
    "    if op == 1 then p[name] = nil q[name] = nil\n"
    "    elseif op == 2 then p[name] = step q[name] = step\n"
    "    elseif op == 3 then p[name] = {step} q[name] = {step}\n"
    "    elseif op == 4 then p[name] = p.b q[name] = q.b\n"
    "    elseif op == 5 then p[name] = p[name] q[name] = q[name]\n"
    "    elseif op == 6 then local n, m = 0, 0 for _ in pairs(p) do n = n + 1 end for _ in pairs(q) do m = m + 1 end "
    "assert(n == m)\n"
    "    end\n"
    "    local ok, r = pcall(json.encode, one) local ok2, r2 = pcall(json.encode, two)\n"
    "    assert(ok == ok2)\n"
    "    if not ok then break end\n"
    "    assert(r == r2, r .. '\\n' .. r2)\n"
    "  end\n"
    "end\n";

START_TEST(test_twins) {
    struct buf source = BUF_INIT;
    buf_printf(&source, twins, _i + 1);
    ck_assert_str_eq(run(buf_cstr(&source), "{}"), "=");
    buf_fini(&source);
}
END_TEST

/* Round trip of texts, valid and not: opened and put back they are as they were. */
static const char *const texts[] = {
    "{}",
    "[]",
    " { } ",
    "[ ]",
    "{\"a\":1}",
    "[1]",
    "[1.0,1e5,1E+5,-0,0.10,-0.0,1e400,-1e400,1e-400]",
    "[9223372036854775807,9223372036854775808,-9223372036854775808,-9223372036854775809,12345678901234567890123]",
    "\r\n\t[\"\\u0000\\ud800\\udc00\\udfff\\/\\b\\f\\n\\r\\t\\\"\\\\\"]\n",
    "{\"\":{\"\":[]}}",
    "{\"a\":1,\"a\":1}",
    "[[[[[[]]]]]]",
    "[true,false,null,\"true\"]",
    "{\"\\u0061\":1,\"a\":2}",
    /* not JSON: all come back as text, unchanged too */
    "[1,]",
    "[,1]",
    "{\"a\"}",
    "{\"a\":}",
    "{a:1}",
    "{\"a\":1,}",
    "[01]",
    "[1.]",
    "[.5]",
    "[+1]",
    "[1e]",
    "[-]",
    "[\"\\x\"]",
    "[\"\\u12g4\"]",
    "[\"\n\"]",
    "[\"abc",
    "[tru]",
    "[nulll]",
    "[1 2]",
    "[]]",
    "{}{}",
    "[\"\xff\"]",
    "[\"\xed\xa0\x80\"]",
    "{",
    "[",
    "\xef\xbb\xbf{}",
    "[NaN]",
    "['a']",
    "[1]\x0b",
    "//",
    "",
};

START_TEST(test_round_trip) {
    const char *walk =
        "local function walk(t) for k, v in pairs(t) do t[k] = v if type(v) == 'table' then walk(v) end end end "
        "walk(msg) assert(type(msg) == 'table')";
    ck_assert_str_eq(run(walk, texts[_i]), "=");
    struct json_tape tape = {.max = 1000};
    size_t at;
    int rc = json_tape_parse(&tape, texts[_i], strlen(texts[_i]), &at);
    ck_assert_int_eq(rc, _i < 14 ? MF_OK : MF_EINVAL);
    ck_assert_uint_le(at, strlen(texts[_i]));
    json_tape_fini(&tape);
}
END_TEST

START_TEST(test_limits) {
    char deep[2 * JSON_MAX_DEPTH + 8];
    size_t at;
    struct json_tape tape = {.max = 5000};
    for (int depth = JSON_MAX_DEPTH; depth <= JSON_MAX_DEPTH + 1; depth++) {
        memset(deep, '[', (size_t)depth);
        memset(deep + depth, ']', (size_t)depth);
        deep[2 * depth] = '\0';
        ck_assert_int_eq(json_tape_parse(&tape, deep, strlen(deep), &at), depth == JSON_MAX_DEPTH ? MF_OK : MF_EINVAL);
    }
    json_tape_fini(&tape);
    tape.max = 3;
    ck_assert_int_eq(json_tape_parse(&tape, "[1,2]", 5, &at), MF_OK);
    ck_assert_int_eq(json_tape_parse(&tape, "[1,2,3]", 7, &at), MF_ELIMIT);
    json_tape_fini(&tape);
}
END_TEST

/* RFC 8259 section 7: any character but quotes, backslashes and controls may stand as it is. */
START_TEST(test_every_byte_of_a_string) {
    struct json_tape tape = {.max = 100};
    for (int byte = 0; byte < 256; byte++) {
        char text[] = "{\"a?b\":\"?\"}";
        size_t at;
        text[3] = text[8] = (char)byte;
        bool fine = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
        ck_assert_int_eq(json_tape_parse(&tape, text, sizeof text - 1, &at), fine ? MF_OK : MF_EINVAL);
        if (byte < 0x20)
            ck_assert_uint_eq(at, 3);
    }
    json_tape_fini(&tape);
}
END_TEST

struct number {
    double d;
    const char *text;
};
static const struct number numbers[] = {
    {0.1, "0.1"},
    {-0.0, "-0.0"},
    {3, "3.0"},
    {1e300, "1e+300"},
    {0.1 + 0.2, "0.30000000000000004"},
    {1.0 / 3, "0.3333333333333333"},
    {5e-324, "4.94065645841247e-324"},
    {1.7976931348623157e308, "1.7976931348623157e+308"},
    {123456789012345680.0, "1.2345678901234568e+17"},
};

START_TEST(test_numbers) {
    struct buf b = BUF_INIT;
    json_write_double(&b, numbers[_i].d);
    ck_assert_str_eq(buf_cstr(&b), numbers[_i].text);
    ck_assert(strtod(buf_cstr(&b), NULL) == numbers[_i].d);
    buf_fini(&b);
    json_write_integer(&b, INT64_MIN);
    ck_assert_str_eq(buf_cstr(&b), "-9223372036854775808");
    ck_assert(json_read_integer(buf_cstr(&b), b.len) == INT64_MIN);
    buf_fini(&b);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("json view");
    TCase *tc = tcase_create("view");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, test_rows, 0, ARRAY_LEN(rows));
    tcase_add_loop_test(tc, test_twins, 0, 10);
    tcase_add_loop_test(tc, test_round_trip, 0, ARRAY_LEN(texts));
    tcase_add_test(tc, test_limits);
    tcase_add_test(tc, test_every_byte_of_a_string);
    tcase_add_loop_test(tc, test_numbers, 0, ARRAY_LEN(numbers));
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
