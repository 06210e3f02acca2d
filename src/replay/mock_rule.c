/* One kind of request as rules: a match, and answers with their delays. */
#include <stdio.h>
#include <stdlib.h>

#include "protocol/text.h"
#include "replay/mock_private.h"
#include "replay/mock_yaml.h"
#include "replay/paths.h"

#define DELAY_MIN_MS 50u /* what comes sooner comes at once */
#define DELAY_MAX_MS 86400000u

/* ---- answers ---- */

/* A text message as a template: values that are echoes become placeholders. */
static int put_text(struct export *x, const struct exchange *e, uint32_t index, const struct echo *echoes, size_t count,
                    struct buf *out) {
    const struct replay_message *m = mock_answer(e, index);
    struct structure s = {0};
    struct buf text = BUF_INIT, name = BUF_INIT, value = BUF_INIT;
    const char *data = (const char *)m->data;
    size_t at = 0;
    int rc = mock_read(x, m, &s);
    for (uint32_t i = 0; rc == MF_OK && i < s.count; i++)
        for (size_t k = 0; k < count; k++) {
            const struct message_value *v = &s.values[i];
            buf_reset(&name);
            if (echoes[k].answer != index || echoes[k].to != v->path || v->begin < at ||
                !template_path(&name, path_text(x->paths, echoes[k].from)))
                continue;
            int held = mock_echo_holds(x, e, &echoes[k], &value);
            rc = MIN(held, MF_OK);
            if (held <= 0)
                break; /* not in this one */
            template_escape(&text, data + at, v->begin - at, true);
            buf_puts(&text, "{{");
            buf_append(&text, name.data, name.len);
            buf_puts(&text, " | json}}");
            at = v->end;
            break;
        }
    template_escape(&text, data + at, m->len - at, false);
    yaml_quote(out, (const char *)text.data, text.len);
    if (text.failed || name.failed)
        rc = mock_no_memory(x);
    structure_fini(&s);
    buf_fini(&text);
    buf_fini(&name);
    buf_fini(&value);
    return rc;
}

void mock_put_binary(struct buf *out, const struct replay_message *m) {
    buf_puts(out, "{$base64: \"");
    base64_append(out, m->data, m->len);
    buf_puts(out, "\"}");
}

static void put_close(const struct exchange *e, struct buf *out) {
    buf_printf(out, "{code: %u, reason: ", e->close_code);
    yaml_quote(out, e->close_reason, e->close_reason_len);
    buf_putc(out, '}');
}

static uint64_t delay_ms(uint64_t from_us, uint64_t to_us) {
    uint64_t ms = to_us > from_us ? (to_us - from_us) / 1000 : 0;
    return ms < DELAY_MIN_MS ? 0 : MIN(ms, DELAY_MAX_MS);
}

/* The step's keys, each in a line of its own. timed: with the recording's delays. */
static int put_answer(struct export *x, const struct exchange *e, const struct echo *echoes, size_t count, bool timed,
                      struct buf *out) {
    uint64_t last_us = e->request->time_us;
    bool then = false;
    uint32_t written = 0;
    int rc = MF_OK;
    for (uint32_t k = 0; rc == MF_OK && k < e->count; k++) {
        const struct replay_message *m = mock_answer(e, k);
        if (k >= ANSWERS_MAX || !mock_can_hold(m)) {
            x->result->left_out += timed; /* each answer is written twice: once to compare it */
            continue;
        }
        uint64_t delay = timed ? delay_ms(last_us, m->time_us) : 0;
        if (written == 1)
            buf_puts(out, "          then:\n");
        then = written > 0;
        last_us = m->time_us;
        if (delay)
            buf_printf(out,
                       then ? "            - delay_ms: %llu\n              response: "
                            : "          delay_ms: %llu\n          response: ",
                       (unsigned long long)delay);
        else
            buf_puts(out, then ? "            - response: " : "          response: ");
        if (m->binary)
            mock_put_binary(out, m);
        else
            rc = put_text(x, e, k, echoes, count, out);
        buf_putc(out, '\n');
        written++;
    }
    if (!written)
        buf_puts(out, "          response: []\n");
    if (e->close_code) {
        buf_puts(out, then ? "              close: " : "          close: ");
        put_close(e, out);
        buf_putc(out, '\n');
    }
    return rc;
}

/* ---- rules ---- */

/* One kind's samples, each with what it would answer. */
struct answers {
    struct buf text[SAMPLES_MAX];
};

static bool same_answer(const struct answers *a, size_t i, size_t k) {
    return mock_same_bytes(&a->text[i], &a->text[k]);
}

static void put_rule(struct export *x, const struct buf *match, const struct buf *answer) {
    size_t size = x->out->len - x->begin + match->len + answer->len + 64;
    if (size > MOCK_EXPORT_MAX) {
        x->result->left_out++;
        return;
    }
    buf_puts(x->out, "        - match: ");
    buf_append(x->out, match->data, match->len);
    buf_putc(x->out, '\n');
    buf_append(x->out, answer->data, answer->len);
    x->result->rules++;
}

/* The texts of all samples' values at this path; false when one has none, or they explain nothing: samples with equal
 * values have answers that differ. */
