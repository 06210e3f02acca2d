/* What the program lends to scripts: the connection, time, chance, the log, base64. */
#include <string.h>
#include <strings.h>
#include <time.h>

#include <lualib.h>

#include "base/clock.h"
#include "base/log.h"
#include "protocol/text.h"
#include "script/vm.h"

/* os.date's formats; longer ones are loops that no hook sees. */
#define DATE_FORMAT_MAX 256

/* ---- connection ---- */

static const struct connection *current(lua_State *L) {
    const struct script_env *env = script_vm_of(L)->env;
    if (!env) {
        luaL_error(L, "there is no connection here");
        return NULL;
    }
    return env->connection;
}

static void push_optional(lua_State *L, const char *s) {
    if (s)
        lua_pushstring(L, s);
    else
        lua_pushnil(L);
}

static const char *const connection_fields[] = {"id",          "path",        "query", "headers",
                                                "subprotocol", "remote_addr", "state"};

/* upvalue 1: the headers' stand-in; 2: the methods */
static int connection_index(lua_State *L) {
    const struct connection *c = current(L);
    const char *field = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    if (!strcmp(field, "id"))
        lua_pushstring(L, c->id);
    else if (!strcmp(field, "state"))
        lua_rawgeti(L, LUA_REGISTRYINDEX, script_vm_of(L)->env->state_ref);
    else if (!strcmp(field, "headers"))
        lua_pushvalue(L, lua_upvalueindex(1));
    else if (!strcmp(field, "path"))
        push_optional(L, c->path);
    else if (!strcmp(field, "query"))
        push_optional(L, c->query);
    else if (!strcmp(field, "subprotocol"))
        push_optional(L, c->subprotocol);
    else if (!strcmp(field, "remote_addr"))
        push_optional(L, c->remote_addr);
    else {
        lua_pushvalue(L, 2);
        lua_rawget(L, lua_upvalueindex(2));
    }
    return 1;
}

static int connection_newindex(lua_State *L) {
    if (lua_type(L, 2) != LUA_TSTRING || strcmp(lua_tostring(L, 2), "state") != 0)
        return luaL_error(L, "of connection only state can be set");
    script_set_state(L, 3);
    return 0;
}

/* pairs over a table of what is there now; upvalue 1: the headers' stand-in */
static int connection_pairs(lua_State *L) {
    script_push_next(L);
    lua_createtable(L, 0, ARRAY_LEN(connection_fields));
    for (size_t i = 0; i < ARRAY_LEN(connection_fields); i++) {
        lua_getfield(L, 1, connection_fields[i]);
        lua_setfield(L, -2, connection_fields[i]);
    }
    lua_pushnil(L);
    return 3;
}

static int headers_index(lua_State *L) {
    const struct connection *c = current(L);
    push_optional(L, lua_type(L, 2) == LUA_TSTRING ? headers_get(&c->headers, lua_tostring(L, 2)) : NULL);
    return 1;
}

static int headers_newindex(lua_State *L) {
    return luaL_error(L, "connection.headers is read-only");
}

/* Names as they came; of a repeated one the first value, as a look-up gives. */
static int headers_pairs(lua_State *L) {
    const struct connection *c = current(L);
    script_push_next(L);
    lua_newtable(L);
    for (size_t i = c->headers.count; i-- > 0;) {
        lua_pushstring(L, c->headers.items[i].value);
        lua_setfield(L, -2, c->headers.items[i].name);
    }
    lua_pushnil(L);
    return 3;
}

static void push_object(lua_State *L, const luaL_Reg *methods, int upvalues) {
    lua_newtable(L);
    lua_createtable(L, 0, 5);
    for (int i = 0; i < upvalues; i++)
        lua_pushvalue(L, -2 - upvalues);
    luaL_setfuncs(L, methods, upvalues);
    script_mark_stand_in(L);
    lua_setmetatable(L, -2);
}

static void add_connection(lua_State *L, int globals) {
    static const luaL_Reg headers[] = {
        {"__index", headers_index}, {"__newindex", headers_newindex}, {"__pairs", headers_pairs}, {NULL, NULL}};
    static const luaL_Reg connection[] = {{"__index", connection_index},
                                          {"__newindex", connection_newindex},
                                          {"__pairs", connection_pairs},
                                          {NULL, NULL}};
    push_object(L, headers, 0);
    script_push_connection_methods(L);
    push_object(L, connection, 2);
    lua_setfield(L, globals, "connection");
    lua_pop(L, 2);
}

/* ---- time and chance ---- */

static int host_now(lua_State *L) {
    char text[CLOCK_RFC3339_LEN];
    lua_pushstring(L, clock_rfc3339(clock_wall_us(), text));
    return 1;
}

static int host_now_ms(lua_State *L) {
    lua_pushinteger(L, clock_wall_us() / 1000);
    return 1;
}

static int host_uuid(lua_State *L) {
    char text[RNG_UUID_LEN];
    lua_pushstring(L, rng_uuid(script_vm_of(L)->rng, text));
    return 1;
}

