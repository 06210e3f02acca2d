/* One side of a recording, played to a live other side under a clock of our own: each test is a recording, what the
 * live side says and when, and what then happens. Here: times, order, heartbeats and live values. */
#include "player_harness.h"

/* ---- timed ---- */

static void record_ticker(void) {
    start();
    out(10, "hello");
    in(20, "{\"type\":\"subscribe\"}");
    out(30, "{\"tick\":1}");
    out(130, "{\"tick\":2}");
    closes(200, "incoming", 1000, "");
    closes(201, "outgoing", 1000, "");
    ends(202, "client");
    load();
}

START_TEST(timed_keeps_the_recorded_times) {
    record_ticker();
    struct player_options o = server(PLAYER_TIMED);
    play(&o, NOBODY, 1000);
    expect("10 > hello\n30 > {\"tick\":1}\n130 > {\"tick\":2}\n202 done");
    o.speed = 2;
    play(&o, LIVE({6, "{\"type\":\"subscribe\"}"}), 1000);
    expect("5 > hello\n6 < {\"type\":\"subscribe\"} = 1\n15 > {\"tick\":1}\n65 > {\"tick\":2}\n101 done");
    o.speed = PLAYER_SPEED_MAX;
    play(&o, NOBODY, 1000);
    expect("0 > hello\n0 > {\"tick\":1}\n0 > {\"tick\":2}\n0 done");
}
END_TEST

START_TEST(the_other_side_is_played_too) {
    record_ticker();
    struct player_options o = client(PLAYER_REACTIVE);
    play(&o, LIVE({3, "hello"}, {20, "{\"tick\":1}"}, {50, "{\"tick\":7}"}), 1000);
    expect("3 < hello = 0\n13 > {\"type\":\"subscribe\"}\n20 < {\"tick\":1} = 2\n50 < {\"tick\":7} = 3\n120 close ");
}
END_TEST

/* ---- reactive ---- */

START_TEST(reactive_waits_and_keeps_the_gap) {
    record_ticker();
    struct player_options o = server(PLAYER_REACTIVE);
    play(&o, LIVE({500, "{\"type\":\"subscribe\"}"}), 2000);
    expect("10 > hello\n500 < {\"type\":\"subscribe\"} = 1\n510 > {\"tick\":1}\n610 > {\"tick\":2}\n682 done");
    play(&o, LIVE({4, "{\"type\":\"subscribe\"}"}), 2000); /* early: the recorded pace */
    expect("4 < {\"type\":\"subscribe\"} = 1\n10 > hello\n30 > {\"tick\":1}\n130 > {\"tick\":2}\n202 done");
    play(&o, LIVE({12, "{\"type\":\"subscribe\"}"}), 2000); /* when it is awaited: from there */
    expect("10 > hello\n12 < {\"type\":\"subscribe\"} = 1\n22 > {\"tick\":1}\n122 > {\"tick\":2}\n194 done");
    play(&o, NOBODY, 2000);
    expect("10 > hello\n10 stalled");
    o.speed = 10;
    play(&o, LIVE({500, "{\"type\":\"subscribe\"}"}), 2000);
    expect("1 > hello\n500 < {\"type\":\"subscribe\"} = 1\n501 > {\"tick\":1}\n511 > {\"tick\":2}\n518.2 done");
}
END_TEST

START_TEST(a_time_out_says_what_was_awaited) {
    record_ticker();
    struct player_options o = server(PLAYER_AUTO);
    o.timeout_us = 1000000;
    play(&o, NOBODY, 5000);
    expect("10 > hello\n1020 timed out: message 2 of conn-1 at 0.020 s: {\"type\":\"subscribe\"}");
    o.go_on = true;
    play(&o, NOBODY, 5000);
    expect("10 > hello\n1030 > {\"tick\":1}\n1130 > {\"tick\":2}\n1202 done");
}
END_TEST

