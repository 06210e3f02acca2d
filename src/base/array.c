#include "base/array.h"

#include <stdlib.h>

bool array_grow(void **items, void *cap, size_t cap_size, size_t item_size, size_t first) {
    MUST(cap_size == sizeof(uint32_t) || cap_size == sizeof(size_t));
    bool narrow = cap_size == sizeof(uint32_t);
    size_t had = narrow ? *(uint32_t *)cap : *(size_t *)cap;
    size_t most = MIN((size_t)PTRDIFF_MAX / item_size, narrow ? (size_t)UINT32_MAX : SIZE_MAX);
    if (had > most / 2)
        return false;
    size_t more = had ? had * 2 : first;
    void *grown = reallocarray(*items, more, item_size);
    if (!grown)
        return false;
    *items = grown;
    if (narrow)
        *(uint32_t *)cap = (uint32_t)more;
    else
        *(size_t *)cap = more;
    return true;
}
