/* A snapshot -> YAML, by the option table. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "config/describe.h"
#include "config/option.h"
#include "config/value.h"

#define INDENT 2
#define KEY_MAX 1000
#define REDACTED "REDACTED" /* fits wherever a value is checked: the result loads again */

/* ---- texts ----------------------------------------------------------------------------------------------------- */

/* One character of UTF-8; its length, or 0 when the bytes are none. */
static size_t decode(const unsigned char *p, uint32_t *out) {
    static const struct {
        unsigned char mask, lead;
        uint32_t least;
    } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    for (size_t len = 1; len <= ARRAY_LEN(forms); len++) {
        if ((p[0] & forms[len - 1].mask) != forms[len - 1].lead)
            continue;
        uint32_t c = p[0] & (unsigned char)~forms[len - 1].mask;
        for (size_t i = 1; i < len; i++) {
            if ((p[i] & 0xc0) != 0x80)
                return 0;
            c = c << 6 | (p[i] & 0x3f);
        }
        *out = c;
        bool surrogate = c >= 0xd800 && c <= 0xdfff;
        return c >= forms[len - 1].least && c <= 0x10ffff && !surrogate ? len : 0;
    }
    return 0;
}

/* What YAML 1.1 lets stand in a text as it is, without the line breaks (section 5.1). */
static bool is_printable(uint32_t c) {
    return (c >= 0x20 && c <= 0x7e) || (c >= 0xa0 && c <= 0xd7ff && c != 0x2028 && c != 0x2029) ||
           (c >= 0xe000 && c <= 0xfffd && c != 0xfeff) || (c >= 0x10000 && c <= 0x10ffff);
}

static void put_quoted(struct buf *out, const char *text) {
    buf_putc(out, '"');
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        uint32_t c;
        size_t len = decode(p, &c);
        if (*p == '\n')
            buf_puts(out, "\\n");
        else if (*p == '"' || *p == '\\')
            buf_printf(out, "\\%c", *p);
        else if (len && is_printable(c))
            buf_append(out, p, len);
        else
            buf_printf(out, len ? "\\U%08x" : "\\x%02x", len ? c : *p);
        p += MAX(len, 1);
    }
    buf_putc(out, '"');
}

/* Can this stand as a `|` block, which is how scripts are read best? */
static bool fits_block(const char *text) {
    size_t lines = 0;
    if (*text == ' ' || *text == '\n')
        return false;
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        uint32_t c;
        size_t len = decode(p, &c);
        if (*p == '\n')
            lines++;
        else if (!len || !is_printable(c))
            return false;
        p += len;
    }
    size_t len = strlen(text);
    return lines > 0 && !(len > 1 && text[len - 1] == '\n' && text[len - 2] == '\n');
}

static void put_text(struct buf *out, const char *text, int indent) {
    if (!fits_block(text)) {
        put_quoted(out, text);
        return;
    }
    size_t len = strlen(text);
    buf_puts(out, text[len - 1] == '\n' ? "|" : "|-");
    for (const char *line = text; *line;) {
        size_t n = strcspn(line, "\n");
        buf_printf(out, "\n%*s%.*s", n ? indent : 0, "", (int)n, line);
        line += n + (line[n] == '\n');
    }
}

/* ---- values of any shape --------------------------------------------------------------------------------------- */

/* libyaml looks for a key's colon within 1024 characters; a longer one is marked as a key beforehand. */
static void put_key(struct buf *out, const char *key, int indent) {
    size_t begin = out->len;
    put_quoted(out, key);
    if (out->failed || out->len - begin <= KEY_MAX) {
        buf_putc(out, ':');
        return;
    }
    out->len = begin;
    buf_puts(out, "? ");
    put_quoted(out, key);
    buf_printf(out, "\n%*s:", indent, "");
}

static void put_node(struct buf *out, const struct config_value *v, int indent);

/* Block style, each on lines of its own. */
static void put_children(struct buf *out, const struct config_value *v, int indent) {
    for (const struct config_value *child = v->first; child; child = child->next) {
        if (v->kind == CONFIG_MAP) {
            buf_printf(out, "%*s", indent, "");
            put_key(out, child->key, indent);
            put_node(out, child, indent + INDENT);
        } else if (!child->count) {
            buf_printf(out, "%*s-", indent, "");
            put_node(out, child, indent + INDENT);
        } else {
            size_t begin = out->len;
            put_children(out, child, indent + INDENT);
            if (!out->failed) /* the dash before what it begins with */
                out->data[begin + (size_t)indent] = '-';
        }
    }
}

