#include "recording/har_spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/array.h"

#define STEP (128u << 10) /* bytes read back at a time */

static int no_memory(struct err *err) {
    (void)err_set(err, MF_ENOMEM, "out of memory");
    return MF_ENOMEM;
}

int spool_open(struct spool *s, const char *beside, struct err *err) {
    *s = (struct spool){.fd = -1};
    struct buf name = BUF_INIT;
    buf_printf(&name, "%s.tmp-XXXXXX", beside);
    char *path = buf_steal(&name);
    if (!path)
        return no_memory(err);
    s->fd = mkostemp(path, O_CLOEXEC); /* mode 0600 */
    int rc = MF_OK;
    if (s->fd < 0 || unlink(path) < 0)
        rc = err_set_at(err, MF_EIO, beside, 0, 0, "cannot be written: %s", strerror(errno));
    free(path);
    return rc;
}

void spool_close(struct spool *s) {
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

static int put(struct spool *s, const uint8_t *data, size_t len, struct err *err) {
    while (len) {
        ssize_t n = pwrite(s->fd, data, len, (off_t)s->size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(err, MF_EIO, "a temporary file cannot be written: %s", strerror(errno));
        data += n;
        len -= (size_t)n;
        s->size += (uint64_t)n;
    }
    return MF_OK;
}

static int add_piece(struct spooled *t, struct spool_piece piece) {
    if (!ARRAY_ROOM(t->pieces, t->count, t->cap, 2))
        return MF_ENOMEM;
    t->pieces[t->count++] = piece;
    return MF_OK;
}

static int flush(struct spool *s, struct spooled *t, struct err *err) {
    if (add_piece(t, (struct spool_piece){s->size, (uint32_t)t->tail.len}) < 0)
        return no_memory(err);
    int rc = put(s, t->tail.data, t->tail.len, err);
    buf_fini(&t->tail);
    t->counted = 0;
    return rc;
}

static int flush_all(struct spool *s, struct err *err) {
    int rc = MF_OK;
    while (rc == MF_OK && s->with_tail) {
        struct spooled *t = s->with_tail;
        s->with_tail = t->next;
        t->in_list = false;
        rc = flush(s, t, err);
    }
    s->in_memory = 0;
    return rc;
}

int spool_added(struct spool *s, struct spooled *t, struct err *err) {
    if (t->tail.failed)
        return no_memory(err);
    s->in_memory += t->tail.len - t->counted;
    t->counted = t->tail.len;
    if (!t->in_list) {
        t->next = s->with_tail;
        s->with_tail = t;
        t->in_list = true;
    }
    return s->in_memory > SPOOL_MAX ? flush_all(s, err) : MF_OK;
}

static int read_back(const struct spool *s, struct spool_piece piece, struct output *out, struct err *err) {
    while (piece.len) {
        size_t want = MIN(piece.len, STEP);
        if (buf_reserve(&out->pending, want) < 0)
            return no_memory(err);
        ssize_t n = pread(s->fd, out->pending.data + out->pending.len, want, (off_t)piece.offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_set(err, MF_EIO, "a temporary file cannot be read: %s", n < 0 ? strerror(errno) : "it is cut");
        out->pending.len += (size_t)n;
        piece.offset += (uint64_t)n;
        piece.len -= (uint32_t)n;
        int rc = output_line_done(out, err);
        if (rc < 0)
            return rc;
    }
    return MF_OK;
}

int spool_write(const struct spool *s, const struct spooled *t, struct output *out, struct err *err) {
    for (size_t i = 0; i < t->count; i++) {
        int rc = read_back(s, t->pieces[i], out, err);
        if (rc < 0)
            return rc;
    }
    buf_append(&out->pending, t->tail.data, t->tail.len);
    return output_line_done(out, err);
}

void spooled_fini(struct spooled *t) {
    buf_fini(&t->tail);
    free(t->pieces);
    *t = (struct spooled){0};
}
