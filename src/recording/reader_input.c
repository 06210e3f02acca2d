#include "recording/reader_input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>
#include <zstd_errors.h>

/* A frame that is in `raw` as a whole, with room for all that it holds, zstd decompresses in one pass, without a window
 * of its own between: ours have 128 KiB and a line, and a quarter of that compressed. */
#define RAW_BYTES (256u << 10)
#define RAW_LOW (96u << 10) /* less than that is topped up */
#define ZSTD_ROOM (INPUT_CHUNK + (32u << 10))
#define HOLD_MAX (1u << 20) /* of a frame held back until its checksum: ours have 128 KiB, but for a very long line */
#define SHARED_CHUNK (16u << 10)
#define WINDOW_LOG_MAX 27 /* 128 MiB: what zstd itself accepts without --long=31. Ours need 20 */

static int fail_errno(struct input *in, struct err *err, const char *what) {
    int rc = err_set(err, MF_EIO, "%s: %s", what, strerror(errno));
    err_at(err, in->path, 0, 0);
    return rc;
}

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

static uint32_t little32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static bool is_frame_magic(uint32_t magic) {
    return magic == ZSTD_MAGICNUMBER || (magic & ZSTD_MAGIC_SKIPPABLE_MASK) == ZSTD_MAGIC_SKIPPABLE_START;
}

/* By the first bytes; by the name when there are too few of them yet. */
static int find_form(struct input *in, struct err *err) {
    uint8_t magic[4];
    ssize_t n = pread(in->fd, magic, sizeof magic, 0);
    if (n < 0)
        return fail_errno(in, err, "cannot be read");
    in->zstd = n == sizeof magic ? is_frame_magic(little32(magic)) : ends_with(in->path, ".zst");
    return MF_OK;
}

static int start_zstd(struct input *in, struct err *err) {
    in->raw = malloc(RAW_BYTES);
    in->dctx = ZSTD_createDCtx();
    if (!in->raw || !in->dctx || ZSTD_isError(ZSTD_DCtx_setParameter(in->dctx, ZSTD_d_windowLogMax, WINDOW_LOG_MAX)))
        return err_set(err, MF_ENOMEM, "out of memory");
    return MF_OK;
}

static const char *kind_of(mode_t mode) {
    if (S_ISDIR(mode))
        return "a directory";
    if (S_ISFIFO(mode))
        return "a pipe: write what comes out of it to a file first";
    return S_ISSOCK(mode) ? "a socket" : "a device";
}

int input_open(struct input *in, const char *path, struct err *err) {
    *in = (struct input){.fd = -1, .path = strdup(path)};
    if (!in->path)
        return err_set(err, MF_ENOMEM, "out of memory");
    struct stat st;
    int rc = MF_OK;
    in->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); /* a FIFO must not hold us */
    if (in->fd < 0 || fstat(in->fd, &st) < 0) {
        rc = fail_errno(in, err, "cannot be opened");
    } else if (!S_ISREG(st.st_mode)) {
        rc = err_set_at(err, MF_EINVAL, path, 0, 0, "expected a regular file, found %s", kind_of(st.st_mode));
    } else {
        rc = find_form(in, err);
        if (rc == MF_OK && in->zstd)
            rc = start_zstd(in, err);
    }
    if (rc < 0)
        input_close(in);
    return rc;
}

int input_share(struct input *in, const struct input *of, struct err *err) {
    MUST(!of->zstd);
    *in = (struct input){.fd = of->fd, .path = strdup(of->path), .borrowed = true, .chunk = SHARED_CHUNK};
    return in->path ? MF_OK : err_set(err, MF_ENOMEM, "out of memory");
}

void input_close(struct input *in) {
    if (in->path && in->fd >= 0 && !in->borrowed)
        close(in->fd);
    ZSTD_freeDCtx(in->dctx);
    free(in->raw);
    free(in->path);
    *in = (struct input){.fd = -1};
}

/* Reads from the file: bytes, 0 at its end, negative with err. */
static ssize_t read_file(struct input *in, void *to, size_t size, struct err *err) {
    ssize_t n;
    do
        n = pread(in->fd, to, size, (off_t)in->offset);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return fail_errno(in, err, "cannot be read");
    in->offset += (uint64_t)n;
    return n;
}

