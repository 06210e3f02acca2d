"""Recordings driven against live servers: each test shows the recording, the server, and what comes of both."""
import asyncio
import json
import signal
import threading
import xml.etree.ElementTree as ElementTree

import pytest
from harness import Background, eventually, mockforge
from setting import TIMEOUT
from test_z_replay import connection, recording
from wire import BINARY, CONTINUATION, PING, PONG, TEXT, close_payload, dead_port, frame

OK, DIFFERENT, USAGE, UNREACHABLE = 0, 1, 2, 3


def close(code=1000, reason=""):
    return ("close", ""), {"code": code, "reason": reason}


def echoed(*messages, name="conn-1", **opened):
    """A client that sends these, each echoed by the server, and closes."""
    frames = []
    for i, message in enumerate(messages):
        frames += [(i * 2, "in", message), (i * 2 + 1, "out", message)]
    end = len(messages) * 2
    return connection(name, frames + [(end, "in", *close()), (end + 1, "out", *close())], end="client", **opened)


def asked(answer, question="hello", **more):
    """A client that asks once, and what the server answered (or several answers)."""
    answers = answer if isinstance(answer, list) else [answer]
    frames = [(0, "in", question)] + [(i + 1, "out", each) for i, each in enumerate(answers)]
    return connection("conn-1", frames + [(20, "in", *close()), (21, "out", *close())], end="client", **more)


@pytest.fixture
def drive(tmp_path):
    """Runs `ws replay --target` on these connections to its end. url: a URL, or what has one."""
    def run(url, connections, *options, status=OK, **kw):
        path = recording(tmp_path / "session.jsonl", *connections)
        url = url if isinstance(url, str) else url.url()
        done = mockforge("ws", "replay", "--input", path.name, "--target", url, *options, cwd=tmp_path, **kw)
        assert done.returncode == status, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        return done
    return run


def answering(*answers):
    """A server that sends all of these for each message that it gets: texts, bytes or JSON."""
    async def serve(websocket):
        async for _ in websocket:
            for answer in answers:
                await websocket.send(answer if isinstance(answer, (str, bytes)) else json.dumps(answer))
    return serve


# ---- what the server gets ----

def test_frames_arrive_as_they_were_recorded(drive, raw_upstream):
    """Fragments, binary, empty messages, pings, UTF-8 and the close frame's code and reason."""
    upstream = raw_upstream()
    sent = [("in", "grüße"), ("in", b"\x00\xff\x80"), ("in", ""), ("in", ("ping", "p"))]
    frames = [(i, *each) for i, each in enumerate(sent)]
    frames += [(5, "in", ("text", "one "), {"fin": False}), (6, "in", ("ping", "in between")),
               (7, "in", ("continuation", "two"), {"fin": True}), (9, "in", *close(4321, "done here"))]

    def server():
        peer = upstream.accept_ws()
        got = [peer.recv_frame() for _ in range(8)]
        peer.close(4321)
        peer.expect_eof()
        return got
    running = Background(server)
    drive(upstream, [connection("conn-1", frames, end="client")])
    got = running.join()
    assert all(each.masked for each in got)
    assert [(each.opcode, each.payload, each.fin) for each in got] == [
        (TEXT, "grüße".encode(), True), (BINARY, b"\x00\xff\x80", True), (TEXT, b"", True), (PING, b"p", True),
        (TEXT, b"one ", False), (PING, b"in between", True), (CONTINUATION, b"two", True),
        (8, close_payload(4321, "done here"), True)]


