/* Comparison of two messages: by their form, and what is found is kept. */
#include "replay/compare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "protocol/text.h"
#include "replay/compare_private.h"
#include "replay/paths.h"

/* ---- what was found ---- */

void comparison_fini(struct comparison *c) {
    for (size_t i = 0; i < c->count; i++) {
        free(c->items[i].path);
        free(c->items[i].expected);
        free(c->items[i].got);
    }
    free(c->items);
    *c = (struct comparison){0};
}

static void set_place(const struct comparison *c, struct difference *d) {
    const struct replay_connection *of = d->kind == EXTRA_MESSAGE ? c->got : c->expected;
    d->direction = -1;
    if (!of || d->message >= of->message_count)
        return;
    d->direction = of->messages[d->message].direction;
    d->time_us = of->messages[d->message].time_us;
}

static struct difference *new_item(struct comparison *c) {
    if (!ARRAY_ROOM(c->items, c->count, c->cap, 16))
        return NULL;
    return &c->items[c->count];
}

/* 1, or MF_ENOMEM. The texts are taken over. A text that could not be had is no reason to lose the difference. */
static int keep(struct comparison *c, enum difference_kind kind, size_t message, const char *path,
                MF_TAKES char *expected, MF_TAKES char *got) {
    struct difference *d = NULL;
    int rc = 1;
    c->total++;
    if (c->count < DIFFERENCES_MAX) {
        d = new_item(c);
        char *copy = d ? strdup(path) : NULL;
        if (copy) {
            *d = (struct difference){.kind = kind, .message = message, .path = copy, .expected = expected, .got = got};
            set_place(c, d);
            c->count++;
            return 1;
        }
        rc = MF_ENOMEM;
    }
    free(expected);
    free(got);
    return rc;
}

/* ---- texts ---- */

/* Where a text of at most COMPARE_TEXT_MAX bytes may end, so that "…" fits too and no character is cut in two. */
static size_t cut(const char *s, size_t len) {
    if (len <= COMPARE_TEXT_MAX)
        return len;
    size_t end = COMPARE_TEXT_MAX - 3;
    for (size_t back = 0; back < 3 && end > 0 && ((uint8_t)s[end] & 0xc0) == 0x80; back++)
        end--;
    return end;
}

static char *finish(struct buf *b, bool more) {
    size_t end = cut((const char *)b->data, b->len);
    if (end < b->len || more) {
        b->len = MIN(end, (size_t)COMPARE_TEXT_MAX - 3);
        buf_puts(b, "…");
    }
    if (b->failed) {
        buf_fini(b);
        return NULL;
    }
    char *s = b->len ? buf_steal(b) : strdup("");
    buf_fini(b);
    return s;
}

/* Without NULs, or a C string would end there. */
static void append_text(struct buf *out, const char *s, size_t len) {
    for (size_t i = 0; i < len && out->len <= COMPARE_TEXT_MAX; i++)
        if (s[i])
            buf_putc(out, s[i]);
        else
            buf_puts(out, "\\u0000");
}

char *excerpt_text(const void *data, size_t len) {
    struct buf out = BUF_INIT;
    append_text(&out, data, len);
    return finish(&out, false);
}

#define SHOWN_WHOLE 150u /* a difference so near to the beginning is seen without leaving anything out */
#define SHOWN_BEFORE 40u

char *excerpt_around(const void *data, size_t len, size_t at) {
    const char *s = data;
    if (len <= COMPARE_TEXT_MAX || at < SHOWN_WHOLE)
        return excerpt_text(data, len);
    size_t begin = MIN(at, len) - SHOWN_BEFORE;
    while (begin > 0 && begin < len && ((uint8_t)s[begin] & 0xc0) == 0x80)
        begin--;
    struct buf out = BUF_INIT;
    buf_puts(&out, "…");
    append_text(&out, s + begin, len - begin);
    return finish(&out, false);
}

char *excerpt_json(const char *text, size_t len) {
    struct buf out = BUF_INIT;
    bool string = false;
    for (size_t i = 0; i < len && out.len <= COMPARE_TEXT_MAX; i++) {
        char c = text[i];
        if (!string && (c == ' ' || c == '\t' || c == '\n' || c == '\r'))
            continue;
        buf_putc(&out, c);
        if (string && c == '\\' && i + 1 < len)
            buf_putc(&out, text[++i]);
        else if (c == '"')
            string = !string;
    }
    return finish(&out, false);
}

#define BYTES_BEFORE 4u
#define BYTES_SHOWN 24u

