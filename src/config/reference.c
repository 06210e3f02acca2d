/* The option table -> docs/configuration.md. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "config/describe.h"
#include "config/option.h"
#include "config/value.h"

static const char intro[] =
    "# Configuration reference\n"
    "\n"
    "<!-- Printed by `mockforge config schema --markdown`; do not edit. -->\n"
    "\n"
    "mockforge reads one YAML file, `mockforge.yaml` unless `--config` names another. What the command line says "
    "comes\n"
    "before the environment, the environment before the file, and the file before the defaults on this page.\n"
    "\n"
    "    mockforge config check [FILE]    reads a configuration and says what is wrong with it\n"
    "    mockforge config print [FILE]    prints the effective configuration, all defaults included\n"
    "    mockforge config schema          prints the JSON Schema, for editors (conf/mockforge.schema.json)\n"
    "\n"
    "An editor with a YAML language server checks while you type, when the file begins with\n"
    "\n"
    "    # yaml-language-server: $schema=conf/mockforge.schema.json\n"
    "\n"
    "## How values are written\n"
    "\n"
    "- **Truth values**: `true`, `false`, `yes`, `no`, `on`, `off`, without quotes.\n"
    "- **Numbers**: digits, without quotes and without leading zeros. A key that ends in `_ms` counts milliseconds;\n"
    "  `ping_interval` counts seconds.\n"
    "- **Sizes**: bytes (`65536`), or with a unit: `KiB`, `MiB`, `GiB`, `TiB` are powers of 1024, `KB`, `MB`, `GB`, "
    "`TB`\n"
    "  powers of 1000.\n"
    "- **Times**: seconds (`30`), or with a unit: `30s`, `10m`, `24h`, `7d`.\n"
    "- **Templates** go in quotes: `\"{{now}}\"`. Without them YAML takes the braces for a mapping.\n"
    "- **File names** are relative to the directory that mockforge was started in, not to the configuration file.\n"
    "- **Messages** (`response`, `message`, `send`, `on_connect`, …): a text is sent as it is, a mapping as JSON. "
    "`{$hex: \"00ff\"}`\n"
    "  and `{$base64: \"AP8=\"}` are binary, `{$json: …}` is any JSON value, arrays too. A list is several messages, "
    "in order;\n"
    "  an empty one is none. Texts are templates, but not in `messages`, which go out byte for byte.\n"
    "- **Lua** is inline, best after `|`, or the name of a `.lua` file.\n"
    "- **Lists of texts** may be a single text when there is one only. In a variable they are separated by commas.\n"
    "\n"
    "Unknown keys, wrong types and values out of range are refused with file, line and column, and nothing starts. So "
    "are\n"
    "keys given twice, more than one document in a file, files beyond 1 MiB, nesting deeper than 32 levels, and "
    "aliases\n"
    "that explode. Anchors, aliases and merge keys (`<<: *name`) work.\n"
    "\n"
    "## The environment\n"
    "\n"
    "Each single value outside of lists has a variable, named in its table below. A variable that is set but empty "
    "counts\n"
    "as not set. A variable whose name begins with `MOCKFORGE_WS_` and that is not known is warned about.\n"
    "\n"
    "## Dotted keys\n"
    "\n"
    "`--set KEY=VALUE` sets any key from the command line: `--set websocket.port=9000`. A handler is named by its path "
    "or by\n"
    "its number: `--set 'websocket.handlers[/proxy].upstream=wss://api.example.com/ws'`, `handlers[0]`; `handlers[*]` "
    "means\n"
    "all of them, and a path that no handler has adds one. A header: "
    "`websocket.handlers[/proxy].on_connect.headers.X-Team`.\n"
    "A value of any shape is YAML: `--set 'websocket.handlers[/api].rules[0].response={type: pong}'`.\n"
    "Variables and `--set` enable a section by its `enabled` only; in the file, the section alone is enough.\n";

#define TABLES_MAX 64

struct page {
    struct buf *out;
    const struct option_table *seen[TABLES_MAX]; /* one that stands in two places is described once */
    size_t seen_count;
};

static void put_takes(struct buf *out, const struct option *row) {
    char low[32], high[32];
    switch (row->kind) {
    case OPTION_BOOL:
        buf_puts(out, "true, false");
        break;
    case OPTION_UINT:
    case OPTION_INT:
    case OPTION_PORT:
    case OPTION_UINT64:
        buf_printf(out, "%lld to %lld", (long long)row->min, (long long)row->max);
        break;
    case OPTION_SIZE:
        buf_printf(out, "size, %s to %s", value_format_size((uint64_t)row->min, low, sizeof low),
                   value_format_size((uint64_t)row->max, high, sizeof high));
        break;
    case OPTION_DURATION:
        buf_printf(out, "time, %s to %s", value_format_duration((uint64_t)row->min, low, sizeof low),
                   value_format_duration((uint64_t)row->max, high, sizeof high));
        break;
    case OPTION_ENUM:
        for (const struct option_choice *c = row->choices; c->name; c++)
            if (!c->later)
                buf_printf(out, "%s`%s`", c == row->choices ? "" : ", ", c->name);
        break;
    case OPTION_STRINGS:
        buf_puts(out, "list of texts");
        break;
    case OPTION_HEADERS:
        buf_puts(out, "names and values");
        break;
    case OPTION_SECTION:
        buf_puts(out, row->table->shorthand ? "section or its short form" : "section");
        break;
    case OPTION_LIST:
        buf_puts(out, row->single ? "section, or list of sections" : "list of sections");
        break;
    case OPTION_VALUE:
        buf_puts(out, "any value");
        break;
    default:
        buf_puts(out, row->tagged ? "text, or name and text" : "text");
    }
}

