"""Upstreams of a spy that mean no good, and strangers at the admin side's pages of messages. What they do is told, bounded
and harms nobody else."""
import json
import os
import signal
import struct

import pytest
from harness import eventually, mockforge, read_session, wait_for_lines
from setting import SANITIZED
from test_u_admin import admin, ask  # noqa: F401: a fixture among them
from test_z_replay import JSON_RPC, call, connection, hear, recording, rpc, say
from test_z_replay_hostile import MASK, Server, answer, instead, then
from test_z_spy import route
from wire import BINARY, CLOSE, CONTINUATION, TEXT, frame, tcp


# ---- the upstream of a spy ----

def resets(peer, _):
    peer.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SO_LINGER: close(2) resets


def cut_short(peer, key):
    answer(peer, key, frame(TEXT, b"x" * 100, mask=None)[:50])


ACTS = {  # what the upstream does; the close code that the client gets
    "redirect": (instead(b"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"), 1014),
    "wrong accept": (instead(b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n"), 1014),
    "head without end": (instead(b"HTTP/1.1 101 x\r\n", b"X: " + b"y" * 1000 + b"\r\n"), 1014),
    "not HTTP": (instead(os.urandom(200) + b"\r\n\r\n"), 1014),
    "reset at once": (resets, 1014),
    "garbage": (then(b"\xff" * 64), 1011),
    "masked": (then(frame(TEXT, b"hi", mask=MASK)), 1011),
    "masked, and on and on": (then(frame(TEXT, b"hi", mask=MASK), frame(BINARY, b"x" * 65535, mask=None)), 1011),
    "2^63": (then(b"\x82\x7f" + struct.pack("!Q", 1 << 63)), 1011),
    "2^62": (then(b"\x82\x7f" + struct.pack("!Q", 1 << 62)), 1011),
    "17 MiB": (then(frame(BINARY, b"x" * (17 << 20), mask=None)), 1011),
    "fragments without end": (then(frame(TEXT, b"x", fin=False, mask=None), frame(CONTINUATION, b"x" * 65535, fin=False, mask=None)), 1011),
    "no UTF-8": (then(frame(TEXT, b"\xff\xfe", mask=None)), 1011),
    "ends in a message": (cut_short, 1011),
    "closes with 1005": (then(frame(CLOSE, struct.pack("!H", 1005), mask=None)), 1011),
    "compressed": (then(b"\xc1\x02hi"), 1011),
    "big ping": (then(b"\x89\x7e\x00\xff" + b"p" * 255), 1011),
}


@pytest.mark.parametrize("name", ACTS)
def test_upstreams_of_a_spy_that_mean_no_good(gateway, tmp_path, name):
    act, code = ACTS[name]
    recording(tmp_path / "s.jsonl", connection("conn-1", JSON_RPC))
    server = Server(act)
    g = gateway(route(f"upstream: {server.url}"))
    other = g.client("/r")
    c = g.client("/r")
    say(c, call("price", 13))
    f = c.recv_frame()
    assert (f.opcode, f.code) == (CLOSE, code), f
    c.close(code)
    c.expect_eof()
    say(other, call("hello", 21))
    assert hear(other)["result"] == "recorded hello"
    other.finish()
    g.wait_log(r"session_end connection=conn-2")
    eventually(lambda: server.ended == server.begun == 1, "the upstream's connection is gone")
    g.rests()
    assert SANITIZED or g.memory("VmHWM") < 96 << 20
    g.stop()
    server.sock.close()
    read_session(tmp_path / "s.jsonl")
    assert mockforge("ws", "show", "s.jsonl", cwd=tmp_path).returncode == 0


def test_a_reload_while_the_upstream_is_dialled(gateway, raw_upstream, tmp_path):
    """Who waits for the upstream gets its answer, from the routes as they were."""
    recording(tmp_path / "s.jsonl", connection("conn-1", JSON_RPC))
    up = raw_upstream()
    g = gateway(route(f"upstream: {up.url()}"))
    c = g.client("/r")
    say(c, call("price", 13))
    server = up.accept()
    server.take_request()
    g.send_signal(signal.SIGHUP)
    g.wait_log(r" reloaded ")
    server.answer()
    assert json.loads(server.recv_text())["id"] == 13
    server.text(json.dumps({"jsonrpc": "2.0", "id": 13, "result": "live price"}))
    assert hear(c)["result"] == "live price"
    c.finish()
    added = wait_for_lines(tmp_path / "s.jsonl", lambda s: len(s.of("end")) == 1)
    assert "live price" in str(added.data("outgoing"))


@pytest.mark.parametrize("record_path", ["./s.jsonl", "link.jsonl", "other.jsonl"])
def test_a_route_that_records_into_its_own_recording_is_warned_of(tmp_path, record_path):
    recording(tmp_path / "s.jsonl", connection("conn-1", JSON_RPC))
    (tmp_path / "link.jsonl").symlink_to("s.jsonl")
    (tmp_path / "m.yaml").write_text(route(f"record: true\n      record_path: {record_path}"))
    done = mockforge("config", "check", "--config", "m.yaml", cwd=tmp_path)
    assert done.returncode == 0 and ("replay_records_itself" in done.stderr) == (record_path != "other.jsonl"), done.stderr


# ---- the admin side's pages of messages ----

SECRET = [("Authorization", "Bearer s3cret")]
STRANGERS = [  # host, further fields, status; the gateway has a token, or none and is on loopback
    (True, "localhost", [], 401),
    (True, "localhost", [("Authorization", "Bearer s3cre")], 401),
    (True, "localhost", [("Authorization", "Bearer s3cretx")], 401),
    (True, "localhost", [("Authorization", "Bearer ")], 401),
    (True, "localhost", [("Authorization", "s3cret")], 401),
    (True, "localhost", [("Authorization", "Basic s3cret")], 401),
    (True, "localhost", [("Authorization", "Bearer s3cret, Bearer x")], 401),
    (True, "localhost", [("Cookie", "token=s3cret")], 401),
    (True, "localhost", [*SECRET, ("Origin", "http://evil.example")], 403),
    (True, "localhost", [*SECRET, ("Origin", "null")], 403),
    (False, "evil.example", [], 403),
    (False, "localhost.evil.example", [], 403),
    (False, "127.0.0.1.evil.example", [], 403),
    (False, "evil.example:3000", [], 403),
    (False, "evil@localhost", [], None),
    (False, "localhost@evil.example", [], None),
    (False, "", [], None),
    (False, "localhost", [("Host", "evil.example")], None),
    (False, "localhost", [("Origin", "null")], 403),
    (False, "localhost", [("Origin", "http://localhost.evil.example")], 403),
    (False, "localhost", [("Origin", "file://")], 403),
    (False, "localhost", [("Origin", "http://localhost"), ("Origin", "http://evil.example")], None),
]


@pytest.mark.parametrize("page", ["/__mockforge/ws/tail", "/__mockforge/ws/unmatched"])
def test_strangers_read_no_messages(admin, page):  # noqa: F811
    """Without the token, from another site, or under a name that somebody let point here: nothing, whatever is tried."""
    config = "websocket: {host: 127.0.0.1, port: 0, handlers: [{path: /e, type: echo, record: true, record_path: e.jsonl}]}\n"
    closed = admin(config, env={"MOCKFORGE_ADMIN_HOST": "0.0.0.0", "MOCKFORGE_ADMIN_TOKEN": "s3cret"}, name="closed.yaml")
    opened = admin(config)
    for has_token, host, fields, status in STRANGERS:
        answer_ = ask(closed if has_token else opened, page, headers=fields, host=host)
        assert answer_.status == status if status else answer_.status in (400, 401, 403), (host, fields, answer_)
        assert "recorded_routes" not in answer_.body.decode()
    for odd in (page + "?token=s3cret", page + "/", page.upper(), "//" + page, page + "%00", "http://localhost" + page + "?x"):
        answer_ = ask(closed, odd)
        assert answer_.status in (400, 401, 404), (odd, answer_)
    for method in ("POST", "PUT", "OPTIONS", "CONNECT", "get"):
        assert ask(closed, page, method=method).status in (400, 401, 404, 405)
        assert ask(opened, page, method=method, headers=[("Content-Length", "0")]).status in (400, 404, 405)
    assert "s3cret" not in closed.log


@pytest.mark.parametrize("query", ["x", "x=1", "connection", "path=[", "path=%", "path=%zz", "path=%00", "direction=up",
                                   "direction=incoming&direction=x", "&&&=&=&", "path=" + "*" * 7000])
def test_tails_of_odd_queries(admin, query):  # noqa: F811
    """400, or an answer that begins; and the next one is asked as before."""
    g = admin("websocket: {host: 127.0.0.1, port: 0, handlers: [{path: /e, type: echo, record: true, record_path: e.jsonl}]}\n")
    with tcp(g.admin) as sock:
        sock.sendall(f"GET /__mockforge/ws/tail?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert sock.recv(4096)[9:12] in (b"400", b"200")
    assert ask(g, "/health/ready").status == 200
    g.rests()
