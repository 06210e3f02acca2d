/* `mockforge ws replay`: one table of options, three things to do. Main thread. */
#ifndef MF_CLI_WS_REPLAY_H
#define MF_CLI_WS_REPLAY_H

#include "cli/command.h"
#include "replay/correlate.h"

/* ws_replay_drive.c: plays the client's half of --input against --target. An exit code; errors are printed. */
MF_MUSTCHECK int ws_replay_drive(const struct cli_args *args);

/* ws_replay_input.c: the recording as --input, --from, --to, --connection, --recover, --correlate, --no-correlate,
 * --correlate-except, --refresh-time, --exact and --any say, with progress on a terminal. */
struct ws_replay_input {
    struct replay_source *source;
    struct correlation *correlation;
    struct match_hints hints; /* exact, any */
    const char **lists[5];    /* what hints and options borrow */
};
/* An exit code: EXIT_USAGE for options, EXIT_IO for a recording that cannot be read; errors are printed. */
MF_MUSTCHECK int ws_replay_input_load(const struct cli_args *args, struct ws_replay_input *out);
void ws_replay_input_fini(struct ws_replay_input *in);

/* --speed (0.0: max; 1 when not given), --mode is player.h's, --from, --to and the like in microseconds. false: a usage
 * error was printed. */
bool ws_replay_speed(const struct cli_args *args, double *out);
bool ws_replay_time(const struct cli_args *args, const char *option, uint64_t fallback_us, uint64_t *us);

#endif
