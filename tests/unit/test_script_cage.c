/* Attacks on the sandbox. Each must end that message with an error, in time, and leave the vm as it was. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "script/script.h"
#include "script/vm.h"

#define MEGABYTE (1u << 20)
/* A kill may come this late: the machine that runs the tests is busy, and sanitizers slow everything down. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define MAX_MS 400
#define LATE_MS 2000
#else
#define MAX_MS 50
#define LATE_MS 400
#endif

static struct script_vm *vm;
static struct rng rng;
static struct connection connection;
static struct script_env *env;
static struct buf out;
static struct err error;
static bool binary;

static void set_up(void) {
    struct script_limits limits = {.max_memory = 16 * MEGABYTE, .max_instructions = 20000000, .max_ms = MAX_MS};
    rng_init(&rng, 7);
    ck_assert_int_eq(script_vm_new(&limits, &rng, &vm, &error), 0);
    connection_init(&connection, 42);
    ck_assert_int_eq(headers_add(&connection.headers, "a", "b"), 0);
    ck_assert_int_eq(script_env_new(vm, &connection, &env), 0);
}

static void tear_down(void) {
    script_env_free(vm, env);
    script_vm_free(vm);
    connection_fini(&connection);
    buf_fini(&out);
}

static enum script_verdict run(const char *source, const char *in) {
    struct script_chunk *chunk;
    char text[1024];
    int code = script_compile(vm, source, strlen(source), "t.lua", 1, &chunk, &error);
    ck_assert_msg(code == 0, "%s: %s", source, err_format(&error, text, sizeof text));
    struct script_message message = {.incoming = true, .data = (const uint8_t *)in, .len = strlen(in)};
    enum script_verdict v = script_transform(vm, chunk, env, &message, &out, &binary, &error);
    script_chunk_free(vm, chunk);
    return v;
}

/* The same as a handler, which is a coroutine. */
static enum script_progress run_handler(const char *source, const char *in) {
    struct script_chunk *chunk;
    ck_assert_int_eq(script_compile(vm, source, strlen(source), "t.lua", 1, &chunk, &error), 0);
    const struct script_message message = {.incoming = true, .data = (const uint8_t *)in, .len = strlen(in)};
    const struct script_event event = {.kind = SCRIPT_RULE, .message = &message};
    struct script_result result = {0};
    struct script_task *task;
    enum script_progress p = script_start(vm, env, chunk, &event, &result, &task, &error);
    buf_fini(&result.data);
    script_chunk_free(vm, chunk);
    return p;
}

/* A health check after each attack: everything that scripts share still is what it was. */
static const char sane[] =
    "assert(('x'):upper() == 'X' and ('a,b'):gsub(',', ';') == 'a;b' and #('abc') == 3)\n"
    "assert(string.format('%d', 5) == '5' and table.concat({1, 2}) == '12' and math.max(1, 2) == 2)\n"
    "assert(type(pairs) == 'function' and evil == nil and json.null ~= nil and os.execute == nil)\n"
    "assert(connection.id == 'conn-42' and direction == 'incoming')\n"
    "local t = {} for i = 1, 1000 do t[i] = {i} end\n"
    "msg.ok = msg.n + 1";

static void check_sane(const char *after) {
    char text[1024];
    vm->limits.max_ms = 10000;
    enum script_verdict v = run(sane, "{\"n\":1}");
    vm->limits.max_ms = MAX_MS;
    ck_assert_msg(v == SCRIPT_REPLACED, "after %s: %s", after, err_format(&error, text, sizeof text));
    ck_assert_str_eq(buf_cstr(&out), "{\"n\":1,\"ok\":2}");
}