def test_the_handshake_is_made_anew(drive, ws_upstream):
    """Path, query and end-to-end headers are the recorded ones; the rest is the target's, and --header's."""
    upstream = ws_upstream(subprotocols=["v2.chat"])
    done = drive(upstream, [echoed("x", path="/chat", query="room=1&token=[redacted]", subprotocol="v2.chat",
                                   request_headers={
                                       "Host": "old.example", "Origin": "https://old.example", "X-Kept": "yes",
                                       "X-Changed": "recorded", "Authorization": "[redacted]", "Connection": "Upgrade",
                                       "Sec-WebSocket-Key": "AAAA", "Sec-WebSocket-Version": "8",
                                       "Sec-WebSocket-Extensions": "permessage-deflate",
                                       "Sec-WebSocket-Protocol": "v1.chat, v2.chat"})],
                 "--header", "X-Changed: now", "--header", "X-Added:too")
    (path, headers), = upstream.seen
    assert path == "/chat?room=1"
    assert (headers["X-Kept"], headers["X-Changed"], headers["X-Added"]) == ("yes", "now", "too")
    assert headers["Origin"] == "https://old.example" and headers["Host"] == f"127.0.0.1:{upstream.port}"
    assert headers["Sec-WebSocket-Version"] == "13" and headers["Sec-WebSocket-Key"] != "AAAA"
    assert headers["Sec-WebSocket-Protocol"] == "v1.chat, v2.chat"
    assert "Authorization" not in headers and "Sec-WebSocket-Extensions" not in headers
    assert done.stderr.count("redacted") == 1 and "Authorization" in done.stderr and "token" in done.stderr


def test_a_target_with_a_path_replaces_the_recorded_one(drive, ws_upstream):
    upstream = ws_upstream()
    drive(upstream.url("/other?a=1"), [echoed("x", path="/chat", query="b=2")])
    assert upstream.seen[0][0] == "/other?a=1"


def test_the_header_host_is_the_users(drive, ws_upstream):
    upstream = ws_upstream()
    drive(upstream, [echoed("x")], "--header", "Host: virtual.example")
    assert upstream.seen[0][1]["Host"] == "virtual.example"


def test_what_the_server_chose_is_said_again_to_it(drive, ws_upstream):
    """A session id and a cursor: the recorded client repeated what its server had made up."""
    recorded, live = "6e0b3c1e-54a5-4c0e-9a43-6f0f6e5d2b11", "c4b6a9d2-9f6b-4f57-8f0e-0d3a6f1c7e55"
    got = []

    async def server(websocket):
        await websocket.send(json.dumps({"type": "welcome", "session": live}))
        async for message in websocket:
            got.append(json.loads(message))
            await websocket.send(json.dumps({"type": "ok", "session": live}))
    drive(ws_upstream(server), [connection("conn-1", [
        (0, "out", {"type": "welcome", "session": recorded}),
        (5, "in", {"type": "subscribe", "session": recorded, "channel": "prices"}),
        (9, "out", {"type": "ok", "session": recorded}),
        (12, "in", {"type": "leave", "session": recorded}),
        (15, "out", {"type": "ok", "session": recorded}),
        (20, "in", *close())], end="client")], "--verify", "--speed", "max")
    assert got == [{"type": "subscribe", "session": live, "channel": "prices"}, {"type": "leave", "session": live}]


def test_the_next_message_waits_for_the_answer_to_the_last(drive, raw_upstream):
    upstream = raw_upstream()

    def server():
        peer = upstream.accept_ws()
        peer.expect(TEXT, b"one")
        peer.sock.settimeout(0.3)
        with pytest.raises(TimeoutError):  # the second does not come before the first is answered
            peer.recv_frame()
        peer.sock.settimeout(TIMEOUT)
        peer.text("one")
        peer.expect(TEXT, b"two")
        peer.text("two")
        peer.expect_close(1000)
        peer.close(1000)
        peer.expect_eof()
    running = Background(server)
    drive(upstream, [echoed("one", "two")], "--mode", "reactive", "--speed", "max", "--timeout", "60")
    running.join()


def test_pings_are_answered(drive, raw_upstream):
    upstream = raw_upstream()

    def server():
        peer = upstream.accept_ws()
        peer.expect(TEXT, b"x")
        peer.ping(b"are you there")
        peer.expect(PONG, b"are you there")
        peer.text("x")
        peer.expect_close(1000)
        peer.close(1000)
        peer.expect_eof()
    running = Background(server)
    drive(upstream, [echoed("x")])
    running.join()


