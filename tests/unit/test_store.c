/* Shared state: the table in memory, the thread around it, and a Redis that is not there. */
#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/store_private.h"

static struct inbox inbox;
static uint64_t now_us;
/* answers, in the order of their coming */
static struct answer {
    uint64_t wait;
    char text[200]; /* the JSON text, "nil", or "!" and the error */
} answers[2000];
static unsigned answer_count;

static void on_done(struct store_request *r, void *receiver) {
    ck_assert_ptr_eq(receiver, &inbox);
    ck_assert_uint_lt(answer_count, ARRAY_LEN(answers));
    struct answer *a = &answers[answer_count++];
    a->wait = r->wait;
    if (r->error[0])
        snprintf(a->text, sizeof a->text, "!%s", r->error);
    else if (r->json)
        snprintf(a->text, sizeof a->text, "%.*s", (int)r->json_len, r->json);
    else
        snprintf(a->text, sizeof a->text, "nil");
    store_request_free(r);
}

static struct store_request *request(const struct script_shared_request *what) {
    struct store_request *r = store_request_new(what);
    ck_assert_ptr_nonnull(r);
    r->reply_to = &inbox;
    r->done = on_done;
    return r;
}

static void setup(void) {
    answer_count = 0;
    ck_assert_int_eq(inbox_init(&inbox), MF_OK);
}

static void teardown(void) {
    inbox_fini(&inbox, &inbox);
}

/* ---- the table, on this thread ---- */

static struct store bare;
static struct memory *memory;

static void setup_memory(void) {
    setup();
    now_us = 5000000;
    clock_set_fake(&now_us);
    bare = (struct store){0};
    memory = memory_new();
    ck_assert_ptr_nonnull(memory);
}

static void teardown_memory(void) {
    memory_free(memory);
    clock_set_fake(NULL);
    teardown();
}

static const char *ask(const struct script_shared_request *what) {
    unsigned before = answer_count;
    memory_do(memory, &bare, request(what));
    inbox_deliver(&inbox, &inbox);
    ck_assert_uint_eq(answer_count, before + 1);
    answer_count = before;
    return answers[before].text;
}

#define REQUEST(o, k) .op = (o), .key = (k), .key_len = strlen(k)

static const char *get(const char *key) {
    return ask(&(struct script_shared_request){REQUEST(SHARED_GET, key)});
}

static const char *set_for(const char *key, const char *value, uint64_t ms) {
    return ask(&(struct script_shared_request){REQUEST(SHARED_SET, key), .value = value, .value_len = strlen(value),
                                               .expire_ms = ms});
}

static const char *set(const char *key, const char *value) {
    return set_for(key, value, 0);
}

static const char *add(const char *key, int64_t by) {
    return ask(&(struct script_shared_request){REQUEST(SHARED_INCR, key), .by = by});
}

static const char *subtract(const char *key, int64_t by) {
    return ask(&(struct script_shared_request){REQUEST(SHARED_DECR, key), .by = by});
}

static const char *delete(const char *key) {
    return ask(&(struct script_shared_request){REQUEST(SHARED_DEL, key)});
}

static const char *expire(const char *key, uint64_t ms) {
    return ask(&(struct script_shared_request){REQUEST(SHARED_EXPIRE, key), .expire_ms = ms});
}

START_TEST(values_come_back_as_they_went) {
    static const char *const rows[] = {"null", "true",       "0",  "-1", "1.5", "1e400", "\"\"", "\"gr\xc3\xbc\xc3\x9f\"",
                                       "[]",   "{}", "{\"a\":[1,null]}", "12345678901234567890"};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        ck_assert_str_eq(set("k", rows[i]), "true");
        ck_assert_str_eq(get("k"), rows[i]);
    }
    ck_assert_str_eq(get("K"), "nil");
    ck_assert_str_eq(get(""), "nil");
}
END_TEST

START_TEST(keys_hold_any_bytes) {
    const struct script_shared_request a = {.op = SHARED_INCR, .key = "a\0b", .key_len = 3, .by = 1};
    const struct script_shared_request b = {.op = SHARED_INCR, .key = "a\0c", .key_len = 3, .by = 5};
    ck_assert_str_eq(ask(&a), "1");
    ck_assert_str_eq(ask(&b), "5");
    ck_assert_str_eq(ask(&a), "2");
    ck_assert_str_eq(get("a"), "nil");
}
END_TEST

