/* The command line: one table of commands, each with its table of options; help texts, man pages and completions are
 * printed from them. One file a command in src/cli; a command is one struct here and one row in main.c's table. */
#ifndef MF_CLI_COMMAND_H
#define MF_CLI_COMMAND_H

#include "base/err.h"

enum exit_code {
    EXIT_FINE = 0,
    EXIT_CHECK_FAILED = 1, /* the check or comparison failed */
    EXIT_USAGE = 2,        /* usage or configuration */
    EXIT_IO = 3,           /* input or output */
};

struct cli_option {
    const char *name;     /* "output", for --output; NULL ends the table */
    char letter;          /* 'o' for -o; 0: none */
    const char *argument; /* "FILE", "never|close" (completion knows FILE, DIR and such lists); NULL: a flag */
    const char *help;     /* "Write to this file": a capital, no full stop */
    bool repeated;        /* may be given more than once; the help says so by itself */
};

struct cli_args; /* one parsed command line */

struct cli_command {
    const char *name;      /* "serve", "ws show", "config check" */
    const char *arguments; /* "FILE...", or "" */
    unsigned min_arguments, max_arguments; /* operands; UINT_MAX: any number */
    const char *summary;   /* one line: "show a session file", no capital, no full stop */
    /* For --help and the man page; may be NULL. Paragraphs are parted by empty lines and filled to the terminal's
     * width; lines that begin with a space stand as they are, for examples, which come last. */
    const char *details;
    const struct cli_option *options; /* ends with a NULL name; may be NULL. --help is added to each */
    int (*run)(const struct cli_args *args); /* returns an enum exit_code */
    bool hidden;           /* works, but no list or completion shows it */
};

/* The value of --name as given last; NULL: not given. */
const char *cli_value(const struct cli_args *args, const char *name);
/* Was --name given, with or without a value? */
bool cli_flag(const struct cli_args *args, const char *name);
/* The i-th value of a repeated option, or NULL. */
const char *cli_value_at(const struct cli_args *args, const char *name, size_t i);
/* All values of a repeated option, the texts borrowed, the list malloc'd; NULL: no memory. */
const char **cli_values(const struct cli_args *args, const char *name, size_t *count);
const char *cli_operand(const struct cli_args *args, size_t i);
size_t cli_operand_count(const struct cli_args *args);

/* A whole number in [low, high] from an option or operand. On failure prints a usage error that names
 * `what` and returns false. */
bool cli_number(const struct cli_args *args, const char *what, const char *text, uint64_t low, uint64_t high,
                uint64_t *out);

/* Prints "mockforge ws show: …" and a hint at --help on stderr; returns EXIT_USAGE. */
int cli_usage_error(const struct cli_args *args, const char *fmt, ...) MF_PRINTF(2, 3);
/* Prints "mockforge: file:line:column: text" on stderr; returns code. */
int cli_fail(enum exit_code code, const struct err *err);

/* Colour on this stream? A terminal, TERM not dumb, NO_COLOR not set. */
bool cli_colour(int fd);
/* A status line on stderr, redrawn in place and cut to the terminal's width, for a terminal only (otherwise nothing).
 * The cursor is left at its beginning, so that a log line overwrites it. Control characters in it are shown as '?',
 * but for colours (ESC [ … m). NULL wipes it; so does the end of the command. Main thread. */
void cli_status(const char *fmt, ...) MF_PRINTF(1, 2);

extern const struct cli_command *const cli_commands[]; /* ends with NULL; in src/cli/main.c */

#endif
