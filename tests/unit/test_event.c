/* The lines of a session file, member by member, and the recorder's short cut for text frames against them. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "recording/event.h"
#include "recording/line.h"

#define BYTES(text)                                                                                                    \
    { (const uint8_t *)(text), sizeof(text) - 1 }

static const struct {
    struct session_event event;
    const char *line;
} lines[] = {
    {{.type = EVENT_RECORDING, .version = 1, .recorded_at_us = 1705314600000000, .generator = "mockforge 0.1.0"},
     "{\"type\":\"recording\",\"version\":1,\"recorded_at\":\"2024-01-15T10:30:00.000Z\",\"generator\":\"mockforge "
     "0.1.0\"}\n"},
    {{.type = EVENT_TEXT, .connection = "conn-1", .timestamp_us = 412, .fin = true, .data = BYTES("{\"a\":1}")},
     "{\"connection\":\"conn-1\",\"timestamp_ms\":0.412,\"direction\":\"incoming\",\"type\":\"text\",\"data\":\"{"
     "\\\"a\\\":1}\"}\n"},
    {{.type = EVENT_BINARY,
      .connection = "conn-1",
      .timestamp_us = 50020,
      .direction = EVENT_OUTGOING,
      .fin = true,
      .data = BYTES("abc")},
     "{\"connection\":\"conn-1\",\"timestamp_ms\":50.02,\"direction\":\"outgoing\",\"type\":\"binary\",\"encoding\":"
     "\"base64\",\"data\":\"YWJj\"}\n"},
    {{.type = EVENT_TEXT, .connection = "conn-1", .timestamp_us = 1000, .fin = true, .data = BYTES("\xff")},
     "{\"connection\":\"conn-1\",\"timestamp_ms\":1,\"direction\":\"incoming\",\"type\":\"text\",\"encoding\":"
     "\"base64\",\"data\":\"/w==\"}\n"},
    {{.type = EVENT_CONTINUATION,
      .connection = "conn-1",
      .timestamp_us = 1000,
      .leg = EVENT_LEG_UPSTREAM,
      .rsv = 4,
      .data = BYTES("x")},
     "{\"connection\":\"conn-1\",\"timestamp_ms\":1,\"direction\":\"incoming\",\"leg\":\"upstream\",\"type\":"
     "\"continuation\",\"fin\":false,\"rsv\":4,\"data\":\"x\"}\n"},
    {{.type = EVENT_TEXT,
      .connection = "conn-1",
      .timestamp_us = 7000,
      .fin = true,
      .frame_offset = 4,
      .frame_size = 5,
      .data = BYTES("e")},
     "{\"connection\":\"conn-1\",\"timestamp_ms\":7,\"direction\":\"incoming\",\"type\":\"text\",\"frame_offset\":4,"
     "\"frame_size\":5,\"data\":\"e\"}\n"},
    {{.type = EVENT_CLOSE,
      .connection = "conn-1",
      .timestamp_us = 90100,
      .direction = EVENT_OUTGOING,
      .code = 1000,
      .reason = BYTES("b\"e")},
     "{\"connection\":\"conn-1\",\"timestamp_ms\":90.1,\"direction\":\"outgoing\",\"type\":\"close\",\"code\":1000,"
     "\"reason\":\"b\\\"e\"}\n"},
    {{.type = EVENT_CLOSE, .connection = "conn-1", .timestamp_us = 0},
     "{\"connection\":\"conn-1\",\"timestamp_ms\":0,\"direction\":\"incoming\",\"type\":\"close\",\"reason\":\"\"}\n"},
    {{.type = EVENT_END,
      .connection = "conn-1",
      .timestamp_us = 95000,
      .by = "upstream",
      .reason = BYTES("upstream_lost")},
     "{\"connection\":\"conn-1\",\"timestamp_ms\":95,\"type\":\"end\",\"by\":\"upstream\",\"reason\":\"upstream_lost\"}"
     "\n"},
    {{.type = EVENT_END,
      .connection = "conn-1",
      .timestamp_us = 95000,
      .by = "client",
      .reason = BYTES("normal"),
      .code = 1000},
     "{\"connection\":\"conn-1\",\"timestamp_ms\":95,\"type\":\"end\",\"by\":\"client\",\"reason\":\"normal\",\"code\":"
     "1000}\n"},
    {{.type = EVENT_GAP, .connection = "conn-1", .timestamp_us = 70000, .gap_frames = 12, .gap_bytes = 3480},
     "{\"connection\":\"conn-1\",\"timestamp_ms\":70,\"type\":\"gap\",\"frames\":12,\"bytes\":3480}\n"},
    {{.type = EVENT_FAULT,
      .connection = "conn-1",
      .timestamp_us = 71000,
      .direction = EVENT_OUTGOING,
      .fault = "delay"},
     "{\"connection\":\"conn-1\",\"timestamp_ms\":71,\"direction\":\"outgoing\",\"type\":\"fault\",\"fault\":\"delay\"}"
     "\n"},
};

START_TEST(each_type_has_its_line) {
    struct buf out = BUF_INIT;
    ck_assert_int_eq(event_write_line(&out, &lines[_i].event), MF_OK);
    ck_assert_str_eq(buf_cstr(&out), lines[_i].line);
    buf_fini(&out);
}
END_TEST

START_TEST(open_lists_headers_once_by_name) {
    struct headers h = {0};
    ck_assert_int_eq(headers_add(&h, "Host", "localhost"), MF_OK);
    ck_assert_int_eq(headers_add(&h, "X-A", "1"), MF_OK);
    ck_assert_int_eq(headers_add(&h, "Via", "p"), MF_OK);
    ck_assert_int_eq(headers_add(&h, "x-a", "2\""), MF_OK);
    struct session_event e = {.type = EVENT_OPEN,
                              .connection = "conn-7",
                              .timestamp_us = 120,
                              .path = "/ws",
                              .query = "a=b",
                              .request_headers = &h,
                              .continued = true};
    struct buf out = BUF_INIT;
    ck_assert_int_eq(event_write_line(&out, &e), MF_OK);
    ck_assert_str_eq(
        buf_cstr(&out),
        "{\"type\":\"open\",\"connection\":\"conn-7\",\"timestamp_ms\":0.12,\"path\":\"/ws\",\"query\":\"a=b\","
        "\"remote_addr\":null,\"upstream\":null,\"request_headers\":{\"Host\":\"localhost\",\"X-A\":[\"1\",\"2\\\"\"],"
        "\"Via\":\"p\"},\"response_headers\":{},\"subprotocol\":null,\"continued\":true}\n");
    buf_fini(&out);
    headers_fini(&h);
}
END_TEST

/* Text of every kind of byte; now and then not UTF-8. */
static size_t random_text(struct rng *rng, uint8_t *out, size_t max) {
    static const char *const pieces[] = {"\"",
                                         "\\",
                                         "\n",
                                         "\x01",
                                         "\x1f",
                                         "\x7f",
                                         "gr\xc3\xbc\xc3\x9f",
                                         "\xf0\x9f\x98\x80",
                                         "plain text of some length",
                                         "{\"key\":",
                                         "\t\r\b\f"};
    size_t len = (size_t)rng_range(rng, 0, (int64_t)max), at = 0;
    while (at < len) {
        const char *p = pieces[rng_range(rng, 0, ARRAY_LEN(pieces) - 1)];
        size_t n = MIN(strlen(p), len - at);
        if (n < strlen(p) && (uint8_t)p[0] >= 0x80)
            break;
        memcpy(out + at, p, n);
        at += n;
    }
    if (at && rng_range(rng, 0, 9) == 0)
        out[rng_range(rng, 0, (int64_t)at - 1)] = (uint8_t)rng_range(rng, 0, 255);
    return at;
}

