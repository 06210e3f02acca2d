"""Mocks under attack: messages, scripts and clients that mean no good. No crash, no wrong match, bounded memory and
time. Worth most under the sanitizers; what is said of memory is not checked there."""
import contextlib
import itertools
import json
import re
import threading
import time

import pytest
from harness import eventually, least, mockforge
from setting import SANITIZED, SLOW, TIMEOUT
from test_u_admin import admin, metrics, moved  # noqa: F401: a fixture among them
from test_x_mocks import config, nothing_more, say, texts
from wire import CLOSE, TEXT, Closed, frame

# messages

MEMBERS = """
    - path: /m
      state: {initial: {n: 0}}
      rules:
        - match: {type: target, deep: {$exists: true}}
          response: "wrong"
        - match: {type: {$regex: "^tar"}, n: {$gt: 5}}
          response: "n {{message.n}} {{message.text}}"
        - match: {lua: "*"}
          handler: return {seen = message.lua, kind = math.type(message.lua) or type(message.lua)}
      default: {rest: "{{message}}"}
    """
DEEP = 10000
NO_JSON = [
    "{", "}", "[", "{]", '{"type":"target"', '{"type":"target",}', "{'type':'target'}", '{type:"target"}', "nul", "truex",
    "01", "1.", ".5", "+1", "-", "1e", "0x10", "NaN", "Infinity", '"\\x"', '"\\u12"', '"\t"', '"a\x00b"', "\x00", "[1 2]",
    "1 2", "{}{}", "[" * DEEP, "[" * DEEP + "]" * DEEP, '{"a":' * DEEP + "1" + "}" * DEEP, "\ufeff{}", "/**/{}", "\x7f\x80",
]


def test_not_json(admin):
    """It goes to the default, is counted, and the connection lives."""
    g = admin(config(MEMBERS))
    before = metrics(g)
    c = g.client("/m")
    for message in NO_JSON:
        c.text(message)
        assert json.loads(c.recv_text()) == {"rest": message}
    moved(g, {'ws_errors_total{type="parse"}': len(NO_JSON), 'ws_errors_total{type="script"}': 0}, before)


@pytest.mark.parametrize("message,answer", [
    ('{"type":"target"}', '{"rest":{"type":"target"}}'),
    ('{"type":"target","type":"other","deep":1}', None),  # of a name that stands twice the last counts
    ('{"type":"other","type":"target","deep":1}', "wrong"),
    ('{"type":["target"],"deep":1}', None), ('{"type":{"type":"target"},"deep":1}', None), ("[]", None), ('"target"', None),
    ('{"type":"target\\u0000","deep":1}', None), ('{"type":"\\ud800target","deep":1}', None),
    ('{"type":"tar","n":"7"}', None), ('{"type":"tar","n":1e999}', "n 1e999 "), ('{"type":"tar","n":-1e999}', None),
    ('{"type":"tar","n":5.0000000000000000000000000000000001}', "n 5.0000000000000000000000000000000001 "),
    ('{"type":"tar","n":' + "9" * 1000 + "}", f"n {'9' * 1000} "),
    ('{"type":"tar","n":6,"text":"a\\u0000\\ud800b"}', "n 6 a\0" + 3 * "\ufffd" + "b"),
    ('{"lua":9223372036854775807}', '{"seen":9223372036854775807,"kind":"integer"}'),
    ('{"lua":1e999}', None), ('{"lua":"\\ud83d"}', '{"seen":"\\ud83d","kind":"string"}'),
    ('{"lua":null}', '{"seen":null,"kind":"userdata"}'), ('{"lua":{"a":1,"a":2}}', None),
    ('{"lua":1,"__index":{},"__gc":1}', '{"seen":1,"kind":"integer"}'),
])
def test_odd_json(gateway, message, answer):
    g = gateway(config(MEMBERS))
    c = g.client("/m")
    c.text(message)
    if '"lua"' in message and answer:
        assert json.loads(c.recv_text()) == json.loads(answer)
    elif '"lua"' in message:
        nothing_more_or_one(c)
    else:
        assert c.recv_text() == (answer or f'{{"rest":{message}}}')
    c.text("{")
    assert c.recv_text() == '{"rest":"{"}'


