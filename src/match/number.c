#include "match/pattern.h"

/* More than any message has digits, and far enough from int64's end to be added to. */
#define EXPONENT_MAX (INT64_C(1) << 60)

/* A number as 0.DDD… times ten to the `exponent`, without zeros at either end of DDD…; no digits: zero. */
struct decimal {
    bool negative;
    const char *whole, *fraction; /* the digits before and after the point */
    size_t whole_len;
    size_t first, end; /* of DDD…, counted over both */
    int64_t exponent;
};

static char digit_at(const struct decimal *d, size_t i) {
    return i < d->whole_len ? d->whole[i] : d->fraction[i - d->whole_len];
}

static size_t count_digits(const char *p, const char *end) {
    const char *begin = p;
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return (size_t)(p - begin);
}

static int64_t read_exponent(const char *p, const char *end) {
    bool negative = p < end && *p == '-';
    int64_t n = 0;
    if (p < end && (*p == '-' || *p == '+'))
        p++;
    for (; p < end; p++)
        n = MIN(n * 10 + (*p - '0'), EXPONENT_MAX / 10);
    return negative ? -n : n;
}

static struct decimal read_decimal(const char *p, size_t len) {
    const char *end = p + len;
    struct decimal d = {.negative = p < end && *p == '-'};
    if (p < end && (*p == '-' || *p == '+'))
        p++;
    d.whole = d.fraction = p;
    d.whole_len = d.end = count_digits(p, end);
    p += d.whole_len;
    if (p < end && *p == '.') {
        d.fraction = ++p;
        size_t n = count_digits(p, end);
        d.end += n;
        p += n;
    }
    if (p < end)
        d.exponent = read_exponent(p + 1, end);
    while (d.first < d.end && digit_at(&d, d.first) == '0')
        d.first++;
    while (d.end > d.first && digit_at(&d, d.end - 1) == '0')
        d.end--;
    d.exponent += (int64_t)d.whole_len - (int64_t)d.first;
    return d;
}

/* Of two that are not zero, without their signs. */
static int compare_magnitude(const struct decimal *a, const struct decimal *b) {
    if (a->exponent != b->exponent)
        return a->exponent < b->exponent ? -1 : 1;
    size_t i = a->first, j = b->first;
    for (; i < a->end && j < b->end; i++, j++)
        if (digit_at(a, i) != digit_at(b, j))
            return digit_at(a, i) < digit_at(b, j) ? -1 : 1;
    return (i < a->end) - (j < b->end); /* digits that are left end in one that is not 0 */
}

static int sign(const struct decimal *d) {
    if (d->first == d->end)
        return 0;
    return d->negative ? -1 : 1;
}

int number_compare(const char *a, size_t a_len, const char *b, size_t b_len) {
    struct decimal x = read_decimal(a, a_len), y = read_decimal(b, b_len);
    if (sign(&x) != sign(&y) || sign(&x) == 0)
        return sign(&x) - sign(&y);
    return sign(&x) * compare_magnitude(&x, &y);
}
