/* A JSON value flattened into a template: literal JSON text with calls in it, that is rendered in one pass. */
#include "template/json_template.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/json.h"
#include "template/segment.h"

struct json_template {
    struct template t;
};

struct builder {
    struct template *out;
    struct buf literal; /* JSON text since the last call */
    unsigned roots;
    struct err *err;
};

static int no_memory(struct builder *b) {
    return err_set(b->err, MF_ENOMEM, "out of memory");
}

static int flush_literal(struct builder *b) {
    size_t len = b->literal.len;
    if (len == 0 && !b->literal.failed)
        return MF_OK;
    struct segment *s = template_add_segment(b->out);
    if (!s || !(s->literal = buf_steal(&b->literal)))
        return no_memory(b);
    s->literal_len = len;
    return MF_OK;
}

/* Moves a call out of the template of one text. */
static int take_call(struct builder *b, struct segment *from, enum place place) {
    if (flush_literal(b) < 0)
        return MF_ENOMEM;
    struct segment *s = template_add_segment(b->out);
    if (!s)
        return no_memory(b);
    *s = *from;
    *from = (struct segment){0};
    s->call.place = place;
    return MF_OK;
}

static int put_pieces(struct builder *b, struct template *text) {
    struct buf *out = &b->literal;
    if (text->count == 1 && !text->segments[0].literal)
        return take_call(b, &text->segments[0], PLACE_JSON);
    int rc = MF_OK;
    buf_putc(out, '"');
    for (size_t i = 0; i < text->count && rc == MF_OK; i++) {
        struct segment *s = &text->segments[i];
        if (!s->literal) {
            rc = take_call(b, s, PLACE_STRING);
            continue;
        }
        size_t from = out->len;
        json_write_string(out, s->literal, s->literal_len);
        if (!out->failed) { /* the quotes are the whole text's */
            out->len--;
            value_cut_front(out, from, from + 1);
        }
    }
    buf_putc(out, '"');
    return rc;
}

static int put_text(struct builder *b, const struct config_value *v) {
    struct template *text;
    int rc = template_compile_roots(v->text, b->roots, &text, b->err);
    if (rc < 0) {
        if (b->err) { /* places inside the text mean little; the file's are what helps */
            b->err->line = b->err->column = 0;
            err_at(b->err, NULL, v->line, v->column);
        }
        return rc;
    }
    rc = put_pieces(b, text);
    template_free(text);
    return rc;
}

/* YAML takes +3, 007, .5 and 1. for numbers, JSON does not. Digits are otherwise left as they stand. */
static void put_number(struct buf *out, const char *s) {
    if (*s == '-')
        buf_putc(out, '-');
    s += *s == '-' || *s == '+';
    while (*s == '0' && s[1] >= '0' && s[1] <= '9')
        s++;
    if (*s == '.')
        buf_putc(out, '0');
    const char *point = strchr(s, '.');
    size_t head = point ? (size_t)(point + 1 - s) : strlen(s);
    buf_append(out, s, head);
    if (point && (s[head] < '0' || s[head] > '9'))
        buf_putc(out, '0');
    buf_puts(out, s + head);
}

static int put_scalar(struct builder *b, const struct config_value *v) {
    switch (config_scalar_type(v)) {
    case CONFIG_NULL:
        buf_puts(&b->literal, "null");
        break;
    case CONFIG_BOOLEAN:
        buf_puts(&b->literal, v->text[0] == 't' || v->text[0] == 'T' ? "true" : "false");
        break;
    case CONFIG_INTEGER:
    case CONFIG_REAL:
        put_number(&b->literal, v->text);
        break;
    case CONFIG_STRING:
        return put_text(b, v);
    }
    return MF_OK;
}

/* As deep as the file may nest. */
static int put_value(struct builder *b, const struct config_value *v) {
    struct buf *out = &b->literal;
    if (v->kind == CONFIG_SCALAR)
        return put_scalar(b, v);
    buf_putc(out, v->kind == CONFIG_MAP ? '{' : '[');
    for (const struct config_value *child = v->first; child; child = child->next) {
        if (child != v->first)
            buf_putc(out, ',');
        if (v->kind == CONFIG_MAP) {
            json_write_string(out, child->key, strlen(child->key));
            buf_putc(out, ':');
        }
        int rc = put_value(b, child);
        if (rc < 0)
            return rc;
    }
    buf_putc(out, v->kind == CONFIG_MAP ? '}' : ']');
    return MF_OK;
}

int json_template_compile(const struct config_value *value, unsigned roots, struct json_template **out,
                          struct err *err) {
    *out = NULL;
    struct json_template *t = calloc(1, sizeof *t);
    if (!t)
        return err_set(err, MF_ENOMEM, "out of memory");
    struct builder b = {.out = &t->t, .roots = roots, .err = err};
    int rc = put_value(&b, value);
    if (rc == MF_OK)
        rc = flush_literal(&b);
    buf_fini(&b.literal);
    if (rc < 0) {
        json_template_free(t);
        return rc;
    }
    *out = t;
    return MF_OK;
}

void json_template_free(struct json_template *t) {
    if (t)
        template_fini(&t->t);
    free(t);
}

bool json_template_is_constant(const struct json_template *t) {
    return template_is_constant(&t->t);
}

bool json_template_uses(const struct json_template *t, const char *prefix) {
    return template_uses(&t->t, prefix);
}

int json_template_render(const struct json_template *t, const struct template_context *ctx, struct buf *out) {
    return template_render(&t->t, ctx, out);
}
