#include <check.h>
#include <fcntl.h>
#include <limits.h>
#include <pty.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/run.h"
#include "cli/ui.h"

/* ---- a table of our own ---- */

/* What the last run saw, as text. */
static char seen[1024];

MF_PRINTF(1, 2) static void note(const char *fmt, ...) {
    size_t len = strlen(seen);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(seen + len, sizeof seen - len, fmt, ap);
    va_end(ap);
}

static int run_any(const struct cli_args *args) {
    const struct cli_option *o = args->command->options;
    note("[%s]", args->command->name);
    for (; o && o->name; o++) {
        if (!cli_flag(args, o->name))
            continue;
        if (!o->argument)
            note(" %s", o->name);
        else if (!o->repeated)
            note(" %s=%s", o->name, cli_value(args, o->name));
        for (size_t i = 0; o->repeated && cli_value_at(args, o->name, i); i++)
            note(" %s+%s", o->name, cli_value_at(args, o->name, i));
    }
    for (size_t i = 0; i < cli_operand_count(args); i++)
        note(" <%s>", cli_operand(args, i));
    ck_assert_ptr_null(cli_operand(args, cli_operand_count(args)));
    ck_assert_ptr_null(cli_value(args, "no-such-option"));
    return EXIT_CHECK_FAILED; /* not 0, to see that it is passed on */
}

static int run_number(const struct cli_args *args) {
    uint64_t n;
    if (!cli_number(args, "PORT", cli_operand(args, 0), 1, 65535, &n))
        return EXIT_USAGE;
    snprintf(seen, sizeof seen, "%llu", (unsigned long long)n);
    return EXIT_FINE;
}

static const struct cli_option show_options[] = {
    {"output", 'o', "FILE", "Write there.", false},
    {"json", 'j', NULL, "JSON, for machines.", false},
    {"verbose", 'v', NULL, "Say more.", false},
    {"path", 0, "GLOB", "Only what was asked for under these paths; a long explanation that needs a second line.",
     true},
    {"fsync", 0, "never|interval|close", "It's [one] of: these.", false},
    {"state", 0, "DIR", "Where.", false},
    {NULL, 0, NULL, NULL, false},
};
static const struct cli_command show = {
    .name = "ws show",
    .arguments = "FILE...",
    .min_arguments = 1,
    .max_arguments = 3,
    .summary = "Show a session file.",
    .details = "A paragraph\nof words.\n\n.starts with a dot\n\n  mockforge ws show a\\b.jsonl\n  mockforge ws show -",
    .options = show_options,
    .run = run_any,
};
static const struct cli_command list = {
    .name = "ws ls", .arguments = "[DIR]", .max_arguments = 1, .summary = "List.", .run = run_any};
static const struct cli_command serve = {
    .name = "serve", .arguments = "", .summary = "Run the gateway.", .run = run_any};
static const struct cli_command port = {.name = "port",
                                        .arguments = "PORT",
                                        .min_arguments = 1,
                                        .max_arguments = 1,
                                        .summary = "Number.",
                                        .run = run_number,
                                        .hidden = true};
static const struct cli_command *const table[] = {&serve,          &show,     &list,    &port,
                                                  &cli_completion, &cli_help, &cli_man, NULL};

/* ---- running one and catching what it prints ---- */

static char printed[2][65536]; /* stdout, stderr */

static void read_back(FILE *f, char *out, size_t size) {
    rewind(f);
    size_t n = fread(out, 1, size - 1, f);
    out[n] = '\0';
    fclose(f);
}

/* Splits line at spaces ('_' stands for an empty word) and runs it. */
static int run(const char *line) {
    char words[512], *argv[64], *save = NULL;
    int argc = 0;
    snprintf(words, sizeof words, "mockforge %s", line);
    for (char *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save))
        argv[argc++] = strcmp(w, "_") == 0 ? w + 1 : w;
    argv[argc] = NULL;
    seen[0] = '\0';
    FILE *files[2] = {tmpfile(), tmpfile()};
    int kept[2];
    fflush(stdout);
    fflush(stderr);
    for (int i = 0; i < 2; i++) {
        kept[i] = dup(i + 1);
        dup2(fileno(files[i]), i + 1);
    }
    int code = cli_run(table, argc, argv);
    fflush(stderr);
    for (int i = 0; i < 2; i++) {
        dup2(kept[i], i + 1);
        close(kept[i]);
        read_back(files[i], printed[i], sizeof printed[i]);
    }
    return code;
}

