/* Points in time as text: read, and written again later in the form and precision that they had. */
#include <time.h>

#include "replay/correlation.h"

#define NS INT64_C(1000000000)

/* "2024-01-15T10:30:00.000+01:00" or a number. */
struct moment {
    int64_t ns;        /* since 1970 */
    int64_t unit_ns;   /* of a number: what 1 stands for */
    unsigned fraction; /* digits behind the point */
    bool is_number;
    char separator;   /* 'T' */
    const char *zone; /* behind the seconds, up to the end: "", "Z", "+01:00" */
    int32_t offset_s; /* what it says */
};

static const int64_t powers[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000};

/* Exactly n digits. */
static bool digits(const char **s, const char *end, unsigned n, int64_t *out) {
    *out = 0;
    for (; n; n--, (*s)++) {
        if (*s == end || **s < '0' || **s > '9')
            return false;
        *out = *out * 10 + (**s - '0');
    }
    return true;
}

static bool is_at(const char **s, const char *end, char c) {
    bool is = *s < end && **s == c;
    *s += is;
    return is;
}

/* ".123": so many digits, and what they are in units of `one`. */
static bool read_fraction(const char **s, const char *end, int64_t one, struct moment *m, int64_t *out) {
    int64_t value = 0;
    *out = 0;
    if (!is_at(s, end, '.'))
        return true;
    for (; *s < end && **s >= '0' && **s <= '9'; (*s)++, m->fraction++) {
        if (m->fraction + 1 >= ARRAY_LEN(powers) || powers[m->fraction + 1] > one)
            return false; /* finer than a nanosecond */
        value = value * 10 + (**s - '0');
    }
    *out = value * (one / powers[m->fraction]);
    return m->fraction > 0;
}

static bool read_number(const char *s, const char *end, struct moment *m) {
    size_t n = 0;
    while (s + n < end && s[n] >= '0' && s[n] <= '9')
        n++;
    int64_t value, part;
    m->unit_ns = n == 10 ? NS : n == 13 ? NS / 1000 : n == 16 ? 1000 : n == 19 ? 1 : 0;
    if (!m->unit_ns || *s < '1' || *s > '4' || !digits(&s, end, (unsigned)n, &value) ||
        !read_fraction(&s, end, m->unit_ns, m, &part) || s != end || value > INT64_C(4102444800) * (NS / m->unit_ns))
        return false;
    m->is_number = true;
    m->ns = value * m->unit_ns + part;
    return true;
}

/* "", "Z", "+01:00", "+0100", "+01". */
static bool read_zone(const char *s, const char *end, struct moment *m) {
    m->zone = s;
    if (s == end)
        return true;
    if (*s == 'Z' || *s == 'z')
        return s + 1 == end;
    int64_t hours, minutes = 0;
    bool west = *s == '-';
    if ((*s != '+' && !west) || (s++, !digits(&s, end, 2, &hours)))
        return false;
    if (s < end && (is_at(&s, end, ':'), !digits(&s, end, 2, &minutes)))
        return false;
    m->offset_s = (int32_t)((hours * 3600 + minutes * 60) * (west ? -1 : 1));
    return s == end && hours < 24 && minutes < 60;
}

static bool read_iso(const char *s, const char *end, struct moment *m) {
    int64_t year, month, day, hour, minute, second, part;
    if (!digits(&s, end, 4, &year) || !is_at(&s, end, '-') || !digits(&s, end, 2, &month) || !is_at(&s, end, '-') ||
        !digits(&s, end, 2, &day) || s == end)
        return false;
    m->separator = *s;
    if (!strchr("Tt ", *s++) || !digits(&s, end, 2, &hour) || !is_at(&s, end, ':') || !digits(&s, end, 2, &minute) ||
        !is_at(&s, end, ':') || !digits(&s, end, 2, &second) || !read_fraction(&s, end, NS, m, &part) ||
        !read_zone(s, end, m))
        return false;
    if (year < 1971 || year > 2200 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 ||
        second > 60)
        return false;
    struct tm tm = {.tm_year = (int)year - 1900,
                    .tm_mon = (int)month - 1,
                    .tm_mday = (int)day,
                    .tm_hour = (int)hour,
                    .tm_min = (int)minute,
                    .tm_sec = (int)second};
    m->ns = ((int64_t)timegm(&tm) - m->offset_s) * NS + part;
    return true;
}

static bool read_moment(const char *text, size_t len, struct moment *m) {
    *m = (struct moment){0};
    if (len < 10 || len > 40 || memchr(text, '\0', len))
        return false;
    const char *end = text + len;
    return read_number(text, end, m) || (*m = (struct moment){0}, read_iso(text, end, m));
}

bool refresh_read_time(const char *text, size_t len, int64_t *us) {
    struct moment m;
    if (!read_moment(text, len, &m))
        return false;
    *us = m.ns / 1000;
    return true;
}

static void write_fraction(struct buf *out, int64_t part, int64_t one, unsigned count) {
    if (count)
        buf_printf(out, ".%0*lld", (int)count, (long long)(part / (one / powers[count])));
}

bool refresh_time_text(const char *text, size_t len, int64_t shift_us, struct buf *out) {
    struct moment m;
    int64_t shift, ns;
    if (!read_moment(text, len, &m) || __builtin_mul_overflow(shift_us, (int64_t)1000, &shift) ||
        __builtin_add_overflow(m.ns, shift, &ns) || ns < 0)
        return false;
    if (m.is_number) {
        buf_printf(out, "%lld", (long long)(ns / m.unit_ns));
        write_fraction(out, ns % m.unit_ns, m.unit_ns, m.fraction);
        return true;
    }
    time_t seconds = (time_t)(ns / NS + m.offset_s);
    struct tm tm;
    if (!gmtime_r(&seconds, &tm))
        return false;
    buf_printf(out, "%04d-%02d-%02d%c%02d:%02d:%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, m.separator,
               tm.tm_hour, tm.tm_min, tm.tm_sec);
    write_fraction(out, ns % NS, NS, m.fraction);
    buf_append(out, m.zone, (size_t)(text + len - m.zone));
    return true;
}