def test_many_clients_play_the_recorded_connections_in_turn(drive, ws_upstream):
    upstream = ws_upstream()
    done = drive(upstream, [echoed("a", "b", path="/one"), echoed("c", name="conn-2", path="/two")],
                 "--clients", "50", "--speed", "max", "--verify", "--json")
    report = json.loads(done.stdout)
    assert sorted(path for path, _ in upstream.seen) == ["/one"] * 25 + ["/two"] * 25
    assert report["connections"] == {"started": 50, "opened": 50, "finished": 50, "unreachable": 0, "broken": 0,
                                     "closed_early": 0}
    assert report["messages"]["sent"] == report["messages"]["received"] == report["messages"]["matched"] == 75
    assert report["latency_ms"]["count"] == 75
    assert 0 < report["latency_ms"]["p50"] <= report["latency_ms"]["p99"] <= report["latency_ms"]["max"]
    assert len(report["verify"]["cases"]) == 50 and "conn-2, client 50" in report["verify"]["cases"][49]["name"]


def test_one_connection_is_chosen(drive, ws_upstream):
    upstream = ws_upstream()
    drive(upstream, [echoed("a", path="/one"), echoed("b", name="conn-2", path="/two")], "--connection", "conn-2")
    assert [path for path, _ in upstream.seen] == ["/two"]


def test_a_loop_ends_with_its_duration(drive, ws_upstream):
    upstream = ws_upstream()
    done = drive(upstream, [echoed("a")], "--loop", "--duration", "1", "--speed", "max", "--json")
    report = json.loads(done.stdout)
    assert report["connections"]["opened"] > 1 and not report["interrupted"]


def test_a_script_changes_both_directions(drive, ws_upstream, tmp_path):
    (tmp_path / "t.lua").write_text('if direction == "incoming" then msg.added = 1 else msg.added = nil end\n')
    got = []

    async def server(websocket):
        async for message in websocket:
            got.append(json.loads(message))
            await websocket.send(message)
    drive(ws_upstream(server), [echoed({"n": 1}, {"n": 2})], "--transform", "t.lua", "--verify")
    assert got == [{"n": 1, "added": 1}, {"n": 2, "added": 1}]


def test_big_messages_both_ways(drive, ws_upstream):
    """More than sockets take: neither side waits for the other for ever."""
    big = [chr(ord("a") + i) * (3 << 20) for i in range(6)]
    frames = [(i, "in", each) for i, each in enumerate(big)] + [(10 + i, "out", each) for i, each in enumerate(big)]
    drive(ws_upstream(), [connection("conn-1", frames + [(20, "in", *close())], end="client")], "--mode", "timed",
          "--speed", "max", "--verify", "--timeout", "60", timeout=TIMEOUT * 3)


def test_a_client_that_vanished_vanishes_again(drive, raw_upstream):
    upstream = raw_upstream()

    def server():
        peer = upstream.accept_ws()
        peer.expect(TEXT, b"a")
        peer.expect_eof()
    running = Background(server)
    drive(upstream, [connection("conn-1", [(0, "in", "a")], end="client")])
    running.join()


# ---- servers that cannot be reached ----

def test_nobody_listens(drive):
    sock, port = dead_port()
    with sock:
        done = drive(f"ws://127.0.0.1:{port}/", [echoed("a")], status=UNREACHABLE)
    assert f"ws://127.0.0.1:{port}/" in done.stderr and "refused" in done.stderr


def test_a_name_that_is_not_found(drive):
    done = drive("ws://no-such-host.invalid/", [echoed("a")], status=UNREACHABLE, timeout=TIMEOUT * 3)
    assert "its name was not found" in done.stderr


def test_a_refusal_says_its_status(drive, raw_upstream):
    upstream = raw_upstream()

    def server():
        peer = upstream.accept()
        peer.take_request()
        peer.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        peer.expect_eof()
    running = Background(server)
    done = drive(upstream, [echoed("a")], "--verify", "--junit", "out.xml", status=UNREACHABLE)
    running.join()
    assert "refused the handshake with status 403 Forbidden" in done.stderr