static void put_row(struct buf *out, const struct option *row, const char *variable) {
    buf_printf(out, "| `%s` | ", row->key);
    if (row->kind == OPTION_ALIAS)
        buf_printf(out, "as `%s`", row->alias + (*row->alias == '/'));
    else
        put_takes(out, row);
    buf_puts(out, " | ");
    if (row->fallback)
        buf_printf(out, "`%s`", row->fallback);
    if (*variable) {
        buf_puts(out, " | ");
        if (option_is_leaf(row))
            buf_printf(out, "`%s`", variable);
    }
    buf_printf(out, " | %s |\n", row->help);
}

/* "MOCKFORGE_WS" and the row `port` -> "MOCKFORGE_WS_PORT"; "" stays "", for what is inside of a list. */
static const char *variable_of(const char *prefix, const struct option *row, char *out, size_t size) {
    if (!*prefix) {
        *out = '\0';
        return out;
    }
    snprintf(out, size, "%s_%s", prefix, row->env ? row->env : row->key);
    for (char *p = out; *p; p++)
        *p = (char)toupper((unsigned char)*p);
    return out;
}

static void put_later(struct buf *out, const struct option_table *table) {
    const char *separator = "\nIn the guide, but not available in this version yet: ";
    for (size_t i = 0; i < table->count; i++) {
        const struct option *row = &table->rows[i];
        if (row->kind == OPTION_LATER) {
            buf_printf(out, "%s`%s`", separator, row->key);
            separator = ", ";
        }
        for (const struct option_choice *c = row->kind == OPTION_ENUM ? row->choices : NULL; c && c->name; c++)
            if (c->later) {
                buf_printf(out, "%s`%s: %s`", separator, row->key, c->name);
                separator = ", ";
            }
    }
    if (*separator == ',')
        buf_puts(out, ".\n");
}

static bool is_seen(const struct page *page, const struct option_table *table) {
    for (size_t i = 0; i < page->seen_count; i++)
        if (page->seen[i] == table)
            return true;
    return false;
}

static void put_table(struct page *page, const struct option_table *table, const char *place, const char *prefix);

static void put_sections(struct page *page, const struct option_table *table, const char *place, const char *prefix) {
    for (size_t i = 0; i < table->count; i++) {
        const struct option *row = &table->rows[i];
        if (!row->table || is_seen(page, row->table))
            continue;
        char below[128], variable[128];
        snprintf(below, sizeof below, "%s%s%s%s", place, *place ? "." : "", row->key,
                 row->kind == OPTION_LIST ? "[]" : "");
        put_table(page, row->table, below, row->kind == OPTION_LIST ? "" : variable_of(prefix, row, variable, 128));
    }
}

static void put_table(struct page *page, const struct option_table *table, const char *place, const char *prefix) {
    struct buf *out = page->out;
    MUST(page->seen_count < ARRAY_LEN(page->seen));
    page->seen[page->seen_count++] = table;
    if (*place)
        buf_printf(out, "\n## `%s`\n\n%s\n", place, table->help);
    else
        buf_puts(out, "\n## The top level\n");
    if (*prefix && table->shorthand && *place)
        buf_printf(out, "\nShort form: a plain value instead of the section, or in `%s`, sets `%s`.\n", prefix,
                   table->shorthand);
    else if (!*prefix && table->shorthand)
        buf_printf(out, "\nShort form: a plain value instead of the section sets `%s`.\n", table->shorthand);
    buf_printf(out, "\n| Key | Takes | Default |%s What it does |\n| --- | --- | --- |%s --- |\n",
               *prefix ? " Environment |" : "", *prefix ? " --- |" : "");
    for (size_t i = 0; i < table->count; i++) {
        char variable[128];
        if (table->rows[i].kind != OPTION_LATER)
            put_row(out, &table->rows[i], variable_of(prefix, &table->rows[i], variable, sizeof variable));
    }
    put_later(out, table);
    put_sections(page, table, place, prefix);
}

int config_print_reference(struct buf *out) {
    struct page page = {.out = out};
    buf_puts(out, intro);
    put_table(&page, &option_root, "", "MOCKFORGE");
    return out->failed ? MF_ENOMEM : 0;
}
