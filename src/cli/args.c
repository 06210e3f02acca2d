#include "cli/args.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/near.h"

#define WORD_MAX 63 /* of a word that is shown in an error */

const struct cli_option cli_common_options[] = {
    {.name = "help", .letter = 'h', .help = "Show this help"},
    {.name = "version", .letter = 'V', .help = "Show the version"},
    {.name = NULL},
};

/* ---- nearest names ---- */

/* A beginning is meant for the whole ("--out"); anything else is a typing error. */
static void try_name(struct near *near, const char *name) {
    if (strlen(near->word) >= 2 && near->distance > 0 && !strncmp(near->word, name, strlen(near->word))) {
        near->best = name;
        near->distance = 0;
    }
    near_try(near, name);
}

const struct cli_command *args_nearest_command(const struct cli_command *const *commands, const char *name) {
    const struct cli_command *best = NULL;
    struct near near = near_to(name);
    for (; *commands; commands++) {
        const struct cli_command *c = *commands;
        if (c->hidden)
            continue;
        size_t before = near.distance;
        const char *gap = strchr(c->name, ' ');
        try_name(&near, c->name);
        if (gap) /* "record" is meant for "ws record" */
            try_name(&near, gap + 1);
        if (near.distance < before)
            best = c;
    }
    return best;
}

static const char *nearest_option(const struct cli_command *command, const char *name) {
    const struct cli_option *tables[] = {command->options, cli_common_options};
    struct near near = near_to(name);
    for (size_t t = 0; t < ARRAY_LEN(tables); t++)
        for (const struct cli_option *o = tables[t]; o && o->name; o++)
            try_name(&near, o->name);
    return near.best;
}

/* ---- commands ---- */

/* Is name "first second"? With second NULL: is it "first"? */
static bool is_named(const char *name, const char *first, const char *second) {
    size_t len = strlen(first);
    if (strncmp(name, first, len) != 0)
        return false;
    if (!second)
        return name[len] == '\0';
    return name[len] == ' ' && !strcmp(name + len + 1, second);
}

const struct cli_command *args_find_command(const struct cli_command *const *commands, char *const *words, size_t count,
                                            size_t *used) {
    for (size_t n = MIN(count, (size_t)2); n > 0; n--)
        for (const struct cli_command *const *c = commands; *c; c++)
            if (is_named((*c)->name, words[0], n == 2 ? words[1] : NULL)) {
                *used = n;
                return *c;
            }
    return NULL;
}

bool args_is_group(const struct cli_command *const *commands, const char *word) {
    size_t len = strlen(word);
    for (; *commands; commands++)
        if (!strncmp((*commands)->name, word, len) && (*commands)->name[len] == ' ')
            return true;
    return false;
}

/* ---- options ---- */

static const struct cli_option *option_by_name(const struct cli_command *command, const char *name, size_t len) {
    const struct cli_option *tables[] = {command->options, cli_common_options};
    for (size_t t = 0; t < ARRAY_LEN(tables); t++)
        for (const struct cli_option *o = tables[t]; o && o->name; o++)
            if (!strncmp(o->name, name, len) && o->name[len] == '\0')
                return o;
    return NULL;
}

static const struct cli_option *option_by_letter(const struct cli_command *command, char letter) {
    const struct cli_option *tables[] = {command->options, cli_common_options};
    for (size_t t = 0; t < ARRAY_LEN(tables); t++)
        for (const struct cli_option *o = tables[t]; o && o->name; o++)
            if (o->letter == letter)
                return o;
    return NULL;
}

static bool is_common(const struct cli_option *option, const char *name) {
    for (const struct cli_option *o = cli_common_options; o->name; o++)
        if (o == option)
            return !strcmp(o->name, name);
    return false;
}

static int give(struct cli_args *args, const struct cli_option *option, const char *value, struct err *err) {
    if (is_common(option, "help"))
        args->help = true;
    if (is_common(option, "version"))
        args->version = true;
    for (size_t i = 0; i < args->given_count; i++)
        if (args->given[i].option == option && option->argument && !option->repeated)
            return err_set(err, MF_EINVAL, "--%s may be given only once", option->name);
    args->given[args->given_count++] = (struct cli_given){option, value};
    return MF_OK;
}

/* What "--text" is; *index is where it stands in argv, and moves on when the value is the next word. */
static int parse_long(struct cli_args *args, int argc, char **argv, int *index, struct err *err) {
    const char *text = argv[*index] + 2, *equals = strchr(text, '=');
    size_t len = equals ? (size_t)(equals - text) : strlen(text);
    const struct cli_option *option = option_by_name(args->command, text, len);
    if (!option) {
        char name[WORD_MAX + 1] = "";
        memcpy(name, text, MIN(len, sizeof name - 1));
        const char *near = nearest_option(args->command, name);
        if (near)
            return err_set(err, MF_EINVAL, "unknown option --%s (did you mean --%s?)", name, near);
        return err_set(err, MF_EINVAL, "unknown option --%s", name);
    }
    const char *value = equals ? equals + 1 : NULL;
    if (!option->argument && value)
        return err_set(err, MF_EINVAL, "--%s takes no value", option->name);
    if (option->argument && !value) {
        if (*index + 1 >= argc)
            return err_set(err, MF_EINVAL, "--%s needs a value: --%s %s", option->name, option->name, option->argument);
        value = argv[++*index];
    }
    return give(args, option, value, err);
}

