/* One player's state, for the files of its body. */
#ifndef MF_REPLAY_PLAYER_PRIVATE_H
#define MF_REPLAY_PLAYER_PRIVATE_H

#include "player_plan.h"

/* Answers under way beside the main sequence: to a heartbeat, to a message that came once more, to one that came ahead
 * of its turn; in lookup mode to everything. */
struct answer {
    uint32_t to;               /* number of the message of theirs */
    uint32_t at;               /* place in its answers, of the one that is next */
    uint32_t frame;            /* of it: the next one */
    uint64_t live_us;          /* when the live message came */
    bool whole;                /* the one under way goes out in one frame, with live values */
    bool linked_only;          /* of the answers only those that say again what it said, or are tied to it */
    bool early;                /* the main sequence skips what goes out here */
    bool begun;                /* a part of it has gone out */
    bool fresh_only;           /* early: what says again a name used throughout may wait for more than this message */
    size_t until;              /* only what begins before this frame: the main sequence plays the rest. SIZE_MAX: all */
    uint64_t id;               /* tells answers apart, also when the list moves */
    struct bindings *bindings; /* with the live message's values; NULL: nothing is filled in */
};
#define ANSWERS_MAX 256u /* under way at once; beyond it the oldest is cut off */

/* A message of theirs that has come, read with the recording's paths. */
struct live_message {
    struct structure structure;
    const void *data;
    size_t len;
    uint32_t classes[PLAN_CLASSES_MAX]; /* that it may belong to */
    size_t class_count;
};

enum player_end { PLAYING, TIMED_OUT, ENDED };

struct player {
    struct player_plan *plan;
    const struct plan_connection *pc; /* the connection of the main sequence */
    const struct replay_connection *rc;
    struct player_options options;

    /* the main sequence */
    size_t frame;       /* the next one */
    uint32_t run;       /* in plan->runs: none before it begins at `frame` or later */
    uint32_t before;    /* awaited messages that stand before it */
    uint32_t last_held; /* the last of them that is waited for */
    uint64_t live_us;   /* live_us is recorded_us: what due times are counted from */
    uint64_t recorded_us;
    uint64_t sent_us;  /* when a frame of the main sequence was sent last */
    uint64_t pulse_us; /* when the plan's pulse was sent last; 0: not yet */
    uint64_t round, round_us;
    enum player_end state;
    bool ours_closed, theirs_closed; /* a recorded close frame has been passed */

    /* what has come of the awaited messages: bit 0 is the one with ordinal `window` */
    uint32_t window;
    uint64_t come, passed; /* passed: it is not waited for any more */
    uint32_t overtaken;    /* the ordinal of the first open one */
    uint64_t overtaken_us; /* since when later ones have come while the first open one has not; 0: that is not so */

    /* a message of ours that has begun and not ended: nobody else's data in between */
    bool open, open_whole;  /* open_whole: its frames are left out until the last, which has all of it */
    uint64_t open_answer;   /* the answer that it belongs to; 0: the main sequence */
    uint32_t whole_message; /* of the main sequence: goes out whole; REPLAY_NONE */

    uint32_t beats;    /* heartbeats with tied answers that have come */
    uint32_t left_out; /* the last message that the main sequence skipped; REPLAY_NONE */
    struct answer *answers;
    uint32_t answer_count, answer_cap;
    uint64_t last_answer; /* the last id given */
    uint32_t *early;      /* numbers of theirs whose linked answers went out ahead of the main sequence */
    uint32_t early_count, early_cap;
    bool impatient;  /* something was answered ahead of its turn: the other side takes an order of its own */
    uint32_t *turns; /* by class slot: the number of the member that is next; NULL: the first of each */

    struct bindings **bindings; /* by the plan's connections; NULL: not yet needed */
    char *handshake;            /* the live client's; NULL: nothing of it comes again */
    struct buf out;
    struct replay_frame whole; /* what stands in for the frames of a message that was rendered */
    uint64_t ignored;
};

/* Times: what the player thinks of as now plus a recorded gap. */
uint64_t player_scaled(const struct player *p, uint64_t gap_us);
static inline uint64_t time_add(uint64_t a, uint64_t b) {
    return b > UINT64_MAX - a ? UINT64_MAX : a + b;
}

static inline bool player_in_order(const struct player *p) {
    return p->options.mode == PLAYER_REACTIVE || p->options.mode == PLAYER_AUTO;
}

/* player_window.c */
uint32_t window_first_open(const struct player *p); /* the first that has neither come nor been passed */
bool window_is_open(const struct player *p, uint32_t ordinal);
bool window_was_passed(const struct player *p, uint32_t ordinal); /* and has not come */
bool window_is_overtaken(const struct player *p);                 /* something behind the first open one has come */
void window_come(struct player *p, uint32_t ordinal);
void window_pass(struct player *p, uint32_t ordinal);
void window_reset(struct player *p);

/* player.c: does the main sequence wait for one of theirs? */
bool player_is_held(struct player *p);
/* An awaited message has come. */
void player_awaited_came(struct player *p, uint64_t now_us, uint32_t ordinal);

/* player_answers.c */
/* What a live message, found to be kind->to, brings about. Of kind: to, live_us, linked_only, early, until. */
MF_MUSTCHECK int answers_begin(struct player *p, const struct answer *kind, const struct live_message *live);
/* The answer that is due first: its frame's due time and index in its connection; NULL: none is under way. */
struct answer *answers_next(struct player *p, uint64_t *due_us, size_t *frame);
/* Fills out with that frame, and moves on. False: nothing is to be sent yet, ask answers_next() again. */
bool answers_send(struct player *p, uint64_t now_us, struct answer *a, size_t frame, struct player_action *out);
bool answers_gave_early(const struct player *p, uint32_t owner);
void answers_fini(struct player *p);

/* player_render.c */
struct bindings *player_bindings_of(struct player *p, const struct plan_connection *pc); /* NULL: no memory */
/* 1: p->out is what message `number` is now, with b's values; 0: the recorded bytes are. */
int player_render(struct player *p, struct bindings *b, uint64_t now_us, uint32_t number);
/* Does it have anything that is filled in? */
bool player_has_slots(const struct player *p, uint32_t number);
/* out sends p->out as one frame in place of the message's. */
void player_send_whole(struct player *p, const struct replay_connection *rc, uint32_t message,
                       struct player_action *out);
/* Before a player does anything: what it sent last is not needed any more. */
void player_release_out(struct player *p);

#endif
