/* Recorded conversations for the tests of correlation: written as lines, loaded as a recording, correlated, and then
 * held again with somebody who is live. */
#ifndef TEST_TALK_H
#define TEST_TALK_H

#include "replay/correlate.h"
#include "session_sample.h"

#define TALK_BEGIN_US (INT64_C(1705314600) * 1000000) /* 2024-01-15T10:30:00Z */
#define TALK_STEP_MS 100                              /* between two messages */

struct talk {
    struct replay_source *source;
    struct correlation *correlation;
    struct bindings *bindings;
    size_t connection;
    struct structure live;
    struct structure_scratch scratch;
    struct buf out;
};

/* "#0a00 07" is a binary message in hexadecimal, valid until the next one; everything else is text as it is. */
struct talk_data {
    const uint8_t *bytes;
    size_t len;
    bool binary;
};

static inline struct talk_data talk_data(const char *text) {
    static uint8_t bytes[1024];
    size_t len = 0;
    if (*text != '#')
        return (struct talk_data){(const uint8_t *)text, strlen(text), false};
    ck_assert_uint_lt(strlen(text), sizeof bytes);
    for (const char *s = text + 1; *s; s += 2) {
        char digits[3] = {0};
        s += *s == ' ';
        memcpy(digits, s, 2);
        bytes[len++] = (uint8_t)strtoul(digits, NULL, 16);
    }
    bytes[len] = 0;
    return (struct talk_data){bytes, len, true};
}

/* Lines: "<text" is the client's message, ">text" the server's, "--" begins another connection. */
static inline void talk_write(const char *path, const char *const *lines) {
    struct buf out = BUF_INIT;
    char name[32];
    unsigned connection = 1;
    uint64_t time_us = 0;
    struct session_event e = {.type = EVENT_RECORDING, .recorded_at_us = TALK_BEGIN_US, .generator = "t", .version = 1};
    ck_assert_int_eq(event_write_line(&out, &e), MF_OK);
    for (; *lines; lines++) {
        const char *line = *lines;
        connection += !strcmp(line, "--");
        if (*line == '-')
            continue;
        snprintf(name, sizeof name, "conn-%u", connection);
        struct talk_data d = talk_data(line + 1);
        e = (struct session_event){.type = d.binary ? EVENT_BINARY : EVENT_TEXT, .connection = name, .timestamp_us = time_us, .fin = true};
        e.direction = *line == '<' ? EVENT_INCOMING : EVENT_OUTGOING;
        e.data = (struct event_bytes){d.bytes, d.len};
        ck_assert_int_eq(event_write_line(&out, &e), MF_OK);
        time_us += TALK_STEP_MS * 1000;
    }
    sample_write(path, out.data, out.len);
    buf_fini(&out);
}

static inline int talk_correlate(struct talk *t, const char *const *lines, const struct correlate_options *options,
                                 struct err *err) {
    const struct replay_source_options all = {0};
    const char *path = sample_path("talk.jsonl");
    char text[1024];
    *t = (struct talk){0};
    talk_write(path, lines);
    if (replay_source_load(path, &all, &t->source, err) < 0)
        ck_abort_msg("%s", err_format(err, text, sizeof text));
    return correlation_new(t->source, options, &t->correlation, err);
}

static inline void talk_begin_with(struct talk *t, const char *const *lines, const struct correlate_options *options) {
    struct err err;
    char text[1024];
    if (talk_correlate(t, lines, options, &err) < 0)
        ck_abort_msg("%s", err_format(&err, text, sizeof text));
    ck_assert_int_eq(bindings_new(t->correlation, 0, &t->bindings), MF_OK);
}

static inline void talk_begin(struct talk *t, const char *const *lines) {
    const struct correlate_options options = {0};
    talk_begin_with(t, lines, &options);
}

/* Begins anew, on a connection of the recording (0: the first). */
static inline void talk_connect(struct talk *t, size_t connection) {
    bindings_free(t->bindings);
    t->connection = connection;
    ck_assert_int_eq(bindings_new(t->correlation, connection, &t->bindings), MF_OK);
}

