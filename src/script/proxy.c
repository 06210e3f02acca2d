/* Read-only stand-ins for what all scripts of a vm share, and the keys that scripts never see.
 *
 * A stand-in is an empty table whose metatable leads to the real one. Raw functions (rawset, next, table.*) would see
 * the empty table, so the sandbox's versions of them come through script_push_raw(). */
#include "script/vm.h"

static const char backing_key;

bool script_hidden_key(lua_State *L, int index) {
    if (!lua_islightuserdata(L, index))
        return false;
    const void *p = lua_touserdata(L, index);
    return p == &script_view_doc || p == &script_view_node || p == &script_meta_copy || p == &script_meta_origin ||
           p == &script_array_mark;
}

int script_next(lua_State *L, int table) {
    while (lua_next(L, table)) {
        if (!script_hidden_key(L, -2))
            return 1;
        lua_pop(L, 1);
    }
    return 0;
}

static int refuse_write(lua_State *L) {
    return luaL_error(L, "'%s' is read-only", lua_tostring(L, lua_upvalueindex(1)));
}

static int pairs_through(lua_State *L) {
    script_push_next(L);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

void script_readonly(lua_State *L, const char *name) {
    int real = lua_gettop(L);
    lua_newtable(L);
    lua_createtable(L, 0, 6);
    lua_pushvalue(L, real);
    lua_setfield(L, -2, "__index");
    lua_pushstring(L, name);
    lua_pushcclosure(L, refuse_write, 1);
    lua_setfield(L, -2, "__newindex");
    lua_pushcfunction(L, pairs_through);
    lua_setfield(L, -2, "__pairs");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_pushvalue(L, real);
    lua_rawsetp(L, -2, &backing_key);
    lua_setmetatable(L, -2);
    lua_replace(L, real);
}

void script_push_raw(lua_State *L, int index, bool write) {
    luaL_checktype(L, index, LUA_TTABLE);
    index = lua_absindex(L, index);
    if (!lua_getmetatable(L, index)) {
        lua_pushvalue(L, index);
        return;
    }
    if (lua_rawgetp(L, -1, &backing_key) != LUA_TNIL) {
        if (write)
            luaL_error(L, "this table is read-only");
        if (!lua_istable(L, -1)) { /* nothing behind it but functions */
            lua_pop(L, 1);
            lua_pushvalue(L, index);
        }
        lua_remove(L, -2);
        return;
    }
    lua_pop(L, 2);
    if (script_is_view(L, index))
        script_view_materialise(L, index);
    lua_pushvalue(L, index);
}

void script_mark_stand_in(lua_State *L) {
    lua_pushboolean(L, true);
    lua_rawsetp(L, -2, &backing_key);
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
}

bool script_is_stand_in(lua_State *L, int index) {
    if (!lua_getmetatable(L, index))
        return false;
    bool yes = lua_rawgetp(L, -1, &backing_key) != LUA_TNIL;
    lua_pop(L, 2);
    return yes;
}
