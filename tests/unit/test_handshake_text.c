/* A client's handshake as a message (replay/handshake.h). */
#include <check.h>
#include <stdlib.h>

#include "base/headers.h"
#include "replay/handshake.h"

static void expect(const char *path, const char *query, const struct headers *fields, const char *expected) {
    struct buf out = BUF_INIT;
    handshake_request_text(&out, path, query, fields);
    ck_assert_str_eq(buf_cstr(&out), expected);
    buf_fini(&out);
}

START_TEST(nothing_at_all) {
    expect(NULL, NULL, NULL, "{\"@query\":{},\"@path\":[],\"@header\":{}}");
    expect("/", "", NULL, "{\"@query\":{},\"@path\":[],\"@header\":{}}");
}
END_TEST

START_TEST(query_and_path) {
    expect("/rooms//7%20a", "user=bob&empty=&flag&=x&q=a%22b+c&bad=%zz%0&nul=%00", NULL,
           "{\"@query\":{\"user\":\"bob\",\"q\":\"a\\\"b c\",\"bad\":\"%zz%0\",\"nul\":\"%00\"},"
           "\"@path\":[\"rooms\",\"7 a\"],\"@header\":{}}");
}
END_TEST

START_TEST(fields) {
    struct headers h = {0};
    static const char *const given[][2] = {
        {"Host", "localhost"},    {"X-Device", "d\"1"},        {"Cookie", "a=b"},
        {"User-Agent", "node/1"}, {"Sec-WebSocket-Key", "k="}, {"X-Secret", "[redacted]"},
    };
    for (size_t i = 0; i < ARRAY_LEN(given); i++)
        ck_assert_int_eq(headers_add(&h, given[i][0], given[i][1]), MF_OK);
    expect("/", "token=%5Bredacted%5D", &h, "{\"@query\":{},\"@path\":[],\"@header\":{\"x-device\":\"d\\\"1\"}}");
    headers_fini(&h);
}
END_TEST

/* What is too long is left out; what is there stays JSON. */
START_TEST(bounded) {
    struct buf query = BUF_INIT, out = BUF_INIT;
    for (unsigned i = 0; i < 4000; i++)
        buf_printf(&query, "name%u=value&", i);
    handshake_request_text(&out, "/a", buf_cstr(&query), NULL);
    ck_assert_uint_lt(out.len, 40000);
    ck_assert_ptr_nonnull(strstr(buf_cstr(&out), "},\"@path\":["));
    buf_fini(&query);
    buf_fini(&out);
}
END_TEST

int main(void) {
    Suite *s = suite_create("handshake_text");
    TCase *t = tcase_create("text");
    tcase_add_test(t, nothing_at_all);
    tcase_add_test(t, query_and_path);
    tcase_add_test(t, fields);
    tcase_add_test(t, bounded);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
