"""The default endpoint and the echo route, as the guide's "Testing Patterns" use them, with a real client library."""
import asyncio
import json

import pytest
import websockets
from harness import run
from wire import BINARY, CLOSE, CONTINUATION, PONG, TEXT, frame

PLAIN = """
websocket:
  host: 127.0.0.1
  port: 0
"""
ECHO = """
websocket:
  host: 127.0.0.1
  port: 0
  handlers:
    - path: /echo
      type: echo
    - path: /binary
      type: echo
"""


def test_basic_connection(gateway):
    g = gateway(PLAIN)

    async def talk():
        async with websockets.connect(g.url("/ws")) as ws:
            await ws.send('{"type": "ping"}')
            assert json.loads(await ws.recv()) == {"type": "pong"}
    run(talk())


@pytest.mark.parametrize("text", ['{"type":"ping"}', ' { "type" : "ping" } ', '{"type":"ping","id":7}'])
def test_ping_objects_are_answered(gateway, text):
    c = gateway(PLAIN).client("/ws")
    c.text(text)
    assert json.loads(c.recv_text()) == {"type": "pong"}
    c.finish()


@pytest.mark.parametrize("text", ["", "ping", '{"type":"pong"}', '{"type":["ping"]}', '["ping"]', '{"type": "ping"',
                                  '{"id": 12345678901234567890}', "\u20ac \U0001f600", "x" * 65536],
                         ids=lambda text: ascii(text)[1:30])
def test_everything_else_is_echoed(gateway, text):
    c = gateway(PLAIN).client("/ws")
    c.text(text)
    c.expect(TEXT, text.encode())
    c.finish()


def test_echo(gateway):
    g = gateway(ECHO)

    async def talk():
        async with websockets.connect(g.url("/echo")) as ws:
            for message in ["hello", "world", "test", '{"type":"ping"}', ""]:
                await ws.send(message)
                assert await ws.recv() == message
    run(talk())


def test_binary(gateway):
    g = gateway(ECHO)

    async def talk():
        async with websockets.connect(g.url("/binary")) as ws:
            for message in [bytes([0, 1, 2, 3, 4, 5]), b"", bytes(range(256)) * 256]:
                await ws.send(message)
                assert await ws.recv() == message
    run(talk())


def test_binary_on_the_default_path(gateway):
    c = gateway(PLAIN).client("/ws")
    c.binary(b'{"type":"ping"}')  # binary is not JSON text: echoed
    c.expect(BINARY, b'{"type":"ping"}')
    c.finish()


def test_a_hundred_connections_at_once(gateway):
    g = gateway(PLAIN)

    async def one(i):
        async with websockets.connect(g.url("/ws")) as ws:
            await ws.send(json.dumps({"id": i}))
            return json.loads(await ws.recv())["id"]

    async def talk():
        assert await asyncio.gather(*[one(i) for i in range(100)]) == list(range(100))
    run(talk())


def test_reconnection_after_a_vanished_client(gateway):
    g = gateway(PLAIN)
    for reset in (False, True, False, True):
        g.client("/ws").close_socket(reset=reset)
    c = g.client("/ws")
    c.text("test")
    c.expect(TEXT, b"test")
    c.finish()


def test_ping_pong(gateway):
    c = gateway(PLAIN).client("/ws")
    for payload in (b"\1\2\3", b"", b"x" * 125):
        c.ping(payload)
        c.expect(PONG, payload)
    c.finish()


def test_graceful_close(gateway):
    g = gateway(PLAIN)

    async def talk():
        ws = await websockets.connect(g.url("/ws"))
        await ws.close(1000, "test complete")
        assert ws.close_code == 1000
    run(talk())


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014,
                                  3000, 3999, 4000, 4999])
def test_close_codes_are_echoed(gateway, code):
    gateway(ECHO).client("/echo").finish(code, "because")


def test_an_empty_close_is_answered(gateway):
    c = gateway(ECHO).client("/echo")
    c.close()
    c.expect_close((1000, 1005))
    c.expect_eof()


def test_nothing_is_answered_after_a_close(gateway):
    c = gateway(ECHO).client("/echo")
    c.close(1000)
    c.text("too late")
    assert c.recv_frame().opcode == CLOSE
    c.expect_eof()


def test_fragments_with_a_ping_between(gateway):
    c = gateway(ECHO).client("/echo")
    c.text("one ", fin=False)
    c.ping(b"between")
    c.send_frame(CONTINUATION, b"two ", fin=False)
    c.send_frame(CONTINUATION, b"", fin=False)
    c.send_frame(CONTINUATION, b"three")
    c.expect(PONG, b"between")
    c.expect(TEXT, b"one two three")
    c.finish()


def test_frames_in_the_same_packet_as_the_handshake(gateway):
    c = gateway(ECHO).ask("/echo", together=frame(TEXT, b"first") + frame(BINARY, b"second")).answered()
    c.expect(TEXT, b"first")
    c.expect(BINARY, b"second")
    c.finish()


def test_the_default_path_can_be_another(gateway):
    g = gateway(PLAIN + '  path: "/api/realtime"\n')
    c = g.client("/api/realtime")
    c.text('{"type":"ping"}')
    assert json.loads(c.recv_text()) == {"type": "pong"}
    c.finish()
    g.client("/ws", status=404)


def test_a_handler_on_the_default_path_replaces_it(gateway):
    c = gateway(PLAIN + """
  handlers:
    - path: /ws
      type: echo
""").client("/ws")
    c.text('{"type":"ping"}')
    c.expect(TEXT, b'{"type":"ping"}')
    c.finish()


def test_subprotocol_of_a_mock(gateway):
    """None configured: the first that the client offers is agreed to."""
    g = gateway(ECHO)
    c = g.client("/echo", [("Sec-WebSocket-Protocol", "chat, superchat")])
    assert c.response.get("sec-websocket-protocol") == "chat"
    c.finish()
    c = g.client("/echo")
    assert c.response.get("sec-websocket-protocol") is None
    c.finish()


@pytest.mark.parametrize("offered,agreed", [("chat, v2", "v2"), ("x, Chat", "Chat"), ("chat", None), ("x", None)])
def test_subprotocols_of_a_route(gateway, offered, agreed):
    """Compared with case: a client must fail when it is given one that it did not offer (RFC 6455 section 4.1)."""
    c = gateway(ECHO + "      subprotocols: [Chat, v2]\n").client("/binary", [("Sec-WebSocket-Protocol", offered)])
    assert c.response.get("sec-websocket-protocol") == agreed
    c.finish()


def test_extensions_are_not_accepted(gateway):
    c = gateway(ECHO).client("/echo", [("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")])
    assert c.response.get("sec-websocket-extensions") is None
    c.text("plain")
    c.expect(TEXT, b"plain")
    c.finish()


def test_path_patterns(gateway):
    """`*` is one segment, `**` the rest; the first match wins; a query does not count."""
    g = gateway("""
websocket:
  host: 127.0.0.1
  port: 0
  handlers:
    - path: /a/*/c
      type: echo
    - path: /deep/**
      type: echo
""")
    for path, status in [("/a/b/c", 101), ("/a/b/c?x=1", 101), ("/a/b/x/c", 404), ("/a/c", 404), ("/a/b/c/d", 404),
                         ("/deep/x", 101), ("/deep/x/y/z?q", 101), ("/deeper", 404), ("/", 404)]:
        c = g.ask(path).answered(status)
        c.close_socket()
