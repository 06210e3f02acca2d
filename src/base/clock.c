#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static const uint64_t *fake_us;

static uint64_t read_us(clockid_t id) {
    if (MF_UNLIKELY(fake_us))
        return *fake_us;
    struct timespec ts;
    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

uint64_t clock_mono_us(void) {
    return read_us(CLOCK_MONOTONIC);
}

int64_t clock_wall_us(void) {
    return (int64_t)read_us(CLOCK_REALTIME);
}

void clock_set_fake(const uint64_t *us) {
    fake_us = us;
}

char *clock_rfc3339(int64_t wall_us, char out[CLOCK_RFC3339_LEN]) {
    int64_t us = wall_us % 1000000;
    time_t s = (time_t)(wall_us / 1000000);
    if (us < 0) { /* before 1970: C rounds towards zero, clocks do not */
        us += 1000000;
        s -= 1;
    }
    int ms = (int)(us / 1000);
    struct tm tm;
    gmtime_r(&s, &tm);
    char text[80];
    snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
             tm.tm_hour, tm.tm_min, tm.tm_sec, ms);
    snprintf(out, CLOCK_RFC3339_LEN, "%.24s", text);
    return out;
}
