"""Looking at recordings: ws show's filters, ws tail of files and gateways, ws stats, and seeking in files that lie."""
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import time

import pytest
from harness import eventually, mockforge
from setting import SANITIZED, TIMEOUT
from wire import http, tcp

RECORDING = {"type": "recording", "version": 1, "recorded_at": "2024-01-15T10:30:00.000Z", "generator": "test"}


def text(ms, data, direction="incoming", connection="conn-1", **more):
    return {"connection": connection, "timestamp_ms": ms, "direction": direction, "type": "text",
            "data": data if isinstance(data, str) else json.dumps(data), **more}


def opened(ms, path="/ws", connection="conn-1", **more):
    return {"type": "open", "connection": connection, "timestamp_ms": ms, "path": path, **more}


def lines(*events):
    return "".join(json.dumps(event) + "\n" for event in events)


def write(directory, *events, name="s.jsonl"):
    (directory / name).write_text(lines(*events))
    return name


def run(directory, *args, code=0):
    done = mockforge("ws", *args, cwd=directory)
    assert done.returncode == code, done
    return done


def shown(directory, *args):
    return [json.loads(line) for line in run(directory, "show", "--json", *args).stdout.splitlines()]


def data(directory, *args):
    return [event["data"] for event in shown(directory, *args)]


# ws show

TRADES = [{"type": "trade", "id": 1, "items": [{"price": 5}, {"price": 7.5}], "note": "Äpfel"},
          {"type": "quote", "id": "1", "items": [], "deep": {"a": {"b": None}}},
          {"type": "trade", "id": 2.0, "items": [{"price": "5"}], "x/y": True, "esc": "a\"\u00e9\n"}]


@pytest.fixture
def trades(tmp_path):
    return write(tmp_path, RECORDING, opened(0), *[text(i + 1, t) for i, t in enumerate(TRADES)],
                 text(9, "plain Text, no JSON"))


@pytest.mark.parametrize("args, expected", [
    (["--json-path", "type=trade"], [0, 2]),
    (["--json-path", "/type=tr*"], [0, 2]),
    (["--json-path", "id=1"], [0, 1]),
    (["--json-path", 'id="1"'], [1]),
    (["--json-path", "id=2"], [2]),  # 2.0 is 2
    (["--json-path", "items.*.price=5"], [0, 2]),
    (["--json-path", "items.1.price=7.50"], [0]),
    (["--json-path", "items.0"], [0, 2]),
    (["--json-path", "**.b=null"], [1]),
    (["--json-path", "/x~1y=true"], [2]),
    (["--json-path", 'esc=a"*'], [2]),
    (["--json-path", "type=trade", "--json-path", "id=1"], [0]),
    (["--json-path", "nothing"], []),
    (["--json-path", "type=TRADE"], []),
    (["--regex", '"id": ?[12]\\b'], [0, 2]),
    (["--regex", "äPFEL|no json"], []),
    (["-i", "--regex", "no json"], [3]),
    (["-i", "--grep", "NO json"], [3]),
    (["--grep", "NO json"], []),
    (["--grep", "Text", "--regex", "^plain"], [3]),
])
def test_show_filters_by_payload(tmp_path, trades, args, expected):
    everything = [json.dumps(t) for t in TRADES] + ["plain Text, no JSON"]
    assert data(tmp_path, *args, trades) == [everything[i] for i in expected]


def test_show_selects_values(tmp_path, trades):
    out = run(tmp_path, "show", "--select", "items.*.price", trades).stdout.splitlines()
    assert [line.split("->")[1].strip() for line in out] == ["5", "7.5", "5"]
    selected = shown(tmp_path, "--select", "/deep", "--json-path", "type=quote", trades)
    assert selected == [{"connection": "conn-1", "timestamp_ms": 2, "direction": "incoming", "type": "text",
                         "value": {"a": {"b": None}}}]
    assert run(tmp_path, "show", "--select", "esc", trades).stdout.endswith('-> a"\u00e9\\n\n')


@pytest.mark.parametrize("args, message", [
    (["--regex", "a("], "--regex: "), (["--json-path", "a..b"], "expected a name between the dots"),
    (["--select", "/a~3"], "expected ~0 or ~1"), (["--json-path", "a=[b"], "without its")])
def test_show_refuses_bad_patterns(tmp_path, trades, args, message):
    assert message in run(tmp_path, "show", *args, trades, code=2).stderr


