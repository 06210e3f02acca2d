/* reader_seek(): with the seek table, without, and with tables that lie. */
#include "session_sample.h"

#define FRAMES 200
#define LINES 7 /* in each */
#define STEP_US 1000

static struct buf file;    /* FRAMES frames, and a table behind them */
static size_t file_frames; /* where the table begins */
static uint32_t ends[FRAMES];

static void put32(struct buf *b, uint32_t n) {
    for (int i = 0; i < 4; i++)
        buf_putc(b, (char)(n >> 8 * i));
}

static void make_file(void) {
    struct buf text = BUF_INIT, sizes = BUF_INIT;
    sample_setup();
    uint64_t time = 0;
    for (size_t i = 0; i < FRAMES; i++) {
        buf_reset(&text);
        if (i == 0)
            sample_text(&text, 0, 1);
        for (size_t k = 0; k < LINES; k++, time += STEP_US) {
            struct session_event e = {.type = EVENT_TEXT,
                                      .connection = "conn-1",
                                      .fin = true,
                                      .timestamp_us = time,
                                      .data = {(const uint8_t *)"x", 1}};
            ck_assert_int_eq(event_write_line(&text, &e), MF_OK);
        }
        size_t before = file.len;
        sample_frame(&file, text.data, text.len);
        put32(&sizes, (uint32_t)(file.len - before));
        put32(&sizes, (uint32_t)text.len);
        ends[i] = (uint32_t)file.len;
    }
    file_frames = file.len;
    put32(&file, 0x184D2A5E);
    put32(&file, (uint32_t)sizes.len + 9);
    buf_append(&file, sizes.data, sizes.len);
    put32(&file, FRAMES);
    buf_putc(&file, 0);
    put32(&file, 0x8F92EAB1);
    buf_fini(&text);
    buf_fini(&sizes);
}

static void drop_file(void) {
    buf_fini(&file);
    sample_teardown();
}

/* Seeks to many times: every event from there on comes, and not many before. */
static void check_seeks(const char *path, size_t frames, bool near) {
    struct reader *r;
    struct err err;
    struct session_event e;
    ck_assert_int_eq(reader_open(path, &r, &err), MF_OK);
    uint64_t last = (uint64_t)frames * LINES * STEP_US;
    for (uint64_t t = 0; t < last + 5000; t += 13500) {
        uint64_t want = (t + STEP_US - 1) / STEP_US * STEP_US;
        size_t skipped = 0;
        int rc;
        ck_assert_int_eq(reader_seek(r, t, &err), MF_OK);
        while ((rc = reader_next(r, &e, &err)) > 0 && (e.type == EVENT_RECORDING || e.timestamp_us < t))
            skipped++;
        if (near)
            ck_assert_uint_le(skipped, 3 * LINES);
        ck_assert_int_eq(rc, want < last);
        if (rc > 0)
            ck_assert_uint_eq(e.timestamp_us, want);
        for (int i = 0; rc > 0 && i < 20; i++) {
            ck_assert_uint_eq(e.timestamp_us, want);
            want += STEP_US;
            rc = reader_next(r, &e, &err);
        }
        ck_assert_int_ge(rc, 0);
    }
    reader_close(r);
}

START_TEST(with_table) {
    const char *path = sample_path("table.jsonl.zst");
    sample_write(path, file.data, file.len);
    check_seeks(path, FRAMES, true);
}
END_TEST

START_TEST(without_table) {
    const char *path = sample_path("none.jsonl.zst");
    sample_write(path, file.data, file_frames);
    check_seeks(path, FRAMES, true);
    sample_write(path, file.data, ends[99] + 9); /* torn in its 101st frame */
    check_seeks(path, 100, true);
}
END_TEST

/* After an older table the recording went on; there is no newer one. */
START_TEST(table_in_the_middle) {
    struct buf two = BUF_INIT;
    const char *path = sample_path("middle.jsonl.zst");
    buf_append(&two, file.data, ends[49]);
    buf_append(&two, file.data + file_frames, file.len - file_frames);
    buf_append(&two, file.data + ends[49], file_frames - ends[49]);
    sample_write(path, two.data, two.len);
    check_seeks(path, FRAMES, true);
    buf_fini(&two);
}
END_TEST

/* Each byte of the table's head, first entries and foot is changed: whatever it says then, nothing is missing. */
START_TEST(table_that_lies) {
    struct buf bad = BUF_INIT;
    const char *path = sample_path("lies.jsonl.zst");
    buf_append(&bad, file.data, file.len);
    for (size_t i = file_frames; i < file.len; i = i == file_frames + 40 ? file.len - 9 : i + 1) {
        bad.data[i] ^= 0x41;
        sample_write(path, bad.data, bad.len);
        struct reader *r;
        struct err err;
        struct session_event e;
        uint64_t t = 700 * STEP_US;
        int rc;
        ck_assert_int_eq(reader_open(path, &r, &err), MF_OK);
        ck_assert_int_eq(reader_seek(r, t, &err), MF_OK);
        while ((rc = reader_next(r, &e, &err)) > 0 && (e.type == EVENT_RECORDING || e.timestamp_us < t))
            ;
        ck_assert_int_eq(rc, 1);
        ck_assert_uint_eq(e.timestamp_us, t);
        reader_close(r);
        bad.data[i] ^= 0x41;
    }
    buf_fini(&bad);
}
END_TEST

/* Two sizes that are wrong together add up: the frame that is not there is noticed. */
START_TEST(table_with_a_shifted_border) {
    struct buf bad = BUF_INIT;
    const char *path = sample_path("shifted.jsonl.zst");
    buf_append(&bad, file.data, file.len);
    uint8_t *entries = bad.data + file_frames + 8;
    entries[99 * 8]++;
    entries[100 * 8]--;
    sample_write(path, bad.data, bad.len);
    check_seeks(path, FRAMES, false);
    buf_fini(&bad);
}
END_TEST

START_TEST(other_forms_start_again) {
    struct buf text = BUF_INIT;
    struct reader *r;
    struct err err;
    struct session_event e;
    const char *path = sample_path("plain.jsonl");
    sample_text(&text, 0, SAMPLE_COUNT);
    sample_write(path, text.data, text.len);
    ck_assert_int_eq(reader_open(path, &r, &err), MF_OK);
    for (int i = 0; i < 3; i++) {
        size_t n = 0;
        while (reader_next(r, &e, &err) > 0)
            n++;
        ck_assert_uint_eq(n, SAMPLE_COUNT);
        ck_assert_int_eq(reader_seek(r, 60000, &err), MF_OK);
    }
    reader_close(r);
    buf_fini(&text);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("seek");
    TCase *tcase = tcase_create("seek");
    tcase_set_timeout(tcase, 60);
    tcase_add_unchecked_fixture(tcase, make_file, drop_file);
    tcase_add_test(tcase, with_table);
    tcase_add_test(tcase, without_table);
    tcase_add_test(tcase, table_in_the_middle);
    tcase_add_test(tcase, table_that_lies);
    tcase_add_test(tcase, table_with_a_shifted_border);
    tcase_add_test(tcase, other_forms_start_again);
    suite_add_tcase(suite, tcase);
    return sample_run(suite);
}
