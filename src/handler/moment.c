/* A message in the eyes of those who answer it. */
#include <string.h>

#include "handler/stub.h"

void moment_init(struct moment *m, bool binary, const char *text, size_t len) {
    *m = (struct moment){.binary = binary, .text = text, .len = len, .params = JSON_NO_NODE};
}

bool moment_parse(struct stub *st, struct moment *m) {
    struct json_tape *tape = &stub_session(st)->worker->tape;
    size_t error_at;
    if (m->parsed)
        return m->tape;
    m->parsed = true;
    m->tape = NULL;
    if (m->text && !m->binary && m->len && json_tape_parse(tape, m->text, m->len, &error_at) == MF_OK)
        m->tape = tape;
    return m->tape;
}

struct match_input moment_match_input(struct stub *st, struct moment *m) {
    moment_parse(st, m);
    return (struct match_input){m->text, m->len, m->binary, m->tape};
}

static bool find_state(const struct template_values *values, enum template_root root, char *const *segments,
                       size_t count, struct buf *json) {
    struct stub *st = container_of(values, const struct stub_values, state)->stub;
    struct session *s = stub_session(st);
    if (root != TEMPLATE_STATE || !s->worker->vm || !stub_env(st))
        return false;
    return script_env_find_state(s->worker->vm, s->env, segments, count, json);
}

void moment_context(struct stub *st, struct moment *m, struct stub_values *values, struct template_context *ctx) {
    struct session *s = stub_session(st);
    struct worker *w = s->worker;
    uint64_t open = atomic_load(&w->shared->open);
    moment_parse(st, m);
    *values = (struct stub_values){.state = {.find = find_state}, .stub = st};
    values->json = (struct json_values){.text = m->binary ? NULL : m->text, .len = m->len, .tape = m->tape,
                                        .message = m->request, .params = m->params, .scratch = &w->scratch_name,
                                        .rest = &values->state};
    json_values_init(&values->json);
    *ctx = (struct template_context){.connection = &s->connection, .rng = &w->rng, .values = &values->json.values,
                                     .connection_count = open,
                                     .cluster_connection_count = worker_cluster_count(w, open)};
}
