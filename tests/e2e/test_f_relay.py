"""The relay: what crosses, and that it crosses as it came."""
import asyncio
import re
import time

import pytest
import websockets
from harness import Background, eventually, run
from setting import TIMEOUT
from wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Frame, close_payload, frame


def relay(upstream_url, more=""):
    return f"""
websocket:
  host: 127.0.0.1
  port: 0
  handlers:
    - path: /proxy
      type: proxy
      upstream: "{upstream_url}"
{more}"""


SAMPLES = {
    "text": [Frame(TEXT, b"hello")],
    "empty text": [Frame(TEXT, b"")],
    "binary": [Frame(BINARY, bytes(range(256)))],
    "empty binary": [Frame(BINARY, b"")],
    "125 126 127 bytes": [Frame(BINARY, b"a" * n) for n in (125, 126, 127)],
    "65535 65536 bytes": [Frame(BINARY, b"a" * n) for n in (65535, 65536)],
    "a megabyte": [Frame(BINARY, b"0123456789abcdef" * 65536)],
    "fragments": [Frame(TEXT, b"a", fin=False), Frame(CONTINUATION, b"", fin=False), Frame(CONTINUATION, b"bc")],
    "empty fragments": [Frame(BINARY, b"", fin=False), Frame(CONTINUATION, b"", fin=False), Frame(CONTINUATION, b"")],
    "a character across fragments": [Frame(TEXT, b"\xe2\x82", fin=False), Frame(CONTINUATION, b"\xac")],
    "a ping between fragments": [Frame(TEXT, b"a", fin=False), Frame(PING, b"p"), Frame(CONTINUATION, b"b")],
    "ping": [Frame(PING, b"are you there")],
    "empty ping": [Frame(PING)],
    "pong": [Frame(PONG, b"unsolicited")],
    "many small": [Frame(TEXT, b"%d" % i) for i in range(500)],
}


@pytest.mark.parametrize("frames", SAMPLES.values(), ids=SAMPLES)
@pytest.mark.parametrize("towards", ["upstream", "client"])
def test_frames_cross_as_they_came(gateway, raw_upstream, frames, towards):
    up = raw_upstream()
    client, server = gateway(relay(up.url())).pair(up)
    sender, receiver = (client, server) if towards == "upstream" else (server, client)
    raw = b"".join(frame(f.opcode, f.payload, fin=f.fin, mask=sender.masks) for f in frames)
    sending = Background(sender.send, raw)
    for wanted in frames:
        assert receiver.recv_frame() == wanted
    sending.join()
    client.close(1000)
    server.expect_close(1000)


def test_bytes_that_come_one_by_one(gateway, raw_upstream):
    up = raw_upstream()
    client, server = gateway(relay(up.url())).pair(up)
    frames = [Frame(TEXT, b"abc", fin=False), Frame(CONTINUATION, b"x" * 200), Frame(PING, b"p"), Frame(BINARY, b"\xff" * 9)]
    for sender, receiver in ((client, server), (server, client)):
        sender.trickle(b"".join(frame(f.opcode, f.payload, fin=f.fin, mask=sender.masks) for f in frames))
        for wanted in frames:
            assert receiver.recv_frame() == wanted


def test_a_frame_is_passed_on_before_its_end_has_come(gateway, raw_upstream):
    up = raw_upstream()
    client, server = gateway(relay(up.url())).pair(up)
    client.send(frame(BINARY, b"a" * 1000, mask=b"\0\0\0\0")[:500])
    server.recv_exact(400)


def test_ping_and_pong_cross_to_the_ends(gateway, raw_upstream):
    """It is the upstream that answers a client's ping, not we in its place, and the other way round."""
    up = raw_upstream()
    client, server = gateway(relay(up.url())).pair(up)
    for one, other in ((client, server), (server, client)):
        one.ping(b"who")
        other.expect(PING, b"who")
        other.pong(b"who")
        one.expect(PONG, b"who")