START_TEST(the_short_cut_writes_the_same) {
    struct rng rng;
    rng_init(&rng, 7);
    struct line_prefix prefix;
    line_prefix_init(&prefix, "conn-123");
    unsigned taken = 0, refused = 0;
    for (unsigned i = 0; i < 20000; i++) {
        size_t max = i % 100 ? 300 : 20000;
        uint8_t *text = malloc(max + 1); /* exact sizes, so that a sanitizer sees a read too far */
        size_t len = random_text(&rng, text, max);
        text = realloc(text, len ? len : 1);
        struct session_event e = {.type = EVENT_TEXT,
                                  .connection = "conn-123",
                                  .timestamp_us = (uint64_t)rng_range(&rng, 0, 1000000000),
                                  .direction = rng_range(&rng, 0, 1) ? EVENT_OUTGOING : EVENT_INCOMING,
                                  .leg = rng_range(&rng, 0, 1) ? EVENT_LEG_UPSTREAM : EVENT_LEG_CLIENT,
                                  .fin = true,
                                  .data = {text, len}};
        struct buf slow = BUF_INIT, fast = BUF_INIT;
        buf_puts(&fast, "before\n");
        ck_assert_int_eq(event_write_line(&slow, &e), MF_OK);
        if (line_text_frame(&fast, &prefix, e.timestamp_us, e.direction, e.leg, text, len)) {
            ck_assert_uint_eq(fast.len - 7, slow.len);
            ck_assert_mem_eq(fast.data + 7, slow.data, slow.len);
            taken++;
        } else {
            ck_assert_ptr_nonnull(strstr(buf_cstr(&slow), "\"encoding\":\"base64\""));
            ck_assert_uint_eq(fast.len, 7);
            refused++;
        }
        buf_fini(&slow);
        buf_fini(&fast);
        free(text);
    }
    ck_assert_uint_gt(taken, 15000);
    ck_assert_uint_gt(refused, 100);
}
END_TEST

START_TEST(every_byte_is_escaped_alike) {
    struct line_prefix prefix;
    line_prefix_init(&prefix, "conn-1");
    for (unsigned c = 0; c < 128; c++)
        for (size_t at = 0; at < 40; at++) {
            uint8_t text[40];
            memset(text, 'a', sizeof text);
            text[at] = (uint8_t)c;
            struct session_event e = {
                .type = EVENT_TEXT, .connection = "conn-1", .fin = true, .data = {text, sizeof text}};
            struct buf slow = BUF_INIT, fast = BUF_INIT;
            ck_assert_int_eq(event_write_line(&slow, &e), MF_OK);
            ck_assert(line_text_frame(&fast, &prefix, 0, EVENT_INCOMING, EVENT_LEG_CLIENT, text, sizeof text));
            ck_assert_uint_eq(fast.len, slow.len);
            ck_assert_mem_eq(fast.data, slow.data, slow.len);
            buf_fini(&slow);
            buf_fini(&fast);
        }
}
END_TEST

int main(void) {
    Suite *s = suite_create("event");
    TCase *t = tcase_create("lines");
    tcase_add_loop_test(t, each_type_has_its_line, 0, ARRAY_LEN(lines));
    tcase_add_test(t, open_lists_headers_once_by_name);
    tcase_add_test(t, the_short_cut_writes_the_same);
    tcase_add_test(t, every_byte_is_escaped_alike);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
