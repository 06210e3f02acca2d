/* Request and response heads: what is taken, what is refused with which status, and how early. */
#include <check.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/rng.h"
#include "protocol/http_head.h"

#include "../fuzz/fuzz_http_head.c"

#define H "Host: h\r\n"

/* -- requests ------------------------------------------------------------------------------------------------------ */

static const struct {
    const char *head;
    int result;
} requests[] = {
    {"GET / HTTP/1.1\r\n" H "\r\n", 0},
    {"GET /ws?a=b&c=%20 HTTP/1.1\r\n" H "\r\n", 0},
    {"GET /?filter[a]=1&q={x|y}^` HTTP/1.1\r\n" H "\r\n", 0}, /* as browsers send them */
    {"GET http://h:80/ws?x HTTP/1.1\r\n" H "\r\n", 0},
    {"GET WS://h HTTP/1.1\r\n" H "\r\n", 0},
    {"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", 0},
    {"OPTIONS * HTTP/1.1\r\n" H "\r\n", 0},
    {"GET / HTTP/1.0\r\n\r\n", 0}, /* Host came with HTTP/1.1 */
    {"GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", 0},
    {"GET / HTTP/1.1\r\nHost:\r\n\r\n", 0}, /* RFC 9112 section 3.2 wants an empty one where there is no authority */
    {"GET / HTTP/1.1\r\n" H "X: caf\xc3\xa9 \xff\r\n\r\n", 0}, /* obs-text */
    {"GET / HTTP/1.1\r\n" H "X:a\tb\r\n\r\n", 0},
    {"GET / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", 0},
    {"GET / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n", 0},
    {"GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", -400}, /* bare LF */
    {"GET / HTTP/1.1\nHost: h\r\n\r\n", -400},
    {"GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n", -400}, /* bare CR */
    {"GET / HTTP/1.1\r\n" H "X: a\x01\r\n\r\n", -400},
    {"GET / HTTP/1.1\r\n" H "X: a\x7f\r\n\r\n", -400},
    {"GET / HTTP/1.1\r\n" H "X: a\r\n b\r\n\r\n", -400}, /* obs-fold */
    {"GET / HTTP/1.1\r\n X: a\r\n" H "\r\n", -400},
    {"GET / HTTP/1.1\r\n" H "X : a\r\n\r\n", -400}, /* space before the colon */
    {"GET / HTTP/1.1\r\n" H ": a\r\n\r\n", -400},
    {"GET / HTTP/1.1\r\n" H "X\r\n\r\n", -400},
    {"GET / HTTP/1.1\r\n" H "X(y): a\r\n\r\n", -400},
    {"GET / HTTP/1.1\r\n" H "X\xc3\xa9: a\r\n\r\n", -400},
    {"GET / HTTP/1.1\r\n\r\n", -400},
    {"GET / HTTP/1.1\r\n" H "host: i\r\n\r\n", -400},
    {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", -400},
    {"GET / HTTP/1.1\r\nHost: user@h\r\n\r\n", -400},
    {"GET / HTTP/1.1\r\nHost: h/x\r\n\r\n", -400},
    {"GET / HTTP/1.1\r\nHost: h:8x\r\n\r\n", -400},
    {"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", -400},
    {"GET / HTTP/1.1\r\n" H "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", -400},
    {"GET / HTTP/1.1\r\n" H "Content-Length: 5, 5\r\n\r\n", -400},
    {"GET / HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n", -400},
    {"GET / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n", -400},
    {"GET / HTTP/1.1\r\n" H "Content-Length: 99999999999999999999\r\n\r\n", -400},
    {"GET / HTTP/1.1\r\n" H "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", -400},
    {"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", -400},
    {"GET / HTTP/1.2\r\n" H "\r\n", -505},
    {"GET / HTTP/2.0\r\n" H "\r\n", -505},
    {"PRI * HTTP/2.0\r\n\r\n", -400}, /* HTTP/2's preface: "*" is for OPTIONS only */
    {"GET / HTTP/0.9\r\n" H "\r\n", -505},
    {"GET / HTTP/1.10\r\n" H "\r\n", -400},
    {"GET / http/1.1\r\n" H "\r\n", -400},
    {"GET / HTTP/1.1 \r\n" H "\r\n", -400},
    {"GET / \r\n" H "\r\n", -400},
    {"GET /\r\n" H "\r\n", -400},
    {"GET\r\n" H "\r\n", -400},
    {"GET  / HTTP/1.1\r\n" H "\r\n", -400},
    {" GET / HTTP/1.1\r\n" H "\r\n", -400},
    {"G@T / HTTP/1.1\r\n" H "\r\n", -400},
    {"\r\nGET / HTTP/1.1\r\n" H "\r\n", -400},
    {"AMETHODNAMETHATISLONGERTHANANYONEUSES / HTTP/1.1\r\n" H "\r\n", -400},
    {"GET ws HTTP/1.1\r\n" H "\r\n", -400},
    {"GET * HTTP/1.1\r\n" H "\r\n", -400},
    {"GET /a#b HTTP/1.1\r\n" H "\r\n", -400},
    {"GET /a\"b HTTP/1.1\r\n" H "\r\n", -400},
    {"GET /<b> HTTP/1.1\r\n" H "\r\n", -400},
    {"GET /\xc3\xa9 HTTP/1.1\r\n" H "\r\n", -400},
    {"GET /%zz HTTP/1.1\r\n" H "\r\n", -400},
    {"GET /% HTTP/1.1\r\n" H "\r\n", -400},
    {"GET /%4 HTTP/1.1\r\n" H "\r\n", -400},
    {"GET http:///ws HTTP/1.1\r\n" H "\r\n", -400},
    {"GET http://u:p@h/ws HTTP/1.1\r\n" H "\r\n", -400},
    {"GET ftp://h/ws HTTP/1.1\r\n" H "\r\n", -400},
    {"GET / HTTP/1.1\r\n" H, -400}, /* no blank line */
    {"", -400},
};

START_TEST(request) {
    struct http_head h;
    const char *why = NULL;
    int rc = http_request_parse(&h, requests[_i].head, strlen(requests[_i].head), &why);
    ck_assert_msg(rc == requests[_i].result, "%d (%s) for %s", rc, why, requests[_i].head);
    ck_assert(rc == MF_OK || (why && *why));
    http_head_fini(&h);
}
END_TEST

START_TEST(nul_is_refused_wherever_it_is) {
    const char head[] = "GET /ws HTTP/1.1\r\nHost: h\r\nX: y\r\n\r\n";
    for (size_t i = 0; i < sizeof head - 1; i++) {
        char spoilt[sizeof head];
        memcpy(spoilt, head, sizeof head);
        spoilt[i] = '\0';
        struct http_head h;
        const char *why;
        ck_assert_int_eq(http_request_parse(&h, spoilt, sizeof head - 1, &why), -400);
        http_head_fini(&h);
        ck_assert_int_eq(http_head_end(spoilt, sizeof head - 1, 0), -400);
    }
}
END_TEST

START_TEST(request_fields) {
    const char *head = "GET /a/b?x=1?y HTTP/1.1\r\nhOsT: example.com:8080\r\nUpgrade:   WebSocket \t\r\nX-Empty:\r\n"
                       "Cookie: a\r\nCookie: b\r\n\r\n";
    struct http_head h;
    const char *why;
    ck_assert_int_eq(http_request_parse(&h, head, strlen(head), &why), MF_OK);
    ck_assert_str_eq(h.method, "GET");
    ck_assert_str_eq(h.target, "/a/b?x=1?y");
    ck_assert_str_eq(h.path, "/a/b");
    ck_assert_str_eq(h.query, "x=1?y");
    ck_assert_int_eq(h.minor, 1);
    ck_assert_uint_eq(h.headers.count, 5);
    ck_assert_str_eq(h.headers.items[0].name, "hOsT");
    ck_assert_str_eq(headers_get(&h.headers, "host"), "example.com:8080");
    ck_assert_str_eq(headers_get(&h.headers, "upgrade"), "WebSocket");
    ck_assert_str_eq(headers_get(&h.headers, "x-empty"), "");
    ck_assert_uint_eq(headers_count(&h.headers, "cookie"), 2);
    http_head_fini(&h);
    http_head_fini(&h); /* harmless */
}
END_TEST

static const struct {
    const char *method, *target, *path, *query;
} targets[] = {
    {"GET", "/", "/", NULL},
    {"GET", "/?", "/", ""},
    {"GET", "/a?b", "/a", "b"},
    {"GET", "//a", "//a", NULL},
    {"GET", "http://h/ws?x=1", "/ws", "x=1"},
    {"GET", "http://h", "/", NULL},
    {"GET", "wss://h:1?x", "/", "x"},
    {"CONNECT", "h:443", "/", NULL},
    {"OPTIONS", "*", "/", NULL},
};

START_TEST(target) {
    struct buf b = BUF_INIT;
    buf_printf(&b, "%s %s HTTP/1.1\r\n" H "\r\n", targets[_i].method, targets[_i].target);
    struct http_head h;
    const char *why;
    ck_assert_int_eq(http_request_parse(&h, (const char *)b.data, b.len, &why), MF_OK);
    ck_assert_str_eq(h.target, targets[_i].target);
    ck_assert_str_eq(h.path, targets[_i].path);
    ck_assert_pstr_eq(h.query, targets[_i].query);
    http_head_fini(&h);
    buf_fini(&b);
}
END_TEST

/* -- responses ----------------------------------------------------------------------------------------------------- */

static const struct {
    const char *head;
    int result, status;
    const char *reason;
} responses[] = {
    {"HTTP/1.1 101 Switching Protocols\r\nA: b\r\n\r\n", 0, 101, "Switching Protocols"},
    {"HTTP/1.1 404 \r\n\r\n", 0, 404, ""},
    {"HTTP/1.1 404\r\n\r\n", 0, 404, ""},
    {"HTTP/1.0 200 caf\xc3\xa9\r\n\r\n", 0, 200, "caf\xc3\xa9"},
    {"HTTP/1.1 999 x\r\n\r\n", 0, 999, "x"},
    {"HTTP/1.1 099 x\r\n\r\n", -400, 0, NULL},
    {"HTTP/1.1 1000 x\r\n\r\n", -400, 0, NULL},
    {"HTTP/1.1 20 x\r\n\r\n", -400, 0, NULL},
    {"HTTP/1.1 2x0 x\r\n\r\n", -400, 0, NULL},
    {"HTTP/1.1  200 x\r\n\r\n", -400, 0, NULL},
    {"HTTP/1.1\r\n\r\n", -400, 0, NULL},
    {"HTTP/2.0 200 x\r\n\r\n", -505, 0, NULL},
    {"HTTQ/1.1 200 x\r\n\r\n", -400, 0, NULL},
    {"HTTP/1.1 200 x\x01\r\n\r\n", -400, 0, NULL},
    {"HTTP/1.1 200 x\r\nA : b\r\n\r\n", -400, 0, NULL},
    {"HTTP/1.1 200 x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", -400, 0, NULL},
    {"SSH-2.0-OpenSSH_9.2\r\n\r\n", -400, 0, NULL},
};

START_TEST(response) {
    struct http_head h;
    const char *why = NULL;
    int rc = http_response_parse(&h, responses[_i].head, strlen(responses[_i].head), &why);
    ck_assert_msg(rc == responses[_i].result, "%d (%s) for %s", rc, why, responses[_i].head);
    if (rc == MF_OK) {
        ck_assert_int_eq(h.status, responses[_i].status);
        ck_assert_str_eq(h.reason, responses[_i].reason);
    } else {
        ck_assert(why && *why);
    }
    http_head_fini(&h);
}
END_TEST

/* -- limits -------------------------------------------------------------------------------------------------------- */

static void put_target(struct buf *b, size_t len) {
    buf_puts(b, "GET /");
    for (size_t i = 1; i < len; i++)
        buf_putc(b, 'a');
}

START_TEST(target_limit) {
    for (size_t len = HTTP_TARGET_MAX - 1; len <= HTTP_TARGET_MAX + 1; len++) {
        struct buf b = BUF_INIT;
        put_target(&b, len);
        buf_puts(&b, " HTTP/1.1\r\n" H "\r\n");
        struct http_head h;
        const char *why;
        int rc = http_request_parse(&h, (const char *)b.data, b.len, &why);
        ck_assert_int_eq(rc, len > HTTP_TARGET_MAX ? -414 : MF_OK);
        http_head_fini(&h);
        buf_fini(&b);
    }
    /* It is told before the line ends. */
    struct buf b = BUF_INIT;
    put_target(&b, HTTP_TARGET_MAX);
    ck_assert_int_eq(http_head_end((const char *)b.data, b.len, 0), 0);
    buf_putc(&b, 'a');
    ck_assert_int_eq(http_head_end((const char *)b.data, b.len, b.len - 1), -414);
    buf_fini(&b);
}
END_TEST

START_TEST(field_limit) {
    for (size_t fields = HTTP_FIELDS_MAX - 1; fields <= HTTP_FIELDS_MAX + 1; fields++) {
        struct buf b = BUF_INIT;
        buf_puts(&b, "GET / HTTP/1.1\r\n" H);
        for (size_t i = 1; i < fields; i++)
            buf_printf(&b, "X-%zu: y\r\n", i);
        buf_puts(&b, "\r\n");
        struct http_head h;
        const char *why;
        int rc = http_request_parse(&h, (const char *)b.data, b.len, &why);
        ck_assert_int_eq(rc, fields > HTTP_FIELDS_MAX ? -431 : MF_OK);
        http_head_fini(&h);
        buf_fini(&b);
    }
}
END_TEST

START_TEST(size_limit) {
    for (size_t size = HTTP_HEAD_MAX - 1; size <= HTTP_HEAD_MAX + 1; size++) {
        struct buf b = BUF_INIT;
        buf_puts(&b, "GET / HTTP/1.1\r\n" H "X: ");
        while (b.len < size - 4)
            buf_putc(&b, 'x');
        buf_puts(&b, "\r\n\r\n");
        ck_assert_uint_eq(b.len, size);
        int expected = size > HTTP_HEAD_MAX ? -431 : (int)size;
        ck_assert_int_eq(http_head_end((const char *)b.data, b.len, 0), expected);
        ck_assert_int_eq(end_byte_by_byte((const char *)b.data, b.len), expected);
        struct http_head h;
        const char *why;
        ck_assert_int_eq(http_request_parse(&h, (const char *)b.data, b.len, &why), size > HTTP_HEAD_MAX ? -431 : MF_OK);
        http_head_fini(&h);
        buf_fini(&b);
    }
}
END_TEST

/* -- finding the end ----------------------------------------------------------------------------------------------- */

START_TEST(end_at_every_cut) {
    const char head[] = "GET /ws HTTP/1.1\r\nHost: h\r\nX:\r\n\r\n\x81\x85more\r\n\r\n";
    const int end = 33;
    for (size_t first = 0; first < sizeof head; first++)
        for (size_t second = first; second < sizeof head; second++) {
            size_t cuts[] = {first, second, sizeof head - 1}, from = 0;
            for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
                int r = http_head_end(head, cuts[i], from);
                ck_assert_int_eq(r, cuts[i] >= (size_t)end ? end : 0);
                if (r)
                    break;
                from = cuts[i];
            }
        }
}
END_TEST

