/* What a script sees as its globals.
 *
 * There is one _ENV for each vm, and `connection`, `state`, `direction`, `timestamp_ms` and `msg` in it are those of
 * the call that runs: a function that one connection kept in its state can only be called by that connection's own
 * calls, so it sees its own. A connection costs its `state` table and nothing else. */
#include <string.h>

#include "base/clock.h"
#include "script/vm.h"

static const char env_key, slots_key; /* in the registry: _ENV, and the table of globals behind it */

static void push_slots(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &slots_key);
}

void script_push_env(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &env_key);
}

void script_push_msg(lua_State *L) {
    push_slots(L);
    lua_getfield(L, -1, "msg");
    lua_remove(L, -2);
}

static void set_msg(lua_State *L, int slots, int value) {
    lua_pushvalue(L, value);
    lua_setfield(L, slots, "msg");
    lua_pushvalue(L, value);
    lua_setfield(L, slots, "message");
}

static int env_newindex(lua_State *L) {
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "?";
    push_slots(L);
    if (!strcmp(name, "msg") || !strcmp(name, "message")) {
        set_msg(L, 4, 3);
        return 0;
    }
    if (!strcmp(name, "state")) {
        script_set_state(L, 3);
        return 0;
    }
    return luaL_error(L, "global '%s' cannot be set: make it local, or keep it in state", name);
}

void script_set_state(lua_State *L, int value) {
    struct script_env *env = script_vm_of(L)->env;
    value = lua_absindex(L, value);
    if (!env) {
        luaL_error(L, "there is no connection here");
        return;
    }
    if (lua_isnil(L, value)) /* emptied, not gone: scripts count on state.x */
        lua_newtable(L);
    else
        lua_pushvalue(L, value);
    lua_pushvalue(L, -1);
    lua_rawseti(L, LUA_REGISTRYINDEX, env->state_ref);
    push_slots(L);
    lua_insert(L, -2);
    lua_setfield(L, -2, "state");
    lua_pop(L, 1);
}

void script_env_open(lua_State *L, int globals) {
    lua_pushvalue(L, globals);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &slots_key);
    lua_pushvalue(L, globals);
    script_readonly(L, "_ENV");
    lua_getmetatable(L, -1);
    lua_pushcfunction(L, env_newindex);
    lua_setfield(L, -2, "__newindex");
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_setfield(L, globals, "_G");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &env_key);
}

static int forget(lua_State *L) {
    static const char *const fields[] = {"state", "msg", "message", "params", "close_code", "close_reason"};
    push_slots(L);
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        lua_pushnil(L);
        lua_setfield(L, -2, fields[i]);
    }
    return 0;
}

void script_forget_state(struct script_vm *vm) {
    (void)script_protected(vm, forget, NULL); /* where even this finds no memory, the next call replaces them */
}

static const char *const rare_fields[] = {"params", "close_code", "close_reason"};

void script_env_set_rare(lua_State *L) {
    int first = lua_gettop(L) - (int)ARRAY_LEN(rare_fields) + 1;
    push_slots(L);
    for (size_t i = 0; i < ARRAY_LEN(rare_fields); i++) {
        lua_pushvalue(L, first + (int)i);
        lua_setfield(L, -2, rare_fields[i]);
    }
    script_vm_of(L)->rare_set = true;
    lua_settop(L, first - 1);
}

static void clear_rare(lua_State *L, int slots) {
    for (size_t i = 0; i < ARRAY_LEN(rare_fields); i++) {
        lua_pushnil(L);
        lua_setfield(L, slots, rare_fields[i]);
    }
    script_vm_of(L)->rare_set = false;
}

void script_env_save(lua_State *L, int frame) {
    script_push_msg(L);
    lua_rawseti(L, frame, 2);
    if (!script_vm_of(L)->rare_set)
        return;
    push_slots(L);
    for (size_t i = 0; i < ARRAY_LEN(rare_fields); i++) {
        lua_getfield(L, -1, rare_fields[i]);
        lua_rawseti(L, frame, 3 + (int)i);
    }
    lua_pop(L, 1);
}

void script_env_enter(lua_State *L, struct script_env *env, bool incoming) {
    int msg = lua_gettop(L);
    script_vm_of(L)->env = env;
    push_slots(L);
    int slots = lua_gettop(L);
    if (script_vm_of(L)->rare_set)
        clear_rare(L, slots);
    set_msg(L, slots, msg);
    lua_pushstring(L, incoming ? "incoming" : "outgoing");
    lua_setfield(L, slots, "direction");
    lua_pushnumber(L, (double)(clock_mono_us() - env->connection->opened_us) / 1000.0);
    lua_setfield(L, slots, "timestamp_ms");
    if (env->state_ref == LUA_NOREF) {
        lua_newtable(L);
        env->state_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, env->state_ref);
    lua_setfield(L, slots, "state");
    lua_settop(L, msg);
}