/* What follows a colon or a dash. */
static void put_node(struct buf *out, const struct config_value *v, int indent) {
    if (v->kind != CONFIG_SCALAR && v->count) {
        buf_putc(out, '\n');
        put_children(out, v, indent);
        return;
    }
    buf_putc(out, ' ');
    if (v->kind != CONFIG_SCALAR)
        buf_puts(out, v->kind == CONFIG_LIST ? "[]" : "{}");
    else if (config_scalar_type(v) == CONFIG_STRING)
        put_text(out, v->text, indent);
    else
        buf_puts(out, *v->text ? v->text : "null");
    buf_putc(out, '\n');
}

/* ---- secrets --------------------------------------------------------------------------------------------------- */

static bool is_secret_name(const char *name, size_t len) {
    static const char *const words[] = {"auth", "cookie", "token", "key", "secret", "passw", "signature", "credential"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        for (size_t at = 0; at + strlen(words[i]) <= len; at++)
            if (!strncasecmp(name + at, words[i], strlen(words[i])))
                return true;
    return false;
}

/* A URL without its user's name and password, and without the values of parameters that look like secrets. */
static void put_url(struct buf *out, const char *url) {
    struct buf clean = BUF_INIT;
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    size_t authority = strcspn(host, "/?#");
    const char *at = memrchr(host, '@', authority);
    buf_append(&clean, url, (size_t)(host - url));
    if (at)
        buf_puts(&clean, REDACTED);
    const char *rest = at ? at : host, *query = rest + strcspn(rest, "?");
    buf_append(&clean, rest, (size_t)(query - rest));
    while (*query) {
        size_t len = 1 + strcspn(query + 1, "&"), name = strcspn(query, "="); /* with the ? or & before it */
        bool secret = name < len && is_secret_name(query + 1, name - 1);
        buf_append(&clean, query, secret ? name + 1 : len);
        if (secret)
            buf_puts(&clean, REDACTED);
        query += len;
    }
    put_quoted(out, buf_cstr(&clean));
    out->failed = out->failed || clean.failed;
    buf_fini(&clean);
}

/* ---- values ----------------------------------------------------------------------------------------------------- */

static const void *field_at(const struct option *row, const void *at) {
    return (const char *)at + row->offset;
}

static size_t count_at(const struct option *row, const void *at) {
    return *(const size_t *)(const void *)((const char *)at + row->count_offset);
}

/* The text of a string or text row, or NULL. */
static const char *text_of(const struct option *row, const void *field) {
    return row->kind == OPTION_TEXT ? ((const struct config_text *)field)->text : *(char *const *)field;
}

/* Is there nothing to say? A value that was not set, and that has no default. */
static bool is_unset(const struct option *row, const void *field) {
    switch (row->kind) {
    case OPTION_STRING:
    case OPTION_TEXT:
        return !text_of(row, field);
    case OPTION_ENUM: {
        int value;
        memcpy(&value, field, sizeof value);
        return !value_choice_name(row, value);
    }
    case OPTION_SIZE:
        return !row->fallback && !*(const uint64_t *)field;
    case OPTION_UINT:
        return !row->fallback && row->min > 0 && !*(const unsigned *)field;
    case OPTION_VALUE:
        return !*(const struct config_value *const *)field;
    default:
        return false;
    }
}

static void put_value(struct buf *out, const struct option *row, const void *field, int indent) {
    char text[64];
    int value;
    switch (row->kind) {
    case OPTION_BOOL:
        buf_puts(out, *(const bool *)field ? "true" : "false");
        break;
    case OPTION_UINT:
        buf_printf(out, "%u", *(const unsigned *)field);
        break;
    case OPTION_INT:
        buf_printf(out, "%d", *(const int *)field);
        break;
    case OPTION_PORT:
        buf_printf(out, "%u", *(const uint16_t *)field);
        break;
    case OPTION_UINT64:
    case OPTION_SIZE:
        buf_printf(out, "%llu", (unsigned long long)*(const uint64_t *)field);
        break;
    case OPTION_DURATION:
        buf_puts(out, value_format_duration(*(const unsigned *)field, text, sizeof text));
        break;
    case OPTION_ENUM:
        memcpy(&value, field, sizeof value);
        buf_puts(out, value_choice_name(row, value));
        break;
    default:
        if (row->secret)
            put_quoted(out, REDACTED);
        else if (row->sensitive)
            put_url(out, text_of(row, field));
        else
            put_text(out, text_of(row, field), indent + INDENT);
    }
}

static void put_strings(struct buf *out, const struct option *row, const void *at, int indent) {
    char *const *items = *(char **const *)field_at(row, at);
    size_t count = count_at(row, at);
    if (!count)
        return;
    buf_printf(out, "%*s%s:\n", indent, "", row->key);
    for (size_t i = 0; i < count; i++) {
        buf_printf(out, "%*s- ", indent + INDENT, "");
        put_quoted(out, items[i]);
        buf_putc(out, '\n');
    }
}

static void put_headers(struct buf *out, const struct option *row, const void *at, int indent) {
    const struct config_header *items = *(struct config_header *const *)field_at(row, at);
    size_t count = count_at(row, at);
    if (!count)
        return;
    buf_printf(out, "%*s%s:\n", indent, "", row->key);
    for (size_t i = 0; i < count; i++) {
        buf_printf(out, "%*s", indent + INDENT, "");
        put_quoted(out, items[i].name);
        buf_puts(out, ": ");
        put_quoted(out, is_secret_name(items[i].name, strlen(items[i].name)) ? REDACTED : items[i].value.text);
        buf_putc(out, '\n');
    }
}

static void put_map(struct buf *out, const struct option_table *table, const void *at, int indent);

static void put_list(struct buf *out, const struct option *row, const void *at, int indent) {
    const char *items = *(char *const *)field_at(row, at);
    size_t count = count_at(row, at);
    if (count)
        buf_printf(out, "%*s%s:\n", indent, "", row->key);
    if (row->single && count == 1) {
        put_map(out, row->table, items, indent + INDENT);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        size_t begin = out->len;
        put_map(out, row->table, items + i * row->item_size, indent + 2 * INDENT);
        if (!out->failed && out->len > begin) /* the dash before the first key */
            out->data[begin + (size_t)(indent + INDENT)] = '-';
    }
}

static void put_section(struct buf *out, const struct option *row, const void *at, int indent) {
    if (row->given_offset && !*(const bool *)((const char *)at + row->given_offset))
        return;
    size_t begin = out->len;
    buf_printf(out, "%*s%s:\n", indent, "", row->key);
    size_t inside = out->len;
    put_map(out, row->table, field_at(row, at), indent + INDENT);
    if (out->len == inside) /* nothing in it: no heading either */
        out->len = begin;
}

static void put_map(struct buf *out, const struct option_table *table, const void *at, int indent) {
    for (size_t i = 0; i < table->count && !out->failed; i++) {
        const struct option *row = &table->rows[i];
        const void *field = field_at(row, at);
        switch (row->kind) {
        case OPTION_ALIAS:
        case OPTION_LATER:
            break;
        case OPTION_SECTION:
            put_section(out, row, at, indent);
            break;
        case OPTION_LIST:
            put_list(out, row, at, indent);
            break;
        case OPTION_STRINGS:
            put_strings(out, row, at, indent);
            break;
        case OPTION_HEADERS:
            put_headers(out, row, at, indent);
            break;
        case OPTION_VALUE:
            if (is_unset(row, field))
                break;
            buf_printf(out, "%*s%s:", indent, "", row->key);
            put_node(out, *(const struct config_value *const *)field, indent + INDENT);
            break;
        default:
            if (is_unset(row, field))
                break;
            buf_printf(out, "%*s%s: ", indent, "", row->key);
            put_value(out, row, field, indent);
            buf_putc(out, '\n');
        }
    }
}

int config_print_yaml(const struct config *c, struct buf *out) {
    put_map(out, &option_root, c, 0);
    return out->failed ? MF_ENOMEM : 0;
}
