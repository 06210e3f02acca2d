/* Comparing a recording with itself, between its files:
 *
 *     infer.c         the passes, and the walk over the messages of each
 *     infer_rules.c   COLLECT, COUNT and SPLIT: what may be linked with what, and the evidence for rules
 *     infer_links.c   CARRY and FILL: which texts the rules carry over, where these are born and where they go
 *
 * Of one call of infer(), and of its thread. Memory that is not there sets `failed`. */
#ifndef MF_REPLAY_INFER_H
#define MF_REPLAY_INFER_H

#include "replay/bytes.h"
#include "replay/correlation.h"
#include "replay/paths.h"

enum pass { PASS_COLLECT, PASS_COUNT, PASS_SPLIT, PASS_CARRY, PASS_FILL, PASSES };

/* By key and direction, of the connection being walked over. */
struct key_state {
    uint32_t said[2]; /* connection + 1: it was said there by now */
    uint32_t ordinal[2];
    bool reached[2]; /* by some rule of that side's values */
    bool carried[2]; /* in the whole recording: what is said here is a variable by some rule */
};

struct inference {
    struct correlation *c;
    const struct correlate_options *options;
    const struct path_marks *marks;
    struct atoms atoms;
    struct spoken spoken;
    struct key_state *keys;
    uint32_t key_cap;
    struct numbers carried; /* texts of connections that rules carry over */
    uint64_t *outlines;     /* by path: hash of its first segment; 0: not asked for yet */
    struct refresh *refresh;
    uint64_t done, total; /* messages, for progress */
    enum pass pass;
    bool has_split, has_names, failed;
    /* where the walk is */
    uint32_t connection, message;
    uint32_t number; /* of the message, as spoken has it: the handshake is 0, the first message 1 */
    uint8_t direction;
    uint64_t outline;
    const struct structure *structure;
    const struct replay_message *recorded;
};

/* ---- infer_rules.c ---- */

/* May what stands at an atom be what was said at that place? */
bool infer_may_link(const struct inference *f, const struct place_said *p, const struct atom *a);
/* Did the other side say it first? Of what is no coincidence wherever it was, of the rest at these two places; of one
 * sort of messages alone, if asked so: who makes requests of his own has ids of his own there. */
bool infer_is_theirs(const struct inference *f, const struct text_said *t, const struct place_said *p,
                     const struct atom *a, bool of_sort);
/* The name of their rule. */
struct rule_id infer_link_id(const struct inference *f, const struct place_said *p, const struct atom *a,
                             uint64_t outline);
/* Bits of the rules that the user asks for (--correlate) and that say so. */
uint64_t infer_asked_for(const struct inference *f, const struct place_said *p, const struct atom *a);
/* That rule held once more. */
void infer_note(struct inference *f, const struct place_said *p, const struct atom *a, uint64_t outline);
void infer_collect(struct inference *f, const struct atom *a);
void infer_count(struct inference *f, const struct atom *a);

/* ---- infer_links.c ---- */

/* What a text that is said again comes from. */
struct said_again {
    struct rule *rule;
    const struct place_said *place;
    unsigned rank;
};
/* The best one of this atom; false: there is none. */
bool infer_find_link(struct inference *f, const struct atom *a, struct said_again *best);
void infer_carry(struct inference *f, const struct atom *a, const struct said_again *link);
void infer_fill_slot(struct inference *f, const struct atom *a, const struct said_again *link);
/* The atoms of one value: the whole of it is taken where a rule holds, else parts that do not overlap. Returns
 * where the next one's begin. */
uint32_t infer_link_value(struct inference *f, uint32_t from);
bool infer_may_be_said(const struct atom *a);
void infer_say(struct inference *f, const struct atom *a);

#endif
