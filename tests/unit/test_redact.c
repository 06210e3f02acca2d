/* Secrets: by a header's, a parameter's, a URL's and a JSON path's name. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "recording/redact.h"

static struct redactor *make(const struct redact_rules *rules) {
    struct redactor *r;
    struct err err;
    ck_assert_msg(redactor_new(rules, &r, &err) == MF_OK, "%s", err.text);
    return r;
}

static const struct {
    const char *name;
    bool secret;
} header_names[] = {
    {"Authorization", true},
    {"authorization", true},
    {"Proxy-Authorization", true},
    {"Cookie", true},
    {"Set-Cookie", true},
    {"X-Api-Key", true},
    {"X-CSRF-Token", true},
    {"x-amz-signature", true},
    {"Client-SECRET", true},
    {"X-Password", true},
    {"X-Mine", true},
    {"Sec-WebSocket-Key", false},
    {"Sec-WebSocket-Accept", false},
    {"Host", false},
    {"Origin", false},
};

START_TEST(headers_by_name) {
    char *more[] = {"x-mine"};
    struct redactor *r = make(&(struct redact_rules){.defaults = true, .headers = more, .headers_count = 1});
    struct headers h = {0};
    ck_assert_int_eq(headers_add(&h, header_names[_i].name, "value"), MF_OK);
    ck_assert_int_eq(redact_headers(r, &h), MF_OK);
    ck_assert_str_eq(h.items[0].value, header_names[_i].secret ? REDACTED : "value");
    ck_assert(redact_header_name(r, header_names[_i].name) == header_names[_i].secret);
    headers_fini(&h);
    redactor_unref(r);
}
END_TEST

START_TEST(without_defaults_only_what_was_asked_for) {
    char *more[] = {"Sec-WebSocket-Key"};
    struct redactor *r = make(&(struct redact_rules){.headers = more, .headers_count = 1});
    ck_assert(redact_header_name(r, "sec-websocket-key"));
    ck_assert(!redact_header_name(r, "Authorization"));
    char *q = redact_query(r, "token=1");
    ck_assert_str_eq(q, "token=1");
    free(q);
    redactor_unref(r);
}
END_TEST

static const struct {
    const char *from, *to;
} queries[] = {
    {"", ""},
    {"a=1", "a=1"},
    {"a=1&token=x&b=2", "a=1&token=[redacted]&b=2"},
    {"ACCESS_TOKEN=x", "ACCESS_TOKEN=[redacted]"},
    {"token", "token"},
    {"token=", "token=[redacted]"},
    {"to%6ben=x", "to%6ben=[redacted]"},
    {"token=a=b;c=d", "token=[redacted];c=d"},
    {"session=1&x=2", "session=[redacted]&x=2"},
    {"a=token", "a=token"},
    {"&&token=1&", "&&token=[redacted]&"},
    {"t%zz=1&tok%", "t%zz=1&tok%"},
};

START_TEST(queries_by_parameter) {
    char *more[] = {"Session"};
    struct redactor *r = make(&(struct redact_rules){.defaults = true, .query = more, .query_count = 1});
    char *q = redact_query(r, queries[_i].from);
    ck_assert_str_eq(q, queries[_i].to);
    free(q);
    redactor_unref(r);
}
END_TEST

static const struct {
    const char *from, *to;
} urls[] = {
    {"wss://api.example.com/ws", "wss://api.example.com/ws"},
    {"wss://user:pw@api.example.com/ws?a=1", "wss://[redacted]@api.example.com/ws?a=1"},
    {"wss://user:p@w@api.example.com", "wss://[redacted]@api.example.com"},
    {"wss://api.example.com/a@b?key=1&x=2#token=3", "wss://api.example.com/a@b?key=[redacted]&x=2#token=3"},
    {"/ws?token=1", "/ws?token=[redacted]"},
};

START_TEST(urls_by_user_and_query) {
    struct redactor *r = make(&(struct redact_rules){.defaults = true});
    char *u = redact_url(r, urls[_i].from);
    ck_assert_str_eq(u, urls[_i].to);
    free(u);
    redactor_unref(r);
}
END_TEST

#define R "\"[redacted]\""
#define WITHHELD "withheld"
static const struct {
    const char *paths[4];
    const char *from, *to; /* to NULL: unchanged */
} texts[] = {
    {{"password"}, "{\"password\":\"x\"}", "{\"password\":" R "}"},
    {{"password"},
     " { \"a\" : 1 , \"password\" : [1, {\"b\":2}] , \"c\":null } ",
     " { \"a\" : 1 , \"password\" : " R " , \"c\":null } "},
    {{"password"}, "{\"user\":{\"password\":\"x\"}}", NULL},
    {{"password"}, "[{\"password\":1}]", NULL},
    {{"user.token"}, "{\"user\":{\"token\":1,\"x\":1.50}}", "{\"user\":{\"token\":" R ",\"x\":1.50}}"},
    {{"user.token"}, "{\"user\":\"token\",\"token\":1}", NULL},
    {{"items.*.secret"},
     "{\"items\":[{\"secret\":1},{\"b\":2,\"secret\":true}]}",
     "{\"items\":[{\"secret\":" R "},{\"b\":2,\"secret\":" R "}]}"},
    {{"items.*.secret"}, "{\"items\":{\"k\":{\"secret\":{}}}}", "{\"items\":{\"k\":{\"secret\":" R "}}}"},
    {{"items.1"}, "{\"items\":[1,2,3]}", "{\"items\":[1," R ",3]}"},
    {{"items.10"}, "{\"items\":[0,1,2,3,4,5,6,7,8,9,10]}", "{\"items\":[0,1,2,3,4,5,6,7,8,9," R "]}"},
    {{"0"}, "[1,2]", "[" R ",2]"},
    {{"**.password"},
     "{\"password\":1,\"a\":[{\"b\":{\"password\":2}}]}",
     "{\"password\":" R ",\"a\":[{\"b\":{\"password\":" R "}}]}"},
    {{"a.**.k"}, "{\"k\":0,\"a\":{\"k\":1,\"b\":{\"k\":2}}}", "{\"k\":0,\"a\":{\"k\":" R ",\"b\":{\"k\":" R "}}}"},
    {{"a.**.b.k"}, "{\"a\":{\"x\":{\"b\":{\"b\":{\"k\":1}}}}}", "{\"a\":{\"x\":{\"b\":{\"b\":{\"k\":" R "}}}}}"},
    {{"**.a", "**.b"}, "{\"a\":{\"b\":1},\"b\":[]}", "{\"a\":" R ",\"b\":" R "}"},
    {{"*"}, "{\"a\":1,\"b\":2}", "{\"a\":" R ",\"b\":" R "}"},
    {{"p\xc3\xa4ss"}, "{\"p\\u00e4ss\":1,\"p\xc3\xa4ss\":2}", "{\"p\\u00e4ss\":" R ",\"p\xc3\xa4ss\":" R "}"},
    {{"\xf0\x9f\x98\x80"}, "{\"\\ud83d\\ude00\":1}", "{\"\\ud83d\\ude00\":" R "}"},
    {{"password"}, "{\"pass\\u0077ord\":\"x\\\"y\"}", "{\"pass\\u0077ord\":" R "}"},
    {{"password"}, "{\"password\":1,\"password\":2}", "{\"password\":" R ",\"password\":" R "}"},
    /* several values */
    {{"password"}, "{\"password\":1}\n{\"password\":2}\n", "{\"password\":" R "}\n{\"password\":" R "}\n"},
    {{"1.password"}, "42[\"login\",{\"password\":1}]", "42[\"login\",{\"password\":" R "}]"},
    /* not JSON, but the secret is there: nothing is written */
    {{"password"}, "{\"password\":1", WITHHELD},
    {{"password"}, "{\"password\":1}}", WITHHELD},
    {{"password"}, "{\"password\":01}", WITHHELD},
    {{"password"}, "{\"password\":1,}", WITHHELD},
    {{"password"}, "{\"password\":'x'}", WITHHELD},
    {{"password"}, "{\"password\":\"\\x\"}", WITHHELD},
    {{"password"}, "{\"password\":NaN}", WITHHELD},
    /* not JSON: left alone */
    {{"password"}, "{\"user\":1", NULL},
    {{"password"}, "{'password':1}", NULL},
    {{"password"}, "password=1", NULL},
    {{"password"}, "", NULL},
    {{"b"}, "{\"a\":-1.5e+10,\"c\":\"\\u12g4\"}", NULL},
    {{"a"}, "{\"a\":-1.5e+10}", "{\"a\":" R "}"},
};

