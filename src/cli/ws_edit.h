/* What ws redact, merge and cut have in common: options and progress. Main thread. */
#ifndef MF_CLI_WS_EDIT_H
#define MF_CLI_WS_EDIT_H

#include "cli/command.h"
#include "recording/edit.h"

/* Rows for a table of options. */
#define WS_EDIT_OUTPUT                                                                                                 \
    { .name = "output", .letter = 'o', .argument = "FILE", .help = "Write to this file; its extension tells the form" }
#define WS_EDIT_OPTIONS                                                                                                \
    {.name = "force", .letter = 'f', .help = "Replace the output if it exists"},                                       \
        {.name = "recover", .help = "Go on behind what is damaged in an input; a gap stands in its place"}, {          \
        .name = "json", .help = "Print the result as JSON"                                                             \
    }

/* --force, --recover and a status line that begins with `doing` (kept: static). */
struct edit_options ws_edit_options(const struct cli_args *args, const char *doing);
/* Is this a file that can be written? Prints a usage error otherwise. */
MF_MUSTCHECK bool ws_edit_target(const struct cli_args *args, const char *to, bool force);

#endif
