/* The names of a recording's files: which form an extension means, and the names of parts, journals and alternatives.
 */
#ifndef MF_RECORDING_RECORDER_PATH_H
#define MF_RECORDING_RECORDER_PATH_H

#include "base/err.h"
#include "recording/convert.h"

/* The extension (".jsonl.zst" …) within path, or NULL for a name that has none of the four; *form is then untouched. */
const char *recorder_extension(const char *path, enum session_form *form);

/* All return malloc'd strings, NULL: out of memory. path has a known extension. */
char *recorder_alternative(const char *path, unsigned n); /* n 1: path itself; 2: "X-2.json" */
char *recorder_part(const char *path, unsigned n);        /* n 1: path itself; 2: "X.2.json" */
char *recorder_journal(const char *path);                 /* "X.json" -> "X.journal.jsonl.zst" */

/* Creates the directories above path, mode 0700. MF_EIO, errno set. */
MF_MUSTCHECK int recorder_make_directories(const char *path);

#endif
