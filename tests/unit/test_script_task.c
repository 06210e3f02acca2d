/* Handlers: what they get, ask for and give, with waits in between. A host that only writes down stands in for the
 * session. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "script/vm.h"

/* Sanitizers and busy machines are slow; what must be killed is killed by instructions. */
#define MAX_MS 20000
#define INSTRUCTIONS 1000000

static struct script_vm *vm;
static struct rng rng;
static struct connection connection;
static struct script_env *env;
static struct buf noted; /* what the host was asked for, "; " between */
static int timers, refs[300];
static int answer_rc;
static struct err error;

static int note(const char *what, const void *a, size_t a_len, const void *b, size_t b_len) {
    if (noted.len)
        buf_puts(&noted, "; ");
    buf_puts(&noted, what);
    for (int i = 0; i < 2; i++) {
        if (!(i ? b : a))
            continue;
        buf_putc(&noted, ' ');
        buf_append(&noted, i ? b : a, i ? b_len : a_len);
    }
    return answer_rc;
}

static int on_send(void *arg, bool binary, const void *data, size_t len) {
    (void)arg;
    return note(binary ? "bytes" : "send", data, len, NULL, 0);
}

static int on_close(void *arg, unsigned code, const char *reason, size_t len) {
    char text[16];
    (void)arg;
    snprintf(text, sizeof text, "%u", code);
    return note("close", text, strlen(text), reason, len);
}

static int on_join(void *arg, const char *room, size_t len) {
    (void)arg;
    return note("join", room, len, NULL, 0);
}

static int on_leave(void *arg, const char *room, size_t len) {
    (void)arg;
    return note("leave", room, len, NULL, 0);
}

static void on_members(void *arg, const char *room, size_t len, void (*add)(void *to, const char *id), void *to) {
    (void)arg;
    if (len != 5 || memcmp(room, "empty", 5) != 0) {
        add(to, "conn-1");
        add(to, "conn-2");
    }
}

static int on_broadcast(void *arg, const char *target, size_t target_len, bool binary, const void *data, size_t len) {
    (void)arg;
    return note(binary ? "broadcast bytes" : "broadcast", target, target_len, data, len);
}

static int on_render(void *arg, const char *text, struct buf *out, struct err *err) {
    static char name[] = "name";
    char *const path[] = {name};
    (void)arg;
    if (!strcmp(text, "bad"))
        return err_set(err, MF_EINVAL, "unknown name 'bad'");
    if (!script_env_find_state(vm, env, path, 1, out))
        buf_puts(out, text);
    return MF_OK;
}

static int on_sleep(void *arg, uint64_t ms, struct err *err) {
    char text[32];
    (void)arg;
    if (ms == 13)
        return err_set(err, MF_EINVAL, "no such time");
    snprintf(text, sizeof text, "%llu", (unsigned long long)ms);
    return note("sleep", text, strlen(text), NULL, 0);
}

static int on_shared(void *arg, const struct script_shared_request *r, struct err *err) {
    static const char *const ops[] = {"get", "set", "incr", "decr", "del", "expire"};
    char text[64] = "";
    (void)arg;
    if (r->key_len == 3 && !memcmp(r->key, "off", 3))
        return err_set(err, MF_EINVAL, "shared state is off");
    note(ops[r->op], r->key, r->key_len, r->value, r->value_len);
    if (r->by || r->expire_ms)
        snprintf(text, sizeof text, " by=%lld ms=%llu", (long long)r->by, (unsigned long long)r->expire_ms);
    buf_puts(&noted, text);
    return MF_OK;
}

static int on_timer(void *arg, int ref, uint64_t ms, bool repeat) {
    char text[32];
    (void)arg;
    if (timers == 100)
        return MF_ELIMIT;
    refs[timers] = ref;
    snprintf(text, sizeof text, "%llu", (unsigned long long)ms);
    note(repeat ? "every" : "after", text, strlen(text), NULL, 0);
    return ++timers;
}

static void on_cancel(void *arg, int number) {
    char text[32];
    (void)arg;
    snprintf(text, sizeof text, "%d", number);
    note("cancel", text, strlen(text), NULL, 0);
    script_forget_timer(vm, refs[number - 1]);
}

static const struct script_host host = {on_send,   on_close, on_join,   on_leave, on_members,  on_broadcast,
                                        on_render, on_sleep, on_shared, on_timer, on_cancel};

static void set_up(void) {
    const struct script_limits limits = {.max_memory = 4u << 20, .max_instructions = INSTRUCTIONS, .max_ms = MAX_MS};
    rng_init(&rng, 7);
    ck_assert_int_eq(script_vm_new(&limits, &rng, &vm, &error), 0);
    connection_init(&connection, 42);
    ck_assert_int_eq(script_env_new(vm, &connection, &env), 0);
    script_env_set_host(env, &host, NULL);
    timers = 0;
    answer_rc = MF_OK;
}

static void tear_down(void) {
    script_env_free(vm, env);
    script_vm_free(vm);
    connection_fini(&connection);
    buf_fini(&noted);
}

/* ---- running a handler to its end ---- */

static struct script_chunk *compile(const char *source) {
    struct script_chunk *chunk;
    char text[1024];
    int code = script_compile(vm, source, strlen(source), "t.lua", 1, &chunk, &error);
    ck_assert_msg(code == 0, "%s: %s", source, err_format(&error, text, sizeof text));
    return chunk;
}

static struct script_event event_of(enum script_event_kind kind, const char *in, bool binary,
                                    struct script_message *message) {
    *message = (struct script_message){.incoming = true, .binary = binary, .data = (const uint8_t *)in,
                                       .len = in ? strlen(in) : 0};
    return (struct script_event){.kind = kind, .message = in ? message : NULL};
}

/* Adds "= text", "= {json}" or "! error" to what was noted. */
static void note_end(enum script_progress p, const struct script_result *result) {
    char text[1024];
    if (p == SCRIPT_FAILED) {
        err_format(&error, text, sizeof text);
        note("!", text, strlen(text), NULL, 0);
    } else if (result->any) {
        note(result->is_json ? "=json" : result->binary ? "=bytes" : "=", result->data.data ? (void *)result->data.data : "",
             result->data.len, NULL, 0);
    }
}

