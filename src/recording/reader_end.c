/* How a file of lines ends: whole, cut off while its writer goes on with it, or cut off for good; and whether the seek
 * table there is true. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "recording/reader_private.h"

/* A writer locks what it writes until it ends, however it ends (docs/session-file.md, "Going on"). Where there are no
 * such locks (NFS without them) nobody seems to write. */
static bool is_locked(int fd) {
    if (flock(fd, LOCK_SH | LOCK_NB) < 0)
        return errno == EWOULDBLOCK;
    flock(fd, LOCK_UN);
    return false;
}

bool reader_being_written(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool held = fd >= 0 && is_locked(fd);
    if (fd >= 0)
        close(fd);
    return held;
}

static int say(const struct reader *r, struct err *err) {
    const char *path = r->input.path;
    unsigned long long size = input_size(&r->input), frame = r->input.frame_begin;
    if (size == 0)
        return err_set_at(err, MF_EINVAL, path, 0, 0, "expected a recording: the file is empty");
    if (r->last_line.code && r->end == READER_END_TRUNCATED) {
        size_t len = strlen(r->last_line.text);
        *err = r->last_line;
        snprintf(err->text + len, sizeof err->text - len, " (byte %llu: the file ends in this line)", size);
        return (int)err->code;
    }
    if (input_torn(&r->input))
        return err_set_at(err, MF_EINVAL, path, 0, 0,
                          "byte %llu: the zstd frame that begins here is cut off by the end of the file at byte %llu",
                          frame, size);
    if (r->document || r->har)
        return err_set_at(err, MF_EINVAL, path, 0, 0, "byte %llu: the file ends in the middle of the %s", size,
                          r->har ? "archive" : "document");
    if (r->end == READER_END_WHOLE)
        return err_set_at(err, MF_EINVAL, path, 0, 0, "expected a recording: there is not one line in it (%llu bytes)",
                          size);
    return err_set_at(err, MF_EINVAL, path, r->line_known ? r->line + 1 : 0, 0,
                      "byte %llu: the file ends in the middle of a line", size);
}

/* Of the file as far as it was read: its writer may have gone on with it since. */
static bool has_true_table(const struct reader *r, struct err *err) {
    if (r->form != READER_NATIVE ||
        seek_table_is_true(r->input.fd, r->input.offset, r->table_lies ? 0 : r->begun_at, err))
        return true;
    err_at(err, r->input.path, 0, 0);
    return false;
}

bool reader_damaged(const struct reader *r, struct err *err) {
    bool nothing = !r->given && r->line_known && !r->document && !r->har;
    if (!r->ended)
        return false;
    if (r->end == READER_END_WHOLE && !nothing)
        return !has_true_table(r, err);
    if (is_locked(r->input.fd))
        return false;
    (void)say(r, err);
    return true;
}

/* The writer may have gone on and ended since the file's end was met: what was written is written, once nobody holds
 * the lock. */
static bool has_grown(const struct reader *r) {
    return !r->document && !r->har && input_size(&r->input) > r->input.offset;
}

int reader_check_end(struct reader *r, struct err *err) {
    bool lines = !r->document && !r->har;
    if (r->recover && r->passed_over && !r->given)
        return err_set_at(err, MF_EINVAL, r->input.path, 0, 0, "expected a recording: nothing in it can be read");
    if (r->recover || (r->growing && lines) || !reader_damaged(r, err))
        return 0;
    if (has_grown(r)) {
        r->ended = false;
        return 1;
    }
    return (int)err->code;
}
