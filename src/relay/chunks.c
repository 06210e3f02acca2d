#include <stdlib.h>

#include "relay/worker.h"

static bool has_transforms(const struct plan *p) {
    for (size_t i = 0; i < p->count; i++)
        if (p->routes[i].transforms[FROM_CLIENT].text || p->routes[i].transforms[TO_CLIENT].text)
            return true;
    return false;
}

static int compile(struct worker *w, const struct plan *p, struct chunk_set *set, struct err *err) {
    const struct script_config *c = &p->config->websocket.script;
    const struct script_limits limits = {c->max_memory, c->max_instructions, c->max_ms};
    if (!has_transforms(p))
        return MF_OK;
    if (!w->vm && script_vm_new(&limits, &w->rng, &w->vm, err) < 0)
        return MF_ENOMEM;
    for (size_t i = 0; i < set->count; i++) {
        const struct transform_source *t = &p->routes[i / 2].transforms[i % 2];
        if (t->text && script_compile(w->vm, t->text, t->len, t->name, t->first_line, &set->items[i], err) < 0)
            return MF_EINVAL;
    }
    return MF_OK;
}

int chunk_set_new(struct worker *w, const struct plan *p, struct chunk_set **out, struct err *err) {
    struct chunk_set *set = calloc(1, sizeof *set + p->count * 2 * sizeof set->items[0]);
    if (!set)
        return err_set(err, MF_ENOMEM, "out of memory");
    set->refs = 1;
    set->count = p->count * 2;
    int rc = compile(w, p, set, err);
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
    for (size_t i = 0; i < set->count; i++)
        if (set->items[i])
            script_chunk_free(w->vm, set->items[i]);
    free(set);
}
