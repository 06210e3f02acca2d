/* Views: Lua tables that stand for a part of a JSON document and become real as far as they are touched.
 *
 * A lazy view holds only the children that were touched; its metatable finds the others in the document. Whatever needs
 * all of them (pairs, #, next, table.*, arrays, large objects) opens it: then it is a plain table that still remembers
 * its node, so that writing it again can copy what did not change. */
#include <stdlib.h>
#include <string.h>

#include "script/vm.h"

const char script_view_doc, script_view_node, script_array_mark, script_meta_copy, script_meta_origin;
static const char lazy_key, open_key; /* the metatables, in the registry */

/* Objects with more children than this are opened at the first touch: finding a child means looking at each. */
#define LOOK_MAX 32
/* Elements that a new array has room for at once. */
#define PRESIZE_MAX 16

static void push_view(lua_State *L, int doc_index, const struct json_doc *doc, uint32_t node) {
    const struct json_node *n = &doc->nodes[node];
    lua_createtable(L, n->kind == JSON_ARRAY ? (int)MIN(n->count, PRESIZE_MAX) : 0, 4);
    lua_pushvalue(L, doc_index);
    lua_rawsetp(L, -2, &script_view_doc);
    lua_pushinteger(L, node);
    lua_rawsetp(L, -2, &script_view_node);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &lazy_key);
    lua_setmetatable(L, -2);
}

void script_push_json_string(lua_State *L, const char *s, size_t len, bool escaped) {
    struct buf *b = &script_vm_of(L)->scratch;
    if (!escaped) {
        lua_pushlstring(L, s, len);
        return;
    }
    buf_reset(b);
    json_unescape(b, s, len);
    if (b->failed)
        luaL_error(L, "not enough memory");
    lua_pushlstring(L, b->len ? (const char *)b->data : "", b->len);
}

void script_push_name(lua_State *L, const struct json_doc *doc, const struct json_node *n) {
    script_push_json_string(L, json_doc_text(doc) + n->key, n->key_len, n->key_escaped);
}

bool script_push_scalar(lua_State *L, const char *text, const struct json_node *n) {
    const char *s = text + n->begin;
    switch ((enum json_kind)n->kind) {
    case JSON_NULL:
        script_push_null(L);
        return true;
    case JSON_FALSE:
    case JSON_TRUE:
        lua_pushboolean(L, n->kind == JSON_TRUE);
        return true;
    case JSON_INTEGER:
        lua_pushinteger(L, json_read_integer(s, n->end - n->begin));
        return true;
    case JSON_DECIMAL:
        lua_pushnumber(L, strtod(s, NULL));
        return true;
    case JSON_STRING:
        script_push_json_string(L, s + 1, n->end - n->begin - 2, n->escaped);
        return true;
    case JSON_ARRAY:
    case JSON_OBJECT:
        break;
    }
    return false;
}

static void push_value(lua_State *L, int doc_index, const struct json_doc *doc, uint32_t node) {
    if (!script_push_scalar(L, json_doc_text(doc), &doc->nodes[node]))
        push_view(L, doc_index, doc, node);
}

bool script_push_json(lua_State *L, const char *text, size_t len, size_t *error_at) {
    struct script_vm *vm = script_vm_of(L);
    script_charge(L, vm, len / 8);
    int status = json_tape_parse(&vm->tape, text, len, error_at);
    if (status == MF_ELIMIT || status == MF_ENOMEM)
        luaL_error(L, "the message is too large for the scripts' memory");
    if (status != MF_OK)
        return false;
    size_t nodes = vm->tape.count * sizeof(struct json_node);
    struct json_doc *doc = lua_newuserdatauv(L, sizeof *doc + nodes + len + 1, 0);
    doc->node_count = vm->tape.count;
    doc->len = (uint32_t)len;
    memcpy(doc->nodes, vm->tape.nodes, nodes);
    char *copy = (char *)(doc->nodes + doc->node_count);
    memcpy(copy, text, len);
    copy[len] = '\0';
    push_value(L, lua_gettop(L), doc, 0);
    lua_remove(L, -2);
    return true;
}

static const void *meta_of(lua_State *L, int index) {
    if (!lua_istable(L, index) || !lua_getmetatable(L, index))
        return NULL;
    const void *p = lua_topointer(L, -1);
    lua_pop(L, 1);
    return p;
}

bool script_is_view(lua_State *L, int index) {
    const struct script_vm *vm = script_vm_of(L);
    const void *meta = meta_of(L, index);
    return meta && (meta == vm->lazy_meta || meta == vm->open_meta);
}

bool script_view_is_lazy(lua_State *L, int index) {
    return meta_of(L, index) == script_vm_of(L)->lazy_meta;
}

bool script_view_is_untouched(lua_State *L, int index) {
    uint32_t node;
    return script_view_is_lazy(L, index) && !script_view_origin(L, index, &node)->nodes[node].opened;
}

struct json_doc *script_view_origin(lua_State *L, int index, uint32_t *node) {
    lua_rawgetp(L, index, &script_view_node);
    *node = (uint32_t)lua_tointeger(L, -1);
    lua_pop(L, 1);
    lua_rawgetp(L, index, &script_view_doc);
    struct json_doc *doc = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return doc;
}

static void fill_array(lua_State *L, int table, int doc_index, const struct json_doc *doc, uint32_t node) {
    uint32_t child = node + 1;
    for (uint32_t i = 1; i <= doc->nodes[node].count; i++, child = doc->nodes[child].next) {
        push_value(L, doc_index, doc, child);
        lua_rawseti(L, table, i);
    }
}

