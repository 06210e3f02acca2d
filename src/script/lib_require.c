/* require "name": the modules that the program brings along, from its own text. Each runs once for each vm; what it
 * returned is read-only, since all connections share it. */
#include <string.h>

#include "script/library.h"
#include "script/vm.h"

static const char loaded_key; /* in the registry: name -> module */

static const struct script_library *find(const char *name) {
    for (const struct script_library *l = script_libraries; l->name; l++)
        if (!strcmp(l->name, name))
            return l;
    return NULL;
}

static int unknown(lua_State *L, const char *name) {
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (const struct script_library *l = script_libraries; l->name; l++) {
        luaL_addstring(&b, l == script_libraries ? "" : ", ");
        luaL_addstring(&b, l->name);
    }
    luaL_pushresult(&b);
    return luaL_error(L, "require: there is no module '%s', only %s", name, lua_tostring(L, -1));
}

/* Runs the module's text; its result replaces the name at index 1. */
static void load(lua_State *L, const struct script_library *l) {
    lua_pushfstring(L, "=%s.lua", l->name);
    if (luaL_loadbufferx(L, l->source, strlen(l->source), lua_tostring(L, -1), "t") != LUA_OK)
        lua_error(L);
    script_push_env(L);
    lua_setupvalue(L, -2, 1);
    lua_call(L, 0, 1);
    if (lua_istable(L, -1))
        script_readonly(L, l->name);
}

static int base_require(lua_State *L) {
    const char *name = luaL_checkstring(L, 1);
    lua_settop(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &loaded_key);
    lua_pushvalue(L, 1);
    if (lua_rawget(L, 2) != LUA_TNIL)
        return 1;
    const struct script_library *l = find(name);
    if (!l)
        return unknown(L, name);
    load(L, l);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, -2);
    lua_rawset(L, 2);
    return 1;
}

void script_lib_require(lua_State *L, int globals) {
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &loaded_key);
    lua_pushcfunction(L, base_require);
    lua_setfield(L, globals, "require");
}
