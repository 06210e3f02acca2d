/* Structural comparison: did what came back agree with the recording? For `ws replay --verify` and `ws diff`.
 *
 * Messages are paired in their order (groups that are unordered: by similarity), and their values compared path by path
 * (structure.h). What must not count does not: ignored paths, values that the other side was free to choose
 * (correlation), numbers within a tolerance, key order, white space, how a number is written. Thread: the owner's. */
#ifndef MF_REPLAY_COMPARE_H
#define MF_REPLAY_COMPARE_H

#include "replay/correlate.h"

struct compare_options {
    const char *const *ignore; /* patterns of paths (path_matches()) that do not count */
    size_t ignore_count;
    /* Patterns of arrays whose elements may come in any order: the array itself, not the arrays in it (but for patterns
     * that end in `**`). "" or "/": the messages, of which only who pairs messages takes notice. */
    const char *const *unordered;
    size_t unordered_count;
    double tolerance;          /* numbers may differ by so much, absolutely; 0: not at all */
    double tolerance_relative; /* or by so much of the larger one (0.01: a hundredth); 0: not at all */
    bool allow_extra;          /* messages, and members of objects, beyond the recorded ones; not elements of arrays */
    /* Kinds and paths alone: how long an array is does not count then, nor do the words of a text or the bytes of a
     * binary message. */
    bool types_only;
};

enum difference_kind {
    DIFFERENT_VALUE,
    DIFFERENT_TYPE,
    MISSING_VALUE,
    EXTRA_VALUE,
    MISSING_MESSAGE,
    EXTRA_MESSAGE,
    DIFFERENT_CLOSE,
    DIFFERENT_FORM,      /* JSON against words, a text frame against a binary one */
    DIFFERENT_HANDSHAKE, /* path: "path", "subprotocol" */
    DIFFERENT_ORDER,     /* a message came out of its turn; expected and got say behind which one */
};
#define COMPARE_CONNECTION SIZE_MAX /* in a message's place: the connection itself (close, handshake) */
#define COMPARE_TEXT_MAX 200u       /* bytes of difference.expected and got */

struct difference {
    enum difference_kind kind;
    size_t message;   /* index of the recorded message (of the live one for EXTRA_MESSAGE) in its connection */
    uint64_t time_us; /* of that message since its connection's begin; counts only with a direction */
    int direction;    /* enum event_direction; -1: not known */
    char *path;       /* "" for whole messages */
    /* As JSON text (words and whole texts as they are, bytes in hexadecimal with their offset), cut to
     * COMPARE_TEXT_MAX bytes; may hold control characters. NULL: nothing there. */
    char *expected, *got;
};
/* One comparison's outcome; grows as messages are compared, at most DIFFERENCES_MAX are kept (all are counted). Zeroed
 * memory is an empty one. */
#define DIFFERENCES_MAX 1000u
struct comparison {
    struct difference *items;
    size_t count, cap;
    uint64_t total;                    /* differences, kept or not */
    uint64_t compared, missing, extra; /* messages */
    uint64_t in_order;                 /* unordered arrays that were too large for it: compared in their order */
    /* Whose messages they are: for the differences' times and directions. Borrowed while messages are compared; may be
     * NULL. */
    const struct replay_connection *expected, *got;
};
void comparison_fini(struct comparison *c);

/* One message against another. Both structures were read with the same paths; data is followed by a NUL. The values at
 * `free_paths` (sorted; may be NULL) do not count, but they must be there and of the same kind. Returns how many
 * differences were added, or MF_ENOMEM. Time is linear in the messages' lengths, but for unordered arrays (bounded). */
MF_MUSTCHECK int compare_message(struct comparison *c, const struct compare_options *o, const struct path_table *paths,
                                 size_t message, const struct structure *expected, const void *expected_data,
                                 size_t expected_len, const struct structure *got, const void *got_data, size_t got_len,
                                 const uint32_t *free_paths, size_t free_count);
/* The others add one difference where there is one, and return so many, or MF_ENOMEM. */
MF_MUSTCHECK int compare_missing(struct comparison *c, size_t message, const void *data, size_t len);
MF_MUSTCHECK int compare_extra(struct comparison *c, size_t message, const void *data, size_t len);
/* Was the message a text or a binary one? */
MF_MUSTCHECK int compare_opcode(struct comparison *c, size_t message, bool expected_binary, bool got_binary);
/* The message came, but out of its turn: it was expected behind the recorded message `before`, and came behind the
 * recorded message `after` (either COMPARE_CONNECTION: as the first one). */
MF_MUSTCHECK int compare_order(struct comparison *c, size_t message, size_t before, size_t after);
/* Close codes; 0: no close frame. */
MF_MUSTCHECK int compare_close(struct comparison *c, unsigned expected, unsigned got);
/* `what` becomes the difference's path; the texts may be NULL. */
MF_MUSTCHECK int compare_handshake(struct comparison *c, const char *what, const char *expected, const char *got);

/* ---- reports ---- */

struct report_case {  /* one connection or client */
    const char *name; /* "session.jsonl.zst conn-1, client 2" */
    const struct comparison *comparison;
    const char *error; /* it could not be compared at all; NULL */
    uint64_t time_us;  /* how long it took */
};
/* A diff for people: message, path, - expected, + got. colour: for a terminal. What many messages share is folded.
 * Nothing that was in a message can drive a terminal. */
void report_text(struct buf *out, const struct report_case *cases, size_t count, bool colour);
/* JUnit XML: one testsuite named `suite`, a testcase each (control characters are escaped as XML must have it). */
void report_junit(struct buf *out, const char *suite, const struct report_case *cases, size_t count);
/* One JSON object and a newline; its shape is in docs/replay.md. */
void report_json(struct buf *out, const struct report_case *cases, size_t count);

#endif
