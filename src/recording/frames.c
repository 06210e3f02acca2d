/* Where the zstd frames of a native file begin: by the seek table at its end, or by walking from frame to frame, of
 * which only the heads are read (docs/session-file.md, "The native form"; RFC 8878 section 3.1). */
#include "recording/frames.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "base/array.h"
#include "base/buf.h"
#include "recording/reader_private.h"

#define SKIPPABLE_HEAD 8  /* magic (4), size (4) */
#define FRAME_HEAD_MAX 18 /* RFC 8878 section 3.1.1 */
#define BLOCK_HEAD 3
#define PROBE 32 /* bytes read at a frame's beginning: its head and that of its first block, mostly its only one */
#define CHECKSUM 4
#define FRAMES_MAX (4u << 20) /* a file of more is searched no further: 32 MiB of offsets */

static int offsets_add(struct offsets *o, uint64_t offset) {
    if (!ARRAY_ROOM(o->items, o->count, o->cap, 256))
        return MF_ENOMEM;
    o->items[o->count++] = offset;
    return MF_OK;
}

void frames_fini(struct frames *f) {
    free(f->lines.items);
    free(f->others.items);
    *f = (struct frames){0};
}

/* Frames that are small, and blocks, lie near one another: then more is read than is asked for. */
bool frame_peek(struct frame_peek *p, uint64_t offset, void *to, size_t len) {
    if (offset < p->at || offset + len > p->at + p->len) {
        bool near = p->len && offset >= p->at && offset - p->at < sizeof p->data;
        ssize_t n = pread(p->fd, p->data, near ? sizeof p->data : len, (off_t)offset);
        p->at = offset;
        p->len = n > 0 ? (size_t)n : 0;
    }
    size_t there = MIN(len, p->len - (size_t)(offset - p->at));
    memcpy(to, p->data + (offset - p->at), there);
    return there == len;
}

/* --- the table --- */

bool seek_table_find(struct frame_peek *p, uint64_t size, struct seek_table *out) {
    uint8_t foot[SEEK_TABLE_FOOTER], head[SKIPPABLE_HEAD];
    if (size < SKIPPABLE_HEAD + SEEK_TABLE_FOOTER || !frame_peek(p, size - sizeof foot, foot, sizeof foot) ||
        frame_little32(foot + 5) != SEEK_TABLE_FOOTER_MAGIC || (foot[4] & 0x7c))
        return false;
    out->count = frame_little32(foot);
    out->entry = foot[4] & 0x80 ? 12 : 8; /* with a checksum of each frame */
    uint64_t bytes = SKIPPABLE_HEAD + (uint64_t)out->count * out->entry + SEEK_TABLE_FOOTER;
    out->at = size - MIN(size, bytes);
    return bytes <= size && frame_peek(p, out->at, head, sizeof head) && frame_little32(head) == SEEK_TABLE_MAGIC &&
           frame_little32(head + 4) == bytes - SKIPPABLE_HEAD;
}

bool seek_table_entry(struct frame_peek *p, const struct seek_table *t, uint32_t i, struct seek_entry *out) {
    uint8_t e[8];
    if (!frame_peek(p, t->at + SKIPPABLE_HEAD + (uint64_t)i * t->entry, e, sizeof e))
        return false;
    *out = (struct seek_entry){.compressed = frame_little32(e), .decompressed = frame_little32(e + 4)};
    return true;
}

/* Takes the offsets from the table, which must account for every byte of the file. MF_EINVAL when it does not. */
static int read_table(const struct reader *r, struct frames *f) {
    struct frame_peek p = {.fd = r->input.fd};
    struct seek_table t;
    struct seek_entry e;
    uint64_t offset = 0;
    if (!seek_table_find(&p, input_size(&r->input), &t) || t.count > FRAMES_MAX)
        return MF_EINVAL;
    for (uint32_t i = 0; i < t.count; i++) {
        if (!seek_table_entry(&p, &t, i, &e))
            return MF_EINVAL;
        if (offsets_add(e.decompressed ? &f->lines : &f->others, offset) < 0)
            return MF_ENOMEM;
        offset += e.compressed;
    }
    return offset == t.at ? MF_OK : MF_EINVAL;
}

