"""ws convert to and from the forms of others, ws redact, ws merge, ws cut: on files that this writes itself, and mocks
drawn from recordings, served."""
import base64
import fcntl
import json
import os
import pty
import struct
import subprocess
import termios
from pathlib import Path

import pytest
from harness import mockforge
from setting import BINARY_PATH, TIMEOUT
from wire import BINARY, TEXT

SAMPLE = Path(__file__).resolve().parents[2] / "recordings" / "sample.jsonl.zst"
SECOND = 1705314600  # 2024-01-15T10:30:00Z
RECORDED = {"type": "recording", "version": 1, "recorded_at": "2024-01-15T10:30:00.000Z", "generator": "test"}


def run(directory, *args, code=0):
    done = mockforge(*map(str, args), cwd=directory)
    assert done.returncode == code, done
    return done


def show(directory, path, *args):
    """The file's events."""
    out = run(directory, "ws", "show", "--json", *args, path).stdout
    return [json.loads(line) for line in out.splitlines()]


def brief(events):
    """What was said: who, when, which way, what."""
    return [(e["connection"], e["timestamp_ms"], e["direction"], e["type"],
             base64.b64decode(e["data"]) if "encoding" in e else e["data"])
            for e in events if e["type"] in ("text", "binary", "ping", "pong")]


def zstdcat(path):
    return subprocess.run(["zstdcat", path], capture_output=True, check=True).stdout


def lines(*events):
    return "".join(json.dumps(e) + "\n" for e in events)


def opened(ms, connection="conn-1", path="/ws", **more):
    return {"type": "open", "connection": connection, "timestamp_ms": ms, "path": path, "query": None,
            "remote_addr": None, "upstream": None, "request_headers": {}, "response_headers": {},
            "subprotocol": None, **more}


def text(ms, direction, data, connection="conn-1", **more):
    return {"connection": connection, "timestamp_ms": ms, "direction": direction, "type": "text",
            "data": data if isinstance(data, str) else json.dumps(data), **more}


def ended(ms, connection="conn-1"):
    return {"connection": connection, "timestamp_ms": ms, "type": "end", "by": "client", "reason": "normal"}


# HAR files as three programs write them

def message(kind, time, data, opcode=1):
    return {"type": kind, "time": time, "opcode": opcode, "data": data}


def http_entry(body="<html>]}{[</html>"):
    return {"startedDateTime": "2024-01-15T10:29:58.000Z", "time": 3, "cache": {}, "timings": {"send": 0},
            "request": {"method": "GET", "url": "https://shop.example/", "httpVersion": "h2", "headers": []},
            "response": {"status": 200, "content": {"size": len(body), "text": body}}}


def devtools():
    """The members in DevTools' order: messages in front of the request."""
    def entry(url, start, messages):
        return {"_initiator": {"type": "script", "stack": {"callFrames": [{"functionName": "f", "lineNumber": 3}]}},
                "_priority": "High", "_resourceType": "websocket", "_webSocketMessages": messages, "cache": {},
                "request": {"method": "GET", "url": url, "httpVersion": "HTTP/1.1",
                            "headers": [{"name": "Host", "value": "shop.example"}, {"name": "Cookie", "value": "s=1"},
                                        {"name": "X", "value": "1"}, {"name": "X", "value": "2"}],
                            "queryString": [], "cookies": [], "headersSize": -1, "bodySize": 0},
                "response": {"status": 101, "statusText": "Switching Protocols", "httpVersion": "HTTP/1.1",
                             "headers": [{"name": "Sec-WebSocket-Protocol", "value": "v2.chat"}], "cookies": [],
                             "content": {"size": 0, "mimeType": "x-unknown"}, "redirectURL": "", "headersSize": -1,
                             "bodySize": -1, "_transferSize": 0, "_error": None},
                "serverIPAddress": "192.0.2.1", "startedDateTime": start, "time": 5000, "timings": {"blocked": -1}}
    entries = [
        http_entry(),
        entry("wss://shop.example/chat?room=5#top", "2024-01-15T10:30:00.000Z", [
            message("send", SECOND + 0.25, '{"a":"\u00e9\U0001f600"}'),
            message("receive", SECOND + 0.5, "AAH/", 2),
            message("receive", SECOND + 3, "late")]),
        http_entry("\\\"" * 1000),
        entry("ws://shop.example", "2024-01-15T10:30:01.000Z", [
            message("send", SECOND + 1.5, "other"),
            {"type": "error", "time": SECOND + 2, "opcode": -1, "data": "Connection failed"}]),
    ]
    return {"log": {"version": "1.2", "creator": {"name": "WebInspector", "version": "537.36"}, "pages": [
        {"startedDateTime": "2024-01-15T10:29:58.000Z", "id": "page_1", "title": "shop", "pageTimings": {}}],
        "entries": entries}}


