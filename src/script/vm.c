/* The state: making it, compiling into it, environments, and how its errors become struct err. */
#include "script/vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* What the buffers that calls reuse may keep between them. */
#define TRIM_BYTES (256u << 10)
#define TRIM_NODES 16384u

static int on_panic(lua_State *L) {
    (void)L;
    must_failed("a Lua error outside a protected call", __FILE__, __LINE__);
}

int script_protected(struct script_vm *vm, lua_CFunction fn, void *arg) {
    lua_State *L = vm->L;
    lua_settop(L, 0);
    lua_pushcfunction(L, script_on_error);
    lua_pushcfunction(L, fn);
    lua_pushlightuserdata(L, arg);
    int status = lua_pcall(L, 1, 0, 1);
    if (status == LUA_OK)
        lua_settop(L, 0);
    return status;
}

void script_vm_fail_alloc(struct script_vm *vm, uint64_t nth) {
    vm->fail_countdown = nth;
}

size_t script_vm_memory(const struct script_vm *vm) {
    return vm->used;
}

static int populate(lua_State *L) {
    lua_newtable(L);
    int globals = lua_gettop(L);
    script_view_open(L);
    script_lib_base(L, globals);
    script_lib_table(L, globals);
    script_lib_string(L, globals);
    script_lib_json(L, globals);
    script_event_open(L);
    script_lib_session(L, globals);
    script_lib_host(L, globals);
    script_lib_shared(L, globals);
    script_lib_require(L, globals);
    script_env_open(L, globals);
    return 0;
}

int script_vm_new(const struct script_limits *limits, struct rng *rng, struct script_vm **out, struct err *err) {
    struct script_vm *vm = calloc(1, sizeof *vm);
    if (!vm)
        return err_set(err, MF_ENOMEM, "out of memory");
    vm->limits = *limits;
    vm->rng = rng;
    list_init(&vm->envs);
    list_init(&vm->idle);
    uint64_t nodes = limits->max_memory / sizeof(struct json_node);
    vm->tape.max = nodes < UINT32_MAX ? (uint32_t)nodes : UINT32_MAX - 1;
    vm->L = lua_newstate(script_alloc, vm);
    if (!vm->L) {
        free(vm);
        return err_set(err, MF_ENOMEM, "not enough memory for a Lua state");
    }
    lua_atpanic(vm->L, on_panic);
    *(struct script_vm **)lua_getextraspace(vm->L) = vm;
    int status = script_protected(vm, populate, NULL);
    if (status != LUA_OK) {
        int code = script_error(vm, status, "lua", err);
        script_vm_free(vm);
        return code;
    }
    *out = vm;
    return MF_OK;
}

void script_vm_free(struct script_vm *vm) {
    if (!vm)
        return;
    script_tasks_fini(vm);
    lua_close(vm->L);
    free(vm->timers);
    json_tape_fini(&vm->tape);
    buf_fini(&vm->scratch);
    buf_fini(&vm->input);
    buf_fini(&vm->outgoing.data);
    free(vm);
}

void script_vm_trim(struct script_vm *vm) {
    if (vm->tape.cap > TRIM_NODES)
        json_tape_fini(&vm->tape);
    if (vm->scratch.cap > TRIM_BYTES)
        buf_fini(&vm->scratch);
    if (vm->input.cap > TRIM_BYTES)
        buf_fini(&vm->input);
    if (vm->outgoing.data.cap > TRIM_BYTES)
        buf_fini(&vm->outgoing.data);
}

/* ---- errors ---- */

/* Cuts "name:12: " off the front of a Lua message. Long names are shown by Lua as "...tail". */
static const char *strip_place(const char *text, const char *name, int *line) {
    size_t len = strlen(name);
    const char *p;
    if (!strncmp(text, name, len) && text[len] == ':')
        p = text + len + 1;
    else if (!strncmp(text, "...", 3) && (p = strchr(text, ':')))
        p++;
    else
        return text;
    char *end;
    long n = strtol(p, &end, 10);
    if (end == p || end[0] != ':' || end[1] != ' ')
        return text;
    *line = (int)n;
    return end + 2;
}

int script_error(struct script_vm *vm, int status, const char *chunk_name, struct err *err) {
    lua_State *L = vm->L;
    char text[sizeof err->text];
    const char *file = vm->where_line ? vm->where : chunk_name;
    int line = vm->where_line;
    /* Lua's string buffers say it with an ordinary error. */
    bool memory =
        status == LUA_ERRMEM || (lua_type(L, -1) == LUA_TSTRING && !strcmp(lua_tostring(L, -1), "not enough memory"));
    enum mf_err code = memory ? MF_ENOMEM : MF_EINVAL;
    if (vm->kill != KILL_NONE) {
        script_kill_text(vm, text, sizeof text);
        code = MF_ELIMIT;
    } else if (memory) {
        vm->kill = KILL_MEMORY;
        script_kill_text(vm, text, sizeof text);
        vm->kill = KILL_NONE;
    } else if (lua_type(L, -1) == LUA_TSTRING) {
        snprintf(text, sizeof text, "%s", strip_place(lua_tostring(L, -1), file, &line));
    } else {
        snprintf(text, sizeof text, "the error value is a %s, not a string", luaL_typename(L, -1));
    }
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = ' ';
    lua_settop(L, 0);
    return err_set_at(err, code, file, line, 0, "%s", text);
}