/* "stopped": killed by a limit, whatever it tries. */
static const char *const killed[] = {
    "while true do end",
    "while true do pcall(function() while true do end end) end",
    "local function f() while true do end end while true do pcall(pcall, f) end",
    "pcall(function() while true do end end) while true do end",
    "while true do xpcall(function() while true do end end, function() while true do end end) end",
    "xpcall(function() error('x') end, function() while true do end end)",
    "while true do xpcall(error, function(e) error(e) end) end",
    "local function f() return f() end f()",
    "local function f() pcall(f) pcall(f) end f()",
    "local function f() xpcall(f, f) xpcall(f, f) end f()",
    "repeat until false",
    "for i = 1, math.huge do end",
    "::top:: goto top",
    "local t = setmetatable({}, {__index = function(t, k) while true do end end}) local x = t.x",
    "local t <close> = setmetatable({}, {__close = function() while true do end end})",
    "local function f() local t <close> = setmetatable({}, {__close = function() while true do end end}) while true do "
    "end end "
    "while true do pcall(f) end",
    "local function f() local t <close> = setmetatable({}, {__close = function() pcall(function() while true do end "
    "end) while true do end end}) error('x') end f()",
    "tostring(setmetatable({}, {__tostring = function() while true do end end}))",
    "string.format('%s', setmetatable({}, {__tostring = function() while true do end end}))",
    "local t = {} for i = 1, 100 do t[i] = i end table.sort(t, function() while true do end end)",
    "local t = {} for i = 1, 300000 do t[i] = i end while true do table.sort(t) end",
    "local t = {} for i = 1, 1000 do t[i] = i end while true do pcall(table.sort, t, function(a, b) return true end) "
    "end",
    "('x'):rep(100):gsub('.', function() while true do end end)",
    "for _ in pairs(setmetatable({}, {__pairs = function() while true do end end})) do end",
    "for _ in function() return 1 end do end",
    "local t = setmetatable({}, {__eq = function() while true do end end}) local u = setmetatable({}, getmetatable(t)) "
    "return t == u",
    "local t = setmetatable({}, {__lt = function() while true do end end}) return t < t",
    "local t = setmetatable({}, {__concat = function() while true do end end}) return t .. 'x'",
    "local t = setmetatable({}, {__len = function() while true do end end}) return #t",
    "local t = setmetatable({}, {__newindex = function() while true do end end}) t.x = 1",
    "local t = setmetatable({}, {__call = function() while true do end end}) t()",
    "msg.x = setmetatable({}, {__index = function() while true do end end, __len = function() while true do end end}) "
    "while true do end",
    "local function f(s) return (s:gsub('.', f)) end while true do pcall(f, 'x') end",
    "local function f(a, b) table.sort({3, 1, 2}, f) end while true do pcall(f) end",
    "local t = {} setmetatable(t, {__index = function(_, k) return t[k + 1] end}) while true do pcall(function() "
    "return t[1] end) end",
    "local t = setmetatable({}, {__tostring = function(t) return tostring(t) end}) while true do pcall(tostring, t) "
    "end",
    "local t = {} for i = 1, 500 do t = {t} end local s = json.encode(t) while true do local u = json.decode(s) while "
    "u do u = u[1] end end",
    "local f = string.gmatch(('a'):rep(100000), '.-b') while true do f() end",
    /* patterns that backtrack */
    "local s = ('a'):rep(200) string.find(s, '.-.-.-.-b')",
    "local s = ('a'):rep(5000) while true do pcall(string.find, s, ('a*'):rep(30) .. 'b') end",
    "local s = ('a'):rep(5000) string.match(s, ('.*'):rep(20) .. 'b')",
    "local s = ('('):rep(100000) string.gsub(s, '%b()', '')",
    "local s = ('a'):rep(300000) string.find(s, 'a-b')",
    "local s = ('a'):rep(300000) for w in s:gmatch('a-b') do end",
    "local s = ('ab'):rep(100000) string.gsub(s, '(.*)(.*)%1x', '')",
    "local s = ('a'):rep(100000) string.find(s, ('[^b-z]'):rep(50) .. '*' .. '[^a]')while true do end",
    /* loops in C */
    "local t = {} table.move({}, 1, math.maxinteger - 1, 1, t)",
    "local t = {} for i = 1, 200000 do t[i] = 1 end while true do table.insert(t, 1, 1) table.remove(t, 1) end",
    "local s = ('x'):rep(4000000) while true do s:upper() end",
    "local s = ('x'):rep(4000000) while true do s:byte(1, 10000) utf8.len(s) end",
    "local s = ('x'):rep(4000000) local t = s .. '' while true do local b = s .. 'a' == t .. 'b' end",
    "local s = ('x'):rep(3000000) while true do json.encode(s) end",
    "local s = '[' .. ('1,'):rep(100000) .. '1]' while true do local t = json.decode(s) local n = t[1] end",
    "local s = ('x'):rep(3000000) while true do base64.encode(s) end",
    "while true do log.info('x') end",
    "while true do uuid() end",
    "local f = ('%99.99f'):rep(60) local t = {} for i = 1, 60 do t[i] = 1e300 end while true do "
    "f:format(table.unpack(t)) end",
    "local t = {} for i = 1, 16000 do t[i] = i end local function f(...) return f(...) end f(table.unpack(t))",
    "local t = {} for i = 1, 16000 do t[i] = i end local function f(...) while true do local n = select('#', ...) end "
    "end f(table.unpack(t))",
    "local t = {} for i = 1, 100000 do t[i] = i end while true do local k = next(t) if k then t[k] = nil else for i = "
    "1, 100000 do t[i] = i end end end",
    /* memory */
    "local t = {} while true do t[#t + 1] = {} end",
    "local t = {} while true do pcall(function() t[#t + 1] = ('x'):rep(10000) .. #t end) end",
    "local s = 'x' while true do s = s .. s end",
    "local s = 'x' while true do pcall(function() s = s .. s end) end",
    "local t = {} while true do t = {t, t} end",
    "local function f(...) return f(1, ...) end f()",
    "local function f() return 1 + f() end while true do pcall(f) end",
    "local t = {} for i = 1, 1e9 do t[i] = i end",
    "local f f = function() local t = {} for i = 1, 1000 do t[i] = function() return t end end pcall(f) pcall(f) end "
    "f()",
    "state.x = {} while true do state.x[#state.x + 1] = ('y'):rep(1000) .. #state.x end",
    "local t = {} while true do t[#t + 1] = ('x'):rep(500000) .. #t pcall(error) end",
    "local t = {} t[1] = {} for i = 1, 60 do t[1] = {t[1], t[1]} end msg.x = t[1]",
    "local t = {} for i = 1, 40 do t = {a = t, b = t} end return t",
    "local t = {} for i = 1, 40 do t = {a = t, b = t} end json.encode(t)",
    "while true do local a, b = pcall(string.rep, 'x', 10000000) end",
    "local function p(n) if n > 0 then pcall(p, n - 1) end while true do end end"
    "  local function d(n) if n > 0 then d(n - 1) return 1 end p(185) end d(60000)",
    "local function p(n) if n > 0 then pcall(p, n - 1) end while true do pcall(error) end end"
    "  local function d(n) if n > 0 then d(n - 1) return 1 end p(150) end d(60000)",
};