def playwright():
    """Milliseconds; headers of HTTP/2; an entry without times (omitTiming)."""
    def entry(start, messages):
        return {"pageref": "page@1", "startedDateTime": start, "time": 250, "_resourceType": "websocket",
                "request": {"method": "GET", "url": "ws://localhost:3000/socket", "httpVersion": "HTTP/1.1",
                            "cookies": [], "headers": [{"name": ":authority", "value": "localhost"},
                                                       {"name": "Origin", "value": "null"}],
                            "queryString": [], "headersSize": -1, "bodySize": -1},
                "response": {"status": 101, "headers": [], "content": {"size": -1, "mimeType": "x-unknown"}},
                "cache": {}, "timings": {"send": -1, "wait": -1, "receive": -1}, "_webSocketMessages": messages}
    ms = SECOND * 1000
    return {"log": {"version": "1.2", "creator": {"name": "Playwright", "version": "1.60.0"},
                    "browser": {"name": "chromium", "version": "140"}, "pages": [], "entries": [
        entry("2024-01-15T10:30:00.000Z", [message("send", ms + 250, '{"a":"\u00e9\U0001f600"}'),
                                           message("receive", ms + 500.125, "AAH/", 2)]),
        entry("2024-01-15T10:30:01.000Z", [message("send", -1, "untimed"), message("receive", -1, "too")])]}}


def mitmproxy():
    """An https URL, a time with an offset, microseconds."""
    return {"log": {"version": "1.2", "creator": {"name": "mitmproxy", "version": "12", "comment": ""}, "pages": [],
                    "entries": [http_entry(), {
        "startedDateTime": "2024-01-15T11:30:00.000000+01:00", "time": 12.0,
        "request": {"method": "GET", "url": "https://shop.example/ws", "httpVersion": "HTTP/1.1", "cookies": [],
                    "headers": [{"name": "Host", "value": "shop.example"}], "queryString": []},
        "response": {"status": 101, "statusText": "Switching Protocols", "headers": [], "content": {}},
        "cache": {}, "timings": {"connect": None, "ssl": None, "send": 1, "receive": 0, "wait": 2},
        "_resourceType": "websocket",
        "_webSocketMessages": [message("send", SECOND + 0.250001, '{"a":"\u00e9\U0001f600"}'),
                               message("receive", SECOND + 0.5, "AAH/", 2)]}]}}


SAID = [("incoming", "text", '{"a":"\u00e9\U0001f600"}'), ("outgoing", "binary", b"\x00\x01\xff")]


@pytest.mark.parametrize("har, times", [(devtools, [250, 500]), (playwright, [250, 500.125]),
                                        (mitmproxy, [250.001, 500])])
def test_har_of_others(tmp_path, har, times):
    (tmp_path / "in.har").write_text(json.dumps(har(), indent=2 if har is mitmproxy else None))
    events = show(tmp_path, "in.har")
    assert events[0] == {**RECORDED, "generator": None}
    said = brief(events)
    assert [(e[2], e[3], e[4]) for e in said[:2]] == SAID
    assert [e[1] for e in said[:2]] == times and {e[0] for e in said[:2]} == {"conn-1"}
    # to the native form and back, twice, with the same events
    run(tmp_path, "ws", "convert", "in.har", "native.jsonl.zst")
    run(tmp_path, "ws", "convert", "native.jsonl.zst", "back.har")
    assert brief(show(tmp_path, "native.jsonl.zst")) == said
    assert [{**e, "generator": None} if e["type"] == "recording" else e for e in show(tmp_path, "back.har")] == events


def test_devtools_handshake_and_order(tmp_path):
    """Connections that stand one behind the other come out as they happened, with their handshakes."""
    (tmp_path / "in.har").write_text("\ufeff" + json.dumps(devtools()))
    events = show(tmp_path, "in.har")
    assert [(e["type"], e.get("connection"), e.get("timestamp_ms")) for e in events] == [
        ("recording", None, None), ("open", "conn-1", 0), ("text", "conn-1", 250), ("binary", "conn-1", 500),
        ("open", "conn-2", 1000), ("text", "conn-2", 1500), ("text", "conn-1", 3000)]
    assert events[1] == opened(0, path="/chat", query="room=5", upstream="wss://shop.example/chat?room=5",
                               subprotocol="v2.chat",
                               request_headers={"Host": "shop.example", "Cookie": "s=1", "X": ["1", "2"]},
                               response_headers={"Sec-WebSocket-Protocol": "v2.chat"})
    assert events[4]["path"] == "/" and events[4]["query"] is None


