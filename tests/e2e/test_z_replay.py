"""Recordings served to live clients: each test shows the recording and what a client then hears."""
import base64
import json
import random
import signal

import pytest
from harness import eventually, mockforge, read_session, run, wait_for_lines
from setting import REPOSITORY, SANITIZED, TIMEOUT
from test_u_admin import admin, ask, metrics, moved  # noqa: F401: a fixture among them
from wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, dead_port

SUBSCRIBE = [  # the guide's example: the id is the client's
    (0, "in", {"type": "subscribe", "id": "a7", "channel": "prices"}),
    (5, "out", {"type": "subscribed", "id": "a7"}),
    (9, "out", {"type": "price", "id": "a7", "value": 101.5}),
    (20, "in", {"type": "unsubscribe", "id": "a7"}),
    (22, "out", {"type": "unsubscribed", "id": "a7"}),
]


def line(ms, who, data, name, **more):
    """One frame: data a text, bytes, JSON, or (type, data); more: fin, code, reason."""
    kind, data = data if isinstance(data, tuple) else ("binary" if isinstance(data, bytes) else "text", data)
    out = {"connection": name, "timestamp_ms": ms, "direction": {"in": "incoming", "out": "outgoing"}[who], "type": kind}
    if isinstance(data, bytes):
        out.update(encoding="base64", data=base64.b64encode(data).decode())
    elif kind != "close":
        out["data"] = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
    return {**out, **more}


def connection(name, frames, end=None, **opened):
    """The lines of one connection. frames: (ms, "in" or "out", data[, more])."""
    opened = {"type": "open", "connection": name, "timestamp_ms": 0, "path": "/", "subprotocol": None, **opened}
    lines = [opened, *(line(f[0], f[1], f[2], name, **(f[3] if len(f) > 3 else {})) for f in frames)]
    return lines + ([{"connection": name, "timestamp_ms": frames[-1][0] + 1 if frames else 1, "type": "end", "by": end,
                      "reason": "closed"}] if end else [])


def recording(path, *connections):
    head = {"type": "recording", "version": 1, "recorded_at": "2024-01-15T10:30:00.000Z", "generator": "test"}
    lines = sorted((each for c in connections for each in c), key=lambda each: each["timestamp_ms"])
    path.write_text("".join(json.dumps(each) + "\n" for each in [head, *lines]))
    return path


def document(path, frames):
    """The guide's form."""
    messages = [line(f[0], f[1], f[2], None) for f in frames]
    for message in messages:
        del message["connection"]
    path.write_text(json.dumps({"metadata": {"recorded_at": "2024-01-15T10:30:00.000Z"}, "messages": messages}))
    return path


@pytest.fixture
def replay(gateway, tmp_path):
    """A running `ws replay` of these connections (or of a file), with these options."""
    def start(what, *options, **kw):
        path = what if not isinstance(what, (list, tuple)) else recording(tmp_path / "s.jsonl", *what)
        return gateway(command=("ws", "replay"), args=["--input", path, "--listen", "127.0.0.1:0", *options], **kw)
    return start


def say(c, message):
    c.text(message if isinstance(message, str) else json.dumps(message))


def hear(c):
    return json.loads(c.recv_text())


def ticks(n, **opened):
    return connection("conn-1", [(i, "out", {"n": i}) for i in range(n)], **opened)


# ---- byte for byte ----

def test_everything_is_as_it_was(replay):
    """Fragments, binary, empty messages, pings, UTF-8, the close frame, the handshake: as recorded."""
    g = replay([connection("conn-1", [
        (0, "out", "plain \u20ac"),
        (1, "out", ("text", "one "), {"fin": False}), (2, "out", ("ping", "between")),
        (3, "out", ("continuation", "two "), {"fin": False}), (4, "out", ("continuation", "three")),
        (5, "out", b"\x00\xff\x80"), (6, "out", ""), (7, "out", ("binary", b""), {}), (8, "out", ("pong", "not replayed")),
        (9, "out", "x" * 70000), (10, "out", ("close", None), {"code": 4321, "reason": "bye \u00e9"})],
        end="upstream", path="/live", subprotocol="chat.v2",
        response_headers={"Server": "their/1.0", "X-Region": "eu", "Date": "Mon, 15 Jan 2024 10:30:00 GMT",
                          "Set-Cookie": "[redacted]", "Connection": "Upgrade", "Sec-WebSocket-Accept": "x"})],
        "--mode", "timed")
    c = g.ask("/live", [("Sec-WebSocket-Protocol", "other, chat.v2")])
    head = c.recv_head()
    assert head.status == 101 and head.get("Sec-WebSocket-Protocol") == "chat.v2"
    assert head.get("Server") == "their/1.0" and head.get("X-Region") == "eu"
    assert not head.all("Date") and not head.all("Set-Cookie") and len(head.all("Sec-WebSocket-Accept")) == 1
    expected = [(TEXT, "plain \u20ac".encode(), True), (TEXT, b"one ", False), (PING, b"between", True),
                (CONTINUATION, b"two ", False), (CONTINUATION, b"three", True), (BINARY, b"\x00\xff\x80", True),
                (TEXT, b"", True), (BINARY, b"", True), (TEXT, b"x" * 70000, True)]
    for opcode, payload, fin in expected:
        f = c.recv_frame()
        assert (f.opcode, f.payload, f.fin) == (opcode, payload, fin)
    c.expect_close(4321, "bye \u00e9")
    c.close(4321)
    c.expect_eof()


