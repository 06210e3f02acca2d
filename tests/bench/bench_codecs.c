/* What the codecs cost, piece by piece, on one core:
 *
 *     cc -std=gnu17 -D_GNU_SOURCE -O2 -Iinclude tests/bench/bench_codecs.c build/libmockforge.a -lwslay -lcrypto -o bench_codecs
 *
 * Each figure is the best of several runs on data that stays in the cache; compare what one run printed. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "protocol/frame.h"
#include "protocol/mask.h"
#include "protocol/text.h"
#include "protocol/utf8.h"

#define RUNS 7
#define RUN_NS 20e6
#define BATCH 64

static double now_ns(void) {
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

struct job {
    const char *name;
    const uint8_t *data;
    size_t len;
    bool small; /* does BATCH of them a call: report ns for one, not bytes a second */
};

static const uint8_t key[4] = {0x12, 0x9a, 0x5c, 0xe7};
static uint8_t target[1 << 20];
static struct buf out;
static volatile uint64_t sink;

static void run(const struct job *job, void (*work)(const struct job *)) {
    double best = 1e18;
    for (int r = 0; r < RUNS; r++) {
        double begin = now_ns(), end;
        size_t calls = 0;
        do {
            for (int i = 0; i < 64; i++)
                work(job);
            calls += 64;
            end = now_ns();
        } while (end - begin < RUN_NS);
        best = MIN(best, (end - begin) / (double)calls);
    }
    if (job->small)
        printf("%-28s %7s  %8.1f ns each\n", job->name, "", best / BATCH);
    else
        printf("%-28s %7zu  %8.1f ns  %6.2f GB/s\n", job->name, job->len, best, (double)job->len / best);
}

/* Keeps the compiler from hoisting what it knows of *p out of a loop. */
static inline const uint8_t *hide(const uint8_t *p) {
    __asm__ volatile("" : "+r"(p) : : "memory");
    return p;
}

static void do_mask(const struct job *j) {
    mask_copy(target, j->data, j->len, key, 1);
}
static void do_utf8(const struct job *j) {
    sink += utf8_valid(j->data, j->len);
}
static void do_utf8_masked(const struct job *j) {
    struct utf8 u;
    utf8_init(&u);
    sink += utf8_feed_masked(&u, j->data, j->len, key, 0);
}
static void do_escape(const struct job *j) {
    buf_reset(&out);
    json_escape(&out, j->data, j->len);
}
static void do_base64(const struct job *j) {
    buf_reset(&out);
    base64_append(&out, j->data, j->len);
}
static void do_base64_decode(const struct job *j) {
    buf_reset(&out);
    sink += (uint64_t)base64_decode(&out, (const char *)j->data, j->len);
}
static void do_header(const struct job *j) {
    uint64_t sum = 0;
    for (int i = 0; i < BATCH; i++) {
        struct frame_header h = {0};
        sum += (uint64_t)frame_header_read(&h, hide(j->data), j->len) + h.length;
    }
    sink += sum;
}
static void do_header_rules(const struct job *j) {
    struct frame_rules rules = {.masked = true};
    uint64_t sum = 0;
    for (int i = 0; i < BATCH; i++) {
        struct frame_header h = {0};
        const char *why;
        if (frame_header_read(&h, hide(j->data), j->len) > 0)
            sum += (uint64_t)frame_rules_check(&rules, &h, &why) + h.length;
    }
    sink += sum;
}
static void do_write_plain(const struct job *j) {
    buf_reset(&out);
    sink += (uint64_t)frame_write(&out, WS_TEXT, true, 0, false, j->data, j->len);
}
static void do_write_masked(const struct job *j) {
    buf_reset(&out);
    sink += (uint64_t)frame_write(&out, WS_TEXT, true, 0, true, j->data, j->len);
}
static void do_u64(const struct job *j) {
    (void)j;
    buf_reset(&out);
    for (int i = 0; i < BATCH; i++)
        text_u64(&out, 1234567890);
}
static void do_ms(const struct job *j) {
    (void)j;
    buf_reset(&out);
    for (int i = 0; i < BATCH; i++)
        text_ms(&out, 5004120);
}

/* `len` bytes of `sample`, over and over. */
static uint8_t *fill(const char *sample, size_t len) {
    uint8_t *p = malloc(len);
    MUST(p);
    for (size_t i = 0, n = strlen(sample); i < len; i++)
        p[i] = (uint8_t)sample[i % n];
    return p;
}

static uint8_t *masked(const uint8_t *data, size_t len) {
    uint8_t *p = malloc(len);
    MUST(p);
    mask_copy(p, data, len, key, 0);
    return p;
}

int main(void) {
    static const size_t sizes[] = {20, 64, 290, 65536};
    const char *json = "{\"id\":4711,\"sym\":\"BTC\",\"px\":\"41250.5\",\"q\":[1,2],\"to\":\"ab\"}";
    const char *clean = "The quick brown fox jumps over the lazy dog and then goes home to sleep; ";
    const char *cjk = "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xe3\x81\xae\xe6\x96\x87";
    const char *mixed = "Gr\xc3\xbc\xc3\x9f"
                        "e aus M\xc3\xbcnchen, sch\xc3\xb6n \xf0\x9f\x98\x80 und gut so. ";
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        size_t n = sizes[i];
        uint8_t *a = fill(clean, n), *j = fill(json, n), *c = fill(cjk, n / 15 * 15), *m = fill(mixed, n);
        uint8_t *am = masked(a, n), *cm = masked(c, n / 15 * 15), *mm = masked(m, n);
        run(&(struct job){"mask_copy", a, n, false}, do_mask);
        run(&(struct job){"utf8_feed ascii", a, n, false}, do_utf8);
        run(&(struct job){"utf8_feed_masked ascii", am, n, false}, do_utf8_masked);
        run(&(struct job){"utf8_feed mixed", m, n, false}, do_utf8);
        run(&(struct job){"utf8_feed_masked mixed", mm, n, false}, do_utf8_masked);
        run(&(struct job){"utf8_feed cjk", c, n / 15 * 15, false}, do_utf8);
        run(&(struct job){"utf8_feed_masked cjk", cm, n / 15 * 15, false}, do_utf8_masked);
        run(&(struct job){"json_escape json", j, n, false}, do_escape);
        run(&(struct job){"json_escape clean", a, n, false}, do_escape);
        run(&(struct job){"base64_append", a, n, false}, do_base64);
        uint8_t *b64 = fill("QUJD", n / 4 * 4);
        run(&(struct job){"base64_decode", b64, n / 4 * 4, false}, do_base64_decode);
        run(&(struct job){"frame_write", a, n, false}, do_write_plain);
        run(&(struct job){"frame_write masked", a, n, false}, do_write_masked);
        free(a), free(j), free(c), free(m), free(am), free(cm), free(mm), free(b64);
    }
    static const uint8_t small[] = {0x81, 0xc0, 1, 2, 3, 4}, large[] = {0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4};
    run(&(struct job){"frame_header_read 64 B", small, sizeof small, true}, do_header);
    run(&(struct job){"frame_header_read 64 KiB", large, sizeof large, true}, do_header);
    run(&(struct job){"... with frame_rules_check", small, sizeof small, true}, do_header_rules);
    run(&(struct job){"text_u64", NULL, 0, true}, do_u64);
    run(&(struct job){"text_ms", NULL, 0, true}, do_ms);
    buf_fini(&out);
    return 0;
}
