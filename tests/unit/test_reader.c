#include "recording/reader.h"

#include <sys/file.h>
#include <sys/resource.h>

#include "base/log.h"
#include "session_sample.h"

#define GUIDE_DOCUMENT                                                                                                 \
    "{\n"                                                                                                              \
    "  \"metadata\": {\n"                                                                                              \
    "    \"recorded_at\": \"2024-01-15T10:30:00Z\",\n"                                                                 \
    "    \"duration_ms\": 5000,\n"                                                                                     \
    "    \"message_count\": 42\n"                                                                                      \
    "  },\n"                                                                                                           \
    "  \"messages\": [\n"                                                                                              \
    "    {\n"                                                                                                          \
    "      \"timestamp_ms\": 0,\n"                                                                                     \
    "      \"direction\": \"incoming\",\n"                                                                             \
    "      \"type\": \"text\",\n"                                                                                      \
    "      \"data\": \"{\\\"type\\\": \\\"subscribe\\\", \\\"channel\\\": \\\"orders\\\"}\"\n"                         \
    "    },\n"                                                                                                         \
    "    {\n"                                                                                                          \
    "      \"timestamp_ms\": 50,\n"                                                                                    \
    "      \"direction\": \"outgoing\",\n"                                                                             \
    "      \"type\": \"text\",\n"                                                                                      \
    "      \"data\": \"{\\\"type\\\": \\\"subscribed\\\", \\\"channel\\\": \\\"orders\\\"}\"\n"                        \
    "    }\n"                                                                                                          \
    "  ]\n"                                                                                                            \
    "}\n"

static void open_ok(const char *path, struct reader **r) {
    struct err err;
    char text[1024];
    if (reader_open(path, r, &err) < 0)
        ck_abort_msg("%s", err_format(&err, text, sizeof text));
}

static void next_ok(struct reader *r, struct session_event *e, enum event_type type) {
    struct err err;
    char text[1024];
    int rc = reader_next(r, e, &err);
    if (rc < 0)
        ck_abort_msg("%s", err_format(&err, text, sizeof text));
    ck_assert_int_eq(rc, 1);
    ck_assert_int_eq(e->type, type);
}

static void end_ok(struct reader *r, enum reader_end end) {
    struct session_event e;
    struct err err;
    for (int i = 0; i < 2; i++) /* it stays at its end */
        ck_assert_int_eq(reader_next(r, &e, &err), 0);
    ck_assert_int_eq(reader_ended(r), end);
}

START_TEST(guide_document) {
    struct reader *r;
    struct session_event e;
    const char *path = sample_path("session.json");
    sample_write(path, GUIDE_DOCUMENT, strlen(GUIDE_DOCUMENT));
    open_ok(path, &r);
    ck_assert_int_eq(reader_form(r), READER_DOCUMENT);
    next_ok(r, &e, EVENT_RECORDING);
    ck_assert_int_eq(e.recorded_at_us, INT64_C(1705314600) * 1000000);
    next_ok(r, &e, EVENT_TEXT);
    ck_assert_str_eq(e.connection, "conn-1");
    ck_assert_int_eq(e.direction, EVENT_INCOMING);
    ck_assert_str_eq((const char *)e.data.data, "{\"type\": \"subscribe\", \"channel\": \"orders\"}");
    next_ok(r, &e, EVENT_TEXT);
    ck_assert_uint_eq(e.timestamp_us, 50000);
    ck_assert_int_eq(e.direction, EVENT_OUTGOING);
    end_ok(r, READER_END_WHOLE);
    reader_close(r);
}
END_TEST

/* Whatever the place of the cut: the lines before it that are whole, in order, and nothing else. */
static void expect_prefix(const struct buf *got, const char *whole, size_t least) {
    ck_assert_uint_ge(got->len, least);
    ck_assert_int_eq(memcmp(got->data ? got->data : (const uint8_t *)"", whole, got->len), 0);
    ck_assert(got->len == 0 || got->data[got->len - 1] == '\n');
}

/* A file that ends in the middle is damaged: all that is there is given, and then an error that says where it ends.
 * With recovery it is the end. */
static void expect_cut_off(const char *path, const struct buf *recovered) {
    struct buf got = BUF_INIT;
    struct err err = {0};
    struct stat st;
    char where[32];
    ck_assert_int_eq(sample_read(path, &got, NULL, &err), MF_EINVAL);
    ck_assert_uint_eq(got.len, recovered->len);
    ck_assert_int_eq(memcmp(buf_cstr(&got), recovered->len ? recovered->data : (const uint8_t *)"", got.len), 0);
    ck_assert_str_eq(err.file, path);
    ck_assert_int_eq(stat(path, &st), 0);
    snprintf(where, sizeof where, "byte %lld", (long long)st.st_size);
    ck_assert_msg(strstr(err.text, st.st_size ? where : "the file is empty"), "%s", err.text);
    buf_fini(&got);
}

START_TEST(lines_cut_anywhere) {
    struct buf text = BUF_INIT, got = BUF_INIT;
    sample_text(&text, 0, SAMPLE_COUNT);
    const char *whole = buf_cstr(&text), *path = sample_path("cut.jsonl");
    for (size_t cut = 0; cut <= text.len; cut++) {
        struct err err;
        enum reader_end end;
        sample_write(path, whole, cut);
        buf_reset(&got);
        ck_assert_int_eq(sample_recover(path, &got, &end, &err), 0);
        size_t lines = cut; /* the bytes of whole lines; one that lacks nothing but its newline is whole */
        while (lines && whole[lines - 1] != '\n' && whole[lines] != '\n')
            lines--;
        bool all = cut == lines;
        lines += lines && whole[lines - 1] != '\n';
        ck_assert_uint_eq(got.len, lines);
        expect_prefix(&got, whole, lines);
        ck_assert_int_eq(end, all && cut ? READER_END_WHOLE : READER_END_TRUNCATED);
        if (end == READER_END_TRUNCATED)
            expect_cut_off(path, &got);
    }
    buf_fini(&text);
    buf_fini(&got);
}
END_TEST

