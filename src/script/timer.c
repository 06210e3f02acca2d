/* The functions that every() and after() keep: small numbers towards the host, references into the registry here. Each
 * environment has a chain of its own, and so have the free places. */
#include <stdlib.h>

#include "script/vm.h"

/* Timers of all connections of a worker. */
#define TIMERS_MAX (1 << 22)
#define TIMERS_FIRST 16

/* Makes more places. false: no memory. */
static bool grow(struct script_vm *vm) {
    int count = vm->timer_count ? vm->timer_count * 2 : TIMERS_FIRST;
    struct script_timer *grown = count <= TIMERS_MAX ? realloc(vm->timers, (size_t)count * sizeof *grown) : NULL;
    if (!grown)
        return false;
    for (int i = vm->timer_count; i < count; i++)
        grown[i] = (struct script_timer){.ref = LUA_NOREF, .next = i + 1 < count ? i + 2 : 0};
    vm->free_timer = vm->timer_count + 1;
    vm->timers = grown;
    vm->timer_count = count;
    return true;
}

int script_keep_timer(lua_State *L) {
    struct script_vm *vm = script_vm_of(L);
    if (!vm->free_timer && !grow(vm))
        return luaL_error(L, "not enough memory");
    int ref = luaL_ref(L, LUA_REGISTRYINDEX), number = vm->free_timer;
    struct script_timer *t = &vm->timers[number - 1];
    vm->free_timer = t->next;
    *t = (struct script_timer){.env = vm->env, .ref = ref, .next = vm->env->first_timer};
    vm->env->first_timer = number;
    return number;
}

static void give_back(struct script_vm *vm, int number) {
    struct script_timer *t = &vm->timers[number - 1];
    luaL_unref(vm->L, LUA_REGISTRYINDEX, t->ref);
    *t = (struct script_timer){.ref = LUA_NOREF, .next = vm->free_timer};
    vm->free_timer = number;
}

void script_forget_timer(struct script_vm *vm, int ref) {
    if (ref < 1 || ref > vm->timer_count || !vm->timers[ref - 1].env)
        return;
    int *link = &vm->timers[ref - 1].env->first_timer;
    while (*link != ref)
        link = &vm->timers[*link - 1].next;
    *link = vm->timers[ref - 1].next;
    give_back(vm, ref);
}

void script_timers_fini(struct script_vm *vm, struct script_env *env) {
    while (env->first_timer) {
        int number = env->first_timer;
        env->first_timer = vm->timers[number - 1].next;
        give_back(vm, number);
    }
}

void script_timers_drop(struct script_vm *vm, struct script_env *env) {
    for (int number = env->first_timer; number; number = vm->timers[number - 1].next) {
        struct script_timer *t = &vm->timers[number - 1];
        luaL_unref(vm->L, LUA_REGISTRYINDEX, t->ref);
        t->ref = LUA_NOREF;
    }
}
