#include "config/replay_value.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SPEED_MAX 1e6
#define SPEED_MIN 1e-6
#define TIME_MAX_SECONDS (100.0 * 86400)

/* Digits with at most one point among them: no sign, no exponent, no hexadecimal, no "nan". */
static const char *parse_decimal(const char *text, double *out) {
    size_t whole = strspn(text, "0123456789"), part = 0;
    size_t len = whole;
    if (text[len] == '.') {
        part = strspn(text + len + 1, "0123456789");
        len += 1 + part;
    }
    char copy[64];
    if (!whole + !part == 2 || (text[whole] == '.' && !part) || len >= sizeof copy)
        return NULL;
    memcpy(copy, text, len);
    copy[len] = '\0';
    *out = strtod(copy, NULL); /* the program never leaves the C locale */
    return text + len;
}

bool replay_speed_parse(const char *text, double *out) {
    if (!strcmp(text, "max")) {
        *out = 0.0;
        return true;
    }
    double n;
    const char *end = parse_decimal(text, &n);
    if (!end || (strcmp(end, "") != 0 && strcmp(end, "x") != 0) || n < SPEED_MIN || n > SPEED_MAX)
        return false;
    *out = n;
    return true;
}

bool replay_time_parse(const char *text, uint64_t *us) {
    static const struct {
        const char *name;
        double us;
    } units[] = {{"", 1e6}, {"s", 1e6}, {"ms", 1e3}, {"us", 1}, {"m", 60e6}, {"h", 3600e6}};
    double n;
    const char *end = parse_decimal(text, &n);
    if (!end)
        return false;
    end += strspn(end, " ");
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (!strcasecmp(end, units[i].name)) {
            double whole = round(n * units[i].us);
            if (whole > TIME_MAX_SECONDS * 1e6)
                return false;
            *us = (uint64_t)whole;
            return true;
        }
    return false;
}