/* The sample in frames of a few lines, with the offsets of their ends in the file and in the text. */
struct framed {
    struct buf file, text;
    size_t file_ends[SAMPLE_COUNT], text_ends[SAMPLE_COUNT], frames;
};

static void framed_make(struct framed *f, size_t lines_each) {
    *f = (struct framed){0};
    for (size_t i = 0; i < SAMPLE_COUNT; i += lines_each) {
        size_t before = f->text.len;
        sample_text(&f->text, i, MIN(i + lines_each, SAMPLE_COUNT));
        sample_frame(&f->file, f->text.data + before, f->text.len - before);
        f->file_ends[f->frames] = f->file.len;
        f->text_ends[f->frames++] = f->text.len;
    }
}

static void framed_fini(struct framed *f) {
    buf_fini(&f->file);
    buf_fini(&f->text);
}

START_TEST(native_cut_anywhere) {
    struct framed f;
    struct buf got = BUF_INIT;
    framed_make(&f, 3);
    const char *path = sample_path("cut.jsonl.zst"), *whole = buf_cstr(&f.text);
    for (size_t cut = 0; cut <= f.file.len; cut++) {
        struct err err;
        enum reader_end end;
        sample_write(path, f.file.data, cut);
        buf_reset(&got);
        ck_assert_int_eq(sample_recover(path, &got, &end, &err), 0);
        size_t least = 0;
        bool at_border = false;
        for (size_t i = 0; i < f.frames; i++)
            if (f.file_ends[i] <= cut) {
                least = f.text_ends[i];
                at_border = f.file_ends[i] == cut;
            }
        expect_prefix(&got, whole, least);
        ck_assert_int_eq(end, at_border ? READER_END_WHOLE : READER_END_TRUNCATED);
        if (end == READER_END_TRUNCATED)
            expect_cut_off(path, &got);
    }
    framed_fini(&f);
    buf_fini(&got);
}
END_TEST

/* Bytes come one by one: every event is given once, as soon as its line is whole. */
static void follow(const char *path, const uint8_t *data, size_t len, size_t step, const char *whole) {
    struct buf got = BUF_INIT;
    struct reader *r;
    struct session_event e;
    struct err err;
    sample_write(path, data, 0);
    open_ok(path, &r);
    reader_growing(r, true);
    FILE *f = fopen(path, "a");
    for (size_t at = 0; at < len; at += step) {
        ck_assert_int_eq(reader_next(r, &e, &err), 0);
        ck_assert_int_eq(reader_more(r), 0);
        ck_assert_uint_eq(fwrite(data + at, 1, MIN(step, len - at), f), MIN(step, len - at));
        fflush(f);
        ck_assert_int_eq(reader_more(r), 1);
        int rc;
        while ((rc = reader_next(r, &e, &err)) > 0)
            ck_assert_int_eq(event_write_line(&got, &e), MF_OK);
        ck_assert_int_eq(rc, 0);
    }
    ck_assert_str_eq(buf_cstr(&got), whole);
    ck_assert_int_eq(reader_ended(r), READER_END_WHOLE);
    fclose(f);
    reader_close(r);
    buf_fini(&got);
}

START_TEST(follows_growing_files) {
    struct framed f;
    framed_make(&f, 4);
    const char *whole = buf_cstr(&f.text);
    for (size_t step = 1; step < 400; step += 57) {
        follow(sample_path("grow.jsonl"), f.text.data, f.text.len, step, whole);
        follow(sample_path("grow.jsonl.zst"), f.file.data, f.file.len, step, whole);
    }
    framed_fini(&f);
}
END_TEST

START_TEST(skippable_frames_anywhere) {
    static const uint8_t skippable[] = {0x5e, 0x2a, 0x4d, 0x18, 5, 0, 0, 0, 'a', '\n', '{', 0xff, 0};
    struct buf file = BUF_INIT, got = BUF_INIT, want = BUF_INIT;
    struct err err;
    enum reader_end end;
    for (size_t i = 0; i < SAMPLE_COUNT; i++) {
        buf_reset(&got);
        sample_text(&got, i, i + 1);
        buf_append(&file, skippable, sizeof skippable);
        sample_frame(&file, got.data, got.len);
        buf_append(&file, skippable, sizeof skippable);
    }
    const char *path = sample_path("skippable.jsonl.zst");
    sample_write(path, file.data, file.len);
    buf_reset(&got);
    ck_assert_int_eq(sample_read(path, &got, &end, &err), 0);
    sample_text(&want, 0, SAMPLE_COUNT);
    ck_assert_str_eq(buf_cstr(&got), buf_cstr(&want));
    ck_assert_int_eq(end, READER_END_WHOLE);
    buf_fini(&file);
    buf_fini(&got);
    buf_fini(&want);
}
END_TEST

START_TEST(damaged_frame) {
    struct framed f;
    struct buf got = BUF_INIT;
    struct err err;
    char want[64];
    framed_make(&f, 3);
    const char *path = sample_path("damaged.jsonl.zst");
    f.file.data[f.file_ends[2] - 2] ^= 0x10; /* in the third frame's checksum */
    sample_write(path, f.file.data, f.file.len);
    ck_assert_int_eq(sample_read(path, &got, NULL, &err), MF_EINVAL);
    snprintf(want, sizeof want, "byte %zu: the zstd frame that begins here is damaged", f.file_ends[1]);
    ck_assert_ptr_nonnull(strstr(err.text, want));
    ck_assert_str_eq(err.file, path);
    expect_prefix(&got, buf_cstr(&f.text), f.text_ends[1]);
    ck_assert_uint_eq(got.len, f.text_ends[1]); /* nothing of the damaged frame, whose lines look well */

    /* Recovery goes on with the next frame and leaves a gap. */
    struct reader *r;
    struct session_event e;
    open_ok(path, &r);
    reader_recover(r, true);
    buf_reset(&got);
    size_t gaps = 0, last_gap = 0;
    int rc;
    while ((rc = reader_next(r, &e, &err)) > 0)
        if (!strcmp(e.connection ? e.connection : "", "*")) {
            gaps++;
            last_gap = got.len;
            ck_assert_int_eq(e.type, EVENT_GAP);
            ck_assert_uint_gt(e.gap_bytes, 0);
        } else {
            ck_assert_int_eq(event_write_line(&got, &e), MF_OK);
        }
    ck_assert_int_eq(rc, 0);
    ck_assert_uint_ge(gaps, 1);
    ck_assert_uint_ge(last_gap, f.text_ends[1]);
    size_t rest = f.text.len - f.text_ends[2];
    ck_assert_uint_eq(got.len, f.text_ends[1] + rest);
    ck_assert_int_eq(memcmp(got.data + got.len - rest, f.text.data + f.text_ends[2], rest), 0);
    reader_close(r);
    framed_fini(&f);
    buf_fini(&got);
}
END_TEST

