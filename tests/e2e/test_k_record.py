"""The recorder: what is in a session file, in which form, and when."""
import asyncio
import base64
import json
import os
import re
import stat
import struct
import time

import pytest
import websockets
from harness import Background, mockforge, read_session, run, session_text, the_file, wait_for_lines
from setting import SLOW, TIMEOUT
from wire import BINARY, CONTINUATION, PING, PONG, TEXT, frame, part


def config(record_path="s.jsonl.zst", record="true", url=None, more=""):
    """An echo and a proxy route, both recorded."""
    return f"""
websocket:
  host: 127.0.0.1
  port: 0
  ping_interval: 0
  close_timeout_ms: 300
  record: {record}
  record_path: "{record_path}"
  handlers:
    - path: /echo
      type: echo
    - path: /proxy
      type: proxy
      upstream: "{url or 'ws://127.0.0.1:1/'}"
{more}"""


def test_the_lines_of_a_session(gateway, raw_upstream, tmp_path):
    """Everything that crosses a relay, in order, as the native form has it (docs/session-file.md)."""
    up = raw_upstream()
    g = gateway(config(url=up.url("/api")))
    client, server = g.pair(up, "/proxy?room=1", [("X-Custom", "v"), ("Sec-WebSocket-Protocol", "chat")],
                            answer=[("Sec-WebSocket-Protocol", "chat"), ("X-Server", "s")])
    for one, other, opcode, data, fin in [
            (client, server, TEXT, '{"a":"\u20ac"}'.encode(), True), (server, client, BINARY, b"\0\1\2", True),
            (client, server, TEXT, b"first ", False), (client, server, CONTINUATION, b"second", True),
            (server, client, PING, b"p", True), (client, server, PONG, b"p", True), (server, client, TEXT, b"", True)]:
        one.send_frame(opcode, data, fin=fin)
        f = other.recv_frame()
        assert (f.opcode, f.payload, f.fin) == (opcode, data, fin)
    server.close(4000, "done")
    client.expect_close(4000)
    client.close(4000, "done")
    server.expect_close(4000)
    server.close_socket()
    client.expect_eof()
    g.stop()

    lines = read_session(tmp_path / "s.jsonl.zst").lines
    head, opened, *frames, end = lines
    assert head["type"] == "recording" and head["version"] == 1 and head["generator"].startswith("mockforge ")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", head["recorded_at"])
    assert opened["type"] == "open" and opened["path"] == "/proxy" and opened["subprotocol"] == "chat"
    assert opened["query"] == "room=1" and opened["upstream"].startswith(up.url("/api"))
    assert opened["request_headers"]["X-Custom"] == "v" and opened["response_headers"]["X-Server"] == "s"
    name = opened["connection"]
    assert re.fullmatch(r"conn-\d+", name) and all(line["connection"] == name for line in lines[1:])
    times = [line["timestamp_ms"] for line in lines[1:]]
    assert times == sorted(times) and times[-1] < 60000
    bare = [{k: v for k, v in f.items() if k not in ("connection", "timestamp_ms")} for f in frames]
    assert bare == [
        {"direction": "incoming", "type": "text", "data": '{"a":"\u20ac"}'},
        {"direction": "outgoing", "type": "binary", "encoding": "base64", "data": "AAEC"},
        {"direction": "incoming", "type": "text", "fin": False, "data": "first "},
        {"direction": "incoming", "type": "continuation", "data": "second"},
        {"direction": "outgoing", "type": "ping", "data": "p"},
        {"direction": "incoming", "type": "pong", "data": "p"},
        {"direction": "outgoing", "type": "text", "data": ""},
        {"direction": "outgoing", "type": "close", "code": 4000, "reason": "done"},
        {"direction": "incoming", "type": "close", "code": 4000, "reason": "done"}]
    assert end["type"] == "end" and end["by"] == "upstream" and end["code"] == 4000


