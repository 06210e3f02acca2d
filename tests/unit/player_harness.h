/* One side of a recording, played to a live other side under a clock of our own: writing the recording, playing it
 * to what the live side says and when, and what then happens, as text. */
#ifndef TEST_PLAYER_HARNESS_H
#define TEST_PLAYER_HARNESS_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "protocol/frame.h"
#include "protocol/text.h"
#include "replay/player.h"

#define START_US UINT64_C(5000000000) /* the clock's time when a player begins */

/* ---- recordings ---- */

static struct buf lines; /* of the recording that is being written */
static struct replay_source *source;
static struct correlation *correlation;
static struct buf log_text;

static inline void begin(void) {
    buf_reset(&lines);
    buf_puts(&lines, "{\"type\":\"recording\",\"version\":1,\"recorded_at\":\"2024-01-15T10:30:00.000Z\"}\n");
}

static inline void open_connection(const char *name, double ms) {
    buf_printf(&lines, "{\"type\":\"open\",\"connection\":\"%s\",\"timestamp_ms\":%.3f,\"path\":\"/ws\"}\n", name, ms);
}

static inline void frame_of(const char *name, double ms, const char *direction, const char *type, bool fin,
                            const char *data) {
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
static inline void in(double ms, const char *data) {
    frame_of("conn-1", ms, "incoming", "text", true, data);
}
static inline void out(double ms, const char *data) {
    frame_of("conn-1", ms, "outgoing", "text", true, data);
}

static inline void closes(double ms, const char *direction, unsigned code, const char *reason) {
    buf_printf(&lines,
               "{\"connection\":\"conn-1\",\"timestamp_ms\":%.3f,\"direction\":\"%s\",\"type\":\"close\",\"code\":%u,"
               "\"reason\":\"%s\"}\n",
               ms, direction, code, reason);
}
static inline void ends(double ms, const char *by) {
    buf_printf(
        &lines,
        "{\"connection\":\"conn-1\",\"timestamp_ms\":%.3f,\"type\":\"end\",\"by\":\"%s\",\"reason\":\"normal\"}\n", ms,
        by);
}

static inline void start(void) {
    begin();
    open_connection("conn-1", 0);
}

static inline void load(void) {
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

static inline void teardown(void) {
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

static inline void note(uint64_t now_us, const char *what, const void *data, size_t len) {
    if (log_text.len)
        buf_putc(&log_text, '\n');
    text_ms(&log_text, now_us - START_US);
    buf_printf(&log_text, " %s", what);
    if (data) {
        buf_putc(&log_text, ' ');
        buf_append(&log_text, data, len);
    }
}

static inline void note_send(uint64_t now_us, const struct player_action *a) {
    static const char *const names[] = {
        [WS_CONTINUATION] = "+", [WS_TEXT] = ">", [WS_BINARY] = "b>", [WS_PING] = "ping"};
    struct buf what = BUF_INIT;
    buf_puts(&what, names[a->frame->opcode]);
    if (!a->frame->fin)
        buf_puts(&what, "...");
    note(now_us, buf_cstr(&what), a->data, a->len);
    buf_fini(&what);
}

static inline void note_take(struct player *p, uint64_t now_us, const char *data, bool binary) {
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
static inline void play(const struct player_options *options, const struct live *live, double until_ms) {
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

static inline void expect(const char *expected) {
    ck_assert_str_eq(buf_cstr(&log_text), expected);
}

static inline struct player_options server(enum player_mode mode) {
    return (struct player_options){.plays = EVENT_OUTGOING, .mode = mode, .speed = 1};
}
static inline struct player_options client(enum player_mode mode) {
    return (struct player_options){.plays = EVENT_INCOMING, .mode = mode, .speed = 1};
}

/* ---- calls and their results ---- */

static inline void record_calls(void) {
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

#endif
