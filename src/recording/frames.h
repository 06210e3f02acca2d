/* The zstd frames of a native file, found by their heads: nothing is decompressed. Thread: the caller's; blocks on the
 * disk. */
#ifndef MF_RECORDING_FRAMES_H
#define MF_RECORDING_FRAMES_H

#include "base/err.h"

struct reader;

static inline uint32_t frame_little32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* ---- the file's bytes, a few here and a few there ---- */
struct frame_peek {
    int fd;
    uint64_t at; /* data is what stands there */
    size_t len;
    uint8_t data[4096];
};
/* At most sizeof p->data bytes. False: the file ends first; `to` has what there is of it. */
bool frame_peek(struct frame_peek *p, uint64_t offset, void *to, size_t len);

/* ---- one frame ---- */
struct frame {
    uint32_t magic;
    bool lines;       /* it is no skippable one */
    uint64_t end;     /* where the next one begins; 0: it is cut off, or no frame */
    uint64_t content; /* bytes when decompressed, as it says; ZSTD_CONTENTSIZE_UNKNOWN, _ERROR. Skippable: 0 */
};
/* False when end is 0. A whole one may end behind `size`, too. */
bool frame_look(struct frame_peek *p, uint64_t offset, uint64_t size, struct frame *out);

/* ---- the table at the file's end ---- */
#define SEEK_TABLE_MAGIC 0x184D2A5Eu
#define SEEK_TABLE_FOOTER_MAGIC 0x8F92EAB1u
#define SEEK_TABLE_FOOTER 9 /* entries (4), descriptor (1), magic (4) */

struct seek_table {
    uint64_t at;           /* where it begins */
    uint32_t count, entry; /* bytes of each */
};
struct seek_entry {
    uint32_t compressed, decompressed;
};
/* The one that ends at `size`. */
bool seek_table_find(struct frame_peek *p, uint64_t size, struct seek_table *out);
bool seek_table_entry(struct frame_peek *p, const struct seek_table *t, uint32_t i, struct seek_entry *out);
/* Does a file of so many bytes end in a table that says what the frames before it are, from the one at `from` on? True,
 * too, of one without a table, and of one whose table tells of the frames behind an older one only (files that were put
 * one behind the other). False: err says where the table is wrong, what it says and what is there. */
bool seek_table_is_true(int fd, uint64_t size, uint64_t from, struct err *err);

/* ---- all frames ---- */
struct offsets {
    uint64_t *items;
    size_t count, cap;
};
struct frames {
    struct offsets lines, others; /* those that hold lines, and skippable ones; each in order */
    bool claimed;                 /* by a table: to be checked */
};

/* By the table at the file's end, when it is there and asked for; otherwise by walking from frame to frame. MF_ENOMEM.
 */
MF_MUSTCHECK int frames_find(const struct reader *r, struct frames *f, bool table, struct err *err);
void frames_fini(struct frames *f);
/* Is the frame of lines number i where a table claims, as far as those around it tell? */
bool frames_are_sound(const struct reader *r, const struct frames *f, size_t i);
/* Where the frame at `offset` ends, a skippable one too; *lines: it is none of those. 0: there is no whole one. */
uint64_t frame_end(const struct reader *r, uint64_t offset, uint64_t size, bool *lines);

#endif
