/* What a driving client reads, how it opens, and what its report is made of: the parts that need no socket. */
#include <check.h>
#include <stdlib.h>

#include "drive/driver.h"
#include "drive/inbound.h"
#include "drive/latencies.h"
#include "drive/opening.h"

/* ---- frames that come ---- */

#define LIMIT 64u /* bytes of a message here */

/* What a stream of frames is, in words: "text:hi ping:p close:1000". A failure ends it: "!1002 reserved opcode". */
static void describe(struct buf *out, struct inbound *in, enum inbound_step step) {
    buf_puts(out, out->len ? " " : "");
    switch (step) {
    case INBOUND_MORE:
        break;
    case INBOUND_MESSAGE:
        ck_assert_uint_eq(in->message.data[in->message.len], 0);
        buf_puts(out, in->binary ? "binary:" : "text:");
        buf_append(out, in->message.data, in->message.len);
        break;
    case INBOUND_PING:
    case INBOUND_PONG:
        buf_puts(out, step == INBOUND_PING ? "ping:" : "pong:");
        buf_append(out, in->control, in->control_len);
        break;
    case INBOUND_CLOSE:
        buf_printf(out, "close:%u:%.*s", in->code, (int)in->reason_len, in->reason);
        break;
    case INBOUND_FAILED:
        buf_printf(out, "!%u %s", in->code, in->why);
        break;
    }
}

/* Fed in pieces of `piece` bytes. */
static void read_stream(struct buf *out, const uint8_t *data, size_t len, size_t piece) {
    struct inbound in;
    bool over = false;
    inbound_init(&in, LIMIT, NULL);
    for (size_t at = 0; at < len && !over; at += piece) {
        const uint8_t *p = data + at;
        size_t n = MIN(piece, len - at);
        enum inbound_step step;
        while (!over && (step = inbound_next(&in, &p, &n)) != INBOUND_MORE) {
            describe(out, &in, step);
            over = step == INBOUND_CLOSE || step == INBOUND_FAILED;
        }
        ck_assert(over || n == 0);
    }
    inbound_fini(&in);
}

#define BYTES(s) s, sizeof(s) - 1
static const struct {
    const char *data;
    size_t len;
    const char *want;
} streams[] = {
    {BYTES("\x81\x02hi"), "text:hi"},
    {BYTES("\x81\x00\x82\x00"), "text: binary:"},
    {BYTES("\x82\x03\x00\xff\x80"
           "\x81\x01x"),
     "binary:" /* as far as the NUL in it */},
    {BYTES("\x01\x01"
           "a\x89\x01p\x00\x01"
           "b\x8a\x00\x80\x01"
           "c"),
     "ping:p pong: text:abc"},
    {BYTES("\x01\x02\xc3\xa4\x80\x00"), "text:\xc3\xa4"},
    {BYTES("\x01\x01\xc3\x80\x01\xa4"), "text:\xc3\xa4"}, /* a character across two frames */
    {BYTES("\x88\x00"), "close:1005:"},
    {BYTES("\x88\x05\x03\xe8"
           "bye\x81\x01x"),
     "close:1000:bye"}, /* nothing counts behind it */
    {BYTES("\x88\x01\x03"), "!1002 close frame with an invalid code"},
    {BYTES("\x88\x02\x03\xee"), "!1002 close frame with an invalid code"}, /* 1006 is never on the wire */
    {BYTES("\x88\x03\x03\xe8\xff"), "!1007 close reason that is not UTF-8"},
    {BYTES("\x81\x81\x01\x02\x03\x04x"), "!1002 masked frame from a server"},
    {BYTES("\xc1\x01x"), "!1002 reserved bit without an extension"},
    {BYTES("\x83\x00"), "!1002 reserved opcode"},
    {BYTES("\x80\x01x"), "!1002 continuation without a message"},
    {BYTES("\x01\x01x\x81\x01y"), "!1002 new message inside a fragmented one"},
    {BYTES("\x09\x00"), "!1002 fragmented control frame"},
    {BYTES("\x89\x7e\x00\x7e"), "!1002 control frame over 125 bytes"},
    {BYTES("\x81\x7e\x00\x05hello"), "!1002 broken frame header"},
    {BYTES("\x81\x01\xff"), "!1007 text that is not UTF-8"},
    {BYTES("\x81\x01\xc3"), "!1007 text that is not UTF-8"}, /* half a character at the end */
    {BYTES("\x82\x41"), "!1009 message too big"},
    {BYTES("\x82\x7f\x40\x00\x00\x00\x00\x00\x00\x00"), "!1009 message too big"},
    {BYTES("\x81\x02hi\x83\x00"), "text:hi !1002 reserved opcode"},
};