START_TEST(another_order) {
    start();
    in(1, "{\"op\":\"get\",\"name\":\"a\"}");
    in(2, "{\"op\":\"get\",\"name\":\"b\"}");
    out(10, "A");
    out(11, "B");
    ends(12, "client");
    load();
    struct player_options o = server(PLAYER_AUTO);
    play(&o, LIVE({1, "{\"op\":\"get\",\"name\":\"b\"}"}, {5, "{\"name\":\"a\",\"op\":\"get\"}"}), 100);
    expect("1 < {\"op\":\"get\",\"name\":\"b\"} = 1\n5 < {\"name\":\"a\",\"op\":\"get\"} = 0\n13 > A\n14 > B\n15 done");
    play(&o, LIVE({1, "{\"op\":\"put\",\"name\":\"b\"}"}), 100);
    expect("1 < {\"op\":\"put\",\"name\":\"b\"} ? awaited is message 1 of conn-1 at 0.001 s: "
           "{\"op\":\"get\",\"name\":\"a\"}; "
           "/op: expected \"get\", got \"put\"\n1 stalled");
}
END_TEST

/* ---- heartbeats ---- */

static void record_pings(void) {
    start();
    in(0, "{\"type\":\"subscribe\"}");
    out(5, "{\"tick\":1}");
    in(10, "{\"type\":\"ping\"}");
    out(11, "{\"type\":\"pong\"}");
    out(15, "{\"tick\":2}");
    in(20, "{\"type\":\"ping\"}");
    out(21, "{\"type\":\"pong\"}");
    out(25, "{\"tick\":3}");
    ends(30, "client");
    load();
}

START_TEST(missing_heartbeats_hold_nothing_back) {
    record_pings();
    struct player_options o = server(PLAYER_AUTO);
    play(&o, LIVE({0, "{\"type\":\"subscribe\"}"}), 100);
    expect("0 < {\"type\":\"subscribe\"} = 0\n5 > {\"tick\":1}\n15 > {\"tick\":2}\n25 > {\"tick\":3}\n30 done");
}
END_TEST

START_TEST(surplus_heartbeats_are_answered) {
    record_pings();
    struct player_options o = server(PLAYER_AUTO);
    play(&o,
         LIVE({0, "{\"type\":\"subscribe\"}"}, {2, "{\"type\":\"ping\"}"}, {3, "{\"type\":\"ping\"}"},
              {16, "{\"type\":\"ping\"}"}, {90, "{\"type\":\"ping\"}"}),
         100);
    expect("0 < {\"type\":\"subscribe\"} = 0\n2 < {\"type\":\"ping\"} = 2\n3 < {\"type\":\"ping\"} = 5\n"
           "3 > {\"type\":\"pong\"}\n4 > {\"type\":\"pong\"}\n5 > {\"tick\":1}\n15 > {\"tick\":2}\n"
           "16 < {\"type\":\"ping\"} = 5\n17 > {\"type\":\"pong\"}\n25 > {\"tick\":3}\n90 < {\"type\":\"ping\"} = 5\n"
           "91 > {\"type\":\"pong\"}\n91 done");
}
END_TEST

START_TEST(heartbeats_that_the_server_asks_for) {
    start();
    out(0, "0{\"sid\":\"x\"}");
    in(1, "40");
    out(2, "40{}");
    out(100, "2");
    in(101, "3");
    out(150, "42[\"event\",1]");
    out(200, "2");
    in(201, "3");
    out(250, "42[\"event\",2]");
    ends(300, "client");
    load();
    struct player_options o = server(PLAYER_AUTO);
    play(&o, LIVE({5, "40"}, {140, "3"}), 1000);
    expect("0 > 0{\"sid\":\"x\"}\n5 < 40 = 1\n6 > 40{}\n104 > 2\n140 < 3 = 4\n154 > 42[\"event\",1]\n204 > 2\n"
           "254 > 42[\"event\",2]\n304 done");
    play(&o, LIVE({5, "40"}, {105, "3"}, {106, "3"}, {107, "3"}), 1000);
    expect("0 > 0{\"sid\":\"x\"}\n5 < 40 = 1\n6 > 40{}\n104 > 2\n105 < 3 = 4\n106 < 3 = 7\n107 < 3 = 7\n"
           "154 > 42[\"event\",1]\n204 > 2\n254 > 42[\"event\",2]\n304 done");
    o = client(PLAYER_AUTO); /* the driven client answers each "2" */
    play(&o,
         LIVE({0, "0{\"sid\":\"y\"}"}, {2, "40{}"}, {30, "2"}, {40, "2"}, {50, "2"}, {60, "42[\"event\",1]"},
              {70, "42[\"event\",2]"}),
         1000);
    expect(
        "0 < 0{\"sid\":\"y\"} = 0\n1 > 40\n2 < 40{} = 2\n30 < 2 = 3\n31 > 3\n40 < 2 = 6\n41 > 3\n50 < 2 = 6\n51 > 3\n"
        "60 < 42[\"event\",1] = 5\n70 < 42[\"event\",2] = 8\n120 drop");
}
END_TEST

