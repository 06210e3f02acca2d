/* Options that several `ws` commands have. All print a usage error and return false when a value is none; an option
 * that was not given leaves the result as it is. Main thread. */
#ifndef MF_CLI_WS_OPTIONS_H
#define MF_CLI_WS_OPTIONS_H

#include "cli/command.h"
#include "recording/event.h"
#include "replay/compare.h"

/* "--name 1.5" to microseconds. */
MF_MUSTCHECK bool ws_option_seconds(const struct cli_args *args, const char *name, uint64_t *out_us);
/* "--type text,ping" to a set of bits, 1 << enum event_type; those from `first` to `last` may be
 * named. */
MF_MUSTCHECK bool ws_option_types(const struct cli_args *args, enum event_type first, enum event_type last,
                                  unsigned *types);
/* --direction */
MF_MUSTCHECK bool ws_option_direction(const struct cli_args *args, bool *given, enum event_direction *direction);
/* "--tolerance 0.5", "--tolerance 1%" */
MF_MUSTCHECK bool ws_option_tolerance(const struct cli_args *args, struct compare_options *o);

#endif