START_TEST(frames_in_pieces) {
    const uint8_t *data = (const uint8_t *)streams[_i].data;
    struct buf whole = BUF_INIT;
    read_stream(&whole, data, streams[_i].len, streams[_i].len);
    ck_assert_str_eq(buf_cstr(&whole), streams[_i].want);
    for (size_t piece = 1; piece < streams[_i].len; piece++) {
        struct buf cut = BUF_INIT;
        read_stream(&cut, data, streams[_i].len, piece);
        ck_assert_uint_eq(cut.len, whole.len);
        ck_assert_mem_eq(cut.data, whole.data, whole.len);
        buf_fini(&cut);
    }
    buf_fini(&whole);
}
END_TEST

START_TEST(fragments_together_are_bounded) {
    static const uint8_t first[] = {0x02, 0x28}, next[] = {0x00, 0x28};
    uint8_t stream[2 * 42] = {0};
    struct buf out = BUF_INIT;
    memcpy(stream, first, 2);
    memcpy(stream + 42, next, 2);
    read_stream(&out, stream, sizeof stream, sizeof stream);
    ck_assert_str_eq(buf_cstr(&out), "!1009 message too big");
    buf_fini(&out);
}
END_TEST

START_TEST(a_declared_length_costs_nothing) {
    static const uint8_t header[] = {0x82, 0x7f, 0, 0, 0, 0, 0x04, 0, 0, 0}; /* 64 MiB */
    const uint8_t *p = header;
    size_t n = sizeof header;
    struct inbound in;
    inbound_init(&in, INBOUND_MESSAGE_MAX, NULL);
    ck_assert_int_eq(inbound_next(&in, &p, &n), INBOUND_MORE);
    ck_assert_uint_eq(in.message.cap, 0);
    inbound_fini(&in);
}
END_TEST

/* ---- the opening handshake ---- */

static const struct {
    const char *target, *path, *query; /* query, path: the recorded ones */
    const char *want, *left_out;
} targets[] = {
    {"ws://h", "/chat", NULL, "/chat", ""},
    {"ws://h/", "/chat", "a=1", "/chat?a=1", ""},
    {"ws://h/", NULL, NULL, "/", ""},
    {"ws://h/x", "/chat", "a=1", "/x?a=1", ""},
    {"ws://h/?b=2", "/chat", "a=1", "/chat?b=2", ""},
    {"ws://h/x?b=2", "/chat", "a=1", "/x?b=2", ""},
    {"ws://h/", "/c", "a=1&token=[redacted]&b=2", "/c?a=1&b=2", "token (query)"},
    {"ws://h/", "/c", "key=%5Bredacted%5D", "/c", "key (query)"},
    {"ws://h/", "/c", "&&a=1&", "/c?a=1", ""},
    {"ws://h/", "no slash", "a=\xc3\xa4#", "/no%20slash?a=%C3%A4%23", ""},
};

START_TEST(request_target) {
    struct replay_connection recorded = {.path = targets[_i].path, .query = targets[_i].query};
    struct opening o;
    struct url url;
    struct err err;
    struct buf left_out = BUF_INIT;
    ck_assert_int_eq(url_parse(&url, targets[_i].target, &err), MF_OK);
    ck_assert_int_eq(opening_build(&o, &url, &recorded, NULL, &left_out), MF_OK);
    ck_assert_str_eq(o.path, targets[_i].want);
    ck_assert_str_eq(o.host, "h");
    ck_assert_str_eq(buf_cstr(&left_out), targets[_i].left_out);
    buf_fini(&left_out);
    opening_fini(&o);
    url_fini(&url);
}
END_TEST

