"""A replay with an upstream: what real clients get, and what becomes of an upstream or a recording that fails."""
import json
import os
import signal

import pytest
from harness import Background, eventually, read_session, wait_for_lines
from test_l_record_faults import fill, small_disk
from test_u_admin import admin, metrics, moved  # noqa: F401: a fixture among them
from test_z_protocols import Protocol
from test_z_replay import JSON_RPC, call, connection, hear, recording, rpc, say
from wire import CLOSE, PONG


@pytest.fixture
def spy(gateway, tmp_path):
    """`ws replay` of s.jsonl, made of these connections (or of a file), with an upstream."""
    def start(what, upstream, *options, **kw):
        path = what if not isinstance(what, (list, tuple)) else recording(tmp_path / "s.jsonl", *what)
        return gateway(command=("ws", "replay"), args=["--input", path, "--listen", "127.0.0.1:0", "--upstream", upstream,
                                                       *options], **kw)
    return start


# ---- real programs ----

@pytest.mark.parametrize("name, part", [("graphql-ws", "a,c"), ("rpc-websockets", "less"), ("jayson", "less")])
def test_what_was_not_recorded_comes_from_the_server_once(gateway, spy, tmp_path, name, part):
    """Recorded: a part of a session. A client that wants all of it gets the rest from the server, through the spy; and
    after that from the recording, with the server gone, also after a restart."""
    protocol = Protocol(name)
    protocol.record(gateway, "session.jsonl", part)
    server = protocol.serve()
    where = f"ws://{server.address}"  # what the client asks for is added
    try:
        whole = protocol.client(server.address)
        g = spy("session.jsonl", where)
        assert protocol.client(f"127.0.0.1:{g.port}") == whole
        g.wait_log(r"replay_upstream ")
        assert g.count_log(r"replay_upstream ") == 1 and not g.count_log(r"level=(warn|error)|  ?(warn|error) "), g.log
        g.wait_log(r" reloaded ")
    finally:
        server.kill()
        server.wait()
    assert protocol.client(f"127.0.0.1:{g.port}") == whole
    g.stop()
    again = spy("session.jsonl", where)
    for _ in range(2):
        assert protocol.client(f"127.0.0.1:{again.port}") == whole
    assert not again.count_log("replay_miss|replay_upstream|upstream_failed"), again.log


# ---- an upstream in trouble ----

def missed(c, id=13):
    say(c, call("price", id))


def closed_for(c, code):
    """The close frame's reason; the client answers it."""
    f = c.recv_frame()
    assert (f.opcode, f.code) == (CLOSE, code), f
    c.close(code)
    c.expect_eof()
    return f.reason.decode()


def test_an_upstream_that_refuses(spy, raw_upstream):
    """Told, logged and counted once, whatever else it says."""
    up = raw_upstream()
    g = spy([connection("conn-1", JSON_RPC)], up.url())
    c = g.client("/")
    missed(c)
    server = up.accept()
    server.take_request()
    server.sock.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nno!\n more")
    server.close_socket()
    assert "403" in closed_for(c, 1014)
    g.wait_log(r"session_end connection=conn-1")
    assert g.count_log("upstream_refused") == 1


def test_an_upstream_that_is_slow(spy, raw_upstream):
    """What is said meanwhile arrives in its order; a client that says too much is not read from."""
    up = raw_upstream()
    g = spy([connection("conn-1", JSON_RPC)], up.url())
    c = g.client("/")
    missed(c)
    server = up.accept()
    server.take_request()
    before, size, count = g.memory(), 60000, 400
    sent = []

    def talk():
        for i in range(count):
            say(c, call("price", 100 + i, "x" * size))
            sent.append(i)
    writer = Background(talk)
    g.wait_log("replay_miss")
    g.rests()
    assert len(sent) < count and g.memory() < before + (16 << 20)
    server.answer()
    assert [json.loads(server.recv_text())["id"] for _ in range(count + 1)] == [13, *range(100, 100 + count)]
    writer.join()
    server.text(json.dumps({"jsonrpc": "2.0", "id": 13, "result": "late"}))
    assert hear(c)["result"] == "late"


