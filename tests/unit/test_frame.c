/* Frame headers, the rules of a stream, close payloads, and frames written through wslay. */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/rng.h"
#include "protocol/frame.h"
#include "protocol/mask.h"

#include "../fuzz/fuzz_frame.c"

/* -- header -------------------------------------------------------------------------------------------------------- */

static const struct {
    uint8_t bytes[FRAME_HEADER_MAX];
    int size; /* what frame_header_read() returns for all of them */
    uint64_t length;
} headers[] = {
    {{0x81, 0x05}, 2, 5},
    {{0x81, 0x85, 1, 2, 3, 4}, 6, 5},
    {{0x01, 0x7d}, 2, 125},
    {{0x82, 0x7e, 0x00, 0x7e}, 4, 126},
    {{0x82, 0x7e, 0xff, 0xff}, 4, 65535},
    {{0x82, 0xfe, 0xff, 0xff, 1, 2, 3, 4}, 8, 65535},
    {{0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0}, 10, 65536},
    {{0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4}, 14, INT64_MAX},
    {{0x82, 0x7e, 0x00, 0x7d}, MF_EPROTO, 0},                /* 125 fits in seven bits */
    {{0x82, 0x7e, 0x00, 0x00}, MF_EPROTO, 0},
    {{0x82, 0x7f, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, MF_EPROTO, 0}, /* 65535 fits in sixteen */
    {{0x82, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0}, MF_EPROTO, 0},    /* the top bit */
};

START_TEST(header) {
    struct frame_header h;
    const uint8_t *p = headers[_i].bytes;
    size_t whole = headers[_i].size > 0 ? (size_t)headers[_i].size : ((p[1] & 127) == 126 ? 4 : 10);
    for (size_t n = 0; n < whole; n++)
        ck_assert_int_eq(frame_header_read(&h, p, n), 0);
    for (size_t n = whole; n <= FRAME_HEADER_MAX; n++)
        ck_assert_int_eq(frame_header_read(&h, p, n), headers[_i].size);
    if (headers[_i].size < 0)
        return;
    ck_assert_uint_eq(h.length, headers[_i].length);
    ck_assert_uint_eq(h.size, whole);
    ck_assert_uint_eq(h.opcode, p[0] & 15);
    ck_assert_int_eq(h.fin, p[0] >> 7);
    ck_assert_int_eq(h.masked, p[1] >> 7);
    if (h.masked)
        ck_assert_mem_eq(h.key, ((const uint8_t[]){1, 2, 3, 4}), 4);
}
END_TEST

START_TEST(reserved_bits) {
    for (uint8_t rsv = 0; rsv < 8; rsv++) {
        struct frame_header h;
        const uint8_t bytes[] = {(uint8_t)(0x80 | rsv << 4 | WS_TEXT), 0};
        ck_assert_int_eq(frame_header_read(&h, bytes, sizeof bytes), 2);
        ck_assert_uint_eq(h.rsv, rsv);
    }
}
END_TEST

/* -- rules --------------------------------------------------------------------------------------------------------- */

/* A stream as a string: each frame is an opcode's letter (t b c, x q o for close, ping, pong), in capitals when fin. */
static int run_rules(struct frame_rules *r, const char *stream, const char **why) {
    static const char letters[] = "ctbxqo";
    static const uint8_t opcodes[] = {WS_CONTINUATION, WS_TEXT, WS_BINARY, WS_CLOSE, WS_PING, WS_PONG};
    for (; *stream; stream++) {
        struct frame_header h = {.fin = *stream < 'a', .masked = r->masked};
        h.opcode = opcodes[strchr(letters, *stream | 0x20) - letters];
        int rc = frame_rules_check(r, &h, why);
        if (rc < 0)
            return rc;
    }
    return MF_OK;
}

static const struct {
    const char *stream;
    const char *why; /* NULL: allowed */
} streams[] = {
    {"TBTQOX", NULL},
    {"tccC", NULL},
    {"bQcOCT", NULL}, /* control frames between fragments */
    {"tCbC", NULL},
    {"C", "continuation without a message"},
    {"c", "continuation without a message"},
    {"TC", "continuation without a message"},
    {"tT", "new message inside a fragmented one"},
    {"tb", "new message inside a fragmented one"},
    {"tQB", "new message inside a fragmented one"},
    {"q", "fragmented control frame"},
    {"tx", "fragmented control frame"},
};

START_TEST(fragments) {
    for (int masked = 0; masked < 2; masked++) {
        struct frame_rules r = {.masked = masked};
        const char *why = NULL;
        int rc = run_rules(&r, streams[_i].stream, &why);
        ck_assert_int_eq(rc, streams[_i].why ? MF_EPROTO : MF_OK);
        if (streams[_i].why)
            ck_assert_str_eq(why, streams[_i].why);
    }
}
END_TEST

START_TEST(message_opcode) {
    struct frame_rules r = {0};
    const char *why;
    ck_assert_int_eq(run_rules(&r, "bc", &why), MF_OK);
    ck_assert(r.in_message);
    ck_assert_uint_eq(r.message_opcode, WS_BINARY);
    ck_assert_int_eq(run_rules(&r, "C", &why), MF_OK);
    ck_assert(!r.in_message);
}
END_TEST

static int check_one(struct frame_rules r, struct frame_header h) {
    const char *why = NULL;
    int rc = frame_rules_check(&r, &h, &why);
    ck_assert(rc == MF_OK || (why && *why));
    return rc;
}

START_TEST(single_frames) {
    struct frame_rules client = {.masked = true}, server = {.masked = false};
    struct frame_header text = {.opcode = WS_TEXT, .fin = true};
    ck_assert_int_eq(check_one(server, text), MF_OK);
    ck_assert_int_eq(check_one(client, text), MF_EPROTO); /* unmasked from a client: 5.1 */
    text.masked = true;
    ck_assert_int_eq(check_one(client, text), MF_OK);
    ck_assert_int_eq(check_one(server, text), MF_EPROTO);

    for (uint8_t opcode = 0; opcode < 16; opcode++) {
        bool known = opcode == 1 || opcode == 2 || (opcode >= 8 && opcode <= 10);
        ck_assert_int_eq(check_one(server, (struct frame_header){.opcode = opcode, .fin = true}),
                         known ? MF_OK : MF_EPROTO);
    }
    struct frame_header ping = {.opcode = WS_PING, .fin = true, .length = 125};
    ck_assert_int_eq(check_one(server, ping), MF_OK);
    ping.length = 126;
    ck_assert_int_eq(check_one(server, ping), MF_EPROTO);
}
END_TEST

START_TEST(reserved_bits_and_extensions) {
    struct frame_rules none = {0}, deflate = {.rsv_allowed = 4};
    struct frame_header h = {.opcode = WS_TEXT, .fin = false, .rsv = 4};
    ck_assert_int_eq(check_one(none, h), MF_EPROTO);
    ck_assert_int_eq(check_one(deflate, h), MF_OK);
    h.rsv = 2;
    ck_assert_int_eq(check_one(deflate, h), MF_EPROTO);
    h.rsv = 6;
    ck_assert_int_eq(check_one(deflate, h), MF_EPROTO);
    deflate.in_message = true;
    deflate.message_opcode = WS_TEXT;
    ck_assert_int_eq(check_one(deflate, (struct frame_header){.opcode = WS_CONTINUATION, .rsv = 4}), MF_EPROTO);
    ck_assert_int_eq(check_one(deflate, (struct frame_header){.opcode = WS_PING, .fin = true, .rsv = 4}), MF_EPROTO);
}
END_TEST

/* -- close payloads ------------------------------------------------------------------------------------------------ */

START_TEST(close_codes) {
    for (unsigned code = 0; code < 65536; code++) {
        bool valid = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
        ck_assert_int_eq(ws_close_code_valid(code), valid);
        uint8_t payload[FRAME_CONTROL_MAX] = {(uint8_t)(code >> 8), (uint8_t)code, 'b', 'y', 'e'};
        unsigned got;
        const char *reason;
        size_t len;
        ck_assert_int_eq(frame_close_parse(payload, 5, &got, &reason, &len), valid ? MF_OK : -WS_CLOSE_PROTOCOL);
        if (valid) {
            ck_assert_uint_eq(got, code);
            ck_assert_uint_eq(len, 3);
            ck_assert_mem_eq(reason, "bye", 3);
        }
        ck_assert_uint_eq(frame_close_payload(payload, code, "bye", 3), valid ? 5 : 0);
    }
}
END_TEST

START_TEST(close_payloads) {
    unsigned code;
    const char *reason;
    size_t len;
    ck_assert_int_eq(frame_close_parse((const uint8_t *)"", 0, &code, &reason, &len), MF_OK);
    ck_assert_uint_eq(code, WS_CLOSE_NO_STATUS);
    ck_assert_uint_eq(len, 0);
    ck_assert_int_eq(frame_close_parse((const uint8_t *)"\x03", 1, &code, &reason, &len), -WS_CLOSE_PROTOCOL);
    ck_assert_int_eq(frame_close_parse((const uint8_t *)"\x03\xe8", 2, &code, &reason, &len), MF_OK);
    ck_assert_uint_eq(code, 1000);
    ck_assert_uint_eq(len, 0);
    ck_assert_int_eq(frame_close_parse((const uint8_t *)"\x03\xe8\xff", 3, &code, &reason, &len), -WS_CLOSE_INVALID_DATA);
    ck_assert_int_eq(frame_close_parse((const uint8_t *)"\x03\xe8\xc3", 3, &code, &reason, &len), -WS_CLOSE_INVALID_DATA);
}
END_TEST

START_TEST(close_reason_is_cut_between_characters) {
    char reason[300];
    uint8_t out[FRAME_CONTROL_MAX];
    memset(reason, 'r', sizeof reason);
    ck_assert_uint_eq(frame_close_payload(out, 1000, reason, sizeof reason), 125);
    memcpy(reason + 121, "\xe6\x97\xa5", 3); /* would end at byte 124 of 123 */
    ck_assert_uint_eq(frame_close_payload(out, 1000, reason, sizeof reason), 123);
    memcpy(reason + 120, "\xe6\x97\xa5", 3);
    ck_assert_uint_eq(frame_close_payload(out, 1000, reason, sizeof reason), 125);
    ck_assert_uint_eq(frame_close_payload(out, 1000, "ok\xff", 3), 4); /* what is not text is left out */
    ck_assert_uint_eq(frame_close_payload(out, 1000, NULL, 0), 2);
    ck_assert_uint_eq(frame_close_payload(out, WS_CLOSE_NO_STATUS, "x", 1), 0);
}
END_TEST

/* -- writing ------------------------------------------------------------------------------------------------------- */

static void check_written(const uint8_t *payload, size_t len, uint8_t opcode, bool fin, uint8_t rsv, bool mask) {
    struct buf b = BUF_INIT;
    buf_puts(&b, "before");
    ck_assert_int_eq(frame_write(&b, opcode, fin, rsv, mask, payload, len), MF_OK);
    ck_assert_mem_eq(b.data, "before", 6);
    struct frame_header h;
    int n = frame_header_read(&h, b.data + 6, b.len - 6);
    ck_assert_int_gt(n, 0);
    ck_assert_uint_eq(h.opcode, opcode);
    ck_assert_int_eq(h.fin, fin);
    ck_assert_uint_eq(h.rsv, rsv);
    ck_assert_int_eq(h.masked, mask);
    ck_assert_uint_eq(h.length, len);
    ck_assert_uint_eq(b.len, 6 + (size_t)n + len);
    uint8_t *body = b.data + 6 + n;
    if (mask)
        mask_copy(body, body, len, h.key, 0);
    if (len)
        ck_assert_mem_eq(body, payload, len);
    buf_fini(&b);
}

START_TEST(written_frames_read_back) {
    static const size_t sizes[] = {0, 1, 125, 126, 127, 4095, 4096, 4097, 65535, 65536, 200000};
    uint8_t *payload = malloc(200000);
    ck_assert_ptr_nonnull(payload);
    for (size_t i = 0; i < 200000; i++)
        payload[i] = (uint8_t)(i * 7);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        for (unsigned k = 0; k < 8; k++) /* masked and plain in turn: neither may leave a trace in the other */
            check_written(payload, sizes[i], k & 4 ? WS_BINARY : WS_CONTINUATION, k & 2, k & 2 ? 4 : 0, k & 1);
    check_written(payload, 125, WS_PING, true, 0, true);
    check_written(NULL, 0, WS_CLOSE, true, 0, false);
    free(payload);
}
END_TEST

START_TEST(keys_differ) {
    struct buf b = BUF_INIT;
    struct frame_header h;
    uint8_t last[4] = {0};
    int same = 0;
    for (int i = 0; i < 1000; i++) {
        buf_reset(&b);
        ck_assert_int_eq(frame_write(&b, WS_TEXT, true, 0, true, "x", 1), MF_OK);
        ck_assert_int_eq(frame_header_read(&h, b.data, b.len), 6);
        same += !memcmp(h.key, last, 4);
        memcpy(last, h.key, 4);
    }
    ck_assert_int_lt(same, 3);
    buf_fini(&b);
}
END_TEST

static void *write_some(void *arg) {
    struct buf *b = arg;
    for (int i = 0; i < 1000; i++)
        MUST(frame_write(b, WS_TEXT, true, 0, i % 2, "hello", 5) == MF_OK);
    return NULL;
}

START_TEST(each_thread_has_its_own_writer) {
    pthread_t threads[4];
    struct buf out[4] = {BUF_INIT};
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_some, &out[i]), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        pthread_join(threads[i], NULL);
        ck_assert_uint_eq(out[i].len, 500 * 7 + 500 * 11);
        buf_fini(&out[i]);
    }
}
END_TEST

