/* What a handler does to its session and to others: connection.send and close, rooms, broadcast, template, timers. */
#include <math.h>
#include <string.h>

#include "protocol/frame.h"
#include "protocol/utf8.h"
#include "script/vm.h"
#include "template/template.h"

#define ROOM_NAME_MAX 256 /* bytes, of a route in broadcast() as well */
#define CLOSE_REASON_MAX 123 /* RFC 6455 section 5.5: 125 with the code */

static const char methods_key; /* in the registry */

/* ---- the host ---- */

static const char *occasion_text(const struct script_vm *vm) {
    if (!vm->env || vm->occasion == OCCASION_LOADING)
        return "while a file is loaded";
    if (vm->occasion == OCCASION_TRANSFORM)
        return "in a transform";
    return vm->occasion == OCCASION_GUARD ? "in a guard" : "here";
}

const struct script_host *script_host_of(lua_State *L, const char *name, bool reading, void **arg) {
    struct script_vm *vm = script_vm_of(L);
    const struct script_env *env = vm->env;
    *arg = env ? env->host_arg : NULL;
    if (!env || !env->host || (!reading && !vm->task)) {
        luaL_error(L, "%s is not available %s", name, occasion_text(vm));
        return NULL;
    }
    return env->host;
}

void script_skip_self(lua_State *L) {
    if (lua_istable(L, 1) && script_is_stand_in(L, 1))
        lua_remove(L, 1);
}

void script_check_host(lua_State *L, const char *name, int rc) {
    if (rc == MF_ENOMEM)
        luaL_error(L, "not enough memory");
    if (rc < 0)
        luaL_error(L, "%s: too many, or too much at once", name);
}

uint64_t script_check_ms(lua_State *L, const char *name, int index, int least) {
    lua_Number ms = lua_type(L, index) == LUA_TNUMBER ? lua_tonumber(L, index) : NAN;
    if (!(ms >= least && ms <= SCRIPT_MS_MAX))
        luaL_error(L, "%s: a time from %d to %d ms is needed, not %s", name, least, SCRIPT_MS_MAX,
                   luaL_tolstring(L, index, NULL));
    return (uint64_t)llround(ms);
}

/* ---- connection ---- */

static int session_send(lua_State *L) {
    void *arg;
    script_skip_self(L);
    const struct script_host *host = script_host_of(L, "connection.send", false, &arg);
    struct script_result *out = &script_vm_of(L)->outgoing;
    script_put_outgoing(L, 1, "connection.send", out);
    script_check_host(L, "connection.send", host->send(arg, out->binary, out->data.data, out->data.len));
    return 0;
}

/* close(), close(code), close(code, reason) */
static int session_close(lua_State *L) {
    void *arg;
    size_t len = 0;
    script_skip_self(L);
    const struct script_host *host = script_host_of(L, "connection.close", false, &arg);
    lua_Integer code = luaL_optinteger(L, 1, WS_CLOSE_NORMAL);
    const char *reason = luaL_optlstring(L, 2, "", &len);
    if (code < 0 || code > 4999 || !ws_close_code_valid((unsigned)code))
        return luaL_error(L, "connection.close: %I is no close code that may be sent (1000 to 1003, 1007 to 1014, 3000 to 4999)",
                          code);
    if (len > CLOSE_REASON_MAX || !utf8_valid(reason, len))
        return luaL_error(L, "connection.close: the reason must be UTF-8 text of %d bytes at most", CLOSE_REASON_MAX);
    script_check_host(L, "connection.close", host->close(arg, (unsigned)code, reason, len));
    return 0;
}

void script_push_connection_methods(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &methods_key);
}

static void open_methods(lua_State *L) {
    static const luaL_Reg methods[] = {{"send", session_send}, {"close", session_close}, {NULL, NULL}};
    luaL_newlib(L, methods);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &methods_key);
}

/* ---- rooms and broadcast ---- */

static const char *check_name(lua_State *L, const char *function, const char *what, size_t *len) {
    if (lua_type(L, 1) != LUA_TSTRING && !lua_isinteger(L, 1))
        luaL_error(L, "%s: the %s must be a string, not %s", function, what,
                   lua_isnoneornil(L, 1) ? "nil" : luaL_typename(L, 1));
    const char *name = lua_tolstring(L, 1, len);
    if (!*len || *len > ROOM_NAME_MAX)
        luaL_error(L, "%s: the %s must have 1 to %d bytes, not %d", function, what, ROOM_NAME_MAX,
                   (int)MIN(*len, 1u << 30));
    return name;
}

static int rooms_join(lua_State *L) {
    void *arg;
    size_t len;
    script_skip_self(L);
    const struct script_host *host = script_host_of(L, "rooms.join", false, &arg);
    const char *room = check_name(L, "rooms.join", "room", &len);
    script_check_host(L, "rooms.join", host->join(arg, room, len));
    return 0;
}

static int rooms_leave(lua_State *L) {
    void *arg;
    size_t len;
    script_skip_self(L);
    const struct script_host *host = script_host_of(L, "rooms.leave", false, &arg);
    const char *room = check_name(L, "rooms.leave", "room", &len);
    script_check_host(L, "rooms.leave", host->leave(arg, room, len));
    return 0;
}

/* Runs inside the host, so it must not raise. */
static void add_member(void *to, const char *id) {
    buf_append(to, id, strlen(id) + 1);
}