@pytest.mark.parametrize("head, says", [
    (b"HTTP/1.1 301 Moved Permanently\r\nLocation: wss://other.example/ws\r\n", "to \"wss://other.example/ws\": redirects are not "
     "followed, give that as the target"),
    (b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer realm=api\r\n", "asking for \"Bearer realm=api\": --header "
     "\"Authorization: VALUE\""),
    (b"HTTP/1.1 401 Unauthorized\r\n", "401 Unauthorized: --header"),
])
def test_a_refusal_says_what_to_do(drive, raw_upstream, head, says):
    """…and the header that it names is what the server gets then."""
    upstream = raw_upstream()
    secret = {"Authorization": "[redacted]"}

    def refuse():
        peer = upstream.accept()
        peer.take_request()
        peer.send(head + b"Content-Length: 0\r\n\r\n")
        peer.expect_eof()
    running = Background(refuse)
    done = drive(upstream, [echoed("a", request_headers=secret)], status=UNREACHABLE)
    running.join()
    assert says in done.stderr, done.stderr

    def accept():
        peer = upstream.accept_ws()
        assert peer.request.all("Authorization") == ["Bearer abc"]
        peer.close_socket()
    running = Background(accept)
    drive(upstream, [echoed("a", request_headers=secret)], "--header", "Authorization: Bearer abc", status=UNREACHABLE)
    running.join()


@pytest.mark.parametrize("answer, why", [
    (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
     b"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n", "wrong Sec-WebSocket-Accept"),
    (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "did not answer with HTTP"),
    (b"", "closed the connection instead of answering"),
])
def test_what_is_no_handshake_is_said(drive, raw_upstream, answer, why):
    upstream = raw_upstream()

    def server():
        peer = upstream.accept()
        peer.take_request()
        peer.send(answer)
        peer.close_socket()
    running = Background(server)
    done = drive(upstream, [echoed("a")], status=UNREACHABLE)
    running.join()
    assert why in done.stderr


def test_tls_with_a_private_ca(drive, ws_upstream, certs):
    upstream = ws_upstream(tls=certs.server())
    drive(upstream.url(host="localhost"), [echoed("a")], "--target-ca", certs.crt("ca"), "--verify")


@pytest.mark.parametrize("ca", ["unknown_ca", None])
def test_tls_with_the_wrong_ca(drive, ws_upstream, certs, ca):
    upstream = ws_upstream(tls=certs.server())
    options = ["--target-ca", certs.crt(ca)] if ca else []
    done = drive(upstream.url(host="localhost"), [echoed("a")], *options, status=UNREACHABLE)
    assert "TLS failed: certificate verify failed" in done.stderr
    assert upstream.seen == []


def test_tls_unverified(drive, ws_upstream, certs):
    drive(ws_upstream(tls=certs.server("unknown")), [echoed("a")], "--insecure")


# ---- servers that misbehave ----

@pytest.mark.parametrize("rubbish, code, why", [
    (b"\x83\x01x", 1002, "reserved opcode"),
    (frame(TEXT, b"x", mask=True), 1002, "masked frame from a server"),
    (frame(TEXT, b"x", mask=False, rsv=4), 1002, "reserved bit"),
    (frame(CONTINUATION, b"x", mask=False), 1002, "continuation without a message"),
    (frame(TEXT, b"\xff\xfe", mask=False), 1007, "not UTF-8"),
    (frame(PING, b"x" * 126, mask=False), 1002, "control frame over 125 bytes"),
    (frame(8, b"\x03", mask=False), 1002, "close frame with an invalid code"),
    (frame(BINARY, b"", mask=False, length=100 << 20), 1009, "message too big"),
])
def test_broken_frames_end_the_connection(drive, raw_upstream, rubbish, code, why):
    upstream = raw_upstream()

    def server():
        peer = upstream.accept_ws()
        peer.expect(TEXT, b"a")
        peer.send(rubbish)
        peer.expect_close(code)
        peer.expect_eof()
    running = Background(server)
    done = drive(upstream, [echoed("a")], status=UNREACHABLE)
    running.join()
    assert why in done.stderr


