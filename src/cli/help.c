#include "cli/help.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <event2/event.h>
#include <jansson.h>
#include <lua.h>
#include <openssl/crypto.h>
#include <pcre2.h>
#include <stdio.h>
#include <yaml.h>
#include <zlib.h>
#include <zstd.h>

#include "cli/args.h"

#define INDENT 2
#define HELP_COLUMN 28 /* where the explanations of options and commands begin */
#define WIDTH_MIN 40

const struct help_exit_code help_exit_codes[] = {
    {EXIT_FINE, "fine"},
    {EXIT_CHECK_FAILED, "the check or the comparison failed"},
    {EXIT_USAGE, "wrong usage or configuration"},
    {EXIT_IO, "input or output failed"},
    {EXIT_FINE, NULL},
};

/* ---- text ---- */

bool help_next_block(const char **cursor, struct help_block *block) {
    const char *p = *cursor;
    while (*p == '\n')
        p++;
    if (!*p)
        return false;
    block->text = p;
    block->verbatim = *p == ' ';
    for (;;) { /* a line of the block each turn */
        p += strcspn(p, "\n");
        block->len = (size_t)(p - block->text);
        if (!*p || p[1] == '\n' || (p[1] == ' ') != block->verbatim)
            break;
        p++;
    }
    *cursor = p;
    return true;
}

static void spaces(struct buf *out, size_t n) {
    while (n--)
        buf_putc(out, ' ');
}

/* Columns that UTF-8 text takes, near enough for our own tables: a column for each character. */
static size_t columns(const char *text, size_t len) {
    size_t n = 0;
    for (size_t i = 0; i < len; i++)
        n += ((unsigned char)text[i] & 0xc0) != 0x80;
    return n;
}

/* Appends words, from column `at` on, broken before `width`; further lines are indented. Ends the line. */
static void fill(struct buf *out, const char *text, size_t len, size_t at, size_t indent, size_t width) {
    const char *end = text + len;
    bool first = true;
    for (;;) {
        while (text < end && (*text == ' ' || *text == '\n'))
            text++;
        if (text == end)
            break;
        const char *word = text;
        while (text < end && *text != ' ' && *text != '\n')
            text++;
        size_t n = columns(word, (size_t)(text - word));
        if (!first && at + 1 + n > width) {
            buf_putc(out, '\n');
            spaces(out, indent);
            at = indent;
        } else if (!first) {
            buf_putc(out, ' ');
            at++;
        }
        buf_append(out, word, (size_t)(text - word));
        at += n;
        first = false;
    }
    buf_putc(out, '\n');
}

static void heading(struct buf *out, const char *text, struct help_style style) {
    buf_printf(out, "\n%s%s:%s\n", style.bold ? "\033[1m" : "", text, style.bold ? "\033[0m" : "");
}

/* "  left      right", with right filled in its own column. */
static void entry(struct buf *out, const char *left, const char *right, struct help_style style) {
    size_t n = INDENT + columns(left, strlen(left));
    spaces(out, INDENT);
    buf_puts(out, left);
    if (n + 2 > HELP_COLUMN) {
        buf_putc(out, '\n');
        n = 0;
    }
    spaces(out, HELP_COLUMN - n);
    fill(out, right, strlen(right), HELP_COLUMN, HELP_COLUMN, MAX(style.width, (size_t)HELP_COLUMN + WIDTH_MIN));
}

/* ---- pages ---- */

void help_overview(struct buf *out, const struct cli_command *const *commands, const char *group,
                   struct help_style style) {
    if (!group)
        buf_printf(out, "mockforge %s: " HELP_TAGLINE "\n", MF_VERSION);
    heading(out, "Usage", style);
    buf_printf(out, "  mockforge %s%sCOMMAND [OPTION]... [ARGUMENT]...\n", group ? group : "", group ? " " : "");
    heading(out, "Commands", style);
    size_t group_len = group ? strlen(group) : 0;
    for (; *commands; commands++) {
        const struct cli_command *c = *commands;
        if (!c->hidden && (!group || (!strncmp(c->name, group, group_len) && c->name[group_len] == ' ')))
            entry(out, c->name, c->summary, style);
    }
    buf_printf(out, "\n`mockforge %s%sCOMMAND --help` says more about each.\n", group ? group : "", group ? " " : "");
}

static void options(struct buf *out, const struct cli_option *o, struct help_style style) {
    for (; o && o->name; o++) {
        char left[128];
        snprintf(left, sizeof left, "%c%c%s --%s%s%s", o->letter ? '-' : ' ', o->letter ? o->letter : ' ',
                 o->letter ? "," : " ", o->name, o->argument ? " " : "", o->argument ? o->argument : "");
        struct buf right = BUF_INIT;
        buf_puts(&right, o->help);
        if (o->repeated)
            buf_puts(&right, " (may be repeated)");
        entry(out, left, buf_cstr(&right), style);
        buf_fini(&right);
    }
}

void help_command(struct buf *out, const struct cli_command *c, struct help_style style) {
    buf_printf(out, "mockforge %s: ", c->name);
    size_t at = strlen("mockforge : ") + strlen(c->name);
    fill(out, c->summary, strlen(c->summary), at, INDENT, MAX(style.width, (size_t)WIDTH_MIN));
    heading(out, "Usage", style);
    buf_printf(out, "  mockforge %s [OPTION]...%s%s\n", c->name, c->arguments && *c->arguments ? " " : "",
               c->arguments ? c->arguments : "");
    heading(out, "Options", style);
    options(out, c->options, style);
    options(out, cli_common_options, style);
    struct help_block block;
    for (const char *cursor = c->details ? c->details : ""; help_next_block(&cursor, &block);) {
        buf_putc(out, '\n');
        if (!block.verbatim) {
            fill(out, block.text, block.len, 0, 0, MAX(style.width, (size_t)WIDTH_MIN));
        } else {
            buf_append(out, block.text, block.len);
            buf_putc(out, '\n');
        }
    }
}

void help_version(struct buf *out, bool verbose) {
    buf_printf(out, "mockforge %s\n", MF_VERSION);
    if (!verbose)
        return;
    /* Not wslay: its header names a version that its package does not have. */
    buf_printf(out, "libevent %s, OpenSSL %s, zstd %s, zlib %s, jansson %s, libyaml %s, PCRE2 %d.%d, %s\n",
               event_get_version(), OpenSSL_version(OPENSSL_VERSION_STRING), ZSTD_versionString(), zlibVersion(),
               jansson_version_str(), yaml_get_version_string(), PCRE2_MAJOR, PCRE2_MINOR, LUA_RELEASE);
}
