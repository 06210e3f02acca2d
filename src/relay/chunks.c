#include <stdlib.h>

#include "relay/worker.h"

static int compile(struct script_vm *vm, const struct plan_script *s, struct plan_chunk *out, struct err *err) {
    switch (s->kind) {
    case PLAN_CHUNK:
        return script_compile(vm, s->text, s->len, s->name, s->first_line, &out->chunk, err);
    case PLAN_EXPRESSION:
        return script_compile_expression(vm, s->text, s->len, s->name, s->first_line, &out->chunk, err);
    case PLAN_MODULE:
        return script_load_module(vm, s->text, s->len, s->name, s->first_line, &out->module, err);
    }
    MUST(!"no such kind of script");
    return MF_EINVAL;
}

static int compile_all(struct worker *w, const struct plan *p, struct chunk_set *set, struct err *err) {
    const struct script_config *c = &p->config->websocket.script;
    const struct script_limits limits = {c->max_memory, c->max_instructions, c->max_ms};
    if (!p->script_count && !p->needs_lua)
        return MF_OK;
    if (!w->vm && script_vm_new(&limits, &w->rng, &w->vm, err) < 0)
        return MF_ENOMEM;
    int rc = MF_OK;
    for (size_t i = 0; rc == MF_OK && i < set->count; i++)
        rc = compile(w->vm, &p->scripts[i], &set->items[i], err);
    return rc;
}

int chunk_set_new(struct worker *w, const struct plan *p, struct chunk_set **out, struct err *err) {
    struct chunk_set *set = calloc(1, sizeof *set + p->script_count * sizeof set->items[0]);
    if (!set)
        return err_set(err, MF_ENOMEM, "out of memory");
    set->refs = 1;
    set->count = p->script_count;
    int rc = compile_all(w, p, set, err);
    if (rc < 0) {
        chunk_set_unref(w, set);
        return rc;
    }
    *out = set;
    return MF_OK;
}

struct chunk_set *chunk_set_ref(struct chunk_set *set) {
    set->refs++;
    return set;
}

void chunk_set_unref(struct worker *w, struct chunk_set *set) {
    if (!set || --set->refs)
        return;
    for (size_t i = 0; i < set->count; i++) {
        const struct plan_chunk *c = &set->items[i];
        struct script_chunk *const chunks[] = {c->chunk, c->module.on_connect, c->module.on_message,
                                               c->module.on_close};
        for (size_t j = 0; j < ARRAY_LEN(chunks); j++)
            script_chunk_free(w->vm, chunks[j]);
    }
    free(set);
}