static int rooms_members(lua_State *L) {
    void *arg;
    size_t len;
    struct script_vm *vm = script_vm_of(L);
    script_skip_self(L);
    const struct script_host *host = script_host_of(L, "rooms.members", true, &arg);
    const char *room = check_name(L, "rooms.members", "room", &len);
    struct buf *ids = &vm->outgoing.data;
    buf_reset(ids);
    host->members(arg, room, len, add_member, ids);
    if (ids->failed)
        return luaL_error(L, "not enough memory");
    lua_newtable(L);
    lua_Integer n = 0;
    for (size_t at = 0; at < ids->len; at += strlen((const char *)ids->data + at) + 1) {
        script_charge(L, vm, 4);
        lua_pushstring(L, (const char *)ids->data + at);
        lua_rawseti(L, -2, ++n);
    }
    lua_pushboolean(L, true); /* nobody is [] */
    lua_rawsetp(L, -2, &script_array_mark);
    return 1;
}

static int session_broadcast(lua_State *L) {
    void *arg;
    size_t len;
    const struct script_host *host = script_host_of(L, "broadcast", false, &arg);
    const char *target = check_name(L, "broadcast", "room or route", &len);
    struct script_result *out = &script_vm_of(L)->outgoing;
    script_put_outgoing(L, 2, "broadcast", out);
    script_check_host(L, "broadcast", host->broadcast(arg, target, len, out->binary, out->data.data, out->data.len));
    return 0;
}

/* ---- template, binary ---- */

/* A relay's transforms have no host: all but what only the gateway knows is there. */
static int render(struct script_vm *vm, const char *text, struct buf *out, struct err *err) {
    const struct script_env *env = vm->env;
    const struct template_context ctx = {.connection = env ? env->connection : NULL, .rng = vm->rng};
    struct template *t;
    if (env && env->host)
        return env->host->render(env->host_arg, text, out, err);
    if (strstr(text, "connection_count"))
        return err_set(err, MF_EINVAL, "connection_count is not available %s", occasion_text(vm));
    int rc = template_compile(text, &t, err);
    if (rc < 0)
        return rc;
    rc = template_render(t, &ctx, out);
    template_free(t);
    return rc < 0 ? err_set(err, (enum mf_err)rc, "the text is too long") : MF_OK;
}

static int session_template(lua_State *L) {
    size_t len;
    struct err err;
    const char *text = luaL_checklstring(L, 1, &len);
    if (strlen(text) != len)
        return luaL_error(L, "template: the text holds a NUL");
    script_charge(L, script_vm_of(L), len);
    struct buf *out = &script_vm_of(L)->outgoing.data;
    buf_reset(out);
    if (render(script_vm_of(L), text, out, &err) < 0)
        return luaL_error(L, "template: %s", err.text);
    if (out->failed)
        return luaL_error(L, "not enough memory");
    lua_pushlstring(L, out->len ? (const char *)out->data : "", out->len);
    return 1;
}

static int session_binary(lua_State *L) {
    luaL_checktype(L, 1, LUA_TSTRING);
    script_push_binary(L, 1);
    return 1;
}

/* ---- timers ---- */

/* Upvalues: the timer's number, and its environment's. Of another connection, or long over: nothing happens. */
static int timer_cancel(lua_State *L) {
    void *arg;
    const struct script_host *host = script_host_of(L, "cancel", false, &arg);
    if ((uint64_t)lua_tointeger(L, lua_upvalueindex(2)) == script_vm_of(L)->env->number)
        host->cancel_timer(arg, (int)lua_tointeger(L, lua_upvalueindex(1)));
    return 0;
}

static int start_timer(lua_State *L, const char *name, int least, bool repeat) {
    void *arg;
    struct script_vm *vm = script_vm_of(L);
    const struct script_host *host = script_host_of(L, name, false, &arg);
    uint64_t ms = script_check_ms(L, name, 1, least);
    if (lua_type(L, 2) != LUA_TFUNCTION)
        return luaL_error(L, "%s: a function is needed, not %s", name, luaL_typename(L, 2));
    lua_settop(L, 2);
    int ref = script_keep_timer(L);
    int number = host->timer(arg, ref, ms, repeat);
    if (number < 0)
        script_forget_timer(vm, ref);
    if (number == MF_ELIMIT)
        return luaL_error(L, "%s: this connection has too many timers", name);
    script_check_host(L, name, number);
    lua_createtable(L, 0, 1);
    lua_pushinteger(L, number);
    lua_pushinteger(L, (lua_Integer)vm->env->number);
    lua_pushcclosure(L, timer_cancel, 2);
    lua_setfield(L, -2, "cancel");
    return 1;
}

static int session_every(lua_State *L) {
    return start_timer(L, "every", 1, true);
}

static int session_after(lua_State *L) {
    return start_timer(L, "after", 0, false);
}

void script_lib_session(lua_State *L, int globals) {
    static const luaL_Reg rooms[] = {
        {"join", rooms_join}, {"leave", rooms_leave}, {"members", rooms_members}, {NULL, NULL}};
    static const luaL_Reg functions[] = {
        {"broadcast", session_broadcast}, {"template", session_template}, {"binary", session_binary},
        {"every", session_every},         {"after", session_after},
    };
    open_methods(L);
    luaL_newlib(L, rooms);
    script_readonly(L, "rooms");
    lua_setfield(L, globals, "rooms");
    for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
        lua_pushcfunction(L, functions[i].func);
        lua_setfield(L, globals, functions[i].name);
    }
}