/* The same said twice and answered alike is a heartbeat as well as a request: it is not cut off. */
START_TEST(the_end_gives_heartbeats_some_time) {
    start();
    in(0, "hello");
    out(1, "hello");
    in(10, "hello");
    out(11, "hello");
    closes(12, "outgoing", 1000, "bye");
    ends(13, "upstream");
    load();
    struct player_options o = server(PLAYER_AUTO);
    play(&o, LIVE({500, "hello"}, {900, "hello"}), 9000);
    expect("500 < hello = 0\n501 > hello\n900 < hello = 2\n900 close bye");
    play(&o, LIVE({500, "hello"}), 9000);
    expect("500 < hello = 0\n501 > hello\n2512 close bye");
}
END_TEST

START_TEST(pings_with_ids) {
    start();
    in(0, "{\"id\":1,\"op\":\"start\"}");
    for (int i = 0; i < 5; i++) {
        char text[64];
        snprintf(text, sizeof text, "{\"id\":%d,\"op\":\"ping\"}", i + 2);
        in(100 + i * 100, text);
        snprintf(text, sizeof text, "{\"id\":%d,\"pong\":true}", i + 2);
        out(101 + i * 100, text);
        snprintf(text, sizeof text, "{\"tick\":%d.25}", i * 7);
        out(150 + i * 100, text);
    }
    ends(600, "client");
    load();
    struct player_options o = server(PLAYER_AUTO);
    o.speed = 100;
    play(&o, LIVE({0, "{\"id\":1,\"op\":\"start\"}"}, {3, "{\"id\":77,\"op\":\"ping\"}"}), 9000);
    expect("0 < {\"id\":1,\"op\":\"start\"} = 0\n1.5 > {\"tick\":0.25}\n2.5 > {\"tick\":7.25}\n"
           "3 < {\"id\":77,\"op\":\"ping\"} = 1\n3.01 > {\"id\":77,\"pong\":true}\n3.5 > {\"tick\":14.25}\n"
           "4.5 > {\"tick\":21.25}\n5.5 > {\"tick\":28.25}\n6 done");
}
END_TEST

START_TEST(requests_without_marks_are_waited_for) {
    start();
    in(0, "next");
    out(1, "{\"item\":1}");
    in(10, "next");
    out(11, "{\"item\":2}");
    ends(20, "client");
    load();
    struct player_options o = server(PLAYER_AUTO);
    play(&o, LIVE({0, "next"}, {500, "next"}, {510, "next"}), 1000);
    expect("0 < next = 0\n1 > {\"item\":1}\n500 < next = 2\n501 > {\"item\":2}\n510 < next = 2\n511 > {\"item\":2}\n"
           "511 done");
    play(&o, LIVE({0, "next"}), 1000);
    expect("0 < next = 0\n1 > {\"item\":1}\n1 stalled");
}
END_TEST

START_TEST(it_stays_alive_while_it_waits) {
    start();
    in(0, "{\"type\":\"start\"}");
    out(1, "{\"type\":\"started\"}");
    out(100, "{\"type\":\"alive\"}");
    out(200, "{\"type\":\"alive\"}");
    out(300, "{\"type\":\"alive\"}");
    in(350, "{\"type\":\"stop\"}");
    out(351, "{\"type\":\"stopped\"}");
    ends(352, "client");
    load();
    struct player_options o = server(PLAYER_AUTO);
    play(&o, LIVE({0, "{\"type\":\"start\"}"}, {550, "{\"type\":\"stop\"}"}, {700, "bye"}), 1000);
    expect("0 < {\"type\":\"start\"} = 0\n1 > {\"type\":\"started\"}\n100 > {\"type\":\"alive\"}\n200 > "
           "{\"type\":\"alive\"}\n"
           "300 > {\"type\":\"alive\"}\n400 > {\"type\":\"alive\"}\n500 > {\"type\":\"alive\"}\n"
           "550 < {\"type\":\"stop\"} = 5\n551 > {\"type\":\"stopped\"}\n600 > {\"type\":\"alive\"}\n"
           "700 < bye ? nothing is awaited any more\n700 > {\"type\":\"alive\"}\n700 done");
}
END_TEST

