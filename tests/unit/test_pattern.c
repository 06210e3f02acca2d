/* Our pattern functions against Lua's own: the same script, run in both, must write the same transcript. */
#include <check.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>

#include "script/script.h"

/* A transcript of what the functions say about many patterns and subjects. Error texts are compared too, without
 * their place. */
static const char common[] =
    "local find, match, gmatch, gsub = string.find, string.match, string.gmatch, string.gsub\n"
    "local lines = {}\n"
    "local function show(name, p, s, ok, ...)\n"
    "  local t = {name, p, s, tostring(ok)}\n"
    "  if ok then for i = 1, select('#', ...) do t[#t + 1] = tostring((select(i, ...))) end\n"
    "  else t[#t + 1] = tostring((...)):gsub('^[^ ]*:%d+: ', '') end\n"
    "  lines[#lines + 1] = (('%q'):format(table.concat(t, '|')):gsub('[\\128-\\255]', function(c) return '\\\\' .. "
    "c:byte() end))\n"
    "end\n"
    "local function all(p, s)\n"
    "  local function gm(init) local r = {} for a, b in gmatch(s, p, init) do r[#r + 1] = tostring(a) .. '/' .. "
    "tostring(b)\n"
    "    if #r > 50 then break end end return table.concat(r, ',') end\n"
    "  show('find', p, s, pcall(find, s, p))\n"
    "  show('find3', p, s, pcall(find, s, p, 3))\n"
    "  show('find-2', p, s, pcall(find, s, p, -2))\n"
    "  show('plain', p, s, pcall(find, s, p, 2, true))\n"
    "  show('match', p, s, pcall(match, s, p))\n"
    "  show('match9', p, s, pcall(match, s, p, 9))\n"
    "  show('gmatch', p, s, pcall(gm))\n"
    "  show('gmatch2', p, s, pcall(gm, 2))\n"
    "  show('gsub', p, s, pcall(gsub, s, p, '<%0%%>'))\n"
    "  show('gsub1', p, s, pcall(gsub, s, p, '%1', 2))\n"
    "  show('gsub2', p, s, pcall(gsub, s, p, '%2'))\n"
    "  show('gsubf', p, s, pcall(gsub, s, p, function(a) return a ~= 'a' and tostring(a) .. '!' end))\n"
    "  show('gsubt', p, s, pcall(gsub, s, p, {a = 'A', b = 7, [''] = '-'}))\n"
    "end\n";

static const char listed[] =
    "local patterns = {'', 'a', '.', 'a*', 'a-', 'a+', 'a?', '^', '$', '^$', '^a', 'a$', '^a*$', '(a)', '()', "
    "'(a*(.)%w(%s*))',\n"
    "  '()a()', '((a)(b))', '%a+', '%A+', '%d', '%D*', '%s', '%S-b', '%w+%s', '%p', '%P', '%c', '%x+', '%X', '%l', "
    "'%U',\n"
    "  '%u', '%g', '%G', '%%', '%.', '[abc]', '[^abc]+', '[a-c]*', '[]]', '[^]]', '[]-a]', '[a-]', '[-a]', '[%a]', "
    "'[%]]',\n"
    "  '[a%-c]', '[%w_]+', '[^%s]', '[a-', '[', '[^', '[]', '[%', '%', 'a%', '(', ')', '(a', 'a)', '(()', '%b()', "
    "'%bxx',\n"
    "  '%b', '%b(', '%f[%w]%w+', '%f[^%w]', '%f', '%fa', '%f[a', '(a)%1', '(.)%1', '()%1', '%1', '%0', '(%1)', "
    "'(a)%2',\n"
    "  '(.-)%s', '(.*)b(.*)', '^(.-)$', '(%w+)=(%w+)', '[\\0-\\31]', '\\0', '%z', 'a.-b', '.-.-.-$', '^%s*(.-)%s*$',\n"
    "  'a**', 'a+-', '$a', 'a^', 'a$b', '[a-c-e]', '[z-a]', '[%a-z]', '(%a)(%a)(%a)', '[\\128-\\255]+', '*', '+a', "
    "'-', '?'}\n"
    "for i = 31, 34 do patterns[#patterns + 1] = ('()'):rep(i) end\n"
    "patterns[#patterns + 1] = ('a?'):rep(250) .. 'a'\n"
    "patterns[#patterns + 1] = ('(a'):rep(40)\n"
    "local subjects = {'', 'a', 'b', 'aaa', 'aab', 'ab ab', 'hello world', '  trim me ', 'key=value, k2=v2', "
    "'(a(b)c)d)', 'x]y',\n"
    "  'a-b', '%a', 'THE (quick) fox', 'abcabc', 'aXbYc', '\\0a\\0', '\\200\\201x', 'a\\nb', '1.5e-3', 'aabbaabb', "
    "'_id9', ('a'):rep(30)}\n"
    "for _, p in ipairs(patterns) do for _, s in ipairs(subjects) do all(p, s) end end\n"
    "for _, r in ipairs {'%', '%x', 'a%', '%9', '%0%0', '%1%1', 5, 1.5} do\n"
    "  show('repl', tostring(r), '', pcall(gsub, 'abc', 'b', r)) show('repl', tostring(r), '()', pcall(gsub, 'abc', "
    "'()b', r)) end\n"
    "for _, r in ipairs {true, print or 1} do show('bad', '', '', pcall(gsub, 'a', 'a', function() return {} end)) "
    "end\n"
    "for i = -8, 8 do show('init', i, '', pcall(find, 'abcabc', 'b', i)) show('init', i, '', pcall(find, 'abcabc', '', "
    "i)) end\n"
    "show('init', '', '', pcall(find, 'abc', 'b', math.mininteger)) show('init', '', '', pcall(match, 'abc', 'b', "
    "math.maxinteger))\n";