def test_a_recorded_replay_is_the_recording(replay, tmp_path):
    """--record FILE: what was replayed, frame by frame the same as what was recorded."""
    frames = [(0, "out", "a"), (1, "out", ("text", "b"), {"fin": False}), (2, "out", ("continuation", "c")),
              (3, "out", b"\x01"), (4, "out", ("close", None), {"code": 1000, "reason": ""})]
    g = replay([connection("conn-1", frames, end="upstream")], "--mode", "timed", "--record", tmp_path / "again.jsonl")
    c = g.client("/")
    while c.recv_frame().opcode != CLOSE:
        pass
    c.close(1000)
    c.expect_eof()
    g.stop()
    keys = ("direction", "type", "data", "fin", "code", "encoding")
    seen = [[{k: each[k] for k in keys if k in each} for each in read_session(tmp_path / name).frames
             if each["direction"] == "outgoing"] for name in ("s.jsonl", "again.jsonl")]
    assert seen[0] == seen[1]


def test_a_client_without_the_subprotocol_gets_none(replay):
    g = replay([connection("conn-1", [(0, "out", "x")], subprotocol="chat.v2")])
    c = g.ask("/", [("Sec-WebSocket-Protocol", "other")])
    assert c.recv_head().get("Sec-WebSocket-Protocol") is None
    g.wait_log(r'replay_subprotocol connection=conn-1 recorded="conn-1" subprotocol="chat.v2"')


def test_a_recording_makes_no_header_of_its_own(replay):
    """Names and values of a hostile file do not end a field."""
    g = replay([connection("conn-1", [(0, "out", "x")], response_headers={
        "X-A": "1\r\nX-Evil: 1", "X-B\r\nX-Evil": "2", "": "3", "X-Good": "4"})])
    head = g.ask("/").recv_head()
    assert head.status == 101 and head.get("X-Good") == "4" and b"Evil" not in head.raw


def test_a_server_that_vanished_vanishes(replay):
    """No close frame: what it said before arrives, then the end of the connection."""
    g = replay([connection("conn-1", [(0, "out", "last words")], end="upstream")], "--mode", "timed")
    c = g.client("/")
    assert c.recv_text() == "last words"
    c.expect_eof()
    g.wait_log(r"session_end connection=conn-1 reason=dropped_as_recorded by=gateway")


def test_pings_and_closes_of_the_client_are_answered(replay):
    g = replay([connection("conn-1", SUBSCRIBE)])
    c = g.client("/")
    c.ping(b"are you there")
    c.expect(PONG, b"are you there")
    c.close(4000, "enough")
    c.expect_close(4000, "enough")
    c.expect_eof()


def test_a_message_that_is_too_big(replay):
    g = replay([connection("conn-1", SUBSCRIBE)])
    c = g.client("/")
    c.text("x" * 70000)
    c.expect_failure(1009)


def test_what_was_recorded_is_not_too_big(replay):
    script = {"run": "y" * 100000}
    g = replay([connection("conn-1", [(1, "in", script), (2, "out", "done")])])
    c = g.client("/")
    say(c, script)
    assert c.recv_text() == "done"
    c.text("x" * 250000)
    c.expect_failure(1009)


# ---- modes ----

def test_reactive_with_other_ids(replay):
    """The guide's subscription, by a client with an id of its own."""
    g = replay([connection("conn-1", SUBSCRIBE)])
    for mine in ("b9", "client-2", "c"):
        c = g.client("/")
        say(c, {"id": mine, "type": "subscribe", "channel": "prices"})  # in another order of keys
        assert hear(c) == {"type": "subscribed", "id": mine}
        assert hear(c) == {"type": "price", "id": mine, "value": 101.5}
        say(c, {"type": "unsubscribe", "id": mine})
        assert hear(c) == {"type": "unsubscribed", "id": mine}
        c.finish()


def test_what_the_handshake_said_comes_again(replay):
    def frames(client, user, room, device):
        return [(1, "out", {"type": "welcome", "client": client, "device": device, "text": f"Welcome {user}!"}),
                (2, "out", {"type": "joined", "who": user, "place": room}),
                (3, "out", {"type": "joined", "who": user, "place": room})]
    recorded = ("c-93hf2j3k", "alice", "r-7f3a9c11", "d-11aa22bb")
    live = ("c-zz44kk55", "bob o'neill", "r-99aa77ff", "d-77zz66yy")
    gateway = replay([connection("conn-1", frames(*recorded), path=f"/rooms/{recorded[2]}",
                                 query=f"clientId={recorded[0]}&user={recorded[1]}",
                                 request_headers={"X-Device": recorded[3]})])
    for client, user, room, device in (recorded, live, recorded):
        c = gateway.client(f"/rooms/{room}?user={user.replace(' ', '+').replace(chr(39), '%27')}&clientId={client}",
                           headers=[("X-Device", device)])
        for _, _, expected in frames(client, user, room, device):
            assert hear(c) == expected
        c.close()
    c = gateway.client("/elsewhere")  # what it does not say is as it was recorded
    assert hear(c) == frames(*recorded)[0][2]
    c.close()


def test_nothing_is_said_before_its_turn(replay):
    """Reactive: the second answer waits for the second message, whatever the recorded times are."""
    g = replay([connection("conn-1", SUBSCRIBE)], "--speed", "max")
    c = g.client("/")
    c.ping(b"1")
    c.expect(PONG, b"1")  # and no message before it
    say(c, {"type": "subscribe", "id": "a7", "channel": "prices"})
    assert [hear(c)["type"] for _ in range(2)] == ["subscribed", "price"]
    c.ping(b"2")
    c.expect(PONG, b"2")


def test_timed_does_not_wait_for_the_client(replay):
    g = replay([connection("conn-1", SUBSCRIBE)], "--mode", "timed")
    c = g.client("/")
    assert [hear(c)["type"] for _ in range(3)] == ["subscribed", "price", "unsubscribed"]


def test_auto_is_timed_where_the_server_speaks_first(replay):
    g = replay([connection("conn-1", [(0, "out", "hello"), (3, "out", "tick"), (9, "in", "more"), (10, "out", "tock")])])
    c = g.client("/")
    assert [c.recv_text(), c.recv_text()] == ["hello", "tick"]
    say(c, "more")
    assert c.recv_text() == "tock"


