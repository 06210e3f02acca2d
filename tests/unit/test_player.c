/* One side of a recording, played to a live other side under a clock of our own: each test is a recording, what the
 * live side says and when, and what then happens. */
#include <check.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/rng.h"
#include "protocol/frame.h"
#include "protocol/text.h"
#include "replay/player.h"

#define START_US UINT64_C(5000000000) /* the clock's time when a player begins */

/* ---- recordings ---- */

static struct buf lines; /* of the recording that is being written */
static struct replay_source *source;
static struct correlation *correlation;
static struct buf log_text;

static void begin(void) {
    buf_reset(&lines);
    buf_puts(&lines, "{\"type\":\"recording\",\"version\":1,\"recorded_at\":\"2024-01-15T10:30:00.000Z\"}\n");
}

static void open_connection(const char *name, double ms) {
    buf_printf(&lines, "{\"type\":\"open\",\"connection\":\"%s\",\"timestamp_ms\":%.3f,\"path\":\"/ws\"}\n", name, ms);
}

static void frame_of(const char *name, double ms, const char *direction, const char *type, bool fin, const char *data) {
    buf_printf(&lines, "{\"connection\":\"%s\",\"timestamp_ms\":%.3f,\"direction\":\"%s\",\"type\":\"%s\",", name, ms,
               direction, type);
    if (!fin)
        buf_puts(&lines, "\"fin\":false,");
    if (!strcmp(type, "binary"))
        buf_puts(&lines, "\"encoding\":\"base64\",");
    buf_puts(&lines, "\"data\":");
    if (!strcmp(type, "binary")) {
        buf_putc(&lines, '"');
        base64_append(&lines, data, strlen(data));
        buf_putc(&lines, '"');
    } else {
        json_quote(&lines, data, strlen(data));
    }
    buf_puts(&lines, "}\n");
}

/* From the client, to the client. */
static void in(double ms, const char *data) {
    frame_of("conn-1", ms, "incoming", "text", true, data);
}
static void out(double ms, const char *data) {
    frame_of("conn-1", ms, "outgoing", "text", true, data);
}

static void closes(double ms, const char *direction, unsigned code, const char *reason) {
    buf_printf(&lines,
               "{\"connection\":\"conn-1\",\"timestamp_ms\":%.3f,\"direction\":\"%s\",\"type\":\"close\",\"code\":%u,"
               "\"reason\":\"%s\"}\n",
               ms, direction, code, reason);
}
static void ends(double ms, const char *by) {
    buf_printf(
        &lines,
        "{\"connection\":\"conn-1\",\"timestamp_ms\":%.3f,\"type\":\"end\",\"by\":\"%s\",\"reason\":\"normal\"}\n", ms,
        by);
}

static void start(void) {
    begin();
    open_connection("conn-1", 0);
}

static void load(void) {
    char path[] = "/tmp/mockforge-player-XXXXXX.jsonl";
    int fd = mkstemps(path, 6);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, lines.data, lines.len), (ssize_t)lines.len);
    close(fd);
    struct replay_source_options options = {0};
    struct err err = {0};
    int rc = replay_source_load(path, &options, &source, &err);
    unlink(path);
    ck_assert_msg(rc == MF_OK, "%s", err.text);
    struct correlate_options how = {0};
    ck_assert_int_eq(correlation_new(source, &how, &correlation, &err), MF_OK);
}

static void teardown(void) {
    correlation_unref(correlation);
    correlation = NULL;
    replay_source_unref(source);
    source = NULL;
    buf_fini(&lines);
    buf_fini(&log_text);
}

/* ---- conversations ---- */

struct live {
    double ms;
    const char *data;
};
#define LIVE(...)                                                                                                      \
    (const struct live[]) {                                                                                            \
        __VA_ARGS__, {                                                                                                 \
            -1, NULL                                                                                                   \
        }                                                                                                              \
    }
#define NOBODY                                                                                                         \
    (const struct live[]) {                                                                                            \
        { -1, NULL }                                                                                                   \
    }