static const char random_patterns[] =
    "local seed = SEED\n"
    "local function rand(n) seed = (seed * 1103515245 + 12345) % 2147483648; return (seed >> 8) % n + 1 end\n"
    "local items = {'a', 'b', '.', '%a', '%d', '[ab]', '[^a]', '%w', '(', ')', '()', '$', '^', '%1', '%bab', '%f[a]', "
    "'c', '%s', '[a-c]'}\n"
    "local suffixes = {'', '', '', '*', '+', '-', '?'}\n"
    "local letters = {'a', 'b', 'c', 'a', 'b', ' ', '1', 'x'}\n"
    "for i = 1, 1500 do\n"
    "  local p, s = {}, {}\n"
    "  for k = 1, rand(7) do p[k] = items[rand(#items)] .. suffixes[rand(#suffixes)] end\n"
    "  for k = 1, rand(12) do s[k] = letters[rand(#letters)] end\n"
    "  all(table.concat(p), table.concat(s))\n"
    "end\n";

static const char ending[] = "return table.concat(lines, '\\n')\n";

static char *script_of(const char *body, int seed) {
    struct buf b = BUF_INIT;
    const char *mark = strstr(body, "SEED");
    buf_puts(&b, common);
    if (mark) {
        buf_append(&b, body, (size_t)(mark - body));
        buf_printf(&b, "%d%s", seed, mark + 4);
    } else {
        buf_puts(&b, body);
    }
    buf_puts(&b, ending);
    return buf_steal(&b);
}

static void compare(const char *body, int seed) {
    char *source = script_of(body, seed);
    lua_State *stock = luaL_newstate();
    luaL_openlibs(stock);
    ck_assert_msg(luaL_loadbuffer(stock, source, strlen(source), "=t") == LUA_OK && lua_pcall(stock, 0, 1, 0) == LUA_OK,
                  "%s", lua_tostring(stock, -1));
    size_t len;
    const char *want = lua_tolstring(stock, -1, &len);
    ck_assert_uint_gt(len, 10000);

    struct script_limits limits = {.max_memory = 256u << 20, .max_instructions = 1000000000, .max_ms = 60000};
    struct rng rng;
    struct err err;
    struct script_vm *vm;
    struct script_chunk *chunk;
    struct script_env *env;
    struct connection connection;
    struct buf out = BUF_INIT;
    char text[1024];
    bool binary;
    rng_init(&rng, 1);
    connection_init(&connection, 1);
    ck_assert_int_eq(script_vm_new(&limits, &rng, &vm, &err), 0);
    ck_assert_int_eq(script_env_new(vm, &connection, &env), 0);
    ck_assert_int_eq(script_compile(vm, source, strlen(source), "t", 1, &chunk, &err), 0);
    struct script_message in = {.data = (const uint8_t *)"{}", .len = 2};
    enum script_verdict v = script_transform(vm, chunk, env, &in, &out, &binary, &err);
    ck_assert_msg(v == SCRIPT_REPLACED, "%s", err_format(&err, text, sizeof text));
    script_chunk_free(vm, chunk);

    const char *got = buf_cstr(&out);
    const char *g = got, *w = want;
    while (*g && *w) { /* line by line, for a message that can be read */
        const char *ge = strchrnul(g, '\n'), *we = strchrnul(w, '\n');
        ck_assert_msg(ge - g == we - w && !memcmp(g, w, (size_t)(we - w)), "ours:  %.*s\nLua's: %.*s", (int)(ge - g), g,
                      (int)(we - w), w);
        g = *ge ? ge + 1 : ge;
        w = *we ? we + 1 : we;
    }
    ck_assert(*g == *w);
    buf_fini(&out);
    script_env_free(vm, env);
    script_vm_free(vm);
    connection_fini(&connection);
    lua_close(stock);
    free(source);
}

START_TEST(test_listed) {
    compare(listed, 0);
}
END_TEST

START_TEST(test_random) {
    compare(random_patterns, _i + 1);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("pattern");
    TCase *tc = tcase_create("against Lua");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, test_listed);
    tcase_add_loop_test(tc, test_random, 0, 6);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
