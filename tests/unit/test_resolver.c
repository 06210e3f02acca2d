#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/resolver_lookup.h"

/* ---- a receiver ---- */

#define ANSWERS_MAX (RESOLVER_QUEUE_MAX + 64)

static struct inbox box;
static struct resolver_answer *answers[ANSWERS_MAX];
static size_t answers_count;

static void deliver(struct inbox_item *item, void *receiver) {
    ck_assert_ptr_eq(receiver, &box);
    ck_assert_uint_lt(answers_count, ANSWERS_MAX);
    answers[answers_count++] = container_of(item, struct resolver_answer, item);
}

/* Until `count` answers are there in all, or five seconds have passed. */
static void wait_for(size_t count) {
    struct pollfd p = {.fd = inbox_fd(&box), .events = POLLIN};
    while (answers_count < count && poll(&p, 1, 5000) > 0)
        inbox_deliver(&box, &box);
    ck_assert_uint_eq(answers_count, count);
}

static const struct resolver_answer *tagged(uint64_t tag) {
    const struct resolver_answer *found = NULL;
    for (size_t i = 0; i < answers_count; i++)
        if (answers[i]->tag == tag) {
            ck_assert_ptr_null(found); /* exactly once */
            found = answers[i];
        }
    ck_assert_ptr_nonnull(found);
    return found;
}

static void set_up(void) {
    ck_assert_int_eq(inbox_init(&box), MF_OK);
    answers_count = 0;
}

static void tear_down(void) {
    inbox_fini(&box, &box);
    while (answers_count > 0)
        resolver_answer_free(answers[--answers_count]);
}

static const char *text_of(const struct resolver_address *a, char out[80]) {
    char host[64] = "";
    uint16_t port;
    if (a->addr.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&a->addr;
        ck_assert_uint_eq(a->len, sizeof *in);
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        port = ntohs(in->sin_port);
    } else {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&a->addr;
        ck_assert_uint_eq(a->len, sizeof *in6);
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
        port = ntohs(in6->sin6_port);
    }
    snprintf(out, 80, "%s|%u", host, port);
    return out;
}

/* ---- a system whose names we make up ---- */

static sem_t gate;              /* "slow" names wait here */
static atomic_uint calls, held; /* look-ups begun; of these, how many wait at the gate */
static atomic_uint lists;       /* not freed yet */

static struct addrinfo *entry(const char *text, struct addrinfo *next) {
    struct addrinfo *ai = calloc(1, sizeof *ai + sizeof(struct sockaddr_in6));
    MUST(ai);
    ai->ai_next = next;
    ai->ai_addr = (struct sockaddr *)(ai + 1);
    struct sockaddr_in *in = (struct sockaddr_in *)(void *)ai->ai_addr;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)ai->ai_addr;
    if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
        ai->ai_family = in->sin_family = AF_INET;
        ai->ai_addrlen = sizeof *in;
    } else {
        MUST(inet_pton(AF_INET6, text, &in6->sin6_addr) == 1);
        ai->ai_family = in6->sin6_family = AF_INET6;
        ai->ai_addrlen = sizeof *in6;
    }
    return ai;
}

/* Of words parted by spaces. */
static struct addrinfo *make_list(const char *words) {
    char copy[512], *save = NULL, *texts[32];
    size_t n = 0;
    snprintf(copy, sizeof copy, "%s", words);
    for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
        texts[n++] = w;
    struct addrinfo *list = NULL;
    while (n > 0)
        list = entry(texts[--n], list);
    return list;
}

static void free_list(struct addrinfo *list) {
    while (list) {
        struct addrinfo *next = list->ai_next;
        free(list);
        list = next;
    }
    atomic_fetch_sub(&lists, 1);
}

static int look_up(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **list) {
    (void)service;
    atomic_fetch_add(&calls, 1);
    if (hints->ai_flags & AI_NUMERICHOST || hints->ai_socktype != SOCK_STREAM)
        return EAI_BADFLAGS;
    if (!strncmp(host, "slow", 4)) {
        atomic_fetch_add(&held, 1);
        sem_wait(&gate);
    }
    if (!strcmp(host, "none"))
        return EAI_NONAME;
    if (!strcmp(host, "broken")) {
        errno = ENETDOWN;
        return EAI_SYSTEM;
    }
    atomic_fetch_add(&lists, 1);
    *list = make_list("2001:db8::1 192.0.2.1");
    return 0;
}

static const struct resolver_lookup made_up = {look_up, free_list};

static void wait_until_held(unsigned count) {
    for (int i = 0; i < 5000 && atomic_load(&held) < count; i++)
        usleep(1000);
    ck_assert_uint_eq(atomic_load(&held), count);
}

static struct resolver *made_up_resolver(unsigned threads) {
    struct resolver *r;
    struct err err;
    sem_init(&gate, 0, 0);
    atomic_store(&held, 0);
    ck_assert_int_eq(resolver_new_with(threads, made_up, &r, &err), MF_OK);
    return r;
}

