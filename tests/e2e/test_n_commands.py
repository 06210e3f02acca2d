"""The command line: flags, environment, ws record, and the tools on what was recorded."""
import json
import os
import pty
import re
import select
import shutil
import ssl
import subprocess

import pytest
import websockets
from harness import Gateway, environment, eventually, mockforge, read_session, run, the_file, wait_for_lines
from setting import BINARY_PATH, REPOSITORY, TIMEOUT
from wire import PONG, TEXT, Client


FREE_PORT = ("--ws-port", "0")
SAMPLE = REPOSITORY / "recordings" / "sample.jsonl.zst"


# serve

def test_serve_websocket_without_a_file(gateway):
    """The guide's `mockforge serve --websocket`."""
    c = gateway(args=["--websocket", *FREE_PORT]).client("/ws")
    c.text('{"type":"ping"}')
    assert json.loads(c.recv_text()) == {"type": "pong"}
    c.finish()


def test_serve_ws_path(gateway):
    g = gateway(args=["--websocket", "--ws-path", "/api/realtime", *FREE_PORT])
    c = g.client("/api/realtime")
    c.finish()
    g.client("/ws", status=404)


def test_serve_finds_mockforge_yaml_in_its_directory(gateway, tmp_path):
    (tmp_path / "mockforge.yaml").write_text("websocket:\n  host: 127.0.0.1\n  port: 0\n  path: /found\n")
    c = gateway().client("/found")
    c.finish()


def test_environment(gateway):
    g = gateway(env={"MOCKFORGE_WS_ENABLED": "true", "MOCKFORGE_WS_PORT": "0", "MOCKFORGE_WS_PATH": "/from-env",
                     "MOCKFORGE_WS_MAX_CONNECTIONS": "1", "MOCKFORGE_WS_MAX_MESSAGE_SIZE": "10", "MOCKFORGE_WS_PING_INTERVAL": "1"})
    c = g.client("/from-env")
    g.client("/from-env", status=503)
    assert c.recv_frame().opcode == 9  # the ping of its heartbeat
    c.text("x" * 11)
    c.expect_failure(1009)


def test_precedence(gateway):
    """Command line beats environment beats file."""
    text = "websocket:\n  host: 127.0.0.1\n  port: 0\n  path: /file\n"
    gateway(text, env={"MOCKFORGE_WS_PATH": "/env"}).client("/env").finish()
    gateway(text, env={"MOCKFORGE_WS_PATH": "/env"}, args=["--ws-path", "/flag"], name="two.yaml").client("/flag").finish()


def test_the_port_is_taken(gateway, tmp_path):
    g = gateway("websocket:\n  host: 127.0.0.1\n  port: 0\n")
    done = mockforge("serve", "--websocket", "--ws-port", g.port, cwd=tmp_path, env={"MOCKFORGE_WS_HOST": "127.0.0.1"})
    assert done.returncode == 3 and str(g.port) in done.stderr, done


@pytest.mark.parametrize("args", [["serve", "--no-such-flag"], ["no-such-command"], ["ws", "no-such-command"],
                                  ["serve", "--ws-port", "many"], ["serve", "--ws-port", "70000"], ["serve", "--ws-port"],
                                  ["ws", "record"], ["ws", "replay"], ["ws", "show"], ["ws", "convert", "one"]])
