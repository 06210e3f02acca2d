/* The base module: buffers, headers, errors, clock, chance, mail between threads, log lines, lists, metrics. */
#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/connection.h"
#include "base/err.h"
#include "base/headers.h"
#include "base/inbox.h"
#include "base/list.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/near.h"
#include "base/rng.h"

/* -- buf ----------------------------------------------------------------------------------------------------------- */

START_TEST(buf_grows_and_consumes) {
    struct buf b = BUF_INIT;
    ck_assert_str_eq(buf_cstr(&b), "");
    for (int i = 0; i < 1000; i++)
        buf_printf(&b, "%d,", i % 10);
    ck_assert_uint_eq(b.len, 2000);
    ck_assert_uint_ge(b.cap, b.len);
    buf_consume(&b, 1998);
    ck_assert_str_eq(buf_cstr(&b), "9,");
    buf_putc(&b, '\0');
    buf_append(&b, "\0x", 2);
    buf_append(&b, NULL, 0);
    ck_assert_uint_eq(b.len, 5);
    ck_assert_mem_eq(b.data, "9,\0\0x", 5);
    buf_consume(&b, 5);
    ck_assert_uint_eq(b.len, 0);
    buf_reset(&b);
    buf_puts(&b, "again");
    ck_assert_str_eq(buf_cstr(&b), "again");
    buf_fini(&b);
    ck_assert_ptr_null(b.data);
    buf_fini(&b);
}
END_TEST

START_TEST(buf_out_of_memory_is_sticky) {
    struct buf b = BUF_INIT;
    buf_puts(&b, "kept");
    ck_assert_int_eq(buf_reserve(&b, SIZE_MAX), MF_ENOMEM); /* the sum overflows */
    ck_assert(b.failed);
    ck_assert_str_eq(buf_cstr(&b), "kept");
    ck_assert_ptr_null(buf_steal(&b));
    ck_assert_ptr_null(b.data);
    ck_assert(!b.failed);
    buf_reset(&b);
    ck_assert(!b.failed);
    buf_fini(&b);
}
END_TEST

START_TEST(buf_steals) {
    struct buf b = BUF_INIT;
    buf_puts(&b, "mine");
    char *s = buf_steal(&b);
    ck_assert_str_eq(s, "mine");
    ck_assert_uint_eq(b.len, 0);
    free(s);
    s = buf_steal(&b);
    ck_assert_str_eq(s, "");
    free(s);
}
END_TEST

/* -- headers ------------------------------------------------------------------------------------------------------- */

START_TEST(headers_by_name) {
    struct headers h = {0}, copy = {0};
    ck_assert_ptr_null(headers_get(&h, "A"));
    headers_remove(&h, "A");
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "X-%d", i % 10);
        ck_assert_int_eq(headers_add(&h, name, i < 10 ? "first" : "second"), MF_OK);
    }
    ck_assert_int_eq(headers_add_n(&h, "Nameless", 4, "valuexyz", 5), MF_OK);
    ck_assert_str_eq(headers_get(&h, "NAME"), "value");
    ck_assert_str_eq(headers_get(&h, "x-3"), "first");
    ck_assert_uint_eq(headers_count(&h, "x-3"), 2);
    ck_assert_int_eq(headers_set(&h, "x-3", "only"), MF_OK);
    ck_assert_uint_eq(headers_count(&h, "X-3"), 1);
    ck_assert_str_eq(h.items[3].value, "only");
    ck_assert_str_eq(h.items[3].name, "X-3"); /* as it came */
    ck_assert_int_eq(headers_set(&h, "New", "n"), MF_OK);
    ck_assert_int_eq(headers_copy(&copy, &h), MF_OK);
    headers_remove(&h, "X-4");
    headers_remove(&h, "absent");
    ck_assert_uint_eq(headers_count(&h, "X-4"), 0);
    ck_assert_uint_eq(h.count, 19);
    ck_assert_str_eq(h.items[4].name, "X-5");
    ck_assert_uint_eq(copy.count, 21);
    ck_assert_uint_eq(headers_count(&copy, "X-4"), 2);
    headers_fini(&h);
    headers_fini(&copy);
    headers_fini(&copy);
}
END_TEST

