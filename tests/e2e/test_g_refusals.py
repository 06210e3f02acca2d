"""Upstreams that are down, slow, refuse or are no WebSocket: a clear status within the time-out, and one log line."""
import os
import shutil
import socket
import subprocess
import time

import pytest
from harness import Background
from wire import TEXT, dead_port, one_line


def relay(upstream_url, more="", ms=8000):
    """ms: the time-outs; short only where one is waited for."""
    return f"""
websocket:
  host: 127.0.0.1
  port: 0
  handlers:
    - path: /proxy
      type: proxy
      upstream: "{upstream_url}"
      connect_timeout_ms: {ms}
      handshake_timeout_ms: {ms}
{more}"""


def refused(g, status):
    """Asks, and checks the refusal: status, one line of reason, closed, logged once."""
    before = g.count_log(" status=")
    client = g.ask("/proxy").answered(status)
    assert one_line(client.response.body), client.response
    client.expect_eof()
    g.wait_log(r" warn  upstream_failed .*path=\"/proxy\"")
    assert g.count_log(" status=") == before + 1, g.log
    return client.response


@pytest.mark.parametrize("answer,status,body", [
    (b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nX-Why: secret\r\nContent-Length: 9\r\n\r\nno entry\n", 403, b"no entry\n"),
    (b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n", 401, b""),
    (b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\nuntil the end", 404, b"until the end"),
    (b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 503, b"hello"),
    (b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", 302, b""),
    (b"HTTP/1.1 429 Slow Down\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000, 429, b"x" * 5000),
], ids=["403", "401", "404 until the end", "503 chunked", "302", "429 with a large body"])
def test_a_refusal_is_passed_on(gateway, raw_upstream, answer, status, body):
    up = raw_upstream()
    g = gateway(relay(up.url()))
    client = g.ask("/proxy")
    server = up.accept()
    server.take_request()
    server.send(answer)
    server.close_socket()
    client.answered(status)
    response = client.response
    if b"\r\nContent-Length: " in answer and body:
        assert response.body == body, response
    else:  # a body without a length may be replaced by a line of ours
        assert response.body == body or one_line(response.body), response
    for name in ("X-Why", "WWW-Authenticate", "Location"):
        if name.encode() in answer:
            assert response.get(name), f"{name} is the upstream's and for the client"
    g.wait_log("upstream")


@pytest.mark.parametrize("coding", ["gzip, chunked", "gzip", "chunked\r\nTransfer-Encoding: gzip"])
def test_a_body_in_a_coding_that_is_not_undone_is_replaced(gateway, raw_upstream, coding):
    """Transfer-Encoding ends here: the client would take the coded bytes for the text itself."""
    up = raw_upstream()
    client = gateway(relay(up.url())).ask("/proxy")
    server = up.accept()
    server.take_request()
    server.send(b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: %b\r\n\r\n3\r\n\x1f\x8b\x08\r\n0\r\n\r\n" % coding.encode())
    server.close_socket()
    client.answered(503)
    assert one_line(client.response.body), client.response


def test_a_plain_200_is_no_websocket(gateway, raw_upstream):
    up = raw_upstream()
    g = gateway(relay(up.url()))
    client = g.ask("/proxy")
    server = up.accept()
    server.take_request()
    server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    server.close_socket()
    response = client.recv_response()
    assert response.status in (200, 502), response
    assert response.body


@pytest.mark.parametrize("answer", [
    b"SSH-2.0-OpenSSH_9.2\r\n", b"\x16\x03\x01\x02\x00", b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
    b"HTTP/1.1 2", b"", b"\0" * 100, b"HTTP/1.1 101 x\r\nX: " + b"y" * 100000 + b"\r\n\r\n",
], ids=["ssh", "tls", "101 without fields", "wrong accept", "cut head", "nothing", "zeros", "huge head"])
def test_nonsense_gets_502(gateway, raw_upstream, answer):
    up = raw_upstream()
    g = gateway(relay(up.url()))
    client = g.ask("/proxy")
    server = up.accept()
    server.take_request()
    server.send_quietly(answer)
    server.close_socket()
    client.answered(502)
    assert one_line(client.response.body), client.response


def test_an_upstream_that_accepts_what_was_not_offered(gateway, raw_upstream):
    up = raw_upstream()
    g = gateway(relay(up.url()))
    for fields in ([("Sec-WebSocket-Extensions", "permessage-deflate")], [("Sec-WebSocket-Protocol", "surprise")]):
        client = g.ask("/proxy")
        up.accept_ws(fields)
        client.answered(502)


def test_a_refused_connection(gateway):
    held, port = dead_port()
    response = refused(gateway(relay(f"ws://127.0.0.1:{port}/")), 502)
    assert b"refused" in response.body.lower()
    held.close()


def test_a_name_that_does_not_exist(gateway):
    """Or that no name server tells of: one that is silent is asked once, for less time than ours to connect."""
    response = refused(gateway(relay("ws://no-such-host.invalid/"), env={"RES_OPTIONS": "timeout:1 attempts:1"}), 502)
    assert b"no-such-host.invalid" in response.body or b"name" in response.body.lower()


def test_an_upstream_that_does_not_answer_the_handshake(gateway, raw_upstream):
    up = raw_upstream()
    g = gateway(relay(up.url(), ms=500))
    began = time.monotonic()
    accepting = Background(up.accept)
    refused(g, 504)
    assert 0.4 < time.monotonic() - began < 9  # the default is 10 s
    accepting.join()


def test_an_upstream_that_answers_one_byte_now_and_then(gateway, raw_upstream):
    up = raw_upstream()
    g = gateway(relay(up.url(), ms=500))
    client = g.ask("/proxy")
    server = up.accept()
    server.take_request()

    def drip():
        for byte in b"HTTP/1.1 101 Switching Protocols\r\n" + b"X: y\r\n" * 1000:
            server.send(bytes([byte]))
            time.sleep(0.02)
    dripping = Background(drip)
    client.answered(504)
    with pytest.raises(OSError):
        dripping.join()


def test_an_upstream_that_does_not_even_accept(gateway):
    """A full backlog drops SYNs: the connect time-out is what ends it."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen(0)
    fill = []
    for _ in range(8):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(sock.getsockname())
        fill.append(s)
    g = gateway(relay(f"ws://127.0.0.1:{sock.getsockname()[1]}/", ms=500))
    began = time.monotonic()
    refused(g, 504)
    assert 0.4 < time.monotonic() - began < 9  # the default is 10 s
    for s in (*fill, sock):
        s.close()


def test_a_client_that_leaves_while_the_upstream_is_slow(gateway, raw_upstream):
    up = raw_upstream()
    g = gateway(relay(up.url()))
    client = g.ask("/proxy")
    server = up.accept()
    server.take_request()
    began = time.monotonic()
    client.close_socket()
    server.expect_eof()  # the connection that nobody wants any more ends long before its time-out
    assert time.monotonic() - began < 7  # of 8


def test_one_refusal_does_not_hold_up_others(gateway, raw_upstream, ws_upstream):
    silent, good = raw_upstream(), ws_upstream()
    g = gateway(relay(silent.url()) + f"""    - path: /good
      type: proxy
      upstream: "{good.url()}"
""")
    waiting = [g.ask("/proxy") for _ in range(20)]
    c = g.client("/good")
    c.text("hi")
    c.expect(TEXT, b"hi")
    c.finish()
    for w in waiting:
        w.close_socket()


def test_ipv6(gateway, ws_upstream):
    up = ws_upstream(host="::1")
    c = gateway(relay(up.url())).client("/proxy")
    c.text("six")
    c.expect(TEXT, b"six")
    c.finish()
    assert up.seen[0][1]["Host"] == f"[::1]:{up.port}"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("order", ["127.0.0.1 both\n::1 both\n", "::1 both\n127.0.0.1 both\n"], ids=["4 first", "6 first"])
def test_a_name_with_two_families_of_which_one_listens(gateway, ws_upstream, tmp_path, host, order):
    """The other address is tried, and long before the connect time-out."""
    (tmp_path / "hosts").write_text(order)
    prefix = own_hosts(tmp_path / "hosts")
    up = ws_upstream(host=host)
    g = gateway(relay(up.url(host="both")), prefix=prefix)
    c = g.client("/proxy")
    c.text("found")
    c.expect(TEXT, b"found")
    c.finish()


def test_localhost(gateway, ws_upstream):
    up = ws_upstream()
    c = gateway(relay(up.url(host="localhost"))).client("/proxy")
    c.text("found")
    c.expect(TEXT, b"found")
    c.finish()
    assert up.seen[0][1]["Host"] == f"localhost:{up.port}"


def test_many_upstreams_refuse_at_once(gateway):
    held, port = dead_port()
    g = gateway(relay(f"ws://127.0.0.1:{port}/"))
    clients = [g.ask("/proxy") for _ in range(200)]
    for c in clients:
        c.answered(502)
        c.close_socket()
    assert g.count_log("upstream") <= 200, "a storm of refusals must not be a storm of log lines"
    held.close()


def own_hosts(path):
    """A command prefix that gives a process its own /etc/hosts."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("needs root and unshare(1) for an /etc/hosts of its own")
    command = ["unshare", "--mount", "sh", "-c", f'mount --bind "{path}" /etc/hosts && exec "$0" "$@"']
    if subprocess.run([*command, "true"], capture_output=True).returncode != 0:
        pytest.skip("mount namespaces are not allowed here")
    return command
