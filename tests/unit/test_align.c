/* Aligning and pairing: the best that can be had on small input, a sound one on large input. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "replay/align.h"
#include "replay/pairing.h"

#define SMALL_MAX 7

/* ---- small: as good as trying everything ---- */

struct table {
    size_t a_count, b_count;
    unsigned similarity[SMALL_MAX][SMALL_MAX];
};

static unsigned from_table(void *arg, size_t a, size_t b) {
    return ((struct table *)arg)->similarity[a][b];
}

static long worth(unsigned similarity) {
    return similarity < ALIGN_LEAST ? 0 : (long)similarity * similarity / 1000 + 1;
}

static long best(const struct table *t, size_t a, size_t b) {
    if (a == t->a_count || b == t->b_count)
        return -ALIGN_ALONE * (long)(t->a_count - a + t->b_count - b);
    long pair = worth(t->similarity[a][b]), down = best(t, a + 1, b), right = best(t, a, b + 1);
    long alone = MAX(down, right) - ALIGN_ALONE;
    return pair ? MAX(alone, pair + best(t, a + 1, b + 1)) : alone;
}

/* What an alignment is worth; it must be one. */
static long value_of(const struct table *t, const uint32_t *partner) {
    long sum = -ALIGN_ALONE * (long)(t->a_count + t->b_count), last = -1;
    for (size_t a = 0; a < t->a_count; a++) {
        if (partner[a] == ALIGN_NONE)
            continue;
        ck_assert_msg((long)partner[a] > last && partner[a] < t->b_count, "out of order");
        ck_assert(worth(t->similarity[a][partner[a]]) > 0);
        last = partner[a];
        sum += worth(t->similarity[a][partner[a]]) + 2 * ALIGN_ALONE;
    }
    return sum;
}

START_TEST(test_small) {
    unsigned short seed[3] = {1, 2, (unsigned short)_i};
    uint64_t a_hash[SMALL_MAX], b_hash[SMALL_MAX];
    uint32_t partner[SMALL_MAX];
    struct table t = {.a_count = (size_t)nrand48(seed) % (SMALL_MAX + 1),
                      .b_count = (size_t)nrand48(seed) % (SMALL_MAX + 1)};
    for (size_t i = 0; i < SMALL_MAX; i++) {
        a_hash[i] = i; /* no two are the same: only similarity counts */
        b_hash[i] = 100 + i;
        for (size_t j = 0; j < SMALL_MAX; j++)
            t.similarity[i][j] = (unsigned)(nrand48(seed) % 1001);
    }
    struct align al = {t.a_count, t.b_count, a_hash, b_hash, from_table, &t, 1000000, partner};
    ck_assert_int_eq(align_run(&al), MF_OK);
    ck_assert_int_eq(value_of(&t, partner), best(&t, 0, 0));
}
END_TEST

/* ---- large: bounded work ---- */

struct asked {
    const uint64_t *a, *b;
    size_t count;
};

/* Numbers: the same, near, or something else. */
static unsigned count_similarity(void *arg, size_t a, size_t b) {
    struct asked *asked = arg;
    asked->count++;
    return asked->a[a] == asked->b[b] ? 1000 : asked->a[a] / 1000 == asked->b[b] / 1000 ? 700 : 0;
}

#define MANY 100000

/* Every message differs a little, so that there is no anchor; some are missing on either side. */
START_TEST(test_large) {
    uint64_t *a = calloc(MANY, sizeof *a), *b = calloc(MANY, sizeof *b);
    uint32_t *partner = calloc(MANY, sizeof *partner);
    size_t a_count = 0, b_count = 0, common = 0;
    for (uint64_t i = 0; i < MANY; i++) {
        bool in_a = i % 10000 != 77, in_b = i % 10000 != 5077;
        if (in_a)
            a[a_count++] = i * 1000 + 1;
        if (in_b)
            b[b_count++] = i * 1000 + 2;
        common += in_a && in_b;
    }
    struct asked asked = {a, b, 0};
    struct align al = {a_count, b_count, a, b, count_similarity, &asked, 2 << 20, partner};
    ck_assert_int_eq(align_run(&al), MF_OK);
    ck_assert_uint_le(asked.count, (2 << 20) + 5 * MANY);
    size_t found = 0;
    for (size_t i = 0; i < a_count; i++)
        if (partner[i] != ALIGN_NONE) {
            ck_assert_uint_eq(a[i] / 1000, b[partner[i]] / 1000);
            found++;
        }
    ck_assert_uint_eq(found, common);
    free(a);
    free(b);
    free(partner);
}
END_TEST

/* Anchors need no similarity at all. */
START_TEST(test_anchors) {
    uint64_t a[2000], b[1999];
    uint32_t partner[2000];
    for (size_t i = 0; i < 2000; i++) {
        a[i] = i;
        if (i != 1000)
            b[i - (i > 1000)] = i;
    }
    struct asked asked = {a, b, 0};
    struct align al = {2000, 1999, a, b, count_similarity, &asked, 1000, partner};
    ck_assert_int_eq(align_run(&al), MF_OK);
    ck_assert_uint_eq(asked.count, 0);
    for (uint32_t i = 0; i < 2000; i++)
        ck_assert_uint_eq(partner[i], i == 1000 ? ALIGN_NONE : i - (i > 1000));
}
END_TEST

/* One side is much longer: with little work allowed the band still leads from corner to corner, with more all is seen.
 */
START_TEST(test_lopsided) {
    uint64_t a[3] = {1001, 5000001, 90000001}, *b = calloc(MANY, sizeof *b);
    uint32_t partner[3];
    for (size_t i = 0; i < MANY; i++)
        b[i] = i * 1000 + 2;
    struct asked asked = {a, b, 0};
    struct align al = {3, MANY, a, b, count_similarity, &asked, 1000, partner};
    ck_assert_int_eq(align_run(&al), MF_OK);
    ck_assert_uint_eq(partner[0], 1);
    ck_assert_uint_eq(partner[2], 90000);
    al.work_max = 2 << 20;
    ck_assert_int_eq(align_run(&al), MF_OK);
    ck_assert_uint_eq(partner[0], 1);
    ck_assert_uint_eq(partner[1], 5000);
    ck_assert_uint_eq(partner[2], 90000);
    free(b);
}
END_TEST

/* ---- in any order ---- */

static uint8_t cost(void *arg, size_t expected, size_t got) {
    const uint64_t(*values)[4] = arg;
    uint64_t x = values[0][expected], y = values[1][got];
    uint64_t distance = x > y ? x - y : y - x;
    return distance >= 100 ? PAIRING_NEVER : (uint8_t)distance;
}

START_TEST(test_pairing) {
    const uint64_t values[2][4] = {{10, 50, 50, 1000}, {53, 50, 12, 40}};
    uint32_t partner[4];
    bool taken[4];
    struct pairing p = {4, 4, values[0], values[1], cost, (void *)(uintptr_t)values, partner, taken};
    ck_assert_int_eq(pairing_run(&p), MF_OK);
    ck_assert_uint_eq(partner[0], 2);
    ck_assert_uint_eq(partner[1], 1);
    ck_assert_uint_eq(partner[2], 0);
    ck_assert_uint_eq(partner[3], PAIRING_NONE);
    ck_assert(taken[0] && taken[1] && taken[2] && !taken[3]);
}
END_TEST

int main(void) {
    Suite *s = suite_create("align");
    TCase *t = tcase_create("align");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, test_small, 0, 300);
    tcase_add_test(t, test_large);
    tcase_add_test(t, test_anchors);
    tcase_add_test(t, test_lopsided);
    tcase_add_test(t, test_pairing);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
