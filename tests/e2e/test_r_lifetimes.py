"""Regressions: connections that end at an awkward moment."""
import socket
import time

import pytest
from harness import Background, eventually, wait_for_lines
from setting import SLOW
from wire import CLOSE, NO_MASK, PING, PONG, TEXT, Closed, Frame, frame, part

CONFIG = """
websocket:
  host: 127.0.0.1
  port: 0
  workers: 1
%s
  handlers:
    - path: /echo
      type: echo
    - path: /proxy
      type: proxy
      upstream: %s
"""


def config(up, *lines):
    return CONFIG % ("\n".join("  " + line for line in lines), up.url())


def test_a_client_that_breaks_the_rules_and_resets(gateway, raw_upstream):
    """The close frame that tells it so cannot be written: its link must be given up once, not twice."""
    up = raw_upstream()
    g = gateway(config(up))
    for i in range(50):
        for path in ("/echo", "/proxy"):
            if path == "/proxy":
                client, server = g.pair(up)
            else:
                client, server = g.client(path), None
            # Stopped, it finds the frame and the reset together.
            g.send_signal(19)
            client.send(frame(3, b"x"))
            client.close_socket(reset=True)
            g.send_signal(18)
            if server:
                server.expect_close((1001, 1002, 1011))
                server.close_socket()
    c = g.client("/echo")
    c.text("alive")
    c.expect(TEXT, b"alive")
    c.finish()


@pytest.mark.parametrize("opcode,payload", [(3, b""), (TEXT, b"\xff"), (CLOSE, b"\x03")],
                         ids=["opcode 3", "not UTF-8", "close of 1 byte"])
@pytest.mark.parametrize("by", ["client", "upstream"])
def test_a_side_that_answers_a_close_with_nonsense(gateway, raw_upstream, by, opcode, payload):
    """It will send no close frame any more: the side that began the closing does not wait for one."""
    up = raw_upstream()
    client, server = gateway(config(up, "close_timeout_ms: 60000")).pair(up)
    first, second = (client, server) if by == "client" else (server, client)
    first.close(1000, "bye")
    second.expect_close(1000, "bye")
    second.send_frame(opcode, payload)
    first.expect_close(1000)
    server.close_socket()
    client.expect_eof()


def test_the_answer_to_our_own_ping_goes_no_further(gateway, raw_upstream, tmp_path):
    up = raw_upstream()
    g = gateway(config(up, "ping_interval: 1"))
    client, server = g.pair(up)

    def after_pings(peer):
        while (f := peer.recv_frame()).opcode == PING:
            peer.pong(f.payload)
        return f
    for peer in (client, server):
        ping = peer.recv_frame()
        assert ping.opcode == PING
        peer.pong(ping.payload)
    for one, other in ((client, server), (server, client)):
        one.text("next")
        assert after_pings(other) == Frame(TEXT, b"next")
    client.pong(b"unsolicited")  # not ours: it goes through
    assert after_pings(server) == Frame(PONG, b"unsolicited")
    client.close(1000)
    assert after_pings(server).opcode == CLOSE


def test_a_late_answer_to_our_own_ping_goes_no_further_either(gateway, raw_upstream):
    """A client that answers two pings of ours at once, having said something in between."""
    up = raw_upstream()
    g = gateway(config(up, "ping_interval: 1"))
    client, server = g.pair(up)

    def serve():
        heard = []
        while not heard or heard[-1].payload != b"end":
            f = server.recv_frame()
            if f.opcode == PING:
                server.pong(f.payload)
            else:
                heard.append(f)
        return heard
    serving = Background(serve)
    pings = [client.recv_frame()]
    client.text("alive")
    pings.append(client.recv_frame())
    for ping in pings:
        assert ping.opcode == PING
        client.pong(ping.payload)
    client.text("end")
    assert serving.join() == [Frame(TEXT, b"alive"), Frame(TEXT, b"end")]


