/* Lua patterns (reference manual, section 6.4.1): string.find, match, gmatch and gsub.
 *
 * Lua's own matcher cannot be interrupted, and four ".-" on 200 characters keep it busy for 20 seconds. This one counts
 * its steps against the call's budget. It backtracks as the manual describes, so the results are the same. */
#include <ctype.h>
#include <string.h>

#include "script/vm.h"

#define MAX_CAPTURES 32
#define MAX_DEPTH 200 /* nested calls of match_here(): some 30 KB of stack */
/* Steps that count as one instruction, and steps between two charges. */
#define STEPS_PER_INSTRUCTION 2
#define STEPS_PER_CHARGE 512

enum { OPEN = -1, POSITION = -2 }; /* lengths of captures that have no length */

struct capture {
    const char *begin;
    ptrdiff_t len;
};

struct matcher {
    lua_State *L;
    struct script_vm *vm;
    const char *subject, *subject_end, *pattern_end;
    unsigned steps;
    int depth;
    int count;
    struct capture captures[MAX_CAPTURES];
};

static const char *match_here(struct matcher *m, const char *s, const char *p);

static inline void step(struct matcher *m) {
    if (MF_UNLIKELY(++m->steps >= STEPS_PER_CHARGE)) {
        script_charge(m->L, m->vm, m->steps / STEPS_PER_INSTRUCTION);
        m->steps = 0;
    }
}

/* ---- single characters ---- */

/* The end of the single-character item at p: a character, %x, or a set. */
static const char *item_end(struct matcher *m, const char *p) {
    char c = *p++;
    if (c == '%') {
        if (p == m->pattern_end)
            luaL_error(m->L, "malformed pattern (ends with '%%')");
        return p + 1;
    }
    if (c != '[')
        return p;
    if (p < m->pattern_end && *p == '^')
        p++;
    do { /* a ']' that comes first is one of the set */
        if (p == m->pattern_end)
            luaL_error(m->L, "malformed pattern (missing ']')");
        if (*p++ == '%' && p < m->pattern_end)
            p++;
    } while (p == m->pattern_end || *p != ']');
    return p + 1;
}

static bool in_class(int c, int class) {
    bool yes;
    switch (tolower(class)) {
    case 'a':
        yes = isalpha(c);
        break;
    case 'c':
        yes = iscntrl(c);
        break;
    case 'd':
        yes = isdigit(c);
        break;
    case 'g':
        yes = isgraph(c);
        break;
    case 'l':
        yes = islower(c);
        break;
    case 'p':
        yes = ispunct(c);
        break;
    case 's':
        yes = isspace(c);
        break;
    case 'u':
        yes = isupper(c);
        break;
    case 'w':
        yes = isalnum(c);
        break;
    case 'x':
        yes = isxdigit(c);
        break;
    case 'z': /* no longer in the manual, still in use */
        yes = c == 0;
        break;
    default:
        return class == c;
    }
    return isupper(class) ? !yes : yes;
}

/* p stands on '[', last on its ']'. */
static bool in_set(struct matcher *m, int c, const char *p, const char *last) {
    bool found = true;
    p++;
    if (*p == '^') {
        found = false;
        p++;
    }
    for (; p < last; p++) {
        step(m);
        if (*p == '%') {
            p++;
            if (in_class(c, (unsigned char)*p))
                return found;
        } else if (p[1] == '-' && p + 2 < last) {
            if ((unsigned char)*p <= c && c <= (unsigned char)p[2])
                return found;
            p += 2;
        } else if ((unsigned char)*p == c) {
            return found;
        }
    }
    return !found;
}

/* Does the item p..end match the character at s? */
static bool matches_one(struct matcher *m, const char *s, const char *p, const char *end) {
    step(m);
    if (s >= m->subject_end)
        return false;
    int c = (unsigned char)*s;
    switch (*p) {
    case '.':
        return true;
    case '%':
        return in_class(c, (unsigned char)p[1]);
    case '[':
        return in_set(m, c, p, end - 1);
    default:
        return (unsigned char)*p == c;
    }
}

/* ---- repetitions ---- */

static const char *most_first(struct matcher *m, const char *s, const char *p, const char *end) {
    ptrdiff_t n = 0;
    while (matches_one(m, s + n, p, end))
        n++;
    for (; n >= 0; n--) {
        const char *e = match_here(m, s + n, end + 1);
        if (e)
            return e;
    }
    return NULL;
}

static const char *fewest_first(struct matcher *m, const char *s, const char *p, const char *end) {
    for (;; s++) {
        const char *e = match_here(m, s, end + 1);
        if (e)
            return e;
        if (!matches_one(m, s, p, end))
            return NULL;
    }
}

