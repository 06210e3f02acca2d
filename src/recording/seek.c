/* Finding a time in a native file: where its frames begin, by the seek table or by walking from frame to frame, and a
 * binary search in them by the first time in each. A table is believed where it was checked: of each frame that is
 * looked at, that it begins where the one before it ends, and ends where the next begins. One that lies there is not
 * used at all (docs/session-file.md, "The native form"; RFC 8878 section 3.1). */
#include <string.h>
#include <unistd.h>

#include "recording/reader_private.h"

/* --- the search --- */

/* The first time in the frame at this offset, or after it: 1; 0 when none comes. */
static int first_time(struct reader *r, uint64_t offset, uint64_t *out, struct err *err) {
    struct session_event e;
    int rc = reader_jump(r, offset, err);
    while (rc >= 0 && (rc = reader_next(r, &e, err)) > 0 && e.type == EVENT_RECORDING)
        ;
    if (rc > 0)
        *out = e.timestamp_us;
    return rc;
}

/* How many frames begin before this time. MF_EPROTO: the table lies. */
static int count_before(struct reader *r, const struct frames *f, uint64_t timestamp_us, size_t *out, struct err *err) {
    size_t low = 0, high = f->lines.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        uint64_t time = 0;
        if (!frames_are_sound(r, f, middle))
            return MF_EPROTO;
        int rc = first_time(r, f->lines.items[middle], &time, err);
        if (rc < 0)
            return rc;
        if (rc > 0 && time < timestamp_us)
            low = middle + 1;
        else
            high = middle;
    }
    *out = low;
    return MF_OK;
}

/* Where to begin. Times of several connections may step back a little from line to line: one frame more is read. What
 * could not be searched, or holds no whole lines by itself, is read from the file's beginning: damage is told where it
 * is met. MF_EPROTO as above. */
static int choose(struct reader *r, const struct frames *f, uint64_t timestamp_us, uint64_t *offset, struct err *err) {
    size_t before = 0;
    uint64_t time;
    *offset = 0;
    int rc = count_before(r, f, timestamp_us, &before, err);
    if (rc < 0 || before <= 2)
        return rc;
    if (!frames_are_sound(r, f, before - 2))
        return MF_EPROTO;
    if (first_time(r, f->lines.items[before - 2], &time, err) >= 0)
        *offset = f->lines.items[before - 2];
    return MF_OK;
}

static int seek_in(struct reader *r, const struct frames *f, uint64_t timestamp_us, struct err *err) {
    uint64_t offset;
    bool recover = r->recover, growing = r->growing;
    r->recover = false;
    r->growing = true;
    int rc = choose(r, f, timestamp_us, &offset, err);
    r->recover = recover;
    r->growing = growing;
    r->failed = 0;
    r->last_us = 0;
    if (rc == MF_EPROTO)
        return rc;
    r->sought = offset;
    return reader_jump(r, offset, err);
}

int reader_seek(struct reader *r, uint64_t timestamp_us, struct err *err) {
    r->failed = 0;
    r->sought = 0;
    if (r->document) {
        r->ended = false;
        return document_rewind(r->document, err);
    }
    if (r->har) {
        r->ended = false;
        return har_rewind(r->har, err);
    }
    if (r->form != READER_NATIVE || timestamp_us == 0)
        return reader_jump(r, 0, err);
    struct frames f = {0};
    int rc = frames_find(r, &f, true, err);
    if (rc == MF_OK)
        rc = seek_in(r, &f, timestamp_us, err);
    r->table_lies = rc == MF_EPROTO;
    if (r->table_lies && (rc = frames_find(r, &f, false, err)) == MF_OK)
        rc = seek_in(r, &f, timestamp_us, err);
    frames_fini(&f);
    return rc;
}

/* --- from the end --- */

/* The last frame that begins at this offset or before it. */
static int frame_before(const struct reader *r, uint64_t offset, uint64_t *out, struct err *err) {
    struct frames f = {0};
    int rc = MF_EPROTO;
    for (int table = 1; table >= 0 && rc == MF_EPROTO; table--) {
        rc = frames_find(r, &f, table, err);
        size_t n = rc == MF_OK ? f.lines.count : 0;
        while (n && f.lines.items[n - 1] > offset)
            n--;
        *out = n ? f.lines.items[n - 1] : 0;
        if (n && !frames_are_sound(r, &f, n - 1))
            rc = MF_EPROTO;
    }
    frames_fini(&f);
    return rc;
}

/* Where the first line begins behind this offset of a plain file; its beginning when none does within a line's length.
 */
static uint64_t line_behind(const struct reader *r, uint64_t offset) {
    uint8_t chunk[4096];
    uint64_t at = offset - 1;
    while (at < offset + READER_LINE_MAX) {
        ssize_t n = pread(r->input.fd, chunk, sizeof chunk, (off_t)at);
        if (n <= 0)
            return 0;
        const uint8_t *newline = memchr(chunk, '\n', (size_t)n);
        if (newline)
            return at + (uint64_t)(newline - chunk) + 1;
        at += (uint64_t)n;
    }
    return 0;
}

int reader_seek_end(struct reader *r, uint64_t bytes, struct err *err) {
    uint64_t size = input_size(&r->input), to = 0;
    int rc = MF_OK;
    r->failed = 0;
    if (r->document) {
        r->ended = false;
        rc = document_rewind(r->document, err);
        return rc < 0 ? rc : 0;
    }
    if (r->har) {
        r->ended = false;
        rc = har_rewind(r->har, err);
        return rc < 0 ? rc : 0;
    }
    if (size > bytes && r->form == READER_NATIVE)
        rc = frame_before(r, size - bytes, &to, err);
    else if (size > bytes)
        to = line_behind(r, size - bytes);
    if (rc == MF_OK)
        rc = reader_jump(r, to, err);
    return rc < 0 ? rc : to > 0;
}