@pytest.mark.parametrize("code,reason", [(1000, "bye"), (1000, ""), (1001, "leaving"), (1008, "\u20ac uro"), (1012, "restart"),
                                         (3000, "x" * 123), (4999, "own"), (None, "")],
                         ids=lambda v: str(v)[:10])
@pytest.mark.parametrize("by", ["client", "upstream"])
def test_close_code_and_reason_cross(gateway, raw_upstream, code, reason, by):
    up = raw_upstream()
    client, server = gateway(relay(up.url())).pair(up)
    first, second = (client, server) if by == "client" else (server, client)
    first.close(code, reason)
    f = second.recv_frame()
    assert f == Frame(CLOSE, b"" if code is None else close_payload(code, reason))
    second.send_frame(CLOSE, f.payload)
    assert first.recv_frame() == f
    server.close_socket()
    client.expect_eof()


def test_the_answer_to_a_close_may_have_another_code(gateway, raw_upstream):
    up = raw_upstream()
    client, server = gateway(relay(up.url())).pair(up)
    client.close(1000, "mine")
    server.expect_close(1000, "mine")
    server.close(4001, "yours")
    client.expect_close(4001, "yours")


def test_what_was_under_way_arrives_before_the_close(gateway, raw_upstream):
    up = raw_upstream()
    client, server = gateway(relay(up.url())).pair(up)
    server.send(b"".join(frame(TEXT, b"%d" % i, mask=False) for i in range(1000)) + frame(CLOSE, close_payload(1000), mask=False))
    for i in range(1000):
        client.expect(TEXT, b"%d" % i)
    client.expect_close(1000)


def test_upstream_may_go_on_sending_after_the_clients_close(gateway, raw_upstream):
    """The client closed; the upstream finishes its message before its own close (RFC 6455 section 5.5.1)."""
    up = raw_upstream()
    client, server = gateway(relay(up.url())).pair(up)
    client.close(1000)
    server.expect_close(1000)
    server.text("last words")
    server.close(1000)
    client.expect(TEXT, b"last words")
    client.expect_close(1000)


def test_subprotocol_is_the_upstreams_choice(gateway, ws_upstream):
    up = ws_upstream(subprotocols=["second"])
    g = gateway(relay(up.url()))

    async def talk():
        async with websockets.connect(g.url("/proxy"), subprotocols=["first", "second"]) as ws:
            assert ws.subprotocol == "second"
        async with websockets.connect(g.url("/proxy"), subprotocols=["third"]) as ws:
            assert ws.subprotocol is None
    run(talk())


def test_the_request_that_the_upstream_gets(gateway, raw_upstream):
    """Query, Origin, Authorization, Cookie and own headers cross; what concerns one hop does not, and the handshake's
    fields are the gateway's own."""
    up = raw_upstream()
    client, server = gateway(relay(up.url("/base?fixed=1"))).pair(up, "/proxy?a=1&b=%20x", [
        ("Origin", "https://app.example"), ("Authorization", "Bearer abc"), ("Cookie", "a=1; b=2"), ("X-Custom", "Value"),
        ("User-Agent", "tester/1"), ("Sec-WebSocket-Protocol", "p1, p2"), ("Sec-WebSocket-Extensions", "permessage-deflate"),
        ("Connection", "keep-alive, Upgrade, X-Hop"), ("X-Hop", "no"), ("Keep-Alive", "timeout=5"), ("TE", "trailers"),
        ("Proxy-Authorization", "Basic no"), ("Proxy-Connection", "keep-alive")])
    request = server.request
    path, _, query = request.target.partition("?")
    assert path == "/base"
    assert "fixed=1" in query.split("&") and "a=1" in query.split("&") and "b=%20x" in query.split("&")
    assert request.all("host") == [f"127.0.0.1:{up.port}"]
    for name, value in [("Origin", "https://app.example"), ("Authorization", "Bearer abc"), ("Cookie", "a=1; b=2"),
                        ("X-Custom", "Value"), ("User-Agent", "tester/1"), ("Sec-WebSocket-Protocol", "p1, p2")]:
        assert request.all(name) == [value], name
    for name in ("X-Hop", "Keep-Alive", "TE", "Proxy-Authorization", "Proxy-Connection", "Sec-WebSocket-Extensions"):
        assert request.all(name) == [], name
    assert request.all("upgrade") == ["websocket"] and request.get("connection").lower() == "upgrade"
    assert request.all("sec-websocket-version") == ["13"]
    assert request.get("sec-websocket-key") != client.key