/* -- against wslay ------------------------------------------------------------------------------------------------- */

/* Appends a frame, mostly well-formed. */
static void append_random_frame(struct buf *b, struct rng *rng) {
    static const uint8_t opcodes[] = {0, 1, 1, 2, 2, 8, 9, 10, 3, 11};
    uint8_t opcode = opcodes[rng_range(rng, 0, ARRAY_LEN(opcodes) - 1)];
    size_t len = (size_t)rng_range(rng, 0, rng_range(rng, 0, 9) ? 140 : 70000);
    bool fin = rng_range(rng, 0, 3) != 0;
    if (ws_is_control(opcode)) {
        len = MIN(len, (size_t)FRAME_CONTROL_MAX);
        fin = true;
    }
    uint8_t *payload = malloc(len ? len : 1);
    ck_assert_ptr_nonnull(payload);
    for (size_t i = 0; i < len; i++)
        payload[i] = (uint8_t)rng_u64(rng);
    ck_assert_int_eq(frame_write(b, opcode, fin, (uint8_t)rng_range(rng, 0, 7), rng_range(rng, 0, 1), payload, len), MF_OK);
    free(payload);
}

START_TEST(like_wslay) {
    struct rng rng;
    rng_init(&rng, 23);
    for (int round = 0; round < 3000; round++) {
        struct buf b = BUF_INIT;
        buf_putc(&b, (char)rng_range(&rng, 0, 255)); /* the pieces that wslay reads */
        for (int64_t n = rng_range(&rng, 0, 5); n; n--)
            append_random_frame(&b, &rng);
        for (int64_t n = rng_range(&rng, 0, 2); n && b.len > 1; n--) /* spoil a byte, the headers' most of all */
            b.data[rng_range(&rng, 1, MIN((int64_t)b.len, 30) - 1)] = (uint8_t)rng_u64(&rng);
        if (round % 3 == 0)
            b.len = (size_t)rng_range(&rng, 1, (int64_t)b.len);
        LLVMFuzzerTestOneInput(b.data, b.len);
        buf_fini(&b);
    }
}
END_TEST

