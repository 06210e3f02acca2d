/* What `ws replay --target` found, for people and for programs. Main thread. */
#ifndef MF_CLI_WS_REPLAY_RESULT_H
#define MF_CLI_WS_REPLAY_RESULT_H

#include "drive/driver.h"

/* "1.25 s", "830 us". */
void drive_put_time(struct buf *out, uint64_t us);
/* The differences (with verify) and the numbers. */
void drive_result_text(struct buf *out, const struct drive_result *r, const char *target, bool verify, bool colour);
/* One JSON object and a newline, as docs/replay.md has it. */
void drive_result_json(struct buf *out, const struct drive_result *r, const char *target, bool verify);
void drive_result_junit(struct buf *out, const struct drive_result *r, const char *target);
/* Any case with a difference, or one that could not be compared? */
bool drive_result_differs(const struct drive_result *r);

#endif
