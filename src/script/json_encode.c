/* Lua values to JSON. Views are written as their document's bytes with the changes put in between. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "script/vm.h"

/* One piece of output. `doc` is the document that a run of untouched bytes is being copied from: nothing of it is
 * written until a change comes, so an unchanged document costs no copy. */
struct writer {
    lua_State *L;
    struct script_vm *vm;
    struct buf *out;
    const struct json_doc *doc;
    size_t copied; /* the document's bytes up to here are written, or left out */
    bool changed;
    unsigned depth;
};

static void write_value(struct writer *w, int index);
static void write_open_view(struct writer *w, int index, uint32_t node);

static void check_output(struct writer *w) {
    script_charge(w->L, w->vm, 1);
    if (w->out->failed || w->out->len > w->vm->limits.max_memory)
        luaL_error(w->L, "the result is too large");
}

static void flush(struct writer *w, size_t upto) {
    buf_append(w->out, json_doc_text(w->doc) + w->copied, upto - w->copied);
    w->copied = upto;
    w->changed = true;
}

static void enter(struct writer *w) {
    if (++w->depth > JSON_MAX_DEPTH)
        luaL_error(w->L, "a table contains itself or is nested more than %d deep", JSON_MAX_DEPTH);
    luaL_checkstack(w->L, 10, NULL);
    check_output(w);
}

/* ---- what a table holds ---- */

struct shape {
    size_t names, positions, entries;
    bool other;       /* a key that is neither a string nor 1, 2, 3, … */
    lua_Integer last; /* the largest position */
};

static struct shape shape_of(struct writer *w, int table) {
    struct shape s = {0};
    lua_State *L = w->L;
    lua_pushnil(L);
    while (lua_next(L, table)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) == LUA_TSTRING) {
            s.names++;
        } else if (lua_isinteger(L, -1) && lua_tointeger(L, -1) > 0) {
            s.positions++;
            s.last = MAX(s.last, lua_tointeger(L, -1));
        } else if (!script_hidden_key(L, -1)) {
            s.other = true;
        }
        script_charge(L, w->vm, 1);
    }
    s.entries = s.names + s.positions;
    return s;
}

static void refuse_mixture(struct writer *w, const struct shape *s) {
    if (s->other)
        luaL_error(w->L, "a table has a key that is neither a string nor a position");
    if (s->names && s->positions)
        luaL_error(w->L, "a table has both names and positions: JSON knows objects and arrays only");
    if (s->positions && (size_t)s->last != s->positions)
        luaL_error(w->L, "an array has holes: put json.null there");
}

/* ---- new values ---- */

/* A name that stays valid because its table holds it. */
struct name {
    const char *s;
    size_t len;
};

static int compare_names(const void *a, const void *b) {
    const struct name *x = a, *y = b;
    int c = memcmp(x->s, y->s, MIN(x->len, y->len));
    return c ? c : (x->len > y->len) - (x->len < y->len);
}

/* Bytes of text between two looks at the clock: what is not UTF-8 is slow to mend. */
#define PIECE_BYTES (64u << 10)

/* How long the first piece of s is: it does not end inside a character. */
static size_t piece_length(const char *s, size_t len) {
    if (len <= PIECE_BYTES)
        return len;
    for (size_t n = PIECE_BYTES; n > PIECE_BYTES - 4; n--)
        if (((unsigned char)s[n] & 0xc0) != 0x80)
            return n;
    return PIECE_BYTES; /* no character has so many continuation bytes */
}

void script_write_text(lua_State *L, const char *s, size_t len, bool json, struct buf *out) {
    for (size_t n; len; s += n, len -= n) {
        n = piece_length(s, len);
        script_charge(L, script_vm_of(L), n / 16);
        if (json)
            json_write_characters(out, s, n);
        else
            json_write_clean_text(out, s, n);
    }
}

static void write_string(struct writer *w, const char *s, size_t len) {
    buf_putc(w->out, '"');
    script_write_text(w->L, s, len, true, w->out);
    buf_putc(w->out, '"');
}

