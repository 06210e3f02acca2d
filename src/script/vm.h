/* Inside of the script module: the state, its cage, and what its parts share.
 *
 * Every call into Lua goes through script_protected(), so an error (memory too) never leaves this module by longjmp.
 * Functions that take a lua_State may raise a Lua error; those that do not, do not. Thread: the worker's. */
#ifndef MF_SCRIPT_VM_H
#define MF_SCRIPT_VM_H

#include <lauxlib.h>
#include <lua.h>

#include "base/list.h"
#include "protocol/json.h"
#include "script/script.h"

enum script_kill {
    KILL_NONE,
    KILL_INSTRUCTIONS,
    KILL_TIME,
    KILL_MEMORY,
};

#define SCRIPT_WHERE_LEN 256
/* As many values may one call give; more would make single instructions slow. */
#define SCRIPT_MAX_VALUES 16384

struct script_chunk {
    int ref; /* the compiled function, in the registry */
    char *name;
};

struct script_env {
    struct list in_vm;
    uint64_t number; /* of all environments of this vm; never again another's */
    const struct connection *connection;
    const struct script_host *host; /* NULL: none */
    void *host_arg;
    int state_ref; /* the `state` value, in the registry; LUA_NOREF until the first call */
    struct list tasks; /* struct script_task that wait or run */
    unsigned task_count;
    int first_timer; /* 0: none */
};

/* A handler under way: its coroutine, and what it finds again after a wait. */
struct script_task {
    struct list link; /* in its environment, or among the vm's idle ones */
    struct script_env *env;
    lua_State *co;     /* NULL: none yet, or dropped because memory was short */
    int frame_ref;     /* a table in the registry that keeps co and the globals of its event */
    bool incoming;
    bool rare;         /* its event has globals other than the message */
    const char *waits; /* the function that it waits in; NULL: it runs */
};

/* What the running call is, for errors that say where something cannot be had. */
enum script_occasion {
    OCCASION_LOADING,
    OCCASION_TRANSFORM,
    OCCASION_GUARD,
    OCCASION_HANDLER,
};

/* every() and after(): the function of one, at its number (from 1) in the vm's table. */
struct script_timer {
    struct script_env *env; /* NULL: a free place */
    int ref;
    int next; /* number of the next in its environment's chain, or of the next free one; 0: none */
};

struct script_vm {
    lua_State *L; /* the thread that runs: between calls the main one */
    struct rng *rng;
    struct script_limits limits;

    /* memory */
    size_t used;
    size_t since_check;      /* bytes asked for since the clock was last looked at */
    unsigned denials;        /* in this call: each one costs a full collection */
    uint64_t fail_countdown; /* tests: the allocation that fails, counted down; 0: none */

    /* the call that runs */
    struct list envs;
    bool running;
    enum script_kill kill;
    uint64_t fuel;        /* instructions left */
    uint64_t ticks;       /* charged by C loops since the clock was last looked at */
    uint64_t deadline_us; /* clock_mono_us() */
    struct script_env *env;
    enum script_occasion occasion;
    struct script_task *task; /* the handler that runs */
    bool rare_set;            /* params, close_code or close_reason may be there */
    char where[SCRIPT_WHERE_LEN]; /* source of the error or kill, without its line */
    int where_line;

    /* handlers */
    uint64_t env_numbers;
    struct list idle; /* struct script_task whose coroutines can be used again */
    unsigned idle_count;
    struct script_timer *timers;
    int timer_count, free_timer; /* free_timer 0: none */

    /* reused by one call after another */
    struct json_tape tape;
    const void *lazy_meta, *open_meta; /* the views' metatables */
    struct buf scratch, input;
    struct script_result outgoing; /* what is on its way to the host */
};

static inline struct script_vm *script_vm_of(lua_State *L) {
    return *(struct script_vm **)lua_getextraspace(L);
}

