/* JSON's own pieces for parse.c: space, strings, numbers, values to skip. Each function returns false after it has
 * filled p->err; `p->at` is then of no more use. Thread: the owner's. */
#ifndef MF_RECORDING_PARSE_JSON_H
#define MF_RECORDING_PARSE_JSON_H

#include "recording/parse.h"

/* Fills p->err with the text, and the line and column of `at`. */
void parse_error(struct parse *p, const uint8_t *at, const char *fmt, ...) MF_PRINTF(3, 4);
/* The same, for `return parse_fail(…)`: false, where the compiler sees it. */
#define parse_fail(...) (parse_error(__VA_ARGS__), false)

void json_space_slow(struct parse *p);
static inline void json_space(struct parse *p) {
    if (MF_UNLIKELY(parse_is_space(*p->at)))
        json_space_slow(p);
}

/* Passes one punctuation character and the space around it. `what` is for the message: "',' or '}' after the member".
 */
MF_MUSTCHECK bool json_expect(struct parse *p, uint8_t c, const char *what);

/* A string, unescaped into p->space and followed by a NUL there. Fails when there is no string. */
MF_MUSTCHECK bool parse_json_string(struct parse *p, struct event_bytes *out);
/* Gives back what parse_json_string() took for a string that is not needed any more: the last one, or all since then.
 */
static inline void parse_json_string_drop(struct parse *p, const struct event_bytes *s) {
    p->space.len = (size_t)(s->data - p->space.data);
}

/* A string without a NUL in it, as a C string; `name` is for the message. */
MF_MUSTCHECK bool parse_json_text(struct parse *p, const char *name, const char **out);

/* An object's members: `take` is called with each one's name and takes its value (json_skip() for what it does not
 * want). Names stay in p->space as strings do. */
typedef bool parse_member_fn(struct parse *p, const struct event_bytes *name, void *arg);
MF_MUSTCHECK bool json_members(struct parse *p, parse_member_fn *take, void *arg);
/* An array's elements, likewise; the name is NULL. */
MF_MUSTCHECK bool json_elements(struct parse *p, parse_member_fn *take, void *arg);
static inline bool parse_named(const struct event_bytes *name, const char *is) {
    return name->len == strlen(is) && !memcmp(name->data, is, name->len);
}

/* A number's characters, checked by JSON's grammar. */
MF_MUSTCHECK bool json_number(struct parse *p, const char **text, size_t *len);
/* A whole number from 0 to max. */
MF_MUSTCHECK bool json_whole(struct parse *p, const char *name, uint64_t max, uint64_t *out);
MF_MUSTCHECK bool json_bool(struct parse *p, const char *name, bool *out);
/* Passes "null" if it is there. */
bool parse_json_null(struct parse *p);
/* Any value, checked and thrown away. */
MF_MUSTCHECK bool json_skip(struct parse *p);

#endif
