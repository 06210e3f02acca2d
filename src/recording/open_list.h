/* The list of connections that are open, which the writer puts between the frames of a native file: a skippable frame
 * (RFC 8878 section 3.1.2) with a mark and a zstd frame of their open lines (docs/session-file.md, "The native form").
 */
#ifndef MF_RECORDING_OPEN_LIST_H
#define MF_RECORDING_OPEN_LIST_H

#include <string.h>

#include "base/defs.h"

#define OPEN_LIST_MAGIC 0x184D2A5Du
#define OPEN_LIST_MARK "mf-open\n"
#define OPEN_LIST_HEAD 16         /* magic (4), size (4), mark (8) */
#define OPEN_LIST_MAX (16u << 20) /* bytes of lines in it; of more connections no list is written */

/* Its first OPEN_LIST_HEAD bytes. */
static inline void open_list_head(uint8_t head[OPEN_LIST_HEAD], uint32_t zstd_bytes) {
    uint32_t words[2] = {OPEN_LIST_MAGIC, zstd_bytes + 8};
    for (unsigned i = 0; i < 8; i++)
        head[i] = (uint8_t)(words[i / 4] >> 8 * (i % 4));
    memcpy(head + 8, OPEN_LIST_MARK, 8);
}

static inline bool open_list_is(const uint8_t head[OPEN_LIST_HEAD]) {
    static const uint8_t magic[4] = {OPEN_LIST_MAGIC & 0xff, OPEN_LIST_MAGIC >> 8 & 0xff, OPEN_LIST_MAGIC >> 16 & 0xff,
                                     OPEN_LIST_MAGIC >> 24};
    return !memcmp(head, magic, sizeof magic) && !memcmp(head + 8, OPEN_LIST_MARK, 8);
}

#endif