/* ---- cage.c: memory and budget ---- */
void *script_alloc(void *vm, void *ptr, size_t old_size, size_t new_size);
/* Begins and ends a budgeted call. */
void script_budget_begin(struct script_vm *vm);
void script_budget_end(struct script_vm *vm);
/* Hooks are each thread's own: the running call goes on in vm->L. */
void script_budget_arm(struct script_vm *vm);
/* Takes n steps from the running call, for work that Lua's instruction hook does not see. Raises when it is over. */
void script_charge_slow(lua_State *L, struct script_vm *vm, uint64_t n);
#define SCRIPT_TICKS 8192 /* steps between two looks at the clock: some 50 us of C loops */
static inline void script_charge(lua_State *L, struct script_vm *vm, uint64_t n) {
    vm->ticks += n;
    if (MF_UNLIKELY(vm->ticks >= SCRIPT_TICKS))
        script_charge_slow(L, vm, n);
}
/* Raises the kill again when the call is already condemned: after every protected call inside the sandbox. */
void script_die_if_killed(lua_State *L);
/* Notes down for script_error() which line L is at. */
void script_remember_where(lua_State *L);
/* Message handler: remembers where the error was. */
int script_on_error(lua_State *L);
const char *script_kill_text(const struct script_vm *vm, char *out, size_t size);

/* ---- vm.c ---- */
/* Runs fn(arg) protected; fn finds arg as its light userdata argument 1. A Lua status. */
int script_protected(struct script_vm *vm, lua_CFunction fn, void *arg);
/* Fills err from a Lua status and the error value on the top of the stack, which is popped. Returns its code. */
int script_error(struct script_vm *vm, int status, const char *chunk_name, struct err *err);
/* After a call that ran out of memory: collects, and when little is free even then, drops what the connection that
 * keeps most of it keeps: its state, its waiting handlers and its timers. */
void script_relieve(struct script_vm *vm);
/* Gives back what an uncommonly large message has left in the reused buffers. */
void script_vm_trim(struct script_vm *vm);
/* Tests: the nth allocation from now fails once. */
void script_vm_fail_alloc(struct script_vm *vm, uint64_t nth);

/* ---- proxy.c: read-only tables, and which tables are special ---- */
/* Replaces the table on the top by a read-only stand-in; reads, pairs and # go through, writes are errors. */
void script_readonly(lua_State *L, const char *name);
/* Marks the metatable on the top as that of a stand-in with nothing behind it but functions. */
void script_mark_stand_in(lua_State *L);
bool script_is_stand_in(lua_State *L, int index);
/* Pushes what raw access to the table at index must use: the table behind a stand-in, or the table itself, opened
 * when it is a view. `write`: a stand-in is refused. */
void script_push_raw(lua_State *L, int index, bool write);
/* Is the light userdata at index one of our own keys, which scripts never see? */
bool script_hidden_key(lua_State *L, int index);
/* lua_next() that skips hidden keys. */
int script_next(lua_State *L, int table);

/* ---- json_view.c ---- */
/* Addresses that serve as keys: of a view its document and node; of a table that json.array() made; of a metatable its
 * copy, and of that copy the original. */
extern const char script_view_doc, script_view_node, script_array_mark, script_meta_copy, script_meta_origin;

/* A parsed text that Lua owns (a userdata): its nodes, then its bytes and a NUL. */
struct json_doc {
    uint32_t node_count, len;
    struct json_node nodes[];
};
static inline const char *json_doc_text(const struct json_doc *doc) {
    return (const char *)(doc->nodes + doc->node_count);
}

void script_view_open(lua_State *L);
/* JSON null: a light userdata, so that it is true in conditions and equal only to itself. */
static inline void script_push_null(lua_State *L) {
    lua_pushlightuserdata(L, NULL);
}
/* Parses the text and pushes its value: containers as views, scalars as what they are. false: not JSON (nothing is
 * pushed, *error_at says where). A NUL must follow the text. Raises on memory. */
bool script_push_json(lua_State *L, const char *text, size_t len, size_t *error_at);
bool script_is_view(lua_State *L, int index);
/* Is it a view whose bytes are what they were? */
bool script_view_is_untouched(lua_State *L, int index);
/* Is it a view of which only touched children are real? */
bool script_view_is_lazy(lua_State *L, int index);
/* Makes a view's own level real. */
void script_view_materialise(lua_State *L, int index);
/* A view's document (borrowed: the view keeps it) and node. */
struct json_doc *script_view_origin(lua_State *L, int index, uint32_t *node);
/* Pushes the inside of a JSON string as a Lua string. */
void script_push_json_string(lua_State *L, const char *s, size_t len, bool escaped);
/* Pushes the value of a node that is no container; false, and nothing pushed: it is one. */
bool script_push_scalar(lua_State *L, const char *text, const struct json_node *n);
/* Pushes the Lua string for the name of a node. */
void script_push_name(lua_State *L, const struct json_doc *doc, const struct json_node *n);