static void note(uint64_t now_us, const char *what, const void *data, size_t len) {
    if (log_text.len)
        buf_putc(&log_text, '\n');
    text_ms(&log_text, now_us - START_US);
    buf_printf(&log_text, " %s", what);
    if (data) {
        buf_putc(&log_text, ' ');
        buf_append(&log_text, data, len);
    }
}

static void note_send(uint64_t now_us, const struct player_action *a) {
    static const char *const names[] = {
        [WS_CONTINUATION] = "+", [WS_TEXT] = ">", [WS_BINARY] = "b>", [WS_PING] = "ping"};
    struct buf what = BUF_INIT;
    buf_puts(&what, names[a->frame->opcode]);
    if (!a->frame->fin)
        buf_puts(&what, "...");
    note(now_us, buf_cstr(&what), a->data, a->len);
    buf_fini(&what);
}

static void note_take(struct player *p, uint64_t now_us, const char *data, bool binary) {
    struct buf why = BUF_INIT, what = BUF_INIT;
    uint32_t message = REPLAY_NONE;
    enum player_taken taken = player_take(p, now_us, binary, data, strlen(data), &message, &why);
    ck_assert_int_ne(taken, PLAYER_NO_MEMORY);
    if (taken == PLAYER_MATCHED)
        buf_printf(&what, "< %s = %u", data, message);
    else
        buf_printf(&what, "< %s ? %s", data, buf_cstr(&why));
    note(now_us, buf_cstr(&what), NULL, 0);
    buf_fini(&why);
    buf_fini(&what);
}

/* Plays until the end, or nothing can happen any more, or `until_ms`; log_text is what happened. */
static void play(const struct player_options *options, const struct live *live, double until_ms) {
    struct player *p;
    uint64_t now = START_US, until = START_US + (uint64_t)(until_ms * 1000);
    size_t connection = options->mode == PLAYER_LOOKUP ? PLAYER_ALL : 0;
    buf_reset(&log_text);
    ck_assert_int_eq(player_new(correlation, connection, options, now, &p), MF_OK);
    for (unsigned steps = 0;; steps++) {
        ck_assert_msg(steps < 10000, "no end:\n%.2000s", buf_cstr(&log_text));
        struct player_action a;
        player_next(p, now, &a);
        if (a.step == PLAYER_SEND) {
            note_send(now, &a);
            continue;
        }
        if (a.step == PLAYER_CLOSE)
            note(now, "close", (const char *)a.frame->data + 2, a.frame->len - 2);
        else if (a.step == PLAYER_DROP)
            note(now, "drop", NULL, 0);
        else if (a.step == PLAYER_TIMED_OUT) {
            struct buf text = BUF_INIT;
            player_describe(p, a.awaited, &text);
            note(now, "timed out:", text.data, text.len);
            buf_fini(&text);
        }
        if (a.step == PLAYER_DONE && live->data == NULL)
            note(now, "done", NULL, 0);
        if ((a.step != PLAYER_WAIT && a.step != PLAYER_DONE) || (a.step == PLAYER_DONE && live->data == NULL))
            break;
        ck_assert(a.step != PLAYER_WAIT || a.until_us == 0 || a.until_us > now);
        uint64_t next = a.until_us ? a.until_us : UINT64_MAX;
        uint64_t comes = live->data ? START_US + (uint64_t)(live->ms * 1000 + 0.5) : UINT64_MAX;
        if (MIN(next, comes) == UINT64_MAX) {
            note(now, a.awaited == REPLAY_NONE ? "idle" : "stalled", NULL, 0);
            break;
        }
        now = MAX(now, MIN(next, comes));
        if (now > until)
            break;
        if (comes <= now) {
            note_take(p, now, live->data, false);
            live++;
        }
    }
    player_free(p);
}

static void expect(const char *expected) {
    ck_assert_str_eq(buf_cstr(&log_text), expected);
}

static struct player_options server(enum player_mode mode) {
    return (struct player_options){.plays = EVENT_OUTGOING, .mode = mode, .speed = 1};
}
static struct player_options client(enum player_mode mode) {
    return (struct player_options){.plays = EVENT_INCOMING, .mode = mode, .speed = 1};
}

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