#define FRAME(rest) "{\"connection\":\"c\",\"direction\":\"incoming\",\"type\":\"text\"," rest "}\n"

/* Lines that are no event: where it says so, and what it expected. The second line of the file. */
static const struct {
    const char *line;
    int column;
    const char *text;
} bad_lines[] = {
    {"x\n", 1, "expected an object, found 'x'"},
    {"[]\n", 1, "expected an object, found '['"},
    {"{\n", 2, "expected a string, found the end"},
    {"{\"a\n", 2, "expected a '\"' that ends the string"},
    {"{\"a\"}\n", 5, "expected ':' after the member's name, found '}'"},
    {"{\"a\":}\n", 6, "expected a value, found '}'"},
    {"{\"a\":1,}\n", 8, "expected a string, found '}'"},
    {"{\"a\":1 \"b\":2}\n", 8, "expected ',' or '}' after the member, found '\"'"},
    {"{\"a\":1}}\n", 8, "expected nothing after the object"},
    {"{\"a\":01}\n", 7, "expected ',' or '}' after the member, found '1'"},
    {"{\"a\":-}\n", 6, "expected a number"},
    {"{\"a\":1.}\n", 6, "expected a number"},
    {"{\"a\":1e}\n", 6, "expected a number"},
    {"{\"a\":nul}\n", 6, "expected a value, found 'n'"},
    {"{\"a\":{\"b\":[1,2}}\n", 15, "expected ',' or ']', found '}'"},
    {"{\"a\":\"\\x\"}\n", 7, "expected an escape"},
    {"{\"a\":\"\\u12g4\"}\n", 7, "expected an escape"},
    {"{\"a\":\"\t\"}\n", 7, "expected no control character in a string, found byte 0x09"},
    {"{\"a\":\"\xff\"}\n", 6, "expected UTF-8"},
    {"{\"a\":\"\xed\xa0\x80\"}\n", 6, "expected UTF-8"},
    {"{}\n", 1, "expected a \"type\""},
    {"{\"type\":\"nonsense\"}\n", 9, "expected a type that this version knows for \"type\", found \"nonsense\""},
    {"{\"type\":1}\n", 9, "expected a string, found '1'"},
    {"{\"type\":\"text\"}\n", 1, "expected a \"direction\""},
    {"{\"direction\":\"in\"}\n", 14, "expected \"incoming\" or \"outgoing\""},
    {"{\"connection\":\"a\\u0000b\"}\n", 15, "expected no NUL in \"connection\""},
    {"{\"connection\":{}}\n", 15, "expected a string"},
    {FRAME("\"data\":7"), 63, "expected a string"},
    {FRAME("\"encoding\":\"base64\",\"data\":\"AA\""), 1, "expected canonical base64"},
    {FRAME("\"encoding\":\"rot13\""), 67, "expected \"base64\""},
    {FRAME("\"timestamp_ms\":-1"), 71, "expected milliseconds from 0"},
    {FRAME("\"timestamp_ms\":1e400"), 71, "expected milliseconds from 0"},
    {FRAME("\"timestamp_ms\":99999999999999999999999999"), 71, "expected milliseconds from 0"},
    {FRAME("\"timestamp_us\":1.5"), 71, "expected a whole number from 0"},
    {FRAME("\"timestamp_us\":18446744073709551616"), 71, "expected a whole number from 0"},
    {FRAME("\"rsv\":8"), 62, "expected a whole number from 0 to 7"},
    {FRAME("\"code\":65536"), 63, "expected a whole number from 0 to 65535"},
    {FRAME("\"fin\":1"), 62, "expected true or false"},
    {FRAME("\"frame_offset\":5,\"frame_size\":6,\"data\":\"ab\""), 1, "expected a piece that ends inside its frame"},
    {"{\"type\":\"recording\",\"recorded_at\":\"yesterday\"}\n", 35, "expected a time such as"},
    {"{\"type\":\"recording\",\"recorded_at\":\"2024-13-15T10:30:00Z\"}\n", 35, "expected a time such as"},
    {"{\"type\":\"recording\",\"version\":99}\n", 31, "expected a session file of version 1 at most"},
    {"{\"type\":\"open\",\"request_headers\":[]}\n", 34, "expected an object of headers, found '['"},
    {"{\"type\":\"open\",\"request_headers\":{\"a\":1}}\n", 39, "expected a string, found '1'"},
};

START_TEST(bad_line) {
    struct buf file = BUF_INIT, got = BUF_INIT;
    struct err err;
    const char *path = sample_path("bad.jsonl");
    sample_text(&file, 0, 1);
    size_t first = file.len;
    buf_puts(&file, bad_lines[_i].line);
    sample_write(path, file.data, file.len);
    ck_assert_int_eq(sample_read(path, &got, NULL, &err), MF_EINVAL);
    ck_assert_uint_eq(got.len, first);
    if (!strstr(err.text, bad_lines[_i].text))
        ck_abort_msg("%s: \"%s\" is not in \"%s\"", bad_lines[_i].line, bad_lines[_i].text, err.text);
    ck_assert_str_eq(err.file, path);
    ck_assert_int_eq(err.line, 2);
    if (err.column != bad_lines[_i].column)
        ck_abort_msg("%s: column %d, not %d", bad_lines[_i].line, err.column, bad_lines[_i].column);

    /* Recovery leaves a gap of its size and goes on. */
    struct reader *r;
    struct session_event e;
    sample_text(&file, 2, 3);
    sample_write(path, file.data, file.len);
    open_ok(path, &r);
    reader_recover(r, true);
    next_ok(r, &e, EVENT_RECORDING);
    next_ok(r, &e, EVENT_GAP);
    ck_assert_uint_eq(e.gap_bytes, strlen(bad_lines[_i].line) - 1);
    next_ok(r, &e, EVENT_TEXT);
    end_ok(r, READER_END_WHOLE);
    reader_close(r);
    buf_fini(&file);
    buf_fini(&got);
}
END_TEST

