/* Lua text -> functions in the registry: chunks, expressions, and modules. */
#include <stdlib.h>
#include <string.h>

#include "script/vm.h"

/* Text for lua_load(), in pieces. */
struct source {
    const char *before, *text, *after;
    size_t len;
    int newlines; /* so that Lua counts lines as the file does */
    int part;
    const char *name;
    int ref; /* of the function */
};

/* A local of that name: a script may not leave another _ENV behind for the next call. */
#define PROLOGUE "local _ENV=_ENV;"

static const char *read_source(lua_State *L, void *arg, size_t *len) {
    (void)L;
    static const char newlines[] = "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n";
    struct source *s = arg;
    if (s->part == 0 && s->newlines > 0) {
        *len = MIN((size_t)s->newlines, sizeof newlines - 1);
        s->newlines -= (int)*len;
        return newlines;
    }
    const char *const parts[] = {s->before, s->text, s->after};
    while (s->part < 3) {
        const char *part = parts[s->part];
        *len = s->part == 1 ? s->len : strlen(part);
        s->part++;
        if (*len) /* an empty piece would mean the end */
            return part;
    }
    *len = 0;
    return NULL;
}

static int compile(lua_State *L) {
    struct source *s = lua_touserdata(L, 1);
    lua_pushfstring(L, "@%s", s->name);
    int status = lua_load(L, read_source, s, lua_tostring(L, -1), "t");
    if (status != LUA_OK)
        return lua_error(L);
    script_push_env(L);
    lua_setupvalue(L, -2, 1);
    s->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static struct script_chunk *new_chunk(const char *name, int ref) {
    struct script_chunk *chunk = calloc(1, sizeof *chunk);
    if (!chunk || !(chunk->name = strdup(name))) {
        free(chunk);
        return NULL;
    }
    chunk->ref = ref;
    return chunk;
}

static int load(struct script_vm *vm, struct source *s, struct script_chunk **out, struct err *err) {
    vm->where_line = 0;
    int status = script_protected(vm, compile, s);
    if (status != LUA_OK) {
        vm->where_line = 0;
        return script_error(vm, status, s->name, err);
    }
    *out = new_chunk(s->name, s->ref);
    if (*out)
        return MF_OK;
    luaL_unref(vm->L, LUA_REGISTRYINDEX, s->ref);
    return err_set(err, MF_ENOMEM, "out of memory");
}

int script_compile(struct script_vm *vm, const char *source, size_t len, const char *name, int first_line,
                   struct script_chunk **out, struct err *err) {
    struct source s = {.before = PROLOGUE, .text = source, .after = "", .len = len, .newlines = first_line - 1,
                       .name = name};
    return load(vm, &s, out, err);
}

int script_compile_expression(struct script_vm *vm, const char *source, size_t len, const char *name, int first_line,
                              struct script_chunk **out, struct err *err) {
    struct source s = {.before = PROLOGUE "return(", .text = source, .after = "\n)", .len = len,
                       .newlines = first_line - 1, .name = name};
    int rc = load(vm, &s, out, err);
    if (rc != MF_EINVAL || !memmem(source, len, "return", strlen("return")))
        return rc;
    return script_compile(vm, source, len, name, first_line, out, err);
}

void script_chunk_free(struct script_vm *vm, struct script_chunk *chunk) {
    if (!chunk)
        return;
    luaL_unref(vm->L, LUA_REGISTRYINDEX, chunk->ref);
    free(chunk->name);
    free(chunk);
}

/* ---- modules ---- */

struct entries {
    const struct script_chunk *whole;
    int refs[3];
};
static const char *const entry_names[] = {"on_connect", "on_message", "on_close"};

/* Runs the file once. Functions of the table that it returns are kept. */
static int find_entries(lua_State *L) {
    struct entries *e = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, e->whole->ref);
    lua_call(L, 0, 1);
    if (!lua_istable(L, -1))
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(entry_names); i++) {
        lua_getfield(L, 2, entry_names[i]);
        if (lua_isfunction(L, -1))
            e->refs[i] = luaL_ref(L, LUA_REGISTRYINDEX);
        else if (lua_isnil(L, -1))
            lua_pop(L, 1);
        else
            return luaL_error(L, "%s must be a function, not a %s", entry_names[i], luaL_typename(L, -1));
    }
    return 0;
}

static bool speaks_of_entries(const char *source, size_t len) {
    for (size_t i = 0; i < ARRAY_LEN(entry_names); i++)
        if (memmem(source, len, entry_names[i], strlen(entry_names[i])))
            return true;
    return false;
}

static void free_module(struct script_vm *vm, struct script_module *m) {
    script_chunk_free(vm, m->on_connect);
    script_chunk_free(vm, m->on_message);
    script_chunk_free(vm, m->on_close);
    *m = (struct script_module){0};
}

static int keep_entries(struct script_vm *vm, struct entries *e, const char *name, struct script_module *out,
                        struct err *err) {
    struct script_chunk **const to[] = {&out->on_connect, &out->on_message, &out->on_close};
    bool failed = false;
    for (size_t i = 0; i < ARRAY_LEN(to); i++) {
        if (e->refs[i] == LUA_NOREF)
            continue;
        *to[i] = new_chunk(name, e->refs[i]);
        if (*to[i])
            continue;
        luaL_unref(vm->L, LUA_REGISTRYINDEX, e->refs[i]);
        failed = true;
    }
    if (!failed)
        return MF_OK;
    free_module(vm, out);
    return err_set(err, MF_ENOMEM, "out of memory");
}

static void forget_entries(struct script_vm *vm, const struct entries *e) {
    for (size_t i = 0; i < ARRAY_LEN(e->refs); i++)
        luaL_unref(vm->L, LUA_REGISTRYINDEX, e->refs[i]);
}

int script_load_module(struct script_vm *vm, const char *source, size_t len, const char *name, int first_line,
                       struct script_module *out, struct err *err) {
    struct script_chunk *whole = NULL;
    int rc = script_compile(vm, source, len, name, first_line, &whole, err);
    if (rc < 0)
        return rc;
    struct entries e = {.whole = whole, .refs = {LUA_NOREF, LUA_NOREF, LUA_NOREF}};
    script_forget_state(vm); /* the last call's are not this file's to see */
    script_budget_begin(vm);
    int status = script_protected(vm, find_entries, &e);
    script_budget_end(vm);
    bool failed = status != LUA_OK || vm->kill != KILL_NONE;
    *out = (struct script_module){0};
    if (failed)
        rc = script_error(vm, status, name, err);
    if (failed && !speaks_of_entries(source, len))
        rc = MF_OK; /* the text of a handler, which misses the message that it is about */
    if (rc == MF_OK)
        rc = keep_entries(vm, &e, name, out, err);
    else
        forget_entries(vm, &e);
    bool module = rc == MF_OK && (out->on_connect || out->on_message || out->on_close);
    if (rc != MF_OK || module)
        script_chunk_free(vm, whole);
    else
        out->on_message = whole;
    return rc;
}