static const struct {
    const char *line, *seen;
} good[] = {
    {"serve", "[serve]"},
    {"ws show a", "[ws show] <a>"},
    {"ws show a b c", "[ws show] <a> <b> <c>"},
    {"ws show --output x a", "[ws show] output=x <a>"},
    {"ws show --output=x a", "[ws show] output=x <a>"},
    {"ws show --output=x=y a", "[ws show] output=x=y <a>"},
    {"ws show --output= a", "[ws show] output= <a>"},
    {"ws show --output _ a", "[ws show] output= <a>"},
    {"ws show --output --json a", "[ws show] output=--json <a>"},
    {"ws show -o x a", "[ws show] output=x <a>"},
    {"ws show -ox a", "[ws show] output=x <a>"},
    {"ws show -o=x a", "[ws show] output=x <a>"},
    {"ws show -jv a", "[ws show] json verbose <a>"},
    {"ws show -jvo x a", "[ws show] output=x json verbose <a>"},
    {"ws show -jvox a", "[ws show] output=x json verbose <a>"},
    {"ws show a -j", "[ws show] json <a>"},
    {"ws show -j -j --json a", "[ws show] json <a>"},
    {"ws show --path a --path=b c --path d", "[ws show] path+a path+b path+d <c>"},
    {"ws show -- --json", "[ws show] <--json>"},
    {"ws show -j -- -o --", "[ws show] json <-o> <-->"},
    {"ws show -", "[ws show] <->"},
    {"ws show _", "[ws show] <>"},
    {"ws show -- --help", "[ws show] <--help>"},
    {"ws ls", "[ws ls]"},
    {"ws ls show", "[ws ls] <show>"},
};

START_TEST(parses) {
    ck_assert_int_eq(run(good[_i].line), EXIT_CHECK_FAILED);
    ck_assert_str_eq(seen, good[_i].seen);
    ck_assert_str_eq(printed[0], "");
    ck_assert_str_eq(printed[1], "");
}
END_TEST

static const struct {
    const char *line, *complaint;
} bad[] = {
    {"ws show", "mockforge ws show: something is missing: mockforge ws show FILE..."},
    {"ws show a b c d", "unexpected \"d\""},
    {"serve x", "mockforge serve: unexpected \"x\""},
    {"ws show --jsno a", "unknown option --jsno (did you mean --json?)"},
    {"ws show --out a", "unknown option --out (did you mean --output?)"},
    {"ws show --ouptut=x a", "unknown option --ouptut (did you mean --output?)"},
    {"ws show --zebra a", "unknown option --zebra\n"},
    {"ws show --=x a", "unknown option --\n"},
    {"ws show --hlep", "(did you mean --help?)"},
    {"ws show -x a", "unknown option -x"},
    {"ws show -jx a", "unknown option -x"},
    {"ws show a --output", "--output needs a value: --output FILE"},
    {"ws show a -jo", "-o needs a value: -o FILE"},
    {"ws show --json=yes a", "--json takes no value"},
    {"ws show -o a --output b c", "--output may be given only once"},
    {"ws show --xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx a",
     "unknown option --xxx"},
    {"sevre", "Did you mean 'mockforge serve'?"},
    {"ser", "Did you mean 'mockforge serve'?"},
    {"show", "Did you mean 'mockforge ws show'?"},
    {"ws shwo x", "unknown command \"ws shwo\"\nDid you mean 'mockforge ws show'?"},
    {"ws zebra", "unknown command \"ws zebra\"\nTry 'mockforge --help'"},
    {"zebra", "unknown command \"zebra\"\nTry 'mockforge --help'"},
    {"help zebra", "unknown command \"zebra\""},
    {"help serve zebra", "unknown command"},
    {"port", "mockforge port: something is missing"},
    {"--json serve", "unknown option --json"},
    {"-v serve", "the command comes first"},
    {"ws", "Commands:\n  ws show"},
    {"", "Commands:\n  serve"},
    {"completion", "something is missing"},
    {"completion tcsh", "unknown shell \"tcsh\""},
    {"port 0", "PORT: \"0\" is not a whole number from 1 to 65535"},
    {"port 65536", "not a whole number"},
    {"port 99999999999999999999999", "not a whole number"},
    {"port 1x", "not a whole number"},
    {"port _", "not a whole number"},
    {"port +1", "not a whole number"},
    {"port -- -1", "not a whole number"},
};

START_TEST(refuses) {
    ck_assert_int_eq(run(bad[_i].line), EXIT_USAGE);
    ck_assert_str_eq(seen, "");
    ck_assert_str_eq(printed[0], "");
    ck_assert_msg(strstr(printed[1], bad[_i].complaint) != NULL, "\"%s\" said: %s", bad[_i].line, printed[1]);
    ck_assert_msg(strstr(printed[1], "--help") != NULL, "no hint: %s", printed[1]);
}
END_TEST

