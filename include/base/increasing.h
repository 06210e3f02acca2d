/* The longest increasing subsequence: what of a sequence stands in its order, when as little as possible is left out. */
#ifndef MF_BASE_INCREASING_H
#define MF_BASE_INCREASING_H

#include "base/defs.h"
#include "base/err.h"

#define INCREASING_SKIP UINT32_MAX /* in `numbers`: this one is never kept */

/* Sets kept[i] for each of count numbers. Takes n log n. MF_ENOMEM. */
MF_MUSTCHECK int increasing_mark(const uint32_t *numbers, size_t count, bool *kept);

#endif
