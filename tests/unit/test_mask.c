/* Masking by words against masking by bytes, at every alignment, length and offset near the word sizes. */
#include <check.h>
#include <stdlib.h>

#include "base/rng.h"
#include "protocol/mask.h"

#define MAX_LEN 300

static const uint8_t key[4] = {0x37, 0xfa, 0x21, 0x3d};

/* The example of RFC 6455 section 5.7: "Hello" masked. */
START_TEST(the_rfcs_example) {
    const uint8_t expected[] = {0x7f, 0x9f, 0x4d, 0x51, 0x58};
    uint8_t out[5];
    mask_copy(out, (const uint8_t *)"Hello", sizeof out, key, 0);
    ck_assert_mem_eq(out, expected, sizeof out);
}
END_TEST

START_TEST(like_byte_by_byte) {
    struct rng rng;
    rng_init(&rng, 3);
    uint8_t from[MAX_LEN + 16];
    for (size_t i = 0; i < sizeof from; i++)
        from[i] = (uint8_t)rng_u64(&rng);
    static const uint64_t offsets[] = {0, 1, 2, 3, 4, 5, UINT64_MAX - 3, (uint64_t)1 << 40 | 3};
    for (size_t len = 0; len <= MAX_LEN; len++)
        for (size_t o = 0; o < ARRAY_LEN(offsets); o++) {
            size_t skew = len % 16;
            uint8_t expected[MAX_LEN], *out = malloc(len + 1);
            ck_assert_ptr_nonnull(out);
            out[len] = 0xee;
            for (size_t i = 0; i < len; i++)
                expected[i] = from[skew + i] ^ key[(offsets[o] + i) % 4];
            mask_copy(out, from + skew, len, key, offsets[o]);
            ck_assert_mem_eq(out, expected, len);
            ck_assert_uint_eq(out[len], 0xee);
            mask_copy(out, out, len, key, offsets[o]); /* in place, and its own inverse */
            ck_assert_mem_eq(out, from + skew, len);
            free(out);
        }
}
END_TEST

START_TEST(pieces_join) {
    uint8_t from[MAX_LEN], whole[MAX_LEN], pieces[MAX_LEN];
    for (size_t i = 0; i < sizeof from; i++)
        from[i] = (uint8_t)i;
    mask_copy(whole, from, sizeof from, key, 0);
    struct rng rng;
    rng_init(&rng, 5);
    for (int round = 0; round < 200; round++) {
        for (size_t at = 0; at < sizeof from;) {
            size_t n = (size_t)rng_range(&rng, 0, 90);
            n = MIN(n, sizeof from - at);
            mask_copy(pieces + at, from + at, n, key, at);
            at += n;
        }
        ck_assert_mem_eq(pieces, whole, sizeof whole);
    }
}
END_TEST

START_TEST(key_word_lies_over_the_payload) {
    for (uint64_t offset = 0; offset < 8; offset++)
        for (unsigned i = 0; i < 8; i++)
            ck_assert_uint_eq(mask_key_word(key, offset) >> 8 * i & 0xff, key[(offset + i) % 4]);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("mask");
    TCase *tc = tcase_create("mask");
    tcase_add_test(tc, the_rfcs_example);
    tcase_add_test(tc, like_byte_by_byte);
    tcase_add_test(tc, pieces_join);
    tcase_add_test(tc, key_word_lies_over_the_payload);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
