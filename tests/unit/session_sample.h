/* Session files for the tests of reader and converter: one sample with every kind of line, and helpers to write files
 * and to read them back as lines. */
#ifndef TEST_SESSION_SAMPLE_H
#define TEST_SESSION_SAMPLE_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "recording/event.h"
#include "recording/reader.h"

#define SAMPLE_EMOJI "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80"

/* Lines as the recorder writes them: reading and writing them again must give the same bytes. */
static const char *const sample_lines[] = {
    "{\"type\":\"recording\",\"version\":1,\"recorded_at\":\"2024-01-15T10:30:00.125Z\",\"generator\":\"mockforge "
    "0.1.0\"}",
    "{\"type\":\"open\",\"connection\":\"conn-1\",\"timestamp_ms\":0.12,\"path\":\"/"
    "ws\",\"query\":\"a=b\",\"remote_addr\":"
    "\"127.0.0.1:50312\",\"upstream\":\"wss://api.example.com/"
    "ws\",\"request_headers\":{\"Host\":\"localhost:8080\",\"X-A\":"
    "[\"1\",\"2\"]},\"response_headers\":{\"Upgrade\":\"websocket\"},\"subprotocol\":null}",
    "{\"connection\":\"conn-1\",\"timestamp_ms\":0.412,\"direction\":\"incoming\",\"type\":\"text\",\"data\":"
    "\"{\\\"type\\\": \\\"subscribe\\\", \\\"channel\\\": \\\"orders\\\"}\"}",
    "{\"type\":\"open\",\"connection\":\"conn-2\",\"timestamp_ms\":0.412,\"path\":\"/"
    "b\",\"query\":null,\"remote_addr\":null,"
    "\"upstream\":null,\"request_headers\":{},\"response_headers\":{},\"subprotocol\":\"chat\",\"continued\":true}",
    "{\"connection\":\"conn-1\",\"timestamp_ms\":50.02,\"direction\":\"outgoing\",\"type\":\"binary\",\"encoding\":"
    "\"base64\","
    "\"data\":\"AAEC/w==\"}",
    "{\"connection\":\"conn-2\",\"timestamp_ms\":51,\"direction\":\"incoming\",\"type\":\"text\",\"fin\":false,"
    "\"data\":\"first \"}",
    "{\"connection\":\"conn-1\",\"timestamp_ms\":51,\"direction\":\"incoming\",\"leg\":\"upstream\",\"type\":\"text\","
    "\"rsv\":4,"
    "\"encoding\":\"base64\",\"data\":\"qlYqSSwuUQIA\"}",
    "{\"connection\":\"conn-2\",\"timestamp_ms\":52,\"direction\":\"incoming\",\"type\":\"continuation\",\"data\":"
    "\"" SAMPLE_EMOJI "\\n\\u0000\\u001f\"}",
    "{\"connection\":\"conn-1\",\"timestamp_ms\":60,\"direction\":\"outgoing\",\"type\":\"ping\",\"data\":\"\"}",
    "{\"connection\":\"conn-1\",\"timestamp_ms\":60.5,\"direction\":\"incoming\",\"type\":\"pong\",\"data\":\"x\"}",
    "{\"connection\":\"conn-1\",\"timestamp_ms\":61,\"direction\":\"outgoing\",\"type\":\"text\",\"frame_offset\":0,"
    "\"frame_size\":7,\"data\":\"1234\"}",
    "{\"connection\":\"conn-1\",\"timestamp_ms\":62,\"direction\":\"outgoing\",\"type\":\"text\",\"frame_offset\":4,"
    "\"frame_size\":7,\"data\":\"567\"}",
    "{\"connection\":\"conn-1\",\"timestamp_ms\":70,\"type\":\"gap\",\"frames\":12,\"bytes\":3480}",
    "{\"connection\":\"conn-1\",\"timestamp_ms\":71,\"direction\":\"outgoing\",\"type\":\"fault\",\"fault\":\"delay\"}",
    "{\"connection\":\"conn-1\",\"timestamp_ms\":90.1,\"direction\":\"outgoing\",\"type\":\"close\",\"code\":1000,"
    "\"reason\":\"bye\"}",
    "{\"connection\":\"conn-2\",\"timestamp_ms\":90.1,\"type\":\"end\",\"by\":\"upstream\",\"reason\":\"upstream_"
    "lost\"}",
    "{\"connection\":\"conn-1\",\"timestamp_ms\":95,\"type\":\"end\",\"by\":\"client\",\"reason\":\"normal\",\"code\":"
    "1000}",
    "{\"type\":\"recording\",\"version\":1,\"recorded_at\":\"2024-01-15T10:30:00.125Z\",\"generator\":\"mockforge "
    "0.2.0\"}",
    "{\"type\":\"open\",\"connection\":\"conn-1\",\"timestamp_ms\":200,\"path\":null,\"query\":null,\"remote_addr\":"
    "null,"
    "\"upstream\":null,\"request_headers\":{},\"response_headers\":{},\"subprotocol\":null}",
    "{\"connection\":\"conn-1\",\"timestamp_ms\":200.001,\"direction\":\"incoming\",\"type\":\"close\",\"reason\":"
    "\"\"}",
};
#define SAMPLE_COUNT (sizeof sample_lines / sizeof sample_lines[0])