def test_loop_begins_again(replay):
    g = replay([ticks(3)], "--loop", "--mode", "timed")
    c = g.client("/")
    assert [hear(c)["n"] for _ in range(7)] == [0, 1, 2, 0, 1, 2, 0]


def test_a_part_behind_the_end(replay, tmp_path):
    recording(tmp_path / "s.jsonl", ticks(5))
    done = mockforge("ws", "replay", "--input", "s.jsonl", "--from", "9", cwd=tmp_path)
    assert done.returncode == 3 and "last line is at 0.004 s" in done.stderr


def test_from_and_to(replay):
    frames = [(0, "out", "0"), (1000, "out", "1"), (2000, "out", "2"), (3000, "out", "3")]
    g = replay([connection("conn-1", frames)], "--from", "0.5", "--to", "2.5", "--speed", "max", "--loop")
    c = g.client("/")
    assert [c.recv_text() for _ in range(4)] == ["1", "2", "1", "2"]


@pytest.mark.parametrize("speed", ["0", "-1", "fast", "1e3", ""])
def test_a_speed_that_is_none(replay, tmp_path, speed):
    done = mockforge("ws", "replay", "--input", "x.jsonl", "--speed", speed, cwd=tmp_path)
    assert done.returncode == 2 and "--speed takes a number greater than 0" in done.stderr and '"max"' in done.stderr


def test_speed(replay):
    """An hour of recording at once; and half a second at a hundredth of the speed is far from over."""
    g = replay([connection("conn-1", [(0, "out", "a"), (3600000, "out", "b")])], "--speed", "max")
    c = g.client("/")
    assert [c.recv_text(), c.recv_text()] == ["a", "b"]
    g = replay([connection("conn-1", [(0, "out", "a"), (500, "out", "b")])], "--speed", "0.01")
    c = g.client("/")
    assert c.recv_text() == "a"
    c.ping(b"still waiting")
    c.expect(PONG, b"still waiting")
    g.rests()


def test_max_speed_leaves_time_to_others(replay):
    """One client takes an endless loop as fast as it can, another one is answered all the same."""
    g = replay([ticks(50)], "--loop", "--speed", "max", "--set", "websocket.workers=1")
    fast, other = g.client("/"), g.client("/")
    for c in (fast, other, fast, other):
        for _ in range(200):
            c.recv_frame()
    memory = g.memory()
    for _ in range(20000):
        fast.recv_frame()
    assert SANITIZED or g.memory() < memory + (32 << 20)


@pytest.mark.parametrize("mode", ["timed", "auto"])
@pytest.mark.parametrize("recorded", [False, True])
def test_max_speed_changes_no_byte(replay, tmp_path, mode, recorded):
    """Many small messages, which leave together, and among them large and fragmented ones and pings: each as it was,
    also when each of them is looked at on its way because the replay is recorded."""
    frames = [("text", f"tick {i}" + "x" * (i % 200), True) for i in range(3000)]
    frames[700:700] = [("text", "y" * 4096, True), ("binary", b"z" * 70000, True), ("ping", "between", True)]
    frames[1500:1500] = [("text", "one ", False), ("continuation", "two", True)]
    frames += [("text", "", True), ("text", "last", True)]
    options = ("--record", tmp_path / "out.jsonl") if recorded else ()
    g = replay([connection("conn-1", [(i / 10, "out", data if kind == "binary" else (kind, data), {"fin": fin})
                                      for i, (kind, data, fin) in enumerate(frames)], end="client")],
               "--mode", mode, "--speed", "max", *options)
    opcodes = {"text": TEXT, "binary": BINARY, "continuation": CONTINUATION, "ping": PING}
    for client in range(2):
        c = g.client("/")
        for kind, data, fin in frames:
            f = c.recv_frame()
            payload = data if isinstance(data, bytes) else data.encode()
            assert (f.opcode, f.payload, f.fin) == (opcodes[kind], payload, fin)
        c.close(1000)
        c.expect_close(1000)


# ---- which connection ----

def three():
    """/a twice and /b once, the last with a subprotocol."""
    return [connection("conn-1", [(0, "out", "a1")], path="/a"),
            connection("conn-2", [(1, "out", "a2")], path="/a", query="x=1"),
            connection("conn-3", [(2, "out", "b")], path="/b", subprotocol="v2")]


def first_text(g, path="/", headers=()):
    c = g.client(path, headers)
    return c.recv_text()


def test_pick_auto(replay):
    g = replay(three())
    assert [first_text(g, "/b") for _ in range(2)] == ["b", "b"]
    assert [first_text(g, "/a?x=1") for _ in range(2)] == ["a2", "a2"]
    assert {first_text(g, "/a?x=2") for _ in range(8)} == {"a1", "a2"}
    assert [first_text(g, "/other", [("Sec-WebSocket-Protocol", "v2")]) for _ in range(2)] == ["b", "b"]
    assert set(first_text(g, "/other") for _ in range(12)) == {"a1", "a2", "b"}


def test_pick_turn(replay):
    g = replay(three(), "--pick", "turn", "--set", "websocket.workers=1")
    assert [first_text(g, "/b") for _ in range(6)] == ["a1", "a2", "b", "a1", "a2", "b"]


def test_pick_path(replay):
    g = replay(three(), "--pick", "path")
    assert first_text(g, "/b") == "b" and first_text(g, "/a?x=1") == "a2"
    refused = g.ask("/c").recv_response()
    assert refused.status == 404 and refused.body == b'no recorded connection has this path; recorded: "/a", "/b"\n'


def test_pick_subprotocol(replay):
    g = replay(three(), "--pick", "subprotocol")
    assert first_text(g, "/a", [("Sec-WebSocket-Protocol", "v1, v2")]) == "b"
    refused = g.ask("/b").recv_response()
    assert refused.status == 400
    assert refused.body == b'no recorded connection has a subprotocol that is offered; recorded: "v2"\n'


