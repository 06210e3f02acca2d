/* `mockforge completion SHELL`: completion scripts for bash, zsh and fish, printed from the tables of commands.
 *
 * What may follow is guessed from the names of values and operands, as the help texts show them: FILE and DIR are
 * completed as such, "never|interval|close" offers these words, anything else offers nothing. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "cli/args.h"
#include "cli/commands.h"

enum value_kind { VALUE_NONE, VALUE_FILE, VALUE_DIR, VALUE_WORDS, VALUE_COMMAND };

static enum value_kind kind_of(const char *name) {
    if (!name)
        return VALUE_NONE;
    if (strstr(name, "FILE"))
        return VALUE_FILE;
    if (strstr(name, "DIR"))
        return VALUE_DIR;
    if (strstr(name, "COMMAND"))
        return VALUE_COMMAND;
    bool words = strchr(name, '|') != NULL;
    for (const char *p = name; *p; p++)
        words = words && (islower((unsigned char)*p) || isdigit((unsigned char)*p) || strchr("|-_.", *p));
    return words ? VALUE_WORDS : VALUE_NONE;
}

/* "a|b" as "a b". */
static void put_words(struct buf *out, const char *name) {
    for (; *name; name++)
        buf_putc(out, *name == '|' ? ' ' : *name);
}

/* Text inside '…' of a shell; `specials` get a backslash before them. */
static void put_quoted(struct buf *out, const char *text, const char *specials) {
    for (; *text; text++) {
        if (strchr(specials, *text))
            buf_putc(out, '\\');
        if (*text == '\'')
            buf_puts(out, "'\\''");
        else
            buf_putc(out, *text);
    }
}

/* ---- the table as words ---- */

static size_t first_word_len(const struct cli_command *c) {
    return strcspn(c->name, " ");
}

static const char *second_word(const struct cli_command *c) {
    const char *gap = strchr(c->name, ' ');
    return gap ? gap + 1 : NULL;
}

static bool same_group(const struct cli_command *a, const struct cli_command *b) {
    return second_word(a) && second_word(b) && first_word_len(a) == first_word_len(b) &&
           !strncmp(a->name, b->name, first_word_len(a));
}

/* The next command from *at on that is the first of its group, or in none; NULL at the end. */
static const struct cli_command *next_first(const struct cli_command *const *commands, size_t *at) {
    for (; commands[*at]; ++*at) {
        const struct cli_command *c = commands[*at];
        bool first = !c->hidden;
        for (size_t i = 0; i < *at && first; i++)
            first = commands[i]->hidden || !same_group(commands[i], c);
        if (first) {
            ++*at;
            return c;
        }
    }
    return NULL;
}

static void put_first_words(struct buf *out, const struct cli_command *const *commands) {
    const struct cli_command *c;
    for (size_t at = 0; (c = next_first(commands, &at));) {
        buf_append(out, c->name, first_word_len(c));
        buf_putc(out, ' ');
    }
}

static void put_second_words(struct buf *out, const struct cli_command *const *commands, const struct cli_command *of,
                             const char *gap) {
    bool any = false;
    for (; *commands; commands++)
        if (!(*commands)->hidden && same_group(*commands, of)) {
            buf_puts(out, any ? gap : "");
            buf_puts(out, second_word(*commands));
            any = true;
        }
}

/* ---- bash ---- */

static void bash_reply(struct buf *out, enum value_kind kind, const char *name,
                       const struct cli_command *const *commands) {
    switch (kind) {
    case VALUE_FILE:
        buf_puts(out, "_mockforge_files -f");
        break;
    case VALUE_DIR:
        buf_puts(out, "_mockforge_files -d");
        break;
    case VALUE_WORDS:
        buf_puts(out, "_mockforge_words '");
        put_words(out, name);
        buf_putc(out, '\'');
        break;
    case VALUE_COMMAND:
        buf_puts(out, "_mockforge_words '");
        put_first_words(out, commands);
        buf_putc(out, '\'');
        break;
    case VALUE_NONE:
        buf_puts(out, ":");
        break;
    }
}