START_TEST(counting) {
    ck_assert_str_eq(add("n", 1), "1");
    ck_assert_str_eq(add("n", 41), "42");
    ck_assert_str_eq(subtract("n", 50), "-8");
    ck_assert_str_eq(get("n"), "-8");
    set("n", "9223372036854775806");
    ck_assert_str_eq(add("n", 1), "9223372036854775807");
    ck_assert_str_eq(add("n", 1), "!the number would overflow");
    ck_assert_str_eq(get("n"), "9223372036854775807");
    ck_assert_str_eq(subtract("n", INT64_MIN), "!the number would overflow");
    set("n", "-9223372036854775808");
    ck_assert_str_eq(subtract("n", 1), "!the number would overflow");
    ck_assert_str_eq(add("n", INT64_MAX), "-1");
}
END_TEST

START_TEST(what_cannot_be_counted) {
    static const char *const rows[] = {"\"5\"", "1.0", "1e3", "null", "true", "[1]", "{}", "9223372036854775808",
                                       "\"\"", "12345678901234567890123"};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        set("n", rows[i]);
        ck_assert_str_eq(add("n", 1), "!the value is not a whole number");
        ck_assert_str_eq(get("n"), rows[i]);
    }
}
END_TEST

START_TEST(deleting) {
    ck_assert_str_eq(delete("k"), "false");
    set("k", "1");
    ck_assert_str_eq(delete("k"), "true");
    ck_assert_str_eq(get("k"), "nil");
    ck_assert_str_eq(delete("k"), "false");
}
END_TEST

START_TEST(what_expires) {
    ck_assert_str_eq(expire("k", 10), "false");
    set_for("k", "1", 10);
    now_us += 9999;
    ck_assert_str_eq(get("k"), "1");
    now_us += 1;
    ck_assert_str_eq(get("k"), "nil");
    ck_assert_str_eq(delete("k"), "false");
    set_for("k", "7", 10);
    ck_assert_str_eq(add("k", 1), "8"); /* keeps its time */
    now_us += 10000;
    ck_assert_str_eq(add("k", 1), "1"); /* begins anew, and lasts */
    now_us += 1000000000;
    ck_assert_str_eq(get("k"), "1");
    ck_assert_str_eq(expire("k", 5), "true");
    ck_assert_str_eq(set("k", "2"), "true"); /* for ever again */
    now_us += 1000000000;
    ck_assert_str_eq(get("k"), "2");
    ck_assert_str_eq(expire("k", 0), "true");
    now_us += 1000;
    ck_assert_str_eq(get("k"), "nil");
}
END_TEST

START_TEST(times_without_end) {
    set_for("k", "1", UINT64_MAX);
    set("m", "1");
    expire("m", UINT64_MAX / 1000 + 2);
    now_us += UINT64_C(86400000000) * 365;
    ck_assert_str_eq(get("k"), "1");
    ck_assert_str_eq(get("m"), "1");
}
END_TEST

/* Through several sizes of the table, with some that expire among them. */
START_TEST(many_keys) {
    char key[16], value[16];
    for (unsigned i = 0; i < 20000; i++) {
        snprintf(key, sizeof key, "k%u", i);
        snprintf(value, sizeof value, "%u", i);
        set_for(key, value, i % 3 ? 0 : 10);
    }
    now_us += 10000;
    for (int i = 0; i < 16; i++)
        memory_sweep(memory);
    for (unsigned i = 0; i < 20000; i++) {
        snprintf(key, sizeof key, "k%u", i);
        snprintf(value, sizeof value, "%u", i);
        ck_assert_str_eq(get(key), i % 3 ? value : "nil");
    }
}
END_TEST

START_TEST(memory_is_bounded) {
    char *big = malloc(STORE_VALUE_MAX + 1);
    char key[16];
    unsigned kept = 0;
    ck_assert_ptr_nonnull(big);
    memset(big, '1', STORE_VALUE_MAX);
    big[STORE_VALUE_MAX] = '\0';
    for (unsigned i = 0; i < 300; i++) {
        snprintf(key, sizeof key, "k%u", i);
        const char *answer = set_for(key, big, i < 10 ? 1000 : 0);
        kept += !strcmp(answer, "true");
        ck_assert(!strcmp(answer, "true") || !strcmp(answer, "!the shared state is full"));
    }
    ck_assert_uint_eq(kept, STORE_MEMORY_MAX / STORE_VALUE_MAX - 1);
    ck_assert_str_eq(set("k20", big), "true"); /* in its own place */
    ck_assert_str_eq(set("new", big), "!the shared state is full"); /* but for a few bytes */
    ck_assert_str_eq(add("n", 1), "1");
    now_us += 1000000;
    ck_assert_str_eq(set("new", big), "!the shared state is full"); /* and sweeps */
    ck_assert_str_eq(set("new", big), "true");
    free(big);
}
END_TEST

