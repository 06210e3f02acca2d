/* JSON templates, and texts that name values of a message: types, escapes, bytes, and what peers may send. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "protocol/utf8.h"
#include "template/json_template.h"
#include "template/json_values.h"

#define ALL_ROOTS (TEMPLATE_MESSAGE | TEMPLATE_PARAMS | TEMPLATE_STATE)

/* 2024-01-15T10:30:00.250Z */
static const uint64_t fake_now = UINT64_C(1705314600250000);

static struct connection connection;
static struct rng rng;
static struct buf scratch;
static struct json_tape tape = {.max = UINT32_MAX - 1};
static struct json_values values;
static struct template_context context;

static bool find_state(const struct template_values *v, enum template_root root, char *const *segments, size_t count,
                       struct buf *json) {
    (void)v;
    ck_assert_int_eq(root, TEMPLATE_STATE);
    if (count == 1 && !strcmp(segments[0], "count"))
        buf_puts(json, "7");
    else if (count == 0)
        buf_puts(json, "{\"count\":7}");
    return count == 0 || !strcmp(segments[0], "count");
}
static const struct template_values state = {.find = find_state};

static void set_up(void) {
    clock_set_fake(&fake_now);
    connection_init(&connection, 42);
    connection.path = strdup("/chat");
    connection.query = strdup("user=Ann%20Lee&n=%2017.50&bad=%ff%22&q=%22\\%0a&empty=&a%20b=odd&zeros=-007&big="
                              "12345678901234567890123");
    connection.remote_addr = strdup("127.0.0.1:50312");
    ck_assert_int_eq(headers_add(&connection.headers, "X-User", "say \"hi\""), MF_OK);
    rng_init(&rng, 1);
    values = (struct json_values){.params = JSON_NO_NODE, .scratch = &scratch, .rest = &state};
    json_values_init(&values);
    context = (struct template_context){
        .connection = &connection, .rng = &rng, .connection_count = 5, .values = &values.values};
    setenv("JSON_TEMPLATE_TEST", "\xc3\xa4", 1);
}

static void tear_down(void) {
    connection_fini(&connection);
    json_tape_fini(&tape);
    buf_fini(&scratch);
    clock_set_fake(NULL);
}

/* The message that {{message}} is from now on; params are its member of that name. NULL: none. */
static void set_message(const char *text) {
    values.text = text;
    values.len = text ? strlen(text) : 0;
    values.tape = NULL;
    values.params = JSON_NO_NODE;
    size_t at;
    if (text && json_tape_parse(&tape, text, values.len, &at) == MF_OK) {
        values.tape = &tape;
        values.params = json_member(&tape, text, 0, "params", 6, &scratch);
    }
}

static struct json_template *compile(const char *yaml) {
    const struct config_value *v;
    struct json_template *t;
    struct err err = {0};
    ck_assert_msg(config_value_parse(yaml, &v, &err) == MF_OK, "%s: %s", yaml, err.text);
    ck_assert_msg(json_template_compile(v, ALL_ROOTS, &t, &err) == MF_OK, "%s: %s", yaml, err.text);
    config_value_free(v);
    return t;
}

static bool is_json(struct buf *b) {
    struct json_tape check = {.max = UINT32_MAX - 1};
    size_t at;
    int rc = json_tape_parse(&check, buf_cstr(b), b->len, &at);
    json_tape_fini(&check);
    return rc == MF_OK;
}

static void check_json(const char *yaml, const char *message, const char *expected) {
    set_message(message);
    struct json_template *t = compile(yaml);
    struct buf b = BUF_INIT;
    ck_assert_int_eq(json_template_render(t, &context, &b), MF_OK);
    ck_assert_msg(!strcmp(buf_cstr(&b), expected), "%s gives %s, not %s", yaml, buf_cstr(&b), expected);
    ck_assert_msg(is_json(&b), "%s is not JSON", buf_cstr(&b));
    buf_fini(&b);
    json_template_free(t);
}

