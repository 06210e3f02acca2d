/* A recording as an HTTP archive: an entry for each connection, with its messages (docs/session-file.md, "HAR").
 *
 * An archive has one connection behind the other, a recording all of them mixed: what comes is set aside in a file
 * without a name beside the target, in pieces of some KiB, and put together at the end. Memory: SPOOL_MAX, and some
 * hundred bytes for each connection. Thread: the owner's; blocks on the disk. */
#ifndef MF_RECORDING_HAR_WRITE_H
#define MF_RECORDING_HAR_WRITE_H

#include "recording/convert_output.h"
#include "recording/event.h"

struct har_writer;

/* What an archive cannot hold. */
struct har_losses {
    uint64_t joined; /* messages whose fragments were put together */
    uint64_t gaps;   /* frames that the recording misses, of which the archive says nothing */
    uint64_t faults; /* injected faults */
    uint64_t upstream_leg;
    uint64_t incomplete; /* messages without beginning or end */
};

MF_MUSTCHECK int har_writer_new(const char *target, struct har_writer **out, struct err *err);
void har_writer_free(struct har_writer *w);
MF_MUSTCHECK int har_writer_add(struct har_writer *w, const struct session_event *e, struct err *err);
/* Writes the archive into out. recorded_at_us: for a recording that does not say. */
MF_MUSTCHECK int har_writer_finish(struct har_writer *w, struct output *out, struct err *err);
const struct har_losses *har_writer_losses(const struct har_writer *w);

#endif