START_TEST(headers_tokens) {
    static const struct {
        const char *value, *token;
        bool has;
    } tokens[] = {
        {"Upgrade", "upgrade", true},
        {"keep-alive, Upgrade", "upgrade", true},
        {"keep-alive,Upgrade", "upgrade", true},
        {" ,, Upgrade\t, x", "upgrade", true},
        {"Upgrades", "upgrade", false},
        {"Upgrade x", "upgrade", false},
        {"xUpgrade", "upgrade", false},
        {"Upgrade/1", "upgrade", false},
        {"", "upgrade", false},
        {",", "upgrade", false},
        {"a, b,", "b", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
        struct headers h = {0};
        ck_assert_int_eq(headers_add(&h, "Connection", "first"), MF_OK);
        ck_assert_int_eq(headers_add(&h, "connection", tokens[i].value), MF_OK);
        ck_assert_msg(headers_has_token(&h, "Connection", tokens[i].token) == tokens[i].has, "%s", tokens[i].value);
        ck_assert(headers_has_token(&h, "Connection", "FIRST"));
        ck_assert(!headers_has_token(&h, "Upgrade", tokens[i].token));
        headers_fini(&h);
    }
}
END_TEST

START_TEST(connections_copy) {
    struct connection c, copy;
    connection_init(&c, UINT64_MAX);
    ck_assert_str_eq(c.id, "conn-18446744073709551615");
    c.path = strdup("/a");
    c.remote_addr = strdup("[::1]:1");
    ck_assert_int_eq(headers_add(&c.headers, "A", "b"), MF_OK);
    ck_assert_int_eq(connection_copy(&copy, &c), MF_OK);
    ck_assert_ptr_ne(copy.path, c.path);
    connection_fini(&c);
    ck_assert_str_eq(copy.id, "conn-18446744073709551615");
    ck_assert_str_eq(copy.path, "/a");
    ck_assert_str_eq(copy.remote_addr, "[::1]:1");
    ck_assert_ptr_null(copy.query);
    ck_assert_ptr_null(copy.subprotocol);
    ck_assert_str_eq(headers_get(&copy.headers, "a"), "b");
    connection_fini(&copy);
    connection_fini(&copy);
}
END_TEST

/* -- err ----------------------------------------------------------------------------------------------------------- */

START_TEST(errors_say_where) {
    struct err err;
    char out[300];
    ck_assert_int_eq(err_set(&err, MF_EIO, "no %s", "disk"), MF_EIO);
    ck_assert_str_eq(err_format(&err, out, sizeof out), "no disk");
    err_at(&err, "a.yaml", 3, 0);
    ck_assert_str_eq(err_format(&err, out, sizeof out), "a.yaml:3: no disk");
    err_at(&err, "b.yaml", 9, 9); /* the first place stays */
    ck_assert_str_eq(err_format(&err, out, sizeof out), "a.yaml:3: no disk");
    ck_assert_int_eq(err_set_at(&err, MF_EINVAL, "a.yaml", 3, 7, "bad"), MF_EINVAL);
    err_prefix(&err, "route %d", 2);
    ck_assert_str_eq(err_format(&err, out, sizeof out), "a.yaml:3:7: route 2: bad");
    err_set(&err, MF_EINVAL, "next");
    err_at(&err, "c.yaml", 0, 0);
    ck_assert_str_eq(err_format(&err, out, sizeof out), "c.yaml: next");
    ck_assert_str_eq(err_format(&err, out, 5), "c.ya");
    ck_assert_int_eq(err_set(NULL, MF_ENOMEM, "x"), MF_ENOMEM);
    err_at(NULL, "x", 1, 1);
    err_prefix(NULL, "x");
}
END_TEST

START_TEST(long_errors_are_cut) {
    struct err err;
    char big[1000];
    memset(big, 'x', sizeof big);
    big[sizeof big - 1] = '\0';
    err_set_at(&err, MF_EINVAL, big, 1, 1, "%s", big);
    ck_assert_uint_eq(strlen(err.text), sizeof err.text - 1);
    ck_assert_uint_eq(strlen(err.file), sizeof err.file - 1);
    err_prefix(&err, "%s", "head");
    ck_assert_uint_eq(strlen(err.text), sizeof err.text - 1);
    ck_assert_int_eq(strncmp(err.text, "head: xxx", 9), 0);
}
END_TEST

/* -- clock --------------------------------------------------------------------------------------------------------- */

START_TEST(clock_formats) {
    static const struct {
        int64_t us;
        const char *text;
    } times[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {INT64_C(1705314600999999), "2024-01-15T10:30:00.999Z"}, /* cut, not rounded */
        {INT64_C(951782400000000), "2000-02-29T00:00:00.000Z"},
        {INT64_C(253402300799999999), "9999-12-31T23:59:59.999Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {-1000000, "1969-12-31T23:59:59.000Z"},
        {-1500000, "1969-12-31T23:59:58.500Z"},
        {-1400001, "1969-12-31T23:59:58.599Z"}, /* the same second again, and then one that was there before */
        {-999999, "1969-12-31T23:59:59.000Z"},
        {999000, "1970-01-01T00:00:00.999Z"},
        {INT64_C(253402300800000000), "9999-12-31T23:59:59.999Z"},
        {INT64_MAX, "9999-12-31T23:59:59.999Z"},
        {INT64_C(-62167219200000000), "0000-01-01T00:00:00.000Z"},
        {INT64_MIN, "0000-01-01T00:00:00.000Z"},
    };
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        char out[CLOCK_RFC3339_LEN];
        ck_assert_str_eq(clock_rfc3339(times[i].us, out), times[i].text);
    }
}
END_TEST

START_TEST(clock_can_be_replaced) {
    uint64_t us = 5;
    clock_set_fake(&us);
    ck_assert_uint_eq(clock_mono_us(), 5);
    us = 9;
    ck_assert_int_eq(clock_wall_us(), 9);
    clock_set_fake(NULL);
    uint64_t a = clock_mono_us();
    ck_assert_uint_le(a, clock_mono_us());
    ck_assert_int_gt(clock_wall_us(), INT64_C(1600000000000000));
}
END_TEST

/* -- rng ----------------------------------------------------------------------------------------------------------- */

START_TEST(rng_repeats_and_stays_in_range) {
    struct rng a, b, other, kernel;
    rng_init(&a, 42);
    rng_init(&b, 42);
    rng_init(&other, 43);
    rng_init(&kernel, 0);
    int same = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t x = rng_u64(&a);
        ck_assert_uint_eq(x, rng_u64(&b));
        same += x == rng_u64(&other);
        same += x == rng_u64(&kernel);
    }
    ck_assert_int_eq(same, 0);
    unsigned seen = 0;
    for (int i = 0; i < 1000; i++) {
        int64_t n = rng_range(&a, -3, 3);
        ck_assert(n >= -3 && n <= 3);
        seen |= 1u << (n + 3);
        double unit = rng_unit(&a);
        ck_assert(unit >= 0 && unit < 1);
        ck_assert_int_eq(rng_range(&a, 7, 7), 7);
        (void)rng_range(&a, INT64_MIN, INT64_MAX);
    }
    ck_assert_uint_eq(seen, 0x7f);
}
END_TEST

