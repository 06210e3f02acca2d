#include "recording/convert_output.h"
#include "recording/convert_text.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#define FRAME_BYTES (128u << 10) /* of lines in one zstd frame, as the recorder writes them */
#define SEEK_TABLE_MAGIC 0x184D2A5Eu
#define SEEK_FOOTER_MAGIC 0x8F92EAB1u

static int no_memory(struct err *err) {
    return err_set(err, MF_ENOMEM, "out of memory");
}

static int fail_errno(const struct output *o, struct err *err, const char *what) {
    return err_set_at(err, MF_EIO, o->path, 0, 0, "%s: %s", what, strerror(errno));
}

static int start_zstd(struct output *o, int level, struct err *err) {
    o->cctx = ZSTD_createCCtx();
    if (!o->cctx || ZSTD_isError(ZSTD_CCtx_setParameter(o->cctx, ZSTD_c_compressionLevel, level)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(o->cctx, ZSTD_c_checksumFlag, 1)))
        return no_memory(err);
    return MF_OK;
}

int output_open(struct output *o, const char *path, const struct output_options *options, struct err *err) {
    *o = (struct output){.fd = -1, .seek_table = options->seek_table};
    o->path = strdup(path);
    struct buf name = BUF_INIT;
    buf_printf(&name, "%s.tmp-XXXXXX", path);
    o->temporary = buf_steal(&name);
    if (!o->path || !o->temporary)
        return no_memory(err);
    o->fd = mkostemp(o->temporary, O_CLOEXEC); /* mode 0600 */
    if (o->fd < 0) {
        free(o->temporary);
        o->temporary = NULL;
        return fail_errno(o, err, "cannot be written");
    }
    return options->zstd ? start_zstd(o, options->level, err) : MF_OK;
}

static int write_all(struct output *o, const uint8_t *data, size_t len, struct err *err) {
    while (len) {
        ssize_t n = write(o->fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_errno(o, err, "cannot be written");
        data += n;
        len -= (size_t)n;
    }
    return MF_OK;
}

static void put_le32(struct buf *b, uint32_t n) {
    uint8_t bytes[4] = {(uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16), (uint8_t)(n >> 24)};
    buf_append(b, bytes, sizeof bytes);
}

/* What is pending becomes one zstd frame, with its content size and checksum. */
static int pack(struct output *o, struct err *err) {
    size_t bound = ZSTD_compressBound(o->pending.len);
    buf_reset(&o->packed);
    if (buf_reserve(&o->packed, bound) < 0)
        return no_memory(err);
    size_t n = ZSTD_compress2(o->cctx, o->packed.data, o->packed.cap, o->pending.data, o->pending.len);
    if (ZSTD_isError(n))
        return err_set_at(err, MF_EIO, o->path, 0, 0, "cannot be compressed: %s", ZSTD_getErrorName(n));
    put_le32(&o->sizes, (uint32_t)n);
    put_le32(&o->sizes, (uint32_t)o->pending.len);
    o->packed.len = n;
    return write_all(o, o->packed.data, n, err);
}

static int flush(struct output *o, struct err *err) {
    if (o->pending.failed || o->sizes.failed)
        return no_memory(err);
    if (!o->pending.len)
        return MF_OK;
    int rc = o->cctx ? pack(o, err) : write_all(o, o->pending.data, o->pending.len, err);
    buf_reset(&o->pending);
    return rc;
}

int output_line_done(struct output *o, struct err *err) {
    return o->pending.len >= FRAME_BYTES || o->pending.failed ? flush(o, err) : MF_OK;
}

/* docs/session-file.md, "The native form" */
static int write_seek_table(struct output *o, struct err *err) {
    buf_reset(&o->packed);
    put_le32(&o->packed, SEEK_TABLE_MAGIC);
    put_le32(&o->packed, (uint32_t)o->sizes.len + 9);
    buf_append(&o->packed, o->sizes.data, o->sizes.len);
    put_le32(&o->packed, (uint32_t)(o->sizes.len / 8));
    buf_putc(&o->packed, 0);
    put_le32(&o->packed, SEEK_FOOTER_MAGIC);
    return o->packed.failed ? no_memory(err) : write_all(o, o->packed.data, o->packed.len, err);
}

static int sync_directory(const struct output *o, struct err *err) {
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", o->path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc =
        fd >= 0 && (fsync(fd) == 0 || errno == EINVAL) ? MF_OK : fail_errno(o, err, "its directory cannot be synced");
    if (fd >= 0)
        close(fd);
    return rc;
}

/* Not every file system can refuse to replace in one step: where it cannot, a look before must do. */
static int put_in_place(struct output *o, bool overwrite) {
    if (overwrite)
        return rename(o->temporary, o->path);
    int rc = renameat2(AT_FDCWD, o->temporary, AT_FDCWD, o->path, RENAME_NOREPLACE);
    if (rc < 0 && (errno == EINVAL || errno == ENOSYS)) {
        if (access(o->path, F_OK) == 0) {
            errno = EEXIST;
            return -1;
        }
        rc = rename(o->temporary, o->path);
    }
    return rc;
}

int output_finish(struct output *o, bool overwrite, struct err *err) {
    int rc = flush(o, err);
    if (rc == MF_OK && o->seek_table)
        rc = write_seek_table(o, err);
    if (rc < 0)
        return rc;
    if (fsync(o->fd) < 0)
        return fail_errno(o, err, "cannot be written");
    if (put_in_place(o, overwrite) < 0)
        return fail_errno(o, err, "cannot be put in place");
    free(o->temporary);
    o->temporary = NULL;
    return sync_directory(o, err);
}

void output_close(struct output *o) {
    if (o->temporary)
        unlink(o->temporary);
    if (o->path && o->fd >= 0)
        close(o->fd);
    ZSTD_freeCCtx(o->cctx);
    buf_fini(&o->pending);
    buf_fini(&o->packed);
    buf_fini(&o->sizes);
    free(o->path);
    free(o->temporary);
    *o = (struct output){.fd = -1};
}

int session_write_text(const char *to, const struct buf *text, bool overwrite, struct err *err) {
    struct output out;
    int rc = output_open(&out, to, &(struct output_options){0}, err);
    if (rc == MF_OK) {
        buf_append(&out.pending, text->data, text->len);
        rc = output_finish(&out, overwrite, err);
    }
    output_close(&out);
    return rc;
}
