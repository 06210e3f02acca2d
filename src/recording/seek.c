/* Finding a time in a native file: where its frames begin, by the seek table or by walking from frame to frame, and a
 * binary search in them by the first time in each (docs/session-file.md, "The native form"; RFC 8878 section 3.1). */
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
#define CHECKSUM 4
#define FRAMES_MAX (4u << 20) /* a file of more is searched no further: 32 MiB of offsets */

/* Offsets of the frames that hold lines, in order. */
struct frames {
    uint64_t *offsets;
    size_t count, cap;
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

/* The end of the zstd frame at `offset`, whose first bytes are in head; 0 when the file ends first or it is none. */
static uint64_t frame_end(const struct reader *r, uint64_t offset, const uint8_t *head) {
    static const uint8_t dictionary_bytes[4] = {0, 1, 2, 4}, size_bytes[4] = {0, 2, 4, 8};
    uint8_t descriptor = head[4];
    bool single_segment = descriptor & 0x20, checksum = descriptor & 0x04;
    unsigned size_flag = descriptor >> 6;
    uint64_t at = offset + 5 + !single_segment + dictionary_bytes[descriptor & 3] +
                  (size_flag ? size_bytes[size_flag] : single_segment);
    for (;;) {
        uint8_t block[BLOCK_HEAD];
        if (!read_at(r, at, block, sizeof block))
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

static int walk(const struct reader *r, struct frames *f) {
    uint64_t size = input_size(&r->input), offset = 0;
    while (offset < size && f->count < FRAMES_MAX) {
        uint8_t head[FRAME_HEAD_MAX] = {0};
        if (pread(r->input.fd, head, sizeof head, (off_t)offset) < SKIPPABLE_HEAD)
            break;
        uint32_t magic = little32(head);
        if ((magic & SKIPPABLE_MASK) == SKIPPABLE_MAGIC) {
            offset += SKIPPABLE_HEAD + (uint64_t)little32(head + 4);
            continue;
        }
        if (magic != ZSTD_MAGIC)
            break;
        if (frames_add(f, offset) < 0)
            return MF_ENOMEM;
        offset = frame_end(r, offset, head);
        if (!offset)
            break;
    }
    return MF_OK;
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

/* How many frames begin before this time. */
static int count_before(struct reader *r, const struct frames *f, uint64_t timestamp_us, size_t *out, struct err *err) {
    size_t low = 0, high = f->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        uint64_t time = 0;
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

/* Times of several connections may step back a little from line to line: one frame more is read. */
static uint64_t choose(const struct frames *f, size_t before) {
    return f->offsets && before > 2 ? f->offsets[before - 2] : 0;
}

static int seek_in(struct reader *r, struct frames *f, uint64_t timestamp_us, struct err *err) {
    size_t before = 0;
    bool recover = r->recover;
    r->recover = false;
    int rc = count_before(r, f, timestamp_us, &before, err);
    r->recover = recover;
    r->failed = 0;
    r->last_us = 0;
    /* What could not be searched is read from its beginning: the damage is told where it is met. */
    return reader_jump(r, rc == MF_OK ? choose(f, before) : 0, err);
}

int reader_seek(struct reader *r, uint64_t timestamp_us, struct err *err) {
    r->failed = 0;
    if (r->document) {
        r->ended = false;
        return document_rewind(r->document, err);
    }
    if (r->form != READER_NATIVE || timestamp_us == 0)
        return reader_jump(r, 0, err);
    struct frames f = {0};
    int rc = read_table(r, &f);
    if (rc == MF_EINVAL) {
        f.count = 0;
        rc = walk(r, &f);
    }
    if (rc == MF_OK)
        rc = seek_in(r, &f, timestamp_us, err);
    else
        rc = err_set(err, MF_ENOMEM, "out of memory");
    free(f.offsets);
    return rc;
}
