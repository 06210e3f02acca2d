"""Strangers: floods, silence, garbage, and no descriptors left. The gateway stays up, bounded, and serves the others."""
import contextlib
import random
import resource
import socket
import time

import pytest
from harness import Background, eventually
from setting import SANITIZED, SLOW
from wire import BINARY, CONTINUATION, NO_MASK, PING, TEXT, Closed, Peer, frame, request_head, tcp

CONFIG = """
websocket:
  host: 127.0.0.1
  port: 0
  head_timeout_ms: {}
  handlers:
    - path: /echo
      type: echo
"""


def serves(g):
    c = g.client("/echo")
    c.text("alive")
    c.expect(TEXT, b"alive")
    c.finish()


@pytest.fixture
def many_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, 8192)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    if wanted < 3000:
        pytest.skip("needs a limit of 3000 open files")
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_two_thousand_silent_sockets(gateway, many_descriptors):
    """They cost bounded memory, hold up nobody, and are dropped on the deadline."""
    g = gateway(CONFIG.format(1500))
    serves(g)
    before, descriptors = g.memory(), g.descriptors()
    socks = [tcp(g.address) for _ in range(2000)]
    began = time.monotonic()
    serves(g)
    if not SANITIZED:
        assert g.memory() - before < 2000 * 4096 + (4 << 20)
    for s in socks:
        s.settimeout(1.5 + 5 * SLOW)
        with contextlib.suppress(ConnectionResetError):
            while s.recv(4096):
                pass
        s.close()
    assert time.monotonic() - began < 1.5 + 5 * SLOW
    eventually(lambda: g.descriptors() <= descriptors + 2, "their descriptors are closed")
    serves(g)


def test_slow_heads(gateway):
    """Slowloris: a byte now and then does not keep a place."""
    g = gateway(CONFIG.format(1000))
    peers = [Peer(tcp(g.address), True) for _ in range(100)]
    raw, began = request_head("/echo", [("X", "y" * 1000)]), time.monotonic()
    for i in range(30):
        for p in peers:
            p.send_quietly(raw[i:i + 1])
        time.sleep(0.02)
    serves(g)
    for p in peers:
        assert p.recv_response().status == 408
        p.expect_eof()
    assert time.monotonic() - began < 1 + 4 * SLOW


def test_out_of_descriptors(gateway):
    """The gateway stays up without spinning, and accepts again when there is room."""
    g = gateway(CONFIG.format(60000), prefix=["sh", "-c", 'ulimit -n 64 && exec "$0" "$@"'])
    first = g.client("/echo")
    socks = []
    for _ in range(150):
        with contextlib.suppress(OSError):
            socks.append(tcp(g.address))
    g.wait_log("accept")
    g.rests()
    first.text("still served")
    first.expect(TEXT, b"still served")
    for s in socks:
        s.close()

    def again():
        with contextlib.suppress(OSError, Closed, AssertionError):
            serves(g)
            return True
        return False
    eventually(again, "connections are accepted again")
    assert g.count_log("accept") < 100
    first.finish()


def test_an_upstream_leg_without_a_descriptor(gateway, ws_upstream):
    """Enough for the client, not for the upstream's socket: a refusal, not a hang."""
    up = ws_upstream()
    text = CONFIG.format(60000) + f"    - path: /proxy\n      type: proxy\n      upstream: {up.url()}\n"
    g = gateway(text, prefix=["sh", "-c", 'ulimit -n 64 && exec "$0" "$@"'])
    clients = []
    for _ in range(40):
        with contextlib.suppress(OSError):
            clients.append(g.ask("/proxy"))
    answered = 0
    for c in clients:
        c.sock.settimeout(0.2 * SLOW)
        with contextlib.suppress(OSError, Closed, TimeoutError):
            assert c.recv_response().status in (101, 500, 502, 503)
            answered += 1
    assert answered >= 10
    for c in clients:
        c.close_socket()
    eventually(lambda: g.ask("/proxy").recv_response().status == 101, "it relays again")


