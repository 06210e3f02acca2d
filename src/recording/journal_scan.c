#include "recording/journal_scan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "protocol/json.h"
#include "recording/frames.h"
#include "recording/parse.h"

#define WINDOW_START (256u << 10)
/* More than one flush never writes: a longer unreadable tail is no torn frame, and is not ours to cut off. */
#define TORN_MAX (16u << 20)
#define FIRST_LINE_MAX 4096u

static int io_error(const struct journal *j, const char *doing, struct err *err) {
    int why = errno;
    err_set(err, MF_EIO, "cannot %s %s: %s", doing, j->path, strerror(why));
    errno = why;
    return MF_EIO;
}

static uint32_t get_le32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Reads up to len bytes at offset; fewer at the end of the file. -1 and errno. */
static ssize_t read_at(int fd, void *to, size_t len, uint64_t offset) {
    size_t done = 0;
    while (done < len) {
        ssize_t n = pread(fd, (uint8_t *)to + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

/* The text of an object's member that is a string without escapes, NUL-terminated in place; NULL: there is none. */
static char *member_text(const struct json_tape *tape, char *text, const char *name) {
    struct buf scratch = BUF_INIT;
    uint32_t at = json_member(tape, text, 0, name, strlen(name), &scratch);
    buf_fini(&scratch);
    if (at == JSON_NO_NODE || tape->nodes[at].kind != JSON_STRING || tape->nodes[at].escaped)
        return NULL;
    text[tape->nodes[at].end - 1] = '\0';
    return text + tape->nodes[at].begin + 1;
}

/* `{"type":"recording",…,"recorded_at":"2024-01-15T10:30:00.000Z",…}`, however it is spaced: ours, and since when. */
static bool parse_first_line(char *line, int64_t *recorded_at_us) {
    struct json_tape tape = {.max = FIRST_LINE_MAX};
    size_t len = strcspn(line, "\n"), ignored;
    line[len] = '\0';
    bool object = json_tape_parse(&tape, line, len, &ignored) == MF_OK && tape.nodes[0].kind == JSON_OBJECT;
    const char *since = object ? member_text(&tape, line, "recorded_at") : NULL;
    const char *type = object ? member_text(&tape, line, "type") : NULL;
    bool ours = since && type && !strcmp(type, "recording") && parse_rfc3339(since, recorded_at_us);
    json_tape_fini(&tape);
    return ours;
}

/* The first line of a native file, from its first frame. */
static bool read_native_start(struct journal *j, const uint8_t *frame, size_t len) {
    char line[FIRST_LINE_MAX + 1];
    ZSTD_DCtx *d = ZSTD_createDCtx();
    if (!d)
        return false;
    ZSTD_inBuffer in = {frame, len, 0};
    ZSTD_outBuffer out = {line, FIRST_LINE_MAX, 0};
    size_t rc = ZSTD_decompressStream(d, &out, &in);
    ZSTD_freeDCtx(d);
    line[out.pos] = '\0';
    return !ZSTD_isError(rc) && parse_first_line(line, &j->recorded_at_us);
}

/* A file that ended well has a table of all frames before it. False: there is none that fits, walk the frames; so it is
 * with one that lies, or the next table would lie, too. */
static bool load_seek_table(struct journal *j, uint64_t file_size) {
    uint8_t footer[JOURNAL_SEEK_FOOTER];
    if (file_size < JOURNAL_SEEK_HEAD + JOURNAL_SEEK_FOOTER ||
        read_at(j->fd, footer, sizeof footer, file_size - sizeof footer) != (ssize_t)sizeof footer ||
        get_le32(footer + 5) != JOURNAL_SEEK_FOOTER_MAGIC || footer[4] != 0)
        return false;
    uint64_t count = get_le32(footer), bytes = count * JOURNAL_SEEK_ENTRY + JOURNAL_SEEK_FOOTER + JOURNAL_SEEK_HEAD;
    if (count > JOURNAL_ENTRIES_MAX || bytes > file_size)
        return false;
    uint8_t *table = malloc(bytes);
    if (!table)
        return false;
    uint64_t covered = 0;
    bool good = read_at(j->fd, table, bytes, file_size - bytes) == (ssize_t)bytes &&
                get_le32(table) == JOURNAL_SEEK_MAGIC && get_le32(table + 4) == bytes - JOURNAL_SEEK_HEAD;
    for (uint64_t i = 0; good && i < count; i++) {
        const uint8_t *entry = table + JOURNAL_SEEK_HEAD + i * JOURNAL_SEEK_ENTRY;
        covered += get_le32(entry);
        good = journal_add_entry(j, get_le32(entry), get_le32(entry + 4));
    }
    free(table);
    good = good && covered + bytes == file_size && journal_add_entry(j, bytes, 0);
    if (!good)
        j->entries_count = 0;
    return good;
}

/* Walks the frames (headers only) up to the last whole one. */
static int walk_frames(struct journal *j, uint64_t file_size, struct err *err) {
    struct buf window = BUF_INIT;
    size_t want = WINDOW_START;
    uint64_t at = 0;
    int rc = MF_OK;
    while (at < file_size) {
        buf_reset(&window);
        if (buf_reserve(&window, want) < 0) {
            rc = err_set(err, MF_ENOMEM, "out of memory");
            break;
        }
        ssize_t n = read_at(j->fd, window.data, want, at);
        if (n < 0) {
            rc = io_error(j, "read", err);
            break;
        }
        size_t used = 0;
        while (used < (size_t)n) {
            size_t frame = ZSTD_findFrameCompressedSize(window.data + used, (size_t)n - used);
            if (ZSTD_isError(frame))
                break;
            unsigned long long plain = ZSTD_getFrameContentSize(window.data + used, (size_t)n - used);
            if (!journal_add_entry(j, frame, plain >= ZSTD_CONTENTSIZE_ERROR ? 0 : plain)) {
                rc = err_set(err, MF_ENOMEM, "out of memory");
                goto out;
            }
            used += frame;
        }
        at += used;
        if (used)
            want = WINDOW_START;
        else if ((size_t)n < want || want >= TORN_MAX)
            break;
        else
            want *= 2;
    }
out:
    buf_fini(&window);
    j->size = at;
    return rc;
}

static int scan_native(struct journal *j, uint64_t file_size, struct err *err) {
    uint8_t *start = malloc(WINDOW_START);
    if (!start)
        return err_set(err, MF_ENOMEM, "out of memory");
    ssize_t n = read_at(j->fd, start, WINDOW_START, 0);
    bool ours = n > 0 && read_native_start(j, start, (size_t)n);
    free(start);
    if (n < 0)
        return io_error(j, "read", err);
    if (!ours)
        return err_set(err, MF_EAGAIN, "%s exists and is not a recording", j->path);
    j->size = file_size;
    bool known = seek_table_is_true(j->fd, file_size, 0, NULL) && load_seek_table(j, file_size);
    return known ? MF_OK : walk_frames(j, file_size, err);
}

static int scan_plain(struct journal *j, uint64_t file_size, struct err *err) {
    char line[FIRST_LINE_MAX + 1];
    ssize_t n = read_at(j->fd, line, FIRST_LINE_MAX, 0);
    if (n < 0)
        return io_error(j, "read", err);
    line[n] = '\0';
    if (!parse_first_line(line, &j->recorded_at_us))
        return err_set(err, MF_EAGAIN, "%s exists and is not a recording", j->path);
    /* Back to the last end of a line. */
    for (uint64_t end = file_size; end > 0;) {
        char chunk[4096];
        size_t len = (size_t)MIN(end, (uint64_t)sizeof chunk);
        if (read_at(j->fd, chunk, len, end - len) != (ssize_t)len)
            return io_error(j, "read", err);
        const char *newline = memrchr(chunk, '\n', len);
        if (newline) {
            j->size = end - len + (uint64_t)(newline - chunk) + 1;
            return MF_OK;
        }
        end -= len;
    }
    return MF_OK;
}

static int cut_torn_tail(struct journal *j, uint64_t file_size, struct err *err) {
    if (j->size == file_size)
        return MF_OK;
    if (file_size - j->size > TORN_MAX)
        return err_set(err, MF_EAGAIN, "%s is damaged after byte %llu", j->path, (unsigned long long)j->size);
    log_warn("recording_torn", "path=%s kept_bytes=%llu cut_bytes=%llu", log_quote(j->path),
             (unsigned long long)j->size, (unsigned long long)(file_size - j->size));
    return ftruncate(j->fd, (off_t)j->size) < 0 ? io_error(j, "truncate", err) : MF_OK;
}

int journal_scan(struct journal *j, enum journal_want want, struct err *err) {
    static const int flags[] = {[JOURNAL_ANY] = O_CREAT, [JOURNAL_FRESH] = O_CREAT | O_EXCL, [JOURNAL_THERE] = 0};
    j->fd = open(j->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags[want], 0600);
    if (j->fd < 0 && errno == ENOENT && want == JOURNAL_THERE)
        return err_set(err, MF_EAGAIN, "%s is gone", j->path);
    if (j->fd < 0 && (errno == EEXIST || errno == ELOOP))
        return err_set(err, MF_EAGAIN, "%s exists", j->path);
    if (j->fd < 0)
        return io_error(j, "open", err);
    if (flock(j->fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            return err_set(err, MF_EAGAIN, "%s is being written by another process", j->path);
        return io_error(j, "lock", err);
    }
    struct stat st;
    if (fstat(j->fd, &st) < 0)
        return io_error(j, "examine", err);
    if (!S_ISREG(st.st_mode))
        return err_set(err, MF_EAGAIN, "%s is not a plain file", j->path);
    j->linked = st.st_nlink > 0;
    uint64_t size = (uint64_t)st.st_size;
    if (size == 0)
        return MF_OK;
    int rc = j->plain ? scan_plain(j, size, err) : scan_native(j, size, err);
    return rc < 0 ? rc : cut_torn_tail(j, size, err);
}
