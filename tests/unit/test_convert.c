#include "recording/convert.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include "session_sample.h"

static void convert_ok(const char *from, const char *to, struct convert_result *result) {
    struct err err;
    char text[1024];
    if (session_convert(from, to, NULL, result, &err) < 0)
        ck_abort_msg("%s", err_format(&err, text, sizeof text));
}

static void expect_sample(const char *path) {
    struct buf want = BUF_INIT, got = BUF_INIT;
    struct err err;
    char text[1024];
    enum reader_end end;
    sample_text(&want, 0, SAMPLE_COUNT);
    if (sample_read(path, &got, &end, &err) < 0)
        ck_abort_msg("%s", err_format(&err, text, sizeof text));
    ck_assert_str_eq(buf_cstr(&got), buf_cstr(&want));
    ck_assert_int_eq(end, READER_END_WHOLE);
    buf_fini(&want);
    buf_fini(&got);
}

static const char *const extensions[] = {"jsonl.zst", "jsonl", "json", "json.zst"};

START_TEST(every_form_to_every_form) {
    struct buf text = BUF_INIT;
    char from[160];
    snprintf(from, sizeof from, "%s", sample_path("sample.jsonl"));
    sample_text(&text, 0, SAMPLE_COUNT);
    sample_write(from, text.data, text.len);
    buf_fini(&text);
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < 4; k++) {
            char name[64];
            struct convert_result result;
            snprintf(name, sizeof name, "%zu-%zu.%s", i, k, extensions[i]);
            const char *middle = sample_path(name);
            snprintf(name, sizeof name, "%zu-%zu-to.%s", i, k, extensions[k]);
            const char *to = sample_path(name);
            convert_ok(from, middle, &result);
            expect_sample(middle);
            convert_ok(middle, to, &result);
            expect_sample(to);
            ck_assert_uint_eq(result.connections, 3);
            ck_assert_uint_eq(result.messages, 5);
            ck_assert(!result.truncated);
            struct stat st;
            ck_assert_int_eq(stat(to, &st), 0);
            ck_assert_uint_eq(st.st_mode & 0777, 0600);
        }
}
END_TEST

/* A crash in the middle: that is an error; with recovery everything readable comes over, and the result says so. */
START_TEST(truncated_input) {
    struct buf file = BUF_INIT, text = BUF_INIT, got = BUF_INIT;
    struct convert_result result;
    struct err err;
    const char *from = sample_path("torn.jsonl.zst"), *to = sample_path("torn.json");
    sample_text(&text, 0, 5);
    sample_frame(&file, text.data, text.len);
    size_t whole = text.len;
    sample_text(&text, 5, SAMPLE_COUNT);
    sample_frame(&file, text.data + whole, text.len - whole);
    sample_write(from, file.data, file.len - 20);
    ck_assert_int_eq(session_convert(from, to, NULL, &result, &err), MF_EINVAL);
    ck_assert_int_lt(access(to, F_OK), 0);
    ck_assert_int_eq(session_convert(from, to, &(struct convert_options){.recover = true}, &result, &err), MF_OK);
    ck_assert(result.truncated);
    ck_assert_uint_eq(result.connections, 2);
    enum reader_end end;
    ck_assert_int_eq(sample_read(to, &got, &end, &err), 0);
    ck_assert_int_eq(end, READER_END_WHOLE);
    ck_assert_uint_ge(got.len, whole);
    ck_assert_int_eq(memcmp(got.data, text.data, got.len), 0);
    buf_fini(&file);
    buf_fini(&text);
    buf_fini(&got);
}
END_TEST

/* So many connections that their part of a document does not stay in memory: the input is read a third time for it. */
START_TEST(many_connections) {
    struct buf text = BUF_INIT, got = BUF_INIT;
    struct convert_result result;
    struct err err;
    char from[160];
    const size_t count = 20000;
    snprintf(from, sizeof from, "%s", sample_path("many.jsonl"));
    sample_text(&text, 0, 1);
    for (size_t i = 0; i < count; i++) {
        char name[32];
        snprintf(name, sizeof name, "conn-%zu", i);
        struct session_event e = {.type = EVENT_OPEN, .connection = name, .timestamp_us = i, .path = "/ws"};
        ck_assert_int_eq(event_write_line(&text, &e), MF_OK);
        e = (struct session_event){.type = EVENT_TEXT, .connection = name, .timestamp_us = i, .fin = true};
        ck_assert_int_eq(event_write_line(&text, &e), MF_OK);
        e = (struct session_event){.type = EVENT_END, .connection = name, .timestamp_us = i, .by = "client"};
        ck_assert_int_eq(event_write_line(&text, &e), MF_OK);
    }
    sample_write(from, text.data, text.len);
    const char *to = sample_path("many.json");
    convert_ok(from, to, &result);
    ck_assert_uint_eq(result.connections, count);
    ck_assert_uint_eq(result.messages, count);
    ck_assert_int_eq(sample_read(to, &got, NULL, &err), 0);
    ck_assert_str_eq(buf_cstr(&got), buf_cstr(&text));
    buf_fini(&text);
    buf_fini(&got);
}
END_TEST

struct progress {
    uint64_t last, calls;
};