def test_usage_errors(tmp_path, args):
    done = mockforge(*args, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr and not done.stdout, done


@pytest.mark.parametrize("args", [["--help"], ["serve", "--help"], ["ws", "record", "--help"], ["ws", "replay", "--help"],
                                  ["ws", "show", "--help"], ["ws", "ls", "--help"], ["ws", "convert", "--help"], ["config", "check", "--help"], ["--version"]])
def test_help(tmp_path, args):
    done = mockforge(*args, cwd=tmp_path)
    assert done.returncode == 0 and done.stdout and not done.stderr, done
    assert "\x1b" not in done.stdout
    if args == ["--version"]:
        assert re.match(r"mockforge \d+\.\d+\.\d+", done.stdout)


# what it prints when it starts

RECORDED_ECHO = """
websocket:
  host: 127.0.0.1
  port: 0
  handlers:
    - path: /echo
      type: echo
      record: true
      record_path: "{}"
"""


def hints(g):
    """The three commands to try next."""
    text = eventually(lambda: (lambda t: t if t.count("\n") == 3 else None)((g.cwd / "stdout").read_text()))
    return [line.split(":", 1)[1].strip() for line in text.splitlines()]


@pytest.mark.parametrize("path, grows", [("s.jsonl.zst", "s.jsonl.zst"), ("s.json", "s.journal.jsonl.zst"),
                                         ("s.json.zst", "s.journal.jsonl.zst")])
def test_the_recording_to_follow_is_the_file_that_grows(gateway, tmp_path, path, grows):
    """Before the first message there is none yet, and a document comes when all is over."""
    g = gateway(RECORDED_ECHO.format(path))
    command = hints(g)[1].split()
    assert command[1:] == ["ws", "show", "--follow", grows]
    shown = subprocess.Popen([str(BINARY_PATH), *command[1:], "--type", "text", "--limit", "2"], cwd=tmp_path,
                             env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert shown.stderr.readline() == f"mockforge ws show: waiting for {grows}\n"
        c = g.client("/echo")
        c.text("hello")
        c.expect(TEXT, b"hello")
        assert shown.communicate(timeout=TIMEOUT)[0].count("hello") == 2
    finally:
        shown.kill()
        shown.wait()


def test_the_hint_to_record_takes_a_port_of_its_own(gateway, ws_upstream, tmp_path):
    command = hints(gateway(RECORDED_ECHO.format("s.jsonl")))[2].split()
    command[command.index("--upstream") + 1] = ws_upstream().url()
    g = gateway(command=command[1:])
    assert g.host == "127.0.0.1"
    g.client("/").finish()


def test_the_hint_for_a_certificate_of_our_own_says_where_it_is(gateway, tmp_path):
    g = gateway(args=["--websocket", "--ws-tls", *FREE_PORT])
    certificate, *words = hints(g)[0].split()
    name, path = certificate.split("=")
    assert name == "SSL_CERT_FILE" and words[:3] == ["python3", "-m", "websockets"]

    async def talk():
        async with websockets.connect(words[3], ssl=ssl.create_default_context(cafile=path)) as ws:
            await ws.send("hello")
            assert await ws.recv() == "hello"
    run(talk())


# standard streams

@pytest.mark.parametrize("args", [["--help"], ["ws", "show", SAMPLE], ["ws", "show", "--json", SAMPLE], ["config", "schema"]])
@pytest.mark.parametrize("redirection", [">/dev/full", ">&-"])
def test_output_that_did_not_arrive(tmp_path, args, redirection):
    done = subprocess.run(["sh", "-c", f'exec "$0" "$@" {redirection}', str(BINARY_PATH), *map(str, args)], cwd=tmp_path,
                          env=environment(tmp_path), capture_output=True, text=True, timeout=TIMEOUT)
    reason = "No space left on device" if redirection == ">/dev/full" else "Bad file descriptor"
    assert done.returncode == 3 and done.stderr.endswith(f": {reason}\n") and done.stderr.count("\n") == 1, done


def test_a_gateway_without_standard_streams(tmp_path):
    """No socket and no file takes the number of a stream that is closed: what is printed would go there."""
    (tmp_path / "mockforge.yaml").write_text(RECORDED_ECHO.format("s.jsonl"))
    process = subprocess.Popen(["sh", "-c", 'exec "$0" serve <&- >&- 2>&-', str(BINARY_PATH)], cwd=tmp_path,
                               env=environment(tmp_path, {"MOCKFORGE_ADMIN_ENABLED": "false"}))
    try:
        eventually(lambda: len(os.listdir(f"/proc/{process.pid}/fd")) > 8)
        assert [os.readlink(f"/proc/{process.pid}/fd/{fd}") for fd in range(3)] == ["/dev/null"] * 3
        process.terminate()
        assert process.wait(TIMEOUT) == 0
    finally:
        process.kill()
        process.wait()


# make install

def test_make_install_where_the_name_has_a_space(tmp_path):
    target = tmp_path / "a b"
    build = os.path.relpath(BINARY_PATH.parent, REPOSITORY)
    subprocess.run(["make", "-o", f"{build}/mockforge", f"BUILD={build}", "install", f"DESTDIR={target}", "PREFIX=/usr"],
                   cwd=REPOSITORY, env=environment(tmp_path, {"MAKEFLAGS": ""}), check=True, capture_output=True)
    for name in ["bin/mockforge", "share/man/man1/mockforge-ws-record.1", "share/mockforge/conf/mockforge.yaml",
                 "share/mockforge/lua/redact.lua", "share/mockforge/recordings/sample.jsonl.zst",
                 "share/doc/mockforge/configuration.md"]:
        assert (target / "usr" / name).is_file(), name


# ws replay

@pytest.mark.parametrize("args, code, message", [
    (["s.jsonl"], 2, 'unexpected "s.jsonl"; the recording is named with --input FILE'),
    (["-i", "s.jsonl", "--verify"], 2, "--verify is for a live server: --target URL says which"),
    (["-i", "s.jsonl", "--clients", "3"], 2, "--clients is for a live server: --target URL says which"),
    (["-i", "none.jsonl"], 3, "mockforge: none.jsonl: cannot be opened: No such file or directory"),
    (["-i", SAMPLE, "--transform", "none.lua"], 2, 'transform.incoming: cannot read the Lua file "none.lua"'),
    (["-i", "README.md"], 3, "mockforge: README.md:1:1: expected a recording (JSON lines, a document, "
     "an HTTP archive; plain or in zstd): expected an object, found '#'"),
])
def test_ws_replay_says_what_was_meant(tmp_path, args, code, message):
    (tmp_path / "README.md").write_text("# not a recording\n")
    done = mockforge("ws", "replay", *args, cwd=tmp_path)
    assert done.returncode == code and message in done.stderr and "handlers[" not in done.stderr


def test_ws_replay_of_a_recording_that_ends_early(gateway, tmp_path):
    """What there is is played when that is asked for, and that there may have been more is said."""
    lines = [{"type": "recording", "version": 1, "recorded_at": "2024-01-15T10:30:00.000Z"},
             {"type": "open", "connection": "conn-1", "timestamp_ms": 0, "path": "/"}] + [
             {"connection": "conn-1", "timestamp_ms": 1, "direction": "outgoing", "type": "text", "data": data}
             for data in ("one", "two")]
    (tmp_path / "s.jsonl").write_text("\n".join(map(json.dumps, lines))[:-10])
    for how in ("--explain", "--port=0", "--target=ws://127.0.0.1:1"):
        done = mockforge("ws", "replay", "-i", "s.jsonl", how, cwd=tmp_path)
        assert done.returncode == 3 and "s.jsonl:4: byte" in done.stderr and "--recover" in done.stderr, done
    done = mockforge("ws", "replay", "-i", "s.jsonl", "--explain", "--recover", cwd=tmp_path)
    assert done.returncode == 0 and "s.jsonl ends early" in done.stderr and "1 connection" in done.stdout
    g = gateway(command=("ws", "replay"), args=["-i", "s.jsonl", "--port", "0", "--recover"])
    assert g.client("/").recv_text() == "one"
    g.stop()
    assert 'replay_ends_early file="s.jsonl"' in g.log
    assert "1 connection, 1 message sent" in g.log  # to the last one, however short the run was


def test_ws_show_of_an_empty_file(tmp_path):
    (tmp_path / "s.jsonl").touch()
    done = mockforge("ws", "show", "s.jsonl", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (3, "mockforge: s.jsonl: expected a recording: the file is empty\n")


# ws record

def test_ws_record_counts_to_the_last_message(gateway, ws_upstream):
    """A run that ends before its first status line."""
    g = gateway(command=("ws", "record"),
                args=["--output", "s.jsonl", "--upstream", ws_upstream().url("/"), "--listen", "127.0.0.1:0"])
    c = g.client("/")
    c.text("one")
    c.expect(TEXT, b"one")
    c.finish()
    g.stop()
    assert re.search(r"[2-9] frames of 1 connection recorded to s\.jsonl", g.log)


def test_ws_record_of_nothing_names_no_file(gateway):
    g = gateway(command=("ws", "record"), args=["--output", "s.jsonl", "--upstream", "ws://127.0.0.1:1", "--listen", ":0"])
    g.stop()
    assert "nothing was recorded" in g.log and "recorded to" not in g.log


def test_ws_record(gateway, ws_upstream, tmp_path):
    up = ws_upstream()
    g = gateway(command=("ws", "record"), args=["--output", "s.jsonl.zst", "--upstream", up.url("/base"), "--listen", "127.0.0.1:0"])
    for path in ("/", "/any/path?x=1"):
        c = g.client(path)
        c.text(path)
        c.expect(TEXT, path.encode())
        c.finish()
    g.stop()
    s = read_session(tmp_path / "s.jsonl.zst")
    for direction in ("incoming", "outgoing"):  # two workers: lines are in order within a connection only
        assert sorted(s.data(direction)) == ["/", "/any/path?x=1"]
    assert sorted((line["path"], line["query"] or "") for line in s.of("open")) == [("/", ""), ("/any/path", "x=1")]
    assert [path for path, _ in up.seen] == ["/base", "/base/any/path?x=1"] or up.seen[1][0].endswith("/any/path?x=1")


def test_ws_record_into_the_guides_document(gateway, ws_upstream, tmp_path):
    up = ws_upstream()
    g = gateway(command=("ws", "record"), args=["--output", "session.json", "--upstream", up.url(), "--listen", "127.0.0.1:0"])
    c = g.client("/")
    c.text("hello")
    c.expect(TEXT, b"hello")
    c.finish()
    g.stop(number=2)
    messages = json.loads((tmp_path / "session.json").read_text())["messages"]
    assert [m["data"] for m in messages if m["type"] == "text"] == ["hello", "hello"]


def test_ws_record_filters(gateway, ws_upstream, tmp_path):
    up = ws_upstream()
    g = gateway(command=("ws", "record"), args=["--output", "s.jsonl", "--upstream", up.url(), "--listen", "127.0.0.1:0",
                                                "--path", "/api/**", "--exclude-ping"])
    for path in ("/api/x", "/other"):
        c = g.client(path)
        c.ping(b"p")
        c.expect(PONG, b"p")
        c.text(path)
        c.expect(TEXT, path.encode())
        c.finish()
    g.stop()
    s = read_session(tmp_path / "s.jsonl")
    assert [line["path"] for line in s.of("open")] == ["/api/x"]
    assert s.of("ping", "pong") == []


def test_ws_record_with_a_configuration_records_all_routes(gateway, ws_upstream, tmp_path):
    up = ws_upstream()
    g = gateway(f"""
websocket:
  host: 127.0.0.1
  port: 0
  handlers:
    - path: /echo
      type: echo
    - path: /proxy
      type: proxy
      upstream: "{up.url()}"
""", command=("ws", "record"), args=["--output", "all.jsonl"])
    for path in ("/echo", "/proxy", "/ws"):
        c = g.client(path)
        c.text(path)
        c.expect(TEXT, path.encode())
        c.finish()
    g.stop()
    paths = [line["path"] for line in read_session(tmp_path / "all.jsonl").of("open")]
    assert sorted(paths) == ["/echo", "/proxy", "/ws"]  # across workers the order is not promised


@pytest.mark.parametrize("args,status", [
    (["--output", "s.txt", "--upstream", "ws://127.0.0.1:1"], (2,)),
    (["--output", "/proc/none/s.jsonl", "--upstream", "ws://127.0.0.1:1"], (3,)),
    (["--output", "s.jsonl", "--upstream", "ftp://127.0.0.1"], (2,)),
    (["--output", "s.jsonl", "--upstream", "ws://127.0.0.1:1", "--listen", "nonsense:port"], (2,)),
    (["--output", "s.jsonl", "--config", "missing.yaml"], (2, 3))])
def test_ws_record_refuses(tmp_path, args, status):
    done = mockforge("ws", "record", *args, cwd=tmp_path)
    assert done.returncode in status and done.stderr, done


def test_the_status_line_on_a_terminal(ws_upstream, tmp_path):
    """Connections, messages, bytes, file size and rate, redrawn in place; nothing of it in a pipe."""
    up = ws_upstream()
    ours, theirs = pty.openpty()
    process = subprocess.Popen([str(BINARY_PATH), "ws", "record", "--output", "s.jsonl.zst", "--upstream", up.url(),
                                "--listen", "127.0.0.1:0"], cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
                               env=environment(tmp_path, {"TERM": "xterm"}))
    os.close(theirs)
    shown = bytearray()

    def until(pattern):
        while not re.search(pattern, shown):
            assert select.select([ours], [], [], TIMEOUT)[0], f"{pattern} in {shown!r}"
            shown.extend(os.read(ours, 4096))
        return re.search(pattern, shown)
    try:
        port = int(until(rb"listening .*address=127\.0\.0\.1:(\d+) ")[1])
        with Client(("127.0.0.1", port)).ask("/").answered() as c:
            for _ in range(5):
                c.text("hello")
                c.expect(TEXT, b"hello")
            status = until(rb"1 connection[^\r\n]*10 frames[^\r\n]*\r")[0]  # all of the line
            assert b"/s" in status and b"B" in status, status
        process.send_signal(2)
        until(rb"recorded to s\.jsonl\.zst")
        assert process.wait(TIMEOUT) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)


# show, ls, convert, on what the gateway itself wrote; their own tests say more

@pytest.fixture
def recorded(gateway, tmp_path):
    g = gateway("websocket:\n  host: 127.0.0.1\n  port: 0\n  record: true\n  record_path: recordings/s.jsonl.zst\n")
    c = g.client("/ws?room=1")
    c.text("hello \u20ac")
    c.recv_message()
    c.binary(b"\0\xff")
    c.recv_message()
    c.finish(1000, "bye")
    g.stop()
    return tmp_path / "recordings" / "s.jsonl.zst"


def test_ws_show(recorded, tmp_path):
    done = mockforge("ws", "show", recorded, cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.count("hello \u20ac") == 2 and "bye" in done.stdout and "\x1b" not in done.stdout, done
    lines = [json.loads(line) for line in mockforge("ws", "show", "--json", recorded, cwd=tmp_path).stdout.splitlines()]
    assert [m["data"] for m in lines if m.get("type") == "text"] == ["hello \u20ac"] * 2
    assert mockforge("ws", "show", "missing.jsonl", cwd=tmp_path).returncode == 3


def test_ws_ls(recorded, tmp_path):
    done = mockforge("ws", "ls", cwd=tmp_path)  # ./recordings
    assert done.returncode == 0 and "s.jsonl.zst" in done.stdout, done
    assert mockforge("ws", "ls", recorded.parent, cwd=tmp_path).returncode == 0
    assert mockforge("ws", "ls", "missing", cwd=tmp_path).returncode == 3


@pytest.mark.parametrize("form", ["out.json", "out.jsonl", "out.jsonl.zst", "out.json.zst"])
def test_ws_convert(recorded, tmp_path, form):
    done = mockforge("ws", "convert", recorded, form, cwd=tmp_path)
    assert done.returncode == 0, done
    back = mockforge("ws", "convert", form, "back.jsonl", cwd=tmp_path)
    assert back.returncode == 0, back
    assert read_session(tmp_path / "back.jsonl").directions() == read_session(recorded).directions()


# config check

def check(tmp_path, text, *args):
    (tmp_path / "mockforge.yaml").write_text(text)
    return mockforge("config", "check", *args, cwd=tmp_path)


def test_config_check(tmp_path):
    done = check(tmp_path, "websocket:\n  port: 1234\n  handlers:\n    - path: /echo\n      type: echo\n")
    assert done.returncode == 0, done


@pytest.mark.parametrize("file", sorted(f.name for f in (REPOSITORY / "conf").glob("*.yaml")))
def test_the_configurations_that_come_along(tmp_path, certs, file):
    (tmp_path / "certs").mkdir()
    (tmp_path / "recordings").mkdir()
    shutil.copy(SAMPLE, tmp_path / "recordings")
    for name, source in (("ca.crt", certs.crt("ca")), ("server.crt", certs.crt("good")), ("server.key", certs.key("good"))):
        shutil.copy(source, tmp_path / "certs" / name)
    done = mockforge("config", "check", REPOSITORY / "conf" / file, cwd=tmp_path)
    assert done.returncode == 0, done


def test_the_demonstration(gateway, tmp_path):
    """What `make run UPSTREAM=…` starts: echo, and a recorded proxy."""
    inner = gateway("websocket:\n  host: 127.0.0.1\n  port: 0\n")
    g = gateway(args=["--config", REPOSITORY / "conf" / "mockforge.yaml", "--ws-port", "0",
                      "--set", f"websocket.handlers[/proxy].upstream={inner.url('/ws')}"])
    for path, answer in (("/echo", '{"type":"ping"}'), ("/proxy", '{"type":"pong"}')):
        c = g.client(path)
        c.text('{"type":"ping"}')
        assert json.loads(c.recv_text()) == json.loads(answer)
        c.finish()
    g.stop()
    s = read_session(the_file(tmp_path / "recordings", "ws-*.jsonl.zst"))
    assert s.directions() == [("incoming", '{"type":"ping"}'), ("outgoing", s.messages[1]["data"])]


def test_config_schema(tmp_path):
    done = mockforge("config", "schema", cwd=tmp_path)
    assert done.returncode == 0, done
    schema = json.loads(done.stdout)
    assert "websocket" in json.dumps(schema) and "$schema" in schema


def test_the_status_of_a_recording_that_is_being_written(gateway, ws_upstream, tmp_path):
    up = ws_upstream()
    g = gateway(command=("ws", "record"), args=["--output", "s.jsonl.zst", "--upstream", up.url(), "--listen", "127.0.0.1:0"])
    assert isinstance(g, Gateway)
    with Client(g.address).ask("/").answered() as c:
        c.text("now")
        c.expect(TEXT, b"now")
        wait_for_lines(tmp_path / "s.jsonl.zst", lambda s: len(s.messages) == 2)
        done = mockforge("ws", "show", "s.jsonl.zst", cwd=tmp_path)
        assert done.returncode == 0 and done.stdout.count("now") >= 2, done