/* Answers in order, one for each wait: "!text" an error, "-" nothing, else JSON. */
static const char *finish(struct script_task *task, enum script_progress p, struct script_result *result,
                          const char *const *answers) {
    while (p == SCRIPT_WAITING) {
        const char *a = *answers ? *answers++ : "-";
        struct script_answer answer = {0};
        if (*a == '!')
            answer.error = a + 1;
        else if (strcmp(a, "-") != 0)
            answer = (struct script_answer){.json = a, .json_len = strlen(a)};
        p = script_resume(vm, task, &answer, result, &error);
    }
    note_end(p, result);
    buf_fini(&result->data);
    ck_assert(!vm->running && !vm->env && !vm->task);
    ck_assert_int_eq(lua_gettop(vm->L), 0);
    ck_assert_uint_eq(env->task_count, 0);
    return buf_cstr(&noted);
}

static const char *run_event(const char *source, const struct script_event *event, const char *const *answers) {
    struct script_chunk *chunk = compile(source);
    struct script_result result = {0};
    struct script_task *task;
    buf_reset(&noted);
    enum script_progress p = script_start(vm, env, chunk, event, &result, &task, &error);
    const char *said = finish(task, p, &result, answers);
    script_chunk_free(vm, chunk);
    return said;
}

struct row {
    const char *source, *in, *want; /* want "~…": must hold what follows */
    const char *answers[4];
};

static void check_rows(const struct row *rows, size_t count, enum script_event_kind kind) {
    for (const struct row *r = rows; r < rows + count; r++) {
        struct script_message message;
        const struct script_event event = event_of(kind, r->in, false, &message);
        const char *said = run_event(r->source, &event, r->answers);
        bool good = *r->want == '~' ? strstr(said, r->want + 1) != NULL : !strcmp(said, r->want);
        ck_assert_msg(good, "%s on %s:\n got %s\nwant %s", r->source, r->in ? r->in : "nothing", said, r->want);
    }
}

static const struct row results[] = {
    {"", "{}", "", {0}},
    {"return nil", "{}", "", {0}},
    {"return 'x'", "{}", "= x", {0}},
    {"return ''", "{}", "= ", {0}},
    {"return {type = 'pong'}", "{}", "=json {\"type\":\"pong\"}", {0}},
    {"return {}", "{}", "=json {}", {0}},
    {"return json.array()", "{}", "=json []", {0}},
    {"return 5", "{}", "=json 5", {0}},
    {"return false", "{}", "=json false", {0}},
    {"return json.null", "{}", "=json null", {0}},
    {"return message", "{\"a\": 1.0}", "=json {\"a\": 1.0}", {0}},
    {"message.b = msg.a return msg", "{\"a\": 1.0}", "=json {\"a\": 1.0,\"b\":1.0}", {0}},
    {"return binary('\\1\\255')", "{}", "=bytes \1\377", {0}},
    {"return 'a', 'b'", "{}", "= a", {0}},
    {"return '\\255'", "{}", "= \357\277\275", {0}},
    {"return message.text", "plain", "= plain", {0}},
    {"return function() end", "{}", "~return: a function cannot be sent", {0}},
    {"return connection", "{}", "~cannot be JSON", {0}},
    {"local t = {} t.t = t return t", "{}", "~contains itself", {0}},
    {"return tostring(params) .. tostring(close_code) .. direction", "{}", "= nilnilincoming", {0}},
    {"return state == connection.state", "{}", "=json true", {0}},
};

START_TEST(test_results) {
    check_rows(results, ARRAY_LEN(results), SCRIPT_RULE);
}
END_TEST

static const struct row frames[] = {
    {"return message", "as it is", "= as it is", {0}},
    {"return message.text .. '|' .. message.data .. '|' .. tostring(message.binary)", "x", "= x|x|false", {0}},
    {"return message.json.a", "{\"a\":[1]}", "=json [1]", {0}},
    {"message.json.a = 2 return message.json.a == 2 and rawequal(message.json, message.json)", "{\"a\":1}",
     "=json true", {0}},
    {"return tostring(message.json)", "no", "= nil", {0}},
    {"return tostring(message.json) .. tostring(message.json) .. message.text", "no", "= nilnilno", {0}},
    {"return message.json", "5", "=json 5", {0}},
    {"return message.json == json.null", "null", "=json true", {0}},
    {"message.json = {x = 1} return message.json", "{}", "=json {\"x\":1}", {0}},
    {"message.text = 'y' return message", "x", "= y", {0}},
    {"message.data = 'y' message.binary = true return message", "x", "=bytes y", {0}},
    {"message.text = 5 return message", "x", "~must be a string, not a number", {0}},
    {"return message.nothing == nil and msg == message", "x", "=json true", {0}},
    {"setmetatable(message, {})", "x", "~protected", {0}},
    {"local n = 0 for k in pairs(message) do n = n + 1 end return n", "x", "=json 3", {0}},
};

START_TEST(test_frames) {
    struct script_message message;
    check_rows(frames, ARRAY_LEN(frames), SCRIPT_FRAME);
    const struct script_event event = event_of(SCRIPT_FRAME, "{}", true, &message);
    const char *const none[] = {NULL};
    ck_assert_str_eq(run_event("return message", &event, none), "=bytes {}");
    ck_assert_str_eq(run_event("return {message.text == nil, message.data, message.binary, message.json == nil}",
                               &event, none),
                     "=json [true,\"{}\",true,true]");
}
END_TEST