static void write_member(struct writer *w, int table, const struct name *name) {
    lua_State *L = w->L;
    write_string(w, name->s, name->len);
    buf_putc(w->out, ':');
    lua_pushlstring(L, name->s, name->len);
    lua_rawget(L, table);
    write_value(w, lua_gettop(L));
    lua_pop(L, 1);
}

/* Is a name in the view's document? For a few children by looking, else in a set that is made once. */
#define LOOK_MAX 24

static bool name_in_node(struct writer *w, uint32_t node, int set, const char *s, size_t len) {
    const struct json_doc *doc = w->doc;
    if (set) {
        lua_pushlstring(w->L, s, len);
        bool found = lua_rawget(w->L, set) != LUA_TNIL;
        lua_pop(w->L, 1);
        return found;
    }
    uint32_t child = node + 1;
    for (uint32_t i = 0; i < doc->nodes[node].count; i++, child = doc->nodes[child].next) {
        const struct json_node *c = &doc->nodes[child];
        if (!c->key_escaped) {
            if (c->key_len == len && !memcmp(json_doc_text(doc) + c->key, s, len))
                return true;
            continue;
        }
        size_t n;
        if (!json_may_unescape_to(c->key_len, len))
            continue;
        script_charge(w->L, w->vm, len / 8);
        script_push_name(w->L, doc, c);
        const char *name = lua_tolstring(w->L, -1, &n);
        bool same = n == len && !memcmp(name, s, n);
        lua_pop(w->L, 1);
        if (same)
            return true;
    }
    return false;
}

static int push_name_set(struct writer *w, uint32_t node) {
    const struct json_doc *doc = w->doc;
    uint32_t count = doc->nodes[node].count, child = node + 1;
    if (count <= LOOK_MAX)
        return 0;
    lua_createtable(w->L, 0, (int)MIN(count, 4096u));
    for (uint32_t i = 0; i < count; i++, child = doc->nodes[child].next) {
        script_push_name(w->L, doc, &doc->nodes[child]);
        lua_pushboolean(w->L, true);
        lua_rawset(w->L, -3);
    }
    return lua_gettop(w->L);
}

/* So many names need no memory. */
#define FEW_NAMES 8

/* The table's names in byte order, `expected` of them at most, without those of the view's node (node UINT32_MAX: no
 * view). In few, or in a userdata, so that an error frees it; one value is pushed in any case. */
static struct name *push_names(struct writer *w, int table, uint32_t node, size_t expected, struct name *few,
                               size_t *count) {
    lua_State *L = w->L;
    struct name *names = few;
    if (expected <= FEW_NAMES)
        lua_pushnil(L);
    else
        names = lua_newuserdatauv(L, expected * sizeof *names, 0);
    int set = node == UINT32_MAX ? 0 : push_name_set(w, node);
    size_t n = 0;
    lua_pushnil(L);
    while (lua_next(L, table)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            continue;
        struct name one;
        one.s = lua_tolstring(L, -1, &one.len);
        if (node != UINT32_MAX && name_in_node(w, node, set, one.s, one.len))
            continue;
        if (n == expected) {
            lua_pop(L, 1);
            break;
        }
        names[n++] = one;
    }
    if (set)
        lua_pop(L, 1);
    script_charge(L, w->vm, n * 4);
    qsort(names, n, sizeof *names, compare_names);
    *count = n;
    return names;
}

static void write_plain_object(struct writer *w, int table, size_t entries) {
    size_t count;
    struct name few[FEW_NAMES];
    const struct name *names = push_names(w, table, UINT32_MAX, entries, few, &count);
    buf_putc(w->out, '{');
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_putc(w->out, ',');
        write_member(w, table, &names[i]);
    }
    buf_putc(w->out, '}');
    lua_pop(w->L, 1);
}

