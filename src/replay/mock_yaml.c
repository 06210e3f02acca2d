#include "replay/mock_yaml.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "protocol/utf8.h"

/* --- quoting --- */

/* What YAML does not take as it is, or takes for a line's end. */
static bool is_awkward(uint32_t c) {
    return c < 0x20 || (c >= 0x7f && c <= 0xa0) || c == 0x2028 || c == 0x2029 || c == 0xfeff || (c & 0xfffe) == 0xfffe;
}

/* The UTF-8 character at p, which is one. */
static size_t character(const unsigned char *p, uint32_t *code) {
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    *code = len == 1 ? p[0] : p[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++)
        *code = *code << 6 | (p[i] & 0x3fu);
    return len;
}

void yaml_quote(struct buf *out, const char *text, size_t len) {
    buf_putc(out, '"');
    for (size_t i = 0, n; i < len; i += n) {
        uint32_t c;
        n = character((const unsigned char *)text + i, &c);
        if (c == '"' || c == '\\')
            buf_putc(out, '\\');
        if (c == '\n')
            buf_puts(out, "\\n");
        else if (c == '\t')
            buf_puts(out, "\\t");
        else if (is_awkward(c))
            buf_printf(out, "\\U%08x", c);
        else
            buf_append(out, text + i, n);
    }
    buf_putc(out, '"');
}

bool yaml_can_hold(const void *data, size_t len) {
    return utf8_valid(data, len) && !(len && memchr(data, '\0', len));
}

/* Appends text so that a glob matches just it. */
static void glob_escape(struct buf *out, const char *text, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (memchr("*?[]\\", text[i], 5))
            buf_putc(out, '\\');
        buf_putc(out, text[i]);
    }
}

void template_escape(struct buf *out, const char *text, size_t len, bool before_placeholder) {
    for (size_t i = 0; i < len; i++) {
        bool pair = i + 1 < len && text[i] == '{' && text[i + 1] == '{';
        if (pair || (text[i] == '{' && i + 1 == len && before_placeholder)) {
            buf_puts(out, pair ? "{{\"{{\"}}" : "{{\"{\"}}");
            i += pair;
        } else {
            buf_putc(out, text[i]);
        }
    }
}

bool template_path(struct buf *out, const char *pointer) {
    buf_puts(out, "message");
    while (*pointer == '/') {
        size_t len = strcspn(++pointer, "/"), plain = 0;
        while (plain < len && (isalnum((unsigned char)pointer[plain]) || pointer[plain] == '_'))
            plain++;
        if (!len || memchr(pointer, '~', len) || memchr(pointer, '"', len) || memchr(pointer, '\\', len) ||
            memchr(pointer, '}', len))
            return false;
        buf_puts(out, plain == len ? "." : ".\"");
        buf_append(out, pointer, len);
        if (plain < len)
            buf_putc(out, '"');
        pointer += len;
    }
    return true;
}

/* --- what a message must be like --- */

/* A value in a member's place: a text is a glob there. */
static void put_value(struct buf *out, const struct replay_message *m, const struct message_value *v) {
    const char *text = (const char *)m->data;
    struct buf plain = BUF_INIT, glob = BUF_INIT;
    if (v->kind != VALUE_STRING) {
        buf_append(out, text + v->begin, v->end - v->begin);
    } else {
        value_text(&plain, text, v);
        if (yaml_can_hold(plain.data, plain.len)) {
            glob_escape(&glob, (const char *)plain.data, plain.len);
            yaml_quote(out, (const char *)glob.data, glob.len);
        } else {
            buf_puts(out, "\"*\"");
        }
    }
    buf_fini(&plain);
    buf_fini(&glob);
}

/* A member's name, its pointer escapes undone; one that begins with a dollar has two here. */
static void put_name(struct buf *out, const char *segment, size_t len) {
    struct buf name = BUF_INIT;
    if (len && segment[0] == '$')
        buf_putc(&name, '$');
    for (size_t i = 0; i < len; i++) {
        bool escape = segment[i] == '~' && i + 1 < len;
        buf_putc(&name, escape ? (segment[++i] == '1' ? '/' : '~') : segment[i]);
    }
    yaml_quote(out, (const char *)name.data, name.len);
    buf_fini(&name);
}

struct wish {
    const char *rest;                  /* of the pointer, from its slash on */
    const struct message_value *value; /* NULL: any */
};

/* A mapping of the wishes, which agree in everything in front of `rest`. */
static void put_mapping(struct buf *out, const struct replay_message *m, struct wish *wishes, size_t count) {
    buf_putc(out, '{');
    bool comma = false;
    for (size_t i = 0; i < count; i++) {
        if (!wishes[i].rest)
            continue;
        const char *segment = wishes[i].rest + 1;
        size_t len = strcspn(segment, "/");
        buf_puts(out, comma ? ", " : "");
        comma = true;
        put_name(out, segment, len);
        buf_puts(out, ": ");
        if (!segment[len]) {
            if (wishes[i].value)
                put_value(out, m, wishes[i].value);
            else
                buf_puts(out, "\"*\"");
            continue;
        }
        /* All that go on below the same member come with it. */
        struct wish below[16];
        size_t n = 0;
        for (size_t k = i; k < count && n < ARRAY_LEN(below); k++) {
            if (!wishes[k].rest || strncmp(wishes[k].rest + 1, segment, len) != 0 || wishes[k].rest[1 + len] != '/')
                continue;
            below[n++] = (struct wish){wishes[k].rest + 1 + len, wishes[k].value};
            if (k > i)
                wishes[k].rest = NULL;
        }
        put_mapping(out, m, below, n);
    }
    buf_putc(out, '}');
}

