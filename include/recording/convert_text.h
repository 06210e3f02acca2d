/* A text as a file: written beside its place, synced and renamed, mode 0600. Thread: the caller's; blocks on the disk.
 */
#ifndef MF_RECORDING_CONVERT_TEXT_H
#define MF_RECORDING_CONVERT_TEXT_H

#include "base/buf.h"
#include "base/err.h"

/* Without `overwrite` a file that is there stays: MF_EIO. */
MF_MUSTCHECK int session_write_text(const char *to, const struct buf *text, bool overwrite, struct err *err);

#endif
