"""The recorder when things go wrong: kill -9, a full disk, a directory that is none, a disk that is slow."""
import contextlib
import json
import os
import shutil
import subprocess
import time

import pytest
from harness import Background, eventually, mockforge, read_session, session_text, the_file, wait_for_lines
from setting import SANITIZED, SLOW, TIMEOUT
from wire import BINARY, TEXT, Closed, frame, part


def config(record_path="s.jsonl.zst", record="true", url=None, more=""):
    return f"""
websocket:
  host: 127.0.0.1
  port: 0
  ping_interval: 0
  close_timeout_ms: 300
  record: {record}
  record_path: "{record_path}"
{more}
  handlers:
    - path: /echo
      type: echo
    - path: /proxy
      type: proxy
      upstream: "{url or 'ws://127.0.0.1:1/'}"
"""


# kill -9

def test_kill_9_keeps_what_was_flushed(gateway, tmp_path):
    g = gateway(config(record="{flush_ms: 50}"))
    c = g.client("/echo")
    for i in range(100):
        c.text(f"message {i}")
        c.expect(TEXT, b"message %d" % i)
    wait_for_lines(tmp_path / "s.jsonl.zst", lambda s: len(s.messages) == 200)
    g.kill9()
    s = read_session(tmp_path / "s.jsonl.zst", strict=False)
    assert s.data("incoming") == s.data("outgoing") == [f"message {i}" for i in range(100)]
    assert s.of("end") == []
    shown = mockforge("ws", "show", "s.jsonl.zst", cwd=tmp_path)
    assert shown.returncode == 0 and shown.stdout.count("message 99") == 2, shown


@pytest.mark.parametrize("name", ["s.jsonl.zst", "s.jsonl"])
def test_kill_9_under_load(gateway, tmp_path, name):
    """All that was echoed longer ago than the flush interval is there, in order, and every line is whole."""
    g = gateway(config(name, record="{flush_ms: 50}"))
    c = g.client("/echo")
    echoed, began = [], time.monotonic()
    while time.monotonic() - began < SLOW + 0.7:
        n = len(echoed)
        c.text(f"{n} " + os.urandom(100).hex())
        assert c.recv_text().startswith(f"{n} ")
        echoed.append(time.monotonic())
    killed = time.monotonic()
    g.kill9()
    wanted = sum(1 for t in echoed if t < killed - SLOW)
    heard = read_session(tmp_path / name, strict=False).data("outgoing")
    assert [int(t.split()[0]) for t in heard] == list(range(len(heard)))
    assert len(heard) >= wanted > 10, f"{len(heard)} of at least {wanted}"


def test_a_journal_that_kill_9_left_is_finished_by_convert(gateway, tmp_path):
    g = gateway(config("s.json", record="{flush_ms: 20}"))
    c = g.client("/echo")
    c.text("kept")
    c.expect(TEXT, b"kept")
    journal = the_file(tmp_path, "s.journal.jsonl.zst")
    wait_for_lines(journal, lambda s: len(s.messages) == 2)
    g.kill9()
    assert not (tmp_path / "s.json").exists()
    done = mockforge("ws", "convert", journal.name, "s.json", cwd=tmp_path)
    assert done.returncode == 0, done
    document = json.loads((tmp_path / "s.json").read_text())
    assert [m["data"] for m in document["messages"] if m["type"] == "text"] == ["kept", "kept"]


def test_a_later_run_goes_on_after_a_crash(gateway, tmp_path):
    """What the crash cut off is removed first, so that the whole file is readable."""
    g = gateway(config(record="{flush_ms: 20}"))
    c = g.client("/echo")
    c.text("before")
    c.expect(TEXT, b"before")
    wait_for_lines(tmp_path / "s.jsonl.zst", lambda s: len(s.messages) == 2)
    g.kill9()
    with open(tmp_path / "s.jsonl.zst", "ab") as f:  # as a write that was cut
        f.write(b"\x28\xb5\x2f\xfd\x24\x99cut")
    g = gateway(config())
    c = g.client("/echo")
    c.text("after")
    c.expect(TEXT, b"after")
    c.finish()
    g.stop()
    s = read_session(tmp_path / "s.jsonl.zst")
    assert s.data("incoming") == ["before", "after"]


# what can be told at the start

@pytest.mark.parametrize("path", ["notdir/s.jsonl.zst", "/proc/none/s.jsonl.zst", "s.txt"], ids=["under a file", "/proc", "unknown form"])
def test_a_path_that_cannot_be_is_an_error_at_start(tmp_path, path):
    (tmp_path / "notdir").write_text("a file")
    (tmp_path / "c.yaml").write_text(config(path))
    done = mockforge("serve", "--config", "c.yaml", cwd=tmp_path)
    assert done.returncode in (2, 3), done
    assert os.path.basename(path) in done.stderr or "notdir" in done.stderr or "/proc/none" in done.stderr, done.stderr
    assert " listening " not in done.stderr