static const struct row session[] = {
    {"connection.send('a') connection:send({b = 1}) connection.send(2) connection.send(binary('c'))", NULL,
     "send a; send {\"b\":1}; send 2; bytes c", {0}},
    {"connection.send()", NULL, "! t.lua:1: connection.send: what is to be sent is missing (nil)", {0}},
    {"connection:send()", NULL, "~is missing", {0}},
    {"connection.send(print)", NULL, "~is missing", {0}},
    {"connection.send(pairs)", NULL, "~a function cannot be sent", {0}},
    {"connection.close() connection:close(4000, 'bye') connection.close(3000)", NULL,
     "close 1000 ; close 4000 bye; close 3000 ", {0}},
    {"connection.close(1005)", NULL, "~1005 is no close code", {0}},
    {"connection.close(999)", NULL, "~no close code", {0}},
    {"connection.close(-1)", NULL, "~no close code", {0}},
    {"connection.close(5000)", NULL, "~no close code", {0}},
    {"connection.close('x')", NULL, "~number expected", {0}},
    {"connection.close(1000, ('x'):rep(124))", NULL, "~123 bytes at most", {0}},
    {"connection.close(1000, '\\255')", NULL, "~UTF-8", {0}},
    {"connection.send = 1", NULL, "~only state can be set", {0}},
    {"return connection.other == nil", NULL, "=json true", {0}},
    {"rooms.join('r') rooms:leave('r') rooms.join(7) return rooms.members('r')", NULL,
     "join r; leave r; join 7; =json [\"conn-1\",\"conn-2\"]", {0}},
    {"return rooms.members('empty')", NULL, "=json []", {0}},
    {"rooms.join()", NULL, "! t.lua:1: rooms.join: the room must be a string, not nil", {0}},
    {"rooms.join({})", NULL, "~must be a string, not table", {0}},
    {"rooms.join('')", NULL, "~1 to 256 bytes, not 0", {0}},
    {"rooms.leave(('x'):rep(257))", NULL, "~1 to 256 bytes, not 257", {0}},
    {"rooms.members(true)", NULL, "~must be a string", {0}},
    {"rooms.x = 1", NULL, "~read-only", {0}},
    {"broadcast('r', {a = 1}) broadcast('/p', 'x') broadcast('r', binary('y'))", NULL,
     "broadcast r {\"a\":1}; broadcast /p x; broadcast bytes r y", {0}},
    {"broadcast('r')", NULL, "~broadcast: what is to be sent", {0}},
    {"broadcast(nil, 'x')", NULL, "~the room or route must be a string", {0}},
    {"return template('x{{y}}')", NULL, "= x{{y}}", {0}},
    {"state.name = {'Ada'} return template('x')", NULL, "= [\"Ada\"]", {0}},
    {"return template('bad')", NULL, "~template: unknown name 'bad'", {0}},
    {"return template('a\\0b')", NULL, "~NUL", {0}},
    {"binary()", NULL, "~string expected", {0}},
    {"every(5, function() end) after(0, function() end)", NULL, "every 5; after 0", {0}},
    {"every(0, function() end)", NULL, "~every: a time from 1 to", {0}},
    {"after(-1, function() end)", NULL, "~a time from 0 to 2147483647 ms is needed, not -1", {0}},
    {"after(1e300, function() end)", NULL, "~a time from", {0}},
    {"after(0/0, function() end)", NULL, "~a time from", {0}},
    {"after('5', function() end)", NULL, "~a time from", {0}},
    {"after(5)", NULL, "~a function is needed, not no value", {0}},
    {"local t = after(5, function() end) t.cancel() t:cancel()", NULL, "~; cancel", {0}},
    {"for i = 1, 200 do after(5, function() end) end", NULL, "~too many timers", {0}},
    {"coroutine.create(1)", NULL, "~'coroutine'", {0}},
};

START_TEST(test_session) {
    check_rows(session, ARRAY_LEN(session), SCRIPT_CONNECT);
    answer_rc = MF_ELIMIT;
    const struct row full = {"connection.send('x')", NULL, "~connection.send: too many, or too much at once", {0}};
    check_rows(&full, 1, SCRIPT_CONNECT);
}
END_TEST