/* Does the outermost object have this member among the first `count` wishes? */
static bool has_member(const struct wish *wishes, size_t count, const char *pointer, size_t len) {
    for (size_t i = 0; i < count; i++)
        if (!strncmp(wishes[i].rest, pointer, len) && (wishes[i].rest[len] == '/' || !wishes[i].rest[len]))
            return true;
    return false;
}

static void match_object(struct buf *out, const struct replay_message *m, const struct structure *s,
                         const struct path_table *paths, const uint32_t *chosen, size_t chosen_count) {
    struct wish wishes[16];
    char tops[16][128];
    size_t count = 0;
    for (size_t i = 0; i < chosen_count && count < ARRAY_LEN(wishes); i++) {
        const struct message_value *v = structure_find(s, chosen[i]);
        if (v)
            wishes[count++] = (struct wish){path_text(paths, chosen[i]), v};
    }
    bool any = count == 0;
    for (uint32_t i = 0; any && i < s->count && count < ARRAY_LEN(wishes); i++) {
        const char *pointer = path_text(paths, s->values[i].path);
        size_t len = pointer ? 1 + strcspn(pointer + (*pointer == '/'), "/") : 0;
        if (len < 2 || len >= sizeof tops[0] || pointer[0] != '/' || has_member(wishes, count, pointer, len))
            continue;
        memcpy(tops[count], pointer, len);
        tops[count][len] = '\0';
        wishes[count] = (struct wish){tops[count], NULL};
        count++;
    }
    put_mapping(out, m, wishes, count);
}

static void match_array(struct buf *out, const struct replay_message *m, const struct structure *s,
                        const struct path_table *paths, const uint32_t *chosen, size_t chosen_count) {
    unsigned long length = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        const char *pointer = path_text(paths, s->values[i].path);
        if (pointer && pointer[0] == '/' && isdigit((unsigned char)pointer[1]))
            length = MAX(length, strtoul(pointer + 1, NULL, 10) + 1);
    }
    buf_putc(out, '[');
    for (unsigned long i = 0; i < MIN(length, 64ul); i++) {
        char pointer[32];
        snprintf(pointer, sizeof pointer, "/%lu", i);
        uint32_t path = path_find(paths, pointer);
        const struct message_value *v = NULL;
        for (size_t k = 0; k < chosen_count; k++)
            if (chosen[k] == path)
                v = structure_find(s, path);
        buf_puts(out, i ? ", " : "");
        if (v)
            put_value(out, m, v);
        else
            buf_puts(out, "\"*\"");
    }
    buf_putc(out, ']');
}

/* How much of a text says which message it is: `42["chat"`, SUBSCRIBE. All of it, when it does not begin so. */
static size_t telling_length(const struct replay_message *m, enum message_form form) {
    const char *text = (const char *)m->data;
    size_t head = 0;
    while (head < m->len && (isdigit((unsigned char)text[head]) || isupper((unsigned char)text[head])))
        head++;
    if (!head)
        return m->len;
    if (form == FORM_PREFIXED && head + 2 < m->len && text[head] == '[' && text[head + 1] == '"') {
        const char *end = memchr(text + head + 2, '"', m->len - head - 2);
        return end ? (size_t)(end + 1 - text) : m->len;
    }
    bool word_ends = head == m->len || !(isalnum((unsigned char)text[head]) || text[head] == '_');
    return form == FORM_PREFIXED || word_ends ? head : m->len;
}

#define TEXT_MAX 512u /* bytes of a text that are matched; then come others */

static void match_text(struct buf *out, const struct replay_message *m, enum message_form form) {
    struct buf glob = BUF_INIT;
    size_t len = telling_length(m, form);
    if (len > TEXT_MAX)
        for (len = TEXT_MAX; len && (m->data[len] & 0xc0) == 0x80;)
            len--;
    glob_escape(&glob, (const char *)m->data, len);
    if (len < m->len)
        buf_putc(&glob, '*');
    yaml_quote(out, (const char *)glob.data, glob.len);
    buf_fini(&glob);
}

#define HEX_MAX 64u

static void match_binary(struct buf *out, const struct replay_message *m) {
    buf_puts(out, "{$hex: \"");
    for (size_t i = 0; i < MIN(m->len, (size_t)HEX_MAX); i++)
        buf_printf(out, "%02x", m->data[i]);
    buf_puts(out, m->len > HEX_MAX ? "*\"}" : "\"}");
}

/* JSON and nothing else, as a mapping or list wants it: no separator of records is behind it. */
static bool is_plain_json(const struct replay_message *m, const struct structure *s) {
    size_t end = m->len;
    while (end && (m->data[end - 1] == ' ' || m->data[end - 1] == '\n' || m->data[end - 1] == '\r' ||
                   m->data[end - 1] == '\t'))
        end--;
    return s->form == FORM_JSON && end && m->data[end - 1] == (s->is_array ? ']' : '}');
}

void mock_match(struct buf *out, const struct replay_message *m, const struct structure *s,
                const struct path_table *paths, const uint32_t *chosen, size_t chosen_count) {
    if (m->binary)
        match_binary(out, m);
    else if (!is_plain_json(m, s))
        match_text(out, m, s->form);
    else if (s->is_array)
        match_array(out, m, s, paths, chosen, chosen_count);
    else
        match_object(out, m, s, paths, chosen, chosen_count);
}
