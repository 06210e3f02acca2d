/* Lua 5.4, caged: one state for each worker, an environment for each connection, a budget for each call.
 *
 * No io, os.execute, package, debug or bytecode; string patterns, memory, instructions and wall clock are bounded and a
 * kill cannot be caught by pcall (DESIGN section 3 "Lua"). Nothing here blocks. Thread: the worker that made the vm. */
#ifndef MF_SCRIPT_SCRIPT_H
#define MF_SCRIPT_SCRIPT_H

#include "base/buf.h"
#include "base/connection.h"
#include "base/err.h"
#include "base/rng.h"

struct script_vm;
struct script_chunk; /* compiled code; belongs to its vm */
struct script_env;   /* one connection's globals and state */

struct script_limits {
    uint64_t max_memory;       /* bytes, whole state */
    uint64_t max_instructions; /* one call */
    unsigned max_ms;           /* one call, wall clock */
};

MF_MUSTCHECK int script_vm_new(const struct script_limits *limits, struct rng *rng, struct script_vm **out, struct err *err);
void script_vm_free(struct script_vm *vm);

/* Compiles Lua text (never bytecode). `name` is shown in errors as name:line ("mockforge.yaml:12" for an inline chunk
 * whose first line is the file's line `first_line`; a file's own path with first_line 1). A syntax error fills err. */
MF_MUSTCHECK int script_compile(struct script_vm *vm, const char *source, size_t len, const char *name, int first_line,
                                struct script_chunk **out, struct err *err);
void script_chunk_free(struct script_vm *vm, struct script_chunk *chunk);

/* connection is borrowed for the environment's life. */
MF_MUSTCHECK int script_env_new(struct script_vm *vm, const struct connection *connection, struct script_env **out);
void script_env_free(struct script_vm *vm, struct script_env *env);

enum script_verdict {
    SCRIPT_UNCHANGED, /* forward the original bytes */
    SCRIPT_REPLACED,  /* forward `out` instead */
    SCRIPT_DROP,      /* the chunk returned false */
    SCRIPT_ERROR,     /* err says script:line and why; the caller decides */
};
struct script_message {
    bool incoming;       /* `direction` is "incoming" or "outgoing" */
    bool binary;
    const uint8_t *data; /* one whole message */
    size_t len;
};
/* Runs a transform on a message: `msg` (= `message`) is the parsed JSON, or for anything else an object with .text, or
 * .data and .binary. Returning nothing forwards msg as it now is, a table is sent as JSON, a string as it is, false
 * drops. What the script did not touch keeps its bytes: null, [] and {}, integers, big numbers, key order.
 * On SCRIPT_REPLACED out holds the new payload (out is reset first) and *out_binary its kind. */
enum script_verdict script_transform(struct script_vm *vm, struct script_chunk *chunk, struct script_env *env,
                                     const struct script_message *in, struct buf *out, bool *out_binary, struct err *err);

/* ---- handlers -------------------------------------------------------------------------------------------------------
 *
 * A handler is a coroutine: what asks others (shared.*, sleep) lets it wait while the loop goes on, and each stretch
 * between two waits has a budget of its own. A session gives its environment a host, through which handlers reach
 * the world; a transform's environment may have none: sending and waiting are then errors that say so. */

struct script_task; /* a handler that waits; belongs to its vm, dies with its environment */

enum script_shared_op { SHARED_GET, SHARED_SET, SHARED_INCR, SHARED_DECR, SHARED_DEL, SHARED_EXPIRE };
struct script_shared_request {
    enum script_shared_op op;
    const char *key;
    size_t key_len;
    const char *value; /* SET: JSON text */
    size_t value_len;
    int64_t by;        /* INCR, DECR */
    uint64_t expire_ms; /* SET (0: for ever), EXPIRE */
};
/* Where an answer to a wait comes from. Exactly one of them. */
struct script_answer {
    const char *json; /* the value; NULL: nothing (nil) */
    size_t json_len;
    const char *error; /* raised in the handler, where pcall may catch it; NULL: none */
};

/* Calls that come from Lua. `arg` is the environment's. They run inside a call: they may not free the environment, nor
 * run scripts of the same vm, so whatever may end a session is only noted down and done when the call is over. Text
 * and data are borrowed for the call. Those that return int: MF_OK, MF_ELIMIT (too much, too many), MF_ENOMEM. */