START_TEST(numbers) {
    ck_assert_int_eq(run("port 65535"), EXIT_FINE);
    ck_assert_str_eq(seen, "65535");
}
END_TEST

static const struct {
    const char *line, *has, *has_not;
} help[] = {
    {"--help", "  ws show                   Show a session file.\n", "port"},
    {"-h", "Commands:", NULL},
    {"help", "Commands:", NULL},
    {"ws --help", "  ws ls                     List.\n", "serve"},
    {"help ws", "  ws ls                     List.\n", "serve"},
    {"ws show --help", "  -o, --output FILE         Write there.\n", NULL},
    {"help ws show", "  mockforge ws show [OPTION]... FILE...\n", NULL},
    {"ws show --help",
     "      --path GLOB           Only what was asked for under these paths; a long\n"
     "                            explanation that needs a second line. (may be\n"
     "                            repeated)\n",
     NULL},
    {"ws show --help",
     "\nA paragraph of words.\n\n.starts with a dot\n\n  mockforge ws show a\\b.jsonl\n"
     "  mockforge ws show -\n",
     "\033"},
    {"ws show -h --zebra", "Usage:", NULL}, /* a question is answered before the rest is looked at */
    {"ws show -o x --help", "Usage:", NULL},
    {"serve --help", "-h, --help                Show this help\n", NULL},
    {"--version", "mockforge " MF_VERSION "\n", "OpenSSL"},
    {"-V", "mockforge " MF_VERSION "\n", NULL},
    {"ws --version", "mockforge " MF_VERSION "\n", NULL},
    {"ws show --version", "mockforge " MF_VERSION "\n", NULL},
    {"--version --verbose", "OpenSSL 3.", NULL},
    {"--verbose --version", "OpenSSL 3.", NULL},
    {"--verbose --version", "PCRE2 10.", NULL},
    {"man", ".TH \"MOCKFORGE\" 1 ", "port"},
    {"man", ".BR mockforge\\-serve (1) ,\n.BR mockforge\\-ws\\-show (1)", NULL},
    {"man ws show", ".TH \"MOCKFORGE-WS-SHOW\" 1 ", NULL},
    {"man ws show", "mockforge\\-ws\\-show \\- Show a session file\n", NULL},
    {"man ws show", "\\fB\\-o\\fR, \\fB\\-\\-output\\fR \\fIFILE\\fR\nWrite there.\n", NULL},
    {"man ws show",
     ".PP\n\\&.starts with a dot\n.PP\n.nf\n  mockforge ws show a\\eb.jsonl\n  mockforge ws show \\-\n.fi\n", NULL},
};

START_TEST(helps) {
    ck_assert_int_eq(run(help[_i].line), EXIT_FINE);
    ck_assert_str_eq(printed[1], "");
    ck_assert_msg(strstr(printed[0], help[_i].has) != NULL, "\"%s\" said: %s", help[_i].line, printed[0]);
    if (help[_i].has_not)
        ck_assert_msg(strstr(printed[0], help[_i].has_not) == NULL, "\"%s\" said: %s", help[_i].line, printed[0]);
}
END_TEST

START_TEST(help_fits_its_width) {
    for (size_t width = 68; width < 130; width += 7) {
        struct buf out = BUF_INIT;
        help_command(&out, &show, (struct help_style){.width = width});
        for (const char *p = buf_cstr(&out); *p; p += strcspn(p, "\n") + 1)
            ck_assert_uint_le(strcspn(p, "\n"), width);
        buf_fini(&out);
    }
    struct buf bold = BUF_INIT;
    help_overview(&bold, table, NULL, (struct help_style){.width = 80, .bold = true});
    ck_assert_ptr_nonnull(strstr(buf_cstr(&bold), "\033[1mCommands:\033[0m"));
    buf_fini(&bold);
}
END_TEST

START_TEST(man_pages_go_to_a_directory) {
    char directory[] = "/tmp/mockforge-man-XXXXXX", line[128], path[128];
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(line, sizeof line, "man --output %s", directory);
    ck_assert_int_eq(run(line), EXIT_FINE);
    static const char *const pages[] = {"mockforge",       "mockforge-serve",      "mockforge-ws-show",
                                        "mockforge-ws-ls", "mockforge-completion", "mockforge-help"};
    for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
        struct stat st;
        snprintf(path, sizeof path, "%s/%s.1", directory, pages[i]);
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_int_gt(st.st_size, 100);
        unlink(path);
    }
    ck_assert_int_eq(rmdir(directory), 0); /* nothing else was written */
    ck_assert_int_eq(run(line), EXIT_IO);
    ck_assert_ptr_nonnull(strstr(printed[1], "No such file or directory"));
}
END_TEST

