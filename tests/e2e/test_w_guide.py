"""The guide's mocks, block by block: its YAML as it stands there, with Lua for its JavaScript, driven by
python-websockets as a user would; and its "Testing Patterns"."""
import asyncio
import json
import re
import time
import uuid
from datetime import datetime, timezone

import pytest
import websockets
from harness import run
from setting import SLOW

FREE_PORT = ("--set", "websocket.host=127.0.0.1", "--set", "websocket.port=0")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.fixture
def serve(gateway):
    """Starts the gateway on a block of the guide; more: further settings."""
    def starter(block, *more):
        return gateway(block, FREE_PORT + tuple(x for setting in more for x in ("--set", setting)))
    return starter


def connect(g, path="/ws", **kw):
    return websockets.connect(g.url(path), max_size=None, **kw)


async def ask(ws, message):
    """Sends a value as JSON, gives the answer's."""
    await ws.send(json.dumps(message))
    return json.loads(await ws.recv())


async def silent(ws, seconds=0.1):
    """Nothing more comes."""
    try:
        message = await asyncio.wait_for(ws.recv(), seconds)
    except asyncio.TimeoutError:
        return
    raise AssertionError(f"expected nothing, got {message!r}")


def about_now(text, seconds=5 * SLOW):
    """Is it RFC 3339 with milliseconds, in UTC, and now?"""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text), text
    at = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    return abs(at.timestamp() - time.time()) < seconds


# Message Handlers

ECHO = """
websocket:
  handlers:
    - path: "/echo"
      type: echo
"""


def test_echo_handler(serve):
    async def talk(g):
        async with connect(g, "/echo") as ws:
            for message in ("hello", '{"a": 1}', "", b"\x00\xff", "ü€😀"):
                await ws.send(message)
                assert await ws.recv() == message
    run(talk(serve(ECHO)))


STATIC = """
websocket:
  handlers:
    - path: "/status"
      type: static
      messages:
        - on_connect: '{"type": "connected", "server": "mockforge"}'
        - on_message: '{"type": "ack", "received": true}'
        - on_close: '{"type": "goodbye"}'
"""


def test_static_response(serve):
    async def talk(g):
        ws = await connect(g, "/status")
        assert await ws.recv() == '{"type": "connected", "server": "mockforge"}'
        for _ in range(2):
            await ws.send("anything")
            assert await ws.recv() == '{"type": "ack", "received": true}'
        await ws.close(1000, "done")
        assert await ws.recv() == '{"type": "goodbye"}'
        with pytest.raises(websockets.ConnectionClosed):
            await ws.recv()
        assert (ws.close_code, ws.close_reason) == (1000, "done")
    run(talk(serve(STATIC)))


PATTERN = """
websocket:
  handlers:
    - path: "/api"
      type: pattern
      rules:
        - match:
            type: "ping"
          response:
            type: "pong"
            timestamp: "{{now}}"

        - match:
            type: "subscribe"
            channel: "*"
          response:
            type: "subscribed"
            channel: "{{message.channel}}"
            id: "{{uuid}}"

        - match:
            type: "message"
          response:
            type: "ack"
            id: "{{message.id}}"
            processed: true
"""


def test_pattern_matching(serve):
    async def talk(g):
        async with connect(g, "/api") as ws:
            pong = await ask(ws, {"type": "ping"})
            assert pong["type"] == "pong" and about_now(pong["timestamp"]) and list(pong) == ["type", "timestamp"]
            ids = set()
            for channel in ("orders", "a \"quoted\" one", "{{now}}"):
                answer = await ask(ws, {"type": "subscribe", "channel": channel, "more": [1]})
                assert answer == {"type": "subscribed", "channel": channel, "id": answer["id"]}
                assert UUID.fullmatch(answer["id"]) and uuid.UUID(answer["id"])
                ids.add(answer["id"])
            assert len(ids) == 3
            for given in (7, "seven", 1.5, None, [1, {"a": []}], True):
                assert await ask(ws, {"type": "message", "id": given}) == \
                    {"type": "ack", "id": given, "processed": True}
            assert await ask(ws, {"type": "message"}) == {"type": "ack", "id": None, "processed": True}
            await ws.send('{"type": "subscribe"}')  # without a channel nothing matches
            await silent(ws)
        g.wait_log(r'unmatched .*rule 2: channel: expected a value, missing')
    run(talk(serve(PATTERN)))


