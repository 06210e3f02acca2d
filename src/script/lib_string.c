/* string and utf8: Lua's own functions where they are bounded, behind a count where they are long, and our own pattern
 * functions (pattern.c). */
#include <string.h>

#include <lualib.h>

#include "script/vm.h"

/* string.format with many long conversions takes its time where no hook sees it. */
#define FORMAT_MAX_ARGS 64
#define PACK_FORMAT_MAX 256

/* Calls the stock function of the upvalue with all arguments. */
static int call_stock(lua_State *L) {
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

static int counted(lua_State *L) {
    size_t len = 0;
    if (lua_type(L, 1) == LUA_TSTRING)
        lua_tolstring(L, 1, &len);
    script_charge(L, script_vm_of(L), len / 4);
    return call_stock(L);
}

static int string_rep(lua_State *L) {
    size_t len, sep_len;
    luaL_checklstring(L, 1, &len);
    lua_Integer n = luaL_checkinteger(L, 2);
    luaL_optlstring(L, 3, "", &sep_len);
    struct script_vm *vm = script_vm_of(L);
    size_t each = len + sep_len;
    if (n <= 0 || !each) {
        lua_pushliteral(L, "");
        return 1;
    }
    if ((lua_Unsigned)n > vm->limits.max_memory / each)
        return luaL_error(L, "resulting string too large");
    script_charge(L, vm, (uint64_t)n + (uint64_t)n * each / 16);
    return call_stock(L);
}

static int string_format(lua_State *L) {
    if (lua_gettop(L) > FORMAT_MAX_ARGS)
        return luaL_error(L, "too many arguments to 'format'");
    script_charge(L, script_vm_of(L), 16u * (unsigned)lua_gettop(L));
    return call_stock(L);
}

static int packing(lua_State *L) {
    size_t len;
    luaL_checklstring(L, 1, &len);
    luaL_argcheck(L, len <= PACK_FORMAT_MAX, 1, "format too long");
    return call_stock(L);
}

/* string.byte and utf8.codepoint give a value for each byte or character of a range. */
static int many_values(lua_State *L) {
    size_t len;
    luaL_checklstring(L, 1, &len);
    lua_Integer from = luaL_optinteger(L, 2, 1), to = luaL_optinteger(L, 3, from);
    lua_Integer n = len > LUA_MAXINTEGER ? LUA_MAXINTEGER : (lua_Integer)len;
    if (from < 0)
        from = MAX(from + n + 1, 1);
    if (to < 0)
        to = to + n + 1;
    to = MIN(to, n);
    if (to > 0 && to - MAX(from, 1) >= SCRIPT_MAX_VALUES)
        return luaL_error(L, "string slice too long");
    return call_stock(L);
}

struct wrap {
    const char *name;
    lua_CFunction fn; /* NULL: as it is */
};

/* Copies functions from the stock library on the top into a new table, wrapped; the table replaces it. */
static void wrap_library(lua_State *L, const struct wrap *list, size_t count) {
    int stock = lua_gettop(L);
    lua_newtable(L);
    for (size_t i = 0; i < count; i++) {
        lua_getfield(L, stock, list[i].name);
        if (list[i].fn)
            lua_pushcclosure(L, list[i].fn, 1);
        lua_setfield(L, -2, list[i].name);
    }
    lua_replace(L, stock);
}

/* Every string's metatable: lookups go to the real table, getmetatable("") shows a read-only copy. Lua's own has the
 * arithmetic of strings that are numbers ("10" + 1). */
static void set_string_metatable(lua_State *L, int real, int stand_in) {
    static const char *const arithmetic[] = {"__add", "__sub", "__mul", "__mod", "__pow", "__div", "__idiv", "__unm"};
    lua_pushliteral(L, "");
    lua_newtable(L);
    lua_getmetatable(L, -2);
    for (size_t i = 0; i < ARRAY_LEN(arithmetic); i++) {
        lua_getfield(L, -1, arithmetic[i]);
        lua_setfield(L, -3, arithmetic[i]);
    }
    lua_pop(L, 1);
    lua_pushvalue(L, real);
    lua_setfield(L, -2, "__index");
    lua_newtable(L);
    lua_pushvalue(L, stand_in);
    lua_setfield(L, -2, "__index");
    script_readonly(L, "the string metatable");
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}

void script_lib_string(lua_State *L, int globals) {
    static const struct wrap strings[] = {
        {"len", NULL},      {"sub", NULL},       {"char", NULL},        {"byte", many_values},
        {"upper", counted}, {"lower", counted},  {"reverse", counted},  {"rep", string_rep},
        {"pack", packing},  {"unpack", packing}, {"packsize", packing}, {"format", string_format},
    };
    static const struct wrap utf8s[] = {
        {"char", NULL},   {"charpattern", NULL},      {"codes", counted},
        {"len", counted}, {"codepoint", many_values}, {"offset", counted},
    };
    luaL_requiref(L, LUA_STRLIBNAME, luaopen_string, 0);
    wrap_library(L, strings, ARRAY_LEN(strings));
    script_lib_pattern(L);
    int real = lua_gettop(L);
    lua_pushvalue(L, real);
    script_readonly(L, "string");
    set_string_metatable(L, real, real + 1);
    lua_setfield(L, globals, "string");
    lua_pop(L, 1);
    luaL_requiref(L, LUA_UTF8LIBNAME, luaopen_utf8, 0);
    wrap_library(L, utf8s, ARRAY_LEN(utf8s));
    script_readonly(L, "utf8");
    lua_setfield(L, globals, "utf8");
}
