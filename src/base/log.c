#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define LINE_MAX_BYTES 2048
#define QUOTE_MAX 200
#define QUOTE_SLOTS 8

static enum log_level min_level = LOG_INFO;
static int log_fd = 2;
static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_set_level(enum log_level level) {
    min_level = level;
}

enum log_level log_get_level(void) {
    return min_level;
}

bool log_level_parse(const char *name, enum log_level *out) {
    for (size_t i = 0; i < ARRAY_LEN(level_names); i++)
        if (!strcmp(name, level_names[i])) {
            *out = (enum log_level)i;
            return true;
        }
    return false;
}

void log_set_fd(int fd) {
    log_fd = fd;
}

void log_write(enum log_level level, const char *event, const char *fmt, ...) {
    if (level < min_level)
        return;
    char line[LINE_MAX_BYTES], when[CLOCK_RFC3339_LEN];
    int n = snprintf(line, sizeof line, "%s %-5s %s ", clock_rfc3339(clock_wall_us(), when), level_names[level], event);
    va_list ap;
    va_start(ap, fmt);
    int m = vsnprintf(line + n, sizeof line - (size_t)n - 1, fmt, ap);
    va_end(ap);
    size_t len = m < 0 ? (size_t)n : MIN((size_t)n + (size_t)m, sizeof line - 2);
    line[len++] = '\n';
    /* One write, so that lines of several threads do not mix; a log that cannot be written has nobody to tell. */
    ssize_t ignored = write(log_fd, line, len);
    (void)ignored;
}

const char *log_quote_n(const char *s, size_t len) {
    static _Thread_local char slots[QUOTE_SLOTS][QUOTE_MAX * 4 + 8];
    static _Thread_local unsigned next;
    char *out = slots[next++ % QUOTE_SLOTS], *p = out;
    size_t n = MIN(len, (size_t)QUOTE_MAX);
    *p++ = '"';
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\') {
            *p++ = '\\';
            *p++ = (char)c;
        } else if (c < 0x20 || c >= 0x7f) {
            static const char hex[] = "0123456789abcdef";
            *p++ = '\\';
            *p++ = 'x';
            *p++ = hex[c >> 4];
            *p++ = hex[c & 15];
        } else {
            *p++ = (char)c;
        }
    }
    if (n < len) {
        memcpy(p, "...", 3);
        p += 3;
    }
    *p++ = '"';
    *p = '\0';
    return out;
}

const char *log_quote(const char *s) {
    return s ? log_quote_n(s, strlen(s)) : "\"\"";
}

bool log_allowed(struct log_limit *limit, unsigned *suppressed) {
    uint_least64_t now = clock_mono_us() / 1000000, was = atomic_load(&limit->second);
    if (now != was && atomic_compare_exchange_strong(&limit->second, &was, now))
        atomic_store(&limit->lines, 0);
    if (atomic_fetch_add(&limit->lines, 1) >= LOG_BURST) {
        atomic_fetch_add(&limit->kept_back, 1);
        return false;
    }
    *suppressed = atomic_exchange(&limit->kept_back, 0);
    return true;
}