static bool is_stop(const struct err *e) {
    return strstr(e->text, "stopped: ") || strstr(e->text, "too large") || strstr(e->text, "stack overflow");
}

/* Time that this thread had a processor: what a busy machine gives to others is not the script's. */
static uint64_t busy_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

START_TEST(test_killed) {
    uint64_t begin = busy_us();
    enum script_verdict v = run(killed[_i], "{\"a\":[1,2,3]}");
    uint64_t ms = (busy_us() - begin) / 1000;
    ck_assert_msg(v == SCRIPT_ERROR, "%s: verdict %d", killed[_i], v);
    ck_assert_msg(is_stop(&error), "%s: %s", killed[_i], error.text);
    ck_assert_msg(ms < MAX_MS + LATE_MS, "%s: took %d ms", killed[_i], (int)ms);
    if (getenv("SCRIPT_TIMES"))
        printf("%4d ms  %-60.60s line %d: %s\n", (int)ms, killed[_i], error.line, error.text);
    check_sane(killed[_i]);
}
END_TEST

START_TEST(test_killed_in_handler) {
    uint64_t begin = busy_us();
    char source[4096]; /* what a transform would send by itself */
    bool changes = strstr(killed[_i], "msg.x = ") != NULL;
    snprintf(source, sizeof source, "%s%s", killed[_i], changes ? " return msg" : "");
    enum script_progress p = run_handler(source, "{\"a\":[1,2,3]}");
    uint64_t ms = (busy_us() - begin) / 1000;
    ck_assert_msg(p == SCRIPT_FAILED, "%s: progress %d", killed[_i], p);
    ck_assert_msg(is_stop(&error), "%s: %s", killed[_i], error.text);
    ck_assert_msg(ms < MAX_MS + LATE_MS, "%s: took %d ms", killed[_i], (int)ms);
    check_sane(killed[_i]);
}
END_TEST

