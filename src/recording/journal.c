#include "recording/journal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/log.h"
#include "recording/journal_scan.h"
#include "recording/open_list.h"

int journal_codec_init(struct journal_codec *c) {
    *c = (struct journal_codec){.zstd = ZSTD_createCCtx()};
    if (!c->zstd)
        return MF_ENOMEM;
    ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_checksumFlag, 1);
    ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_contentSizeFlag, 1);
    return MF_OK;
}

void journal_codec_fini(struct journal_codec *c) {
    ZSTD_freeCCtx(c->zstd);
    buf_fini(&c->out);
    *c = (struct journal_codec){0};
}

static void put_le32(struct buf *out, uint32_t v) {
    uint8_t b[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};
    buf_append(out, b, sizeof b);
}

/* A file that was removed takes whatever is written, for nobody; one that was truncated would get a hole. */
static bool is_taken_away(const struct journal *j) {
    struct stat st;
    return fstat(j->fd, &st) == 0 && ((!st.st_nlink && j->linked) || (uint64_t)st.st_size < j->size);
}

/* Writes all of it at the end of the file, or nothing. */
static int write_whole(struct journal *j, const uint8_t *data, size_t len) {
    size_t done = 0;
    if (is_taken_away(j))
        return JOURNAL_TAKEN_AWAY;
    while (done < len) {
        ssize_t n = pwrite(j->fd, data + done, len - done, (off_t)(j->size + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            int why = n < 0 ? errno : ENOSPC;
            if (done && ftruncate(j->fd, (off_t)j->size) < 0)
                log_error("recording_truncate", "path=%s error=%s", log_quote(j->path), strerror(errno));
            return why;
        }
        done += (size_t)n;
    }
    j->size += len;
    return 0;
}

static void failed(struct journal *j, int why, uint64_t now_us) {
    j->error = why;
    j->retry_us = now_us + JOURNAL_RETRY_US;
}

/* To the file, or behind what already waits for it. */
static void put_frame(struct journal *j, const uint8_t *data, size_t len, uint64_t now_us) {
    if (!j->pending.len) {
        int why = write_whole(j, data, len);
        if (!why)
            return;
        failed(j, why, now_us);
    }
    buf_append(&j->pending, data, len);
}

bool journal_add_entry(struct journal *j, size_t compressed, unsigned long long decompressed) {
    if (!ARRAY_ROOM(j->entries, j->entries_count, j->entries_cap, 64))
        return false;
    j->entries[j->entries_count++] = (struct journal_entry){(uint32_t)compressed, (uint32_t)decompressed};
    return true;
}

/* Level 1 with a small hash table: session lines repeat what stood a few lines before, and a table that fits in the
 * first cache is 10 to 25 % faster on them, at a ratio that is a little better (tests/bench/bench_recorder.c). */
#define FAST_WINDOW_LOG 17
#define FAST_HASH_LOG 12
#define FAST_MIN_MATCH 7
/* In a hurry: no entropy coding of literals, which is 20 % of the time and a third of the size. */
#define HURRY_TARGET_LENGTH 2

static void set_level(struct journal_codec *c, int level) {
    bool fast = level == 1, hurry = fast && c->hurry;
    if (c->level == level && c->hurried == hurry)
        return;
    ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_windowLog, fast ? FAST_WINDOW_LOG : 0);
    ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_hashLog, fast ? FAST_HASH_LOG : 0);
    ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_minMatch, fast ? FAST_MIN_MATCH : 0);
    ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_targetLength, hurry ? HURRY_TARGET_LENGTH : 0);
    c->level = level;
    c->hurried = hurry;
}

/* Compresses what was gathered. False: out of memory, the lines stay. */
static bool cut_frame(struct journal *j, struct journal_codec *c, uint64_t now_us) {
    set_level(c, j->level);
    buf_reset(&c->out);
    if (buf_reserve(&c->out, ZSTD_compressBound(j->lines.len)) < 0)
        return false;
    size_t n = ZSTD_compress2(c->zstd, c->out.data, c->out.cap, j->lines.data, j->lines.len);
    if (ZSTD_isError(n) || !journal_add_entry(j, n, j->lines.len))
        return false;
    put_frame(j, c->out.data, n, now_us);
    j->unlisted += j->lines.len;
    return true;
}

static void cut(struct journal *j, struct journal_codec *c, uint64_t now_us) {
    if (!j->lines.len)
        return;
    if (j->plain)
        put_frame(j, j->lines.data, j->lines.len, now_us);
    else if (!cut_frame(j, c, now_us))
        return;
    buf_reset(&j->lines);
    j->first_line_us = 0;
}

void journal_line_added(struct journal *j, struct journal_codec *codec, uint64_t now_us) {
    if (!j->first_line_us)
        j->first_line_us = now_us;
    if (j->lines.len >= JOURNAL_FRAME_BYTES)
        cut(j, codec, now_us);
}

void journal_flush(struct journal *j, struct journal_codec *codec, uint64_t now_us) {
    if (j->fd < 0)
        return;
    bool had_lines = j->lines.len > 0;
    cut(j, codec, now_us);
    if (j->sync_each && had_lines && !j->pending.len && fdatasync(j->fd) < 0)
        failed(j, errno, now_us);
}

