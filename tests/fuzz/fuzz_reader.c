/* Arbitrary bytes as a session file, as they are or inside a zstd frame: no crash, no endless reading; what is read as
 * an event is written as a line that reads as the same event, a cut file gives a prefix, and a seek loses nothing. */
#include <zstd.h>

#include "fuzz.h"
#include "recording/reader.h"

#define EVENTS_MAX 100000 /* more than any input of the fuzzer's size holds, gaps of recovery included */

/* Appends the file's events as lines; the reader's last result. *form: which it took the file for. */
static int read_form(const void *data, size_t size, struct buf *lines, bool recover, uint64_t from_us,
                     enum reader_form *form) {
    char path[FUZZ_PATH_LEN];
    struct reader *r;
    struct session_event e;
    struct err err;
    int fd = fuzz_file(data, size, path), rc = reader_open(path, &r, &err);
    if (rc == MF_OK) {
        *form = reader_form(r);
        reader_recover(r, recover);
        reader_quiet(r);
        if (from_us)
            rc = reader_seek(r, from_us, &err);
        size_t events = 0;
        while (rc >= 0 && (rc = reader_next(r, &e, &err)) > 0) {
            MUST(++events < EVENTS_MAX);
            MUST(e.connection || e.type == EVENT_RECORDING);
            MUST(event_write_line(lines, &e) == MF_OK);
        }
        reader_close(r);
    }
    MUST(rc >= 0 || err.text[0]);
    close(fd);
    return rc;
}

static int read_file(const void *data, size_t size, struct buf *lines, bool recover, uint64_t from_us) {
    enum reader_form form;
    return read_form(data, size, lines, recover, from_us, &form);
}

static void check(const uint8_t *data, size_t size) {
    struct buf once = BUF_INIT, again = BUF_INIT, other = BUF_INIT;
    enum reader_form form = READER_JSONL, of_half;
    int rc = read_form(data, size, &once, false, 0, &form);
    if (once.len) {
        /* Without space in front nobody takes the lines for something else. */
        MUST(read_file(once.data, once.len, &again, false, 0) == 0);
        MUST(once.len == again.len && !memcmp(once.data, again.data, once.len));
    }
    /* Each costs as much as the reading itself: the input's size says which. */
    if (size % 4 == 1 && read_form(data, size / 2, &other, false, 0, &of_half) >= 0 && rc >= 0)
        /* What was cut off a HAR file may have said when it all began, and where to. */
        MUST(form == READER_HAR || other.len <= once.len || once.len == 0);
    else if (size % 4 == 2)
        (void)read_file(data, size, &other, true, 0);
    else if (size % 4 == 3)
        (void)read_file(data, size, &other, false, 1000);
    buf_fini(&once);
    buf_fini(&again);
    buf_fini(&other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size % 8 < 6) {
        check(data, size);
        return 0;
    }
    size_t bound = ZSTD_compressBound(size);
    uint8_t *packed = malloc(bound);
    MUST(packed);
    size_t n = ZSTD_compress(packed, bound, data, size, 1);
    MUST(!ZSTD_isError(n));
    check(packed, n);
    free(packed);
    return 0;
}
