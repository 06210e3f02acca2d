/* Rooms and routes: who is told what, over two workers that are run by hand, with sessions over socket pairs. */
#include <check.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "gateway/worker.h"
#include "handler/handlers.h"
#include "relay/session.h"

static const char config_text[] = "websocket:\n"
                                  "  host: 127.0.0.1\n"
                                  "  port: 0\n"
                                  "  handlers:\n"
                                  "    - {path: /a, messages: [{on_message: x}]}\n"
                                  "    - {path: /b, messages: [{on_message: x}]}\n";

static struct config *config;
static struct plan *plan;
static struct recorder *recorder;
static struct resolver *resolver;
static struct worker_thread threads[2];
static struct worker *workers[2];
static struct shared shared;
static unsigned elsewhere; /* what was published to other gateways */

static void publish_elsewhere(void *bus, const struct hub_target *to, struct hub_message *m) {
    ck_assert_ptr_eq(bus, &shared);
    ck_assert(to->len <= 64 && m->len);
    elsewhere++;
}

static void setup(void) {
    struct err err;
    const struct config_input input = {.file = "test.yaml", .text = config_text, .ignore_environment = true};
    const struct recorder_options options = {.ports = 2};
    ck_assert_msg(config_load(&input, &config, &err) == MF_OK, "%s", err.text);
    ck_assert_int_eq(plan_new(config, handler_endpoint, &plan, &err), MF_OK);
    ck_assert_int_eq(recorder_new(&options, &recorder, &err), MF_OK);
    ck_assert_int_eq(resolver_new(1, &resolver, &err), MF_OK);
    elsewhere = 0;
    memset(&shared, 0, sizeof shared);
    shared.publish_elsewhere = publish_elsewhere;
    shared.bus = &shared;
    shared.workers = workers;
    for (unsigned i = 0; i < 2; i++) {
        int fd;
        struct sockaddr_storage bound;
        ck_assert_int_eq(listener_bind("127.0.0.1", 0, &fd, 1, &bound, &err), MF_OK);
        ck_assert_int_eq(worker_init(&threads[i], i, plan, NULL, &shared, resolver, recorder, fd, &err), MF_OK);
        workers[i] = &threads[i].worker;
    }
    shared.worker_count = 2;
}

static void teardown(void) {
    shared.worker_count = 0;
    worker_fini(&threads[0]);
    worker_fini(&threads[1]);
    resolver_free(resolver);
    ck_assert_int_eq(recorder_free(recorder), MF_OK);
    plan_unref(plan);
    config_unref(config);
}

/* ---- sessions ---- */

static void on_stop(struct inbox_item *item, void *receiver) {
    free(item);
    loop_stop(&((struct worker *)receiver)->loop);
}

/* A few turns of each worker's loop. */
static void run(void) {
    for (int turn = 0; turn < 6; turn++)
        for (size_t i = 0; i < 2; i++) {
            struct inbox_item *stop = malloc(sizeof *stop);
            ck_assert_ptr_nonnull(stop);
            stop->deliver = on_stop;
            inbox_post(&workers[i]->loop.inbox, stop);
            loop_run(&workers[i]->loop);
        }
}

struct client {
    int fd;
    struct session *session;
};