/* …with the time behind a word in what it says, which comes back. */
START_TEST(it_stays_alive_with_times_in_words) {
    start();
    for (int i = 0; i < 3; i++) {
        char ping[64], pong[64];
        snprintf(ping, sizeof ping, "\"ping::%d00\"", 17053146 + i);
        snprintf(pong, sizeof pong, "\"pong::%d00\"", 17053146 + i);
        out(100.0 * i, ping);
        in(100.0 * i + 1, pong);
    }
    in(250, "{\"ask\":1}");
    out(251, "{\"told\":1}");
    ends(252, "client");
    load();
    struct player_options o = server(PLAYER_AUTO);
    play(&o, LIVE({1, "\"pong::1705314600\""}, {450, "{\"ask\":1}"}), 460);
    expect("0 > \"ping::1705314600\"\n1 < \"pong::1705314600\" = 1\n100 > \"ping::1705314700\"\n200 > "
           "\"ping::1705314800\"\n"
           "300 > \"ping::1705314600\"\n400 > \"ping::1705314600\"\n450 < {\"ask\":1} = 6\n451 > {\"told\":1}\n"
           "452 done");
}
END_TEST

/* ---- live values ---- */

START_TEST(answers_have_the_live_ids) {
    record_calls();
    struct player_options o = server(PLAYER_AUTO);
    play(&o, LIVE({0, CALL("7", "a")}, {7, CALL("8", "b")}, {40, CALL("9", "c")}), 100);
    expect("0 < " CALL("7", "a") " = 0\n5 > " RESULT("7", "A") "\n7 < " CALL("8", "b") " = 2\n12 > " RESULT(
        "8", "B") "\n40 < " CALL("9", "c") " = 4\n45 > " RESULT("9", "C") "\n50 done");
}
END_TEST

START_TEST(asked_again_it_answers_again) {
    record_calls();
    struct player_options o = server(PLAYER_AUTO);
    play(&o, LIVE({0, CALL("7", "a")}, {6, CALL("8", "a")}, {6, CALL("9", "b")}), 12);
    expect("0 < " CALL("7", "a") " = 0\n5 > " RESULT("7", "A") "\n6 < " CALL("8", "a") " = 0\n6 < " CALL(
        "9", "b") " = 2\n11 > " RESULT("8", "A") "\n11 > " RESULT("9", "B") "\n11 stalled");
}
END_TEST

/* A client that asks for b first, and goes on only when it has it. */
START_TEST(ahead_of_its_turn_is_answered_after_a_while) {
    record_calls();
    struct player_options o = server(PLAYER_AUTO);
    play(&o, LIVE({0, CALL("7", "b")}, {300, CALL("8", "a")}, {310, CALL("9", "c")}), 1000);
    expect("0 < " CALL("7", "b") " = 2\n30 > " RESULT("7", "B") "\n300 < " CALL("8", "a") " = 0\n305 > " RESULT(
        "8", "A") "\n310 < " CALL("9", "c") " = 4\n315 > " RESULT("9", "C") "\n320 done");
    play(&o, LIVE({0, CALL("7", "b")}, {20, CALL("8", "a")}, {310, CALL("9", "c")}), 1000); /* merely another order */
    expect("0 < " CALL("7", "b") " = 2\n20 < " CALL("8", "a") " = 0\n25 > " RESULT("8", "A") "\n35 > " RESULT(
        "7", "B") "\n310 < " CALL("9", "c") " = 4\n315 > " RESULT("9", "C") "\n320 done");
}
END_TEST

