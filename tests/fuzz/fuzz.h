/* What several fuzz targets set up alike. Functions MUST() succeed: a target without its input has nothing to say. */
#ifndef MF_TESTS_FUZZ_H
#define MF_TESTS_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/defs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_PATH_LEN 64u

/* A file in memory, there until its descriptor is closed; the path is of the descriptor. */
static inline int fuzz_file(const void *data, size_t size, char path[FUZZ_PATH_LEN]) {
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    MUST(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, FUZZ_PATH_LEN, "/proc/self/fd/%d", fd);
    return fd;
}

/* To be freed. A block of its own, with a NUL behind it: whoever reads on is seen. */
static inline char *fuzz_copy(const void *data, size_t len) {
    char *p = malloc(len + 1);
    MUST(p);
    if (len)
        memcpy(p, data, len);
    p[len] = '\0';
    return p;
}

#endif