def test_our_har_holds_the_recording(tmp_path):
    """Everything of the sample, pings and closes too; members that DevTools asks for are there."""
    run(tmp_path, "ws", "convert", SAMPLE, "s.har")
    assert (tmp_path / "s.har").stat().st_mode & 0o777 == 0o600
    log = json.loads((tmp_path / "s.har").read_text())["log"]
    assert log["version"] == "1.2" and log["creator"]["name"] == "mockforge" and log["pages"] == []
    assert len(log["entries"]) == 2
    for entry in log["entries"]:
        assert {"startedDateTime", "time", "request", "response", "cache", "timings"} <= entry.keys()
        assert {"method", "url", "httpVersion", "cookies", "headers", "queryString", "headersSize",
                "bodySize"} <= entry["request"].keys()
        assert {"status", "statusText", "httpVersion", "cookies", "headers", "content", "redirectURL", "headersSize",
                "bodySize"} <= entry["response"].keys()
        assert {"size", "mimeType"} <= entry["response"]["content"].keys()
        assert {"send", "wait", "receive"} <= entry["timings"].keys()
        assert entry["_resourceType"] == "websocket" and entry["response"]["status"] == 101
        assert all(m["type"] in ("send", "receive") and m["opcode"] in (1, 2, 8, 9, 10) and
                   SECOND <= m["time"] < SECOND + 10 for m in entry["_webSocketMessages"])
    assert log["entries"][0]["request"]["url"] == "ws://localhost:8080/ws/orders?token=[redacted]"
    run(tmp_path, "ws", "convert", "s.har", "back.jsonl.zst")
    assert zstdcat(tmp_path / "back.jsonl.zst") == zstdcat(SAMPLE)


def test_har_joins_fragments(tmp_path):
    (tmp_path / "f.jsonl").write_text(lines(
        RECORDED, opened(0), text(1, "incoming", "one ", fin=False), opened(1, "conn-2"),
        text(2, "incoming", "other", "conn-2"),
        {**text(3, "incoming", "two"), "type": "continuation"},
        text(4, "outgoing", "pie", frame_offset=0, frame_size=6), text(5, "outgoing", "ces", frame_offset=3, frame_size=6),
        {"connection": "conn-1", "timestamp_ms": 6, "type": "gap", "frames": 2, "bytes": 10}))
    done = run(tmp_path, "ws", "convert", "f.jsonl", "f.har")
    assert "2 messages came in fragments" in done.stderr and "left out" in done.stderr
    assert brief(show(tmp_path, "f.har")) == [
        ("conn-2", 2, "incoming", "text", "other"), ("conn-1", 3, "incoming", "text", "one two"),
        ("conn-1", 5, "outgoing", "text", "pieces")]


def test_har_with_many_connections_at_once(tmp_path):
    """More connections than have a place in memory, all of them talking in turn."""
    count, rounds = 150, 4
    entries = [{"startedDateTime": "2024-01-15T10:30:00.000Z", "_resourceType": "websocket",
                "request": {"url": f"ws://h/{i}", "headers": []},
                "_webSocketMessages": [message("send", SECOND + r + i / 1000, f"{i}.{r}") for r in range(rounds)]}
               for i in range(count)]
    (tmp_path / "many.har").write_text(json.dumps({"log": {"entries": entries}}))
    said = brief(show(tmp_path, "many.har"))
    assert [e[4] for e in said] == [f"{i}.{r}" for r in range(rounds) for i in range(count)]
    run(tmp_path, "ws", "convert", "many.har", "many.jsonl.zst")
    run(tmp_path, "ws", "convert", "many.jsonl.zst", "again.har")
    assert brief(show(tmp_path, "again.har")) == said


@pytest.mark.parametrize("content, error", [
    ('{"log":{"entries":[{"request":{}}]}}', "expected a WebSocket connection"),
    ('{"log":{"entries":[{"_webSocketMessages":[{"type":"send","opcode":1,"data":"a"},\n {"type":"up","data":"b"}]}]}}',
     'bad.har:2:2: expected "send" or "receive"'),
    ('{"log":{"entries":[{"_webSocketMessages":[{"type":"send","opcode":7,"data":""}]}]}}', "expected opcode 1, 2, 8"),
    ('{"log":{"entries":[{"_webSocketMessages":[{"type":"send","opcode":2,"data":"*"}]}]}}', "expected base64"),
    ('{"log":{"entries":[{"_webSocketMessages":[{"type":"send","time":1e400,"data":""}]}]}}', "expected seconds"),
    ('{"log":{"entries":[{"_webSocketMessages":[' + "[" * 10000 + "]}]}}", "expected at most 64 levels"),
    ('{"log":{"entries":[' + '{"x":' * 10000 + "1", "expected at most 64 levels"),
    ('{"log":{"pages":[]}}', 'expected a member "entries"'),
    ('{"log":{"entries":[{"_webSocketMessages":[{"type":"send","data":"a"}]}]}} {', "expected nothing after"),
])
def test_har_that_is_none(tmp_path, content, error):
    """An error with a place, exit code 3, and nothing written."""
    (tmp_path / "bad.har").write_text(content)
    done = run(tmp_path, "ws", "convert", "bad.har", "out.jsonl.zst", code=3)
    assert "bad.har" in done.stderr and error in done.stderr, done.stderr
    assert [p.name for p in tmp_path.iterdir() if p.is_file() and not p.name.startswith(".")] == ["bad.har"]


