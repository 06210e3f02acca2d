/* Memory that runs out at the nth allocation, and a count of what was not given back. For one test program: it takes
 * the place of libc's malloc(), which is glibc's alone to offer and which the sanitizers do themselves. */
#ifndef TEST_FAILING_MALLOC_H
#define TEST_FAILING_MALLOC_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
#define CAN_FAIL_MALLOC 1

static long malloc_left; /* allocations until the one that fails; 0: none does */
static long malloc_live; /* allocated and not freed */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);
void __libc_free(void *p);

static bool malloc_fails(void) {
    if (!malloc_left || --malloc_left)
        return false;
    errno = ENOMEM;
    return true;
}

static void *malloc_count(void *p) {
    malloc_live += p != NULL;
    return p;
}

void *malloc(size_t size) {
    return malloc_fails() ? NULL : malloc_count(__libc_malloc(size));
}

void *calloc(size_t count, size_t size) {
    return malloc_fails() ? NULL : malloc_count(__libc_calloc(count, size));
}

void *realloc(void *p, size_t size) {
    if (malloc_fails())
        return NULL;
    void *moved = __libc_realloc(p, size);
    return p ? moved : malloc_count(moved);
}

void free(void *p) {
    malloc_live -= p != NULL;
    __libc_free(p);
}

#else
#define CAN_FAIL_MALLOC 0
static long malloc_left, malloc_live;
#endif

#endif
