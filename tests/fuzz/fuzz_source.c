/* Arbitrary bytes as a recording loaded for replay, whole or a part of it: a message says why not, or frames and
 * messages agree with each other, times run forwards, and no more memory is held than was allowed. */
#include "fuzz.h"
#include "protocol/frame.h"
#include "replay/source.h"

static void check_message(const struct replay_connection *c, uint32_t index) {
    const struct replay_message *m = &c->messages[index];
    size_t len = 0;
    MUST(m->data[m->len] == '\0' && m->first_frame <= m->last_frame && m->last_frame < c->frame_count);
    for (uint32_t i = m->first_frame; i <= m->last_frame; i++) {
        const struct replay_frame *f = &c->frames[i];
        if (f->message != index)
            continue;
        MUST(f->data == m->data + len && f->direction == m->direction);
        MUST(f->fin == (i == m->last_frame));
        MUST((f->opcode == WS_CONTINUATION) == (i != m->first_frame));
        len += f->len;
    }
    MUST(len == m->len && c->frames[m->last_frame].time_us == m->time_us);
    MUST(m->binary == (c->frames[m->first_frame].opcode == WS_BINARY));
    MUST(index == 0 || m->last_frame > c->messages[index - 1].last_frame);
}

static void check_connection(const struct replay_connection *c) {
    uint64_t last = 0;
    for (size_t i = 0; i < c->frame_count; i++) {
        const struct replay_frame *f = &c->frames[i];
        MUST(f->time_us >= last && f->direction <= EVENT_OUTGOING);
        last = f->time_us;
        MUST(ws_is_control(f->opcode) ? f->message == REPLAY_NONE : f->message < c->message_count);
    }
    MUST(c->end_us >= last);
    for (uint32_t i = 0; i < c->message_count; i++)
        check_message(c, i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[FUZZ_PATH_LEN];
    struct replay_source *s = NULL;
    struct err err = {0};
    int fd = fuzz_file(data, size, path);
    struct replay_source_options options = {.recover = size % 2, .bytes_max = 1 << 20};
    if (size % 3 == 1)
        options.from_us = 1000;
    if (size % 5 == 1)
        options.to_us = 60000;
    if (replay_source_load(path, &options, &s, &err) < 0) {
        MUST(err.text[0] && !s);
    } else {
        MUST(s->count);
        for (size_t i = 0; i < s->count; i++) {
            check_connection(&s->connections[i]);
            MUST(i == 0 || s->connections[i].begin_us >= s->connections[i - 1].begin_us);
        }
    }
    replay_source_unref(s);
    close(fd);
    return 0;
}