static void bash_command(struct buf *out, const struct cli_command *c, const struct cli_command *const *commands) {
    const struct cli_option *tables[] = {c->options, cli_common_options};
    buf_printf(out, "    '%s')\n        case $previous in\n", c->name);
    for (const struct cli_option *o = c->options; o && o->name; o++) {
        if (!o->argument)
            continue;
        buf_printf(out, "        --%s", o->name);
        if (o->letter)
            buf_printf(out, " | -%c", o->letter);
        buf_puts(out, ") ");
        bash_reply(out, kind_of(o->argument), o->argument, commands);
        buf_puts(out, "; return ;;\n");
    }
    buf_puts(out, "        esac\n        if [[ $current == -* ]]; then\n            _mockforge_words '");
    for (size_t t = 0; t < ARRAY_LEN(tables); t++)
        for (const struct cli_option *o = tables[t]; o && o->name; o++)
            buf_printf(out, "--%s ", o->name);
    buf_puts(out, "'\n        else\n            ");
    bash_reply(out, kind_of(c->arguments), c->arguments, commands);
    buf_puts(out, "\n        fi ;;\n");
}

static void print_bash(struct buf *out, const struct cli_command *const *commands) {
    buf_puts(out, "# bash completion for mockforge, printed by `mockforge completion bash`.\n"
                  "_mockforge_words() { mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$current\"); }\n"
                  "_mockforge_files() {\n"
                  "    compopt -o filenames\n"
                  "    mapfile -t COMPREPLY < <(compgen \"$1\" -- \"$current\")\n"
                  "}\n"
                  "_mockforge() {\n"
                  "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}\n"
                  "    local command=${COMP_WORDS[1]}\n"
                  "    COMPREPLY=()\n"
                  "    # --name=value comes as three words\n"
                  "    if [[ $previous == = ]]; then previous=${COMP_WORDS[COMP_CWORD - 2]}; fi\n"
                  "    if [[ $current == = ]]; then current=; fi\n"
                  "    if ((COMP_CWORD == 1)); then\n"
                  "        _mockforge_words '");
    put_first_words(out, commands);
    buf_puts(out, "--help --version'\n        return\n    fi\n    case $command in\n");
    const struct cli_command *c;
    for (size_t at = 0; (c = next_first(commands, &at));) {
        if (!second_word(c))
            continue;
        buf_printf(out, "    %.*s)\n        if ((COMP_CWORD == 2)); then\n            _mockforge_words '",
                   (int)first_word_len(c), c->name);
        put_second_words(out, commands, c, " ");
        buf_puts(out, " --help'\n            return\n        fi\n        command+=\" ${COMP_WORDS[2]}\" ;;\n");
    }
    buf_puts(out, "    esac\n    case $command in\n");
    for (const struct cli_command *const *p = commands; *p; p++)
        if (!(*p)->hidden)
            bash_command(out, *p, commands);
    buf_puts(out, "    esac\n}\ncomplete -F _mockforge mockforge\n");
}

/* ---- zsh ---- */

static void zsh_action(struct buf *out, enum value_kind kind, const char *name,
                       const struct cli_command *const *commands) {
    switch (kind) {
    case VALUE_FILE:
        buf_puts(out, "_files");
        break;
    case VALUE_DIR:
        buf_puts(out, "_files -/");
        break;
    case VALUE_WORDS:
        buf_putc(out, '(');
        put_words(out, name);
        buf_putc(out, ')');
        break;
    case VALUE_COMMAND:
        buf_putc(out, '(');
        put_first_words(out, commands);
        buf_putc(out, ')');
        break;
    case VALUE_NONE:
        buf_putc(out, ' '); /* a value, of which nothing is known */
        break;
    }
}

/* One specification of _arguments: '(-o --output)'{-o+,--output=}'[help]:FILE:_files' */
static void zsh_option(struct buf *out, const struct cli_option *o, const struct cli_command *const *commands) {
    const char *equals = o->argument ? "=" : "", *plus = o->argument ? "+" : "";
    buf_puts(out, " \\\n            ");
    if (o->repeated)
        buf_puts(out, "'*'");
    else if (o->letter)
        buf_printf(out, "'(-%c --%s)'", o->letter, o->name);
    if (o->letter)
        buf_printf(out, "{-%c%s,--%s%s}'[", o->letter, plus, o->name, equals);
    else
        buf_printf(out, "'--%s%s[", o->name, equals);
    put_quoted(out, o->help, "[]:\\");
    buf_putc(out, ']');
    if (o->argument) {
        buf_putc(out, ':');
        put_quoted(out, o->argument, ":\\");
        buf_putc(out, ':');
        zsh_action(out, kind_of(o->argument), o->argument, commands);
    }
    buf_putc(out, '\'');
}