def test_an_upstream_that_never_answers(gateway, raw_upstream, tmp_path):
    recording(tmp_path / "s.jsonl", connection("conn-1", JSON_RPC))
    up = raw_upstream()
    g = gateway(route(f"upstream: {up.url()}\n      handshake_timeout_ms: 200"))
    c = g.client("/r")
    missed(c)
    server = up.accept()
    server.take_request()
    assert "in time" in closed_for(c, 1014)


@pytest.mark.parametrize("how", ["close", "vanish"])
def test_a_client_that_goes_while_the_upstream_is_dialled(spy, raw_upstream, how):
    up = raw_upstream()
    g = spy([connection("conn-1", JSON_RPC)], up.url())
    c = g.client("/")
    missed(c)
    server = up.accept()
    server.take_request()
    if how == "close":
        c.close(1000)
        c.expect_close(1000)
        c.expect_eof()
    else:
        c.close_socket()
    g.wait_log(r"session_end connection=conn-1")
    server.expect_eof()
    assert not g.count_log("upstream_failed|upstream_refused")
    c = g.client("/")
    say(c, call("hello", 11))
    assert hear(c)["result"] == "recorded hello"


def test_each_message_waits_for_what_came_before_it(spy, raw_upstream):
    """A server that wants its greeting to be heard first gets the next message after it; one that never greets gets it
    all the same, in time."""
    login = [(0, "in", {"type": "login"}), (1, "out", {"type": "welcome"}), (2, "in", {"type": "list", "id": "x1"}),
             (3, "out", {"type": "items", "id": "x1", "items": [1, 2]})]
    for greets in (True, False):
        up = raw_upstream()
        g = spy([connection("conn-1", login)], up.url())
        c = g.client("/")
        for message, answer in [({"type": "login"}, "welcome"), ({"type": "list", "id": "y1"}, "items")]:
            say(c, message)
            assert hear(c)["type"] == answer
        say(c, {"type": "buy", "id": "y2"})
        server = up.accept_ws()
        assert json.loads(server.recv_text())["type"] == "login"
        if greets:
            server.ping(b"thinking")
            server.expect(PONG, b"thinking")  # and nothing before it
            server.text(json.dumps({"type": "welcome"}))
        assert json.loads(server.recv_text()) == {"type": "list", "id": "y1"}
        if greets:
            server.text(json.dumps({"type": "items", "id": "y1", "items": [3]}))
        assert json.loads(server.recv_text())["type"] == "buy"
        server.text(json.dumps({"type": "bought", "id": "y2"}))
        assert hear(c) == {"type": "bought", "id": "y2"}
        server.close_socket()


def test_an_upstream_quicker_than_the_recording(spy, raw_upstream):
    """The recorded ticks are paced; the live ones come at once. The client hears each once, and the recording gets none
    of them again."""
    ticks = [(0, "in", {"do": "watch", "id": "a1"})]
    ticks += [(100 * i, "out", {"id": "a1", "tick": i}) for i in range(1, 4)]
    up = raw_upstream()
    g = spy([connection("conn-1", ticks)], up.url())
    c = g.client("/")
    say(c, {"do": "watch", "id": "b1"})
    say(c, {"do": "stop everything", "id": "b2", "now": True})
    server = up.accept_ws()
    assert [json.loads(server.recv_text())["id"] for _ in range(2)] == ["b1", "b2"]
    for i in range(1, 4):
        server.text(json.dumps({"id": "b1", "tick": i}))
    server.text(json.dumps({"id": "b2", "stopped": True}))
    heard = [hear(c) for _ in range(4)]
    assert [m["tick"] for m in heard if "tick" in m] == [1, 2, 3] and {"id": "b2", "stopped": True} in heard
    c.finish()
    server.close_socket()
    file = g.cwd / "s.jsonl"
    added = wait_for_lines(file, lambda s: len(s.of("end")) == 1)
    assert [json.loads(text)["id"] for text in added.data("outgoing")] == ["a1"] * 3 + ["b2"]


# ---- a recording in trouble ----

def route(more, path="/r", **websocket):
    options = {"host": "127.0.0.1", "port": 0, "workers": 1, "hot_reload": True, **websocket}
    text = "websocket:\n" + "".join(f"  {k}: {json.dumps(v)}\n" for k, v in options.items())
    return text + f"  handlers:\n    - path: {path}\n      type: replay\n      input: s.jsonl\n      {more}\n"