def test_har_recover(tmp_path):
    """What is no message leaves a gap, a cut file what came before the cut."""
    har = devtools()
    har["log"]["entries"][1]["_webSocketMessages"].insert(1, message("receive", SECOND + 0.3, "not base64!", 2))
    whole = json.dumps(har)
    (tmp_path / "bad.har").write_text(whole)
    run(tmp_path, "ws", "show", "bad.har", code=3)
    events = show(tmp_path, "bad.har", "--recover")
    assert [e["type"] for e in events if e.get("connection") == "conn-1"] == ["open", "text", "gap", "binary", "text"]
    (tmp_path / "cut.har").write_text(whole[:whole.index('"other"') + 3])
    done = run(tmp_path, "ws", "convert", "--recover", "cut.har", "cut.jsonl")
    assert "ends in the middle" in done.stderr
    assert [e["data"] for e in show(tmp_path, "cut.jsonl") if e["type"] == "text"] == ['{"a":"\u00e9\U0001f600"}', "late"]


# MockForge's replay lines

def test_mockforge_lines(tmp_path):
    """Their documented example: what waitFor awaits is a message of the client."""
    (tmp_path / "in.jsonl").write_text(lines(
        {"ts": 0, "dir": "out", "text": "HELLO {{uuid}}", "waitFor": "^CLIENT_READY$"},
        {"ts": 10, "dir": "out", "text": '{"type":"welcome"}'},
        {"ts": 20, "dir": "out", "text": "data", "waitFor": "$.user.id"},
        {"ts": 25, "dir": "in", "text": "a.b"},
        {"ts": 30, "dir": "out", "text": "ok", "waitFor": "^a\\.b$"},
        {"ts": 40, "dir": "out", "binary": "AAH/"}))
    assert brief(show(tmp_path, "in.jsonl")) == [
        ("conn-1", 0, "incoming", "text", "CLIENT_READY"), ("conn-1", 0, "outgoing", "text", "HELLO {{uuid}}"),
        ("conn-1", 10, "outgoing", "text", '{"type":"welcome"}'),
        ("conn-1", 20, "incoming", "text", '{"user":{"id":null}}'), ("conn-1", 20, "outgoing", "text", "data"),
        ("conn-1", 25, "incoming", "text", "a.b"), ("conn-1", 30, "outgoing", "text", "ok"),
        ("conn-1", 40, "outgoing", "binary", b"\x00\x01\xff")]
    run(tmp_path, "ws", "convert", "in.jsonl", "native.jsonl.zst")
    run(tmp_path, "ws", "convert", "--to", "mockforge", "native.jsonl.zst", "back.jsonl")
    assert brief(show(tmp_path, "back.jsonl")) == brief(show(tmp_path, "in.jsonl"))
    back = [json.loads(line) for line in (tmp_path / "back.jsonl").read_text().splitlines()]
    assert back[1] == {"ts": 0, "dir": "out", "text": "HELLO {{uuid}}", "waitFor": "^CLIENT_READY$"}
    assert back[6]["waitFor"] == "^a\\.b$"


def test_mockforge_lines_of_one_connection(tmp_path):
    done = run(tmp_path, "ws", "convert", "--to", "mockforge", SAMPLE, "x.jsonl", code=3)
    assert "choose one (conn-1, conn-2" in done.stderr
    run(tmp_path, "ws", "convert", "--to", "mockforge", "--connection", "conn-2", SAMPLE, "x.jsonl")
    want = [e[1:] for e in brief(show(tmp_path, SAMPLE)) if e[0] == "conn-2" and e[3] in ("text", "binary")]
    assert [e[2:] for e in brief(show(tmp_path, "x.jsonl"))] == [w[1:] for w in want]
    done = run(tmp_path, "ws", "convert", "--to", "mockforge", "--connection", "nobody", SAMPLE, "y.jsonl", code=3)
    assert 'expected a connection "nobody"' in done.stderr
    (tmp_path / "bad.jsonl").write_text('{"ts":0,"dir":"out","text":"a"}\n{"ts":0,"dir":"up","text":"a"}\n')
    done = run(tmp_path, "ws", "show", "bad.jsonl", code=3)
    assert 'bad.jsonl:2:15: expected "in" or "out"' in done.stderr


# a recording as a mock

