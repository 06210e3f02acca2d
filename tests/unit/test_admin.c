/* What the admin side answers, to whom; the page of metrics, and that docs/metrics.md lists what is on it. Runs in the
 * root of the source tree. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/admin_answer.h"

#define HOST "Host: localhost:3000\r\n"
#define BEARER(TOKEN) "Authorization: Bearer " TOKEN "\r\n"

static void count_up(void *arg, uint64_t sum[METRIC_COUNT]) {
    (void)arg;
    for (size_t i = 0; i < METRIC_COUNT; i++)
        sum[i] += i + 1;
}

static const struct admin_site plain = {.host = "127.0.0.1", .ready = true, .metrics = count_up};
static const struct admin_site guarded = {.host = "0.0.0.0", .token = "s3cret", .ready = true, .metrics = count_up};
static const struct admin_site stopping = {.host = "127.0.0.1", .metrics = count_up};

/* The response to a head as text; to be freed. */
static char *ask(const struct admin_site *site, const char *text) {
    struct http_head request;
    struct buf out = BUF_INIT;
    const char *why = "";
    ck_assert_msg(http_request_parse(&request, text, strlen(text), &why) == MF_OK, "%s: %s", text, why);
    admin_answer(site, &request, &out);
    http_head_fini(&request);
    return buf_steal(&out);
}

