"""ws show, ws ls and ws convert, on files that this writes itself: no gateway, no network."""
import fcntl
import json
import os
import pty
import re
import resource
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MOCKFORGE = str(Path(os.environ.get("MOCKFORGE_BIN") or ROOT / "build" / "mockforge").resolve())
SAMPLE = ROOT / "recordings" / "sample.jsonl.zst"

GUIDE = """{
  "metadata": {
    "recorded_at": "2024-01-15T10:30:00Z",
    "duration_ms": 5000,
    "message_count": 42
  },
  "messages": [
    {
      "timestamp_ms": 0,
      "direction": "incoming",
      "type": "text",
      "data": "{\\"type\\": \\"subscribe\\", \\"channel\\": \\"orders\\"}"
    },
    {
      "timestamp_ms": 50,
      "direction": "outgoing",
      "type": "text",
      "data": "{\\"type\\": \\"subscribed\\", \\"channel\\": \\"orders\\"}"
    }
  ]
}
"""


def run(*args, cwd=None, code=0, text=True):
    done = subprocess.run([MOCKFORGE, *map(str, args)], cwd=cwd, capture_output=True, text=text, timeout=30,
                          env={**os.environ, "NO_COLOR": ""})
    assert done.returncode == code, done
    return done


def zstdcat(path):
    return subprocess.run(["zstdcat", path], capture_output=True, check=True).stdout


def frame(number, direction="incoming", ms=None, connection="conn-1", **more):
    return json.dumps({"connection": connection, "timestamp_ms": number if ms is None else ms, "direction": direction,
                       "type": "text", "data": f"message {number}", **more}) + "\n"


def show_json(path, *args):
    return [json.loads(line) for line in run("ws", "show", "--json", *args, path).stdout.splitlines()]


# show

def test_show_the_sample():
    out = run("ws", "show", SAMPLE).stdout
    lines = out.splitlines()
    assert lines[0] == "recorded at 2024-01-15T10:30:00.000Z by mockforge 0.1.0"
    assert re.search(r"0\.000118 conn-1 +open /ws/orders\?token=\[redacted\] to wss://api\.example\.com/v1/stream", lines[1])
    assert '    0.012402 conn-1   -> text        60  {"type": "subscribe", "id": "req-7f3a", "channel": "orders"}' in lines
    assert any("<- binary" in line and "00 00 03 e8 00 01" in line for line in lines)
    assert any("close     1008  policy violation: subscribe to something first" in line for line in lines)
    assert any("end by client: closed (1000 normal closure)" in line for line in lines)
    assert "Zoë" in out and "\x1b" not in out


def test_show_json_is_the_file_itself():
    assert run("ws", "show", "--json", SAMPLE, text=False).stdout == zstdcat(SAMPLE)


@pytest.mark.parametrize("args, expected", [
    (["--connection", "conn-2"], 7),  # the recording line is of all of them
    (["--connection", "conn-1", "--connection", "conn-2"], 22),
    (["--connection", "conn-7"], 1),
    (["--direction", "incoming"], 6),
    (["--direction", "outgoing", "--type", "text"], 7),
    (["--type", "ping,pong"], 2),
    (["--type", "open,end"], 4),
    (["--from", "4"], 5),
    (["--to", "0.0124"], 2),
    (["--from", "2.6", "--to", "2.66"], 6),
    (["--grep", "Zoë"], 3),
    (["--grep", "something first"], 1),
    (["--limit", "3"], 4),
    (["-n", "0"], 0),
])
def test_show_filters(args, expected):
    assert len(show_json(SAMPLE, *args)) == expected


@pytest.mark.parametrize("args", [["--direction", "up"], ["--type", "texts"], ["--from", "x"], ["--from", "-1"],
                                  ["--to", "nan"], ["--limit", "-1"], ["--no-such-flag"]])
def test_show_usage(args):
    done = run("ws", "show", *args, SAMPLE, code=2)
    assert done.stderr and not done.stdout


