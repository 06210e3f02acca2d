/* A connection's state from outside: its first value from the configuration, and what templates name in it. */
#include <stdlib.h>
#include <string.h>

#include "script/vm.h"

void script_env_set_host(struct script_env *env, const struct script_host *host, void *arg) {
    env->host = host;
    env->host_arg = arg;
}

/* ---- JSON to ordinary tables ---- */

struct reader {
    const struct json_tape *tape;
    const char *text;
};

static void push_plain(lua_State *L, const struct reader *r, uint32_t node);

static void push_table(lua_State *L, const struct reader *r, uint32_t node) {
    const struct json_node *nodes = r->tape->nodes, *n = &nodes[node];
    bool array = n->kind == JSON_ARRAY;
    luaL_checkstack(L, 8, NULL);
    lua_newtable(L);
    uint32_t child = node + 1;
    for (uint32_t i = 1; i <= n->count; i++, child = nodes[child].next) {
        if (!array)
            script_push_json_string(L, r->text + nodes[child].key, nodes[child].key_len, nodes[child].key_escaped);
        push_plain(L, r, child);
        if (array)
            lua_rawseti(L, -2, i);
        else
            lua_rawset(L, -3);
    }
    if (array) { /* an empty one stays [] */
        lua_pushboolean(L, true);
        lua_rawsetp(L, -2, &script_array_mark);
    }
}

static void push_plain(lua_State *L, const struct reader *r, uint32_t node) {
    if (!script_push_scalar(L, r->text, &r->tape->nodes[node]))
        push_table(L, r, node);
}

struct first_state {
    struct script_env *env;
    struct reader reader;
};

static int set_state(lua_State *L) {
    struct first_state *f = lua_touserdata(L, 1);
    push_plain(L, &f->reader, 0);
    if (f->env->state_ref == LUA_NOREF)
        f->env->state_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    else
        lua_rawseti(L, LUA_REGISTRYINDEX, f->env->state_ref);
    return 0;
}

int script_env_set_state(struct script_vm *vm, struct script_env *env, const char *json, size_t len) {
    struct first_state f = {.env = env};
    struct err err;
    size_t error_at;
    buf_reset(&vm->input);
    buf_append(&vm->input, json, len);
    if (vm->input.failed)
        return MF_ENOMEM;
    f.reader = (struct reader){&vm->tape, buf_cstr(&vm->input)};
    int rc = json_tape_parse(&vm->tape, f.reader.text, len, &error_at);
    if (rc == MF_OK && vm->tape.nodes[0].kind != JSON_OBJECT)
        rc = MF_EINVAL;
    if (rc == MF_OK) {
        int status = script_protected(vm, set_state, &f);
        if (status != LUA_OK)
            rc = script_error(vm, status, "state", &err);
    }
    script_vm_trim(vm);
    return rc;
}

/* ---- looking into it ---- */

struct search {
    const struct script_env *env;
    char *const *segments;
    size_t count;
    struct buf *json;
    bool found;
};

/* "0", "1", … : a place in an array, counted as templates count. */
static bool read_place(const char *s, lua_Integer *place) {
    lua_Integer n = 0;
    if (!*s || strlen(s) > 9)
        return false;
    for (; *s; s++) {
        if (*s < '0' || *s > '9')
            return false;
        n = n * 10 + (*s - '0');
    }
    *place = n + 1;
    return true;
}

/* Replaces the table on the top by what it holds under a segment. Metamethods of scripts are not asked. */
static bool descend(lua_State *L, const char *segment) {
    lua_Integer place;
    if (!lua_istable(L, -1) || (script_is_stand_in(L, -1)))
        return false;
    if (script_view_is_lazy(L, -1)) {
        bool is_place = read_place(segment, &place);
        lua_getfield(L, -1, segment);
        if (lua_isnil(L, -1) && is_place) {
            lua_pop(L, 1);
            lua_geti(L, -1, place);
        }
    } else {
        lua_pushstring(L, segment);
        lua_rawget(L, -2);
        if (lua_isnil(L, -1) && read_place(segment, &place)) {
            lua_pop(L, 1);
            lua_rawgeti(L, -1, place);
        }
    }
    lua_remove(L, -2);
    return !lua_isnil(L, -1);
}

static int find(lua_State *L) {
    struct search *s = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->env->state_ref);
    for (size_t i = 0; i < s->count; i++)
        if (!descend(L, s->segments[i]))
            return 0;
    script_encode(L, -1, s->json);
    s->found = true;
    return 0;
}

/* It may come from within a call (template() asks for it), so it leaves the stack and the budget as they are. */
bool script_env_find_state(struct script_vm *vm, struct script_env *env, char *const *segments, size_t count,
                           struct buf *json) {
    struct search s = {.env = env, .segments = segments, .count = count, .json = json};
    lua_State *L = vm->L;
    size_t before = json->len;
    bool outermost = !vm->running;
    if (env->state_ref == LUA_NOREF || !lua_checkstack(L, 4))
        return false;
    int top = lua_gettop(L);
    if (outermost)
        script_budget_begin(vm);
    lua_pushcfunction(L, find);
    lua_pushlightuserdata(L, &s);
    bool ok = lua_pcall(L, 1, 0, 0) == LUA_OK && s.found && !json->failed;
    lua_settop(L, top);
    if (outermost) {
        script_budget_end(vm);
        ok = ok && vm->kill == KILL_NONE;
    }
    if (!ok)
        json->len = before;
    return ok;
}