/* ---- environments ---- */

int script_env_new(struct script_vm *vm, const struct connection *connection, struct script_env **out) {
    /* The state table is made by the first call, so that a connection without messages costs nothing in Lua. */
    struct script_env *env = calloc(1, sizeof *env);
    if (!env)
        return MF_ENOMEM;
    env->connection = connection;
    env->state_ref = LUA_NOREF;
    env->number = ++vm->env_numbers;
    list_init(&env->tasks);
    list_append(&vm->envs, &env->in_vm);
    *out = env;
    return MF_OK;
}

void script_env_free(struct script_vm *vm, struct script_env *env) {
    if (!env)
        return;
    LIST_EACH_SAFE(&env->tasks, it)
        script_cancel(vm, container_of(it, struct script_task, link));
    script_timers_fini(vm, env);
    luaL_unref(vm->L, LUA_REGISTRYINDEX, env->state_ref);
    list_remove(&env->in_vm);
    free(env);
}

/* ---- when memory is short ---- */

/* How far a state is looked into. The estimate only has to find the largest. */
#define ESTIMATE_DEPTH 60
#define ESTIMATE_VALUES 100000

static size_t estimate(lua_State *L, int depth, unsigned *left);

/* What a handler that waits keeps in its locals. */
static size_t estimate_thread(lua_State *L, lua_State *co, int depth, unsigned *left) {
    lua_Debug ar;
    size_t bytes = 1024;
    for (int level = 0; *left && lua_getstack(co, level, &ar); level++)
        for (int i = 1; depth && lua_checkstack(co, 2) && lua_getlocal(co, &ar, i); i++) {
            lua_xmove(co, L, 1);
            bytes += estimate(L, depth - 1, left);
            lua_pop(L, 1);
        }
    return bytes;
}

/* Bytes that hang on the value on the top of the stack, about. Allocates nothing but stack. */
static size_t estimate(lua_State *L, int depth, unsigned *left) {
    size_t bytes = sizeof(void *) * 2;
    if (!*left || !lua_checkstack(L, 4))
        return bytes;
    --*left;
    switch (lua_type(L, -1)) {
    case LUA_TSTRING:
    case LUA_TUSERDATA:
        return bytes + lua_rawlen(L, -1);
    case LUA_TFUNCTION:
        for (int i = 1; depth && lua_getupvalue(L, -1, i); i++) {
            bytes += estimate(L, depth - 1, left);
            lua_pop(L, 1);
        }
        return bytes;
    case LUA_TTABLE:
        for (lua_pushnil(L); depth && lua_next(L, -2); lua_pop(L, 1))
            bytes += estimate(L, depth - 1, left) + 40;
        if (!depth)
            lua_pop(L, 1);
        return bytes + 56;
    case LUA_TTHREAD:
        return bytes + estimate_thread(L, lua_tothread(L, -1), depth, left);
    default:
        return bytes;
    }
}

static size_t estimate_ref(lua_State *L, int ref, unsigned *left) {
    if (ref == LUA_NOREF)
        return 0;
    lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
    size_t bytes = estimate(L, ESTIMATE_DEPTH, left);
    lua_pop(L, 1);
    return bytes;
}

/* What a connection keeps: its state, its waiting handlers, its timers. */
static size_t estimate_env(struct script_vm *vm, const struct script_env *env) {
    unsigned left = ESTIMATE_VALUES;
    size_t bytes = estimate_ref(vm->L, env->state_ref, &left);
    for (const struct list *l = env->tasks.next; l != &env->tasks; l = l->next)
        bytes += estimate_ref(vm->L, container_of(l, const struct script_task, link)->frame_ref, &left);
    for (int n = env->first_timer; n; n = vm->timers[n - 1].next)
        bytes += estimate_ref(vm->L, vm->timers[n - 1].ref, &left);
    return bytes;
}

static void drop_kept(struct script_vm *vm, struct script_env *env) {
    luaL_unref(vm->L, LUA_REGISTRYINDEX, env->state_ref);
    env->state_ref = LUA_NOREF;
    for (struct list *l = env->tasks.next; l != &env->tasks; l = l->next)
        script_task_drop(vm, container_of(l, struct script_task, link));
    script_timers_drop(vm, env);
}

void script_relieve(struct script_vm *vm) {
    if (!vm->denials || vm->used < vm->limits.max_memory / 4 * 3)
        return;
    lua_State *L = vm->L;
    lua_gc(L, LUA_GCCOLLECT);
    if (vm->used < vm->limits.max_memory / 2)
        return;
    struct script_env *largest = NULL;
    size_t most = vm->limits.max_memory / 16; /* a smaller one would not help */
    for (struct list *l = vm->envs.next; l != &vm->envs; l = l->next) {
        struct script_env *env = container_of(l, struct script_env, in_vm);
        size_t bytes = estimate_env(vm, env);
        if (bytes > most) {
            most = bytes;
            largest = env;
        }
    }
    if (!largest)
        return;
    log_warn("script_state_dropped", "connection=%s bytes=%zu reason=\"the scripts of this worker are out of memory\"",
             largest->connection->id, most);
    drop_kept(vm, largest);
    script_forget_state(vm);
    lua_gc(L, LUA_GCCOLLECT);
}
