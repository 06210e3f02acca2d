/* Times that run backwards: noticed, counted, and said once for each file. The order of the lines is what counts then,
 * and readers take the time before (docs/session-file.md, "Lines").
 *
 * Within one connection and direction times grow; between connections they step back a little, which is no fault. Of
 * 1,024 of those at a time the last time is known: memory is bounded, and in a file of more some steps go unnoticed.
 * Thread: the reader's. */
#ifndef MF_RECORDING_STEP_BACK_H
#define MF_RECORDING_STEP_BACK_H

#include "recording/event.h"

#define STEP_BACK_LANES 1024 /* a power of two */

struct step_back {
    uint64_t count;
    int line; /* of the first: 0: not known */
    uint64_t before_us, us;
    struct step_back_lane {
        uint64_t key, us; /* key 0: none */
    } lanes[STEP_BACK_LANES];
};

/* Looks at the next event of a file; line 0: not known. */
void step_back_see(struct step_back *s, const struct session_event *e, int line);
/* Counts a step that somebody else saw. */
void step_back_count(struct step_back *s, uint64_t before_us, uint64_t us, int line);
/* What was read is left, for another place of the file. */
void step_back_jump(struct step_back *s);
/* Logs what was counted, if anything was, and forgets it. */
void step_back_say(struct step_back *s, const char *path);

#endif
