/* Reading ahead on a thread gives what reading without one gives: events, places, errors, how the file ended. */
#include <dirent.h>

#include "session_sample.h"

#define LINES 90
#define FRAMES 30

static struct buf file;
static size_t frame_ends[FRAMES];

/* Frames of three lines; of every fifth the last line ends in the next frame. */
static void setup(void) {
    struct buf text = BUF_INIT;
    sample_setup();
    buf_reset(&file);
    for (size_t i = 0, left = 0; i < LINES; i++) {
        buf_printf(&text,
                   "{\"connection\":\"conn-%zu\",\"timestamp_ms\":%zu,\"direction\":\"incoming\",\"type\":\"text\","
                   "\"data\":\"number %zu\"}\n",
                   i % 4, i, i);
        if (i % 3 != 2)
            continue;
        left = i % 15 == 14 && i + 1 < LINES ? 20 : 0;
        sample_frame(&file, text.data, text.len - left);
        frame_ends[i / 3] = file.len;
        buf_consume(&text, text.len - left);
    }
    buf_fini(&text);
}

static void teardown(void) {
    buf_fini(&file);
    sample_teardown();
}

/* What reading gives up to the end, or to its error. */
static void trace_rest(struct reader *r, struct buf *out) {
    struct session_event e;
    struct err err;
    char text[1024];
    int rc;
    while ((rc = reader_next(r, &e, &err)) > 0) {
        buf_printf(out, "%llu: ", (unsigned long long)reader_position(r));
        ck_assert_int_eq(event_write_line(out, &e), MF_OK);
    }
    if (rc < 0)
        buf_printf(out, "%d %s\n", rc, err_format(&err, text, sizeof text));
    else
        buf_printf(out, "end %d at %llu\n", reader_ended(r), (unsigned long long)reader_position(r));
}

static struct reader *open_reader(const char *path, bool ahead, bool recover) {
    struct reader *r;
    struct err err;
    ck_assert_int_eq(reader_open(path, &r, &err), MF_OK);
    reader_recover(r, recover);
    if (ahead)
        reader_run_ahead(r);
    return r;
}

static void expect_same(const char *path, bool recover) {
    struct buf traces[2] = {BUF_INIT, BUF_INIT};
    for (int ahead = 0; ahead < 2; ahead++) {
        struct reader *r = open_reader(path, ahead, recover);
        trace_rest(r, &traces[ahead]);
        reader_close(r);
    }
    ck_assert_str_eq(buf_cstr(&traces[0]), buf_cstr(&traces[1]));
    buf_fini(&traces[0]);
    buf_fini(&traces[1]);
}

START_TEST(cut_anywhere) {
    const char *path = sample_path("cut.jsonl.zst");
    for (size_t cut = 4; cut <= file.len; cut += 7) {
        sample_write(path, file.data, cut);
        expect_same(path, false);
    }
}
END_TEST

START_TEST(damaged_anywhere) {
    const char *path = sample_path("damaged.jsonl.zst");
    for (size_t i = 0; i < FRAMES; i++) {
        file.data[frame_ends[i] - 2] ^= 0x10; /* the frame's checksum */
        sample_write(path, file.data, file.len);
        expect_same(path, false);
        expect_same(path, true);
        file.data[frame_ends[i] - 2] ^= 0x10;
    }
}
END_TEST

/* A line that is no event, in a frame that is sound. */
START_TEST(bad_line) {
    struct buf more = BUF_INIT;
    const char *path = sample_path("bad.jsonl.zst");
    buf_append(&more, file.data, file.len);
    sample_frame(&more, "{\"type\":oops}\n", 14);
    buf_append(&more, file.data, file.len);
    sample_write(path, more.data, more.len);
    expect_same(path, false);
    expect_same(path, true);
    buf_fini(&more);
}
END_TEST

/* A line longer than is held, in many frames, which recovery passes by. The thread is behind its beginning by then. */
START_TEST(endless_line) {
    struct buf more = BUF_INIT;
    const char *path = sample_path("endless.jsonl.zst");
    size_t piece = 1 << 20;
    char *blanks = malloc(piece);
    ck_assert_ptr_nonnull(blanks);
    memset(blanks, 'x', piece);
    buf_append(&more, file.data, file.len);
    for (size_t i = 0; i < READER_LINE_MAX / piece + 6; i++)
        sample_frame(&more, blanks, piece);
    sample_frame(&more, "\n", 1);
    buf_append(&more, file.data, file.len);
    sample_write(path, more.data, more.len);
    expect_same(path, false);
    expect_same(path, true);
    free(blanks);
    buf_fini(&more);
}
END_TEST

