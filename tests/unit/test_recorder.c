/* The recorder from end to end: what goes in at capture_add() comes out of the reader. */
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/rng.h"
#include "recorder_harness.h"

START_TEST(a_session_comes_back) {
    start_recorder(0);
    struct recording *rec = record_to("a.jsonl.zst");
    struct capture *c = join(rec, 1);
    add_text(c, "{\"hello\":\"w\\u00f6rld\"}");
    add(c, EVENT_OUTGOING, 2, "\x00\x01\xff", 3);
    add(c, EVENT_OUTGOING, 8,
        "\x03\xe8"
        "bye",
        5);
    leave(c);
    recording_unref(rec);
    ck_assert_int_eq(stop_recorder(), MF_OK);
    struct seen s = read_back(path_of("a.jsonl.zst"));
    ck_assert_uint_eq(s.recordings, 1);
    ck_assert_uint_eq(s.opens, 1);
    ck_assert_uint_eq(s.frames, 3);
    ck_assert_uint_eq(s.ends, 1);
    ck_assert_str_eq(s.first_text, "{\"hello\":\"w\\u00f6rld\"}");
    ck_assert_int_eq(s.end, READER_END_WHOLE);
}
END_TEST

/* ---- frames in pieces ---- */

/* One frame of `len` bytes in fragments of `step`, masked. */
static void add_in_steps(struct capture *c, uint8_t opcode, const uint8_t *data, size_t len, size_t step) {
    static const uint8_t key[4] = {1, 2, 3, 250};
    uint8_t *masked = malloc(step);
    for (size_t at = 0; at == 0 || at < len; at += step) {
        size_t n = MIN(step, len - at);
        for (size_t i = 0; i < n; i++)
            masked[i] = data[at + i] ^ key[(at + i) & 3];
        while (!capture_room(c))
            usleep(200);
        struct capture_fragment f = {.direction = EVENT_INCOMING,
                                     .opcode = opcode,
                                     .fin = true,
                                     .first = at == 0,
                                     .last = at + n == len,
                                     .frame_length = len,
                                     .offset = at,
                                     .data = masked,
                                     .len = n,
                                     .key = key,
                                     .time_us = clock_mono_us()};
        capture_add(c, &f);
    }
    free(masked);
}

/* Checks that the frames of a file are `data`, `count` times, whatever pieces they are in. Returns the number of lines.
 */
static unsigned check_data(const char *path, const uint8_t *data, size_t len, unsigned count) {
    struct reader *r;
    struct session_event e;
    struct err err;
    ck_assert_int_eq(reader_open(path, &r, &err), MF_OK);
    size_t at = 0;
    unsigned frames = 0, lines = 0;
    int rc;
    while ((rc = reader_next(r, &e, &err)) == 1) {
        if (!event_is_frame(e.type))
            continue;
        lines++;
        ck_assert_uint_eq(e.frame_offset, e.frame_size ? at : 0);
        ck_assert(!e.frame_size || e.frame_size == len);
        ck_assert_uint_le(at + e.data.len, len);
        ck_assert(!memcmp(e.data.data, data + at, e.data.len));
        at += e.data.len;
        if (at == len) {
            at = 0;
            frames++;
        }
    }
    ck_assert_msg(rc == 0, "%s", err.text);
    ck_assert_uint_eq(frames, count);
    ck_assert_uint_eq(at, 0);
    reader_close(r);
    return lines;
}

static const struct {
    size_t len, step;
    unsigned lines;
} steps[] = {
    {1, 1, 1},
    {300, 7, 1},
    {70000, 4096, 1},
    {256 << 10, 65536, 1},
    {(256 << 10) + 1, 65536, 2},
    {1000000, 100001, 4},
    {3 << 20, 300000, 13},
};

