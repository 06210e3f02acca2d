/* HAR files and MockForge's lines: read, written, damaged, cut anywhere. */
#include "recording/convert.h"

#include "session_sample.h"

static const char archive[] =
    "{\"log\":{\"version\":\"1.2\",\"entries\":[{\"request\":{\"url\":\"https://a/\"},\"response\":{\"content\":"
    "{\"text\":\"}]{[\\\"\"}}},\n"
    " {\"_webSocketMessages\":[{\"type\":\"send\",\"time\":1705314600.25,\"opcode\":1,\"data\":\"one\"},\n"
    "  {\"type\":\"receive\",\"time\":1705314603,\"opcode\":2,\"data\":\"AAH/\"}],\n"
    " \"request\":{\"url\":\"wss://h:1/p?q=1#f\",\"headers\":[{\"name\":\"A\",\"value\":\"b\"}]},"
    "\"startedDateTime\":\"2024-01-15T10:30:00.000Z\"},\n"
    " {\"startedDateTime\":\"2024-01-15T10:30:01.000Z\",\"_resourceType\":\"websocket\",\"request\":{\"url\":\"ws://"
    "h\"},"
    "\"_webSocketMessages\":[{\"type\":\"send\",\"time\":1705314601500,\"opcode\":1,\"data\":\"two\"},"
    "{\"type\":\"send\",\"time\":-1,\"opcode\":9,\"data\":\"p!\"}]}]}}";

static const char *const archive_lines =
    "{\"type\":\"recording\",\"version\":1,\"recorded_at\":\"2024-01-15T10:30:00.000Z\",\"generator\":null}\n"
    "{\"type\":\"open\",\"connection\":\"conn-1\",\"timestamp_ms\":0,\"path\":\"/"
    "p\",\"query\":\"q=1\",\"remote_addr\":null,"
    "\"upstream\":\"wss://h:1/p?q=1\",\"request_headers\":{\"A\":\"b\"},\"response_headers\":{},\"subprotocol\":null}\n"
    "{\"connection\":\"conn-1\",\"timestamp_ms\":250,\"direction\":\"incoming\",\"type\":\"text\",\"data\":\"one\"}\n"
    "{\"type\":\"open\",\"connection\":\"conn-2\",\"timestamp_ms\":1000,\"path\":\"/"
    "\",\"query\":null,\"remote_addr\":null,"
    "\"upstream\":\"ws://h\",\"request_headers\":{},\"response_headers\":{},\"subprotocol\":null}\n"
    "{\"connection\":\"conn-2\",\"timestamp_ms\":1500,\"direction\":\"incoming\",\"type\":\"text\",\"data\":\"two\"}\n"
    "{\"connection\":\"conn-2\",\"timestamp_ms\":1500,\"direction\":\"incoming\",\"type\":\"ping\",\"data\":\"p!\"}\n"
    "{\"connection\":\"conn-1\",\"timestamp_ms\":3000,\"direction\":\"outgoing\",\"type\":\"binary\",\"encoding\":"
    "\"base64\","
    "\"data\":\"AAH/\"}\n";

static void read_ok(const char *path, struct buf *lines, enum reader_end *end) {
    struct err err;
    char text[1024];
    if (sample_read(path, lines, end, &err) < 0)
        ck_abort_msg("%s", err_format(&err, text, sizeof text));
}

START_TEST(entries_are_mixed_by_time) {
    struct buf got = BUF_INIT;
    enum reader_end end;
    const char *path = sample_path("a.har");
    sample_write(path, archive, sizeof archive - 1);
    read_ok(path, &got, &end);
    ck_assert_str_eq(buf_cstr(&got), archive_lines);
    ck_assert_int_eq(end, READER_END_WHOLE);
    buf_fini(&got);
}
END_TEST

/* Wherever it is cut: an error, or a part of the events and the word that it is one. */
START_TEST(cut_at_every_byte) {
    const char *path = sample_path("cut.har");
    for (size_t len = 0; len < sizeof archive - 1; len++) {
        struct buf got = BUF_INIT;
        struct err err;
        enum reader_end end = READER_END_WHOLE;
        sample_write(path, archive, len);
        int rc = sample_recover(path, &got, &end, &err);
        if (rc == 0)
            ck_assert_msg(end == READER_END_TRUNCATED, "cut at %zu of %zu", len, sizeof archive - 1);
        else
            ck_assert_msg(err.text[0] && !strcmp(err.file, path), "cut at %zu", len);
        ck_assert_uint_le(got.len, strlen(archive_lines) + 16);
        buf_fini(&got);
    }
}
END_TEST

/* Going back gives the same again. */
START_TEST(seek_goes_to_the_beginning) {
    struct reader *r;
    struct session_event e;
    struct err err;
    const char *path = sample_path("seek.har");
    sample_write(path, archive, sizeof archive - 1);
    ck_assert_int_eq(reader_open(path, &r, &err), MF_OK);
    ck_assert_int_eq(reader_form(r), READER_HAR);
    for (int pass = 0; pass < 3; pass++) {
        struct buf lines = BUF_INIT;
        while (reader_next(r, &e, &err) > 0 && (pass || e.timestamp_us < 1000000))
            ck_assert_int_eq(event_write_line(&lines, &e), MF_OK);
        if (pass)
            ck_assert_str_eq(buf_cstr(&lines), archive_lines);
        ck_assert_uint_le(reader_position(r), reader_size(r));
        ck_assert_int_eq(reader_seek(r, 1000000, &err), MF_OK);
        buf_fini(&lines);
    }
    reader_close(r);
}
END_TEST