static inline void talk_end(struct talk *t) {
    bindings_free(t->bindings);
    correlation_unref(t->correlation);
    replay_source_unref(t->source);
    structure_fini(&t->live);
    structure_scratch_fini(&t->scratch);
    buf_fini(&t->out);
}

static inline struct talk_data talk_read(struct talk *t, const char *text) {
    struct talk_data d = talk_data(text);
    ck_assert_int_eq(
        structure_read(&t->live, &t->scratch, correlation_paths(t->correlation), NULL, d.bytes, d.len, d.binary),
        MF_OK);
    return d;
}

/* A live message is found to be this recorded one. */
static inline void talk_learn(struct talk *t, size_t message, const char *text) {
    struct talk_data d = talk_read(t, text);
    ck_assert_int_eq(bindings_learn(t->bindings, message, &t->live, d.bytes, d.len), MF_OK);
}

static inline int talk_agree(struct talk *t, size_t message, const char *text) {
    struct talk_data d = talk_read(t, text);
    return bindings_agree(t->bindings, message, &t->live, d.bytes, d.len);
}

static inline void talk_write_hex(char *text, const uint8_t *data, size_t len) {
    *text++ = '#';
    *text = '\0';
    for (size_t i = 0; i < len; i++, text += 2)
        snprintf(text, 3, "%02x", data[i]);
}

/* What is sent for it now. */
static inline const char *talk_render_later(struct talk *t, size_t message, int64_t shift_us, uint64_t round) {
    int rc = bindings_render(t->bindings, message, shift_us, round, &t->out);
    ck_assert_int_ge(rc, 0);
    const struct replay_message *m = &t->source->connections[t->connection].messages[message];
    return rc ? buf_cstr(&t->out) : (const char *)m->data;
}

static inline const char *talk_render(struct talk *t, size_t message) {
    return talk_render_later(t, message, 0, 0);
}

/* What is sent for a binary message now, as talk_data() reads it. Valid until the next call. */
static inline const char *talk_render_bytes(struct talk *t, size_t message) {
    static char text[2048];
    int rc = bindings_render(t->bindings, message, 0, 0, &t->out);
    ck_assert_int_ge(rc, 0);
    const struct replay_message *m = &t->source->connections[t->connection].messages[message];
    const uint8_t *data = rc ? t->out.data : m->data;
    size_t len = rc ? t->out.len : m->len;
    ck_assert_uint_lt(2 * len + 2, sizeof text);
    talk_write_hex(text, data, len);
    return text;
}

/* The recorded bytes of its slots, with a '|' between them. */
static inline const char *talk_slots(struct talk *t, size_t message) {
    size_t count;
    const struct slot *slots = correlation_slots(t->correlation, t->connection, message, &count);
    const struct replay_message *m = &t->source->connections[t->connection].messages[message];
    buf_reset(&t->out);
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_putc(&t->out, '|');
        buf_append(&t->out, m->data + slots[i].begin, slots[i].end - slots[i].begin);
    }
    return buf_cstr(&t->out);
}

/* Its free paths, with a space between them. */
static inline const char *talk_free(struct talk *t, size_t message) {
    const uint32_t *paths;
    size_t count;
    correlation_free_paths(t->correlation, t->connection, message, &paths, &count);
    buf_reset(&t->out);
    for (size_t i = 0; i < count; i++)
        buf_printf(&t->out, "%s%s", i ? " " : "", path_text(correlation_paths(t->correlation), paths[i]));
    return buf_cstr(&t->out);
}

/* No message of the first connection has a slot. */
static inline void talk_has_no_slots(struct talk *t) {
    for (size_t m = 0; m < t->source->connections[t->connection].message_count; m++)
        ck_assert_str_eq(talk_slots(t, m), "");
}

#define TALK(...) ((const char *const[]){__VA_ARGS__, NULL})

#endif
