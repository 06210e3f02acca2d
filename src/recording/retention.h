/* Old recordings are removed by count, age and bytes. Blocks on the disk. Thread: any. */
#ifndef MF_RECORDING_RETENTION_H
#define MF_RECORDING_RETENTION_H

#include "base/err.h"

struct retention_limits {
    unsigned files, seconds; /* 0: no limit */
    uint64_t bytes;
};

/* In the directory of `path`, removes the oldest of the files that template_text's last segment could have named (with
 * its parts and "-2" names) until the limits hold. Never `path` itself, nor a file that is being written: it is locked.
 * Returns how many were removed. */
unsigned retention_apply(const char *path, const char *template_text, const struct retention_limits *limits);

/* Could this file name have come from the template's last segment? */
bool retention_matches(const char *template_text, const char *name);

#endif