/* Refused: an error, at once. */
struct refused {
    const char *source, *want;
};
/* A table whose length is the largest integer: Lua looks for a border in steps that double. */
#define BORDER                                                                                                         \
    "local t = {} for _, k in ipairs {1, 2, 4, 5, 9} do t[k] = 1 end for i = 3, 62 do t[1 << i] = 1 end "              \
    "t[math.maxinteger] = 1 assert(#t == math.maxinteger) "
static const struct refused refused[] = {
    {"os.execute('true')", "nil value (field 'execute')"},
    {"io.open('/etc/passwd')", "nil value (global 'io')"},
    {"require 'io'", "no module 'io'"},
    {"dofile('x')", "nil value (global 'dofile')"},
    {"loadstring('x')", "nil value (global 'loadstring')"},
    {"load('return 1')", "nil value (global 'load')"},
    {"load(string.dump(function() end))", "nil value"},
    {"string.dump(function() end)", "nil value (field 'dump')"},
    {"debug.sethook()", "nil value (global 'debug')"},
    {"package.loadlib('x', 'y')", "nil value (global 'package')"},
    {"coroutine.wrap(function() while true do end end)()", "nil value (global 'coroutine')"},
    {"collectgarbage('stop')", "nil value (global 'collectgarbage')"},
    {"math.randomseed(1)", "nil value (field 'randomseed')"},
    {"evil = 1", "cannot be set"},
    {"_G.evil = 1", "cannot be set"},
    {"_ENV.evil = 1", "cannot be set"},
    {"rawset(_ENV, 'evil', 1)", "read-only"},
    {"rawset(_G, 'pairs', 1)", "read-only"},
    {"rawset(string, 'upper', 1)", "read-only"},
    {"string.upper = nil", "'string' is read-only"},
    {"string.evil = 1", "'string' is read-only"},
    {"table.insert(string, 1)", "read-only"},
    {"table.move({1}, 1, 1, 1, string)", "read-only"},
    {"table.sort(string)", "read-only"},
    {"table.remove(json)", "read-only"},
    {"json.null = 1", "'json' is read-only"},
    {"json.array(string)", "read-only"},
    {"rawset(connection, 'id', 1)", "read-only"},
    {"rawset(connection.headers, 'id', 1)", "read-only"},
    {"getmetatable('').__index = {}", "read-only"},
    {"rawset(getmetatable(''), '__index', {})", "read-only"},
    {"getmetatable('').__index.upper = nil", "read-only"},
    {"rawset(getmetatable('').__index, 'upper', nil)", "read-only"},
    {"getmetatable('').__add = function() end", "read-only"},
    {"setmetatable(string, {})", "protected metatable"},
    {"setmetatable(_ENV, nil)", "protected metatable"},
    {"setmetatable(_G, {})", "protected metatable"},
    {"setmetatable(connection, {})", "protected metatable"},
    {"setmetatable(getmetatable(''), {})", "protected metatable"},
    {"setmetatable(msg, {})", "protected metatable"},
    {"setmetatable({}, msg)", "plain table"},
    {"setmetatable({}, string)", "plain table"},
    {"setmetatable('', {})", "table expected"},
    {"setmetatable(json.null, {})", "table expected"},
    {"local x = json.null.y", "attempt to index"},
    {"setmetatable({}, {__gc = function() end})", "must not have __gc"},
    {"setmetatable({}, {__mode = 'k'})", "must not have __mode"},
    {"getmetatable(setmetatable({}, {__metatable = 'no'})).x = 1", "attempt to index"},
    {"setmetatable(setmetatable({}, {__metatable = 'no'}), {})", "protected metatable"},
    {"table.concat(setmetatable({}, {__index = function() return '' end, __len = function() return 1e9 end}), '', 1, "
     "1e9)",
     "invalid value (a nil) at position 1"},
    {"string.rep('x', 1e9)", "too large"},
    {"string.rep('x', 1 << 62)", "too large"},
    {"string.rep('x', 1e6, ('y'):rep(100))", "too large"},
    {"table.unpack({}, 1, 1e8)", "too many results"},
    {"table.unpack({}, math.mininteger, math.maxinteger)", "too many results"},
    {"string.byte(('x'):rep(20000), 1, -1)", "too long"},
    {"utf8.codepoint(('x'):rep(20000), 1, -1)", "too long"},
    {"string.format(('%d'):rep(100), table.unpack({}, 1, 100))", "too many arguments"},
    {"string.format('%99999d', 1)", "invalid conversion"},
    {"os.date(('%c'):rep(200))", "format too long"},
    {"string.unpack(('b'):rep(300), '')", "format too long"},
    {"next({}, 'nope')", "invalid key to 'next'"},
    {"error(setmetatable({}, {__tostring = function() return 'x' end}))", "the error value is a table"},
    {"json.decode(('['):rep(600) .. (']'):rep(600))", "not JSON at byte"},
    {"local t = {} for i = 1, 600 do t = {t} end return t", "nested more than"},
    {"local t = {} t[1] = t return t", "contains itself"},
    {BORDER "table.insert(t, 1)", "array too big"},
    {BORDER "table.insert(t, 1, 1)", "array too big"},
    {BORDER "table.remove(t, 1)", "array too big"},
    {BORDER "table.sort(t, function() return true end)", "array too big"},
    {"string.find('x', ('('):rep(300))", "too many captures"},
    {"string.find(('a'):rep(300), ('a?'):rep(300))", "pattern too complex"},
};