def test_a_directory_that_is_missing_is_made(gateway, tmp_path):
    g = gateway(config("a/b/c/s.jsonl.zst"))
    c = g.client("/echo")
    c.finish()
    g.stop()
    assert read_session(tmp_path / "a/b/c/s.jsonl.zst").of("end")


# a full disk

@contextlib.contextmanager
def small_disk(path, size="2m"):
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(path)], capture_output=True).returncode:
        pytest.skip("mount(2) is not allowed here")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def fill(directory, leave):
    """Fills the disk up to so many bytes."""
    with open(directory / "filler", "wb", buffering=0) as f:
        with contextlib.suppress(OSError):
            while True:
                f.write(b"\0" * 4096)
        f.truncate(max(0, f.tell() - leave))


def talk(client, server, n, size=3000):
    for _ in range(n):
        data = os.urandom(size)
        client.binary(data)
        assert server.recv_message().payload == data


def test_a_full_disk(gateway, raw_upstream, tmp_path):
    """The relay goes on, a log line says it, and the file stays readable."""
    with small_disk(tmp_path / "disk") as disk:
        up = raw_upstream()
        g = gateway(config("disk/s.jsonl.zst", record="{flush_ms: 20}", url=up.url()))
        client, server = g.pair(up)
        client.text("on disk")
        server.expect(TEXT, b"on disk")
        wait_for_lines(disk / "s.jsonl.zst", lambda s: s.messages)
        fill(disk, 64 * 1024)
        talk(client, server, 200)  # 600 kB where 64 are free
        line = g.wait_log(r" (error|warn) .*(ENOSPC|No space)").string
        assert "s.jsonl.zst" in line
        talk(client, server, 200)
        before = read_session(disk / "s.jsonl.zst", strict=False)
        assert before.messages[0]["data"] == "on disk"
        assert g.count_log("No space|ENOSPC") < 50, "a full disk is not a storm of log lines"
        client.text("still relayed")
        server.expect(TEXT, b"still relayed")
        part(client, server)
        g.send_signal(15)
        g.check(g.wait(), 3)  # the recording is not complete
        session_text(disk / "s.jsonl.zst")  # strict: the file is whole