/* Unusual, but events. */
static const struct {
    const char *line, *again;
} good_lines[] = {
    {" { \"data\" : \"\\u00e9\\/\\b\" , \"type\" : \"text\", \"direction\":\"outgoing\" }\t\r\n",
     "{\"connection\":\"conn-1\",\"timestamp_ms\":0,\"direction\":\"outgoing\",\"type\":\"text\",\"data\":\"\xc3\xa9/"
     "\\b\"}\n"},
    {FRAME("\"data\":\"\\ud83d\\ude00 \\ud83d \\ude00 \\ud83d\\ud83d\\ude00\""),
     "{\"connection\":\"c\",\"timestamp_ms\":0,\"direction\":\"incoming\",\"type\":\"text\",\"data\":"
     "\"\xf0\x9f\x98\x80 \xef\xbf\xbd "
     "\xef\xbf\xbd \xef\xbf\xbd\xf0\x9f\x98\x80\"}\n"},
    {FRAME("\"data\":\"a\",\"unknown\":[{\"a\":[1,-2.5e+3,true,null,{}]},\"x\\n\",[]],\"fin\":null"),
     "{\"connection\":\"c\",\"timestamp_ms\":0,\"direction\":\"incoming\",\"type\":\"text\",\"data\":\"a\"}\n"},
    {FRAME("\"timestamp_us\":1500,\"timestamp_ms\":1"),
     "{\"connection\":\"c\",\"timestamp_ms\":1.5,\"direction\":\"incoming\",\"type\":\"text\",\"data\":\"\"}\n"},
    {FRAME("\"timestamp_ms\":1.2349"),
     "{\"connection\":\"c\",\"timestamp_ms\":1.234,\"direction\":\"incoming\",\"type\":\"text\",\"data\":\"\"}\n"},
    {FRAME("\"timestamp_ms\":1.5e3"),
     "{\"connection\":\"c\",\"timestamp_ms\":1500,\"direction\":\"incoming\",\"type\":\"text\",\"data\":\"\"}\n"},
    {FRAME("\"encoding\":\"base64\",\"data\":\"\""),
     "{\"connection\":\"c\",\"timestamp_ms\":0,\"direction\":\"incoming\",\"type\":\"text\",\"data\":\"\"}\n"},
    {"{\"type\":\"recording\",\"recorded_at\":\"2024-01-15T12:30:00.5+02:00\"}\n",
     "{\"type\":\"recording\",\"version\":1,\"recorded_at\":\"2024-01-15T10:30:00.500Z\",\"generator\":null}\n"},
    {"\xef\xbb\xbf{\"type\":\"text\",\"direction\":\"incoming\"}\r\n\r\n   \n",
     "{\"connection\":\"conn-1\",\"timestamp_ms\":0,\"direction\":\"incoming\",\"type\":\"text\",\"data\":\"\"}\n"},
};

START_TEST(good_line) {
    struct buf got = BUF_INIT;
    struct err err;
    enum reader_end end;
    char text[1024];
    const char *path = sample_path("good.jsonl");
    sample_write(path, good_lines[_i].line, strlen(good_lines[_i].line));
    if (sample_read(path, &got, &end, &err) < 0)
        ck_abort_msg("%s: %s", good_lines[_i].line, err_format(&err, text, sizeof text));
    ck_assert_str_eq(buf_cstr(&got), good_lines[_i].again);
    ck_assert_int_eq(end, READER_END_WHOLE);
    buf_fini(&got);
}
END_TEST

/* As many levels as are allowed, then one more, then far too many. */
/* Lines that differ little from those that are written. `same`: the event is written as the line stands. */
static const struct {
    const char *line;
    bool same;
} nearly_usual[] = {
    {"{\"connection\":\"conn-1\",\"timestamp_ms\":0,\"direction\":\"incoming\",\"type\":\"text\",\"data\":\"\"}", true},
    {"{\"connection\":\"A_b-9\",\"timestamp_ms\":12.05,\"direction\":\"outgoing\",\"leg\":\"upstream\",\"type\":"
     "\"text\","
     "\"data\":\"\\\"\\\\\\n\\t\\b\\f\\r/\xc3\xa9\x7f\"}",
     true},
    {"{\"connection\":\"\",\"timestamp_ms\":999999999999999.999,\"direction\":\"incoming\",\"type\":\"text\",\"data\":"
     "\"x\"}",
     true},
    {"{\"connection\":\"c\",\"timestamp_ms\":1.50,\"direction\":\"incoming\",\"type\":\"text\",\"data\":\"x\"}", false},
    {"{\"connection\":\"c\",\"timestamp_ms\":1.0,\"direction\":\"incoming\",\"type\":\"text\",\"data\":\"x\"}", false},
    {"{\"connection\":\"c\",\"timestamp_ms\":1.2345,\"direction\":\"incoming\",\"type\":\"text\",\"data\":\"x\"}",
     false},
    {"{\"connection\":\"c\",\"timestamp_ms\":1e2,\"direction\":\"incoming\",\"type\":\"text\",\"data\":\"x\"}", false},
    {"{\"connection\":\"c\",\"timestamp_ms\":1,\"direction\":\"incoming\",\"type\":\"text\",\"data\":\"\\/\"}", false},
    {"{\"connection\":\"c\",\"timestamp_ms\":1,\"direction\":\"incoming\",\"type\":\"text\",\"data\":\"\\u00e9\"}",
     false},
    {"{\"connection\":\"c\",\"timestamp_ms\":1,\"direction\":\"incoming\",\"type\":\"text\",\"data\":\"x\"} ", false},
    {"{\"connection\":\"c\",\"timestamp_ms\":1,\"direction\":\"incoming\",\"type\":\"text\",\"data\":\"x\" }", false},
    {" {\"connection\":\"c\",\"timestamp_ms\":1,\"direction\":\"incoming\",\"type\":\"text\",\"data\":\"x\"}", false},
    {"{\"connection\":\"c\",\"timestamp_ms\":1,\"direction\":\"incoming\",\"type\":\"text\",\"data\":\"eA==\","
     "\"encoding\":\"base64\"}",
     false},
    {"{\"connection\":\"c\",\"timestamp_ms\":1,\"direction\":\"incoming\",\"type\":\"text\",\"data\":\"x\",\"data\":"
     "\"y\"}",
     false},
    {"{\"connection\":\"c\",\"timestamp_ms\":1,\"direction\":\"incoming\",\"leg\":\"client\",\"type\":\"text\","
     "\"data\":\"x\"}",
     false},
    {"{\"connection\":\"c\",\"timestamp_ms\":1,\"direction\":\"incoming\",\"type\":\"text\",\"fin\":false,\"data\":"
     "\"x\"}",
     false},
};