def test_an_echo_is_recorded_as_well(gateway, tmp_path):
    g = gateway(config())
    c = g.client("/echo")
    c.text("hello")
    c.expect(TEXT, b"hello")
    c.finish()
    g.stop()
    s = read_session(tmp_path / "s.jsonl.zst")
    assert s.directions() == [("incoming", "hello"), ("outgoing", "hello")]
    assert s.of("open")[0]["upstream"] is None
    assert s.of("end")[0]["by"] == "client"


@pytest.mark.parametrize("who,by", [("client closes", "client"), ("client vanishes", "client"), ("upstream closes", "upstream"),
                                    ("upstream vanishes", "upstream"), ("client breaks the protocol", "client"),
                                    ("upstream breaks the protocol", "upstream"), ("gateway stops", "gateway"),
                                    ("upstream dies in a frame", "upstream")])
def test_the_end_line_says_who_ended_it(gateway, raw_upstream, tmp_path, who, by):
    up = raw_upstream()
    g = gateway(config(url=up.url()))
    client, server = g.pair(up)
    side, _, how = who.partition(" ")
    one, other = (client, server) if side == "client" else (server, client)
    if how == "closes":
        one.close(1000)
        other.expect_close(1000)
        other.close(1000)
        one.expect_close(1000)
        server.close_socket()
    elif how == "vanishes":
        one.close_socket(reset=True)
    elif how == "breaks the protocol":
        one.send_frame(3)
    elif how == "dies in a frame":
        one.send(frame(TEXT, b"x" * 1000, mask=False)[:500])
        one.close_socket()
    elif how == "stops":
        g.send_signal(15)
        client.expect_close(1001)
        client.close(1001)
    ended = wait_for_lines(tmp_path / "s.jsonl.zst", lambda s: s.of("end")).of("end")[0]
    assert ended["by"] in ((by,) if "breaks" not in who else (by, "gateway")), ended
    assert ended["reason"]


def test_a_client_that_is_gone_gets_nothing_more(gateway, raw_upstream, tmp_path):
    """What the upstream answers to our own 1001 is neither a frame to the client nor the code that ended the session."""
    up = raw_upstream()
    g = gateway(config("s.jsonl", url=up.url()))
    client, server = g.pair(up)
    client.close_socket()
    server.expect_close(1001)
    server.close(1000, "as you like")
    server.expect_eof()
    g.stop()
    _, _, *frames, end = read_session(tmp_path / "s.jsonl").lines
    assert frames == []
    assert {k: v for k, v in end.items() if k not in ("connection", "timestamp_ms")} == {
        "type": "end", "by": "client", "reason": "gone"}
    assert "reason=gone by=client code=0" in g.log


def test_flushed_within_flush_ms(gateway, tmp_path):
    """What was said is on disk while the connection stays open and silent."""
    g = gateway(config(record="{flush_ms: 50}"))
    c = g.client("/echo")
    c.text("soon")
    c.expect(TEXT, b"soon")
    began = time.monotonic()
    wait_for_lines(tmp_path / "s.jsonl.zst", lambda s: len(s.messages) == 2)
    assert time.monotonic() - began < 2 * SLOW


def test_two_connections_share_a_dated_file(gateway, tmp_path):
    g = gateway(config("recordings/ws-{{date}}.jsonl.zst"))
    a, b = g.client("/echo"), g.client("/echo")
    for c, text in ((a, "from a"), (b, "from b")):
        c.text(text)
        c.expect(TEXT, text.encode())
    a.finish()
    b.finish()
    g.stop()
    file = the_file(tmp_path / "recordings", "ws-*.zst")
    assert re.fullmatch(r"ws-\d{4}-\d\d-\d\d\.jsonl\.zst", file.name)
    s = read_session(file)
    names = [line["connection"] for line in s.of("open")]
    assert len(set(names)) == 2 and len(s.of("recording")) == 1
    heard = [{line["data"] for line in s.messages if line["connection"] == name} for name in names]
    assert sorted(map(list, heard)) == [["from a"], ["from b"]]


