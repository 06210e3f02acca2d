"""Bugs that were; each test failed before its fix."""
import time

import pytest
from harness import read_session
from wire import TEXT, Listener, Peer, part

RECORDED_ECHO = """
websocket:
  host: 127.0.0.1
  port: 0
  workers: 1
  record: true
  record_path: s.jsonl.zst
  handlers:
    - path: /echo
      type: echo
"""


@pytest.mark.parametrize("after_ms", range(0, 120, 6))
def test_a_second_signal_at_any_moment(gateway, tmp_path, after_ms):
    """It killed the process when it came after the loop's end, in the middle of finishing recordings."""
    g = gateway(RECORDED_ECHO)
    c = g.client("/echo")
    c.text("x")
    c.expect(TEXT, b"x")
    c.finish()
    g.send_signal(15)
    time.sleep(after_ms / 1000)
    if g.process.poll() is None:
        g.send_signal(15)
    g.check(g.wait())
    assert read_session(tmp_path / "s.jsonl.zst").of("end")


def test_an_upstream_that_says_nothing_in_its_tls_handshake(gateway):
    """The dial's time-out left its link behind, whose end then touched freed memory."""
    silent = Listener()
    g = gateway(f"""
websocket:
  host: 127.0.0.1
  port: 0
  handlers:
    - path: /proxy
      type: proxy
      upstream: wss://127.0.0.1:{silent.port}/
      connect_timeout_ms: 100
""")
    for _ in range(10):
        client = g.ask("/proxy")
        upstream = Peer(silent.sock.accept()[0], False)
        client.answered(504)
        upstream.close_socket(reset=True)
        client.expect_eof()
    silent.stop()


def test_a_client_that_leaves_and_one_that_talks_while_the_upstream_is_slow(gateway, raw_upstream):
    """While a session opens its client is read, so that its end is seen; what it says early still arrives, in order."""
    up = raw_upstream()
    g = gateway(f"""
websocket:
  host: 127.0.0.1
  port: 0
  handlers:
    - path: /proxy
      type: proxy
      upstream: {up.url()}
""")
    client = g.ask("/proxy")
    server = up.accept()
    server.take_request()
    for i in range(200):  # more than is set aside while the session opens
        client.text(f"{i} " + "x" * 300)
    server.answer()
    client.answered()
    for i in range(200):
        assert server.recv_text().startswith(f"{i} ")
    part(client, server)
