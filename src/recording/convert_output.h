/* A session file being written by the converter: bytes or lines into a temporary file beside the target, compressed in
 * independent zstd frames where the form wants it, then put in the target's place in one step. Thread: the owner's. */
#ifndef MF_RECORDING_CONVERT_OUTPUT_H
#define MF_RECORDING_CONVERT_OUTPUT_H

#include "base/buf.h"
#include "base/err.h"

struct output {
    char *path, *temporary;
    int fd;
    struct buf pending; /* not written yet: the caller appends here, at the end of a line output_line_done() */

    /* zstd */
    struct ZSTD_CCtx_s *cctx;
    struct buf packed;
    bool seek_table;
    struct buf sizes; /* of the frames so far: pairs of little-endian u32, as in the seek table */
};

struct output_options {
    bool zstd, seek_table;
    int level; /* of zstd */
};
/* Zeroed memory is accepted by output_close(). */
MF_MUSTCHECK int output_open(struct output *o, const char *path, const struct output_options *options, struct err *err);
/* What is pending ends where it may be cut: writes it when there is enough. */
MF_MUSTCHECK int output_line_done(struct output *o, struct err *err);
/* Writes the rest, syncs and renames. Without `overwrite` a target that has come up meanwhile stays: MF_EIO. */
MF_MUSTCHECK int output_finish(struct output *o, bool overwrite, struct err *err);
/* Frees all; removes the temporary file when it was not finished. */
void output_close(struct output *o);

#endif
