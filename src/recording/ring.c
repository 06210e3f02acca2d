#include "recording/ring.h"

#include <sys/mman.h>

int ring_init(struct ring *r, size_t size) {
    MUST(size >= 4096 && (size & (size - 1)) == 0);
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return MF_ENOMEM;
    *r = (struct ring){.data = p, .size = size};
    return MF_OK;
}

void ring_fini(struct ring *r) {
    if (r->data)
        munmap(r->data, r->size);
    *r = (struct ring){0};
}
