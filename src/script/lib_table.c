/* The table library, written for tables as they are: no metamethods, every loop counted, views opened first.
 *
 * Lua's own functions trust __len and __index, so a table that lies about its length keeps them busy for hours where no
 * hook sees it. */
#include <limits.h>
#include <string.h>

#include "script/vm.h"

/* Replaces argument 1 by what raw access to it must use. */
static lua_Integer open_table(lua_State *L, bool write) {
    script_push_raw(L, 1, write);
    lua_replace(L, 1);
    return (lua_Integer)lua_rawlen(L, 1);
}

/* The length of a table with holes is any border, the largest integer too; what moves elements must not count on it. */
static void check_length(lua_State *L, lua_Integer n) {
    luaL_argcheck(L, n < INT_MAX, 1, "array too big");
}

static int table_insert(lua_State *L) {
    int args = lua_gettop(L);
    lua_Integer n = open_table(L, true);
    if (args != 2 && args != 3)
        return luaL_error(L, "wrong number of arguments to 'insert'");
    check_length(L, n);
    lua_Integer at = n + 1;
    if (args == 3) {
        at = luaL_checkinteger(L, 2);
        luaL_argcheck(L, at >= 1 && at <= n + 1, 2, "position out of bounds");
    }
    script_charge(L, script_vm_of(L), (uint64_t)(n + 1 - at));
    for (lua_Integer i = n; i >= at; i--) {
        lua_rawgeti(L, 1, i);
        lua_rawseti(L, 1, i + 1);
    }
    lua_rawseti(L, 1, at);
    return 0;
}

static int table_remove(lua_State *L) {
    bool given = lua_gettop(L) > 1;
    lua_Integer n = open_table(L, true), at = luaL_optinteger(L, 2, n);
    check_length(L, n);
    if (given)
        luaL_argcheck(L, (at >= 1 && at <= n + 1) || (n == 0 && at == 0), 2, "position out of bounds");
    lua_rawgeti(L, 1, at);
    if (at < n)
        script_charge(L, script_vm_of(L), (uint64_t)(n - at));
    for (; at < n; at++) {
        lua_rawgeti(L, 1, at + 1);
        lua_rawseti(L, 1, at);
    }
    if (at >= 1 && at <= n) {
        lua_pushnil(L);
        lua_rawseti(L, 1, at);
    }
    return 1;
}

static int table_concat(lua_State *L) {
    size_t sep_len;
    lua_Integer n = open_table(L, false);
    const char *sep = luaL_optlstring(L, 2, "", &sep_len);
    lua_Integer from = luaL_optinteger(L, 3, 1), to = luaL_optinteger(L, 4, n);
    struct script_vm *vm = script_vm_of(L);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (lua_Integer i = from; i <= to; i++) {
        script_charge(L, vm, 1);
        lua_rawgeti(L, 1, i);
        if (!lua_isstring(L, -1))
            return luaL_error(L, "invalid value (a %s) at position %I for 'concat'", luaL_typename(L, -1), i);
        luaL_addvalue(&b);
        if (i == to)
            break; /* also where i + 1 would overflow */
        luaL_addlstring(&b, sep, sep_len);
    }
    luaL_pushresult(&b);
    return 1;
}

static int table_unpack(lua_State *L) {
    lua_Integer n = open_table(L, false), from = luaL_optinteger(L, 2, 1), to = luaL_optinteger(L, 3, n);
    if (from > to)
        return 0;
    lua_Unsigned count = (lua_Unsigned)to - (lua_Unsigned)from;
    if (count >= SCRIPT_MAX_VALUES || !lua_checkstack(L, (int)count + 1))
        return luaL_error(L, "too many results to unpack");
    script_charge(L, script_vm_of(L), count);
    for (lua_Integer i = from; i < to; i++)
        lua_rawgeti(L, 1, i);
    lua_rawgeti(L, 1, to);
    return (int)count + 1;
}

static int table_pack(lua_State *L) {
    int n = lua_gettop(L);
    lua_createtable(L, n, 1);
    lua_insert(L, 1);
    for (int i = n; i >= 1; i--)
        lua_rawseti(L, 1, i);
    lua_pushinteger(L, n);
    lua_setfield(L, 1, "n");
    return 1;
}

static int table_move(lua_State *L) {
    lua_Integer from = luaL_checkinteger(L, 2), end = luaL_checkinteger(L, 3), to = luaL_checkinteger(L, 4);
    int target = lua_isnoneornil(L, 5) ? 1 : 5;
    script_push_raw(L, target, true);
    lua_replace(L, target);
    open_table(L, false);
    if (end >= from) {
        luaL_argcheck(L, from > 0 || end < LUA_MAXINTEGER + from, 3, "too many elements to move");
        lua_Integer n = end - from + 1;
        luaL_argcheck(L, to <= LUA_MAXINTEGER - n + 1, 4, "destination wrap around");
        bool up = to > end || to <= from || (target != 1 && !lua_rawequal(L, 1, target));
        for (lua_Integer i = 0; i < n; i++) {
            lua_Integer k = up ? i : n - 1 - i;
            script_charge(L, script_vm_of(L), 1);
            lua_rawgeti(L, 1, from + k);
            lua_rawseti(L, target, to + k);
        }
    }
    lua_pushvalue(L, target);
    return 1;
}

/* ---- sort: heapsort, because its number of comparisons has a bound whatever the comparison says ---- */

/* Is element a less than element b? Both are on the top of the stack, and stay. */
static bool less(lua_State *L) {
    script_charge(L, script_vm_of(L), 2);
    if (lua_isnil(L, 2))
        return lua_compare(L, -2, -1, LUA_OPLT);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, -3);
    lua_pushvalue(L, -3);
    lua_call(L, 2, 1);
    bool yes = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return yes;
}

/* Lets the element at root sink to its place in the heap of n. */
static void sift_down(lua_State *L, lua_Integer root, lua_Integer n) {
    for (lua_Integer child; (child = root * 2) <= n; root = child) {
        lua_rawgeti(L, 1, child);
        if (child < n) {
            lua_rawgeti(L, 1, child + 1);
            if (less(L)) {
                lua_replace(L, -2);
                child++;
            } else {
                lua_pop(L, 1);
            }
        }
        lua_rawgeti(L, 1, root);
        lua_insert(L, -2); /* root, child */
        if (!less(L)) {
            lua_pop(L, 2);
            return;
        }
        lua_rawseti(L, 1, root);
        lua_rawseti(L, 1, child);
    }
}

static int table_sort(lua_State *L) {
    lua_Integer n = open_table(L, true);
    check_length(L, n);
    lua_settop(L, 2);
    if (!lua_isnil(L, 2))
        luaL_checktype(L, 2, LUA_TFUNCTION);
    for (lua_Integer root = n / 2; root >= 1; root--)
        sift_down(L, root, n);
    for (lua_Integer last = n; last > 1; last--) {
        lua_rawgeti(L, 1, 1);
        lua_rawgeti(L, 1, last);
        lua_rawseti(L, 1, 1);
        lua_rawseti(L, 1, last);
        sift_down(L, 1, last - 1);
    }
    return 0;
}

void script_lib_table(lua_State *L, int globals) {
    static const luaL_Reg functions[] = {
        {"insert", table_insert}, {"remove", table_remove}, {"concat", table_concat}, {"unpack", table_unpack},
        {"pack", table_pack},     {"move", table_move},     {"sort", table_sort},     {NULL, NULL}};
    luaL_newlib(L, functions);
    script_readonly(L, "table");
    lua_setfield(L, globals, "table");
}