/* The file grows a few bytes at a time. */
START_TEST(growing_file) {
    struct buf traces[2] = {BUF_INIT, BUF_INIT};
    const char *path = sample_path("grow.jsonl.zst");
    for (int ahead = 0; ahead < 2; ahead++) {
        size_t written = file.len / 2;
        sample_write(path, file.data, written);
        struct reader *r = open_reader(path, ahead, false);
        reader_growing(r, true);
        trace_rest(r, &traces[ahead]);
        for (size_t step = 1; written < file.len; step = step % 190 + 63) {
            ck_assert_int_eq(reader_more(r), 0);
            FILE *f = fopen(path, "a");
            ck_assert_ptr_nonnull(f);
            size_t n = MIN(step, file.len - written);
            ck_assert_uint_eq(fwrite(file.data + written, 1, n, f), n);
            ck_assert_int_eq(fclose(f), 0);
            written += n;
            ck_assert_int_eq(reader_more(r), 1);
            trace_rest(r, &traces[ahead]);
        }
        reader_close(r);
    }
    ck_assert_str_eq(buf_cstr(&traces[0]), buf_cstr(&traces[1]));
    ck_assert_ptr_nonnull(strstr(buf_cstr(&traces[1]), "\"number 89\""));
    buf_fini(&traces[0]);
    buf_fini(&traces[1]);
}
END_TEST

/* A seek while the thread is at work, to each second, and a reader that is closed so. */
START_TEST(seek_and_close) {
    const char *path = sample_path("seek.jsonl.zst");
    sample_write(path, file.data, file.len);
    for (uint64_t to_ms = 0; to_ms < LINES; to_ms += 5) {
        struct buf traces[2] = {BUF_INIT, BUF_INIT};
        for (int ahead = 0; ahead < 2; ahead++) {
            struct reader *r = open_reader(path, ahead, false);
            struct session_event e;
            struct err err;
            for (int i = 0; i < 40; i++)
                ck_assert_int_eq(reader_next(r, &e, &err), 1);
            ck_assert_int_eq(reader_seek(r, to_ms * 1000, &err), MF_OK);
            trace_rest(r, &traces[ahead]);
            reader_close(r);
        }
        ck_assert_str_eq(buf_cstr(&traces[0]), buf_cstr(&traces[1]));
        buf_fini(&traces[0]);
        buf_fini(&traces[1]);
    }
    for (int events = 0; events < 40; events++) {
        struct reader *r = open_reader(path, true, false);
        struct session_event e;
        struct err err;
        for (int i = 0; i < events; i++)
            ck_assert_int_eq(reader_next(r, &e, &err), 1);
        reader_close(r);
    }
}
END_TEST

static int count_threads(void) {
    DIR *tasks = opendir("/proc/self/task");
    int count = 0;
    ck_assert_ptr_nonnull(tasks);
    while (readdir(tasks))
        count++;
    closedir(tasks);
    return count;
}

/* There is a thread, and none where a few lines are read. */
START_TEST(thread_comes_and_goes) {
    struct session_event e;
    struct err err;
    int rc = 1, before = count_threads();
    const char *path = sample_path("threads.jsonl.zst");
    sample_write(path, file.data, file.len);
    struct reader *r = open_reader(path, true, false);
    ck_assert_int_eq(reader_next(r, &e, &err), 1);
    ck_assert_int_eq(count_threads(), before);
    for (int i = 0; i < 40 && rc > 0; i++)
        rc = reader_next(r, &e, &err);
    ck_assert_int_eq(rc, 1);
    ck_assert_int_gt(count_threads(), before);
    while ((rc = reader_next(r, &e, &err)) > 0)
        ;
    ck_assert_int_eq(rc, 0);
    reader_close(r);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("reader_ahead");
    TCase *tcase = tcase_create("reader_ahead");
    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, cut_anywhere);
    tcase_add_test(tcase, damaged_anywhere);
    tcase_add_test(tcase, bad_line);
    tcase_add_test(tcase, endless_line);
    tcase_add_test(tcase, growing_file);
    tcase_add_test(tcase, seek_and_close);
    tcase_add_test(tcase, thread_comes_and_goes);
    suite_add_tcase(suite, tcase);
    return sample_run(suite);
}
