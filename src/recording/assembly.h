/* One direction of one connection: whole messages out of frames and pieces of frames. Zeroed memory is valid.
 * Thread: the owner's. */
#ifndef MF_RECORDING_ASSEMBLY_H
#define MF_RECORDING_ASSEMBLY_H

#include "recording/event.h"

struct assembly {
    struct buf data;
    enum event_type type;
    uint8_t rsv;          /* of the first frame */
    bool under_way;       /* a message has begun and its end has not come */
    uint64_t frame_begin; /* where in data its frame begins */
    uint64_t lost;        /* messages without their beginning or end */
    bool skipping;        /* frames of a message that is lost already */
};

struct assembled {
    enum event_type type;    /* EVENT_TEXT, EVENT_BINARY */
    struct event_bytes data; /* borrowed until the next call */
    uint8_t rsv;
    bool joined; /* of several frames or pieces */
};

/* A text, binary or continuation frame, or a piece of one: 1 and the message when it is whole now; 0 when it goes on;
 * MF_ELIMIT with err when it is longer than READER_LINE_MAX; MF_ENOMEM. */
MF_MUSTCHECK int assembly_add(struct assembly *a, const struct session_event *e, struct assembled *out,
                              struct err *err);
/* The connection is over, or frames are missing. */
void assembly_drop(struct assembly *a);
void assembly_fini(struct assembly *a);

#endif
