"""The admin side: metrics that move, health, who may ask, and what hostile clients of it can do."""
import json
import os
import re
import signal
import socket
import subprocess
import time

import pytest
from harness import eventually, mockforge
from setting import SLOW, TIMEOUT
from wire import Closed, Peer, dead_port, http, part, tcp

ADMIN = {"MOCKFORGE_ADMIN_ENABLED": "true", "MOCKFORGE_ADMIN_PORT": "0"}
CONNECTIONS_MAX = 64
REQUEST_TIMEOUT = 5  # seconds for a whole head
CONFIG = """
websocket:
  host: 127.0.0.1
  port: 0
  workers: 2
  handlers:
    - path: /echo
      type: echo
"""


def relay(upstream):
    return CONFIG + f"""    - path: /proxy
      type: proxy
      upstream: "{upstream.url()}"
      record: true
      record_path: s.jsonl.zst
"""


@pytest.fixture
def admin(gateway):
    """Starts a gateway whose admin side listens on a free port: `.admin` is its address."""
    def starter(config=CONFIG, env=(), **kw):
        g = gateway(config, env={**ADMIN, **dict(env)}, **kw)
        found = g.wait_log(r"admin_listening address=(\S+):(\d+) ")
        g.admin = (found[1].strip("[]").replace("0.0.0.0", "127.0.0.1"), int(found[2]))
        return g
    return starter


def ask(g, path="/metrics", headers=(), method="GET", host="localhost"):
    fields = "".join(f"{n}: {v}\r\n" for n, v in [("Host", host), *headers])
    return http(g.admin, f"{method} {path} HTTP/1.1\r\n{fields}\r\n".encode())


def error(response):
    body = json.loads(response.body)
    assert set(body) == {"error", "message"} and body["message"], body
    return response.status, body["error"]


def metrics(g):
    """{name{labels}: value}; every line must be one that Prometheus reads."""
    response = ask(g)
    assert response.status == 200, response
    values, kinds, text = {}, {}, response.body.decode()
    assert text.endswith("\n")
    for line in text.splitlines():
        comment = re.fullmatch(r"# (HELP|TYPE) ([a-z_]+) (.+)", line)
        if comment:
            if comment[1] == "TYPE":
                assert comment[3] in ("counter", "gauge") and comment[2] not in kinds, line
                kinds[comment[2]] = comment[3]
            continue
        sample = re.fullmatch(r'(([a-z_]+)(?:\{[a-z]+="[^"]*"\})?) (-?[0-9.]+)', line)
        assert sample and sample[2] in kinds and sample[1] not in values, line
        values[sample[1]] = float(sample[3])
    return values


def moved(g, expected, before):
    """Waits until these metrics have grown by these amounts since `before`."""
    def look():
        now = metrics(g)
        return all(now[name] - before[name] == by for name, by in expected.items())
    eventually(look, f"{expected} over {before}")


# metrics

def test_echo_is_counted(admin):
    g = admin()
    before = metrics(g)
    a, b = g.client("/echo"), g.client("/echo")
    for c in (a, b):
        for _ in range(3):
            c.text("12345")
            c.recv_text()
    moved(g, {"ws_connections_active": 2, "ws_connections_total": 2, "ws_messages_received_total": 6,
              "ws_messages_sent_total": 6, "ws_messages_bytes_received": 30, "ws_messages_bytes_sent": 30,
              "ws_messages_bytes_sent_total": 30, "ws_connections_rejected": 0}, before)
    a.finish()
    b.finish()
    g.client("/nowhere", status=404)
    moved(g, {"ws_connections_active": 0, "ws_connections_total": 2, "ws_connections_rejected": 1,
              "ws_connections_rejected_total": 1}, before)


def test_relay_and_recording_are_counted(admin, raw_upstream):
    upstream = raw_upstream()
    g = admin(relay(upstream))
    before = metrics(g)
    client, server = g.pair(upstream)
    for _ in range(4):
        client.text("question")
        server.recv_text()
    server.text("one answer")
    client.recv_text()
    moved(g, {"ws_messages_received_total": 4, "ws_messages_sent_total": 1, "ws_messages_bytes_received": 32,
              "ws_messages_bytes_sent": 10, "ws_recordings_open": 1, "ws_recorded_frames_total": 5,
              "ws_recorded_bytes_total": 42, "ws_recorded_dropped_total": 0}, before)
    part(client, server)
    eventually(lambda: metrics(g)["ws_recordings_open"] == 0)
    assert metrics(g)["ws_recorded_file_bytes_total"] > 0


