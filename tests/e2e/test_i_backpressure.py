"""What one side sends while the other does not read: bounded memory, nothing lost. Large messages: constant memory."""
import hashlib
import os
import select

import pytest
from harness import Background
from setting import SANITIZED, SLOW
from wire import BINARY, CONTINUATION, NO_MASK, PING, TEXT, Closed, Frame, frame, xor

MIB = 1 << 20
RELAY = """
websocket:
  host: 127.0.0.1
  port: 0
  ping_interval: 0
  handlers:
    - path: /proxy
      type: proxy
      upstream: "{}"
"""


def bounded(g, before, limit, field="VmHWM"):
    """Says how much the gateway's memory grew; checks it where the binary's memory is the program's own."""
    grown = g.memory(field) - before
    if not SANITIZED:
        assert grown < limit, f"memory grew by {grown / MIB:.1f} MiB"
    return grown


def push_until_stuck(peer, data, seconds=1.0):
    """Writes without blocking until nothing was taken for a while: how many bytes went."""
    peer.sock.setblocking(False)
    sent, view = 0, memoryview(data)
    while sent < len(data):
        if not select.select([], [peer.sock], [], seconds)[1]:
            break
        try:
            sent += peer.sock.send(view[sent:sent + MIB])
        except BlockingIOError:
            continue
    peer.sock.settimeout(30 * SLOW)
    return sent


@pytest.mark.limit(120)
@pytest.mark.parametrize("towards", ["upstream", "client"])
def test_a_side_that_does_not_read(gateway, raw_upstream, towards):
    """200 MB of messages towards a side that sleeps; then it wakes, and everything is there."""
    up = raw_upstream()
    g = gateway(RELAY.format(up.url()))
    client, server = g.pair(up)
    sender, receiver = (client, server) if towards == "upstream" else (server, client)
    block = os.urandom(100_000)
    one = frame(BINARY, block, mask=NO_MASK if sender.masks else False)
    total = one * 200
    before = g.memory()
    sent = push_until_stuck(sender, total)
    assert sent < len(total), "20 MB went somewhere although nobody reads"
    bounded(g, before, 6 * MIB)

    def rest():
        sender.sock.sendall(memoryview(total)[sent:])
        for _ in range(9):
            sender.sock.sendall(total)
    sending = Background(rest)
    wanted, got = hashlib.sha1(), hashlib.sha1()
    for _ in range(2000):
        f = receiver.recv_frame()
        assert f.opcode == BINARY and len(f.payload) == len(block)
        got.update(f.payload)
        wanted.update(block)
    assert got.digest() == wanted.digest()
    sending.join(60 * SLOW)
    bounded(g, before, 8 * MIB)


def test_a_sleeping_peer_does_not_hold_up_other_connections(gateway, raw_upstream):
    up = raw_upstream()
    g = gateway(RELAY.format(up.url()).replace("  ping", "  workers: 1\n  ping"))
    client, server = g.pair(up)
    push_until_stuck(client, frame(BINARY, b"x" * 100_000, mask=NO_MASK) * 200, 0.3)
    other, its = g.pair(up)
    for i in range(100):
        other.text("x")
        its.expect(TEXT, b"x")
    # and the sleeping one's other direction is open as well
    server.text("the other way")
    client.expect(TEXT, b"the other way")
    g.rests()


def test_echo_to_a_client_that_does_not_read(gateway):
    g = gateway(RELAY.format("ws://127.0.0.1:1/").replace("  handlers:", "  handlers:\n    - {path: /echo, type: echo}"))
    c = g.client("/echo")
    before = g.memory()
    one = frame(BINARY, b"y" * 60_000, mask=NO_MASK)
    sent = push_until_stuck(c, one * 500)
    assert sent < len(one) * 500
    bounded(g, before, 6 * MIB)
    rest = Background(c.sock.sendall, memoryview(one * 500)[sent:])
    for _ in range(500):
        assert len(c.recv_frame().payload) == 60_000
    rest.join()


@pytest.mark.parametrize("who", ["client", "upstream"])
def test_one_vanishes_while_the_other_does_not_read(gateway, raw_upstream, who):
    """What waited for the sleeper does not keep the session for ever, and the gateway does not spin meanwhile."""
    up = raw_upstream()
    g = gateway(RELAY.format(up.url()).replace("  ping", "  send_timeout_ms: 1500\n  close_timeout_ms: 500\n  ping"))
    client, server = g.pair(up)
    sender, sleeper = (client, server) if who == "client" else (server, client)
    push_until_stuck(sender, frame(BINARY, b"x" * 100_000, mask=NO_MASK if sender.masks else False) * 200, 0.3)
    sender.close_socket(reset=True)
    g.rests()
    g.wait_log("session_end")
    sleeper.close_socket()