CONVERSATION = lines(
    RECORDED, opened(0, path="/api", subprotocol="v1"),
    text(1, "outgoing", {"type": "hello", "note": "{{now}} is no template"}),
    text(2, "incoming", {"type": "subscribe", "id": "req-1", "channel": "orders"}),
    text(3, "outgoing", {"type": "subscribed", "id": "req-1", "channel": "orders"}),
    {"connection": "conn-1", "timestamp_ms": 4, "direction": "outgoing", "type": "binary", "encoding": "base64",
     "data": "AAH/"},
    text(5, "incoming", {"type": "subscribe", "id": "req-2", "channel": "news"}),
    text(6, "outgoing", {"type": "subscribed", "id": "req-2", "channel": "news"}),
    {"connection": "conn-1", "timestamp_ms": 7, "direction": "outgoing", "type": "binary", "encoding": "base64",
     "data": "AAH/"},
    text(8, "incoming", {"type": "get", "item": "a*"}), text(9, "outgoing", {"value": 1}),
    text(10, "incoming", {"type": "get", "item": "b"}), text(11, "outgoing", {"value": 2, "open": "{{"}),
    text(12, "incoming", '42["chat",{"text":"hi"}]'), text(13, "outgoing", '43["ok"]'),
    text(14, "incoming", {"type": "silent"}),
    text(15, "incoming", "PING 1"), text(16, "outgoing", "PONG \u2028 \x7f\\ \"quoted\""),
    text(17, "incoming", ["add", 1, 2]), text(18, "outgoing", {"sum": 3}),
    text(19, "incoming", {"$ref": 1, "odd name": 2}), text(20, "outgoing", {"seen": True}),
    ended(30),
    opened(31, "conn-2", "/other%20path"), text(32, "incoming", "x", "conn-2"), text(33, "outgoing", "y", "conn-2"))


def test_mock(gateway, tmp_path):
    """The configuration is accepted, and answers as the recorded server did, with the live client's values."""
    (tmp_path / "in.jsonl").write_text(CONVERSATION)
    run(tmp_path, "ws", "convert", "--to", "mock", "in.jsonl", "drawn.yaml")
    assert (tmp_path / "drawn.yaml").stat().st_mode & 0o777 == 0o600
    run(tmp_path, "config", "check", "drawn.yaml")
    assert run(tmp_path, "ws", "convert", "--to", "mock", "in.jsonl").stdout == (tmp_path / "drawn.yaml").read_text()
    g = gateway((tmp_path / "drawn.yaml").read_text(), args=("--set", "websocket.port=0"))
    c = g.client("/api", [("Sec-WebSocket-Protocol", "v1")])

    def say(what, *answers):
        c.text(what if isinstance(what, str) else json.dumps(what))
        for answer in answers:
            if isinstance(answer, bytes):
                c.expect(BINARY, answer)
            else:
                c.expect(TEXT, (answer if isinstance(answer, str) else json.dumps(answer)).encode())

    c.expect(TEXT, json.dumps({"type": "hello", "note": "{{now}} is no template"}).encode())
    say({"type": "silent"})
    say({"type": "subscribe", "id": "mine", "channel": "sport"},
        {"type": "subscribed", "id": "mine", "channel": "sport"}, b"\x00\x01\xff")
    say({"type": "get", "item": "b"}, {"value": 2, "open": "{{"})
    say({"type": "get", "item": "a*"}, {"value": 1})
    say('42["chat",{"text":"something else"}]', '43["ok"]')
    say("PING 2", "PONG \u2028 \x7f\\ \"quoted\"")
    say(["add", 5, 6], {"sum": 3})
    say({"$ref": 5, "odd name": 6, "more": 7}, {"seen": True})
    other = g.client("/other%20path")
    other.text("x")
    other.expect(TEXT, b"y")


# redact

def secretive(directory):
    path = directory / "secret.jsonl"
    path.write_text(lines(
        RECORDED,
        opened(0, query="a=1&token=SECRET1&mine=SECRET2", upstream="ws://me:SECRET3@h/x?key=SECRET4",
               request_headers={"Host": "h", "Authorization": "SECRET5", "X-Mine": "SECRET6"},
               response_headers={"Set-Cookie": ["SECRET7", "SECRET8"]}),
        text(1, "incoming", {"user": {"password": "SECRET9", "name": "Zoë"}, "n": 1}),
        text(2, "incoming", '{"password":"SEC', fin=False),
        text(3, "outgoing", "no JSON"),
        {**text(4, "incoming", 'RET10","a":2}'), "type": "continuation"},
        text(5, "outgoing", '{"items":[{"password":"SECR', frame_offset=0, frame_size=37),
        text(6, "outgoing", 'ET11"}]}  ', frame_offset=27, frame_size=37),
        {"connection": "conn-1", "timestamp_ms": 7, "direction": "incoming", "type": "ping", "data": "p"},
        text(8, "incoming", '{"password":"SECRET12', fin=False),
        ended(9)))
    return path


