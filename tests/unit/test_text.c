/* JSON escapes, base64 and numbers. */
#include <check.h>
#include <inttypes.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "base/rng.h"
#include "protocol/text.h"

/* The escapes as their definition says them, byte by byte. */
static void reference_escape(struct buf *out, const uint8_t *s, size_t len) {
    static const char shorts[] = "\bb\ff\nn\rr\tt\"\"\\\\";
    for (size_t i = 0; i < len; i++) {
        const char *hit = NULL;
        for (size_t k = 0; k + 1 < sizeof shorts; k += 2)
            if ((uint8_t)shorts[k] == s[i])
                hit = shorts + k;
        if (hit)
            buf_printf(out, "\\%c", hit[1]);
        else if (s[i] < 0x20)
            buf_printf(out, "\\u%04x", s[i]);
        else
            buf_putc(out, (char)s[i]);
    }
}

static void check_escape(const uint8_t *data, size_t len) {
    struct buf got = BUF_INIT, expected = BUF_INIT;
    uint8_t *exact = malloc(len ? len : 1); /* its end is watched by the sanitizers */
    ck_assert_ptr_nonnull(exact);
    memcpy(exact, data, len);
    buf_puts(&got, "head");
    buf_puts(&expected, "head");
    json_escape(&got, exact, len);
    reference_escape(&expected, data, len);
    ck_assert_uint_eq(got.len, expected.len);
    ck_assert_mem_eq(got.data, expected.data, got.len);
    free(exact);
    buf_fini(&got);
    buf_fini(&expected);
}

START_TEST(escape_every_byte_everywhere) {
    for (unsigned c = 0; c < 256; c++)
        for (size_t at = 0; at < 40; at++) {
            uint8_t s[40];
            memset(s, 'x', sizeof s);
            s[at] = (uint8_t)c;
            check_escape(s, sizeof s);
            check_escape(s, at + 1);
        }
}
END_TEST

START_TEST(escape_random) {
    static const char common[] = "abcdefgh\"\"\\\n\x01{}: ,\xc3\xa4";
    struct rng rng;
    rng_init(&rng, 11);
    for (int round = 0; round < 3000; round++) {
        uint8_t s[9000];
        size_t len = (size_t)rng_range(&rng, 0, round % 50 ? 200 : (int64_t)sizeof s);
        for (size_t i = 0; i < len; i++)
            s[i] = (uint8_t)common[rng_range(&rng, 0, sizeof common - 2)];
        check_escape(s, len);
    }
    uint8_t worst[5000] = {0}; /* six bytes for each, over a chunk's end */
    check_escape(worst, sizeof worst);
}
END_TEST

/* Another program's reader gets back what went in. */
START_TEST(escape_reads_back) {
    char all[128];
    for (int i = 0; i < 127; i++)
        all[i] = (char)(i + 1);
    all[127] = '\0';
    struct buf b = BUF_INIT;
    json_quote(&b, all, 127);
    json_t *value = json_loadb((const char *)b.data, b.len, JSON_DECODE_ANY, NULL);
    ck_assert_ptr_nonnull(value);
    ck_assert_str_eq(json_string_value(value), all);
    json_decref(value);
    buf_fini(&b);
}
END_TEST