START_TEST(json_by_path) {
    size_t count = 0;
    while (texts[_i].paths[count])
        count++;
    struct redactor *r = make(&(struct redact_rules){.json = (char *const *)texts[_i].paths, .json_count = count});
    ck_assert(redactor_has_json(r));
    struct buf out = BUF_INIT;
    buf_puts(&out, "before ");
    /* Without a NUL behind it, and of its exact size. */
    size_t len = strlen(texts[_i].from);
    char *text = malloc(len ? len : 1);
    memcpy(text, texts[_i].from, len);
    const char *to = texts[_i].to;
    bool withheld = to && !strcmp(to, WITHHELD);
    int rc = redact_json(r, text, len, &out);
    ck_assert_int_eq(rc, withheld ? MF_ELIMIT : to != NULL);
    ck_assert_str_eq(buf_cstr(&out) + 7, to && !withheld ? to : "");
    free(text);
    buf_fini(&out);
    redactor_unref(r);
}
END_TEST

START_TEST(depth_is_bounded) {
    char *paths[] = {"**.x"};
    struct redactor *r = make(&(struct redact_rules){.json = paths, .json_count = 1});
    struct buf text = BUF_INIT, out = BUF_INIT;
    for (int i = 0; i < 100000; i++)
        buf_putc(&text, '[');
    ck_assert_int_eq(redact_json(r, text.data, text.len, &out), MF_ELIMIT);
    ck_assert_uint_eq(out.len, 0);
    buf_fini(&text);
    buf_fini(&out);
    redactor_unref(r);
}
END_TEST

static const char *const bad_paths[] = {"", ".", "a.", ".a", "a..b", "**", "a.**"};

START_TEST(bad_paths_are_refused) {
    char *paths[] = {(char *)bad_paths[_i]};
    struct redactor *r;
    struct err err;
    ck_assert_int_eq(redactor_new(&(struct redact_rules){.json = paths, .json_count = 1}, &r, &err), MF_EINVAL);
    ck_assert_uint_gt(strlen(err.text), 0);
}
END_TEST

int main(void) {
    Suite *s = suite_create("redact");
    TCase *t = tcase_create("redact");
    tcase_add_loop_test(t, headers_by_name, 0, ARRAY_LEN(header_names));
    tcase_add_test(t, without_defaults_only_what_was_asked_for);
    tcase_add_loop_test(t, queries_by_parameter, 0, ARRAY_LEN(queries));
    tcase_add_loop_test(t, urls_by_user_and_query, 0, ARRAY_LEN(urls));
    tcase_add_loop_test(t, json_by_path, 0, ARRAY_LEN(texts));
    tcase_add_test(t, depth_is_bounded);
    tcase_add_loop_test(t, bad_paths_are_refused, 0, ARRAY_LEN(bad_paths));
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