JSONRPC = """
websocket:
  handlers:
    - path: "/jsonrpc"
      type: jsonrpc
      methods:
        - name: "user.get"
          response:
            result:
              id: "{{params.id}}"
              name: "John Doe"
              email: "john@example.com"

        - name: "user.create"
          response:
            result:
              id: "{{uuid}}"
              created: true

        - name: "unknown"
          error:
            code: -32601
            message: "Method not found"
"""


def test_jsonrpc_handler(serve):
    def call(method, number, **more):
        return {"jsonrpc": "2.0", "method": method, "id": number, **more}

    async def talk(g):
        async with connect(g, "/jsonrpc") as ws:
            assert await ask(ws, call("user.get", 1, params={"id": 5})) == {
                "jsonrpc": "2.0", "result": {"id": 5, "name": "John Doe", "email": "john@example.com"}, "id": 1}
            made = await ask(ws, call("user.create", "two", params={}))
            assert made == {"jsonrpc": "2.0", "result": {"id": made["result"]["id"], "created": True}, "id": "two"}
            assert UUID.fullmatch(made["result"]["id"])
            not_found = {"code": -32601, "message": "Method not found"}
            for method in ("unknown", "of no method at all"):
                assert await ask(ws, call(method, 3)) == {"jsonrpc": "2.0", "error": not_found, "id": 3}
    run(talk(serve(JSONRPC)))


SCRIPTED = """
websocket:
  handlers:
    - path: "/custom"
      type: script
      script: |
        -- Access connection state
        local state = connection.state
        state.messageCount = (state.messageCount or 0) + 1
        connection.state = state

        -- Parse incoming message
        local msg = json.decode(message.text)

        -- Generate response
        return {
          type = "response",
          request_id = msg.id,
          message_number = state.messageCount,
          timestamp = now_ms()
        }
"""


def test_scripted_handler(serve):
    async def talk(g):
        async with connect(g, "/custom") as one, connect(g, "/custom") as other:
            for number in (1, 2, 3):
                answer = await ask(one, {"id": f"r{number}"})
                assert abs(answer.pop("timestamp") / 1000 - time.time()) < 5 * SLOW
                assert answer == {"type": "response", "request_id": f"r{number}", "message_number": number}
            assert (await ask(other, {"id": 1}))["message_number"] == 1
            await other.send("not JSON")  # json.decode() raises: that message alone is lost
            assert (await ask(other, {"id": 2}))["message_number"] == 3
        g.wait_log(r"script_failed connection=conn-2 route=\S*/custom\S* error=\S*mockforge.yaml:13")
    run(talk(serve(SCRIPTED)))


# Broadcast and Rooms

ROOMS = """
websocket:
  handlers:
    - path: "/chat"
      type: rooms
      rules:
        - match:
            action: "join"
          handler: |
            rooms.join(message.room)
            broadcast(message.room, {
              type = "user_joined",
              user = connection.id
            })

        - match:
            action: "leave"
          handler: |
            broadcast(message.room, {
              type = "user_left",
              user = connection.id
            })
            rooms.leave(message.room)

        - match:
            action: "message"
          handler: |
            broadcast(message.room, {
              type = "chat",
              from = connection.id,
              text = message.text,
              timestamp = now_ms()
            })
"""


def test_room_based_broadcasting(serve):
    async def talk(g):
        async with connect(g, "/chat") as anna, connect(g, "/chat") as ben, connect(g, "/chat") as eve:
            joined = await ask(anna, {"action": "join", "room": "tea"})
            assert joined == {"type": "user_joined", "user": "conn-1"}
            await ben.send('{"action": "join", "room": "tea"}')
            for ws in (anna, ben):
                assert json.loads(await ws.recv()) == {"type": "user_joined", "user": "conn-2"}
            await anna.send('{"action": "message", "room": "tea", "text": "hi \\"all\\""}')
            for ws in (anna, ben):
                chat = json.loads(await ws.recv())
                assert abs(chat.pop("timestamp") / 1000 - time.time()) < 5 * SLOW
                assert chat == {"type": "chat", "from": "conn-1", "text": 'hi "all"'}
            await ben.send('{"action": "leave", "room": "tea"}')
            for ws in (anna, ben):  # who leaves is a member when it is said
                assert json.loads(await ws.recv()) == {"type": "user_left", "user": "conn-2"}
            await eve.send('{"action": "message", "room": "tea", "text": "from outside"}')
            assert json.loads(await anna.recv())["from"] == "conn-3"
            await asyncio.gather(silent(ben), silent(eve))
    run(talk(serve(ROOMS, "websocket.workers=3")))


