"""HAR files as other programs really wrote them: Chromium 156's DevTools and Playwright 1.65 (`content: "attach"`, which keeps
messages in files of their own) recorded the same page; trimmed to two connections each."""
import bz2
import gzip
import json
import lzma
import shutil
import zipfile
import zlib
from pathlib import Path

import pytest
from harness import mockforge
from test_z_convert import brief, run, show
from test_z_replay import SUBSCRIBE, connection, hear, replay  # noqa: F401: a fixture among them

DATA = Path(__file__).resolve().parent / "data"
ATTACHED = ("playwright-rpc.jsonl", "playwright-bin.jsonl")


@pytest.fixture
def attached(tmp_path):
    """Playwright's archive with its files, as a document to be changed."""
    for name in ATTACHED:
        shutil.copy(DATA / name, tmp_path)
    return json.loads((DATA / "playwright.har").read_text())


def save(directory, har):
    path = directory / "a.har"
    path.write_text(json.dumps(har))
    return path


@pytest.mark.parametrize("name", ["devtools.har", "playwright.har"])
def test_archives_of_others(tmp_path, name):
    opens = [e for e in show(tmp_path, DATA / name) if e["type"] == "open"]
    assert [(e["path"], e["query"], e["subprotocol"]) for e in opens] == [("/rpc", "v=1", "v1.rpc"), ("/bin", None, None)]
    said = brief(show(tmp_path, DATA / name))
    rpc = [e for e in said if e[0] == "conn-1"]
    assert [e[2] for e in rpc] == ["outgoing"] + ["incoming", "outgoing"] * 3
    requests = [json.loads(e[4]) for e in rpc[1::2]]
    assert [r["method"] for r in requests] == ["add", "mul", "add"]
    assert [json.loads(e[4]) for e in rpc[2::2]] == [{"jsonrpc": "2.0", "id": r["id"], "result": n}
                                                     for r, n in zip(requests, (5, 6, 5))]
    assert [e[2:] for e in said if e[0] == "conn-2"][:2] == [("incoming", "binary", b"\0\1\2\xff"),
                                                            ("outgoing", "binary", b"\0\1\2\xff")]
    assert all(0 < e[1] < 10000 for e in said)


@pytest.mark.parametrize("name", ["devtools.har", "playwright.har"])
def test_archives_of_others_are_replayed(replay, name):  # noqa: F811
    c = replay(DATA / name).client("/rpc?v=1", [("Sec-WebSocket-Protocol", "v2.rpc, v1.rpc")])
    assert "hello" in hear(c)
    for number, method, result in ((1, "add", 5), (2, "mul", 6)):
        c.text(json.dumps({"jsonrpc": "2.0", "id": f"mine-{number}", "method": method, "params": [2, 3]}))
        assert hear(c) == {"jsonrpc": "2.0", "id": f"mine-{number}", "result": result}


@pytest.mark.parametrize("name", ["devtools.har", "playwright.har"])
def test_archives_of_others_there_and_back(tmp_path, name):
    run(tmp_path, "ws", "convert", DATA / name, "native.jsonl.zst")
    run(tmp_path, "ws", "convert", "native.jsonl.zst", "again.har")
    assert brief(show(tmp_path, "again.har")) == brief(show(tmp_path, DATA / name))


@pytest.mark.parametrize("file, why", [("../a.jsonl", "no plain file name"), ("/etc/hostname", "no plain file name"),
                                       (".hidden", "no plain file name"), ("", "no plain file name"),
                                       ("folder", "expected a regular file"), ("missing.jsonl", "No such file")])
def test_attached_file_that_is_none(tmp_path, attached, file, why):
    (tmp_path / "folder").mkdir()
    attached["log"]["entries"][0]["response"]["content"]["_file"] = file
    done = run(tmp_path, "ws", "show", save(tmp_path, attached), code=3)
    assert "expected the messages of this connection in the file" in done.stderr and why in done.stderr
    recovered = mockforge("ws", "show", "--json", "--recover", "a.har", cwd=tmp_path)
    kept = [json.loads(line) for line in recovered.stdout.splitlines()]
    assert [e["type"] for e in kept if e.get("connection") == "conn-1"] == ["open"]
    assert len(brief(kept)) == 2, "the other connection is whole"


