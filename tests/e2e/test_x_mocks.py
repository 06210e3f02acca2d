"""What mocks mean, key by key: each test shows its handlers and what a client then hears."""
import json
import select
import signal
import socket
import time
from textwrap import dedent, indent

import pytest
from harness import Background, eventually, read_session, wait_for_lines
from setting import SANITIZED, SLOW
from test_u_admin import admin, metrics, moved  # noqa: F401: a fixture among them
from wire import BINARY, CLOSE, PING, PONG, TEXT, Client, frame


def config(handlers, **websocket):
    """handlers: the YAML list. The rest goes beside it: workers=4."""
    options = {"host": "127.0.0.1", "port": 0, "workers": 2, **websocket}
    return "websocket:\n" + "".join(f"  {k}: {json.dumps(v)}\n" for k, v in options.items()) + \
        "  handlers:\n" + indent(dedent(handlers), "    ")


def say(c, *messages):
    """Sends each, gives the JSON of the answer to the last."""
    for message in messages:
        c.text(message if isinstance(message, str) else json.dumps(message))
    return json.loads(c.recv_text())


def texts(c, n):
    return [c.recv_text() for _ in range(n)]


def nothing_more(c, probe="probe"):
    """Everything that was to come has come: of what is sent now the answer is next. The route echoes or answers it."""
    c.ping(probe.encode())
    c.expect(PONG, probe.encode())


# static

def test_static_order(gateway):
    """on_connect first, then an answer for each message; on_close after the client's close frame and before ours."""
    g = gateway(config("""
        - path: /s
          type: static
          messages:
            - on_connect: 'one {{now}}'
              on_message: ['a', {$hex: "00 ff"}]
            - on_connect: {n: 2}
              on_close: ['bye', 'bye {{uuid}}']
        """))
    c = g.ask("/s", together=frame(TEXT, b"early")).answered()
    assert texts(c, 3) == ["one {{now}}", '{"n":2}', "a"]  # texts are sent byte for byte
    c.expect(BINARY, b"\x00\xff")
    c.close(4000, "enough")
    assert texts(c, 2) == ["bye", "bye {{uuid}}"]
    c.expect_close(4000, "enough")
    c.expect_eof()


def test_what_came_before_the_close_frame_is_answered_first(gateway):
    g = gateway(config("""
        - path: /s
          messages: [{on_close: bye}]
          rules:
            - match: {slow: true}
              handler: sleep(50) return "slow"
            - response: "fast {{message.text}}"
        """))
    c = g.client("/s")
    c.send(frame(TEXT, b'{"slow":true}') + frame(TEXT, b"a") + frame(TEXT, b"b") + frame(CLOSE, b"\x03\xe8"))
    assert texts(c, 4) == ["slow", "fast a", "fast b", "bye"]
    c.expect_close(1000)
    c.expect_eof()


def test_a_client_that_closes_is_not_kept_waiting_for_ever(gateway):
    g = gateway(config("""
        - path: /s
          rules: [{handler: sleep(3600000)}]
        """, close_timeout_ms=200))
    c = g.client("/s")
    c.text("x")
    c.close(1000)
    c.expect_close(1000)
    c.expect_eof()


# match

MATCHES = [  # match, messages that it takes, messages that it does not
    ('{type: "ping"}', ['{"type":"ping"}', '{"x":1,"type":"ping"}', '{"type":"pi\\u006eg"}', '{"type":1,"type":"ping"}'],
     ['{"type":"pong"}', '{"type":"PING"}', '{"type":["ping"]}', '{"type":"ping","type":1}', '"ping"', "ping", "", "[]",
      '{"type":"ping"', '{"type":"ping"}}', "null"]),
    ('{a: {b: {c: 1}}}', ['{"a":{"b":{"c":1,"d":2}}}', '{"a":{"b":{"c":1.0}}}', '{"a":{"b":{"c":1e0}}}'],
     ['{"a":{"b":{"c":"1"}}}', '{"a":{"b":1}}', '{"a":{"b":{"c":true}}}', '{"a.b.c":1}', '{"a":{"b":{"c":2}}}']),
    ('{v: "*"}', ['{"v":1}', '{"v":null}', '{"v":""}', '{"v":{}}'], ['{}', '{"w":1}']),
    ('{v: "a*z"}', ['{"v":"az"}', '{"v":"abcz"}', '{"v":"a\\u0000z"}'], ['{"v":"a"}', '{"v":"xaz"}', '{"v":1}']),
    ('{v: "1"}', ['{"v":"1"}'], ['{"v":1}']),
    ('{v: null}', ['{"v":null}'], ['{}', '{"v":0}', '{"v":""}', '{"v":false}']),
    ('{v: true}', ['{"v":true}'], ['{"v":"true"}', '{"v":1}', '{"v":false}']),
    ('{v: 9007199254740993}', ['{"v":9007199254740993}'], ['{"v":9007199254740992}', '{"v":9007199254740993.5}']),
    ('{v: [1, "*"]}', ['{"v":[1,2]}', '{"v":[1,{}]}'], ['{"v":[1]}', '{"v":[1,2,3]}', '{"v":[2,1]}', '{"v":{"0":1}}']),
    ('{v: {$regex: "^[a-c]+$"}}', ['{"v":"abc"}'], ['{"v":"abd"}', '{"v":1}', '{}']),
    ('{v: {$exists: false}}', ['{}', '{"w":1}'], ['{"v":null}', '[]', "no JSON"]),
    ('{v: {$exists: true}}', ['{"v":null}'], ['{}']),
    ('{v: {$in: [1, "b*", null]}}', ['{"v":1}', '{"v":"bc"}', '{"v":null}'], ['{"v":2}', '{"v":"c"}', '{}']),
    ('{v: {$gt: 1, $lte: 3.5}}', ['{"v":2}', '{"v":3.5}', '{"v":1.0000001}'],
     ['{"v":1}', '{"v":4}', '{"v":"2"}', '{}', '{"v":1e999}', '{"v":-1e999}']),
    ('{v: {$gte: 12345678901234567890}}', ['{"v":12345678901234567890}', '{"v":1e400}'], ['{"v":12345678901234567889}']),
    ('{v: {$lt: 0}}', ['{"v":-1}', '{"v":-1e-400}'], ['{"v":0}', '{"v":-0}', '{"v":null}']),
    ('{v: {$not: "a"}}', ['{"v":"b"}', '{"v":1}', '{}'], ['{"v":"a"}']),
    ('{$$v: 1}', ['{"$v":1}'], ['{"v":1}', '{"$$v":1}']),
    ('"PING*"', ["PING", "PING 1", "PING\n2"], ["ping", " PING", '"PING"']),
    ('{$regex: "^\\\\d+$"}', ["12"], ["12a", "", '"12"']),
    ('{$json: 5}', ["5", " 5.0 "], ["6", '"5"', "five"]),
    ('"*"', ["", "x", "{}", "\x00"], []),
]