/* ---- the thread ---- */

static void wait_for(unsigned count) {
    struct pollfd fd = {.fd = inbox_fd(&inbox), .events = POLLIN};
    while (answer_count < count) {
        ck_assert_int_gt(poll(&fd, 1, 10000), 0);
        inbox_deliver(&inbox, &inbox);
    }
    ck_assert_uint_eq(answer_count, count);
}

static struct store *start(const char *redis_url, unsigned timeout_ms) {
    char url[64], prefix[] = "test:";
    const struct shared_state_config config = {.enabled = true, .redis_url = redis_url ? url : NULL, .prefix = prefix,
                                               .timeout_ms = timeout_ms};
    const struct store_options options = {.config = &config};
    struct store *s = NULL;
    struct err err;
    snprintf(url, sizeof url, "%s", redis_url ? redis_url : "");
    ck_assert_msg(store_new(&options, &s, &err) == MF_OK, "%s", err.text);
    memset(url, 'x', sizeof url); /* they were copied */
    memset(prefix, 'x', sizeof prefix);
    return s;
}

static void post(struct store *s, enum script_shared_op op, const char *key, int64_t by, uint64_t wait) {
    struct store_request *r = request(&(struct script_shared_request){REQUEST(op, key), .by = by});
    r->wait = wait;
    store_post(s, r);
}

START_TEST(answers_come_in_order) {
    struct store *s = start(NULL, 1000);
    char text[16];
    for (unsigned i = 0; i < 1000; i++)
        post(s, SHARED_INCR, "n", 1, i);
    wait_for(1000);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(text, sizeof text, "%u", i + 1);
        ck_assert_uint_eq(answers[i].wait, i);
        ck_assert_str_eq(answers[i].text, text);
    }
    ck_assert_uint_eq(store_connections_elsewhere(s), 0);
    ck_assert_uint_eq(store_connections_elsewhere(NULL), 0);
    store_publish(s, &(struct store_news){.name = "lobby", .name_len = 5, .data = "x", .len = 1}); /* nobody */
    ck_assert_uint_eq(atomic_load(&s->pending), 0);
    ck_assert_uint_eq(atomic_load(&s->pending_bytes), 0);
    store_free(s);
}
END_TEST

START_TEST(a_request_that_is_too_much) {
    struct store *s = start(NULL, 1000);
    atomic_store(&s->pending, STORE_PENDING_MAX);
    post(s, SHARED_INCR, "n", 1, 0);
    wait_for(1);
    ck_assert_str_eq(answers[0].text, "!too many requests to the shared state are under way");
    ck_assert_uint_eq(atomic_load(&s->pending), STORE_PENDING_MAX);
    atomic_store(&s->pending, 0);
    atomic_store(&s->pending_bytes, STORE_PENDING_BYTES_MAX);
    post(s, SHARED_INCR, "n", 1, 0);
    wait_for(2);
    ck_assert_str_eq(answers[1].text, "!too many requests to the shared state are under way");
    ck_assert_uint_eq(atomic_load(&s->pending_bytes), STORE_PENDING_BYTES_MAX);
    atomic_store(&s->pending_bytes, 0);
    post(s, SHARED_INCR, "n", 1, 0);
    wait_for(3);
    ck_assert_str_eq(answers[2].text, "1");
    store_free(s);
}
END_TEST

/* Every request is answered once, whatever becomes of it. */
static void end_with_requests(const char *redis_url) {
    struct store *s = start(redis_url, 60000);
    for (unsigned i = 0; i < 1000; i++)
        post(s, SHARED_INCR, "n", 1, i);
    store_free(s);
    inbox_deliver(&inbox, &inbox);
    ck_assert_uint_eq(answer_count, 1000);
    for (unsigned i = 0; i < 1000; i++) {
        bool stopped = !strcmp(answers[i].text, "!the gateway is stopping");
        ck_assert_uint_eq(answers[i].wait, i);
        ck_assert_msg(stopped || (!redis_url && strtol(answers[i].text, NULL, 10) == (long)i + 1), "%u: %s", i, answers[i].text);
    }
}

START_TEST(the_end_answers_all) {
    end_with_requests(NULL);
}
END_TEST

START_TEST(the_end_answers_all_without_redis) {
    end_with_requests("redis://127.0.0.1:1");
}
END_TEST

START_TEST(nothing_to_free) {
    store_free(NULL);
    store_request_free(NULL);
    store_free(start(NULL, 1));
    store_free(start("redis://127.0.0.1:1", 1));
    store_free(start("redis://no-such-host.invalid", 1));
}
END_TEST

