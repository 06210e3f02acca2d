/* What the files of the comparison of two recordings share. */
#ifndef MF_REPLAY_DIFF_PRIVATE_H
#define MF_REPLAY_DIFF_PRIVATE_H

#include "replay/diff.h"

/* One of the two connections. */
struct diff_side {
    const struct correlation *correlation;
    size_t connection;
    const struct replay_connection *recorded;
    const struct structure **structures; /* by message, as the correlation has them: with its own paths */
    struct structure *read;              /* b only: the same values, with a's paths. NULL: they are a's own */
};

/* Values with a's paths. */
static inline const struct structure *diff_structure(const struct diff_side *s, size_t message) {
    return s->read ? &s->read[message] : s->structures[message];
}

/* ---- diff_free.c ---- */

/* A value that was made up when it was recorded, or said again: which of its bytes. false: it is what it is. */
bool diff_is_free(const struct diff_side *s, size_t message, uint32_t value, uint32_t *begin, uint32_t *end);

/* Which made-up value of one recording stands for which of the other. Zeroed memory is an empty one. */
struct diff_names {
    struct diff_name *slots;
    size_t cap, count;
};
void diff_names_fini(struct diff_names *n);
/* The paths (sorted) of a's message whose values are made up on both sides and stand for each other as they did before.
 * Those that do so for the first time are remembered. paths is emptied first. MF_ENOMEM. */
struct diff_paths {
    uint32_t *items;
    size_t count, cap;
};
MF_MUSTCHECK int diff_free_paths(struct diff_names *n, const struct path_table *paths, const struct diff_side *a,
                                 size_t a_message, const struct diff_side *b, size_t b_message, struct diff_paths *out);

/* ---- diff_connection.c ---- */

MF_MUSTCHECK int diff_connection(struct comparison *c, const struct diff_options *o, const struct correlation *a,
                                 size_t a_connection, const struct replay_connection *a_recorded,
                                 const struct correlation *b, size_t b_connection,
                                 const struct replay_connection *b_recorded);

#endif