static void on_progress(uint64_t done, uint64_t total, void *arg) {
    struct progress *p = arg;
    ck_assert_uint_ge(done, p->last);
    ck_assert_uint_le(done, total);
    p->last = done;
    p->calls++;
}

START_TEST(progress_only_grows) {
    struct buf text = BUF_INIT;
    struct progress p = {0};
    struct convert_options options = {.progress = on_progress, .arg = &p};
    struct err err;
    char from[160];
    snprintf(from, sizeof from, "%s", sample_path("progress.jsonl"));
    for (int i = 0; i < 500; i++)
        sample_text(&text, 0, SAMPLE_COUNT);
    sample_write(from, text.data, text.len);
    ck_assert_int_eq(session_convert(from, sample_path("progress.json"), &options, NULL, &err), MF_OK);
    ck_assert_uint_gt(p.calls, 10);
    buf_fini(&text);
}
END_TEST

/* Nothing that fails leaves anything behind, or touches what is there. */
START_TEST(failures) {
    struct buf text = BUF_INIT, got = BUF_INIT;
    struct convert_options force = {.overwrite = true};
    struct err err;
    char from[160], bad[160], target[160];
    snprintf(from, sizeof from, "%s", sample_path("good.jsonl"));
    snprintf(bad, sizeof bad, "%s", sample_path("bad.jsonl"));
    snprintf(target, sizeof target, "%s", sample_path("target.json"));
    sample_text(&text, 0, SAMPLE_COUNT);
    sample_write(from, text.data, text.len);
    buf_puts(&text, "{\"type\":\"text\"}\n");
    sample_write(bad, text.data, text.len);
    sample_write(target, "old", 3);
    ck_assert_int_eq(session_convert(from, target, NULL, NULL, &err), MF_EINVAL);
    ck_assert_str_eq(err.text, "exists already");
    ck_assert_int_eq(session_convert(bad, target, &force, NULL, &err), MF_EINVAL);
    ck_assert_int_eq(err.line, SAMPLE_COUNT + 1);
    ck_assert_int_eq(session_convert(from, sample_path("x.txt"), NULL, NULL, &err), MF_EINVAL);
    ck_assert_int_eq(session_convert(from, sample_path("no/x.json"), NULL, NULL, &err), MF_EIO);
    ck_assert_int_eq(session_convert("/nowhere.json", sample_path("x.json"), NULL, NULL, &err), MF_EIO);
    sample_slurp(target, &got);
    ck_assert_str_eq(buf_cstr(&got), "old");
    char command[256];
    snprintf(command, sizeof command, "ls -A '%s' | grep -q tmp", sample_dir);
    ck_assert_int_ne(system(command), 0);
    buf_fini(&text);
    buf_fini(&got);
}
END_TEST

/* A full disk: the error is told, and no half file is left. */
START_TEST(full_disk) {
    struct buf text = BUF_INIT;
    struct err err;
    char from[160];
    snprintf(from, sizeof from, "%s", sample_path("large.jsonl"));
    for (int i = 0; i < 2000; i++)
        sample_text(&text, 0, SAMPLE_COUNT);
    sample_write(from, text.data, text.len);
    buf_fini(&text);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = {1 << 20, RLIM_INFINITY};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0); /* of this test's own process */
    ck_assert_int_eq(session_convert(from, sample_path("large.json"), NULL, NULL, &err), MF_EIO);
    ck_assert_ptr_nonnull(strstr(err.text, "File too large"));
    ck_assert_int_ne(access(sample_path("large.json"), F_OK), 0);
}
END_TEST

/* A document without metadata, and lines without a recording line: the file's time stands in. */
START_TEST(no_recording_line) {
    static const char document[] = "{\"messages\":[{\"type\":\"text\",\"direction\":\"incoming\",\"data\":\"a\"}]}";
    struct buf got = BUF_INIT;
    struct session_summary s;
    struct err err;
    char from[160], to[160];
    snprintf(from, sizeof from, "%s", sample_path("bare.json"));
    snprintf(to, sizeof to, "%s", sample_path("bare.jsonl"));
    sample_write(from, document, sizeof document - 1);
    struct timespec times[2] = {{.tv_sec = 1700000000}, {.tv_sec = 1700000000}};
    ck_assert_int_eq(utimensat(AT_FDCWD, from, times, 0), 0);
    convert_ok(from, to, NULL);
    ck_assert_int_eq(reader_summary(to, &s, &err), MF_OK);
    ck_assert_int_eq(s.recorded_at_us, INT64_C(1700000000000000));
    ck_assert_uint_eq(s.messages, 1);
    ck_assert_uint_eq(s.connections, 1);
    buf_fini(&got);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("convert");
    TCase *tcase = tcase_create("convert");
    tcase_add_unchecked_fixture(tcase, sample_setup, sample_teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, every_form_to_every_form);
    tcase_add_test(tcase, truncated_input);
    tcase_add_test(tcase, many_connections);
    tcase_add_test(tcase, progress_only_grows);
    tcase_add_test(tcase, failures);
    tcase_add_test(tcase, full_disk);
    tcase_add_test(tcase, no_recording_line);
    suite_add_tcase(suite, tcase);
    return sample_run(suite);
}
