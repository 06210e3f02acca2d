/* A session file's bytes, plain or out of zstd frames, whichever it holds.
 *
 * Decompresses as it goes: memory is the zstd window (128 MiB at most, else the file is refused) and one buffer,
 * however much a frame expands to. Skippable frames are passed over wherever they stand. The end of the file is only an
 * end for now: when it has grown, input_fill() goes on. Thread: the owner's; blocks on the disk. */
#ifndef MF_RECORDING_READER_INPUT_H
#define MF_RECORDING_READER_INPUT_H

#include "base/buf.h"
#include "base/err.h"

#define INPUT_CHUNK (128u << 10)
#define INPUT_PADDING 16 /* bytes that can be read after what input_fill() appended */

struct input {
    char *path;
    int fd;
    bool zstd;
    bool borrowed;   /* the descriptor is somebody else's, who lives longer */
    size_t chunk;    /* of plain bytes read at a time; 0: INPUT_CHUNK */
    uint64_t offset; /* in the file, of the next byte to be read */

    /* zstd */
    struct ZSTD_DCtx_s *dctx;
    uint8_t *raw; /* bytes read from the file, of which raw[raw_at..raw_len) are not decompressed yet */
    size_t raw_at, raw_len;
    uint64_t frame_begin; /* offset of the zstd frame that is being read */
    bool in_frame;
    bool more_output; /* the last call filled its room: there may be more without further input */
};

MF_MUSTCHECK int input_open(struct input *in, const char *path, struct err *err);
/* Another place in the same plain file, with the same descriptor; small chunks, as there may be many of these. */
MF_MUSTCHECK int input_share(struct input *in, const struct input *of, struct err *err);
/* Zeroed memory is accepted. */
void input_close(struct input *in);

/* Appends some bytes to out, a little over a MiB at most, with room for INPUT_PADDING more after them: 1; 0 at the end of the
 * file as it is now; negative with err. */
MF_MUSTCHECK int input_fill(struct input *in, struct buf *out, struct err *err);
/* The file ends in the middle of a zstd frame. */
bool input_torn(const struct input *in);
/* Goes on at this offset: a zstd frame's beginning, or any byte of a plain file. */
MF_MUSTCHECK int input_seek(struct input *in, uint64_t offset, struct err *err);
/* After an error in a zstd frame: goes to the next frame's magic number behind its beginning; 1, or 0 when there is
 * none. */
MF_MUSTCHECK int input_skip_frame(struct input *in, struct err *err);
/* How much of the file was used up, and its size now. */
uint64_t input_position(const struct input *in);
uint64_t input_size(const struct input *in);

#endif