static void write_plain_array(struct writer *w, int table, size_t entries) {
    buf_putc(w->out, '[');
    for (size_t i = 1; i <= entries; i++) {
        if (i > 1)
            buf_putc(w->out, ',');
        lua_rawgeti(w->L, table, (lua_Integer)i);
        write_value(w, lua_gettop(w->L));
        lua_pop(w->L, 1);
    }
    buf_putc(w->out, ']');
}

/* What an empty table is: as json.array() or json.object() said, else as given. */
static bool empty_is_array(struct writer *w, int table, bool otherwise) {
    if (lua_rawgetp(w->L, table, &script_array_mark) != LUA_TNIL)
        otherwise = lua_toboolean(w->L, -1);
    lua_pop(w->L, 1);
    return otherwise;
}

static void write_plain_table(struct writer *w, int table) {
    struct shape s = shape_of(w, table);
    refuse_mixture(w, &s);
    if (!s.entries)
        buf_puts(w->out, empty_is_array(w, table, false) ? "[]" : "{}");
    else if (s.names)
        write_plain_object(w, table, s.names);
    else
        write_plain_array(w, table, s.positions);
}

/* A view as a new value: somewhere else than in its own place. */
static void write_view(struct writer *w, int index) {
    uint32_t node;
    const struct json_doc *doc = script_view_origin(w->L, index, &node);
    const struct json_node *n = &doc->nodes[node];
    if (script_view_is_untouched(w->L, index)) {
        buf_append(w->out, json_doc_text(doc) + n->begin, n->end - n->begin);
        return;
    }
    struct writer saved = *w;
    w->doc = doc;
    w->copied = n->begin;
    write_open_view(w, index, node);
    flush(w, n->end);
    w->doc = saved.doc;
    w->copied = saved.copied;
}

static void write_table(struct writer *w, int index) {
    lua_State *L = w->L;
    enter(w);
    if (script_is_view(L, index)) {
        write_view(w, index);
    } else if (script_is_stand_in(L, index)) {
        luaL_error(L, "a table of the program (connection, headers, a library) cannot be JSON");
    } else {
        write_plain_table(w, index);
    }
    w->depth--;
}

static void write_number(struct writer *w, int index) {
    if (lua_isinteger(w->L, index)) {
        json_write_integer(w->out, lua_tointeger(w->L, index));
        return;
    }
    double d = lua_tonumber(w->L, index);
    if (!isfinite(d))
        luaL_error(w->L, "%s cannot be JSON", isnan(d) ? "not-a-number" : "an infinite number");
    json_write_double(w->out, d);
}

static void write_value(struct writer *w, int index) {
    lua_State *L = w->L;
    size_t len;
    const char *s;
    switch (lua_type(L, index)) {
    case LUA_TBOOLEAN:
        buf_puts(w->out, lua_toboolean(L, index) ? "true" : "false");
        break;
    case LUA_TNUMBER:
        write_number(w, index);
        break;
    case LUA_TSTRING:
        s = lua_tolstring(L, index, &len);
        write_string(w, s, len);
        break;
    case LUA_TLIGHTUSERDATA:
        buf_puts(w->out, "null");
        break;
    case LUA_TTABLE:
        write_table(w, index);
        break;
    default:
        luaL_error(L, "a %s cannot be JSON", luaL_typename(L, index));
    }
    check_output(w);
}

/* ---- views ---- */

static bool same_string(struct writer *w, const struct json_node *n, int index) {
    size_t len;
    const char *s = lua_tolstring(w->L, index, &len), *raw = json_doc_text(w->doc) + n->begin + 1;
    size_t raw_len = n->end - n->begin - 2;
    if (!n->escaped)
        return len == raw_len && !memcmp(s, raw, len);
    if (!json_may_unescape_to(raw_len, len))
        return false;
    script_charge(w->L, w->vm, len / 8);
    struct buf *b = &w->vm->scratch;
    buf_reset(b);
    json_unescape(b, raw, raw_len);
    return !b->failed && b->len == len && !memcmp(b->data, s, len);
}