/* What "-abc" is: flags together, of which the last may take a value: the rest of the word, or the next word. */
static int parse_letters(struct cli_args *args, int argc, char **argv, int *index, struct err *err) {
    for (const char *p = argv[*index] + 1; *p; p++) {
        const struct cli_option *option = option_by_letter(args->command, *p);
        if (!option)
            return err_set(err, MF_EINVAL, "unknown option -%.*s", *p & 0x80 ? WORD_MAX : 1, p);
        const char *value = NULL;
        if (option->argument) {
            if (p[1])
                value = p + 1 + (p[1] == '=');
            else if (*index + 1 < argc)
                value = argv[++*index];
            else
                return err_set(err, MF_EINVAL, "-%c needs a value: -%c %s", *p, *p, option->argument);
        }
        int rc = give(args, option, value, err);
        if (rc < 0 || value)
            return rc;
    }
    return MF_OK;
}

static int check_operands(const struct cli_args *args, struct err *err) {
    const struct cli_command *c = args->command;
    if (args->operand_count < c->min_arguments)
        return err_set(err, MF_EINVAL, "something is missing: mockforge %s %s", c->name,
                       c->arguments ? c->arguments : "");
    if (args->operand_count > c->max_arguments)
        return err_set(err, MF_EINVAL, "unexpected \"%s\"", args->operands[c->max_arguments]);
    return MF_OK;
}

int args_parse(struct cli_args *args, const struct cli_command *const *commands, const struct cli_command *command,
               int argc, char **argv, struct err *err) {
    *args = (struct cli_args){.commands = commands, .command = command};
    /* A word gives as many options as it has letters at most. */
    size_t letters = 1;
    for (int i = 0; i < argc; i++)
        letters += strlen(argv[i]);
    args->given = calloc(letters, sizeof *args->given);
    args->operands = calloc((size_t)argc + 1, sizeof *args->operands);
    if (!args->given || !args->operands)
        return err_set(err, MF_ENOMEM, "out of memory");

    bool options = true;
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        int rc = MF_OK;
        if (options && !strcmp(word, "--"))
            options = false;
        else if (options && word[0] == '-' && word[1] == '-')
            rc = parse_long(args, argc, argv, &i, err);
        else if (options && word[0] == '-' && word[1]) /* "-" alone is an operand: stdin or stdout */
            rc = parse_letters(args, argc, argv, &i, err);
        else
            args->operands[args->operand_count++] = word;
        if (rc < 0)
            return rc;
        if (args->help || args->version)
            return MF_OK;
    }
    return check_operands(args, err);
}

void args_fini(struct cli_args *args) {
    free(args->given);
    free(args->operands);
    *args = (struct cli_args){0};
}

/* ---- what commands ask ---- */

const char *cli_value(const struct cli_args *args, const char *name) {
    for (size_t i = args->given_count; i-- > 0;)
        if (!strcmp(args->given[i].option->name, name))
            return args->given[i].value;
    return NULL;
}

bool cli_flag(const struct cli_args *args, const char *name) {
    for (size_t i = 0; i < args->given_count; i++)
        if (!strcmp(args->given[i].option->name, name))
            return true;
    return false;
}

const char *cli_value_at(const struct cli_args *args, const char *name, size_t i) {
    for (size_t k = 0; k < args->given_count; k++)
        if (!strcmp(args->given[k].option->name, name) && i-- == 0)
            return args->given[k].value;
    return NULL;
}

const char **cli_values(const struct cli_args *args, const char *name, size_t *count) {
    *count = 0;
    while (cli_value_at(args, name, *count))
        ++*count;
    const char **list = calloc(*count + 1, sizeof *list);
    for (size_t i = 0; list && i < *count; i++)
        list[i] = cli_value_at(args, name, i);
    return list;
}

const char *cli_operand(const struct cli_args *args, size_t i) {
    return i < args->operand_count ? args->operands[i] : NULL;
}

size_t cli_operand_count(const struct cli_args *args) {
    return args->operand_count;
}

bool cli_number(const struct cli_args *args, const char *what, const char *text, uint64_t low, uint64_t high,
                uint64_t *out) {
    char *end;
    errno = 0;
    /* strtoull would take " 1", "+1" and "-1". */
    unsigned long long n = *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : 0;
    if (*text < '0' || *text > '9' || *end || errno || n < low || n > high) {
        cli_usage_error(args, "%s: \"%s\" is not a whole number from %llu to %llu", what, text, (unsigned long long)low,
                        (unsigned long long)high);
        return false;
    }
    *out = n;
    return true;
}
