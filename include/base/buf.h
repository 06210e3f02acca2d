/* A growable byte buffer.
 *
 * `init/fini` embedded; zeroed memory is a valid empty buffer. An append that runs out of memory sets `failed` and
 * keeps what was there, so that a run of appends is checked once, at its end. Thread: the owner's. */
#ifndef MF_BASE_BUF_H
#define MF_BASE_BUF_H

#include <stdarg.h>
#include <string.h>

#include "base/defs.h"

struct buf {
    uint8_t *data;
    size_t len, cap;
    bool failed; /* an append ran out of memory; sticky until buf_fini() or buf_reset() */
};

#define BUF_INIT {0}

void buf_fini(struct buf *b);
/* Empties it and keeps the memory. */
static inline void buf_reset(struct buf *b) {
    b->len = 0;
    b->failed = false;
}
/* Room for `extra` more bytes. MF_ENOMEM sets failed. */
int buf_reserve(struct buf *b, size_t extra);
void buf_append(struct buf *b, const void *data, size_t len);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) MF_PRINTF(2, 3);
void buf_vprintf(struct buf *b, const char *fmt, va_list ap);
/* Drops n bytes at the front; n <= len. */
void buf_consume(struct buf *b, size_t n);
/* NUL-terminated (the NUL is not counted in len); "" when empty or out of memory. Borrowed. */
const char *buf_cstr(struct buf *b);
/* Hands over the bytes, NUL-terminated, as a malloc'd string; b is empty after it. NULL when failed. */
char *buf_steal(struct buf *b);

#endif