static void ask(struct resolver *r, const char *host, uint64_t tag) {
    ck_assert_int_eq(resolver_ask(r, host, 443, &box, deliver, tag), MF_OK);
}

/* ---- literal addresses ---- */

static const struct {
    const char *host, *address;
} literals[] = {
    {"127.0.0.1", "127.0.0.1|443"},
    {"255.255.255.255", "255.255.255.255|443"},
    {"::1", "::1|443"},
    {"[::1]", "::1|443"},
    {"2001:DB8::1", "2001:db8::1|443"},
    {"::ffff:192.0.2.1", "::ffff:192.0.2.1|443"},
    {"fe80::1%lo", "fe80::1|443"},
};

START_TEST(literals_need_no_thread) {
    struct resolver *r = made_up_resolver(1);
    char text[80];
    unsigned before = atomic_load(&calls);
    ask(r, literals[_i].host, 7);
    ck_assert_uint_eq(answers_count, 0); /* by inbox all the same */
    inbox_deliver(&box, &box);           /* and it is there already */
    ck_assert_uint_eq(answers_count, 1);
    ck_assert_uint_eq(answers[0]->tag, 7);
    ck_assert_uint_eq(answers[0]->count, 1);
    ck_assert_str_eq(text_of(&answers[0]->addresses[0], text), literals[_i].address);
    if (strchr(literals[_i].host, '%')) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&answers[0]->addresses[0].addr;
        ck_assert_uint_eq(in6->sin6_scope_id, if_nametoindex("lo"));
    }
    ck_assert_uint_eq(atomic_load(&calls), before);
    resolver_free(r);
}
END_TEST

/* ---- names ---- */

