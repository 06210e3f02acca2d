#include "cli/run.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/ui.h"

#define HELP_WIDTH_MAX 100 /* longer lines are hard to read */

/* `mockforge` without a command. */
static const struct cli_option root_options[] = {
    {.name = "verbose", .letter = 'v', .help = "With --version: the libraries' versions, too"},
    {.name = NULL},
};
static const struct cli_command root = {.name = "", .max_arguments = UINT_MAX, .options = root_options};

static struct help_style style_for(FILE *stream) {
    int fd = fileno(stream);
    return (struct help_style){.width = MIN(ui_width(fd), (size_t)HELP_WIDTH_MAX), .bold = cli_colour(fd)};
}

/* Prints and frees; what went wrong with stdout is found when it is closed. */
static int print(FILE *stream, struct buf *text, enum exit_code code) {
    bool failed = text->failed;
    if (!failed)
        fwrite(text->data, 1, text->len, stream);
    buf_fini(text);
    return (int)(failed ? EXIT_IO : code);
}

static int show_overview(const struct cli_command *const *commands, const char *group, FILE *stream,
                         enum exit_code code) {
    struct buf text = BUF_INIT;
    help_overview(&text, commands, group, style_for(stream));
    return print(stream, &text, code);
}

static int show_help(const struct cli_command *command) {
    struct buf text = BUF_INIT;
    help_command(&text, command, style_for(stdout));
    return print(stdout, &text, EXIT_FINE);
}

static int show_version(bool verbose) {
    struct buf text = BUF_INIT;
    help_version(&text, verbose);
    return print(stdout, &text, EXIT_FINE);
}

/* Two words at most: no command has three. */
static const char *typed(char *const *words, size_t count, bool group, char *out, size_t size) {
    bool two = group && count > 1 && words[1][0] != '-';
    snprintf(out, size, "%s%s%s", words[0], two ? " " : "", two ? words[1] : "");
    return out;
}

static int unknown_command(const struct cli_command *const *commands, char *const *words, size_t count) {
    char name[128];
    typed(words, count, args_is_group(commands, words[0]), name, sizeof name);
    const struct cli_command *near = args_nearest_command(commands, name);
    fprintf(stderr, "mockforge: unknown command \"%s\"\n", name);
    if (near)
        fprintf(stderr, "Did you mean 'mockforge %s'? ", near->name);
    fprintf(stderr, "Try 'mockforge --help'.\n");
    return EXIT_USAGE;
}

/* `mockforge --help`, `mockforge --version [--verbose]`, and options that stand before the command by mistake. */
static int run_root(const struct cli_command *const *commands, int argc, char **argv) {
    struct cli_args args;
    struct err err;
    int code, rc = args_parse(&args, commands, &root, argc, argv, &err);
    bool verbose = cli_flag(&args, "verbose");
    for (int i = 0; i < argc; i++) /* parsing stops at --version */
        verbose |= !strcmp(argv[i], "--verbose") || !strcmp(argv[i], "-v");
    if (rc < 0)
        code = cli_usage_error(&args, "%s", err.text);
    else if (args.help)
        code = show_overview(commands, NULL, stdout, EXIT_FINE);
    else if (args.version)
        code = show_version(verbose);
    else
        code = cli_usage_error(&args, "the command comes first: mockforge COMMAND [OPTION]...");
    args_fini(&args);
    return code;
}

