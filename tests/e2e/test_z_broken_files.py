"""Files that are cut off, damaged or of another kind, at every command that reads a recording: exit code 3 with the file,
the place and the reason; nothing is left of what would have been written; with --recover what can be read is used."""
import json
import os
import re
import subprocess

import pytest
from harness import mockforge, wait_for_lines
from setting import BINARY_PATH, SANITIZED, TIMEOUT
from test_z_replay import JSON_RPC, connection, recording
from test_z_spy import route

FORMS = ("jsonl", "jsonl.zst", "json", "json.zst", "har")
READERS = {  # what is said to a command that reads F and ends by itself
    "show": ["show", "F"], "stats": ["stats", "F"], "diff": ["diff", "F", "F"], "explain": ["replay", "-i", "F", "--explain"],
    **{f"to {form}": ["convert", "F", f"out.{form}"] for form in FORMS},
    "to mock": ["convert", "--to", "mock", "F"],
    "redact": ["redact", "F", "-o", "out.jsonl"], "merge": ["merge", "F", "F", "-o", "out.jsonl"],
    "cut": ["cut", "--from", "0", "--to", "9", "F", "-o", "out.jsonl"]}
SERVERS = {"serve": ["replay", "-i", "F", "--port", "0"], "drive": ["replay", "-i", "F", "--target", "ws://127.0.0.1:1"]}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A recording in each form: its bytes. The native one has three frames."""
    folder = tmp_path_factory.mktemp("whole")
    lines = recording(folder / "s.jsonl", connection("conn-1", JSON_RPC)).read_bytes().splitlines(keepends=True)
    forms = {"jsonl": b"".join(lines)}
    for form in ("json", "json.zst", "har"):
        assert mockforge("ws", "convert", "s.jsonl", f"s.{form}", cwd=folder).returncode == 0
        forms[form] = (folder / f"s.{form}").read_bytes()
    forms["jsonl.zst"] = b"".join(zstd(b"".join(part)) for part in (lines[:2], lines[2:4], lines[4:]))
    return forms


def zstd(data):
    return subprocess.run(["zstd", "-q", "-c", "--check"], input=data, stdout=subprocess.PIPE, check=True).stdout


def run(folder, args, *more):
    return mockforge("ws", *args[:1], *more, *args[1:], cwd=folder)


def refused(folder, name, args, says):
    """Exit code 3, `says` after the file's name, and no other file."""
    (folder / "F").unlink(missing_ok=True)
    args = [name if each == "F" else each for each in args]
    done = run(folder, args)
    assert done.returncode == 3, done
    assert re.search(rf"{re.escape(name)}(:\d+)*: {says}", done.stderr), done.stderr
    assert [each.name for each in folder.iterdir()] == [name]


@pytest.mark.parametrize("tool", [*READERS, *SERVERS])
@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_is_cut_off(tmp_path, whole, form, tool):
    name, data = f"s.{form}", whole[form]
    (tmp_path / name).write_bytes(data[:-30])
    args = {**READERS, **SERVERS}[tool]
    refused(tmp_path, name, args, r"byte \d+: the (file|zstd frame that begins here) (ends|is cut off)")
    if tool in READERS and form != "json.zst":  # its one frame holds everything
        args = [name if each == "F" else each for each in args]
        done = run(tmp_path, args, "--recover")
        assert done.returncode == 0, done


@pytest.mark.parametrize("tool", [*READERS, *SERVERS])
@pytest.mark.parametrize("form", FORMS)
def test_an_empty_file(tmp_path, form, tool):
    (tmp_path / f"s.{form}").touch()
    refused(tmp_path, f"s.{form}", {**READERS, **SERVERS}[tool], "expected a recording: the file is empty")


FOREIGN = {
    "image": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(99), "expected a recording, found a PNG image"),
    "gzip": (b"\x1f\x8b\x08\0" + bytes(99), "expected a recording, found a gzip file: unpack it first"),
    "text": (b"# notes\n", r"expected a recording \(JSON lines, "),
    "package": (b'{"name":"x","type":"module"}', "expected a type that this version knows"),
    "log": (b'{"level":"info","msg":"x"}\n' * 3, 'expected a "type"'),
    "blank": (b"\n" * 99, "expected a recording: there is not one line in it"),
}