/* Two calls of the same moment come in one message; each is answered as if it had come alone. */
START_TEST(several_in_one_message) {
    start();
    in(0, CALL("1", "a"));
    out(5, RESULT("1", "A"));
    in(6, CALL("2", "b"));
    out(11, RESULT("2", "B"));
    ends(12, "server");
    load();
    struct player_options o = server(PLAYER_AUTO);
    play(&o, LIVE({0, "[" CALL("8", "a") ",\n " CALL("9", "b") "]"}), 100);
    expect("0 < [" CALL("8", "a") ",\n " CALL("9", "b") "] = 0\n5 > " RESULT("8", "A") "\n11 > " RESULT(
        "9", "B") "\n12 drop");
    /* Something else among them: it is no batch. */
    play(&o, LIVE({0, "[7," CALL("8", "a") "]"}), 100);
    expect("0 < [7," CALL("8", "a") "] ? awaited is message 1 of conn-1 at 0.000 s: " CALL(
        "1", "a") "; expected an object, got an array\n0 stalled");
}
END_TEST

/* What is said about a room answers who spoke there last, not who entered it. */
START_TEST(ahead_of_its_turn_all_that_answers_it_goes_out) {
    start();
    in(0, "{\"subscribe\":{\"channel\":\"orders\"}}");
    in(1, "{\"subscribe\":{\"channel\":\"prices\"}}");
    out(2, "{\"subscribed\":true,\"channel\":\"orders\"}");
    out(3, "{\"news\":7,\"channel\":\"orders\"}");
    out(4, "{\"subscribed\":true,\"channel\":\"prices\"}");
    out(5, "{\"news\":8,\"channel\":\"prices\"}");
    ends(30, "client");
    load();
    struct player_options o = server(PLAYER_AUTO);
    play(&o, LIVE({0, "{\"subscribe\":{\"channel\":\"weather\"}}"}), 100);
    expect("0 < {\"subscribe\":{\"channel\":\"weather\"}} = 0\n"
           "27 > {\"subscribed\":true,\"channel\":\"weather\"}\n"
           "28 > {\"news\":7,\"channel\":\"weather\"}\n28 stalled");
}
END_TEST

START_TEST(a_room_that_is_named_again) {
    start();
    in(0, "{\"enter\":{\"room\":\"kitchen\"}}");
    out(1, "{\"entered\":true,\"room\":\"kitchen\"}");
    in(10, "{\"enter\":{\"room\":\"garden\"}}");
    out(11, "{\"entered\":true,\"room\":\"garden\"}");
    in(20, "{\"say\":\"hey\",\"room\":\"garden\"}");
    out(21, "{\"said\":\"hey\",\"room\":\"garden\"}");
    ends(30, "client");
    load();
    struct player_options o = server(PLAYER_AUTO);
    play(&o,
         LIVE({0, "{\"enter\":{\"room\":\"garden\"}}"}, {500, "{\"enter\":{\"room\":\"kitchen\"}}"},
              {600, "{\"say\":\"hey\",\"room\":\"garden\"}"}),
         650);
    expect("0 < {\"enter\":{\"room\":\"garden\"}} = 2\n26 > {\"entered\":true,\"room\":\"garden\"}\n"
           "500 < {\"enter\":{\"room\":\"kitchen\"}} = 0\n501 > {\"entered\":true,\"room\":\"kitchen\"}\n"
           "600 < {\"say\":\"hey\",\"room\":\"garden\"} = 4\n601 > {\"said\":\"hey\",\"room\":\"garden\"}\n610 done");
}
END_TEST

/* Three at once in the recording; live one after the other, or one alone. What says again a name that is used
 * throughout is no answer to who said the name. */
START_TEST(at_once_in_the_recording_alone) {
    start();
    in(0, "{\"login\":\"grace-hopper-1906\"}");
    in(0, CALL("1", "a"));
    in(0, CALL("2", "b"));
    in(1, CALL("3", "c"));
    out(6, RESULT("2", "B"));
    out(7, RESULT("1", "A"));
    in(20, "{\"roll\":6}");
    out(21, "{\"rolled\":\"grace-hopper-1906\"}");
    out(22, RESULT("3", "C"));
    ends(30, "client");
    load();
    struct player_options o = server(PLAYER_AUTO);
    play(&o, LIVE({0, "{\"login\":\"ada-lovelace-1815\"}"}, {0, CALL("7", "a")}, {500, CALL("8", "c")}), 1900);
    expect("0 < {\"login\":\"ada-lovelace-1815\"} = 0\n0 < " CALL("7", "a") " = 1\n32 > " RESULT(
        "7", "A") "\n500 < " CALL("8", "c") " = 3\n546 > " RESULT("8", "C"));
}
END_TEST