char *excerpt_bytes(const uint8_t *data, size_t len, size_t at) {
    struct buf out = BUF_INIT;
    size_t begin = MIN(at > BYTES_BEFORE ? at - BYTES_BEFORE : 0, len), end = MIN(begin + BYTES_SHOWN, len);
    buf_printf(&out, "%zu byte%s", len, len == 1 ? "" : "s");
    if (begin < end)
        buf_printf(&out, begin ? ", from byte %zu:" : ":", begin);
    for (size_t i = begin; i < end; i++)
        buf_printf(&out, i == at && begin ? " | %02x" : " %02x", data[i]);
    return finish(&out, end < len);
}

size_t first_difference(const void *a, size_t a_len, const void *b, size_t b_len) {
    const uint8_t *x = a, *y = b;
    size_t n = MIN(a_len, b_len), i = 0;
    while (i < n && x[i] == y[i])
        i++;
    return i;
}

/* ---- the place where we are ---- */

size_t run_down(struct compare_run *run, const char *segment) {
    size_t len = run->path.len;
    buf_putc(&run->path, '/');
    buf_puts(&run->path, segment);
    return len;
}

/* RFC 6901 section 3; as path_text() has it. */
size_t run_down_name(struct compare_run *run, const char *name, size_t len) {
    size_t before = run->path.len;
    buf_putc(&run->path, '/');
    for (size_t i = 0; i < len; i++) {
        if (name[i] == '~' || name[i] == '/')
            buf_puts(&run->path, name[i] == '~' ? "~0" : "~1");
        else if (name[i])
            buf_putc(&run->path, name[i]);
        else
            buf_puts(&run->path, "\xef\xbf\xbd"); /* U+FFFD: a NUL would end the path */
    }
    return before;
}

size_t run_down_index(struct compare_run *run, uint32_t index) {
    size_t before = run->path.len;
    buf_putc(&run->path, '/');
    text_u64(&run->path, index);
    return before;
}

void run_up(struct compare_run *run, size_t len) {
    if (run->path.failed)
        run->rc = MF_ENOMEM;
    run->path.len = len;
}

bool run_ignored(struct compare_run *run) {
    const char *path = buf_cstr(&run->path);
    for (size_t i = 0; i < run->o->ignore_count; i++)
        if (path_matches(run->o->ignore[i], path))
            return true;
    return false;
}

bool run_free(struct compare_run *run) {
    if (!run->free_count)
        return false;
    uint32_t path = path_find(run->paths, buf_cstr(&run->path));
    return path != PATH_UNKNOWN && paths_include(run->free_paths, run->free_count, path);
}

void run_add(struct compare_run *run, enum difference_kind kind, MF_TAKES char *expected, MF_TAKES char *got) {
    if (run->rc < 0 || run_ignored(run)) {
        free(expected);
        free(got);
        return;
    }
    int rc = keep(run->c, kind, run->message, buf_cstr(&run->path), expected, got);
    if (rc < 0)
        run->rc = rc;
    else
        run->added += rc;
}

/* ---- messages ---- */

static bool same_bytes(const void *a, size_t a_len, const void *b, size_t b_len) {
    return a_len == b_len && (a_len == 0 || !memcmp(a, b, a_len));
}

static const char *const form_names[] = {
    [FORM_BINARY] = "bytes",
    [FORM_WORDS] = "a text",
    [FORM_PREFIXED] = "JSON with something before it",
    [FORM_JSON] = "JSON",
};

static char *excerpt_message(enum message_form form, const void *data, size_t len) {
    if (form == FORM_BINARY)
        return excerpt_bytes(data, len, 0);
    return form == FORM_JSON ? excerpt_json(data, len) : excerpt_text(data, len);
}

/* "JSON: {"a":1}" */
static char *name_form(enum message_form form, const void *data, size_t len) {
    struct buf out = BUF_INIT;
    char *text = excerpt_message(form, data, len);
    if (!text)
        return NULL;
    buf_printf(&out, "%s: %s", form_names[form], text);
    free(text);
    return finish(&out, false);
}

/* Where the JSON of a PREFIXED message begins: the first bracket behind its head's words. */
static size_t json_begin(const struct structure *s, const char *data, size_t len) {
    size_t at = 0;
    for (uint32_t i = 0; i < s->count && s->values[i].kind == VALUE_WORD; i++)
        at = s->values[i].end;
    while (at < len && data[at] != '{' && data[at] != '[')
        at++;
    return at;
}

struct one_message {
    const struct structure *structure;
    const char *data;
    size_t len;
};

static void compare_opaque(struct compare_run *run, const struct one_message *e, const struct one_message *g) {
    size_t at = first_difference(e->data, e->len, g->data, g->len);
    if (!run->o->types_only)
        run_add(run, DIFFERENT_VALUE, excerpt_bytes((const uint8_t *)e->data, e->len, at),
                excerpt_bytes((const uint8_t *)g->data, g->len, at));
}

