/* One recorded connection while it is being loaded: events go in one by one, frames and messages come out.
 *
 * Thread: the owner's. */
#ifndef MF_REPLAY_SOURCE_BUILD_H
#define MF_REPLAY_SOURCE_BUILD_H

#include "base/buf.h"
#include "replay/slab.h"
#include "replay/source.h"

/* Where everything is kept, and how much that is. */
struct keep {
    struct slab slab; /* payloads, names */
    size_t bytes;     /* of what is not in the slab */
};

/* One direction: what is not whole yet. */
struct lane {
    struct buf frame; /* the pieces of a frame that have come */
    uint64_t frame_size;
    uint8_t frame_opcode;
    bool in_frame;

    struct buf message;   /* the fragments of a message that have come */
    uint32_t first_frame; /* of it */
    bool in_message, binary;
};

struct building {
    struct replay_connection c; /* frame times and end_us are since begin_us as soon as that is known */
    size_t frame_cap, message_cap;
    struct lane lanes[2]; /* by direction */
    bool client_leg;      /* a frame of the client's leg has come */
    bool opened, kept, ended;
    bool went_on;       /* from a part of the recording that is not here: its first frame is its begin */
    bool close_seen[2]; /* by direction */
    uint8_t first_close;
    bool rsv_seen;      /* a frame with RSV bits; allowed on the upstream's leg when the client's is there too */
    uint64_t rsv_at;    /* its time since recorded_at */
    uint64_t last_us;   /* of the newest event, since recorded_at */
    uint32_t dropped;   /* frames of messages that never became whole */
    uint32_t number;    /* in the order in which they appeared */
    unsigned run;       /* of the program, counted by recording lines */
    unsigned first_run; /* the one in which it appeared */
    unsigned damage;    /* how much damage of the file is known to it */
};

/* Takes over what an open line says. `keep` it: it is in the time that was asked for. MF_ENOMEM. */
MF_MUSTCHECK int building_open(struct building *b, struct keep *k, const struct session_event *e, bool keep);
/* A frame, or a piece of one. MF_ENOMEM. */
MF_MUSTCHECK int building_frame(struct building *b, struct keep *k, const struct session_event *e);
void building_end(struct building *b, const struct session_event *e);
/* Something is missing here: messages that are not whole never will be. */
void building_break(struct building *b, struct keep *k);
/* Nothing more comes: counts and times are settled. */
void building_finish(struct building *b, struct keep *k);
void building_fini(struct building *b);

#endif
