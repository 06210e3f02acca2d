/* Is the seek table at a file's end true? Its entries and the frames' heads are gone through side by side, once. */
#include <zstd.h>

#include "recording/frames.h"

/* The two sides. They have separate places in the file, and so a peek each. */
struct check {
    struct frame_peek frames, entries;
    uint64_t size;
    struct seek_table table;
    struct err *err;
};

enum verdict { TRUE_TABLE, FALSE_TABLE, OTHER_BEGIN };

typedef unsigned long long ull;

static enum verdict say_false(struct check *c, uint64_t at, const char *what, uint64_t there, uint64_t said) {
    err_set(c->err, MF_EINVAL, "byte %llu: %s %llu; the seek table (byte %llu) says %llu", (ull)at, what, (ull)there,
            (ull)c->table.at, (ull)said);
    return FALSE_TABLE;
}

/* Where the frames begin that the table tells of, by the sum of its entries; 0 when that is more than there is. */
static uint64_t begin_of_entries(struct check *c) {
    struct seek_entry e;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < c->table.count && sum <= c->table.at && seek_table_entry(&c->entries, &c->table, i, &e);
         i++)
        sum += e.compressed;
    return sum <= c->table.at ? c->table.at - sum : 0;
}

static enum verdict compare(struct check *c, uint64_t at, const struct frame *frame, const struct seek_entry *e) {
    if (frame->end != at + e->compressed)
        return say_false(c, at, "the size of the frame that begins here is", frame->end - at, e->compressed);
    bool known = frame->content != ZSTD_CONTENTSIZE_UNKNOWN && frame->content != ZSTD_CONTENTSIZE_ERROR;
    if (known && frame->content != e->decompressed)
        return say_false(c, at, "the decompressed size of the frame that begins here is", frame->content,
                         e->decompressed);
    return TRUE_TABLE;
}

/* The entries from number i on, with the frames from `at` on. What is no frame ends it: that is not the table's fault.
 */
static enum verdict compare_all(struct check *c, uint64_t at, uint32_t i) {
    struct seek_entry e;
    struct frame frame;
    for (; at < c->table.at; at = frame.end, i++) {
        if (!frame_look(&c->frames, at, c->size, &frame))
            return TRUE_TABLE;
        if (i == c->table.count)
            return say_false(c, at, "the size of all frames from here to the seek table is", c->table.at - at, 0);
        enum verdict v = seek_table_entry(&c->entries, &c->table, i, &e) ? compare(c, at, &frame, &e) : TRUE_TABLE;
        if (v != TRUE_TABLE)
            return v;
    }
    return i == c->table.count
               ? TRUE_TABLE
               : say_false(c, c->table.at, "the number of frames before the seek table is", i, c->table.count);
}

/* The table of the frames from `begin` on, of which those before `from` are let be. OTHER_BEGIN: no frame begins there
 * that follows another file's table, or no entry is of the one at `from`. */
static enum verdict check_from(struct check *c, uint64_t begin, uint64_t from) {
    struct seek_entry e;
    struct frame frame = {.magic = SEEK_TABLE_MAGIC};
    uint64_t claimed = begin;
    uint32_t i = 0;
    for (; claimed < from && i < c->table.count && seek_table_entry(&c->entries, &c->table, i, &e); i++)
        claimed += e.compressed;
    while (from < claimed && frame_look(&c->frames, from, c->size, &frame))
        from = frame.end;
    return from == claimed && frame.magic == SEEK_TABLE_MAGIC ? compare_all(c, from, i) : OTHER_BEGIN;
}

/* Is the last frame meant as a table, though it cannot be read as one? Without that end it is somebody else's. */
static enum verdict check_last(struct check *c, uint64_t from) {
    struct frame frame = {0};
    uint8_t foot[SEEK_TABLE_FOOTER];
    uint64_t at = from, last = from;
    if (c->size < sizeof foot || !frame_peek(&c->entries, c->size - sizeof foot, foot, sizeof foot) ||
        frame_little32(foot + 5) != SEEK_TABLE_FOOTER_MAGIC)
        return TRUE_TABLE;
    for (; at < c->size && frame_look(&c->frames, at, c->size, &frame); at = frame.end)
        last = at;
    if (at != c->size || frame.magic != SEEK_TABLE_MAGIC)
        return TRUE_TABLE;
    err_set(c->err, MF_EINVAL,
            "byte %llu: the seek table that begins here has %llu bytes, and says that it has %u entries (descriptor "
            "0x%02x)",
            (ull)last, (ull)(c->size - last), frame_little32(foot), foot[4]);
    return FALSE_TABLE;
}

bool seek_table_is_true(int fd, uint64_t size, uint64_t from, struct err *err) {
    struct check c = {.frames = {.fd = fd}, .entries = {.fd = fd}, .size = size, .err = err};
    if (!seek_table_find(&c.entries, size, &c.table))
        return check_last(&c, from) == TRUE_TABLE;
    uint64_t begin = begin_of_entries(&c);
    enum verdict v = check_from(&c, begin, from);
    if (v == OTHER_BEGIN)
        v = check_from(&c, 0, 0);
    return v != FALSE_TABLE;
}
