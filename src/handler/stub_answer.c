/* A rule's answer: its steps, in the order in which they are taken. */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "handler/stub_program.h"

static struct step *new_step(struct plan_build *b, struct answer *a) {
    if (!ARRAY_ROOM(a->steps, a->count, a->cap, 1)) {
        err_set(b->err, MF_ENOMEM, "out of memory");
        return NULL;
    }
    a->steps[a->count] = (struct step){.handler = PLAN_NO_SCRIPT};
    return &a->steps[a->count++];
}

static int compile_text(struct plan_build *b, const char *key, const struct config_text *at, const char *text,
                        unsigned roots, struct template **out) {
    if (template_compile_roots(text, roots, out, b->err) == MF_OK)
        return MF_OK;
    b->err->line = b->err->column = 0; /* counted within the text */
    return plan_fail(b, key, at->line, at->column);
}

/* "sender", "room", "route", "all", "room:NAME", "route:/PATH". */
static int compile_audience(struct plan_build *b, const char *key, const struct config_text *to, unsigned roots,
                            struct step *step) {
    static const struct {
        const char *word;
        enum step_audience audience;
    } words[] = {{"sender", TO_SENDER}, {"room", TO_ROOMS_OF_SENDER}, {"route", TO_ROUTE_OF_SENDER}, {"all", TO_ALL}};
    const char *text = to->text ? to->text : "sender";
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (!strcmp(text, words[i].word)) {
            step->audience = words[i].audience;
            return MF_OK;
        }
    const char *colon = strchr(text, ':');
    MUST(colon); /* the configuration's check knows the grammar */
    step->audience = *text == 'r' && text[2] == 'o' && text[3] == 'm' ? TO_NAMED_ROOM : TO_NAMED_ROUTE;
    return compile_text(b, key, to, colon + 1, roots, &step->name);
}

static int compile_step(struct plan_build *b, const char *key, const struct step_config *c, unsigned roots,
                        struct step *step) {
    step->delay_ms = c->delay_ms;
    step->closes = c->close.given;
    step->close_code = c->close.code;
    int rc = pieces_compile(b, key, c->response, roots, &step->pieces);
    if (rc == MF_OK)
        rc = plan_add_script(b, key, PLAN_CHUNK, &c->handler, &step->handler);
    if (rc == MF_OK && c->close.reason.text)
        rc = compile_text(b, key, &c->close.reason, c->close.reason.text, roots, &step->close_reason);
    return rc < 0 ? rc : compile_audience(b, key, &c->respond_to, roots, step);
}

int answer_compile(struct plan_build *b, const char *key, const struct step_config *c, unsigned roots,
                   struct answer *out) {
    struct step *step = new_step(b, out);
    int rc = step ? compile_step(b, key, c, roots, step) : MF_ENOMEM;
    for (size_t i = 0; i < c->then_count && rc == MF_OK; i++)
        rc = answer_compile(b, key, &c->then[i], roots, out);
    return rc;
}

void answer_fini(struct answer *a) {
    for (size_t i = 0; i < a->count; i++) {
        pieces_fini(&a->steps[i].pieces);
        template_free(a->steps[i].name);
        template_free(a->steps[i].close_reason);
    }
    free(a->steps);
    *a = (struct answer){0};
}