static const struct {
    const char *in, *out;
} quotes[] = {
    {"", "\"\""},
    {"a\"b", "\"a\\\"b\""},
    {"\xc3\xa4", "\"\xc3\xa4\""},
    {"\xff", "\"\xef\xbf\xbd\""},
    {"a\xff\xfe"
     "b",
     "\"a\xef\xbf\xbd\xef\xbf\xbd"
     "b\""},
    {"\xe6\x97", "\"\xef\xbf\xbd\""},             /* cut: one piece */
    {"\xe6\x97q", "\"\xef\xbf\xbdq\""},           /* cut by another character */
    {"\xc3\xc3\xa4", "\"\xef\xbf\xbd\xc3\xa4\""}, /* what ended the piece begins the next character */
    {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
    {"\n\xff\t", "\"\\n\xef\xbf\xbd\\t\""},
};

START_TEST(quote) {
    struct buf b = BUF_INIT;
    json_quote(&b, quotes[_i].in, strlen(quotes[_i].in));
    ck_assert_str_eq(buf_cstr(&b), quotes[_i].out);
    buf_fini(&b);
}
END_TEST

/* RFC 4648 section 10, and OpenSSL for longer ones. */
START_TEST(base64) {
    static const char *const vectors[][2] = {{"", ""},         {"f", "Zg=="},         {"fo", "Zm8="},        {"foo", "Zm9v"},
                                             {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        struct buf text = BUF_INIT, back = BUF_INIT;
        base64_append(&text, vectors[i][0], strlen(vectors[i][0]));
        ck_assert_str_eq(buf_cstr(&text), vectors[i][1]);
        ck_assert_int_eq(base64_decode(&back, vectors[i][1], strlen(vectors[i][1])), MF_OK);
        ck_assert_str_eq(buf_cstr(&back), vectors[i][0]);
        buf_fini(&text);
        buf_fini(&back);
    }
    struct rng rng;
    rng_init(&rng, 13);
    for (size_t len = 0; len < 300; len++) {
        uint8_t *data = malloc(len ? len : 1), expected[404];
        ck_assert_ptr_nonnull(data);
        for (size_t i = 0; i < len; i++)
            data[i] = (uint8_t)rng_u64(&rng);
        EVP_EncodeBlock(expected, data, (int)len);
        struct buf text = BUF_INIT, back = BUF_INIT;
        base64_append(&text, data, len);
        ck_assert_str_eq(buf_cstr(&text), (const char *)expected);
        ck_assert_int_eq(base64_decode(&back, (const char *)text.data, text.len), MF_OK);
        ck_assert_uint_eq(back.len, len);
        ck_assert(len == 0 || memcmp(back.data, data, len) == 0);
        buf_fini(&text);
        buf_fini(&back);
        free(data);
    }
}
END_TEST

START_TEST(base64_refused) {
    static const char *const bad[] = {"Z",      "Zg",       "Zg=",  "Zh==", "Zm9=",     "Z===", "====", "Zg==Zg==",
                                      "Zm 9v==", "Zm9v\n", "-_-_", "Zm9v=", "Zm9vZg=v", "=m9v", "Z\xc3\xa4v"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct buf b = BUF_INIT;
        buf_puts(&b, "kept");
        ck_assert_msg(base64_decode(&b, bad[i], strlen(bad[i])) == MF_EINVAL, "%s was taken", bad[i]);
        ck_assert_str_eq(buf_cstr(&b), "kept");
        buf_fini(&b);
    }
}
END_TEST

START_TEST(numbers) {
    struct rng rng;
    rng_init(&rng, 17);
    uint64_t edge = 1;
    for (int i = 0; i < 5000; i++) {
        /* Powers of ten and their neighbours, then random ones of every length. */
        uint64_t n = i < 60 ? edge + (uint64_t)(i % 3) - 1 : rng_u64(&rng) >> rng_range(&rng, 0, 63);
        if (i < 60 && i % 3 == 2)
            edge *= 10;
        n = i == 60 ? UINT64_MAX : n;
        char expected[32];
        snprintf(expected, sizeof expected, "%" PRIu64, n);
        struct buf b = BUF_INIT;
        text_u64(&b, n);
        ck_assert_str_eq(buf_cstr(&b), expected);
        buf_reset(&b);
        text_ms(&b, n);
        snprintf(expected, sizeof expected, "%" PRIu64 ".%03u", n / 1000, (unsigned)(n % 1000));
        size_t end = strlen(expected);
        while (expected[end - 1] == '0')
            end--;
        expected[expected[end - 1] == '.' ? end - 1 : end] = '\0';
        ck_assert_str_eq(buf_cstr(&b), expected);
        buf_fini(&b);
    }
}
END_TEST

START_TEST(milliseconds) {
    static const struct {
        uint64_t us;
        const char *text;
    } ms[] = {{0, "0"}, {1, "0.001"}, {412, "0.412"}, {50000, "50"}, {50020, "50.02"}, {90100, "90.1"}, {1000001, "1000.001"}};
    for (size_t i = 0; i < ARRAY_LEN(ms); i++) {
        struct buf b = BUF_INIT;
        text_ms(&b, ms[i].us);
        ck_assert_str_eq(buf_cstr(&b), ms[i].text);
        buf_fini(&b);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("text");
    TCase *tc = tcase_create("text");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, escape_every_byte_everywhere);
    tcase_add_test(tc, escape_random);
    tcase_add_test(tc, escape_reads_back);
    tcase_add_loop_test(tc, quote, 0, ARRAY_LEN(quotes));
    tcase_add_test(tc, base64);
    tcase_add_test(tc, base64_refused);
    tcase_add_test(tc, numbers);
    tcase_add_test(tc, milliseconds);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