START_TEST(a_url_that_is_none) {
    char url[] = "redis://", prefix[] = "";
    const struct shared_state_config config = {.enabled = true, .redis_url = url, .prefix = prefix, .timeout_ms = 1};
    const struct store_options options = {.config = &config};
    struct store *s;
    struct err err;
    ck_assert_int_eq(store_new(&options, &s, &err), MF_EINVAL);
    ck_assert_str_eq(err.text, "redis_url has no host");
}
END_TEST

/* ---- Redis away ---- */

/* One request to it: the error. It comes after timeout_ms, not before, and not much later. */
static const char *error_of(const char *url) {
    struct store *s = start(url, 300);
    uint64_t before = clock_mono_us();
    post(s, SHARED_GET, "k", 0, 0);
    wait_for(1);
    ck_assert_uint_ge(clock_mono_us() - before, 299000);
    store_free(s);
    return answers[0].text;
}

START_TEST(nobody_listens) {
    ck_assert_str_eq(error_of("redis://127.0.0.1:1"), "!no connection to Redis: Connection refused");
}
END_TEST

static int listen_on(char url[64]) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert(fd >= 0 && bind(fd, (struct sockaddr *)&at, len) == 0 && listen(fd, 16) == 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    snprintf(url, 64, "redis://user:pass@127.0.0.1:%u/3", ntohs(at.sin_port));
    return fd;
}

START_TEST(it_is_silent) {
    char url[64];
    int fd = listen_on(url);
    const char *error = error_of(url);
    ck_assert_msg(strstr(error, "!no connection to Redis: ") == error, "%s", error);
    close(fd);
}
END_TEST

/* What it is greeted with, and what it says to that. */
static void refused(const char *reply, const char *why) {
    static const char greeting[] = "*3\r\n$4\r\nAUTH\r\n$4\r\nuser\r\n$4\r\npass\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n"
                                   "*1\r\n$4\r\nPING\r\n";
    char url[64], got[sizeof greeting] = "";
    int fd = listen_on(url);
    struct store *s = start(url, 500);
    post(s, SHARED_GET, "k", 0, 0);
    for (int lines = 0; lines < 2; lines++) {
        int c = accept(fd, NULL, NULL);
        ck_assert_int_ge(c, 0);
        ck_assert_int_eq(recv(c, got, sizeof greeting - 1, MSG_WAITALL), sizeof greeting - 1);
        ck_assert_str_eq(got, greeting);
        ck_assert_int_eq(send(c, reply, strlen(reply), MSG_NOSIGNAL), (ssize_t)strlen(reply));
        while (recv(c, got, sizeof got, 0) > 0) /* it hangs up */
            ;
        close(c);
    }
    wait_for(1);
    close(fd);
    ck_assert_msg(strstr(answers[0].text, why), "%s", answers[0].text);
    store_free(s);
}

START_TEST(a_wrong_password) {
    refused("-WRONGPASS invalid\r\n-NOAUTH first\r\n-NOAUTH second\r\n", "WRONGPASS invalid");
}
END_TEST

START_TEST(something_else_than_redis) {
    refused("+OK POP3 ready\r\n+OK\r\n+OK\r\n", "what answers there is not Redis");
}
END_TEST

START_TEST(no_redis_protocol) {
    refused("HTTP/1.1 400 Bad Request\r\n\r\n", "Protocol error");
}
END_TEST

int main(void) {
    log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC)); /* quiet */
    Suite *suite = suite_create("store");
    TCase *c = tcase_create("memory");
    tcase_add_checked_fixture(c, setup_memory, teardown_memory);
    tcase_add_test(c, values_come_back_as_they_went);
    tcase_add_test(c, keys_hold_any_bytes);
    tcase_add_test(c, counting);
    tcase_add_test(c, what_cannot_be_counted);
    tcase_add_test(c, deleting);
    tcase_add_test(c, what_expires);
    tcase_add_test(c, times_without_end);
    tcase_add_test(c, many_keys);
    tcase_add_test(c, memory_is_bounded);
    suite_add_tcase(suite, c);
    c = tcase_create("thread");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, answers_come_in_order);
    tcase_add_test(c, a_request_that_is_too_much);
    tcase_add_test(c, the_end_answers_all);
    tcase_add_test(c, the_end_answers_all_without_redis);
    tcase_add_test(c, nothing_to_free);
    tcase_add_test(c, a_url_that_is_none);
    suite_add_tcase(suite, c);
    c = tcase_create("away");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, nobody_listens);
    tcase_add_test(c, it_is_silent);
    tcase_add_test(c, a_wrong_password);
    tcase_add_test(c, something_else_than_redis);
    tcase_add_test(c, no_redis_protocol);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