/* Does the value at index still stand for the node? An open view says yes: what changed inside is its own affair. */
static bool same_value(struct writer *w, uint32_t node, int index) {
    lua_State *L = w->L;
    const struct json_node *n = &w->doc->nodes[node];
    const char *s = json_doc_text(w->doc) + n->begin;
    uint32_t other;
    switch ((enum json_kind)n->kind) {
    case JSON_NULL:
        return lua_islightuserdata(L, index);
    case JSON_FALSE:
    case JSON_TRUE:
        return lua_isboolean(L, index) && lua_toboolean(L, index) == (n->kind == JSON_TRUE);
    case JSON_INTEGER:
        return lua_isinteger(L, index) && lua_tointeger(L, index) == json_read_integer(s, n->end - n->begin);
    case JSON_DECIMAL:
        return lua_type(L, index) == LUA_TNUMBER && !lua_isinteger(L, index) &&
               lua_tonumber(L, index) == strtod(s, NULL);
    case JSON_STRING:
        return lua_type(L, index) == LUA_TSTRING && same_string(w, n, index);
    default:
        return script_is_view(L, index) && script_view_origin(L, index, &other) == w->doc && other == node;
    }
}

/* What goes on while a view's children are written in order. */
struct run {
    uint32_t kept;
    bool dropping;
    size_t previous_end; /* of the child before, kept or not */
};

static size_t item_begin(const struct json_node *child) {
    return child->key ? child->key - 1 : child->begin;
}

static void drop_item(struct writer *w, struct run *r, const struct json_node *child) {
    if (!r->dropping)
        flush(w, r->kept ? r->previous_end : item_begin(child));
    r->dropping = true;
    r->previous_end = child->end;
}

/* The separator before it is the one that stood before it; there is none when it is now the first. */
static void keep_item(struct writer *w, struct run *r, const struct json_node *child) {
    if (r->dropping)
        w->copied = r->kept ? r->previous_end : item_begin(child);
    r->dropping = false;
    r->kept++;
}

/* The child's value is on the top of the stack. */
static void write_item(struct writer *w, struct run *r, uint32_t child) {
    const struct json_node *n = &w->doc->nodes[child];
    int value = lua_gettop(w->L);
    keep_item(w, r, n);
    if (!same_value(w, child, value)) {
        flush(w, n->begin);
        write_value(w, value);
        w->copied = n->end;
    } else if (n->kind >= JSON_ARRAY && !script_view_is_untouched(w->L, value)) {
        enter(w);
        write_open_view(w, value, child);
        w->depth--;
    }
    r->previous_end = n->end;
}

/* Ends a view's children: puts `comma` handling and the place where its tail begins in order. */
static void begin_additions(struct writer *w, struct run *r) {
    if (!r->dropping)
        flush(w, r->previous_end);
    r->dropping = false;
    w->copied = r->previous_end;
}

static void end_items(struct writer *w, struct run *r) {
    if (r->dropping)
        w->copied = r->previous_end;
}