@pytest.mark.parametrize("match,takes,others", MATCHES, ids=[m[0] for m in MATCHES])
def test_match(gateway, match, takes, others):
    g = gateway(config(f"""
        - path: /m
          rules: [{{match: {match}, response: "yes"}}]
          default: {{response: "no"}}
        """))
    c = g.client("/m")
    for answer, messages in (("yes", takes), ("no", others)):
        for message in messages:
            c.text(message)
            assert (message, c.recv_text()) == (message, answer)
    c.binary(takes[0].encode())  # bytes are no text
    assert c.recv_text() == "no"


def test_binary_rules(gateway):
    g = gateway(config("""
        - path: /b
          rules:
            - match: {$hex: "00 01 ff"}
              response: {$hex: "aa:bb"}
            - match: {$hex: "02*"}
              response: [{$base64: "AAEC"}, "and text {{message}}"]
            - match: {$hex: ""}
              response: "empty"
        """))
    c = g.client("/b")
    c.binary(b"\x00\x01\xff")
    c.expect(BINARY, b"\xaa\xbb")
    c.binary(b"\x02\x00\xfe")
    c.expect(BINARY, b"\0\1\2")
    assert c.recv_text() == "and text "  # bytes have no text
    c.binary(b"")
    assert c.recv_text() == "empty"
    c.text("\x02")
    nothing_more(c)


def test_the_first_that_matches_answers(gateway):
    g = gateway(config("""
        - path: /r
          rules:
            - match: {a: 1}
              response: "first"
            - match: {b: 1}
              when: message.c == "open"
              response: "second"
            - match: {a: "*"}
              response: "third"
          default: {error: "{{message.text | default none}}"}
        """))
    c = g.client("/r")
    for message, answer in [('{"a":1,"b":1,"c":"open"}', "first"), ('{"b":1,"c":"open","a":2}', "second"),
                            ('{"b":1,"a":2}', "third"), ('{"b":1}', '{"error":"none"}'), ("{", '{"error":"{"}')]:
        c.text(message)
        assert c.recv_text() == answer


# answers

def test_then_and_delays(gateway):
    """Steps come in their order, each after its delay; meanwhile other messages are answered."""
    g = gateway(config("""
        - path: /d
          rules:
            - match: "go"
              response: "0"
              then:
                - {delay_ms: 120, response: ["1", "2"], then: {response: "3"}}
                - {delay_ms: 60, response: "4"}
            - match: "later"
              delay_ms: 40
              response: "later"
            - response: "now"
        """))
    c = g.client("/d")
    begin = time.monotonic()
    c.send(b"".join(frame(TEXT, message) for message in (b"go", b"later", b"x")))  # at one time, whatever happens
    assert texts(c, 7) == ["0", "now", "later", "1", "2", "3", "4"]
    assert time.monotonic() - begin >= 0.18


def test_a_delayed_answer_speaks_of_its_own_message(gateway):
    g = gateway(config("""
        - path: /d
          rules:
            - delay_ms: 50
              response: {n: "{{message.n}}", whole: "{{message}}"}
              then:
                handler: return {again = message.n}
        """))
    c = g.client("/d")
    for n in range(3):
        c.text(json.dumps({"n": n}))
    heard = sorted(texts(c, 6))
    assert heard == sorted([t for n in range(3) for t in (f'{{"n":{n},"whole":{{"n": {n}}}}}', f'{{"again":{n}}}')])


def test_what_is_sent(gateway):
    """A text, JSON in the file's types and order, bytes, any JSON, and lists of these."""
    g = gateway(config("""
        - path: /w
          rules:
            - match: "text"
              response: "5"
            - match: "json"
              response: {z: 1, a: [1.50, "1", null, true, {}, []], t: "1.0", e: 1e3, big: 12345678901234567890}
            - match: "list"
              response: [{$json: [1, 2]}, {$json: "{{message}}"}, {$json: null}, plain, {$hex: ""}]
            - match: "empty"
              response: ""
        """))
    c = g.client("/w")
    c.text("text")
    assert c.recv_text() == "5"
    c.text("json")
    assert c.recv_text() == \
        '{"z":1,"a":[1.50,"1",null,true,{},[]],"t":"1.0","e":1e3,"big":12345678901234567890}'
    c.text("list")
    assert texts(c, 4) == ["[1,2]", '"list"', "null", "plain"]
    c.expect(BINARY, b"")
    c.text("empty")
    assert c.recv_text() == ""


def test_close_as_an_answer(gateway):
    g = gateway(config("""
        - path: /c
          rules:
            - match: {op: bye}
              response: "last words"
              close: {code: 4001, reason: "bye {{message.name}}"}
            - match: {op: plain}
              close: 1013
            - match: {op: later}
              response: "soon"
              then: {delay_ms: 30, close: {}}
            - match: {op: lua}
              handler: connection.close(4002, "by Lua") return "not heard"
        """))
    for op, words, code, reason in [("bye", ["last words"], 4001, "bye Ann"), ("plain", [], 1013, ""),
                                    ("later", ["soon"], 1000, ""), ("lua", [], 4002, "by Lua")]:
        c = g.client("/c")
        c.text(json.dumps({"op": op, "name": "Ann"}))
        assert texts(c, len(words)) == words
        c.expect_close(code, reason)
        c.text("too late")  # and no answer
        c.close(code)
        c.expect_eof()
    assert g.wait_log(r"session_end connection=conn-1 reason=closed by=gateway code=4001")


def test_a_reason_that_is_too_long_is_cut(gateway):
    g = gateway(config("""
        - path: /c
          rules: [{close: {code: 4000, reason: "{{message}}"}}]
        """))
    c = g.client("/c")
    c.text("ü" * 100)
    f = c.expect_close(4000)
    assert f.reason.decode() == "ü" * 61  # 123 bytes, and no half of a character


def test_what_comes_after_our_close_frame_costs_nothing(gateway):
    g = gateway(config("""
        - path: /c
          rules: [{close: 4000}]
        """, close_timeout_ms=60000))
    c = g.client("/c")
    c.text("x")
    c.expect_close(4000)
    before = g.memory()
    for _ in range(40):
        c.binary(bytes(60000), mask=b"\0\0\0\0")
    for _ in range(20000):
        c.text("y", mask=b"\0\0\0\0")
    c.close(4000)
    c.expect_eof()
    assert g.memory() - before < (4 << 20) * SLOW