START_TEST(test_refused) {
    const struct refused *r = &refused[_i];
    vm->limits.max_ms = 10000; /* the clock's time, and it is about another error */
    uint64_t begin = busy_us();
    enum script_verdict v = run(r->source, "{}");
    ck_assert_msg(v == SCRIPT_ERROR, "%s: verdict %d", r->source, v);
    ck_assert_msg(strstr(error.text, r->want), "%s: %s", r->source, error.text);
    ck_assert_msg(busy_us() - begin < (MAX_MS + LATE_MS) * 1000, "%s", r->source);
    check_sane(r->source);
}
END_TEST

/* Harmless, although they look like attacks: they must work, or do nothing. */
static const char *const harmless[] = {
    "assert(('x'):byte(math.maxinteger, math.mininteger) == nil and ('x'):byte(math.mininteger, math.maxinteger) == 120)",
    "assert(string.rep('', 1e15) == '' and string.rep('x', -5) == '' and string.rep('ab', 3, ',') == 'ab,ab,ab')",
    "_ENV = {}",
    "local _ENV = {} x = 1",
    "pairs = nil",
    "local mt = {} local t = setmetatable({}, mt) mt.__gc = error mt.__mode = 'k' assert(getmetatable(t) == mt)",
    "local C = {} C.__index = C function C.hi() return 5 end assert(setmetatable({}, C).hi() == 5)",
    "local C = {__index = string} for k in pairs(C) do assert(k == '__index') end setmetatable({}, C)"
    "  local n = 0 for k in pairs(C) do n = n + 1 end assert(n == 1)",
    "local n = 0 for k, v in pairs(string) do n = n + 1 assert(type(k) == 'string') end assert(n >= 15)",
    "assert(rawget(string, 'upper') == string.upper and next(string))",
    "assert(getmetatable('').__index == string)",
    "assert(getmetatable(string) == false and getmetatable(_ENV) == false)",
    "assert(select('#', pcall(error)) == 2)",
    "local ok, e = pcall(error, {code = 5}) assert(not ok and e.code == 5)",
    "local ok, e = xpcall(function(a, b) assert(a == 1 and b == 2) error('x', 0) end, function(e) return e .. '!' end, "
    "1, 2)"
    "  assert(not ok and e == 'x!')",
    "assert(select('#', xpcall(function() return 1, 2, 3 end, print or error)) == 4)",
    "assert(pcall(function() return 1 end))",
    "local t = {5, 2, 9, 1, 7, 7, 3} table.sort(t) assert(table.concat(t, ' ') == '1 2 3 5 7 7 9')",
    "local t = {} for i = 1, 500 do t[i] = (i * 7919) % 503 end table.sort(t, function(a, b) return a > b end)"
    "  for i = 2, 500 do assert(t[i - 1] >= t[i]) end",
    "assert(#table.pack(1, nil, 3) and table.pack(1, nil, 3).n == 3)",
    "local t = table.move({1, 2, 3}, 1, 3, 2) assert(table.concat(t, ',') == '1,1,2,3')",
    "local t = table.move({1, 2, 3}, 2, 3, 1) assert(table.concat(t, ',') == '2,3,3')",
    "local t = {} table.insert(t, 'a') table.insert(t, 1, 'b') assert(table.concat(t) == 'ba' and table.remove(t, 1) "
    "== 'b')",
    "assert(table.remove({}) == nil and not pcall(table.insert, {}, 5, 1) and not pcall(table.remove, {1, 2}, 7))",
    "assert(select(2, table.unpack({1, 2, 3}, 2)) == 3 and select('#', table.unpack({}, 1, 3)) == 3)",
    "local ok = pcall(setmetatable({}, {__call = function() end}))",
    "string.format('%q', 1 / 0)",
    "state = nil; state.x = 1; connection.state = nil; assert(state.x == nil); state.y = 2; assert(connection.state.y "
    "== 2)",
    "local n = math.random(math.mininteger, math.maxinteger) assert(math.type(n) == 'integer')",
    "assert(not pcall(math.random, 2, 1) and math.random(5, 5) == 5)",
    "local t = {3, 2, 1} pcall(table.sort, t, function(a, b) t[2] = nil return a < b end)",
    "pcall(table.sort, {1, 'x', {}})",
    "local t = {} t[1], t[2] = t, msg for k, v in pairs(t) do end",
    "os.date('*t')",
    "assert(pcall(table.sort, {3, 1, 2}, function() return true end))",
};