START_TEST(fragments_become_frames) {
    uint8_t *data = malloc(steps[_i].len);
    for (size_t i = 0; i < steps[_i].len; i++)
        data[i] = (uint8_t) "abc\xc3\xbc\n\"\xe2\x82\xac"[i % 10];
    /* Ends between characters, so that all of it is text. */
    for (size_t i = steps[_i].len; i > 0 && (data[i - 1] & 0x80); i--)
        data[i - 1] = '.';
    start_recorder(0);
    struct recording *rec = record_to("f.jsonl.zst");
    struct capture *c = join(rec, 1);
    recording_unref(rec);
    add_in_steps(c, 1, data, steps[_i].len, steps[_i].step);
    add_in_steps(c, 2, data, steps[_i].len, steps[_i].step);
    leave(c);
    ck_assert_int_eq(stop_recorder(), MF_OK);
    unsigned lines = check_data(path_of("f.jsonl.zst"), data, steps[_i].len, 2);
    ck_assert_uint_ge(lines, 2 * steps[_i].lines - 1);
    ck_assert_uint_le(lines, 2 * steps[_i].lines);
    /* Text stays text in every piece. */
    char command[256];
    snprintf(command, sizeof command, "test $(zstdcat %s | grep -c '\"text\".*base64') = 0", path_of("f.jsonl.zst"));
    ck_assert_int_eq(system(command), 0);
    free(data);
}
END_TEST

static size_t resident_kib(void) {
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    size_t kib = 0;
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "VmRSS: %zu", &kib) == 1)
            break;
    fclose(f);
    return kib;
}

START_TEST(a_huge_frame_needs_little_memory) {
    start_recorder(0);
    struct recording *rec = record_to("h.jsonl.zst");
    struct capture *c = join(rec, 1);
    recording_unref(rec);
    add_text(c, "first");
    WAIT_FOR(counts_of(rec).frames == 1);
    size_t before = resident_kib(), most = before, step = 128 << 10;
    const uint64_t len = 96u << 20;
    uint8_t *data = malloc(step);
    memset(data, 'x', step);
    for (uint64_t at = 0; at < len; at += step) {
        while (!capture_room(c))
            usleep(200);
        struct capture_fragment f = {.opcode = 1,
                                     .fin = true,
                                     .first = at == 0,
                                     .last = at + step == len,
                                     .frame_length = len,
                                     .offset = at,
                                     .data = data,
                                     .len = step,
                                     .time_us = clock_mono_us()};
        capture_add(c, &f);
        most = MAX(most, resident_kib());
    }
    leave(c);
    free(data);
    struct seen s = record_and_read("h.jsonl.zst");
    ck_assert_uint_eq(s.frames, 2);
    ck_assert_uint_eq(s.payload, len + 5);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    ck_assert_msg(most - before < 8 << 10, "grew by %zu KiB", most - before);
#endif
}
END_TEST

START_TEST(a_frame_without_its_end_is_kept) {
    start_recorder(0);
    struct recording *rec = record_to("b.jsonl.zst");
    struct capture *c = join(rec, 1);
    recording_unref(rec);
    struct capture_fragment f = {.opcode = 1,
                                 .fin = true,
                                 .first = true,
                                 .frame_length = 100,
                                 .data = (const uint8_t *)"abc\xc3",
                                 .len = 4,
                                 .time_us = clock_mono_us()};
    capture_add(c, &f);
    leave(c);
    struct seen s = record_and_read("b.jsonl.zst");
    ck_assert_uint_eq(s.frames, 0);
    ck_assert_uint_eq(s.payload, 4);
    ck_assert_uint_eq(s.ends, 1);
}
END_TEST

/* ---- sharing and names ---- */

START_TEST(two_connections_share_a_recording) {
    start_recorder(0);
    struct recording *one = record_to("s.jsonl"), *two = record_to("s.jsonl");
    ck_assert_ptr_eq(one, two);
    struct capture *a = join(one, 1), *b = join(two, 2);
    recording_unref(one);
    recording_unref(two);
    for (int i = 0; i < 100; i++) {
        add_text(a, "from a");
        add_text(b, "from b");
    }
    leave(a);
    add_text(b, "last");
    leave(b);
    struct seen s = record_and_read("s.jsonl");
    ck_assert_uint_eq(s.opens, 2);
    ck_assert_uint_eq(s.ends, 2);
    ck_assert_uint_eq(s.frames, 201);
    ck_assert_str_eq(s.last_text, "last");
}
END_TEST

static const char *const appended[] = {"a.jsonl.zst", "a.jsonl"};

START_TEST(a_later_run_goes_on) {
    one_session(appended[_i], "first run");
    int64_t recorded_at = read_back(path_of(appended[_i])).recorded_at_us;
    usleep(20000);
    one_session(appended[_i], "second run");
    one_session(appended[_i], "third run");
    struct seen s = read_back(path_of(appended[_i]));
    ck_assert_uint_eq(s.recordings, 3);
    ck_assert_uint_eq(s.frames, 3);
    ck_assert_str_eq(s.first_text, "first run");
    ck_assert_str_eq(s.last_text, "third run");
    ck_assert_int_eq(s.recorded_at_us, recorded_at);
    ck_assert_int_eq(s.end, READER_END_WHOLE);
}
END_TEST

