/* As test_player.c: each test is a recording, what the live side says and when, and what then happens. Here: frames,
 * ends, driving, looking up, what a player costs, and any recording. */
#include <malloc.h>

#include "base/rng.h"
#include "player_harness.h"

/* ---- frames ---- */

START_TEST(fragments_stay_fragments) {
    start();
    in(0, "go");
    frame_of("conn-1", 10, "outgoing", "text", false, "one ");
    frame_of("conn-1", 15, "outgoing", "ping", true, "p");
    in(17, "stop");
    frame_of("conn-1", 20, "outgoing", "continuation", false, "two ");
    frame_of("conn-1", 30, "outgoing", "continuation", true, "three");
    frame_of("conn-1", 31, "outgoing", "pong", true, "never");
    frame_of("conn-1", 32, "outgoing", "binary", true, "bytes");
    closes(40, "outgoing", 4000, "enough");
    closes(41, "incoming", 4000, "enough");
    ends(42, "upstream");
    load();
    struct player_options o = server(PLAYER_REACTIVE);
    play(&o, LIVE({0, "go"}, {100, "stop"}), 1000);
    expect("0 < go = 0\n10 >... one \n15 ping p\n20 +... two \n30 + three\n100 < stop = 1\n115 b> bytes\n123 close "
           "enough");
    o.speed = PLAYER_SPEED_MAX;
    play(&o, LIVE({0, "go"}, {0, "stop"}), 1000);
    expect("0 < go = 0\n0 >... one \n0 ping p\n0 +... two \n0 + three\n0 < stop = 1\n0 b> bytes\n0 close enough");
}
END_TEST

START_TEST(fragments_with_live_values_become_one_frame) {
    start();
    in(0, "{\"id\":\"c0ffee11-0000-4000-8000-000000000001\",\"method\":\"get\"}");
    frame_of("conn-1", 10, "outgoing", "text", false, "{\"id\":\"c0ffee11-0000-4000-");
    frame_of("conn-1", 20, "outgoing", "ping", true, "p");
    frame_of("conn-1", 30, "outgoing", "continuation", true, "8000-000000000001\",\"result\":\"A\"}");
    out(31, "next");
    ends(40, "client");
    load();
    struct player_options o = server(PLAYER_AUTO);
    play(&o, LIVE({0, "{\"id\":\"c0ffee22-0000-4000-8000-000000000007\",\"method\":\"get\"}"}), 100);
    expect("0 < {\"id\":\"c0ffee22-0000-4000-8000-000000000007\",\"method\":\"get\"} = 0\n20 ping p\n30 > " RESULT(
        "7", "A") "\n31 > next\n40 done");
    play(&o, LIVE({0, "{\"id\":\"c0ffee11-0000-4000-8000-000000000001\",\"method\":\"get\"}"}), 100);
    expect("0 < {\"id\":\"c0ffee11-0000-4000-8000-000000000001\",\"method\":\"get\"} = 0\n"
           "10 >... {\"id\":\"c0ffee11-0000-4000-\n20 ping p\n30 + 8000-000000000001\",\"result\":\"A\"}\n31 > "
           "next\n40 done");
}
END_TEST

START_TEST(nothing_comes_between_fragments) {
    start();
    in(0, "go");
    in(1, "{\"type\":\"ping\"}");
    out(2, "{\"type\":\"pong\"}");
    in(3, "{\"type\":\"ping\"}");
    out(4, "{\"type\":\"pong\"}");
    frame_of("conn-1", 10, "outgoing", "text", false, "one ");
    frame_of("conn-1", 20, "outgoing", "continuation", true, "two");
    ends(40, "client");
    load();
    struct player_options o = server(PLAYER_AUTO);
    play(&o, LIVE({0, "go"}, {11, "{\"type\":\"ping\"}"}), 100);
    expect("0 < go = 0\n10 >... one \n11 < {\"type\":\"ping\"} = 1\n20 + two\n20 > {\"type\":\"pong\"}\n40 done");
}
END_TEST

/* ---- ends ---- */