def test_response_headers_cross(gateway, raw_upstream):
    up = raw_upstream()
    client, _ = gateway(relay(up.url())).pair(up, answer=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Server", "it"),
                                                          ("Keep-Alive", "timeout=9")])
    assert client.response.all("set-cookie") == ["a=1", "b=2"]
    assert client.response.all("x-server") == ["it"]
    assert client.response.all("keep-alive") == []
    assert len(client.response.all("sec-websocket-accept")) == 1


@pytest.mark.parametrize("route, base, asked, target", [
    ("/api/**", "/v1", "/api/users/7?x=1", "/v1/users/7?x=1"),
    ("/api/**", "/v1", "/api", "/v1"),
    ("/api/**", "/v1/", "/api", "/v1/"),
    ("/api/**", "/v1/", "/api/users", "/v1/users"),
    ("/socket.io/**", "/socket.io", "/socket.io/?EIO=4", "/socket.io/?EIO=4"),  # another path without the slash
    ("/socket.io/**", "/socket.io/", "/socket.io/?EIO=4", "/socket.io/?EIO=4"),
    ("/**", "/v1", "/", "/v1"),  # a URL without a path asks for "/", too
    ("/**", "/v1", "/users/", "/v1/users/"),
    ("/**", "", "/socket.io/", "/socket.io/"),
])
def test_the_path_beyond_a_pattern_goes_along(gateway, raw_upstream, route, base, asked, target):
    up = raw_upstream()
    g = gateway(relay(up.url(base)).replace("/proxy", route))
    _, server = g.pair(up, asked)
    assert server.request.target == target


