/* What is sent: `response:` and its like, compiled to messages. */
#include <stdlib.h>
#include <string.h>

#include "handler/stub_program.h"
#include "protocol/text.h"

static int no_memory(struct plan_build *b) {
    return err_set(b->err, MF_ENOMEM, "out of memory");
}

/* The error's own place, when it has one, is in the same file. */
static int fail_in(struct plan_build *b, const char *key, const struct config_value *v) {
    int line = b->err->line ? b->err->line : v->line, column = b->err->line ? b->err->column : v->column;
    b->err->line = b->err->column = 0;
    return plan_fail(b, key, line, column);
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "00 ff:a0": bytes in pairs of digits; spaces, colons and dashes may stand between them. */
static int read_hex(const char *text, struct buf *out) {
    for (const char *p = text; *p;) {
        if (strchr(" :-\n", *p)) {
            p++;
            continue;
        }
        int high = hex_digit(p[0]), low = high < 0 ? -1 : hex_digit(p[1]);
        if (low < 0)
            return MF_EINVAL;
        buf_putc(out, (char)(high * 16 + low));
        p += 2;
    }
    return out->failed ? MF_ENOMEM : MF_OK;
}

static int compile_bytes(struct plan_build *b, const char *key, const struct config_value *v, bool hex,
                         struct piece *out) {
    int rc = v->kind != CONFIG_SCALAR ? MF_EINVAL
             : hex                    ? read_hex(v->text, &out->bytes)
                                      : base64_decode(&out->bytes, v->text, strlen(v->text));
    if (rc == MF_ENOMEM)
        return no_memory(b);
    if (rc == MF_OK)
        return MF_OK;
    err_set(b->err, MF_EINVAL,
            hex ? "$hex: expected pairs of hexadecimal digits, such as \"00 ff\""
                : "$base64: expected base64 text with its padding");
    return plan_fail(b, key, v->line, v->column);
}

static int compile_json(struct plan_build *b, const char *key, const struct config_value *v, unsigned roots,
                        struct piece *out) {
    out->kind = PIECE_JSON;
    int rc = json_template_compile(v, roots & ~PIECES_VERBATIM, &out->json, b->err);
    return rc < 0 ? fail_in(b, key, v) : MF_OK;
}

static int compile_one(struct plan_build *b, const char *key, const struct config_value *v, unsigned roots,
                       struct piece *out) {
    static const char *const operators[] = {"$hex", "$base64", "$json"};
    *out = (struct piece){.kind = PIECE_TEXT};
    if (v->kind == CONFIG_SCALAR && roots & PIECES_VERBATIM) {
        *out = (struct piece){.kind = PIECE_VERBATIM};
        buf_puts(&out->bytes, v->text);
        return out->bytes.failed ? no_memory(b) : MF_OK;
    }
    if (v->kind == CONFIG_SCALAR) {
        int rc = template_compile_roots(v->text, roots, &out->text, b->err);
        b->err->line = b->err->column = rc < 0 ? 0 : b->err->line; /* counted within the text */
        return rc < 0 ? fail_in(b, key, v) : MF_OK;
    }
    for (size_t i = 0; v->kind == CONFIG_MAP && i < ARRAY_LEN(operators); i++) {
        const struct config_value *inner = v->count == 1 ? config_value_get(v, operators[i]) : NULL;
        if (!inner)
            continue;
        if (i == 2)
            return compile_json(b, key, inner, roots, out);
        *out = (struct piece){.kind = PIECE_BYTES};
        return compile_bytes(b, key, inner, i == 0, out);
    }
    return compile_json(b, key, v, roots, out);
}

static void piece_fini(struct piece *p) {
    switch (p->kind) {
    case PIECE_TEXT:
        template_free(p->text);
        break;
    case PIECE_JSON:
        json_template_free(p->json);
        break;
    case PIECE_VERBATIM:
    case PIECE_BYTES:
        buf_fini(&p->bytes);
        break;
    }
}

static int add_one(struct plan_build *b, const char *key, const struct config_value *v, unsigned roots,
                   struct pieces *out) {
    struct piece *grown = realloc(out->items, (out->count + 1) * sizeof *grown);
    if (!grown)
        return no_memory(b);
    out->items = grown;
    out->count++;
    return compile_one(b, key, v, roots, &grown[out->count - 1]);
}

int pieces_add(struct plan_build *b, const char *key, const struct config_value *v, unsigned roots,
               struct pieces *out) {
    if (!v)
        return MF_OK;
    if (v->kind != CONFIG_LIST)
        return add_one(b, key, v, roots, out);
    int rc = MF_OK;
    for (const struct config_value *item = v->first; item && rc == MF_OK; item = item->next)
        rc = add_one(b, key, item, roots, out);
    return rc;
}

int pieces_compile(struct plan_build *b, const char *key, const struct config_value *v, unsigned roots,
                   struct pieces *out) {
    *out = (struct pieces){0};
    return pieces_add(b, key, v, roots, out);
}

void pieces_fini(struct pieces *p) {
    for (size_t i = 0; i < p->count; i++)
        piece_fini(&p->items[i]);
    free(p->items);
    *p = (struct pieces){0};
}