def test_respond_to(gateway):
    g = gateway(config("""
        - path: /one
          type: rooms
          rules:
            - match: {join: "*"}
              handler: rooms.join(message.join) return "joined"
            - match: {to: sender}
              response: "sender"
            - match: {to: room}
              response: "room"
              respond_to: room
            - match: {to: route}
              response: "route"
              respond_to: route
            - match: {to: all}
              response: {to: all, n: "{{message.n}}"}
              respond_to: all
            - match: {to: named}
              response: "named"
              respond_to: {room: "{{message.room}}"}
            - match: {to: two}
              response: "two"
              respond_to: {route: /two}
            - match: {to: lua}
              handler: return {lua = message.to}
              respond_to: route
        - path: /two
          type: echo
          broadcast: {interval_ms: 86400000, message: x}
        """, workers=4))
    anna, ben, carl, two = g.client("/one"), g.client("/one"), g.client("/one"), g.client("/two")
    for c, room in ((anna, "a"), (anna, "b"), (ben, "a"), (carl, "c")):
        c.text(json.dumps({"join": room}))
        assert c.recv_text() == "joined"
    for to, heard, others in [("sender", "sender", []), ("room", "room", [anna, ben]), ("route", "route", [ben, carl]),
                              ("all", '{"to":"all","n":5}', [ben, carl, two]), ("lua", '{"lua":"lua"}', [ben, carl])]:
        anna.text(json.dumps({"to": to, "n": 5}))
        assert [c.recv_text() for c in [anna, *others]] == [heard] * (1 + len(others))
    anna.text('{"to":"named","room":"c"}')
    assert carl.recv_text() == "named"
    anna.text('{"to":"two"}')
    assert two.recv_text() == "two"
    two.text("echo")
    assert two.recv_text() == "echo"
    for c in (anna, ben, carl):
        nothing_more(c)


# JSON-RPC

RPC = """
    - path: /rpc
      type: jsonrpc
      methods:
        - name: subtract
          handler: |
            if params.minuend then return params.minuend - params.subtrahend end
            return params[1] - params[2]
        - name: sum
          handler: |
            local n = 0
            for _, v in ipairs(params) do n = n + v end
            return n
        - name: update
          response: {result: null}
        - name: notify_hello
          response: hello
        - name: get_data
          response: {result: ["hello", 5]}
    """
NOT_FOUND = '{"code":-32601,"message":"Method not found"}'
INVALID = '{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request"},"id":null}'
PARSE = '{"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error"},"id":null}'
SECTION_7 = [  # the examples of the specification's section 7, one after the other; None: no answer
    ('{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}', '{"jsonrpc":"2.0","result":19,"id":1}'),
    ('{"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}', '{"jsonrpc":"2.0","result":-19,"id":2}'),
    ('{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}',
     '{"jsonrpc":"2.0","result":19,"id":3}'),
    ('{"jsonrpc": "2.0", "method": "subtract", "params": {"minuend": 42, "subtrahend": 23}, "id": 4}',
     '{"jsonrpc":"2.0","result":19,"id":4}'),
    ('{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}', None),
    ('{"jsonrpc": "2.0", "method": "foobar"}', None),
    ('{"jsonrpc": "2.0", "method": "foobar", "id": "1"}', f'{{"jsonrpc":"2.0","error":{NOT_FOUND},"id":"1"}}'),
    ('{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]', PARSE),
    ('{"jsonrpc": "2.0", "method": 1, "params": "bar"}', INVALID),
    ('[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},{"jsonrpc": "2.0", "method"]', PARSE),
    ("[]", INVALID),
    ("[1]", f"[{INVALID}]"),
    ("[1,2,3]", f"[{INVALID},{INVALID},{INVALID}]"),
    ('[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},'
     '{"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},'
     '{"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"},'
     '{"foo": "boo"},'
     '{"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},'
     '{"jsonrpc": "2.0", "method": "get_data", "id": "9"}]',
     '[{"jsonrpc":"2.0","result":7,"id":"1"},{"jsonrpc":"2.0","result":19,"id":"2"},'
     f'{INVALID},{{"jsonrpc":"2.0","error":{NOT_FOUND},"id":"5"}},'
     '{"jsonrpc":"2.0","result":["hello",5],"id":"9"}]'),
    ('[{"jsonrpc": "2.0", "method": "notify_sum", "params": [1,2,4]},'
     '{"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}]', None),
]


def test_jsonrpc_examples_of_the_specification(gateway):
    c = gateway(config(RPC)).client("/rpc")
    for request, answer in SECTION_7:
        c.text(request)
        if answer:
            assert (request, json.loads(c.recv_text())) == (request, json.loads(answer))
        nothing_more(c)


IDS = ["0", "-1", "1.5", "1e2", "12345678901234567890123", '""', '"1"', '"\\u00e9\\ud800\\n"', "null"]


@pytest.mark.parametrize("number", IDS)
def test_jsonrpc_ids_come_back_as_they_were(gateway, number):
    c = gateway(config(RPC)).client("/rpc")
    for method, rest in [("get_data", '"result":["hello",5]'), ("nope", f'"error":{NOT_FOUND}')]:
        c.text(f'{{"id": {number} ,"jsonrpc":"2.0","method":"{method}"}}')
        assert c.recv_text() == f'{{"jsonrpc":"2.0",{rest},"id":{number}}}'


@pytest.mark.parametrize("request_text", [
    "5", "null", '"x"', "{}", '{"method":"get_data","id":1}', '{"jsonrpc":"1.0","method":"get_data"}',
    '{"jsonrpc":2.0,"method":"get_data","id":1}', '{"jsonrpc":"2.0","id":1}', '{"jsonrpc":"2.0","method":null,"id":1}',
    '{"jsonrpc":"2.0","method":"get_data","id":{}}', '{"jsonrpc":"2.0","method":"get_data","id":[1]}',
    '{"jsonrpc":"2.0","method":"get_data","id":true}', '{"jsonrpc":"2.0","method":"get_data","params":5,"id":1}',
])
def test_jsonrpc_invalid_requests(gateway, request_text):
    c = gateway(config(RPC)).client("/rpc")
    answer = say(c, request_text)
    assert answer["error"]["code"] == -32600 and answer["id"] in (None, 1)
    nothing_more(c)


def test_jsonrpc_bytes_are_no_request(admin):
    g = admin(config(RPC))
    before = metrics(g)
    c = g.client("/rpc")
    c.binary(b'{"jsonrpc":"2.0","method":"get_data","id":1}')
    assert json.loads(c.recv_text()) == json.loads(PARSE)
    moved(g, {'ws_errors_total{type="parse"}': 1}, before)