START_TEST(it_ends_as_recorded) {
    static const struct {
        const char *who, *by, *expected;
        bool close;
    } rows[] = {
        {"outgoing", "upstream", "1 > hello\n5 close bye", true}, {"outgoing", "upstream", "1 > hello\n9 drop", false},
        {"incoming", "client", "1 > hello\n9 done", true},        {"incoming", "client", "1 > hello\n9 done", false},
        {"outgoing", NULL, "1 > hello\n5 close bye", true},       {"outgoing", NULL, "1 > hello\n1 done", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        start();
        out(1, "hello");
        if (rows[i].close) {
            closes(5, rows[i].who, 4001, "bye");
            closes(6, strcmp(rows[i].who, "incoming") ? "incoming" : "outgoing", 4001, "bye");
        }
        if (rows[i].by)
            ends(9, rows[i].by);
        load();
        struct player_options o = server(PLAYER_AUTO);
        play(&o, NOBODY, 100);
        expect(rows[i].expected);
        teardown();
    }
}
END_TEST

START_TEST(round_and_round) {
    start();
    out(0, "a");
    out(10, "b");
    closes(20, "outgoing", 1000, "");
    ends(20, "upstream");
    load();
    struct player_options o = server(PLAYER_TIMED);
    o.loop = true;
    play(&o, NOBODY, 45);
    expect("0 > a\n10 > b\n20 > a\n30 > b\n40 > a");
    o.speed = PLAYER_SPEED_MAX; /* not faster than once in a millisecond */
    play(&o, NOBODY, 2);
    expect("0 > a\n0 > b\n1 > a\n1 > b\n2 > a\n2 > b");
}
END_TEST

START_TEST(a_reactive_round_waits_for_the_first_message_again) {
    record_calls();
    struct player_options o = server(PLAYER_REACTIVE);
    o.loop = true;
    play(&o, LIVE({0, CALL("1", "a")}, {6, CALL("2", "b")}, {12, CALL("3", "c")}, {50, CALL("4", "a")}), 60);
    expect("0 < " CALL("1", "a") " = 0\n5 > " RESULT("1", "A") "\n6 < " CALL("2", "b") " = 2\n11 > " RESULT(
        "2",
        "B") "\n12 < " CALL("3",
                            "c") " = 4\n17 > " RESULT("3",
                                                      "C") "\n50 < " CALL("4",
                                                                          "a") " = 0\n55 > " RESULT("4",
                                                                                                    "A") "\n55 "
                                                                                                         "stalled");
}
END_TEST

START_TEST(times_that_run_backwards) {
    start();
    out(10, "a");
    out(5, "b");
    in(7, "go");
    out(4, "c");
    out(12, "d");
    ends(12, "client");
    load();
    struct player_options o = server(PLAYER_AUTO);
    play(&o, LIVE({100, "go"}), 1000);
    expect("10 > a\n10 > b\n100 < go = 2\n100 > c\n102 > d\n102 done");
}
END_TEST

/* ---- driving ---- */

START_TEST(pushes_do_not_hold_the_client_back) {
    start();
    in(0, "{\"op\":\"subscribe\"}");
    out(1, "{\"ok\":true}");
    for (int i = 0; i < 10; i++) {
        char text[32];
        snprintf(text, sizeof text, "{\"tick\":%d}", i);
        out(10 + i, text);
    }
    in(30, "{\"op\":\"unsubscribe\"}");
    out(31, "{\"ok\":false}");
    ends(40, "client");
    load();
    struct player_options o = client(PLAYER_AUTO);
    play(&o, LIVE({5, "{\"ok\":true}"}, {14, "{\"tick\":100}"}, {60, "{\"ok\":false}"}), 1000);
    expect("0 > {\"op\":\"subscribe\"}\n5 < {\"ok\":true} = 1\n14 < {\"tick\":100} = 2\n34 > {\"op\":\"unsubscribe\"}\n"
           "60 < {\"ok\":false} = 13\n69 drop");
    o.mode = PLAYER_REACTIVE; /* strictly */
    play(&o, LIVE({5, "{\"ok\":true}"}, {14, "{\"tick\":100}"}), 1000);
    expect("0 > {\"op\":\"subscribe\"}\n5 < {\"ok\":true} = 1\n14 < {\"tick\":100} = 2\n14 stalled");
}
END_TEST

/* ---- lookup ---- */

START_TEST(lookup_answers_in_any_order_any_number_of_times) {
    record_calls();
    struct player_options o = server(PLAYER_LOOKUP);
    play(&o, LIVE({0, CALL("1", "c")}, {1, CALL("2", "a")}, {20, CALL("3", "c")}, {30, CALL("4", "d")}), 60);
    expect("0 < " CALL("1", "c") " = 4\n1 < " CALL("2", "a") " = 0\n5 > " RESULT("1", "C") "\n6 > " RESULT(
        "2", "A") "\n20 < " CALL("3", "c") " = 4\n25 > " RESULT("3",
                                                                "C") "\n30 < " CALL("4",
                                                                                    "d") " ? nothing in the recording "
                                                                                         "is like it\n30 idle");
}
END_TEST

START_TEST(lookup_keeps_two_streams_apart) {
    start();
    out(0, "hello");
    in(1, "{\"id\":\"sub-c0ffee110001\",\"type\":\"subscribe\",\"topic\":\"btc\"}");
    out(10, "{\"id\":\"sub-c0ffee110001\",\"price\":1}");
    out(20, "{\"id\":\"sub-c0ffee110001\",\"price\":2}");
    in(25, "{\"id\":\"sub-c0ffee110002\",\"type\":\"subscribe\",\"topic\":\"eth\"}");
    out(30, "{\"id\":\"sub-c0ffee110001\",\"price\":3}");
    out(31, "{\"id\":\"sub-c0ffee110002\",\"price\":9}");
    ends(60, "client");
    load();
    struct player_options o = server(PLAYER_LOOKUP);
    play(&o,
         LIVE({0, "{\"id\":\"sub-beef22220007\",\"type\":\"subscribe\",\"topic\":\"btc\"}"},
              {5, "{\"id\":\"sub-beef22220008\",\"type\":\"subscribe\",\"topic\":\"btc\"}"},
              {6, "{\"id\":\"sub-beef22220009\",\"type\":\"subscribe\",\"topic\":\"xrp\"}"}),
         100);
    expect("0 > hello\n0 < {\"id\":\"sub-beef22220007\",\"type\":\"subscribe\",\"topic\":\"btc\"} = 1\n"
           "5 < {\"id\":\"sub-beef22220008\",\"type\":\"subscribe\",\"topic\":\"btc\"} = 1\n"
           "6 < {\"id\":\"sub-beef22220009\",\"type\":\"subscribe\",\"topic\":\"xrp\"} ? nothing in the recording is "
           "like it\n"
           "9 > {\"id\":\"sub-beef22220007\",\"price\":1}\n14 > {\"id\":\"sub-beef22220008\",\"price\":1}\n"
           "19 > {\"id\":\"sub-beef22220007\",\"price\":2}\n24 > {\"id\":\"sub-beef22220008\",\"price\":2}\n"
           "29 > {\"id\":\"sub-beef22220007\",\"price\":3}\n34 > {\"id\":\"sub-beef22220008\",\"price\":3}\n34 idle");
}
END_TEST

START_TEST(lookup_over_all_connections) {
    start();
    in(0, "{\"q\":\"a\"}");
    out(5, "{\"a\":1}");
    ends(6, "client");
    open_connection("conn-2", 10);
    frame_of("conn-2", 11, "incoming", "text", true, "{\"q\":\"b\"}");
    frame_of("conn-2", 13, "outgoing", "text", true, "{\"a\":2}");
    frame_of("conn-2", 20, "incoming", "text", true, "{\"q\":\"b\"}");
    frame_of("conn-2", 21, "outgoing", "text", true, "{\"a\":3}");
    load();
    struct player_options o = server(PLAYER_LOOKUP);
    play(&o, LIVE({0, "{\"q\":\"b\"}"}, {10, "{\"q\":\"a\"}"}, {20, "{\"q\":\"b\"}"}, {30, "{\"q\":\"b\"}"}), 100);
    expect("0 < {\"q\":\"b\"} = 2\n2 > {\"a\":2}\n10 < {\"q\":\"a\"} = 0\n15 > {\"a\":1}\n20 < {\"q\":\"b\"} = 4\n"
           "21 > {\"a\":3}\n30 < {\"q\":\"b\"} = 2\n32 > {\"a\":2}\n32 idle");
}
END_TEST

static unsigned suits(uint32_t connection, const char *text) {
    unsigned score;
    ck_assert_int_eq(
        player_first_message(correlation, &connection, 1, EVENT_INCOMING, NULL, false, text, strlen(text), &score),
        MF_OK);
    return score;
}

START_TEST(first_messages_choose_a_connection) {
    record_calls();
    ck_assert_uint_gt(suits(0, CALL("1", "a")), suits(0, CALL("1", "b")));
    ck_assert_uint_gt(suits(0, CALL("1", "b")), 0);
    ck_assert_uint_eq(suits(0, "{\"method\":\"put\",\"id\":\"x\"}"), 0);
}
END_TEST

/* Id and channel are echoed in the first, so both are free there; in the second neither is. */
START_TEST(the_same_channel_chooses_whatever_the_id) {
    frame_of("conn-1", 0, "incoming", "text", true, "{\"id\":\"req-1\",\"channel\":\"orders\"}");
    frame_of("conn-1", 1, "outgoing", "text", true, "{\"id\":\"req-1\",\"channel\":\"orders\",\"ok\":true}");
    frame_of("conn-2", 2, "incoming", "text", true, "{\"id\":\"req-2\",\"channel\":\"payroll\"}");
    frame_of("conn-2", 3, "outgoing", "text", true, "{\"error\":\"no such channel\"}");
    load();
    static const char orders[] = "{\"id\":\"mine\",\"channel\":\"orders\"}";
    static const char payroll[] = "{\"id\":\"mine\",\"channel\":\"payroll\"}";
    ck_assert_uint_gt(suits(0, orders), suits(1, orders));
    ck_assert_uint_gt(suits(1, payroll), suits(0, payroll));
}
END_TEST

/* Ten thousand clients play one recording: what each of them costs beside it. */
START_TEST(a_player_is_small) {
    enum { PLAYERS = 500 };
    static struct player *players[PLAYERS];
    record_calls();
    struct player_options o = server(PLAYER_AUTO);
    ck_assert_int_eq(player_plan_new(correlation, 0, EVENT_OUTGOING, NULL, &o.plan), MF_OK);
    size_t before = mallinfo2().uordblks;
    for (size_t i = 0; i < PLAYERS; i++) {
        struct player_action a;
        uint32_t message;
        ck_assert_int_eq(player_new(correlation, 0, &o, 0, &players[i]), MF_OK);
        ck_assert_int_eq(player_take(players[i], 0, false, CALL("1", "a"), strlen(CALL("1", "a")), &message, NULL),
                         PLAYER_MATCHED);
        player_next(players[i], 5000, &a);
        ck_assert_int_eq(a.step, PLAYER_SEND);
    }
    size_t each = (mallinfo2().uordblks - before) / PLAYERS; /* 0 where a sanitizer counts by itself */
    ck_assert_msg(each < 2048, "%zu bytes", each);
    for (size_t i = 0; i < PLAYERS; i++)
        player_free(players[i]);
    player_plan_unref(o.plan);
}
END_TEST

/* ---- any recording ---- */

static const char *const client_says[] = {
    "{\"type\":\"ping\"}", "{\"type\":\"get\",\"n\":%d}", "{\"type\":\"go\"}", "word %d", "{\"type\":\"ping\"}", "3"};
static const char *const server_says[] = {
    "{\"type\":\"pong\"}", "{\"n\":%d}", "{\"type\":\"gone\"}", "tick %d", "2", "2"};

/* Both halves of a random conversation, and what is expected of the server: one line for each frame. */
static struct buf random_expected;
static struct live random_live[200];
static char random_texts[200][64];

static void random_recording(uint64_t seed) {
    struct rng rng;
    rng_init(&rng, seed);
    size_t count = (size_t)rng_range(&rng, 0, 60), says = 0;
    uint64_t us = 0;
    bool was_from_client = false;
    buf_reset(&random_expected);
    start();
    for (size_t i = 0; i < count; i++) {
        bool from_client = rng_range(&rng, 0, 1), turns = i > 0 && from_client != was_from_client;
        was_from_client = from_client; /* at the same time only what comes from the same side */
        us += turns || rng_range(&rng, 0, 3) ? (uint64_t)rng_range(&rng, 1, 50000) : 0;
        char *text = random_texts[i];
        snprintf(text, sizeof random_texts[i], (from_client ? client_says : server_says)[rng_range(&rng, 0, 5)],
                 (int)rng_range(&rng, 0, 3));
        double ms = (double)us / 1000;
        if (from_client) {
            in(ms, text);
            random_live[says++] = (struct live){ms, text};
            continue;
        }
        bool cut = rng_range(&rng, 0, 3) == 0 && strlen(text) > 1;
        if (cut) {
            char head[2] = {text[0], 0};
            frame_of("conn-1", ms, "outgoing", "text", false, head);
            frame_of("conn-1", ms, "outgoing", "continuation", true, text + 1);
            buf_printf(&random_expected, ">... %s\n+ %s\n", head, text + 1);
        } else {
            out(ms, text);
            buf_printf(&random_expected, "> %s\n", text);
        }
    }
    random_live[says] = (struct live){-1, NULL};
    ends((double)us / 1000, "client");
    load();
}

/* The lines of log_text that the player sent, without their times. */
static void keep_sent(struct buf *sent) {
    for (const char *line = buf_cstr(&log_text); *line;) {
        const char *end = strchrnul(line, '\n'), *text = strchr(line, ' ') + 1;
        if (*text == '>' || *text == '+') {
            buf_append(sent, text, (size_t)(end - text));
            buf_putc(sent, '\n');
        }
        line = *end ? end + 1 : end;
    }
}

START_TEST(its_own_other_half_brings_back_our_half) {
    static const enum player_mode modes[] = {PLAYER_TIMED, PLAYER_REACTIVE, PLAYER_AUTO};
    uint64_t seed = (uint64_t)_i + 1;
    random_recording(seed);
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        struct player_options o = server(modes[i]);
        struct buf sent = BUF_INIT;
        play(&o, random_live, 1e6);
        keep_sent(&sent);
        ck_assert_msg(!strcmp(buf_cstr(&sent), buf_cstr(&random_expected)),
                      "seed %lu, mode %zu: got\n%s\nexpected\n%s\nlog\n%s", (unsigned long)seed, i, buf_cstr(&sent),
                      buf_cstr(&random_expected), buf_cstr(&log_text));
        buf_fini(&sent);
    }
    buf_fini(&random_expected);
}
END_TEST