START_TEST(names_and_errors) {
    struct resolver *r = made_up_resolver(2);
    char long_name[400], text[80];
    memset(long_name, 'a', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    ask(r, "good", 1);
    ask(r, "none", 2);
    ask(r, "broken", 3);
    ask(r, "", 4);
    ask(r, long_name, 5);
    ask(r, "[]", 6);
    ask(r, "999.1.1.1", 7); /* no address: a name */
    ask(r, long_name + sizeof long_name - 1 - 255, 8);
    wait_for(8);
    ck_assert_uint_eq(tagged(1)->count, 2);
    ck_assert_str_eq(text_of(&tagged(1)->addresses[1], text), "192.0.2.1|0");
    ck_assert_uint_eq(tagged(2)->count, 0);
    ck_assert_str_eq(tagged(2)->why, "cannot resolve none: Name or service not known");
    ck_assert_str_eq(tagged(3)->why, "cannot resolve broken: Network is down");
    ck_assert_str_eq(tagged(4)->why, "cannot resolve : the name is empty");
    ck_assert_ptr_nonnull(strstr(tagged(5)->why, "aaa: the name is too long"));
    ck_assert_str_eq(tagged(6)->why, "cannot resolve : the name is empty");
    ck_assert_uint_eq(tagged(7)->count, 2);
    ck_assert_uint_eq(tagged(8)->count, 2);
    resolver_free(r);
    ck_assert_uint_eq(atomic_load(&lists), 0);
}
END_TEST

START_TEST(the_system_knows_localhost) {
    struct resolver *r;
    struct err err;
    ck_assert_int_eq(resolver_new(1, &r, &err), MF_OK);
    ask(r, "localhost", 1);
    ask(r, "127.0.0.1", 2);
    wait_for(2);
    ck_assert_uint_gt(tagged(1)->count, 0);
    for (size_t i = 0; i < tagged(1)->count; i++) {
        char text[80];
        text_of(&tagged(1)->addresses[i], text);
        ck_assert_msg(!strcmp(text, "127.0.0.1|443") || !strcmp(text, "::1|443"), "%s", text);
    }
    resolver_free(r);
}
END_TEST

static const struct {
    const char *list, *order;
} orders[] = {
    {"", ""},
    {"1.1.1.1", "1.1.1.1"},
    {"::1 ::2 1.1.1.1 1.1.1.2", "::1 1.1.1.1 ::2 1.1.1.2"},
    {"1.1.1.1 ::1 ::2", "1.1.1.1 ::1 ::2"},
    {"::1 ::2 ::3 1.1.1.1", "::1 1.1.1.1 ::2 ::3"},
    {"127.0.0.1 127.0.0.1 ::1", "127.0.0.1 ::1"},
    {"127.0.0.1 127.0.0.1 127.0.0.2 ::1 ::1 ::2", "127.0.0.1 ::1 127.0.0.2 ::2"},
    {"::1 ::2 ::3 ::4 ::5 ::6 ::7 ::8 ::9 1.1.1.1", "::1 1.1.1.1 ::2 ::3 ::4 ::5 ::6 ::7"},
    {"1.0.0.1 1.0.0.2 1.0.0.3 1.0.0.4 1.0.0.5 1.0.0.6 1.0.0.7 1.0.0.8 1.0.0.9",
     "1.0.0.1 1.0.0.2 1.0.0.3 1.0.0.4 1.0.0.5 1.0.0.6 1.0.0.7 1.0.0.8"},
};

START_TEST(families_take_turns) {
    struct addrinfo *list = make_list(orders[_i].list);
    struct resolver_answer answer = {.count = 99};
    char got[512] = "", text[80];
    resolver_interleave(list, &answer);
    for (size_t i = 0; i < answer.count; i++) {
        text_of(&answer.addresses[i], text);
        text[strcspn(text, "|")] = '\0';
        size_t len = strlen(got);
        snprintf(got + len, sizeof got - len, "%s%s", i ? " " : "", text);
    }
    ck_assert_str_eq(got, orders[_i].order);
    free_list(list);
}
END_TEST

/* ---- limits and the end ---- */

START_TEST(a_slow_name_holds_up_nobody) {
    struct resolver *r = made_up_resolver(2);
    ask(r, "slow", 1);
    wait_until_held(1);
    for (uint64_t i = 2; i <= 20; i++)
        ask(r, "good", i);
    wait_for(19);
    sem_post(&gate);
    wait_for(20);
    ck_assert_uint_eq(tagged(1)->count, 2);
    resolver_free(r);
}
END_TEST

START_TEST(the_queue_is_bounded) {
    struct resolver *r = made_up_resolver(1);
    ask(r, "slow", 0);
    wait_until_held(1);
    for (uint64_t i = 1; i <= RESOLVER_QUEUE_MAX; i++)
        ask(r, "good", i);
    inbox_deliver(&box, &box);
    ck_assert_uint_eq(answers_count, 0);
    ask(r, "one-too-many", RESOLVER_QUEUE_MAX + 1);
    wait_for(1);
    ck_assert_str_eq(answers[0]->why, "cannot resolve one-too-many: too many look-ups are waiting");
    ask(r, "127.0.0.1", RESOLVER_QUEUE_MAX + 2); /* needs no place in it */
    wait_for(2);
    ck_assert_uint_eq(answers[1]->count, 1);
    sem_post(&gate);
    wait_for(RESOLVER_QUEUE_MAX + 3);
    resolver_free(r);
}
END_TEST

START_TEST(the_end_does_not_wait_for_hanging_names) {
    struct resolver *r = made_up_resolver(2);
    ask(r, "slow-a", 1);
    ask(r, "slow-b", 2);
    wait_until_held(2);
    ask(r, "good", 3);
    uint64_t begin = clock_mono_us();
    resolver_free(r);
    ck_assert_uint_lt(clock_mono_us() - begin, (RESOLVER_GRACE_MS + 2000) * 1000ULL);
    wait_for(3);
    for (uint64_t tag = 1; tag <= 3; tag++) {
        ck_assert_uint_eq(tagged(tag)->count, 0);
        ck_assert_ptr_nonnull(strstr(tagged(tag)->why, ": shutting down"));
    }
    /* The threads that were left behind come back, answer nobody, and clean up. */
    sem_post(&gate);
    sem_post(&gate);
    for (int i = 0; i < 2000; i++) {
        usleep(1000);
        if (atomic_load(&calls) && atomic_load(&lists) == 0 && i > 100)
            break;
    }
    ck_assert_uint_eq(atomic_load(&lists), 0);
    inbox_deliver(&box, &box);
    ck_assert_uint_eq(answers_count, 3);
}
END_TEST

START_TEST(the_end_waits_for_quick_names) {
    struct resolver *r = made_up_resolver(1);
    ask(r, "slow", 1);
    wait_until_held(1);
    sem_post(&gate);
    resolver_free(r);
    wait_for(1);
    ck_assert_uint_eq(tagged(1)->count, 2);
    resolver_free(NULL);
}
END_TEST

/* ---- many askers ---- */

static void *ask_many(void *arg) {
    static const char *const hosts[] = {"good", "none", "127.0.0.1", "broken"};
    for (uint64_t i = 0; i < 200; i++)
        MUST(resolver_ask(arg, hosts[i % ARRAY_LEN(hosts)], 1, &box, deliver, i) == MF_OK);
    return NULL;
}

START_TEST(any_thread_may_ask) {
    struct resolver *r = made_up_resolver(4);
    pthread_t threads[4];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, ask_many, r), 0);
    wait_for(ARRAY_LEN(threads) * 200);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    resolver_free(r);
    ck_assert_uint_eq(atomic_load(&lists), 0);
}
END_TEST

int main(void) {
    Suite *s = suite_create("resolver");
    TCase *t = tcase_create("resolver");
    tcase_set_timeout(t, 20);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_loop_test(t, literals_need_no_thread, 0, (int)ARRAY_LEN(literals));
    tcase_add_test(t, names_and_errors);
    tcase_add_test(t, the_system_knows_localhost);
    tcase_add_loop_test(t, families_take_turns, 0, (int)ARRAY_LEN(orders));
    tcase_add_test(t, a_slow_name_holds_up_nobody);
    tcase_add_test(t, the_queue_is_bounded);
    tcase_add_test(t, the_end_does_not_wait_for_hanging_names);
    tcase_add_test(t, the_end_waits_for_quick_names);
    tcase_add_test(t, any_thread_may_ask);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
