/* The ring between a worker and the writer: order, borders, fullness, and two threads at it. */
#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "base/rng.h"
#include "recording/ring.h"

#define SIZE 4096u

static size_t padded(size_t n) {
    return (n + RING_ALIGN - 1) & ~(size_t)(RING_ALIGN - 1);
}

static bool put(struct ring *r, uint32_t value, size_t extra, size_t keep) {
    size_t size = padded(sizeof(struct ring_head) + sizeof value + extra);
    uint8_t *p = ring_reserve(r, size, keep);
    if (!p)
        return false;
    *(struct ring_head *)(void *)p = (struct ring_head){.size = (uint32_t)size, .kind = 1};
    memcpy(p + sizeof(struct ring_head), &value, sizeof value);
    memset(p + sizeof(struct ring_head) + sizeof value, (int)(value & 0xff), extra);
    ring_publish(r, size);
    return true;
}

/* The next record's value; its filling is checked. */
static bool get(struct ring *r, uint32_t *value) {
    struct ring_head *h = ring_next(r);
    if (!h)
        return false;
    const uint8_t *p = (const uint8_t *)(h + 1);
    memcpy(value, p, sizeof *value);
    size_t extra = h->size - sizeof *h - sizeof *value;
    /* Check's assertions are system calls: one for each record, not one for each byte. */
    bool same = true;
    for (size_t i = 0; i + RING_ALIGN <= extra; i++)
        same &= p[sizeof *value + i] == (*value & 0xff);
    ck_assert(same);
    return true;
}

START_TEST(what_goes_in_comes_out_in_order) {
    struct ring r;
    ck_assert_int_eq(ring_init(&r, SIZE), MF_OK);
    uint32_t in = 0, out = 0, value;
    /* Sizes that meet the ring's end at every offset. */
    for (unsigned turn = 0; turn < 5000; turn++) {
        while (put(&r, in, in % 200, 0))
            in++;
        for (unsigned n = turn % 7 + 1; n && get(&r, &value); n--)
            ck_assert_uint_eq(value, out++);
        ring_release(&r);
    }
    while (get(&r, &value))
        ck_assert_uint_eq(value, out++);
    ck_assert_uint_eq(in, out);
    ck_assert_uint_gt(in, 10000);
    ring_fini(&r);
}
END_TEST

START_TEST(full_is_full_and_keeps_what_it_must) {
    struct ring r;
    ck_assert_int_eq(ring_init(&r, SIZE), MF_OK);
    uint32_t n = 0, value;
    while (put(&r, n, 20, 512))
        n++;
    ck_assert_uint_eq(n, (SIZE - 512) / 32);
    ck_assert(put(&r, n, 20, 0));
    ck_assert(get(&r, &value));
    /* Not before it is given back. */
    ck_assert(!put(&r, n, 20, 512));
    ck_assert(get(&r, &value));
    ring_release(&r);
    ck_assert(put(&r, n, 20, 512));
    ck_assert_uint_le(ring_used(&r), SIZE - 512);
    ring_fini(&r);
}
END_TEST

struct pair {
    struct ring r;
    uint32_t count;
};

static void *produce(void *arg) {
    struct pair *p = arg;
    struct rng rng;
    rng_init(&rng, 3);
    for (uint32_t i = 0; i < p->count; i++)
        while (!put(&p->r, i, (size_t)rng_range(&rng, 0, 900), 0))
            sched_yield();
    return NULL;
}

START_TEST(two_threads_agree) {
    static struct pair p;
    p.count = 100000;
    ck_assert_int_eq(ring_init(&p.r, 4 * SIZE), MF_OK);
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, produce, &p), 0);
    for (uint32_t want = 0; want < p.count;) {
        uint32_t value;
        unsigned n = 0;
        for (; n < 5 && get(&p.r, &value); n++)
            ck_assert_uint_eq(value, want++);
        ring_release(&p.r);
        if (!n)
            sched_yield();
    }
    pthread_join(thread, NULL);
    ck_assert_uint_eq(ring_used(&p.r), 0);
    ring_fini(&p.r);
}
END_TEST

int main(void) {
    Suite *s = suite_create("ring");
    TCase *t = tcase_create("ring");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, what_goes_in_comes_out_in_order);
    tcase_add_test(t, full_is_full_and_keeps_what_it_must);
    tcase_add_test(t, two_threads_agree);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
