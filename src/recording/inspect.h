/* Text messages under JSON paths that are to be redacted: held until they are whole, searched, and then written.
 *
 * What cannot be searched is not written: its data is replaced by a sentence that says why. Thread: the owner's. */
#ifndef MF_RECORDING_INSPECT_H
#define MF_RECORDING_INSPECT_H

#include "recording/event.h"
#include "recording/redact.h"

#define INSPECT_MAX_BYTES                                                                                              \
    (1u << 20) /* a text message larger than this is not searched for JSON secrets, and not written */
#define INSPECT_MAX_FRAMES 4096u
#define INSPECT_HELD_MAX_BYTES (32u << 20) /* of all messages that one inspector holds */

/* One direction of a connection. Zeroed memory is valid; inspection_drop() frees. */
struct inspect_lane {
    struct inspection *inspection; /* a text message that is searched for secrets; NULL between messages */
    bool binary;                   /* continuations are a binary message's, which is not searched */
};

struct inspector {
    size_t *held_bytes;                                /* of all lanes, and of whatever else counts there */
    struct buf *scratch;                               /* working memory */
    uint64_t replaced;                                 /* messages in which there was something */
    uint64_t withheld;                                 /* messages that could not be searched */
    void (*write)(void *arg, struct session_event *e); /* a frame, when its turn has come; may change e */
    void *arg;
};

/* e is a frame, or the piece of one that is `first` or `last` in it; its connection is borrowed until it is written.
 * True: it was taken, and will be written when its
 * message is whole. False: it is not to be searched; the caller writes it. */
bool inspect_fragment(struct inspector *w, const struct redactor *r, struct inspect_lane *lane,
                      const struct session_event *e, bool first, bool last);
/* Writes what there is; whole: the message has come to its end. */
void inspection_finish(struct inspector *w, const struct redactor *r, struct inspect_lane *lane, bool whole);
void inspection_drop(struct inspector *w, struct inspect_lane *lane);

#endif