/* What bash offers after these words, of which the last is being typed ('_': it is empty). */
static const struct {
    const char *words, *offered;
} completions[] = {
    {"_", "serve ws completion help --help --version"},
    {"s", "serve"},
    {"po", ""}, /* hidden */
    {"ws _", "show ls --help"},
    {"ws sh", "show"},
    {"ws show -", "--output --json --verbose --path --fsync --state --help --version"},
    {"ws show --js", "--json"},
    {"ws show _", "a file|folder"},
    {"ws show a", "a file"},
    {"ws show --output _", "a file|folder"},
    {"ws show -o _", "a file|folder"},
    {"ws show --output = _", "a file|folder"},
    {"ws show --output =", "a file|folder"},
    {"ws show --state _", "folder"},
    {"ws show --fsync _", "never interval close"},
    {"ws show --fsync = n", "never"},
    {"ws show --path _", ""},
    {"ws show --json _", "a file|folder"},
    {"ws ls _", "folder"},
    {"serve _", ""},
    {"completion _", "bash zsh fish"},
    {"help _", "serve ws completion help"},
    {"zebra _", ""},
};

START_TEST(bash_completes) {
    char directory[] = "/tmp/mockforge-completion-XXXXXX", path[128], command[1024];
    ck_assert_ptr_nonnull(mkdtemp(directory));
    ck_assert_int_eq(run("completion bash"), EXIT_FINE);
    snprintf(path, sizeof path, "%s/.script", directory);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(printed[0], f), 0);
    fclose(f);
    snprintf(
        command, sizeof command,
        "cd %s && touch 'a file' && mkdir folder && bash -c '. ./.script; rm .script; compopt() { :; }; set -f\n"
        "for word in %s; do COMP_WORDS+=(\"${word#_}\"); done; COMP_WORDS=(mockforge \"${COMP_WORDS[@]}\"); set +f\n"
        "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _mockforge\n"
        "case ${COMPREPLY[*]} in *file*) IFS=\"|\";; esac; echo \"${COMPREPLY[*]}\"'; cd / && rm -r %s",
        directory, completions[_i].words, directory);
    FILE *out = popen(command, "r");
    ck_assert_ptr_nonnull(out);
    char text[512] = "";
    ck_assert_ptr_nonnull(fgets(text, sizeof text, out));
    ck_assert_int_eq(pclose(out), 0);
    text[strcspn(text, "\n")] = '\0';
    ck_assert_str_eq(text, completions[_i].offered);
}
END_TEST

START_TEST(other_shells_quote) {
    ck_assert_int_eq(run("completion zsh"), EXIT_FINE);
    ck_assert_ptr_nonnull(strstr(printed[0], "'--fsync=[It'\\''s \\[one\\] of\\: these.]:"));
    ck_assert_ptr_nonnull(strstr(printed[0], ":(never interval close)'"));
    ck_assert_int_eq(run("completion fish"), EXIT_FINE);
    ck_assert_ptr_nonnull(strstr(printed[0], "-l fsync -x -a 'never interval close' -d 'It\\'s [one] of: these.'\n"));
    ck_assert_ptr_null(strstr(printed[0], "port"));
}
END_TEST

START_TEST(lost_output_is_an_error) {
    int kept = dup(1), full = open("/dev/full", O_WRONLY);
    ck_assert_int_ge(full, 0);
    dup2(full, 1);
    int code = cli_run(table, 2, (char *[]){(char *)"mockforge", (char *)"--help", NULL});
    dup2(kept, 1);
    ck_assert_int_eq(code, EXIT_IO);
}
END_TEST