def test_errors_are_counted_by_type(admin):
    g = admin()
    before = metrics(g)
    c = g.client("/echo")
    c.send_frame(3)
    c.expect_failure(1002)
    assert g.http(b"garbage\r\n\r\n").status == 400
    moved(g, {'ws_errors_total{type="protocol"}': 1, 'ws_errors_total{type="parse"}': 1,
              'ws_errors_total{type="timeout"}': 0}, before)


def test_what_every_process_says(admin):
    values = metrics(admin())
    assert values['mockforge_build_info{version="0.1.0"}'] == 1
    assert abs(values["process_start_time_seconds"] - time.time()) < TIMEOUT


# health

def test_health(admin):
    g = admin()
    assert ask(g, "/health/live").body == b'{"status":"live"}\n'
    ready = ask(g, "/health/ready")
    assert ready.status == 200 and ready.body == b'{"status":"ready"}\n'
    assert ready.get("cache-control") == "no-store" and ready.get("x-content-type-options") == "nosniff"
    assert ready.get("content-type") == "application/json"


def test_not_ready_while_stopping(admin):
    g = admin(CONFIG.replace("  workers", "  close_timeout_ms: 60000\n  workers"))
    c = g.client("/echo")
    g.send_signal(signal.SIGTERM)
    c.expect_close(1001)  # and we do not answer yet: the gateway waits for us
    response = ask(g, "/health/ready")
    assert response.status == 503 and response.body == b'{"status":"stopping"}\n'
    assert ask(g, "/health/live").status == 200
    assert mockforge("health", "--address", "localhost:%d" % g.admin[1], cwd=g.cwd).returncode == 1
    c.close_socket()
    g.check(g.wait())


def test_health_command(admin, tmp_path):
    g = admin()
    address = "127.0.0.1:%d" % g.admin[1]
    done = mockforge("health", "--address", address, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "healthy: 200\n", "")
    assert mockforge("health", "--live", "--address", address, cwd=tmp_path).returncode == 0
    assert mockforge("health", f"http://{address}/health/live", cwd=tmp_path).returncode == 0
    done = mockforge("health", f"http://{address}/nothing", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "not healthy: 404\n")
    assert mockforge("health", f"https://{address}/health/live", cwd=tmp_path).returncode == 2
    assert mockforge("health", "--live", f"http://{address}/", cwd=tmp_path).returncode == 2


def test_health_command_when_nobody_answers(tmp_path, raw_upstream):
    held, port = dead_port()
    done = mockforge("health", "--address", f"127.0.0.1:{port}", cwd=tmp_path)
    assert done.returncode == 3 and "refused" in done.stderr and not done.stdout
    held.close()
    silent = raw_upstream()  # accepts and says nothing
    begun = time.monotonic()
    done = mockforge("health", "--address", f"127.0.0.1:{silent.port}", cwd=tmp_path)
    assert done.returncode == 3 and "no answer" in done.stderr
    assert time.monotonic() - begun > 1.5


def test_health_command_that_was_stopped_meanwhile(tmp_path, gateway, raw_upstream):
    """As with a container that is paused: it goes on waiting for the answer."""
    up = raw_upstream()
    asking = gateway.process("health", "--address", f"127.0.0.1:{up.port}")
    peer = up.accept()
    peer.take_request()
    asking.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, asking.pid, os.WSTOPPED | os.WNOWAIT)
    asking.send_signal(signal.SIGCONT)
    os.waitid(os.P_PID, asking.pid, os.WCONTINUED | os.WNOWAIT)
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    asking.check(asking.wait())
    assert (tmp_path / "stdout").read_text() == "healthy: 200\n"


# who may ask