/* Every header of two bytes, and every length form with edge values, alone and followed by bytes. */
START_TEST(like_wslay_on_every_short_header) {
    static const uint64_t lengths[] = {0, 1, 125, 126, 127, 65535, 65536, (uint64_t)1 << 62, (uint64_t)1 << 63, UINT64_MAX};
    for (unsigned a = 0; a < 256; a++)
        for (unsigned c = 0; c < 256; c++) {
            uint8_t s[300] = {(uint8_t)(a % 5), (uint8_t)a, (uint8_t)c};
            for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
                unsigned form = (c & 127) == 126 ? 2 : 8;
                for (unsigned k = 0; k < form; k++)
                    s[3 + k] = (uint8_t)(lengths[i] >> 8 * (form - 1 - k));
                LLVMFuzzerTestOneInput(s, 3);
                LLVMFuzzerTestOneInput(s, 3 + form);
                LLVMFuzzerTestOneInput(s, sizeof s);
                if ((c & 127) < 126)
                    break;
            }
        }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("frame");
    TCase *tc = tcase_create("frame");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, header, 0, ARRAY_LEN(headers));
    tcase_add_test(tc, reserved_bits);
    tcase_add_loop_test(tc, fragments, 0, ARRAY_LEN(streams));
    tcase_add_test(tc, message_opcode);
    tcase_add_test(tc, single_frames);
    tcase_add_test(tc, reserved_bits_and_extensions);
    tcase_add_test(tc, close_codes);
    tcase_add_test(tc, close_payloads);
    tcase_add_test(tc, close_reason_is_cut_between_characters);
    tcase_add_test(tc, written_frames_read_back);
    tcase_add_test(tc, keys_differ);
    tcase_add_test(tc, each_thread_has_its_own_writer);
    tcase_add_test(tc, like_wslay);
    tcase_add_test(tc, like_wslay_on_every_short_header);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
