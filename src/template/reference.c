/* The tables of names and filters -> the chapter on templates of docs/configuration.md. */
#include "template/template.h"

static const char intro[] =
    "\n"
    "## Templates\n"
    "\n"
    "A placeholder is a name, its arguments, and filters behind `|`: `{{header.x-user | default nobody | upper}}`.\n"
    "An argument or a part of a name with spaces or other odd characters stands in quotes. `{{\"{{\"}}` writes `{{`.\n"
    "An unknown name is refused when the file is read; what is missing when a message is made is `null` in JSON and\n"
    "nothing in a text.\n"
    "[mocks.md](mocks.md#templates) says how values keep their types.\n";

/* A cell of a table; '|' would end it, in code too. */
static void put_escaped(struct buf *out, const char *s) {
    for (; *s; s++) {
        if (*s == '|')
            buf_putc(out, '\\');
        buf_putc(out, *s);
    }
}

/* head: title and first lines of the table. */
static void put_table(struct buf *out, const char *head, const struct template_function_info *row) {
    buf_printf(out, "\n%s\n| --- | --- |\n", head);
    for (; row->name; row++) {
        buf_printf(out, "| `%s", row->name);
        put_escaped(out, row->arguments);
        buf_puts(out, "` | ");
        put_escaped(out, row->help);
        buf_puts(out, " |\n");
    }
}

int template_print_reference(struct buf *out) {
    buf_puts(out, intro);
    put_table(out, "### Names\n\n| Name | What it gives |", template_functions);
    buf_puts(out, "\n`message`, `params` and `state` can be used only where there is one: in what a mock answers.\n");
    put_table(out, "### Made-up values\n\n| Name | For example |", template_faker);
    put_table(out, "### Filters\n\n| Filter | What it makes of the value |", template_filters);
    return out->failed ? MF_ENOMEM : MF_OK;
}