def test_jsonrpc_methods(gateway):
    """Results and errors from the file and from Lua, delays that hold nobody up, and the rest: `*`."""
    g = gateway(config("""
        - path: /rpc
          methods:
            - name: echo
              response: {got: "{{params}}", first: "{{params.0}}", method: "{{message.method}}"}
            - name: fails
              response: {error: {code: -32000, message: "no {{params.what}}", data: [1]}}
            - name: lua.error
              handler: |
                return {error = {code = -1, message = "by Lua"}}
            - name: lua.result
              handler: |
                return {result = json.null}
            - name: lua.text
              handler: return "a text"
            - name: lua.nothing
              handler: local x = 1
            - name: lua.dies
              handler: error("oops")
            - name: slow
              delay_ms: 60
              response: slow
            - name: sleeps
              handler: sleep(30) return params[1]
            - name: "*"
              response: {error: {code: -32601, message: "there is no {{message.method}}"}}
        """))
    c = g.client("/rpc")

    def call(method, params=None, number=1):
        return {"jsonrpc": "2.0", "method": method, "id": number, **({} if params is None else {"params": params})}

    for method, params, answer in [
            ("echo", [1, "2"], {"result": {"got": [1, "2"], "first": 1, "method": "echo"}}),
            ("echo", None, {"result": {"got": None, "first": None, "method": "echo"}}),
            ("fails", {"what": "way"}, {"error": {"code": -32000, "message": "no way", "data": [1]}}),
            ("lua.error", None, {"error": {"code": -1, "message": "by Lua"}}),
            ("lua.result", None, {"result": None}), ("lua.text", None, {"result": "a text"}),
            ("lua.nothing", None, {"result": None}),
            ("lua.dies", None, {"error": {"code": -32603, "message": "Internal error"}}),
            ("what", None, {"error": {"code": -32601, "message": "there is no what"}})]:
        assert say(c, call(method, params)) == {"jsonrpc": "2.0", **answer, "id": 1}
    g.wait_log(r"script_failed connection=conn-1 route=\S*/rpc\S* error=\S*mockforge.yaml:\d+: .*oops")
    c.text(json.dumps(call("slow", None, "a")))
    assert say(c, call("lua.text", None, "b"))["id"] == "b"
    assert json.loads(c.recv_text()) == {"jsonrpc": "2.0", "result": "slow", "id": "a"}
    batch = [call("sleeps", ["one"], 1), call("slow", None, 2), {"jsonrpc": "2.0", "method": "lua.dies"},
             call("sleeps", ["two"], 3)]
    c.text(json.dumps(batch))
    assert [r["result"] for r in json.loads(c.recv_text())] == ["one", "slow", "two"]
    nothing_more(c)


def test_jsonrpc_default(gateway):
    """It stands for all methods that there are not; its answer is a request's answer."""
    g = gateway(config("""
        - path: /rpc
          type: jsonrpc
          default: {error: {code: -32601, message: "only {{message.method}}?"}}
        """))
    c = g.client("/rpc")
    assert say(c, '{"jsonrpc":"2.0","method":"m","id":7}') == \
        {"jsonrpc": "2.0", "error": {"code": -32601, "message": "only m?"}, "id": 7}
    c.text('{"jsonrpc":"2.0","method":"m"}')
    assert say(c, "{") == json.loads(PARSE)


def test_jsonrpc_beside_rules(gateway):
    """What means to be JSON-RPC is taken by methods, all else by the others."""
    g = gateway(config("""
        - path: /both
          methods: [{name: m, response: 1}]
          rules: [{match: {type: ping}, response: pong}]
          default: {response: "what?"}
        """))
    c = g.client("/both")
    for message, answer in [('{"jsonrpc":"2.0","method":"m","id":1}', '{"jsonrpc":"2.0","result":1,"id":1}'),
                            ('[{"jsonrpc":"2.0","method":"m","id":1}]', '[{"jsonrpc":"2.0","result":1,"id":1}]'),
                            ('{"type":"ping"}', "pong"), ("{", "what?"), ("[]", "what?"), ("[1]", "what?")]:
        c.text(message)
        assert c.recv_text() == answer


# templates

def test_templates(gateway):
    g = gateway(config("""
        - path: /t
          state: {initial: {user: {name: "Ann", tags: [1, "b"]}, n: 5}}
          rules:
            - match: {kind: "typed"}
              response:
                n: "{{message.n}}"
                missing: "{{message.nothing}}"
                text: "n={{message.n}} s={{message.s}} missing={{message.nothing}} list={{message.list}}"
                deep: "{{message.list.1.a}}"
                "{{key}}": "{{message.n | default 7}}{{message.nothing | default \\"x\\"}}"
                state: ["{{state.n}}", "{{state.user.name}}", "{{state.user.tags.1}}", "{{state.nothing}}"]
                who: "{{connection.id}} {{query.q}} {{header.x-user}} {{env.MOCK_TEST}}"
                int: "{{random_int 7 7}}"
                open: "{{connection_count}}"
            - match: {set: "*"}
              handler: state.n = message.set
            - response: '{"raw": "{{message.s}}"}'
        """), env={"MOCK_TEST": "from the environment"})
    c = g.client("/t?q=a%20b", [("X-User", "ümit".encode().decode("latin-1"))])
    sent = '{"kind":"typed","n":1.50,"s":"q\\"{{now}}\\u0000é","list":[0,{"a":[ ]}]}'
    answer = say(c, '{"set":[{"x":1}]}', sent)
    assert answer == {
        "n": 1.5, "missing": None, "text": 'n=1.50 s=q"{{now}}\0é missing= list=[0,{"a":[ ]}]', "deep": [], "{{key}}": "1.50x",
        "state": [[{"x": 1}], "Ann", "b", None], "who": "conn-1 a b ümit from the environment", "int": 7, "open": 1}


def test_a_seed_makes_the_same_again(gateway):
    handlers = """
        - path: /t
          rules: [{response: {id: "{{uuid}}", n: ["{{random_int 1 1000000}}", "{{random_float 0 1}}"], who: "{{faker.name}}"}}]
        """
    heard = []
    for seed in (1, 1, 2):
        c = gateway(config(handlers, seed=seed, workers=1)).client("/t")
        heard.append([say(c, "x") for _ in range(3)])
    assert heard[0] == heard[1] != heard[2]
    assert len({a["id"] for a in heard[0]}) == 3


# scripts

