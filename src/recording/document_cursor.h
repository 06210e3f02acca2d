/* A place in a JSON document that is read as a stream: values are passed over without being held, or taken whole one at
 * a time. Memory is bounded by the longest value taken (READER_LINE_MAX).
 *
 * What is passed over is checked only as far as brackets and strings go. Every step gives 1, 0 when the file ends
 * before the step does (a cut document), or a negative error with the file, line and column. Thread: the owner's. */
#ifndef MF_RECORDING_DOCUMENT_CURSOR_H
#define MF_RECORDING_DOCUMENT_CURSOR_H

#include "recording/reader_input.h"

struct cursor {
    struct input in;
    struct buf text;
    size_t at;
    int line;            /* of text.data[at], from 1 */
    uint64_t line_begin; /* where that line begins, as an offset in the whole document */
    uint64_t dropped;    /* bytes of the document in front of text.data */
};

/* A place to come back to, in a plain file. */
struct cursor_place {
    uint64_t offset, line_begin;
    int line;
};

MF_MUSTCHECK int cursor_open(struct cursor *c, const char *path, struct err *err);
/* Another place in the same file, with the same descriptor: input_share(). */
MF_MUSTCHECK int cursor_share(struct cursor *c, const struct cursor *of, struct err *err);
void cursor_close(struct cursor *c);
/* Passes UTF-8's byte order mark, which some editors put in front. */
MF_MUSTCHECK int cursor_pass_bom(struct cursor *c, struct err *err);

struct cursor_place cursor_here(const struct cursor *c);
/* Goes there. The file is not compressed. */
MF_MUSTCHECK int cursor_seek(struct cursor *c, struct cursor_place place, struct err *err);

/* The next byte that is not space, into *out. */
MF_MUSTCHECK int cursor_peek(struct cursor *c, uint8_t *out, struct err *err);
/* Passes the byte that cursor_peek() gave. */
static inline void cursor_pass(struct cursor *c) {
    c->at++;
}
/* Passes `want`, or fails saying that `what` was expected. */
MF_MUSTCHECK int cursor_expect(struct cursor *c, uint8_t want, const char *what, struct err *err);

/* Passes members of the object that the cursor is in until one has this name: 1, with *found false when the object
 * ended first. `first` as in cursor_next(). */
MF_MUSTCHECK int cursor_find(struct cursor *c, const char *name, bool *first, bool *found, struct err *err);
/* Goes into the object or array that begins here ('{' or '['). */
MF_MUSTCHECK int cursor_enter(struct cursor *c, uint8_t bracket, struct err *err);
/* To the next member or element, past its comma; *more is false when `bracket` ('}' or ']') came, which is passed.
 * `first` is set before the first call and belongs to this function. */
MF_MUSTCHECK int cursor_next(struct cursor *c, uint8_t bracket, bool *first, bool *more, struct err *err);
/* A member's name and its colon. The name is raw (escapes are not undone), cut to fit. */
MF_MUSTCHECK int cursor_name(struct cursor *c, char *out, size_t size, struct err *err);
MF_MUSTCHECK int cursor_skip(struct cursor *c, struct err *err);
/* The value that begins here, whole and not passed yet: text[0..len), followed by PARSE_PADDING bytes; borrowed until
 * cursor_taken(), which passes it. The cursor's place is the value's beginning until then. */
MF_MUSTCHECK int cursor_take(struct cursor *c, const uint8_t **text, size_t *len, struct err *err);
void cursor_taken(struct cursor *c, size_t len);
/* Moves the place of an error, line and column counted from the beginning of the taken value, to the file's. */
void cursor_place(const struct cursor *c, struct err *err);

/* Fails at this place. */
int cursor_fail(struct cursor *c, struct err *err, const char *fmt, ...) MF_PRINTF(3, 4);

#endif