@pytest.mark.parametrize("target", ["out.jsonl.zst", "out.jsonl", "out.json", "out.json.zst", "out.har"])
def test_redact_leaves_no_secret(tmp_path, target):
    secretive(tmp_path)
    done = run(tmp_path, "ws", "redact", "secret.jsonl", "-o", target, "--header", "x-mine", "--query", "mine",
               "--json-path", "**.password")
    out = tmp_path / target
    assert out.stat().st_mode & 0o777 == 0o600
    data = zstdcat(out) if target.endswith(".zst") else out.read_bytes()
    assert b"SECRET" not in data and b"SEC" not in data and b"Zo" in data
    assert "1 value of the header Authorization" in done.stderr and "2 values of the header Set-Cookie" in done.stderr
    assert "3 messages\n" in done.stderr and "1 message that could not be searched" in done.stderr
    said = [e[4] for e in brief(show(tmp_path, target)) if e[3] != "ping"]
    if target != "out.har":
        assert sorted(said) == sorted([
            '{"user": {"password": "[redacted]", "name": "Zo\\u00eb"}, "n": 1}', "no JSON",
            '{"password":"[redacted]","a":2}', '{"items":[{"password":"[redacted]"}]}  ',
            "[redacted: message without its end]"])
    assert not [p for p in tmp_path.iterdir() if "tmp-" in p.name]


def test_redact_in_place(tmp_path):
    """Several files; without JSON paths the messages are left alone, without defaults everything else is."""
    secretive(tmp_path)
    for name in ("a.jsonl.zst", "b.json"):
        run(tmp_path, "ws", "convert", "secret.jsonl", name)
    before = brief(show(tmp_path, "a.jsonl.zst"))
    counts = run(tmp_path, "ws", "redact", "--in-place", "--json", "a.jsonl.zst", "b.json").stdout.splitlines()
    assert [json.loads(c)["headers"] for c in counts] == [{"Authorization": 1, "Set-Cookie": 2}] * 2
    assert brief(show(tmp_path, "a.jsonl.zst")) == before == brief(show(tmp_path, "b.json"))
    assert show(tmp_path, "a.jsonl.zst")[1]["upstream"] == "ws://[redacted]@h/x?key=[redacted]"
    assert show(tmp_path, "a.jsonl.zst")[1]["query"] == "a=1&token=[redacted]&mine=SECRET2"
    again = zstdcat(tmp_path / "a.jsonl.zst")
    done = run(tmp_path, "ws", "redact", "--in-place", "a.jsonl.zst")
    assert "nothing to replace" in done.stderr and zstdcat(tmp_path / "a.jsonl.zst") == again
    run(tmp_path, "ws", "redact", "--no-defaults", "secret.jsonl", "-o", "same.jsonl")
    want = show(tmp_path, "secret.jsonl")
    want[1]["upstream"] = "ws://[redacted]@h/x?key=SECRET4"  # there is no rule without this one
    assert show(tmp_path, "same.jsonl") == want


def test_redact_refusals(tmp_path):
    secretive(tmp_path)
    (tmp_path / "in.har").write_text(json.dumps(devtools()))
    (tmp_path / "bad.jsonl").write_text(lines(RECORDED) + "nonsense\n")
    assert "say where to" in run(tmp_path, "ws", "redact", "secret.jsonl", code=2).stderr
    assert "exists" in run(tmp_path, "ws", "redact", "secret.jsonl", "-o", "bad.jsonl", code=2).stderr
    assert "not a JSON path" in run(tmp_path, "ws", "redact", "-i", "--json-path", "a..b", "secret.jsonl", code=2).stderr
    assert "--in-place" in run(tmp_path, "ws", "redact", "-i", "in.har", code=3).stderr
    assert "bad.jsonl:2:1" in run(tmp_path, "ws", "redact", "-i", "bad.jsonl", code=3).stderr
    assert (tmp_path / "bad.jsonl").read_text().endswith("nonsense\n")
    run(tmp_path, "ws", "redact", "in.har", "-o", "out.har")
    assert show(tmp_path, "out.har")[1]["request_headers"]["Cookie"] == "[redacted]"


# merge