static void record_calls(void) {
    start();
    in(0, "{\"id\":\"c0ffee11-0000-4000-8000-000000000001\",\"method\":\"get\",\"params\":{\"name\":\"a\"}}");
    out(5, "{\"id\":\"c0ffee11-0000-4000-8000-000000000001\",\"result\":\"A\"}");
    in(10, "{\"id\":\"c0ffee11-0000-4000-8000-000000000002\",\"method\":\"get\",\"params\":{\"name\":\"b\"}}");
    out(15, "{\"id\":\"c0ffee11-0000-4000-8000-000000000002\",\"result\":\"B\"}");
    in(20, "{\"id\":\"c0ffee11-0000-4000-8000-000000000003\",\"method\":\"get\",\"params\":{\"name\":\"c\"}}");
    out(25, "{\"id\":\"c0ffee11-0000-4000-8000-000000000003\",\"result\":\"C\"}");
    ends(30, "client");
    load();
}
#define CALL(id, name)                                                                                                 \
    "{\"id\":\"c0ffee22-0000-4000-8000-00000000000" id "\",\"method\":\"get\",\"params\":{\"name\":\"" name "\"}}"
#define RESULT(id, value) "{\"id\":\"c0ffee22-0000-4000-8000-00000000000" id "\",\"result\":\"" value "\"}"

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
    expect("0 < " CALL("7", "b") " = 2\n255 > " RESULT("7", "B") "\n300 < " CALL("8", "a") " = 0\n305 > " RESULT(
        "8", "A") "\n310 < " CALL("9", "c") " = 4\n315 > " RESULT("9", "C") "\n320 done");
    play(&o, LIVE({0, CALL("7", "b")}, {100, CALL("8", "a")}, {310, CALL("9", "c")}), 1000); /* merely another order */
    expect("0 < " CALL("7", "b") " = 2\n100 < " CALL("8", "a") " = 0\n105 > " RESULT("8", "A") "\n115 > " RESULT(
        "7", "B") "\n310 < " CALL("9", "c") " = 4\n315 > " RESULT("9", "C") "\n320 done");
}
END_TEST

/* What is said about a room answers who spoke there last, not who entered it. */
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
    expect("0 < {\"enter\":{\"room\":\"garden\"}} = 2\n251 > {\"entered\":true,\"room\":\"garden\"}\n"
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
    expect("0 < {\"login\":\"ada-lovelace-1815\"} = 0\n0 < " CALL("7", "a") " = 1\n257 > " RESULT(
        "7", "A") "\n500 < " CALL("8", "c") " = 3\n771 > " RESULT("8", "C"));
}
END_TEST

/* What the client goes on without is given up after two seconds; its answer waits for it. */
START_TEST(skipped_is_given_up) {
    static const char asked[] = "0 < " CALL("7", "b") " = 2\n255 > " RESULT("7", "B") "\n300 < " CALL(
        "8", "c") " = 4\n555 > " RESULT("8", "C") "\n";
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
    buf_printf(&expected, "%s555 stalled", asked);
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

START_TEST(what_is_missing_is_told) {
    record_calls();
    struct player_options o = server(PLAYER_TIMED);
    struct player *p;
    struct player_action a;
    uint32_t message, first = REPLAY_NONE;
    ck_assert_int_eq(player_new(correlation, 0, &o, 0, &p), MF_OK);
    ck_assert_uint_eq(player_missing(p, &first), 3);
    ck_assert_uint_eq(first, 0);
    ck_assert_int_eq(player_take(p, 0, false, CALL("1", "a"), strlen(CALL("1", "a")), &message, NULL), PLAYER_MATCHED);
    ck_assert_int_eq(player_take(p, 0, false, CALL("1", "c"), strlen(CALL("1", "c")), &message, NULL), PLAYER_MATCHED);
    do
        player_next(p, 1000000, &a);
    while (a.step == PLAYER_SEND);
    ck_assert_uint_eq(player_missing(p, &first), 1);
    ck_assert_uint_eq(first, 2);
    player_free(p);
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
    tcase_add_test(t, a_room_that_is_named_again);
    tcase_add_test(t, skipped_is_given_up);
    tcase_add_test(t, given_up_it_may_come_late);
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
    tcase_add_test(t, what_is_missing_is_told);
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
