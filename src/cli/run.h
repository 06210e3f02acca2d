/* From main() to a command and back. Main thread. */
#ifndef MF_CLI_RUN_H
#define MF_CLI_RUN_H

#include "cli/command.h"

/* Finds the command, parses its options, runs it. Returns the exit code of the process. commands ends with NULL. */
int cli_run(const struct cli_command *const *commands, int argc, char **argv);

#endif
