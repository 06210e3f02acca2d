"""SIGTERM and SIGINT: clients get 1001, recordings are finished, status 0; a second signal hurries."""
import signal
import time

import pytest
from harness import Background, read_session
from setting import SLOW
from wire import BINARY, CLOSE, NO_MASK, TEXT, Closed, Peer, frame, request_head, tcp

CONFIG = """
websocket:
  host: 127.0.0.1
  port: 0
  ping_interval: 0
{}
  record: true
  record_path: s.jsonl.zst
  handlers:
    - path: /echo
      type: echo
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_clients_are_closed_with_1001(gateway, tmp_path, number):
    g = gateway(CONFIG.format(""))
    clients = [g.client("/echo") for _ in range(20)]
    for c in clients:
        c.text("x")
        c.expect(TEXT, b"x")
    g.send_signal(number)
    for c in clients:
        c.expect_close(1001)
        c.close(1001)
        c.expect_eof()
    g.check(g.wait())
    s = read_session(tmp_path / "s.jsonl.zst")
    assert len(s.of("end")) == 20 and {line["by"] for line in s.of("end")} == {"gateway"}
    assert [line["direction"] for line in s.of("close")].count("outgoing") == 20


def test_both_legs_of_a_relay(gateway, raw_upstream):
    up = raw_upstream()
    g = gateway(CONFIG.format("") + f"    - path: /proxy\n      type: proxy\n      upstream: {up.url()}\n")
    client, server = g.pair(up)
    g.send_signal(signal.SIGTERM)
    client.expect_close(1001)
    f = server.recv_frame()
    assert f.opcode == CLOSE and f.code == 1001
    server.close(1001)
    client.close(1001)
    client.expect_eof()
    server.expect_eof()
    g.check(g.wait())


def test_nobody_connected(gateway):
    g = gateway(CONFIG.format(""))
    began = time.monotonic()
    g.stop()
    assert time.monotonic() - began < 2 * SLOW


def test_no_new_connections(gateway):
    """Of a worker that has said so to its clients: another may still be about to."""
    g = gateway(CONFIG.format("  close_timeout_ms: 1500\n  workers: 1"))
    held = g.client("/echo")
    g.send_signal(signal.SIGTERM)
    held.expect_close(1001)
    with pytest.raises((OSError, Closed)):
        with Peer(tcp(g.address), True) as c:
            c.send(request_head("/echo"))
            c.recv_head()
    held.close(1001)
    g.check(g.wait())


def test_a_client_that_does_not_answer(gateway, tmp_path):
    g = gateway(CONFIG.format("  close_timeout_ms: 400"))
    c = g.client("/echo")
    began = time.monotonic()
    g.send_signal(signal.SIGTERM)
    c.expect_close(1001)
    c.expect_eof()
    g.check(g.wait())
    assert 0.3 < time.monotonic() - began < 0.4 + 2 * SLOW
    assert read_session(tmp_path / "s.jsonl.zst").of("end")


def test_a_client_that_does_not_read(gateway):
    g = gateway(CONFIG.format("  close_timeout_ms: 400"))
    c = g.client("/echo")
    Background(c.send_quietly, frame(BINARY, b"x" * 60000, mask=NO_MASK) * 200)
    time.sleep(0.2)  # until both directions are full
    g.send_signal(signal.SIGTERM)
    g.check(g.wait())
    c.close_socket()


def test_a_second_signal_hurries(gateway, tmp_path):
    g = gateway(CONFIG.format("  close_timeout_ms: 60000"))
    c = g.client("/echo")
    c.text("x")
    c.expect(TEXT, b"x")
    g.send_signal(signal.SIGTERM)
    c.expect_close(1001)
    began = time.monotonic()
    g.send_signal(signal.SIGTERM)
    g.check(g.wait())
    assert time.monotonic() - began < 2 * SLOW
    s = read_session(tmp_path / "s.jsonl.zst")  # finished all the same
    assert s.of("end") and len(s.messages) == 2


def test_while_a_head_is_incomplete_and_an_upstream_is_slow(gateway, raw_upstream):
    up = raw_upstream()
    g = gateway(CONFIG.format("  close_timeout_ms: 500") + f"    - path: /proxy\n      type: proxy\n      upstream: {up.url()}\n")
    half = Peer(tcp(g.address), True)
    half.send(request_head("/echo")[:40])
    waiting = g.ask("/proxy")
    up.accept().take_request()
    began = time.monotonic()
    g.stop()
    assert time.monotonic() - began < 0.5 + 2 * SLOW
    half.close_socket()
    waiting.close_socket()


def test_in_the_middle_of_a_fragmented_message(gateway):
    g = gateway(CONFIG.format(""))
    c = g.client("/echo")
    c.text("a part", fin=False)
    g.send_signal(signal.SIGTERM)
    c.expect_close(1001)
    c.close(1001)
    c.expect_eof()
    g.check(g.wait())
