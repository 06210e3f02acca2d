#include "drive/lua_filter.h"

#include <stdlib.h>

#include "base/connection.h"
#include "base/log.h"

/* What `script:` gives a gateway unless it says otherwise. */
static const struct script_limits limits = {
    .max_memory = (uint64_t)32 << 20, .max_instructions = 10000000, .max_ms = 40};

struct lua_filter {
    struct rng rng;
    struct script_vm *vm;
    struct script_chunk *chunk;
    struct buf out;
};

struct lua_filter_env {
    struct connection connection;
    struct script_env *script;
};

int lua_filter_new(const char *script, size_t len, const char *name, struct lua_filter **out, struct err *err) {
    struct lua_filter *t = calloc(1, sizeof *t);
    if (!t)
        return err_set(err, MF_ENOMEM, "out of memory");
    rng_init(&t->rng, 0);
    int rc = script_vm_new(&limits, &t->rng, &t->vm, err);
    if (rc == MF_OK)
        rc = script_compile(t->vm, script, len, name, 1, &t->chunk, err);
    if (rc < 0) {
        lua_filter_free(t);
        return rc;
    }
    *out = t;
    return MF_OK;
}

void lua_filter_free(struct lua_filter *t) {
    if (!t)
        return;
    if (t->chunk)
        script_chunk_free(t->vm, t->chunk);
    if (t->vm)
        script_vm_free(t->vm);
    buf_fini(&t->out);
    free(t);
}

static int fill(struct connection *c, const struct opening *opening) {
    const char *question = strchr(opening->path, '?');
    c->path = question ? strndup(opening->path, (size_t)(question - opening->path)) : strdup(opening->path);
    c->query = question ? strdup(question + 1) : NULL;
    c->remote_addr = strdup(opening->host);
    if (!c->path || !c->remote_addr || (question && !c->query))
        return MF_ENOMEM;
    return headers_copy(&c->headers, &opening->fields);
}

int lua_filter_env_new(struct lua_filter *t, uint64_t number, const struct opening *opening,
                       struct lua_filter_env **out) {
    struct lua_filter_env *env = calloc(1, sizeof *env);
    if (!env)
        return MF_ENOMEM;
    connection_init(&env->connection, number);
    if (fill(&env->connection, opening) < 0 || script_env_new(t->vm, &env->connection, &env->script) < 0) {
        lua_filter_env_free(t, env);
        return MF_ENOMEM;
    }
    *out = env;
    return MF_OK;
}

void lua_filter_env_free(struct lua_filter *t, struct lua_filter_env *env) {
    if (!env)
        return;
    if (env->script)
        script_env_free(t->vm, env->script);
    connection_fini(&env->connection);
    free(env);
}

bool lua_filter_message(struct lua_filter *t, struct lua_filter_env *env, bool incoming, bool *binary,
                        const void **data, size_t *len, bool *changed) {
    const struct script_message in = {.incoming = incoming, .binary = *binary, .data = *data, .len = *len};
    struct err err;
    char text[sizeof err.file + sizeof err.text + 16];
    *changed = false;
    switch (script_transform(t->vm, t->chunk, env->script, &in, &t->out, binary, &err)) {
    case SCRIPT_UNCHANGED:
        break;
    case SCRIPT_REPLACED:
        *data = buf_cstr(&t->out);
        *len = t->out.len;
        *changed = true;
        break;
    case SCRIPT_DROP:
        return false;
    case SCRIPT_ERROR:
        LOG_LIMITED(LOG_ERROR, "transform_failed", "connection=%s direction=%s error=%s", env->connection.id,
                    incoming ? "incoming" : "outgoing", log_quote(err_format(&err, text, sizeof text)));
        break;
    }
    return true;
}
