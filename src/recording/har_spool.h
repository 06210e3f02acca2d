/* Many texts that grow side by side, set aside on the disk: each can be read from its beginning at the end. Thread: the
 * owner's; blocks on the disk. */
#ifndef MF_RECORDING_HAR_SPOOL_H
#define MF_RECORDING_HAR_SPOOL_H

#include "recording/convert_output.h"

#define SPOOL_MAX (16u << 20) /* bytes of all texts that are in memory */

struct spool_piece {
    uint64_t offset;
    uint32_t len;
};

/* One text. Zeroed memory is a valid empty one; it may not move while it is in a spool. */
struct spooled {
    struct buf tail; /* not on the disk yet: the owner appends here, then calls spool_added() */
    size_t counted;  /* of tail, in the spool's sum */
    struct spool_piece *pieces;
    size_t count, cap;
    struct spooled *next;
    bool in_list; /* of texts with a tail */
};

struct spool {
    int fd;
    uint64_t size;
    size_t in_memory;
    struct spooled *with_tail;
};

/* A file without a name in the directory of `beside`. */
MF_MUSTCHECK int spool_open(struct spool *s, const char *beside, struct err *err);
void spool_close(struct spool *s);
MF_MUSTCHECK int spool_added(struct spool *s, struct spooled *t, struct err *err);
/* Appends the whole text to an output. */
MF_MUSTCHECK int spool_write(const struct spool *s, const struct spooled *t, struct output *out, struct err *err);
void spooled_fini(struct spooled *t);

#endif
