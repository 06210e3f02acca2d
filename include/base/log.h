/* Log lines: an event name and key=value, one write(2) each, to stderr.
 *
 *     log_info("session_end", "connection=conn-%llu reason=%s path=%s", n, why, log_quote(path));
 *
 * Payload bytes only at debug; secrets never. Anything that a peer chose goes through log_quote().
 * Thread: any. */
#ifndef MF_BASE_LOG_H
#define MF_BASE_LOG_H

#include <stdatomic.h>

#include "base/defs.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* What is below `level` is not written. Default: LOG_INFO. Before the threads start. */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);
/* "debug", "info", "warn", "error" -> level; false when it is none of them. */
bool log_level_parse(const char *name, enum log_level *out);
/* Where lines go; default 2. Before the threads start. */
void log_set_fd(int fd);

void log_write(enum log_level level, const char *event, const char *fmt, ...) MF_PRINTF(3, 4);

#define log_debug(event, ...) (log_get_level() <= LOG_DEBUG ? log_write(LOG_DEBUG, event, __VA_ARGS__) : (void)0)
#define log_info(event, ...) log_write(LOG_INFO, event, __VA_ARGS__)
#define log_warn(event, ...) log_write(LOG_WARN, event, __VA_ARGS__)
#define log_error(event, ...) log_write(LOG_ERROR, event, __VA_ARGS__)

/* Quotes and escapes a string that a peer chose, cut to 200 bytes. The result lives until the same thread's eighth
 * next call. NULL gives "". */
const char *log_quote(const char *s);
const char *log_quote_n(const char *s, size_t len);

/* A place in the code that may storm. log_allowed() says yes to the first `LOG_BURST` lines of each second and counts
 * the others; *suppressed is how many were kept back since the last yes. One static of it for each place. */
struct log_limit {
    atomic_uint_least64_t second;
    atomic_uint lines, kept_back;
};
#define LOG_BURST 5
bool log_allowed(struct log_limit *limit, unsigned *suppressed);

#define LOG_LIMITED(level, event, fmt, ...)                                                                            \
    do {                                                                                                               \
        static struct log_limit limit_;                                                                                \
        unsigned kept_back_;                                                                                           \
        if (log_allowed(&limit_, &kept_back_))                                                                         \
            log_write(level, event, fmt " suppressed=%u", __VA_ARGS__, kept_back_);                                    \
    } while (0)

#endif