static struct client client_of(unsigned worker, const char *path) {
    const struct sockaddr_in remote = {.sin_family = AF_INET};
    struct worker *w = workers[worker];
    char text[512];
    int fds[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    session_new(w, fds[1], (const struct sockaddr *)&remote);
    int len = snprintf(text, sizeof text,
                       "GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                       path);
    ck_assert_int_eq(write(fds[0], text, (size_t)len), len);
    run();
    ssize_t n = read(fds[0], text, sizeof text);
    ck_assert_int_gt(n, 12);
    ck_assert_mem_eq(text, "HTTP/1.1 101", 12);
    struct client c = {fds[0], container_of(w->states[SESSION_OPEN].prev, struct session, in_state)};
    ck_assert_ptr_nonnull(c.session->member);
    return c;
}

/* The texts that came, each with a semicolon behind it. */
static const char *heard(const struct client *c) {
    static char out[512];
    uint8_t in[512];
    size_t at = 0, to = 0;
    run();
    ssize_t n = read(c->fd, in, sizeof in);
    while (n > 0 && at < (size_t)n) {
        ck_assert_int_eq(in[at], 0x81); /* a short text each */
        size_t len = in[at + 1];
        ck_assert_uint_lt(len, 126);
        memcpy(out + to, in + at + 2, len);
        to += len;
        out[to++] = ';';
        at += 2 + len;
    }
    out[to] = '\0';
    return out;
}

static void join(const struct client *c, const char *room) {
    ck_assert_int_eq(hub_join(c->session->worker->hub, c->session, room, strlen(room)), MF_OK);
}

static void leave(const struct client *c, const char *room) {
    hub_leave(c->session->worker->hub, c->session, room, strlen(room));
}

static void publish(unsigned from, const struct hub_target *to, const char *text) {
    struct hub_message *m = hub_message_new(false, text, strlen(text));
    ck_assert_ptr_nonnull(m);
    hub_publish(workers[from]->hub, to, m);
    hub_message_unref(m);
}

static void say(unsigned from, const char *target, const char *text) {
    const struct hub_target to = hub_target_of(target, strlen(target));
    publish(from, &to, text);
}

static struct buf names;

static void add_id(void *arg, const char *id) {
    (void)arg;
    buf_printf(&names, "%s ", id);
}

static void add_room(void *arg, const char *room, size_t len) {
    (void)arg;
    buf_printf(&names, "%.*s ", (int)len, room);
}

static const char *members(unsigned worker, const char *room) {
    run();
    buf_reset(&names);
    hub_members(workers[worker]->hub, room, strlen(room), add_id, NULL);
    return buf_cstr(&names);
}

static const char *rooms(const struct client *c) {
    buf_reset(&names);
    hub_rooms_of(c->session, add_room, NULL);
    return buf_cstr(&names);
}

/* It closes its end without a word. */
static void gone(struct client *c) {
    close(c->fd);
    run();
    ck_assert_ptr_null(list_first(&workers[0]->states[SESSION_ENDED]));
}

static void finish(struct client *clients, size_t count) {
    for (size_t i = 0; i < count; i++)
        close(clients[i].fd);
    buf_fini(&names);
}

/* ---- tests ---- */

START_TEST(targets) {
    ck_assert_int_eq(hub_target_of("lobby", 5).audience, HUB_ROOM);
    ck_assert_int_eq(hub_target_of("/a", 2).audience, HUB_ROUTE);
    ck_assert_int_eq(hub_target_of("/", 1).audience, HUB_ROUTE);
    ck_assert_int_eq(hub_target_of("", 0).audience, HUB_ROOM);
    ck_assert_int_eq(hub_target_of("all", 3).audience, HUB_ROOM);
}
END_TEST

START_TEST(rooms_on_two_workers) {
    struct client c[] = {client_of(0, "/a"), client_of(0, "/a"), client_of(1, "/b"), client_of(1, "/b")};
    join(&c[0], "lobby");
    join(&c[0], "lobby"); /* twice is once */
    join(&c[2], "lobby");
    join(&c[3], "attic");
    say(0, "lobby", "one");
    say(1, "lobby", "two");
    say(1, "attic", "three");
    say(0, "nowhere", "four");
    ck_assert_str_eq(heard(&c[0]), "one;two;");
    ck_assert_str_eq(heard(&c[1]), "");
    ck_assert_str_eq(heard(&c[2]), "two;one;"); /* its own worker's at once */
    ck_assert_str_eq(heard(&c[3]), "three;");
    ck_assert_uint_eq(elsewhere, 4);
    leave(&c[2], "lobby");
    leave(&c[2], "lobby");
    leave(&c[2], "nowhere");
    say(0, "lobby", "five");
    ck_assert_str_eq(heard(&c[0]), "five;");
    ck_assert_str_eq(heard(&c[2]), "");
    finish(c, 4);
}
END_TEST

START_TEST(routes_and_all) {
    struct client c[] = {client_of(0, "/a"), client_of(1, "/a"), client_of(1, "/b")};
    say(0, "/a", "a");
    say(0, "/b", "b");
    say(0, "/c", "c");
    publish(1, &(struct hub_target){HUB_ALL, "", 0}, "all");
    join(&c[2], "/a"); /* a room of that name is another thing */
    say(1, "/a", "again");
    ck_assert_str_eq(heard(&c[0]), "a;all;again;");
    ck_assert_str_eq(heard(&c[1]), "all;again;a;"); /* its own worker's at once */
    ck_assert_str_eq(heard(&c[2]), "all;b;");
    finish(c, 3);
}
END_TEST

START_TEST(who_is_in_a_room) {
    struct client c[] = {client_of(0, "/a"), client_of(1, "/a"), client_of(1, "/b")};
    ck_assert_str_eq(members(0, "lobby"), "");
    join(&c[1], "lobby");
    ck_assert_str_eq(members(0, "lobby"), "conn-2 ");
    ck_assert_str_eq(members(1, "lobby"), "conn-2 ");
    join(&c[0], "lobby");
    ck_assert_str_eq(members(0, "lobby"), "conn-1 conn-2 ");
    ck_assert_str_eq(members(1, "lobby"), "conn-2 conn-1 ");
    leave(&c[1], "lobby");
    ck_assert_str_eq(members(0, "lobby"), "conn-1 ");
    gone(&c[0]);
    ck_assert_str_eq(members(0, "lobby"), "");
    ck_assert_str_eq(members(1, "lobby"), "");
    finish(c + 1, 2);
}
END_TEST

START_TEST(the_rooms_of_one) {
    struct client c = client_of(0, "/a");
    ck_assert_str_eq(rooms(&c), "");
    join(&c, "b");
    join(&c, "a");
    join(&c, "c");
    leave(&c, "a");
    join(&c, "a");
    ck_assert_str_eq(rooms(&c), "b c a ");
    finish(&c, 1);
}
END_TEST

START_TEST(limits) {
    struct client c = client_of(0, "/a");
    char name[HUB_ROOM_NAME_MAX + 1];
    memset(name, 'n', sizeof name);
    ck_assert_int_eq(hub_join(workers[0]->hub, c.session, name, HUB_ROOM_NAME_MAX + 1), MF_ELIMIT);
    ck_assert_int_eq(hub_join(workers[0]->hub, c.session, name, HUB_ROOM_NAME_MAX), MF_OK);
    ck_assert_int_eq(hub_join(workers[0]->hub, c.session, "", 0), MF_OK);
    for (unsigned i = 2; i < HUB_ROOMS_PER_SESSION_MAX; i++) {
        snprintf(name, sizeof name, "%u", i);
        join(&c, name);
    }
    ck_assert_int_eq(hub_join(workers[0]->hub, c.session, "more", 4), MF_ELIMIT);
    ck_assert_int_eq(hub_join(workers[0]->hub, c.session, "77", 2), MF_OK); /* it is there */
    leave(&c, "77");
    ck_assert_int_eq(hub_join(workers[0]->hub, c.session, "more", 4), MF_OK);
    ck_assert_str_eq(members(1, "1000"), "conn-1 ");
    finish(&c, 1);
}
END_TEST

START_TEST(members_that_end_while_they_are_sent_to) {
    struct client c[] = {client_of(0, "/a"), client_of(0, "/a"), client_of(0, "/a"), client_of(0, "/a")};
    for (size_t i = 0; i < 4; i++)
        join(&c[i], "lobby");
    close(c[1].fd); /* the worker does not know it yet */
    close(c[3].fd);
    say(0, "lobby", "x");
    ck_assert_str_eq(heard(&c[0]), "x;");
    ck_assert_str_eq(heard(&c[2]), "x;");
    ck_assert_str_eq(members(0, "lobby"), "conn-1 conn-3 ");
    close(c[0].fd);
    close(c[2].fd);
    say(0, "lobby", "y"); /* all of them */
    ck_assert_str_eq(members(0, "lobby"), "");
    ck_assert_str_eq(members(1, "lobby"), "");
    finish(c, 0);
}
END_TEST

/* ---- a delivery within a delivery ---- */

static unsigned nested;

static void publish_within(struct endpoint *e) {
    (void)e;
    if (nested && nested--)
        say(0, "lobby", "in");
}

START_TEST(one_delivery_within_another) {
    struct client c[] = {client_of(0, "/a"), client_of(0, "/a"), client_of(0, "/a")};
    struct endpoint_type meddling = *c[1].session->endpoint->type;
    const struct endpoint_type *own = c[1].session->endpoint->type;
    meddling.flush = publish_within;
    c[1].session->endpoint->type = &meddling;
    for (size_t i = 0; i < 3; i++)
        join(&c[i], "lobby");
    nested = 2;
    say(0, "lobby", "out");
    ck_assert_uint_eq(nested, 0);
    ck_assert_str_eq(heard(&c[0]), "out;in;in;");
    ck_assert_str_eq(heard(&c[1]), "out;in;in;");
    ck_assert_str_eq(heard(&c[2]), "in;in;out;");
    ck_assert_str_eq(members(0, "lobby"), "conn-1 conn-2 conn-3 ");
    c[1].session->endpoint->type = own;
    finish(c, 3);
}
END_TEST

/* ---- from elsewhere, and too much ---- */

START_TEST(news_from_elsewhere_stay_here) {
    struct client c[] = {client_of(0, "/a"), client_of(1, "/a")};
    struct hub_message *m = hub_message_new(false, "x", 1);
    const struct hub_target to = hub_target_of("/a", 2);
    ck_assert_ptr_nonnull(m);
    hub_publish_from(&shared, &to, m);
    hub_message_unref(m);
    ck_assert_str_eq(heard(&c[0]), "x;");
    ck_assert_str_eq(heard(&c[1]), "x;");
    ck_assert_uint_eq(elsewhere, 0);
    finish(c, 2);
}
END_TEST

START_TEST(the_mail_is_bounded) {
    static uint8_t zeros[1u << 20];
    struct client c = client_of(1, "/a");
    const struct hub_target nobody = hub_target_of("nobody", 6), all = {HUB_ALL, "", 0};
    uint64_t sum[METRIC_COUNT] = {0};
    for (int i = 0; i < 100; i++) {
        struct hub_message *m = hub_message_new(true, zeros, sizeof zeros);
        ck_assert_ptr_nonnull(m);
        hub_publish(workers[0]->hub, &nobody, m);
        hub_message_unref(m);
    }
    publish(0, &all, "small"); /* fits still */
    ck_assert_str_eq(heard(&c), "small;");
    metrics_sum(&workers[1]->metrics, sum);
    ck_assert_uint_eq(sum[METRIC_PUSHES_DROPPED], 100 - 63);
    publish(0, &all, "again");
    ck_assert_str_eq(heard(&c), "again;");
    finish(&c, 1);
}
END_TEST

START_TEST(mail_that_nobody_reads_any_more) {
    struct client c = client_of(1, "/a");
    join(&c, "lobby");
    for (int i = 0; i < 10; i++)
        say(0, "lobby", "x"); /* is delivered by worker_fini(), to nobody */
    finish(&c, 1);
}
END_TEST

int main(void) {
    log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC)); /* quiet */
    Suite *suite = suite_create("hub");
    TCase *c = tcase_create("hub");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 20);
    tcase_add_test(c, targets);
    tcase_add_test(c, rooms_on_two_workers);
    tcase_add_test(c, routes_and_all);
    tcase_add_test(c, who_is_in_a_room);
    tcase_add_test(c, the_rooms_of_one);
    tcase_add_test(c, limits);
    tcase_add_test(c, members_that_end_while_they_are_sent_to);
    tcase_add_test(c, one_delivery_within_another);
    tcase_add_test(c, news_from_elsewhere_stay_here);
    tcase_add_test(c, the_mail_is_bounded);
    tcase_add_test(c, mail_that_nobody_reads_any_more);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