static char sample_dir[64];

/* A directory for one test program's files. */
static inline void sample_setup(void) {
    snprintf(sample_dir, sizeof sample_dir, "/tmp/mockforge-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(sample_dir));
}

static inline void sample_teardown(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", sample_dir);
    ck_assert_int_eq(system(command), 0);
}

/* A path in that directory; eight may be in use at once. */
static inline const char *sample_path(const char *name) {
    static char paths[8][160];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", sample_dir, name);
    return path;
}

static inline void sample_write(const char *path, const void *data, size_t len) {
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(data, 1, len, f), len);
    ck_assert_int_eq(fclose(f), 0);
}

static inline void sample_slurp(const char *path, struct buf *out) {
    FILE *f = fopen(path, "r");
    ck_assert_ptr_nonnull(f);
    size_t n;
    do {
        ck_assert_int_eq(buf_reserve(out, 65536), MF_OK);
        n = fread(out->data + out->len, 1, 65536, f);
        out->len += n;
    } while (n);
    fclose(f);
}

/* Appends lines [from, to) of the sample. */
static inline void sample_text(struct buf *out, size_t from, size_t to) {
    for (size_t i = from; i < to; i++) {
        buf_puts(out, sample_lines[i]);
        buf_putc(out, '\n');
    }
}

/* Appends data as one zstd frame with content size and checksum. */
static inline void sample_frame(struct buf *out, const void *data, size_t len) {
    ZSTD_CCtx *cctx = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(cctx, ZSTD_c_checksumFlag, 1);
    ck_assert_int_eq(buf_reserve(out, ZSTD_compressBound(len)), MF_OK);
    size_t n = ZSTD_compress2(cctx, out->data + out->len, out->cap - out->len, data, len);
    ck_assert(!ZSTD_isError(n));
    out->len += n;
    ZSTD_freeCCtx(cctx);
}

/* Reads a file to its end and appends its events as lines; the reader's last result: 0, or negative with err. */
static inline int sample_read(const char *path, struct buf *lines, enum reader_end *end, struct err *err) {
    struct reader *r;
    struct session_event e;
    int rc = reader_open(path, &r, err);
    if (rc < 0)
        return rc;
    while ((rc = reader_next(r, &e, err)) > 0)
        ck_assert_int_eq(event_write_line(lines, &e), MF_OK);
    if (end)
        *end = reader_ended(r);
    reader_close(r);
    return rc;
}

/* As sample_read(), with recovery. */
static inline int sample_recover(const char *path, struct buf *lines, enum reader_end *end, struct err *err) {
    struct reader *r;
    struct session_event e;
    int rc = reader_open(path, &r, err);
    if (rc < 0)
        return rc;
    reader_recover(r, true);
    while ((rc = reader_next(r, &e, err)) > 0)
        ck_assert_int_eq(event_write_line(lines, &e), MF_OK);
    *end = reader_ended(r);
    reader_close(r);
    return rc;
}

static inline int sample_run(Suite *suite) {
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
