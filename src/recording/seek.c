/* Finding a time in a native file: where its frames begin, by the seek table or by walking from frame to frame, and a
 * binary search in them by the first time in each. A table is believed where it was checked: of each frame that is
 * looked at, that it begins where the one before it ends, and ends where the next begins. One that lies there is not
 * used at all (docs/session-file.md, "The native form"; RFC 8878 section 3.1). */
#include <stdlib.h>
#include <unistd.h>

#include "recording/reader_private.h"

#define ZSTD_MAGIC 0xFD2FB528u
#define SKIPPABLE_MAGIC 0x184D2A50u
#define SKIPPABLE_MASK 0xFFFFFFF0u
#define TABLE_MAGIC 0x184D2A5Eu
#define TABLE_FOOTER_MAGIC 0x8F92EAB1u
#define TABLE_FOOTER 9    /* entries (4), descriptor (1), magic (4) */
#define SKIPPABLE_HEAD 8  /* magic (4), size (4) */
#define FRAME_HEAD_MAX 18 /* RFC 8878 section 3.1.1 */
#define BLOCK_HEAD 3
#define PROBE 32 /* bytes read at a frame's beginning: its head and that of its first block, mostly its only one */
#define CHECKSUM 4
#define FRAMES_MAX (4u << 20) /* a file of more is searched no further: 32 MiB of offsets */

/* Offsets of the frames that hold lines, in order. */
struct frames {
    uint64_t *offsets;
    size_t count, cap;
    bool claimed; /* by a table: to be checked */
};

static int frames_add(struct frames *f, uint64_t offset) {
    if (f->count == f->cap) {
        size_t cap = f->cap ? f->cap * 2 : 256;
        uint64_t *p = realloc(f->offsets, cap * sizeof *p);
        if (!p)
            return MF_ENOMEM;
        f->offsets = p;
        f->cap = cap;
    }
    f->offsets[f->count++] = offset;
    return MF_OK;
}

static uint32_t little32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static bool read_at(const struct reader *r, uint64_t offset, void *to, size_t len) {
    return pread(r->input.fd, to, len, (off_t)offset) == (ssize_t)len;
}

/* --- the table --- */

/* How many bytes the table at the file's end has, and how many each of its entries; false when there is none. */
static bool find_table(const struct reader *r, uint64_t size, uint32_t *count, uint64_t *table, uint32_t *entry) {
    uint8_t foot[TABLE_FOOTER], head[SKIPPABLE_HEAD];
    if (size < SKIPPABLE_HEAD + TABLE_FOOTER || !read_at(r, size - TABLE_FOOTER, foot, sizeof foot) ||
        little32(foot + 5) != TABLE_FOOTER_MAGIC || (foot[4] & 0x7c))
        return false;
    *count = little32(foot);
    *entry = foot[4] & 0x80 ? 12 : 8; /* with a checksum of each frame */
    *table = SKIPPABLE_HEAD + (uint64_t)*count * *entry + TABLE_FOOTER;
    return *table <= size && *count <= FRAMES_MAX && read_at(r, size - *table, head, sizeof head) &&
           little32(head) == TABLE_MAGIC && little32(head + 4) == *table - SKIPPABLE_HEAD;
}

/* Takes the offsets from the table, which must account for every byte of the file. MF_EINVAL when it does not. */
static int read_table(const struct reader *r, struct frames *f) {
    uint64_t size = input_size(&r->input), table, offset = 0;
    uint32_t count, entry;
    if (!find_table(r, size, &count, &table, &entry))
        return MF_EINVAL;
    uint8_t *entries = malloc((size_t)count * entry + 1);
    if (!entries)
        return MF_ENOMEM;
    int rc = read_at(r, size - table + SKIPPABLE_HEAD, entries, (size_t)count * entry) ? MF_OK : MF_EINVAL;
    for (uint32_t i = 0; rc == MF_OK && i < count; i++) {
        const uint8_t *e = entries + (size_t)i * entry;
        if (little32(e + 4))
            rc = frames_add(f, offset);
        offset += little32(e);
    }
    free(entries);
    if (rc == MF_OK && offset != size - table)
        rc = MF_EINVAL;
    return rc;
}

/* --- without it --- */

_Static_assert(PROBE >= FRAME_HEAD_MAX + BLOCK_HEAD, "a probe holds the first block's head");

/* The end of the zstd frame at `offset`, whose first bytes are in head; 0 when the file ends first or it is none. */
static uint64_t zstd_frame_end(const struct reader *r, uint64_t offset, const uint8_t head[PROBE]) {
    static const uint8_t dictionary_bytes[4] = {0, 1, 2, 4}, size_bytes[4] = {0, 2, 4, 8};
    uint8_t descriptor = head[4];
    bool single_segment = descriptor & 0x20, checksum = descriptor & 0x04;
    unsigned size_flag = descriptor >> 6;
    uint64_t at = offset + 5 + !single_segment + dictionary_bytes[descriptor & 3] +
                  (size_flag ? size_bytes[size_flag] : single_segment);
    const uint8_t *block = head + (at - offset);
    for (uint8_t more[BLOCK_HEAD];; block = more) {
        if (block == more && !read_at(r, at, more, sizeof more))
            return 0;
        uint32_t word = (uint32_t)block[0] | (uint32_t)block[1] << 8 | (uint32_t)block[2] << 16;
        unsigned type = word >> 1 & 3; /* 0 raw, 1 one byte repeated, 2 compressed */
        if (type == 3)
            return 0;
        at += BLOCK_HEAD + (type == 1 ? 1 : word >> 3);
        if (word & 1)
            return at + (checksum ? CHECKSUM : 0);
    }
}