def test_attached_file_that_is_damaged(tmp_path, attached):
    path = save(tmp_path, attached)
    lines = (tmp_path / ATTACHED[0]).read_text().splitlines()
    (tmp_path / ATTACHED[0]).write_text("\n".join([lines[0], lines[1].replace("send", "up"), *lines[2:]]))
    done = run(tmp_path, "ws", "show", path, code=3)
    assert f'{ATTACHED[0]}:2:1: expected "send" or "receive"' in done.stderr
    kept = [json.loads(x) for x in mockforge("ws", "show", "--json", "--recover", path, cwd=tmp_path).stdout.splitlines()]
    assert [e["type"] for e in kept if e.get("connection") == "conn-1"].count("text") == 6
    (tmp_path / ATTACHED[0]).write_text("\n".join([lines[0], lines[1][:30]]))
    assert "ends in the middle" in mockforge("ws", "show", path, cwd=tmp_path).stderr


def test_attached_files_of_more_connections_than_are_held(tmp_path, attached):
    count = 600
    entry = attached["log"]["entries"][0]
    attached["log"]["entries"] = [json.loads(json.dumps(entry)) for _ in range(count)]
    one = brief(show(tmp_path, DATA / "playwright.har", "--connection", "conn-1"))
    said = brief(show(tmp_path, save(tmp_path, attached)))
    assert [e[4] for e in said if e[0] == f"conn-{count}"] == [e[4] for e in one]
    assert len(said) == count * len(one)


def test_messages_in_the_archive_come_before_those_beside_it(tmp_path, attached):
    attached["log"]["entries"][0]["_webSocketMessages"] = [{"type": "send", "time": -1, "opcode": 1, "data": "inside"}]
    said = brief(show(tmp_path, save(tmp_path, attached), "--connection", "conn-1"))
    assert [e[4] for e in said] == ["inside"]


@pytest.mark.parametrize("pack, what", [
    (lambda path, data: zipfile.ZipFile(path, "w").writestr("har.har", data), "a ZIP archive: unpack it first (unzip)"),
    (lambda path, data: path.write_bytes(gzip.compress(data)), "a gzip file: unpack it first"),
    (lambda path, data: path.write_bytes(bz2.compress(data)), "a bzip2 file: unpack it first"),
    (lambda path, data: path.write_bytes(lzma.compress(data)), "an xz file: unpack it first"),
    (lambda path, data: path.write_bytes(zlib.compress(data, 9)), "compressed with zlib"),
], ids=["zip", "gzip", "bzip2", "xz", "zlib"])
def test_what_is_packed_says_how(tmp_path, pack, what):
    pack(tmp_path / "packed", (DATA / "devtools.har").read_bytes())
    done = run(tmp_path, "ws", "show", "packed", code=3)
    assert f"packed: expected a recording, found {what}" in done.stderr


def test_our_archive_tells_others_the_subprotocol(tmp_path):
    run(tmp_path, "ws", "convert", DATA / "devtools.har", "a.jsonl")
    events = show(tmp_path, "a.jsonl")
    for event in events:
        event.get("response_headers", {}).clear()  # as a relay records it
    (tmp_path / "b.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events))
    run(tmp_path, "ws", "convert", "b.jsonl", "b.har")
    told = [{h["name"]: h["value"] for h in e["response"]["headers"]}
            for e in json.loads((tmp_path / "b.har").read_text())["log"]["entries"]]
    assert told == [{"Sec-WebSocket-Protocol": "v1.rpc"}, {}]
    assert show(tmp_path, "b.har") == events, "and it comes back as it was"


def test_a_recording_without_messages_is_said(replay, tmp_path, attached):  # noqa: F811
    """Playwright's `content: "omit"`."""
    for entry in attached["log"]["entries"]:
        del entry["response"]["content"]["_file"]
    replay(save(tmp_path, attached)).wait_log("replay_says_nothing .*saved without content")


def test_what_was_said_may_be_said_again(replay):  # noqa: F811
    """A client's message that is longer than max_message_size, as the recorded one was."""
    long = {"type": "put", "id": "recorded-4711", "data": "x" * 70000}
    frames = [(0, "in", long), (1, "out", {"type": "done", "id": long["id"]})]
    g = replay([connection("conn-1", frames)])
    c = g.client("/")
    c.text(json.dumps({**long, "id": "live-0815-and-longer"}))
    assert hear(c) == {"type": "done", "id": "live-0815-and-longer"}
    c.text("x" * 150000)
    c.expect_failure(1009)
    limit = ["--set", "websocket.handlers[0].max_message_size=65536"]
    c = replay([connection("conn-1", frames)], *limit).client("/")
    c.text(json.dumps(long))
    c.expect_failure(1009)
