/* Decompresses a session file ahead of who reads it, on a thread of its own.
 *
 * The thread makes the very calls of input_fill() that the reader would make, in their order, and leaves what each gave
 * in one of a few buffers (AHEAD_BLOCKS; a block is some 128 KiB, a MiB at most). The first call that gives no bytes
 * (the file's end as it is now, or an error) is its last: it has ended before the reader hears of that.
 *
 * Who owns what: from ahead_start() on the input belongs to the thread, but for its path and its descriptor, which do
 * not change; from ahead_stop() on, or when ahead_take() gave 0 or an error, to the reader again. A block belongs to
 * the thread until it is counted as made, then to the reader until it is counted as taken; the two counts are under the
 * lock. Calls: one thread, the reader's. */
#ifndef MF_RECORDING_READER_AHEAD_H
#define MF_RECORDING_READER_AHEAD_H

#include "recording/reader_input.h"

#define AHEAD_BLOCKS 4u

struct ahead;

/* NULL: there is no thread or no memory to be had; the reader goes on by itself. */
struct ahead *ahead_start(struct input *in);
/* As input_fill(). *frame_begin and *position are the input's as they were after this block. */
MF_MUSTCHECK int ahead_take(struct ahead *a, struct buf *out, uint64_t *frame_begin, uint64_t *position,
                            struct err *err);
/* Ends the thread and frees everything; NULL is accepted. The input stands wherever the thread was: input_seek() or
 * input_skip_frame() come next, unless ahead_take() gave 0 or an error. */
void ahead_stop(struct ahead *a);

#endif
