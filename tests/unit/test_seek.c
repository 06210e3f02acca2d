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
    reader_recover(r, true);
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

/* What the rest of the file reads as: 0, or the error. */
static int read_rest(const char *path, uint64_t from_us, bool recover, size_t *events, struct err *err) {
    struct reader *r;
    struct session_event e;
    int rc;
    *events = 0;
    ck_assert_int_eq(reader_open(path, &r, err), MF_OK);
    reader_recover(r, recover);
    reader_run_ahead(r);
    ck_assert_int_eq(reader_seek(r, from_us, err), MF_OK);
    while ((rc = reader_next(r, &e, err)) > 0)
        *events += e.type == EVENT_TEXT;
    reader_close(r);
    return rc;
}

/* Bytes of the table's first and last entries and its foot, but for the magic number without which it is none, changed:
 * all events come, and then an error that says where, unless it is recovered. A seek that does not come by the lie does
 * not have to tell of it; one that does says the same. */
START_TEST(lie_is_told_at_the_end) {
    struct buf bad = BUF_INIT;
    const char *path = sample_path("told.jsonl.zst");
    struct err err, after_seek;
    size_t events, some;
    buf_append(&bad, file.data, file.len);
    for (size_t i = file_frames + 8; i < file.len - 4; i = i == file_frames + 40 ? file.len - 24 : i + 1) {
        bad.data[i] ^= 0x41;
        sample_write(path, bad.data, bad.len);
        ck_assert_msg(read_rest(path, 0, false, &events, &err) == MF_EINVAL, "byte %zu", i);
        ck_assert(err.damaged && err.file[0] && strstr(err.text, "seek table"));
        ck_assert_uint_eq(events, FRAMES * LINES);
        ck_assert_int_eq(read_rest(path, 0, true, &events, &err), 0);
        ck_assert_uint_eq(events, FRAMES * LINES);
        ck_assert_int_eq(read_rest(path, 1395000, true, &some, &err), 0);
        int rc = read_rest(path, 1395000, false, &events, &after_seek);
        ck_assert(rc == 0 || rc == MF_EINVAL);
        ck_assert_uint_eq(events, some);
        bad.data[i] ^= 0x41;
    }
    buf_fini(&bad);
}
END_TEST

static void expect_lie(const struct buf *bad, uint64_t from_us, const char *text) {
    const char *path = sample_path("lie.jsonl.zst");
    struct err err;
    size_t events;
    sample_write(path, bad->data, bad->len);
    ck_assert_int_eq(read_rest(path, from_us, false, &events, &err), MF_EINVAL);
    ck_assert_msg(strstr(err.text, text) != NULL, "%s: expected %s", err.text, text);
}

static void put_table(struct buf *out, const uint32_t (*entries)[2], uint32_t count) {
    put32(out, 0x184D2A5E);
    put32(out, count * 8 + 9);
    for (uint32_t i = 0; i < count; i++) {
        put32(out, entries[i][0]);
        put32(out, entries[i][1]);
    }
    put32(out, count);
    buf_putc(out, 0);
    put32(out, 0x8F92EAB1);
}

/* Too few entries, too many, of too much: the place, what is there, and what the table says. */
START_TEST(what_a_lie_says) {
    struct buf bad = BUF_INIT;
    uint32_t entries[FRAMES + 1][2];
    char text[160];
    for (size_t i = 0; i < FRAMES; i++) {
        entries[i][0] = ends[i] - (i ? ends[i - 1] : 0);
        memcpy(&entries[i][1], file.data + file_frames + 8 + i * 8 + 4, 4); /* little-endian, as this machine is */
    }
    entries[FRAMES][0] = entries[FRAMES][1] = 0;
    for (int kind = 0; kind < 4; kind++) {
        buf_reset(&bad);
        buf_append(&bad, file.data, file_frames);
        const char *expected = text;
        if (kind == 0) {
            entries[150][0] += 3;
            entries[151][0] -= 3;
            put_table(&bad, entries, FRAMES);
            snprintf(text, sizeof text,
                     "byte %u: the size of the frame that begins here is %u; the seek table (byte %zu) "
                     "says %u",
                     ends[149], entries[150][0] - 3, file_frames, entries[150][0]);
            expect_lie(&bad, 1100000, expected); /* a seek from which the lie is still to come */
            expect_lie(&bad, 1056000, expected);
            entries[150][0] -= 3;
            entries[151][0] += 3;
        } else if (kind == 1) {
            put_table(&bad, entries, FRAMES + 1);
            expected = "the number of frames before the seek table is 200; the seek table";
        } else if (kind == 2) {
            put_table(&bad, entries, FRAMES - 1);
            snprintf(text, sizeof text, "byte %u: the size of all frames from here to the seek table is",
                     ends[FRAMES - 2]);
        } else {
            entries[7][1]++;
            put_table(&bad, entries, FRAMES);
            snprintf(text, sizeof text, "byte %u: the decompressed size", ends[6]);
        }
        if (kind)
            expect_lie(&bad, 0, expected);
    }
    buf_fini(&bad);
}
END_TEST

/* `cat a b > c`: the last table is of the last part, and true of that. */
START_TEST(files_put_together) {
    struct buf two = BUF_INIT;
    const char *path = sample_path("two.jsonl.zst");
    struct err err;
    size_t events;
    buf_append(&two, file.data, file.len);
    buf_append(&two, file.data, file.len);
    sample_write(path, two.data, two.len);
    ck_assert_int_eq(read_rest(path, 0, false, &events, &err), 0);
    ck_assert_uint_eq(events, (size_t)2 * FRAMES * LINES);
    two.data[two.len - 9 - 8 * 20] ^= 1; /* and then not */
    expect_lie(&two, 0, "the seek table");
    buf_fini(&two);
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
    tcase_add_test(tcase, lie_is_told_at_the_end);
    tcase_add_test(tcase, what_a_lie_says);
    tcase_add_test(tcase, files_put_together);
    tcase_add_test(tcase, table_with_a_shifted_border);
    tcase_add_test(tcase, other_forms_start_again);
    suite_add_tcase(suite, tcase);
    return sample_run(suite);
}
