/* Memory and time: what a script may use, and how it ends when it wants more. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "script/vm.h"

/* Instructions between two looks at the clock. One instruction may compare or copy megabytes, so few when much memory
 * is in use or when the last stretch took long. */
#define HOOK_STEP 64
#define HOOK_STEP_CAREFUL 8
#define CAREFUL_BYTES (2u << 20)
/* Bytes asked for between two looks at the clock. */
#define ALLOC_STEP (256u << 10)
/* A denied allocation makes Lua collect everything before it tries again; a script that lives at the cap would spend
 * its time there. */
#define MAX_DENIALS 4

static void on_count(lua_State *L, lua_Debug *ar);

static bool overdue(const struct script_vm *vm) {
    return clock_mono_us() >= vm->deadline_us;
}

static void remember_where(lua_State *L, struct script_vm *vm) {
    lua_Debug ar;
    for (int level = 0; lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Sl", &ar);
        if (ar.currentline > 0 && *ar.source != '=') { /* not in a module of ours: in what called it */
            const char *source = *ar.source == '@' || *ar.source == '=' ? ar.source + 1 : ar.source;
            snprintf(vm->where, sizeof vm->where, "%s", source);
            vm->where_line = ar.currentline;
            return;
        }
    }
}

/* Says whether `extra` more bytes may be had. Lua does not call its message handler when memory is short, so the place
 * is remembered here. */
static bool allowed(struct script_vm *vm, size_t extra) {
    if (vm->fail_countdown && !--vm->fail_countdown)
        return false;
    if (vm->running) {
        vm->since_check += extra;
        if (vm->since_check > ALLOC_STEP) {
            vm->since_check = 0;
            if (vm->kill == KILL_NONE && overdue(vm)) {
                /* No error can be raised here, and to deny it would make Lua collect everything first. */
                vm->kill = KILL_TIME;
                remember_where(vm->L, vm);
                lua_sethook(vm->L, on_count, LUA_MASKCOUNT, 1);
            }
        }
        if (vm->kill == KILL_MEMORY)
            return false;
    }
    if (extra <= vm->limits.max_memory && vm->used <= vm->limits.max_memory - extra)
        return true;
    if (vm->running) {
        remember_where(vm->L, vm);
        if (++vm->denials > MAX_DENIALS)
            vm->kill = KILL_MEMORY;
    }
    return false;
}

void *script_alloc(void *arg, void *ptr, size_t old_size, size_t new_size) {
    struct script_vm *vm = arg;
    if (!ptr)
        old_size = 0; /* Lua passes the kind of object there */
    if (!new_size) {
        free(ptr);
        vm->used -= old_size;
        return NULL;
    }
    if (new_size > old_size && !allowed(vm, new_size - old_size))
        return NULL;
    void *p = realloc(ptr, new_size);
    /* Lua counts on shrinking never to fail. */
    if (!p && new_size <= old_size)
        return ptr;
    if (p)
        vm->used += new_size - old_size;
    return p;
}

/* Ends the call. A handler's coroutine is left where it stands: an error would go through each of its pcalls, which may
 * be a hundred thousand, and Lua takes longer for each the deeper it is. Elsewhere an error is raised; its value means
 * nothing: vm->kill says why, and every protected call of the sandbox looks. Returns in a hook only, which then must. */
static void die(lua_State *L) {
    if (lua_isyieldable(L)) {
        lua_yield(L, 0);
        return;
    }
    lua_pushnil(L);
    lua_error(L);
}

static void condemn(lua_State *L, struct script_vm *vm, enum script_kill why) {
    if (vm->kill == KILL_NONE) {
        vm->kill = why;
        remember_where(L, vm);
    }
    /* Whatever catches the error dies at its next instruction. */
    lua_sethook(L, on_count, LUA_MASKCOUNT, 1);
    die(L);
}

static void on_count(lua_State *L, lua_Debug *ar) {
    (void)ar;
    struct script_vm *vm = script_vm_of(L);
    uint64_t step = (uint64_t)lua_gethookcount(L);
    if (vm->kill != KILL_NONE) {
        condemn(L, vm, vm->kill);
        return;
    }
    step += vm->ticks;
    vm->ticks = 0;
    if (vm->fuel <= step) {
        condemn(L, vm, KILL_INSTRUCTIONS);
        return;
    }
    vm->fuel -= step;
    if (overdue(vm)) {
        condemn(L, vm, KILL_TIME);
        return;
    }
    if (vm->used > CAREFUL_BYTES && lua_gethookcount(L) > HOOK_STEP_CAREFUL)
        lua_sethook(L, on_count, LUA_MASKCOUNT, HOOK_STEP_CAREFUL);
}

void script_budget_begin(struct script_vm *vm) {
    vm->kill = KILL_NONE;
    vm->denials = 0;
    vm->since_check = 0;
    vm->ticks = 0;
    vm->fuel = vm->limits.max_instructions;
    vm->deadline_us = clock_mono_us() + (uint64_t)vm->limits.max_ms * 1000;
    vm->where_line = 0;
    vm->running = true;
    script_budget_arm(vm);
}

void script_budget_arm(struct script_vm *vm) {
    lua_sethook(vm->L, on_count, LUA_MASKCOUNT, vm->used > CAREFUL_BYTES ? HOOK_STEP_CAREFUL : HOOK_STEP);
}

void script_budget_end(struct script_vm *vm) {
    vm->running = false;
    lua_sethook(vm->L, NULL, 0, 0);
}

void script_charge_slow(lua_State *L, struct script_vm *vm, uint64_t n) {
    (void)n;
    if (!vm->running)
        return;
    uint64_t ticks = vm->ticks;
    vm->ticks = 0;
    if (vm->fuel <= ticks)
        condemn(L, vm, KILL_INSTRUCTIONS);
    vm->fuel -= ticks;
    if (vm->kill != KILL_NONE || overdue(vm))
        condemn(L, vm, KILL_TIME);
}

void script_die_if_killed(lua_State *L) {
    struct script_vm *vm = script_vm_of(L);
    if (vm->kill != KILL_NONE)
        condemn(L, vm, vm->kill);
}

void script_remember_where(lua_State *L) {
    remember_where(L, script_vm_of(L));
}

int script_on_error(lua_State *L) {
    struct script_vm *vm = script_vm_of(L);
    if (vm->kill == KILL_NONE)
        remember_where(L, vm);
    return 1;
}

const char *script_kill_text(const struct script_vm *vm, char *out, size_t size) {
    switch (vm->kill) {
    case KILL_INSTRUCTIONS:
        snprintf(out, size, "stopped: more than %llu instructions", (unsigned long long)vm->limits.max_instructions);
        break;
    case KILL_TIME:
        snprintf(out, size, "stopped: more than %u ms", vm->limits.max_ms);
        break;
    default:
        snprintf(out, size, "stopped: out of memory (%llu bytes for all scripts of a worker)",
                 (unsigned long long)vm->limits.max_memory);
    }
    return out;
}