/* --- without it --- */

_Static_assert(PROBE >= FRAME_HEAD_MAX + BLOCK_HEAD, "a probe holds the first block's head");

/* The end of the zstd frame at `offset`, whose first bytes are in head; 0 when the file ends first or it is none. */
static uint64_t zstd_frame_end(struct frame_peek *p, uint64_t offset, const uint8_t head[PROBE]) {
    static const uint8_t dictionary_bytes[4] = {0, 1, 2, 4}, size_bytes[4] = {0, 2, 4, 8};
    uint8_t descriptor = head[4];
    bool single_segment = descriptor & 0x20, checksum = descriptor & 0x04;
    unsigned size_flag = descriptor >> 6;
    uint64_t at = offset + 5 + !single_segment + dictionary_bytes[descriptor & 3] +
                  (size_flag ? size_bytes[size_flag] : single_segment);
    const uint8_t *block = head + (at - offset);
    for (uint8_t more[BLOCK_HEAD];; block = more) {
        if (block == more && !frame_peek(p, at, more, sizeof more))
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

bool frame_look(struct frame_peek *p, uint64_t offset, uint64_t size, struct frame *out) {
    uint8_t head[PROBE] = {0};
    *out = (struct frame){0};
    if (offset >= size || (!frame_peek(p, offset, head, sizeof head) && size - offset < SKIPPABLE_HEAD))
        return false;
    out->magic = frame_little32(head);
    out->lines = out->magic == ZSTD_MAGICNUMBER;
    if ((out->magic & ZSTD_MAGIC_SKIPPABLE_MASK) == ZSTD_MAGIC_SKIPPABLE_START)
        out->end = offset + SKIPPABLE_HEAD + frame_little32(head + 4);
    else if (out->lines)
        out->end = zstd_frame_end(p, offset, head);
    out->content = out->lines ? ZSTD_getFrameContentSize(head, sizeof head) : 0;
    return out->end > offset;
}

uint64_t frame_end(const struct reader *r, uint64_t offset, uint64_t size, bool *lines) {
    struct frame_peek p = {.fd = r->input.fd};
    struct frame frame;
    (void)frame_look(&p, offset, size, &frame);
    *lines = frame.lines;
    return frame.end;
}

static int walk(const struct reader *r, struct frames *f) {
    struct frame_peek p = {.fd = r->input.fd};
    uint64_t size = input_size(&r->input), offset = 0;
    bool whole = true;
    while (whole && f->lines.count + f->others.count < FRAMES_MAX) {
        struct frame frame;
        whole = frame_look(&p, offset, size, &frame);
        if ((frame.lines || whole) && offsets_add(frame.lines ? &f->lines : &f->others, offset) < 0)
            return MF_ENOMEM;
        offset = frame.end;
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

bool frames_are_sound(const struct reader *r, const struct frames *f, size_t i) {
    uint64_t size = input_size(&r->input);
    bool lines = false;
    if (!f->claimed)
        return true;
    if (!frame_end(r, f->lines.items[i], size, &lines) || !lines)
        return false;
    return (i == 0 || next_frame(r, f->lines.items[i - 1], size) == f->lines.items[i]) &&
           (i + 1 == f->lines.count || next_frame(r, f->lines.items[i], size) == f->lines.items[i + 1]);
}

int frames_find(const struct reader *r, struct frames *f, bool table, struct err *err) {
    int rc = table ? read_table(r, f) : MF_EINVAL;
    f->claimed = rc == MF_OK;
    if (rc == MF_EINVAL) {
        f->lines.count = f->others.count = 0;
        rc = walk(r, f);
    }
    return rc == MF_OK ? MF_OK : err_set(err, MF_ENOMEM, "out of memory");
}
