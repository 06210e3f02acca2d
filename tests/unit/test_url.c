/* URLs of upstreams. */
#include <check.h>
#include <stdlib.h>

#include "protocol/url.h"

static const struct {
    const char *text;
    bool tls;
    const char *host;
    unsigned port;
    const char *path, *query, *authority;
} good[] = {
    {"ws://h", false, "h", 80, "/", NULL, "h"},
    {"wss://api.example.com/ws", true, "api.example.com", 443, "/ws", NULL, "api.example.com"},
    {"WSS://API.Example.COM:443/A/b?C=d", true, "api.example.com", 443, "/A/b", "C=d", "api.example.com"},
    {"http://h:8080/x?", false, "h", 8080, "/x", "", "h:8080"},
    {"https://h:80?a?b/c", true, "h", 80, "/", "a?b/c", "h:80"},
    {"ws://h:443/", false, "h", 443, "/", NULL, "h:443"},
    {"ws://h:/", false, "h", 80, "/", NULL, "h"}, /* an empty port is the default: RFC 3986 section 3.2.3 */
    {"ws://[::1]:9000/ws", false, "::1", 9000, "/ws", NULL, "[::1]:9000"},
    {"wss://[2001:DB8::1]", true, "2001:db8::1", 443, "/", NULL, "[2001:db8::1]"},
    {"ws://127.0.0.1:65535", false, "127.0.0.1", 65535, "/", NULL, "127.0.0.1:65535"},
    {"ws://my_service-1.local./%20~!$&'()*+,;=:@", false, "my_service-1.local.", 80, "/%20~!$&'()*+,;=:@", NULL,
     "my_service-1.local."},
};

START_TEST(accepted) {
    struct url u;
    struct err err;
    ck_assert_int_eq(url_parse(&u, good[_i].text, &err), MF_OK);
    ck_assert_int_eq(u.tls, good[_i].tls);
    ck_assert_str_eq(u.host, good[_i].host);
    ck_assert_uint_eq(u.port, good[_i].port);
    ck_assert_str_eq(u.path, good[_i].path);
    ck_assert_pstr_eq(u.query, good[_i].query);
    char *authority = url_authority(&u);
    ck_assert_str_eq(authority, good[_i].authority);
    free(authority);
    url_fini(&u);
    url_fini(&u);
}
END_TEST

static const struct {
    const char *text, *says;
} bad[] = {
    {"", "must begin with"},
    {"h:80", "must begin with"},
    {"ftp://h", "must begin with"},
    {"ws:/h", "must begin with"},
    {"ws://", "empty host"},
    {"ws:///ws", "empty host"},
    {"ws://:80", "empty host"},
    {"ws://?x", "empty host"},
    {"ws://user:secret@h/", "user name"},
    {"ws://secret@h/", "user name"},
    {"ws://h/#secret", "fragment"},
    {"ws://h#secret", "fragment"},
    {"ws://h:x", "port"},
    {"ws://h:-1", "port"},
    {"ws://h:0", "port 0"},
    {"ws://h:65536", "port over"},
    {"ws://h:99999999999999999999", "port over"},
    {"ws://a b/", "host name"},
    {"ws://h\xc3\xa9/", "xn--"},
    {"ws://[::1", "closing bracket"},
    {"ws://[::1]x", "port"},
    {"ws://[::g]", "IPv6"},
    {"ws://[127.0.0.1]", "IPv6"},
    {"ws://[]", "IPv6"},
    {"ws://::1/", "empty host"}, /* an IPv6 address without brackets */
    {"ws://h/a b", "percent-escaped"},
    {"ws://h/\xc3\xa9", "percent-escaped"},
    {"ws://h/<x>", "percent-escaped"},
    {"ws://h/?q={secret}", "percent-escaped"},
    {"ws://h/\r\nX: y", "percent-escaped"},
    {"ws://h/%", "percent-escape"},
    {"ws://h/%2", "percent-escape"},
    {"ws://h/%zz", "percent-escape"},
};

START_TEST(refused) {
    struct url u;
    struct err err;
    ck_assert_msg(url_parse(&u, bad[_i].text, &err) == MF_EINVAL, "%s was taken", bad[_i].text);
    ck_assert_msg(strstr(err.text, bad[_i].says) != NULL, "%s: %s", bad[_i].text, err.text);
    ck_assert_ptr_null(strstr(err.text, "secret")); /* errors are logged */
    ck_assert_ptr_null(u.host);
    url_fini(&u);
    ck_assert_int_eq(url_parse(&u, bad[_i].text, NULL), MF_EINVAL);
}
END_TEST

START_TEST(long_host) {
    char text[400] = "ws://";
    memset(text + 5, 'a', 253);
    struct url u;
    struct err err;
    ck_assert_int_eq(url_parse(&u, text, &err), MF_OK);
    url_fini(&u);
    memset(text + 5, 'a', 254);
    ck_assert_int_eq(url_parse(&u, text, &err), MF_EINVAL);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("url");
    TCase *tc = tcase_create("url");
    tcase_add_loop_test(tc, accepted, 0, ARRAY_LEN(good));
    tcase_add_loop_test(tc, refused, 0, ARRAY_LEN(bad));
    tcase_add_test(tc, long_host);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