START_TEST(test_harmless) {
    char text[1024];
    vm->limits.max_ms = 10000; /* it is about what they do */
    enum script_verdict v = run(harmless[_i], "{}");
    enum script_progress p = run_handler(harmless[_i], "{}");
    bool refused_write = strcmp(harmless[_i], "pairs = nil") == 0;
    ck_assert_msg(p == (refused_write ? SCRIPT_FAILED : SCRIPT_DONE), "%s: %d %s", harmless[_i], p, error.text);
    if (refused_write)
        ck_assert_int_eq(v, SCRIPT_ERROR);
    else
        ck_assert_msg(v == SCRIPT_UNCHANGED, "%s: %d %s", harmless[_i], v, err_format(&error, text, sizeof text));
    check_sane(harmless[_i]);
}
END_TEST

/* A message of another connection is not held up by what one connection keeps. */
START_TEST(test_hoarder) {
    for (int i = 0; i < 40; i++)
        (void)run("state.hoard = state.hoard or {} state.hoard[#state.hoard + 1] = ('x'):rep(1000000) .. #state.hoard",
                  "{}");
    struct connection other;
    struct script_env *second;
    connection_init(&other, 43);
    ck_assert_int_eq(script_env_new(vm, &other, &second), 0);
    struct script_chunk *chunk;
    vm->limits.max_ms = 10000; /* it is about memory */
    const char *work = "local s = ('y'):rep(2000000) msg.n = #s";
    ck_assert_int_eq(script_compile(vm, work, strlen(work), "t.lua", 1, &chunk, &error), 0);
    struct script_message message = {.data = (const uint8_t *)"{}", .len = 2};
    int failures = 0;
    for (int i = 0; i < 5; i++)
        failures += script_transform(vm, chunk, second, &message, &out, &binary, &error) != SCRIPT_REPLACED;
    ck_assert_int_le(failures, 1);
    script_chunk_free(vm, chunk);
    script_env_free(vm, second);
    connection_fini(&other);
}
END_TEST

