/* One message through one chunk. */
#include <string.h>

#include "script/vm.h"

struct transform {
    const struct script_chunk *chunk;
    struct script_env *env;
    const struct script_message *in;
    struct buf *out;
    bool out_binary;
    enum script_verdict verdict;
};

/* msg of a message that is not a JSON object or array. */
static void push_plain(lua_State *L, const struct script_message *in) {
    lua_createtable(L, 0, 2);
    lua_pushlstring(L, in->len ? (const char *)in->data : "", in->len);
    lua_setfield(L, -2, in->binary ? "data" : "text");
    if (in->binary) {
        lua_pushboolean(L, true);
        lua_setfield(L, -2, "binary");
    }
}

/* The parser wants a NUL behind the text, which a received message does not have. */
static bool push_json(lua_State *L, const struct script_message *in) {
    struct script_vm *vm = script_vm_of(L);
    size_t error_at, space = 0;
    while (space < in->len && strchr(" \t\r\n", in->data[space]) && in->data[space])
        space++;
    if (in->binary || space == in->len || (in->data[space] != '{' && in->data[space] != '['))
        return false;
    if (in->len > vm->limits.max_memory)
        luaL_error(L, "the message is too large for the scripts' memory");
    buf_reset(&vm->input);
    buf_append(&vm->input, in->data, in->len);
    return script_push_json(L, buf_cstr(&vm->input), in->len, &error_at);
}

bool script_push_message(lua_State *L, const struct script_message *in) {
    if (push_json(L, in))
        return true;
    push_plain(L, in);
    return false;
}

static void put_string(lua_State *L, struct transform *t, int index, bool binary) {
    size_t len;
    const char *s = lua_tolstring(L, index, &len);
    if (binary)
        buf_append(t->out, s, len);
    else
        script_write_text(L, s, len, false, t->out);
    t->out_binary = binary;
    t->verdict = SCRIPT_REPLACED;
}

/* Non-JSON: `text`, or `data` while `binary` is true, are what is sent; other fields mean nothing, so that a
 * transform written for JSON lets the rest through. */
static void finish_plain(lua_State *L, struct transform *t, int msg) {
    lua_getfield(L, msg, "binary");
    bool binary = lua_isboolean(L, -1) && lua_toboolean(L, -1);
    const char *field = binary ? "data" : "text";
    int type = lua_getfield(L, msg, field);
    if (type == LUA_TNIL)
        return;
    if (type != LUA_TSTRING)
        luaL_error(L, "msg.%s must be a string, not a %s", field, lua_typename(L, type));
    size_t len;
    const char *s = lua_tolstring(L, -1, &len);
    if (binary == t->in->binary && len == t->in->len && (!len || !memcmp(s, t->in->data, len)))
        return;
    put_string(L, t, -1, binary);
}

static void finish_table(lua_State *L, struct transform *t, int value) {
    script_encode(L, value, t->out);
    t->out_binary = false;
    t->verdict = SCRIPT_REPLACED;
}

static void finish(lua_State *L, struct transform *t, int original, bool json, int value) {
    if (lua_rawequal(L, value, original)) {
        if (!json)
            finish_plain(L, t, original);
        else if (script_encode_changes(L, original, t->out))
            t->verdict = SCRIPT_REPLACED;
        return;
    }
    switch (lua_type(L, value)) {
    case LUA_TTABLE:
        finish_table(L, t, value);
        break;
    case LUA_TSTRING:
        put_string(L, t, value, false);
        break;
    case LUA_TBOOLEAN:
        if (!lua_toboolean(L, value)) {
            t->verdict = SCRIPT_DROP;
            break;
        } /* fall through */
    default:
        luaL_error(L, "a transform returns nothing, a table, a string or false, not %s",
                   lua_isboolean(L, value) ? "true" : luaL_typename(L, value));
    }
}

static int transform(lua_State *L) {
    struct transform *t = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, t->chunk->ref);
    bool json = script_push_message(L, t->in);
    int original = lua_gettop(L);
    script_vm_of(L)->occasion = OCCASION_TRANSFORM;
    script_env_enter(L, t->env, t->in->incoming);
    lua_pushvalue(L, original - 1);
    lua_call(L, 0, 1);
    if (lua_isnil(L, -1))
        script_push_msg(L);
    finish(L, t, original, json, lua_gettop(L));
    if (t->out->failed)
        luaL_error(L, "out of memory");
    return 0;
}

enum script_verdict script_transform(struct script_vm *vm, struct script_chunk *chunk, struct script_env *env,
                                     const struct script_message *in, struct buf *out, bool *out_binary,
                                     struct err *err) {
    struct transform t = {.chunk = chunk, .env = env, .in = in, .out = out, .verdict = SCRIPT_UNCHANGED};
    buf_reset(out);
    script_budget_begin(vm);
    int status = script_protected(vm, transform, &t);
    script_budget_end(vm);
    if (status != LUA_OK || vm->kill != KILL_NONE) {
        buf_reset(out);
        script_error(vm, status, chunk->name, err);
        t.verdict = SCRIPT_ERROR;
        vm->env = NULL;
        script_relieve(vm);
    }
    vm->env = NULL;
    script_vm_trim(vm);
    *out_binary = t.out_binary;
    return t.verdict;
}
