/* listener_bind(): which sockets it gives, and who else gets the same port. */
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/listener.h"

#define WORKERS 3

static uint16_t port_of(int fd) {
    struct sockaddr_in in;
    socklen_t len = sizeof in;
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    return ntohs(in.sin_port);
}

static void close_all(const int *fds, size_t count) {
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
}

START_TEST(all_workers_have_one_port_and_nobody_else_has) {
    int fds[WORKERS], others[WORKERS];
    struct sockaddr_storage bound;
    struct err err;
    ck_assert_int_eq(listener_bind("127.0.0.1", 0, fds, WORKERS, &bound, &err), MF_OK);
    uint16_t port = ntohs(((const struct sockaddr_in *)(const void *)&bound)->sin_port);
    ck_assert_uint_ne(port, 0);
    for (size_t i = 0; i < WORKERS; i++)
        ck_assert_uint_eq(port_of(fds[i]), port);
    ck_assert_int_eq(listener_bind("127.0.0.1", port, others, WORKERS, &bound, &err), MF_EIO);
    ck_assert_ptr_nonnull(strstr(err.text, strerror(EADDRINUSE)));
    close_all(fds, WORKERS);
    ck_assert_int_eq(listener_bind("127.0.0.1", port, others, WORKERS, &bound, &err), MF_OK);
    ck_assert_uint_eq(port_of(others[0]), port);
    close_all(others, WORKERS);
}
END_TEST

/* A network namespace of this process's own in which port 0 is one of a few. */
static bool few_ports(void) {
    FILE *f = unshare(CLONE_NEWNET) == 0 ? fopen("/proc/sys/net/ipv4/ip_local_port_range", "w") : NULL;
    if (!f)
        return false;
    fputs("40000 40007\n", f);
    return fclose(f) == 0;
}

#define GATEWAYS 4
#define TURNS 300

static pthread_barrier_t barrier;
static uint16_t ports[GATEWAYS]; /* of this turn; 0: it could not listen */
static atomic_uint refused, shared;

/* Without Check's assertions, which are for its own thread. */
static void *bind_again_and_again(void *arg) {
    size_t me = (size_t)arg;
    for (int turn = 0; turn < TURNS; turn++) {
        int fds[WORKERS];
        struct sockaddr_storage bound = {0};
        struct err err;
        pthread_barrier_wait(&barrier);
        bool bound_it = listener_bind("0.0.0.0", 0, fds, WORKERS, &bound, &err) == MF_OK;
        ports[me] = bound_it ? ((const struct sockaddr_in *)(const void *)&bound)->sin_port : 0;
        atomic_fetch_add(&refused, !bound_it);
        pthread_barrier_wait(&barrier);
        for (size_t i = 0; i < me; i++)
            atomic_fetch_add(&shared, bound_it && ports[i] == ports[me]);
        pthread_barrier_wait(&barrier);
        if (bound_it)
            close_all(fds, WORKERS);
    }
    return NULL;
}

/* Gateways that start at the same time, as those of tests do. */
START_TEST(port_0_is_never_somebody_elses) {
    pthread_t threads[GATEWAYS];
    if (!few_ports()) {
        fprintf(stderr, "SKIPPED port_0_is_never_somebody_elses: no network namespace: %s\n", strerror(errno));
        return;
    }
    ck_assert_int_eq(pthread_barrier_init(&barrier, NULL, GATEWAYS), 0);
    for (size_t i = 0; i < GATEWAYS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, bind_again_and_again, (void *)i), 0);
    for (size_t i = 0; i < GATEWAYS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(atomic_load(&shared), 0);
    ck_assert_uint_eq(atomic_load(&refused), 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("listener");
    TCase *tc = tcase_create("bind");
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, all_workers_have_one_port_and_nobody_else_has);
    tcase_add_test(tc, port_0_is_never_somebody_elses);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
