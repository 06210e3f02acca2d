"""Binary messages served to live clients who choose other ids and names than the recorded one: the protocols are made up
here, and nothing in mockforge knows them."""
import json

import pytest
from harness import mockforge
from test_z_replay import connection, recording, replay  # noqa: F401: a fixture among them
from wire import BINARY


def packet(kind, body):
    """A type, the length of what follows (seven bits a byte), and that."""
    length, n = b"", len(body)
    while n >= 128:
        length, n = length + bytes([n & 127 | 128]), n >> 7
    return bytes([kind]) + length + bytes([n]) + body


def named(text):
    return len(text).to_bytes(2, "big") + text.encode()


def subscribe(number, topic):
    return packet(0x82, number.to_bytes(2, "big") + named(topic) + b"\x01")


def subscribed(number):
    return packet(0x90, number.to_bytes(2, "big") + b"\x01")


def publish(number, topic, text):
    return packet(0x32, named(topic) + number.to_bytes(2, "big") + text.encode())


def published(number):
    return packet(0x40, number.to_bytes(2, "big"))


def news(topic, text):
    return packet(0x30, named(topic) + text.encode())


def packets():
    """A client that subscribes to two topics and publishes to both."""
    frames = [(0, "in", packet(0x10, named("TEST") + b"\x04\x02" + named("client-1"))), (1, "out", b"\x20\x02\x00\x00")]
    for i, topic in enumerate(["a/b", "c/d"]):
        frames += [(10 + 2 * i, "in", subscribe(0x5a31 + i, topic)), (11 + 2 * i, "out", subscribed(0x5a31 + i))]
    for i, topic in enumerate(["a/b", "c/d"]):
        frames += [(20 + 3 * i, "in", publish(0x5a41 + i, topic, "hello")), (21 + 3 * i, "out", published(0x5a41 + i)),
                   (22 + 3 * i, "out", news(topic, "hello"))]
    return connection("conn-1", frames)


def hear(c):
    f = c.recv_frame()
    assert f.opcode == BINARY
    return f.payload


@pytest.mark.parametrize("topics, number", [
    (["a/b", "c/d"], 0x5a31), (["c/d", "a/b"], 7), (["c/d", "a/b"], 0xff01), (["a/b", "a/much/longer/topic"], 300)])
def test_ids_lengths_and_topics_are_the_live_ones(replay, topics, number):
    g = replay([packets()], "--speed", "max")
    c = g.client("/")
    c.binary(packet(0x10, named("TEST") + b"\x04\x02" + named("somebody-else")))
    assert hear(c) == b"\x20\x02\x00\x00"
    for i, topic in enumerate(topics):
        c.binary(subscribe(number + i, topic))
        assert hear(c) == subscribed(number + i)
    for i, topic in enumerate(topics):
        c.binary(publish(number + 2 + i, topic, "hello"))
        assert hear(c) == published(number + 2 + i)
        assert hear(c) == news(topic, "hello")
    c.close()


def test_explain_says_where(tmp_path):
    path = recording(tmp_path / "s.jsonl", packets())
    out = mockforge("ws", "replay", "--input", path, "--explain", cwd=tmp_path)
    assert "incoming @bytes/0x82/1+0 -> outgoing @bytes/0x90/1+0" in out.stdout
    out = mockforge("ws", "replay", "--input", path, "--explain", "--json", cwd=tmp_path)
    rules = [r for r in json.loads(out.stdout)["rules"] if r["verdict"] == "bytes"]
    assert {(r["source"], r["target"]) for r in rules} >= {("@bytes/0x32/2+0", "@bytes/0x40/1+0")}
    out = mockforge("ws", "replay", "--input", path, "--explain", "--no-correlate", cwd=tmp_path)
    assert "No value is carried over" in out.stdout


def test_text_in_binary_messages_is_text(replay):
    """JSON, and lines of a text protocol, that are sent as binary; the answers are binary, too."""
    frames = [(0, "in", b'{"id":"a7","op":"get"}'), (1, "out", b'{"id":"a7","ok":true}'),
              (2, "in", b"SEND\nreceipt:abc-123\n\nhi\0"), (3, "out", b"RECEIPT\nreceipt-id:abc-123\n\n\0")]
    c = replay([connection("conn-1", frames)], "--speed", "max").client("/")
    c.binary(b'{"op":"get","id":"other"}')
    assert hear(c) == b'{"id":"other","ok":true}'
    c.binary(b"SEND\nreceipt:xyz-9\n\nhi\0")
    assert hear(c) == b"RECEIPT\nreceipt-id:xyz-9\n\n\0"
    c.close()
