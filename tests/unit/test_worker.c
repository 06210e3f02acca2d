/* A worker's life without its thread: what gateway_new() does when a later step fails. */
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "gateway/worker.h"
#include "handler/handlers.h"

static const char config_text[] = "websocket: {host: 127.0.0.1, port: 0, handlers: [{path: /echo, type: echo}]}\n";

static struct config *config;
static struct plan *plan;
static struct recorder *recorder;
static struct resolver *resolver;
static struct shared shared;

static void setup(void) {
    struct err err;
    const struct config_input input = {.file = "test.yaml", .text = config_text, .ignore_environment = true};
    const struct recorder_options options = {.ports = 2};
    ck_assert_int_eq(config_load(&input, &config, &err), MF_OK);
    ck_assert_int_eq(plan_new(config, handler_endpoint, &plan, &err), MF_OK);
    ck_assert_int_eq(recorder_new(&options, &recorder, &err), MF_OK);
    ck_assert_int_eq(resolver_new(1, &resolver, &err), MF_OK);
}

static void teardown(void) {
    resolver_free(resolver);
    ck_assert_int_eq(recorder_free(recorder), MF_OK);
    plan_unref(plan);
    config_unref(config);
}

static void init_one(struct worker_thread *t, unsigned index) {
    struct err err;
    int fd;
    struct sockaddr_storage bound;
    ck_assert_int_eq(listener_bind("127.0.0.1", 0, &fd, 1, &bound, &err), MF_OK);
    ck_assert_int_eq(worker_init(t, index, plan, NULL, &shared, resolver, recorder, fd, &err), MF_OK);
}

static void init(struct worker_thread *t) {
    init_one(t, 0);
}

/* Its mail is read by worker_fini(), after the listener has gone. */
START_TEST(stopped_before_it_was_started) {
    struct worker_thread t;
    init(&t);
    worker_stop(&t, true);
    worker_join(&t);
    worker_fini(&t);
}
END_TEST

START_TEST(reloaded_before_it_was_started) {
    struct worker_thread t;
    init(&t);
    workers_set_plan(&t, 1, plan);
    worker_stop(&t, false);
    workers_set_plan(&t, 1, plan);
    worker_join(&t);
    worker_fini(&t);
}
END_TEST

/* Who reads "reloaded" and connects gets the new plan, whichever worker the kernel chooses. */
START_TEST(reloaded_is_said_by_the_last_worker) {
    struct worker_thread t[2];
    char text[512] = {0};
    int fd = memfd_create("log", MFD_CLOEXEC);
    log_set_fd(fd);
    init_one(&t[0], 0);
    init_one(&t[1], 1);
    workers_set_plan(t, 2, plan);
    inbox_deliver(&t[1].worker.loop.inbox, &t[1]);
    ck_assert_int_eq(pread(fd, text, sizeof text - 1, 0), 0);
    inbox_deliver(&t[0].worker.loop.inbox, &t[0]);
    ck_assert_int_gt(pread(fd, text, sizeof text - 1, 0), 0);
    ck_assert_ptr_nonnull(strstr(text, "reloaded routes=2"));
    worker_fini(&t[0]);
    worker_fini(&t[1]);
    log_set_fd(2);
    close(fd);
}
END_TEST

START_TEST(a_socket_that_cannot_be_listened_on) {
    struct worker_thread t;
    struct err err;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC); /* epoll refuses it */
    ck_assert_int_lt(worker_init(&t, 0, plan, NULL, &shared, resolver, recorder, fd, &err), 0);
    ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("worker");
    TCase *life = tcase_create("life");
    tcase_add_checked_fixture(life, setup, teardown);
    tcase_add_test(life, stopped_before_it_was_started);
    tcase_add_test(life, reloaded_before_it_was_started);
    tcase_add_test(life, reloaded_is_said_by_the_last_worker);
    tcase_add_test(life, a_socket_that_cannot_be_listened_on);
    suite_add_tcase(suite, life);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