/* The sample has everything that an archive cannot hold: what it can comes back, and the rest is counted. */
START_TEST(sample_through_an_archive) {
    struct buf text = BUF_INIT, got = BUF_INIT;
    struct convert_result result;
    struct err err;
    char from[160], har[160];
    snprintf(from, sizeof from, "%s", sample_path("sample.jsonl"));
    snprintf(har, sizeof har, "%s", sample_path("sample.har"));
    sample_text(&text, 0, SAMPLE_COUNT);
    sample_write(from, text.data, text.len);
    ck_assert_int_eq(session_convert(from, har, NULL, &result, &err), MF_OK);
    ck_assert_uint_eq(result.joined, 2);
    ck_assert_uint_eq(result.left_out, 12 + 1 + 1); /* frames of the gap, the fault, the upstream's frame */
    read_ok(har, &got, NULL);
    const char *lines = buf_cstr(&got);
    for (size_t i = 0; i < SAMPLE_COUNT; i++) {
        bool kept = i == 0 || (i >= 1 && i <= 4) || i == 8 || i == 9 || i == 14 || i == 15 || i == 16;
        ck_assert_msg(!kept || strstr(lines, sample_lines[i]), "%s\nis not in\n%s", sample_lines[i], lines);
    }
    ck_assert_ptr_nonnull(
        strstr(lines, "\"timestamp_ms\":52,\"direction\":\"incoming\",\"type\":\"text\",\"data\":\"first " SAMPLE_EMOJI
                      "\\n\\u0000\\u001f\""));
    ck_assert_ptr_nonnull(
        strstr(lines, "\"timestamp_ms\":62,\"direction\":\"outgoing\",\"type\":\"text\",\"data\":\"1234567\""));
    ck_assert_ptr_nonnull(strstr(lines, "\"connection\":\"conn-1-2\",\"timestamp_ms\":200,"));
    buf_fini(&text);
    buf_fini(&got);
}
END_TEST

/* Large messages of more connections than have a place: none is kept in memory, all come in their order. */
START_TEST(more_connections_than_places) {
    struct buf text = BUF_INIT, got = BUF_INIT;
    const unsigned count = 600, size = 3000;
    buf_puts(&text, "{\"log\":{\"entries\":[");
    for (unsigned i = 0; i < count; i++) {
        buf_puts(&text, i ? ",{\"_webSocketMessages\":[" : "{\"_webSocketMessages\":[");
        for (unsigned k = 0; k < 3; k++) {
            buf_printf(&text, "%s{\"type\":\"send\",\"opcode\":1,\"time\":%u.%06u,\"data\":\"%u-%u ", k ? "," : "",
                       1705314600 + k, i, i, k);
            for (unsigned n = 0; n < (i == 7 ? 400000 : size); n++)
                buf_putc(&text, 'x');
            buf_puts(&text, "\"}");
        }
        buf_puts(&text, "]}");
    }
    buf_puts(&text, "]}}");
    const char *path = sample_path("many.har");
    sample_write(path, text.data, text.len);
    read_ok(path, &got, NULL);
    const char *at = buf_cstr(&got);
    for (unsigned k = 0; k < 3; k++)
        for (unsigned i = 0; i < count; i++) {
            char want[64];
            snprintf(want, sizeof want, "\"data\":\"%u-%u x", i, k);
            at = strstr(at, want);
            ck_assert_msg(at != NULL, "%s is not in its place", want);
        }
    buf_fini(&text);
    buf_fini(&got);
}
END_TEST

static const struct {
    const char *pattern, *text;
} patterns[] = {
    {"^CLIENT_READY$", "CLIENT_READY"},
    {"ACK", "ACK"},
    {"^a\\\\.b\\\\$$", "a.b$"},
    {"$.type", "{\\\"type\\\":null}"},
    {"$.user.id", "{\\\"user\\\":{\\\"id\\\":null}}"},
    {"$.items[0]", "$.items[0]"},
    {"^(A|B)$", "^(A|B)$"},
    {"^\\\\d+$", "^\\\\d+$"},
    {"$", ""},
    {"", ""},
};

START_TEST(what_a_pattern_awaits) {
    struct buf line = BUF_INIT, got = BUF_INIT, want = BUF_INIT;
    const char *path = sample_path("m.jsonl");
    buf_printf(&line, "{\"ts\":1.5,\"dir\":\"out\",\"text\":\"t\",\"waitFor\":\"%s\"}", patterns[_i].pattern);
    buf_printf(&want,
               "{\"connection\":\"conn-1\",\"timestamp_ms\":1.5,\"direction\":\"incoming\",\"type\":\"text\",\"data\":"
               "\"%s\"}\n"
               "{\"connection\":\"conn-1\",\"timestamp_ms\":1.5,\"direction\":\"outgoing\",\"type\":\"text\",\"data\":"
               "\"t\"}\n",
               patterns[_i].text);
    sample_write(path, line.data, line.len);
    read_ok(path, &got, NULL);
    ck_assert_str_eq(buf_cstr(&got), buf_cstr(&want));
    buf_fini(&line);
    buf_fini(&got);
    buf_fini(&want);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("har");
    TCase *tcase = tcase_create("har");
    tcase_add_unchecked_fixture(tcase, sample_setup, sample_teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, entries_are_mixed_by_time);
    tcase_add_test(tcase, cut_at_every_byte);
    tcase_add_test(tcase, seek_goes_to_the_beginning);
    tcase_add_test(tcase, sample_through_an_archive);
    tcase_add_test(tcase, more_connections_than_places);
    tcase_add_loop_test(tcase, what_a_pattern_awaits, 0, ARRAY_LEN(patterns));
    suite_add_tcase(suite, tcase);
    return sample_run(suite);
}