def nothing_more_or_one(c):
    """Lua has its own idea of some values; what it says of them is valid JSON in any case."""
    c.ping(b"?")
    f = c.recv_message()
    if f.opcode == TEXT:
        json.loads(f.payload)
        f = c.recv_message()
    assert f.payload == b"?"


def test_wide_and_long_messages(gateway):
    g = gateway(config(MEMBERS, max_message_size=4 << 20))
    c = g.client("/m")
    for message in ("[" + "1," * 1000000 + "1]", "{" + ",".join(f'"{i}":{i}' for i in range(200000)) + "}",
                    '"' + "\\u0041" * 500000 + '"', "9" * 4000000):
        c.text(message, mask=b"\0\0\0\0")
        assert len(c.recv_text()) >= len(message)


# scripts

@pytest.mark.parametrize("keys,line,words", [
    ('rules:\n    - match: x\n      handler: |\n        local a = 1\n        return = a', 9, ["rules[0]", "near '='"]),
    ('rules:\n    - match: x\n      when: "a b"\n      response: y', 7, ["rules[0]"]),
    ('rules:\n    - match: x\n      response: y\n      then: {delay_ms: 1, handler: "end"}', 8, ["rules[0]", "'end'"]),
    ('script: |\n    const x = 1;\n    return x', 6, ["script", "Lua"]),
    ('methods:\n    - name: m\n      handler: "return {"', 7, ["methods[0]"]),
    ('scheduled:\n    - interval_ms: 10\n      handler: "x("', 7, ["scheduled[0]"]),
    ('script_file: broken.lua', None, ["broken.lua:2", "script_file"]),
    ('script: missing.lua', 5, ["script", "missing.lua"]),
    ('rules: [{match: {$regex: "("}, response: x}]', 5, ["rules[0]", "$regex"]),
    ('rules: [{match: {$hex: "0"}, response: x}]', 5, ["rules[0]", "$hex"]),
    ('rules: [{match: x, response: {$hex: "zz"}}]', 5, ["rules[0]", "$hex"]),
    ('rules: [{match: x, response: "{{nothing}}"}]', 5, ["rules[0]", "nothing"]),
    ('rules: [{match: x, response: {a: ["{{params.x}}"]}}]', 5, ["rules[0]", "params"]),
    ('rules: [{match: x, response: "{{uuid"}]', 5, ["rules[0]"]),
    ('steps: [{goto: nowhere}]', 5, ["nowhere"]),
    ('steps: [{label: a, send: x}, {goto: a}]', 5, ["goto"]),
    ('type: jsonrpc\n  default: {response: x, close: 4000}', 6, ["default", "jsonrpc"]),
])
def test_what_cannot_work_is_refused_with_its_place(tmp_path, keys, line, words):
    (tmp_path / "broken.lua").write_text("local a = 1\nreturn = a\n")
    text = "websocket:\n  port: 0\n  handlers:\n  - path: /x\n" + "\n".join("    " + l for l in keys.split("\n")).replace(
        "      default:", "    default:")
    (tmp_path / "bad.yaml").write_text(text + "\n")
    done = mockforge("config", "check", "bad.yaml", cwd=tmp_path)
    assert done.returncode == 2, (text, done)
    if line:
        assert re.search(rf"bad\.yaml:{line}\b", done.stderr), (text, done.stderr)
    for word in words:
        assert word in done.stderr, (text, done.stderr)