@pytest.mark.parametrize("path", ["/echo", "/proxy"])
def test_a_huge_declared_length_allocates_nothing(gateway, raw_upstream, path):
    up = raw_upstream()
    g = gateway(CONFIG.format(10000) + f"      max_message_size: 1073741824\n    - path: /proxy\n      type: proxy\n      upstream: {up.url()}\n")
    before = g.memory("VmSize")
    clients = []
    for _ in range(20):
        c = g.client(path) if path == "/echo" else g.pair(up)[0]
        c.send(frame(BINARY, b"a few bytes", length=1 << 29))
        clients.append(c)
    serves(g)
    if not SANITIZED:
        assert g.memory("VmRSS") < 64 << 20 and g.memory("VmSize") - before < 256 << 20
    for c in clients:
        c.close_socket()


def test_a_flood_of_tiny_fragments(gateway):
    """Fragments without an end: bounded by max_message_size, not by memory."""
    g = gateway(CONFIG.format(10000))
    c = g.client("/echo")
    before = g.memory()
    c.send_quietly(frame(TEXT, b"", fin=False) + frame(CONTINUATION, b"", fin=False, mask=NO_MASK) * 300_000)
    if not SANITIZED:
        assert g.memory("VmHWM") - before < 8 << 20
    c.close_socket()
    serves(g)


def test_a_flood_of_pings(gateway):
    g = gateway(CONFIG.format(10000))
    c = g.client("/echo")
    pings = 20_000
    sending = Background(c.send, frame(PING, b"x" * 50, mask=NO_MASK) * pings)
    for _ in range(pings):
        assert c.recv_frame().payload == b"x" * 50
    sending.join()
    c.finish()


def test_garbage(gateway):
    """Random bytes in place of a head, and in place of frames."""
    g = gateway(CONFIG.format(500))
    rng = random.Random(1)
    for i in range(150):
        with Peer(tcp(g.address), True) as c:
            c.send_quietly(rng.randbytes(rng.randrange(1, 3000)))
            with contextlib.suppress(OSError):
                c.sock.shutdown(socket.SHUT_WR)
            while c.fill():
                pass
    for i in range(150):
        c = g.client("/echo")
        c.send_quietly(rng.randbytes(rng.randrange(1, 3000)))
        with contextlib.suppress(OSError):
            c.sock.shutdown(socket.SHUT_WR)
        while c.fill():
            pass
        c.close_socket()
    serves(g)


def test_mutated_heads(gateway):
    """A good head with a byte changed, left out or doubled."""
    g = gateway(CONFIG.format(300))
    rng = random.Random(2)
    good = request_head("/echo", [("Cookie", "a=b"), ("Origin", "http://x")])
    for _ in range(300):
        raw = bytearray(good)
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(raw))
            rng.choice([lambda: raw.__setitem__(at, rng.randrange(256)), lambda: raw.pop(at),
                        lambda: raw.insert(at, raw[at])])()
        with Peer(tcp(g.address), True) as c:
            c.send_quietly(bytes(raw))
            with contextlib.suppress(OSError):
                c.sock.shutdown(socket.SHUT_WR)
            while c.fill():
                pass
            assert not c.buffer or c.buffer.startswith(b"HTTP/1.1 ")
    serves(g)


@pytest.mark.parametrize("raw", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500,
                                 b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"SSH-2.0-x\r\n", b"\r\n\r\n", b"\n" * 1000,
                                 b"GET / HTTP/1.1" + b" " * 100, b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
                                 b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", b"GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n"],
                         ids=["TLS", "HTTP/2", "SSH", "blank", "line feeds", "spaces", "CONNECT", "OPTIONS", "bad URL"])
def test_other_protocols_on_the_plain_port(gateway, raw):
    g = gateway(CONFIG.format(400))
    with Peer(tcp(g.address), True) as c:
        c.send_quietly(raw)
        while c.fill():
            pass
        assert not c.buffer or 400 <= int(bytes(c.buffer).split()[1]) < 600
    serves(g)


def test_churn(gateway, ws_upstream, many_descriptors):
    """Thousands of short sessions leave nothing behind."""
    up = ws_upstream()
    g = gateway(CONFIG.format(10000) + f"    - path: /proxy\n      type: proxy\n      upstream: {up.url()}\n")

    def churn(n):
        for i in range(n):
            c = g.client("/proxy" if i % 4 == 0 else "/echo")
            c.text("x")
            c.expect(TEXT, b"x")
            c.close_socket(reset=i % 3 == 0) if i % 2 else c.finish()
    churn(100)
    before, descriptors = g.memory(), g.descriptors()
    churn(800)
    eventually(lambda: g.descriptors() <= descriptors + 2, "descriptors are closed")
    if not SANITIZED:
        assert g.memory() - before < 2 << 20