START_TEST(a_torn_tail_is_cut_off) {
    one_session(appended[_i], "first run");
    /* As a crash leaves it: without the seek table, and with a part of a frame at its end. */
    struct stat st;
    char *path = path_of(appended[_i]);
    ck_assert_int_eq(stat(path, &st), 0);
    FILE *f = fopen(path, "r+");
    char start[64];
    ck_assert_uint_eq(fread(start, 1, sizeof start, f), sizeof start);
    off_t end = _i == 0 ? st.st_size - 25 : st.st_size;
    ck_assert_int_eq(ftruncate(fileno(f), end), 0);
    fseek(f, end, SEEK_SET);
    fwrite(start, 1, sizeof start, f);
    fclose(f);
    one_session(appended[_i], "second run");
    struct seen s = read_back(path);
    ck_assert_uint_eq(s.frames, 2);
    ck_assert_str_eq(s.last_text, "second run");
    ck_assert_int_eq(s.end, READER_END_WHOLE);
}
END_TEST

START_TEST(a_table_that_lies_is_not_gone_on_with) {
    one_session("a.jsonl.zst", "first run");
    char *path = path_of("a.jsonl.zst");
    FILE *f = fopen(path, "r+");
    ck_assert_ptr_nonnull(f);
    /* the last entry's decompressed size: there are nine bytes behind it */
    ck_assert_int_eq(fseek(f, -13, SEEK_END), 0);
    int size = fgetc(f);
    ck_assert_int_eq(fseek(f, -13, SEEK_END), 0);
    ck_assert_int_eq(fputc(size ^ 1, f), size ^ 1);
    fclose(f);
    one_session("a.jsonl.zst", "second run");
    struct seen s = read_back(path);
    ck_assert_uint_eq(s.frames, 2);
    ck_assert_str_eq(s.last_text, "second run");
    ck_assert_int_eq(s.end, READER_END_WHOLE);
}
END_TEST

START_TEST(what_is_not_ours_is_left_alone) {
    const char *const contents = "some file of the user's that is long enough to be looked at\n";
    FILE *f = fopen(path_of("x.jsonl.zst"), "w");
    fputs(contents, f);
    fclose(f);
    one_session("x.jsonl.zst", "beside it");
    char text[100] = "";
    f = fopen(path_of("x.jsonl.zst"), "r");
    ck_assert_ptr_nonnull(fgets(text, sizeof text, f));
    fclose(f);
    ck_assert_str_eq(text, contents);
    ck_assert_str_eq(read_back(path_of("x-2.jsonl.zst")).last_text, "beside it");
}
END_TEST

START_TEST(another_processs_file_is_left_alone) {
    one_session("l.jsonl.zst", "first");
    int fd = open(path_of("l.jsonl.zst"), O_RDWR);
    ck_assert_int_eq(flock(fd, LOCK_EX), 0);
    one_session("l.jsonl.zst", "second");
    ck_assert_uint_eq(read_back(path_of("l.jsonl.zst")).frames, 1);
    ck_assert_str_eq(read_back(path_of("l-2.jsonl.zst")).last_text, "second");
    close(fd);
}
END_TEST

START_TEST(the_extension_is_checked) {
    start_recorder(0);
    struct recording *rec;
    struct err err;
    ck_assert_int_eq(recorder_open(recorder, path_of("a.txt"), &config, &rec, &err), MF_EINVAL);
    ck_assert_ptr_nonnull(strstr(err.text, ".jsonl.zst"));
    ck_assert_int_eq(recorder_check_path(path_of("a.txt"), &err), MF_EINVAL);
    ck_assert_int_eq(recorder_check_path(path_of("new/dir/a.json"), &err), MF_OK);
    ck_assert(exists(path_of("new/dir")));
    ck_assert(!exists(path_of("new/dir/a.json")));
    fclose(fopen(path_of("plain"), "w"));
    ck_assert_int_eq(recorder_check_path(path_of("plain/a.json"), &err), MF_EIO);
}
END_TEST