ATTACKS = {
    "endless loop": "while true do end",
    "endless loop in pcall": "while true do pcall(function() while true do end end) end",
    "endless coroutine": "local function f() return f() end return f()",
    "memory bomb": "local t = {} while true do t[#t + 1] = string.rep('x', 100000) .. #t end",
    "string bomb": "local s = 'x' while true do s = s .. s end",
    "pattern bomb": "return (string.rep('a', 5000)):find(string.rep('.-', 20) .. 'b')",
    "gsub bomb": "local s = string.rep('a', 10000) while true do s = s:gsub('a', 'aa') end",
    "rep bomb": "return string.rep('x', 1 << 40)",
    "format bomb": "return string.format('%9999999d', 1)",
    "deep recursion": "local function f(n) return 1 + f(n + 1) end return f(1)",
    "deep table": "local t = {} for i = 1, 1e6 do t = {t} end return t",
    "table in itself": "local t = {} t.t = t return t",
    "os.execute": "os.execute('touch pwned')",
    "io.open": "io.open('pwned', 'w')",
    "load of bytecode": "return load(string.dump(function() end))()",
    "bytecode": "return load('\\27Lua')()",
    "require": "require('os').execute('touch pwned')",
    "string metatable": "getmetatable('').__index = function() return 'poison' end",
    "string table": "string.rep = nil",
    "math table": "math.huge = 1",
    "globals": "poison = 1",
    "globals by _G": "_G.poison = 1",
    "globals by rawset": "rawset(_ENV, 'poison', 1)",
    "connection table": "connection.id = 'conn-99'",
    "rooms table": "rooms.join = nil",
    "debug": "debug.getregistry()",
    "sort bomb": "local t = {} for i = 1, 100000 do t[i] = i end while true do table.sort(t, function(a, b) return a > b end) end",
    "error that is a table": "error({poison = true})",
    "error of nil": "error(nil)",
    "gc bomb": "setmetatable({}, {__gc = function() while true do end end}) collectgarbage()",
    "close bomb": "local x <close> = setmetatable({}, {__close = function() while true do end end}) error('x')",
    "send bomb": "while true do connection.send(string.rep('x', 60000)) end",
    "send of empties": "while true do connection.send('') end",
    "broadcast bomb": "while true do broadcast('/a', string.rep('x', 60000)) end",
    "join bomb": "for i = 1, 1e9 do rooms.join('room' .. i) end",
    "timer bomb": "for i = 1, 1e9 do every(1000, function() end) end",
    "template bomb": "while true do template(string.rep('{{uuid}}', 5000)) end",
    "large template bomb": "return #template(string.rep('{{uuid}}', 400000))",
    "sleep in a loop": "for i = 1, 3 do sleep(0) end while true do end",
    "sleep for ever": "sleep(1e300)",
    "sleep backwards": "sleep(-1)",
    "number as code": "connection.close(1005)",
    "long reason": "connection.close(4000, string.rep('x', 200))",
    "function as answer": "return function() end",
    "not a number": "return {x = 0/0}",
    "json bomb": "json.decode(string.rep('[', 1e6))",
}


@contextlib.contextmanager
def latency_of(g, client):
    """While the block runs another thread asks the client's echo all the time: gives the list of seconds that the gateway
    let it wait. Where the machine let both wait, the gateway had no processor meanwhile."""
    took, going = [], True

    def probe():
        while going:
            begin, busy = time.monotonic(), g.busy()
            client.text("probe")
            assert client.recv_text() == "probe"
            took.append(min(time.monotonic() - begin, g.busy() - busy))
            time.sleep(0.001)
    thread = threading.Thread(target=probe, daemon=True)
    thread.start()
    try:
        yield took
    finally:
        going = False
        thread.join(20 * SLOW)
    assert took


