/* redis:// URLs: what they say, and why others are none. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/redis_url.h"

static const struct {
    const char *text, *host, *user, *password;
    uint16_t port;
    unsigned db;
} redis_urls[] = {
    {"redis://localhost", "localhost", "", "", 6379, 0},
    {"REDIS://h:1/", "h", "", "", 1, 0},
    {"redis://h/15", "h", "", "", 6379, 15},
    {"redis://:secret@h", "h", "", "secret", 6379, 0},
    {"redis://me@10.0.0.1:65535", "10.0.0.1", "me", "", 65535, 0},
    {"redis://me:a%40b%2F%3a@[::1]:7/65535", "::1", "me", "a@b/:", 7, 65535},
    {"redis://a:b:c@d@h", "h", "a", "b:c@d", 6379, 0},
};

START_TEST(test_redis_url) {
    struct redis_url url;
    const char *wrong = redis_url_parse(redis_urls[_i].text, &url);
    ck_assert_msg(!wrong, "%s %s", redis_urls[_i].text, wrong);
    ck_assert_str_eq(url.host, redis_urls[_i].host);
    ck_assert_str_eq(url.user, redis_urls[_i].user);
    ck_assert_str_eq(url.password, redis_urls[_i].password);
    ck_assert_uint_eq(url.port, redis_urls[_i].port);
    ck_assert_uint_eq(url.db, redis_urls[_i].db);
}
END_TEST

static const char HOST[] = "has a host that is neither a name nor an address; an IPv6 address stands in brackets";
static const char PORT[] = "has a port that is not a number from 1 to 65535";
static const char DB[] = "has a database that is not a number from 0 to 65535";
static const char USER[] = "has a user or a password that is not percent-encoded properly, or is too long";
static const struct {
    const char *text, *wrong;
} bad_redis_urls[] = {
    {"", "does not begin with redis://"},
    {"localhost:6379", "does not begin with redis://"},
    {"unix:///tmp/redis.sock", "does not begin with redis://"},
    {"Rediss://h", "begins with rediss://: TLS to Redis is not supported yet, only redis://"},
    {"redis://", "has no host"},
    {"redis:///1", "has no host"},
    {"redis://u:p@", "has no host"},
    {"redis://[]", "has no host"},
    {"redis://[::1", "has a bracket that is not closed"},
    {"redis://[h]", HOST},
    {"redis://a_b!", HOST},
    {"redis://[::1]6379", PORT},
    {"redis://h:", PORT},
    {"redis://h:0", PORT},
    {"redis://h:65536", PORT},
    {"redis://h:+1", PORT},
    {"redis://::1", "has no host"},
    {"redis://h:1:2", PORT},
    {"redis://h/x", DB},
    {"redis://h/1/2", DB},
    {"redis://h/65536", DB},
    {"redis://h/000001", DB},
    {"redis://h?db=1", "holds ? or #; what stands there has no meaning here"},
    {"redis://h/#", "holds ? or #; what stands there has no meaning here"},
    {"redis://a b", "holds a blank or a control character"},
    {"redis://u%4@h", USER},
    {"redis://u:%zz@h", USER},
    {"redis://u:%00@h", USER},
    {"redis://u:%4", PORT},
};

START_TEST(test_bad_redis_url) {
    struct redis_url url;
    const char *wrong = redis_url_parse(bad_redis_urls[_i].text, &url);
    ck_assert_msg(wrong && !strcmp(wrong, bad_redis_urls[_i].wrong), "%s: %s", bad_redis_urls[_i].text, wrong);
}
END_TEST

START_TEST(test_long_redis_urls) {
    char text[2048], part[1024];
    struct redis_url url;
    memset(part, 'x', sizeof part);
    snprintf(text, sizeof text, "redis://%.255s:%.511s@%.255s", part, part, part);
    ck_assert_ptr_null(redis_url_parse(text, &url));
    ck_assert_uint_eq(strlen(url.password), 511);
    snprintf(text, sizeof text, "redis://%.256s@h", part);
    ck_assert_str_eq(redis_url_parse(text, &url), USER);
    snprintf(text, sizeof text, "redis://:%.512s@h", part);
    ck_assert_str_eq(redis_url_parse(text, &url), USER);
    snprintf(text, sizeof text, "redis://%.256s", part);
    ck_assert_str_eq(redis_url_parse(text, &url), "has a host that is too long");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("redis_url");
    TCase *tc = tcase_create("url");
    tcase_add_loop_test(tc, test_redis_url, 0, (int)ARRAY_LEN(redis_urls));
    tcase_add_loop_test(tc, test_bad_redis_url, 0, (int)ARRAY_LEN(bad_redis_urls));
    tcase_add_test(tc, test_long_redis_urls);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
