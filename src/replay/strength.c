#include "replay/strength.h"

#include <string.h>
#include <strings.h>

#define PROOF_DIGITS 7u          /* of a whole number, without the zeros at its end */
#define PROOF_DECIMAL_DIGITS 13u /* 0.8372937283910: drawn, not measured */
#define PROOF_LENGTH 8u
#define PROOF_LONG 16u /* so long that two digits among letters are enough, and so are two spaces */
#define TOPIC_LENGTH 8u

enum sort { SORT_OTHER, SORT_LOWER, SORT_UPPER, SORT_DIGIT, SORT_SPACE };

static enum sort sort_of(char c) {
    if (c >= '0' && c <= '9')
        return SORT_DIGIT;
    if (c >= 'A' && c <= 'Z')
        return SORT_UPPER;
    if ((c >= 'a' && c <= 'z') || (unsigned char)c >= 0x80)
        return SORT_LOWER;
    return c == ' ' ? SORT_SPACE : SORT_OTHER;
}

static size_t digits_at(const char *s, size_t len, size_t i) {
    size_t n = 0;
    while (i + n < len && sort_of(s[i + n]) == SORT_DIGIT)
        n++;
    return n;
}

bool text_is_digits(const char *text, size_t len) {
    return len > 0 && digits_at(text, len, 0) == len;
}

bool text_is_integer(const char *text, size_t len) {
    return len > 0 && *text == '-' ? text_is_digits(text + 1, len - 1) : text_is_digits(text, len);
}

bool text_is_number(const char *text, size_t len) {
    size_t i = len && *text == '-' ? 1 : 0, n = digits_at(text, len, i);
    if (!n || (n > 1 && text[i] == '0'))
        return false;
    i += n;
    if (i < len && text[i] == '.') {
        if (!(n = digits_at(text, len, ++i)))
            return false;
        i += n;
    }
    if (i < len && (text[i] == 'e' || text[i] == 'E')) {
        i++;
        if (i < len && (text[i] == '+' || text[i] == '-'))
            i++;
        if (!(n = digits_at(text, len, i)))
            return false;
        i += n;
    }
    return i == len;
}

/* Seconds, milliseconds, microseconds or nanoseconds since 1970 of the years 2001 to 2039: a number of as many digits
 * that was drawn at random is hardly one. */
static bool is_unix_time(const char *digits, size_t n) {
    return (n == 10 || n == 13 || n == 16 || n == 19) && (*digits == '1' || (*digits == '2' && digits[1] <= '1'));
}

static enum strength of_integer(const char *s, size_t len) {
    size_t n = len;
    while (n && s[n - 1] == '0')
        n--;
    if (!n)
        return STRENGTH_NONE;
    if (is_unix_time(s, len))
        return STRENGTH_DECIMAL;
    return n >= PROOF_DIGITS ? STRENGTH_PROOF : STRENGTH_NUMBER;
}

static enum strength of_decimal(const char *s, size_t len) {
    size_t digits = 0;
    for (size_t i = 0; i < len; i++)
        digits += sort_of(s[i]) == SORT_DIGIT;
    bool time = is_unix_time(s, digits_at(s, len, 0));
    return digits >= PROOF_DECIMAL_DIGITS && !time ? STRENGTH_PROOF : STRENGTH_DECIMAL;
}

/* "2024-01-15…", "10:30", "10:30:00": they mean something by themselves. */
static bool is_date_or_time(const char *s, size_t len) {
    size_t n = digits_at(s, len, 0);
    if (n == 4 && len >= 10)
        return s[4] == '-' && digits_at(s, len, 5) == 2 && s[7] == '-' && digits_at(s, len, 8) == 2;
    return n && n <= 2 && len > n + 2 && s[n] == ':' && digits_at(s, len, n + 1) == 2 && len <= 15;
}

static enum strength of_text(const char *s, size_t len) {
    size_t count[SORT_SPACE + 1] = {0}, changes = 0;
    bool joined = false;
    for (size_t i = 0; i < len; i++) {
        enum sort sort = sort_of(s[i]);
        count[sort]++;
        if (i && sort <= SORT_DIGIT && sort != SORT_OTHER && sort_of(s[i - 1]) != sort &&
            sort_of(s[i - 1]) != SORT_OTHER && sort_of(s[i - 1]) != SORT_SPACE)
            changes++;
        joined |= i && i + 1 < len && strchr(":/@#", s[i]);
    }
    size_t letters = count[SORT_LOWER] + count[SORT_UPPER], digits = count[SORT_DIGIT];
    if (!letters && !digits)
        return STRENGTH_NONE;
    if (count[SORT_SPACE])
        return len >= PROOF_LONG && count[SORT_SPACE] >= 2 ? STRENGTH_PROOF : STRENGTH_WORD;
    if (len >= PROOF_LENGTH && (changes >= len / 3 || (letters && digits >= (len >= PROOF_LONG ? 2 : 3)) ||
                                (!letters && digits >= PROOF_LONG)))
        return STRENGTH_PROOF;
    return joined && len >= TOPIC_LENGTH ? STRENGTH_TOPIC : STRENGTH_WORD;
}

/* Words that are as good as true and false. */
static bool is_flag(const char *s, size_t len) {
    static const char *const flags[] = {"true", "false", "yes", "no", "on", "off", "ok", "null", "none", "error"};
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        if (len == strlen(flags[i]) && !strncasecmp(s, flags[i], len))
            return true;
    return false;
}

enum strength strength_of(const char *text, size_t len) {
    size_t sign = len && *text == '-';
    if (text_is_digits(text + sign, len - sign))
        return of_integer(text + sign, len - sign);
    if (text_is_number(text, len))
        return of_decimal(text + sign, len - sign);
    if (is_flag(text, len))
        return STRENGTH_NONE;
    return is_date_or_time(text, len) ? STRENGTH_DECIMAL : of_text(text, len);
}