static int explains(struct export *x, const struct kind *kind, const struct answers *a, uint32_t path,
                    struct buf values[SAMPLES_MAX], size_t *distinct) {
    *distinct = 0;
    for (size_t i = 0; i < kind->sample_count; i++) {
        struct structure s = {0};
        const struct message_value *v = NULL;
        int rc = mock_read(x, kind->samples[i].request, &s);
        buf_reset(&values[i]);
        if (rc == MF_OK && (v = structure_find(&s, path)) && !v->nested && v->kind != VALUE_EMPTY)
            buf_append(&values[i], kind->samples[i].request->data + v->begin, v->end - v->begin);
        structure_fini(&s);
        if (rc < 0 || !values[i].len)
            return MIN(rc, 0);
        bool fresh = true;
        for (size_t k = 0; k < i && fresh; k++)
            if (mock_same_bytes(&values[k], &values[i])) {
                fresh = false;
                if (!same_answer(a, i, k))
                    return 0;
            }
        *distinct += fresh;
    }
    return *distinct > 1;
}

/* A path whose values say which of the answers it is, the one with the fewest; PATH_UNKNOWN when there is none. */
static int find_split(struct export *x, const struct kind *kind, const struct answers *a, const struct echo *echoes,
                      size_t echo_count, uint32_t *out) {
    struct structure s = {0};
    struct buf values[SAMPLES_MAX] = {BUF_INIT};
    size_t best = SIZE_MAX;
    int rc = mock_read(x, kind->samples[0].request, &s);
    *out = PATH_UNKNOWN;
    for (uint32_t i = 0; rc >= 0 && s.form == FORM_JSON && !s.is_array && i < MIN(s.count, LOOKED_AT_MAX); i++) {
        uint32_t path = s.values[i].path;
        size_t distinct;
        bool echoed = false;
        for (size_t k = 0; k < echo_count; k++)
            echoed |= echoes[k].from == path;
        if (echoed || mock_is_chosen(kind, path) || s.values[i].nested || (path_flags_of(x->paths, path) & PATH_BELOW))
            continue;
        rc = explains(x, kind, a, path, values, &distinct);
        if (rc > 0 && distinct < best) {
            best = distinct;
            *out = path;
        }
    }
    for (size_t i = 0; i < SAMPLES_MAX; i++)
        buf_fini(&values[i]);
    structure_fini(&s);
    return MIN(rc, MF_OK);
}

static int put_sample(struct export *x, const struct kind *kind, size_t i, const uint32_t *chosen, size_t count,
                      const struct echo *echoes, size_t echo_count) {
    struct structure s = {0};
    struct buf match = BUF_INIT, answer = BUF_INIT;
    int rc = mock_read(x, kind->samples[i].request, &s);
    if (rc == MF_OK) {
        mock_match(&match, kind->samples[i].request, &s, x->paths, chosen, count);
        rc = put_answer(x, &kind->samples[i], echoes, echo_count, true, &answer);
    }
    if (rc == MF_OK && (match.failed || answer.failed))
        rc = mock_no_memory(x);
    if (rc == MF_OK)
        put_rule(x, &match, &answer);
    structure_fini(&s);
    buf_fini(&match);
    buf_fini(&answer);
    return rc;
}

/* A rule for each value that has an answer of its own, and behind them one for all others. */
static int put_split(struct export *x, const struct kind *kind, const struct answers *a, uint32_t path,
                     const struct echo *echoes, size_t echo_count) {
    uint32_t chosen[CHOSEN_MAX + 1];
    memcpy(chosen, kind->chosen, kind->chosen_count * sizeof *chosen);
    chosen[kind->chosen_count] = path;
    struct buf values[SAMPLES_MAX] = {BUF_INIT};
    size_t distinct;
    int rc = explains(x, kind, a, path, values, &distinct);
    for (size_t i = 0; rc >= 0 && i < kind->sample_count; i++) {
        bool fresh = true;
        for (size_t k = 0; k < i; k++)
            fresh &= !mock_same_bytes(&values[k], &values[i]);
        if (fresh)
            rc = put_sample(x, kind, i, chosen, MIN(kind->chosen_count + 1, (size_t)CHOSEN_MAX), echoes, echo_count);
    }
    for (size_t i = 0; i < SAMPLES_MAX; i++)
        buf_fini(&values[i]);
    return MIN(rc, MF_OK);
}

int mock_put_kind(struct export *x, const struct kind *kind) {
    struct echo echoes[ECHOES_MAX];
    size_t echo_count = 0;
    uint32_t split = PATH_UNKNOWN;
    bool differ = false;
    struct answers *a = calloc(1, sizeof *a);
    x->proofs = 0;
    int rc = a ? mock_find_echoes(x, kind, echoes, &echo_count) : mock_no_memory(x);
    for (size_t i = 0; rc == MF_OK && i < kind->sample_count; i++) {
        rc = put_answer(x, &kind->samples[i], echoes, echo_count, false, &a->text[i]);
        differ |= rc == MF_OK && i && !same_answer(a, 0, i);
    }
    if (rc == MF_OK && differ)
        rc = find_split(x, kind, a, echoes, echo_count, &split);
    if (rc == MF_OK && split != PATH_UNKNOWN)
        rc = put_split(x, kind, a, split, echoes, echo_count);
    if (rc == MF_OK && differ && split == PATH_UNKNOWN) {
        x->result->varying++;
        buf_puts(x->out, "        # the recorded answers to these differ; this is the first\n");
    }
    if (rc == MF_OK)
        rc = put_sample(x, kind, 0, kind->chosen, kind->chosen_count, echoes, echo_count);
    for (size_t i = 0; a && i < SAMPLES_MAX; i++)
        buf_fini(&a->text[i]);
    free(a);
    return rc;
}