def test_refusals(admin):
    g = admin()
    assert error(ask(g, "/")) == (404, "not_found")
    assert error(ask(g, "/__mockforge/ws/connections")) == (404, "not_found")
    post = ask(g, method="POST", headers=[("Content-Length", "5")])
    assert error(post) == (405, "method_not_allowed") and post.get("allow") == "GET, HEAD"
    assert error(ask(g, host="evil.example")) == (403, "host_refused")
    assert error(ask(g, headers=[("Origin", "http://evil.example")])) == (403, "origin_refused")
    port = g.admin[1]
    assert ask(g, host=f"127.0.0.1:{port}", headers=[("Origin", f"http://127.0.0.1:{port}")]).status == 200
    assert ask(g, host=f"[::1]:{port}").status == 200


def test_head(admin):
    g = admin()
    with Peer(tcp(g.admin), True) as peer:
        peer.send(b"HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head = peer.recv_head()
        assert head.status == 200 and int(head.get("content-length")) > 1000
        peer.expect_eof()


def test_token(admin):
    g = admin(env={"MOCKFORGE_ADMIN_HOST": "0.0.0.0", "MOCKFORGE_ADMIN_TOKEN": "s3cret"})
    refused = ask(g)
    assert error(refused) == (401, "unauthorized") and refused.get("www-authenticate") == "Bearer"
    assert error(ask(g, headers=[("Authorization", "Bearer s3creT")])) == (401, "unauthorized")
    assert ask(g, headers=[("Authorization", "Bearer s3cret")]).status == 200
    assert ask(g, host="gateway.lan:3000", headers=[("Authorization", "Bearer s3cret")]).status == 200
    assert ask(g, "/health/ready", host="192.0.2.7").status == 200
    assert "s3cret" not in g.log


def test_wide_without_a_token_is_refused_at_the_start(tmp_path):
    done = mockforge("serve", "--websocket", "--ws-port", "0", cwd=tmp_path, env={"MOCKFORGE_ADMIN_HOST": "0.0.0.0"})
    assert done.returncode == 2 and "token" in done.stderr


# the address

def test_port_is_taken(gateway, admin):
    first = admin()
    second = gateway(CONFIG, env={**ADMIN, "MOCKFORGE_ADMIN_PORT": str(first.admin[1])}, name="second.yaml")
    line = second.wait_log(r"warn +admin_unavailable address=(\S+) why=(.*)")
    assert line[1] == "127.0.0.1:%d" % first.admin[1] and "in use" in line[2]
    c = second.client("/echo")
    c.text("x")
    assert c.recv_text() == "x"
    c.finish()
    second.stop()
    assert ask(first, "/health/ready").status == 200


def test_bad_host(gateway):
    g = gateway(CONFIG, env={**ADMIN, "MOCKFORGE_ADMIN_HOST": "192.0.2.1", "MOCKFORGE_ADMIN_TOKEN": "x"})
    g.wait_log(r"admin_unavailable address=192\.0\.2\.1:0 why=")
    g.client("/echo").finish()


def test_ipv6(admin):
    g = admin(env={"MOCKFORGE_ADMIN_HOST": "::1"})
    assert ask(g, host="[::1]:%d" % g.admin[1]).status == 200


def test_off(gateway):
    g = gateway(CONFIG)
    g.client("/echo").finish()
    g.stop()
    assert "admin_" not in g.log


def test_a_changed_section_waits_for_the_next_start(admin, tmp_path):
    g = admin(CONFIG)
    (tmp_path / "mockforge.yaml").write_text(CONFIG + "admin: {token: abc}\n")
    g.send_signal(signal.SIGHUP)
    g.wait_log(r"reload_incomplete why=.*admin")
    assert ask(g).status == 200


# hostile clients

GARBAGE = [b"\r\n\r\n", b"\0" * 100, b"GET /metrics\r\n\r\n", b"GET /metrics HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01" * 50,
           b"GET /metrics HTTP/1.1\nHost: localhost\n\n", b"GET /metrics HTTP/9.9\r\nHost: localhost\r\n\r\n",
           b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n", b"GET /metrics HTTP/1.1\r\nHost : localhost\r\n\r\n",
           b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b"A" * 100_000,
           b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 200 + b"\r\n",
           b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 20_000 + b"\r\n\r\n"]


@pytest.mark.parametrize("raw", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage(admin, raw):
    g = admin()
    response = http(g.admin, raw)
    assert response.status in (400, 414, 431, 505) and error(response)[1] == "bad_request"
    assert ask(g, "/health/ready").status == 200


def test_random_bytes(admin):
    g = admin()
    for _ in range(100):
        with Peer(tcp(g.admin), True) as peer:
            peer.send_quietly(os.urandom(300) + b"\r\n\r\n")
            peer.fill()
    assert ask(g, "/health/ready").status == 200


def test_a_head_in_pieces_and_what_follows_it(admin):
    g = admin()
    with Peer(tcp(g.admin), True) as peer:
        peer.trickle(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert peer.recv_response().status == 200
    # A second request in the same connection and a body go unheard, and do not cost the answer.
    response = http(g.admin, b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n123456789GET /x HTTP/1.1\r\n\r\n")
    assert response.body == b'{"status":"live"}\n'
    # A client that has said all it will say still gets its answer.
    with Peer(tcp(g.admin), True) as peer:
        peer.send(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        peer.sock.shutdown(socket.SHUT_WR)
        assert peer.recv_response().status == 200


def test_idle_connections_keep_nobody_out(admin):
    g = admin()
    base = g.descriptors()
    idle = [Peer(tcp(g.admin), True) for _ in range(200)]
    assert ask(g, "/health/ready").status == 200
    assert ask(g).status == 200
    assert g.descriptors() <= base + CONNECTIONS_MAX
    c = g.client("/echo")
    c.text("x")
    assert c.recv_text() == "x"
    c.finish()
    for peer in idle:
        peer.expect_eof()  # by the deadline at the latest
    eventually(lambda: g.descriptors() <= base)
    assert g.count_log("admin_full") >= 1


def test_a_slow_request_has_one_deadline(admin):
    g = admin()
    begun = time.monotonic()
    with Peer(tcp(g.admin), True) as peer:
        peer.sock.settimeout(0.2)
        peer.send(b"GET /metrics HTTP/1.1\r\nX: ")
        while time.monotonic() < begun + REQUEST_TIMEOUT + 5 * SLOW:
            peer.send_quietly(b"y")  # each byte would start an idle timer anew
            try:
                if not peer.fill():
                    break
            except TimeoutError:
                continue
        else:
            raise Closed("it was never ended")
    assert REQUEST_TIMEOUT - 0.5 < time.monotonic() - begun


def test_a_client_that_takes_no_answer(admin):
    g = admin()
    base, held = g.descriptors(), []  # open and unread
    for _ in range(20):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        sock.connect(g.admin)
        sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        held.append(sock)
    eventually(lambda: g.descriptors() <= base, "all dropped")
    assert ask(g, "/health/ready").status == 200
    for sock in held:
        sock.close()


def test_stops_at_once_whatever_is_open(admin):
    g = admin()
    idle = [Peer(tcp(g.admin), True) for _ in range(10)]
    idle[0].send(b"GET /metr")
    begun = time.monotonic()
    g.stop()
    assert time.monotonic() - begun < 2 * SLOW
    for peer in idle:
        peer.expect_eof()


def test_curl(admin):
    g = admin()
    for host in ("127.0.0.1", "localhost"):
        try:
            done = subprocess.run(["curl", "-sf", "-4", f"http://{host}:{g.admin[1]}/metrics"], capture_output=True, timeout=TIMEOUT)
        except FileNotFoundError:
            pytest.skip("curl is not installed")
        assert done.returncode == 0 and b"ws_connections_active 0" in done.stdout


def test_scrapes_under_traffic(admin):
    """The counters are read while workers write them: what ThreadSanitizer looks at."""
    g = admin()
    clients = [g.client("/echo") for _ in range(4)]
    last = 0
    for _ in range(50):
        for c in clients:
            c.text("x")
        now = metrics(g)["ws_messages_received_total"]
        assert now >= last
        last = now
        for c in clients:
            c.recv_text()
    assert metrics(g)["ws_messages_received_total"] == 200