def test_script_frames_and_results(gateway):
    g = gateway(config("""
        - path: /s
          script: |
            if message.binary then return binary(message.data:reverse()) end
            if not message.json then return message.text:upper() end
            if message.json.many then
              for i = 1, 3 do connection.send({n = i}) end
              connection.send(binary("\\0\\255"))
              return "returned"
            end
            if message.json.nothing then return end
            if message.json.same then return message end
            return message.json
        """))
    c = g.client("/s")
    c.binary(b"\x00\x01\xff")
    c.expect(BINARY, b"\xff\x01\x00")
    c.text("abc")
    assert c.recv_text() == "ABC"
    c.text('{"many":true}')
    assert texts(c, 3) == ['{"n":1}', '{"n":2}', '{"n":3}']
    c.expect(BINARY, b"\0\xff")
    assert c.recv_text() == "returned"
    c.text('{"nothing":1}')
    for same in ('{ "a" : [ ], "n" : 1.0 , "o":{},"z":null}', '{ "same" : 1.50 }'):
        c.text(same)
        assert c.recv_text() == same  # what was not touched keeps its bytes


MODULE = """
local function hello(name) return "hello " .. name end
return {
  on_connect = function()
    state.heard = 0
    connection.send(hello(connection.query and connection.query.name or "you"))
  end,
  on_message = function()
    state.heard = state.heard + 1
    if message.text == "slow" then sleep(40) end
    return message.text .. state.heard
  end,
  on_close = function()
    connection.send("goodbye")
    sleep(20)
    connection.send("heard " .. state.heard)
    log.info("closed " .. close_code .. " " .. close_reason)
  end,
}
"""


@pytest.mark.parametrize("file,lua,heard", [
    ("m.lua", MODULE, ["hello you", "slow1", "a2", "goodbye", "heard 2"]),
    ("f.lua", "-- a file that runs for each message\nreturn message.text .. '!'", ["slow!", "a!"]),
], ids=["module", "file"])
def test_script_file(gateway, tmp_path, file, lua, heard):
    (tmp_path / file).write_text(lua)
    g = gateway(config(f"[{{path: /s, type: script, script_file: {file}}}]"))
    c = g.client("/s")
    c.send(frame(TEXT, b"slow") + frame(TEXT, b"a") + frame(CLOSE, b"\x0f\xa0reason"))
    assert texts(c, len(heard)) == heard
    c.expect_close(4000, "reason")
    c.expect_eof()
    if file == "m.lua":
        g.wait_log('script connection=conn-1 text="closed 4000 reason"')


def test_on_close_however_it_ends(gateway, tmp_path):
    (tmp_path / "m.lua").write_text("""
        return {
          on_message = function() if message.text == "close" then connection.close(4001) end return "x" end,
          on_close = function()
            rooms.join("gone") sleep(5)
            log.info(connection.id .. " ended with " .. close_code)
          end,
        }""")
    g = gateway(config("[{path: /s, script_file: m.lua}]"))
    ended = []

    def end(how, code):
        c = g.client("/s")
        c.text("x")
        c.recv_text()
        how(c)
        ended.append(f"conn-{len(ended) + 1} ended with {code}")
        g.wait_log(ended[-1])
        g.wait_log(f"session_end connection=conn-{len(ended)} ")
    end(lambda c: c.finish(1000), 1000)
    end(lambda c: c.close_socket(reset=True), 1006)
    end(lambda c: c.close_socket(), 1006)
    end(lambda c: (c.text("close"), c.expect_close(4001), c.close(4001), c.expect_eof()), 4001)
    end(lambda c: c.send(frame(3, b"")), 1002)


def test_on_close_when_the_gateway_stops(gateway, tmp_path):
    (tmp_path / "m.lua").write_text('return {on_close = function() sleep(5) log.info("ended with " .. close_code) end}')
    g = gateway(config("[{path: /s, script_file: m.lua}]"))
    c = g.client("/s")
    nothing_more(c)
    g.send_signal(signal.SIGTERM)
    c.expect_close(1001)
    c.close(1001)
    g.wait_log("ended with 1001")
    g.stop()


def test_a_handler_waits_and_the_next_message_with_it(gateway):
    """The order of one connection's messages is kept; other connections are not held up."""
    g = gateway(config("""
        - path: /s
          script: |
            if message.text == "wait" then repeat sleep(20) until shared.get("go") end
            if message.text == "go" then shared.set("go", true) end
            sleep(math.tointeger(message.text) or 0)
            return message.text
        """, workers=1, shared_state={"enabled": True}))
    slow, fast = g.client("/s"), g.client("/s")
    begin, said = time.monotonic(), ["wait", "0", "100", "1", "0"]
    slow.send(b"".join(frame(TEXT, text.encode()) for text in said))
    for _ in range(5):
        fast.text("1")
        assert fast.recv_text() == "1"
    assert not select.select([slow.sock], [], [], 0)[0]
    fast.text("go")
    assert texts(slow, 5) == said
    assert time.monotonic() - begin >= 0.1


def test_timers_live_with_their_connection(gateway):
    g = gateway(config("""
        - path: /s
          rules:
            - match: start
              handler: |
                local n = 0
                local every
                every_timer = nil
                return "no"
            - match: go
              handler: |
                local n, timer = 0
                timer = every(20, function()
                  n = n + 1
                  if n == 3 then timer.cancel() end
                  log.info(connection.id .. " tick " .. n)
                  return {tick = n}
                end)
                after(10, function() connection.send("once") sleep(15) return "and later" end)
                local never = after(30, function() return "never" end)
                never.cancel()
                return "started"
            - match: leave
              handler: |
                every(20, function() log.info(connection.id .. " is here") end)
        """))
    c = g.client("/s")
    c.text("start")  # globals cannot be made: that handler fails, and nothing is sent
    c.text("go")
    heard = texts(c, 6)
    assert heard[0] == "started" and [t for t in heard[1:] if "tick" in t] == [f'{{"tick":{n}}}' for n in (1, 2, 3)]
    assert [t for t in heard[1:] if "tick" not in t] == ["once", "and later"]
    g.wait_log("script_failed .*every_timer")
    for leave in (lambda c: c.finish(), lambda c: c.close_socket(reset=True)):
        c = g.client("/s")
        c.text("leave")
        found = g.wait_log(r"(conn-\d+) is here")
        leave(c)
        g.wait_log(f"session_end connection={found[1]} ")
        n = g.count_log("is here")
        time.sleep(0.1)
        assert g.count_log("is here") == n
        g.lines.clear()


