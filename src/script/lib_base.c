/* The basic functions, in versions that keep the cage shut: no kill is caught, no metatable is poisoned, and raw access
 * sees what a view stands for. */
#include "script/vm.h"

#include <string.h>

#include <lualib.h>

static const char next_key; /* in the registry */

void script_push_next(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &next_key);
}

static int base_next(lua_State *L) {
    lua_settop(L, 2);
    script_push_raw(L, 1, false);
    lua_replace(L, 1);
    if (script_next(L, 1))
        return 2;
    lua_pushnil(L);
    return 1;
}

/* The call was waited for: what it gave is on the top. */
static int after_pairs(lua_State *L, int status, lua_KContext context) {
    (void)L;
    (void)status;
    (void)context;
    return 3;
}

static int base_pairs(lua_State *L) {
    luaL_checkany(L, 1);
    if (luaL_getmetafield(L, 1, "__pairs") != LUA_TNIL) {
        lua_pushvalue(L, 1);
        lua_callk(L, 1, 3, 0, after_pairs);
        return 3;
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    script_push_next(L);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

static int base_rawget(lua_State *L) {
    lua_settop(L, 2);
    luaL_checkany(L, 2);
    script_push_raw(L, 1, false);
    lua_insert(L, 2);
    lua_rawget(L, 2);
    return 1;
}

static int base_rawset(lua_State *L) {
    lua_settop(L, 3);
    script_push_raw(L, 1, true);
    lua_insert(L, 2);
    lua_rawset(L, 2);
    lua_settop(L, 1);
    return 1;
}

static int base_rawlen(lua_State *L) {
    if (lua_type(L, 1) == LUA_TTABLE)
        script_push_raw(L, 1, false);
    else
        luaL_argexpected(L, lua_type(L, 1) == LUA_TSTRING, 1, "table or string");
    lua_pushinteger(L, (lua_Integer)lua_rawlen(L, -1));
    return 1;
}

/* ---- metatables ---- */

/* Fields that would give a script a say in garbage collection: finalizers run outside any budget, and chains of weak
 * tables make one collection step take seconds. */
static void refuse_field(lua_State *L, const char *field) {
    if (!strcmp(field, "__gc") || !strcmp(field, "__mode"))
        luaL_error(L, "a metatable must not have %s", field);
}

/* Pushes the copy of the metatable at index 2 that is really set. A copy, because a field may be put into the original
 * at any later time. It is made once for each original. */
static void push_meta_copy(lua_State *L) {
    if (lua_rawgetp(L, 2, &script_meta_copy) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    int copy = lua_gettop(L);
    lua_pushnil(L);
    while (lua_next(L, 2)) {
        if (lua_type(L, -2) == LUA_TSTRING) {
            const char *field = lua_tostring(L, -2);
            refuse_field(L, field);
            if (field[0] == '_' && field[1] == '_') {
                lua_pushvalue(L, -2);
                lua_insert(L, -2);
                lua_rawset(L, copy);
                continue;
            }
        }
        lua_pop(L, 1);
    }
    lua_pushvalue(L, 2);
    lua_rawsetp(L, copy, &script_meta_origin);
    lua_pushvalue(L, copy);
    lua_rawsetp(L, 2, &script_meta_copy);
}

static int base_setmetatable(lua_State *L) {
    int type = lua_type(L, 2);
    lua_settop(L, 2);
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table");
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
        return luaL_error(L, "cannot change a protected metatable");
    if (type == LUA_TNIL) {
        lua_pushnil(L);
    } else {
        if (script_is_stand_in(L, 2) || script_is_view(L, 2))
            return luaL_argerror(L, 2, "a plain table is needed");
        push_meta_copy(L);
    }
    lua_setmetatable(L, 1);
    lua_settop(L, 1);
    return 1;
}

static int base_getmetatable(lua_State *L) {
    luaL_checkany(L, 1);
    if (!lua_getmetatable(L, 1)) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushstring(L, "__metatable");
    if (lua_rawget(L, -2) == LUA_TNIL)
        lua_rawgetp(L, -2, &script_meta_origin);
    return 1;
}

/* ---- protected calls ---- */

/* Out of memory ends the message as the other limits do: going on at the cap is only a slower end. */
static void check_status(lua_State *L, int status) {
    struct script_vm *vm = script_vm_of(L);
    if (status == LUA_ERRMEM && vm->kill == KILL_NONE)
        vm->kill = KILL_MEMORY;
    script_die_if_killed(L);
}

/* Also where the call waited meanwhile: Lua says LUA_YIELD then, for a good end. */
static int after_pcall(lua_State *L, int status, lua_KContext context) {
    (void)context;
    check_status(L, status);
    lua_pushboolean(L, status == LUA_OK || status == LUA_YIELD);
    lua_insert(L, 1);
    return lua_gettop(L);
}

static int base_pcall(lua_State *L) {
    luaL_checkany(L, 1);
    return after_pcall(L, lua_pcallk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, 0, after_pcall), 0);
}

/* Lua runs a message handler without hooks when the error came from a hook, so a kill must not reach the script's. */
static int xpcall_handler(lua_State *L) {
    if (script_vm_of(L)->kill != KILL_NONE)
        return 1;
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 1);
    return 1;
}

static int after_xpcall(lua_State *L, int status, lua_KContext context) {
    (void)context;
    check_status(L, status);
    lua_pushboolean(L, status == LUA_OK || status == LUA_YIELD);
    lua_replace(L, 2);
    return lua_gettop(L) - 1;
}

static int base_xpcall(lua_State *L) {
    luaL_checktype(L, 2, LUA_TFUNCTION);
    int args = lua_gettop(L) - 2;
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, xpcall_handler, 1);
    lua_replace(L, 2);
    lua_pushvalue(L, 1);
    lua_insert(L, 3); /* function, handler, function, arguments */
    return after_xpcall(L, lua_pcallk(L, args, LUA_MULTRET, 2, 0, after_xpcall), 0);
}

static const luaL_Reg ours[] = {
    {"next", base_next},
    {"pairs", base_pairs},
    {"rawget", base_rawget},
    {"rawset", base_rawset},
    {"rawlen", base_rawlen},
    {"setmetatable", base_setmetatable},
    {"getmetatable", base_getmetatable},
    {"pcall", base_pcall},
    {"xpcall", base_xpcall},
};

void script_lib_base(lua_State *L, int globals) {
    static const char *const stock[] = {"type",  "ipairs", "tostring", "tonumber",
                                        "error", "assert", "select",   "rawequal"};
    luaL_requiref(L, LUA_GNAME, luaopen_base, 0);
    for (size_t i = 0; i < ARRAY_LEN(stock); i++) {
        lua_getfield(L, -1, stock[i]);
        lua_setfield(L, globals, stock[i]);
    }
    lua_pop(L, 1);
    for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
        lua_pushcfunction(L, ours[i].func);
        lua_setfield(L, globals, ours[i].name);
    }
    lua_getfield(L, globals, "next");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &next_key);
}