/* `mockforge ws`, `mockforge ws --help`, `mockforge ws bogus`. */
static int run_group(const struct cli_command *const *commands, int argc, char **argv) {
    if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
        return show_overview(commands, argv[0], stdout, EXIT_FINE);
    if (argc > 1 && (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")))
        return show_version(false);
    if (argc > 1 && argv[1][0] != '-')
        return unknown_command(commands, argv, (size_t)argc);
    return show_overview(commands, argv[0], stderr, EXIT_USAGE);
}

static int run_command(const struct cli_command *const *commands, const struct cli_command *command, int argc,
                       char **argv) {
    struct cli_args args;
    struct err err;
    int code, rc = args_parse(&args, commands, command, argc, argv, &err);
    if (rc < 0)
        code = cli_usage_error(&args, "%s", err.text);
    else if (args.help)
        code = show_help(command);
    else if (args.version)
        code = show_version(false);
    else
        code = command->run(&args);
    args_fini(&args);
    return code;
}

static int dispatch(const struct cli_command *const *commands, int argc, char **argv) {
    if (argc == 0)
        return show_overview(commands, NULL, stderr, EXIT_USAGE);
    if (argv[0][0] == '-')
        return run_root(commands, argc, argv);
    size_t used;
    const struct cli_command *command = args_find_command(commands, argv, (size_t)argc, &used);
    if (command)
        return run_command(commands, command, argc - (int)used, argv + used);
    if (args_is_group(commands, argv[0]))
        return run_group(commands, argc, argv);
    return unknown_command(commands, argv, (size_t)argc);
}

/* Output that never arrived must not pass for success; a reader that has seen enough (`| head`) needs no message. */
static int finish_stdout(int code) {
    bool failed = fflush(stdout) != 0;
    int why = errno;
    if (!failed && !ferror(stdout))
        return code;
    if (failed && why != EPIPE)
        fprintf(stderr, "mockforge: cannot write to stdout: %s\n", strerror(why));
    return code == EXIT_FINE ? EXIT_IO : code;
}

int cli_run(const struct cli_command *const *commands, int argc, char **argv) {
    int code = dispatch(commands, MAX(argc - 1, 0), argv + (argc > 0));
    cli_status(NULL);
    return finish_stdout(code);
}

/* ---- help, man ---- */

static int run_help(const struct cli_args *args) {
    size_t used, count = cli_operand_count(args);
    if (count == 0)
        return show_overview(args->commands, NULL, stdout, EXIT_FINE);
    char *words[2] = {(char *)cli_operand(args, 0), (char *)cli_operand(args, 1)};
    const struct cli_command *command = args_find_command(args->commands, words, count, &used);
    if (command && used == count)
        return show_help(command);
    if (!command && count == 1 && args_is_group(args->commands, words[0]))
        return show_overview(args->commands, words[0], stdout, EXIT_FINE);
    return unknown_command(args->commands, words, count);
}

const struct cli_command cli_help = {
    .name = "help",
    .arguments = "[COMMAND]",
    .max_arguments = 2,
    .summary = "show the help of a command",
    .run = run_help,
};

/* Writes one page to DIR/NAME.1. */
static int write_page(const char *directory, const char *name, struct buf *page, struct err *err) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.1", directory, name);
    FILE *f = page->failed ? NULL : fopen(path, "w");
    bool fine = f && fwrite(page->data, 1, page->len, f) == page->len;
    if (f && fclose(f) != 0)
        fine = false;
    buf_fini(page);
    return fine ? MF_OK : err_set_at(err, MF_EIO, path, 0, 0, "%s", strerror(errno));
}

static int write_pages(const struct cli_command *const *commands, const char *directory) {
    struct err err;
    struct buf page = BUF_INIT;
    help_man_overview(&page, commands);
    int rc = write_page(directory, "mockforge", &page, &err);
    for (; rc == MF_OK && *commands; commands++) {
        if ((*commands)->hidden)
            continue;
        char name[128];
        help_man_command(&page, *commands);
        rc = write_page(directory, help_page_name(*commands, name, sizeof name), &page, &err);
    }
    return rc == MF_OK ? EXIT_FINE : cli_fail(EXIT_IO, &err);
}

static int run_man(const struct cli_args *args) {
    size_t used, count = cli_operand_count(args);
    const char *directory = cli_value(args, "output");
    if (directory && count)
        return cli_usage_error(args, "--output writes all pages: name no command with it");
    if (directory)
        return write_pages(args->commands, directory);
    struct buf page = BUF_INIT;
    if (count == 0) {
        help_man_overview(&page, args->commands);
        return print(stdout, &page, EXIT_FINE);
    }
    char *words[2] = {(char *)cli_operand(args, 0), (char *)cli_operand(args, 1)};
    const struct cli_command *command = args_find_command(args->commands, words, count, &used);
    if (!command || used != count)
        return unknown_command(args->commands, words, count);
    help_man_command(&page, command);
    return print(stdout, &page, EXIT_FINE);
}

static const struct cli_option man_options[] = {
    {.name = "output", .letter = 'o', .argument = "DIR", .help = "Write every page to DIR"},
    {.name = NULL},
};
const struct cli_command cli_man = {
    .name = "man",
    .arguments = "[COMMAND]",
    .max_arguments = 2,
    .summary = "print man pages",
    .options = man_options,
    .run = run_man,
    .hidden = true,
};
