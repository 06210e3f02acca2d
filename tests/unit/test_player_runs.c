/* Runs: what follows at once, laid out with its headers when the plan is made, is byte for byte what is sent message by
 * message. */
#include "base/rng.h"
#include "player_harness.h"

/* Greetings, runs of what the server pushes, long ones and fragments and pings and answers with ids among it. */
static void record_runs(uint64_t seed) {
    static const unsigned lengths[] = {0, 1, 125, 126, 300, 4096, 4097, 9000};
    struct rng rng;
    struct buf text = BUF_INIT;
    rng_init(&rng, seed);
    start();
    for (unsigned i = 0; i < 900; i++) {
        unsigned kind = (unsigned)rng_range(&rng, 0, 99);
        buf_reset(&text);
        if (kind == 0 && i > 20) {
            buf_printf(&text, "{\"id\":\"a%u-%u\",\"op\":\"get\"}", i, i * 7919);
            in(i, buf_cstr(&text));
            buf_reset(&text);
            buf_printf(&text, "{\"id\":\"a%u-%u\",\"result\":%u}", i, i * 7919, i);
            out(i, buf_cstr(&text));
            continue;
        }
        if (kind == 1) {
            frame_of("conn-1", i, "outgoing", "ping", true, "p");
        } else if (kind == 2) {
            frame_of("conn-1", i, "outgoing", "text", false, "one ");
            frame_of("conn-1", i, "outgoing", "continuation", true, "and two");
            continue;
        } else if (kind == 3) {
            frame_of("conn-1", i, "outgoing", "binary", true, "bytes");
        }
        size_t len = lengths[(size_t)rng_range(&rng, 0, 24) % ARRAY_LEN(lengths)];
        buf_printf(&text, "tick %u", i);
        while (text.len < len)
            buf_putc(&text, 'x');
        out(i, len ? buf_cstr(&text) : "");
    }
    buf_fini(&text);
    ends(1000, "client");
    load();
}

struct spoken_out {
    struct buf wire;
    size_t frames, in_runs, payload;
};

/* What is due now; and of several rounds the next one's. */
static enum player_step speak(struct player *p, uint64_t now_us, struct spoken_out *s) {
    struct player_action a;
    struct player_run run;
    for (;;) {
        if (player_run(p, now_us, &run)) {
            ck_assert_uint_le(run.len, 64 << 10);
            buf_append(&s->wire, run.frames, run.len);
            s->frames += run.messages;
            s->in_runs += run.messages;
            s->payload += run.payload;
            continue;
        }
        player_next(p, now_us, &a);
        if (a.step != PLAYER_SEND)
            return a.step;
        ck_assert_int_eq(frame_write(&s->wire, a.frame->opcode, a.frame->fin, 0, false, a.data, a.len), MF_OK);
        s->frames++;
        s->payload += a.len;
    }
}

/* Two rounds of it, to a client that says what it said, but for its ids. */
static void speak_all(const struct player_options *o, struct spoken_out *s) {
    const struct replay_connection *rc = &source->connections[0];
    struct player *p;
    uint64_t now = START_US;
    ck_assert_int_eq(player_new(correlation, 0, o, now, &p), MF_OK);
    for (unsigned round = 0; round < 2; round++, now += 1000) {
        (void)speak(p, now, s);
        for (uint32_t i = 0; i < rc->message_count; i++) {
            if (rc->messages[i].direction != EVENT_INCOMING)
                continue;
            struct buf live = BUF_INIT;
            uint32_t message;
            buf_append(&live, rc->messages[i].data, rc->messages[i].len);
            live.data[7] = 'z'; /* {"id":"a -> {"id":"z */
            ck_assert_int_eq(player_take(p, now, false, buf_cstr(&live), live.len, &message, NULL), PLAYER_MATCHED);
            buf_fini(&live);
            (void)speak(p, now, s);
        }
    }
    player_free(p);
}

START_TEST(laid_out_it_is_the_same) {
    static const enum player_mode modes[] = {PLAYER_TIMED, PLAYER_REACTIVE, PLAYER_AUTO};
    record_runs((uint64_t)_i + 1);
    struct player_plan *plans[2];
    for (size_t i = 0; i < 2; i++)
        ck_assert_int_eq(player_plan_new(correlation, 0, EVENT_OUTGOING, NULL, &plans[i]), MF_OK);
    size_t left = 1 << 30, before = left;
    ck_assert_int_eq(player_plan_lay_out(plans[1], &left), MF_OK);
    ck_assert_uint_lt(left, before);
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        struct spoken_out one = {.wire = BUF_INIT}, run = {.wire = BUF_INIT};
        struct player_options o = server(modes[i]);
        o.speed = PLAYER_SPEED_MAX;
        o.loop = true;
        o.plan = plans[0];
        speak_all(&o, &one);
        o.plan = plans[1];
        speak_all(&o, &run);
        ck_assert_uint_eq(one.in_runs, 0);
        ck_assert_msg(run.in_runs > 400, "mode %d: %zu of %zu in runs", (int)modes[i], run.in_runs, run.frames);
        ck_assert_uint_eq(run.frames, one.frames);
        ck_assert_uint_eq(run.payload, one.payload);
        ck_assert_uint_eq(run.wire.len, one.wire.len);
        ck_assert(memcmp(run.wire.data, one.wire.data, one.wire.len) == 0);
        buf_fini(&one.wire);
        buf_fini(&run.wire);
    }
    for (size_t i = 0; i < 2; i++)
        player_plan_unref(plans[i]);
}
END_TEST

START_TEST(at_any_other_speed_each_has_its_time) {
    record_runs(1);
    struct player_options o = server(PLAYER_TIMED);
    struct player *p;
    struct player_run run;
    size_t left = 100; /* no room for any */
    ck_assert_int_eq(player_plan_new(correlation, 0, EVENT_OUTGOING, NULL, &o.plan), MF_OK);
    ck_assert_int_eq(player_plan_lay_out(o.plan, &left), MF_OK);
    ck_assert_uint_eq(left, 100);
    left = 1 << 30;
    ck_assert_int_eq(player_plan_lay_out(o.plan, &left), MF_OK);
    ck_assert_int_eq(player_new(correlation, 0, &o, 0, &p), MF_OK);
    ck_assert(!player_run(p, UINT64_C(10000000000), &run));
    player_free(p);
    player_plan_unref(o.plan);
}
END_TEST

static Suite *suite(void) {
    Suite *s = suite_create("player: runs");
    TCase *t = tcase_create("player");
    tcase_add_checked_fixture(t, NULL, teardown);
    tcase_add_loop_test(t, laid_out_it_is_the_same, 0, 20);
    tcase_add_test(t, at_any_other_speed_each_has_its_time);
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
