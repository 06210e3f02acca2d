/* What clients sent and what came of it, sorted into kinds. */
#include <stdlib.h>

#include "base/hash.h"
#include "protocol/frame.h"
#include "replay/mock_private.h"
#include "replay/mock_yaml.h"
#include "replay/paths.h"

/* ---- exchanges ---- */

bool mock_can_hold(const struct replay_message *m) {
    return m->binary || yaml_can_hold(m->data, m->len);
}

/* The server's close frame after that time. */
static void find_close(const struct replay_connection *c, uint64_t after_us, struct exchange *e) {
    for (size_t i = c->frame_count; i--;) {
        const struct replay_frame *f = &c->frames[i];
        if (f->opcode != WS_CLOSE || f->direction != EVENT_OUTGOING || f->time_us < after_us || f->len < 2)
            continue;
        e->close_code = (unsigned)f->data[0] << 8 | f->data[1];
        if (!ws_close_code_valid(e->close_code))
            e->close_code = WS_CLOSE_NORMAL;
        e->close_reason = (const char *)f->data + 2;
        e->close_reason_len = yaml_can_hold(f->data + 2, f->len - 2) ? f->len - 2 : 0;
        return;
    }
}

static bool is_last_request(const struct replay_connection *c, size_t at) {
    while (++at < c->message_count)
        if (c->messages[at].direction == EVENT_INCOMING)
            return false;
    return true;
}

static struct exchange exchange_at(const struct export *x, size_t connection, size_t at) {
    const struct replay_connection *c = &x->source->connections[connection];
    const struct plan_connection *pc = &x->plan->connections[connection];
    const struct plan_message *m = &x->plan->messages[pc->first + at];
    struct exchange e = {.c = c,
                         .request = &c->messages[at],
                         .answers = x->plan->answers + m->answers,
                         .base = pc->first,
                         .count = m->answer_count};
    if (c->end == REPLAY_END_SERVER && is_last_request(c, at))
        find_close(c, c->messages[at].time_us, &e);
    return e;
}

/* ---- kinds ---- */

/* The values that tell which message it is. */
static size_t tags_of(const struct export *x, const struct structure *s, uint32_t *chosen) {
    size_t count = 0;
    for (uint32_t i = 0; i < s->count && count < CHOSEN_MAX; i++) {
        const struct message_value *v = &s->values[i];
        unsigned flags = path_flags_of(x->paths, v->path);
        bool scalar = v->kind != VALUE_EMPTY && v->kind != VALUE_NULL;
        bool tag = (flags & PATH_TAG) && !(flags & PATH_BELOW);
        bool first_word = (flags & PATH_FIRST) && s->is_array && v->kind == VALUE_STRING && v->end - v->begin < 66;
        bool known = false;
        for (size_t k = 0; k < count; k++)
            known |= chosen[k] == v->path;
        if (s->form == FORM_JSON && !v->nested && scalar && !known && (tag || first_word))
            chosen[count++] = v->path;
    }
    return count;
}

static int add_kind(struct export *x, const struct buf *match, uint64_t hash, const uint32_t *chosen, size_t count,
                    struct kind **out) {
    if (x->count == RULES_MAX) {
        *out = NULL;
        return MF_OK;
    }
    struct kind *k = calloc(1, sizeof *k);
    if (!k || !(k->match = strndup((const char *)match->data, match->len))) {
        free(k);
        return mock_no_memory(x);
    }
    k->hash = hash;
    memcpy(k->chosen, chosen, count * sizeof *chosen);
    k->chosen_count = count;
    *out = x->kinds[x->count++] = k;
    return MF_OK;
}

static int add_exchange(struct export *x, const struct exchange *e) {
    struct structure s = {0};
    struct buf match = BUF_INIT;
    uint32_t chosen[CHOSEN_MAX];
    struct kind *kind = NULL;
    int rc = mock_read(x, e->request, &s);
    if (rc == MF_OK) {
        size_t count = tags_of(x, &s, chosen);
        mock_match(&match, e->request, &s, x->paths, chosen, count);
        uint64_t hash = hash_bytes(match.data, match.len);
        for (size_t i = 0; i < x->count && !kind; i++)
            if (x->kinds[i]->hash == hash && strlen(x->kinds[i]->match) == match.len &&
                !memcmp(x->kinds[i]->match, match.data, match.len))
                kind = x->kinds[i];
        if (match.failed)
            rc = mock_no_memory(x);
        else if (!kind)
            rc = add_kind(x, &match, hash, chosen, count, &kind);
    }
    if (rc == MF_OK && !kind)
        x->result->left_out++;
    else if (rc == MF_OK && kind->sample_count < SAMPLES_MAX)
        kind->samples[kind->sample_count++] = *e;
    x->result->exchanges++;
    structure_fini(&s);
    buf_fini(&match);
    return rc;
}

int mock_collect(struct export *x, size_t connection) {
    const struct replay_connection *c = &x->source->connections[connection];
    int rc = MF_OK;
    for (size_t i = 0; rc == MF_OK && i < c->message_count; i++) {
        if (c->messages[i].direction != EVENT_INCOMING)
            continue;
        if (!mock_can_hold(&c->messages[i])) {
            x->result->left_out++;
            continue;
        }
        struct exchange e = exchange_at(x, connection, i);
        rc = add_exchange(x, &e);
    }
    return rc;
}

void mock_free_kinds(struct export *x) {
    for (size_t i = 0; i < x->count; i++) {
        free(x->kinds[i]->match);
        free(x->kinds[i]);
    }
    x->count = 0;
}

bool mock_is_chosen(const struct kind *kind, uint32_t path) {
    for (size_t i = 0; i < kind->chosen_count; i++)
        if (kind->chosen[i] == path)
            return true;
    return false;
}
