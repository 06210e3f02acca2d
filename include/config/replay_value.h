/* The numbers of a replay, as configuration and command line write them. Thread: any. */
#ifndef MF_CONFIG_REPLAY_VALUE_H
#define MF_CONFIG_REPLAY_VALUE_H

#include "base/defs.h"

#define REPLAY_SPEED_WANTED "a number greater than 0 (2 is twice as fast, 0.5 half as fast), or \"max\""
#define REPLAY_TIME_WANTED "a time such as 1.5 (seconds), 250ms, 90s, 10m or 2h"

/* "2", "0.5", "max": the factor; 0.0 for max. false: REPLAY_SPEED_WANTED. */
bool replay_speed_parse(const char *text, double *out);
/* "90", "1.5", "1.5s", "250ms", "10m", "2h" to microseconds; at most 100 days. false: REPLAY_TIME_WANTED. */
bool replay_time_parse(const char *text, uint64_t *us);

#endif
