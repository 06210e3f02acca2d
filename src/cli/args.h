/* One parsed command line, and the search for the command that it names.
 *
 * Values and operands point into argv; the arrays are the struct's own. Main thread. */
#ifndef MF_CLI_ARGS_H
#define MF_CLI_ARGS_H

#include "base/buf.h"
#include "cli/command.h"

struct cli_given {
    const struct cli_option *option;
    const char *value; /* NULL: a flag */
};

struct cli_args {
    const struct cli_command *const *commands; /* the whole table, for help, man and completion */
    const struct cli_command *command;
    struct cli_given *given; /* in the order of the command line */
    size_t given_count;
    const char **operands;
    size_t operand_count;
    bool help;    /* --help was among them; nothing after it was looked at */
    bool version; /* so was --version */
};

/* The options that every command has. Ends with a NULL name. */
extern const struct cli_option cli_common_options[];

/* Parses what follows the command's name. MF_EINVAL: err says what is wrong; args_fini() in any case. */
MF_MUSTCHECK int args_parse(struct cli_args *args, const struct cli_command *const *commands,
                            const struct cli_command *command, int argc, char **argv, struct err *err);
void args_fini(struct cli_args *args);

/* The command that words[0] or words[0] and words[1] name; *used is how many words that took. NULL: none. */
const struct cli_command *args_find_command(const struct cli_command *const *commands, char *const *words, size_t count,
                                            size_t *used);
/* Is `word` the first word of a two-word command ("ws")? */
bool args_is_group(const struct cli_command *const *commands, const char *word);
/* The command whose name is nearest to `name`, or NULL when none is near. */
const struct cli_command *args_nearest_command(const struct cli_command *const *commands, const char *name);

#endif
