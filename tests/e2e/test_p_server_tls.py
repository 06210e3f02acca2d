"""TLS on the WebSocket port."""
import hashlib
import re
import ssl
import stat
import time

import pytest
import websockets
from certificates import trusting
from harness import run
from setting import SLOW
from wire import TEXT, Peer, frame, request_head, tcp


def config(certs=None, more=""):
    files = f"""
    cert_path: "{certs.crt("good")}"
    key_path: "{certs.key("good")}\"""" if certs else " true"
    return f"""
websocket:
  host: 127.0.0.1
  port: 0
{more}  tls:{files}
"""


def fingerprint(g):
    """SHA-256 of the certificate that the port shows, as openssl prints it."""
    with trusting().wrap_socket(tcp(g.address), server_hostname="localhost") as sock:
        digest = hashlib.sha256(sock.getpeercert(binary_form=True)).hexdigest().upper()
    return ":".join(digest[i:i + 2] for i in range(0, 64, 2))


def test_self_signed_and_kept(gateway):
    """`--ws-tls`: made on first use, its fingerprint printed, the same in the next run."""
    seen = []
    for _ in range(2):
        g = gateway(args=["--websocket", "--ws-tls", "--ws-port", "0"])
        assert g.tls
        shown = g.wait_log(r"([0-9A-F]{2}(:[0-9A-F]{2}){31})")[1]
        assert shown == fingerprint(g)
        seen.append(shown)
        c = g.client("/ws", tls=trusting())
        c.text("hi")
        c.expect(TEXT, b"hi")
        c.finish()
        g.stop()
    assert seen[0] == seen[1]


def test_the_self_signed_key_is_private(gateway, tmp_path):
    gateway(args=["--websocket", "--ws-tls", "--ws-port", "0"], env={"MOCKFORGE_STATE_DIR": str(tmp_path / "own-state")}).stop()
    files = [f for f in (tmp_path / "own-state").rglob("*") if f.is_file()]
    keys = [f for f in files if b"PRIVATE KEY" in f.read_bytes()]
    assert keys and all(stat.S_IMODE(f.stat().st_mode) == 0o600 for f in keys)
    assert stat.S_IMODE((tmp_path / "own-state").stat().st_mode) == 0o700


def test_a_certificate_alone_does_not_switch_tls_on_silently(gateway):
    g = gateway("websocket: {host: 127.0.0.1, port: 0}\nadmin: {enabled: false}\n",
                ["--set", "websocket.tls.cert_path=c.pem", "--set", "websocket.tls.key_path=k.pem"])
    g.wait_log(r" warn  tls_off cert_path=\"c.pem\" ")


def test_own_certificate(gateway, certs):
    g = gateway(config(certs))

    async def talk():
        async with websockets.connect(g.url("/ws"), ssl=certs.client(), server_hostname="localhost", max_size=None) as ws:
            for text in ("hello", "x" * 65000):
                await ws.send(text)
                assert await ws.recv() == text
    run(talk())


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize("version,fine", [(ssl.TLSVersion.TLSv1, False), (ssl.TLSVersion.TLSv1_1, False),
                                          (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)])
def test_versions(gateway, certs, version, fine):
    g = gateway(config(certs))
    context = trusting()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    if fine:
        c = g.client("/ws", tls=context)
        c.finish()
    else:
        with pytest.raises((ssl.SSLError, OSError)):
            g.client("/ws", tls=context)


def test_plain_http_to_the_tls_port(gateway, certs):
    g = gateway(config(certs))
    with Peer(tcp(g.address), True) as c:
        c.send_quietly(request_head("/ws"))
        while c.fill():
            pass
        assert not c.buffer.startswith(b"HTTP/1.1 101")
    c = g.client("/ws", tls=certs.client())
    c.finish()


def test_silent_tls_clients_block_nobody_and_are_dropped(gateway, certs):
    g = gateway(config(certs, "  head_timeout_ms: 1500\n  workers: 1\n"))
    began = time.monotonic()
    silent = [Peer(tcp(g.address), True) for _ in range(50)]
    silent[0].send(b"\x16\x03\x01")  # the beginning of a ClientHello, and no more
    c = g.client("/ws", tls=certs.client())
    c.text("served meanwhile")
    c.expect(TEXT, b"served meanwhile")
    c.finish()
    for s in silent:
        while s.fill():
            pass
    assert 1.3 < time.monotonic() - began < 1.5 + 3 * SLOW


def test_a_slow_head_inside_tls(gateway, certs):
    g = gateway(config(certs, "  head_timeout_ms: 1500\n"))  # with the handshake
    with Peer(certs.client().wrap_socket(tcp(g.address), server_hostname="localhost"), True) as c:
        c.send(request_head("/ws")[:30])
        assert c.recv_response().status == 408


def test_garbage_on_the_tls_port(gateway, certs):
    g = gateway(config(certs))
    for raw in (b"\0" * 1000, b"\xff" * 5000, b"\x16\x03\x01\xff\xff" + b"\0" * 100, b"\x16\x03\x03\x00\x00"):
        with Peer(tcp(g.address), True) as c:
            c.send_quietly(raw)
            c.sock.shutdown(1)
            while c.fill():
                pass
    c = g.client("/ws", tls=certs.client())
    c.finish()


@pytest.mark.parametrize("how", ["close_notify", "FIN", "RST"])
def test_clients_that_vanish(gateway, certs, how):
    g = gateway(config(certs))
    c = g.client("/ws", tls=certs.client())
    c.text("x")
    c.expect(TEXT, b"x")
    if how == "close_notify":
        try:
            c.sock.unwrap().close()
        except (ssl.SSLError, OSError):
            pass
    else:
        c.close_socket(reset=how == "RST")
    g.wait_log("session_end|reason=")
    c = g.client("/ws", tls=certs.client())
    c.finish()


def test_head_and_frames_in_one_record_and_byte_by_byte(gateway, certs):
    g = gateway(config(certs))
    c = g.client("/ws", tls=certs.client(), together=frame(TEXT, b"one") + frame(TEXT, b"two"))
    c.expect(TEXT, b"one")
    c.expect(TEXT, b"two")
    c.trickle(frame(TEXT, b"three" * 20))
    c.expect(TEXT, b"three" * 20)
    c.finish()


def test_tls_on_both_legs(gateway, ws_upstream, certs):
    up = ws_upstream(tls=certs.server())
    g = gateway(config(certs) + f"""
  handlers:
    - path: /proxy
      type: proxy
      upstream: "{up.url(host="localhost")}"
      upstream_tls:
        ca: "{certs.crt("ca")}"
""")

    async def talk():  # not a raw client: Python's ssl sockets do not stand two threads
        async with websockets.connect(g.url("/proxy"), ssl=certs.client(), max_size=None) as ws:
            for n in (0, 10, 16384, 65536, 1 << 20, 5 << 20):
                await ws.send("x" * n)
                assert await ws.recv() == "x" * n
    run(talk())
    assert re.search("tls=yes", g.log)