def test_pick_first_message(replay):
    g = replay([connection("conn-1", [(0, "in", {"type": "login", "user": "u"}), (1, "out", "welcome")]),
                connection("conn-2", [(2, "in", {"type": "watch", "room": 5}), (3, "out", "watching")])],
               "--pick", "first_message")
    for message, answer in [({"type": "watch", "room": 6}, "watching"), ({"type": "login", "user": "v"}, "welcome")]:
        c = g.client("/")
        say(c, message)
        assert c.recv_text() == answer
    c = g.client("/")
    say(c, {"type": "unheard of"})
    say(c, {"type": "login", "user": "v"})
    assert c.recv_text() == "welcome"
    g.wait_log(r'unmatched .*why="no recorded connection begins with a message like this"')


def orders(name, at, channel, id, answers):
    return connection(name, [(at + ms, *rest) for ms, *rest in [
        (0, "in", {"type": "subscribe", "id": id, "channel": channel}), *answers]], path="/ws", timestamp_ms=at)


def two_channels():
    """Ids and channels that are echoed; in the second connection the channel is not."""
    return [orders("conn-1", 0, "orders", "req-1", [(5, "out", {"type": "subscribed", "id": "req-1", "channel": "orders"}),
                                                    (9, "out", {"type": "order", "n": 1})]),
            orders("conn-2", 50, "payroll", "req-2", [(5, "out", {"type": "error", "id": "req-2"})])]


def test_pick_auto_by_the_first_message(replay):
    """Each begins with the client: its first message chooses, whatever its id is."""
    g = replay(two_channels(), "--speed", "max")
    for i in range(12):
        c = g.client("/ws")
        channel = ("payroll", "orders", "orders")[i % 3]
        say(c, {"type": "subscribe", "id": f"mine-{i}", "channel": channel})
        assert hear(c) == ({"type": "error", "id": f"mine-{i}"} if channel == "payroll" else
                           {"type": "subscribed", "id": f"mine-{i}", "channel": channel})
    assert not g.count_log("unmatched"), g.log


def test_pick_auto_does_not_wait_where_a_server_speaks_first(replay):
    g = replay([*two_channels(), connection("conn-3", [(99, "out", {"hello": 1})], path="/ws", timestamp_ms=99)],
               "--set", "websocket.workers=1")
    silent = [g.client("/ws") for _ in range(3)]  # in turn: one of them is greeted
    assert hear(silent[2]) == {"hello": 1}


@pytest.mark.parametrize("speed", ["0.2", "1", "max"])
def test_pick_auto_timed(replay, speed):
    """The first message chooses, however late it is; who is silent gets one in turn."""
    late = [connection(name, [(0, "in", word), (1, "out", word + "!"), (2, "out", word + "?")], path="/ws")
            for name, word in [("conn-1", "one"), ("conn-2", "two")]]
    g = replay(late, "--mode", "timed", "--speed", speed)
    for word in ("two", "one", "two", "two"):
        c = g.client("/ws")
        c.sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            c.recv_frame()
        c.sock.settimeout(10)
        say(c, word)
        assert [c.recv_text(), c.recv_text()] == [word + "!", word + "?"]
    g = replay(late, "--mode", "timed", "--speed", speed, "--timeout", "0.05")
    assert {g.client("/ws").recv_text() for _ in range(2)} == {"one!", "two!"}


def test_who_said_nothing_is_nobody(replay):
    """A connection without a word (a probe, an archive's refused handshake) is not given out while there are others; one
    that the server closed at once is."""
    probe = connection("conn-1", [], path="/ws")
    g = replay([probe, connection("conn-2", [(1, "out", "hi")], path="/ws")])
    assert [g.client("/ws").recv_text() for _ in range(3)] == ["hi"] * 3
    g = replay([probe, connection("conn-2", [], path="/ws", end="server")])
    g.client("/ws").expect_eof()


def session(name, at, *topics):
    """A login that is the same for all, then one subscription after the other."""
    frames = [(0, "in", {"type": "init"}), (1, "out", {"type": "ack"})]
    for i, topic in enumerate(topics):
        id = f"{name}-{i}"
        frames += [(4 * i + 2, "in", {"type": "subscribe", "id": id, "topic": topic}),
                   (4 * i + 3, "out", {"type": "next", "id": id, "data": f"{topic} of {len(topics)}"})]
    return connection(name, [(at + ms, *rest) for ms, *rest in frames], path="/ws", timestamp_ms=at)


def test_pick_auto_by_a_later_message(replay):
    """What is said after a greeting that is the same for all chooses, however long they were alike."""
    g = replay([session("conn-1", 0, "a", "b"), session("conn-2", 20, "a", "c", "d"), session("conn-3", 40, "e")])
    for topics, count in [(["a", "c", "d"], 3), (["e"], 1), (["a", "b"], 2), (["a", "c", "d"], 3), (["e"], 1)]:
        c = g.client("/ws")
        say(c, {"type": "init"})
        assert hear(c) == {"type": "ack"}
        for i, topic in enumerate(topics):
            say(c, {"type": "subscribe", "id": f"x{i}", "topic": topic})
            heard = hear(c)
            assert heard["id"] == f"x{i}" and heard["data"].startswith(topic), (topics, heard)
        assert heard["data"].endswith(str(count))  # by now it is settled
        c.finish()
    assert not g.count_log("unmatched"), g.log


def test_pick_auto_after_a_greeting(replay):
    """A server that speaks first does not wait; what the client says then chooses, if all greet alike."""
    g = replay([connection(name, [(0, "out", {"hello": 1}), (5, "in", {"say": word, "id": name}),
                                  (6, "out", {"id": name, "said": word})], path="/ws")
                for name, word in [("conn-1", "one"), ("conn-2", "two")]])
    for i, word in enumerate(["two", "one", "two", "two", "one"]):
        c = g.client("/ws")
        assert hear(c) == {"hello": 1}
        say(c, {"say": word, "id": f"x{i}"})
        assert hear(c) == {"id": f"x{i}", "said": word}


