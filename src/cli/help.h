/* Help texts, man pages and completion scripts: all of them printed from the tables of commands and options.
 *
 * Each appends to a buffer, whose `failed` the caller looks at once. Main thread. */
#ifndef MF_CLI_HELP_H
#define MF_CLI_HELP_H

#include "base/buf.h"
#include "cli/command.h"

struct help_style {
    size_t width; /* columns to fill */
    bool bold;    /* headings, for a terminal */
};

/* All commands; with a group ("ws"), those of the group. */
void help_overview(struct buf *out, const struct cli_command *const *commands, const char *group,
                   struct help_style style);
void help_command(struct buf *out, const struct cli_command *command, struct help_style style);
/* "mockforge 0.1.0"; verbose adds the versions of the libraries in use. */
void help_version(struct buf *out, bool verbose);

/* mockforge(1), or with a command mockforge-ws-show(1), in man(7) macros. */
void help_man_overview(struct buf *out, const struct cli_command *const *commands);
void help_man_command(struct buf *out, const struct cli_command *command);
/* "mockforge-ws-show" for "ws show". Returns out. */
const char *help_page_name(const struct cli_command *command, char *out, size_t size);

/* One block of a details text: lines to be filled, or (verbatim) lines to be left as they are. */
struct help_block {
    const char *text;
    size_t len; /* without the last line's end */
    bool verbatim;
};
/* The next block from *cursor, which moves on; false at the end. */
bool help_next_block(const char **cursor, struct help_block *block);

/* The exit codes, for both. Ends with a NULL meaning. */
struct help_exit_code {
    enum exit_code code;
    const char *meaning;
};
extern const struct help_exit_code help_exit_codes[];

#define HELP_TAGLINE "relay, record and mock WebSocket traffic"

#endif