static const struct row waits[] = {
    {"sleep(5) return message.a", "{\"a\":1}", "sleep 5; =json 1", {"-"}},
    {"sleep(2.6) sleep(0) return 'x'", "{}", "sleep 3; sleep 0; = x", {"-"}},
    {"sleep(-1)", "{}", "! t.lua:1: sleep: a time from 0 to 2147483647 ms is needed, not -1", {0}},
    {"sleep(1e12)", "{}", "~a time from", {0}},
    {"sleep('x')", "{}", "~a time from 0 to 2147483647 ms is needed, not x", {0}},
    {"\nsleep(13)", "{}", "! t.lua:2: sleep: no such time", {0}},
    {"return shared.get('k')", "{}", "get k; =json {\"a\": [1.0]}", {"{\"a\": [1.0]}"}},
    {"local v = shared.get('k') v.b = 1 return v", "{}", "get k; =json {\"a\":1,\"b\":1}", {"{\"a\":1}"}},
    {"return shared.get('k') == nil", "{}", "get k; =json true", {"-"}},
    {"return shared.get('k') == json.null", "{}", "get k; =json true", {"null"}},
    {"return math.type(shared.get('k')) .. math.type(shared.get('l'))", "{}", "get k; get l; = integerfloat",
     {"7", "7.0"}},
    {"return shared.get('k')", "{}", "get k; = text", {"\"text\""}},
    {"local n = (shared.get('n') or 0) + 1 shared.set('n', n) return n", "{}", "get n; set n 1; =json 1", {"-"}},
    {"shared.set('k', {a = {1}}, 500)", "{}", "set k {\"a\":[1]} by=0 ms=500", {0}},
    {"shared.set('k', 'v')", "{}", "set k \"v\"", {0}},
    {"shared.set('k')", "{}", "~a value is needed", {0}},
    {"shared.set('k', print)", "{}", "~a value is needed", {0}},
    {"shared.set('k', pairs)", "{}", "~cannot be JSON", {0}},
    {"shared.set('k', 1, 0)", "{}", "~a time from 1", {0}},
    {"shared:incr('k') shared.decr('k', 5)", "{}", "incr k by=1 ms=0; decr k by=5 ms=0", {0}},
    {"shared.incr('k', 1.5)", "{}", "~integer", {0}},
    {"shared.del('k') shared.expire('k', 9)", "{}", "del k; expire k by=0 ms=9", {0}},
    {"shared.expire('k')", "{}", "~a time from 1", {0}},
    {"shared.get()", "{}", "~the key must be a string, not nil", {0}},
    {"shared.get('')", "{}", "~the key is empty", {0}},
    {"shared.get('off')", "{}", "! t.lua:1: shared.get: shared state is off", {0}},
    {"\n\nreturn shared.get('k')", "{}", "get k; ! t.lua:3: shared.get: Redis is away", {"!Redis is away"}},
    {"local ok, e = pcall(shared.get, 'k') return e", "{}", "get k; = shared.get: Redis is away", {"!Redis is away"}},
    {"local ok, e = pcall(function() return shared.get('k') end) return {ok, e}", "{}",
     "get k; =json [true,7]", {"7"}},
    {"local ok, e = pcall(function() sleep(1) error('x', 0) end) return {ok, e}", "{}", "sleep 1; =json [false,\"x\"]",
     {0}},
    {"return {xpcall(function(a) sleep(1) return a end, tostring, 5)}", "{}", "sleep 1; =json [true,5]", {0}},
    {"return {xpcall(function() sleep(1) error('x', 0) end, function(e) return e .. '!' end)}", "{}",
     "sleep 1; =json [false,\"x!\"]", {0}},
    {"return {pcall(pcall, function() sleep(1) sleep(2) return 1 end)}", "{}",
     "sleep 1; sleep 2; =json [true,true,1]", {0}},
    {"local t = setmetatable({}, {__index = function(_, k) return shared.get(k) end}) return t.x", "{}",
     "get x; =json 3", {"3"}},
    {"local t = setmetatable({}, {__add = function(a, b) sleep(b) return 'sum' end}) return t + 4", "{}",
     "sleep 4; = sum", {0}},
    {"local t = setmetatable({}, {__pairs = function() sleep(1) return next, {a = 1} end})\n"
     "for k, v in pairs(t) do return k end", "{}", "sleep 1; = a", {0}},
    {"for i = 1, 3 do sleep(i) end return 'z'", "{}", "sleep 1; sleep 2; sleep 3; = z", {0}},
    {"table.sort({2, 1}, function() sleep(1) end)", "{}", "~sleep cannot wait inside a function", {0}},
    {"('x'):gsub('x', function() sleep(1) end)", "{}", "~sleep cannot wait inside a function", {0}},
    {"tostring(setmetatable({}, {__tostring = function() return shared.get('x') end}))", "{}",
     "~shared.get cannot wait inside", {0}},
    {"local ok, e = pcall(table.sort, {2, 1}, function() sleep(1) end) sleep(2) return ok", "{}",
     "sleep 2; =json false", {0}},
    {"do local c <close> = setmetatable({}, {__close = function() connection.send('closed') end}) sleep(1) end", "{}",
     "sleep 1; send closed", {0}},
    {"local c <close> = setmetatable({}, {__close = function() connection.send('closed') end}) error('x', 0)", "{}",
     "send closed; ! t.lua:1: x", {0}},
    {"local c <close> = setmetatable({}, {__close = function() sleep(1) end}) error('x', 0)", "{}",
     "~sleep cannot wait", {0}},
    {"msg = {1} sleep(1) return message", "{}", "sleep 1; =json [1]", {0}},
    {"return shared.get('x')", "{}", "~not JSON", {"{"}},
};

START_TEST(test_waits) {
    check_rows(waits, ARRAY_LEN(waits), SCRIPT_RULE);
}
END_TEST

/* ---- events ---- */

/* What a file does when it is loaded sees nothing of the call before. */
START_TEST(test_loaded_file_sees_no_call) {
    const char *const none[] = {NULL};
    struct script_message message;
    struct script_event event = event_of(SCRIPT_RULE, "{\"a\":1}", false, &message);
    event.params = "[1]";
    event.params_len = 3;
    run_event("state.secret = 1", &event, none);
    struct script_module module;
    const char *source = "assert(not message and not msg and not params and not state and not pcall(function() return "
                         "connection.id end))\nlocal n = 0\n"
                         "return {on_message = function() n = n + 1 sleep(1) return {n, message.a} end}";
    char text[1024];
    int rc = script_load_module(vm, source, strlen(source), "m.lua", 1, &module, &error);
    ck_assert_msg(rc == 0, "%s", err_format(&error, text, sizeof text));
    ck_assert(module.on_message && !module.on_connect && !module.on_close);
    struct script_result result = {0};
    struct script_task *task;
    buf_reset(&noted);
    enum script_progress p = script_start(vm, env, module.on_message, &event, &result, &task, &error);
    ck_assert_str_eq(finish(task, p, &result, none), "sleep 1; =json [1,1]");
    script_chunk_free(vm, module.on_message);
}
END_TEST

START_TEST(test_event_globals) {
    const char *const none[] = {NULL};
    const char *source = "sleep(1) return {params or 'none', close_code or 0, close_reason or 'none'}";
    const char *text = "{\"p\":[1, 2],\"x\":1}";
    struct script_event event = {.kind = SCRIPT_CLOSE, .close_code = 1001, .close_reason = "gone"};
    ck_assert_str_eq(run_event(source, &event, none), "sleep 1; =json [\"none\",1001,\"gone\"]");
    event = (struct script_event){.kind = SCRIPT_RULE, .params = text + 5, .params_len = 6};
    ck_assert_str_eq(run_event(source, &event, none), "sleep 1; =json [[1, 2],0,\"none\"]");
    event = (struct script_event){.kind = SCRIPT_CONNECT};
    ck_assert_str_eq(run_event(source, &event, none), "sleep 1; =json [\"none\",0,\"none\"]");
    ck_assert_str_eq(run_event("return message == nil and msg == nil", &event, none), "=json true");
    event = (struct script_event){.kind = SCRIPT_TIMER};
    ck_assert_str_eq(run_event("return tostring(params)", &event, none), "= nil");
}
END_TEST

