/* Of a replay with an upstream: which messages do both have, the recording and the upstream? The client is to hear each
 * once, from whoever is meant to say it: the recording. Thread: the session's worker. */
#ifndef MF_HANDLER_REPLAY_TWINS_H
#define MF_HANDLER_REPLAY_TWINS_H

#include "handler/replay.h"

struct twin;

/* Zeroed memory is valid. */
struct twins {
    struct twin *ring; /* recorded messages that the client got last and the upstream has not said; NULL: none yet */
    size_t first, count;
    struct twin *ahead; /* that the upstream was first to say, and the recording is yet to */
    size_t ahead_count;
    uint64_t heard; /* so many there were in the ring: the serial of the next one */
    /* working memory */
    struct structure live, pending;
    struct structure_scratch scratch;
    struct buf text, sent; /* sent: of the message whose fragments go out */
    bool sent_binary;
};
void twins_fini(struct twins *w);

/* The client got this frame of the recording. False: no memory. */
bool twins_sent(struct twins *w, const struct replay *r, const struct replay_frame *frame, const void *data,
                size_t len);

enum twin_found {
    TWIN_NONE,    /* the client has not heard it, and will not from the recording */
    TWIN_HEARD,   /* it has: each counts once */
    TWIN_TO_COME, /* it will: the recording keeps its pace */
    TWIN_NO_MEMORY,
};
/* The upstream says this; a NUL follows data. */
enum twin_found twins_find(struct twins *w, struct replay *r, bool binary, const void *data, size_t len);
/* Is there any, with a serial from `from` and below `until`, that the upstream has not said? */
bool twins_missing(const struct twins *w, uint64_t from, uint64_t until);

#endif