/* ---- json_encode.c ---- */
/* Appends the value at index as JSON. Raises on what has no JSON form, on cycles and depth. */
void script_encode(lua_State *L, int index, struct buf *out);
/* Appends a string as the inside of a JSON string, or as text. Bytes that are not UTF-8 become U+FFFD. */
void script_write_text(lua_State *L, const char *s, size_t len, bool json, struct buf *out);
/* Writes the root view at index; false when its document is unchanged (then nothing was written). */
bool script_encode_changes(lua_State *L, int index, struct buf *out);

/* ---- lib_*.c: each adds its functions to the table of globals at index ---- */
void script_lib_base(lua_State *L, int globals);
void script_lib_string(lua_State *L, int globals);
void script_lib_table(lua_State *L, int globals);
void script_lib_json(lua_State *L, int globals);
void script_lib_host(lua_State *L, int globals);
void script_lib_session(lua_State *L, int globals);
void script_lib_shared(lua_State *L, int globals);
void script_lib_require(lua_State *L, int globals);
/* lib_json.c: a buffer that an error frees (a userdata, pushed), and its bytes as a string. */
struct buf *script_push_buffer(lua_State *L);
void script_push_result(lua_State *L, struct buf *b);
/* pattern.c: find, match, gmatch, gsub into the table on the top. */
void script_lib_pattern(lua_State *L);
/* The sandbox's next(). */
void script_push_next(lua_State *L);

/* lib_session.c: the table of connection.send and connection.close, which lib_host.c looks into. */
void script_push_connection_methods(lua_State *L);
/* The host of the environment of the running call. Raises "NAME is not available in a transform" where there is none or
 * the call is not a handler (or, with `reading`, not for a session). */
const struct script_host *script_host_of(lua_State *L, const char *name, bool reading, void **arg);
/* Removes the object of a call with a colon, rooms:join(x), from the arguments. */
void script_skip_self(lua_State *L);
/* A duration in ms at index; raises when it is no number from `least` to SCRIPT_MS_MAX. */
#define SCRIPT_MS_MAX 2147483647 /* 24 days */
uint64_t script_check_ms(lua_State *L, const char *name, int index, int least);
/* Raises for what a host's function gave back, unless it is MF_OK. */
void script_check_host(lua_State *L, const char *name, int rc);

/* ---- event.c: what handlers get and give ---- */
void script_event_open(lua_State *L);
/* Pushes the message of an event, or nil. */
void script_push_event_message(lua_State *L, const struct script_event *event);
/* binary(s): pushes a message object for the string at index. */
void script_push_binary(lua_State *L, int index);
/* Fills out (reset first) with the value at index as it is sent: a table or scalar as JSON, a string as text, a message
 * object as what it is. `name` is the function's, for errors. */
void script_put_outgoing(lua_State *L, int index, const char *name, struct script_result *out);

/* ---- task.c ---- */
/* Drops the coroutine of a task that waits: resumed, it says that its memory was needed. */
void script_task_drop(struct script_vm *vm, struct script_task *task);
void script_tasks_fini(struct script_vm *vm);

/* ---- timer.c ---- */
/* Keeps the function on the top of the stack, which is popped, for the current environment. Its number; raises. */
int script_keep_timer(lua_State *L);
/* All timers of an environment that ends. */
void script_timers_fini(struct script_vm *vm, struct script_env *env);
/* Drops the functions of an environment, whose numbers stay its own: what they kept is needed. */
void script_timers_drop(struct script_vm *vm, struct script_env *env);

/* ---- transform.c ---- */
/* Pushes msg as rules and transforms see it; true: it is parsed JSON. */
bool script_push_message(lua_State *L, const struct script_message *in);

/* ---- env.c: the globals that a script sees ---- */
/* Makes _ENV from the table of globals at index. */
void script_env_open(lua_State *L, int globals);
void script_push_env(lua_State *L);
/* Makes env the current one; message on the top of the stack becomes msg and message, and stays there. */
void script_env_enter(lua_State *L, struct script_env *env, bool incoming);
/* Globals that few events have: params, close_code and close_reason are set from the three values on the top, which are
 * popped. After script_env_enter(), which makes them nil. */
void script_env_set_rare(lua_State *L);
/* Keeps the event's globals in the table at index, at 2 to 5 (there must be room). */
void script_env_save(lua_State *L, int frame);
/* Sets the current connection's `state` to the value at index. */
void script_set_state(lua_State *L, int value);
/* Lets go of the state and message of the last call. Does not raise. */
void script_forget_state(struct script_vm *vm);
/* Pushes what msg is now. */
void script_push_msg(lua_State *L);

#endif