def test_a_hundred_megabytes_in_fragments_are_too_many(drive, raw_upstream):
    upstream = raw_upstream()

    def server():
        peer = upstream.accept_ws()
        peer.expect(TEXT, b"a")
        piece = b"x" * (1 << 20)
        for i in range(100):
            peer.send_quietly(frame(BINARY if i == 0 else CONTINUATION, piece, fin=i == 99, mask=False))
        peer.sock.close()
    running = Background(server)
    done = drive(upstream, [echoed("a")], status=UNREACHABLE, timeout=TIMEOUT * 3)
    running.join(TIMEOUT * 3)
    assert "message too big" in done.stderr


def test_a_server_that_never_answers_is_not_waited_for_for_ever(drive, ws_upstream):
    async def silent(websocket):
        async for _ in websocket:
            pass
    done = drive(ws_upstream(silent), [echoed("a", "b")], "--timeout", "200ms", "--json")
    report = json.loads(done.stdout)
    assert report["messages"]["sent"] == 2 and report["messages"]["missing"] == 2


def test_a_server_that_closes_early_is_told_of(drive, ws_upstream):
    async def leaving(websocket):
        await websocket.recv()
        await websocket.close(4000, "no more")
    done = drive(ws_upstream(leaving), [echoed("a", "b")])
    assert "closed with 4000" in done.stderr and "no more" in done.stderr


def test_a_server_that_closes_as_recorded_is_not_early(drive, ws_upstream):
    """It does so at once; the recorded client's answer to its close frame was not due yet."""
    async def leaving(websocket):
        await websocket.send(await websocket.recv())
        await websocket.close(4001, "as before")
    recorded = connection("conn-1", [(0, "in", "x"), (1, "out", "x"), (500, "out", *close(4001, "as before")),
                                     (501, "in", *close(4001))], end="upstream")
    done = drive(ws_upstream(leaving), [recorded], "--verify", "--json")
    assert json.loads(done.stdout)["connections"]["closed_early"] == 0 and done.stderr == ""


def test_a_server_that_vanishes(drive, raw_upstream):
    upstream = raw_upstream()

    def server():
        peer = upstream.accept_ws()
        peer.expect(TEXT, b"a")
        peer.close_socket()
    running = Background(server)
    done = drive(upstream, [echoed("a")], status=UNREACHABLE)
    running.join()
    assert "without a close frame" in done.stderr


@pytest.mark.parametrize("says", ["nothing", "some of it"])
def test_a_handshake_has_as_long_as_a_message(drive, raw_upstream, says):
    """--timeout is for the connection, too; what is said tells that it was that, and not the ten seconds without it."""
    upstream = raw_upstream()

    def server():
        peer = upstream.accept()
        peer.take_request()
        if says != "nothing":
            peer.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: web")
        peer.expect_eof()
    running = Background(server)
    done = drive(upstream, [echoed("a")], "--timeout", "0.25", status=UNREACHABLE)
    running.join()
    assert "did not answer the handshake within 0.25 s" in done.stderr


@pytest.mark.parametrize("how, status, says", [
    ("refuse", UNREACHABLE, "refused the handshake with status 503"),
    ("reset", UNREACHABLE, "the server broke off the connection instead of answering the handshake"),
    ("vanish", DIFFERENT, "the server broke off the connection: ")])
