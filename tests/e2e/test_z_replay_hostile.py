"""Replay under attack: clients, recordings and servers that mean no good. No crash, bounded memory and time, everybody
else unharmed. Worth most under the sanitizers; what is said of memory is not checked there."""
import json
import os
import re
import socket
import struct
import subprocess
import threading

import pytest
from harness import eventually, mockforge
from setting import SANITIZED, TIMEOUT
from test_u_admin import admin  # noqa: F401: a fixture
from test_z_replay import connection, line, recording, replay  # noqa: F401: a fixture among them
from wire import CLOSE, CONTINUATION, PING, PONG, TEXT, Client, accept_for, frame, tcp

MASK = b"\0\0\0\0"
HEAD = '{"type":"recording","version":1,"recorded_at":"2024-01-15T10:30:00.000Z","generator":"test"}\n'
ASKED = connection("conn-1", [(1, "in", {"id": 1, "m": "a"}), (2, "out", {"id": 1, "r": 2})])


def asks(g):
    """The recorded conversation, as anybody has it."""
    c = g.client("/")
    c.text('{"id":77,"m":"a"}')
    assert json.loads(c.recv_text()) == {"id": 77, "r": 2}
    c.close_socket()


# ---- clients of a replay ----

def leaves_in_the_middle(g):
    for i in range(60):
        c = g.client("/")
        c.send_quietly((b"\x81", b"\x81\xfe\x40\x00" + MASK + b"x", os.urandom(300), frame(TEXT, b"{", fin=False, mask=MASK))[i % 4])
        c.close_socket(reset=i % 2 == 0)


def never_ends_a_message(g):
    for part, times in ((b"", 20000), (b"x" * 1000, 100)):
        c = g.client("/")
        c.send_frame(TEXT, b"a", fin=False)
        c.send_quietly(frame(CONTINUATION, part, fin=False, mask=MASK) * times)


def closes_in_the_middle_of_a_message(g):
    c = g.client("/")
    c.send_frame(TEXT, b'{"id":1', fin=False)
    c.finish()


def says_too_much(g):
    for declared in (1 << 20, (1 << 63) - 1, 1 << 63):
        c = g.client("/")
        c.send_quietly(b"\x81\xff" + struct.pack("!Q", declared) + MASK + b"x" * 100)
        c.expect_failure((1009, 1002))


def says_what_nobody_awaits(g):
    c = g.client("/")
    j = "1"
    for _ in range(11):
        j = json.dumps({"id": 1, "m": j})
    for message in (*("[" * 30000, "[" * 30000 + "]" * 30000, '{"a":' * 9000 + "1" + "}" * 9000, j, "\0" * 60000,
                      "{" + ",".join('"a":0' for _ in range(9000)) + "}", '{"ids":[1e999]}', "1 " * 30000),
                    *(json.dumps({"no": i, f"k{i}": [i]}) for i in range(3000))):
        c.text(message, mask=MASK)
    c.ping(b"still there")
    c.expect(PONG, b"still there")
    c.text('{"id":5,"m":"a"}')
    assert json.loads(c.recv_text()) == {"id": 5, "r": 2}


def pings_and_does_not_read(g):
    c = g.client("/")
    c.sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        for _ in range(100000):
            c.sock.send(frame(PING, b"x" * 125, mask=MASK) * 100)


@pytest.mark.parametrize("attack", [leaves_in_the_middle, never_ends_a_message, closes_in_the_middle_of_a_message,
                                    says_too_much, says_what_nobody_awaits, pings_and_does_not_read])
def test_clients_that_mean_no_good(replay, attack):  # noqa: F811
    """Others get their replay, and nothing is busy afterwards."""
    g = replay([ASKED])
    attack(g)
    asks(g)
    g.rests()
    assert SANITIZED or g.memory("VmHWM") < 64 << 20


def test_slow_readers_at_full_speed(replay):  # noqa: F811
    """100 clients of 10 MB that do not read: they hold a buffer each, not a copy; who reads gets everything."""
    text = "x" * 9990
    g = replay([connection("conn-1", [(i, "out", f"{i:010}{text}") for i in range(1000)])], "--speed", "max")
    slow = [g.client("/") for _ in range(100)]
    c = g.client("/")
    assert [int(c.recv_text()[:10]) for _ in range(1000)] == list(range(1000))
    g.rests()
    assert SANITIZED or g.memory("VmHWM") < 128 << 20
    for i, each in enumerate(slow):
        each.close_socket(reset=i % 2 == 0)
    eventually(lambda: g.descriptors() < 60, "the connections are gone")
    g.rests()