def test_merge_by_wall_clock(tmp_path):
    """B began two seconds after A. Names stay unique, bytes stay what they were."""
    later = {**RECORDED, "recorded_at": "2024-01-15T10:30:02.000Z"}
    (tmp_path / "a.jsonl").write_text(lines(RECORDED, opened(0), text(100, "incoming", "a1"),
                                            text(2500, "outgoing", "a2"), text(4000, "incoming", "a3"), ended(5000)))
    (tmp_path / "b.jsonl").write_text(lines(later, opened(0.5), text(1, "incoming", "b1\u0000"),
                                            opened(2, "conn-2"), text(1000, "outgoing", "b2", "conn-2")))
    done = run(tmp_path, "ws", "merge", "b.jsonl", "a.jsonl", "-o", "m.jsonl.zst")
    assert "b.jsonl: conn-1 is conn-1-2\n" in done.stderr and "5 messages of 3 connections" in done.stderr
    events = show(tmp_path, "m.jsonl.zst")
    assert events[0]["recorded_at"] == RECORDED["recorded_at"]
    assert [(e["connection"], e["timestamp_ms"], e["type"], e.get("data")) for e in events[1:]] == [
        ("conn-1", 0, "open", None), ("conn-1", 100, "text", "a1"), ("conn-1-2", 2000.5, "open", None),
        ("conn-1-2", 2001, "text", "b1\u0000"), ("conn-2", 2002, "open", None), ("conn-1", 2500, "text", "a2"),
        ("conn-2", 3000, "text", "b2"), ("conn-1", 4000, "text", "a3"), ("conn-1", 5000, "end", None)]


def test_merge_parts_of_one_recording(tmp_path):
    """What rotation cut is put together again, a connection that goes on is one."""
    (tmp_path / "r.jsonl").write_text(lines(RECORDED, opened(0), text(1, "incoming", "one", fin=False)))
    (tmp_path / "r.2.jsonl").write_text(lines(
        RECORDED, opened(0, continued=True), {**text(2, "incoming", "two"), "type": "continuation"},
        opened(3, "conn-2"), ended(4), opened(5, "conn-1"), text(6, "incoming", "new")))
    done = run(tmp_path, "ws", "merge", "r.jsonl", "r.2.jsonl", "-o", "whole.json", "--json")
    assert json.loads(done.stdout)["renamed"] == 1
    assert [(e["connection"], e["type"]) for e in show(tmp_path, "whole.json")[1:]] == [
        ("conn-1", "open"), ("conn-1", "text"), ("conn-1", "continuation"), ("conn-2", "open"), ("conn-1", "end"),
        ("conn-1-2", "open"), ("conn-1-2", "text")]


def test_merge_forms_and_refusals(tmp_path):
    (tmp_path / "in.har").write_text(json.dumps(devtools()))
    run(tmp_path, "ws", "merge", "in.har", SAMPLE, "-o", "m.har")
    times = [e["timestamp_ms"] for e in show(tmp_path, "m.har")[1:]]
    assert len(times) == len(show(tmp_path, "in.har")) + len(show(tmp_path, SAMPLE)) - 2 and times == sorted(times)
    (tmp_path / "bad.jsonl").write_text(lines(RECORDED, opened(0), text(1, "incoming", "x")) + "{\n")
    assert "bad.jsonl:4" in run(tmp_path, "ws", "merge", SAMPLE, "bad.jsonl", "-o", "n.jsonl", code=3).stderr
    assert not (tmp_path / "n.jsonl").exists()
    run(tmp_path, "ws", "merge", "--recover", SAMPLE, "bad.jsonl", "-o", "n.jsonl")
    assert "gap" in {e["type"] for e in show(tmp_path, "n.jsonl")}
    assert "say where to" in run(tmp_path, "ws", "merge", SAMPLE, SAMPLE, code=2).stderr
    run(tmp_path, "ws", "merge", SAMPLE, "-o", "o.jsonl", code=2)


# cut

def long_recording(directory, name="long.jsonl.zst"):
    events = [RECORDED, opened(0, "conn-1", "/a"), opened(1, "conn-2", "/b"), opened(2, "conn-3", "/a"),
              ended(10, "conn-3")]
    for n in range(5000):
        events.append(text(100 + n * 10, "incoming" if n % 2 else "outgoing", f"{n} " + "x" * 200,
                           f"conn-{1 + n % 2}"))
    (directory / "long.jsonl").write_text(lines(*events))
    run(directory, "ws", "convert", "long.jsonl", name)
    return events


def test_cut_a_time(tmp_path):
    """Connections that are open then keep their handshake, continued; times stay, or count anew."""
    events = long_recording(tmp_path)
    run(tmp_path, "ws", "cut", "long.jsonl.zst", "--from", "20", "--to", "30", "-o", "part.jsonl.zst")
    part = show(tmp_path, "part.jsonl.zst")
    opens = [{**events[1], "continued": True}, {**events[2], "continued": True}]
    assert part[0] == RECORDED and part[1:3] == opens
    assert part[3:] == [e for e in events if e["type"] == "text" and 20000 <= e["timestamp_ms"] <= 30000]
    run(tmp_path, "ws", "cut", "long.jsonl.zst", "--from", "20", "--to", "30", "--rebase", "-o", "rebased.json")
    rebased = show(tmp_path, "rebased.json")
    assert rebased[0]["recorded_at"] == "2024-01-15T10:30:20.000Z"
    assert [e["timestamp_ms"] for e in rebased[1:]] == [0, 0] + [e["timestamp_ms"] - 20000 for e in part[3:]]
    assert [e.get("data") for e in rebased] == [e.get("data") for e in part]