def test_a_message_in_frames_and_pieces_is_one(tmp_path):
    whole = json.dumps({"type": "big", "text": "needle in three frames"})
    frames = [text(1, whole[:12], fin=False), text(2, "other", connection="conn-2"),
              text(3, whole[12:30], type="continuation", fin=False),
              {"connection": "conn-1", "timestamp_ms": 3.5, "direction": "incoming", "type": "ping", "data": "needle"},
              text(4, "the other direction", "outgoing"), text(5, whole[30:], type="continuation"),
              text(6, "nee", frame_offset=0, frame_size=6), text(7, "dle", frame_offset=3, frame_size=6),
              text(8, "needle without its end", fin=False),
              {"type": "end", "connection": "conn-1", "timestamp_ms": 9, "by": "client", "reason": "closed"}]
    path = write(tmp_path, RECORDING, *frames)
    assert [f["timestamp_ms"] for f in shown(tmp_path, "--grep", "needle in three", path)] == [1, 3, 5]
    assert [f["timestamp_ms"] for f in shown(tmp_path, "--json-path", "type=big", path)] == [1, 3, 5]
    assert [f["timestamp_ms"] for f in shown(tmp_path, "--regex", "^needle$", path)] == [3.5, 6, 7]
    assert [f["timestamp_ms"] for f in shown(tmp_path, "--grep", "needle", path)] == [3.5, 1, 3, 5, 6, 7, 8]
    assert [f["value"] for f in shown(tmp_path, "--select", "text", path)] == ["needle in three frames"]
    assert [f["timestamp_ms"] for f in shown(tmp_path, "--grep", "needle", "--type", "ping", path)] == [3.5]


def test_a_pattern_that_runs_away_ends(tmp_path):
    path = write(tmp_path, RECORDING, text(1, "a" * 5000 + "!"), text(2, "aaab"))
    assert data(tmp_path, "--regex", "^(a+)+b$", path) == ["aaab"]


# ws stats

def known(tmp_path):
    """10 s, two connections; numbers that can be counted by hand."""
    events = [RECORDING, opened(0, "/a"), opened(1000, "/b", "conn-2")]
    for i in range(10):  # conn-1: asks each second, is answered 100 ms later, at 5 s 400 ms later
        late = 400 if i == 5 else 100
        events.append(text(i * 1000, {"type": "ask", "id": i, "pad": "x" * i}))
        events.append(text(i * 1000 + late, {"type": "answer", "id": i}, "outgoing"))
    events += [text(3000, "tick", "outgoing", "conn-2"), text(3010, "tick", "outgoing", "conn-2"),
               text(3020, "tick", "outgoing", "conn-2"),
               {"connection": "conn-2", "timestamp_ms": 3030, "direction": "outgoing", "type": "binary",
                "encoding": "base64", "data": "AAECAw=="},
               text(3040, "ab", "outgoing", "conn-2", fin=False),
               text(3050, "cd", "outgoing", "conn-2", type="continuation"),
               {"connection": "conn-2", "timestamp_ms": 4000, "direction": "outgoing", "type": "close", "code": 1001,
                "reason": "bye"},
               {"type": "end", "connection": "conn-2", "timestamp_ms": 4000, "by": "upstream", "reason": "x"},
               {"type": "gap", "connection": "conn-1", "timestamp_ms": 10000, "frames": 3, "bytes": 77}]
    return write(tmp_path, *sorted(events, key=lambda e: e.get("timestamp_ms", -1)))


def stats(directory, *args):
    return json.loads(run(directory, "stats", "--json", *args).stdout)