/* ---- captures and the other items ---- */

static const char *open_capture(struct matcher *m, const char *s, const char *p, ptrdiff_t kind) {
    if (m->count >= MAX_CAPTURES)
        luaL_error(m->L, "too many captures");
    m->captures[m->count++] = (struct capture){s, kind};
    const char *e = match_here(m, s, p);
    if (!e)
        m->count--;
    return e;
}

static const char *close_capture(struct matcher *m, const char *s, const char *p) {
    int i = m->count - 1;
    while (i >= 0 && m->captures[i].len != OPEN)
        i--;
    if (i < 0)
        luaL_error(m->L, "invalid pattern capture");
    m->captures[i].len = s - m->captures[i].begin;
    const char *e = match_here(m, s, p);
    if (!e)
        m->captures[i].len = OPEN;
    return e;
}

/* %bxy: p stands on x. */
static const char *balanced(struct matcher *m, const char *s, const char *p) {
    if (m->pattern_end - p < 2)
        luaL_error(m->L, "malformed pattern (missing arguments to '%%b')");
    if (s >= m->subject_end || *s != p[0])
        return NULL;
    size_t depth = 1;
    for (s++; s < m->subject_end; s++) {
        step(m);
        if (*s == p[1]) {
            if (!--depth)
                return s + 1;
        } else if (*s == p[0]) {
            depth++;
        }
    }
    return NULL;
}

/* %f[set]: p stands on the set. */
static bool at_frontier(struct matcher *m, const char *s, const char *p, const char **end) {
    if (p == m->pattern_end || *p != '[')
        luaL_error(m->L, "missing '[' after '%%f' in pattern");
    *end = item_end(m, p);
    int before = s == m->subject ? 0 : (unsigned char)s[-1], here = s < m->subject_end ? (unsigned char)*s : 0;
    return !in_set(m, before, p, *end - 1) && in_set(m, here, p, *end - 1);
}

static const char *back_reference(struct matcher *m, const char *s, int digit) {
    int i = digit - '1';
    if (i < 0 || i >= m->count || m->captures[i].len == OPEN)
        luaL_error(m->L, "invalid capture index %%%d", i + 1);
    if (m->captures[i].len == POSITION)
        return NULL; /* it holds no text */
    size_t len = (size_t)m->captures[i].len;
    if ((size_t)(m->subject_end - s) < len)
        return NULL;
    m->steps += (unsigned)(len / 16);
    step(m);
    if (memcmp(m->captures[i].begin, s, len) != 0)
        return NULL;
    return s + len;
}

/* A '%' item that is more than a single character: advances both and says true, or false when it is none of them or
 * does not match (then *s is NULL). */
static bool special_item(struct matcher *m, const char **s, const char **p) {
    if (**p != '%' || *p + 1 == m->pattern_end)
        return false;
    const char *end;
    char c = (*p)[1];
    if (c == 'b') {
        *s = balanced(m, *s, *p + 2);
        *p += 4;
    } else if (c == 'f') {
        if (!at_frontier(m, *s, *p + 2, &end))
            *s = NULL;
        *p = end;
    } else if (c >= '0' && c <= '9') {
        *s = back_reference(m, *s, c);
        *p += 2;
    } else {
        return false;
    }
    return true;
}

/* The end of the longest way by which the pattern from p on matches at s, or NULL. */
static const char *match_items(struct matcher *m, const char *s, const char *p) {
    while (p < m->pattern_end) {
        step(m);
        if (*p == '(')
            return p + 1 < m->pattern_end && p[1] == ')' ? open_capture(m, s, p + 2, POSITION)
                                                         : open_capture(m, s, p + 1, OPEN);
        if (*p == ')')
            return close_capture(m, s, p + 1);
        if (*p == '$' && p + 1 == m->pattern_end)
            return s == m->subject_end ? s : NULL;
        if (special_item(m, &s, &p)) {
            if (!s)
                return NULL;
            continue;
        }
        const char *end = item_end(m, p);
        char suffix = '\0';
        if (end < m->pattern_end)
            suffix = *end;
        if (suffix == '*')
            return most_first(m, s, p, end);
        if (suffix == '-')
            return fewest_first(m, s, p, end);
        bool one = matches_one(m, s, p, end);
        if (suffix == '+')
            return one ? most_first(m, s + 1, p, end) : NULL;
        if (suffix == '?') {
            const char *e = one ? match_here(m, s + 1, end + 1) : NULL;
            if (e)
                return e;
            p = end + 1;
            continue;
        }
        if (!one)
            return NULL;
        s++;
        p = end;
    }
    return s;
}