def test_recording_resumes_when_there_is_room_again(gateway, raw_upstream, tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        up = raw_upstream()
        g = gateway(config("disk/s.jsonl.zst", record="{flush_ms: 20}", url=up.url()))
        client, server = g.pair(up)
        talk(client, server, 1)
        fill(disk, 64 * 1024)
        talk(client, server, 200)
        g.wait_log("ENOSPC|No space")
        (disk / "filler").unlink()

        def resumed():
            client.text("resumed")
            server.expect(TEXT, b"resumed")
            return "resumed" in "".join(session_text(f, strict=False) for f in disk.glob("s*"))
        eventually(resumed, "recording goes on", 3 * TIMEOUT)
        client.close_socket()
        g.send_signal(15)
        g.wait()
        g.stopped = True
        lines = [line for f in disk.glob("s*") for line in read_session(f).lines]
        missing = sum(line["frames"] for line in lines if line["type"] == "gap")
        there = sum(1 for line in lines if line["type"] == "binary")
        assert there + missing == 201, "what is not there is in a gap line"


def test_on_error_close(gateway, raw_upstream, tmp_path):
    """Who asked for it gets no traffic without a recording."""
    with small_disk(tmp_path / "disk") as disk:
        up = raw_upstream()
        g = gateway(config("disk/s.jsonl.zst", record="{flush_ms: 20, on_error: close}", url=up.url()))
        client, server = g.pair(up)
        talk(client, server, 1)
        fill(disk, 16 * 1024)
        with contextlib.suppress(OSError, Closed):
            for _ in range(200):
                client.binary(os.urandom(3000))
                server.recv_message()
        client.expect_failure((1001, 1011, 1013))  # also when nothing more is said
        server.close_socket()
        g.send_signal(15)
        g.check(g.wait(), 3)


def test_on_error_close_reaches_a_session_where_nothing_is_said(gateway, tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        g = gateway(config("disk/s.jsonl.zst", record="{flush_ms: 20, on_error: close}"))
        silent, loud = g.client("/echo"), g.client("/echo")
        fill(disk, 16 * 1024)
        loud.send_quietly(frame(BINARY, os.urandom(60_000)))
        silent.expect_failure((1001, 1011, 1013))
        loud.close_socket()
        g.send_signal(15)
        g.check(g.wait(), 3)


def test_a_document_on_a_full_disk_keeps_its_journal(gateway, tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        g = gateway(config("disk/s.json", record="{flush_ms: 20}"))
        c = g.client("/echo")
        for i in range(20):
            c.binary(os.urandom(3000))
            c.recv_message()
        journal = the_file(disk, "s.journal.jsonl.zst")
        wait_for_lines(journal, lambda s: len(s.messages) == 40)
        fill(disk, 16 * 1024)  # the document does not fit
        c.finish()
        g.send_signal(15)
        g.check(g.wait(), 3)  # not every recording could be finished
        assert not (disk / "s.json").exists(), "never half a document"
        assert len(read_session(journal, strict=False).messages) == 40
        (disk / "filler").unlink()
        done = mockforge("ws", "convert", "disk/s.journal.jsonl.zst", "disk/s.json", cwd=tmp_path)
        assert done.returncode == 0 and json.loads((disk / "s.json").read_text())["metadata"]["message_count"] >= 40


def remove(file):
    file.unlink()


def remove_directory(file):
    shutil.rmtree(file.parent)


def truncate(file):
    os.truncate(file, 0)


def truncate_in_the_middle(file):
    os.truncate(file, file.stat().st_size - 5)


@pytest.mark.parametrize("clean_up", [remove, remove_directory, truncate, truncate_in_the_middle])
@pytest.mark.parametrize("name", ["s.jsonl.zst", "s.jsonl"])
def test_the_file_is_taken_away_under_way(gateway, tmp_path, name, clean_up):
    """Somebody cleans up: what comes then is in a new file, which can be read alone."""
    file = tmp_path / "dir" / name
    g = gateway(config(f"dir/{name}", record="{flush_ms: 20}"))
    c, silent = g.client("/echo"), g.client("/echo")
    wait_for_lines(file, lambda s: len(s.of("open")) == 2)
    c.text("x")
    c.expect(TEXT, b"x")
    wait_for_lines(file, lambda s: len(s.messages) == 2)
    clean_up(file)
    c.text("y")
    c.expect(TEXT, b"y")
    assert "removed or truncated" in g.wait_log(" error recording_taken_away ").string
    wait_for_lines(file, lambda s: s.data("incoming")[-1:] == ["y"])
    silent.finish()
    c.text("z")
    c.expect(TEXT, b"z")
    c.finish()
    g.stop()
    s = read_session(file)
    assert s.data("outgoing")[-2:] == ["y", "z"] and s.lines[0]["type"] == "recording"
    assert [line["connection"] for line in s.of("open") if line.get("continued")] == ["conn-1", "conn-2"]
    assert len(s.of("end")) == 2
    shown = mockforge("ws", "show", "--from", "0.001", file, cwd=tmp_path)
    assert shown.returncode == 0 and "z" in shown.stdout, shown


def test_the_journal_is_removed_under_way(gateway, tmp_path):
    """A document has what came after that, and one that is written already is not written over."""
    g = gateway(config("s-{{date}}.json", record="{flush_ms: 20}"))
    c = g.client("/echo")
    c.text("x")
    c.expect(TEXT, b"x")
    c.finish()
    first = the_file(tmp_path, "s-*.json")
    c = g.client("/echo")
    c.text("y")
    c.expect(TEXT, b"y")
    journal = the_file(tmp_path, "s-*.journal.jsonl.zst")
    wait_for_lines(journal, lambda s: len(s.messages) == 4)
    journal.unlink()
    c.text("z")
    c.expect(TEXT, b"z")
    c.finish()
    g.stop()
    second = first.with_name(first.stem + "-2.json")
    texts = [[m["data"] for m in json.loads(f.read_text())["messages"] if m["type"] == "text"] for f in (first, second)]
    assert texts == [["x", "x"], ["z", "z"]]
    assert not list(tmp_path.glob("*.journal.*"))


# a disk that is slower than the traffic

@pytest.mark.limit(240)
@pytest.mark.parametrize("on_full", ["pause", "drop", "close"])
def test_on_full(gateway, raw_upstream, tmp_path, on_full):
    """More than the writer can take at zstd level 19: pause loses nothing, drop says so in a gap, close closes."""
    up = raw_upstream()
    g = gateway(config(record=f"{{on_full: {on_full}, level: 19}}", url=up.url(), more="  workers: 1"))
    client, server = g.pair(up)
    block = [os.urandom(45_000) for _ in range(4)]
    total = 200
    before = g.memory()

    def send():
        for i in range(total):
            client.send_quietly(frame(BINARY, block[i % 4], mask=b"\0\0\0\0"))
    sending = Background(send)
    heard = 0
    for peer in (client, server):
        peer.sock.settimeout(60 * SLOW)
    try:
        while heard < total:
            f = server.recv_frame()
            if f.opcode != BINARY:
                break
            assert f.payload == block[heard % 4]
            heard += 1
    except Closed:
        pass
    sending.join(60 * SLOW)
    if not SANITIZED:
        assert g.memory("VmHWM") - before < 64 << 20
    if on_full == "close":
        if heard == total:
            pytest.skip("this machine's writer keeps up with the load: nothing to see")
        client.close_socket()
    else:
        assert heard == total, "the relay went on"
        part(client, server)
    g.stop(timeout=60 * SLOW)
    s = read_session(tmp_path / "s.jsonl.zst")
    if on_full == "pause":
        assert s.of("gap") == [] and sum(1 for m in s.messages if m.get("frame_offset", 0) == 0) == total
    elif on_full == "drop":
        gaps = s.of("gap")
        if not gaps:
            pytest.skip("this machine's writer keeps up with the load: nothing to see")
        assert sum(line["frames"] for line in gaps) > 0
