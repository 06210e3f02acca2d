/* What Lua sees of a session, whatever answers it: the environment that its transforms and handlers share. */
#include "relay/session.h"

#include <string.h>

/* Nothing interrupts a rendering: more placeholders than this holds would keep other connections waiting. */
#define RENDER_TEXT_MAX (64u << 10)

int session_render_text(struct session *s, const char *text, struct buf *out, struct err *err) {
    struct template *t;
    struct worker *w = s->worker;
    uint64_t open = atomic_load(&w->shared->open);
    if (strlen(text) > RENDER_TEXT_MAX)
        return err_set(err, MF_ELIMIT, "the text is longer than 64 KiB");
    int rc = template_compile(text, &t, err);
    if (rc < 0)
        return rc;
    const struct template_context ctx = {.connection = &s->connection, .rng = &w->rng, .connection_count = open,
                                         .cluster_connection_count = worker_cluster_count(w, open)};
    rc = template_render(t, &ctx, out);
    template_free(t);
    return rc < 0 ? err_set(err, (enum mf_err)rc, rc == MF_ELIMIT ? "the text is too long" : "out of memory") : MF_OK;
}

static int render(void *arg, const char *text, struct buf *out, struct err *err) {
    return session_render_text(arg, text, out, err);
}

static void members(void *arg, const char *room, size_t len, void (*add)(void *to, const char *id), void *to) {
    hub_members(((struct session *)arg)->worker->hub, room, len, add, to);
}

/* A transform may look, but not act. */
static const struct script_host onlooker = {.render = render, .members = members};

int session_script_env(struct session *s, struct script_env **out) {
    int rc = MF_OK;
    if (!s->env && (rc = script_env_new(s->worker->vm, &s->connection, &s->env)) == MF_OK)
        script_env_set_host(s->env, &onlooker, s);
    *out = s->env;
    return rc;
}
