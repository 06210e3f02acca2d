/* A bounded ring of records from one thread to one other, without locks and without system calls.
 *
 * Records are contiguous and 8-byte aligned; a record that does not fit before the ring's end is preceded by padding.
 * The memory is mapped and not touched before it is used. Producer: the worker. Consumer: the writer. */
#ifndef MF_RECORDING_RING_H
#define MF_RECORDING_RING_H

#include <stdatomic.h>

#include "base/defs.h"

#define RING_ALIGN 8u
#define RING_LINE 64 /* of the processor's cache: the two sides must not share one */

/* What every record begins with. kind 0 is the ring's own padding. */
struct ring_head {
    uint32_t size; /* of the whole record with this head, a multiple of RING_ALIGN */
    uint8_t kind;
    uint8_t user[3];
};

struct ring {
    uint8_t *data;
    size_t size;                            /* a power of two */
    _Alignas(RING_LINE) atomic_size_t head; /* bytes ever published; the producer's */
    size_t tail_seen;                       /* the producer's last look at tail */
    _Alignas(RING_LINE) atomic_size_t tail; /* bytes ever released; the consumer's */
    size_t read;                            /* consumed but not yet released: tail <= read */
    size_t head_seen;                       /* the consumer's last look at head */
};

/* size: a power of two, at least a page. MF_ENOMEM. */
MF_MUSTCHECK int ring_init(struct ring *r, size_t size);
void ring_fini(struct ring *r);

/* Producer: looks at the consumer's progress. Returns the bytes in use. */
static inline size_t ring_refresh(struct ring *r) {
    /* Sequentially consistent because of the worker that says "I wait" and looks once more (capture_room). */
    r->tail_seen = atomic_load(&r->tail);
    return atomic_load_explicit(&r->head, memory_order_relaxed) - r->tail_seen;
}

/* Producer: room for a record of `size` bytes (a multiple of RING_ALIGN, at most a quarter of the ring) such that
 * `keep` bytes stay free; NULL when there is none. Nothing is visible before ring_publish() with the same size. */
static inline void *ring_reserve(struct ring *r, size_t size, size_t keep) {
    size_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    size_t at = head & (r->size - 1), to_end = r->size - at;
    size_t padding = size <= to_end ? 0 : to_end;
    if (MF_UNLIKELY(r->size - (head - r->tail_seen) < size + padding + keep)) {
        ring_refresh(r);
        if (r->size - (head - r->tail_seen) < size + padding + keep)
            return NULL;
    }
    if (MF_LIKELY(!padding))
        return r->data + at;
    struct ring_head *pad = (struct ring_head *)(void *)(r->data + at);
    *pad = (struct ring_head){.size = (uint32_t)padding, .kind = 0};
    atomic_store_explicit(&r->head, head + padding, memory_order_release);
    return r->data;
}

static inline void ring_publish(struct ring *r, size_t size) {
    size_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    atomic_store_explicit(&r->head, head + size, memory_order_release);
}

/* Consumer: the next record, or NULL, without consuming it. */
static inline struct ring_head *ring_peek(struct ring *r) {
    for (;;) {
        if (r->read == r->head_seen) {
            r->head_seen = atomic_load_explicit(&r->head, memory_order_acquire);
            if (r->read == r->head_seen)
                return NULL;
        }
        struct ring_head *h = (struct ring_head *)(void *)(r->data + (r->read & (r->size - 1)));
        if (h->kind)
            return h;
        r->read += h->size;
    }
}

/* Consumer: the next record, or NULL. It stays until ring_release(). */
static inline struct ring_head *ring_next(struct ring *r) {
    struct ring_head *h = ring_peek(r);
    if (h)
        r->read += h->size;
    return h;
}

/* Consumer: gives back everything that ring_next() has returned. */
static inline void ring_release(struct ring *r) {
    atomic_store(&r->tail, r->read);
}

/* Consumer: bytes that are published and not yet released. */
static inline size_t ring_used(struct ring *r) {
    return atomic_load_explicit(&r->head, memory_order_acquire) - atomic_load_explicit(&r->tail, memory_order_relaxed);
}

#endif