@pytest.mark.parametrize("content, message", [
    (b"hello\n", "expected an object, found 'h'"),
    (b'{"messages": 1}', "expected an array"),
    (frame(1).encode() + b'{"type":"text"}\n', ":2:1: expected a \"direction\" in a frame"),
    (b"\x28\xb5\x2f\xfd" + b"x" * 50, "byte 0: the zstd frame that begins here is damaged"),
])
def test_show_bad_files(tmp_path, content, message):
    (tmp_path / "bad.jsonl").write_bytes(content)
    done = run("ws", "show", "bad.jsonl", cwd=tmp_path, code=3)
    assert message in done.stderr and "bad.jsonl" in done.stderr


def test_show_missing_file_and_directory(tmp_path):
    assert "No such file" in run("ws", "show", tmp_path / "none.json", code=3).stderr
    assert "regular file" in run("ws", "show", tmp_path, code=3).stderr


def test_show_escapes_what_would_drive_a_terminal(tmp_path):
    hostile = "\x1b]0;owned\x07 \x9b31m \x7f \u202egnp.exe \u200b a\tb\r\n"
    path = tmp_path / "hostile.jsonl"
    lines = [
        json.dumps({"type": "recording", "version": 1, "recorded_at": "2024-01-15T10:30:00Z", "generator": hostile}),
        json.dumps({"type": "open", "connection": hostile, "timestamp_ms": 0, "path": "/" + hostile, "upstream": hostile,
                    "query": hostile, "remote_addr": hostile, "subprotocol": hostile}),
        frame(0, data=hostile).strip(), frame(1, type="ping", data=hostile).strip(),
        frame(2, type="close", code=1000, reason=hostile).strip(),
        json.dumps({"type": "end", "connection": "c", "timestamp_ms": 3, "by": hostile, "reason": hostile}),
        frame(3, encoding="base64", data="/wCbgA==").strip(),
    ]
    path.write_text("".join(line + "\n" for line in lines))
    for args in ([], ["--full"]):
        out = run("ws", "show", *args, path, text=False).stdout
        assert out.count(b"\n") == len(lines)
        text = out.decode()
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u202e]", text)
        assert "\\x1b]0;owned\\x07 \\x9b31m \\x7f \\u202egnp.exe \\u200b a\\tb\\r\\n" in text
        assert "\\xff\\x00\\x9b\\x80" in text