/* What a client may send makes a harmless script slow: it is still stopped in time, or is not slow. */
START_TEST(test_heavy_messages) {
    const size_t size = 15 * MEGABYTE;
    char *in = malloc(size + 16);
    ck_assert_ptr_nonnull(in);
    vm->limits.max_memory = 64 * MEGABYTE;
    memset(in, 0xff, size); /* each byte becomes U+FFFD */
    in[size] = '\0';
    ck_assert_int_eq(run("return msg.text .. 'x'", in), SCRIPT_ERROR);
    ck_assert_msg(strstr(error.text, "stopped: more than"), "%s", error.text);
    char *p = stpcpy(in, "{\"");
    while (p < in + size - 6)
        p = stpcpy(p, "\\u0061"); /* a long name that can only be compared unescaped */
    memcpy(p, "\":1}", sizeof "\":1}");
    vm->limits.max_ms = MAX_MS * 40;
    ck_assert_int_eq(run("for i = 1, 500 do local x = msg.x end", in), SCRIPT_UNCHANGED);
    free(in);
}
END_TEST

/* Every allocation fails once, in turn: an error each time, never a crash, and the vm works afterwards. */
START_TEST(test_allocations) {
    const char *in = "{\"a\":{\"q\":[1,2,{\"z\":\"\\u00e9\"}]},\"s\":\"hello\",\"l\":[1.5,null]}";
    const char *source = "local t = {} for i = 1, 5 do t['k' .. i] = {i, tostring(i)} end\n"
                         "msg.a.b = t msg.s = (msg.s .. 'x'):gsub('l', '%0%0') msg.j = json.decode(json.encode(t))\n"
                         "state.n = setmetatable({}, {__index = t}) pcall(error, 'x') msg.e = '\\200'\n"
                         "msg.c = connection.headers.a for k in pairs(msg) do t[k] = 1 end";
    int replaced = 0;
    for (uint64_t nth = 1; nth < 400; nth++) {
        struct script_chunk *chunk = NULL;
        vm->limits.max_ms = 10000;
        script_vm_fail_alloc(vm, nth);
        if (script_compile(vm, source, strlen(source), "t.lua", 1, &chunk, &error) == 0) {
            struct script_message message = {.data = (const uint8_t *)in, .len = strlen(in)};
            enum script_verdict v = script_transform(vm, chunk, env, &message, &out, &binary, &error);
            ck_assert(v == SCRIPT_REPLACED || v == SCRIPT_ERROR);
            replaced += v == SCRIPT_REPLACED;
            if (v == SCRIPT_REPLACED)
                ck_assert_int_eq(buf_cstr(&out)[out.len - 1], '}');
        }
        script_chunk_free(vm, chunk);
        script_vm_fail_alloc(vm, 0);
        check_sane("a failed allocation");
    }
    ck_assert_int_gt(replaced, 0); /* Lua collects and tries again, so most failures are not felt */
}
END_TEST

