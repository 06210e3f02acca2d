/* --transform: Lua that sees each whole message on its way, in both directions. One for a run, an environment for each
 * connection. An error of the script is logged, and the message goes on as it was. Thread: the loop's. */
#ifndef MF_DRIVE_LUA_FILTER_H
#define MF_DRIVE_LUA_FILTER_H

#include "drive/opening.h"
#include "script/script.h"

struct lua_filter;
/* MF_EINVAL: err has the script's line; MF_ENOMEM. */
MF_MUSTCHECK int lua_filter_new(const char *script, size_t len, const char *name, struct lua_filter **out,
                                struct err *err);
void lua_filter_free(struct lua_filter *t);

struct lua_filter_env; /* one connection's */
MF_MUSTCHECK int lua_filter_env_new(struct lua_filter *t, uint64_t number, const struct opening *opening,
                                    struct lua_filter_env **out);
void lua_filter_env_free(struct lua_filter *t, struct lua_filter_env *env);

/* What becomes of a message: false: it was dropped. Otherwise *data, *len and *binary are what goes on (a NUL follows),
 * valid until the next call; *changed: they are not what they were. */
bool lua_filter_message(struct lua_filter *t, struct lua_filter_env *env, bool incoming, bool *binary,
                        const void **data, size_t *len, bool *changed);

#endif