def test_a_timer_whose_function_still_waits_skips_a_beat(gateway):
    g = gateway(config("""
        - path: /s
          script: |
            state.running = 0
            every(5, function()
              state.running = state.running + 1
              sleep(60)
              connection.send(state.running)
              state.running = state.running - 1
            end)
        """))
    c = g.client("/s")
    c.text("x")
    assert texts(c, 4) == ["1"] * 4


def test_state_of_one_connection(gateway):
    g = gateway(config("""
        - path: /s
          state: {initial: {n: 10, list: [], deep: {}}}
          rules:
            - match: add
              when: state.n < 12
              handler: |
                state.n = state.n + 1
                table.insert(state.list, state.n)
                return state
            - response: "n is {{state.n}}"
        """, workers=1))
    a, b = g.client("/s"), g.client("/s")
    assert say(a, "add") == {"n": 11, "list": [11], "deep": {}}
    assert say(a, "add")["list"] == [11, 12]
    for c, n in ((a, 12), (b, 10)):
        c.text("x")
        assert c.recv_text() == f"n is {n}"
    a.text("add")
    assert a.recv_text() == "n is 12"


# rooms

CHAT = """
    - path: /chat
      type: rooms
      rules:
        - match: {join: "*"}
          handler: rooms.join(message.join) return {joined = message.join}
        - match: {leave: "*"}
          handler: rooms.leave(message.leave) return {left = message.leave}
        - match: {members: "*"}
          handler: return rooms.members(message.members)
        - match: {room: "*"}
          handler: broadcast(message.room, message.say)
    """


def test_rooms_over_four_workers(gateway):
    g = gateway(config(CHAT, workers=4))
    clients = [g.client("/chat") for _ in range(16)]
    for c in clients:
        say(c, {"join": "all"})
    for c in clients[::2]:
        say(c, {"join": "even"})

    def members(room):
        return sorted(say(clients[1], {"members": room}), key=lambda i: int(i[5:]))
    ids = [f"conn-{n}" for n in range(1, 17)]
    eventually(lambda: members("all") == ids and members("even") == ids[::2])
    clients[1].text('{"room":"even","say":"to the even"}')
    clients[0].text('{"room":"all","say":{"to":"all"}}')
    for c in clients:
        expected = ["to the even", '{"to":"all"}'] if c in clients[::2] else ['{"to":"all"}']
        assert sorted(texts(c, len(expected))) == sorted(expected)
    # who leaves is gone, in whatever way
    say(clients[2], {"leave": "all"})
    clients[4].finish()
    clients[6].close_socket(reset=True)
    left = [i for i in ids if i not in ("conn-3", "conn-5", "conn-7")]
    eventually(lambda: members("all") == left)
    eventually(lambda: members("even") == [i for i in ids[::2] if i not in ("conn-5", "conn-7")])
    clients[1].text('{"room":"all","say":"again"}')
    for c in clients:
        if c not in (clients[2], clients[4], clients[6]):
            assert c.recv_text() == "again"
    nothing_more(clients[2])
    assert members("nobody") == []


def test_joining_leaving_and_joining_again(gateway):
    g = gateway(config("""
        - path: /r
          script: |
            local members = function() return table.concat(rooms.members("r"), " ") end
            rooms.join("r") rooms.join("r")
            broadcast("r", "1")
            rooms.leave("r")
            broadcast("r", "2")
            rooms.join("r")
            broadcast("r", "3")
            broadcast("none", "4")
            return "members: " .. members()
        """))
    c = g.client("/r")
    for _ in range(2):
        c.text("x")
        assert texts(c, 3) == ["1", "3", "members: conn-1"]


def test_names_of_rooms(gateway):
    g = gateway(config(CHAT + """
    - path: /rooms
      rules:
        - match: {in: "*"}
          handler: rooms.join(message["in"]) return "in"
        - response: "to my rooms"
          respond_to: room
    """))
    a, b = g.client("/rooms"), g.client("/rooms")
    for c, room in ((a, "r\0one"), (b, "r\0two"), (b, "ü €")):
        c.text(json.dumps({"in": room}))
        assert c.recv_text() == "in"
    a.text("x")
    assert a.recv_text() == "to my rooms"
    nothing_more(b)
    a.text(json.dumps({"in": "x" * 257}))
    a.text(json.dumps({"in": ""}))
    a.text("x")
    assert a.recv_text() == "to my rooms"
    assert eventually(lambda: g.count_log("script_failed") == 2)


SLOW_ROOM = """
    - path: /r
      rules:
        - match: join
          handler: rooms.join("r") return "in"
        - response: {n: "{{message.n}}", padding: "{{message.padding}}"}
          respond_to: {room: r}
    """


def slow_member(g):
    c = Client(g.address)
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    c.ask("/r").answered()
    c.text("join")
    assert c.recv_text() == "in"
    return c


@pytest.mark.parametrize("policy", ["close", "drop_oldest"])
def test_a_slow_member_is_bounded(gateway, policy):
    """It costs its send_queue and no more; the others hear everything."""
    g = gateway(config(SLOW_ROOM, workers=2, send_queue={"bytes": 300000, "policy": policy}))
    slow, quick, speaker = slow_member(g), g.client("/r"), g.client("/r")
    quick.text("join")
    assert quick.recv_text() == "in"
    before, padding = g.memory(), "x" * 65000

    def speak(n):
        speaker.text(json.dumps({"n": n, "padding": padding}))
        assert json.loads(quick.recv_text())["n"] == n
    for n in range(400):  # 26 MB
        speak(n)
    assert SANITIZED or g.memory() - before < 16 << 20
    if policy == "close":
        g.wait_log(r"session_fault connection=conn-1 .*reason=slow_client ")
        while slow.recv_message().opcode == TEXT:
            pass
    else:
        numbers = []
        while not numbers or numbers[-1] != 399:
            numbers.append(json.loads(slow.recv_text())["n"])
        assert len(numbers) < 400 and numbers[-4:] == [396, 397, 398, 399]  # the oldest are gone
        g.wait_log(r"pushes_dropped connection=conn-1 .*count=\d+")
        speak(400)
        assert json.loads(slow.recv_text())["n"] == 400  # it is a member as before