def test_pings_to_a_client_that_does_not_read(gateway):
    """Answers to pings are bounded as well."""
    g = gateway(RELAY.format("ws://127.0.0.1:1/").replace("  handlers:", "  handlers:\n    - {path: /echo, type: echo}"))
    c = g.client("/echo")
    before = g.memory()
    ping = frame(9, b"p" * 125, mask=NO_MASK)
    push_until_stuck(c, ping * 300_000, 0.5)
    bounded(g, before, 6 * MIB)


def test_a_peer_that_takes_nothing_is_dropped(gateway, raw_upstream):
    """send_timeout_ms: nobody may hold a session for ever by not reading."""
    up = raw_upstream()
    g = gateway(RELAY.format(up.url()).replace("  ping", "  send_timeout_ms: 500\n  close_timeout_ms: 300\n  ping"))
    client, server = g.pair(up)
    push_until_stuck(server, frame(BINARY, b"x" * 100_000, mask=False) * 200, 0.3)
    g.wait_log("reason=")
    with pytest.raises((Closed, OSError)):
        while True:
            server.recv_frame()


@pytest.mark.parametrize("towards", ["upstream", "client"])
def test_a_slow_reader_is_not_a_dead_one(gateway, raw_upstream, towards):
    """Its answer to a ping waits behind all that it has to read first: send_timeout_ms is for it, not ping_interval."""
    up = raw_upstream()
    # A transform sends whole frames, so that a ping always fits between two.
    g = gateway(RELAY.format(up.url()).replace("ping_interval: 0", "ping_interval: 1") + """      transform:
        incoming: return msg
        outgoing: return msg
""")
    client, server = g.pair(up)
    sender, sleeper = (client, server) if towards == "upstream" else (server, client)
    one = frame(BINARY, b"x" * 1000, mask=NO_MASK if sender.masks else False)
    messages = push_until_stuck(sender, one * 40_000, 0.3) // len(one)
    assert not select.select([sender.sock], [], [], 3.5)[0], "after two intervals and more it was told of an end"
    for _ in range(messages):
        f = sleeper.recv_frame()
        while f.opcode == PING:
            sleeper.pong(f.payload)
            f = sleeper.recv_frame()
        assert len(f.payload) == 1000


@pytest.mark.limit(120)
@pytest.mark.parametrize("towards", ["upstream", "client"])
@pytest.mark.parametrize("fragment", [256 * MIB, MIB], ids=["one frame", "fragments"])
def test_a_message_of_256_MiB(gateway, raw_upstream, towards, fragment):
    up = raw_upstream()
    g = gateway(RELAY.format(up.url()))
    client, server = g.pair(up)
    sender, receiver = (client, server) if towards == "upstream" else (server, client)
    block = os.urandom(MIB)
    before = g.memory()

    def send():
        for at in range(0, 256 * MIB, fragment):
            head = frame(CONTINUATION if at else BINARY, b"", fin=at + fragment == 256 * MIB, length=fragment,
                         mask=NO_MASK if sender.masks else False)
            sender.send(head)
            for _ in range(fragment // MIB):
                sender.sock.sendall(block)
    sending = Background(send)
    receiver.sock.settimeout(30 * SLOW)
    digest, wanted = hashlib.sha1(), hashlib.sha1()
    for at in range(0, 256 * MIB, fragment):
        head = receiver.recv_exact(14 if receiver is server else 10)
        assert head[0] == (0x80 if at + fragment == 256 * MIB else 0) | (0 if at else BINARY)
        for _ in range(fragment // MIB):
            data = receiver.recv_exact(MIB)
            digest.update(xor(data, head[10:]) if head[10:].strip(b"\0") else data)
            wanted.update(block)
    assert digest.digest() == wanted.digest()
    sending.join(60 * SLOW)
    bounded(g, before, 8 * MIB)


def test_many_messages_both_ways_at_once(gateway, raw_upstream):
    up = raw_upstream()
    g = gateway(RELAY.format(up.url()))
    client, server = g.pair(up)
    sizes = [i * 37 % 5000 for i in range(5000)] + [200_000, 70_000, 0, 65535, 65536]
    pool = os.urandom(200_000)

    def send(peer):
        out = bytearray()
        for i, n in enumerate(sizes):
            out += frame(BINARY, pool[:n], mask=bytes([i % 256] * 4) if peer.masks else False)
            if len(out) > 300_000:
                peer.send(out)
                out.clear()
        peer.send(out)

    def receive(peer):
        for n in sizes:
            assert peer.recv_frame() == Frame(BINARY, pool[:n])
    work = [Background(f, p) for f in (send, receive) for p in (client, server)]
    for w in work:
        w.join(40 * SLOW)