static const char *match_here(struct matcher *m, const char *s, const char *p) {
    if (++m->depth > MAX_DEPTH)
        luaL_error(m->L, "pattern too complex");
    const char *e = match_items(m, s, p);
    m->depth--;
    return e;
}

/* ---- running one ---- */

static void prepare(struct matcher *m, lua_State *L, const char *subject, size_t len, const char *pattern,
                    size_t pattern_len) {
    m->L = L;
    m->vm = script_vm_of(L);
    m->subject = subject;
    m->subject_end = subject + len;
    m->pattern_end = pattern + pattern_len;
    m->steps = 0;
    m->depth = 0;
    m->count = 0;
}

static const char *match_at(struct matcher *m, const char *s, const char *p) {
    m->count = 0;
    m->depth = 0;
    return match_here(m, s, p);
}

/* Pushes capture i of a match s..e; without captures, the whole match is the first. */
static void push_capture(struct matcher *m, int i, const char *s, const char *e) {
    if (i >= m->count) {
        if (i != 0)
            luaL_error(m->L, "invalid capture index %%%d", i + 1);
        lua_pushlstring(m->L, s, (size_t)(e - s));
        return;
    }
    const struct capture *c = &m->captures[i];
    if (c->len == OPEN)
        luaL_error(m->L, "unfinished capture");
    if (c->len == POSITION)
        lua_pushinteger(m->L, c->begin - m->subject + 1);
    else
        lua_pushlstring(m->L, c->begin, (size_t)c->len);
}

/* whole: push the whole match when there are no captures. */
static int push_captures(struct matcher *m, const char *s, const char *e, bool whole) {
    int n = m->count == 0 && whole ? 1 : m->count;
    luaL_checkstack(m->L, n, "too many captures");
    for (int i = 0; i < n; i++)
        push_capture(m, i, s, e);
    return n;
}

/* A 1-based, possibly negative start as an offset; beyond the end: len + 1. */
static size_t start_offset(lua_Integer init, size_t len) {
    if (init > 0)
        return (size_t)init - 1 > len ? len + 1 : (size_t)init - 1;
    if (init == 0 || (lua_Unsigned)0 - (lua_Unsigned)init > len)
        return 0;
    return len - (size_t)((lua_Unsigned)0 - (lua_Unsigned)init);
}

static bool is_literal(const char *p, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (p[i] && strchr("^$*+?.([%-", p[i]))
            return false;
    return true;
}

static int find_literal(lua_State *L, const char *s, size_t len, size_t from, const char *p, size_t p_len) {
    script_charge(L, script_vm_of(L), (len - from) / 16);
    const char *at = p_len ? memmem(s + from, len - from, p, p_len) : s + from;
    if (!at) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushinteger(L, at - s + 1);
    lua_pushinteger(L, at - s + (lua_Integer)p_len);
    return 2;
}

static int find_or_match(lua_State *L, bool find) {
    size_t len, p_len;
    const char *s = luaL_checklstring(L, 1, &len), *p = luaL_checklstring(L, 2, &p_len);
    size_t from = start_offset(luaL_optinteger(L, 3, 1), len);
    if (from > len) {
        lua_pushnil(L);
        return 1;
    }
    if (find && (lua_toboolean(L, 4) || is_literal(p, p_len)))
        return find_literal(L, s, len, from, p, p_len);
    struct matcher m;
    prepare(&m, L, s, len, p, p_len);
    bool anchored = p_len && *p == '^';
    p += anchored;
    for (const char *at = s + from; at <= m.subject_end; at++) {
        const char *e = match_at(&m, at, p);
        if (e) {
            if (!find)
                return push_captures(&m, at, e, true);
            lua_pushinteger(L, at - s + 1);
            lua_pushinteger(L, e - s);
            return push_captures(&m, at, e, false) + 2;
        }
        if (anchored)
            break;
    }
    lua_pushnil(L);
    return 1;
}

static int string_find(lua_State *L) {
    return find_or_match(L, true);
}

static int string_match(lua_State *L) {
    return find_or_match(L, false);
}