START_TEST(files_are_private) {
    one_session("deep/er/p.jsonl.zst", "x");
    struct stat st;
    ck_assert_int_eq(stat(path_of("deep/er/p.jsonl.zst"), &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    ck_assert_int_eq(stat(path_of("deep"), &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0700);
}
END_TEST

/* ---- rotation ---- */

START_TEST(parts_stand_alone) {
    config.rotate_size = 200000;
    start_recorder(0);
    struct recording *rec = record_to("r.jsonl.zst");
    struct capture *c = join(rec, 1);
    recording_unref(rec);
    unsigned sent = 0;
    struct rng rng;
    rng_init(&rng, 1);
    while (!exists(path_of("r.3.jsonl.zst")) && sent < 100000) {
        char text[200];
        snprintf(text, sizeof text, "{\"n\":%u,\"noise\":\"%016llx%016llx%016llx\"}", sent,
                 (unsigned long long)rng_u64(&rng), (unsigned long long)rng_u64(&rng),
                 (unsigned long long)rng_u64(&rng));
        while (!capture_room(c))
            usleep(200);
        add_text(c, text);
        sent++;
    }
    ck_assert_ptr_nonnull(strstr(recording_path(rec), "/r."));
    ck_assert_ptr_nonnull(strstr(recording_path(rec), ".jsonl.zst"));
    leave(c);
    ck_assert_int_eq(stop_recorder(), MF_OK);
    struct seen one = read_back(path_of("r.jsonl.zst")), two = read_back(path_of("r.2.jsonl.zst"));
    uint64_t frames = one.frames + two.frames, ends = one.ends + two.ends;
    for (unsigned part = 3; part < 100; part++) {
        char name[32];
        snprintf(name, sizeof name, "r.%u.jsonl.zst", part);
        if (!exists(path_of(name)))
            break;
        struct seen more = read_back(path_of(name));
        frames += more.frames;
        ends += more.ends; /* the part that it fills may be followed by an empty one */
    }
    ck_assert_uint_eq(frames, sent);
    ck_assert_uint_eq(one.continued, 0);
    ck_assert_uint_eq(two.opens, 1);
    ck_assert_uint_eq(two.continued, 1);
    ck_assert_uint_eq(two.recordings, 1);
    ck_assert_int_eq(two.recorded_at_us, one.recorded_at_us);
    ck_assert_int_eq(one.end, READER_END_WHOLE);
    ck_assert_uint_eq(ends, 1);
}
END_TEST

START_TEST(rotation_by_time_needs_lines) {
    config.rotate_seconds = 1;
    start_recorder(0);
    struct recording *rec = record_to("t.jsonl.zst");
    struct capture *c = join(rec, 1);
    add_text(c, "one");
    WAIT_FOR(exists(path_of("t.2.jsonl.zst")));
    usleep(1600000);
    /* Nothing came in part 2: there is no part 3. */
    ck_assert(!exists(path_of("t.3.jsonl.zst")));
    add_text(c, "two");
    WAIT_FOR(exists(path_of("t.3.jsonl.zst")));
    leave(c);
    recording_unref(rec);
    ck_assert_int_eq(stop_recorder(), MF_OK);
    ck_assert_str_eq(read_back(path_of("t.2.jsonl.zst")).last_text, "two");
}
END_TEST

/* ---- filters and redaction ---- */

START_TEST(filters) {
    config.exclude_ping = true;
    config.leg = RECORD_LEG_UPSTREAM;
    start_recorder(0);
    struct recording *rec = record_to("f.jsonl.zst");
    struct capture *c = join(rec, 1);
    recording_unref(rec);
    struct capture_fragment f = {
        .opcode = 9, .fin = true, .first = true, .last = true, .leg = EVENT_LEG_UPSTREAM, .time_us = 1};
    capture_add(c, &f);
    f.opcode = 1;
    capture_add(c, &f);
    add_text(c, "the client's leg");
    leave(c);
    struct seen s = record_and_read("f.jsonl.zst");
    ck_assert_uint_eq(s.frames, 1);
    ck_assert_str_eq(s.last_text, "");
}
END_TEST

static bool file_has(const char *path, const char *text) {
    char command[400];
    snprintf(command, sizeof command, "case %s in *.zst) zstdcat %s;; *) cat %s;; esac | grep -qF -- '%s'", path, path,
             path, text);
    return system(command) == 0;
}

START_TEST(secrets_do_not_reach_the_disk) {
    char *paths[] = {"password", "**.token"};
    config.redact_json = paths;
    config.redact_json_count = 2;
    start_recorder(0);
    struct recording *rec = record_to("r.jsonl.zst");
    struct capture *c = join(rec, 1);
    recording_unref(rec);
    add_text(c, "{\"password\":\"sesame\",\"n\": 1}");
    add_text(c, "not json: plain");
    /* A message in three frames, a ping within. */
    struct capture_fragment f = {.opcode = 1, .first = true, .last = true, .time_us = clock_mono_us()};
    const char *const parts[] = {"{\"a\":{\"tok", "en\":\"open se", "same\"}}"};
    for (unsigned i = 0; i < 3; i++) {
        f.data = (const uint8_t *)parts[i];
        f.len = f.frame_length = strlen(parts[i]);
        f.fin = i == 2;
        capture_add(c, &f);
        f.opcode = 0;
        if (i == 0)
            add(c, EVENT_INCOMING, 9, "ping", 4);
    }
    /* Too large to look into; and one that never ends. */
    size_t large = (1 << 20) + 100;
    uint8_t *text = malloc(large);
    memset(text, 's', large);
    add_in_steps(c, 1, text, large, 100000);
    free(text);
    f = (struct capture_fragment){.opcode = 1,
                                  .first = true,
                                  .last = true,
                                  .data = (const uint8_t *)"{\"password\":\"sesame",
                                  .len = 19,
                                  .frame_length = 19,
                                  .time_us = clock_mono_us()};
    capture_add(c, &f);
    leave(c);
    struct seen s = record_and_read("r.jsonl.zst");
    const char *path = path_of("r.jsonl.zst");
    ck_assert_uint_eq(s.frames, 8);
    ck_assert(!file_has(path, "sesame"));
    ck_assert(!file_has(path, "verysecret"));
    ck_assert(!file_has(path, "abc"));
    ck_assert(!file_has(path, "u:pw"));
    ck_assert(file_has(path, "{\\\"password\\\":\\\"[redacted]\\\",\\\"n\\\": 1}"));
    ck_assert(file_has(path, "{\\\"a\\\":{\\\"token\\\":\\\"[redacted]\\\"}}"));
    ck_assert(file_has(path, "not json: plain"));
    ck_assert(file_has(path, "[redacted: message too large to inspect]"));
    ck_assert(file_has(path, "[redacted: message without its end]"));
}
END_TEST

/* One frame of a message in several: the opcode is that of the first, then 0. */
static void add_frame(struct capture *c, uint8_t opcode, bool fin, const char *text) {
    size_t len = strlen(text);
    struct capture_fragment f = {.direction = EVENT_INCOMING,
                                 .opcode = opcode,
                                 .fin = fin,
                                 .first = true,
                                 .last = true,
                                 .frame_length = len,
                                 .data = (const uint8_t *)text,
                                 .len = len,
                                 .time_us = clock_mono_us()};
    capture_add(c, &f);
}

static struct capture *join_redacted(const char *name) {
    static char *paths[] = {"password"};
    config.redact_json = paths;
    config.redact_json_count = 1;
    start_recorder(0);
    struct recording *rec = record_to(name);
    struct capture *c = join(rec, 1);
    recording_unref(rec);
    return c;
}

/* Frames that were dropped before it leave a message without its beginning, and what remains cannot be searched. */
START_TEST(what_is_left_of_a_message_is_withheld) {
    struct capture *c = join_redacted("l.jsonl.zst");
    add_frame(c, 0, false, "word\":\"ses");
    add_frame(c, 0, true, "ame\"}");
    add_frame(c, 2, false, "binary begins");
    add_frame(c, 9, true, "ping");
    add_frame(c, 0, false, "binary goes on");
    add_frame(c, 0, true, "binary ends");
    add_frame(c, 0, true, "{\"password\":\"sesame\"}");
    add_frame(c, 1, true, "{\"password\":\"sesame\",}");
    leave(c);
    struct seen s = record_and_read("l.jsonl.zst");
    const char *path = path_of("l.jsonl.zst");
    ck_assert_uint_eq(s.frames, 8);
    ck_assert(!file_has(path, "ses") && !file_has(path, "ame\\\"}"));
    ck_assert(file_has(path, "binary goes on") && file_has(path, "binary ends"));
    ck_assert(file_has(path, "[redacted: message without its beginning]"));
    ck_assert(file_has(path, "[redacted: message that is not quite JSON]"));
}
END_TEST

START_TEST(a_redacted_message_without_end_needs_little_memory) {
    struct capture *c = join_redacted("e.jsonl.zst");
    const unsigned frames = 100000;
    add_frame(c, 1, false, "{\"password\":\"sesame");
    size_t before = resident_kib(), most = before;
    for (unsigned i = 1; i < frames; i++) {
        while (!capture_room(c))
            usleep(200);
        add_frame(c, 0, false, "x");
        if (i % 1000 == 0)
            most = MAX(most, resident_kib());
    }
    leave(c);
    struct seen s = record_and_read("e.jsonl.zst");
    ck_assert_uint_eq(s.frames, frames);
    ck_assert(!file_has(path_of("e.jsonl.zst"), "sesame"));
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    ck_assert_msg(most - before < 12 << 10, "grew by %zu KiB", most - before);
#endif
}
END_TEST

/* ---- documents ---- */

static const struct {
    const char *name, *journal, *second;
} documents[] = {
    {"d.json", "d.journal.jsonl.zst", "d-2.json"},
    {"d.json.zst", "d.journal.jsonl.zst", "d-2.json.zst"},
};

START_TEST(a_document_at_the_end) {
    one_session(documents[_i].name, "in a document");
    struct seen s = read_back(path_of(documents[_i].name));
    ck_assert_uint_eq(s.frames, 1);
    ck_assert_str_eq(s.first_text, "in a document");
    ck_assert(!exists(path_of(documents[_i].journal)));
    ck_assert(file_has(path_of(documents[_i].name), "\"metadata\""));
    /* A later run leaves it alone. */
    one_session(documents[_i].name, "another");
    ck_assert_str_eq(read_back(path_of(documents[_i].name)).last_text, "in a document");
    ck_assert_str_eq(read_back(path_of(documents[_i].second)).last_text, "another");
    ck_assert(!exists(path_of("d-2.journal.jsonl.zst")));
}
END_TEST

static void visit(const char *name, uint64_t number, const char *text) {
    struct recording *rec = record_to(name);
    struct capture *c = join(rec, number);
    recording_unref(rec);
    add_text(c, text);
    leave(c);
}

static bool is_finished(const char *path) {
    int fd = open(path, O_RDONLY);
    bool free_again = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (fd >= 0)
        close(fd);
    return free_again;
}

/* A file for each connection, and there is always a new one: those before it end all the same. */
START_TEST(recordings_end_while_others_begin) {
    start_recorder(0);
    visit("first.jsonl.zst", 1, "x");
    WAIT_FOR(exists(path_of("first.jsonl.zst")));
    char name[32];
    for (unsigned i = 0; i < 250 && !is_finished(path_of("first.jsonl.zst")); i++) {
        snprintf(name, sizeof name, "%u.jsonl.zst", i);
        visit(name, i + 2, "y");
        usleep(20000);
    }
    ck_assert(is_finished(path_of("first.jsonl.zst")));
}
END_TEST

/* Retention looks at the directory once for what ends together, and nobody waits for it. */
START_TEST(retention_of_many_that_end_together) {
    config.path.text = (char *)"c-{{connection.id}}.jsonl.zst";
    config.keep_files = 1;
    start_recorder(0);
    char name[32];
    for (unsigned i = 0; i < 20000; i++) {
        snprintf(name, sizeof name, "c-old%u.jsonl.zst", i);
        ck_assert_int_eq(symlink("nowhere", path_of(name)), 0);
    }
    uint64_t began = clock_mono_us();
    for (unsigned i = 0; i < 400; i++) {
        snprintf(name, sizeof name, "c-%u.jsonl.zst", i);
        visit(name, i, "x");
    }
    WAIT_FOR(is_finished(path_of("c-399.jsonl.zst")));
    ck_assert_int_eq(stop_recorder(), MF_OK);
    ck_assert_uint_lt(clock_mono_us() - began, 6000000);
    unsigned left = 0;
    for (unsigned i = 0; i < 400; i++) {
        snprintf(name, sizeof name, "c-%u.jsonl.zst", i);
        left += exists(path_of(name));
    }
    ck_assert_uint_ge(left, 1);
    ck_assert_uint_le(left, 2); /* the newest, and whichever the last look was made for */
}
END_TEST

START_TEST(a_document_of_the_day_grows) {
    config.path.text = (char *)"ws-{{date}}.json";
    start_recorder(0);
    visit("ws-2024-01-15.json", 1, "in the morning");
    WAIT_FOR(exists(path_of("ws-2024-01-15.json")));
    ck_assert(exists(path_of("ws-2024-01-15.journal.jsonl.zst")));
    ck_assert_uint_eq(read_back(path_of("ws-2024-01-15.json")).frames, 1);
    visit("ws-2024-01-15.json", 2, "in the evening");
    WAIT_FOR(read_back(path_of("ws-2024-01-15.json")).frames == 2);
    visit("ws-2024-01-15.json", 3, "at night");
    ck_assert_int_eq(stop_recorder(), MF_OK);
    struct seen s = read_back(path_of("ws-2024-01-15.json"));
    ck_assert_uint_eq(s.frames, 3);
    ck_assert_str_eq(s.last_text, "at night");
    ck_assert(!exists(path_of("ws-2024-01-15.journal.jsonl.zst")));
    ck_assert(!exists(path_of("ws-2024-01-15-2.json")));
}
END_TEST

/* Somebody tidied up what looked like a left-over, or a second gateway went on with it: the document is all that there
 * is of its messages. */
static const bool taken_by_another[] = {false, true};

START_TEST(a_document_whose_journal_is_gone_stays) {
    config.path.text = (char *)"ws-{{date}}.json";
    start_recorder(0);
    visit("ws-1.json", 1, "in the morning");
    WAIT_FOR(exists(path_of("ws-1.json")));
    int fd = -1;
    if (taken_by_another[_i]) {
        fd = open(path_of("ws-1.journal.jsonl.zst"), O_RDWR);
        ck_assert_int_eq(flock(fd, LOCK_EX), 0);
    } else {
        ck_assert_int_eq(unlink(path_of("ws-1.journal.jsonl.zst")), 0);
    }
    visit("ws-1.json", 2, "in the evening");
    WAIT_FOR(exists(path_of("ws-1-2.json")));
    visit("ws-1.json", 3, "at night");
    ck_assert_int_eq(stop_recorder(), MF_OK);
    ck_assert_str_eq(read_back(path_of("ws-1.json")).last_text, "in the morning");
    struct seen s = read_back(path_of("ws-1-2.json"));
    ck_assert_str_eq(s.first_text, "in the evening");
    ck_assert_str_eq(s.last_text, "at night");
    ck_assert(!exists(path_of("ws-1-2.journal.jsonl.zst")));
    ck_assert_int_eq(exists(path_of("ws-1.journal.jsonl.zst")), taken_by_another[_i]);
    close(fd);
}
END_TEST

START_TEST(a_crashs_journal_is_gone_on_with) {
    /* What a crash leaves of d.json: the journal alone. */
    one_session("x.jsonl.zst", "before the crash");
    ck_assert_int_eq(rename(path_of("x.jsonl.zst"), path_of("d.journal.jsonl.zst")), 0);
    one_session("d.json", "after the crash");
    struct seen s = read_back(path_of("d.json"));
    ck_assert_uint_eq(s.frames, 2);
    ck_assert_str_eq(s.first_text, "before the crash");
    ck_assert(!exists(path_of("d.journal.jsonl.zst")));
}
END_TEST

START_TEST(a_document_that_cannot_be_made_keeps_its_journal) {
    start_recorder(0);
    struct recording *rec = record_to("d.json");
    struct capture *c = join(rec, 1);
    add_text(c, "kept");
    WAIT_FOR(exists(path_of("d.journal.jsonl.zst")));
    ck_assert_int_eq(mkdir(path_of("d.json"), 0700), 0);
    leave(c);
    recording_unref(rec);
    ck_assert_int_eq(stop_recorder(), MF_EIO);
    ck_assert_str_eq(read_back(path_of("d.journal.jsonl.zst")).last_text, "kept");
}
END_TEST

/* A long recording has lists of its open connections in it: who goes to its end finds them there, although the file's
 * beginning, where their open lines are, cannot be read. */
#define LISTED_MESSAGE 16000
#define LISTED_MESSAGES 2500

static bool take_open(void *arg, const struct session_event *open) {
    struct buf *names = arg;
    buf_printf(names, "%s %s %d;", open->connection, open->path, open->continued);
    return true;
}

static void damage(const char *path, off_t from, off_t to) {
    int fd = open(path, O_RDWR);
    static const char zeros[1024];
    ck_assert_int_ge(fd, 0);
    for (off_t at = from; at < to; at += (off_t)sizeof zeros)
        ck_assert_int_eq(pwrite(fd, zeros, sizeof zeros, at), sizeof zeros);
    close(fd);
}

START_TEST(lists_of_open_connections) {
    const char *path = path_of("long.jsonl.zst");
    config.on_full = RECORD_FULL_PAUSE;
    start_recorder(4 << 20);
    struct recording *rec = record_to("long.jsonl.zst");
    struct capture *stays = join(rec, 1), *goes = join(rec, 2), *late = NULL;
    char *text = calloc(1, LISTED_MESSAGE);
    uint32_t random = 1;
    for (unsigned i = 0; i < LISTED_MESSAGES; i++) {
        for (size_t n = 0; n < LISTED_MESSAGE; n++) {
            random = random * 1103515245 + 12345;
            text[n] = (char)('A' + random / 65536 % 26);
        }
        WAIT_FOR(capture_room(stays) >= LISTED_MESSAGE);
        add(stays, EVENT_INCOMING, 1, text, LISTED_MESSAGE);
        if (i == LISTED_MESSAGES / 4) {
            leave(goes);
            late = join(rec, 3);
            add_text(late, "hello");
        }
    }
    add_text(stays, "the last");
    leave(stays);
    leave(late);
    recording_unref(rec);
    ck_assert_int_eq(stop_recorder(), MF_OK);
    ck_assert_uint_eq(read_back(path).frames, LISTED_MESSAGES + 2); /* for who reads on, nothing is there */

    struct reader *r;
    struct session_event e;
    struct err err = {0};
    struct buf names = BUF_INIT;
    damage(path, 4096, 1 << 20);
    ck_assert_int_eq(reader_open(path, &r, &err), MF_OK);
    ck_assert_int_eq(reader_seek(r, UINT64_MAX / 2, &err), MF_OK);
    ck_assert_int_eq(reader_opens_before(r, take_open, &names, &err), 1);
    ck_assert_str_eq(buf_cstr(&names), "conn-3 /ws 1;conn-1 /ws 1;");
    ck_assert_int_eq(reader_next(r, &e, &err), 1);
    reader_close(r);
    buf_fini(&names);
    free(text);
}
END_TEST

int main(void) {
    log_set_level(getenv("TEST_LOG") ? LOG_DEBUG : LOG_ERROR + 1);
    Suite *s = suite_create("recorder");
    TCase *t = tcase_create("end to end");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 30);
    tcase_add_test(t, a_session_comes_back);
    tcase_add_test(t, lists_of_open_connections);
    tcase_add_loop_test(t, fragments_become_frames, 0, ARRAY_LEN(steps));
    tcase_add_test(t, a_huge_frame_needs_little_memory);
    tcase_add_test(t, a_frame_without_its_end_is_kept);
    tcase_add_test(t, two_connections_share_a_recording);
    tcase_add_loop_test(t, a_later_run_goes_on, 0, ARRAY_LEN(appended));
    tcase_add_loop_test(t, a_torn_tail_is_cut_off, 0, ARRAY_LEN(appended));
    tcase_add_test(t, a_table_that_lies_is_not_gone_on_with);
    tcase_add_test(t, what_is_not_ours_is_left_alone);
    tcase_add_test(t, another_processs_file_is_left_alone);
    tcase_add_test(t, the_extension_is_checked);
    tcase_add_test(t, files_are_private);
    tcase_add_test(t, parts_stand_alone);
    tcase_add_test(t, rotation_by_time_needs_lines);
    tcase_add_test(t, filters);
    tcase_add_test(t, secrets_do_not_reach_the_disk);
    tcase_add_test(t, what_is_left_of_a_message_is_withheld);
    tcase_add_test(t, a_redacted_message_without_end_needs_little_memory);
    tcase_add_loop_test(t, a_document_at_the_end, 0, ARRAY_LEN(documents));
    tcase_add_test(t, recordings_end_while_others_begin);
    tcase_add_test(t, retention_of_many_that_end_together);
    tcase_add_test(t, a_document_of_the_day_grows);
    tcase_add_loop_test(t, a_document_whose_journal_is_gone_stays, 0, ARRAY_LEN(taken_by_another));
    tcase_add_test(t, a_crashs_journal_is_gone_on_with);
    tcase_add_test(t, a_document_that_cannot_be_made_keeps_its_journal);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