static const struct {
    const struct admin_site *site;
    const char *request; /* without its blank line */
    int status;
    const char *holds;
} requests[] = {
    {&plain, "GET /health/live HTTP/1.1\r\n" HOST, 200, "\r\n\r\n{\"status\":\"live\"}\n"},
    {&plain, "GET /health/ready HTTP/1.1\r\n" HOST, 200, "\r\n\r\n{\"status\":\"ready\"}\n"},
    {&plain, "GET /health/ready?verbose=1 HTTP/1.1\r\n" HOST, 200, "\"ready\""},
    {&stopping, "GET /health/ready HTTP/1.1\r\n" HOST, 503, "\r\n\r\n{\"status\":\"stopping\"}\n"},
    {&stopping, "GET /health/live HTTP/1.1\r\n" HOST, 200, "\"live\""},
    {&plain, "GET /metrics HTTP/1.1\r\n" HOST, 200, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"},
    {&plain, "GET /metrics HTTP/1.1\r\n" HOST, 200, "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"},
    {&plain, "GET /__mockforge/ws/unmatched HTTP/1.1\r\n" HOST, 200, "\r\n\r\n{\"unmatched\":[],\"total\":0}\n"},
    {&guarded, "GET /__mockforge/ws/unmatched HTTP/1.1\r\n" HOST, 401, "WWW-Authenticate: Bearer\r\n"},
    /* paths and methods */
    {&plain, "GET / HTTP/1.1\r\n" HOST, 404, "{\"error\":\"not_found\",\"message\":\""},
    {&plain, "GET /metrics/ HTTP/1.1\r\n" HOST, 404, "not_found"},
    {&plain, "GET /METRICS HTTP/1.1\r\n" HOST, 404, "not_found"},
    {&plain, "GET /health/../metrics HTTP/1.1\r\n" HOST, 404, "not_found"},
    {&plain, "POST /nothing HTTP/1.1\r\n" HOST "Content-Length: 0\r\n", 404, "not_found"},
    {&plain, "POST /metrics HTTP/1.1\r\n" HOST "Content-Length: 0\r\n", 405, "Allow: GET, HEAD\r\n"},
    {&plain, "get /metrics HTTP/1.1\r\n" HOST, 405, "method_not_allowed"},
    {&plain, "OPTIONS * HTTP/1.1\r\n" HOST, 400, "bad_request"},
    {&plain, "GET http://evil.example/metrics HTTP/1.1\r\n" HOST, 400, "bad_request"},
    /* who asks */
    {&plain, "GET /metrics HTTP/1.1\r\nHost: evil.example\r\n", 403, "host_refused"},
    {&plain, "GET /health/live HTTP/1.1\r\nHost: evil.example:3000\r\n", 403, "host_refused"},
    {&plain, "GET /metrics HTTP/1.0\r\n", 403, "host_refused"},
    {&plain, "GET /metrics HTTP/1.1\r\n" HOST "Origin: http://localhost:3000\r\n", 200, "ws_"},
    {&plain, "GET /metrics HTTP/1.1\r\n" HOST "Origin: https://LOCALHOST:3000\r\n", 200, "ws_"},
    {&plain, "GET /metrics HTTP/1.1\r\n" HOST "Origin: http://localhost:3001\r\n", 403, "origin_refused"},
    {&plain, "GET /metrics HTTP/1.1\r\n" HOST "Origin: http://evil.example\r\n", 403, "origin_refused"},
    {&plain, "GET /metrics HTTP/1.1\r\n" HOST "Origin: null\r\n", 403, "origin_refused"},
    {&plain, "GET /metrics HTTP/1.1\r\n" HOST "Origin: ftp://localhost:3000\r\n", 403, "origin_refused"},
    {&plain, "GET /health/live HTTP/1.1\r\n" HOST "Origin: http://localhost:3000\r\nOrigin: http://evil\r\n", 403,
     "origin_refused"},
    /* the token */
    {&guarded, "GET /metrics HTTP/1.1\r\n" HOST, 401, "WWW-Authenticate: Bearer\r\n"},
    {&guarded, "GET /metrics HTTP/1.1\r\n" HOST BEARER("s3cret"), 200, "ws_"},
    {&guarded, "GET /metrics HTTP/1.1\r\n" HOST "authorization: bearer   s3cret\r\n", 200, "ws_"},
    {&guarded, "GET /metrics HTTP/1.1\r\nHost: gateway.lan:3000\r\n" BEARER("s3cret"), 200, "ws_"},
    {&guarded, "GET /metrics HTTP/1.1\r\n" HOST BEARER("s3cre"), 401, "unauthorized"},
    {&guarded, "GET /metrics HTTP/1.1\r\n" HOST BEARER("s3cret2"), 401, "unauthorized"},
    {&guarded, "GET /metrics HTTP/1.1\r\n" HOST BEARER("s3creT"), 401, "unauthorized"},
    {&guarded, "GET /metrics HTTP/1.1\r\n" HOST BEARER(""), 401, "unauthorized"},
    {&guarded, "GET /metrics HTTP/1.1\r\n" HOST "Authorization: Basic s3cret\r\n", 401, "unauthorized"},
    {&guarded, "GET /metrics HTTP/1.1\r\n" HOST "Authorization: s3cret\r\n", 401, "unauthorized"},
    {&guarded, "GET /metrics HTTP/1.1\r\n" HOST BEARER("s3cret") BEARER("x"), 401, "unauthorized"},
    {&guarded, "GET /nothing HTTP/1.1\r\n" HOST, 401, "unauthorized"},
    {&guarded, "GET /nothing HTTP/1.1\r\n" HOST BEARER("s3cret"), 404, "not_found"},
    {&guarded, "GET /health/live HTTP/1.1\r\nHost: 192.0.2.7:3000\r\n", 200, "live"},
    {&guarded, "GET /health/ready HTTP/1.1\r\n" HOST, 200, "ready"},
};

START_TEST(answers_requests) {
    char head[512], start[32];
    snprintf(head, sizeof head, "%s\r\n", requests[_i].request);
    snprintf(start, sizeof start, "HTTP/1.1 %d ", requests[_i].status);
    char *answer = ask(requests[_i].site, head);
    ck_assert_msg(!strncmp(answer, start, strlen(start)), "%s -> %s", head, answer);
    ck_assert_msg(strstr(answer, requests[_i].holds) != NULL, "%s -> %s", head, answer);
    unsigned length;
    ck_assert_int_eq(sscanf(strstr(answer, "Content-Length: "), "Content-Length: %u", &length), 1);
    ck_assert_uint_eq(strlen(strstr(answer, "\r\n\r\n") + 4), length);
    free(answer);
}
END_TEST

/* HEAD is GET without the body, refusals too (RFC 9110 section 9.3.2). */
START_TEST(answers_head) {
    static const char *const rests[] = {" /metrics HTTP/1.1\r\n" HOST "\r\n", " /nothing HTTP/1.1\r\n" HOST "\r\n",
                                        " /metrics HTTP/1.1\r\nHost: evil\r\n\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(rests); i++) {
        char get[256], head[256];
        snprintf(get, sizeof get, "GET%s", rests[i]);
        snprintf(head, sizeof head, "HEAD%s", rests[i]);
        char *with_body = ask(&plain, get), *without = ask(&plain, head);
        strstr(with_body, "\r\n\r\n")[4] = '\0';
        ck_assert_str_eq(with_body, without);
        free(with_body);
        free(without);
    }
}
END_TEST

static const struct {
    const char *bound, *field;
    bool allowed;
} hosts[] = {
    {"127.0.0.1", "localhost", true},      {"127.0.0.1", "LocalHost:3000", true},
    {"127.0.0.1", "127.0.0.1:3000", true}, {"127.0.0.1", "127.8.9.10", true},
    {"127.0.0.1", "[::1]:3000", true},     {"127.0.0.1", "[::1]", true},
    {"192.0.2.1", "192.0.2.1:3000", true}, {"gateway.lan", "Gateway.LAN", true},
    {"2001:db8::1", "[2001:db8::1]:1", true}, {"127.0.0.1", "localhost:", true},
    {"127.0.0.1", NULL, false},            {"127.0.0.1", "", false},
    {"127.0.0.1", ":3000", false},         {"127.0.0.1", "localhost.evil.example", false},
    {"127.0.0.1", "127.0.0.1.evil.example", false}, {"127.0.0.1", "128.0.0.1", false},
    {"127.0.0.1", "192.0.2.1", false},     {"127.0.0.1", "127.1", false},
    {"127.0.0.1", "0.0.0.0:3000", false},  {"127.0.0.1", "::1", false},
    {"127.0.0.1", "[::1", false},          {"127.0.0.1", "[::1]evil", false},
    {"127.0.0.1", "[]", false},            {"127.0.0.1", "localhost:80evil", false},
    {"127.0.0.1", "localhost@evil.example", false}, {"0.0.0.0", "evil.example", false}, /* no token here */
    {"192.0.2.1", "evil.example", false},
};

START_TEST(knows_its_hosts) {
    const struct admin_site site = {.host = hosts[_i].bound};
    ck_assert_msg(admin_host_allowed(&site, hosts[_i].field) == hosts[_i].allowed, "%s at %s",
                  hosts[_i].field ? hosts[_i].field : "(none)", hosts[_i].bound);
}
END_TEST

START_TEST(long_hosts_are_refused) {
    char host[1024];
    memset(host, 'a', sizeof host - 1);
    host[sizeof host - 1] = '\0';
    const struct admin_site site = {.host = host};
    ck_assert(!admin_host_allowed(&site, host));
}
END_TEST

/* ---- the page of metrics ---- */

static size_t occurrences(const char *text, const char *what) {
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, what)); p += strlen(what))
        n++;
    return n;
}

