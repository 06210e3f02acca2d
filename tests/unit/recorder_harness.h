/* A recorder with one port in a directory of its own, and what its tests do with it again and again. */
#ifndef TEST_RECORDER_HARNESS_H
#define TEST_RECORDER_HARNESS_H

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "recording/reader.h"
#include "recording/recorder.h"

static char dir[64];
static struct recorder *recorder;
static struct record_port *port;
static struct metrics counts;
static struct record_config config;
static struct redactor *redactor; /* as config says, when there is a recorder */

static inline char *path_of(const char *name) {
    static char paths[8][160];
    static unsigned next;
    char *p = paths[next++ % 8];
    snprintf(p, sizeof paths[0], "%s/%s", dir, name);
    return p;
}

static inline void start_recorder(size_t ring_bytes) {
    struct recorder_options options = {.ports = 1, .ring_bytes = ring_bytes};
    struct err err;
    ck_assert_int_eq(recorder_new(&options, &recorder, &err), MF_OK);
    memset(&counts, 0, sizeof counts);
    port = recorder_port(recorder, 0, &counts);
    struct redact_rules rules = {
        .defaults = config.redact_defaults, .json = config.redact_json, .json_count = config.redact_json_count};
    redactor_unref(redactor);
    ck_assert_int_eq(redactor_new(&rules, &redactor, &err), MF_OK);
}

static inline void setup(void) {
    snprintf(dir, sizeof dir, "/tmp/mockforge-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    config = (struct record_config){.enabled = true, .flush_ms = 20, .redact_defaults = true, .level = 1};
    recorder = NULL;
}

static inline int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *ftw) {
    (void)st, (void)kind, (void)ftw;
    return remove(path);
}

static inline void remove_tree(const char *path) {
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void teardown(void) {
    if (recorder)
        ck_assert_int_eq(recorder_free(recorder), MF_OK);
    recorder = NULL;
    redactor_unref(redactor);
    redactor = NULL;
    remove_tree(dir);
}

static inline int stop_recorder(void) {
    int rc = recorder_free(recorder);
    recorder = NULL;
    return rc;
}

static inline struct recording *record_to(const char *name) {
    struct recording *rec;
    struct err err;
    ck_assert_msg(recorder_open(recorder, path_of(name), &config, &rec, &err) == MF_OK, "%s", err.text);
    return rec;
}

static inline struct capture *join(struct recording *rec, uint64_t number) {
    struct connection c;
    connection_init(&c, number);
    c.path = strdup("/ws");
    c.query = strdup("a=1&token=abc");
    c.remote_addr = strdup("127.0.0.1:5000");
    ck_assert_int_eq(headers_add(&c.headers, "Host", "localhost"), MF_OK);
    ck_assert_int_eq(headers_add(&c.headers, "Authorization", "Bearer verysecret"), MF_OK);
    struct capture_open info = {.connection = &c,
                                .upstream = "wss://u:pw@api.example.com/ws?key=1",
                                .config = &config,
                                .redactor = redactor,
                                .time_us = clock_mono_us()};
    struct capture *out;
    ck_assert_int_eq(capture_open(port, rec, &info, &out), MF_OK);
    connection_fini(&c);
    return out;
}

/* One whole frame. */
static inline void add(struct capture *c, enum event_direction direction, uint8_t opcode, const void *data,
                       size_t len) {
    struct capture_fragment f = {.direction = direction,
                                 .opcode = opcode,
                                 .fin = true,
                                 .first = true,
                                 .last = true,
                                 .frame_length = len,
                                 .data = data,
                                 .len = len,
                                 .time_us = clock_mono_us()};
    capture_add(c, &f);
}

static inline void add_text(struct capture *c, const char *text) {
    add(c, EVENT_INCOMING, 1, text, strlen(text));
}

static inline void leave(struct capture *c) {
    capture_close(c, "client", "normal", 1000, clock_mono_us());
}

static inline struct recording_stats counts_of(const struct recording *rec) {
    struct recording_stats stats;
    recording_get_stats(rec, &stats);
    return stats;
}

/* Waits until `condition` holds, for 20 s at most. */
#define WAIT_FOR(condition)                                                                                            \
    do {                                                                                                               \
        for (int waited_ = 0; !(condition) && waited_ < 20000; waited_++)                                              \
            usleep(1000);                                                                                              \
        ck_assert_msg(condition, "waited in vain for " #condition);                                                    \
    } while (0)

/* What a file holds, read through the reader. */
struct seen {
    unsigned recordings, opens, continued, frames, ends, gaps;
    uint64_t gap_frames, gap_bytes, payload;
    enum reader_end end;
    char first_text[256], last_text[256];
    int64_t recorded_at_us;
};

static inline struct seen read_back(const char *path) {
    struct seen s = {0};
    struct reader *r;
    struct session_event e;
    struct err err = {0};
    ck_assert_msg(reader_open(path, &r, &err) == MF_OK, "%s: %s", path, err.text);
    int rc;
    while ((rc = reader_next(r, &e, &err)) == 1) {
        s.recordings += e.type == EVENT_RECORDING;
        s.opens += e.type == EVENT_OPEN;
        s.continued += e.type == EVENT_OPEN && e.continued;
        s.ends += e.type == EVENT_END;
        s.gaps += e.type == EVENT_GAP;
        if (e.type == EVENT_RECORDING)
            s.recorded_at_us = e.recorded_at_us;
        if (e.type == EVENT_GAP) {
            s.gap_frames += e.gap_frames;
            s.gap_bytes += e.gap_bytes;
        }
        if (!event_is_frame(e.type))
            continue;
        s.frames += !e.frame_size || e.frame_offset + e.data.len == e.frame_size;
        s.payload += e.data.len;
        if (e.type == EVENT_TEXT) {
            snprintf(s.last_text, sizeof s.last_text, "%.*s", (int)MIN(e.data.len, (size_t)200),
                     (const char *)e.data.data);
            if (!s.first_text[0])
                memcpy(s.first_text, s.last_text, sizeof s.first_text);
        }
    }
    ck_assert_msg(rc == 0, "%s: %s", path, err.text);
    s.end = reader_ended(r);
    reader_close(r);
    return s;
}

static inline struct seen record_and_read(const char *name) {
    ck_assert_int_eq(stop_recorder(), MF_OK);
    return read_back(path_of(name));
}

static inline void one_session(const char *name, const char *text) {
    start_recorder(0);
    struct recording *rec = record_to(name);
    struct capture *c = join(rec, 1);
    recording_unref(rec);
    add_text(c, text);
    leave(c);
    ck_assert_int_eq(stop_recorder(), MF_OK);
}

static inline bool exists(const char *path) {
    return access(path, F_OK) == 0;
}

#endif
