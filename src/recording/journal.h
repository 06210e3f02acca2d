/* One file of lines that is being written: native (.jsonl.zst) or plain (.jsonl).
 *
 * Lines are gathered in memory and cut into frames (a plain file's "frame" is a run of lines). A frame is in the file
 * whole or not at all: what a full disk cut short is taken back, kept, and tried again later. Knows nothing of
 * connections. Thread: the writer's; blocks on the disk. */
#ifndef MF_RECORDING_JOURNAL_H
#define MF_RECORDING_JOURNAL_H

#include <errno.h>
#include <zstd.h>

#include "base/buf.h"
#include "base/err.h"

#define JOURNAL_FRAME_BYTES (128u << 10) /* of lines in a frame; docs/session-file.md */
#define JOURNAL_LINES_START (16u << 10)
#define JOURNAL_PENDING_MAX (4u << 20) /* frames kept for a disk that takes none; then lines are refused */
#define JOURNAL_LIST_EVERY (16u << 20) /* bytes of lines between two lists of open connections */
#define JOURNAL_LIST_SHARE 64u         /* …and so many times what the list has: under 2 % of them */
#define JOURNAL_RETRY_US 1000000u
/* As j->error: the file was removed or truncated by somebody, and what was not written yet is in `pending`. */
#define JOURNAL_TAKEN_AWAY ESTALE
#define JOURNAL_ENTRIES_MAX 1000000u /* seek table: 8 MB; journal_full() says so */

/* zstd for one writer thread: one context (1.3 MB at level 1) for all of its recordings. */
struct journal_codec {
    ZSTD_CCtx *zstd;
    int level;    /* that is set in zstd now */
    bool hurry;   /* the rings run full: level 1 leaves out what saves space but costs time */
    bool hurried; /* that is set in zstd now */
    struct buf out;
};
MF_MUSTCHECK int journal_codec_init(struct journal_codec *c);
void journal_codec_fini(struct journal_codec *c);

struct journal_entry {
    uint32_t compressed, decompressed;
};

struct journal {
    char *path;
    int fd; /* -1: not open */
    bool plain, sync_each, sync_at_end;
    bool linked;   /* the file had a name when it was opened, as far as its file system tells */
    bool no_table; /* an entry is missing */
    int level;
    struct buf lines;              /* not yet in a frame */
    uint64_t first_line_us;        /* when its first line came; 0: there is none */
    struct buf pending;            /* frames that the disk did not take */
    uint64_t size;                 /* bytes of whole frames in the file */
    int error;                     /* errno of the last failure; 0: the disk works */
    uint64_t retry_us;             /* when to try again */
    struct journal_entry *entries; /* of every frame, those in pending too */
    size_t entries_count, entries_cap;
    uint64_t unlisted;      /* bytes of lines since the last list of open connections */
    uint64_t list_at;       /* so many are to be there before the next one */
    int64_t recorded_at_us; /* of a file that existed already: from its first line; 0 otherwise */
};

enum journal_want {
    JOURNAL_ANY,   /* go on with the file, or make it */
    JOURNAL_FRESH, /* it must not exist yet */
    JOURNAL_THERE, /* it must exist */
};

struct journal_options {
    bool plain, sync_each, sync_at_end;
    int level; /* 0: 1 */
    enum journal_want want;
};

/* Opens or creates path and finds the end of its last whole frame; a frame or a line that a crash cut is removed, and
 * that is logged. MF_EAGAIN: another process is writing it, or it is not as wanted, or not a session file of this form
 * (err says which): take another name. MF_EIO, MF_ENOMEM: err says why. */
MF_MUSTCHECK int journal_open(struct journal *j, const char *path, const struct journal_options *options,
                              struct err *err);
static inline bool journal_is_open(const struct journal *j) {
    return j->fd >= 0;
}

/* May more lines be added? Not while the disk takes nothing and what waits for it has reached JOURNAL_PENDING_MAX. */
static inline bool journal_accepts(const struct journal *j) {
    return j->fd >= 0 && j->pending.len < JOURNAL_PENDING_MAX;
}
/* Call after a whole line was appended to j->lines. Cuts a frame when there is enough. now_us: clock_mono_us(). */
void journal_line_added(struct journal *j, struct journal_codec *codec, uint64_t now_us);
/* Everything that was added goes to the file. A failure is kept in j->error, and the frames in memory. */
void journal_flush(struct journal *j, struct journal_codec *codec, uint64_t now_us);
/* Tries frames that the disk refused again, when it is time. */
void journal_retry(struct journal *j, uint64_t now_us);
/* Is it time for a list of the open connections? Not in a plain file, and not while the disk takes nothing. */
static inline bool journal_wants_list(const struct journal *j) {
    return j->unlisted >= JOURNAL_LIST_EVERY && j->unlisted >= j->list_at && !j->plain && !j->error && j->fd >= 0;
}
/* Writes it behind what was added so far: their open lines. When they are many it waits until they are little beside
 * the file. Empties the buffer. */
void journal_list(struct journal *j, struct journal_codec *codec, struct buf *opens, uint64_t now_us);
/* Frames of another file, its `pending`, go to this one. Empties the buffer. */
void journal_adopt(struct journal *j, struct buf *frames, uint64_t now_us);
/* Bytes in the file once everything that was cut so far is written. */
uint64_t journal_size(const struct journal *j);
static inline bool journal_full(const struct journal *j) {
    return j->entries_count >= JOURNAL_ENTRIES_MAX;
}
/* Flushes, writes the seek table, syncs when asked for, closes. MF_EIO: something is not in the file; it is readable
 * up to its last whole frame. *size: the file's bytes. The struct is empty after it. */
int journal_finish(struct journal *j, struct journal_codec *codec, uint64_t now_us, uint64_t *size);
/* Closes without another byte, and frees. */
void journal_drop(struct journal *j);

#endif
