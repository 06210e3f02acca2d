/* A hash of bytes that others choose: SipHash-2-4 with a key that this process draws when it starts, so that nobody can
 * prepare names that meet in one bucket. Not for anything that is written down. Thread: any. */
#ifndef MF_BASE_HASH_H
#define MF_BASE_HASH_H

#include "base/defs.h"

uint64_t hash_bytes(const void *data, size_t len);
/* With a key of the caller's. */
uint64_t hash_bytes_with(const uint64_t key[2], const void *data, size_t len);

#endif
