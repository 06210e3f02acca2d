/* What a recording means to whoever plays one side of it; worked out once (player_plan.c), read by any number of
 * players.
 *
 * "Ours" are the frames and messages of the side that is played, "theirs" those of the other side, which is live.
 * Messages have numbers that run through the plan's connections; with one connection they are its indexes. */
#ifndef MF_REPLAY_PLAYER_PLAN_H
#define MF_REPLAY_PLAYER_PLAN_H

#include <stdatomic.h>

#include "replay/player.h"

/* How one of our messages belongs to the one of theirs that it answers. */
enum plan_link {
    LINK_NONE,     /* it came before anything of theirs */
    LINK_ADJACENT, /* it came next */
    LINK_VARIABLE, /* it says again what that one said */
    LINK_TIED,     /* it answers a heartbeat, and nothing else: it goes out when one came, and only then */
};

struct plan_message {
    uint32_t class;                 /* in plan->classes; of ours: those with the same template */
    uint32_t twin;                  /* the next message of the class; REPLAY_NONE: it is the last */
    uint32_t ordinal;               /* theirs: place in plan_connection.awaited; REPLAY_NONE: it may be missing */
    uint32_t owner;                 /* ours: the message of theirs that it answers; REPLAY_NONE: none */
    uint32_t answers, answer_count; /* theirs: ours that answer it, in plan->answers, in the recording's order */
    uint8_t link;                   /* ours: enum plan_link */
    bool has_tied, has_linked;      /* theirs: among its answers are such */
    bool fresh; /* ours: what it says again was chosen for this exchange: elsewhere other values stand there */
    bool push;  /* theirs: nobody asked for it, and there are more of its shape */
};

/* Messages that are the same but for what their sender was free to choose (correlation) and for times. */
struct plan_class {
    uint64_t key;
    uint32_t form; /* theirs: in plan->forms; REPLAY_NONE: ours */
    uint32_t first, last, count;
    uint32_t
        slot; /* of classes with more than one message: numbered, for what a player knows of each; else REPLAY_NONE */
    bool optional; /* heartbeat-like: may be missing, may come more often */
    bool lockstep; /* a request without marks: what comes next is its answer, whatever it says */
};

/* Where messages of a shape say something that is said again, so that their sender was free to choose it. */
struct plan_form {
    uint64_t shape;
    uint32_t free_paths, free_count; /* in plan->free_paths; sorted */
    uint32_t next;                   /* another form of that shape, or REPLAY_NONE */
};

/* Open addressing over indexes. */
struct plan_table {
    uint32_t *slots;
    uint32_t mask, count;
};

struct plan_connection {
    size_t connection; /* in the source */
    uint32_t first;    /* number of its message 0 */
    uint32_t *awaited; /* numbers of theirs that are waited for */
    uint32_t awaited_count;
    uint64_t *times; /* of frames, made to run forward; NULL: they do */
};

/* What ours says in a row, nothing of theirs in between, and goes out as recorded: frames of whole messages. */
struct plan_run {
    size_t at;             /* in plan->laid_out */
    uint32_t len, payload; /* bytes: with headers, without */
    uint32_t first, count; /* frames of the connection */
    bool pulse;            /* one of pulse_class is among them */
};

struct player_plan {
    atomic_int refs;
    struct correlation *correlation;
    const struct replay_source *source;
    enum event_direction plays;
    const char *const *any; /* borrowed while it is built */
    size_t any_count;
    uint64_t time_from_s, time_until_s; /* what is a time of this recording, or of one that plays it */
    struct plan_connection *connections;
    size_t count;
    struct plan_message *messages;
    uint32_t message_count;
    struct plan_class *classes;
    uint32_t class_count, class_cap, slot_count;
    struct plan_form *forms;
    uint32_t form_count, form_cap;
    uint32_t *free_paths;
    uint32_t free_count, free_cap;
    struct plan_table form_table, class_table;
    bool *any_paths; /* by path: its values do not count; NULL: all do */
    uint32_t *answers;
    uint32_t tied_count; /* heartbeats that something is tied to */
    /* What ours says at regular intervals to stay alive; REPLAY_NONE: nothing. */
    uint32_t pulse_class;
    uint64_t pulse_us;
    /* player_plan_lay_out(): in the order of the recording. NULL: nothing is laid out. */
    struct plan_run *runs;
    uint32_t run_count;
    uint8_t *laid_out;
};

/* The connection that a number belongs to; *message is its index there. */
const struct plan_connection *plan_locate(const struct player_plan *plan, uint32_t number, uint32_t *message);
static inline const struct replay_connection *plan_recorded(const struct player_plan *plan,
                                                            const struct plan_connection *pc) {
    return &plan->source->connections[pc->connection];
}
static inline uint64_t plan_frame_time(const struct replay_connection *rc, const struct plan_connection *pc,
                                       size_t frame) {
    return pc->times ? pc->times[frame] : rc->frames[frame].time_us;
}
static inline uint64_t plan_message_time(const struct replay_connection *rc, const struct plan_connection *pc,
                                         uint32_t message) {
    return plan_frame_time(rc, pc, rc->messages[message].last_frame);
}

/* player_classes.c: MF_ENOMEM. */
MF_MUSTCHECK int plan_classify(struct player_plan *plan);
void plan_classes_fini(struct player_plan *plan);
/* The classes that a live message of theirs may belong to: one for each freedom that recorded messages of its shape
 * have; those with the least freedom first. 0: nothing in the recording is like it. `text` is working memory; MF_ENOMEM
 * through text->failed. */
#define PLAN_CLASSES_MAX 16u /* of more kinds of freedom than that the first one is taken */
size_t plan_classes_of(const struct player_plan *plan, const struct structure *s, const void *data, size_t len,
                       uint32_t classes[PLAN_CLASSES_MAX], struct buf *text);
/* Does a value tell messages of that form apart? Not where their sender was free, unless it chose a plain word: "BTC"
 * and "ETH" mean different things even where they are merely said again. */
bool plan_value_counts(const struct player_plan *plan, const struct plan_form *form, uint32_t path, const char *text,
                       size_t len);

/* player_links.c: which of ours answer which of theirs. MF_ENOMEM. */
MF_MUSTCHECK int plan_link(struct player_plan *plan, const struct plan_connection *pc);
MF_MUSTCHECK int plan_collect_answers(struct player_plan *plan);

/* player_runs.c */
void plan_runs_fini(struct player_plan *plan);

/* player_heartbeats.c: what may be missing. Only for plans of one connection. */
void plan_find_heartbeats(struct player_plan *plan, struct plan_connection *pc);

/* player_pushes.c: what nobody asked for, and what is said to stay alive. MF_ENOMEM. */
MF_MUSTCHECK int plan_find_pushes(struct player_plan *plan, const struct plan_connection *pc);
/* The shortest interval between messages of a class, in us; 0: they have no rhythm, or are fewer than three. */
uint64_t plan_interval_of(const struct player_plan *plan, const struct plan_connection *pc,
                          const struct plan_class *class);
void plan_find_pulse(struct player_plan *plan, const struct plan_connection *pc);

#endif
