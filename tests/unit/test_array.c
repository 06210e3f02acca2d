/* base/array.h: arrays that grow, and what is left of them when they cannot. */
#include <check.h>
#include <stdlib.h>

#include "base/array.h"

static bool no_memory;

/* In place of the C library's. */
void *reallocarray(void *p, size_t count, size_t size) {
    size_t bytes;
    return no_memory || __builtin_mul_overflow(count, size, &bytes) ? NULL : realloc(p, bytes);
}

struct narrow {
    uint64_t *items;
    uint32_t count, cap;
};
struct wide {
    uint16_t *items;
    size_t count, cap;
};

START_TEST(it_doubles_from_the_first_size_on) {
    struct narrow n = {0};
    struct wide w = {0};
    for (uint32_t i = 0; i < 13; i++) {
        ck_assert(ARRAY_ROOM(n.items, n.count, n.cap, 3));
        n.items[n.count++] = i;
        ck_assert(ARRAY_ROOM(w.items, w.count, w.cap, 1));
        w.items[w.count++] = (uint16_t)i;
    }
    ck_assert_uint_eq(n.cap, 24);
    ck_assert_uint_eq(w.cap, 16);
    for (uint32_t i = 0; i < 13; i++) {
        ck_assert_uint_eq(n.items[i], i);
        ck_assert_uint_eq(w.items[i], i);
    }
    free(n.items);
    free(w.items);
}
END_TEST

START_TEST(without_memory_the_items_stay) {
    struct narrow n = {0};
    no_memory = true;
    ck_assert(!ARRAY_ROOM(n.items, n.count, n.cap, 2));
    ck_assert_ptr_null(n.items);
    ck_assert_uint_eq(n.cap, 0);
    no_memory = false;
    ck_assert(ARRAY_ROOM(n.items, n.count, n.cap, 2));
    n.items[n.count++] = 7;
    no_memory = true;
    ck_assert_msg(ARRAY_ROOM(n.items, n.count, n.cap, 2), "there is room without memory");
    n.items[n.count++] = 8;
    const uint64_t *items = n.items;
    ck_assert(!ARRAY_ROOM(n.items, n.count, n.cap, 2));
    ck_assert_ptr_eq(n.items, items);
    ck_assert_uint_eq(n.cap, 2);
    ck_assert(n.items[0] == 7 && n.items[1] == 8);
    no_memory = false;
    free(n.items);
}
END_TEST

/* Capacities that nothing stands behind: asking for memory would crash. */
START_TEST(what_cannot_be_counted_is_refused) {
    struct narrow n = {.count = 1u << 31, .cap = 1u << 31};
    ck_assert(!ARRAY_ROOM(n.items, n.count, n.cap, 1));
    ck_assert_uint_eq(n.cap, 1u << 31);
    struct wide w = {.count = SIZE_MAX / 4 + 1, .cap = SIZE_MAX / 4 + 1}; /* twice as much is all there is, in bytes */
    ck_assert(!ARRAY_ROOM(w.items, w.count, w.cap, 1));
    ck_assert_uint_eq(w.cap, SIZE_MAX / 4 + 1);
    w.count = w.cap = SIZE_MAX;
    ck_assert(!ARRAY_ROOM(w.items, w.count, w.cap, 1));
    ck_assert_uint_eq(w.cap, SIZE_MAX);
}
END_TEST

int main(void) {
    Suite *s = suite_create("array");
    TCase *tc = tcase_create("array");
    tcase_add_test(tc, it_doubles_from_the_first_size_on);
    tcase_add_test(tc, without_memory_the_items_stay);
    tcase_add_test(tc, what_cannot_be_counted_is_refused);
    suite_add_tcase(s, tc);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