static void check_text(const char *text, const char *message, const char *expected) {
    struct template *t;
    struct err err = {0};
    set_message(message);
    ck_assert_msg(template_compile_roots(text, ALL_ROOTS, &t, &err) == MF_OK, "%s: %s", text, err.text);
    struct buf b = BUF_INIT;
    ck_assert_int_eq(template_render(t, &context, &b), MF_OK);
    ck_assert_msg(!strcmp(buf_cstr(&b), expected), "%s gives %s, not %s", text, buf_cstr(&b), expected);
    ck_assert(utf8_valid(b.data, b.len));
    buf_fini(&b);
    template_free(t);
}

#define Q "\\\""
static const struct {
    const char *yaml, *message, *expected;
} json_rows[] = {
    /* values as they stand in the file */
    {"{}", NULL, "{}"},
    {"[]", NULL, "[]"},
    {"{b: 1, a: [true, False, NULL, ~, null], c: {d: {}}}", NULL,
     "{\"b\":1,\"a\":[true,false,null,null,null],\"c\":{\"d\":{}}}"},
    {"[5, '5', \"5\", 1.0, -0, 1e3, 12345678901234567890, 0.1]", NULL,
     "[5,\"5\",\"5\",1.0,-0,1e3,12345678901234567890,0.1]"},
    {"[+3, .5, 1., -.5, +.5e3, 1.e5, 007, -007, 00.5, +0]", NULL, "[3,0.5,1.0,-0.5,0.5e3,1.0e5,7,-7,0.5,0]"},
    {"['true', yes, '', \"a\\\"b\\\\c\\n\", \"\\u00e4\", \"\\x1f\"]", NULL,
     "[\"true\",\"yes\",\"\",\"a" Q "b\\\\c\\n\",\"\xc3\xa4\",\"\\u001f\"]"},
    {"{\"a\\\"b\": 1, '{{now}}': 2}", NULL, "{\"a" Q "b\":1,\"{{now}}\":2}"}, /* names are no templates */
    {"plain words", NULL, "\"plain words\""},

    /* one placeholder has the type of what it names, byte for byte */
    {"'{{message.v}}'", "{\"v\":5}", "5"},
    {"'{{ message.v }}'", "{\"v\":5}", "5"},
    {"'{{message.v}}'", "{\"v\":12345678901234567890}", "12345678901234567890"},
    {"'{{message.v}}'", "{\"v\":1.0}", "1.0"},
    {"'{{message.v}}'", "{\"v\":-0}", "-0"},
    {"'{{message.v}}'", "{\"v\":1E+400}", "1E+400"},
    {"'{{message.v}}'", "{\"v\":true}", "true"},
    {"'{{message.v}}'", "{\"v\":null}", "null"},
    {"'{{message.v}}'", "{\"v\":\"\"}", "\"\""},
    {"'{{message.v}}'", "{\"v\":{\"b\": [ 1 ], \"a\":2, \"a\":3}}", "{\"b\": [ 1 ], \"a\":2, \"a\":3}"},
    {"'{{message.v}}'", "{\"v\":\"\\u0041\\/\\ud83d\\ude00\"}", "\"\\u0041\\/\\ud83d\\ude00\""},
    {"'{{message.v}}'", "{\"v\":\"\\ud800\"}", "\"\\ud800\""},
    {"'{{message.v}}'", "{\"v\":\"a\\u0000b\"}", "\"a\\u0000b\""},
    {"'{{message}}'", " [1, 2]\n", "[1, 2]"},
    {"'{{message.w}}'", "{\"v\":5}", "null"},
    {"'{{message.v}}'", NULL, "null"},
    {"'{{params.id}}'", "{\"params\":{\"id\":5}}", "5"},
    {"'{{params.0}}'", "{\"params\":[\"x\"]}", "\"x\""},
    {"'{{params}}'", "{\"params\":[\"x\"]}", "[\"x\"]"},
    {"'{{params}}'", "{\"id\":1}", "null"},
    {"['{{state.count}}', '{{state}}', '{{state.x}}']", NULL, "[7,{\"count\":7},null]"},
    {"['{{random_int 3 3}}', '{{random_float 2 2}}', '{{timestamp}}']", NULL, "[3,2.0,1705314600]"},
    {"['{{connection_count}}', '{{connection_count.cluster}}', '{{connection.number}}']", NULL, "[5,5,42]"},
    {"['{{now}}', '{{date}}', '{{connection.id}}', '{{connection.path}}']", NULL,
     "[\"2024-01-15T10:30:00.250Z\",\"2024-01-15\",\"conn-42\",\"/chat\"]"},
    {"['{{query.user}}', '{{query.empty}}', '{{query.x}}', '{{env.JSON_TEMPLATE_TEST}}']", NULL,
     "[\"Ann Lee\",\"\",null,\"\xc3\xa4\"]"},
    {"['{{header.x-user}}', '{{query.q}}', '{{query.bad}}']", NULL,
     "[\"say " Q "hi" Q "\",\"" Q "\\\\\\n\",\"\xef\xbf\xbd" Q "\"]"},
    {"['{{query.\"a b\"}}', '{{header.\"X-User\" | upper}}']", NULL, "[\"odd\",\"SAY " Q "HI" Q "\"]"},
    {"['{{\"{{\"}}', '{{\"5\"}}']", NULL, "[\"{{\",\"5\"]"},

    /* within a longer text: as text, escaped */
    {"' {{message.v}}'", "{\"v\":5}", "\" 5\""},
    {"'<{{message.v}}>'", "{\"v\":1.0}", "\"<1.0>\""},
    {"'<{{message.v}}>'", "{\"v\":\"a" Q "b\\n\\u0041\\ud800\"}", "\"<a" Q "b\\n\\u0041\\ud800>\""},
    {"'<{{message.v}}>'", "{\"v\":{\"a\":\"b" Q "\"}}", "\"<{" Q "a" Q ":" Q "b\\\\" Q Q "}>\""},
    {"'<{{message.v}}{{message.w}}>'", "{\"v\":null}", "\"<>\""},
    {"'<{{header.x-user}}|{{query.q}}|{{query.bad}}>'", NULL,
     "\"<say " Q "hi" Q "|" Q "\\\\\\n|\xef\xbf\xbd" Q ">\""},
    {"\"\\\"{{message.v}}\\\"\\n\"", "{\"v\":\"x\"}", "\"" Q "x" Q "\\n\""},
    {"'{{message.a}}{{message.b}}'", "{\"a\":1,\"b\":2}", "\"12\""},
    {"'{{env.JSON_TEMPLATE_TEST}}{{message.v}}'", "{\"v\":\"\xc3\xa4\"}", "\"\xc3\xa4\xc3\xa4\""},

    /* what was inserted is never expanded again */
    {"['{{message.v}}', '<{{message.v}}>']", "{\"v\":\"{{now}}\"}", "[\"{{now}}\",\"<{{now}}>\"]"},
    {"'{{message.v | default \"{{uuid}}\"}}'", "{}", "\"{{uuid}}\""},

    /* paths */
    {"'{{message.a.b.0.c}}'", "{\"a\":{\"b\":[{\"c\":\"x\"}]}}", "\"x\""},
    {"'{{message.0.1}}'", "[[1,2]]", "2"},
    {"'{{message.0}}'", "{\"0\":\"name\"}", "\"name\""},
    {"['{{message.2}}', '{{message.-1}}', '{{message.00}}', '{{message.x}}', '{{message.4294967295}}']", "[1,2]",
     "[null,null,null,null,null]"},
    {"['{{message.4294967296}}', '{{message.99999999999999999999999999}}']", "[1]", "[null,null]"},
    {"['{{message.a.b}}', '{{message.s.0}}', '{{message.n.x}}', '{{message.t.length}}']",
     "{\"a\":5,\"s\":\"abc\",\"n\":null,\"t\":true}", "[null,null,null,null]"},
    {"'{{message.\"a b\".c}}'", "{\"a b\":{\"c\":1}}", "1"},
    {"\"{{message.'a.b'.'c|}}'}}\"", "{\"a.b\":{\"c|}}\":1}}", "1"},
    {"\"{{ message.'' | default 3 }}\"", "{\"\":1}", "1"},
    {"\"{{message.'[0]'}}\"", "{\"[0]\":1}", "1"},
    {"'{{message.k\xc3\xa4se}}'", "{\"k\\u00e4se\":1}", "1"},
    {"'{{message.a}}'", "{\"a\":1,\"\\u0061\":2}", "2"}, /* the last of a repeated name */
    {"'{{message.a}}'", "{\"a\\u0000\":1}", "null"},

    /* a message that is not JSON */
    {"['{{message}}', '{{message.text}}', '{{message.x}}', '{{message.text.x}}']", "hi \"you\"",
     "[\"hi " Q "you" Q "\",\"hi " Q "you" Q "\",null,null]"},
    {"'<{{message}}>'", "{\"a\":", "\"<{" Q "a" Q ":>\""},

    /* default */
    {"['{{message.v | default 0}}', '{{message.v | default \"0\"}}', '{{message.v | default -1.50}}']", "{}",
     "[0,\"0\",-1.50]"},
    {"['{{message.v | default true}}', '{{message.v | default null}}', '{{message.v | default word}}']", "{}",
     "[true,null,\"word\"]"},
    {"['{{message.v | default []}}', '{{message.v | default {} }}', '{{message.v | default 007}}']", "{}",
     "[[],{},\"007\"]"},
    {"\"{{message.v | default 'null'}}\"", "{}", "\"null\""},
    {"\"{{message.v | default ''}}\"", "{}", "\"\""},
    {"['{{message.v | default 3}}', '{{message.w | default 3}}', '{{message.x | default 3}}']",
     "{\"v\":null,\"w\":\"\",\"x\":0}", "[3,3,0]"},
    {"['{{message.v | default 3}}', '{{message.w | default 3}}']", "{\"v\":[],\"w\":false}", "[[],false]"},
    {"'<{{message.v | default 3}}|{{message.v | default \"a\\b\"}}>'", "{}", "\"<3|a\\\\b>\""},
    {"'{{message.v | default a | default b}}'", "{}", "\"a\""},
    {"'{{query.empty | default 1}}'", NULL, "1"},

    /* filters */
    {"['{{message.v | upper}}', '{{message.v | lower}}']", "{\"v\":\"a\\u0062" Q "\\n\"}",
     "[\"AB" Q "\\n\",\"ab" Q "\\n\"]"},
    {"'{{message.v | upper}}'", "{\"v\":\"\\ud800x\"}", "\"\\ud800X\""},
    {"'{{message.v | upper}}'", "{}", "null"},
    {"'<{{message.v | upper}}>'", "{\"v\":\"a" Q "\"}", "\"<A" Q ">\""},
    {"['{{message.v | json}}', '{{message.w | json}}', '{{message.x | json}}']", "{\"v\":\"a" Q "\",\"w\":[1, 2]}",
     "[\"" Q "a\\\\" Q Q "\",\"[1, 2]\",\"null\"]"},
    {"['{{now | json}}', '{{header.x-user | json}}']", NULL,
     "[\"" Q "2024-01-15T10:30:00.250Z" Q "\",\"" Q "say \\\\" Q "hi\\\\" Q Q "\"]"},
    {"['{{message.v | string}}', '{{message.w | string}}', '{{message.x | string}}']", "{\"v\":5,\"w\":\"a\"}",
     "[\"5\",\"a\",null]"},
    {"['{{query.n | int}}', '{{query.zeros | int}}', '{{query.big | int}}', '{{query.user | int}}']", NULL,
     "[17,-7,12345678901234567890123,null]"},
    {"['{{message.0 | int}}', '{{message.1 | int}}', '{{message.2 | int}}', '{{message.3 | int}}']",
     "[-0.9,1e3,\"1e999\",true]", "[0,1000,null,null]"},
    {"['{{message.0 | int}}', '{{message.1 | int}}', '{{message.2 | int}}', '{{message.3 | int}}']",
     "[\"+5\",\"-0\",\"1\\u00002\",\"0x10\"]", "[5,0,null,null]"},
    {"['{{message.0 | int}}', '{{message.1 | int | default 1}}', '{{message.2 | int}}']", "[\".5\",\".\",\"1e\"]",
     "[0,1,null]"},
    {"['{{query.n | round}}', '{{query.n | round 1}}', '{{query.n | round 3}}']", NULL, "[18,17.5,17.500]"},
    {"['{{message.0 | round 2}}', '{{message.1 | round 2}}', '{{message.2 | round 2}}']", "[5,-0.001,\"007\"]",
     "[5.00,0.00,7.00]"},
    {"['{{message.0 | round 2}}', '{{message.1 | round 0}}']", "[12345678901234567890,12345678901234567890]",
     "[12345678901234567890.00,12345678901234567890]"},
    {"['{{message.0 | length}}', '{{message.1 | length}}', '{{message.2 | length}}', '{{message.3 | length}}']",
     "[\"a\\u00e4\\n\",[],[ ],[1,[2,3],\"],\\\",\"]]", "[3,0,0,3]"},
    {"['{{message.0 | length}}', '{{message.1 | length}}', '{{message.9 | length}}']", "[{},{\"a\":{\"b\":1,\"c\":2}}]",
     "[0,1,null]"},
    {"['{{message.0 | trim}}', '{{message.1 | trim}}', '{{message.9 | trim}}']", "[\" \\n a b\\t\",\"  \"]",
     "[\"a b\",\"\",null]"},
    {"'{{message.v | trim | default \"-\" | upper}}'", "{\"v\":\" \"}", "\"-\""},
};
#undef Q