static void compare_prefixed(struct compare_run *run, const struct one_message *e, const struct one_message *g) {
    size_t x = json_begin(e->structure, e->data, e->len);
    size_t y = json_begin(g->structure, g->data, g->len);
    compare_words(run, e->structure, e->data, x, g->structure, g->data, y, "@head");
    if (!compare_records(run, e->data + x, e->len - x, g->data + y, g->len - y))
        compare_opaque(run, e, g);
}

static void compare_forms(struct compare_run *run, const struct one_message *e, const struct one_message *g) {
    enum message_form form = e->structure->form;
    if (form != g->structure->form) {
        run_add(run, DIFFERENT_FORM, name_form(form, e->data, e->len), name_form(g->structure->form, g->data, g->len));
        return;
    }
    switch (form) {
    case FORM_BINARY:
        if (!run->o->types_only)
            compare_bytes(run, (const uint8_t *)e->data, e->len, (const uint8_t *)g->data, g->len);
        break;
    case FORM_WORDS:
        compare_words(run, e->structure, e->data, e->len, g->structure, g->data, g->len, "@word");
        break;
    case FORM_PREFIXED:
        compare_prefixed(run, e, g);
        break;
    case FORM_JSON:
        if (!compare_records(run, e->data, e->len, g->data, g->len))
            compare_opaque(run, e, g);
    }
}

int compare_message(struct comparison *c, const struct compare_options *o, const struct path_table *paths,
                    size_t message, const struct structure *expected, const void *expected_data, size_t expected_len,
                    const struct structure *got, const void *got_data, size_t got_len, const uint32_t *free_paths,
                    size_t free_count) {
    struct compare_run run = {.c = c,
                              .o = o,
                              .paths = paths,
                              .message = message,
                              .free_paths = free_paths,
                              .free_count = free_paths ? free_count : 0};
    struct one_message e = {expected, expected_data, expected_len}, g = {got, got_data, got_len};
    c->compared++;
    if (same_bytes(expected_data, expected_len, got_data, got_len) && expected->form == got->form)
        return 0;
    compare_forms(&run, &e, &g);
    if (run.path.failed || run.one.failed || run.two.failed)
        run.rc = MF_ENOMEM;
    buf_fini(&run.path);
    buf_fini(&run.one);
    buf_fini(&run.two);
    return run.rc < 0 ? run.rc : run.added;
}

/* ---- the rest of a conversation ---- */

/* Of a message that nothing else is known of. */
static char *excerpt_unknown(const void *data, size_t len) {
    const uint8_t *p = data;
    for (size_t i = 0; i < MIN(len, (size_t)COMPARE_TEXT_MAX); i++)
        if (p[i] < 0x20 && p[i] != '\n' && p[i] != '\r' && p[i] != '\t')
            return excerpt_bytes(data, len, 0);
    return excerpt_text(data, len);
}

int compare_missing(struct comparison *c, size_t message, const void *data, size_t len) {
    c->missing++;
    return keep(c, MISSING_MESSAGE, message, "", excerpt_unknown(data, len), NULL);
}

int compare_extra(struct comparison *c, size_t message, const void *data, size_t len) {
    c->extra++;
    return keep(c, EXTRA_MESSAGE, message, "", NULL, excerpt_unknown(data, len));
}

int compare_opcode(struct comparison *c, size_t message, bool expected_binary, bool got_binary) {
    if (expected_binary == got_binary)
        return 0;
    return keep(c, DIFFERENT_FORM, message, "", strdup(expected_binary ? "a binary message" : "a text message"),
                strdup(got_binary ? "a binary message" : "a text message"));
}

static char *place_text(size_t behind) {
    char text[48];
    if (behind == COMPARE_CONNECTION)
        return strdup("the first message");
    snprintf(text, sizeof text, "behind message %zu", behind + 1);
    return strdup(text);
}

int compare_order(struct comparison *c, size_t message, size_t before, size_t after) {
    return keep(c, DIFFERENT_ORDER, message, "", place_text(before), place_text(after));
}

static char *code_text(unsigned code) {
    char text[16];
    if (!code)
        return strdup("no close frame");
    snprintf(text, sizeof text, "%u", code);
    return strdup(text);
}

int compare_close(struct comparison *c, unsigned expected, unsigned got) {
    if (expected == got)
        return 0;
    return keep(c, DIFFERENT_CLOSE, COMPARE_CONNECTION, "close", code_text(expected), code_text(got));
}

int compare_handshake(struct comparison *c, const char *what, const char *expected, const char *got) {
    if (expected == got || (expected && got && !strcmp(expected, got)))
        return 0;
    return keep(c, DIFFERENT_HANDSHAKE, COMPARE_CONNECTION, what,
                expected ? excerpt_text(expected, strlen(expected)) : NULL,
                got ? excerpt_text(got, strlen(got)) : NULL);
}
