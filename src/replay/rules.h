/* What comes again where, and how well that is proven.
 *
 * A rule says: what one side says at key `source` comes again at key `target` from the other side. It is found when
 * that is seen once; then all messages are looked at again for how often it held and how often it could have; then it
 * is judged. Thread: the owner's. */
#ifndef MF_REPLAY_RULES_H
#define MF_REPLAY_RULES_H

#include "replay/spoken.h"

#define RULES_MAX (1u << 17)
#define RULES_TARGET_MAX 64u /* of one target, those that held most often */
#define RULE_DISTINCT_MAX 8u
#define RULE_NONE UINT32_MAX

/* Why a rule is what it is; reports print it. */
enum verdict {
    /* It holds for every value. */
    VERDICT_ASKED,    /* --correlate */
    VERDICT_PROVEN,   /* a value that is no coincidence, and no exception */
    VERDICT_NAMED,    /* the same name at both ends, and no exception */
    VERDICT_IDS,      /* both are named as ids are, several values, and no exception */
    VERDICT_HELD,     /* several values, and no exception */
    VERDICT_TEXT,     /* a word within a text, and no exception */
    VERDICT_BYTES,    /* fields of binary messages: no coincidence, all meetings taken together */
    VERDICT_TOGETHER, /* several values over several sorts of messages, or of an object; no exception in these */
    /* For values that are no coincidence, and only those. */
    VERDICT_STRONG,
    /* Rejected. */
    VERDICT_FAILED,   /* exceptions */
    VERDICT_FEW,      /* other names, and too few different values */
    VERDICT_CONSTANT, /* always the same value, as at /version */
    VERDICT_TAG,      /* what tells sorts of messages apart */
    VERDICT_COUNTING, /* numbers that go up by themselves */
};

struct rule {
    uint32_t source, target;     /* keys */
    uint64_t outline;            /* for target messages like this alone (outline_of()); 0: for all */
    const char *before, *behind; /* within a text: what stands around it; NULL: whatever does */
    uint32_t next;               /* of the same target */
    uint8_t from;                /* enum event_direction: whose values they are */
    uint8_t verdict;
    bool split;     /* it holds for some outlines: those rules are judged */
    bool is_behind; /* numbers in words */
    uint64_t held, could;
    uint32_t early, early_connection; /* numbers at the target before the source has said anything */
    uint64_t proofs;                  /* of held: values that are no coincidence */
    uint64_t topics, words;
    uint64_t quoted;  /* of held: strings at both ends */
    uint64_t recent;  /* of held: among the latest few values of the source */
    uint64_t rare;    /* of held: while the source had said only a few values */
    uint64_t telling; /* of held: enough where the names are the same */
    uint64_t steps;   /* of held: the source's next value after the one before, and the source has said nothing since */
    uint32_t place, said; /* of what held last: which of the source's values it was, and how many there were */
    uint32_t longest;     /* bytes: of the values that are no coincidence */
    uint32_t distinct;
    uint64_t values[RULE_DISTINCT_MAX];            /* hashes */
    uint64_t used;                                 /* slots */
    uint32_t connection, from_message, to_message; /* an example; counted from 1, the handshake is 0 */
    const char *example;                           /* its value, cut */
};

struct rules {
    struct rule *items;
    uint32_t count, cap;
    uint32_t *slots; /* open addressing: index + 1 */
    uint32_t mask;
    uint32_t *of_target; /* by key; after rules_chain() */
    uint32_t keys;
    struct slab slab;
    struct keys *key_table;           /* borrowed */
    const struct bytes_schema *bytes; /* borrowed; NULL: nothing was learnt */
    bool failed;
};

void rules_fini(struct rules *r);
/* A rule's identity: a new one has not held yet. RULE_NONE: there are too many, or no memory (failed). */
struct rule_id {
    uint8_t from;
    uint32_t source, target;
    uint64_t outline;
    const char *before, *behind;
    size_t before_len, behind_len;
};
uint32_t rules_add(struct rules *r, const struct rule_id *id);
uint32_t rules_find(const struct rules *r, const struct rule_id *id);
void rule_held(struct rules *r, struct rule *rule, const struct place_said *source, const struct atom *target,
               const char *text, uint32_t recency);
/* Lists the rules of each target, those without a chance left out. */
void rules_chain(struct rules *r);
void rules_judge(struct rules *r);
/* No exception but noise: one in twenty (a message lost, a value that was there before the recording). */
bool rule_is_consistent(const struct rule *r);
/* rules_together.c: what proves nothing alone may do so with its like. Part of rules_judge(). */
void rules_judge_together(struct rules *r);
static inline bool rule_is_general(const struct rule *r) {
    return r->verdict < VERDICT_STRONG;
}

#endif