@pytest.mark.limit(120)
def test_attacks_in_lua_end_their_message_and_nothing_else(gateway, tmp_path):
    """Whatever a handler does, its next message finds the world as it was, and another connection of the same worker
    waits less than 50 ms more."""
    rules = "".join(f"""
            - match: {{attack: {json.dumps(name)}}}
              handler: {json.dumps(lua)}""" for name, lua in ATTACKS.items())
    g = gateway(config(f"""
        - path: /a
          rules:{rules}
            - match: sane
              handler: |
                assert(("x"):rep(3) == "xxx" and poison == nil and math.huge > 1 and string.rep and rooms.join)
                assert(getmetatable("") == nil or type(getmetatable("")) ~= "table" or not getmetatable("").poison)
                state.n = (state.n or 0) + 1
                return {{n = state.n, id = connection.id, echo = message.text}}
        - path: /echo
          type: echo
        """, workers=1, max_message_size=1 << 20))
    other, before, connections = g.client("/echo"), g.memory(), itertools.count(2)

    def attack(name):
        c, number = g.client("/a"), next(connections)
        with latency_of(g, other) as took:
            c.text(json.dumps({"attack": name}))
            c.text("sane")
            while b'"echo":"sane"' not in (f := c.recv_message()).payload:  # what the attack itself said comes first
                assert f.opcode == TEXT, (name, f)
        assert json.loads(f.payload) == {"n": 1, "id": f"conn-{number}", "echo": "sane"}, name
        c.close_socket()
        return max(took)
    limit = (0.05 + 0.02) * SLOW  # 20 ms for what else a message costs
    for name in ATTACKS:
        took = least(lambda: attack(name), limit)
        assert took < limit, (name, took)
    assert not (tmp_path / "pwned").exists()
    assert SANITIZED or g.memory() - before < 64 << 20  # the limit of a worker's Lua is 32 MiB
    # which of the two limits ends an endless loop is a matter of the machine's speed
    g.wait_log(r'script_failed connection=conn-2 route="/a" error="mockforge.yaml:11: stopped: more than (10000000 instructions|40 ms)"')


def test_a_burst_of_slow_handlers_does_not_starve_others(gateway):
    g = gateway(config("""
        - path: /a
          methods: [{name: m, handler: "while true do end"}]
          rules:
            - match: spin
              handler: while true do end
            - response: done
        - path: /echo
          type: echo
        """, workers=1))
    other, c = g.client("/echo"), g.client("/a")
    batch = json.dumps([{"jsonrpc": "2.0", "method": "m", "id": n} for n in range(10)])

    def spin():
        c.send(frame(TEXT, b"spin") * 10)
        c.text("x")
        assert c.recv_text() == "done"

    def call():
        assert {a["error"]["code"] for a in say(c, batch)} == {-32603}
    for burst in (spin, call):
        def attack():
            with latency_of(g, other) as took:
                burst()
            return max(took) if len(took) > 8 else float("inf")  # it was asked between any two of the ten
        took = least(attack, 0.07 * SLOW)  # all ten together take 400 ms
        assert took < 0.07 * SLOW, took


def test_many_rules_that_are_slow_to_say_no(gateway):
    """A burst of 5,000 tiny messages against 200 rules: others wait for a few of them, not for all."""
    rules = "".join(f"\n            - {{match: {{a{i}: {{b: {{$regex: 'x+y{i}$'}}}}}}, response: x}}" for i in range(200))
    g = gateway(config(f"""
        - path: /a
          rules:{rules}
        - path: /echo
          type: echo
        """, workers=1))
    other, c = g.client("/echo"), g.client("/a")

    def attack():
        with latency_of(g, other) as took:
            for _ in range(5):
                c.send(frame(TEXT, b'{"a1":{"b":"xxxxxxx"}}', mask=b"\0\0\0\0") * 1000)
            nothing_more(c)
        return max(took)
    took = least(attack, 0.05 * SLOW)
    assert took < 0.05 * SLOW, took


def test_errors_at_run_time_name_their_place(gateway, tmp_path):
    (tmp_path / "lib.lua").write_text("return {\n  on_message = function()\n    local x = nil\n    return x.y\n  end\n}\n")
    g = gateway(config("""
        - path: /inline
          rules:
            - match: go
              handler: |
                local x = nil

                return x.y
            - match: guard
              when: state.a.b
              response: no
            - response: fine
        - path: /file
          script_file: lib.lua
        """))
    c = g.client("/inline")
    c.text("go")
    c.text("guard")
    assert c.recv_text() == "fine"
    g.wait_log(r'script_failed connection=conn-1 route="/inline" error="mockforge.yaml:13: .*nil')
    g.wait_log(r'script_failed connection=conn-1 route="/inline" error="mockforge.yaml:16: .*nil')
    g.client("/file").text("x")
    g.wait_log(r'script_failed connection=conn-2 route="/file" error="\S*lib.lua:4: .*nil')


# clients