/* The same with a cap that is reached for good, during the making of the vm too. */
START_TEST(test_small_memory) {
    int made = 0, worked = 0;
    for (uint64_t size = 1000; size < 120000; size += 500) {
        struct script_limits limits = {.max_memory = size, .max_instructions = 1000000, .max_ms = 1000};
        struct script_vm *small;
        if (script_vm_new(&limits, &rng, &small, &error))
            continue;
        made++;
        struct script_env *e;
        struct script_chunk *chunk = NULL;
        const char *source = "msg.a.b.c = {1, 2, 3} msg.s = msg.s:gsub('%w', '%0 ') msg.t = ('x'):rep(5000)";
        const char *in = "{\"a\":{\"b\":{}},\"s\":\"hello\"}";
        ck_assert_int_eq(script_env_new(small, &connection, &e), 0);
        if (!script_compile(small, source, strlen(source), "t.lua", 1, &chunk, &error)) {
            struct script_message message = {.data = (const uint8_t *)in, .len = strlen(in)};
            worked += script_transform(small, chunk, e, &message, &out, &binary, &error) == SCRIPT_REPLACED;
        }
        script_chunk_free(small, chunk);
        script_env_free(small, e);
        script_vm_free(small);
    }
    ck_assert_int_gt(made, worked);
    ck_assert_int_gt(worked, 10);
}
END_TEST

/* A kill says where it struck. */
START_TEST(test_kill_place) {
    char text[1024];
    ck_assert_int_eq(run("local x = 1\nlocal function f()\n  while true do\n  end\nend\npcall(f)", "{}"), SCRIPT_ERROR);
    ck_assert_str_eq(error.file, "t.lua");
    ck_assert_int_ge(error.line, 3);
    ck_assert_int_le(error.line, 4);
    ck_assert(strstr(err_format(&error, text, sizeof text), "t.lua:"));
    vm->limits.max_ms = 10000; /* memory must be the first to run out */
    ck_assert_int_eq(run("\n\nlocal t = {}\nlocal s = ('x'):rep(12000000) .. 'y'", "{}"), SCRIPT_ERROR);
    ck_assert_int_eq(error.line, 4);
    ck_assert_msg(strstr(error.text, "out of memory"), "%s", error.text);
}
END_TEST

/* Errors carry no payload unless the script put it there, and are bounded. */
START_TEST(test_error_text) {
    ck_assert_int_eq(run("local x = msg.secret + 1", "{\"secret\":\"hunter2\"}"), SCRIPT_ERROR);
    ck_assert(!strstr(error.text, "hunter2"));
    ck_assert_int_eq(run("string.rep({}, msg.secret)", "{\"secret\":\"hunter2\"}"), SCRIPT_ERROR);
    ck_assert(!strstr(error.text, "hunter2"));
    ck_assert_int_eq(run("json.decode(msg.secret)", "{\"secret\":\"hunter2\"}"), SCRIPT_ERROR);
    ck_assert(!strstr(error.text, "hunter2"));
    ck_assert_int_eq(run("error(('x'):rep(100000) .. '\\n\\0\\27')", "{}"), SCRIPT_ERROR);
    ck_assert_uint_lt(strlen(error.text), sizeof error.text);
    ck_assert_int_eq(run("error('a\\nb\\27[0m')", "{}"), SCRIPT_ERROR);
    ck_assert_str_eq(error.text, "a b [0m");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("script cage");
    TCase *tc = tcase_create("attacks");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, test_killed, 0, ARRAY_LEN(killed));
    tcase_add_loop_test(tc, test_killed_in_handler, 0, ARRAY_LEN(killed));
    tcase_add_loop_test(tc, test_refused, 0, ARRAY_LEN(refused));
    tcase_add_loop_test(tc, test_harmless, 0, ARRAY_LEN(harmless));
    tcase_add_test(tc, test_hoarder);
    tcase_add_test(tc, test_heavy_messages);
    tcase_add_test(tc, test_allocations);
    tcase_add_test(tc, test_small_memory);
    tcase_add_test(tc, test_kill_place);
    tcase_add_test(tc, test_error_text);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
