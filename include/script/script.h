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

/* Bytes in use by the whole state. */
size_t script_vm_memory(const struct script_vm *vm);

#endif