START_TEST(rng_uuids) {
    struct rng rng;
    rng_init(&rng, 1);
    char last[RNG_UUID_LEN] = "";
    for (int i = 0; i < 1000; i++) {
        char out[RNG_UUID_LEN];
        ck_assert_uint_eq(strlen(rng_uuid(&rng, out)), 36);
        for (size_t k = 0; k < 36; k++)
            ck_assert_int_eq(strspn(out + k, k == 8 || k == 13 || k == 18 || k == 23 ? "-" : "0123456789abcdef") > 0, 1);
        ck_assert_int_eq(out[14], '4');
        ck_assert_ptr_nonnull(strchr("89ab", out[19]));
        ck_assert_str_ne(out, last);
        memcpy(last, out, sizeof last);
    }
}
END_TEST

START_TEST(rng_secure_bytes) {
    static uint8_t a[10000], b[10000];
    rng_secure(a, sizeof a); /* more than the pool */
    rng_secure(b, sizeof b);
    ck_assert_mem_ne(a, b, sizeof a);
    uint8_t seen[256] = {0};
    for (int i = 0; i < 5000; i++) {
        uint8_t key[3]; /* the pool is no multiple of it */
        rng_secure(key, sizeof key);
        seen[key[0]] = seen[key[2]] = 1;
    }
    for (int i = 0; i < 256; i++)
        ck_assert_int_eq(seen[i], 1);
}
END_TEST