/* What the client goes on without is given up after two seconds; its answer waits for it. */
START_TEST(skipped_is_given_up) {
    static const char asked[] = "0 < " CALL("7", "b") " = 2\n30 > " RESULT("7", "B") "\n300 < " CALL(
        "8", "c") " = 4\n330 > " RESULT("8", "C") "\n";
    struct buf expected = BUF_INIT;
    record_calls();
    struct player_options o = server(PLAYER_AUTO);
    play(&o, LIVE({0, CALL("7", "b")}, {300, CALL("8", "c")}), 9000);
    buf_printf(&expected, "%s2030 done", asked);
    expect(buf_cstr(&expected));
    play(&o, LIVE({0, CALL("7", "b")}, {300, CALL("8", "c")}, {5000, CALL("9", "a")}), 9000);
    buf_reset(&expected);
    buf_printf(&expected, "%s5000 < " CALL("9", "a") " = 0\n5005 > " RESULT("9", "A") "\n5005 done", asked);
    expect(buf_cstr(&expected));
    o.mode = PLAYER_REACTIVE; /* strictly */
    play(&o, LIVE({0, CALL("7", "b")}, {300, CALL("8", "c")}), 9000);
    buf_reset(&expected);
    buf_printf(&expected, "%s330 stalled", asked);
    expect(buf_cstr(&expected));
    buf_fini(&expected);
}
END_TEST

START_TEST(given_up_it_may_come_late) {
    record_calls();
    struct player_options o = server(PLAYER_AUTO);
    o.timeout_us = 100000;
    o.go_on = true;
    play(&o, LIVE({0, CALL("7", "a")}, {150, CALL("8", "c")}, {160, CALL("9", "b")}), 9000);
    expect("0 < " CALL("7", "a") " = 0\n5 > " RESULT("7", "A") "\n150 < " CALL("8", "c") " = 4\n155 > " RESULT(
        "8", "C") "\n160 < " CALL("9", "b") " = 2\n165 > " RESULT("9", "B") "\n165 done");
}
END_TEST

static Suite *suite(void) {
    Suite *s = suite_create("player");
    TCase *t = tcase_create("player");
    tcase_add_checked_fixture(t, NULL, teardown);
    tcase_add_test(t, timed_keeps_the_recorded_times);
    tcase_add_test(t, the_other_side_is_played_too);
    tcase_add_test(t, reactive_waits_and_keeps_the_gap);
    tcase_add_test(t, a_time_out_says_what_was_awaited);
    tcase_add_test(t, another_order);
    tcase_add_test(t, missing_heartbeats_hold_nothing_back);
    tcase_add_test(t, surplus_heartbeats_are_answered);
    tcase_add_test(t, heartbeats_that_the_server_asks_for);
    tcase_add_test(t, requests_without_marks_are_waited_for);
    tcase_add_test(t, the_end_gives_heartbeats_some_time);
    tcase_add_test(t, pings_with_ids);
    tcase_add_test(t, it_stays_alive_while_it_waits);
    tcase_add_test(t, it_stays_alive_with_times_in_words);
    tcase_add_test(t, answers_have_the_live_ids);
    tcase_add_test(t, asked_again_it_answers_again);
    tcase_add_test(t, ahead_of_its_turn_is_answered_after_a_while);
    tcase_add_test(t, at_once_in_the_recording_alone);
    tcase_add_test(t, ahead_of_its_turn_all_that_answers_it_goes_out);
    tcase_add_test(t, several_in_one_message);
    tcase_add_test(t, a_room_that_is_named_again);
    tcase_add_test(t, skipped_is_given_up);
    tcase_add_test(t, given_up_it_may_come_late);
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
