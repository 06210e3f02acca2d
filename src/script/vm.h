/* Inside of the script module: the state, its cage, and what its parts share.
 *
 * Every call into Lua goes through script_protected(), so an error (memory too) never leaves this module by longjmp.
 * Functions that take a lua_State may raise a Lua error; those that do not, do not. Thread: the worker's. */
#ifndef MF_SCRIPT_VM_H
#define MF_SCRIPT_VM_H

#include <lauxlib.h>
#include <lua.h>

#include "base/list.h"
#include "script/json_doc.h"
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
    const struct connection *connection;
    int state_ref; /* the `state` value, in the registry; LUA_NOREF until the first call */
};

struct script_vm {
    lua_State *L;
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
    char where[SCRIPT_WHERE_LEN]; /* source of the error or kill, without its line */
    int where_line;

    /* reused by one call after another */
    struct json_tape tape;
    const void *lazy_meta, *open_meta; /* the views' metatables */
    struct buf scratch, input;
};

static inline struct script_vm *script_vm_of(lua_State *L) {
    return *(struct script_vm **)lua_getextraspace(L);
}

/* ---- cage.c: memory and budget ---- */
void *script_alloc(void *vm, void *ptr, size_t old_size, size_t new_size);
/* Begins and ends a budgeted call. */
void script_budget_begin(struct script_vm *vm);
void script_budget_end(struct script_vm *vm);
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
/* Message handler: remembers where the error was. */
int script_on_error(lua_State *L);
const char *script_kill_text(const struct script_vm *vm, char *out, size_t size);

/* ---- vm.c ---- */
/* Runs fn(arg) protected; fn finds arg as its light userdata argument 1. A Lua status. */
int script_protected(struct script_vm *vm, lua_CFunction fn, void *arg);
/* Fills err from a Lua status and the error value on the top of the stack, which is popped. Returns its code. */
int script_error(struct script_vm *vm, int status, const char *chunk_name, struct err *err);
/* After a call that ran out of memory: collects, and when little is free even then, drops the largest state. */
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
/* lib_json.c: a buffer that an error frees (a userdata, pushed), and its bytes as a string. */
struct buf *script_push_buffer(lua_State *L);
void script_push_result(lua_State *L, struct buf *b);
/* pattern.c: find, match, gmatch, gsub into the table on the top. */
void script_lib_pattern(lua_State *L);
/* The sandbox's next(). */
void script_push_next(lua_State *L);

/* ---- env.c: the globals that a script sees ---- */
/* Makes _ENV from the table of globals at index. */
void script_env_open(lua_State *L, int globals);
void script_push_env(lua_State *L);
/* Makes env the current one; message on the top of the stack becomes msg and message, and stays there. */
void script_env_enter(lua_State *L, struct script_env *env, bool incoming);
/* Sets the current connection's `state` to the value at index. */
void script_set_state(lua_State *L, int value);
/* Lets go of the state and message of the last call. Does not raise. */
void script_forget_state(struct script_vm *vm);
/* Pushes what msg is now. */
void script_push_msg(lua_State *L);

#endif
