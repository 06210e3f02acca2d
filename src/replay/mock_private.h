/* What mock_export() draws from a recording, between its files:
 *
 *     mock_exchange.c   what a client sent and what came of it; requests that are alike are one kind
 *     mock_echo.c       values of a request that its answers say again
 *     mock_rule.c       one kind as rules of a configuration
 *     mock_export.c     routes, and the whole
 *
 * Main thread, for the time of one call. Negative results are MF_ENOMEM, with x->err set. */
#ifndef MF_REPLAY_MOCK_PRIVATE_H
#define MF_REPLAY_MOCK_PRIVATE_H

#include "replay/mock_export.h"
#include "replay/player_plan.h"

#define RULES_MAX 4096u    /* of one export: kinds of messages on one path */
#define SAMPLES_MAX 64u    /* exchanges of one kind that are compared */
#define ANSWERS_MAX 100u   /* messages of one answer */
#define CHOSEN_MAX 16u     /* values in a match */
#define ECHOES_MAX 32u     /* placeholders of one message */
#define LOOKED_AT_MAX 256u /* values of one message that are compared with others */

/* What a client sent, and what the server sent because of it: what says its values again, else what came before the
 * client's next message (player_plan.h). */
struct exchange {
    const struct replay_connection *c;
    const struct replay_message *request;
    const uint32_t *answers; /* numbers of messages, c's first one is number `base`; the plan's */
    uint32_t base, count;
    unsigned close_code; /* the server closed after it; 0: it did not */
    const char *close_reason;
    size_t close_reason_len;
};

/* All exchanges whose requests are alike. */
struct kind {
    char *match;
    uint64_t hash;
    uint32_t chosen[CHOSEN_MAX];
    size_t chosen_count;
    struct exchange samples[SAMPLES_MAX];
    size_t sample_count;
};

/* A value of an answer's message that is a value of the request. */
struct echo {
    uint32_t answer; /* which message of the answer */
    uint32_t to, from;
};

struct export {
    const struct replay_source *source;
    struct player_plan *plan; /* of all connections */
    uint32_t *order;          /* of all connections, by path */
    const uint32_t *run;      /* those of the route that is being written */
    size_t run_count;
    const char *path;
    unsigned proofs; /* of this kind */
    struct kind **kinds;
    size_t count;
    struct path_table *paths;
    struct structure_scratch scratch;
    struct buf *out;
    size_t begin; /* of our text in out */
    struct mock_export_result *result;
    struct err *err;
};

/* "out of memory" in x->err; MF_ENOMEM. */
int mock_no_memory(struct export *x);
MF_MUSTCHECK int mock_read(struct export *x, const struct replay_message *m, struct structure *s);
bool mock_same_bytes(const struct buf *a, const struct buf *b);

/* ---- mock_exchange.c ---- */

/* Can a configuration say this message? */
bool mock_can_hold(const struct replay_message *m);
static inline const struct replay_message *mock_answer(const struct exchange *e, uint32_t k) {
    return &e->c->messages[e->answers[k] - e->base];
}
/* Adds the exchanges of the source's connection of this index to x->kinds. */
MF_MUSTCHECK int mock_collect(struct export *x, size_t connection);
void mock_free_kinds(struct export *x);
/* Is the value at this path one of those that the kind's match names? */
bool mock_is_chosen(const struct kind *kind, uint32_t path);

/* ---- mock_echo.c ---- */

/* All echoes of a kind, as the sample with the longest answer shows them. */
MF_MUSTCHECK int mock_find_echoes(struct export *x, const struct kind *kind, struct echo echoes[ECHOES_MAX],
                                  size_t *count);

/* One sample: its request's value at `from`, and that of its answer's message at `to`. 1: equal; 0: not, or one is
 * missing. *text: the value. */
MF_MUSTCHECK int mock_echo_holds(struct export *x, const struct exchange *e, const struct echo *echo, struct buf *text);

/* ---- mock_rule.c ---- */

/* A binary message as a configuration has it. */
void mock_put_binary(struct buf *out, const struct replay_message *m);
/* The rules for one kind of request. */
MF_MUSTCHECK int mock_put_kind(struct export *x, const struct kind *kind);

#endif
