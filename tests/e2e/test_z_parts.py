"""A part of a recording is served with the handshake that stands far before it."""
import asyncio
import json

import websockets
from harness import mockforge, run
from setting import TIMEOUT


def test_from_keeps_the_handshake(gateway, tmp_path):
    lines = [{"type": "recording", "version": 1, "recorded_at": "2024-01-15T10:30:00.000Z", "generator": "test"},
             {"type": "open", "connection": "a", "timestamp_ms": 0, "path": "/a", "subprotocol": "chat"},
             {"type": "open", "connection": "b", "timestamp_ms": 0, "path": "/b", "subprotocol": "other"},
             {"connection": "b", "timestamp_ms": 1, "direction": "outgoing", "type": "text", "data": "over"},
             {"type": "end", "connection": "b", "timestamp_ms": 2, "by": "client", "reason": "closed"}]
    # Many zstd frames: what is wanted does not stand in the first of them.
    lines += [{"connection": "a", "timestamp_ms": 10 + i, "direction": "outgoing", "type": "text", "data": f"{i} " + "x" * 900}
              for i in range(2000)]
    (tmp_path / "s.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert mockforge("ws", "convert", "s.jsonl", "s.jsonl.zst", cwd=tmp_path).returncode == 0
    g = gateway(command=("ws", "replay"), args=("--input", "s.jsonl.zst", "--from", "2", "--port", 0, "--pick", "path"))

    async def client():
        async with websockets.connect(g.url("/a"), subprotocols=["other", "chat"]) as ws:
            return ws.subprotocol, await asyncio.wait_for(ws.recv(), TIMEOUT)
    subprotocol, first = run(client())
    assert subprotocol == "chat" and first.startswith("1990 "), first[:20]
