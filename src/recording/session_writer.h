/* A session file made of events that come one by one, in any form that ws convert knows. Lines go straight into the
 * target; for the other forms they are set aside in a native file beside it and converted at the end. The target
 * appears whole or not at all, mode 0600. Thread: the owner's; blocks on the disk. */
#ifndef MF_RECORDING_SESSION_WRITER_H
#define MF_RECORDING_SESSION_WRITER_H

#include "recording/convert.h"

struct session_writer;

MF_MUSTCHECK int session_writer_open(const char *to, bool overwrite, struct session_writer **out, struct err *err);
MF_MUSTCHECK int session_writer_add(struct session_writer *w, const struct session_event *e, struct err *err);
/* A line that event_write_line() made. */
MF_MUSTCHECK int session_writer_add_line(struct session_writer *w, const struct buf *line, struct err *err);
MF_MUSTCHECK int session_writer_finish(struct session_writer *w, struct err *err);
/* NULL is accepted; what was not finished leaves nothing behind. */
void session_writer_free(struct session_writer *w);

#endif