def generated(seed):
    """Recorded connections with a little of everything: who begins, ids, several answers, pushes, binary, fragments, and
    an end by either side."""
    chance, connections = random.Random(seed), []
    greets = chance.random() < 0.4
    for n in range(chance.randint(1, 4)):
        ms, frames = 0, []
        for i in range(chance.randint(1, 6)):
            ms += chance.randint(1, 5)
            if greets and i == 0:
                frames.append((ms, "out", {"welcome": seed}))
                continue
            id = f"{seed}-{n}-{chance.randrange(10 ** 9)}"
            kind = chance.choice(["get", "put", "watch"])
            frames.append((ms, "in", {"type": kind, "id": id, "name": f"n{n}{i}"}))
            for k in range(chance.randint(0, 3)):
                ms += chance.randint(0, 4)
                what = chance.choice([{"type": "answer", "id": id, "k": k}, {"type": "push", "of": f"n{n}{i}", "k": k},
                                      bytes(chance.randrange(256) for _ in range(20))])
                frames.append((ms, "out", what))
        end = chance.choice([None, "client", "upstream"])
        if end:
            frames.append((ms + 2, "in" if end == "client" else "out", ("close", None), {"code": 1000, "reason": "done"}))
        connections.append(connection(f"conn-{n + 1}", frames, end, path="/p"))
    return connections


@pytest.mark.parametrize("seed", range(6))
def test_what_we_replay_is_what_we_recorded(replay, tmp_path, seed):
    """Any recording, replayed by us and driven by us, is the same, however many clients there are."""
    mode, speed = ("auto", "reactive")[seed % 2], ("max", "10", "1")[seed % 3]
    g = replay(generated(seed), "--mode", mode, "--speed", speed)
    for clients in (1, 5, 20):
        done = mockforge("ws", "replay", "--input", "s.jsonl", "--target", g.url("/p"), "--verify", "--mode", mode, "--speed",
                         speed, "--clients", clients, cwd=tmp_path, timeout=4 * TIMEOUT)
        assert done.returncode == 0, done.stdout + done.stderr + g.log


def test_the_sample_replayed_is_the_sample(replay, tmp_path):
    sample = REPOSITORY / "recordings" / "sample.jsonl.zst"
    g = replay(sample, "--speed", "max")
    done = mockforge("ws", "replay", "--input", sample, "--target", g.url("/ws/orders"), "--verify", "--speed", "max",
                     "--clients", 20, cwd=tmp_path, timeout=4 * TIMEOUT)
    assert done.returncode == 0, done.stdout


def test_connection(replay, tmp_path):
    g = replay(three(), "--connection", "conn-3", "--connection", "conn-1")
    assert set(first_text(g) for _ in range(4)) == {"a1", "b"}
    done = mockforge("ws", "replay", "--input", "s.jsonl", "--connection", "conn-9", cwd=tmp_path)
    assert done.returncode == 3 and "conn-9" in done.stderr and "conn-1, conn-2, conn-3" in done.stderr


# ---- what does not fit ----

def test_a_message_that_does_not_come(replay):
    """The close frame and the log say what was awaited, and the log what came instead."""
    g = replay([connection("conn-1", SUBSCRIBE)], "--timeout", "0.2", "--speed", "max")
    c = g.client("/")
    say(c, {"type": "hello"})
    f = c.recv_frame()
    assert f.opcode == CLOSE and f.code == 1008
    assert f.reason.startswith(b"replay: did not come in time: message 0 of conn-1") or b"conn-1" in f.reason, f.reason
    found = g.wait_log(r'replay_timeout connection=conn-1 file="(.*)" awaited="(.*)" instead="(.*)"')
    assert found[1].endswith("s.jsonl") and "subscribe" in found[2] and "hello" in found[3], found


def test_time_out_continue(gateway, tmp_path):
    """On past what does not come; but nothing is said to it that names an id nobody has given."""
    recording(tmp_path / "s.jsonl", connection("conn-1", [
        (0, "in", {"type": "hello"}), (1, "out", {"type": "welcome"}), *[(ms + 2, *rest) for ms, *rest in SUBSCRIBE],
        (30, "in", {"type": "bye"}), (31, "out", {"type": "see you"})]))
    g = gateway(config("replay: {timeout_ms: 100, on_timeout: continue, speed: max}"))
    c = g.client("/r")
    assert [hear(c)["type"] for _ in range(2)] == ["welcome", "see you"]


def test_time_out_of_a_choice(gateway, replay, tmp_path):
    """Who never says what is to choose is told so; with `continue` one is taken in turn."""
    two = [connection(name, [(0, "in", {"say": name}), (1, "out", {"said": name})], path="/r")
           for name in ("conn-1", "conn-2")]
    c = replay(two, "--timeout", "0.1").client("/r")
    f = c.recv_frame()
    assert f.opcode == CLOSE and f.code == 1008 and b"a first message" in f.reason, f
    g = gateway(config("replay: {timeout_ms: 100, on_timeout: continue, correlate: false}", workers=1))
    assert [hear(g.client("/r"))["said"] for _ in range(2)] == ["conn-1", "conn-2"]


def config(more="", handler="", admin_side=None, **websocket):
    """A route /r that plays s.jsonl. more: further lines of the handler."""
    options = {"host": "127.0.0.1", "port": 0, "workers": 2, **websocket}
    text = "websocket:\n" + "".join(f"  {k}: {json.dumps(v)}\n" for k, v in options.items())
    return text + f"  handlers:\n    - path: /r\n      type: replay\n      input: s.jsonl\n      {more}\n      {handler}\n"