static const struct {
    const char *name, *bytes;
    size_t len;
    size_t told; /* how many bytes are enough to refuse it */
    int status;
} garbage[] = {
#define G(name, bytes, told, status) {name, bytes, sizeof bytes - 1, told, status}
    G("TLS ClientHello", "\x16\x03\x01\x02\x00\x01\x00", 1, -400),
    G("NULs", "\0\0\0\0", 1, -400),
    G("SSH", "SSH-2.0-OpenSSH_9.2\r\n", 20, -400), /* a line of one word */
    G("blank line first", "\r\n\r\n", 1, -400),
    G("bare LF", "GET / HTTP/1.1\nHost: h\n\n", 15, -400),
    G("LF first", "\nGET", 1, -400),
    G("bare CR", "GET / HTTP/1.1\rHost", 16, -400),
    G("space first", " GET / HTTP/1.1\r\n", 1, -400),
    G("SOCKS5", "\x05\x01\x00", 1, -400),
    G("Redis", "*1\r\n$4\r\nPING\r\n", 3, -400),
    G("JSON", "{\"a\":1}\r\n", 1, -400),
    G("UTF-8", "\xc3\xa9", 1, -400),
    G("endless method", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 33, -400),
    G("method of 33 bytes", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\n", 33, -400),
    G("control in a field", "GET / HTTP/1.1\r\nX: \x02", 20, -400),
    G("DEL", "GET /\x7f", 6, -400),
#undef G
};

START_TEST(garbage_is_told_early) {
    size_t told = garbage[_i].told;
    const char *bytes = garbage[_i].bytes;
    ck_assert_int_eq(http_head_end(bytes, told, 0), garbage[_i].status);
    ck_assert_int_eq(http_head_end(bytes, garbage[_i].len, 0), garbage[_i].status);
    for (size_t n = 0; n < told; n++)
        ck_assert_int_eq(http_head_end(bytes, n, 0), 0);
}
END_TEST

START_TEST(status_texts) {
    ck_assert_str_eq(http_status_text(101), "Switching Protocols");
    ck_assert_str_eq(http_status_text(404), "Not Found");
    ck_assert_str_eq(http_status_text(431), "Request Header Fields Too Large");
    ck_assert_str_eq(http_status_text(504), "Gateway Timeout");
    ck_assert_str_eq(http_status_text(599), "");
    ck_assert_str_eq(http_status_text(-1), "");
}
END_TEST

/* What the fuzz target checks, on every request above with a byte changed. */
START_TEST(mutations_keep_the_promises) {
    struct rng rng;
    rng_init(&rng, 29);
    for (size_t i = 0; i < ARRAY_LEN(requests); i++)
        for (int round = 0; round < 100; round++) {
            char head[256];
            size_t len = strlen(requests[i].head);
            memcpy(head, requests[i].head, len);
            if (len)
                head[rng_range(&rng, 0, (int64_t)len - 1)] = "\r\n :\0aA/?%#\t"[rng_range(&rng, 0, 11)];
            LLVMFuzzerTestOneInput((const uint8_t *)head, len);
        }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("http_head");
    TCase *tc = tcase_create("http_head");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, request, 0, ARRAY_LEN(requests));
    tcase_add_test(tc, nul_is_refused_wherever_it_is);
    tcase_add_test(tc, request_fields);
    tcase_add_loop_test(tc, target, 0, ARRAY_LEN(targets));
    tcase_add_loop_test(tc, response, 0, ARRAY_LEN(responses));
    tcase_add_test(tc, target_limit);
    tcase_add_test(tc, field_limit);
    tcase_add_test(tc, size_limit);
    tcase_add_test(tc, end_at_every_cut);
    tcase_add_loop_test(tc, garbage_is_told_early, 0, ARRAY_LEN(garbage));
    tcase_add_test(tc, status_texts);
    tcase_add_test(tc, mutations_keep_the_promises);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