def test_ten_thousand_messages_while_members_come_and_go(gateway):
    g = gateway(config(CHAT, workers=4))
    members, speaker = [g.client("/chat") for _ in range(3)], g.client("/chat")
    for c in members:
        say(c, {"join": "r"})
    everything = [str(n) for n in range(10000)]
    steady = [Background(lambda c=c: texts(c, 10000), ) for c in members]
    going = True

    def come_and_go():
        n = 0
        while going:
            c = g.client("/chat")
            c.text('{"join":"r"}')
            heard = [m for m in texts(c, 6) if m != '{"joined":"r"}']
            assert [int(m) for m in heard] == list(range(int(heard[0]), int(heard[0]) + len(heard)))
            c.close_socket(reset=n % 2) if n % 3 else c.close(1000)
            n += 1
        return n
    visitors = Background(come_and_go)
    for at in range(0, 10000, 50):
        speaker.send(b"".join(frame(TEXT, f'{{"room":"r","say":"{n}"}}'.encode()) for n in range(at, at + 50)))
        if at % 1000 == 0:
            time.sleep(0.01)
    for member in steady:
        assert member.join(30 * SLOW) == everything
    going = False
    # the last visitor waits for six messages
    end = Background(lambda: [speaker.text('{"room":"r","say":"%d"}' % n) or time.sleep(0.01) for n in range(10000, 10100)])
    end.join()
    assert visitors.join() > 1
    for c in members:
        assert texts(c, 100)[-1] == "10099"
    eventually(lambda: len(say(speaker, {"members": "r"})) == 3)


# what comes by itself

def test_scheduled(gateway):
    g = gateway(config("""
        - path: /p
          scheduled:
            - {interval_ms: 40, delay_ms: 0, count: 3, message: ["tick", {n: "{{random_int 1 1}}"}]}
            - {interval_ms: 50, count: 1, message: "fifty"}
            - interval_ms: 70
              count: 2
              handler: |
                state.n = (state.n or 0) + 1
                return {handler = state.n, to = connection.id}
        """))
    begin = time.monotonic()
    c = g.client("/p")
    heard = texts(c, 9)
    assert heard[:2] == ["tick", '{"n":1}'] and sorted(heard) == sorted(
        ["tick", '{"n":1}'] * 3 + ["fifty", '{"handler":1,"to":"conn-1"}', '{"handler":2,"to":"conn-1"}'])
    assert heard[-1] == '{"handler":2,"to":"conn-1"}' and time.monotonic() - begin >= 0.14
    c.text("who cares")  # a route that only pushes answers nothing, and nothing is unmatched
    time.sleep(0.1)
    nothing_more(c)
    assert g.count_log("unmatched") == 0


def test_broadcast_is_rendered_once_for_all(gateway):
    g = gateway(config("""
        - path: /p
          broadcast: {interval_ms: 50, message: [{id: "{{uuid}}", n: "{{connection_count}}"}, "and {{now}}"]}
        - path: /other
          type: echo
        """, workers=4))
    clients = [g.client("/p") for _ in range(8)]
    other = g.client("/other")
    eventually(lambda: json.loads(clients[0].recv_text() if clients[0].recv_text().startswith("and") else "{}").get("n") == 9)
    first = clients[0].recv_text() if not clients[0].buffer else clients[0].recv_text()
    for c in clients[1:]:
        while c.recv_text() != first:
            pass
    nothing_more(other)
    for c in clients:
        c.finish()


# scenario

SCENARIO = """
    - path: /c
      type: scenario
      steps:
        - send: {type: welcome}
        - label: again
        - expect: {type: login, user: "*"}
          timeout_ms: 3000
        - send: ["hello {{message.user}}", {user: "{{message.user}}"}]
        - {delay_ms: 30, send: "a moment later"}
        - expect: {type: more}
          timeout_ms: 100
          on_timeout: bored
        - goto: again
        - label: bored
          send: "bored"
        - expect: "bye*"
          timeout_ms: 100
          on_timeout: close
        - close: {code: 4000, reason: "{{message.text}}"}
    """


def test_scenario(gateway):
    g = gateway(config(SCENARIO))
    c = g.client("/c")
    assert c.recv_text() == '{"type":"welcome"}'
    c.text('{"type":"logout"}')  # told to the log, and the conversation stays where it is
    g.wait_log(r"scenario_mismatch connection=conn-1 route=\S*/c\S* step=3 line=\d+ why=.*type: ")
    g.wait_log(r"unmatched .*why=.*step 3: type: ")
    for user in ("ann", {"n": 1}):
        c.text(json.dumps({"type": "login", "user": user}))
        c.text('{"type":"more"}')  # comes while nothing is expected: it waits for its turn
        shown = user if isinstance(user, str) else '{"n": 1}'
        assert texts(c, 3) == [f"hello {shown}", json.dumps({"user": user}, separators=(",", ":"))
                               if isinstance(user, str) else '{"user":{"n": 1}}', "a moment later"]
    c.text('{"type":"login","user":"x"}')
    assert texts(c, 4)[3] == "bored"
    g.wait_log(r"scenario_timeout connection=conn-1 .*step=6")
    c.text("bye now")
    c.expect_close(4000, "bye now")
    c.close(4000)
    c.expect_eof()
    # the second: nobody says anything
    c = g.client("/c")
    c.recv_text()
    c.text('{"type":"login","user":1}')
    assert texts(c, 4)[3] == "bored"
    c.expect_close(1008)
    g.wait_log(r"scenario_timeout connection=conn-2 .*step=9")


def test_scenario_goes_on_after_a_timeout(gateway):
    g = gateway(config("""
        - path: /c
          steps:
            - {expect: never, timeout_ms: 20, on_timeout: continue}
            - send: "continued"
          rules: [{response: "afterwards the rules answer"}]
        """))
    c = g.client("/c")
    c.text("no")
    assert texts(c, 2) == ["afterwards the rules answer", "continued"]
    c.text("never")
    assert c.recv_text() == "afterwards the rules answer"


# the rest

def test_unmatched(admin):
    g = admin(config("""
        - path: /u
          rules:
            - match: {type: a}
              response: x
            - match: {type: b, channel: "*", limit: {$lt: 5}}
              response: x
            - match: {type: c}
              when: "false"
              response: x
        """))
    before = metrics(g)
    c = g.client("/u")
    for message, why in [('{"type":"b"}', "rule 2: channel: expected a value, missing"),
                         ('{"type":"b","channel":1,"limit":7}', "rule 2: limit: expected "),
                         ('{"type":"c"}', "rule 3: its .*when.* is false"), ("not JSON", "rule 1: ")]:
        c.text(message)
        nothing_more(c)
        g.wait_log(r"unmatched connection=conn-1 route=\S*/u\S* bytes=%d why=.*%s" % (len(message), why))
    moved(g, {"ws_unmatched_total": 4, 'ws_errors_total{type="parse"}': 1}, before)
    for _ in range(1000):  # a storm is not a storm of lines
        c.text("x")
    nothing_more(c)
    moved(g, {"ws_unmatched_total": 1004}, before)
    assert g.count_log(" unmatched ") < 30 * SLOW