/* -- inbox --------------------------------------------------------------------------------------------------------- */

#define SENDERS 4
#define MAILS 5000

struct mail {
    struct inbox_item item;
    int sender, number;
};
struct receiver {
    int next[SENDERS];
    int total;
};

static void on_mail(struct inbox_item *item, void *arg) {
    struct mail *mail = container_of(item, struct mail, item);
    struct receiver *r = arg;
    MUST(mail->number == r->next[mail->sender]++); /* a sender's mails keep their order */
    r->total++;
    free(mail);
}

static struct inbox shared_box;

static void post(int sender, int number) {
    struct mail *mail = calloc(1, sizeof *mail);
    MUST(mail);
    *mail = (struct mail){.item.deliver = on_mail, .sender = sender, .number = number};
    inbox_post(&shared_box, &mail->item);
}

static void *send_mails(void *arg) {
    for (int i = 0; i < MAILS; i++)
        post((int)(intptr_t)arg, i);
    return NULL;
}

static bool readable(int fd, int timeout_ms) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, timeout_ms) == 1;
}

START_TEST(inbox_across_threads) {
    ck_assert_int_eq(inbox_init(&shared_box), MF_OK);
    ck_assert(!readable(inbox_fd(&shared_box), 0));
    pthread_t threads[SENDERS];
    for (intptr_t i = 0; i < SENDERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, send_mails, (void *)i), 0);
    struct receiver r = {0};
    while (r.total < SENDERS * MAILS) {
        ck_assert_msg(readable(inbox_fd(&shared_box), 5000), "a wake-up was lost after %d mails", r.total);
        inbox_deliver(&shared_box, &r);
    }
    for (size_t i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    inbox_deliver(&shared_box, &r);
    ck_assert(!readable(inbox_fd(&shared_box), 0));
    post(0, MAILS); /* what is left is delivered at the end */
    inbox_fini(&shared_box, &r);
    ck_assert_int_eq(r.total, SENDERS * MAILS + 1);
}
END_TEST

static void on_repost(struct inbox_item *item, void *arg) {
    struct receiver *r = arg;
    if (++r->total < 3)
        inbox_post(&shared_box, item);
}

/* An item that posts another while it is delivered: not in the same turn, but at the next, with its own wake-up. */
START_TEST(inbox_post_while_delivering) {
    ck_assert_int_eq(inbox_init(&shared_box), MF_OK);
    struct receiver r = {0};
    struct inbox_item item = {.deliver = on_repost};
    inbox_post(&shared_box, &item);
    for (int turn = 1; turn <= 3; turn++) {
        ck_assert(readable(inbox_fd(&shared_box), 0));
        inbox_deliver(&shared_box, &r);
        ck_assert_int_eq(r.total, turn);
    }
    ck_assert(!readable(inbox_fd(&shared_box), 0));
    inbox_fini(&shared_box, &r);
}
END_TEST

/* -- log ----------------------------------------------------------------------------------------------------------- */

START_TEST(log_quotes) {
    ck_assert_str_eq(log_quote(NULL), "\"\"");
    ck_assert_str_eq(log_quote("plain"), "\"plain\"");
    ck_assert_str_eq(log_quote("a\"b\\c\n\x1b[31m\xc3\xa9\x7f"), "\"a\\\"b\\\\c\\x0a\\x1b[31m\\xc3\\xa9\\x7f\"");
    ck_assert_str_eq(log_quote_n("a\0b", 3), "\"a\\x00b\"");
    char big[500];
    memset(big, '\n', sizeof big);
    const char *cut = log_quote_n(big, sizeof big);
    ck_assert_uint_eq(strlen(cut), 200 * 4 + 3 + 2);
    ck_assert_str_eq(cut + strlen(cut) - 4, "...\"");
    const char *first = log_quote("first");
    for (int i = 0; i < 7; i++)
        (void)log_quote("other");
    ck_assert_str_eq(first, "\"first\"");
}
END_TEST

