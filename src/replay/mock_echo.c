/* What the server says again: values of an answer that are values of its request.
 *
 * Correlation (correlate.h) asks something else: where a value of any earlier message comes again in this one, message
 * by message, a few exceptions forgiven, because a replay has the recorded value to fall back on. A rule's template has
 * nothing but the request in its hands and speaks for all answers of its kind: so a value counts only if it stands
 * whole at the same two places in every sample. Which message answers which is told by correlation (mock_exchange.c). */
#include "replay/mock_private.h"
#include "replay/mock_yaml.h"

#define PROOFS_MAX 256u  /* of one kind */
#define STRONG_LENGTH 3u /* a text of fewer bytes may be the same by chance */

/* Is this value too common to be anybody's choice? */
static bool is_trivial(const struct buf *text, const struct message_value *v) {
    return v->kind == VALUE_NULL || v->kind == VALUE_BOOLEAN || v->kind == VALUE_EMPTY || !text->len ||
           (text->len == 1 && text->data[0] == '0');
}

int mock_echo_holds(struct export *x, const struct exchange *e, const struct echo *echo, struct buf *text) {
    struct structure request = {0}, answer = {0};
    struct buf other = BUF_INIT;
    const struct replay_message *m = mock_answer(e, echo->answer);
    int rc = mock_read(x, e->request, &request);
    if (rc == MF_OK)
        rc = mock_read(x, m, &answer);
    if (rc == MF_OK) {
        const struct message_value *from = structure_find(&request, echo->from),
                                   *to = structure_find(&answer, echo->to);
        buf_reset(text);
        if (from && to && from->kind == to->kind && !from->nested && !to->nested) {
            value_text(text, e->request->data, from);
            value_text(&other, m->data, to);
            rc = !text->failed && mock_same_bytes(text, &other);
        }
    }
    structure_fini(&request);
    structure_fini(&answer);
    buf_fini(&other);
    return rc;
}

/* Does the echo hold in the samples that have such a message, and is it no coincidence? Under the same name one in
 * three may be otherwise: what was said to others stands among the answers. */
static int is_proved(struct export *x, const struct kind *kind, const struct echo *echo, bool same_name, bool *out) {
    struct buf first = BUF_INIT, text = BUF_INIT;
    int rc = MF_OK;
    size_t held = 0, failed = 0;
    bool varies = false;
    *out = false;
    if (x->proofs++ >= PROOFS_MAX)
        return MF_OK;
    for (size_t i = 0; rc >= 0 && i < kind->sample_count; i++) {
        const struct exchange *e = &kind->samples[i];
        if (echo->answer >= e->count)
            continue;
        rc = mock_echo_holds(x, e, echo, held ? &text : &first);
        varies |= rc > 0 && held && !mock_same_bytes(&text, &first);
        held += rc > 0;
        failed += rc == 0;
    }
    *out =
        held && (!failed || (same_name && failed * 2 <= held)) && (same_name || varies || first.len >= STRONG_LENGTH);
    buf_fini(&first);
    buf_fini(&text);
    return rc < 0 ? rc : MF_OK;
}

/* The sample that shows most: the first of those with the longest answer. The first of all may have none, as a
 * subscription to what never happened. */
static const struct exchange *model_of(const struct kind *kind) {
    const struct exchange *model = &kind->samples[0];
    for (size_t i = 1; i < kind->sample_count; i++)
        if (kind->samples[i].count > model->count)
            model = &kind->samples[i];
    return model;
}

/* What value of the request stands at this place of the answer. */
static int find_echo(struct export *x, const struct kind *kind, const struct structure *request, uint32_t index,
                     const struct message_value *to, bool *found, struct echo *out) {
    const struct exchange *e = model_of(kind);
    struct buf want = BUF_INIT, have = BUF_INIT;
    const char *name = path_name(x->paths, to->path);
    int rc = MF_OK;
    *found = false;
    value_text(&want, mock_answer(e, index)->data, to);
    /* A value of the same name is the better one. */
    for (int pass = 0; pass < 2 && rc == MF_OK && !*found && !is_trivial(&want, to); pass++)
        for (uint32_t i = 0; rc == MF_OK && !*found && i < MIN(request->count, LOOKED_AT_MAX); i++) {
            const struct message_value *from = &request->values[i];
            bool same_name = name && *name && !strcmp(name, path_name(x->paths, from->path));
            if (same_name != (pass == 0) || from->nested || from->kind != to->kind || mock_is_chosen(kind, from->path))
                continue;
            buf_reset(&have);
            value_text(&have, e->request->data, from);
            if (!mock_same_bytes(&have, &want))
                continue;
            *out = (struct echo){index, to->path, from->path};
            rc = is_proved(x, kind, out, same_name, found);
        }
    buf_fini(&want);
    buf_fini(&have);
    return rc;
}

int mock_find_echoes(struct export *x, const struct kind *kind, struct echo echoes[ECHOES_MAX], size_t *count) {
    const struct exchange *e = model_of(kind);
    struct structure request = {0}, answer = {0};
    *count = 0;
    int rc = e->request->binary ? MF_OK : mock_read(x, e->request, &request);
    for (uint32_t k = 0; rc == MF_OK && request.form == FORM_JSON && k < MIN(e->count, ANSWERS_MAX); k++) {
        const struct replay_message *m = mock_answer(e, k);
        if (m->binary)
            continue;
        rc = mock_read(x, m, &answer);
        for (uint32_t i = 0; rc == MF_OK && answer.form == FORM_JSON && i < MIN(answer.count, LOOKED_AT_MAX); i++) {
            bool found = false;
            if (*count < ECHOES_MAX && !answer.values[i].nested)
                rc = find_echo(x, kind, &request, k, &answer.values[i], &found, &echoes[*count]);
            *count += found;
        }
    }
    structure_fini(&request);
    structure_fini(&answer);
    return rc;
}
