/* The opening handshake, both sides. */
#include <check.h>
#include <stdlib.h>

#include "protocol/handshake.h"
#include "protocol/text.h"

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

/* The example of RFC 6455 section 1.3. */
START_TEST(accept_of_the_rfc) {
    char out[WS_ACCEPT_LEN];
    ck_assert_str_eq(ws_accept(KEY, out), ACCEPT);
}
END_TEST

START_TEST(keys) {
    char a[WS_KEY_LEN], b[WS_KEY_LEN];
    struct buf raw = BUF_INIT;
    ck_assert_int_eq(base64_decode(&raw, ws_key(a), sizeof a - 1), MF_OK);
    ck_assert_uint_eq(raw.len, 16);
    ck_assert_str_ne(a, ws_key(b));
    buf_fini(&raw);
}
END_TEST

/* -- server side --------------------------------------------------------------------------------------------------- */

#define GET "GET /ws HTTP/1.1\r\nHost: h\r\n"
#define UP "Upgrade: websocket\r\n"
#define CO "Connection: Upgrade\r\n"
#define VE "Sec-WebSocket-Version: 13\r\n"
#define KE "Sec-WebSocket-Key: " KEY "\r\n"

static const struct {
    const char *head;
    int status;
} requests[] = {
    {GET UP CO VE KE, 0},
    {GET "upgrade: WebSocket\r\nconnection: keep-alive, UPGRADE\r\n" VE KE, 0},
    {GET "Upgrade: h2c, websocket\r\n" CO VE KE, 0},
    {GET UP "Connection: keep-alive\r\nConnection: Upgrade\r\n" VE KE, 0},
    {GET UP CO VE KE "Sec-WebSocket-Extensions: permessage-deflate\r\nContent-Length: 0\r\n", 0},
    {GET UP CO VE "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAB==\r\n", 0}, /* spare bits set, as some clients do */
    {GET, 426},
    {GET CO VE KE, 426},
    {GET "Upgrade: h2c\r\n" CO VE KE, 426},
    {GET "Upgrade: websocketx\r\n" CO VE KE, 426},
    {"GET /ws HTTP/1.0\r\nHost: h\r\n" UP CO VE KE, 426},
    {"POST /ws HTTP/1.1\r\nHost: h\r\n" UP CO VE KE, 405},
    {"get /ws HTTP/1.1\r\nHost: h\r\n" UP CO VE KE, 405},
    {GET UP VE KE, 400},
    {GET UP "Connection: keep-alive\r\n" VE KE, 400},
    {GET UP CO KE, 400},
    {GET UP CO VE VE KE, 400},
    {GET UP CO "Sec-WebSocket-Version: 8\r\n" KE, 426},
    {GET UP CO "Sec-WebSocket-Version: 13, 8\r\n" KE, 426},
    {GET UP CO VE, 400},
    {GET UP CO VE KE KE, 400},
    {GET UP CO VE "Sec-WebSocket-Key:\r\n", 400},
    {GET UP CO VE "Sec-WebSocket-Key: AAAA\r\n", 400},
    {GET UP CO VE "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAA=\r\n", 400}, /* 17 bytes */
    {GET UP CO VE "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA*A==\r\n", 400},
    {GET UP CO VE "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA===\r\n", 400},
    {GET UP CO VE KE "Content-Length: 1\r\n", 400},
    {GET UP CO VE KE "Transfer-Encoding: chunked\r\n", 400},
};

static void parse_request(struct http_head *h, const char *fields) {
    struct buf b = BUF_INIT;
    buf_printf(&b, "%s\r\n", fields);
    const char *why = NULL;
    int rc = http_request_parse(h, (const char *)b.data, b.len, &why);
    ck_assert_msg(rc == MF_OK, "%s", why);
    buf_fini(&b);
}

START_TEST(request_check) {
    struct http_head h;
    const char *why = NULL;
    parse_request(&h, requests[_i].head);
    int status = ws_request_check(&h, &why);
    ck_assert_msg(status == requests[_i].status, "%d (%s) for %s", status, why, requests[_i].head);
    ck_assert(status == 0 || (why && *why));
    http_head_fini(&h);
}
END_TEST

/* -- client side --------------------------------------------------------------------------------------------------- */

