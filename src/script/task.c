/* Handlers: one coroutine each, run in stretches. A stretch ends when the handler does, or when it waits.
 *
 * A coroutine that came to its end well is used again for another handler; one that was killed, or whose session ended
 * while it waited, is left to the collector, so that none of its code (a __close) runs any more. */
#include <stdlib.h>
#include <string.h>

#include "script/vm.h"

#define IDLE_MAX 32

/* One stretch: the first has an event, the others an answer. */
struct stretch {
    struct script_task *task;
    const struct script_chunk *chunk;
    const struct script_event *event;
    const struct script_answer *answer;
    struct script_result *result;
    bool waits;
};

/* ---- tasks and their coroutines ---- */

static struct script_task *take_task(struct script_vm *vm, struct script_env *env) {
    struct script_task *t;
    if (list_empty(&vm->idle)) {
        t = calloc(1, sizeof *t);
        if (!t)
            return NULL;
        t->frame_ref = LUA_NOREF;
    } else {
        t = container_of(vm->idle.next, struct script_task, link);
        list_remove(&t->link);
        vm->idle_count--;
    }
    t->env = env;
    t->waits = NULL;
    t->rare = false;
    list_append(&env->tasks, &t->link);
    env->task_count++;
    return t;
}

void script_task_drop(struct script_vm *vm, struct script_task *task) {
    luaL_unref(vm->L, LUA_REGISTRYINDEX, task->frame_ref);
    task->frame_ref = LUA_NOREF;
    task->co = NULL;
}

static void free_task(struct script_vm *vm, struct script_task *task) {
    script_task_drop(vm, task);
    free(task);
}

static void leave_env(struct script_task *task) {
    list_remove(&task->link);
    task->env->task_count--;
    task->env = NULL;
}

/* It is over. `again`: its coroutine is empty and well. */
static void end_task(struct script_vm *vm, struct script_task *task, bool again) {
    leave_env(task);
    if (!again || !task->co || vm->idle_count >= IDLE_MAX) {
        free_task(vm, task);
        return;
    }
    list_append(&vm->idle, &task->link);
    vm->idle_count++;
}

void script_cancel(struct script_vm *vm, struct script_task *task) {
    if (!task)
        return;
    leave_env(task);
    free_task(vm, task);
}

void script_tasks_fini(struct script_vm *vm) {
    LIST_EACH_SAFE(&vm->idle, it)
        free_task(vm, container_of(it, struct script_task, link));
    list_init(&vm->idle);
}

/* Pushes the task's frame: its coroutine at 1, and room for the globals of its event. */
static void push_frame(lua_State *L, struct script_task *task) {
    if (task->co) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, task->frame_ref);
        return;
    }
    lua_createtable(L, 5, 0);
    lua_State *co = lua_newthread(L);
    lua_rawseti(L, -2, 1);
    for (int i = 2; i <= 5; i++) {
        lua_pushboolean(L, false);
        lua_rawseti(L, -2, i);
    }
    lua_pushvalue(L, -1);
    task->frame_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    task->co = co;
}

static void clear_frame(lua_State *L, int frame) {
    for (int i = 2; i <= 5; i++) {
        lua_pushboolean(L, false);
        lua_rawseti(L, frame, i);
    }
}

/* ---- the globals of a stretch ---- */

static void push_params(lua_State *L, const struct script_event *event) {
    struct script_vm *vm = script_vm_of(L);
    size_t error_at;
    if (!event->params) {
        lua_pushnil(L);
        return;
    }
    buf_reset(&vm->input);
    buf_append(&vm->input, event->params, event->params_len);
    if (!script_push_json(L, buf_cstr(&vm->input), event->params_len, &error_at))
        luaL_error(L, "params are not JSON");
}

static void enter_event(lua_State *L, struct script_env *env, const struct script_event *event, bool incoming) {
    bool close = event->kind == SCRIPT_CLOSE;
    script_push_event_message(L, event);
    script_env_enter(L, env, incoming);
    lua_pop(L, 1);
    if (!close && !event->params)
        return;
    push_params(L, event);
    if (close) {
        lua_pushinteger(L, event->close_code);
        lua_pushstring(L, event->close_reason ? event->close_reason : "");
    } else {
        lua_pushnil(L);
        lua_pushnil(L);
    }
    script_env_set_rare(L);
}