def test_unmatched_messages_are_shown(admin, tmp_path):
    recording(tmp_path / "s.jsonl", connection("conn-1", SUBSCRIBE))
    g = admin(config())
    before = metrics(g)
    c = g.client("/r")
    say(c, {"type": "subscribed"})
    c.ping()
    c.expect(PONG)
    moved(g, {"ws_unmatched_total": 1}, before)
    shown = json.loads(ask(g, "/__mockforge/ws/unmatched").body)["unmatched"][-1]
    assert shown["path"] == "/r" and json.loads(shown["data"]) == {"type": "subscribed"} and shown["why"]


# ---- messages on their way ----

def test_transform(replay, tmp_path):
    """One Lua file for both directions; it sees which one it is, and when."""
    (tmp_path / "t.lua").write_text("""
        if direction == "incoming" then
            if msg.ask then return {type = "subscribe", id = "a7", channel = msg.ask} end
        else
            msg.at = timestamp_ms >= 0
        end""")
    g = replay([connection("conn-1", SUBSCRIBE)], "--transform", "t.lua")
    c = g.client("/")
    say(c, {"ask": "prices"})
    assert hear(c) == {"type": "subscribed", "id": "a7", "at": True}


def test_refresh_time(replay):
    g = replay([connection("conn-1", [(0, "out", {"at": "2024-01-15T10:30:00.000Z"})])], "--refresh-time")
    assert not hear(g.client("/"))["at"].startswith("2024-01-15")


# ---- forms of recordings ----

def test_forms(gateway, replay, tmp_path):
    """Document, JSON lines and native play the same."""
    document(tmp_path / "d.json", SUBSCRIBE)
    recording(tmp_path / "l.jsonl", connection("conn-1", SUBSCRIBE))
    assert mockforge("ws", "convert", "l.jsonl", "n.jsonl.zst", cwd=tmp_path).returncode == 0
    for name in ("d.json", "l.jsonl", "n.jsonl.zst"):
        c = replay(tmp_path / name).client("/")
        say(c, {"type": "subscribe", "id": "a7", "channel": "prices"})
        assert [hear(c)["type"] for _ in range(2)] == ["subscribed", "price"]


BAD = {
    "nothing.jsonl": b"",
    "garbage.jsonl": b"\x00\x01\x02garbage\n",
    "garbage.jsonl.zst": b"\x28\xb5\x2f\xfdgarbage",
    "deep.json": b'{"messages":' + b"[" * 10000,
    "foreign.json": b'{"swagger":"2.0"}',
    "type.jsonl": b'{"type":"recording","version":1}\n{"type":"nonsense","connection":"c","timestamp_ms":1}\n',
    "alone.jsonl": b'{"type":"recording","version":1,"recorded_at":"2024-01-15T10:30:00.000Z"}\n',
}


@pytest.mark.parametrize("name", list(BAD) + ["absent.jsonl"])
def test_bad_recordings(tmp_path, name):
    """Exit code 3 and a message that names the file; `config check` finds it as well."""
    if name in BAD:
        (tmp_path / name).write_bytes(BAD[name])
    done = mockforge("ws", "replay", "--input", name, "--port", "0", cwd=tmp_path)
    assert done.returncode == 3 and name in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
    (tmp_path / "c.yaml").write_text(f"websocket:\n  handlers:\n    - path: /r\n      input: {name}\n")
    done = mockforge("config", "check", "c.yaml", cwd=tmp_path)
    assert done.returncode == 2 and "c.yaml:4:14: websocket.handlers[0].input: " in done.stderr, done.stderr


def test_a_recording_that_was_cut(replay, tmp_path):
    """What can be read of it plays."""
    whole = recording(tmp_path / "s.jsonl", connection("conn-1", SUBSCRIBE)).read_bytes()
    (tmp_path / "cut.jsonl").write_bytes(whole[:-20])
    c = replay(tmp_path / "cut.jsonl", "--recover").client("/")
    say(c, {"type": "subscribe", "id": "a7", "channel": "prices"})
    assert hear(c)["type"] == "subscribed"


def test_wrong_options(tmp_path):
    recording(tmp_path / "s.jsonl", connection("conn-1", SUBSCRIBE))
    for options, message in [
            ([], "--input FILE is missing"),
            (["-i", "s.jsonl", "--from", "x"], "--from takes a time"),
            (["-i", "s.jsonl", "--from", "5", "--to", "5"], "nothing is left"),
            (["-i", "s.jsonl", "--timeout", "-1"], "--timeout takes a time"),
            (["-i", "s.jsonl", "--mode", "quick"], "expected one of auto, timed, reactive"),
            (["-i", "s.jsonl", "--pick", "best"], "expected one of auto, turn, path, subprotocol, first_message"),
            (["-i", "s.jsonl", "--correlate", "nonsense"], "replay.correlate"),
            (["-i", "s.jsonl", "--on-miss", "close"], "only a replay with an \"upstream\" has it"),
            (["-i", "s.jsonl", "--json"], "--json is for --explain"),
            (["-i", "s.jsonl", "--record", "s.jsonl"], "is the recording that is played"),
            (["-i", "s.jsonl", "--port", "1", "--listen", ":2"], "--listen has a port already"),
            (["-i", "s.jsonl", "--any", "/a,/b"], "a comma parts values here")]:
        done = mockforge("ws", "replay", *options, cwd=tmp_path)
        assert done.returncode == 2 and message in done.stderr, (options, done.stderr)