struct script_host {
    int (*send)(void *arg, bool binary, const void *data, size_t len);
    int (*close)(void *arg, unsigned code, const char *reason, size_t len);
    int (*join)(void *arg, const char *room, size_t len);
    int (*leave)(void *arg, const char *room, size_t len);
    /* Calls add(to, id) for each member's connection id. */
    void (*members)(void *arg, const char *room, size_t len, void (*add)(void *to, const char *id), void *to);
    int (*broadcast)(void *arg, const char *target, size_t target_len, bool binary, const void *data, size_t len);
    /* template(s): a text with placeholders. MF_EINVAL: err says what is wrong with it. It may ask
     * script_env_find_state(). Guards and transforms may call it as well, and members(). Without a host, template() knows
     * the connection, time and chance. */
    int (*render)(void *arg, const char *text, struct buf *out, struct err *err);
    /* Waits: the answer comes with script_resume(), later, never within. MF_OK, or why it cannot be (err's text). */
    int (*sleep)(void *arg, uint64_t ms, struct err *err);
    int (*shared)(void *arg, const struct script_shared_request *request, struct err *err);
    /* every(ms, fn), after(ms, fn): the function is kept as `ref` until script_forget_timer(); script_start() with
     * SCRIPT_TIMER runs it. Returns the timer's number, 1 or more; or MF_ELIMIT. */
    int (*timer)(void *arg, int ref, uint64_t ms, bool repeat);
    /* What every() and after() gave back was called: timer.cancel(). */
    void (*cancel_timer)(void *arg, int number);
};
/* The environment's host, from now on; both borrowed for its life. */
void script_env_set_host(struct script_env *env, const struct script_host *host, void *arg);
/* state becomes this JSON object; before the first script. MF_EINVAL: it is none. */
MF_MUSTCHECK int script_env_set_state(struct script_vm *vm, struct script_env *env, const char *json, size_t len);
/* Appends the JSON text of what the path names in state ("a", "b", "0"); false: nothing there, or it has no JSON form. */
bool script_env_find_state(struct script_vm *vm, struct script_env *env, char *const *segments, size_t count,
                           struct buf *json);

enum script_event_kind {
    SCRIPT_RULE,    /* message = msg: the parsed JSON, or an object with .text, or .data and .binary */
    SCRIPT_FRAME,   /* message = msg: the frame, .text, .data, .binary, .json (parsed on first use) */
    SCRIPT_CONNECT, /* no message */
    SCRIPT_CLOSE,   /* close_code and close_reason are globals */
    SCRIPT_TIMER,
};
struct script_event {
    enum script_event_kind kind;
    const struct script_message *message; /* RULE and FRAME */
    const char *params;                   /* a JSON-RPC request's, JSON text: the global `params`; NULL: nil */
    size_t params_len;
    unsigned close_code; /* CLOSE */
    const char *close_reason;
    int timer_ref;       /* TIMER: in place of a chunk */
};

/* What a handler gave back: nothing (or nil), a table (sent as JSON), a string (sent as text), or a message object: what
 * binary(s) makes, and the frame of `type: script`. */
struct script_result {
    bool any;
    bool is_json; /* it was a table, a number, a truth value or json.null: data is JSON text */
    bool binary;  /* to be sent as a binary message */
    struct buf data; /* the caller's; reset first */
};

enum script_progress {
    SCRIPT_DONE,    /* result is filled */
    SCRIPT_WAITING, /* *task waits for script_resume(); nothing in result */
    SCRIPT_FAILED,  /* err says script:line and why */
};
enum script_progress script_start(struct script_vm *vm, struct script_env *env, struct script_chunk *chunk,
                                  const struct script_event *event, struct script_result *result,
                                  struct script_task **task, struct err *err);
/* After SCRIPT_DONE and SCRIPT_FAILED the task is gone. A failure may also mean that others needed the memory which the
 * task kept while it waited. */
enum script_progress script_resume(struct script_vm *vm, struct script_task *task, const struct script_answer *answer,
                                   struct script_result *result, struct err *err);
/* A task whose session ends: none of its code runs any more, __close neither. NULL is accepted. */
void script_cancel(struct script_vm *vm, struct script_task *task);
void script_forget_timer(struct script_vm *vm, int ref);

/* A `when:` guard, a Lua expression or chunk: true or false by Lua's idea of truth. It cannot wait or send. */
enum script_progress script_test(struct script_vm *vm, struct script_env *env, struct script_chunk *chunk,
                                 const struct script_event *event, bool *out, struct err *err);
/* Compiles an expression: "state.authenticated" as if "return (state.authenticated)"; a chunk with `return` is fine too. */
MF_MUSTCHECK int script_compile_expression(struct script_vm *vm, const char *source, size_t len, const char *name,
                                           int first_line, struct script_chunk **out, struct err *err);

/* A `script_file` is run once, without a connection. When it returns a table with functions of these names, they are what
 * runs; otherwise the file itself runs for each message, and an error of that first run means nothing, unless its text
 * names one of the three. Each entry is a chunk to start; NULL where there is none. */
struct script_module {
    struct script_chunk *on_connect, *on_message, *on_close;
};
MF_MUSTCHECK int script_load_module(struct script_vm *vm, const char *source, size_t len, const char *name, int first_line,
                                    struct script_module *out, struct err *err);

/* Bytes in use by the whole state. */
size_t script_vm_memory(const struct script_vm *vm);

#endif