def test_frames_that_come_with_the_101_are_not_older_than_their_connection(gateway, raw_upstream, tmp_path):
    up = raw_upstream()
    g = gateway(config(up) + "      record: true\n      record_path: s.jsonl\n")
    first, first_server = g.pair(up)
    first.text("long ago")
    first_server.expect(TEXT, b"long ago")
    time.sleep(0.3)
    client = g.ask("/proxy", together=frame(TEXT, b"early"))
    server = up.accept()
    server.take_request()
    server.answer(together=frame(TEXT, b"hello", mask=False))
    client.answered().expect(TEXT, b"hello")
    server.expect(TEXT, b"early")
    part(client, server)
    session = wait_for_lines(tmp_path / "s.jsonl", lambda s: "hello" in s.data("outgoing") and "early" in s.data("incoming"))
    opened = {line["connection"]: line["timestamp_ms"] for line in session.of("open")}
    for line in session.messages:
        assert line["timestamp_ms"] >= opened[line["connection"]], session.lines


@pytest.mark.parametrize("who", ["client", "upstream"])
def test_a_held_peer_hears_of_the_end_of_the_other_and_answers(gateway, raw_upstream, who):
    """It was not read from because the other side was slow; once that side is gone its close frame is read again."""
    up = raw_upstream()
    g = gateway(config(up, "close_timeout_ms: 8000"))
    client, server = g.pair(up)
    sender, gone = (client, server) if who == "client" else (server, client)
    sender.sock.settimeout(0.5)
    payload = frame(2, bytes(65536), mask=sender.masks)
    with pytest.raises(TimeoutError):
        while True:
            sender.send(payload)
    sender.sock.settimeout(10 * SLOW)
    gone.close_socket(reset=True)
    began = time.monotonic()
    code = (1011, 1001)[who == "upstream"]
    sender.expect_close(code)
    # The rest of the message that was cut by the time-out is not sent: only the end of the connection is of interest.
    sender.close_socket(reset=False)
    g.wait_log("session_end")
    assert time.monotonic() - began < 4 * SLOW


CLOSE_1000 = b"\x03\xe8"


def trickle_in(peer, pause=0.05):
    """Reads slowly, in steps that the kernel's buffers feel, until the end: (messages, close code or None)."""
    messages, more = [], True
    while more:
        while more and len(peer.buffer) < 200_000 and not peer.buffer.endswith(CLOSE_1000):
            more = peer.fill(200_000)
        time.sleep(pause)
        while len(peer.buffer) >= 65536 + 14 or (peer.buffer and peer.buffer[0] == 0x80 | CLOSE):
            f = peer.recv_frame()
            if f.opcode == CLOSE:
                return messages, f.code
            messages.append(f.payload)
    return messages, None


@pytest.mark.parametrize("who", ["client", "upstream"])
def test_a_slow_reader_gets_all_that_came_before_the_close(gateway, raw_upstream, who):
    """What a peer still takes is not cut off by the time that it has for its close frame."""
    up = raw_upstream()
    g = gateway(config(up, "close_timeout_ms: 300"))
    client, server = g.pair(up)
    sender, reader = (server, client) if who == "client" else (client, server)
    reader.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    count = 250

    def send():
        for i in range(count):
            sender.send(frame(2, bytes([i]) * 65536, mask=NO_MASK if sender.masks else False))
        sender.close(1000)
    sending = Background(send)
    messages, code = trickle_in(reader)
    sending.join()
    assert [m[:1] for m in messages] == [bytes([i]) for i in range(count)]
    assert code == 1000
    reader.close(1000)
    sender.expect_close(1000)


@pytest.mark.parametrize("who", ["client", "upstream"])
def test_who_closes_is_answered_though_the_other_side_never_is(gateway, raw_upstream, who):
    up = raw_upstream()
    g = gateway(config(up, "close_timeout_ms: 500"))
    client, server = g.pair(up)
    closer, silent = (client, server) if who == "client" else (server, client)
    closer.close(3456, "bye")
    silent.expect_close(3456)
    closer.expect_close(3456)
    g.wait_log("close_timeout")
    if who == "client":
        closer.expect_eof()
    silent.expect_eof()
    g.wait_log("session_end .*code=3456")