#define OK101 "HTTP/1.1 101 Switching Protocols\r\n"
#define AC "Sec-WebSocket-Accept: " ACCEPT "\r\n"

static const struct {
    const char *head;
    const char *offered; /* our Sec-WebSocket-Protocol */
    int result;
} responses[] = {
    {OK101 UP CO AC, NULL, MF_OK},
    {OK101 "upgrade: WebSocket\r\nconnection: upgrade\r\n" AC, NULL, MF_OK},
    {OK101 UP CO AC, "a, b", MF_OK}, /* none chosen */
    {OK101 UP CO AC "Sec-WebSocket-Protocol: b\r\n", "a, b", MF_OK},
    {OK101 UP CO AC "Sec-WebSocket-Protocol: a\r\n", "a", MF_OK},
    {OK101 UP CO AC "Sec-WebSocket-Protocol: c\r\n", "a, b", MF_EPROTO},
    {OK101 UP CO AC "Sec-WebSocket-Protocol: B\r\n", "a, b", MF_EPROTO},
    {OK101 UP CO AC "Sec-WebSocket-Protocol: a, b\r\n", "a, b", MF_EPROTO},
    {OK101 UP CO AC "Sec-WebSocket-Protocol:\r\n", "a, b", MF_EPROTO},
    {OK101 UP CO AC "Sec-WebSocket-Protocol: a\r\n", NULL, MF_EPROTO},
    {OK101 UP CO AC "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: a\r\n", "a", MF_EPROTO},
    {"HTTP/1.1 200 OK\r\n" UP CO AC, NULL, MF_EPROTO},
    {"HTTP/1.0 101 OK\r\n" UP CO AC, NULL, MF_EPROTO},
    {OK101 CO AC, NULL, MF_EPROTO},
    {OK101 UP AC, NULL, MF_EPROTO},
    {OK101 UP CO, NULL, MF_EPROTO},
    {OK101 UP CO AC AC, NULL, MF_EPROTO},
    {OK101 UP CO "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", NULL, MF_EPROTO},
    {OK101 UP CO AC "Sec-WebSocket-Extensions: permessage-deflate\r\n", NULL, MF_EPROTO},
};

START_TEST(response_check) {
    struct buf b = BUF_INIT;
    buf_printf(&b, "%s\r\n", responses[_i].head);
    struct http_head h;
    const char *why = NULL;
    ck_assert_int_eq(http_response_parse(&h, (const char *)b.data, b.len, &why), MF_OK);
    struct headers offered = {0};
    if (responses[_i].offered)
        ck_assert_int_eq(headers_add(&offered, "sec-websocket-protocol", responses[_i].offered), MF_OK);
    int rc = ws_response_check(&h, KEY, &offered, &why);
    ck_assert_msg(rc == responses[_i].result, "%d (%s) for %s", rc, why, responses[_i].head);
    ck_assert(rc == MF_OK || (why && *why));
    headers_fini(&offered);
    http_head_fini(&h);
    buf_fini(&b);
}
END_TEST

/* -- both ---------------------------------------------------------------------------------------------------------- */

START_TEST(what_we_write_we_accept) {
    struct headers fields = {0};
    ck_assert_int_eq(headers_add(&fields, "Origin", "http://h"), MF_OK);
    ck_assert_int_eq(headers_add(&fields, "Sec-WebSocket-Protocol", "chat, v2"), MF_OK);
    char key[WS_KEY_LEN];
    struct buf b = BUF_INIT;
    ws_request_write(&b, "h:81", "/ws?x=1", ws_key(key), &fields);
    struct http_head request, response;
    const char *why;
    ck_assert_int_eq(http_head_end((const char *)b.data, b.len, 0), (int)b.len);
    ck_assert_int_eq(http_request_parse(&request, (const char *)b.data, b.len, &why), MF_OK);
    ck_assert_int_eq(ws_request_check(&request, &why), 0);
    ck_assert_str_eq(request.target, "/ws?x=1");
    ck_assert_str_eq(headers_get(&request.headers, "host"), "h:81");
    ck_assert_str_eq(headers_get(&request.headers, "origin"), "http://h");

    struct headers extra = {0};
    ck_assert_int_eq(headers_add(&extra, "X-Extra", "1"), MF_OK);
    buf_reset(&b);
    ws_response_write(&b, headers_get(&request.headers, "Sec-WebSocket-Key"), "v2", &extra);
    ck_assert_int_eq(http_head_end((const char *)b.data, b.len, 0), (int)b.len);
    ck_assert_int_eq(http_response_parse(&response, (const char *)b.data, b.len, &why), MF_OK);
    ck_assert_int_eq(ws_response_check(&response, key, &request.headers, &why), MF_OK);
    ck_assert_str_eq(headers_get(&response.headers, "x-extra"), "1");
    buf_reset(&b);
    ws_response_write(&b, key, NULL, NULL);
    ck_assert_ptr_null(strstr(buf_cstr(&b), "Protocol:"));
    http_head_fini(&request);
    http_head_fini(&response);
    headers_fini(&fields);
    headers_fini(&extra);
    buf_fini(&b);
}
END_TEST