static void enter_again(lua_State *L, const struct script_task *task, int frame) {
    lua_rawgeti(L, frame, 2);
    script_env_enter(L, task->env, task->incoming);
    lua_pop(L, 1);
    if (!task->rare)
        return;
    for (int i = 3; i <= 5; i++)
        lua_rawgeti(L, frame, i);
    script_env_set_rare(L);
}

/* ---- what the coroutine begins or goes on with ---- */

static void push_function(lua_State *L, const struct stretch *s) {
    struct script_vm *vm = script_vm_of(L);
    int ref = s->event->timer_ref;
    if (s->chunk) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, s->chunk->ref);
        return;
    }
    if (ref < 1 || ref > vm->timer_count || vm->timers[ref - 1].env != s->task->env)
        luaL_error(L, "there is no such timer");
    if (lua_rawgeti(L, LUA_REGISTRYINDEX, vm->timers[ref - 1].ref) != LUA_TFUNCTION)
        luaL_error(L, "stopped: the memory of this timer was needed for other connections");
}

/* Pushes what a wait gives back: an error's text or nil, and a value. */
static void push_answer(lua_State *L, const struct script_answer *answer) {
    struct script_vm *vm = script_vm_of(L);
    size_t error_at;
    if (answer->error)
        lua_pushstring(L, answer->error);
    else
        lua_pushnil(L);
    if (answer->error || !answer->json) {
        lua_pushnil(L);
        return;
    }
    buf_reset(&vm->input);
    buf_append(&vm->input, answer->json, answer->json_len);
    if (script_push_json(L, buf_cstr(&vm->input), answer->json_len, &error_at))
        return;
    lua_pop(L, 1);
    lua_pushliteral(L, "the stored value is not JSON");
    lua_pushnil(L);
}

/* Sets the globals up and puts what is needed on the coroutine's stack. The number of arguments. */
static int prepare(lua_State *L, const struct stretch *s, int frame) {
    struct script_task *task = s->task;
    if (s->event) {
        task->incoming = !s->event->message || s->event->message->incoming;
        enter_event(L, task->env, s->event, task->incoming);
        push_function(L, s);
        lua_xmove(L, task->co, 1);
        return 0;
    }
    enter_again(L, task, frame);
    push_answer(L, s->answer);
    lua_xmove(L, task->co, 2);
    return 2;
}

/* ---- the stretch itself ---- */

/* The coroutine ended with an error: unwinds it and raises the same in L. A kill unwinds nothing. */
static int fail(lua_State *L, lua_State *co) {
    struct script_vm *vm = script_vm_of(L);
    if (vm->kill == KILL_NONE) {
        if (lua_status(co) != LUA_ERRMEM) /* else the allocator has noted it down */
            script_remember_where(co);
        vm->L = co; /* what is to be closed may run code */
        lua_resetthread(co);
        vm->L = L;
    }
    if (vm->kill == KILL_NONE)
        lua_xmove(co, L, 1);
    else
        lua_pushnil(L);
    return lua_error(L);
}

static void take_result(lua_State *L, lua_State *co, int results, struct script_result *result) {
    if (results && !lua_isnil(co, -results)) {
        lua_pushvalue(co, -results);
        lua_xmove(co, L, 1);
        lua_settop(co, 0);
        script_put_outgoing(L, -1, "return", result);
    }
    lua_settop(co, 0);
}

