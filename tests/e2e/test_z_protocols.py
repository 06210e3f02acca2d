"""Real protocols with their own unmodified clients: recorded through the relay, then replayed with the server gone.

Not one line of mockforge knows any of them: ids, acknowledgement numbers and session names are found in the recording."""
import json
import re
import shutil
import subprocess

import pytest
from harness import mockforge, read_session, wait_for_lines
from setting import REPOSITORY, TIMEOUT

NODE = REPOSITORY / "tests" / "e2e" / "node"

# name: script, what the script's server and client are told, where the client connects, npm packages
PROTOCOLS = {
    "graphql-ws": ("graphql.js", [], "ws://{}/graphql", ["graphql-ws", "graphql"]),
    "socket.io": ("socketio.js", [], "http://{}/", ["socket.io", "socket.io-client"]),
    "rpc-websockets": ("jsonrpc.js", ["rpc-websockets"], "ws://{}/", ["rpc-websockets"]),
    "jayson": ("jsonrpc.js", ["jayson"], "ws://{}/", ["jayson"]),
}


def needs(packages):
    script = "".join(f"require('{package}');" for package in packages)
    if not shutil.which("node") or subprocess.run(["node", "-e", script], cwd=NODE, capture_output=True).returncode:
        pytest.skip(f"{' or '.join(packages)} is not installed: npm ci in the repository")


class Protocol:
    def __init__(self, name):
        self.script, self.told, self.where, packages = PROTOCOLS[name]
        needs(packages)

    def serve(self):
        process = subprocess.Popen(["node", self.script, "server", *self.told], cwd=NODE, stdout=subprocess.PIPE, text=True)
        process.address = f"127.0.0.1:{int(process.stdout.readline())}"
        return process

    def client(self, address, *variant):
        done = subprocess.run(["node", self.script, "client", *self.told, self.where.format(address), *variant], cwd=NODE,
                              capture_output=True, text=True, timeout=3 * TIMEOUT)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def record(self, gateway, path, *variant):
        """One client's session with the real server, through the relay: what the client saw."""
        server = self.serve()
        try:
            relay = gateway(f"""
websocket:
  host: 127.0.0.1
  port: 0
  handlers:
    - path: /**
      type: proxy
      upstream: "ws://{server.address}"
      record: true
      record_path: {path}
""")
            seen = self.client(f"127.0.0.1:{relay.port}", *variant)
            relay.stop()
        finally:
            server.kill()
            server.wait()
        return seen


@pytest.fixture
def replay(gateway):
    """`ws replay` in the background: its address."""
    def start(path, *args):
        process = gateway(command=("ws", "replay"), args=("--input", path, "--port", 0, *args))
        return process, f"127.0.0.1:{process.port}"
    return start


@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_client_sees_what_it_saw(gateway, replay, name):
    protocol = Protocol(name)
    recorded = protocol.record(gateway, "session.jsonl.zst")
    process, address = replay("session.jsonl.zst")
    for _ in range(3):
        assert protocol.client(address) == recorded
    assert not process.count_log(r"level=(warn|error)"), process.log


@pytest.mark.parametrize("name, variant, recorded_so", [
    ("graphql-ws", "reverse", False),
    ("graphql-ws", "reverse", True),
    ("socket.io", "late", True),
], ids=str)
def test_a_client_that_takes_another_order(gateway, replay, name, variant, recorded_so):
    """The recording was made in one order (or with a heartbeat), the live client takes another one (or does not wait for it)."""
    protocol = Protocol(name)
    recorded = protocol.record(gateway, "session.jsonl.zst", *[variant] * recorded_so)
    _, address = replay("session.jsonl.zst")
    assert protocol.client(address, *[variant] * (not recorded_so)) == recorded