/* Where the frame at `offset` ends, a skippable one too; *lines: it is none of those. 0: there is no whole one. */
static uint64_t frame_end(const struct reader *r, uint64_t offset, uint64_t size, bool *lines) {
    uint8_t head[PROBE] = {0};
    if (offset >= size || pread(r->input.fd, head, sizeof head, (off_t)offset) < SKIPPABLE_HEAD)
        return 0;
    uint32_t magic = little32(head);
    *lines = magic == ZSTD_MAGIC;
    if ((magic & SKIPPABLE_MASK) == SKIPPABLE_MAGIC)
        return offset + SKIPPABLE_HEAD + little32(head + 4);
    return *lines ? zstd_frame_end(r, offset, head) : 0;
}

static int walk(const struct reader *r, struct frames *f) {
    uint64_t size = input_size(&r->input), offset = 0;
    while (f->count < FRAMES_MAX) {
        bool lines = false;
        uint64_t end = frame_end(r, offset, size, &lines);
        if (lines && frames_add(f, offset) < 0)
            return MF_ENOMEM;
        if (!end)
            break;
        offset = end;
    }
    return MF_OK;
}

/* Where the next frame with lines begins behind the one at `offset`, skippable ones passed over; 0: nowhere. */
static uint64_t next_frame(const struct reader *r, uint64_t offset, uint64_t size) {
    bool lines = true;
    uint64_t at = frame_end(r, offset, size, &lines), end = at;
    while (end && (end = frame_end(r, at, size, &lines)) && !lines)
        at = end;
    return at;
}

/* Is frame i where the table claims, as far as those around it tell? */
static bool is_sound(const struct reader *r, const struct frames *f, size_t i) {
    uint64_t size = input_size(&r->input);
    bool lines = false;
    if (!f->claimed)
        return true;
    if (!frame_end(r, f->offsets[i], size, &lines) || !lines)
        return false;
    return (i == 0 || next_frame(r, f->offsets[i - 1], size) == f->offsets[i]) &&
           (i + 1 == f->count || next_frame(r, f->offsets[i], size) == f->offsets[i + 1]);
}

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
    size_t low = 0, high = f->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        uint64_t time = 0;
        if (!is_sound(r, f, middle))
            return MF_EPROTO;
        int rc = first_time(r, f->offsets[middle], &time, err);
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
    if (!is_sound(r, f, before - 2))
        return MF_EPROTO;
    if (first_time(r, f->offsets[before - 2], &time, err) >= 0)
        *offset = f->offsets[before - 2];
    return MF_OK;
}

static int seek_in(struct reader *r, const struct frames *f, uint64_t timestamp_us, struct err *err) {
    uint64_t offset;
    bool recover = r->recover;
    r->recover = false;
    int rc = choose(r, f, timestamp_us, &offset, err);
    r->recover = recover;
    r->failed = 0;
    r->last_us = 0;
    return rc == MF_EPROTO ? rc : reader_jump(r, offset, err);
}

static int find_frames(const struct reader *r, struct frames *f, bool table, struct err *err) {
    int rc = table ? read_table(r, f) : MF_EINVAL;
    f->claimed = rc == MF_OK;
    if (rc == MF_EINVAL) {
        f->count = 0;
        rc = walk(r, f);
    }
    return rc == MF_OK ? MF_OK : err_set(err, MF_ENOMEM, "out of memory");
}

int reader_seek(struct reader *r, uint64_t timestamp_us, struct err *err) {
    r->failed = 0;
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
    int rc = find_frames(r, &f, true, err);
    if (rc == MF_OK)
        rc = seek_in(r, &f, timestamp_us, err);
    if (rc == MF_EPROTO && (rc = find_frames(r, &f, false, err)) == MF_OK)
        rc = seek_in(r, &f, timestamp_us, err);
    free(f.offsets);
    return rc;
}

/* --- from the end --- */

/* The last frame that begins at this offset or before it. */
static int frame_before(const struct reader *r, uint64_t offset, uint64_t *out, struct err *err) {
    struct frames f = {0};
    int rc = MF_EPROTO;
    for (int table = 1; table >= 0 && rc == MF_EPROTO; table--) {
        rc = find_frames(r, &f, table, err);
        size_t n = rc == MF_OK ? f.count : 0;
        while (n && f.offsets[n - 1] > offset)
            n--;
        *out = n ? f.offsets[n - 1] : 0;
        if (n && !is_sound(r, &f, n - 1))
            rc = MF_EPROTO;
    }
    free(f.offsets);
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
