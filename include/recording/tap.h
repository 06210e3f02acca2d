/* Looking at recordings while they are made: the lines as the writer thread encodes them, redacted as in the file.
 *
 * A tap has a bounded buffer of its own. The writer never waits for who reads it: what does not fit is dropped and
 * counted, and a gap line (of connection "*") stands in its place. Without a tap the writer looks at one number for
 * each line. Only what is recorded can be seen. */
#ifndef MF_RECORDING_TAP_H
#define MF_RECORDING_TAP_H

#include "recording/recorder.h"

#define TAPS_MAX 8u          /* at once */
#define TAP_BYTES (1u << 20) /* of lines that wait to be taken */

struct tap;

struct tap_options {
    const char *connection; /* only this one; NULL: all */
    const char *path;       /* only connections to paths that match this glob; NULL: all */
    bool has_direction;     /* only frames of this direction, and nothing else */
    enum event_direction direction;
    size_t bytes; /* of the buffer; 0: TAP_BYTES */
};

/* Lines from now on. MF_ELIMIT: there are TAPS_MAX already; MF_EINVAL: the glob, err says why; MF_ENOMEM. Any thread.
 */
MF_MUSTCHECK int recorder_tap(struct recorder *r, const struct tap_options *options, struct tap **out, struct err *err);
/* Becomes readable when there are lines to take; level-triggered until tap_take() has taken them all. */
int tap_fd(const struct tap *t);
/* Appends whole lines, oldest first, up to about `most` bytes (one line at least, if there is one). True: there may be
 * more. Lines of several recordings may follow each other: before the first of another one stands its "recording" line,
 * with the name of its file as "file". One thread at a time. */
bool tap_take(struct tap *t, struct buf *out, size_t most);
/* NULL is accepted. Before recorder_free(). */
void tap_free(struct tap *t);

#endif