static void add(struct headers *h, const char *name, const char *value) {
    ck_assert_int_eq(headers_add(h, name, value), MF_OK);
}

START_TEST(request_fields) {
    struct replay_connection recorded = {.path = "/", .subprotocol = "v2"};
    struct headers extra = {0};
    struct opening o;
    struct url url;
    struct err err;
    struct buf left_out = BUF_INIT;
    static const char *const gone[] = {"Connection",
                                       "Upgrade",
                                       "Host",
                                       "X-Hop",
                                       "Sec-WebSocket-Key",
                                       "Authorization",
                                       "Sec-WebSocket-Version",
                                       "Sec-WebSocket-Extensions",
                                       "Proxy-Authorization"};
    for (size_t i = 0; i < ARRAY_LEN(gone); i++)
        add(&recorded.request_headers, gone[i],
            i == 0                              ? "Upgrade, X-Hop"
            : !strcmp(gone[i], "Authorization") ? "[redacted]"
                                                : "v");
    add(&recorded.request_headers, "X-Two", "1");
    add(&recorded.request_headers, "x-two", "2");
    add(&recorded.request_headers, "Cookie", "a=1");
    add(&recorded.request_headers, "X-Api-Key", "[redacted]");
    /* No field that HTTP allows: a recording may come from anywhere. */
    add(&recorded.request_headers, "X-Injected: 1\r\nX-Other", "v");
    add(&recorded.request_headers, "X-Lines", "v\r\nX-Other: 1");
    add(&recorded.request_headers, "", "v");
    add(&extra, "cookie", "mine=1");
    add(&extra, "X-API-key", "given");
    add(&extra, "Host", "virtual.example");
    ck_assert_int_eq(url_parse(&url, "wss://h:444/", &err), MF_OK);
    ck_assert_int_eq(opening_build(&o, &url, &recorded, &extra, &left_out), MF_OK);
    ck_assert_str_eq(o.host, "virtual.example");
    for (size_t i = 0; i < ARRAY_LEN(gone); i++)
        ck_assert_msg(!headers_count(&o.fields, gone[i]), "%s", gone[i]);
    ck_assert_uint_eq(headers_count(&o.fields, "X-Two"), 2);
    ck_assert_uint_eq(headers_count(&o.fields, "Cookie"), 1);
    ck_assert_str_eq(headers_get(&o.fields, "Cookie"), "mine=1");
    ck_assert_str_eq(headers_get(&o.fields, "X-Api-Key"), "given");
    ck_assert_str_eq(headers_get(&o.fields, "Sec-WebSocket-Protocol"), "v2");
    ck_assert_uint_eq(o.fields.count, 5);
    ck_assert_str_eq(buf_cstr(&left_out), "Authorization"); /* what --header gives is not missing */
    buf_fini(&left_out);
    opening_fini(&o);
    url_fini(&url);
    headers_fini(&extra);
    headers_fini(&recorded.request_headers);
}
END_TEST

START_TEST(left_out_names_come_once) {
    struct replay_connection recorded = {.path = "/", .query = "token=[redacted]&token=[redacted]"};
    struct buf left_out = BUF_INIT;
    struct opening o;
    struct url url;
    struct err err;
    add(&recorded.request_headers, "Cookie", "[redacted]");
    ck_assert_int_eq(url_parse(&url, "ws://h/", &err), MF_OK);
    for (unsigned i = 0; i < 3; i++) { /* as for three connections */
        ck_assert_int_eq(opening_build(&o, &url, &recorded, NULL, &left_out), MF_OK);
        opening_fini(&o);
    }
    ck_assert_str_eq(buf_cstr(&left_out), "token (query), Cookie");
    buf_fini(&left_out);
    url_fini(&url);
    headers_fini(&recorded.request_headers);
}
END_TEST