START_TEST(json_each) {
    check_json(json_rows[_i].yaml, json_rows[_i].message, json_rows[_i].expected);
}
END_TEST

static const struct {
    const char *text, *message, *expected;
} text_rows[] = {
    {"you said {{message}}", "hello", "you said hello"},
    {"{{message.v}}", "{\"v\":\"a\\\"b\\\\\\n\\u00e4\\ud83d\\ude00\"}", "a\"b\\\n\xc3\xa4\xf0\x9f\x98\x80"},
    {"{{message.v}}", "{\"v\":\"\\ud800x\"}", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx"},
    {"[{{message.v}}{{message.w}}]", "{\"v\":null}", "[]"},
    {"{{message.v}} {{message.w}}", "{\"v\":1.0,\"w\":{\"a\": \"b\\\"\"}}", "1.0 {\"a\": \"b\\\"\"}"},
    {"{\"id\":{{message.id}},\"n\":{{message.n | json}}}", "{\"id\":7,\"n\":\"a\\\"b\"}", "{\"id\":7,\"n\":\"a\\\"b\"}"},
    {"{\"id\":{{message.id | default null}},\"n\":{{message.n | json}}}", "{}", "{\"id\":null,\"n\":null}"},
    {"{{query.bad}}", NULL, "\xef\xbf\xbd\""},
    {"{{state.count}}", NULL, "7"},
    {"{{message.v}}", "{\"v\":\"{{now}}\"}", "{{now}}"},
    {"{{message.v | default 0}}{{random_int 3 3 | string}}", NULL, "03"},
};

START_TEST(text_each) {
    check_text(text_rows[_i].text, text_rows[_i].message, text_rows[_i].expected);
}
END_TEST

START_TEST(a_nul_survives) {
    set_message("{\"v\":\"a\\u0000b\"}");
    struct template *t;
    struct err err;
    struct buf b = BUF_INIT;
    ck_assert_int_eq(template_compile_roots("{{message.v}}", TEMPLATE_MESSAGE, &t, &err), MF_OK);
    ck_assert_int_eq(template_render(t, &context, &b), MF_OK);
    ck_assert_uint_eq(b.len, 3);
    ck_assert(!memcmp(b.data, "a\0b", 3));
    buf_fini(&b);
    template_free(t);
}
END_TEST

START_TEST(one_request_of_a_batch) {
    set_message("[{\"id\":1,\"params\":[10]},{\"id\":2,\"params\":[20]}]");
    values.message = json_element(&tape, 0, 1);
    values.params = json_member(&tape, values.text, values.message, "params", 6, &scratch);
    struct json_template *t = compile("['{{message.id}}', '{{params.0}}']");
    struct buf b = BUF_INIT;
    ck_assert_int_eq(json_template_render(t, &context, &b), MF_OK);
    ck_assert_str_eq(buf_cstr(&b), "[2,20]");
    values.rest = NULL;
    json_template_free(t);
    t = compile("'{{state.count}}'");
    buf_reset(&b);
    ck_assert_int_eq(json_template_render(t, &context, &b), MF_OK);
    ck_assert_str_eq(buf_cstr(&b), "null");
    context.values = NULL;
    buf_reset(&b);
    ck_assert_int_eq(json_template_render(t, &context, &b), MF_OK);
    ck_assert_str_eq(buf_cstr(&b), "null");
    buf_fini(&b);
    json_template_free(t);
}
END_TEST

START_TEST(counts_of_the_cluster) {
    context.cluster_connection_count = 12;
    check_text("{{connection_count}} {{connection_count.cluster}}", NULL, "5 12");
    context.cluster_connection_count = 3; /* old news */
    check_text("{{connection_count.cluster}}", NULL, "5");
}
END_TEST

static const struct {
    const char *yaml;
    unsigned roots;
    int line, column;
    const char *says;
} errors[] = {
    {"a: 1\nb: ['{{mesage.id}}']", ALL_ROOTS, 2, 6, "unknown placeholder \"{{mesage.id}}\"; did you mean \"message\"?"},
    {"'{{stat.x}}'", ALL_ROOTS, 1, 2, "did you mean \"state\"?"},
    {"'{{mesage.id}}'", 0, 1, 2, "unknown placeholder \"{{mesage.id}}\""},
    {"'{{message.id}}'", TEMPLATE_STATE, 1, 2, "{{message}} can be used only in what answers a message"},
    {"'{{params}}'", TEMPLATE_MESSAGE, 1, 2, "{{params}} can be used only in the responses of a jsonrpc handler"},
    {"'{{state.x}}'", 0, 1, 2, "{{state}} can be used only in what a mock sends to one connection"},
    {"'{{message.}}'", ALL_ROOTS, 1, 2, "expected a name after each '.'"},
    {"'{{message..a}}'", ALL_ROOTS, 1, 2, "expected a name after each '.'"},
    {"'{{message.a.}}'", ALL_ROOTS, 1, 2, "expected a name after each '.'"},
    {"'{{message.items[0]}}'", ALL_ROOTS, 1, 2, "elements are named by number, as in items.0"},
    {"'{{message.\"a\"b}}'", ALL_ROOTS, 1, 2, "expected '.' after what stands in quotes"},
    {"'{{message.\"a}}'", ALL_ROOTS, 1, 2, "quote without its end"},
    {"'{{message.a b}}'", ALL_ROOTS, 1, 2, "too many arguments"},
    {"'{{header.\"a\"b}}'", ALL_ROOTS, 1, 2, "nothing may follow the name in quotes"},
    {"'{{faker.nmae}}'", 0, 1, 2, "did you mean \"faker.name\"?"},
    {"'{{faker.zzzzzz}}'", 0, 1, 2, "unknown placeholder \"{{faker.zzzzzz}}\""},
    {"'{{now | roundd 1}}'", 0, 1, 2, "did you mean \"round\"?"},
    {"'{{now | round x}}'", 0, 1, 2, "how many decimals"},
    {"'{{now | round 10}}'", 0, 1, 2, "how many decimals"},
    {"'{{now | length 1}}'", 0, 1, 2, "takes no argument"},
    {"'{{now'", 0, 1, 2, "\"{{\" without its \"}}\""},
};

START_TEST(error_each) {
    const struct config_value *v;
    struct json_template *t;
    struct err err;
    ck_assert_int_eq(config_value_parse(errors[_i].yaml, &v, &err), MF_OK);
    ck_assert_int_eq(json_template_compile(v, errors[_i].roots, &t, &err), MF_EINVAL);
    ck_assert_ptr_null(t);
    ck_assert_msg(strstr(err.text, errors[_i].says) != NULL, "%s: %s", errors[_i].yaml, err.text);
    ck_assert_msg(err.line == errors[_i].line && err.column == errors[_i].column, "%s: at %d:%d", errors[_i].yaml,
                  err.line, err.column);
    ck_assert_int_eq(json_template_compile(v, errors[_i].roots, &t, NULL), MF_EINVAL);
    config_value_free(v);
}
END_TEST

/* Header fields and file names have no message. */
START_TEST(elsewhere_roots_are_refused) {
    static const char *const texts[] = {"{{message.x}}", "{{params}}", "{{state.x}}"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct template *t;
        struct err err;
        ck_assert_int_eq(template_compile(texts[i], &t, &err), MF_EINVAL);
        ck_assert_ptr_nonnull(strstr(err.text, "can be used only"));
        ck_assert_int_eq(err.column, 3);
    }
}
END_TEST

START_TEST(what_it_uses) {
    struct json_template *t = compile("{a: [1, 'x'], b: {c: null}}");
    ck_assert(json_template_is_constant(t));
    json_template_free(t);
    t = compile("{a: [1, 'x{{state.x}}']}");
    ck_assert(!json_template_is_constant(t));
    ck_assert(json_template_uses(t, "state"));
    ck_assert(!json_template_uses(t, "message"));
    json_template_free(t);
    json_template_free(NULL);
}
END_TEST

/* A message as deep as JSON may be, and a path as deep as that. */
START_TEST(deep_paths) {
    struct buf message = BUF_INIT, text = BUF_INIT;
    for (int i = 0; i < JSON_MAX_DEPTH; i++)
        buf_puts(&message, "[");
    for (int i = 0; i < JSON_MAX_DEPTH; i++)
        buf_puts(&message, "]");
    buf_puts(&text, "{{message");
    for (int i = 0; i < JSON_MAX_DEPTH - 1; i++)
        buf_puts(&text, ".0");
    size_t len = text.len;
    buf_puts(&text, "}}");
    check_text(buf_cstr(&text), buf_cstr(&message), "[]");
    text.len = len;
    for (int i = 0; i < 10000; i++)
        buf_puts(&text, ".0");
    buf_puts(&text, "}}");
    check_text(buf_cstr(&text), buf_cstr(&message), "");
    buf_fini(&message);
    buf_fini(&text);
}
END_TEST

START_TEST(the_output_is_bounded) {
    struct buf message = BUF_INIT, out = BUF_INIT;
    buf_puts(&message, "{\"v\":\"");
    while (message.len < (3u << 20))
        buf_puts(&message, "\\\"0123456789abcdef");
    buf_puts(&message, "\"}");
    set_message(buf_cstr(&message));
    static const struct {
        const char *yaml;
        int rc;
    } rows[] = {
        {"['{{message.v}}','{{message.v}}','{{message.v}}','{{message.v}}','{{message.v}}']", MF_OK},
        {"['{{message.v}}','{{message.v}}','{{message.v}}','{{message.v}}','{{message.v}}','{{message.v}}']",
         MF_ELIMIT},
        {"'{{message.v | upper}}'", MF_OK},
        {"'{{message.v | json}}{{message.v | json}}{{message.v | json}}{{message.v | json}}{{message.v | json}}'",
         MF_ELIMIT},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct json_template *t = compile(rows[i].yaml);
        buf_reset(&out);
        buf_puts(&out, "before");
        ck_assert_int_eq(json_template_render(t, &context, &out), rows[i].rc);
        ck_assert(rows[i].rc == MF_OK ? out.len > (3u << 20) : out.len == 6);
        json_template_free(t);
    }
    buf_fini(&message);
    buf_fini(&out);
}
END_TEST

/* Memory that ends is an error, and what was there before stays. */
START_TEST(no_memory) {
    set_message("{\"v\":\"a\\\"b\"}");
    struct json_template *t = compile("{a: '{{message.v | upper}}', b: '<{{message.v}}{{header.x-user}}>', c: 1}");
    struct buf out = BUF_INIT;
    buf_puts(&out, "x");
    out.failed = true; /* as an append leaves it */
    ck_assert_int_eq(json_template_render(t, &context, &out), MF_ENOMEM);
    ck_assert_uint_eq(out.len, 1);
    buf_fini(&out);
    json_template_free(t);
}
END_TEST

/* -- made-up values ------------------------------------------------------------------------------------------------ */

static void render_all_fakers(uint64_t seed, struct buf *out) {
    rng_init(&rng, seed);
    for (const struct template_function_info *f = template_faker; f->name; f++) {
        char yaml[64];
        snprintf(yaml, sizeof yaml, "'{{%s}}'", f->name);
        struct json_template *t = compile(yaml);
        size_t from = out->len;
        ck_assert_int_eq(json_template_render(t, &context, out), MF_OK);
        ck_assert_msg(out->len > from + 2, "%s", f->name);
        buf_putc(out, '\n');
        json_template_free(t);
    }
}

START_TEST(a_seed_repeats_fakers) {
    struct buf a = BUF_INIT, b = BUF_INIT, c = BUF_INIT;
    render_all_fakers(7, &a);
    render_all_fakers(7, &b);
    render_all_fakers(8, &c);
    ck_assert_str_eq(buf_cstr(&a), buf_cstr(&b));
    ck_assert_str_ne(buf_cstr(&a), buf_cstr(&c));
    buf_fini(&a);
    buf_fini(&b);
    buf_fini(&c);
    context.rng = NULL;
    check_json("'{{faker.name}}'", NULL, "null");
}
END_TEST

static bool begins(const char *s, const char *with) {
    return !strncmp(s, with, strlen(with));
}

/* Nobody's: reserved host names, addresses and numbers; ASCII that needs no escape. */
START_TEST(fakers_are_nobodys) {
    static const char *const names[] = {"email", "url", "ip", "phone", "boolean", "paragraph"};
    struct buf b = BUF_INIT;
    bool seen[2] = {false};
    for (size_t i = 0; i < ARRAY_LEN(names) * 200; i++) {
        const char *name = names[i % ARRAY_LEN(names)];
        char text[64];
        struct template *t;
        struct err err;
        snprintf(text, sizeof text, "{{faker.%s}}", name);
        ck_assert_int_eq(template_compile(text, &t, &err), MF_OK);
        buf_reset(&b);
        ck_assert_int_eq(template_render(t, &context, &b), MF_OK);
        template_free(t);
        const char *s = buf_cstr(&b);
        for (const char *p = s; *p; p++)
            ck_assert_msg(*p >= ' ' && *p < 0x7f && *p != '"' && *p != '\\', "%s", s);
        if (!strcmp(name, "email"))
            ck_assert_msg(strstr(s, "@example.") != NULL, "%s", s);
        else if (!strcmp(name, "url"))
            ck_assert_msg(begins(s, "https://") && strstr(s, ".example.") != NULL, "%s", s);
        else if (!strcmp(name, "ip"))
            ck_assert_msg(begins(s, "192.0.2.") || begins(s, "198.51.100.") || begins(s, "203.0.113."), "%s", s);
        else if (!strcmp(name, "phone"))
            ck_assert_msg(strlen(s) == 15 && begins(s + 6, "-555-01"), "%s", s);
        else if (!strcmp(name, "boolean"))
            seen[!strcmp(s, "true")] = true;
    }
    ck_assert(seen[0] && seen[1]);
    buf_fini(&b);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("json_template");
    TCase *tc = tcase_create("json_template");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, json_each, 0, (int)ARRAY_LEN(json_rows));
    tcase_add_loop_test(tc, text_each, 0, (int)ARRAY_LEN(text_rows));
    tcase_add_test(tc, a_nul_survives);
    tcase_add_test(tc, one_request_of_a_batch);
    tcase_add_test(tc, counts_of_the_cluster);
    tcase_add_loop_test(tc, error_each, 0, (int)ARRAY_LEN(errors));
    tcase_add_test(tc, elsewhere_roots_are_refused);
    tcase_add_test(tc, what_it_uses);
    tcase_add_test(tc, deep_paths);
    tcase_add_test(tc, the_output_is_bounded);
    tcase_add_test(tc, no_memory);
    tcase_add_test(tc, a_seed_repeats_fakers);
    tcase_add_test(tc, fakers_are_nobodys);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