START_TEST(test_timers) {
    const char *const none[] = {NULL};
    const struct script_event connect = {.kind = SCRIPT_CONNECT};
    struct script_result result = {0};
    struct script_task *task;
    run_event("local n = 0 state.t = every(5, function() n = n + 1 sleep(1) return n end)", &connect, none);
    const struct script_event fires = {.kind = SCRIPT_TIMER, .timer_ref = refs[0]};
    for (int i = 1; i <= 2; i++) {
        buf_reset(&noted);
        enum script_progress p = script_start(vm, env, NULL, &fires, &result, &task, &error);
        ck_assert_str_eq(finish(task, p, &result, none), i == 1 ? "sleep 1; =json 1" : "sleep 1; =json 2");
    }
    ck_assert_str_eq(run_event("state.t:cancel() state.t:cancel()", &connect, none), "cancel 1; cancel 1");
    buf_reset(&noted);
    enum script_progress p = script_start(vm, env, NULL, &fires, &result, &task, &error);
    ck_assert_str_eq(finish(task, p, &result, none), "! timer: there is no such timer");
    script_forget_timer(vm, refs[0]);
    script_forget_timer(vm, 0);
    script_forget_timer(vm, 99999);
    /* Another connection may neither run nor cancel what this one keeps. */
    struct script_env *other;
    ck_assert_int_eq(script_env_new(vm, &connection, &other), 0);
    run_event("after(5, function() end) after(6, function() end)", &connect, none);
    const struct script_event stolen = {.kind = SCRIPT_TIMER, .timer_ref = refs[1]};
    ck_assert_int_eq(script_start(vm, other, NULL, &stolen, &result, &task, &error), SCRIPT_FAILED);
    script_env_free(vm, other);
    script_forget_timer(vm, refs[1]);
}
END_TEST

/* ---- several at once ---- */

#define TASKS 6

/* Each sees its own message, params and connection after every wait, in whatever order they go on. */
START_TEST(test_mixed_order) {
    struct connection others[TASKS];
    struct script_env *envs[TASKS];
    struct script_task *tasks[TASKS];
    struct script_result result = {0};
    const struct script_answer nothing = {0};
    struct script_chunk *chunk = compile("state.n = message.n for i = 1, 10 do sleep(i)\n"
                                         "assert(message.n == state.n and msg.n == state.n and params[1] == state.n)\n"
                                         "assert(connection.id == 'conn-' .. (100 + state.n), connection.id) end\n"
                                         "return message.n");
    unsigned left = TASKS, waited[TASKS] = {0};
    for (int i = 0; i < TASKS; i++) {
        char text[32], params[16];
        struct script_message message;
        snprintf(text, sizeof text, "{\"n\":%d}", i);
        snprintf(params, sizeof params, "[%d]", i);
        struct script_event event = event_of(SCRIPT_RULE, text, false, &message);
        event.params = params;
        event.params_len = strlen(params);
        connection_init(&others[i], 100 + (uint64_t)i);
        ck_assert_int_eq(script_env_new(vm, &others[i], &envs[i]), 0);
        script_env_set_host(envs[i], &host, NULL);
        ck_assert_int_eq(script_start(vm, envs[i], chunk, &event, &result, &tasks[i], &error), SCRIPT_WAITING);
    }
    while (left) {
        int i = (int)rng_range(&rng, 0, TASKS - 1);
        if (!tasks[i])
            continue;
        enum script_progress p = script_resume(vm, tasks[i], &nothing, &result, &error);
        ck_assert_msg(p != SCRIPT_FAILED, "%s", error.text);
        waited[i]++;
        if (p != SCRIPT_DONE)
            continue;
        ck_assert_uint_eq(waited[i], 10);
        ck_assert_int_eq(strtol(buf_cstr(&result.data), NULL, 10), i);
        tasks[i] = NULL;
        left--;
    }
    for (int i = 0; i < TASKS; i++) {
        script_env_free(vm, envs[i]);
        connection_fini(&others[i]);
    }
    script_chunk_free(vm, chunk);
    buf_fini(&result.data);
}
END_TEST

static struct script_task *begin_waiting(struct script_chunk *chunk, struct script_env *in) {
    struct script_result result = {0};
    struct script_task *task;
    const struct script_event event = {.kind = SCRIPT_CONNECT};
    enum script_progress p = script_start(vm, in, chunk, &event, &result, &task, &error);
    ck_assert_msg(p == SCRIPT_WAITING, "%s", error.text);
    buf_fini(&result.data);
    return task;
}

START_TEST(test_cancel) {
    const char *const none[] = {NULL};
    const struct script_event event = {.kind = SCRIPT_CONNECT};
    struct script_chunk *chunk = compile(
        "local c <close> = setmetatable({}, {__close = function() while true do end end}) sleep(1) return 1");
    script_cancel(vm, NULL);
    script_cancel(vm, begin_waiting(chunk, env));
    ck_assert_uint_eq(env->task_count, 0);
    begin_waiting(chunk, env);
    begin_waiting(chunk, env);
    struct script_env *other;
    ck_assert_int_eq(script_env_new(vm, &connection, &other), 0);
    script_env_set_host(other, &host, NULL);
    begin_waiting(chunk, other);
    script_env_free(vm, other); /* its tasks go with it */
    ck_assert_uint_eq(env->task_count, 2);
    lua_gc(vm->L, LUA_GCCOLLECT);
    while (!list_empty(&env->tasks))
        script_cancel(vm, container_of(env->tasks.next, struct script_task, link));
    lua_gc(vm->L, LUA_GCCOLLECT);
    ck_assert_str_eq(run_event("sleep(1) return 1", &event, none), "sleep 1; =json 1");
    /* Of one connection only so many. */
    struct script_result result = {0};
    struct script_task *task;
    int count = 0;
    script_chunk_free(vm, chunk);
    chunk = compile("sleep(1)");
    while (script_start(vm, env, chunk, &event, &result, &task, &error) == SCRIPT_WAITING)
        ck_assert_int_lt(++count, 1000);
    ck_assert_int_gt(count, 100);
    ck_assert_msg(strstr(error.text, "handlers of this connection wait"), "%s", error.text);
    script_chunk_free(vm, chunk); /* they go on with what they have */
    buf_fini(&result.data);
}
END_TEST