static Suite *suite(void) {
    Suite *s = suite_create("player: frames and ends");
    TCase *t = tcase_create("player");
    tcase_add_checked_fixture(t, NULL, teardown);
    tcase_add_test(t, fragments_stay_fragments);
    tcase_add_test(t, fragments_with_live_values_become_one_frame);
    tcase_add_test(t, nothing_comes_between_fragments);
    tcase_add_test(t, it_ends_as_recorded);
    tcase_add_test(t, round_and_round);
    tcase_add_test(t, a_reactive_round_waits_for_the_first_message_again);
    tcase_add_test(t, times_that_run_backwards);
    tcase_add_test(t, pushes_do_not_hold_the_client_back);
    tcase_add_test(t, lookup_answers_in_any_order_any_number_of_times);
    tcase_add_test(t, lookup_keeps_two_streams_apart);
    tcase_add_test(t, lookup_over_all_connections);
    tcase_add_test(t, first_messages_choose_a_connection);
    tcase_add_test(t, the_same_channel_chooses_whatever_the_id);
    tcase_add_test(t, a_player_is_small);
    tcase_add_loop_test(t, its_own_other_half_brings_back_our_half, 0, 400);
    suite_add_tcase(s, t);
    return s;
}

int main(void) {
    SRunner *r = srunner_create(suite());
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