START_TEST(fields_that_users_may_give) {
    static const char *const good[] = {"Host", "Cookie", "X-A", "Sec-WebSocket-Protocol", "origin"};
    static const char *const bad[] = {"Connection",        "upgrade",
                                      "Sec-WebSocket-Key", "sec-websocket-extensions",
                                      "Content-Length",    "Transfer-Encoding"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        ck_assert_msg(drive_header_allowed(good[i]), "%s", good[i]);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(!drive_header_allowed(bad[i]), "%s", bad[i]);
}
END_TEST

/* ---- latencies ---- */

START_TEST(percentiles) {
    struct latencies *l = calloc(1, sizeof *l);
    struct drive_latency sum;
    ck_assert_ptr_nonnull(l);
    latencies_sum(l, &sum);
    ck_assert_uint_eq(sum.count, 0);
    for (uint64_t us = 1; us <= 100000; us++)
        latencies_add(l, us);
    latencies_sum(l, &sum);
    ck_assert_uint_eq(sum.count, 100000);
    ck_assert_uint_eq(sum.max_us, 100000);
    const uint64_t found[] = {sum.p50_us, sum.p90_us, sum.p99_us}, exact[] = {50000, 90000, 99000};
    for (size_t i = 0; i < ARRAY_LEN(exact); i++) {
        ck_assert_uint_ge(found[i], exact[i]);
        ck_assert_uint_le(found[i], exact[i] + exact[i] * 4 / 100);
    }
    free(l);
}
END_TEST

START_TEST(one_latency_is_all_percentiles) {
    static const uint64_t values[] = {0, 1, 31, 32, 33, 63, 64, 1000003, UINT64_MAX / 2, UINT64_MAX};
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        struct latencies *l = calloc(1, sizeof *l);
        struct drive_latency sum;
        ck_assert_ptr_nonnull(l);
        latencies_add(l, values[i]);
        latencies_sum(l, &sum);
        ck_assert_uint_eq(sum.p50_us, values[i]);
        ck_assert_uint_eq(sum.p99_us, values[i]);
        ck_assert_uint_eq(sum.max_us, values[i]);
        free(l);
    }
}
END_TEST

/* ---- the hint ---- */

static const struct {
    const char *paths[4]; /* of differing values; "": a whole message is missing */
    size_t most;
    const char *want;
} hints[] = {
    {{NULL}, 3, ""},
    {{"/a", "/a"}, 3, "--ignore /a"},
    {{"/a", "/b/c"}, 3, "--ignore /a --ignore /b/c"},
    {{"/items/0/id", "/items/1/id", "/items/12/id"}, 1, "--ignore '/items/*/id'"},
    {{"/a", "/b", "/c"}, 2, ""},
    {{"/a", ""}, 3, ""},
    {{"/@word/3", "/@word/4"}, 3, "--ignore /@word/3 --ignore /@word/4"},
    {{"/it's"}, 3, "--ignore '/it'\\''s'"},
    {{"/a~1b"}, 3, "--ignore '/a~1b'"},
};

START_TEST(hint) {
    struct difference items[4] = {0};
    struct drive_case c = {.comparison = {.items = items}};
    struct buf out = BUF_INIT;
    for (size_t i = 0; i < 4 && hints[_i].paths[i]; i++) {
        items[i].path = (char *)(uintptr_t)hints[_i].paths[i];
        items[i].kind = *hints[_i].paths[i] ? DIFFERENT_VALUE : MISSING_MESSAGE;
        c.comparison.count++;
    }
    c.comparison.total = c.comparison.count;
    drive_hint(&out, &c, 1, hints[_i].most);
    ck_assert_str_eq(buf_cstr(&out), hints[_i].want);
    buf_reset(&out);
    c.comparison.total++; /* one that was not kept: nobody knows whether the options would do */
    drive_hint(&out, &c, 1, hints[_i].most);
    ck_assert_uint_eq(out.len, 0);
    buf_fini(&out);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("drive");
    TCase *tc = tcase_create("drive");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, frames_in_pieces, 0, ARRAY_LEN(streams));
    tcase_add_test(tc, fragments_together_are_bounded);
    tcase_add_test(tc, a_declared_length_costs_nothing);
    tcase_add_loop_test(tc, request_target, 0, ARRAY_LEN(targets));
    tcase_add_test(tc, request_fields);
    tcase_add_test(tc, left_out_names_come_once);
    tcase_add_test(tc, fields_that_users_may_give);
    tcase_add_test(tc, percentiles);
    tcase_add_test(tc, one_latency_is_all_percentiles);
    tcase_add_loop_test(tc, hint, 0, ARRAY_LEN(hints));
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