START_TEST(log_storms_are_counted) {
    uint64_t now = 10000000;
    clock_set_fake(&now);
    struct log_limit limit = {0};
    unsigned kept = 77;
    for (int i = 0; i < LOG_BURST; i++) {
        ck_assert(log_allowed(&limit, &kept));
        ck_assert_uint_eq(kept, 0);
    }
    for (int i = 0; i < 100; i++)
        ck_assert(!log_allowed(&limit, &kept));
    now += 1000000;
    ck_assert(log_allowed(&limit, &kept));
    ck_assert_uint_eq(kept, 100);
    ck_assert(log_allowed(&limit, &kept));
    ck_assert_uint_eq(kept, 0);
    clock_set_fake(NULL);
}
END_TEST

/* Reads what was logged so far. */
static size_t read_log(int fd, char *out, size_t size) {
    if (!readable(fd, 0))
        return 0;
    ssize_t n = read(fd, out, size - 1);
    ck_assert_int_ge(n, 0);
    out[n] = '\0';
    return (size_t)n;
}

START_TEST(log_lines) {
    int fds[2];
    char out[5000];
    ck_assert_int_eq(pipe(fds), 0);
    log_set_fd(fds[1]);
    uint64_t now = 0;
    clock_set_fake(&now);
    log_info("started", "port=%d", 8080);
    ck_assert_uint_gt(read_log(fds[0], out, sizeof out), 0);
    ck_assert_str_eq(out, "1970-01-01T00:00:00.000Z info  started port=8080\n");
    log_debug("hidden", "%d", 1);
    ck_assert_uint_eq(read_log(fds[0], out, sizeof out), 0);
    log_set_level(LOG_WARN);
    ck_assert_int_eq(log_get_level(), LOG_WARN);
    log_info("hidden", "%d", 1);
    ck_assert_uint_eq(read_log(fds[0], out, sizeof out), 0);

    char big[4000];
    memset(big, 'x', sizeof big);
    big[sizeof big - 1] = '\0';
    log_error("big", "%s", big);
    size_t n = read_log(fds[0], out, sizeof out);
    ck_assert_uint_gt(n, 1000);
    ck_assert_uint_le(n, 2048);
    ck_assert_ptr_eq(strchr(out, '\n'), out + n - 1); /* one line, ended */

    for (int i = 0; i < LOG_BURST + 3; i++)
        LOG_LIMITED(LOG_WARN, "storm", "n=%d", i);
    n = read_log(fds[0], out, sizeof out);
    size_t lines = 0;
    for (const char *p = out; (p = strchr(p, '\n')); p++)
        lines++;
    ck_assert_uint_eq(lines, LOG_BURST);
    enum log_level level;
    ck_assert(log_level_parse("debug", &level) && level == LOG_DEBUG);
    ck_assert(log_level_parse("error", &level) && level == LOG_ERROR);
    ck_assert(!log_level_parse("loud", &level));
    log_set_level(LOG_INFO);
    log_set_fd(2);
    clock_set_fake(NULL);
    close(fds[0]);
    close(fds[1]);
}
END_TEST

/* -- list, metrics, near ------------------------------------------------------------------------------------------- */

struct thing {
    int n;
    struct list link;
};