def test_explain(tmp_path):
    """What is carried over, for people and as JSON; nothing is served."""
    recording(tmp_path / "s.jsonl", connection("conn-1", SUBSCRIBE))
    done = mockforge("ws", "replay", "--input", "s.jsonl", "--explain", cwd=tmp_path)
    assert done.returncode == 0 and "/id" in done.stdout and not done.stderr, done
    done = mockforge("ws", "replay", "--input", "s.jsonl", "--explain", "--json", cwd=tmp_path)
    assert done.returncode == 0 and "/id" in json.dumps(json.loads(done.stdout)), done
    done = mockforge("ws", "replay", "--input", "absent.jsonl", "--explain", cwd=tmp_path)
    assert done.returncode == 3 and "absent.jsonl" in done.stderr, done


def test_correlate_options(replay):
    """--no-correlate: as recorded. With a rule beside it: that alone."""
    for options, mine in [(["--no-correlate"], "a7"), (["--correlate-except", "/id"], "a7"),
                          (["--no-correlate", "--correlate", "incoming /id = outgoing /id"], "b9")]:
        c = replay([connection("conn-1", SUBSCRIBE)], *options).client("/")
        say(c, {"type": "subscribe", "id": "b9", "channel": "prices"})
        assert hear(c) == {"type": "subscribed", "id": mine}, options


def test_path(replay):
    g = replay([connection("conn-1", [(0, "out", "x")], path="/live")], "--path", "/only")
    assert first_text(g, "/only") == "x"
    assert g.ask("/live").recv_response().status == 404


# ---- spy ----

JSON_RPC = [
    (0, "in", {"jsonrpc": "2.0", "id": 11, "method": "hello"}),
    (2, "out", {"jsonrpc": "2.0", "id": 11, "result": "recorded hello"}),
    (5, "in", {"jsonrpc": "2.0", "id": 12, "method": "sum", "params": [1, 2]}),
    (7, "out", {"jsonrpc": "2.0", "id": 12, "result": "recorded 3"}),
]


def call(method, id, *params):
    return {"jsonrpc": "2.0", "id": id, "method": method, **({"params": list(params)} if params else {})}


async def rpc(websocket):
    """An upstream that answers calls, and refuses all but `hello` until it has had that."""
    greeted = False
    async for message in websocket:
        m = json.loads(message)
        greeted = greeted or m["method"] == "hello"
        result = f"live {m['method']}" if greeted else "who are you?"
        await websocket.send(json.dumps({"jsonrpc": "2.0", "id": m["id"], "result": result}))


def test_spy(replay, ws_upstream, tmp_path):
    """A hit needs no upstream; a miss is answered by it, once it has heard what came before; both are kept."""
    up = ws_upstream(rpc)
    g = replay([connection("conn-1", JSON_RPC, path="/rpc")], "--upstream", up.url("/api"))
    c = g.client("/rpc")
    say(c, call("hello", 11))
    assert hear(c)["result"] == "recorded hello"
    say(c, call("sum", 12, 1, 2))
    assert hear(c)["result"] == "recorded 3"
    assert not up.seen  # dialled only when it is needed
    say(c, call("price", 13, "eur"))
    assert hear(c) == {"jsonrpc": "2.0", "id": 13, "result": "live price"}
    say(c, call("stock", 14))
    assert hear(c) == {"jsonrpc": "2.0", "id": 14, "result": "live stock"}
    c.finish()
    added = wait_for_lines(tmp_path / "s.jsonl", lambda s: len(s.of("end")) == 1)
    news = [(d, json.loads(t)) for d, t in added.directions()][len(JSON_RPC):]
    assert [(d, m.get("method") or m.get("result")) for d, m in news] == [
        ("incoming", "price"), ("outgoing", "live price"), ("incoming", "stock"), ("outgoing", "live stock")]
    # Once the file is closed it is read again: clients that come later have it from there.
    g.wait_log(r" reloaded ")
    c = g.client("/rpc")
    say(c, call("stock", 15))
    assert hear(c) == {"jsonrpc": "2.0", "id": 15, "result": "live stock"} and len(up.seen) == 1
    g.stop()
    # So has the next run.
    nobody, port = dead_port()
    g = replay(tmp_path / "s.jsonl", "--upstream", f"ws://127.0.0.1:{port}/")
    c = g.client("/rpc")
    for method, id, params, result in [("hello", 11, (), "recorded hello"), ("price", 13, ("eur",), "live price"),
                                       ("sum", 12, (1, 2), "recorded 3")]:
        say(c, call(method, id, *params))
        assert hear(c)["result"] == result


def test_spy_swallows_what_was_said_already(replay, raw_upstream):
    """The upstream greets by itself and answers what the recording has answered: the client hears neither again. What
    it says beyond that arrives, and it hears what the client says from then on, hit or miss."""
    up = raw_upstream()
    g = replay([connection("conn-1", [(0, "out", {"type": "welcome", "version": 3}), (2, "in", {"type": "init"}),
                                      (3, "out", {"type": "ack"}),
                                      (5, "in", {"type": "subscribe", "id": "s1", "topic": "a"}),
                                      (6, "out", {"type": "next", "id": "s1", "data": "old a"}),
                                      (9, "in", {"type": "subscribe", "id": "s2", "topic": "b"}),
                                      (10, "out", {"type": "next", "id": "s2", "data": "old b"})])],
               "--upstream", up.url())
    c = g.client("/")
    assert hear(c)["type"] == "welcome"
    say(c, {"type": "init"})
    assert hear(c)["type"] == "ack"
    say(c, {"type": "subscribe", "id": "mine-1", "topic": "a"})
    assert hear(c) == {"type": "next", "id": "mine-1", "data": "old a"}
    say(c, {"type": "publish", "id": "mine-2", "text": "hello"})  # never recorded
    server = up.accept_ws()
    said = [json.loads(server.recv_text()) for _ in range(3)]
    assert [m["type"] for m in said] == ["init", "subscribe", "publish"] and said[1]["id"] == "mine-1"
    for message in [{"type": "welcome", "version": 4}, {"type": "ack"}, {"type": "next", "id": "mine-1", "data": "new a"},
                    {"type": "next", "id": "mine-1", "data": "newer a"}, {"type": "published", "id": "mine-2"}]:
        server.text(json.dumps(message))
    assert hear(c) == {"type": "next", "id": "mine-1", "data": "newer a"}
    assert hear(c) == {"type": "published", "id": "mine-2"}
    say(c, {"type": "subscribe", "id": "mine-3", "topic": "b"})
    assert hear(c) == {"type": "next", "id": "mine-3", "data": "old b"}
    assert json.loads(server.recv_text()) == {"type": "subscribe", "id": "mine-3", "topic": "b"}
    server.text(json.dumps({"type": "next", "id": "mine-3", "data": "new b"}))
    server.ping(b"1")
    server.expect(PONG, b"1")
    c.ping(b"2")
    c.expect(PONG, b"2")  # and not "new b"
    server.close_socket()