START_TEST(offered_subprotocols) {
    struct headers fields = {0};
    ck_assert_int_eq(headers_add(&fields, "Sec-WebSocket-Protocol", "chat,\tv2 , V3"), MF_OK);
    ck_assert_int_eq(headers_add(&fields, "sec-websocket-protocol", "last"), MF_OK);
    static const char *const offered[] = {"chat", "v2", "V3", "last"}, *const others[] = {"Chat", "v3", "cha", "chat2", "LAST"};
    for (size_t i = 0; i < ARRAY_LEN(offered); i++)
        ck_assert_msg(ws_subprotocol_offered(&fields, offered[i]), "%s", offered[i]);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        ck_assert_msg(!ws_subprotocol_offered(&fields, others[i]), "%s", others[i]);
    headers_fini(&fields);
}
END_TEST

/* A template can put what a client sent into a field: it stays one field. */
START_TEST(values_cannot_add_fields) {
    struct headers fields = {0};
    ck_assert_int_eq(headers_add(&fields, "X-User", "a\r\nX-Admin: yes"), MF_OK);
    struct buf b = BUF_INIT;
    ws_request_write(&b, "h", "/", KEY, &fields);
    struct http_head h;
    const char *why;
    ck_assert_int_eq(http_request_parse(&h, (const char *)b.data, b.len, &why), MF_OK);
    ck_assert_ptr_null(headers_get(&h.headers, "X-Admin"));
    ck_assert_str_eq(headers_get(&h.headers, "X-User"), "a  X-Admin: yes");
    http_head_fini(&h);
    headers_fini(&fields);
    buf_fini(&b);
}
END_TEST

START_TEST(hop_headers) {
    struct headers all = {0};
    ck_assert_int_eq(headers_add(&all, "Connection", "Upgrade, X-Hop"), MF_OK);
    static const char *const hop[] = {"connection", "Keep-Alive", "Proxy-Authorization", "proxy-connection", "TE",
                                      "Trailer", "transfer-encoding", "Upgrade", "HOST", "Sec-WebSocket-Key",
                                      "Sec-WebSocket-Version", "Sec-WebSocket-Extensions", "Sec-WebSocket-Accept",
                                      "Content-Length", "x-hop"};
    static const char *const end_to_end[] = {"Authorization", "Cookie", "Origin", "Sec-WebSocket-Protocol", "X-Hope",
                                             "User-Agent", "Proxy"};
    for (size_t i = 0; i < ARRAY_LEN(hop); i++)
        ck_assert_msg(ws_is_hop_header(&all, hop[i]), "%s", hop[i]);
    for (size_t i = 0; i < ARRAY_LEN(end_to_end); i++)
        ck_assert_msg(!ws_is_hop_header(&all, end_to_end[i]), "%s", end_to_end[i]);
    headers_fini(&all);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("handshake");
    TCase *tc = tcase_create("handshake");
    tcase_add_test(tc, accept_of_the_rfc);
    tcase_add_test(tc, keys);
    tcase_add_loop_test(tc, request_check, 0, ARRAY_LEN(requests));
    tcase_add_loop_test(tc, response_check, 0, ARRAY_LEN(responses));
    tcase_add_test(tc, what_we_write_we_accept);
    tcase_add_test(tc, offered_subprotocols);
    tcase_add_test(tc, values_cannot_add_fields);
    tcase_add_test(tc, hop_headers);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
