#include "replay/strength.h"

#include <string.h>
#include <strings.h>

#define PROOF_DIGITS STRENGTH_PROOF_MIN /* of a whole number, without the zeros at its end */
#define PROOF_DECIMAL_DIGITS 13u        /* 0.8372937283910: drawn, not measured */
#define PROOF_LENGTH 8u
#define PROOF_DIGITS_ALONE 16u /* without a letter, but with what joins them */
#define PROOF_LONG 16u         /* so long that two digits among letters are enough, and so are two spaces */
#define TOPIC_LENGTH 8u
#define FLAG_LENGTH_MAX 5u

/* Every value of a recording, and each of its parts, comes by here character by character: hence tables. A joint is one
 * of what is neither letter, digit nor space. */
enum sort { SORT_OTHER, SORT_JOINT, SORT_LOWER, SORT_UPPER, SORT_DIGIT, SORT_SPACE };

static const uint8_t sorts[256] = {
    ['0' ... '9'] = SORT_DIGIT,   ['A' ... 'Z'] = SORT_UPPER, ['a' ... 'z'] = SORT_LOWER,
    [0x80 ... 0xff] = SORT_LOWER, [' '] = SORT_SPACE,         [':'] = SORT_JOINT,
    ['/'] = SORT_JOINT,           ['@'] = SORT_JOINT,         ['#'] = SORT_JOINT,
};

static inline enum sort sort_of(char c) {
    return (enum sort)sorts[(unsigned char)c];
}

static inline bool is_letter_or_digit(enum sort sort) {
    return sort >= SORT_LOWER && sort <= SORT_DIGIT;
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

/* How many characters of each sort a text has, 16 bits a sort: one addition for each character. Of longer
 * texts the beginning counts. */
#define COUNTED_MAX 0xffffu
#define COUNT_LETTERS 0
#define COUNT_DIGITS 16
#define COUNT_SPACES 32
#define COUNT_JOINTS 48

#define ONE_LETTER ((uint64_t)1 << COUNT_LETTERS)
#define ONE_DIGIT ((uint64_t)1 << COUNT_DIGITS)
#define ONE_SPACE ((uint64_t)1 << COUNT_SPACES)
#define ONE_JOINT ((uint64_t)1 << COUNT_JOINTS)

static const uint64_t counts[256] = {
    ['0' ... '9'] = ONE_DIGIT, ['A' ... 'Z'] = ONE_LETTER, ['a' ... 'z'] = ONE_LETTER, [0x80 ... 0xff] = ONE_LETTER,
    [' '] = ONE_SPACE,         [':'] = ONE_JOINT,          ['/'] = ONE_JOINT,          ['@'] = ONE_JOINT,
    ['#'] = ONE_JOINT,
};

static inline size_t counted(uint64_t sum, unsigned of) {
    return (size_t)(sum >> of & COUNTED_MAX);
}

/* From letters to digits, from small letters to large ones, and back. */
static size_t changes_in(const char *s, size_t len) {
    size_t changes = 0;
    enum sort before = SORT_OTHER;
    for (size_t i = 0; i < len; i++) {
        enum sort sort = sort_of(s[i]);
        changes += sort != before && is_letter_or_digit(sort) && is_letter_or_digit(before);
        before = sort;
    }
    return changes;
}

static bool is_drawn(const char *s, size_t len, size_t letters, size_t digits) {
    if (letters ? digits >= (len >= PROOF_LONG ? 2 : 3) : digits >= PROOF_DIGITS_ALONE)
        return true;
    return changes_in(s, len) >= len / 3;
}

static enum strength of_text(const char *s, size_t len) {
    uint64_t sum = 0;
    len = MIN(len, COUNTED_MAX);
    for (size_t i = 0; i < len; i++)
        sum += counts[(unsigned char)s[i]];
    size_t letters = counted(sum, COUNT_LETTERS), digits = counted(sum, COUNT_DIGITS);
    size_t spaces = counted(sum, COUNT_SPACES), joints = counted(sum, COUNT_JOINTS);
    if (!letters && !digits)
        return STRENGTH_NONE;
    if (spaces)
        return len >= PROOF_LONG && spaces >= 2 ? STRENGTH_PROOF : STRENGTH_WORD;
    if (len >= PROOF_LENGTH && is_drawn(s, len, letters, digits))
        return STRENGTH_PROOF;
    /* Those at its ends join nothing. */
    size_t loose = (size_t)(sort_of(s[0]) == SORT_JOINT) + (size_t)(sort_of(s[len - 1]) == SORT_JOINT);
    return joints > loose && len >= TOPIC_LENGTH ? STRENGTH_TOPIC : STRENGTH_WORD;
}

/* The first letters of flags, large or small, as bits: most words are none by these. */
#define LETTER(c) (1u << ((c)&31))
#define FLAG_LETTERS (LETTER('t') | LETTER('f') | LETTER('y') | LETTER('n') | LETTER('o') | LETTER('e'))

/* Words that are as good as true and false. */
static bool is_flag(const char *s, size_t len) {
    static const char flags[][FLAG_LENGTH_MAX + 1] = {"true", "false", "yes",  "no",   "on",
                                                      "off",  "ok",    "null", "none", "error"};
    if (!len || len > FLAG_LENGTH_MAX || !(FLAG_LETTERS >> (*s & 31) & 1))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        if (flags[i][len - 1] && !flags[i][len] && !strncasecmp(s, flags[i], len))
            return true;
    return false;
}

/* Numbers, dates and times begin so. */
static bool may_be_number(const char *text, size_t len) {
    return len && (*text == '-' || sort_of(*text) == SORT_DIGIT);
}

enum strength strength_of(const char *text, size_t len) {
    if (!may_be_number(text, len))
        return is_flag(text, len) ? STRENGTH_NONE : of_text(text, len);
    size_t sign = *text == '-';
    if (text_is_digits(text + sign, len - sign))
        return of_integer(text + sign, len - sign);
    if (text_is_number(text, len))
        return of_decimal(text + sign, len - sign);
    return is_date_or_time(text, len) ? STRENGTH_DECIMAL : of_text(text, len);
}
