#include "base/clock.h"

#include <stdio.h>
#include <string.h>
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

/* Years have four digits in RFC 3339. */
#define YEAR_0_US INT64_C(-62167219200000000)
#define YEAR_10000_US INT64_C(253402300800000000)

/* Writes n, zeros in front, so that it ends before `end`. */
static void put_digits(char *end, int digits, int n) {
    for (; digits; digits--, n /= 10)
        *--end = (char)('0' + n % 10);
}

/* The date and time of a second; of the last one that was asked for it is known. */
static void put_second(time_t second, char out[CLOCK_RFC3339_LEN]) {
    static _Thread_local time_t known;
    static _Thread_local char text[CLOCK_RFC3339_LEN]; /* empty: of none yet */
    if (second != known || !*text) {
        struct tm tm;
        gmtime_r(&second, &tm);
        memcpy(text, "0000-00-00T00:00:00.000Z", CLOCK_RFC3339_LEN);
        put_digits(text + 4, 4, tm.tm_year + 1900);
        put_digits(text + 7, 2, tm.tm_mon + 1);
        put_digits(text + 10, 2, tm.tm_mday);
        put_digits(text + 13, 2, tm.tm_hour);
        put_digits(text + 16, 2, tm.tm_min);
        put_digits(text + 19, 2, tm.tm_sec);
        known = second;
    }
    memcpy(out, text, CLOCK_RFC3339_LEN);
}

char *clock_rfc3339(int64_t wall_us, char out[CLOCK_RFC3339_LEN]) {
    wall_us = MIN(MAX(wall_us, YEAR_0_US), YEAR_10000_US - 1);
    int64_t us = wall_us % 1000000;
    time_t s = (time_t)(wall_us / 1000000);
    if (us < 0) { /* before 1970: C rounds towards zero, clocks do not */
        us += 1000000;
        s -= 1;
    }
    put_second(s, out);
    put_digits(out + 23, 3, (int)(us / 1000));
    return out;
}