/* Read by both ways, which a space in front tells apart, a line is the same event. */
START_TEST(usual_line) {
    const char *line = nearly_usual[_i].line, *path = sample_path("usual.jsonl");
    struct buf text = BUF_INIT, first = BUF_INIT, second = BUF_INIT;
    struct reader *r;
    struct session_event e;
    struct event_bytes as_read;
    buf_printf(&text, "%s\n %s\n", line, line);
    sample_write(path, buf_cstr(&text), text.len);
    open_ok(path, &r);
    next_ok(r, &e, EVENT_TEXT);
    ck_assert_int_eq(event_write_line(&first, &e), MF_OK);
    ck_assert_int_eq(reader_line(r, &as_read), nearly_usual[_i].same);
    if (nearly_usual[_i].same) {
        ck_assert_uint_eq(as_read.len, strlen(line));
        ck_assert_int_eq(memcmp(as_read.data, line, as_read.len), 0);
        ck_assert_uint_eq(first.len, as_read.len + 1);
        ck_assert_int_eq(memcmp(first.data, line, as_read.len), 0);
    }
    next_ok(r, &e, EVENT_TEXT);
    ck_assert(!reader_line(r, &as_read));
    ck_assert_int_eq(event_write_line(&second, &e), MF_OK);
    ck_assert_str_eq(buf_cstr(&first), buf_cstr(&second));
    end_ok(r, READER_END_WHOLE);
    reader_close(r);
    buf_fini(&text);
    buf_fini(&first);
    buf_fini(&second);
}
END_TEST

/* A gap has no line, though one was read before it. */
START_TEST(gap_has_no_line) {
    static const char text[] = "{\"connection\":\"c\",\"timestamp_ms\":1,\"direction\":\"incoming\",\"type\":\"text\","
                               "\"data\":\"x\"}\n{oops\n";
    struct reader *r;
    struct session_event e;
    struct event_bytes line;
    const char *path = sample_path("gap.jsonl");
    sample_write(path, text, strlen(text));
    open_ok(path, &r);
    reader_recover(r, true);
    next_ok(r, &e, EVENT_TEXT);
    ck_assert(reader_line(r, &line));
    next_ok(r, &e, EVENT_GAP);
    ck_assert(!reader_line(r, &line));
    reader_close(r);
}
END_TEST