# ---- recordings ----

def of(*lines):
    opened = {"type": "open", "connection": "c", "timestamp_ms": 0, "path": "/"}
    return HEAD + "".join((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in (opened, *lines))


def compressed(*parts):
    """Bytes in zstd, in one frame."""
    with subprocess.Popen(["zstd", "-q", "-1", "-c"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as p:
        out = []
        reading = threading.Thread(target=lambda: out.append(p.stdout.read()))
        reading.start()
        for each, times in parts:
            for _ in range(times):
                p.stdin.write(each)
        p.stdin.close()
        reading.join()
        return out[0]


MIB = 1 << 20
DEEP = "[" * 10000 + "]" * 10000
ARRAY = '{"connection":"c","timestamp_ms":%s,"direction":"incoming","type":"text","data":"x"}'
# A file's content; what is said of it; on which line (None: it is of the file).
REFUSED = {
    "nothing": (b"", "no connection|at least one connection|empty", None),
    "png": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\xc3\x28" * 500, "expected", None),
    "elf": (b"\x7fELF\x02\x01\x01" + b"\0" * 2000, "expected", None),
    "deep document": (b'{"messages":' + b"[" * 100000, "64 levels", None),
    "deep member": (of('{"connection":"c","timestamp_ms":1,"direction":"incoming","type":"text","data":"x","zz":' + DEEP + "}"),
                    "levels|depth|deep|nest", 3),
    "time 1e300": (of(ARRAY % "1e300"), "timestamp_ms", 3),
    "time -1": (of(ARRAY % "-1"), "timestamp_ms", 3),
    "time NaN": (of(ARRAY % "NaN"), "expected|unexpected|JSON", 3),
    "unknown type": (of(line(1, "in", ("wat", "x"), "c")), "type", 3),
    "close code 70000": (of({**line(1, "out", ("close", None), "c"), "code": 70000}), "code", 3),
    "rsv 99": (of(line(1, "in", "x", "c", rsv=99)), "rsv", 3),
    "bad base64": (of(line(1, "in", "!!!", "c", encoding="base64")), "base64", 3),
    "one line of 1 GiB": (lambda: compressed((b"\0" * MIB, 1024)), "64 MiB", None),
    "data of 1 GiB": (lambda: compressed((of().encode() + b'{"connection":"c","data":"', 1), (b"0" * MIB, 1024)), "64 MiB", None),
    "blank lines of 1 GiB": (lambda: compressed((of().encode(), 1), (b"\n" * MIB, 1024)), "64 MiB of blank", None),
    "brackets of 1 GiB": (lambda: compressed((b'{"messages":', 1), (b"[" * MIB, 1024)), "64 levels", None),
}
TOOLS = {"show": ["show", "F"], "explain": ["replay", "--explain", "-i", "F"], "convert": ["convert", "F", "out.json"],
         "diff": ["diff", "F", "F"], "serve": ["replay", "-i", "F", "--port", "0"]}


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("name", REFUSED)
def test_recordings_that_are_none(tmp_path, name, tool):
    """Exit code 3, with the file, the place and the reason, and nothing is left of what would have been written."""
    content, reason, number = REFUSED[name]
    content = content() if callable(content) else content
    (tmp_path / "f").write_bytes(content if isinstance(content, bytes) else content.encode())
    if name == "nothing" and tool in ("show", "convert"):
        pytest.skip("a recording in which nothing has happened yet")
    p = mockforge("ws", *(str(tmp_path / "f") if a == "F" else a for a in TOOLS[tool]), cwd=tmp_path)
    assert p.returncode == 3, p.stderr
    assert re.search(reason, p.stderr) and str(tmp_path / "f") in p.stderr, p.stderr
    assert not number or f"f:{number}" in p.stderr
    assert sorted(each.name for each in tmp_path.iterdir() if each.is_file()) == ["f"]


def table(entries, count=None):
    body = b"".join(struct.pack("<II", *e) for e in entries)
    body += struct.pack("<IBI", len(entries) if count is None else count, 0, 0x8F92EAB1)
    return struct.pack("<II", 0x184D2A5E, len(body)) + body


def lying_table(entries, count=None):
    frames = [compressed(((of() if not i else "").encode() + b"".join(
        json.dumps(line(1000 * i + k, "out", f"{i}.{k}", "c")).encode() + b"\n" for k in range(9)), 1)) for i in range(3)]
    return b"".join(frames) + table(entries, count)


EVERY = 0xffffffff
USABLE = {  # with --recover: odd, but something of it can be had
    "lying table": lambda: lying_table([(EVERY, EVERY)] * 3),
    "table of too many": lambda: lying_table([(9, 9)], EVERY),
    "table of nothing": lambda: lying_table([(0, 0)] * 1000),
    "times run back": lambda: of(*(line(t, "io"[t % 2] == "i" and "in" or "out", f"{t}", "c") for t in (9, 5, 7, 1, 3))),
    "pieces that lie": lambda: of(line(1, "out", "hello", "c", frame_offset=100, frame_size=10),
                                  line(2, "out", "hello", "c", frame_offset=0, frame_size=1 << 62),
                                  line(3, "in", "hello", "c", frame_offset=0, frame_size=9),
                                  line(4, "out", "later", "c"), line(5, "in", "there", "c", frame_offset=5, frame_size=11)),
    "fragments never ended": lambda: of(*(line(i, "out", ("continuation" if i else "text", "a"), "c", fin=False)
                                          for i in range(5000)), line(5001, "in", "x", "c")),
    "out of order": lambda: of(line(1, "out", ("continuation", "a"), "c"), line(2, "out", "a", "c", fin=False),
                               line(3, "out", "b", "c"), line(4, "out", ("ping", "p" * 200), "c"), line(5, "in", "x", "c")),
    "close codes": lambda: of(*({**line(i, "out", ("close", None), "c"), "code": code, "reason": "r" * 300}
                                for i, code in enumerate((0, 65535, 1006, 999))), line(9, "in", "x", "c")),
    "no open line": lambda: HEAD + json.dumps(line(1, "out", "x", "c")) + "\n",
    "name of 1 MB": lambda: of(line(1, "out", "x", "n" * 1000000), line(2, "in", "y", "n" * 1000000)),
    "5000 with one name": lambda: HEAD + "".join(
        f'{{"type":"open","connection":"c","timestamp_ms":{i},"path":"/"}}\n{json.dumps(line(i, "out", "x", "c"))}\n'
        for i in range(5000)),
    "headers that inject": lambda: HEAD + json.dumps({
        "type": "open", "connection": "c", "timestamp_ms": 0, "path": "/\r\nX: y", "query": "\r\n", "subprotocol": "a\r\nb: c",
        "response_headers": {"A\r\nB": "c", "Fine": "a\r\n\r\nHTTP/1.1 200 OK", "Transfer-Encoding": "chunked"}})
        + "\n" + json.dumps(line(1, "out", "x", "c")) + "\n",
    "terminal control": lambda: of(line(1, "out", "\x1b]0;owned\x07", "c"), line(2, "in", "y", "\x1b[31m")),
    "deep messages": lambda: of(*(line(i, "io"[i % 2] == "i" and "in" or "out", DEEP, "c") for i in range(4))),
}
EACH = [["show", "F"], ["show", "--from", "0.5", "F"], ["stats", "F"], ["diff", "F", "F"], ["replay", "--explain", "-i", "F"],
        *(["convert", "F", "out" + e] for e in (".jsonl", ".jsonl.zst", ".json", ".json.zst", ".har")),
        ["convert", "--to", "mock", "F", "out.yaml"], ["redact", "--json-path", "**.a", "F", "-o", "out-r.jsonl"],
        ["merge", "F", "F", "-o", "out-m.jsonl"], ["cut", "--from", "0.001", "--rebase", "F", "-o", "out-c.jsonl"]]


@pytest.mark.limit(120)
@pytest.mark.parametrize("name", USABLE)
def test_every_tool_reads_what_is_odd(gateway, tmp_path, name):
    """With --recover each ends in its time, with 0 (1 for a difference) or 3 and a reason; what is written can be read."""
    content = USABLE[name]()
    f = tmp_path / "f"
    f.write_bytes(content if isinstance(content, bytes) else content.encode())
    for args in EACH:
        p = mockforge("ws", *(str(f) if a == "F" else a for a in args), "--recover", cwd=tmp_path)
        assert p.returncode in (0, 3), (args, p.stderr)
        assert p.returncode == 0 or str(f) in p.stderr, (args, p.stderr)
        assert "\x1b" not in p.stdout + p.stderr, args
        out = tmp_path / next((a for a in args if a.startswith("out")), "f")
        if p.returncode == 0 and out.name != "f" and out.suffix not in (".yaml", ".har"):
            shown = mockforge("ws", "show", str(out), cwd=tmp_path)
            assert shown.returncode == 0, (args, shown.stderr)
    served(gateway, f)


def served(gateway, f):
    """A client gets a handshake and frames that are right, whatever the recording says; or serving is refused."""
    p = gateway.process("ws", "replay", "-i", str(f), "--recover", "--port", "0", "--speed", "max")
    eventually(lambda: re.search(r"listening address|mockforge: ", p.log))
    if "listening address" not in p.log:
        p.check(p.wait(), 3)
        assert str(f) in p.log
        return
    port = int(p.wait_log(r"listening address=\S+?:(\d+)")[1])
    c = Client(("127.0.0.1", port)).ask("/").answered()
    assert not c.response.all("X") and not c.response.all("Transfer-Encoding") and not c.response.all("b")
    c.ping(b"end")
    while c.recv_message().opcode not in (PONG, CLOSE):
        pass
    c.close_socket()


def test_redacted_fragments_keep_their_connection(tmp_path):
    """A message whose end comes much later, or never, is written under its own name."""
    (tmp_path / "f.jsonl").write_text(of(
        line(1, "out", '{"a":"secret', "c", fin=False), *(line(2, "in", f"{i} " + "x" * 60000, f"other-{i}") for i in range(40)),
        line(3, "out", ("continuation", '"}'), "c"), line(4, "out", '{"a":1', "c", fin=False)))
    p = mockforge("ws", "redact", "--json-path", "a", "f.jsonl", "-o", "r.jsonl", cwd=tmp_path)
    assert p.returncode == 0, p.stderr
    out = [json.loads(each) for each in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert [(e["connection"], e["data"]) for e in out if e.get("direction") == "outgoing"] == [
        ("c", '{"a":"[redacted]"}'), ("c", ""), ("c", "[redacted: message without its end]")]


@pytest.mark.parametrize("speed", ["0", "-1", "fast", "nan", "inf", "1e-300", "1e300", "", "2x2", "0x10", "-0"])
def test_speeds_that_are_none(tmp_path, speed):
    recording(tmp_path / "s.jsonl", ASKED)
    for more in (["--port", "0"], ["--target", "ws://127.0.0.1:1"]):
        p = mockforge("ws", "replay", "-i", "s.jsonl", f"--speed={speed}", *more, cwd=tmp_path)
        assert p.returncode == 2 and "--speed" in p.stderr, p.stderr


# ---- servers that are driven ----

class Server:
    """Accepts many and does the same to each."""

    def __init__(self, act):
        self.act, self.sock = act, socket.create_server(("127.0.0.1", 0), backlog=512)
        self.begun = self.ended = 0  # connections
        self.url = f"ws://127.0.0.1:{self.sock.getsockname()[1]}/"
        self.accepting = threading.Thread(target=self._accept, daemon=True)
        self.accepting.start()

    def stop(self):
        """Also of the thread: it would go on with whatever socket gets this one's number."""
        self.sock.shutdown(socket.SHUT_RDWR)
        self.accepting.join(TIMEOUT)
        self.sock.close()

    def _accept(self):
        while True:
            try:
                peer, _ = self.sock.accept()
            except OSError:
                return
            peer.settimeout(TIMEOUT)
            self.begun += 1
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        head = b""
        try:
            with peer:
                while b"\r\n\r\n" not in head:
                    head += peer.recv(4096) or b"\r\n\r\n"
                self.act(peer, re.search(rb"(?i)key: *(\S+)", head)[1].decode())
        except OSError:
            pass
        self.ended += 1


def answer(peer, key, more=b""):
    peer.sendall((f"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept_for(key)}"
                  "\r\n\r\n").encode() + more)


def then(data, again=b""):
    """After the handshake this, and something again and again."""
    def act(peer, key):
        answer(peer, key, data)
        while again:
            peer.sendall(again)
        while peer.recv(65536):
            pass
    return act


def instead(data, again=b""):
    """In place of the handshake."""
    def act(peer, _):
        peer.sendall(data)
        while again:
            peer.sendall(again)
        while peer.recv(65536):
            pass
    return act


@pytest.mark.parametrize("act,status,words", [
    (instead(b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n"), 3, "Accept"),
    (instead(b"HTTP/1.1 101 x\r\n", b"X: " + b"y" * 1000 + b"\r\n"), 3, "too long"),
    (instead(b"HTTP/1.1 503 \x1b[31m\r\n\r\n"), 3, "HTTP"),
    (then(b"\x82\x7f" + struct.pack("!Q", 1 << 63)), 1, "frame header"),
    (then(b"\x82\x7f" + struct.pack("!Q", 1 << 62)), 1, "too big"),
    (then(frame(TEXT, b"hi", mask=MASK)), 1, "masked"),
    (then(frame(CLOSE, struct.pack("!H", 4000) + b"\x1b[31m", mask=None)), 1, r"4000 \(\"\\x1b"),
    (then(b"\x01\x00", b"\x00\x7e\xff\xff" + b"a" * 65535), 1, "too big|broke"),
    (then(b"", frame(TEXT, b"[" * 50000, mask=None)), 1, None),
    (then(b"", frame(PING, b"x" * 125, mask=None) * 200), 1, None),
    (then(b""), 1, None),
], ids=["wrong accept", "head without end", "escapes", "2^63", "2^62", "masked", "close", "fragments", "flood", "pings", "silent"])
def test_servers_that_mean_no_good(gateway, tmp_path, act, status, words):
    """50 clients: an end with the right code, a reason, and memory that is not theirs to choose."""
    recording(tmp_path / "s.jsonl", ASKED)
    server = Server(act)
    p = gateway.process("ws", "replay", "-i", "s.jsonl", "--target", server.url, "--clients", "50", "--verify", "--speed",
                        "max", "--timeout", "1")
    p.check(p.wait(3 * TIMEOUT), status)
    server.stop()
    assert not words or re.search(words, p.log), p.log
    assert "\x1b" not in p.log


def test_a_server_that_pings_and_never_reads(gateway, tmp_path):
    """What the client has to say waits behind the pongs that nobody takes: not for ever."""
    recording(tmp_path / "s.jsonl", connection("conn-1", [(1000, "in", {"id": 1})]))
    server = Server(then(b"", frame(PING, b"x" * 125, mask=None) * 200))
    p = gateway.process("ws", "replay", "-i", "s.jsonl", "--target", server.url, "--mode", "timed", "--verify")
    p.check(p.wait(3 * TIMEOUT), 1)
    server.stop()
    said = p.log + (tmp_path / "stdout").read_text()
    assert "takes nothing that is sent to it" in said, said


# ---- the admin side's tail ----

TAIL = """
websocket: {host: 127.0.0.1, port: 0, workers: 2, handlers: [{path: /echo, type: echo, record: true, record_path: e.jsonl}]}
"""


def tail(g, host="localhost", fields=""):
    sock = tcp(g.admin)
    sock.sendall(f"GET /__mockforge/ws/tail HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n".encode())
    return sock


def test_tails_of_strangers_and_of_many(admin):  # noqa: F811
    """A wrong Host or Origin gets nothing; beyond 8 none is opened; those who do not read delay nobody and no end."""
    g = admin(TAIL)
    for host, fields in (("evil.example", ""), ("localhost", "Origin: http://evil.example\r\n")):
        with tail(g, host, fields) as sock:
            assert b" 403 " in sock.recv(4096)
    tails = [tail(g) for _ in range(40)]
    statuses = []
    for sock in tails:
        statuses.append(sock.recv(4096)[9:12])
    assert statuses.count(b"200") == 8 and statuses.count(b"503") == 32
    c = g.client("/echo")
    for _ in range(200):
        c.text("x" * 50000, mask=MASK)
        c.recv_text()
    c.finish()
    g.rests()
    g.stop()
    for sock in tails:
        sock.close()