def test_stats_of_known_numbers(tmp_path):
    path = known(tmp_path)
    s = stats(tmp_path, path)
    both, out, in_ = s["messages"]["both"], s["messages"]["outgoing"], s["messages"]["incoming"]
    sizes = [len(json.dumps({"type": "ask", "id": i, "pad": "x" * i})) for i in range(10)]
    assert (in_["messages"], out["messages"], both["messages"]) == (10, 15, 25)
    assert (out["frames"], both["frames"]) == (16, 26)
    assert in_["payload_bytes"] == sum(sizes)
    assert in_["size_bytes"] == {"count": 10, "min": min(sizes), "median": sorted(sizes)[4], "p99": max(sizes),
                                 "max": max(sizes)}
    assert out["rate"]["peak"] == 6 and out["rate"]["peak_second"] == 3 and in_["rate"]["peak"] == 1
    assert both["rate"]["mean"] == pytest.approx(25 / 9.1)
    assert in_["gap_ms"] == {"count": 9, "min": 1000, "median": pytest.approx(1000, rel=.01),
                             "p90": pytest.approx(1000, rel=.01), "p99": 1000, "max": 1000}
    for answers in (s["answer_ms"], s["answer_by_id_ms"]):
        assert answers["count"] == 10 and answers["min"] == 100 and answers["max"] == 400
        assert answers["median"] == pytest.approx(100, rel=.01) and answers["p99"] == 400
    assert s["types"] == {"open": 2, "text": 24, "binary": 1, "continuation": 1, "close": 1, "end": 1}
    assert s["close_codes"] == [{"code": 1001, "incoming": 0, "outgoing": 1}]
    assert s["ended_by"] == {"client": 0, "upstream": 1, "gateway": 0}
    assert (s["connections"], s["open_at_end"], s["gaps"]) == (2, 1, {"frames": 3, "bytes": 77})
    assert s["connection_ms"]["max"] == 3000
    assert [(k["name"], k["incoming"], k["outgoing"]) for k in s["kinds"]] == [
        ("answer", 0, 10), ("ask", 10, 0), ("tick", 0, 3), ("(binary)", 0, 1), ("abcd", 0, 1)]
    assert [(c["name"], c["messages"]) for c in s["top_connections"]] == [("conn-1", 20), ("conn-2", 5)]


@pytest.mark.parametrize("args, messages, connections", [
    (["--connection", "conn-2"], 5, 1), (["--path", "/a*"], 20, 1), (["--path", "/none"], 0, 0),
    (["--from", "5", "--to", "6"], 3, 1), (["--connection", "conn-7"], 0, 0)])
def test_stats_filters(tmp_path, args, messages, connections):
    s = stats(tmp_path, *args, known(tmp_path))
    assert (s["messages"]["both"]["messages"], s["connections"]) == (messages, connections)


def test_stats_by_path_and_for_people(tmp_path):
    path = known(tmp_path)
    kinds = {k["name"]: k["outgoing"] for k in stats(tmp_path, "--by-path", "id", path)["kinds"]}
    assert kinds == {**{str(i): 1 for i in range(10)}, "(no JSON)": 4, "(binary)": 1}
    out = run(tmp_path, "stats", path).stdout
    assert re.search(r"messages +10 +15 +25\n", out) and re.search(r"client's message to answer +10 +100.000 ms", out)
    assert re.search(r"1001 +0 +1  going away", out) and "\x1b" not in out
    table = [line for line in out.splitlines() if line.startswith("  size")]
    assert table and len({len(line) for line in table}) == 1, "columns stand below each other"


def test_stats_kinds_of_other_protocols(tmp_path):
    path = write(tmp_path, RECORDING, text(1, '42["chat",{"room":1}]'), text(2, '["join","x"]'), text(3, "SUBSCRIBE a"),
                 text(4, '{"jsonrpc":"2.0","method":"add","id":1}'), text(5, "{}"), text(6, ""), text(7, "3"))
    names = {k["name"] for k in stats(tmp_path, path)["kinds"]}
    assert names == {"42 chat", "join", "SUBSCRIBE", "add", "(object)", "(empty)", "(value)"}


def test_stats_of_many_kinds_are_bounded(tmp_path):
    path = write(tmp_path, RECORDING, *[text(i, {"type": f"kind-{i}"}) for i in range(1500)])
    s = stats(tmp_path, path)
    assert len(s["kinds"]) == 1024 and s["other_kinds"]["incoming"] == 1500 - 1024


def test_stats_of_bad_files(tmp_path):
    (tmp_path / "empty.jsonl").write_text("")
    assert "the file is empty" in run(tmp_path, "stats", "empty.jsonl", code=3).stderr
    assert stats(tmp_path, "--recover", "empty.jsonl")["messages"]["both"]["messages"] == 0
    (tmp_path / "cut.jsonl").write_text(lines(RECORDING, text(1, "a")) + '{"conn')
    assert "cut.jsonl:3: byte" in run(tmp_path, "stats", "cut.jsonl", code=3).stderr
    assert stats(tmp_path, "--recover", "cut.jsonl")["truncated"] is True
    (tmp_path / "bad.jsonl").write_text(lines(RECORDING, text(1, "a")) + "nonsense\n" + lines(text(2, "b")))
    assert "bad.jsonl:3:1: expected an object" in run(tmp_path, "stats", "bad.jsonl", code=3).stderr
    assert stats(tmp_path, "--recover", "bad.jsonl")["messages"]["both"]["messages"] == 2
    assert "No such file" in run(tmp_path, "stats", "none.jsonl", code=3).stderr


# ws tail of a file