def answered(g, up_id, path="/r"):
    """A miss that the upstream answers."""
    c = g.client(path)
    say(c, call("hello", 11))
    assert hear(c)["result"] == "recorded hello"
    missed(c, up_id)
    assert hear(c) == {"jsonrpc": "2.0", "id": up_id, "result": "live price"}
    return c


def test_the_recording_is_taken_away_under_way(spy, ws_upstream, tmp_path):
    """What is added after that is in a new file, and the log says so; who is served goes on."""
    g = spy([connection("conn-1", JSON_RPC)], ws_upstream(rpc).url(), "--set", "websocket.record.flush_ms=20")
    c = answered(g, 13)
    wait_for_lines(tmp_path / "s.jsonl", lambda s: "live price" in str(s.data("outgoing")))
    os.remove(tmp_path / "s.jsonl")
    say(c, call("stock", 14))
    assert hear(c)["result"] == "live stock"
    g.wait_log("recording_taken_away|recording_failed")
    say(c, call("hello", 15))
    assert hear(c)["result"] == "recorded hello"
    c.finish()
    g.stop()


def test_a_recording_that_cannot_be_added_to(admin, ws_upstream, tmp_path):
    """The client is answered; that nothing is recorded is logged and counted."""
    recording(tmp_path / "s.jsonl", connection("conn-1", JSON_RPC))
    g = admin(route(f"upstream: {ws_upstream(rpc).url()}"))
    before = metrics(g)
    os.remove(tmp_path / "s.jsonl")
    os.mkdir(tmp_path / "s.jsonl")
    c = answered(g, 13)
    assert "s.jsonl" in g.wait_log(r"error recording_failed (.*)")[1]
    moved(g, {'ws_errors_total{type="recording"}': 1}, before)
    c.finish()
    g.send_signal(signal.SIGTERM)
    g.check(g.wait(), 3)  # the recording is not complete


def test_a_full_disk(gateway, ws_upstream, tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        recording(disk / "s.jsonl", connection("conn-1", JSON_RPC))
        g = gateway(route(f"upstream: {ws_upstream(rpc).url()}\n      record: {{flush_ms: 20}}").replace(
            "s.jsonl", "disk/s.jsonl"))
        c = answered(g, 13)
        fill(disk, 0)
        for i in range(200):
            say(c, call("stock", 100 + i, "x" * 3000))
            assert hear(c)["result"] == "live stock"
        assert "s.jsonl" in g.wait_log(r" (error|warn) .*(ENOSPC|No space)").string
        say(c, call("hello", 999))
        assert hear(c)["result"] == "recorded hello"
        c.finish()
        g.send_signal(15)
        g.check(g.wait(), 3)  # the recording is not complete


def test_two_routes_add_to_one_recording(gateway, ws_upstream, tmp_path):
    recording(tmp_path / "s.jsonl", connection("conn-1", JSON_RPC))
    up = ws_upstream(rpc)
    g = gateway(route(f"upstream: {up.url()}\n    - path: /q\n      type: replay\n      input: s.jsonl\n"
                      f"      upstream: {up.url()}", hot_reload=False))
    clients = [answered(g, 13, "/r"), answered(g, 14, "/q")]
    for c in clients:
        c.finish()
    g.stop()
    added = read_session(tmp_path / "s.jsonl")
    assert len(added.of("end")) == 2 and str(added.data("outgoing")).count("live price") == 2


def test_a_broken_recording_changes_nothing(gateway, tmp_path):
    """Who comes meanwhile gets what was read before; the log says which file, where and why; repaired, it is read."""
    old = connection("conn-1", JSON_RPC)
    path = recording(tmp_path / "s.jsonl", old)
    g = gateway(route("replay: {speed: max}"))

    def refuses(times):
        eventually(lambda: g.count_log("reload_refused") >= times)
        assert "websocket.handlers[0].input: s.jsonl" in g.wait_log(r"reload_refused error=\"(.*)\"")[1]
        c = g.client("/r")
        say(c, call("hello", 11))
        assert hear(c)["result"] == "recorded hello"
        c.finish()
    path.write_bytes(b'{"type":"recording","version":1}\nnonsense\n')
    refuses(1)
    path.unlink()
    g.send_signal(signal.SIGHUP)
    refuses(g.count_log("reload_refused") + 1)
    recording(path, connection("conn-1", [(0, "out", {"new": True})]))
    g.wait_log(" reloaded ")
    assert hear(g.client("/r")) == {"new": True}