@pytest.mark.parametrize("template", ["{{connection.id}}", "{{uuid}}"])
def test_a_file_for_each_connection(gateway, tmp_path, template):
    g = gateway(config("each/" + template + ".jsonl"))
    for i in range(3):
        c = g.client("/echo")
        c.text(f"{i}")
        c.expect(TEXT, b"%d" % i)
        c.finish()
    g.stop()
    files = sorted((tmp_path / "each").iterdir())
    assert len(files) == 3
    assert sorted(read_session(f).messages[0]["data"] for f in files) == ["0", "1", "2"]


def test_a_path_from_the_client_stays_in_its_directory(gateway, tmp_path):
    """A header in record_path cannot climb out of the directory."""
    g = gateway(config("dir/of-{{header.x-name}}.jsonl"))
    c = g.client("/echo", [("X-Name", "../../escaped")])
    c.text("x")
    c.expect(TEXT, b"x")
    c.finish()
    g.stop()
    assert not list(tmp_path.parent.glob("escaped*")) and not list(tmp_path.glob("escaped*"))


def test_the_guides_document(gateway, tmp_path):
    """`.json`: written from the journal after the connections closed; times are whole milliseconds."""
    g = gateway(config("ws-{{date}}.json"))
    c = g.client("/echo")
    c.text('{"type": "subscribe", "channel": "orders"}')
    c.recv_message()
    c.binary(b"\xff\0")
    c.recv_message()
    c.finish()
    file = the_file(tmp_path, "ws-*-??.json")
    document = json.loads(file.read_text())
    assert set(document) >= {"metadata", "messages"}
    meta = document["metadata"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", meta["recorded_at"])
    assert isinstance(meta["duration_ms"], int) and meta["message_count"] == len(document["messages"])
    data = [m for m in document["messages"] if m["type"] in ("text", "binary")]
    assert [(m["direction"], m["type"]) for m in data] == [("incoming", "text"), ("outgoing", "text"), ("incoming", "binary"), ("outgoing", "binary")]
    assert data[0]["data"] == '{"type": "subscribe", "channel": "orders"}'
    assert data[2]["encoding"] == "base64" and base64.b64decode(data[2]["data"]) == b"\xff\0"
    assert all(isinstance(m["timestamp_ms"], int) and m["timestamp_us"] // 1000 == m["timestamp_ms"] for m in document["messages"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    # A later connection to the same path is in the same document, after the shutdown at the latest.
    c = g.client("/echo")
    c.text("later")
    c.recv_message()
    c.finish()
    g.stop()
    texts = [m["data"] for m in json.loads(the_file(tmp_path, "ws-*-??.json").read_text())["messages"] if m["type"] == "text"]
    assert texts[-1] == "later" and len(texts) == 4
    assert [f.name for f in tmp_path.glob("*journal*")] == []


@pytest.mark.parametrize("name", ["s.json", "s.json.zst", "s.jsonl", "s.jsonl.zst"])
def test_every_form_is_whole_after_a_shutdown_with_open_connections(gateway, tmp_path, name):
    g = gateway(config(name))
    c = g.client("/echo")
    c.text("said")
    c.expect(TEXT, b"said")
    g.send_signal(15)
    c.expect_close(1001)
    c.close(1001)
    g.stop()
    file = tmp_path / name
    if "jsonl" in name:
        s = read_session(file)
        assert s.directions() == [("incoming", "said"), ("outgoing", "said")]
        assert s.of("end")[0]["by"] == "gateway"
    else:
        messages = json.loads(session_text(file))["messages"]
        assert [m["data"] for m in messages if m["type"] == "text"] == ["said", "said"]
    assert [f.name for f in tmp_path.iterdir() if "journal" in f.name or f.name.endswith("tmp")] == []
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_seek_table_is_the_last_frame(gateway, tmp_path):
    g = gateway(config(record="{flush_ms: 1}"))
    c = g.client("/echo")
    for i in range(5):
        c.text(f"message {i}")
        c.expect(TEXT, b"message %d" % i)
        wait_for_lines(tmp_path / "s.jsonl.zst", lambda s: len(s.messages) == 2 * i + 2)
    c.finish()
    g.stop()
    raw = (tmp_path / "s.jsonl.zst").read_bytes()
    entries, descriptor, magic = struct.unpack("<IBI", raw[-9:])
    assert magic == 0x8F92EAB1 and descriptor == 0 and entries >= 5
    size = entries * 8 + 9
    assert struct.unpack("<II", raw[-size - 8:-size]) == (0x184D2A5E, size)
    table = [struct.unpack_from("<II", raw, len(raw) - size + 8 * i) for i in range(entries)]
    assert sum(packed for packed, _ in table) == len(raw) - size - 8
    assert sum(plain for _, plain in table) == len(session_text(tmp_path / "s.jsonl.zst").encode())


def test_redaction(gateway, raw_upstream, tmp_path):
    up = raw_upstream()
    g = gateway(config(url=up.url("/?api_key=UPSTREAMSECRET"), record="""
    redact:
      headers: [X-Private]
      query: [who]
      json: [password, "user.pin", "items.*.code"]
""", more="""      on_connect:
        headers:
          Authorization: "Bearer CONFIGSECRET"
"""))
    client, server = g.pair(up, "/proxy?token=QUERYSECRET&room=1&who=WHOSECRET", [
        ("Authorization", "Bearer HEADERSECRET"), ("Cookie", "sid=COOKIESECRET"), ("X-Api-Key", "KEYSECRET"),
        ("X-Private", "OWNSECRET"), ("X-Public", "public")], answer=[("Set-Cookie", "sid=SETSECRET")])
    client.text('{"user":{"name":"ann","pin":"PINSECRET"},"password" : "PASSSECRET", "items":[{"code":"CODESECRET","n":1}]}')
    server.recv_message()
    client.text('{"password":', fin=False)
    client.send_frame(CONTINUATION, b'"SPLITSECRET"}')
    server.recv_message()
    part(client, server)
    g.stop()
    text = session_text(tmp_path / "s.jsonl.zst")
    assert "SECRET" not in text, [w for w in re.findall(r"[A-Z]+SECRET", text)]
    assert "SECRET" not in g.log, [w for w in re.findall(r"[A-Z]+SECRET", g.log)]
    s = read_session(tmp_path / "s.jsonl.zst")
    opened = s.of("open")[0]
    assert opened["request_headers"]["X-Public"] == "public" and "room=1" in opened["query"]
    assert opened["request_headers"]["Authorization"] == "[redacted]"
    message = json.loads(s.messages[0]["data"])
    assert message == {"user": {"name": "ann", "pin": "[redacted]"}, "password": "[redacted]", "items": [{"code": "[redacted]", "n": 1}]}


def test_routes_that_share_a_file_keep_their_own_rules(gateway, raw_upstream, tmp_path):
    """The file is the one that "/echo" opened; redaction, leg and filters are each route's own."""
    up = raw_upstream()
    g = gateway(config(url=up.url(), more="""      record:
        leg: upstream
        exclude_ping: true
        redact: {headers: [X-Private], query: [who], json: [password]}
"""))
    first = g.client("/echo")
    client, server = g.pair(up, "/proxy?who=WHOSECRET", [("X-Private", "OWNSECRET")])
    client.ping(b"not recorded")
    client.text('{"password":"PASSSECRET"}')
    assert server.recv_frame().payload == b"not recorded"
    server.recv_message()
    part(client, server)
    first.text('{"password":"no secret here"}')
    first.recv_text()
    first.finish()
    g.stop()
    s = read_session(tmp_path / "s.jsonl.zst")
    assert "SECRET" not in session_text(tmp_path / "s.jsonl.zst")
    assert s.data("incoming") == ['{"password":"[redacted]"}', '{"password":"no secret here"}']
    assert [m.get("leg") for m in s.messages] == ["upstream", None, None] and s.of("ping") == []


def test_a_subprotocol_that_is_a_secret(gateway, raw_upstream, tmp_path):
    up = raw_upstream()
    g = gateway(config(url=up.url(), record="{redact: {headers: [sec-websocket-protocol]}}"))
    client, server = g.pair(up, "/proxy", [("Sec-WebSocket-Protocol", "SECRET")],
                            answer=[("Sec-WebSocket-Protocol", "SECRET")])
    part(client, server)
    g.stop()
    assert "SECRET" not in session_text(tmp_path / "s.jsonl.zst") and "SECRET" not in g.log
    assert read_session(tmp_path / "s.jsonl.zst").of("open")[0]["subprotocol"] == "[redacted]"


def test_what_is_redacted_still_reaches_the_upstream(gateway, raw_upstream):
    up = raw_upstream()
    g = gateway(config(url=up.url(), record="{redact: {json: [password]}}"))
    client, server = g.pair(up, "/proxy?token=t", [("Authorization", "Bearer a")])
    assert server.request.get("authorization") == "Bearer a" and "token=t" in server.request.target
    client.text('{"password":"p"}')
    server.expect(TEXT, b'{"password":"p"}')


def test_redaction_can_be_switched_off(gateway, tmp_path):
    g = gateway(config(record="{redact: false}"))
    c = g.client("/echo?token=visible", [("Authorization", "Bearer visible")])
    c.finish()
    g.stop()
    opened = read_session(tmp_path / "s.jsonl.zst").of("open")[0]
    assert opened["request_headers"]["Authorization"] == "Bearer visible" and opened["query"] == "token=visible"


def test_exclude_ping(gateway, tmp_path):
    g = gateway(config(record="{exclude_ping: true}"))
    c = g.client("/echo")
    c.ping(b"x")
    c.expect(PONG, b"x")
    c.text("kept")
    c.expect(TEXT, b"kept")
    c.finish()
    g.stop()
    s = read_session(tmp_path / "s.jsonl.zst")
    assert s.of("ping", "pong") == [] and len(s.messages) == 2


def test_a_path_filter(gateway, tmp_path):
    g = gateway(config(record='{only_path: "/ech*"}'))
    for path in ("/echo", "/ws"):
        c = g.client(path)
        c.text(path)
        c.expect(TEXT, path.encode())
        c.finish()
    g.stop()
    s = read_session(tmp_path / "s.jsonl.zst")
    assert [line["path"] for line in s.of("open")] == ["/echo"]


def test_a_route_may_be_left_out(gateway, tmp_path):
    g = gateway(config().replace("      type: echo\n", "      type: echo\n      record: false\n"))
    for path in ("/echo", "/ws"):
        c = g.client(path)
        c.finish()
    g.stop()
    assert [line["path"] for line in read_session(tmp_path / "s.jsonl.zst").of("open")] == ["/ws"]


def test_only_a_route_may_be_recorded(gateway, tmp_path):
    """The guide's form: `record: true` and `record_path` on the route."""
    g = gateway("""
websocket:
  host: 127.0.0.1
  port: 0
  handlers:
    - path: /echo
      type: echo
      record: true
      record_path: "./recordings/ws-{{date}}.json"
""")
    for path in ("/echo", "/ws"):
        c = g.client(path)
        c.text(path)
        c.expect(TEXT, path.encode())
        c.finish()
    g.stop()
    messages = json.loads(the_file(tmp_path / "recordings", "*.json").read_text())["messages"]
    assert {m["data"] for m in messages if m["type"] == "text"} == {"/echo"}


def test_rotation_by_size(gateway, tmp_path):
    g = gateway(config(record="{rotate_size: 100000, flush_ms: 20}"))
    c = g.client("/echo")
    for _ in range(60):
        c.binary(os.urandom(3000))
        c.recv_message()
    c.finish()
    g.stop()
    files = sorted(tmp_path.glob("s*.jsonl.zst"))
    assert len(files) >= 2 and tmp_path / "s.2.jsonl.zst" in files
    sessions = [read_session(f) for f in files]
    assert sum(len(s.messages) for s in sessions) == 120
    for s in sessions:  # each can be read alone
        assert s.lines[0]["type"] == "recording" and (not s.frames or s.lines[1]["type"] == "open")
    assert len({s.lines[0]["recorded_at"] for s in sessions}) == 1


def test_retention_by_count(gateway, tmp_path):
    (tmp_path / "keep").mkdir()
    (tmp_path / "keep" / "notes.txt").write_text("not ours")
    g = gateway(config("keep/{{connection.id}}.jsonl", record="{keep_files: 2}"))
    for _ in range(6):
        c = g.client("/echo")
        c.finish()
    g.stop()
    assert (tmp_path / "keep" / "notes.txt").exists()
    assert len(list((tmp_path / "keep").glob("*.jsonl"))) <= 3


def test_an_existing_file_is_gone_on_with(gateway, tmp_path):
    for text in ("first run", "second run"):
        g = gateway(config())
        c = g.client("/echo")
        c.text(text)
        c.expect(TEXT, text.encode())
        c.finish()
        g.stop()
    s = read_session(tmp_path / "s.jsonl.zst")
    assert s.data("incoming") == ["first run", "second run"] and len(s.of("recording")) == 2


def test_an_existing_document_is_never_overwritten(gateway, tmp_path):
    (tmp_path / "s.json").write_text('{"mine": true}')
    g = gateway(config("s.json"))
    c = g.client("/echo")
    c.text("x")
    c.expect(TEXT, b"x")
    c.finish()
    g.stop()
    assert (tmp_path / "s.json").read_text() == '{"mine": true}'
    texts = [m for m in json.loads((tmp_path / "s-2.json").read_text())["messages"] if m["type"] == "text"]
    assert [m["data"] for m in texts] == ["x", "x"]


def test_a_large_message_is_recorded_whole(gateway, raw_upstream, tmp_path):
    up = raw_upstream()
    g = gateway(config(url=up.url()))
    client, server = g.pair(up)
    data, text = os.urandom(3_000_000), "\u20ac" * 700_000
    sending = Background(lambda: (client.binary(data), client.text(text)))
    assert server.recv_message().payload == data
    assert server.recv_text() == text
    sending.join()
    g.stop()
    s = read_session(tmp_path / "s.jsonl.zst")
    pieces = [line for line in s.messages if line["type"] == "binary"]
    whole = b""
    for piece in pieces:
        assert piece.get("frame_offset", 0) == len(whole) and piece.get("frame_size", len(data)) == len(data)
        whole += base64.b64decode(piece["data"])
    assert whole == data
    assert "".join(line["data"] for line in s.messages if line["type"] == "text") == text


def test_many_connections_in_one_file(gateway, ws_upstream, tmp_path):
    up = ws_upstream()
    g = gateway(config(url=up.url()))

    async def one(i):
        async with websockets.connect(g.url("/proxy")) as ws:
            for k in range(50):
                await ws.send(f"{i}:{k}")
                assert await ws.recv() == f"{i}:{k}"

    async def talk():
        await asyncio.gather(*[one(i) for i in range(40)])
    run(talk(), 3 * TIMEOUT)
    g.stop()
    s = read_session(tmp_path / "s.jsonl.zst")
    assert len(s.of("open")) == len(s.of("end")) == 40 and len(s.messages) == 4000
    heard = {}
    for line in s.messages:
        heard.setdefault((line["connection"], line["direction"]), []).append(line["data"])
    assert len(heard) == 80
    for texts in heard.values():
        assert [t.split(":")[1] for t in texts] == [str(k) for k in range(50)]
        assert len({t.split(":")[0] for t in texts}) == 1


def test_a_refused_connection_is_not_a_session(gateway, tmp_path):
    g = gateway(config())
    g.client("/proxy", status=502)
    c = g.client("/echo")
    c.finish()
    g.stop()
    s = read_session(tmp_path / "s.jsonl.zst")
    assert [line["path"] for line in s.of("open")] == ["/echo"]


def test_the_file_can_be_shown_while_it_is_written(gateway, tmp_path):
    g = gateway(config())
    c = g.client("/echo")
    c.text("visible at once")
    c.expect(TEXT, b"visible at once")
    wait_for_lines(tmp_path / "s.jsonl.zst", lambda s: len(s.messages) == 2)
    done = mockforge("ws", "show", "s.jsonl.zst", cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.count("visible at once") == 2, done
    c.finish()
