/* Files of other kinds, told by their first bytes, so that a message can say what was found and what to do with it. */
#ifndef MF_RECORDING_FOREIGN_H
#define MF_RECORDING_FOREIGN_H

#include <stddef.h>

/* "a gzip file: unpack it first (gunzip)"; NULL: it is not known. */
const char *foreign_kind(const void *head, size_t len);

#endif