START_TEST(lists) {
    struct list head;
    struct thing things[5];
    list_init(&head);
    ck_assert(list_empty(&head));
    ck_assert_ptr_null(list_first(&head));
    for (int i = 0; i < 5; i++) {
        things[i].n = i;
        list_init(&things[i].link);
        list_append(&head, &things[i].link);
    }
    ck_assert_int_eq(container_of(list_first(&head), struct thing, link)->n, 0);
    int sum = 0;
    LIST_EACH_SAFE(&head, it) {
        struct thing *thing = container_of(it, struct thing, link);
        sum = sum * 10 + thing->n;
        if (thing->n % 2)
            list_remove(it);
    }
    ck_assert_int_eq(sum, 1234);
    sum = 0;
    LIST_EACH_SAFE(&head, it)
        sum = sum * 10 + container_of(it, struct thing, link)->n;
    ck_assert_int_eq(sum, 24);
    list_remove(&things[1].link); /* harmless: it is in no list */
    list_append(&head, &things[1].link);
    LIST_EACH_SAFE(&head, it)
        list_remove(it);
    ck_assert(list_empty(&head));
}
END_TEST

static void *count_some(void *arg) {
    struct metrics *m = arg;
    for (int i = 0; i < 10000; i++) {
        metrics_inc(m, METRIC_MESSAGES_SENT);
        metrics_add(m, METRIC_BYTES_SENT, 3);
        metrics_inc(m, METRIC_CONNECTIONS_ACTIVE);
        if (i % 2)
            metrics_dec(m, METRIC_CONNECTIONS_ACTIVE);
    }
    return NULL;
}

START_TEST(metrics_of_several_threads) {
    static struct metrics cells[3];
    pthread_t threads[3];
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, count_some, &cells[i]), 0);
    for (size_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    /* A gauge may be counted up in one thread and down in another. */
    for (int i = 0; i < 6000; i++)
        metrics_dec(&cells[0], METRIC_CONNECTIONS_ACTIVE);
    uint64_t sum[METRIC_COUNT] = {0};
    for (size_t i = 0; i < 3; i++)
        metrics_sum(&cells[i], sum);
    ck_assert_uint_eq(sum[METRIC_MESSAGES_SENT], 30000);
    ck_assert_uint_eq(sum[METRIC_BYTES_SENT], 90000);
    ck_assert_uint_eq(sum[METRIC_CONNECTIONS_ACTIVE], 9000);
    ck_assert_uint_eq(sum[METRIC_BYTES_RECEIVED], 0);
    for (size_t i = 0; i < METRIC_COUNT; i++)
        ck_assert(metric_infos[i].name && metric_infos[i].labels && metric_infos[i].help);
}
END_TEST

START_TEST(near_words) {
    static const char *const words[] = {"now", "uuid", "random_int", "env."};
    static const struct {
        const char *word, *best;
    } tries[] = {{"nwo", "now"},         {"NOW", "now"},       {"uid", "uuid"}, {"random-int", "random_int"},
                 {"evn.", "env."},       {"zzz", NULL},        {"", NULL},      {"now", "now"},
                 {"random_itn", "random_int"}, {"n", NULL}};
    for (size_t i = 0; i < ARRAY_LEN(tries); i++) {
        struct near near = near_to(tries[i].word);
        for (size_t k = 0; k < ARRAY_LEN(words); k++)
            near_try(&near, words[k]);
        ck_assert_pstr_eq(near.best, tries[i].best);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("base");
    TCase *tc = tcase_create("base");
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, buf_grows_and_consumes);
    tcase_add_test(tc, buf_out_of_memory_is_sticky);
    tcase_add_test(tc, buf_steals);
    tcase_add_test(tc, headers_by_name);
    tcase_add_test(tc, headers_tokens);
    tcase_add_test(tc, connections_copy);
    tcase_add_test(tc, errors_say_where);
    tcase_add_test(tc, long_errors_are_cut);
    tcase_add_test(tc, clock_formats);
    tcase_add_test(tc, clock_can_be_replaced);
    tcase_add_test(tc, rng_repeats_and_stays_in_range);
    tcase_add_test(tc, rng_uuids);
    tcase_add_test(tc, rng_secure_bytes);
    tcase_add_test(tc, inbox_across_threads);
    tcase_add_test(tc, inbox_post_while_delivering);
    tcase_add_test(tc, log_quotes);
    tcase_add_test(tc, log_storms_are_counted);
    tcase_add_test(tc, log_lines);
    tcase_add_test(tc, lists);
    tcase_add_test(tc, metrics_of_several_threads);
    tcase_add_test(tc, near_words);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