START_TEST(page_has_every_metric_once) {
    uint64_t sum[METRIC_COUNT] = {0};
    struct buf page = BUF_INIT;
    count_up(NULL, sum);
    admin_metrics_page(&page, sum, 1700000000123456);
    const char *text = buf_cstr(&page);
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        const struct metric_info *m = &metric_infos[i];
        char line[256];
        snprintf(line, sizeof line, "# TYPE %s %s\n", m->name, m->kind == METRIC_KIND_GAUGE ? "gauge" : "counter");
        ck_assert_msg(occurrences(text, line) == 1, "%s", line);
        snprintf(line, sizeof line, "# HELP %s %s\n", m->name, m->help);
        ck_assert_msg(occurrences(text, line) == 1, "%s", line);
        snprintf(line, sizeof line, m->labels[0] ? "\n%s{%s} %zu\n" : "\n%s%s %zu\n", m->name, m->labels, i + 1);
        ck_assert_msg(occurrences(text, line) == 1, "%s", line);
    }
    ck_assert_uint_eq(occurrences(text, "\nws_messages_bytes_sent_total 7\n"), 1);
    ck_assert_uint_eq(occurrences(text, "# TYPE ws_messages_bytes_sent_total counter\n"), 1);
    ck_assert_uint_eq(occurrences(text, "_total_total"), 0);
    ck_assert_uint_eq(occurrences(text, "active_total"), 0); /* a gauge */
    ck_assert_uint_eq(occurrences(text, "\nmockforge_build_info{version=\"" MF_VERSION "\"} 1\n"), 1);
    ck_assert_uint_eq(occurrences(text, "\nprocess_start_time_seconds 1700000000.123\n"), 1);
    buf_fini(&page);
}
END_TEST

START_TEST(gauges_may_seem_below_zero) {
    uint64_t sum[METRIC_COUNT] = {[METRIC_CONNECTIONS_ACTIVE] = (uint64_t)-1, [METRIC_CONNECTIONS_TOTAL] = UINT64_MAX};
    struct buf page = BUF_INIT;
    admin_metrics_page(&page, sum, 0);
    ck_assert_ptr_nonnull(strstr(buf_cstr(&page), "\nws_connections_active -1\n"));
    ck_assert_ptr_nonnull(strstr(buf_cstr(&page), "\nws_connections_total 18446744073709551615\n"));
    buf_fini(&page);
}
END_TEST

/* ---- docs/metrics.md ---- */

START_TEST(documentation_lists_the_table) {
    static char text[65536];
    FILE *f = fopen("docs/metrics.md", "rb");
    ck_assert_msg(f != NULL, "docs/metrics.md: run this in the root of the source tree");
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        const struct metric_info *m = &metric_infos[i];
        char row[512];
        snprintf(row, sizeof row, m->labels[0] ? "\n| `%s{%s}` | %s | %s |\n" : "\n| `%s%s` | %s | %s |\n", m->name,
                 m->labels, m->kind == METRIC_KIND_GAUGE ? "gauge" : "counter", m->help);
        ck_assert_msg(strstr(text, row) != NULL, "docs/metrics.md lacks this row:%s", row);
    }
    /* And no other: those of the table, and two that every gateway has. */
    ck_assert_uint_eq(occurrences(text, "` | counter | ") + occurrences(text, "` | gauge | "), METRIC_COUNT + 2);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("admin");
    TCase *tc = tcase_create("admin");
    tcase_add_loop_test(tc, answers_requests, 0, (int)ARRAY_LEN(requests));
    tcase_add_test(tc, answers_head);
    tcase_add_loop_test(tc, knows_its_hosts, 0, (int)ARRAY_LEN(hosts));
    tcase_add_test(tc, long_hosts_are_refused);
    tcase_add_test(tc, page_has_every_metric_once);
    tcase_add_test(tc, gauges_may_seem_below_zero);
    tcase_add_test(tc, documentation_lists_the_table);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