static void fill_object(lua_State *L, int table, int doc_index, struct json_doc *doc, uint32_t node) {
    uint32_t child = node + 1;
    for (uint32_t i = 0; i < doc->nodes[node].count; i++, child = doc->nodes[child].next) {
        if (doc->nodes[child].touched)
            continue;
        script_push_name(L, doc, &doc->nodes[child]);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, table) != LUA_TNIL)
            doc->nodes[node].has_duplicates = true; /* the last one counts */
        lua_pop(L, 1);
        push_value(L, doc_index, doc, child);
        lua_rawset(L, table);
    }
}

void script_view_materialise(lua_State *L, int index) {
    if (!script_view_is_lazy(L, index))
        return;
    index = lua_absindex(L, index);
    uint32_t node;
    struct json_doc *doc = script_view_origin(L, index, &node);
    script_charge(L, script_vm_of(L), doc->nodes[node].count);
    luaL_checkstack(L, 8, NULL);
    lua_rawgetp(L, index, &script_view_doc);
    if (doc->nodes[node].kind == JSON_ARRAY)
        fill_array(L, index, lua_gettop(L), doc, node);
    else
        fill_object(L, index, lua_gettop(L), doc, node);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &open_key);
    lua_setmetatable(L, index);
    lua_pop(L, 1);
}

/* ---- metamethods of a lazy view ---- */

static bool has_name(lua_State *L, const struct json_doc *doc, const struct json_node *n, const char *name,
                     size_t len) {
    const char *raw = json_doc_text(doc) + n->key;
    if (!n->key_escaped)
        return n->key_len == len && !memcmp(raw, name, len);
    if (!json_may_unescape_to(n->key_len, len))
        return false;
    script_charge(L, script_vm_of(L), n->key_len / 8);
    struct buf *b = &script_vm_of(L)->scratch;
    buf_reset(b);
    json_unescape(b, raw, n->key_len);
    return !b->failed && b->len == len && !memcmp(b->data, name, len);
}

struct touch {
    struct json_doc *doc;
    uint32_t node, child; /* child 0: none of that name */
};

/* Finds the child that the key at index 2 names in the lazy view at index 1. false: the view must be opened, or has
 * been: it is no small object, the key no name, or the name stands there twice. */
static bool find_child(lua_State *L, struct touch *t) {
    if (!script_view_is_lazy(L, 1) || lua_type(L, 2) != LUA_TSTRING)
        return false;
    t->doc = script_view_origin(L, 1, &t->node);
    t->child = 0;
    const struct json_node *nodes = t->doc->nodes, *n = &nodes[t->node];
    if (n->kind != JSON_OBJECT || n->count > LOOK_MAX)
        return false;
    size_t len;
    const char *name = lua_tolstring(L, 2, &len);
    script_charge(L, script_vm_of(L), n->count / 4);
    uint32_t child = t->node + 1;
    for (uint32_t i = 0; i < n->count; i++, child = nodes[child].next) {
        if (!has_name(L, t->doc, &nodes[child], name, len))
            continue;
        if (t->child)
            return false;
        t->child = child;
    }
    return true;
}

static void touch(struct touch *t) {
    t->doc->nodes[t->node].opened = true;
    if (t->child)
        t->doc->nodes[t->child].touched = true;
}

static int lazy_index(lua_State *L) {
    struct touch t;
    if (!find_child(L, &t)) {
        script_view_materialise(L, 1);
        lua_rawget(L, 1);
        return 1;
    }
    if (!t.child || t.doc->nodes[t.child].touched) {
        lua_pushnil(L);
        return 1;
    }
    lua_rawgetp(L, 1, &script_view_doc);
    push_value(L, 3, t.doc, t.child);
    if (t.doc->nodes[t.child].kind >= JSON_ARRAY) { /* it must be the same table each time */
        lua_pushvalue(L, 2);
        lua_pushvalue(L, -2);
        lua_rawset(L, 1);
        touch(&t);
    }
    return 1;
}

static int lazy_newindex(lua_State *L) {
    struct touch t;
    if (!find_child(L, &t)) {
        script_view_materialise(L, 1);
    } else {
        if (lua_isnil(L, 3) && !t.child)
            return 0;
        touch(&t);
    }
    lua_rawset(L, 1);
    return 0;
}

static int lazy_len(lua_State *L) {
    script_view_materialise(L, 1);
    lua_pushinteger(L, (lua_Integer)lua_rawlen(L, 1));
    return 1;
}

static int view_pairs(lua_State *L) {
    script_view_materialise(L, 1);
    script_push_next(L);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

static int null_tostring(lua_State *L) {
    lua_pushstring(L, lua_touserdata(L, 1) ? "userdata" : "null");
    return 1;
}

static const void *keep_meta(lua_State *L, const luaL_Reg *methods, const char *key) {
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    const void *p = lua_topointer(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, key);
    return p;
}

void script_view_open(lua_State *L) {
    static const luaL_Reg lazy[] = {{"__index", lazy_index},
                                    {"__newindex", lazy_newindex},
                                    {"__len", lazy_len},
                                    {"__pairs", view_pairs},
                                    {NULL, NULL}};
    static const luaL_Reg open[] = {{"__pairs", view_pairs}, {NULL, NULL}};
    struct script_vm *vm = script_vm_of(L);
    vm->lazy_meta = keep_meta(L, lazy, &lazy_key);
    vm->open_meta = keep_meta(L, open, &open_key);
    /* All light userdata share one metatable; null is the only one that scripts hold. */
    script_push_null(L);
    lua_newtable(L);
    lua_pushcfunction(L, null_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}
