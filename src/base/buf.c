#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>

#define FIRST_CAP 64

void buf_fini(struct buf *b) {
    free(b->data);
    *b = (struct buf)BUF_INIT;
}

int buf_reserve(struct buf *b, size_t extra) {
    if (b->cap - b->len >= extra)
        return MF_OK;
    size_t need, cap = b->cap ? b->cap : FIRST_CAP;
    if (__builtin_add_overflow(b->len, extra, &need)) {
        b->failed = true;
        return MF_ENOMEM;
    }
    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    uint8_t *p = realloc(b->data, cap);
    if (!p) {
        b->failed = true;
        return MF_ENOMEM;
    }
    b->data = p;
    b->cap = cap;
    return MF_OK;
}

void buf_append(struct buf *b, const void *data, size_t len) {
    if (len == 0 || buf_reserve(b, len) < 0)
        return;
    memcpy(b->data + b->len, data, len);
    b->len += len;
}

void buf_puts(struct buf *b, const char *s) {
    buf_append(b, s, strlen(s));
}

void buf_putc(struct buf *b, char c) {
    buf_append(b, &c, 1);
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap) {
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    if (n > 0 && buf_reserve(b, (size_t)n + 1) == MF_OK) {
        vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

void buf_printf(struct buf *b, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(b, fmt, ap);
    va_end(ap);
}

void buf_consume(struct buf *b, size_t n) {
    MUST(n <= b->len);
    b->len -= n;
    if (b->len)
        memmove(b->data, b->data + n, b->len);
}

const char *buf_cstr(struct buf *b) {
    if (buf_reserve(b, 1) < 0)
        return "";
    b->data[b->len] = '\0';
    return (const char *)b->data;
}

char *buf_steal(struct buf *b) {
    if (b->failed || buf_reserve(b, 1) < 0) {
        buf_fini(b);
        return NULL;
    }
    b->data[b->len] = '\0';
    char *s = (char *)b->data;
    *b = (struct buf)BUF_INIT;
    return s;
}