static int run(lua_State *L) {
    struct stretch *s = lua_touserdata(L, 1);
    struct script_vm *vm = script_vm_of(L);
    int results;
    push_frame(L, s->task);
    int frame = lua_gettop(L), args = prepare(L, s, frame);
    lua_State *co = s->task->co;
    s->task->waits = NULL;
    vm->L = co;
    vm->task = s->task;
    script_budget_arm(vm);
    int status = lua_resume(co, L, args, &results);
    vm->L = L;
    if (vm->kill != KILL_NONE || status > LUA_YIELD)
        return fail(L, co);
    if (status == LUA_YIELD) {
        lua_pop(co, results);
        s->task->rare = vm->rare_set;
        script_env_save(L, frame);
        s->waits = true;
        return 0;
    }
    vm->task = NULL;
    take_result(L, co, results, s->result);
    if (!s->event)
        clear_frame(L, frame);
    return 0;
}

static enum script_progress stretch(struct script_vm *vm, struct stretch *s, const char *name, struct err *err) {
    struct script_task *task = s->task;
    s->result->any = s->result->is_json = s->result->binary = false;
    buf_reset(&s->result->data);
    vm->occasion = OCCASION_HANDLER;
    script_budget_begin(vm);
    int status = script_protected(vm, run, s);
    script_budget_end(vm);
    bool failed = status != LUA_OK || vm->kill != KILL_NONE;
    bool well = vm->kill == KILL_NONE && status != LUA_ERRMEM;
    if (failed) {
        s->result->any = false;
        buf_reset(&s->result->data);
        if (well && task->co && s->event)
            lua_settop(task->co, 0); /* not yet started, or unwound */
        script_error(vm, status, name, err);
    }
    vm->task = NULL;
    vm->env = NULL;
    if (failed || !s->waits)
        end_task(vm, task, well && (!failed || s->event));
    if (failed)
        script_relieve(vm);
    script_vm_trim(vm);
    return failed ? SCRIPT_FAILED : s->waits ? SCRIPT_WAITING : SCRIPT_DONE;
}

enum script_progress script_start(struct script_vm *vm, struct script_env *env, struct script_chunk *chunk,
                                  const struct script_event *event, struct script_result *result,
                                  struct script_task **task, struct err *err) {
    struct stretch s = {.task = take_task(vm, env), .chunk = chunk, .event = event, .result = result};
    *task = NULL;
    if (!s.task) {
        err_set(err, MF_ENOMEM, "out of memory");
        return SCRIPT_FAILED;
    }
    enum script_progress progress = stretch(vm, &s, chunk ? chunk->name : "timer", err);
    if (progress == SCRIPT_WAITING)
        *task = s.task;
    return progress;
}

enum script_progress script_resume(struct script_vm *vm, struct script_task *task, const struct script_answer *answer,
                                   struct script_result *result, struct err *err) {
    struct stretch s = {.task = task, .answer = answer, .result = result};
    if (task->co)
        return stretch(vm, &s, task->waits, err);
    result->any = false;
    buf_reset(&result->data);
    err_set(err, MF_ELIMIT, "stopped in %s: the memory of this handler was needed for other connections",
            task->waits);
    end_task(vm, task, false);
    return SCRIPT_FAILED;
}

/* ---- guards ---- */

struct test {
    const struct script_chunk *chunk;
    struct script_env *env;
    const struct script_event *event;
    bool yes;
};

static int test(lua_State *L) {
    struct test *t = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, t->chunk->ref);
    enter_event(L, t->env, t->event, !t->event->message || t->event->message->incoming);
    lua_call(L, 0, 1);
    t->yes = lua_toboolean(L, -1);
    return 0;
}

enum script_progress script_test(struct script_vm *vm, struct script_env *env, struct script_chunk *chunk,
                                 const struct script_event *event, bool *out, struct err *err) {
    struct test t = {.chunk = chunk, .env = env, .event = event};
    vm->occasion = OCCASION_GUARD;
    script_budget_begin(vm);
    int status = script_protected(vm, test, &t);
    script_budget_end(vm);
    bool failed = status != LUA_OK || vm->kill != KILL_NONE;
    if (failed)
        script_error(vm, status, chunk->name, err);
    vm->env = NULL;
    if (failed)
        script_relieve(vm);
    script_vm_trim(vm);
    *out = !failed && t.yes;
    return failed ? SCRIPT_FAILED : SCRIPT_DONE;
}
