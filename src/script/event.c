/* What a handler gets and gives: message objects, and any value in the form in which it is sent.
 *
 * A message object is a table with text, or data and binary, whose metatable says so: given back or sent it is a whole
 * message and not JSON. The frame of `type: script` is one, with `json`, and binary(s) makes one. */
#include <string.h>

#include "script/vm.h"

static const char fresh_key, plain_key; /* metatables in the registry: with json still to be parsed, and without */

/* A text frame's json, parsed when it is first asked for. */
static int fresh_index(lua_State *L) {
    if (lua_type(L, 2) != LUA_TSTRING || strcmp(lua_tostring(L, 2), "json") != 0)
        return 0;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &plain_key);
    lua_setmetatable(L, 1);
    lua_pushliteral(L, "text");
    size_t len, error_at;
    if (lua_rawget(L, 1) != LUA_TSTRING)
        return 0;
    const char *text = lua_tolstring(L, -1, &len);
    if (!script_push_json(L, text, len, &error_at))
        return 0;
    lua_pushvalue(L, 2);
    lua_pushvalue(L, -2);
    lua_rawset(L, 1);
    return 1;
}

static void keep_meta(lua_State *L, const char *key, lua_CFunction index) {
    lua_createtable(L, 0, 2);
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    if (index) {
        lua_pushcfunction(L, index);
        lua_setfield(L, -2, "__index");
    }
    lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

void script_event_open(lua_State *L) {
    keep_meta(L, &fresh_key, fresh_index);
    keep_meta(L, &plain_key, NULL);
}

static bool is_message_object(lua_State *L, int index) {
    if (!lua_istable(L, index) || !lua_getmetatable(L, index))
        return false;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &plain_key);
    bool yes = lua_rawequal(L, -1, -2);
    if (!yes) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &fresh_key);
        yes = lua_rawequal(L, -1, -3);
        lua_pop(L, 1);
    }
    lua_pop(L, 2);
    return yes;
}

static void push_frame(lua_State *L, const struct script_message *in) {
    lua_createtable(L, 0, 4);
    lua_pushlstring(L, in->len ? (const char *)in->data : "", in->len);
    if (!in->binary) {
        lua_pushvalue(L, -1);
        lua_setfield(L, -3, "text");
    }
    lua_setfield(L, -2, "data");
    lua_pushboolean(L, in->binary);
    lua_setfield(L, -2, "binary");
    lua_rawgetp(L, LUA_REGISTRYINDEX, in->binary ? &plain_key : &fresh_key);
    lua_setmetatable(L, -2);
}

void script_push_event_message(lua_State *L, const struct script_event *event) {
    if (event->message && event->kind == SCRIPT_FRAME)
        push_frame(L, event->message);
    else if (event->message && event->kind == SCRIPT_RULE)
        (void)script_push_message(L, event->message);
    else
        lua_pushnil(L);
}

void script_push_binary(lua_State *L, int index) {
    index = lua_absindex(L, index);
    lua_createtable(L, 0, 2);
    lua_pushvalue(L, index);
    lua_setfield(L, -2, "data");
    lua_pushboolean(L, true);
    lua_setfield(L, -2, "binary");
    lua_rawgetp(L, LUA_REGISTRYINDEX, &plain_key);
    lua_setmetatable(L, -2);
}

/* ---- what is sent ---- */

static void put_string(lua_State *L, int index, bool binary, struct script_result *out) {
    size_t len;
    const char *s = lua_tolstring(L, index, &len);
    if (binary)
        buf_append(&out->data, s, len);
    else
        script_write_text(L, s, len, false, &out->data);
    out->binary = binary;
}

static void put_message_object(lua_State *L, int index, const char *name, struct script_result *out) {
    lua_pushliteral(L, "binary");
    lua_rawget(L, index);
    bool binary = lua_isboolean(L, -1) && lua_toboolean(L, -1);
    const char *field = binary ? "data" : "text";
    lua_pushstring(L, field);
    if (lua_rawget(L, index) != LUA_TSTRING)
        luaL_error(L, "%s: the message's %s must be a string, not a %s", name, field, luaL_typename(L, -1));
    put_string(L, -1, binary, out);
    lua_pop(L, 2);
}

void script_put_outgoing(lua_State *L, int index, const char *name, struct script_result *out) {
    index = lua_absindex(L, index);
    buf_reset(&out->data);
    out->any = true;
    out->binary = out->is_json = false;
    switch (lua_type(L, index)) {
    case LUA_TSTRING:
        put_string(L, index, false, out);
        break;
    case LUA_TTABLE:
        if (is_message_object(L, index)) {
            put_message_object(L, index, name, out);
            break;
        } /* fall through */
    case LUA_TNUMBER:
    case LUA_TBOOLEAN:
    case LUA_TLIGHTUSERDATA: /* json.null */
        script_encode(L, index, &out->data);
        out->is_json = true;
        break;
    case LUA_TNONE:
    case LUA_TNIL:
        luaL_error(L, "%s: what is to be sent is missing (nil)", name);
        break;
    default:
        luaL_error(L, "%s: a %s cannot be sent", name, luaL_typename(L, index));
    }
    if (out->data.failed)
        luaL_error(L, "not enough memory");
}