/* ---- limits ---- */

/* "@": a wait. In each stretch the loop must end that handler and nothing else. */
static const char *const endless[] = {
    "while true do end",
    "while true do pcall(function() while true do end end) end",
    "pcall(function() while true do end end) sleep(9)",
    "xpcall(function() while true do end end, function() while true do end end)",
    "pcall(pcall, pcall, function() while true do end end) while true do end",
    "setmetatable({}, {__index = function() while true do end end}).x()",
    "table.sort({2, 1}, function() while true do end end)",
    "local s = ('x'):rep(100):gsub('.', function() while true do end end)",
    "local c <close> = setmetatable({}, {__close = function() while true do end end}) while true do end",
    "local c <close> = setmetatable({}, {__close = function() while true do end end}) error('x')",
    "local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end",
#ifndef __SANITIZE_THREAD__ /* its shadow stack keeps the 200 frames that each of these errors jumps over, and overflows */
    "local function f() pcall(f) pcall(f) end f()",
    "local function f() return pcall(f) end while true do f() end",
#endif
    "pcall(function() local t = {} while true do t[#t + 1] = {t} end end)",
};

static void check_alive(const char *after) {
    const char *const answers[] = {"-", "5", NULL};
    struct script_message message;
    const struct script_event event = event_of(SCRIPT_RULE, "{\"a\":\"b\"}", false, &message);
    const char *said = run_event("sleep(1) return {message.a, shared.get('k'), (pcall(error))}", &event, answers);
    ck_assert_msg(!strcmp(said, "sleep 1; get k; =json [\"b\",5,false]"), "after %s: %s", after, said);
}

START_TEST(test_killed) {
    static const char *const before[] = {"", "sleep(1) ", "pcall(sleep, 1) sleep(2) ",
                                         "pcall(function() sleep(1) error('x') end) "};
    const char *const none[] = {NULL};
    const struct script_event event = {.kind = SCRIPT_CONNECT};
    for (size_t stretch = 0; stretch < ARRAY_LEN(before); stretch++) {
        char source[512];
        snprintf(source, sizeof source, "%s%s", before[stretch], endless[_i]);
        const char *said = run_event(source, &event, none);
        ck_assert_msg(strstr(said, "! t.lua:1: stopped: ") && !strstr(said, "sleep 9"), "%s: %s", source, said);
        check_alive(source);
    }
}
END_TEST

/* A stretch is counted for itself: a handler may use its budget again and again. */
START_TEST(test_budget_of_each_stretch) {
    const char *const none[] = {NULL};
    const struct script_event event = {.kind = SCRIPT_CONNECT};
    const char *said = run_event("for i = 1, 4 do for j = 1, 200000 do end sleep(i) end return 'done'", &event, none);
    ck_assert_str_eq(said, "sleep 1; sleep 2; sleep 3; sleep 4; = done");
    said = run_event("sleep(1) for j = 1, 2000000 do end", &event, none);
    ck_assert_str_eq(said, "sleep 1; ! t.lua:1: stopped: more than 1000000 instructions");
}
END_TEST

/* A connection that keeps memory in a handler that waits, or in a timer, loses it when others need it. */
START_TEST(test_hoarders) {
    static const char *const sources[] = {
        "local t, x = {}, ('x'):rep(1000) for i = 1, 3250 do t[i] = x .. i end sleep(1) return #t",
        "local t, x = {}, ('x'):rep(1000) for i = 1, 3250 do t[i] = x .. i end after(5, function() return #t end) sleep(1)",
    };
    const struct script_answer nothing = {0};
    const char *const none[] = {NULL};
    const struct script_event event = {.kind = SCRIPT_CONNECT};
    struct script_chunk *chunk = compile(sources[_i]);
    struct script_env *hoarder;
    ck_assert_int_eq(script_env_new(vm, &connection, &hoarder), 0);
    script_env_set_host(hoarder, &host, NULL);
    struct script_task *task = begin_waiting(chunk, hoarder);
    const char *much = "local t, y = {}, ('y'):rep(1000) for i = 1, 2000 do t[i] = y .. i end return 'y'";
    run_event(much, &event, none);
    ck_assert_msg(strstr(buf_cstr(&noted), "stopped: out of memory"), "%s", buf_cstr(&noted));
    ck_assert_str_eq(run_event(much, &event, none), "= y");
    struct script_result result = {0};
    ck_assert_int_eq(script_resume(vm, task, &nothing, &result, &error), SCRIPT_FAILED);
    ck_assert_msg(strstr(error.text, "memory of this handler was needed"), "%s", error.text);
    if (_i == 1) {
        const struct script_event fires = {.kind = SCRIPT_TIMER, .timer_ref = refs[0]};
        ck_assert_int_eq(script_start(vm, hoarder, NULL, &fires, &result, &task, &error), SCRIPT_FAILED);
        ck_assert_msg(strstr(error.text, "memory of this timer was needed"), "%s", error.text);
    }
    script_env_free(vm, hoarder);
    script_chunk_free(vm, chunk);
}
END_TEST

