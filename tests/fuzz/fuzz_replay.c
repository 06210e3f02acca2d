/* Arbitrary bytes as a recording, and others as what a live side says to whoever plays it: no crash, no endless play,
 * memory as it was before. What is sent is what was recorded, or a whole message.
 *
 * Input: a byte of options; the recording up to a line of "----"; then the live messages, one a line. */
#include "fuzz.h"
#include "protocol/frame.h"
#include "replay/player.h"

#define STEPS_MAX 2000u
#define LIVE_MAX 200u

static struct replay_source *load(const uint8_t *data, size_t size) {
    char path[FUZZ_PATH_LEN];
    struct replay_source *source = NULL;
    struct replay_source_options options = {.bytes_max = 1 << 20};
    struct err err = {0};
    int fd = fuzz_file(data, size, path);
    if (replay_source_load(path, &options, &source, &err) < 0)
        MUST(err.text[0]);
    close(fd);
    return source;
}

static void check_send(const struct player_action *a, bool *in_message) {
    MUST(a->frame && (a->len == 0 || a->data));
    MUST(a->frame->opcode != WS_PONG && a->frame->opcode != WS_CLOSE);
    if (ws_is_control(a->frame->opcode))
        return;
    MUST(*in_message == (a->frame->opcode == WS_CONTINUATION));
    *in_message = !a->frame->fin;
}

/* Until it waits; false: it is over. */
static bool play_on(struct player *p, uint64_t *now_us, bool *in_message, unsigned *steps) {
    struct player_action a;
    while (++*steps < STEPS_MAX) {
        player_next(p, *now_us, &a);
        if (a.step == PLAYER_SEND)
            check_send(&a, in_message);
        else if (a.step != PLAYER_WAIT)
            return a.step == PLAYER_DONE;
        else if (a.until_us == 0)
            return true;
        else {
            MUST(a.until_us > *now_us);
            *now_us = a.until_us;
        }
    }
    return false;
}

static void play(struct correlation *c, uint8_t options, struct player_plan *plan, size_t connection,
                 const uint8_t *live, size_t size) {
    static const double speeds[] = {1, PLAYER_SPEED_MAX, 1e-9, 1e9};
    struct player_options o = {.plays = options & 1 ? EVENT_INCOMING : EVENT_OUTGOING, .plan = plan};
    o.mode = connection == PLAYER_ALL ? PLAYER_LOOKUP : (enum player_mode)(options >> 1 & 3);
    o.speed = speeds[options >> 3 & 3];
    o.loop = options & 32;
    o.go_on = options & 64;
    o.timeout_us = options & 128 ? 1000000 : 0;
    struct player *p;
    uint64_t now = 1;
    unsigned steps = 0;
    bool in_message = false;
    struct buf message = BUF_INIT, why = BUF_INIT;
    MUST(player_new(c, connection, &o, now, &p) == MF_OK);
    bool goes_on = play_on(p, &now, &in_message, &steps);
    for (unsigned n = 0; goes_on && size > 0 && n < LIVE_MAX; n++) {
        const uint8_t *end = memchr(live, '\n', size);
        size_t len = end ? (size_t)(end - live) : size;
        uint32_t number = REPLAY_NONE;
        buf_reset(&message);
        buf_reset(&why);
        buf_append(&message, live, len);
        enum player_taken taken =
            player_take(p, now++, len > 0 && live[0] == 0, buf_cstr(&message), message.len, &number, &why);
        MUST(taken != PLAYER_NO_MEMORY && (taken == PLAYER_MATCHED) == (number != REPLAY_NONE));
        player_describe(p, number, &why);
        live += MIN(len + 1, size);
        size -= MIN(len + 1, size);
        goes_on = play_on(p, &now, &in_message, &steps);
    }
    player_free(p);
    buf_fini(&message);
    buf_fini(&why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char border[] = "\n----\n";
    if (size < 2)
        return 0;
    const uint8_t *end = memmem(data + 1, size - 1, border, sizeof border - 1);
    const uint8_t *live = end ? end + sizeof border - 1 : data + size;
    struct replay_source *source = load(data + 1, (size_t)((end ? end : data + size) - data - 1));
    if (source == NULL)
        return 0;
    struct correlate_options options = {.refresh_time = data[0] & 1};
    struct correlation *c;
    struct err err;
    MUST(correlation_new(source, &options, &c, &err) == MF_OK);
    enum event_direction plays = data[0] & 1 ? EVENT_INCOMING : EVENT_OUTGOING;
    bool all = (data[0] >> 1 & 3) == PLAYER_LOOKUP;
    for (size_t i = 0; i < (all ? 1 : MIN(source->count, 4u)); i++) {
        struct player_plan *plan;
        MUST(player_plan_new(c, all ? PLAYER_ALL : i, plays, NULL, &plan) == MF_OK);
        play(c, data[0], plan, all ? PLAYER_ALL : i, live, (size_t)(data + size - live));
        player_plan_unref(plan);
    }
    correlation_unref(c);
    replay_source_unref(source);
    return 0;
}