def test_everything_on_one_route(gateway, tmp_path):
    """Who answers first: methods, scenario, rules, script, on_message."""
    (tmp_path / "m.lua").write_text("return {on_connect = function() return 'script' end}")
    g = gateway(config("""
        - path: /all
          type: static
          messages: [{on_connect: "static", on_message: "on_message", on_close: "on_close"}]
          methods: [{name: m, response: 1}]
          steps: [{send: "scenario"}, {expect: step}, {send: "stepped"}]
          rules: [{match: rule, response: "ruled"}]
          script_file: m.lua
          scheduled: [{interval_ms: 20, count: 1, message: "scheduled"}]
          broadcast: {interval_ms: 86400000, message: x}
          state: {initial: {}}
        """))
    c = g.client("/all")
    assert texts(c, 4) == ["static", "script", "scenario", "scheduled"]
    for message, answer in [("rule", "ruled"), ("other", "on_message"), ("step", "stepped"), ("step", "on_message"),
                            ('{"jsonrpc":"2.0","method":"m","id":1}', '{"jsonrpc":"2.0","result":1,"id":1}')]:
        c.text(message)
        assert c.recv_text() == answer
    c.close(1000)
    assert c.recv_text() == "on_close"
    c.expect_close(1000)


def test_an_echo_answers_what_nothing_else_does(gateway):
    g = gateway(config("""
        - path: /e
          type: echo
          rules: [{match: ping, response: pong}]
        """))
    c = g.client("/e")
    c.text("ping")
    assert c.recv_text() == "pong"
    c.text("other", fin=False)
    c.send_frame(0, b" half")
    assert c.recv_text() == "other half"
    c.binary(b"\xff")
    c.expect(BINARY, b"\xff")


def test_a_mock_is_recorded(gateway, tmp_path):
    g = gateway(config("""
        - path: /r
          record: true
          record_path: s.jsonl
          messages: [{on_connect: hello, on_close: bye}]
          rules: [{match: go, response: "1", then: {delay_ms: 10, response: {$hex: "ff"}}}]
        """))
    c = g.client("/r")
    c.text("go")
    c.recv_text(), c.recv_text(), c.recv_message()
    c.close(1000)
    c.recv_text()
    c.expect_close(1000)
    wait_for_lines(tmp_path / "s.jsonl", lambda s: s.of("end"))
    g.stop()
    session = read_session(tmp_path / "s.jsonl")
    assert session.directions() == [("outgoing", "hello"), ("incoming", "go"), ("outgoing", "1"), ("outgoing", "/w=="),
                                    ("outgoing", "bye")]
    assert [(f["direction"], f["code"]) for f in session.of("close")] == [("incoming", 1000), ("outgoing", 1000)]


def test_transforms_work_on_mocks(gateway):
    g = gateway(config("""
        - path: /t
          transform:
            incoming: msg.type = msg.kind
            outgoing: msg.seen = connection.id
          messages: [{on_connect: {hello: 1}}]
          rules: [{match: {type: ping}, response: {type: pong}}]
        """))
    c = g.client("/t")
    assert c.recv_text() == '{"hello":1,"seen":"conn-1"}'
    c.text('{"kind":"ping"}')
    assert c.recv_text() == '{"type":"pong","seen":"conn-1"}'


def reload(g, tmp_path, text):
    n = g.count_log(" reloaded ")
    (tmp_path / "mockforge.yaml").write_text(text)
    g.send_signal(signal.SIGHUP)
    eventually(lambda: g.count_log(" reloaded ") == n + 1)


def test_an_open_mock_uses_the_new_rules_from_the_next_message(gateway, tmp_path):
    def handlers(n):
        return config(f"""
            - path: /h
              state: {{initial: {{n: {n}}}}}
              rules:
                - match: lua
                  handler: state.seen = (state.seen or 0) + 1 return {{rules = {n}, seen = state.seen, n = state.n}}
                - match: slow
                  handler: sleep(100) return "slow {n}"
                  then: [{{delay_ms: 50, response: "then {n}"}}, {{handler: return "handler {n}"}}]
                - response: "plain {n}"
            """)
    g = gateway(handlers(1))
    c = g.client("/h")
    assert say(c, "lua") == {"rules": 1, "seen": 1, "n": 1}
    c.text("slow")
    nothing_more(c)
    reload(g, tmp_path, handlers(2))
    reload(g, tmp_path, handlers(3))  # an answer under way ends as it began
    assert texts(c, 3) == ["slow 1", "then 1", "handler 1"]
    c.text("x")
    assert c.recv_text() == "plain 3"
    assert say(c, "lua") == {"rules": 3, "seen": 2, "n": 1}  # its state goes on
    reload(g, tmp_path, config("[{path: /other, type: echo}]"))
    c.text("x")
    assert c.recv_text() == "plain 3"  # its route is gone from the file: it keeps the one that it has
    c.finish()
    g.client("/h", status=404)


def test_max_message_size(gateway):
    g = gateway(config("""
        - path: /m
          rules: [{response: "{{message.text}}"}]
        - path: /large
          max_message_size: 200000
          rules: [{response: "{{message.text}}"}]
        """))
    c = g.client("/m")
    c.text("x" * 65536)
    assert len(c.recv_text()) == 65536
    c.text("x" * 40000, fin=False)
    c.send_frame(0, b"x" * 25537)
    c.expect_failure(1009)
    c = g.client("/large")
    c.text("x" * 200000)
    assert len(c.recv_text()) == 200000


@pytest.mark.parametrize("offered,agreed,any_agreed", [(None, None, None), ("b", "b", "b"), ("x, b, a", "a", "x"), ("x", None, "x")])
def test_subprotocols(gateway, offered, agreed, any_agreed):
    g = gateway(config("""
        - path: /some
          subprotocols: [a, b]
          script: return connection.subprotocol or "none"
        - path: /any
          script: return connection.subprotocol or "none"
        """))
    for path, expected in (("/some", agreed), ("/any", any_agreed)):
        c = g.client(path, [("Sec-WebSocket-Protocol", offered)] if offered else [])
        assert c.response.get("sec-websocket-protocol") == expected
        c.text("x")
        assert c.recv_text() == (expected or "none")


def test_pings_are_answered_by_all_mocks(gateway):
    g = gateway(config("""
        - path: /p
          rules: [{handler: sleep(100) return "x"}]
        """))
    c = g.client("/p")
    c.text("x")
    c.send_frame(PING, b"while a handler waits")
    assert {c.recv_message().opcode for _ in range(2)} == {TEXT, PONG}