class Tail:
    """`ws tail --json` in the background: what it has printed and said."""

    def __init__(self, starter, *args):
        directory = starter.directory / f"tail-{len(starter.started)}"  # its stdout is its own; files are one up
        directory.mkdir()
        args = [f"../{a}" if str(a).endswith((".jsonl", ".jsonl.zst")) else a for a in args]
        self.process = starter.process("ws", "tail", "--json", *args, cwd=directory)
        self.out = directory / "stdout"

    @property
    def events(self):
        return [json.loads(line) for line in self.out.read_text().splitlines(True) if line.endswith("\n")]

    @property
    def data(self):
        return [e.get("data") for e in self.events if "data" in e]

    def wait(self, *expected):
        eventually(lambda: self.data[-len(expected):] == list(expected), f"the last lines are {expected}")

    def stop(self):
        """It follows until it is interrupted."""
        self.process.kill9()
        return self.process.log


def append(path, *events):
    with open(path, "a") as f:
        f.write(lines(*events))


@pytest.mark.parametrize("args, expected", [
    ([], [str(i) for i in range(20, 30)]), (["-n", "3"], ["27", "28", "29"]), (["-n", "0"], []),
    (["-n", "2", "--direction", "incoming"], ["26", "28"]), (["-n", "100"], [str(i) for i in range(30)]),
    (["-n", "2", "--grep", "1"], ["19", "21"])])
def test_tail_begins_at_the_last_messages(gateway, tmp_path, args, expected):
    path = tmp_path / "t.jsonl"
    path.write_text(lines(RECORDING, *[text(i, str(i), "outgoing" if i % 2 else "incoming") for i in range(30)]))
    tail = Tail(gateway, *args, "t.jsonl")
    if expected:
        tail.wait(*expected)
    append(path, text(31, "1 more"))
    if not expected:  # it may come later than the line that was appended
        eventually(lambda: tail.data in ([], ["1 more"]))
    else:
        tail.wait(*expected, "1 more")
    tail.stop()


def test_tail_of_a_long_file_begins_near_its_end(gateway, tmp_path):
    events = [RECORDING] + [text(i, f"{i} " + "x" * 500) for i in range(4000)] + [text(4001, "rare")]
    (tmp_path / "long.jsonl").write_text(lines(*events))
    assert mockforge("ws", "convert", "long.jsonl", "long.jsonl.zst", cwd=tmp_path).returncode == 0
    for name in ("long.jsonl", "long.jsonl.zst"):
        tail = Tail(gateway, "-n", "3", name)
        eventually(lambda t=tail: t.data[-1:] == ["rare"])
        assert [d.split()[0] for d in tail.data[-3:]] == ["3998", "3999", "rare"]
        tail.stop()