/* Every allocation fails once: an error or the right result, and the vm works afterwards. */
START_TEST(test_allocations) {
    const char *source = "local a = {} for i = 1, 5 do a['k' .. i] = {i} end state.a = a\n"
                         "local v = shared.get('k') v.b = a.k1 sleep(1) connection.send({message.x, v})\n"
                         "rooms.members('r') state.t = after(5, function() return a end) pcall(sleep, 2)\n"
                         "return {params[1], require('merge').deep(v, {z = 1}), template('x'), binary('x').data}";
    int done = 0;
    for (uint64_t nth = 1; nth < 600; nth++) {
        struct script_message message;
        struct script_event event = event_of(SCRIPT_RULE, "{\"x\":[1,\"\\u00e9\"]}", false, &message);
        event.params = "[\"p\"]";
        event.params_len = 5;
        struct script_answer answer = {.json = "{\"q\": 1}", .json_len = 8};
        struct script_result result = {0};
        struct script_task *task = NULL;
        struct script_chunk *chunk = compile(source);
        timers = 0;
        script_vm_fail_alloc(vm, nth);
        enum script_progress p = script_start(vm, env, chunk, &event, &result, &task, &error);
        while (p == SCRIPT_WAITING)
            p = script_resume(vm, task, &answer, &result, &error);
        script_vm_fail_alloc(vm, 0);
        done += p == SCRIPT_DONE;
        if (p == SCRIPT_DONE)
            ck_assert(result.is_json && buf_cstr(&result.data)[result.data.len - 1] == ']');
        buf_fini(&result.data);
        script_chunk_free(vm, chunk);
        for (int i = 0; i < timers; i++)
            script_forget_timer(vm, refs[i]);
        ck_assert_uint_eq(env->task_count, 0);
        check_alive("a failed allocation");
        /* From nothing again, where coroutines and modules are made. */
        if (nth % 40 == 0) {
            tear_down();
            set_up();
        }
    }
    ck_assert_int_gt(done, 0);
}
END_TEST

/* With a cap that is reached for good, at every size. */
START_TEST(test_small_memory) {
    int made = 0, worked = 0;
    for (uint64_t size = 20000; size < 120000; size += 700) {
        const struct script_limits limits = {.max_memory = size, .max_instructions = INSTRUCTIONS, .max_ms = MAX_MS};
        struct script_vm *small;
        struct script_env *e;
        struct script_chunk *chunk = NULL;
        struct script_result result = {0};
        struct script_task *task;
        struct script_message message;
        const struct script_event event = event_of(SCRIPT_RULE, "{\"x\":[1,\"\\u00e9\"]}", false, &message);
        const struct script_answer answer = {.json = "[1, 2]", .json_len = 6};
        const char *source = "local s = ('x'):rep(8000) sleep(1) local t = shared.get('k') return {t, message.x, s}";
        if (script_vm_new(&limits, &rng, &small, &error))
            continue;
        made++;
        ck_assert_int_eq(script_env_new(small, &connection, &e), 0);
        script_env_set_host(e, &host, NULL);
        if (!script_compile(small, source, strlen(source), "t.lua", 1, &chunk, &error)) {
            enum script_progress p = script_start(small, e, chunk, &event, &result, &task, &error);
            while (p == SCRIPT_WAITING)
                p = script_resume(small, task, &answer, &result, &error);
            worked += p == SCRIPT_DONE;
        }
        script_chunk_free(small, chunk);
        script_env_free(small, e);
        script_vm_free(small);
        buf_fini(&result.data);
    }
    ck_assert_int_gt(made, worked);
    ck_assert_int_gt(worked, 10);
}
END_TEST

/* ---- guards, transforms, state ---- */

static const struct {
    const char *source, *want; /* "true", "false", or what the error holds */
} guards[] = {
    {"message.a == 1", "true"},
    {"message.b", "false"},
    {"state.x", "false"},
    {"return message.a == 1", "true"},
    {"#rooms.members('r') == 2", "true"},
    {"template('x') == 'x'", "true"},
    {"connection.send('x')", "t.lua:1: connection.send is not available in a guard"},
    {"sleep(1)", "sleep is not available in a guard"},
    {"shared.get('k')", "shared.get is not available in a guard"},
    {"pcall(sleep, 1)", "false"},
    {"every(1, pairs)", "every is not available in a guard"},
    {"message.a.b.c", "attempt to index"},
    {"(function() while true do end end)()", "stopped"},
};

START_TEST(test_guards) {
    char text[1024];
    struct script_message message;
    const struct script_event event = event_of(SCRIPT_RULE, "{\"a\":1}", false, &message);
    for (size_t i = 0; i < ARRAY_LEN(guards); i++) {
        struct script_chunk *chunk;
        bool yes = true;
        const char *source = guards[i].source;
        ck_assert_int_eq(script_compile_expression(vm, source, strlen(source), "t.lua", 1, &chunk, &error), 0);
        enum script_progress p = script_test(vm, env, chunk, &event, &yes, &error);
        const char *said = p == SCRIPT_FAILED ? err_format(&error, text, sizeof text) : yes ? "true" : "false";
        ck_assert_msg(strstr(said, guards[i].want), "%s: %s", source, said);
        script_chunk_free(vm, chunk);
    }
}
END_TEST

START_TEST(test_transform_has_no_host) {
    static const char *const names[] = {"connection.send('x')", "connection.close()", "rooms.join('x')",
                                        "rooms.leave('x')", "broadcast('x', 1)", "sleep(1)", "shared.get('x')",
                                        "every(1, pairs)", "after(1, pairs)"};
    struct buf out = BUF_INIT;
    const struct script_message message = {.incoming = true, .data = (const uint8_t *)"{}", .len = 2};
    for (int without = 0; without < 2; without++) {
        script_env_set_host(env, without ? NULL : &host, NULL);
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
            struct script_chunk *chunk = compile(names[i]);
            bool binary;
            ck_assert_int_eq(script_transform(vm, chunk, env, &message, &out, &binary, &error), SCRIPT_ERROR);
            ck_assert_msg(strstr(error.text, "is not available in a transform"), "%s: %s", names[i], error.text);
            script_chunk_free(vm, chunk);
        }
    }
    static const char *const templates[][2] = {{"{{connection.id}}!", "conn-42!"},
                                               {"{{connection_count}}", "connection_count is not available in a transform"},
                                               {"{{nothing}}", "template: "}};
    for (size_t i = 0; i < ARRAY_LEN(templates); i++) {
        char text[128];
        bool binary;
        snprintf(text, sizeof text, "return template('%s')", templates[i][0]);
        struct script_chunk *chunk = compile(text);
        bool failed = script_transform(vm, chunk, env, &message, &out, &binary, &error) == SCRIPT_ERROR;
        const char *said = failed ? error.text : buf_cstr(&out);
        ck_assert_msg(strstr(said, templates[i][1]), "%s: %s", templates[i][0], said);
        script_chunk_free(vm, chunk);
    }
    struct script_module module;
    const char *source = "sleep(1) return {on_message = pairs}";
    ck_assert_int_eq(script_load_module(vm, source, strlen(source), "m.lua", 1, &module, &error), MF_EINVAL);
    ck_assert_msg(strstr(error.text, "sleep is not available while a file is loaded"), "%s", error.text);
    buf_fini(&out);
}
END_TEST

