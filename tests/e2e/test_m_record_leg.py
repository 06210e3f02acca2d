"""record.leg: what is recorded when a transform stands between the two legs."""
import pytest
from harness import read_session
from wire import TEXT, part


@pytest.mark.parametrize("leg", ["client", "upstream", "both"])
def test_leg(gateway, raw_upstream, tmp_path, leg):
    up = raw_upstream()
    g = gateway(f"""
websocket:
  host: 127.0.0.1
  port: 0
  ping_interval: 0
  close_timeout_ms: 300
  handlers:
    - path: /proxy
      type: proxy
      upstream: "{up.url()}"
      transform:
        incoming: |
          if msg.drop then return false end
          msg.by = "in"
        outgoing: |
          msg.by = "out"
      record:
        path: s.jsonl.zst
        leg: {leg}
""")
    client, server = g.pair(up)
    client.text('{"drop":1}')
    client.text('{"q":1}')
    server.expect(TEXT, b'{"q":1,"by":"in"}')
    server.text('{"r":1}')
    client.expect(TEXT, b'{"r":1,"by":"out"}')
    client.ping(b"p")
    assert server.recv_frame().payload == b"p"
    part(client, server)
    g.stop()
    s = read_session(tmp_path / "s.jsonl.zst")
    at = {name: [(m["direction"], m["data"]) for m in s.messages if m.get("leg", "client") == name]
          for name in ("client", "upstream")}
    client_saw = [("incoming", '{"drop":1}'), ("incoming", '{"q":1}'), ("outgoing", '{"r":1,"by":"out"}')]
    upstream_saw = [("incoming", '{"q":1,"by":"in"}'), ("outgoing", '{"r":1}')]
    assert at["client"] == (client_saw if leg in ("client", "both") else [])
    assert at["upstream"] == (upstream_saw if leg in ("upstream", "both") else [])
    legs = 2 if leg == "both" else 1
    assert len(s.of("ping")) == legs and len(s.of("close")) == 2 * legs
    assert len(s.of("open")) == len(s.of("end")) == 1