/* Of a name that stands twice, all go as they came when the last is unchanged; otherwise the last one is written. */
static bool shadowed(struct writer *w, uint32_t node, uint32_t child, uint32_t *last) {
    const struct json_doc *doc = w->doc;
    lua_State *L = w->L;
    uint32_t end = doc->nodes[node].next;
    *last = child;
    script_push_name(L, doc, &doc->nodes[child]);
    for (uint32_t c = doc->nodes[child].next; c < end; c = doc->nodes[c].next) {
        script_charge(L, w->vm, 1);
        script_push_name(L, doc, &doc->nodes[c]);
        if (lua_rawequal(L, -1, -2))
            *last = c;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return *last != child;
}

static void write_object_items(struct writer *w, int table, uint32_t node, struct run *r, size_t *present) {
    lua_State *L = w->L;
    const struct json_doc *doc = w->doc;
    bool lazy = script_view_is_lazy(L, table);
    uint32_t child = node + 1, last;
    for (uint32_t i = 0; i < doc->nodes[node].count; i++, child = doc->nodes[child].next) {
        if (lazy && !doc->nodes[child].touched) {
            keep_item(w, r, &doc->nodes[child]);
            r->previous_end = doc->nodes[child].end;
            continue;
        }
        script_push_name(L, doc, &doc->nodes[child]);
        bool gone = lua_rawget(L, table) == LUA_TNIL;
        if (gone) {
            drop_item(w, r, &doc->nodes[child]);
        } else if (doc->nodes[node].has_duplicates && shadowed(w, node, child, &last)) {
            if (same_value(w, last, lua_gettop(L))) {
                keep_item(w, r, &doc->nodes[child]);
                r->previous_end = doc->nodes[child].end;
            } else {
                drop_item(w, r, &doc->nodes[child]);
            }
        } else {
            write_item(w, r, child);
            ++*present;
        }
        lua_pop(L, 1);
    }
}

static void add_members(struct writer *w, int table, uint32_t node, struct run *r, size_t expected) {
    size_t count;
    struct name few[FEW_NAMES];
    const struct name *names = push_names(w, table, node, expected, few, &count);
    begin_additions(w, r);
    for (size_t i = 0; i < count; i++) {
        if (r->kept++)
            buf_putc(w->out, ',');
        write_member(w, table, &names[i]);
    }
    lua_pop(w->L, 1);
}

static void write_array_items(struct writer *w, int table, uint32_t node, struct run *r, size_t entries) {
    lua_State *L = w->L;
    const struct json_doc *doc = w->doc;
    uint32_t count = doc->nodes[node].count, child = node + 1;
    for (uint32_t i = 1; i <= count; i++, child = doc->nodes[child].next) {
        if (i > entries) {
            drop_item(w, r, &doc->nodes[child]);
            continue;
        }
        lua_rawgeti(L, table, i);
        write_item(w, r, child);
        lua_pop(L, 1);
    }
    if (entries > count)
        begin_additions(w, r);
    for (size_t i = (size_t)count + 1; i <= entries; i++) {
        if (r->kept++)
            buf_putc(w->out, ',');
        lua_rawgeti(L, table, (lua_Integer)i);
        write_value(w, lua_gettop(L));
        lua_pop(L, 1);
    }
}

/* The open view at index, from its node's begin to its end; the bytes up to begin are in the current run. */
static void write_open_view(struct writer *w, int index, uint32_t node) {
    const struct json_node *n = &w->doc->nodes[node];
    struct shape s = shape_of(w, index);
    refuse_mixture(w, &s);
    bool array = s.entries ? s.positions > 0 : empty_is_array(w, index, n->kind == JSON_ARRAY);
    if (array != (n->kind == JSON_ARRAY)) { /* emptied, then filled with the other kind */
        flush(w, n->begin);
        write_plain_table(w, index);
        w->copied = n->end;
        return;
    }
    struct run r = {.previous_end = n->begin + 1};
    size_t present = 0;
    if (array) {
        write_array_items(w, index, node, &r, s.positions);
    } else {
        write_object_items(w, index, node, &r, &present);
        if (s.names > present)
            add_members(w, index, node, &r, s.names - present);
    }
    end_items(w, &r);
}

/* ---- face ---- */

void script_encode(lua_State *L, int index, struct buf *out) {
    struct writer w = {.L = L, .vm = script_vm_of(L), .out = out};
    luaL_checkstack(L, 10, NULL);
    write_value(&w, lua_absindex(L, index));
}

bool script_encode_changes(lua_State *L, int index, struct buf *out) {
    uint32_t node;
    struct writer w = {.L = L, .vm = script_vm_of(L), .out = out};
    w.doc = script_view_origin(L, index, &node);
    if (!w.doc->nodes[node].opened && script_view_is_lazy(L, index))
        return false;
    luaL_checkstack(L, 10, NULL);
    write_open_view(&w, lua_absindex(L, index), node);
    if (!w.changed)
        return false;
    flush(&w, w.doc->len);
    check_output(&w);
    return true;
}
