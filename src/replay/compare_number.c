/* Are two numbers the same, or near enough? */
#include <math.h>
#include <stdlib.h>

#include "match/pattern.h"
#include "replay/compare_private.h"

/* So that 0.3 and 0.1 are within 0.2 of each other, although none of them is a binary fraction. */
#define SLACK_ALLOWED 1e-15L /* the tolerance is a double */
#define SLACK_NUMBERS 1e-18L /* the numbers are long doubles */

bool is_json_number(const char *s, size_t len) {
    size_t i = len && *s == '-', digits = 0, point = 0, exponent = 0;
    if (i + 1 < len && s[i] == '0' && s[i + 1] >= '0' && s[i + 1] <= '9')
        return false;
    for (; i < len; i++) {
        if (s[i] >= '0' && s[i] <= '9') {
            digits++;
        } else if (s[i] == '.' && digits && !point && !exponent) {
            point = 1;
            digits = 0;
        } else if ((s[i] == 'e' || s[i] == 'E') && digits && !exponent) {
            exponent = 1;
            digits = 0;
            i += i + 1 < len && (s[i + 1] == '+' || s[i + 1] == '-');
        } else {
            return false;
        }
    }
    return digits > 0;
}

/* What a number's digits are followed by in a message ends it for strtold() too. */
static long double read_number(const char *s) {
    return strtold(s, NULL);
}

bool numbers_agree(const struct compare_options *o, const char *a, size_t a_len, const char *b, size_t b_len) {
    if (number_compare(a, a_len, b, b_len) == 0)
        return true;
    if (!(o->tolerance > 0) && !(o->tolerance_relative > 0))
        return false;
    long double x = read_number(a), y = read_number(b), larger = fmaxl(fabsl(x), fabsl(y));
    long double allowed = fmaxl(o->tolerance, o->tolerance_relative * larger);
    return isfinite(larger) && fabsl(x - y) <= allowed * (1 + SLACK_ALLOWED) + SLACK_NUMBERS * larger;
}