@pytest.mark.parametrize("args, connections, types", [
    (["--connection", "conn-2"], {"conn-2"}, {"open", "text"}),
    (["--path", "/a"], {"conn-1", "conn-3"}, {"open", "text", "end"}),
    (["--path", "/[b-z]*", "--to", "1"], {"conn-2"}, {"open", "text"}),
    (["--type", "ping,close", "--connection", "conn-3"], {"conn-3"}, {"open", "end"}),
])
def test_cut_some(tmp_path, args, connections, types):
    events = long_recording(tmp_path)
    run(tmp_path, "ws", "cut", "long.jsonl.zst", *args, "-o", "part.jsonl")
    part = show(tmp_path, "part.jsonl")[1:]
    assert {e["connection"] for e in part} == connections and {e["type"] for e in part} == types
    assert all(e in events for e in part)


def test_cut_inside_a_message(tmp_path):
    """Of a message that began before, nothing is kept; what follows it is whole."""
    (tmp_path / "f.jsonl").write_text(lines(
        RECORDED, opened(0), text(1000, "incoming", "old ", fin=False), text(1100, "outgoing", "also "),
        {**text(2000, "incoming", "old", fin=False), "type": "continuation"},
        {**text(2100, "incoming", "old"), "type": "continuation"}, text(2200, "incoming", "new")))
    run(tmp_path, "ws", "cut", "f.jsonl", "--from", "1.5", "-o", "part.jsonl")
    assert [e.get("data") for e in show(tmp_path, "part.jsonl")[2:]] == ["new"]


def test_cut_with_a_table_that_lies_and_refusals(tmp_path):
    """The seek table says nothing that is believed; that and other damage is told, or passed over."""
    long_recording(tmp_path)
    data = bytearray((tmp_path / "long.jsonl.zst").read_bytes())
    entries = struct.unpack("<I", data[-9:-5])[0]
    for i in range(entries):
        at = len(data) - 9 - 8 * (entries - i)
        data[at:at + 4] = struct.pack("<I", 12345)
    (tmp_path / "lies.jsonl.zst").write_bytes(data)
    for name in ("long", "lies"):
        run(tmp_path, "ws", "cut", "--recover", f"{name}.jsonl.zst", "--from", "49", "-o", f"{name}.cut.jsonl")
    done = run(tmp_path, "ws", "cut", "lies.jsonl.zst", "--from", "49", "-o", "no.jsonl", code=3)
    assert "lies.jsonl.zst: byte 0: " in done.stderr and "seek table" in done.stderr and not (tmp_path / "no.jsonl").exists()
    assert (tmp_path / "lies.cut.jsonl").read_text() == (tmp_path / "long.cut.jsonl").read_text()
    data[len(data) // 2] ^= 0xff
    (tmp_path / "bad.jsonl.zst").write_bytes(data)
    run(tmp_path, "ws", "cut", "bad.jsonl.zst", "--from", "1", "-o", "bad.jsonl", code=3)
    run(tmp_path, "ws", "cut", "--recover", "bad.jsonl.zst", "--from", "1", "-o", "bad.jsonl")
    assert "gap" in {e["type"] for e in show(tmp_path, "bad.jsonl")}
    for args, error in [(["--from", "-1"], "not a number of seconds"), (["--from", "x"], "not a number"),
                        (["--from", "2", "--to", "1"], "after --from"), (["--type", "open"], "none of text")]:
        assert error in run(tmp_path, "ws", "cut", "long.jsonl.zst", *args, "-o", "no.jsonl", code=2).stderr
    done = run(tmp_path, "ws", "cut", "long.jsonl.zst", "--connection", "conn-9", "-o", "no.jsonl", code=3)
    assert "it holds none" in done.stderr and not (tmp_path / "no.jsonl").exists()


# a terminal

@pytest.mark.parametrize("command", [["redact", "long.jsonl.zst", "-o", "o.jsonl"],
                                     ["cut", "long.jsonl.zst", "--from", "3", "-o", "o.jsonl"],
                                     ["merge", "long.jsonl.zst", "long.jsonl.zst", "-o", "o.jsonl"]])
def test_progress_on_a_terminal(tmp_path, command):
    long_recording(tmp_path)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen([BINARY_PATH, "ws", *command], cwd=tmp_path, stderr=theirs)
    os.close(theirs)
    seen = b""
    while True:
        try:
            data = os.read(ours, 4096)
        except OSError:
            break
        if not data:
            break
        seen += data
    assert process.wait(TIMEOUT) == 0
    os.close(ours)
    assert b"ing: " in seen and b" %" in seen and seen.rstrip().endswith((b"messages", b"replace", b"open already)",
                                                                          b"connections"))