def on_terminal(args, columns=60, env=None):
    """What the command writes to a terminal of that width."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen([MOCKFORGE, *map(str, args)], stdout=follower, stderr=follower, stdin=follower,
                               env={**os.environ, "TERM": "xterm", "NO_COLOR": "", **(env or {})})
    os.close(follower)
    out = b""
    while True:
        try:
            piece = os.read(leader, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        out += piece
    os.close(leader)
    assert process.wait(10) == 0
    return out.decode()


def test_show_on_a_terminal_has_colour_and_fits():
    out = on_terminal(["ws", "show", SAMPLE])
    assert "\x1b[32m->" in out
    plain = re.sub(r"\x1b\[[0-9;]*m", "", out).splitlines()
    assert len(plain) == 22 and max(map(len, plain)) == 60
    assert "\x1b" not in on_terminal(["ws", "show", SAMPLE], env={"NO_COLOR": "1"})
    full = re.sub(r"\x1b\[[0-9;]*m", "", on_terminal(["ws", "show", "--full", SAMPLE]))
    assert '"price": 99.47}, "customer": "Zoë"}' in full


def test_show_to_a_closed_pipe_is_quiet(tmp_path):
    path = tmp_path / "long.jsonl"
    path.write_text("".join(frame(n) for n in range(20000)))
    process = subprocess.Popen([MOCKFORGE, "ws", "show", str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait(10) == 0


def test_show_says_when_the_end_is_missing(tmp_path):
    path = tmp_path / "torn.jsonl.zst"
    path.write_bytes(SAMPLE.read_bytes()[:-300])
    done = run("ws", "show", path, code=3)
    assert re.search(rf"torn.jsonl.zst: byte \d+: the zstd frame that begins here is cut off by the end of the file at "
                     rf"byte {path.stat().st_size}\n", done.stderr)
    recovered = run("ws", "show", "--recover", path)
    assert recovered.stdout == done.stdout and "is cut off" in recovered.stderr
    with path.open() as held:  # as a recorder does
        fcntl.flock(held, fcntl.LOCK_EX)
        live = run("ws", "show", path)
        assert live.stdout == done.stdout and "is being written" in live.stderr
    assert run("ws", "show", SAMPLE).stderr == ""


def test_show_follows_a_file_that_grows(tmp_path):
    path = tmp_path / "live.jsonl"
    path.write_text(frame(0))
    process = subprocess.Popen([MOCKFORGE, "ws", "show", "--json", "--follow", str(path)], stdout=subprocess.PIPE)
    try:
        assert json.loads(process.stdout.readline())["data"] == "message 0"
        with path.open("a") as f:
            for n in range(1, 4):
                text = frame(n)
                f.write(text[:20])
                f.flush()
                time.sleep(0.15)  # longer than it sleeps between two looks: half a line is no event
                f.write(text[20:])
                f.flush()
                assert json.loads(process.stdout.readline())["data"] == f"message {n}"
        process.send_signal(signal.SIGINT)
        process.wait(10)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_show_does_not_follow_documents(tmp_path):
    (tmp_path / "s.json").write_text(GUIDE)
    assert "journal" in run("ws", "show", "--follow", tmp_path / "s.json", code=2).stderr


def test_show_seeks(tmp_path):
    """Ten minutes in many zstd frames: the last second takes a small part of the processor time that reading all takes."""
    plain, native = tmp_path / "long.jsonl", tmp_path / "long.jsonl.zst"
    plain.write_text("".join(frame(n, ms=n * 10, data=os.urandom(100).hex()) for n in range(60000)))
    run("ws", "convert", plain, native)

    def processor():
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    def seconds(*args):
        taken = []
        for _ in range(3):
            begin = processor()
            shown = show_json(native, *args)
            taken.append(processor() - begin)
        return min(taken), shown

    tail, shown = seconds("--from", "599.9")
    assert [line["timestamp_ms"] for line in shown] == list(range(599900, 600000, 10))
    whole, shown = seconds("--grep", "no such text")
    assert not shown and tail < whole / 2


# ls

def test_ls(tmp_path):
    (tmp_path / "recordings").mkdir()
    (tmp_path / "recordings" / "sample.jsonl.zst").write_bytes(SAMPLE.read_bytes())
    (tmp_path / "recordings" / "guide.json").write_text(GUIDE)
    (tmp_path / "recordings" / "torn.jsonl").write_text(frame(0) + '{"type":"te')
    (tmp_path / "recordings" / "notes.txt").write_text("not a session")
    (tmp_path / "recordings" / ".hidden.jsonl").write_text("x")
    with (tmp_path / "recordings" / "live.jsonl").open("w") as live:
        live.write(frame(0))
        live.flush()
        fcntl.flock(live, fcntl.LOCK_EX)
        done = run("ws", "ls", cwd=tmp_path, code=3)  # one of them is not whole
        lines = done.stdout.splitlines()
        assert "torn.jsonl:2: byte" in done.stderr
        listed = {entry["name"]: entry for entry in json.loads(run("ws", "ls", "--json", "recordings", cwd=tmp_path, code=3).stdout)}
    assert lines[0].split() == ["RECORDED", "AT", "DURATION", "CONNECTIONS", "MESSAGES", "SIZE", "STATE", "NAME"]
    assert [line.split()[-1] for line in lines[1:]] == ["guide.json", "live.jsonl", "sample.jsonl.zst", "torn.jsonl"]
    assert re.search(r"2024-01-15T10:30:00\.000Z +5\.042 s +2 +11 +\d+ B +whole", lines[3])
    assert {name: entry["state"] for name, entry in listed.items()} == {
        "guide.json": "whole", "live.jsonl": "being written", "sample.jsonl.zst": "whole", "torn.jsonl": "truncated"}
    sample = listed["sample.jsonl.zst"]
    assert (sample["form"], sample["duration_ms"], sample["connections"], sample["messages"], sample["frames"]) == (
        "native", 5041, 2, 11, 17)
    assert sample["file_bytes"] == SAMPLE.stat().st_size
    assert listed["guide.json"]["messages"] == 2


def test_ls_odd_cases(tmp_path):
    assert json.loads(run("ws", "ls", "--json", tmp_path).stdout) == []
    assert "no session files" in run("ws", "ls", tmp_path).stderr
    assert "cannot be listed" in run("ws", "ls", tmp_path / "none", code=3).stderr
    assert run("ws", "ls", SAMPLE).stdout.count("\n") == 2
    (tmp_path / "bad.jsonl").write_text("hello\n")
    (tmp_path / "good.jsonl").write_text(frame(0))
    done = run("ws", "ls", tmp_path, code=3)
    assert "unreadable" in done.stdout and "good.jsonl" in done.stdout and "bad.jsonl:1:1: expected" in done.stderr


# convert

FORMS = ["jsonl.zst", "jsonl", "json", "json.zst"]


@pytest.mark.parametrize("form", FORMS)
def test_convert_there_and_back(tmp_path, form):
    there, back = tmp_path / f"there.{form}", tmp_path / "back.jsonl"
    assert "11 messages of 2 connections" in run("ws", "convert", SAMPLE, there).stderr
    run("ws", "convert", there, back)
    assert back.read_bytes() == zstdcat(SAMPLE)
    assert there.stat().st_mode & 0o777 == 0o600
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([there.name, back.name])


def test_convert_writes_the_guides_document(tmp_path):
    run("ws", "convert", SAMPLE, "s.json", cwd=tmp_path)
    document = json.loads((tmp_path / "s.json").read_text())
    assert list(document) == ["metadata", "messages"]
    metadata, messages = document["metadata"], document["messages"]
    assert metadata["recorded_at"] == "2024-01-15T10:30:00.000Z"
    assert metadata["duration_ms"] == 5041 and metadata["message_count"] == len(messages) == 17
    first = messages[0]
    assert (first["timestamp_ms"], first["timestamp_us"], first["direction"], first["type"]) == (12, 12402, "incoming", "text")
    assert json.loads(first["data"])["channel"] == "orders"
    assert all(isinstance(m["timestamp_ms"], int) and m["direction"] in ("incoming", "outgoing") for m in messages)
    assert [c["type"] for c in metadata["connections"]] == ["open", "open", "end", "end"]


def test_convert_reads_the_guides_document(tmp_path):
    (tmp_path / "session.json").write_text(GUIDE)
    run("ws", "convert", "session.json", "s.jsonl.zst", cwd=tmp_path)
    lines = [json.loads(line) for line in zstdcat(tmp_path / "s.jsonl.zst").splitlines()]
    assert [line["type"] for line in lines] == ["recording", "text", "text"]
    assert [line.get("connection") for line in lines] == [None, "conn-1", "conn-1"]
    assert lines[2]["timestamp_ms"] == 50 and json.loads(lines[2]["data"])["type"] == "subscribed"


def test_convert_refuses_to_overwrite(tmp_path):
    target = tmp_path / "out.json"
    target.write_text("precious")
    assert "--force" in run("ws", "convert", SAMPLE, target, code=2).stderr
    assert target.read_text() == "precious"
    run("ws", "convert", "--force", SAMPLE, target)
    assert json.loads(target.read_text())["metadata"]["message_count"] == 17


@pytest.mark.parametrize("args, code, message", [
    (["in.jsonl.zst"], 2, "say where to"),
    (["in.jsonl.zst", "out.txt"], 2, "expected a name that ends in"),
    (["missing.jsonl", "out.json"], 3, "No such file"),
    (["in.jsonl.zst", "no/such/directory/out.json"], 3, "No such file"),
    (["bad.jsonl", "out.json"], 3, "bad.jsonl:1:1"),
    (["--level", "0", "in.jsonl.zst", "out.jsonl.zst"], 2, "--level"),
])
def test_convert_errors(tmp_path, args, code, message):
    (tmp_path / "in.jsonl.zst").write_bytes(SAMPLE.read_bytes())
    (tmp_path / "bad.jsonl").write_text("hello\n")
    before = sorted(tmp_path.iterdir())
    assert message in run("ws", "convert", *args, cwd=tmp_path, code=code).stderr
    assert sorted(tmp_path.iterdir()) == before


def test_convert_finishes_a_journal(tmp_path):
    journal = tmp_path / "s.journal.jsonl.zst"
    journal.write_bytes(SAMPLE.read_bytes()[:-300])
    with journal.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert "being written" in run("ws", "convert", journal, code=3).stderr
        assert journal.exists() and not (tmp_path / "s.json").exists()
    done = run("ws", "convert", "--json", journal)
    result = json.loads(done.stdout)
    assert result["truncated"] is True and result["output"] == str(tmp_path / "s.json")
    assert not journal.exists()
    document = json.loads((tmp_path / "s.json").read_text())
    assert document["metadata"]["message_count"] == len(document["messages"])


def test_recover(tmp_path):
    """A power failure left zeros at the end, and a bad sector is in the middle."""
    plain, native = tmp_path / "long.jsonl", tmp_path / "long.jsonl.zst"
    plain.write_text("".join(frame(n, data=os.urandom(100).hex()) for n in range(5000)))
    run("ws", "convert", plain, native)
    data = bytearray(native.read_bytes())
    table = struct.unpack("<I", data[-9:-5])[0] * 8 + 17
    del data[-table:]
    middle = len(data) // 2
    data[middle:middle + 16] = bytes(16)
    native.write_bytes(data + bytes(4096))
    for args in (["ws", "show", native], ["ws", "convert", native, tmp_path / "out.json"]):
        assert "damaged" in run(*args, code=3).stderr
    shown = show_json(native, "--recover")
    assert shown[-1]["type"] == "gap" and sum(line["type"] == "gap" for line in shown) >= 2
    whole = [json.loads(line) for line in plain.read_text().splitlines()]
    texts = [line for line in shown if line["type"] == "text"]
    assert 3000 < len(texts) < 5000 and texts[-1] == whole[-1] and all(line in whole for line in texts)
    run("ws", "convert", "--recover", native, tmp_path / "out.json")
    assert len(json.loads((tmp_path / "out.json").read_text())["messages"]) == len(shown) - 1


def test_convert_keeps_a_journal_whose_document_exists(tmp_path):
    journal = tmp_path / "s.journal.jsonl.zst"
    journal.write_bytes(SAMPLE.read_bytes())
    (tmp_path / "s.json").write_text("precious")
    run("ws", "convert", journal, code=2)
    assert journal.exists() and (tmp_path / "s.json").read_text() == "precious"
    run("ws", "convert", "--keep", "--force", journal)
    assert journal.exists() and json.loads((tmp_path / "s.json").read_text())


def test_convert_an_empty_recording(tmp_path):
    (tmp_path / "empty.jsonl.zst").write_bytes(b"")
    run("ws", "convert", "empty.jsonl.zst", "e.json", cwd=tmp_path, code=3)
    assert not (tmp_path / "e.json").exists()
    run("ws", "convert", "--recover", "empty.jsonl.zst", "e.json", cwd=tmp_path)
    document = json.loads((tmp_path / "e.json").read_text())
    assert document["messages"] == [] and document["metadata"]["message_count"] == 0


def test_convert_in_place(tmp_path):
    path = tmp_path / "s.jsonl.zst"
    path.write_bytes(SAMPLE.read_bytes())
    run("ws", "convert", "--force", path, path)
    assert zstdcat(path) == zstdcat(SAMPLE)


def test_seek_table_is_zstds(tmp_path):
    plain, native = tmp_path / "long.jsonl", tmp_path / "long.jsonl.zst"
    plain.write_text("".join(frame(n) for n in range(5000)))
    run("ws", "convert", plain, native)
    data = native.read_bytes()
    count, descriptor, magic = struct.unpack("<IBI", data[-9:])
    head, size = struct.unpack("<II", data[-17 - 8 * count:][:8])
    assert (magic, descriptor, head, size) == (0x8F92EAB1, 0, 0x184D2A5E, 8 * count + 9)
    entries = struct.iter_unpack("<II", data[-9 - 8 * count:-9])
    packed, unpacked = map(sum, zip(*entries))
    assert packed == len(data) - size - 8 and unpacked == len(zstdcat(native))
