/* Globs, regular expressions and the order of numbers: what a `match:` is made of, and what the command line filters
 * by.
 *
 * Compiled once, immutable, any thread. No input makes them slow: a glob takes time as text and glob are long, a
 * regular expression has a budget of steps, beyond which it does not match. */
#ifndef MF_MATCH_PATTERN_H
#define MF_MATCH_PATTERN_H

#include "base/err.h"

/* Compares two JSON numbers (or YAML's, with '+', ".5" and "1.") by value, digit by digit: nothing is rounded, and no
 * exponent is too large. Negative, 0 or positive. */
int number_compare(const char *a, size_t a_len, const char *b, size_t b_len);

/* `*` any run, `?` one character, `[a-z]`, `[!a-z]`, `\` takes the next as it is. */
struct glob;
/* MF_EINVAL: *why says what is wrong. */
MF_MUSTCHECK int glob_compile(const char *text, struct glob **out, const char **why);
void glob_free(struct glob *g);
/* Is every character one that stands for itself? Then *text, to be freed, is what they are (NULL: out of memory). */
bool glob_is_literal(const struct glob *g, char **text);
/* At worst, time grows with the text's length times the glob's. Bytes that are not UTF-8 count as a character each. */
bool glob_matches(const struct glob *g, const char *s, size_t len);

/* PCRE2, UTF, unanchored. */
struct regex;
enum regex_flags {
    REGEX_CASELESS = 1,
    REGEX_LITERAL = 2, /* the pattern is a text and no expression */
};
/* MF_EINVAL: err's text is PCRE2's, with the offset in bytes; no place is set. */
MF_MUSTCHECK int regex_compile(const char *pattern, struct regex **out, struct err *err);
/* As regex_compile(), with a set of enum regex_flags. */
MF_MUSTCHECK int regex_compile_as(const char *pattern, unsigned flags, struct regex **out, struct err *err);
void regex_free(struct regex *r);
bool regex_matches(const struct regex *r, const char *s, size_t len);

#endif