def test_on_connect_headers_are_templates_and_override(gateway, raw_upstream):
    up = raw_upstream()
    g = gateway(relay(up.url(), """      on_connect:
        headers:
          Authorization: "Bearer {{env.API_TOKEN}}"
          X-Connection: "{{connection.id}}"
          X-From: "{{header.x-user}}!"
          X-Missing: "{{header.not-there | default none}}"
          X-Uuid: "{{uuid}}"
          X-Now: "{{now}}"
          X-Date: "{{date}}"
          X-Query: "{{query.room}}"
          Origin: "https://override.example"
"""), env={"API_TOKEN": "t0ken"})
    _, server = g.pair(up, "/proxy?room=9", [("X-User", "ann {{uuid}}"), ("Authorization", "Basic old"),
                                            ("Origin", "https://app.example")])
    request = server.request
    assert request.all("authorization") == ["Bearer t0ken"]
    assert request.all("origin") == ["https://override.example"]
    assert re.fullmatch(r"conn-\d+", request.get("x-connection"))
    assert request.get("x-from") == "ann {{uuid}}!"  # what was inserted is not expanded again
    assert request.get("x-missing") == "none"
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", request.get("x-uuid"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", request.get("x-now"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", request.get("x-date"))
    assert request.get("x-query") == "9"
    _, again = g.pair(up)
    assert again.request.get("x-connection") != request.get("x-connection")
    assert again.request.get("x-uuid") != request.get("x-uuid")


def test_a_template_cannot_smuggle_a_header(gateway, raw_upstream):
    """A query may hold anything percent-encoded; a raw line feed never makes a second field."""
    up = raw_upstream()
    g = gateway(relay(up.url(), """      on_connect:
        headers:
          X-Query: "{{query.q}}"
"""))
    client = g.ask("/proxy?q=a%0d%0aX-Smuggled:%20yes")
    server = up.accept()
    request = server.take_request()
    assert request.get("x-smuggled") is None
    client.close_socket()


def test_frames_in_the_same_packet_as_the_upstreams_101(gateway, raw_upstream):
    up = raw_upstream()
    g = gateway(relay(up.url()))
    client = g.ask("/proxy")
    up.accept_ws(together=frame(TEXT, b"early", mask=False) + frame(PING, b"x", mask=False) + frame(TEXT, b"bird", mask=False))
    client.answered()
    client.expect(TEXT, b"early")
    client.expect(PING, b"x")
    client.expect(TEXT, b"bird")


def test_interim_answers_before_the_101(gateway, raw_upstream):
    """100 and 103 say only that the answer is still to come: RFC 9110 section 15.2."""
    up = raw_upstream()
    g = gateway(relay(up.url()))
    client = g.ask("/proxy")
    server = up.accept()
    server.take_request()
    server.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n")
    server.answer(together=frame(TEXT, b"at last", mask=False))
    client.answered()
    client.expect(TEXT, b"at last")


def test_frames_in_the_same_packet_as_the_clients_head(gateway, raw_upstream):
    up = raw_upstream()
    g = gateway(relay(up.url()))
    client = g.ask("/proxy", together=frame(TEXT, b"early") + frame(TEXT, b"bird"))
    server = up.accept_ws()
    server.expect(TEXT, b"early")
    server.expect(TEXT, b"bird")
    client.answered()


def test_the_101_comes_only_after_the_upstreams(gateway, raw_upstream):
    up = raw_upstream()
    g = gateway(relay(up.url()))
    client = g.ask("/proxy")
    server = up.accept()
    server.take_request()
    client.sock.settimeout(0.3)
    with pytest.raises(TimeoutError):
        client.recv_head()
    client.sock.settimeout(TIMEOUT)
    server.answer()
    client.answered()


def test_an_upstreams_head_may_come_byte_by_byte(gateway, raw_upstream):
    up = raw_upstream()
    client = gateway(relay(up.url())).ask("/proxy")
    server = up.accept()
    server.take_request()
    whole = server.send
    server.send = lambda data: [whole(data[i:i + 1]) for i in range(len(data))]
    server.answer(together=frame(TEXT, b"hi", mask=False))
    client.answered()
    client.expect(TEXT, b"hi")


@pytest.mark.parametrize("raw,code", [(frame(3), 1002), (frame(TEXT, b"\xff"), 1007), (frame(TEXT, b"x", rsv=4), 1002),
                                      (frame(TEXT, b"x", mask=False), 1002), (frame(CLOSE, b"\x03"), 1002),
                                      (frame(CLOSE, close_payload(1005)), 1002)],
                         ids=["opcode 3", "not UTF-8", "RSV1", "not masked", "close of 1 byte", "close 1005"])
def test_a_client_that_breaks_the_protocol(gateway, raw_upstream, raw, code):
    up = raw_upstream()
    client, server = gateway(relay(up.url())).pair(up)
    client.send(raw)
    client.expect_failure(code)  # its connection does not wait for the upstream's answer
    assert server.recv_message().opcode == CLOSE
    server.close(1001)
    server.close_socket()


@pytest.mark.parametrize("raw", [frame(3, mask=False), frame(TEXT, b"\xff", mask=False), frame(TEXT, b"x", rsv=4, mask=False),
                                 frame(TEXT, b"x"), frame(CLOSE, b"\x03", mask=False), b"\xff" * 100],
                         ids=["opcode 3", "not UTF-8", "RSV1", "masked", "close of 1 byte", "0xff"])
def test_an_upstream_that_breaks_the_protocol(gateway, raw_upstream, raw):
    up = raw_upstream()
    g = gateway(relay(up.url()))
    client, server = g.pair(up)
    server.send(raw)
    client.expect_failure((1002, 1007, 1011, 1014))
    while server.fill():
        pass
    g.wait_log("reason=")


def test_max_message_size_of_a_relay(gateway, raw_upstream):
    """Any size without it; with it 1009, on both sides."""
    up = raw_upstream()
    g = gateway(relay(up.url(), "      max_message_size: 1000\n"))
    client, server = g.pair(up)
    client.text("x" * 1000)
    server.expect(TEXT, b"x" * 1000)
    client.send_quietly(frame(TEXT, b"x" * 1001))
    client.expect_failure(1009)
    client, server = g.pair(up)
    server.send(frame(TEXT, b"x" * 1001, mask=False))
    client.expect_failure((1009, 1011, 1014))


def test_the_gateways_default_limit_does_not_bound_a_relay(gateway, raw_upstream):
    up = raw_upstream()
    client, server = gateway(relay(up.url())).pair(up)
    sending = Background(client.binary, b"x" * 300000)
    server.expect(BINARY, b"x" * 300000)
    sending.join()


def test_a_client_that_vanishes(gateway, raw_upstream):
    for reset in (False, True):
        up = raw_upstream()
        g = gateway(relay(up.url()))
        client, server = g.pair(up)
        client.close_socket(reset=reset)
        f = server.recv_frame()
        assert f.opcode == CLOSE and f.code in (1001, 1005, 1006, 1011), f
        server.close(1001)
        server.close_socket()
        g.stop()


def test_an_upstream_that_vanishes(gateway, raw_upstream):
    for reset in (False, True):
        up = raw_upstream()
        g = gateway(relay(up.url()))
        client, server = g.pair(up)
        server.close_socket(reset=reset)
        client.expect_failure((1001, 1011, 1014))
        g.wait_log("reason=.*upstream|upstream.*reason=")
        g.stop()


def test_an_upstream_that_dies_in_the_middle_of_a_frame(gateway, raw_upstream):
    """The client cannot be given a close frame inside another frame: what it hears is the end, and no more data."""
    up = raw_upstream()
    client, server = gateway(relay(up.url())).pair(up)
    server.send(frame(TEXT, b"x" * 1000, mask=False)[:300])
    server.close_socket()
    while client.fill():
        pass
    got = client.take(len(client.buffer))
    assert got == frame(TEXT, b"x" * 1000, mask=False)[:len(got)], "bytes after the cut frame would be taken for its payload"


def test_an_upstream_that_dies_between_fragments(gateway, raw_upstream):
    up = raw_upstream()
    client, server = gateway(relay(up.url())).pair(up)
    server.text("a part", fin=False)
    server.close_socket()
    assert client.recv_frame() == Frame(TEXT, b"a part", fin=False)
    client.expect_failure((1001, 1011, 1014))


def test_connections_do_not_mix(gateway, ws_upstream):
    up = ws_upstream()
    g = gateway(relay(up.url()))

    async def one(i):
        async with websockets.connect(g.url("/proxy")) as ws:
            for k in range(20):
                await ws.send(f"{i}:{k}")
                assert await ws.recv() == f"{i}:{k}"

    async def talk():
        await asyncio.gather(*[one(i) for i in range(100)])
    run(talk(), 3 * TIMEOUT)


def test_the_gateway_as_its_own_upstream(gateway, tmp_path):
    """The demonstration configuration does this."""
    inner = gateway("websocket:\n  host: 127.0.0.1\n  port: 0\n")
    outer = gateway(relay(inner.url("/ws")), name="outer.yaml")
    c = outer.client("/proxy")
    began = time.monotonic()
    for i in range(100):
        c.text("x")
        c.expect(TEXT, b"x")
    assert time.monotonic() - began < TIMEOUT
    c.finish()
    eventually(lambda: "session_end" in outer.log or "reason=" in outer.log, "the session's end is logged")