/* math.random(), (n), (m, n) */
static int host_random(lua_State *L) {
    struct rng *rng = script_vm_of(L)->rng;
    int args = lua_gettop(L);
    if (!args) {
        lua_pushnumber(L, rng_unit(rng));
        return 1;
    }
    lua_Integer low = args > 1 ? luaL_checkinteger(L, 1) : 1, high = luaL_checkinteger(L, args > 1 ? 2 : 1);
    if (args == 1 && high == 0) {
        lua_pushinteger(L, (lua_Integer)rng_u64(rng));
        return 1;
    }
    luaL_argcheck(L, low <= high, args > 1 ? 2 : 1, "interval is empty");
    lua_pushinteger(L, rng_range(rng, low, high));
    return 1;
}

static int os_time(lua_State *L) {
    if (lua_isnoneornil(L, 1)) {
        lua_pushinteger(L, clock_wall_us() / 1000000);
        return 1;
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    script_push_raw(L, 1, false);
    lua_replace(L, 1);
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 1, 1);
    return 1;
}

static int os_date(lua_State *L) {
    size_t len;
    luaL_optlstring(L, 1, "%c", &len);
    luaL_argcheck(L, len <= DATE_FORMAT_MAX, 1, "format too long");
    lua_settop(L, 2);
    if (lua_isnil(L, 2)) {
        lua_pushinteger(L, clock_wall_us() / 1000000);
        lua_replace(L, 2);
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 2, 1);
    return 1;
}

static void add_os(lua_State *L, int globals) {
    luaL_requiref(L, LUA_OSLIBNAME, luaopen_os, 0);
    int stock = lua_gettop(L);
    lua_newtable(L);
    lua_getfield(L, stock, "time");
    lua_pushcclosure(L, os_time, 1);
    lua_setfield(L, -2, "time");
    lua_getfield(L, stock, "date");
    lua_pushcclosure(L, os_date, 1);
    lua_setfield(L, -2, "date");
    lua_getfield(L, stock, "clock");
    lua_setfield(L, -2, "clock");
    script_readonly(L, "os");
    lua_setfield(L, globals, "os");
    lua_pop(L, 1);
}

static void add_math(lua_State *L, int globals) {
    luaL_requiref(L, LUA_MATHLIBNAME, luaopen_math, 0);
    lua_pushcfunction(L, host_random);
    lua_setfield(L, -2, "random");
    lua_pushnil(L);
    lua_setfield(L, -2, "randomseed");
    script_readonly(L, "math");
    lua_setfield(L, globals, "math");
}

/* ---- log ---- */

static int log_at(lua_State *L, enum log_level level) {
    static struct log_limit limit; /* one for all scripts: a storm of one must not hide behind another's name */
    unsigned suppressed;
    size_t len;
    const char *text = luaL_tolstring(L, 1, &len);
    if (level < log_get_level() || !log_allowed(&limit, &suppressed))
        return 0;
    const struct script_env *env = script_vm_of(L)->env;
    log_write(level, "script", "connection=%s text=%s suppressed=%u", env ? env->connection->id : "-",
              log_quote_n(text, len), suppressed);
    return 0;
}

static int host_log_info(lua_State *L) {
    luaL_checkany(L, 1);
    return log_at(L, LOG_INFO);
}

static int host_log_warn(lua_State *L) {
    luaL_checkany(L, 1);
    return log_at(L, LOG_WARN);
}

static int host_log_error(lua_State *L) {
    luaL_checkany(L, 1);
    return log_at(L, LOG_ERROR);
}

/* ---- base64 ---- */

static int host_base64_encode(lua_State *L) {
    size_t len;
    const char *s = luaL_checklstring(L, 1, &len);
    script_charge(L, script_vm_of(L), len / 8);
    struct buf *b = script_push_buffer(L);
    base64_append(b, s, len);
    script_push_result(L, b);
    return 1;
}

static int host_base64_decode(lua_State *L) {
    size_t len;
    const char *s = luaL_checklstring(L, 1, &len);
    script_charge(L, script_vm_of(L), len / 8);
    struct buf *b = script_push_buffer(L);
    if (base64_decode(b, s, len) == MF_EINVAL)
        return luaL_error(L, "base64.decode: not base64");
    script_push_result(L, b);
    return 1;
}

static void add_library(lua_State *L, int globals, const char *name, const luaL_Reg *functions) {
    lua_newtable(L);
    luaL_setfuncs(L, functions, 0);
    script_readonly(L, name);
    lua_setfield(L, globals, name);
}

void script_lib_host(lua_State *L, int globals) {
    static const luaL_Reg log[] = {
        {"info", host_log_info}, {"warn", host_log_warn}, {"error", host_log_error}, {NULL, NULL}};
    static const luaL_Reg base64[] = {{"encode", host_base64_encode}, {"decode", host_base64_decode}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"now", host_now}, {"now_ms", host_now_ms}, {"uuid", host_uuid}};
    for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
        lua_pushcfunction(L, functions[i].func);
        lua_setfield(L, globals, functions[i].name);
    }
    add_library(L, globals, "log", log);
    add_library(L, globals, "base64", base64);
    add_os(L, globals);
    add_math(L, globals);
    add_connection(L, globals);
}