def test_a_client_that_asks_and_does_not_read(gateway):
    """64 KiB of tiny messages, each worth 100 KB: they are answered as it reads, and not before."""
    g = gateway(config("""
        - path: /a
          rules: [{response: ["x{{message}}", "%s"]}]
        - path: /echo
          type: echo
        """ % ("y" * 100000), workers=1))
    c, other = g.client("/a"), g.client("/echo")
    before = g.memory()
    burst = frame(TEXT, b"1", mask=b"\0\0\0\0") * (65536 // 7)
    c.send(burst)
    for _ in range(50):
        other.text("still here")
        assert other.recv_text() == "still here"
    g.rests()
    assert SANITIZED or g.memory() - before < 8 << 20
    for _ in range(200):
        assert c.recv_text() == "x1"
        assert len(c.recv_text()) == 100000
    c.close_socket()


def test_a_client_that_asks_for_later_and_does_not_read(gateway):
    """1,000 delayed answers of 100 KB are due at once: a bound ends the client, not the gateway."""
    g = gateway(config("""
        - path: /a
          rules: [{delay_ms: 100, response: "%s"}]
        """ % ("y" * 100000), workers=1))
    c = g.client("/a")
    before = g.memory()
    c.send(frame(TEXT, b"1", mask=b"\0\0\0\0") * 3000)
    g.wait_log("session_end connection=conn-1 reason=slow_client")
    assert SANITIZED or g.memory() - before < 16 << 20


def test_a_thousand_delayed_answers(gateway):
    """They are kept, in order; what is asked beyond them waits in the socket."""
    g = gateway(config("""
        - path: /a
          rules: [{delay_ms: 300, response: "{{message}}"}]
        """))
    c = g.client("/a")
    sent = [str(n) for n in range(2500)]
    begin = time.monotonic()
    c.send(b"".join(frame(TEXT, n.encode()) for n in sent))
    heard = texts(c, 2500)
    assert heard == sent, [(i, h) for i, h in enumerate(heard) if h != str(i)][:20]
    assert time.monotonic() - begin > 0.8  # three times 300 ms
    large = "x" * 60000
    before = g.memory()
    for n in range(100):  # 6 MB of messages, of which 1 MiB is kept
        c.text(f"{n}{large}", mask=b"\0\0\0\0") if n < 40 else None
    assert [c.recv_text()[:2].rstrip("x") for _ in range(40)] == [str(n) for n in range(40)]
    assert SANITIZED or g.memory() - before < 8 << 20


def test_a_client_that_floods_a_handler_that_waits(gateway):
    """What waits for it is bounded, and is answered in its order."""
    g = gateway(config("""
        - path: /a
          script: |
            if message.text == "wait" then sleep(400) end
            return message.text:sub(1, 5)
        """))
    c = g.client("/a")
    before = g.memory()
    c.text("wait")
    sender = threading.Thread(target=lambda: [c.text(f"{n:5}" + "x" * 10000, mask=b"\0\0\0\0") for n in range(2000)])
    sender.start()
    time.sleep(0.3)  # the handler still waits, and sockets are full
    assert SANITIZED or g.memory() - before < 8 << 20
    assert texts(c, 2001) == ["wait"] + [f"{n:5}" for n in range(2000)]
    sender.join()


EVERYTHING = """
    - path: /e
      messages: [{on_connect: hello, on_close: bye}]
      state: {initial: {n: 1}}
      methods:
        - {name: sleeps, handler: "sleep(30) return 1"}
        - {name: delayed, delay_ms: 30, response: 1}
      rules:
        - match: sleep
          handler: sleep(20) broadcast("r", "x") sleep(20) return "slept"
        - match: timers
          handler: |
            every(3, function() sleep(2) broadcast("r", "tick") end)
            every(5, function() return {n = state.n} end)
            after(10, function() sleep(50) end)
        - match: delay
          delay_ms: 15
          response: "later"
          respond_to: room
          then: [{delay_ms: 15, handler: 'sleep(30) return "x"'}, {response: "end", close: 4000}]
        - match: room
          handler: rooms.join("r") broadcast("r", "joined") sleep(5) rooms.leave("r") rooms.join("r")
        - match: close
          handler: connection.send("x") sleep(5) connection.close(4000) sleep(5) return "no"
        - match: fail
          handler: connection.send("x") sleep(5) error("x")
      steps:
        - {label: again, expect: step, timeout_ms: 25, on_timeout: continue}
        - {delay_ms: 10, send: stepped}
        - {goto: again}
      scheduled:
        - {interval_ms: 10, delay_ms: 0, message: "tick {{state.n}}"}
        - {interval_ms: 15, handler: 'sleep(30) broadcast("/e", "all")'}
      broadcast: {interval_ms: 20, message: "{{uuid}}"}
      script_file: close.lua
    """
SAYINGS = [b"sleep", b"timers", b"delay", b"room", b"close", b"fail", b"step", b"other", b"{",
           b'{"jsonrpc":"2.0","method":"sleeps","id":1}', b'{"jsonrpc":"2.0","method":"delayed","id":1}',
           b'[{"jsonrpc":"2.0","method":"sleeps","id":1},{"jsonrpc":"2.0","method":"delayed","id":2}]']


def quietly(what, *args):
    with contextlib.suppress(ConnectionError):
        what(*args)


WAYS = {
    "reset": lambda c: c.close_socket(reset=True),
    "fin": lambda c: c.close_socket(),
    "close frame": lambda c: (quietly(c.close, 1000), drain(c)),
    "close frame, then reset": lambda c: (quietly(c.close, 1000), c.close_socket(reset=True)),
    "protocol error": lambda c: (c.send_quietly(frame(3)), drain(c)),
}


def drain(c):
    end = time.monotonic() + TIMEOUT
    with contextlib.suppress(Closed, ConnectionError):
        while c.recv_message().opcode != CLOSE:
            assert time.monotonic() < end, "the connection does not end"
    c.close_socket()


@pytest.mark.parametrize("how", WAYS)
def test_clients_that_leave_in_the_middle_of_everything(gateway, tmp_path, how):
    (tmp_path / "close.lua").write_text(
        'return {on_close = function() broadcast("r", "gone") sleep(3) rooms.join("late") connection.send("x") end}')
    g = gateway(config(EVERYTHING, workers=2, close_timeout_ms=500, send_queue={"bytes": 20000}))
    count = 0
    for first in range(len(SAYINGS)):
        for pause in (0, 0.004, 0.021, 0.045):
            c = g.client("/e")
            count += 1
            said = SAYINGS[first:] + SAYINGS[:first]
            c.send_quietly(b"".join(frame(TEXT, m) for m in said[:1 + count % 4]))
            if pause:
                time.sleep(pause)
            WAYS[how](c)
    eventually(lambda: g.count_log("session_end ") == count, "all sessions end")
    last = g.client("/e")
    assert last.recv_text() == "hello"
    last.close_socket()


def test_reloads_in_the_middle_of_everything(gateway, tmp_path):
    import signal
    (tmp_path / "close.lua").write_text("return {on_close = function() sleep(3) end}")
    text = config(EVERYTHING, workers=2, close_timeout_ms=500)
    g = gateway(text)
    clients = []
    for n in range(30):
        (tmp_path / "mockforge.yaml").write_text(text if n % 3 else config("[{path: /other, type: echo}, {path: /e, type: echo}]")
                                                 if n % 2 else text.replace("sleep(20)", "sleep(7)"))
        g.send_signal(signal.SIGHUP)
        clients.append(g.client("/e"))
        for c in clients:
            c.send_quietly(b"".join(frame(TEXT, m) for m in SAYINGS if m != b"close"))
        time.sleep(0.01)
        if n % 4 == 0:
            clients.pop(0).close_socket(reset=True)
    for c in clients:
        c.close_socket()
    eventually(lambda: g.count_log("session_end ") == 30)


def test_the_gateway_stops_in_the_middle_of_everything(gateway, tmp_path):
    (tmp_path / "close.lua").write_text("return {on_close = function() sleep(3) end}")
    g = gateway(config(EVERYTHING, workers=2, close_timeout_ms=500))
    clients = [g.client("/e") for _ in range(20)]
    for c in clients:
        c.send_quietly(b"".join(frame(TEXT, m) for m in SAYINGS[:4] + SAYINGS[9:]))
    time.sleep(0.03)
    g.stop(hurry=False)
