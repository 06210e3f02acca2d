"""The opening handshake and everything that is not one: statuses of heads that are wrong, slow or too large."""
import socket
import time

import pytest
from harness import eventually
from setting import TIMEOUT
from wire import TEXT, Peer, frame, one_line, request_head, tcp

CONFIG = """
websocket:
  host: 127.0.0.1
  port: 0
  handlers:
    - path: /echo
      type: echo
"""


@pytest.fixture(scope="module")
def g(shared_gateway):
    return shared_gateway(CONFIG)


def replaced(**fields):
    names = {"upgrade": "Upgrade", "connection": "Connection", "version": "Sec-WebSocket-Version",
             "key": "Sec-WebSocket-Key", "host": "Host"}
    return request_head("/echo", [(names[n], v) for n, v in fields.items()])


GOOD = {
    "as browsers send it": request_head("/echo"),
    "Upgrade: WebSocket": replaced(upgrade="WebSocket"),
    "UPGRADE: WEBSOCKET": request_head("/echo", [("UPGRADE", "WEBSOCKET"), ("connection", "upgrade")]),
    "connection: keep-alive, Upgrade": replaced(connection="keep-alive, Upgrade"),
    "connection in two fields": request_head("/echo", [("Connection", "keep-alive"), ("Connection", "uPGRADE")]),
    "no space after the colon": request_head("/echo").replace(b": ", b":"),
    "spaces and tabs around a value": request_head("/echo", [("Upgrade", " \t websocket \t ")]),
    "with a query": request_head("/echo?a=b&c=%20"),
    "absolute form": request_head("http://localhost/echo"),
    "many fields": request_head("/echo", [(f"X-{i}", "v" * 20) for i in range(100)]),
    "a long target": request_head("/echo?" + "q" * 7000),
    "a big cookie": request_head("/echo", [("Cookie", "c" * 12000)]),
}
BAD = {
    "unknown path": (404, request_head("/nothing")),
    "unknown path, plain": (404, b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"),
    "plain request on a WebSocket path": (426, b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n"),
    "plain request on the default path": (426, b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n"),
    "another version": (426, replaced(version="8")),
    "no version": ((400, 426), request_head("/echo", drop=["Sec-WebSocket-Version"])),
    "upgrade to something else": (426, replaced(upgrade="h2c")),
    "no connection field": ((400, 426), request_head("/echo", drop=["Connection"])),
    "connection: close": ((400, 426), replaced(connection="close")),
    "no key": (400, request_head("/echo", drop=["Sec-WebSocket-Key"])),
    "short key": (400, replaced(key="c2hvcnQ=")),
    "key that is not base64": (400, replaced(key="!!!!!!!!!!!!!!!!!!!!!!==")),
    "two keys": (400, request_head("/echo", [("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")] * 2)),
    "POST": (405, request_head("/echo", method="POST")),
    "lower-case method": ((400, 405), request_head("/echo", method="get")),
    "HTTP/1.0": ((400, 426, 505), request_head("/echo", version="HTTP/1.0")),
    "HTTP/2.0": ((400, 505), request_head("/echo", version="HTTP/2.0")),
    "no version in the line": (400, b"GET /echo\r\nHost: x\r\n\r\n"),
    "no host": (400, request_head("/echo", drop=["Host"])),
    "two hosts": (400, request_head("/echo", [("Host", "a"), ("Host", "b")])),
    "space before the colon": (400, request_head("/echo").replace(b"Upgrade: w", b"Upgrade : w")),
    "folded line": (400, request_head("/echo").replace(b"\r\n\r\n", b"\r\nX-Fold: a\r\n b\r\n\r\n")),
    "bare line feeds": (400, request_head("/echo").replace(b"\r\n", b"\n")),
    "a NUL": (400, request_head("/echo").replace(b"localhost", b"local\0host")),
    "a control byte": (400, request_head("/echo").replace(b"localhost", b"local\x01host")),
    "empty field name": (400, request_head("/echo").replace(b"\r\n\r\n", b"\r\n: x\r\n\r\n")),
    "no colon": (400, request_head("/echo").replace(b"\r\n\r\n", b"\r\nnonsense\r\n\r\n")),
    "space in the target": (400, request_head("/echo HTTP/1.1 x")),
    "two content lengths": (400, request_head("/echo", [("Content-Length", "0"), ("Content-Length", "1")])),
    "garbage": (400, bytes(range(128, 256)) + b"\r\n\r\n"),
    "a long target": (414, request_head("/echo?" + "q" * 9000)),
    "a huge target without an end": (414, b"GET /" + b"q" * 20000),
    "a large field": (431, request_head("/echo", [("X-Big", "v" * 20000)])),
    "a large field without an end": (431, request_head("/echo")[:-2] + b"X-Big: " + b"v" * 40000),
    "too many fields": (431, request_head("/echo", [(f"X-{i}", "v") for i in range(1000)])),
}


@pytest.mark.parametrize("raw", GOOD.values(), ids=GOOD)
def test_accepted(g, raw):
    with Peer(tcp(g.address), True) as c:
        c.send(raw)
        assert c.recv_response().status == 101
        c.text("hi")
        c.expect(TEXT, b"hi")
        c.finish()


@pytest.mark.parametrize("raw", [GOOD["as browsers send it"], GOOD["a long target"]], ids=["short", "long"])
def test_a_head_may_come_byte_by_byte(g, raw):
    with Peer(tcp(g.address), True) as c:
        c.trickle(raw)
        assert c.recv_response().status == 101
        c.finish()


@pytest.mark.parametrize("status,raw", BAD.values(), ids=BAD)
def test_refused_and_closed(g, status, raw):
    response = g.http(raw)
    assert response.status in ((status,) if isinstance(status, int) else status), response
    assert one_line(response.body), response
    assert "close" in response.get("connection", "").lower().split(", "), response
    if response.status == 426:
        assert response.get("upgrade", "").lower() == "websocket"  # RFC 9110 section 15.5.22
        assert response.get("sec-websocket-version") == "13"  # RFC 6455 section 4.4
    if response.status == 405:
        assert response.get("allow") == "GET"


@pytest.mark.parametrize("status,raw", [(405, request_head("/echo", method="HEAD")), (404, request_head("/no", method="HEAD")),
                                        (400, request_head("/echo", method="HEAD", drop=["Host"]))],
                         ids=["405", "404", "400"])
def test_a_body_in_an_answer_to_HEAD_is_left_out(g, status, raw):
    with Peer(tcp(g.address), True) as c:
        c.send(raw)
        assert c.recv_head().status == status
        c.expect_eof()


def test_the_answer_to_a_refused_head_arrives_although_more_was_sent(g):
    """A close with unread input is a reset, and that would take the answer away."""
    response = g.http(request_head("/echo", [("X-Big", "v" * 17000)]) + b"x" * 200000)
    assert response.status == 431


def test_frames_sent_with_a_head_that_is_refused_do_no_harm(g):
    assert g.http(request_head("/nothing") + frame(TEXT, b"early")).status == 404


def test_a_client_that_leaves_in_the_middle_of_its_head(g):
    for cut in range(0, 150, 7):
        peer = Peer(tcp(g.address), True)
        peer.send(request_head("/echo")[:cut])
        peer.close_socket(reset=cut % 2 == 0)
    c = g.client("/echo")
    c.finish()


def test_a_client_that_half_closes_after_its_head(g):
    c = g.ask("/echo")
    c.answered()
    c.text("last words")
    c.sock.shutdown(socket.SHUT_WR)
    c.expect(TEXT, b"last words")
    while c.fill():
        pass
    g.rests(0.3)


def test_max_connections(gateway):
    g = gateway(CONFIG + "  max_connections: 2\n")
    first, second = g.client("/echo"), g.client("/ws")
    third = g.ask("/echo").answered(503)
    assert one_line(third.response.body)
    third.expect_eof()
    first.text("still here")
    first.expect(TEXT, b"still here")
    first.finish()

    def room():
        c = g.ask("/echo")
        if c.recv_response().status == 101:
            return c
        c.close_socket()
        return None
    eventually(room, "the place of a client that left is free again").finish()
    second.finish()


def test_a_slow_head_gets_408(gateway):
    g = gateway(CONFIG + "  head_timeout_ms: 300\n")
    began = time.monotonic()
    with Peer(tcp(g.address), True) as c:
        c.send(request_head("/echo")[:60])
        response = c.recv_response()
        c.expect_eof()
    assert response.status == 408 and one_line(response.body), response
    assert 0.2 < time.monotonic() - began < 9  # the default is 10 s


def test_bytes_now_and_then_do_not_move_the_deadline(gateway):
    g = gateway(CONFIG + "  head_timeout_ms: 400\n")
    with Peer(tcp(g.address), True) as c:
        began = time.monotonic()
        c.sock.settimeout(0.03)
        raw = iter(request_head("/echo", [("X-Slow", "v" * 5000)]))
        while time.monotonic() - began < TIMEOUT:
            c.send_quietly(bytes([next(raw)]))
            try:
                if not c.fill():
                    break
            except TimeoutError:
                continue
        assert bytes(c.buffer).startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - began < 9  # the default is 10 s, and the head would take 150
