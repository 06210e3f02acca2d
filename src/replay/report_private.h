/* What the three reports share. Thread: any. */
#ifndef MF_REPLAY_REPORT_PRIVATE_H
#define MF_REPLAY_REPORT_PRIVATE_H

#include "replay/compare.h"

/* ---- report.c ---- */

enum report_outcome { REPORT_SAME, REPORT_DIFFERENT, REPORT_ERROR };
enum report_outcome report_outcome(const struct report_case *c);

struct report_totals {
    uint64_t cases, outcome[REPORT_ERROR + 1]; /* by enum report_outcome */
    uint64_t compared, missing, extra, differences, time_us;
};
struct report_totals report_totals(const struct report_case *cases, size_t count);

/* A case's differences, without its header: what stands in a JUnit failure too. */
void report_differences(struct buf *out, const struct comparison *c, bool colour);
/* "3 differences, 1 missing message" */
void report_count(struct buf *out, uint64_t n, const char *one);

/* ---- report_fold.c ---- */

#define REPORT_FOLD_ABOVE 3u /* so many alike are shown one by one */

/* Differences of one kind at one path (in whichever elements of arrays) are one group. */
struct report_fold {
    uint32_t *size; /* of each difference: how many it stands for; 0: another one stands for it */
    uint32_t *next; /* of each: the next one of its group; UINT32_MAX: none */
};
/* false: out of memory; nothing is folded, and *f is empty. */
bool report_fold(struct report_fold *f, const struct comparison *c);
void report_fold_fini(struct report_fold *f);
/* The path that a group has in common: "/items/ * /price" (without the spaces). */
void report_fold_path(const struct report_fold *f, const struct comparison *c, size_t first, struct buf *out);
/* "3, 5-9, 12": its messages; *count is how many those are. */
void report_fold_messages(const struct report_fold *f, const struct comparison *c, size_t first, struct buf *out,
                          size_t *count);

#endif
