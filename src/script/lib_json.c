/* json.encode, json.decode, json.null, json.array, json.object. */
#include "script/vm.h"

/* A buffer that an error frees: a userdata with a finalizer of ours. */
static const char buffer_key;

static int buffer_gc(lua_State *L) {
    buf_fini(lua_touserdata(L, 1));
    return 0;
}

struct buf *script_push_buffer(lua_State *L) {
    struct buf *b = lua_newuserdatauv(L, sizeof *b, 0);
    *b = (struct buf)BUF_INIT;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &buffer_key);
    lua_setmetatable(L, -2);
    return b;
}

void script_push_result(lua_State *L, struct buf *b) {
    if (b->failed)
        luaL_error(L, "not enough memory");
    lua_pushlstring(L, b->len ? (const char *)b->data : "", b->len);
    buf_fini(b);
}

static int json_encode(lua_State *L) {
    luaL_checkany(L, 1);
    lua_settop(L, 1);
    struct buf *b = script_push_buffer(L);
    script_encode(L, 1, b);
    script_push_result(L, b);
    return 1;
}

static int json_decode(lua_State *L) {
    size_t len, error_at;
    const char *text = luaL_checklstring(L, 1, &len);
    if (!script_push_json(L, text, len, &error_at))
        return luaL_error(L, "json.decode: not JSON at byte %d", (int)error_at + 1);
    return 1;
}

static int json_array(lua_State *L) {
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    script_push_raw(L, 1, true);
    lua_pushboolean(L, true);
    lua_rawsetp(L, 1, &script_array_mark);
    lua_settop(L, 1);
    return 1;
}

static int json_object(lua_State *L) {
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    script_push_raw(L, 1, true);
    lua_pushboolean(L, false);
    lua_rawsetp(L, 1, &script_array_mark);
    lua_settop(L, 1);
    return 1;
}

void script_lib_json(lua_State *L, int globals) {
    static const luaL_Reg functions[] = {
        {"encode", json_encode}, {"decode", json_decode}, {"array", json_array}, {"object", json_object}, {NULL, NULL}};
    lua_newtable(L);
    lua_pushcfunction(L, buffer_gc);
    lua_setfield(L, -2, "__gc");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &buffer_key);
    luaL_newlib(L, functions);
    script_push_null(L);
    lua_setfield(L, -2, "null");
    script_readonly(L, "json");
    lua_setfield(L, globals, "json");
}