@pytest.mark.parametrize("path", ["/echo", "/proxy"])
def test_a_client_that_ends_its_half_behind_its_close_is_answered(gateway, raw_upstream, path):
    up = raw_upstream()
    g = gateway(config(up))
    client, server = g.pair(up) if path == "/proxy" else (g.client(path), None)
    client.close(1000)
    client.sock.shutdown(socket.SHUT_WR)
    if server:
        server.expect_close(1000)
    client.expect_close(1000)
    client.expect_eof()
    if server:
        server.close(1000)
        server.close_socket()
    g.wait_log("session_end .*reason=closed by=client code=1000")


@pytest.mark.parametrize("who", ["client", "upstream"])
def test_messages_before_a_cut_one_arrive(gateway, raw_upstream, who):
    """The sender dies in the middle of a frame: the other side gets what came before it, though slowly."""
    up = raw_upstream()
    g = gateway(config(up))
    client, server = g.pair(up)
    sender, reader = (server, client) if who == "client" else (client, server)
    reader.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    count = 200

    def send():
        for i in range(count):
            sender.send(frame(2, bytes([i]) * 65536, mask=NO_MASK if sender.masks else False))
        sender.send(frame(2, b"cut", mask=NO_MASK if sender.masks else False, length=100))
        sender.close_socket()
    sending = Background(send)
    messages, code = trickle_in(reader)
    sending.join()
    assert [m[:1] for m in messages] == [bytes([i]) for i in range(count)]
    assert code is None and bytes(reader.buffer).endswith(b"cut")


def test_an_empty_message_to_the_default_endpoint(gateway, raw_upstream):
    c = gateway(config(raw_upstream())).client("/ws")
    c.text("")
    c.expect(TEXT, b"")
    c.finish()


def test_a_client_resets_while_its_recording_has_failed(gateway, raw_upstream, tmp_path):
    """on_error: close finds out before a read, and the close frame cannot be written: the link is gone in its own read."""
    g = gateway(config(raw_upstream()) + """
    - path: /recorded
      type: echo
      record_path: gone/{{connection.id}}.jsonl
      record: {on_error: close}
""")
    (tmp_path / "gone").rmdir()
    (tmp_path / "gone").write_text("in the way")
    for i in range(4):
        client = g.client("/recorded")
        g.wait_log(f"recording_failed path=\"gone/conn-{i + 1}.jsonl")
        g.send_signal(19)
        client.text("x")
        client.close_socket(reset=True)
        g.send_signal(18)
    c = g.client("/echo")
    c.text("alive")
    c.expect(TEXT, b"alive")
    c.finish()
    g.send_signal(15)
    g.check(g.wait(), 3)


def test_a_client_whose_upstream_is_being_asked_hears_of_the_shutdown(gateway, raw_upstream):
    up = raw_upstream()
    g = gateway(config(up))
    client = g.ask("/proxy")
    server = up.accept()
    server.take_request()
    g.send_signal(15)
    assert b"stopping" in client.answered(503).response.body
    client.expect_eof()
    server.expect_eof()
    g.check(g.wait())


@pytest.mark.parametrize("who", ["client", "upstream"])
def test_send_timeout_of_a_slow_side_though_the_other_is_held(gateway, raw_upstream, who):
    up = raw_upstream()
    g = gateway(config(up, "send_timeout_ms: 1000", "ping_interval: 1"))
    client, server = g.pair(up)
    sender, slow = (client, server) if who == "upstream" else (server, client)
    sender.sock.settimeout(0.3)
    with pytest.raises((TimeoutError, ConnectionError)):
        while True:
            sender.send(frame(2, bytes(65536), mask=sender.masks))
    sender.sock.settimeout(10 * SLOW)
    while (f := sender.recv_frame()).opcode == PING:
        pass
    assert (f.opcode, f.code) == (CLOSE, 1011 if who == "upstream" else 1001)
    g.wait_log(f"session_fault .*reason=send_timeout by={who}")
    sender.close_socket()
    g.wait_log("session_end .*reason=send_timeout")