static void put_list(struct journal *j, struct journal_codec *c, const struct buf *opens, uint64_t now_us) {
    set_level(c, j->level);
    buf_reset(&c->out);
    if (buf_reserve(&c->out, OPEN_LIST_HEAD + ZSTD_compressBound(opens->len)) < 0)
        return;
    size_t n =
        ZSTD_compress2(c->zstd, c->out.data + OPEN_LIST_HEAD, c->out.cap - OPEN_LIST_HEAD, opens->data, opens->len);
    if (ZSTD_isError(n) || !journal_add_entry(j, OPEN_LIST_HEAD + n, 0))
        return;
    open_list_head(c->out.data, (uint32_t)n);
    put_frame(j, c->out.data, OPEN_LIST_HEAD + n, now_us);
}

void journal_list(struct journal *j, struct journal_codec *codec, struct buf *opens, uint64_t now_us) {
    if (opens->failed || opens->len > OPEN_LIST_MAX) {
        j->list_at = j->unlisted + JOURNAL_LIST_EVERY; /* perhaps then */
    } else if ((uint64_t)opens->len * JOURNAL_LIST_SHARE > j->unlisted) {
        j->list_at = (uint64_t)opens->len * JOURNAL_LIST_SHARE;
    } else {
        cut(j, codec, now_us);
        if (!j->lines.len) {
            put_list(j, codec, opens, now_us);
            j->unlisted = j->list_at = 0;
        }
    }
    buf_fini(opens);
}

void journal_retry(struct journal *j, uint64_t now_us) {
    if (!j->error || now_us < j->retry_us || j->fd < 0)
        return;
    int why = j->pending.len ? write_whole(j, j->pending.data, j->pending.len) : 0;
    if (why) {
        failed(j, why, now_us);
        return;
    }
    buf_fini(&j->pending);
    j->error = 0;
}

void journal_adopt(struct journal *j, struct buf *frames, uint64_t now_us) {
    for (size_t at = 0; !j->plain && at < frames->len;) {
        size_t n = ZSTD_findFrameCompressedSize(frames->data + at, frames->len - at);
        MUST(!ZSTD_isError(n));
        /* Without memory for its entry the table is not written: it must account for every byte. */
        j->no_table |= !journal_add_entry(j, n, ZSTD_getFrameContentSize(frames->data + at, n));
        at += n;
    }
    if (frames->len)
        put_frame(j, frames->data, frames->len, now_us);
    buf_fini(frames);
}

uint64_t journal_size(const struct journal *j) {
    return j->size + j->pending.len;
}

/* zstd's seekable format: docs/session-file.md. */
static int write_seek_table(struct journal *j) {
    struct buf table = BUF_INIT;
    put_le32(&table, JOURNAL_SEEK_MAGIC);
    put_le32(&table, (uint32_t)(j->entries_count * JOURNAL_SEEK_ENTRY + JOURNAL_SEEK_FOOTER));
    for (size_t i = 0; i < j->entries_count; i++) {
        put_le32(&table, j->entries[i].compressed);
        put_le32(&table, j->entries[i].decompressed);
    }
    put_le32(&table, (uint32_t)j->entries_count);
    buf_putc(&table, 0);
    put_le32(&table, JOURNAL_SEEK_FOOTER_MAGIC);
    int why = table.failed ? ENOMEM : write_whole(j, table.data, table.len);
    buf_fini(&table);
    return why;
}

int journal_finish(struct journal *j, struct journal_codec *codec, uint64_t now_us, uint64_t *size) {
    *size = 0;
    if (j->fd < 0)
        return MF_OK;
    journal_flush(j, codec, now_us);
    j->retry_us = 0;
    journal_retry(j, now_us);
    int why = j->pending.len || j->lines.len ? j->error : 0;
    /* Without its table a file is whole all the same, only slower to search. */
    if (!why && !j->plain && j->entries_count && !j->no_table)
        why = write_seek_table(j);
    if (!why && j->sync_at_end && fsync(j->fd) < 0)
        why = errno;
    if (why)
        log_error("recording_unfinished", "path=%s error=%s", log_quote(j->path), strerror(why));
    *size = j->size;
    journal_drop(j);
    return why ? MF_EIO : MF_OK;
}

void journal_drop(struct journal *j) {
    if (j->fd >= 0)
        close(j->fd);
    free(j->path);
    free(j->entries);
    buf_fini(&j->lines);
    buf_fini(&j->pending);
    *j = (struct journal){.fd = -1};
}

int journal_open(struct journal *j, const char *path, const struct journal_options *options, struct err *err) {
    *j = (struct journal){.fd = -1,
                          .plain = options->plain,
                          .sync_each = options->sync_each,
                          .sync_at_end = options->sync_at_end,
                          .level = options->level ? options->level : 1,
                          .path = strdup(path)};
    int rc = j->path ? journal_scan(j, options->want, err) : err_set(err, MF_ENOMEM, "out of memory");
    if (rc < 0)
        journal_drop(j);
    return rc;
}
