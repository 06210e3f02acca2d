/* Places of binary messages at which one side says again what the other said: found byte by byte, then judged as runs
 * of bytes. Thread: the owner's. */
#ifndef MF_REPLAY_BYTES_RUNS_H
#define MF_REPLAY_BYTES_RUNS_H

#include "replay/bytes.h"

#define RUNS_RECENT 8u /* messages of a sort among which the one that is answered must be */

/* Places that are looked at: the first bytes of a message's parts, and its last ones. */
#define PLACES_PARTS 8u
#define PLACES_OF_PART 24u
#define PLACES_END (PLACES_PARTS * PLACES_OF_PART) /* + 0: the last byte, + 1: the one before */
#define PLACES_OF_END 8u
#define PLACES (PLACES_END + PLACES_OF_END)

/* One message: its bytes by place. */
struct saying {
    int16_t at[PLACES];     /* -1: it has none there */
    uint8_t places[PLACES]; /* those that it has */
    uint32_t count;
};

/* Messages of one direction and tag. */
struct sort {
    uint16_t id; /* direction * BYTES_TAGS + tag */
    struct saying ring[RUNS_RECENT];
    uint32_t next, count;
    uint32_t connection; /* + 1: on which they were said */
};

struct pair_of_sorts;
struct runs {
    struct pair_of_sorts *pairs;
    uint32_t count, cap;
    uint16_t *index;          /* by both ids: pair + 1 */
    uint32_t seen[2][PLACES]; /* by direction: messages that have a byte there */
    uint8_t first[2][PLACES];
    bool varies[2][PLACES];
};

void saying_read(struct saying *said, const struct bytes_length *length, const uint8_t *data, size_t len, bool tagged);
/* The first walk: what each message has. */
void runs_note(struct runs *r, unsigned direction, const struct saying *said);
/* The first walk: drops what does not hold. false: no memory. */
bool runs_narrow(struct runs *r, const struct sort *source, const struct sort *target, const struct saying *said);
/* Between the walks: bytes become runs. false: no memory. */
bool runs_begin(struct runs *r);
/* The second walk: evidence for whole runs. Never fails. */
bool runs_weigh(struct runs *r, const struct sort *source, const struct sort *target, const struct saying *said);
/* The runs that are no coincidence become fields and links of the schema. */
void runs_judge(struct runs *r, struct bytes_schema *schema);
void runs_fini(struct runs *r);

#endif
