/* What `ws stats` shows: tables for people, one object for programs. Main thread. */
#ifndef MF_CLI_STATS_PRINT_H
#define MF_CLI_STATS_PRINT_H

#include "cli/stats.h"

struct stats_file {
    const char *path, *form; /* "native" */
    uint64_t bytes;
    bool truncated;
};

void stats_print_text(struct buf *out, const struct stats *s, const struct stats_file *file, bool colour);
void stats_print_json(struct buf *out, const struct stats *s, const struct stats_file *file);
/* Kinds by their count, the most frequent first, without those that are counted together: an array of pointers to be
 * freed. NULL: out of memory. */
const struct stats_kind **stats_sorted_kinds(const struct stats *s);

#endif
