/* The Lua of a plan: texts and files, compiled once to see whether they can be. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "relay/route.h"
#include "script/script.h"

#define SCRIPT_FILE_MAX (1u << 20)

static char *read_file(const char *path, size_t *len, struct err *err) {
    FILE *f = fopen(path, "re");
    if (!f) {
        err_set(err, MF_EIO, "cannot read the Lua file \"%s\": %s", path, strerror(errno));
        return NULL;
    }
    char *text = malloc(SCRIPT_FILE_MAX + 1);
    size_t n = text ? fread(text, 1, SCRIPT_FILE_MAX + 1, f) : 0;
    bool failed = !text || ferror(f) || n > SCRIPT_FILE_MAX;
    fclose(f);
    if (failed) {
        err_set(err, MF_EIO, "cannot read the Lua file \"%s\": %s", path,
                n > SCRIPT_FILE_MAX ? "it is larger than 1 MiB" : strerror(errno));
        free(text);
        return NULL;
    }
    text[n] = '\0';
    *len = n;
    return text;
}

static bool is_lua_path(const char *text) {
    size_t n = strlen(text);
    return n > 4 && !strcmp(text + n - 4, ".lua") && !strchr(text, '\n');
}

static struct plan_script *new_script(struct plan *p) {
    if (!ARRAY_ROOM(p->scripts, p->script_count, p->script_cap, 8))
        return NULL;
    p->scripts[p->script_count] = (struct plan_script){0};
    return &p->scripts[p->script_count++];
}

/* Does it compile? The state is thrown away. */
static int try_script(struct plan_build *b, const struct plan_script *s) {
    struct script_chunk *chunk = NULL;
    struct script_module module = {0};
    int rc = MF_OK;
    switch (s->kind) {
    case PLAN_CHUNK:
        rc = script_compile(b->vm, s->text, s->len, s->name, s->first_line, &chunk, b->err);
        break;
    case PLAN_EXPRESSION:
        rc = script_compile_expression(b->vm, s->text, s->len, s->name, s->first_line, &chunk, b->err);
        break;
    case PLAN_MODULE:
        rc = script_load_module(b->vm, s->text, s->len, s->name, s->first_line, &module, b->err);
        break;
    }
    struct script_chunk *const chunks[] = {chunk, module.on_connect, module.on_message, module.on_close};
    for (size_t i = 0; i < ARRAY_LEN(chunks); i++)
        script_chunk_free(b->vm, chunks[i]);
    return rc;
}

/* Of a file the place is in that file, of a text where it stands. */
static int load(struct plan_build *b, const char *key, const struct config_text *text, struct plan_script *s) {
    const char *source = b->plan->config->source;
    s->is_file = is_lua_path(text->text);
    if (s->is_file) {
        s->text = read_file(text->text, &s->len, b->err);
        if (!s->text)
            return plan_fail(b, key, text->line, text->column);
        s->name = strdup(text->text);
        s->first_line = 1;
    } else {
        s->text = strdup(text->text);
        s->len = strlen(text->text);
        s->name = strdup(source ? source : "configuration");
        s->first_line = text->line ? text->line : 1;
    }
    return s->text && s->name ? MF_OK : err_set(b->err, MF_ENOMEM, "out of memory");
}

int plan_add_script(struct plan_build *b, const char *key, enum plan_script_kind kind, const struct config_text *text,
                    size_t *out) {
    struct plan *p = b->plan;
    *out = PLAN_NO_SCRIPT;
    if (!text->text)
        return MF_OK;
    struct plan_script *s = new_script(p);
    if (!s)
        return err_set(b->err, MF_ENOMEM, "out of memory");
    s->kind = kind;
    int rc = load(b, key, text, s);
    if (rc < 0)
        return rc;
    *out = p->script_count - 1;
    rc = try_script(b, s);
    if (rc < 0) /* the place is the line in the script */
        err_prefix(b->err, "websocket.handlers[%u].%s: Lua is wanted (docs/lua.md)", b->route->index, key);
    return rc;
}
