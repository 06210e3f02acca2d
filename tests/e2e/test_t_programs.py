"""Programs that people use: node's ws on both sides, curl, wscat, a browser."""
import asyncio
import base64
import json
import os
import queue
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import websockets
from harness import read_session, run
from setting import REPOSITORY, SLOW, TIMEOUT
from wire import accept_for

NODE = REPOSITORY / "tests" / "e2e" / "node"
CONFIG = """
websocket:
  host: 127.0.0.1
  port: 0
  max_message_size: 4MiB
  handlers:
    - path: /echo
      type: echo
"""


def proxy(url, more=""):
    return CONFIG + f"""    - path: /proxy
      type: proxy
      upstream: "{url}"
      record: true
      record_path: s.jsonl.zst
{more}"""


@pytest.fixture
def node():
    """Runs a script of tests/e2e/node: its JSON lines."""
    if not shutil.which("node"):
        pytest.skip("node is not installed")
    if subprocess.run(["node", "-e", "require('ws')"], cwd=NODE, capture_output=True).returncode:
        pytest.skip("node's ws is not installed: npm ci in the repository")

    def runner(script, *args):
        done = subprocess.run(["node", script, *map(str, args)], cwd=NODE, capture_output=True, text=True, timeout=3 * TIMEOUT)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]
    return runner


@pytest.fixture
def node_server(node):
    process = subprocess.Popen(["node", "server.js"], cwd=NODE, stdout=subprocess.PIPE, text=True)
    process.port = json.loads(process.stdout.readline())["port"]
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("count,size", [(200, 64), (20, 70_000), (4, 3_000_000)])
def test_node_client_on_the_echo(gateway, node, count, size):
    g = gateway(CONFIG)
    result, = node("client.js", g.url("/echo"), count, size)
    assert result == {"echoed": count, "pongs": 1, "extensions": "", "protocol": "first", "code": 4001, "reason": "done \u20ac"}


@pytest.mark.parametrize("count,size", [(200, 64), (20, 70_000), (4, 3_000_000)])
def test_node_client_and_node_server_through_the_relay(gateway, node, node_server, tmp_path, count, size):
    g = gateway(proxy(f"ws://127.0.0.1:{node_server.port}/api"))
    result, = node("client.js", g.url("/proxy?room=1"), count, size)
    assert result == {"echoed": count, "pongs": 1, "extensions": "", "protocol": "second", "code": 4001, "reason": "done \u20ac"}
    seen = json.loads(node_server.stdout.readline())
    assert seen == {"url": "/api?room=1", "client": "node", "offered": None, "code": 4001, "reason": "done \u20ac"}
    g.stop()
    s = read_session(tmp_path / "s.jsonl.zst")
    whole = [m for m in s.messages if m.get("frame_offset", 0) == 0]
    assert len([m for m in whole if m["direction"] == "incoming" and m["type"] != "continuation"]) == count
    assert s.of("end")[0]["by"] == "client"


def test_python_client_and_node_server(gateway, node_server):
    """websockets offers permessage-deflate, ws would take it: we stand between and nobody compresses."""
    g = gateway(proxy(f"ws://127.0.0.1:{node_server.port}/"))

    async def talk():
        async with websockets.connect(g.url("/proxy"), subprotocols=["second"], max_size=None) as ws:
            assert ws.extensions == [] and ws.subprotocol == "second"
            for message in ("x" * 1_000_000, b"\0" * 1_000_000, "", b""):
                await ws.send(message)
                assert await ws.recv() == message
            await asyncio.wait_for(await ws.ping(b"p"), TIMEOUT)
            await ws.send(["frag", "men", "ted"])
            assert await ws.recv() == "fragmented"
    run(talk(), 2 * TIMEOUT)


@pytest.fixture
def curl():
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")

    def runner(url, *args):
        return subprocess.run(["curl", "--silent", "--include", "--no-buffer", "--http1.1", "--max-time", str(2 * SLOW), *args, url],
                              capture_output=True)
    return runner


def test_curl_handshake(gateway, curl):
    key = base64.b64encode(os.urandom(16)).decode()
    url = gateway(CONFIG).url("/echo").replace("ws://", "http://")
    done = curl(url, "-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Version: 13",
                "-H", f"Sec-WebSocket-Key: {key}")
    assert done.stdout.startswith(b"HTTP/1.1 101 "), done
    assert f"sec-websocket-accept: {accept_for(key)}".lower() in done.stdout.decode().lower()


def test_curl_on_a_websocket_path(gateway, curl):
    g = gateway(CONFIG)
    done = curl(g.url("/echo").replace("ws://", "http://"))
    assert done.returncode == 0 and done.stdout.startswith(b"HTTP/1.1 426 "), done
    done = curl(g.url("/nothing").replace("ws://", "http://"))
    assert done.returncode == 0 and done.stdout.startswith(b"HTTP/1.1 404 "), done
    done = curl(g.url("/echo").replace("ws://", "http://"), "--data", "x=1")
    assert done.returncode == 0 and done.stdout.startswith(b"HTTP/1.1 405 "), done


def test_wscat(gateway):
    wscat = shutil.which("wscat") or shutil.which("wscat", path=str(REPOSITORY / "node_modules" / ".bin"))
    if not wscat:
        pytest.skip("wscat is not installed")
    # Its standard input stays open until the answer is there: it leaves when that ends.
    process = subprocess.Popen([wscat, "--no-color", "-c", gateway(CONFIG).url("/echo"), "-x", "hello from wscat", "-w", "1"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "hello from wscat\n"
        process.stdin.close()
        assert process.wait(TIMEOUT) == 0
    finally:
        process.kill()


@pytest.fixture
def site():
    """A server of one page (`page`); what the page posts comes out of the queue `told`."""
    class Handler(BaseHTTPRequestHandler):
        def answer(self, body):
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            self.answer(self.server.page.encode())

        def do_POST(self):
            self.server.told.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.answer(b"")

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.told = queue.Queue()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_chromium(gateway, site, tmp_path):
    browser = next((b for b in ("chromium", "chromium-browser", "google-chrome") if shutil.which(b)), None)
    if not browser:
        pytest.skip("no Chromium is installed")
    site.page = f"""<!doctype html><title>t</title><script>
let heard = null;
const ws = new WebSocket("{gateway(CONFIG).url("/echo")}");
ws.onopen = () => ws.send("hello from a browser");
ws.onmessage = (e) => {{ heard = e.data; ws.close(4000, "done"); }};
ws.onclose = (e) => fetch("/", {{method: "POST", body: JSON.stringify([heard, e.code, e.reason, e.wasClean])}});
</script>"""
    with open(tmp_path / "chromium.log", "wb") as log:
        process = subprocess.Popen([browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
                                    "--remote-debugging-port=0", f"--user-data-dir={tmp_path}/profile",
                                    f"http://127.0.0.1:{site.server_port}/"],
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        assert site.told.get(timeout=30 * SLOW) == ["hello from a browser", 4000, "done", True]
    except queue.Empty:
        pytest.fail((tmp_path / "chromium.log").read_text())
    finally:
        process.terminate()
        process.wait(TIMEOUT)