/* upvalues: subject, pattern, where to go on, where the last match ended (-1: none) */
static int gmatch_next(lua_State *L) {
    size_t len, p_len;
    const char *s = lua_tolstring(L, lua_upvalueindex(1), &len), *p = lua_tolstring(L, lua_upvalueindex(2), &p_len);
    lua_Integer from = lua_tointeger(L, lua_upvalueindex(3)), last = lua_tointeger(L, lua_upvalueindex(4));
    struct matcher m;
    prepare(&m, L, s, len, p, p_len);
    for (const char *at = s + from; at <= m.subject_end; at++) {
        const char *e = match_at(&m, at, p);
        if (e && e - s != last) {
            lua_pushinteger(L, e - s);
            lua_pushvalue(L, -1);
            lua_replace(L, lua_upvalueindex(3));
            lua_replace(L, lua_upvalueindex(4));
            return push_captures(&m, at, e, true);
        }
    }
    lua_pushinteger(L, (lua_Integer)len + 1); /* it stays at its end */
    lua_replace(L, lua_upvalueindex(3));
    return 0;
}

static int string_gmatch(lua_State *L) {
    size_t len;
    luaL_checklstring(L, 1, &len);
    luaL_checkstring(L, 2);
    size_t from = start_offset(luaL_optinteger(L, 3, 1), len);
    lua_settop(L, 2);
    lua_pushinteger(L, (lua_Integer)from);
    lua_pushinteger(L, -1);
    lua_pushcclosure(L, gmatch_next, 4);
    return 1;
}

/* ---- gsub ---- */

/* The replacement text at argument 3 with its %0 to %9 filled in. */
static void add_text(struct matcher *m, luaL_Buffer *b, const char *s, const char *e) {
    lua_State *L = m->L;
    size_t len;
    const char *r = lua_tolstring(L, 3, &len), *end = r + len;
    while (r < end) {
        const char *percent = memchr(r, '%', (size_t)(end - r));
        if (!percent)
            percent = end;
        luaL_addlstring(b, r, (size_t)(percent - r));
        r = percent;
        if (r == end)
            break;
        char c = r + 1 < end ? r[1] : '\0';
        r += 2;
        if (c == '%') {
            luaL_addchar(b, '%');
        } else if (c == '0') {
            luaL_addlstring(b, s, (size_t)(e - s));
        } else if (c >= '1' && c <= '9') {
            push_capture(m, c - '1', s, e);
            luaL_tolstring(L, -1, NULL); /* a position is a number */
            lua_remove(L, -2);
            luaL_addvalue(b);
        } else {
            luaL_error(L, "invalid use of '%%' in replacement string");
        }
        script_charge(L, m->vm, 1);
    }
}

/* Adds what replaces the match s..e; says whether that is something else than the match itself. */
static bool add_replacement(struct matcher *m, luaL_Buffer *b, const char *s, const char *e, int type) {
    lua_State *L = m->L;
    if (type == LUA_TSTRING || type == LUA_TNUMBER) {
        add_text(m, b, s, e);
        return true;
    }
    if (type == LUA_TFUNCTION) {
        lua_pushvalue(L, 3);
        lua_call(L, push_captures(m, s, e, true), 1);
    } else {
        push_capture(m, 0, s, e);
        lua_gettable(L, 3);
    }
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        luaL_addlstring(b, s, (size_t)(e - s));
        return false;
    }
    if (!lua_isstring(L, -1))
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    luaL_addvalue(b);
    return true;
}

static int string_gsub(lua_State *L) {
    size_t len, p_len;
    const char *s = luaL_checklstring(L, 1, &len), *p = luaL_checklstring(L, 2, &p_len), *last = NULL;
    int type = lua_type(L, 3);
    MUST(s && p); /* luaL_checklstring() raises otherwise, which the analyzer does not know */
    luaL_argexpected(L, type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION || type == LUA_TTABLE, 3,
                     "string/function/table");
    lua_Integer max = luaL_optinteger(L, 4, (lua_Integer)len + 1), count = 0;
    if (type == LUA_TNUMBER)
        luaL_checkstring(L, 3);
    lua_settop(L, 3);
    struct matcher m;
    prepare(&m, L, s, len, p, p_len);
    bool anchored = p_len && *p == '^', changed = false;
    p += anchored;
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    while (count < max) {
        const char *e = match_at(&m, s, p);
        if (e && e != last) {
            count++;
            changed = add_replacement(&m, &b, s, e, type) || changed;
            s = last = e;
        } else if (s < m.subject_end) {
            luaL_addchar(&b, *s);
            s++;
        } else {
            break;
        }
        if (anchored)
            break;
    }
    if (changed) {
        luaL_addlstring(&b, s, (size_t)(m.subject_end - s));
        luaL_pushresult(&b);
    } else {
        lua_pushvalue(L, 1);
    }
    lua_pushinteger(L, count);
    return 2;
}

void script_lib_pattern(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"find", string_find}, {"match", string_match}, {"gmatch", string_gmatch}, {"gsub", string_gsub}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