static const struct {
    const char *path, *want; /* NULL: nothing there */
} places[] = {
    {"a", "1"},
    {"s", "\"t\\\"\""},
    {"o.x.1", "{\"y\":null}"},
    {"o.x.0", "2.5"},
    {"o.x.2", NULL},
    {"o.x.-1", NULL},
    {"o.x.a", NULL},
    {"list", "[]"},
    {"view.k.0", "7.0"},
    {"view.k.9", NULL},
    {"view.none", NULL},
    {"1", "\"one\""},
    {"meta.anything", NULL},
    {"missing.deep.er", NULL},
    {"a.b", NULL},
    {"f", NULL},
    {"loop", NULL},
    {"lib.get", NULL},
    {"", NULL},
};

START_TEST(test_state) {
    const char *const none[] = {NULL};
    const struct script_event event = {.kind = SCRIPT_CONNECT};
    const char *json = "{\"a\":1,\"s\":\"t\\\"\",\"o\":{\"x\":[2.5,{\"y\":null}]},\"list\":[],\"1\":\"one\",\"d\":1,\"d\":2}";
    struct buf out = BUF_INIT;
    char *const a[] = {(char *)"a"};
    ck_assert(!script_env_find_state(vm, env, a, 1, &out));
    ck_assert_int_eq(script_env_set_state(vm, env, "[1]", 3), MF_EINVAL);
    ck_assert_int_eq(script_env_set_state(vm, env, "{", 1), MF_EINVAL);
    ck_assert_int_eq(script_env_set_state(vm, env, json, strlen(json)), MF_OK);
    ck_assert_str_eq(run_event("table.insert(state.list, 'x') state.o.x[3] = 4 state.o.n = {} return state", &event, none),
                     "=json {\"1\":\"one\",\"a\":1,\"d\":2,\"list\":[\"x\"],\"o\":{\"n\":{},\"x\":[2.5,{\"y\":null},4]},"
                     "\"s\":\"t\\\"\"}");
    ck_assert_int_eq(script_env_set_state(vm, env, json, strlen(json)), MF_OK);
    run_event("state.view = json.decode('{\"k\":[7.0]}') state.f = pairs state.loop = {} state.loop[1] = state.loop\n"
              "state.lib = rooms state.meta = setmetatable({}, {__index = function() error('ran') end})",
              &event, none);
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        char copy[64], *segments[8], *rest = copy;
        size_t count = 0;
        snprintf(copy, sizeof copy, "%s", places[i].path);
        for (char *s; (s = strsep(&rest, ".")) != NULL;)
            segments[count++] = s;
        buf_reset(&out);
        buf_puts(&out, "<");
        bool found = script_env_find_state(vm, env, segments, count, &out);
        ck_assert_msg(found == (places[i].want != NULL), "%s", places[i].path);
        ck_assert_str_eq(buf_cstr(&out) + 1, found ? places[i].want : "");
    }
    buf_reset(&out);
    ck_assert(!script_env_find_state(vm, env, NULL, 0, &out)); /* the whole has what is no JSON in it */
    buf_fini(&out);
}
END_TEST

/* ---- the shipped modules ---- */

static const struct row modules[] = {
    {"return require('merge') == require 'merge'", NULL, "=json true", {0}},
    {"require 'nothing'", NULL, "! t.lua:1: require: there is no module 'nothing', only expect, merge, pointer", {0}},
    {"require '../merge'", NULL, "~no module", {0}},
    {"require()", NULL, "~string expected", {0}},
    {"require('merge').x = 1", NULL, "~'merge' is read-only", {0}},
    {"rawset(require('merge'), 'x', 1)", NULL, "~read-only", {0}},
    {"sleep(1) return type(require('pointer').get)", NULL, "sleep 1; = function", {0}},
};

START_TEST(test_modules) {
    check_rows(modules, ARRAY_LEN(modules), SCRIPT_CONNECT);
}
END_TEST

/* tests/unit/lua/test_*.lua: each says itself what it expects. */
START_TEST(test_module_files) {
    static const char *const files[] = {"merge", "pointer", "expect"};
    const char *const none[] = {NULL};
    const struct script_event event = {.kind = SCRIPT_CONNECT};
    char path[64], source[16384];
    snprintf(path, sizeof path, "tests/unit/lua/test_%s.lua", files[_i]);
    FILE *f = fopen(path, "r");
    ck_assert_msg(f != NULL, "%s (run from the repository's root)", path);
    size_t len = fread(source, 1, sizeof source - 1, f);
    fclose(f);
    source[len] = '\0';
    ck_assert_str_eq(run_event(source, &event, none), "= passed");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("script tasks");
    TCase *tc = tcase_create("handlers");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, test_results);
    tcase_add_test(tc, test_frames);
    tcase_add_test(tc, test_session);
    tcase_add_test(tc, test_waits);
    tcase_add_test(tc, test_event_globals);
    tcase_add_test(tc, test_loaded_file_sees_no_call);
    tcase_add_test(tc, test_timers);
    tcase_add_test(tc, test_mixed_order);
    tcase_add_test(tc, test_cancel);
    tcase_add_loop_test(tc, test_killed, 0, ARRAY_LEN(endless));
    tcase_add_test(tc, test_budget_of_each_stretch);
    tcase_add_loop_test(tc, test_hoarders, 0, 2);
    tcase_add_test(tc, test_allocations);
    tcase_add_test(tc, test_small_memory);
    tcase_add_test(tc, test_guards);
    tcase_add_test(tc, test_transform_has_no_host);
    tcase_add_test(tc, test_state);
    tcase_add_test(tc, test_modules);
    tcase_add_loop_test(tc, test_module_files, 0, 3);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
