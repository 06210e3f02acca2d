/* Arbitrary text as a template, and behind a NUL an arbitrary message: it compiles or says where it is wrong, and what
 * compiles renders, twice the same when clock and generator are the same. As a JSON template it gives JSON, as the text
 * of a message UTF-8, whatever the message is. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "protocol/utf8.h"
#include "template/json_template.h"
#include "template/json_values.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ALL_ROOTS (TEMPLATE_MESSAGE | TEMPLATE_PARAMS | TEMPLATE_STATE)

static struct rng rng;

static struct template_context context_of(const struct connection *c) {
    rng_init(&rng, 1);
    return (struct template_context){.connection = c, .rng = &rng, .connection_count = 3};
}

static bool render(const struct template *t, const struct connection *c, struct buf *out) {
    const struct template_context ctx = context_of(c);
    int rc = template_render(t, &ctx, out);
    MUST(rc == MF_OK || (rc == MF_ELIMIT && out->len == 0));
    return rc == MF_OK;
}

static bool is_same(const struct buf *a, const struct buf *b) {
    return a->len == b->len && (a->len == 0 || !memcmp(a->data, b->data, a->len));
}

static void check_error(const char *text, const struct err *err) {
    MUST(err->code == MF_EINVAL && err->text[0] && err->line > 0 && err->column > 0);
    int lines = 1;
    for (const char *s = text; *s; s++)
        lines += *s == '\n';
    MUST(err->line <= lines && (size_t)err->column <= strlen(text) + 1);
}

static void check_plain(const char *text, const struct connection *c) {
    struct template *t;
    struct err err;
    if (template_compile(text, &t, &err) < 0) {
        MUST(!t);
        check_error(text, &err);
        return;
    }
    struct buf a = BUF_INIT, b = BUF_INIT, nobody = BUF_INIT;
    MUST(render(t, c, &a) == render(t, c, &b));
    MUST(is_same(&a, &b));
    if (!strstr(text, "{{"))
        MUST(template_is_constant(t) && !strcmp(buf_cstr(&a), text));
    render(t, NULL, &nobody);
    if (template_is_constant(t))
        MUST(nobody.len == a.len && !template_uses(t, ""));
    buf_fini(&a);
    buf_fini(&b);
    buf_fini(&nobody);
    template_free(t);
}

static bool is_json(struct buf *b) {
    struct json_tape tape = {.max = UINT32_MAX - 1};
    size_t at;
    int rc = json_tape_parse(&tape, buf_cstr(b), b->len, &at);
    json_tape_fini(&tape);
    return rc == MF_OK;
}

/* As the text of a message. The template itself is of a file, and so valid UTF-8. */
static void check_text(const char *text, const struct template_context *ctx) {
    struct template *t;
    struct err err;
    if (template_compile_roots(text, ALL_ROOTS, &t, &err) < 0) {
        check_error(text, &err);
        return;
    }
    struct buf out = BUF_INIT;
    int rc = template_render(t, ctx, &out);
    MUST(rc == MF_OK || rc == MF_ELIMIT);
    if (utf8_valid(text, strlen(text)))
        MUST(out.len == 0 || utf8_valid(out.data, out.len));
    buf_fini(&out);
    template_free(t);
}

static void check_json(const struct config_value *v, const struct template_context *ctx) {
    struct json_template *t;
    struct err err;
    if (json_template_compile(v, ALL_ROOTS, &t, &err) < 0) {
        MUST(!t && err.line == 3 && err.column == 4);
        return;
    }
    struct buf out = BUF_INIT;
    int rc = json_template_render(t, ctx, &out);
    MUST(rc == MF_ELIMIT || (rc == MF_OK && is_json(&out)));
    buf_fini(&out);
    json_template_free(t);
}

static void check_message(char *text, const char *message, size_t len, const struct connection *c) {
    struct json_tape tape = {.max = UINT32_MAX - 1};
    struct buf scratch = BUF_INIT;
    struct json_values values = {.text = message, .len = len, .params = JSON_NO_NODE, .scratch = &scratch};
    size_t at;
    if (json_tape_parse(&tape, message, len, &at) == MF_OK) {
        values.tape = &tape;
        values.params = json_member(&tape, message, 0, "params", 6, &scratch);
    }
    json_values_init(&values);
    struct template_context ctx = context_of(c);
    ctx.values = &values.values;
    check_text(text, &ctx);
    struct config_value v = {.kind = CONFIG_SCALAR, .text = text, .line = 3, .column = 4};
    check_json(&v, &ctx);
    v.plain = true;
    check_json(&v, &ctx);
    buf_fini(&scratch);
    json_tape_fini(&tape);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint64_t now = UINT64_C(1705314600000000);
    clock_set_fake(&now);
    char *text = calloc(1, size + 1);
    MUST(text);
    if (size)
        memcpy(text, data, size);
    struct connection c;
    connection_init(&c, 7);
    c.query = text; /* whatever a peer may send */
    check_plain(text, &c);
    size_t end = MIN(strlen(text) + 1, size);
    check_message(text, text + end, size - end, &c);
    c.query = NULL;
    connection_fini(&c);
    free(text);
    return 0;
}