def test_tail_follows_parts_replacement_and_truncation(gateway, tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text(lines(RECORDING, text(1, "one")))
    tail = Tail(gateway, "t.jsonl")
    tail.wait("one")
    append(path, text(2, "two"))
    tail.wait("one", "two")
    (tmp_path / "new").write_text(lines(RECORDING, text(3, "three")))
    os.replace(tmp_path / "new", path)
    tail.wait("two", "three")
    tail.process.wait_log("t.jsonl was replaced")
    os.truncate(path, 0)
    tail.process.wait_log("t.jsonl was truncated")
    append(path, RECORDING, text(4, "four"))
    tail.wait("three", "four")
    (tmp_path / "t.2.jsonl").write_text(lines(RECORDING, text(5, "five")))
    tail.wait("four", "five")
    tail.process.wait_log("the recording goes on in ../t.2.jsonl")
    os.remove(tmp_path / "t.2.jsonl")
    tail.process.wait_log("t.2.jsonl is gone; waiting")
    (tmp_path / "t.5.jsonl").write_text(lines(RECORDING, text(6, "six")))  # 3 and 4 were not kept
    tail.wait("five", "six")
    tail.stop()


def test_tail_begins_in_the_last_part_and_those_before(gateway, tmp_path):
    for part in (1, 2, 3):
        name = "t.jsonl" if part == 1 else f"t.{part}.jsonl"
        (tmp_path / name).write_text(lines(RECORDING, text(part, f"a{part}"), text(part, f"b{part}")))
    tail = Tail(gateway, "-n", "5", "t.jsonl")
    tail.wait("b1", "a2", "b2", "a3", "b3")
    append(tmp_path / "t.3.jsonl", text(9, "more"))
    tail.wait("b3", "more")
    assert "a1" not in tail.data
    tail.stop()


def test_tail_waits_for_a_file_and_ends_with_a_document(gateway, tmp_path):
    tail = Tail(gateway, "later.jsonl")
    tail.process.wait_log("waiting for ../later.jsonl")
    (tmp_path / "later.jsonl").write_text(lines(RECORDING, text(1, "there")))
    tail.wait("there")
    tail.stop()
    mockforge("ws", "convert", "later.jsonl", "later.json", cwd=tmp_path)
    done = run(tmp_path, "tail", "later.json")
    assert "there" in done.stdout and "nothing comes after it" in done.stderr


# ws tail of a gateway

ADMIN = {"MOCKFORGE_ADMIN_ENABLED": "true", "MOCKFORGE_ADMIN_PORT": "0"}
CONFIG = """
websocket:
  host: 127.0.0.1
  port: 0
  workers: 2
  max_message_size: 1048576
  handlers:
    - path: /echo
      type: echo
      record: true
      record_path: echo.jsonl.zst
    - path: /other/*
      type: echo
      record: true
      record_path: other.jsonl.zst
    - path: /quiet
      type: echo
"""
PAGE = "/__mockforge/ws/tail"


@pytest.fixture
def admin(gateway):
    def starter(config=CONFIG, **env):
        g = gateway(config, env={**ADMIN, **env})
        found = g.wait_log(r"admin_listening address=(\S+):(\d+) ")
        g.admin = (found[1], int(found[2]))
        g.admin_url = f"http://{found[1]}:{found[2]}"
        return g
    return starter


def ask(g, path=PAGE, headers=(), host="localhost", method="GET"):
    fields = "".join(f"{n}: {v}\r\n" for n, v in [("Host", host), *headers])
    return http(g.admin, f"{method} {path} HTTP/1.1\r\n{fields}\r\n".encode())


class Listener:
    """A raw client of the page. `lines` are those that came so far."""

    def __init__(self, g, query="", minor=1):
        self.sock, self.raw = tcp(g.admin), b""
        self.sock.settimeout(TIMEOUT)
        self.sock.sendall(f"GET {PAGE}{query} HTTP/1.{minor}\r\nHost: localhost\r\n\r\n".encode())
        while b"\r\n\r\n" not in self.raw or len(self.body) == 0:
            self.receive()

    def receive(self):
        more = self.sock.recv(65536)
        self.raw += more
        return more

    @property
    def body(self):
        head, _, rest = self.raw.partition(b"\r\n\r\n")
        if b"chunked" not in head:
            return rest
        body = b""
        while b"\r\n" in rest:
            size, _, rest = rest.partition(b"\r\n")
            if len(rest) < int(size, 16):
                break
            body, rest = body + rest[:int(size, 16)], rest[int(size, 16) + 2:]
        return body

    @property
    def lines(self):
        return [json.loads(line) for line in self.body.splitlines(True) if line.endswith(b"\n")]

    def until(self, predicate):
        while not any(predicate(line) for line in self.lines):
            assert self.receive(), "the stream ended"
        return self.lines

    def until_raw(self, what):
        while what not in self.raw[-4096:]:
            assert self.receive(), "the stream ended"

    def to_the_end(self):
        while self.receive():
            pass
        return self.lines


def say(g, path, *messages, connection=None):
    c = connection or g.client(path)
    for m in messages:
        c.text(m)
        assert c.recv_text() == m
    return c


def test_tail_endpoint_streams_redacted_lines(admin):
    g = admin()
    listener = Listener(g)
    assert b"Transfer-Encoding: chunked" in listener.raw and b"application/x-ndjson" in listener.raw
    first = listener.lines[0]
    assert first["type"] == "recording" and "only connections to recorded routes" in first["tail"]["note"]
    assert first["tail"]["recorded_routes"] == ["/echo", "/other/*"] and "/quiet" in first["tail"]["unrecorded_routes"]
    say(g, "/quiet", "not seen").finish()
    say(g, "/echo?token=hunter2", "a", "b").finish()
    got = listener.until(lambda line: line["type"] == "end")
    assert got[1]["type"] == "recording" and got[1]["file"].endswith("echo.jsonl.zst")
    assert got[2]["type"] == "open" and got[2]["query"] == "token=[redacted]" and "hunter2" not in listener.raw.decode()
    assert [(e["direction"], e["data"]) for e in got if e["type"] == "text"] == [
        ("incoming", "a"), ("outgoing", "a"), ("incoming", "b"), ("outgoing", "b")]
    assert "not seen" not in listener.raw.decode()
    g.stop()
    assert listener.to_the_end() and listener.raw.endswith(b"0\r\n\r\n")


def test_tail_endpoint_filters(admin):
    g = admin()
    before = Listener(g)
    first = say(g, "/echo", "0")
    before.until(lambda line: line.get("direction") == "outgoing")
    before.sock.close()
    cases = {"?direction=outgoing": ["1", "2"], "?path=/other/*": ["2", "2"], "?path=%2Fec%68o": ["1", "1"],
             "?connection=conn-1": ["1", "1"], "?connection=conn-9": [], "?": ["1", "1", "2", "2"]}
    listeners = {query: Listener(g, query) for query in cases}
    say(g, "/echo", "1", connection=first)
    say(g, "/other/x", "2").finish()
    listeners["?"].until(lambda line: line["type"] == "end")
    g.stop(hurry=True)
    for query, expected in cases.items():
        assert [e["data"] for e in listeners[query].to_the_end() if e["type"] == "text"] == expected, query


@pytest.mark.parametrize("query", ["?direction=up", "?direction", "?colour=red", "?path=%zz", "?path=[a", "?path=%00"])
def test_tail_endpoint_refuses_bad_queries(admin, query):
    g = admin()
    assert ask(g, PAGE + query).status == 400


def test_tail_endpoint_guards(admin):
    g = admin(MOCKFORGE_ADMIN_TOKEN="s3cret")
    good = [("Authorization", "Bearer s3cret")]
    assert ask(g, host="evil.example", headers=good).status == 403
    assert ask(g, headers=[*good, ("Origin", "http://evil.example")]).status == 403
    assert ask(g).status == 401
    assert ask(g, headers=[("Authorization", "Bearer wrong")]).status == 401
    assert ask(g, headers=good, method="POST").status == 405
    assert ask(g, headers=good, method="HEAD").status == 200
    done = run(g.cwd, "tail", "--gateway", g.admin_url, code=3)
    assert "answered 401" in done.stderr and "--token" in done.stderr


def test_tail_endpoint_takes_a_few_and_gives_places_back(admin):
    g = admin()
    listeners = [Listener(g) for _ in range(8)]
    refused = ask(g)
    assert refused.status == 503 and json.loads(refused.body)["error"] == "too_many"
    say(g, "/echo", "to all of them").finish()
    for listener in listeners:
        assert any(e.get("data") == "to all of them" for e in listener.until(lambda e: e["type"] == "end"))
    listeners[3].sock.close()
    eventually(lambda: _place(g), "a place is free again")
    assert ask(g, "/health/live").status == 200


def _place(g):
    s = tcp(g.admin)
    s.settimeout(TIMEOUT)
    s.sendall(f"GET {PAGE} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    status = s.recv(64)
    s.close()
    return b" 200 " in status


def test_a_slow_listener_loses_lines_and_nobody_else_does(admin):
    g = admin()
    slow = socket.create_connection(g.admin)
    slow.sendall(f"GET {PAGE}?direction=incoming HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
    quick = Listener(g, "?direction=incoming", minor=0)
    c, count, size = g.client("/echo"), 200, 60000
    for i in range(count):
        say(g, "/echo", f"{i} " + "x" * size + f"<{i}>", connection=c)
        if i % 10 == 9:
            quick.until_raw(f"<{i}>".encode())
    assert b"chunked" not in quick.raw
    say(g, "/echo", "the last one", connection=c)
    quick.until_raw(b"the last one")
    assert len([e for e in quick.lines if e["type"] == "text"]) == count + 1
    slow.settimeout(TIMEOUT)
    raw = b""
    while b"the last one" not in raw and b'"type":"gap"' not in raw:
        more = slow.recv(1 << 20)
        assert more
        raw += more
    # What was lost is told once there is room: as many lines as are missing before the next that came through.
    say(g, "/echo", "after", connection=c)
    while b'"after"' not in raw:
        more = slow.recv(1 << 20)
        assert more
        raw += more
    got = [json.loads(line) for line in raw.partition(b"\r\n\r\n")[2].splitlines() if line.endswith(b"}")]
    lost = sum(e["frames"] for e in got if e["type"] == "gap")
    texts = [e for e in got if e["type"] == "text"]
    assert lost > 0 and lost + len(texts) == count + 2
    assert g.memory() < 200 << 20 or SANITIZED


def test_tail_command_follows_a_gateway(admin, gateway):
    g = admin()
    tail = Tail(gateway, "--gateway", g.admin_url, "--json-path", "n", "--path", "/echo")
    tail.process.wait_log(r"recorded routes: /echo, /other/\*")
    tail.process.wait_log("not recorded, so not seen: /quiet")
    say(g, "/echo", '{"n":1}', "no JSON", '{"n":2}').finish()
    tail.wait('{"n":1}', '{"n":1}', '{"n":2}', '{"n":2}')
    g.stop()
    tail.process.check(tail.process.wait())
    assert "has ended" in tail.process.log


def test_tail_command_says_when_nothing_is_recorded(admin, gateway):
    g = admin(CONFIG.replace("record: true", "record: false"))
    tail = Tail(gateway, "--gateway", g.admin_url)
    tail.process.wait_log("no route is recorded. Put `record: true` on a route")
    tail.stop()


@pytest.mark.parametrize("args, code, message", [
    (["--gateway", "https://h"], 2, "http:// only"), (["--gateway", "http://127.0.0.1:1"], 3, "port 1: "),
    (["--gateway", "http://h", "file"], 2, "give a FILE, or"), (["--last", "3"], 2, "--last is for a FILE")])
def test_tail_command_usage(tmp_path, args, code, message):
    assert message in run(tmp_path, "tail", *args, code=code).stderr


def test_tail_sees_rotation(admin, gateway, tmp_path):
    """The recorder's own parts, begun while the file is followed."""
    g = admin(MOCKFORGE_WS_RECORD_ROTATE_SIZE="4096")
    tail = Tail(gateway, "echo.jsonl.zst")
    c = say(g, "/echo", "first")
    tail.wait("first", "first")
    noise = [os.urandom(8000).hex() for _ in range(4)]
    for i, part in enumerate(noise):
        say(g, "/echo", part, connection=c)
        eventually(lambda i=i: (tmp_path / f"echo.{i + 2}.jsonl.zst").exists(), f"part {i + 2}")
    say(g, "/echo", "last", connection=c)
    tail.wait("last", "last")
    assert tail.data == [d for m in ["first", *noise, "last"] for d in (m, m)]
    tail.process.wait_log("the recording goes on in ../echo.5.jsonl.zst")
    tail.stop()


# seeking, and files that are cut or lie

def frames_of(path):
    """[(offset, size)] of the zstd frames that hold lines, by the table at the end."""
    raw = path.read_bytes()
    count, = struct.unpack("<I", raw[-9:-5])
    at, frames = 0, []
    for i in range(count):
        size, _ = struct.unpack("<II", raw[-9 - 8 * (count - i):][:8])
        frames.append((at, size))
        at += size
    return frames


@pytest.fixture(scope="module")
def long_file(tmp_path_factory):
    directory = tmp_path_factory.mktemp("seek")
    (directory / "s.jsonl").write_text(lines(RECORDING, *[text(i * 10, f"{i} " + os.urandom(100).hex())
                                                          for i in range(6000)]))
    assert mockforge("ws", "convert", "s.jsonl", "s.jsonl.zst", cwd=directory).returncode == 0
    assert len(frames_of(directory / "s.jsonl.zst")) > 8
    return directory / "s.jsonl.zst"


def table(sizes):
    entries = b"".join(struct.pack("<II", a, b) for a, b in sizes)
    rest = entries + struct.pack("<IBI", len(sizes), 0, 0x8F92EAB1)
    return struct.pack("<II", 0x184D2A5E, len(rest)) + rest


def body_and_sizes(path):
    frames = frames_of(path)
    end = frames[-1][0] + frames[-1][1]
    return path.read_bytes()[:end], [size for _, size in frames]


def fake_frame(*events):
    return subprocess.run(["zstd", "-c", "--check"], input=lines(*events).encode(), capture_output=True, check=True).stdout


def lie(kind, body, sizes):
    """The file's body and a table that is not true."""
    if kind == "missing":
        return body
    if kind == "shifted":  # each frame begins 3 bytes later, the sum is right
        return body + table([(sizes[0] + 3, 1), *[(s, 1) for s in sizes[1:-1]], (sizes[-1] - 3, 1)])
    if kind == "swapped":
        return body + table([(s, 1) for s in sizes[::-1]])
    if kind == "one wrong":
        half = len(sizes) // 2
        wrong = [*sizes[:half], sizes[half] - 7, sizes[half + 1] + 7, *sizes[half + 2:]]
        return body + table([(s, 1) for s in wrong])
    if kind == "merged":
        return body + table([(sum(sizes[:4]), 1), *[(s, 1) for s in sizes[4:]]])
    if kind == "all skipped":
        return body + table([(s, 0) for s in sizes])
    if kind == "nothing":
        return body + table([])
    if kind == "huge":
        return body + struct.pack("<II", 0x184D2A5E, 9) + struct.pack("<IBI", 0xFFFFFFFF, 0, 0x8F92EAB1)
    # Into a skippable frame that holds a whole zstd frame with other lines: nobody who reads the file in order sees it.
    other = fake_frame(*[text(i * 10, "a lie") for i in range(3000, 3010)])
    inside = struct.pack("<II", 0x184D2A50, len(other)) + other
    cut = sum(sizes[:len(sizes) // 2])
    return body[:cut] + inside + body[cut:] + table([*[(s, 1) for s in sizes[:len(sizes) // 2 - 1]],
                                                   (sizes[len(sizes) // 2 - 1] + 8, 1), (len(other), 1),
                                                   *[(s, 1) for s in sizes[len(sizes) // 2:]]])


@pytest.mark.parametrize("kind", ["missing", "shifted", "swapped", "one wrong", "merged", "all skipped", "nothing", "huge",
                                  "hidden frame"])
def test_a_lying_seek_table_changes_nothing(tmp_path, long_file, kind):
    """All that is in the file is given out; that the table lies is told at the end, but with --recover."""
    (tmp_path / "lie.jsonl.zst").write_bytes(lie(kind, *body_and_sizes(long_file)))
    table_at = len(b"".join(lie(kind, *body_and_sizes(long_file)).rpartition(struct.pack("<I", 0x184D2A5E))[:1]))
    for args in ([], ["--from", 45]):
        whole = mockforge("ws", "show", "--json", *map(str, args), long_file.name, cwd=long_file.parent)
        told = mockforge("ws", "show", "--json", *map(str, args), "lie.jsonl.zst", cwd=tmp_path)
        assert told.stdout == whole.stdout and whole.returncode == 0
        if kind == "missing":
            assert told.returncode == 0, told.stderr
            continue
        assert told.returncode == 3, (args, told.stderr)
        assert re.match(r"mockforge: lie\.jsonl\.zst: byte \d+: .*seek table.*\n", told.stderr), told.stderr
        assert str(table_at) in told.stderr and "--recover" in told.stderr, told.stderr
        recovered = mockforge("ws", "show", "--json", "--recover", *map(str, args), "lie.jsonl.zst", cwd=tmp_path)
        assert recovered.returncode == 0 and recovered.stdout == whole.stdout, recovered.stderr
    for begin in (0.005, 1, 14.995, 29.9, 30, 30.05, 45, 59.99, 61):
        expected = [i for i in range(6000) if begin <= i / 100 <= begin + 0.1]
        args = ["--from", begin, "--to", begin + 0.1, "--type", "text"]
        assert [int(d.split()[0]) for d in data(tmp_path, "--recover", *args, "lie.jsonl.zst")] == expected, begin
        assert [int(d.split()[0]) for d in data(long_file.parent, *args, long_file.name)] == expected, begin


def test_files_that_are_cut(tmp_path):
    """What is left of a small recording is shown, and nothing crashes; exit codes say what there was. (Cut at every byte
    it is read in tests/unit/test_replay_source.c, without a process for each.)"""
    parts = [lines(RECORDING, opened(0), text(1, "first frame")), lines(text(2, "second frame")),
             lines(text(3, "third frame"))]
    frames = [subprocess.run(["zstd", "-c", "--check"], input=part.encode(), capture_output=True, check=True).stdout
              for part in parts] + [table([(0, 0)])]
    raw = b"".join(frames)
    ends = [len(b"".join(frames[:i])) for i in range(len(frames) + 1)]
    cuts = {end + i for end in ends for i in range(-2, 3)} | set(range(0, len(raw), 13))
    path = tmp_path / "cut.jsonl.zst"
    most = -1
    for size in sorted(cut for cut in cuts if 0 <= cut <= len(raw)):
        path.write_bytes(raw[:size])
        done = mockforge("ws", "show", "--json", "--recover", "cut.jsonl.zst", cwd=tmp_path)
        assert done.returncode in (0, 3), (size, done)
        assert done.returncode == 0 or done.stderr.startswith("mockforge: cut.jsonl.zst: "), (size, done)
        got = [e["data"] for e in map(json.loads, done.stdout.splitlines()) if e["type"] == "text"]
        assert got == ["first frame", "second frame", "third frame"][:len(got)], size
        assert len(got) >= most, "a longer file holds no less"
        most = max(most, len(got))
        done = mockforge("ws", "show", "--from", "0.003", "cut.jsonl.zst", cwd=tmp_path)
        assert done.returncode in (0, 3), (size, done)
    assert most == 3