static int fail_frame(struct input *in, size_t code, struct err *err) {
    const char *file = in->path;
    if (ZSTD_getErrorCode(code) == ZSTD_error_frameParameter_windowTooLarge)
        err_set(err, MF_ELIMIT, "byte %llu: the zstd frame wants a window of more than %u MiB",
                (unsigned long long)in->frame_begin, 1u << (WINDOW_LOG_MAX - 20));
    else
        err_set(err, MF_EINVAL, "byte %llu: the zstd frame that begins here is damaged (%s)",
                (unsigned long long)in->frame_begin, ZSTD_getErrorName(code));
    err_at(err, file, 0, 0);
    return (int)(err ? err->code : MF_EINVAL);
}

/* Raw bytes to decompress, if there are few: as read(2). */
static ssize_t refill_raw(struct input *in, struct err *err) {
    size_t left = in->raw_len - in->raw_at;
    if (left >= RAW_LOW || in->more_output)
        return 1;
    memmove(in->raw, in->raw + in->raw_at, left);
    in->raw_at = 0;
    in->raw_len = left;
    ssize_t n = read_file(in, in->raw + left, RAW_BYTES - left, err);
    if (n < 0)
        return n;
    in->raw_len += (size_t)n;
    return in->raw_len > 0;
}

/* Appends one step's output: its size, or zstd's error code. */
static size_t decompress(struct input *in, struct buf *out) {
    ZSTD_inBuffer from = {in->raw, in->raw_len, in->raw_at};
    ZSTD_outBuffer to = {out->data + out->len, ZSTD_ROOM, 0};
    if (!in->in_frame)
        in->frame_begin = input_position(in);
    size_t rc = ZSTD_decompressStream(in->dctx, &to, &from);
    if (ZSTD_isError(rc))
        return rc;
    in->raw_at = from.pos;
    in->in_frame = rc != 0;
    in->more_output = rc != 0 && to.pos == to.size;
    out->len += to.pos;
    return to.pos;
}

/* A frame is handed out when its checksum was seen, so that nobody takes damage for data; parts of it are only where
 * the file ends in it, or when it is larger than any of ours. */
static int fill_zstd(struct input *in, struct buf *out, struct err *err) {
    size_t begin = out->len;
    for (;;) {
        ssize_t n = refill_raw(in, err);
        if (n < 0)
            return (int)n;
        if (n == 0)
            return out->len > begin;
        if (buf_reserve(out, ZSTD_ROOM + INPUT_PADDING) < 0)
            return err_set(err, MF_ENOMEM, "out of memory");
        size_t rc = decompress(in, out);
        if (ZSTD_isError(rc)) {
            out->len = begin;
            return fail_frame(in, rc, err);
        }
        if (out->len > begin && (!in->in_frame || out->len - begin >= HOLD_MAX))
            return 1;
    }
}

int input_fill(struct input *in, struct buf *out, struct err *err) {
    if (in->zstd)
        return fill_zstd(in, out, err);
    /* Never into all the room that there is: a caller who wants a few bytes more would double it each time. */
    size_t chunk = in->chunk ? in->chunk : INPUT_CHUNK;
    if (buf_reserve(out, chunk + INPUT_PADDING) < 0)
        return err_set(err, MF_ENOMEM, "out of memory");
    ssize_t n = read_file(in, out->data + out->len, chunk, err);
    if (n <= 0)
        return (int)n;
    out->len += (size_t)n;
    return 1;
}

bool input_torn(const struct input *in) {
    return in->in_frame;
}

int input_seek(struct input *in, uint64_t offset, struct err *err) {
    in->offset = in->frame_begin = offset;
    in->raw_at = in->raw_len = 0;
    in->in_frame = in->more_output = false;
    if (in->zstd && ZSTD_isError(ZSTD_DCtx_reset(in->dctx, ZSTD_reset_session_only)))
        return err_set(err, MF_EIO, "zstd cannot be reset");
    return MF_OK;
}

int input_skip_frame(struct input *in, struct err *err) {
    uint64_t at = in->frame_begin + 1;
    for (;;) {
        if (input_seek(in, at, err) < 0)
            return MF_EIO;
        ssize_t n = read_file(in, in->raw, INPUT_CHUNK, err);
        if (n < 4)
            return n < 0 ? (int)n : 0;
        for (ssize_t i = 0; i + 4 <= n; i++)
            if (is_frame_magic(little32(in->raw + i)))
                return input_seek(in, at + (uint64_t)i, err) < 0 ? MF_EIO : 1;
        at += (uint64_t)n - 3; /* a magic number may lie across the border */
    }
}

uint64_t input_position(const struct input *in) {
    return in->offset - (in->raw_len - in->raw_at);
}

uint64_t input_size(const struct input *in) {
    struct stat st;
    return fstat(in->fd, &st) == 0 ? (uint64_t)st.st_size : in->offset;
}