static const struct {
    const char *text;
    size_t width;
    const char *fitted;
} fits[] = {
    {"abc", 3, "abc"},
    {"abcd", 3, "abc"},
    {"abc", 0, ""},
    {"caf\xc3\xa9s", 4, "caf\xc3\xa9"},
    {"caf\xc3\xa9", 3, "caf"},
    {"a\xe4\xb8\xad"
     "b",
     3, "a\xe4\xb8\xad"}, /* two columns */
    {"a\xe4\xb8\xad"
     "b",
     2, "a"},
    {"a\xf0\x9f\x98\x80", 3, "a\xf0\x9f\x98\x80"},
    {"a \xe2\x80\xa6 b", 5, "a \xe2\x80\xa6 b"}, /* U+2026 takes one */
    {"\033[31mred\033[0m!", 3, "\033[31mred\033[0m\033[0m"},
    {"\033[31mred", 2, "\033[31mre\033[0m"},
    {"\033]0;title\007", 20, "?]0;title?"},
    {"a\nb\rc\td", 20, "a?b?c?d"},
    {"\xc2\x9b"
     "31m",
     20, "??31m"}, /* a C1 control */
    {"\xff\xc3", 20, "??"},
    {"\xe4\xb8", 20, "??"},
    {"\xe2\x80\xae"
     "abc",
     20, "???abc"}, /* right-to-left override */
};

START_TEST(fits_columns) {
    struct buf out = BUF_INIT;
    ui_fit(&out, fits[_i].text, fits[_i].width);
    ck_assert_str_eq(buf_cstr(&out), fits[_i].fitted);
    buf_fini(&out);
}
END_TEST

START_TEST(status_needs_a_terminal) {
    FILE *f = tmpfile();
    int kept = dup(2);
    dup2(fileno(f), 2);
    cli_status("%d messages", 1);
    cli_status(NULL);
    dup2(kept, 2);
    ck_assert_int_eq(fseek(f, 0, SEEK_END), 0);
    ck_assert_int_eq(ftell(f), 0);
    fclose(f);
}
END_TEST

START_TEST(status_redraws_on_a_terminal) {
    struct winsize size = {.ws_col = 11, .ws_row = 24};
    int master, slave, kept = dup(2);
    ck_assert_int_eq(openpty(&master, &slave, NULL, NULL, &size), 0);
    setenv("TERM", "xterm", 1);
    unsetenv("NO_COLOR");
    ck_assert(cli_colour(slave));
    setenv("NO_COLOR", "1", 1);
    ck_assert(!cli_colour(slave));
    setenv("NO_COLOR", "", 1); /* set but empty: not meant */
    ck_assert(cli_colour(slave));
    setenv("TERM", "dumb", 1);
    ck_assert(!cli_colour(slave));
    ck_assert_uint_eq(ui_width(slave), 11);
    dup2(slave, 2);
    cli_status("%s", "0123456789abc");
    cli_status(NULL);
    cli_status(NULL); /* nothing to wipe */
    dup2(kept, 2);
    static const char expected[] = "\r\033[K0123456789\r\r\033[K";
    char text[128] = "";
    for (size_t got = 0; got < strlen(expected);) { /* a terminal hands over what has arrived so far */
        ssize_t n = read(master, text + got, sizeof text - 1 - got);
        ck_assert_int_gt(n, 0);
        got += (size_t)n;
    }
    ck_assert_str_eq(text, expected);
    close(master);
    close(slave);
}
END_TEST

START_TEST(fails_with_the_place) {
    struct err err;
    FILE *f = tmpfile();
    int kept = dup(2);
    fflush(stderr);
    dup2(fileno(f), 2);
    err_set_at(&err, MF_EINVAL, "mockforge.yaml", 3, 7, "unknown key \"prot\"");
    int code = cli_fail(EXIT_USAGE, &err);
    fflush(stderr);
    dup2(kept, 2);
    read_back(f, printed[1], sizeof printed[1]);
    ck_assert_int_eq(code, EXIT_USAGE);
    ck_assert_str_eq(printed[1], "mockforge: mockforge.yaml:3:7: unknown key \"prot\"\n");
}
END_TEST

int main(void) {
    Suite *s = suite_create("cli");
    TCase *t = tcase_create("cli");
    tcase_add_loop_test(t, parses, 0, (int)ARRAY_LEN(good));
    tcase_add_loop_test(t, refuses, 0, (int)ARRAY_LEN(bad));
    tcase_add_test(t, numbers);
    tcase_add_loop_test(t, helps, 0, (int)ARRAY_LEN(help));
    tcase_add_test(t, help_fits_its_width);
    tcase_add_test(t, man_pages_go_to_a_directory);
    tcase_add_loop_test(t, bash_completes, 0, (int)ARRAY_LEN(completions));
    tcase_add_test(t, other_shells_quote);
    tcase_add_test(t, lost_output_is_an_error);
    tcase_add_loop_test(t, fits_columns, 0, (int)ARRAY_LEN(fits));
    tcase_add_test(t, status_needs_a_terminal);
    tcase_add_test(t, status_redraws_on_a_terminal);
    tcase_add_test(t, fails_with_the_place);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