START_TEST(deep_nesting) {
    static const struct {
        int levels;
        bool ok;
    } cases[] = {{64, true}, {65, false}, {10000, false}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (int document = 0; document < 2; document++) {
            struct buf file = BUF_INIT, got = BUF_INIT;
            struct err err;
            buf_puts(&file, document ? "{\"messages\":[{\"type\":\"text\",\"direction\":\"incoming\",\"x\":"
                                     : "{\"type\":\"text\",\"direction\":\"incoming\",\"x\":");
            for (int k = 0; k < cases[i].levels; k++)
                buf_putc(&file, '[');
            for (int k = 0; k < cases[i].levels; k++)
                buf_putc(&file, ']');
            buf_puts(&file, document ? "}]}" : "}\n");
            const char *path = sample_path(document ? "deep.json" : "deep.jsonl");
            sample_write(path, file.data, file.len);
            int rc = sample_read(path, &got, NULL, &err);
            ck_assert_int_eq(rc, cases[i].ok ? 0 : MF_EINVAL);
            if (rc < 0)
                ck_assert_ptr_nonnull(strstr(err.text, "expected at most 64 levels"));
            buf_fini(&file);
            buf_fini(&got);
        }
}
END_TEST

START_TEST(not_a_session) {
    static const struct {
        const char *name, *content, *text;
    } cases[] = {
        {"a.jsonl", "hello\n", "expected an object, found 'h'"},
        {"b.json", "[1,2]", "expected an object, found '['"},
        {"c.json", "{\"log\":{\"entries\":[]}}", "expected a WebSocket connection"},
        {"d.json", "{\"messages\":{}}", "expected an array, found '{'"},
        {"e.json", "{\"messages\":[1]}", "expected an object, found '1'"},
        {"f.json", "{\"messages\":[]} x", "expected nothing after the document"},
        {"g.json", "{\"messages\":[],\"messages\":[]}", "expected \"messages\" once"},
        {"h.json", "{\"metadata\":{\"recorded_at\":5},\"messages\":[]}", "expected a time such as"},
        {"i.json", "{\"messages\":[,]}", "expected"},
        {"j.json", "{\"metadata\":[],\"messages\":[]}", "expected an object, found '['"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf got = BUF_INIT;
        struct err err;
        const char *path = sample_path(cases[i].name);
        sample_write(path, cases[i].content, strlen(cases[i].content));
        ck_assert_int_eq(sample_read(path, &got, NULL, &err), MF_EINVAL);
        if (!strstr(err.text, cases[i].text))
            ck_abort_msg("%s: \"%s\" is not in \"%s\"", cases[i].content, cases[i].text, err.text);
        ck_assert_str_eq(err.file, path);
        buf_fini(&got);
    }
    struct err err;
    struct reader *r;
    ck_assert_int_eq(reader_open(sample_path("missing.json"), &r, &err), MF_EIO);
    ck_assert_int_eq(reader_open(sample_dir, &r, &err), MF_EINVAL);
}
END_TEST

/* The place of an error inside a document of several lines. */
START_TEST(document_error_place) {
    static const char text[] =
        "{\n \"messages\": [\n  {\"type\":\"text\",\"direction\":\"incoming\"},\n  {\"type\":\"text\",\n"
        "   \"direction\":\"sideways\"}\n ]\n}\n";
    struct buf got = BUF_INIT;
    struct err err;
    const char *path = sample_path("place.json");
    sample_write(path, text, sizeof text - 1);
    ck_assert_int_eq(sample_read(path, &got, NULL, &err), MF_EINVAL);
    ck_assert_int_eq(err.line, 5);
    ck_assert_int_eq(err.column, 16);
    buf_fini(&got);

    static const char one_line[] = "{\"messages\":[{\"type\":\"text\",\"direction\":\"incoming\"},{\"type\":3}]}";
    sample_write(path, one_line, sizeof one_line - 1);
    ck_assert_int_eq(sample_read(path, &got, NULL, &err), MF_EINVAL);
    ck_assert_int_eq(err.line, 1);
    ck_assert_int_eq(err.column, 61);
    buf_fini(&got);
}
END_TEST

/* Metadata behind the messages, members of others, several spaces. */
START_TEST(document_in_any_order) {
    static const char text[] =
        "\xef\xbb\xbf { \"x\" : [ 1 , { } ] ,\"messages\" :[ { \"type\":\"text\" "
        ",\"direction\":\"incoming\",\"data\":\"a\"} ] , \"y\":"
        "\"]}\\\"\", \"metadata\" : {\"connections\": 7, \"recorded_at\" :\"2024-01-15T10:30:00Z\", \"z\": null } } ";
    static const char want[] =
        "{\"type\":\"recording\",\"version\":1,\"recorded_at\":\"2024-01-15T10:30:00.000Z\",\"generator\":null}\n"
        "{\"connection\":\"conn-1\",\"timestamp_ms\":0,\"direction\":\"incoming\",\"type\":\"text\",\"data\":\"a\"}\n";
    struct buf got = BUF_INIT;
    struct err err;
    enum reader_end end;
    const char *path = sample_path("order.json");
    sample_write(path, text, sizeof text - 1);
    ck_assert_int_eq(sample_read(path, &got, &end, &err), 0);
    ck_assert_str_eq(buf_cstr(&got), want);
    ck_assert_int_eq(end, READER_END_WHOLE);
    buf_fini(&got);
}
END_TEST

#define AT(ms) "{\"type\":\"text\",\"direction\":\"incoming\",\"timestamp_ms\":" ms ",\"data\":\"1\"}"
#define M1 "{\"type\":\"text\",\"direction\":\"incoming\",\"data\":\"1\"}"
#define M2 "{\"type\":\"text\",\"direction\":\"incoming\",\"data\":\"2\"}"

START_TEST(document_cut_anywhere) {
    const size_t len = strlen(GUIDE_DOCUMENT);
    const char *path = sample_path("cut.json");
    struct buf whole = BUF_INIT, got = BUF_INIT;
    struct err err;
    enum reader_end end;
    sample_write(path, GUIDE_DOCUMENT, len);
    ck_assert_int_eq(sample_read(path, &whole, &end, &err), 0);
    const char *text = buf_cstr(&whole);
    for (size_t cut = 0; cut < len - 1; cut++) {
        sample_write(path, GUIDE_DOCUMENT, cut);
        buf_reset(&got);
        ck_assert_int_eq(sample_recover(path, &got, &end, &err), 0);
        ck_assert_int_eq(end, READER_END_TRUNCATED);
        expect_cut_off(path, &got);
        expect_prefix(&got, text, 0);
    }
    buf_fini(&whole);
    buf_fini(&got);
}
END_TEST

/* Whoever writes holds a lock, and may end anywhere; when it is gone, what has come meanwhile is read. */
START_TEST(the_end_while_it_is_written) {
    struct framed f;
    struct buf got = BUF_INIT;
    struct err err = {0};
    struct reader *r;
    struct session_event e;
    enum reader_end end;
    framed_make(&f, 3);
    const char *path = sample_path("live.jsonl.zst");
    sample_write(path, f.file.data, f.file_ends[0] + 20);
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    ck_assert_int_eq(flock(fd, LOCK_EX), 0);
    ck_assert(reader_being_written(path));
    ck_assert_int_eq(sample_read(path, &got, &end, &err), 0);
    ck_assert_int_eq(end, READER_END_TRUNCATED);
    expect_prefix(&got, buf_cstr(&f.text), f.text_ends[0]);
    open_ok(path, &r);
    for (buf_reset(&got); got.len < f.text_ends[0];) {
        ck_assert_int_eq(reader_next(r, &e, &err), 1);
        ck_assert_int_eq(event_write_line(&got, &e), MF_OK);
    }
    size_t rest = f.file.len - f.file_ends[0] - 20;
    ck_assert_int_eq(write(fd, f.file.data + f.file_ends[0] + 20, rest), (ssize_t)rest);
    close(fd);
    ck_assert(!reader_being_written(path));
    while (reader_next(r, &e, &err) > 0)
        ck_assert_int_eq(event_write_line(&got, &e), MF_OK);
    ck_assert_str_eq(buf_cstr(&got), buf_cstr(&f.text));
    ck_assert_int_eq(reader_ended(r), READER_END_WHOLE);
    reader_close(r);
    framed_fini(&f);
    buf_fini(&got);
}
END_TEST

/* What has no line in it is no recording, and neither is what recovery can make nothing of. */
START_TEST(nothing_in_it) {
    static const struct {
        const char *name, *text, *want;
        size_t len;
        bool recover;
    } cases[] = {
        {"empty.jsonl", "", "the file is empty", 0, false},
        {"blank.jsonl", "\n \n\n", "not one line", 4, false},
        {"bom.jsonl", "\xef\xbb\xbf", "not one line", 3, false},
        {"table.jsonl.zst", "\x5e\x2a\x4d\x18\x09\0\0\0\0\0\0\0\0\xb1\xea\x92\x8f", "not one line", 17, false},
        {"other.jsonl", "{\"a\":1}\n{\"a\":2}\n", "nothing in it can be read", 16, true},
        {"package.json", "{\"name\":\"x\",\"type\":\"module\"}", "found \"module\"", 28, false},
        {"a.gz", "\x1f\x8b\x08\0", "found a gzip file: unpack it first", 4, false},
        {"a.har", "\x89PNG\r\n\x1a\n", "found a PNG image", 8, true},
        {"a.txt", "hello\n", "expected a recording", 6, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf got = BUF_INIT;
        struct err err = {0};
        enum reader_end end;
        const char *path = sample_path(cases[i].name);
        sample_write(path, cases[i].text, cases[i].len);
        int rc = cases[i].recover ? sample_recover(path, &got, &end, &err) : sample_read(path, &got, &end, &err);
        ck_assert_int_eq(rc, MF_EINVAL);
        ck_assert_msg(strstr(err.text, cases[i].want), "%s: %s", cases[i].name, err.text);
        buf_fini(&got);
    }
}
END_TEST

/* A message that is none is left out; where the text itself is broken the document ends. */
START_TEST(document_recovery) {
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"{\"messages\":[" M1 ",{\"type\":\"riddle\"}," M2 "]}", "1-2"},
        {"{\"messages\":[" M1 ",7," M2 "],\"metadata\":{\"recorded_at\":\"yesterday\"}}", "1-2"},
        {"{\"messages\":[" M1 "," M2 ",{\"type\" \"text\"}]}", "12-"},
        {"{\"messages\":[" M1 "," M2 " " M1 "]}", "12"},
        {"{\"messages\":[" M1 "] and so on", "1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf seen = BUF_INIT;
        struct err err = {0};
        struct reader *r;
        struct session_event e;
        int rc;
        const char *path = sample_path("bad.json");
        sample_write(path, cases[i].text, strlen(cases[i].text));
        ck_assert_int_eq(sample_read(path, &seen, NULL, &err), MF_EINVAL);
        ck_assert(err.damaged);
        buf_reset(&seen);
        open_ok(path, &r);
        reader_recover(r, true);
        while ((rc = reader_next(r, &e, &err)) > 0)
            buf_putc(&seen, e.type == EVENT_GAP ? '-' : *(const char *)e.data.data);
        ck_assert_int_eq(rc, 0);
        ck_assert_str_eq(buf_cstr(&seen), cases[i].want);
        reader_close(r);
        buf_fini(&seen);
    }
}
END_TEST

/* A line that cannot be held is left out of a plain file as it is of a native one. */
START_TEST(recovery_behind_a_long_line) {
    struct buf text = BUF_INIT;
    struct err err = {0};
    struct reader *r;
    struct session_event e;
    const char *path = sample_path("long.jsonl");
    buf_puts(&text, M1 "\n");
    ck_assert_int_eq(buf_reserve(&text, READER_LINE_MAX + (1u << 20)), MF_OK);
    memset(text.data + text.len, 'a', READER_LINE_MAX + 1000000);
    text.len += READER_LINE_MAX + 1000000;
    buf_puts(&text, "\n" M2 "\n");
    sample_write(path, text.data, text.len);
    buf_fini(&text);
    open_ok(path, &r);
    reader_recover(r, true);
    next_ok(r, &e, EVENT_TEXT);
    next_ok(r, &e, EVENT_GAP);
    ck_assert_uint_ge(e.gap_bytes, READER_LINE_MAX);
    next_ok(r, &e, EVENT_TEXT);
    ck_assert_int_eq(*e.data.data, '2');
    ck_assert_int_eq(reader_next(r, &e, &err), 0);
    reader_close(r);
}
END_TEST

/* Times that run backwards are said once, with the first place and how many there were. */
START_TEST(times_that_run_backwards) {
    static const struct {
        const char *name, *text, *want;
    } cases[] = {
        {"back.jsonl", AT("5") "\n" AT("9") "\n" AT("2") "\n" AT("3") "\n" AT("9") "\n",
         "line=3 time_ms=2.000 after_ms=9.000 count=2"},
        {"back.json", "{\"messages\":[" AT("5") ",\n" AT("4") "]}", "line=2 time_ms=4.000 after_ms=5.000 count=1"},
        {"mockforge.jsonl", "{\"ts\":10,\"text\":\"a\"}\n{\"ts\":5,\"text\":\"b\"}\n",
         "line=2 time_ms=5.000 after_ms=10.000 count=1"},
        {"back.har",
         "{\"log\":{\"entries\":[{\"request\":{\"url\":\"ws://x/\"},\"_webSocketMessages\":[\n"
         "{\"type\":\"send\",\"time\":1700000100,\"opcode\":1,\"data\":\"x\"},\n"
         "{\"type\":\"receive\",\"time\":1700000099,\"opcode\":1,\"data\":\"y\"}]}]}}",
         "line=3 "},
        {"forwards.jsonl", AT("5") "\n" AT("5") "\n" AT("9") "\n", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf got = BUF_INIT, log = BUF_INIT;
        struct err err = {0};
        const char *path = sample_path(cases[i].name);
        FILE *out = tmpfile();
        sample_write(path, cases[i].text, strlen(cases[i].text));
        log_set_fd(fileno(out));
        ck_assert_int_eq(sample_read(path, &got, NULL, &err), MF_OK);
        log_set_fd(STDERR_FILENO);
        ck_assert_int_eq(buf_reserve(&log, 4096), MF_OK);
        log.len = (size_t)pread(fileno(out), log.data, 4095, 0);
        const char *said = strstr(buf_cstr(&log), "recording_times_step_back");
        ck_assert_int_eq(said != NULL, cases[i].want != NULL);
        ck_assert_msg(!said || strstr(said, cases[i].want), "%s", said);
        ck_assert(!said || !strstr(said + 1, "recording_times_step_back"));
        fclose(out);
        buf_fini(&log);
        buf_fini(&got);
    }
}
END_TEST

/* A window of 2 GiB is asked for by a few bytes. */
START_TEST(huge_window_is_refused) {
    static const uint8_t frame[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00};
    struct buf got = BUF_INIT;
    struct err err;
    const char *path = sample_path("window.jsonl.zst");
    sample_write(path, frame, sizeof frame);
    ck_assert_int_eq(sample_read(path, &got, NULL, &err), MF_ELIMIT);
    ck_assert_ptr_nonnull(strstr(err.text, "window of more than 128 MiB"));
    buf_fini(&got);
}
END_TEST

/* 80 MiB of one line, in a frame of a few KiB: refused at the limit, with little more memory than that. */
START_TEST(endless_line_is_refused) {
    struct buf text = BUF_INIT, file = BUF_INIT, got = BUF_INIT;
    struct err err;
    size_t size = READER_LINE_MAX + (16u << 20);
    ck_assert_int_eq(buf_reserve(&text, size), MF_OK);
    memset(text.data, 'a', size);
    memcpy(text.data, "{\"type\":\"", 9);
    sample_frame(&file, text.data, size);
    buf_fini(&text);
    const char *path = sample_path("endless.jsonl.zst");
    sample_write(path, file.data, file.len);
    ck_assert_int_eq(sample_read(path, &got, NULL, &err), MF_ELIMIT);
    ck_assert_ptr_nonnull(strstr(err.text, "64 MiB"));
    buf_fini(&file);
    buf_fini(&got);
}
END_TEST

static long resident_kib(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

#ifdef __SANITIZE_ADDRESS__
#define GROWTH_KIB 16384 /* shadow, and freed memory kept aside */
#else
#define GROWTH_KIB 4096
#endif

/* 32 MiB of messages, as lines and as a document, take no more memory than a few of them. */
START_TEST(memory_is_bounded) {
    static const char message[] = "{\"type\":\"text\",\"direction\":\"incoming\",\"data\":\"0123456789\"}";
    const size_t count = (32u << 20) / sizeof message;
    for (int document = 0; document < 2; document++) {
        const char *path = sample_path(document ? "long.json" : "long.jsonl");
        FILE *f = fopen(path, "w");
        ck_assert_ptr_nonnull(f);
        fputs(document ? "{\"messages\":[" : "", f);
        for (size_t i = 0; i < count; i++)
            fprintf(f, "%s%s", message, !document ? "\n" : i + 1 < count ? "," : "]}");
        fclose(f);
        long before = resident_kib();
        struct session_summary s;
        struct err err;
        ck_assert_int_eq(reader_summary(path, &s, &err), MF_OK);
        ck_assert_uint_eq(s.messages, count);
        ck_assert_int_lt(resident_kib() - before, GROWTH_KIB);
    }
}
END_TEST

START_TEST(too_many_headers) {
    struct buf file = BUF_INIT, got = BUF_INIT;
    struct err err;
    const char *path = sample_path("headers.jsonl");
    buf_puts(&file, "{\"type\":\"open\",\"connection\":\"c\",\"request_headers\":{");
    for (int i = 0; i < 100000; i++)
        buf_puts(&file, i ? ",\"\":\"\"" : "\"\":\"\"");
    buf_puts(&file, "}}\n");
    sample_write(path, file.data, file.len);
    ck_assert_int_eq(sample_read(path, &got, NULL, &err), MF_EINVAL);
    ck_assert_str_eq(err.text, "expected at most 1024 headers");
    buf_fini(&file);
    buf_fini(&got);
}
END_TEST

START_TEST(summary_counts) {
    struct framed f;
    struct session_summary s;
    struct err err;
    framed_make(&f, 5);
    const char *path = sample_path("summary.jsonl.zst");
    sample_write(path, f.file.data, f.file.len);
    ck_assert_int_eq(reader_summary(path, &s, &err), MF_OK);
    ck_assert_int_eq(s.recorded_at_us, INT64_C(1705314600125000));
    ck_assert_uint_eq(s.duration_us, 200001);
    ck_assert_uint_eq(s.connections, 3);
    ck_assert_uint_eq(s.messages, 5);
    ck_assert_uint_eq(s.frames, 10);
    ck_assert_uint_eq(s.payload_bytes, 42 + 4 + 6 + 9 + 14 + 0 + 1 + 7);
    ck_assert_uint_eq(s.file_bytes, f.file.len);
    ck_assert_int_eq(s.form, READER_NATIVE);
    ck_assert_int_eq(s.end, READER_END_WHOLE);
    framed_fini(&f);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("reader");
    TCase *tcase = tcase_create("reader");
    tcase_set_timeout(tcase, 60);
    tcase_add_unchecked_fixture(tcase, sample_setup, sample_teardown);
    tcase_add_test(tcase, guide_document);
    tcase_add_test(tcase, lines_cut_anywhere);
    tcase_add_test(tcase, native_cut_anywhere);
    tcase_add_test(tcase, the_end_while_it_is_written);
    tcase_add_test(tcase, nothing_in_it);
    tcase_add_test(tcase, document_recovery);
    tcase_add_test(tcase, recovery_behind_a_long_line);
    tcase_add_test(tcase, times_that_run_backwards);
    tcase_add_test(tcase, document_cut_anywhere);
    tcase_add_test(tcase, follows_growing_files);
    tcase_add_test(tcase, skippable_frames_anywhere);
    tcase_add_test(tcase, damaged_frame);
    tcase_add_loop_test(tcase, bad_line, 0, ARRAY_LEN(bad_lines));
    tcase_add_loop_test(tcase, good_line, 0, ARRAY_LEN(good_lines));
    tcase_add_loop_test(tcase, usual_line, 0, ARRAY_LEN(nearly_usual));
    tcase_add_test(tcase, gap_has_no_line);
    tcase_add_test(tcase, deep_nesting);
    tcase_add_test(tcase, not_a_session);
    tcase_add_test(tcase, document_error_place);
    tcase_add_test(tcase, document_in_any_order);
    tcase_add_test(tcase, huge_window_is_refused);
    tcase_add_test(tcase, endless_line_is_refused);
    tcase_add_test(tcase, memory_is_bounded);
    tcase_add_test(tcase, too_many_headers);
    tcase_add_test(tcase, summary_counts);
    suite_add_tcase(suite, tcase);
    return sample_run(suite);
}
