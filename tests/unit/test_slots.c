/* Numbers for things that may be gone, sets of numbers, and the hash of names. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/numbers.h"
#include "base/rng.h"
#include "base/slots.h"

static struct slots slots;
static int owners[3];

static void teardown(void) {
    slots_fini(&slots);
}

START_TEST(a_number_is_its_owners) {
    uint64_t a = slots_take(&slots, &owners[0]), b = slots_take(&slots, &owners[1]);
    ck_assert(a && b && a != b);
    ck_assert_ptr_eq(slots_find(&slots, a), &owners[0]);
    ck_assert_ptr_eq(slots_find(&slots, b), &owners[1]);
}
END_TEST

START_TEST(nobodys_numbers) {
    static const uint64_t rows[] = {0, 1, UINT64_MAX, UINT64_C(1) << 32, UINT64_C(1) << 32 | 15, UINT64_C(1) << 32 | 16,
                                    UINT64_C(2) << 32};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        ck_assert_ptr_null(slots_find(&slots, rows[i])); /* while it is empty */
    slots_release(&slots, slots_take(&slots, &owners[0]));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        ck_assert_ptr_null(slots_find(&slots, rows[i]));
        slots_release(&slots, rows[i]);
    }
}
END_TEST

START_TEST(a_slot_taken_again_has_another_number) {
    uint64_t old = slots_take(&slots, &owners[0]);
    slots_release(&slots, old);
    uint64_t new = slots_take(&slots, &owners[1]);
    ck_assert_uint_eq((uint32_t)new, (uint32_t)old);
    ck_assert_uint_ne(new, old);
    ck_assert_ptr_null(slots_find(&slots, old));
    slots_release(&slots, old); /* twice: the new owner keeps it */
    ck_assert_ptr_eq(slots_find(&slots, new), &owners[1]);
}
END_TEST

START_TEST(generations_go_round_past_zero) {
    slots_release(&slots, slots_take(&slots, &owners[0]));
    slots.items[0].generation = UINT32_MAX;
    uint64_t last = slots_take(&slots, &owners[0]);
    ck_assert_uint_eq(last, (uint64_t)UINT32_MAX << 32);
    slots_release(&slots, last);
    ck_assert_uint_eq(slots_take(&slots, &owners[1]), UINT64_C(1) << 32);
}
END_TEST

START_TEST(it_grows) {
    static int many[1000];
    uint64_t numbers[1000];
    for (size_t i = 0; i < 1000; i++)
        ck_assert(numbers[i] = slots_take(&slots, &many[i]));
    for (size_t i = 0; i < 1000; i += 2)
        slots_release(&slots, numbers[i]);
    uint32_t count = slots.count;
    for (size_t i = 0; i < 1000; i += 2) {
        uint64_t old = numbers[i];
        numbers[i] = slots_take(&slots, &many[i]);
        ck_assert_uint_ne(numbers[i], old);
    }
    ck_assert_uint_eq(slots.count, count);
    for (size_t i = 0; i < 1000; i++)
        ck_assert_ptr_eq(slots_find(&slots, numbers[i]), &many[i]);
}
END_TEST

/* ---- sets ---- */

START_TEST(an_empty_set) {
    struct numbers n = {0};
    ck_assert(!numbers_has(&n, 1) && !numbers_has(&n, 0));
    numbers_remove(&n, 1);
    ck_assert_uint_eq(n.count, 0);
    numbers_fini(&n);
}
END_TEST

START_TEST(twice_is_once) {
    struct numbers n = {0};
    ck_assert_int_eq(numbers_add(&n, 7), MF_OK);
    ck_assert_int_eq(numbers_add(&n, 7), MF_OK);
    ck_assert_uint_eq(n.count, 1);
    numbers_remove(&n, 7);
    numbers_remove(&n, 7);
    ck_assert(!numbers_has(&n, 7) && n.count == 0);
    numbers_fini(&n);
}
END_TEST

/* Against a plain array of truth values. */
START_TEST(sets_by_chance) {
    struct numbers n = {0};
    static bool in[257];
    struct rng rng;
    size_t count = 0;
    rng_init(&rng, 11);
    memset(in, 0, sizeof in);
    for (int step = 0; step < 200000; step++) {
        uint64_t number = (uint64_t)rng_range(&rng, 1, 256);
        /* far apart, so that they meet in few places, too */
        uint64_t shown = number << 54 | number;
        if (rng_range(&rng, 0, 1)) {
            ck_assert_int_eq(numbers_add(&n, shown), MF_OK);
            count += !in[number];
            in[number] = true;
        } else {
            numbers_remove(&n, shown);
            count -= in[number];
            in[number] = false;
        }
        ck_assert_uint_eq(n.count, count);
        if (step % 1000 == 0)
            for (uint64_t i = 1; i <= 256; i++)
                ck_assert_int_eq(numbers_has(&n, i << 54 | i), in[i]);
    }
    ck_assert_uint_le(n.cap, 512);
    numbers_fini(&n);
}
END_TEST

/* ---- hashes ---- */

/* The key is 00 01 02 … 0f, the text its first bytes: some of the vectors of the SipHash paper's authors. */
START_TEST(siphash_vectors) {
    static const struct {
        size_t len;
        uint64_t hash;
    } rows[] = {{0, 0x726fdb47dd0e0e31}, {1, 0x74f839c593dc67fd}, {7, 0xab0200f58b01d137}, {8, 0x93f5f5799a932462},
                {15, 0xa129ca6149be45e5}};
    const uint64_t key[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
    uint8_t text[16];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)i;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        ck_assert_uint_eq(hash_bytes_with(key, text, rows[i].len), rows[i].hash);
}
END_TEST

START_TEST(hashes_of_names) {
    ck_assert_uint_eq(hash_bytes("lobby", 5), hash_bytes("lobby", 5));
    ck_assert_uint_ne(hash_bytes("lobby", 5), hash_bytes("lobbz", 5));
    ck_assert_uint_ne(hash_bytes("\0", 1), hash_bytes("\0\0", 2));
    ck_assert_uint_eq(hash_bytes("", 0), hash_bytes(NULL, 0));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("slots");
    TCase *c = tcase_create("slots");
    tcase_add_checked_fixture(c, NULL, teardown);
    tcase_add_test(c, a_number_is_its_owners);
    tcase_add_test(c, nobodys_numbers);
    tcase_add_test(c, a_slot_taken_again_has_another_number);
    tcase_add_test(c, generations_go_round_past_zero);
    tcase_add_test(c, it_grows);
    suite_add_tcase(suite, c);
    c = tcase_create("numbers");
    tcase_add_test(c, an_empty_set);
    tcase_add_test(c, twice_is_once);
    tcase_add_test(c, sets_by_chance);
    suite_add_tcase(suite, c);
    c = tcase_create("hash");
    tcase_add_test(c, siphash_vectors);
    tcase_add_test(c, hashes_of_names);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