def test_spy_swallows_what_was_said_in_fragments(replay, raw_upstream):
    """An answer that was recorded in fragments is the upstream's answer in one frame."""
    up = raw_upstream()
    g = replay([connection("conn-1", [(0, "in", {"type": "init"}), (1, "out", '{"type":"ack","ver', {"fin": False}),
                                      (3, "out", ("continuation", 'sion":3}'))])], "--upstream", up.url())
    c = g.client("/")
    say(c, {"type": "init"})
    assert [c.recv_frame().payload for _ in range(2)] == [b'{"type":"ack","ver', b'sion":3}']
    say(c, {"type": "publish", "text": "hello"})  # never recorded
    server = up.accept_ws()
    server.expect(TEXT, b'{"type": "init"}')
    server.text('{"type":"ack","version":4}')
    server.expect(TEXT, b'{"type": "publish", "text": "hello"}')
    server.text('{"type":"published"}')
    assert hear(c) == {"type": "published"}


def test_spy_close_and_ignore(replay, ws_upstream):
    up = ws_upstream(rpc)
    g = replay([connection("conn-1", JSON_RPC)], "--upstream", up.url(), "--on-miss", "close")
    c = g.client("/")
    say(c, call("price", 13))
    f = c.recv_frame()
    assert f.opcode == CLOSE and f.code == 1008 and f.reason.startswith(b"replay: no recorded answer"), f
    g = replay([connection("conn-1", JSON_RPC)], "--upstream", up.url(), "--on-miss", "ignore")
    c = g.client("/")
    say(c, call("price", 13))
    say(c, call("hello", 11))
    assert hear(c)["result"] == "recorded hello"
    g.wait_log(r"unmatched connection=conn-1")
    assert not up.seen


def test_spy_without_its_upstream(replay):
    nobody, port = dead_port()
    g = replay([connection("conn-1", JSON_RPC)], "--upstream", f"ws://127.0.0.1:{port}/")
    c = g.client("/")
    say(c, call("hello", 11))
    assert hear(c)["result"] == "recorded hello"
    say(c, call("price", 13))
    f = c.recv_frame()
    assert f.opcode == CLOSE and f.code == 1014 and f.reason.startswith(b"upstream ws://127.0.0.1:"), f
    g.wait_log(r"upstream_failed connection=conn-1")


def test_spy_closes_with_either_side(replay, raw_upstream):
    up = raw_upstream()
    g = replay([connection("conn-1", JSON_RPC)], "--upstream", up.url())
    for who in ("client", "upstream", "upstream vanishes"):
        c = g.client("/")
        say(c, call("price", 13))
        server = up.accept_ws()
        assert json.loads(server.recv_text())["method"] == "price"
        if who == "client":
            c.close(4001, "mine")
            c.expect_close(4001, "mine")
            server.expect_close(4001, "mine")
            server.close(4001)
        elif who == "upstream":
            server.ping(b"q")
            server.expect(PONG, b"q")
            server.close(4002, "theirs")
            c.expect_close(4002, "theirs")
            c.close(4002)
            server.expect_close(4002)
        else:
            server.close_socket()
            c.expect_close(1011)
            c.close(1011)
        c.expect_eof()
        server.close_socket()


def test_spy_of_a_document(tmp_path):
    document(tmp_path / "d.json", JSON_RPC)
    done = mockforge("ws", "replay", "-i", "d.json", "--upstream", "ws://127.0.0.1:1/", cwd=tmp_path)
    assert done.returncode == 2 and "mockforge ws convert" in done.stderr and "session.jsonl.zst" in done.stderr


# ---- a gateway that stays ----

def test_reload(gateway, tmp_path):
    """Who is in the middle of a replay finishes it; who comes later gets the new recording."""
    path = recording(tmp_path / "s.jsonl", connection("conn-1", [(0, "in", "go"), (1, "out", "old")]))
    g = gateway(config())
    c = g.client("/r")
    recording(path, connection("conn-1", [(0, "out", "new")]))
    g.send_signal(signal.SIGHUP)
    g.wait_log(r"reloaded|config_reloaded|reload")
    eventually(lambda: first_text_or_none(g) == "new")
    say(c, "go")
    assert c.recv_text() == "old"


def first_text_or_none(g):
    c = g.client("/r")
    c.ping(b"p")
    f = c.recv_frame()
    return f.payload.decode() if f.opcode == TEXT else None


def test_many_clients(replay):
    """200 at once, each with an id of its own."""
    g = replay([connection("conn-1", SUBSCRIBE)], "--speed", "max")
    clients = [g.client("/") for _ in range(200)]
    for i, c in enumerate(clients):
        say(c, {"type": "subscribe", "id": f"id-{i}", "channel": "prices"})
    for i, c in enumerate(clients):
        assert [hear(c) for _ in range(2)] == [{"type": "subscribed", "id": f"id-{i}"},
                                               {"type": "price", "id": f"id-{i}", "value": 101.5}]
    for c in clients:
        c.close(1000)
    for c in clients:
        c.expect_close(1000)
        c.expect_eof()
    g.rests()