static void zsh_command(struct buf *out, const struct cli_command *c, const struct cli_command *const *commands) {
    const struct cli_option *tables[] = {c->options, cli_common_options};
    buf_printf(out, "    '%s')\n        _arguments -s", c->name);
    for (size_t t = 0; t < ARRAY_LEN(tables); t++)
        for (const struct cli_option *o = tables[t]; o && o->name; o++)
            zsh_option(out, o, commands);
    if (c->max_arguments > 0) {
        buf_puts(out, " \\\n            '*:argument:");
        zsh_action(out, kind_of(c->arguments), c->arguments, commands);
        buf_putc(out, '\'');
    }
    buf_puts(out, " ;;\n");
}

static void zsh_describe(struct buf *out, const struct cli_command *c, const char *word, size_t len) {
    buf_printf(out, " '%.*s:", (int)len, word);
    put_quoted(out, c->summary, ":\\");
    buf_putc(out, '\'');
}

static void print_zsh(struct buf *out, const struct cli_command *const *commands) {
    buf_puts(out, "#compdef mockforge\n"
                  "# zsh completion for mockforge, printed by `mockforge completion zsh`.\n"
                  "_mockforge() {\n"
                  "    local command=$words[2]\n"
                  "    local -a commands\n"
                  "    if ((CURRENT == 2)); then\n"
                  "        commands=(");
    const struct cli_command *c;
    for (size_t at = 0; (c = next_first(commands, &at));) {
        if (!second_word(c)) {
            zsh_describe(out, c, c->name, strlen(c->name));
            continue;
        }
        buf_printf(out, " '%.*s:", (int)first_word_len(c), c->name);
        put_second_words(out, commands, c, ", ");
        buf_putc(out, '\'');
    }
    buf_puts(out, ")\n        _describe command commands\n        return\n    fi\n    case $command in\n");
    for (size_t at = 0; (c = next_first(commands, &at));) {
        if (!second_word(c))
            continue;
        buf_printf(out, "    %.*s)\n        if ((CURRENT == 3)); then\n            commands=(", (int)first_word_len(c),
                   c->name);
        for (const struct cli_command *const *p = commands; *p; p++)
            if (!(*p)->hidden && same_group(*p, c))
                zsh_describe(out, *p, second_word(*p), strlen(second_word(*p)));
        buf_puts(out, ")\n            _describe command commands\n            return\n        fi\n"
                      "        command+=\" $words[3]\"\n        shift words\n        ((CURRENT--)) ;;\n");
    }
    buf_puts(out, "    esac\n    shift words\n    ((CURRENT--))\n    case $command in\n");
    for (const struct cli_command *const *p = commands; *p; p++)
        if (!(*p)->hidden)
            zsh_command(out, *p, commands);
    buf_puts(out, "    esac\n}\nif [[ $funcstack[1] == _mockforge ]]; then\n    _mockforge \"$@\"\nelse\n"
                  "    compdef _mockforge mockforge\nfi\n");
}

/* ---- fish ---- */

static void fish_value(struct buf *out, enum value_kind kind, const char *name,
                       const struct cli_command *const *commands) {
    switch (kind) {
    case VALUE_FILE:
        buf_puts(out, " -F");
        break;
    case VALUE_DIR:
        buf_puts(out, " -a '(__fish_complete_directories)'");
        break;
    case VALUE_WORDS:
        buf_puts(out, " -a '");
        put_words(out, name);
        buf_putc(out, '\'');
        break;
    case VALUE_COMMAND:
        buf_puts(out, " -a '");
        put_first_words(out, commands);
        buf_putc(out, '\'');
        break;
    case VALUE_NONE:
        break;
    }
}

static void fish_describe(struct buf *out, const char *text) {
    buf_puts(out, " -d '");
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            buf_putc(out, '\\');
        buf_putc(out, *text);
    }
    buf_puts(out, "'\n");
}