@pytest.mark.parametrize("tool", [*READERS, *SERVERS])
@pytest.mark.parametrize("kind", FOREIGN)
def test_a_file_of_another_kind(tmp_path, kind, tool):
    data, says = FOREIGN[kind]
    (tmp_path / "x.jsonl").write_bytes(data)
    refused(tmp_path, "x.jsonl", {**READERS, **SERVERS}[tool], says)


@pytest.mark.parametrize("make, says", [
    (os.mkdir, "found a directory"), (os.mkfifo, "found a pipe: write"), (lambda p: os.symlink("/dev/zero", p), "found a device"),
    (lambda p: os.symlink(p, p), "Too many levels of symbolic links")], ids=["directory", "pipe", "device", "loop"])
def test_what_is_no_file(tmp_path, make, says):
    make(tmp_path / "x.jsonl")
    for tool, args in {**READERS, **SERVERS}.items():
        done = run(tmp_path, ["x.jsonl" if each == "F" else each for each in args])
        assert done.returncode == 3 and says in done.stderr, (tool, done)


def test_a_route_of_a_damaged_recording(tmp_path, gateway, whole):
    """Refused with its place in the configuration and in the file, and with what to do; which is then done."""
    (tmp_path / "s.jsonl").write_bytes(whole["jsonl"][:-30])
    for command in (["config", "check"], ["serve"]):
        (tmp_path / "m.yaml").write_text(route("replay: {speed: max}"))
        done = mockforge(*command, "--config", "m.yaml", cwd=tmp_path)
        assert done.returncode in (2, 3) and re.search(
            r"m.yaml:\d+:\d+: .*s\.jsonl:6: byte \d+: .*recover: true", done.stderr), done
    g = gateway(route("replay: {recover: true}"))
    assert "replay_ends_early" in g.log


def test_a_recorder_that_is_killed(gateway, tmp_path):
    """While it writes, its file may end anywhere. After kill -9 the file is what it has flushed, without a seek table:
    read wholly, and no error, for it ends at a frame's border."""
    g = gateway("websocket:\n  host: 127.0.0.1\n  port: 0\n  record: {flush_ms: 10}\n  handlers:\n"
                "    - {path: /e, type: echo, record: true, record_path: e.jsonl.zst}\n")
    c = g.client("/e")
    for i in range(5):
        c.text(f"message {i}")
        c.recv_text()
    wait_for_lines(tmp_path / "e.jsonl.zst", lambda s: len(s.data("outgoing")) == 5)
    live = mockforge("ws", "show", "e.jsonl.zst", cwd=tmp_path)
    assert live.returncode == 0 and "message 4" in live.stdout
    g.kill9()
    for args in READERS.values():
        done = run(tmp_path, ["e.jsonl.zst" if each == "F" else each for each in args], *(["--force"] if "out" in str(args) else []))
        assert done.returncode == 0, done
    assert "message 4" in mockforge("ws", "show", "e.jsonl.zst", cwd=tmp_path).stdout
    listed = json.loads(mockforge("ws", "ls", "--json", "e.jsonl.zst", cwd=tmp_path).stdout)
    assert listed[0]["state"] == "whole"


def test_bombs(tmp_path):
    """200 MiB of nothing out of a few KiB: refused, with memory for a line of the longest."""
    for name, head, byte in (("spaces.json.zst", b'{"messages":[', b" "), ("lines.jsonl.zst", b"", b"\n"),
                             ("long.jsonl.zst", b'{"type":"text","data":"', b"a")):
        with (tmp_path / name).open("wb") as out, subprocess.Popen(["zstd", "-q", "-1", "-c"], stdin=subprocess.PIPE, stdout=out) as p:
            p.stdin.write(head)
            for _ in range(200):
                p.stdin.write(byte * (1 << 20))
            p.stdin.close()
        for args in (["convert", name, "out.jsonl"], ["replay", "-i", name, "--explain"]):
            limit = [] if SANITIZED else ["prlimit", "--as=300000000"]
            done = subprocess.run([*limit, str(BINARY_PATH), "ws", *args], cwd=tmp_path,
                                  capture_output=True, text=True, timeout=6 * TIMEOUT)
            assert done.returncode == 3 and "64 MiB" in done.stderr, done
