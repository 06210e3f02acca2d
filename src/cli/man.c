/* Man pages in man(7) macros, from the same tables as the help texts. */
#include <ctype.h>
#include <stdio.h>

#include "cli/args.h"
#include "cli/help.h"

const char *help_page_name(const struct cli_command *command, char *out, size_t size) {
    snprintf(out, size, "mockforge-%s", command->name);
    for (char *p = out; *p; p++)
        if (*p == ' ')
            *p = '-';
    return out;
}

/* Plain text for roff: '\' and '-' mean something to it anywhere, '.' and ''' at a line's beginning. */
static void escape(struct buf *out, const char *text, size_t len) {
    bool line_begins = out->len == 0 || out->data[out->len - 1] == '\n';
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (line_begins && (c == '.' || c == '\''))
            buf_puts(out, "\\&");
        if (c == '\\')
            buf_puts(out, "\\e");
        else if (c == '-')
            buf_puts(out, "\\-");
        else
            buf_putc(out, c);
        line_begins = c == '\n';
    }
}

static void escape_string(struct buf *out, const char *text) {
    escape(out, text, strlen(text));
}

static void title(struct buf *out, const char *page, const char *summary) {
    buf_puts(out, ".\\\" Printed by `mockforge man`: change the tables in src/cli instead.\n.TH \"");
    for (const char *p = page; *p; p++)
        buf_putc(out, (char)toupper((unsigned char)*p));
    buf_printf(out, "\" 1 \"\" \"mockforge %s\" \"User Commands\"\n.SH NAME\n", MF_VERSION);
    escape_string(out, page);
    buf_puts(out, " \\- ");
    size_t len = strlen(summary);
    escape(out, summary, len - (len > 0 && summary[len - 1] == '.')); /* apropos(1) lists these lines */
    buf_putc(out, '\n');
}

static void details(struct buf *out, const char *text) {
    struct help_block block;
    while (help_next_block(&text, &block)) {
        buf_puts(out, block.verbatim ? ".PP\n.nf\n" : ".PP\n");
        escape(out, block.text, block.len);
        buf_puts(out, block.verbatim ? "\n.fi\n" : "\n");
    }
}

static void options(struct buf *out, const struct cli_option *o) {
    for (; o && o->name; o++) {
        buf_puts(out, ".TP\n");
        if (o->letter)
            buf_printf(out, "\\fB\\-%c\\fR, ", o->letter);
        buf_puts(out, "\\fB\\-\\-");
        escape_string(out, o->name);
        buf_puts(out, "\\fR");
        if (o->argument) {
            buf_puts(out, " \\fI");
            escape_string(out, o->argument);
            buf_puts(out, "\\fR");
        }
        buf_putc(out, '\n');
        escape_string(out, o->help);
        buf_puts(out, o->repeated ? " (may be repeated)\n" : "\n");
    }
}

static void exit_status(struct buf *out) {
    buf_puts(out, ".SH \"EXIT STATUS\"\n");
    for (const struct help_exit_code *e = help_exit_codes; e->meaning; e++)
        buf_printf(out, ".TP\n.B %d\n%s\n", (int)e->code, e->meaning);
}

void help_man_command(struct buf *out, const struct cli_command *c) {
    char page[128];
    title(out, help_page_name(c, page, sizeof page), c->summary);
    buf_puts(out, ".SH SYNOPSIS\n\\fBmockforge ");
    escape_string(out, c->name);
    buf_puts(out, "\\fR [\\fIOPTION\\fR]... ");
    escape_string(out, c->arguments ? c->arguments : "");
    buf_putc(out, '\n');
    if (c->details) {
        buf_puts(out, ".SH DESCRIPTION\n");
        details(out, c->details);
    }
    buf_puts(out, ".SH OPTIONS\n");
    options(out, c->options);
    options(out, cli_common_options);
    exit_status(out);
    buf_puts(out, ".SH \"SEE ALSO\"\n.BR mockforge (1)\n");
}

void help_man_overview(struct buf *out, const struct cli_command *const *commands) {
    title(out, "mockforge", HELP_TAGLINE);
    buf_puts(out, ".SH SYNOPSIS\n\\fBmockforge\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR]... [\\fIARGUMENT\\fR]...\n"
                  ".SH DESCRIPTION\n"
                  "mockforge stands between a WebSocket client and the API that it talks to. It relays and records\n"
                  "real traffic, changes messages on their way where it is told to, and has simple mocks.\n"
                  ".SH COMMANDS\n");
    struct buf pages = BUF_INIT;
    for (; *commands; commands++) {
        const struct cli_command *c = *commands;
        if (c->hidden)
            continue;
        char page[128];
        buf_puts(out, ".TP\n\\fB");
        escape_string(out, c->name);
        buf_puts(out, "\\fR\n");
        escape_string(out, c->summary);
        buf_putc(out, '\n');
        buf_puts(&pages, pages.len ? " ,\n.BR " : ".BR ");
        escape_string(&pages, help_page_name(c, page, sizeof page));
        buf_puts(&pages, " (1)");
    }
    buf_puts(out, ".SH OPTIONS\n");
    options(out, cli_common_options);
    exit_status(out);
    buf_printf(out, ".SH \"SEE ALSO\"\n%s\n", buf_cstr(&pages));
    out->failed |= pages.failed;
    buf_fini(&pages);
}
