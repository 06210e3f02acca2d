/* Compiler attributes, error numbers and always-on assertions.
 *
 * Everything else includes this header; it includes nothing of ours.
 * Thread: any. */
#ifndef MF_BASE_DEFS_H
#define MF_BASE_DEFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MF_VERSION "0.1.0"

/* The result must be looked at. */
#define MF_MUSTCHECK __attribute__((warn_unused_result))
/* printf-like: FMT is the format's position, ARGS the first argument's. */
#define MF_PRINTF(FMT, ARGS) __attribute__((format(printf, FMT, ARGS)))
/* Marks a parameter that the callee owns from the call on, whether it succeeds or fails. */
#define MF_TAKES
#define MF_LIKELY(x) __builtin_expect(!!(x), 1)
#define MF_UNLIKELY(x) __builtin_expect(!!(x), 0)

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* What a function that can fail returns: 0, or one of these (all negative). */
enum mf_err {
    MF_OK = 0,
    MF_ENOMEM = -1,   /* out of memory: that session dies, the process lives */
    MF_EINVAL = -2,   /* bad input: struct err says where and what was expected */
    MF_EIO = -3,      /* disk or socket */
    MF_EAGAIN = -4,   /* not now; you will be told when */
    MF_ELIMIT = -5,   /* a configured bound was reached */
    MF_ENOTFOUND = -6,
    MF_EPROTO = -7,   /* the peer broke its protocol */
    MF_ETIMEOUT = -8,
    MF_ECLOSED = -9,
};

_Noreturn void must_failed(const char *expr, const char *file, int line);

/* A programming fault, not a peer's: prints the place and aborts. On in every build. */
#define MUST(expr) ((expr) ? (void)0 : must_failed(#expr, __FILE__, __LINE__))

#endif
