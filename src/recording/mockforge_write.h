/* One connection of a recording as MockForge's replay lines (docs/session-file.md, "MockForge JSONL"). Thread: the
 * owner's. */
#ifndef MF_RECORDING_MOCKFORGE_WRITE_H
#define MF_RECORDING_MOCKFORGE_WRITE_H

#include "recording/assembly.h"

struct mockforge_writer {
    const char *only; /* the connection; NULL: the only one that there is */
    char *name;       /* of the first one that was met */
    bool begun;
    uint64_t begin_us;
    struct assembly directions[2];
    struct buf awaited; /* what the client has sent last, if the server has sent nothing since */
    bool awaits;
    uint64_t written;
    uint64_t joined, control; /* messages that had fragments; frames that are no messages */
};

/* Appends the event's line to out, if it has one. MF_EINVAL: there are several connections, and none was chosen. */
MF_MUSTCHECK int mockforge_writer_add(struct mockforge_writer *w, const struct session_event *e, struct buf *out,
                                      struct err *err);
void mockforge_writer_fini(struct mockforge_writer *w);

#endif