static void fish_command(struct buf *out, const struct cli_command *c, const struct cli_command *const *commands) {
    const struct cli_option *tables[] = {c->options, cli_common_options};
    const char *second = second_word(c);
    buf_printf(out, "complete -c mockforge -n '__mockforge_at 1%s%.*s' -a %s", second ? " " : "",
               second ? (int)first_word_len(c) : 0, c->name, second ? second : c->name);
    fish_describe(out, c->summary);
    for (size_t t = 0; t < ARRAY_LEN(tables); t++)
        for (const struct cli_option *o = tables[t]; o && o->name; o++) {
            buf_printf(out, "complete -c mockforge -n '__mockforge_at 0 %s' -l %s", c->name, o->name);
            if (o->letter)
                buf_printf(out, " -s %c", o->letter);
            if (o->argument) {
                buf_puts(out, kind_of(o->argument) == VALUE_FILE ? " -r" : " -x");
                fish_value(out, kind_of(o->argument), o->argument, commands);
            }
            fish_describe(out, o->help);
        }
    enum value_kind operand = c->max_arguments > 0 ? kind_of(c->arguments) : VALUE_NONE;
    if (operand == VALUE_NONE)
        return;
    buf_printf(out, "complete -c mockforge -n '__mockforge_at 0 %s'", c->name);
    fish_value(out, operand, c->arguments, commands);
    buf_putc(out, '\n');
}

static void print_fish(struct buf *out, const struct cli_command *const *commands) {
    buf_puts(out,
             "# fish completion for mockforge, printed by `mockforge completion fish`.\n"
             "# __mockforge_at EXACT WORD...: does the command line begin with these words (EXACT 1: is that all)?\n"
             "function __mockforge_at\n"
             "    set -l given (commandline -opc)\n"
             "    set -e given[1]\n"
             "    set -l wanted $argv[2..-1]\n"
             "    set -l n (count $wanted)\n"
             "    test (count $given) -ge $n; or return 1\n"
             "    test $argv[1] = 0 -o (count $given) -eq $n; or return 1\n"
             "    test $n -eq 0; and return 0\n"
             "    test \"$given[1..$n]\" = \"$wanted\"\n"
             "end\n"
             "complete -c mockforge -f\n");
    const struct cli_command *c;
    for (size_t at = 0; (c = next_first(commands, &at));) {
        if (!second_word(c))
            continue;
        buf_printf(out, "complete -c mockforge -n '__mockforge_at 1' -a %.*s", (int)first_word_len(c), c->name);
        struct buf words = BUF_INIT;
        put_second_words(&words, commands, c, ", ");
        fish_describe(out, buf_cstr(&words));
        buf_fini(&words);
    }
    for (const struct cli_command *const *p = commands; *p; p++)
        if (!(*p)->hidden)
            fish_command(out, *p, commands);
}

/* ---- the command ---- */

static const struct {
    const char *name;
    void (*print)(struct buf *out, const struct cli_command *const *commands);
} shells[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};

static int run(const struct cli_args *args) {
    for (size_t i = 0; i < ARRAY_LEN(shells); i++) {
        if (strcmp(cli_operand(args, 0), shells[i].name) != 0)
            continue;
        struct buf script = BUF_INIT;
        shells[i].print(&script, args->commands);
        bool failed = script.failed;
        if (!failed)
            fwrite(script.data, 1, script.len, stdout);
        buf_fini(&script);
        return failed ? EXIT_IO : EXIT_FINE;
    }
    return cli_usage_error(args, "unknown shell \"%s\": bash, zsh and fish are known", cli_operand(args, 0));
}

const struct cli_command cli_completion = {
    .name = "completion",
    .arguments = "bash|zsh|fish",
    .min_arguments = 1,
    .max_arguments = 1,
    .summary = "print a completion script for a shell",
    .details = "Prints a script that makes the shell complete commands, options and files.\n"
               "\n"
               "  eval \"$(mockforge completion bash)\"                                # in ~/.bashrc\n"
               "  source <(mockforge completion zsh)                                 # in ~/.zshrc, after compinit\n"
               "  mockforge completion fish > ~/.config/fish/completions/mockforge.fish",
    .run = run,
};
