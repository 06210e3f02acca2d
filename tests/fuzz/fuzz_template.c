/* Arbitrary text as a template: it compiles or says where it is wrong, and what compiles renders, twice the same when
 * clock and generator are the same. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "template/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void render(const struct template *t, const struct connection *c, struct buf *out) {
    struct rng rng;
    rng_init(&rng, 1);
    struct template_context ctx = {.connection = c, .rng = &rng, .connection_count = 3};
    MUST(template_render(t, &ctx, out) == MF_OK);
}

static void check_error(const char *text, const struct err *err) {
    MUST(err->code == MF_EINVAL && err->text[0] && err->line > 0 && err->column > 0);
    int lines = 1;
    for (const char *s = text; *s; s++)
        lines += *s == '\n';
    MUST(err->line <= lines && (size_t)err->column <= strlen(text) + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint64_t now = UINT64_C(1705314600000000);
    clock_set_fake(&now);
    char *text = calloc(1, size + 1);
    MUST(text);
    if (size)
        memcpy(text, data, size);
    struct template *t;
    struct err err;
    if (template_compile(text, &t, &err) < 0) {
        MUST(!t);
        check_error(text, &err);
        free(text);
        return 0;
    }
    struct connection c;
    connection_init(&c, 7);
    c.query = text; /* whatever a peer may send */
    struct buf a = BUF_INIT, b = BUF_INIT, nobody = BUF_INIT;
    render(t, &c, &a);
    render(t, &c, &b);
    MUST(a.len == b.len && (a.len == 0 || !memcmp(a.data, b.data, a.len)));
    if (!strstr(text, "{{"))
        MUST(template_is_constant(t) && !strcmp(buf_cstr(&a), text));
    render(t, NULL, &nobody);
    if (template_is_constant(t))
        MUST(nobody.len == a.len && !template_uses(t, ""));
    c.query = NULL;
    connection_fini(&c);
    buf_fini(&a);
    buf_fini(&b);
    buf_fini(&nobody);
    template_free(t);
    free(text);
    return 0;
}