@pytest.mark.parametrize("name", PROTOCOLS)
def test_several_clients_at_once(gateway, replay, name):
    protocol = Protocol(name)
    recorded = protocol.record(gateway, "session.jsonl.zst")
    _, address = replay("session.jsonl.zst")
    clients = [subprocess.Popen(["node", protocol.script, "client", *protocol.told, protocol.where.format(address)],
                                cwd=NODE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [json.loads(client.communicate(timeout=6 * TIMEOUT)[0]) for client in clients] == [recorded] * 4


@pytest.mark.parametrize("form", ["session.json", "session.har", "session.jsonl"])
def test_other_forms_of_the_recording(gateway, replay, tmp_path, form):
    protocol = Protocol("graphql-ws")
    recorded = protocol.record(gateway, "session.jsonl.zst")
    assert mockforge("ws", "convert", "session.jsonl.zst", form, cwd=tmp_path).returncode == 0
    _, address = replay(form)
    assert protocol.client(address) == recorded


@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_clients_half_is_driven_against_the_real_server(gateway, name, tmp_path):
    """What the server chooses anew each time (session names, socket ids) is named by the hint, and does not count then. The
    events of two subscriptions may come in another order."""
    protocol = Protocol(name)
    protocol.record(gateway, "session.jsonl.zst")
    server = protocol.serve()
    try:
        command = ["ws", "replay", "--input", "session.jsonl.zst", "--target", f"ws://{server.address}", "--verify",
                   "--unordered", "/"]
        done = mockforge(*command, cwd=tmp_path)
        ignore = re.findall(r"--ignore '?([^\s']+)", done.stdout + done.stderr)
        if done.returncode == 1:
            assert ignore, done
            done = mockforge(*command, *[word for path in ignore for word in ("--ignore", path)], cwd=tmp_path)
        assert done.returncode == 0, done
        assert bool(ignore) == (name in ("socket.io", "rpc-websockets")), (ignore, done)
    finally:
        server.kill()
        server.wait()


def test_a_mock_drawn_from_the_recording_answers_the_same_client(gateway, tmp_path):
    """Requests that were under way at once: each rule has the answers to its own."""
    protocol = Protocol("graphql-ws")
    recorded = protocol.record(gateway, "session.jsonl.zst")
    assert mockforge("ws", "convert", "session.jsonl.zst", "--to", "mock", "mock.yaml", cwd=tmp_path).returncode == 0
    mock = gateway((tmp_path / "mock.yaml").read_text(), ["--set", "websocket.port=0", "--set", "websocket.host=127.0.0.1"],
                   name="served.yaml")
    assert protocol.client(f"127.0.0.1:{mock.port}", "reverse") == recorded


def test_explain_says_what_was_found(gateway, tmp_path):
    Protocol("graphql-ws").record(gateway, "session.jsonl.zst")
    done = mockforge("ws", "replay", "--input", "session.jsonl.zst", "--explain", cwd=tmp_path)
    assert done.returncode == 0 and re.search(r"incoming .*/id", done.stdout) and re.search(r"outgoing .*/id", done.stdout), done
    found = json.loads(mockforge("ws", "replay", "--input", "session.jsonl.zst", "--explain", "--json", cwd=tmp_path).stdout)
    assert found["rules"], found


def test_without_correlation_the_answers_are_the_recorded_ones(gateway, replay, tmp_path):
    """A check of the checks above: the ids do differ from run to run."""
    protocol = Protocol("jayson")
    protocol.record(gateway, "session.jsonl")
    ids = {json.loads(text)["id"] for text in read_session(tmp_path / "session.jsonl").data("incoming")
           if text.startswith("{")}
    _, address = replay("session.jsonl", "--record", "replayed.jsonl")
    protocol.client(address)
    again = wait_for_lines(tmp_path / "replayed.jsonl", lambda session: session.of("end"))
    live = {json.loads(text)["id"] for text in again.data("incoming") if text.startswith("{")}
    assert len(ids) == len(live) > 3 and not ids & live
    assert live == {json.loads(text)["id"] for text in again.data("outgoing") if text.startswith("{")}
