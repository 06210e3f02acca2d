/* What a message is made of, whatever its protocol: a form, and values with the paths at which they stand.
 *
 *     {"id":"a7","data":"{\"n\":1}"}   JSON:      /id = "a7", /data/@json/n = 1
 *     42["chat",{"room":5}]            PREFIXED:  @head/0 = 42, /0 = "chat", /1/room = 5
 *     {"type":6}<1E>{"type":7}<1E>     JSON:      /type = 6, @record/1/type = 7
 *     SUBSCRIBE topic=a7               WORDS:     @word/0 = SUBSCRIBE, @word/1 = topic, @word/2 = a7
 *     02 00 07 05 "hello"              BINARY:    @bytes/02/1+0 = 0x0007, @bytes/02/text0 = hello, …
 *
 * Correlation, matching and comparison all look at messages in this way, so that no protocol is named anywhere. A
 * binary message that is JSON text is JSON, one that is text without control characters is WORDS. JSON here is an
 * object or an array, with nothing but white space and control characters behind it, or several of them with such
 * characters between; what is prefixed to it has at most 64 bytes, or 1024 that end with an empty line. A JSON string
 * that is itself an object or array is opened (its values stand below `@json`, four deep at most). Words are runs of
 * letters, digits, and `_ - . : / @ + #` between other characters (so that ids, URLs, topics and times are one word);
 * only the first WORDS_MAX count.
 *
 * Thread: a table of paths is written while a recording is loaded and only read after that, by any thread. */
#ifndef MF_REPLAY_STRUCTURE_H
#define MF_REPLAY_STRUCTURE_H

#include "base/buf.h"
#include "protocol/json.h"

#define STRUCTURE_WORDS_MAX 256u
#define STRUCTURE_VALUES_MAX 65536u /* of one message; what is behind them has no values */
#define STRUCTURE_NESTED_MAX 4u

/* ---- paths: "/payload/items/0/id", interned ---- */

#define PATH_UNKNOWN UINT32_MAX
struct path_table;
MF_MUSTCHECK int path_table_new(struct path_table **out);
void path_table_free(struct path_table *t);
const char *path_text(const struct path_table *t, uint32_t path); /* RFC 6901 escapes: ~0, ~1 */
/* The last name of it ("id"); of an element of an array the array's name; "" where there is none (words, elements of
 * the outermost array). Borrowed. */
const char *path_name(const struct path_table *t, uint32_t path);
uint32_t path_find(const struct path_table *t, const char *text); /* PATH_UNKNOWN */
/* Paths are the numbers below this; those that only lead to others ("/payload") are among them. */
uint32_t path_count(const struct path_table *t);
/* Does a pattern cover a path? "/a/b" itself and all below it; `*` stands for one segment, `**` for any number. "a.b"
 * (dots, no slash or @ in front) is taken as "/a/b"; "" and "/" cover everything. */
bool path_matches(const char *pattern, const char *path);

/* ---- one message ---- */

enum message_form { FORM_BINARY, FORM_WORDS, FORM_PREFIXED, FORM_JSON };

enum value_kind {
    VALUE_NULL,
    VALUE_BOOLEAN,
    VALUE_NUMBER,
    VALUE_STRING,
    VALUE_WORD,
    VALUE_EMPTY /* {} or [] */,
    VALUE_BYTES
};

struct message_value {
    uint32_t path;       /* PATH_UNKNOWN: no recorded message has it */
    uint32_t begin, end; /* its bytes in the message as it stands; the quotes of a string are among them */
    uint8_t kind;        /* enum value_kind */
    uint8_t nested;      /* in how many JSON strings it stands: so many times over it is escaped */
    uint8_t repeats;     /* it stands in an array, behind its first element; 2: of the outermost array */
    uint8_t code;        /* BINARY: how it is written (enum bytes_code); else 0 */
};

struct structure {
    enum message_form form;
    bool is_array;                /* the JSON text's outermost value */
    struct message_value *values; /* in the order in which they stand */
    uint32_t count, cap;
    uint64_t shape; /* hash of form and the set of paths with their kinds, in any order; array elements count as one */
};

/* Working memory, to be kept from one message to the next: one for each thread. Zeroed memory is valid. */
struct structure_scratch {
    struct json_tape tape[STRUCTURE_NESTED_MAX + 1];
    struct buf text[STRUCTURE_NESTED_MAX + 1], name;
    uint64_t *seen; /* a set of hashes: the shapes of array elements */
    uint32_t seen_count, seen_mask;
};
void structure_scratch_fini(struct structure_scratch *s);

/* data is followed by a NUL. `s` is emptied first. With `add` unknown paths are added to it; otherwise they are looked
 * up in `paths`. MF_ENOMEM. */
MF_MUSTCHECK int structure_read(struct structure *s, struct structure_scratch *scratch, const struct path_table *paths,
                                struct path_table *add, const void *data, size_t len, bool binary);
void structure_fini(struct structure *s);
/* The value with that path (of a repeated name the last), or NULL. Linear. */
const struct message_value *structure_find(const struct structure *s, uint32_t path);

/* Appends what a value stands for: a string without quotes and escapes, everything else as it is written. */
void value_text(struct buf *out, const void *data, const struct message_value *v);
/* Appends a value, given as value_text() has it, as it must be written in text (`nested` times escaped; a
 * VALUE_STRING in quotes). */
void value_write(struct buf *out, uint8_t nested, enum value_kind kind, const char *text, size_t len);

/* ---- is a live message what was recorded? ---- */

struct match_hints {
    const char *const *exact; /* patterns of paths whose values must be equal */
    size_t exact_count;
    const char *const *any; /* patterns of paths whose values do not matter at all */
    size_t any_count;
    const uint32_t *free_paths; /* paths whose values their sender chooses (correlation), sorted: need not be equal */
    size_t free_count;
};
#define SIMILARITY_EQUAL 1000u
/* 0: it cannot be the same message; up to SIMILARITY_EQUAL: same structure, same values. Forms must agree. Paths and
 * kinds weigh most; equal values add. Some values tell which message it is, and must be equal: by convention those
 * named type, op, event, action, method, command, cmd, kind (the innermost name, in any letter case, not below an
 * array element), the first element of the outermost array if it is a short word, the number or the word in capitals
 * that a PREFIXED or WORDS message begins with (apart from what correlation has found in them); and hints->exact.
 * Binary messages are compared by length and first bytes, also with bytes that happen to be text, and are never 0; those
 * that are the same but for hints->free_paths come right behind equal ones. On 0, `why` (may be NULL) gets one line:
 * "/type: expected "subscribe", got "ping"". */
unsigned structure_similarity(const struct path_table *paths, const struct structure *recorded,
                              const void *recorded_data, size_t recorded_len, const struct structure *live,
                              const void *live_data, size_t live_len, const struct match_hints *hints, struct buf *why);

#endif