def test_one_of_many_fails(drive, raw_upstream, how, status, says):
    """The rest play to their ends; exit code, message and report tell of the one."""
    upstream = raw_upstream()

    def serve(peer):
        peer.expect(TEXT, b"a")
        peer.send_frame(TEXT, b"a")
        peer.expect_close(1000)
        peer.close(1000)

    def server():
        others = []
        for number in range(1, 21):
            peer = upstream.accept() if number == 7 and how != "vanish" else upstream.accept_ws()
            if number != 7:
                others.append(Background(lambda peer=peer: serve(peer)))
            elif how == "refuse":
                peer.take_request()
                peer.send(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
            else:
                if how == "vanish":
                    peer.expect(TEXT, b"a")
                peer.close_socket(reset=True)
        for each in others:
            each.join()
    running = Background(server)
    done = drive(upstream, [echoed("a")], "--clients", "20", "--speed", "max", "--verify", "--json", status=status)
    running.join()
    report = json.loads(done.stdout)
    assert report["connections"]["finished"] >= 19 and report["messages"]["matched"] == 19
    assert report["connections"]["broken" if how == "vanish" else "unreachable"] == 1
    failed = [case for case in report["verify"]["cases"] if case.get("error")]
    assert len(failed) == 1 and "client " in failed[0]["name"], failed
    assert says in done.stderr, done.stderr


# ---- --verify ----

RECORDED = {"type": "quote", "price": 10.0, "tags": ["a", "b"], "at": {"zone": "x"}}


@pytest.mark.parametrize("answer", [
    '{"at":{"zone":"x"},"tags":["a","b"],"price":10.0,"type":"quote"}',
    '{ "type" : "quote",\n "price": 10.0, "tags": ["a", "b"], "at": {"zone": "x"} }',
    '{"type":"qu\\u006fte","price":1.0e1,"tags":["a","b"],"at":{"zone":"x"}}',
], ids=["order of keys", "white space", "spelling"])
def test_what_must_not_count(drive, ws_upstream, answer):
    drive(ws_upstream(answering(answer)), [asked(RECORDED)], "--verify")


@pytest.mark.parametrize("change, says", [
    ({"price": 10.5}, "/price"),
    ({"price": "10"}, "/price"),
    ({"extra": 1}, "/extra"),
    ({"tags": ["a"]}, "/tags"),
    ({"at": {}}, "/at"),
], ids=str)
def test_what_must_count(drive, ws_upstream, change, says):
    done = drive(ws_upstream(answering({**RECORDED, **change})), [asked(RECORDED)], "--verify", "--timeout", "1",
                 status=DIFFERENT)
    assert says in done.stdout


@pytest.mark.parametrize("change, options", [
    ({"price": 10.5}, ["--ignore", "/price"]),
    ({"price": 10.5}, ["--tolerance", "0.5"]),
    ({"price": 10.5}, ["--tolerance", "5%"]),
    ({"price": 99.5}, ["--types-only"]),
    ({"extra": 1}, ["--allow-extra"]),
    ({"tags": ["b", "a"]}, ["--unordered", "/tags"]),
], ids=str)
def test_options_make_it_agree(drive, ws_upstream, change, options):
    upstream = ws_upstream(answering({**RECORDED, **change}))
    drive(upstream, [asked(RECORDED)], "--verify", "--timeout", "1", *options)
    drive(upstream, [asked(RECORDED)], "--verify", "--timeout", "1", status=DIFFERENT)


def test_the_hint_is_true(drive, ws_upstream):
    upstream = ws_upstream(answering({**RECORDED, "price": 11, "tags": ["a", "c"]}))
    done = drive(upstream, [asked(RECORDED)], "--verify", status=DIFFERENT)
    hint = done.stdout.split("would not count with: ")[1].splitlines()[0]
    assert hint == "--ignore /price --ignore '/tags/*'"
    drive(upstream, [asked(RECORDED)], "--verify", *hint.replace("'", "").split())


def test_a_message_that_is_missing(drive, ws_upstream):
    done = drive(ws_upstream(answering("one")), [asked(["one", "two"])], "--verify", "--timeout", "200ms",
                 "--report", "r.json", status=DIFFERENT)
    assert "is missing" in done.stdout and "two" in done.stdout


def test_a_message_that_nobody_expects(drive, ws_upstream):
    upstream = ws_upstream(answering("one", "surplus text"))
    recorded = [asked("one")]
    done = drive(upstream, recorded, "--verify", status=DIFFERENT)
    assert "surplus text" in done.stdout
    drive(upstream, recorded, "--verify", "--allow-extra")


def test_an_unrecognised_answer_is_one_difference(drive, ws_upstream, tmp_path):
    drive(ws_upstream(answering({"type": "error", "code": 7})), [asked({"type": "ok", "code": 7})], "--verify",
          "--timeout", "200ms", "--report", "r.json", status=DIFFERENT)
    differences = json.loads((tmp_path / "r.json").read_text())["verify"]["cases"][0]["differences"]
    assert [(d["kind"], d["path"]) for d in differences] == [("value", "/type")]


def test_messages_in_another_order(drive, ws_upstream):
    recorded = [asked([{"type": t} for t in ("first", "second", "third")])]
    upstream = ws_upstream(answering({"type": "third"}, {"type": "first"}, {"type": "second"}))
    done = drive(upstream, recorded, "--verify", "--timeout", "1", status=DIFFERENT)
    assert done.stdout.count("came out of its turn") == 1
    drive(upstream, recorded, "--verify", "--timeout", "1", "--unordered", "/")


@pytest.mark.parametrize("beats", [0, 7])
def test_heartbeats_may_be_fewer_and_more(drive, ws_upstream, beats):
    """The recorded server asked four times whether the client lives; how often depends on the time alone."""
    async def server(websocket):
        await websocket.recv()
        await websocket.send(json.dumps({"type": "accepted"}))
        for _ in range(beats):
            await websocket.send(json.dumps({"type": "ping"}))
            assert json.loads(await websocket.recv()) == {"type": "pong"}
        await websocket.send(json.dumps({"type": "result", "value": 7}))
        await websocket.wait_closed()
    frames = [(0, "in", {"type": "ask", "what": "value"}), (5, "out", {"type": "accepted"})]
    for i in range(4):
        frames += [(10 + 10 * i, "out", {"type": "ping"}), (11 + 10 * i, "in", {"type": "pong"})]
    frames += [(55, "out", {"type": "result", "value": 7}), (60, "in", *close()), (61, "out", *close())]
    drive(ws_upstream(server), [connection("conn-1", frames, end="client")], "--verify", "--speed", "max",
          "--timeout", "60")


def test_close_codes_are_compared(drive, ws_upstream):
    async def leaving(websocket):
        await websocket.recv()
        await websocket.send("bye")
        await websocket.close(1011)
    recorded = connection("conn-1", [(0, "in", "x"), (1, "out", "bye"), (2, "out", *close(4001))], end="upstream")
    done = drive(ws_upstream(leaving), [recorded], "--verify", status=DIFFERENT)
    assert "4001" in done.stdout and "1011" in done.stdout


def test_the_subprotocol_is_compared(drive, ws_upstream):
    recorded = echoed("x", subprotocol="b", request_headers={"Sec-WebSocket-Protocol": "a, b"})
    done = drive(ws_upstream(subprotocols=["a"]), [recorded], "--verify", status=DIFFERENT)
    assert "subprotocol" in done.stdout
    drive(ws_upstream(subprotocols=["b"]), [recorded], "--verify")


def test_late_answers_are_waited_for(drive, ws_upstream):
    """The recorded server spoke 1 ms after the client's last message; this one takes its time."""
    async def slow(websocket):
        async for _ in websocket:
            await asyncio.sleep(0.5)
            await websocket.send("late")
    drive(ws_upstream(slow), [asked("late")], "--verify", "--mode", "timed", "--timeout", "30")


def test_reports_for_programs(drive, ws_upstream, tmp_path):
    recorded = [echoed("same"), connection("conn-2", [(0, "in", "ask\x01"), (1, "out", "<&>\"]]>\x01"),
                                                      (5, "in", *close())], end="client", path="/2")]
    done = drive(ws_upstream(), recorded, "--verify", "--json", "--junit", "out.xml", "--report", "out.json",
                 "--timeout", "300ms", status=DIFFERENT)
    report = json.loads(done.stdout)
    assert report == json.loads((tmp_path / "out.json").read_text())
    assert [c["outcome"] for c in report["verify"]["cases"]] == ["same", "different"]
    suite = ElementTree.parse(tmp_path / "out.xml").getroot()
    cases = suite.findall(".//testcase")
    assert [len(c.findall("failure")) for c in cases] == [0, 1]


# ---- signals and options ----

@pytest.mark.parametrize("verify, status", [((), OK), (("--verify",), DIFFERENT)])
def test_an_interrupt_closes_and_reports(gateway, ws_upstream, tmp_path, verify, status):
    arrived, closed = threading.Event(), []

    async def silent(websocket):
        await websocket.recv()
        arrived.set()
        await websocket.wait_closed()
        closed.append(websocket.close_code)
    upstream = ws_upstream(silent)
    recording(tmp_path / "session.jsonl", echoed("a"))
    process = gateway.process("ws", "replay", "--input", "session.jsonl", "--target", upstream.url(), "--timeout", "0",
                              *verify)
    assert arrived.wait(TIMEOUT)
    process.send_signal(signal.SIGINT)
    process.check(process.wait(), status)
    eventually(lambda: closed == [1001], closed)
    assert "interrupted" in (tmp_path / "stdout").read_text()


@pytest.mark.parametrize("options, says", [
    (["--clients", "0"], "--clients"),
    (["--clients", "many"], "--clients"),
    (["--speed", "0"], "--speed"),
    (["--speed", "-1"], "--speed"),
    (["--speed", "fast"], "--speed"),
    (["--mode", "lookup"], "--mode takes auto, timed or reactive"),
    (["--tolerance", "-1", "--verify"], "--tolerance"),
    (["--tolerance", "a lot", "--verify"], "--tolerance"),
    (["--tolerance", "0x10", "--verify"], "--tolerance"),
    (["--ignore", "/a"], "--ignore says how to compare: it needs --verify"),
    (["--junit", "x.xml"], "needs --verify"),
    (["--port", "9000"], "--port is for serving"),
    (["--header", "no colon"], "--header takes \"Name: value\""),
    (["--header", "a b: c"], "--header takes"),
    (["--header", "x: a\nb: c"], "--header takes"),
    (["--header", "Sec-WebSocket-Key: x"], "belongs to the WebSocket handshake"),
    (["--transform", "bad.lua"], "bad.lua:2"),
    (["--connection", "conn-9"], "conn-1"),
], ids=str)
def test_usage_errors(drive, tmp_path, options, says):
    (tmp_path / "bad.lua").write_text("local x = 1\nthis is no Lua\n")
    status = UNREACHABLE if "conn-9" in options else USAGE
    done = drive("ws://127.0.0.1:1/", [echoed("a")], *options, status=status)
    assert says in done.stderr


@pytest.mark.parametrize("url", ["127.0.0.1:80", "ftp://x/", "ws://", "ws://u:p@host/"])
def test_targets_that_are_none(drive, url):
    assert "--target" in drive(url, [echoed("a")], status=USAGE).stderr


def test_a_recording_that_cannot_be_read(tmp_path):
    (tmp_path / "broken.jsonl").write_text('{"type":"recording","version":1}\n{"type":"open","connec\n')
    for name in ("broken.jsonl", "none.jsonl"):
        done = mockforge("ws", "replay", "--input", name, "--target", "ws://127.0.0.1:1/", cwd=tmp_path)
        assert done.returncode == UNREACHABLE and name in done.stderr


def test_a_file_that_cannot_be_written(drive, ws_upstream):
    done = drive(ws_upstream(), [echoed("a")], "--report", "no/such/folder/r.json", status=UNREACHABLE)
    assert "no/such/folder/r.json" in done.stderr
