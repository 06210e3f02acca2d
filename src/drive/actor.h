/* One live client that plays one recorded connection, once or again and again.
 *
 *     waiting -> opening -> playing -> awaiting -> closing -> waiting | over
 *
 * playing: the player says what goes out when. awaiting: everything went out, the server has something to say yet.
 * Belongs to the driver. Thread: the loop's. */
#ifndef MF_DRIVE_ACTOR_H
#define MF_DRIVE_ACTOR_H

#include "drive/client.h"
#include "drive/run.h"
#include "drive/verify.h"

enum actor_state { ACTOR_WAITING, ACTOR_OPENING, ACTOR_PLAYING, ACTOR_AWAITING, ACTOR_CLOSING, ACTOR_OVER };

/* A message that went out and whose answer's time is taken: the recorded message that follows it. */
struct answer_due {
    uint32_t message;
    uint64_t sent_us;
};
/* A frame of a message that a script wants to see as a whole. */
struct held_frame {
    uint8_t opcode;
    size_t end; /* in `held` */
};

struct actor {
    /* identity */
    struct drive_run *run;
    uint64_t number; /* 1 for the first */
    size_t connection;
    const struct replay_connection *recorded;
    struct drive_case *report; /* NULL: nothing is compared */

    /* links */
    struct list queued; /* driver: those that wait for their turn */
    uint64_t due_us;    /* not before it */
    struct client *client;
    struct player *player;
    struct verifier *verifier;
    struct lua_filter_env *script;
    struct event *timer;

    /* this round */
    enum actor_state state;
    uint64_t begun_us;
    enum player_step ending;               /* how the recorded half ends: CLOSE, DROP or DONE */
    const struct replay_frame *last_frame; /* with CLOSE */
    bool forced;                           /* the recorded server closed, the live one did not: we did */
    bool unfinished;                       /* the driver ended it */
    uint64_t rounds;                       /* that were not: over all */
    uint8_t *came;                         /* by recorded message: the server said it */
    size_t sent;
    size_t matched, unmatched; /* what came, without heartbeats */
    struct answer_due *due;    /* a ring of DUE_MAX, made when it is first needed */
    size_t due_first, due_count;
    struct buf held;
    struct held_frame *held_frames;
    size_t held_count, held_cap;
};
#define ACTOR_DUE_MAX 256u /* answers that are awaited at a time; beyond it none are timed */

MF_MUSTCHECK int actor_init(struct actor *a, struct drive_run *run, uint64_t number, size_t connection);
void actor_fini(struct actor *a);
/* Dials. Ends with run->on_opened and run->on_round_over. */
void actor_start(struct actor *a);
/* Closes what it has open with this code; it will be over. hurry: at once. */
void actor_stop(struct actor *a, unsigned code, bool hurry);

#endif