ANNOUNCEMENTS = """
websocket:
  handlers:
    - path: "/announcements"
      broadcast:
        interval_ms: 5000
        message:
          type: "heartbeat"
          timestamp: "{{now}}"
          connections: "{{connection_count}}"
"""


def test_global_broadcasting(serve):
    async def talk(g):
        async with connect(g, "/announcements") as one, connect(g, "/announcements") as other:
            texts = await asyncio.gather(one.recv(), other.recv())
            assert texts[0] == texts[1], "rendered once for all"
            heartbeat = json.loads(texts[0])
            assert about_now(heartbeat.pop("timestamp"))
            assert heartbeat == {"type": "heartbeat", "connections": 2}
    run(talk(serve(ANNOUNCEMENTS, "websocket.workers=2")))


# Scheduled Messages

TICKER = """
websocket:
  handlers:
    - path: "/ticker"
      scheduled:
        - interval_ms: 1000
          message:
            type: "price_update"
            symbol: "BTC"
            price: "{{random_float 40000 50000}}"
            timestamp: "{{now}}"

        - interval_ms: 5000
          message:
            type: "stats"
            volume: "{{random_int 1000000 5000000}}"
"""


def test_periodic_updates(serve):
    async def talk(g):
        begin, prices, times = time.monotonic(), [], []
        async with connect(g, "/ticker") as ws:
            while True:
                message = json.loads(await ws.recv())
                if message["type"] == "stats":
                    break
                times.append(time.monotonic() - begin)
                assert about_now(message.pop("timestamp"))
                prices.append(message.pop("price"))
                assert message == {"type": "price_update", "symbol": "BTC"}
            assert isinstance(message["volume"], int) and 1000000 <= message["volume"] <= 5000000
            assert all(isinstance(p, float) and 40000 <= p <= 50000 for p in prices) and len(set(prices)) > 1
            assert 2 <= len(prices) <= 5  # the fifth and the statistics are due at the same moment; a stall skips some
            assert all(t >= i - 0.02 for i, t in enumerate(times, 1)), times
            assert min(b - a for a, b in zip(times, times[1:])) < 1.4, times
    run(talk(serve(TICKER)))


DELAYED = """
websocket:
  handlers:
    - path: "/slow"
      rules:
        - match:
            type: "request"
          response:
            type: "processing"
          then:
            delay_ms: 2000
            response:
              type: "complete"
              result: "done"
"""


def test_delayed_responses(serve):
    async def talk(g):
        async with connect(g, "/slow") as ws:
            begin = time.monotonic()
            for _ in range(2):  # a delay does not hold up the next message
                assert await ask(ws, {"type": "request"}) == {"type": "processing"}
            for _ in range(2):
                assert json.loads(await ws.recv()) == {"type": "complete", "result": "done"}
            assert time.monotonic() - begin >= 2.0
    run(talk(serve(DELAYED)))


# State Management

STATEFUL = """
websocket:
  handlers:
    - path: "/stateful"
      state:
        initial:
          authenticated: false
          subscriptions: []
      rules:
        - match:
            type: "auth"
          handler: |
            if message.token == "valid-token" then
              state.authenticated = true
              return { type = "auth_success" }
            end
            return { type = "auth_failed" }

        - match:
            type: "subscribe"
          when: "state.authenticated"
          handler: |
            table.insert(state.subscriptions, message.channel)
            return { type = "subscribed", channel = message.channel }
"""


def test_per_connection_state(serve):
    async def talk(g):
        async with connect(g, "/stateful") as ws, connect(g, "/stateful") as other:
            await ws.send('{"type": "subscribe", "channel": "orders"}')
            await silent(ws)
            g.wait_log(r'unmatched .*rule 2: its .*when.* is false')
            assert await ask(ws, {"type": "auth", "token": "wrong"}) == {"type": "auth_failed"}
            assert await ask(ws, {"type": "auth", "token": "valid-token"}) == {"type": "auth_success"}
            for channel in ("orders", "trades"):
                assert await ask(ws, {"type": "subscribe", "channel": channel}) == \
                    {"type": "subscribed", "channel": channel}
            await other.send('{"type": "subscribe", "channel": "orders"}')  # its state is its own
            await silent(other)
    run(talk(serve(STATEFUL)))


