/* What a handler waits for: sleep(), and shared state, which is elsewhere. The host is asked, the coroutine yields, and
 * script_resume() brings the answer. */
#include <string.h>

#include "script/vm.h"

/* Handlers of one connection that wait at a time: its messages come one after the other, so these are timers'. */
#define WAITING_MAX 128

/* The answer is on the top: an error's text or nil, and a value. The context is the function's name. */
static int after_wait(lua_State *L, int status, lua_KContext context) {
    (void)status;
    if (lua_type(L, -2) == LUA_TSTRING)
        return luaL_error(L, "%s: %s", (const char *)context, lua_tostring(L, -2));
    return 1;
}

static void check_wait(lua_State *L, const char *name) {
    const struct script_vm *vm = script_vm_of(L);
    if (!lua_isyieldable(L))
        luaL_error(L, "%s cannot wait inside a function that the program calls (sort, gsub, __tostring, __close)", name);
    if (vm->env->task_count > WAITING_MAX)
        luaL_error(L, "%s: more than %d handlers of this connection wait", name, WAITING_MAX);
}

static int wait_for_answer(lua_State *L, const char *name) {
    script_vm_of(L)->task->waits = name;
    return lua_yieldk(L, 0, (lua_KContext)name, after_wait);
}

static int wait_sleep(lua_State *L) {
    void *arg;
    struct err err;
    const struct script_host *host = script_host_of(L, "sleep", false, &arg);
    uint64_t ms = script_check_ms(L, "sleep", 1, 0);
    check_wait(L, "sleep");
    if (host->sleep(arg, ms, &err) < 0)
        return luaL_error(L, "sleep: %s", err.text);
    return wait_for_answer(L, "sleep");
}

/* ---- shared.* ---- */

static const char *const names[] = {
    [SHARED_GET] = "shared.get",   [SHARED_SET] = "shared.set", [SHARED_INCR] = "shared.incr",
    [SHARED_DECR] = "shared.decr", [SHARED_DEL] = "shared.del", [SHARED_EXPIRE] = "shared.expire",
};

/* Fills the request's own arguments from 2 on. */
static void read_arguments(lua_State *L, const char *name, struct script_shared_request *r) {
    struct buf *value = &script_vm_of(L)->outgoing.data;
    switch (r->op) {
    case SHARED_SET:
        if (lua_isnoneornil(L, 2))
            luaL_error(L, "%s: a value is needed; shared.del removes a key", name);
        buf_reset(value);
        script_encode(L, 2, value);
        if (value->failed)
            luaL_error(L, "not enough memory");
        r->value = (const char *)value->data;
        r->value_len = value->len;
        r->expire_ms = lua_isnoneornil(L, 3) ? 0 : script_check_ms(L, name, 3, 1);
        break;
    case SHARED_INCR:
    case SHARED_DECR:
        r->by = luaL_optinteger(L, 2, 1);
        break;
    case SHARED_EXPIRE:
        r->expire_ms = script_check_ms(L, name, 2, 1);
        break;
    case SHARED_GET:
    case SHARED_DEL:
        break;
    }
}

static int ask(lua_State *L, enum script_shared_op op) {
    void *arg;
    struct err err;
    const char *name = names[op];
    script_skip_self(L);
    const struct script_host *host = script_host_of(L, name, false, &arg);
    if (lua_type(L, 1) != LUA_TSTRING && !lua_isinteger(L, 1))
        return luaL_error(L, "%s: the key must be a string, not %s", name,
                          lua_isnoneornil(L, 1) ? "nil" : luaL_typename(L, 1));
    struct script_shared_request r = {.op = op};
    r.key = lua_tolstring(L, 1, &r.key_len);
    if (!r.key_len)
        return luaL_error(L, "%s: the key is empty", name);
    read_arguments(L, name, &r);
    check_wait(L, name);
    if (host->shared(arg, &r, &err) < 0)
        return luaL_error(L, "%s: %s", name, err.text);
    return wait_for_answer(L, name);
}

static int shared_get(lua_State *L) {
    return ask(L, SHARED_GET);
}

static int shared_set(lua_State *L) {
    return ask(L, SHARED_SET);
}

static int shared_incr(lua_State *L) {
    return ask(L, SHARED_INCR);
}

static int shared_decr(lua_State *L) {
    return ask(L, SHARED_DECR);
}

static int shared_del(lua_State *L) {
    return ask(L, SHARED_DEL);
}

static int shared_expire(lua_State *L) {
    return ask(L, SHARED_EXPIRE);
}

void script_lib_shared(lua_State *L, int globals) {
    static const luaL_Reg shared[] = {{"get", shared_get},   {"set", shared_set}, {"incr", shared_incr},
                                      {"decr", shared_decr}, {"del", shared_del}, {"expire", shared_expire},
                                      {NULL, NULL}};
    luaL_newlib(L, shared);
    script_readonly(L, "shared");
    lua_setfield(L, globals, "shared");
    lua_pushcfunction(L, wait_sleep);
    lua_setfield(L, globals, "sleep");
}