# Testing Patterns

BASIC = """
websocket:
  enabled: true
  port: 8080
  path: "/ws"
  max_connections: 10000
  max_message_size: 65536
"""
WITH_ECHO = BASIC + """
  handlers:
    - path: "/echo"
      type: echo
    - path: "/binary"
      type: echo
"""


def test_basic_connection(serve):
    async def talk(g):
        async with connect(g) as ws:
            assert (await ask(ws, {"type": "ping"}))["type"] == "pong"
    run(talk(serve(BASIC)))


def test_echo(serve):
    async def talk(g):
        async with connect(g, "/echo") as ws:
            for message in ("hello", "world", "test"):
                await ws.send(message)
                assert await ws.recv() == message
    run(talk(serve(WITH_ECHO)))


def test_binary_messages(serve):
    async def talk(g):
        async with connect(g, "/binary") as ws:
            await ws.send(bytes([0, 1, 2, 3, 4, 5]))
            assert await ws.recv() == bytes([0, 1, 2, 3, 4, 5])
    run(talk(serve(WITH_ECHO)))


def test_concurrent_connections(serve):
    async def one(g, number):
        async with connect(g) as ws:
            assert (await ask(ws, {"id": number}))["id"] == number

    async def talk(g):
        await asyncio.gather(*(one(g, number) for number in range(100)))
    run(talk(serve(BASIC)))


def test_reconnection(serve):
    async def talk(g):
        first = await connect(g)
        first.transport.abort()  # dropped, without a close frame
        async with connect(g) as ws:
            await ws.send("test")
            assert await ws.recv() == "test"
    run(talk(serve(BASIC)))


def test_ping_pong(serve):
    async def talk(g):
        async with connect(g) as ws:
            await (await ws.ping(bytes([1, 2, 3])))  # done when the pong with the same bytes has come
    run(talk(serve(BASIC)))


def test_graceful_close(serve):
    async def talk(g):
        ws = await connect(g)
        await ws.close(1000, "test complete")
        assert (ws.close_code, ws.close_reason) == (1000, "test complete")
        return ws
    run(talk(serve(BASIC)))


# Recording and Replay: its document, and its commands as they stand there (with a port that is free)

SESSION = {
    "metadata": {"recorded_at": "2024-01-15T10:30:00Z", "duration_ms": 200, "message_count": 4},
    "messages": [
        {"timestamp_ms": 0, "direction": "incoming", "type": "text", "data": '{"type":"subscribe","id":"req-1f2e"}'},
        {"timestamp_ms": 50, "direction": "outgoing", "type": "text", "data": '{"type":"subscribed","id":"req-1f2e"}'},
        {"timestamp_ms": 150, "direction": "outgoing", "type": "text", "data": '{"type":"update","value":1}'},
        {"timestamp_ms": 200, "direction": "outgoing", "type": "text", "data": '{"type":"update","value":2}'},
    ],
}
TRANSFORM = """
if direction == "outgoing" and msg.type == "update" then
  msg.replayed = true
end
"""


@pytest.mark.parametrize("line, updates, seconds", [
    ("mockforge ws replay --input session.json", [{"value": 1}, {"value": 2}], 0.2),
    ("mockforge ws replay --input session.json --speed 2.0", [{"value": 1}, {"value": 2}], 0.1),
    ("mockforge ws replay --input session.json --transform ./transform.lua",
     [{"value": 1, "replayed": True}, {"value": 2, "replayed": True}], 0.2),
])
def test_replay_session(gateway, tmp_path, line, updates, seconds):
    (tmp_path / "session.json").write_text(json.dumps(SESSION))
    (tmp_path / "transform.lua").write_text(TRANSFORM)

    async def talk(g):
        async with connect(g, "/") as ws:
            begin = time.monotonic()
            assert await ask(ws, {"type": "subscribe", "id": "mine-77"}) == {"type": "subscribed", "id": "mine-77"}
            for update in updates:
                assert json.loads(await ws.recv()) == {"type": "update", **update}
            assert time.monotonic() - begin >= seconds * 0.95
    run(talk(gateway(command=("ws", "replay"), args=[*line.split()[3:], "--port", "0"])))
