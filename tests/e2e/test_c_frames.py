"""Frames that break RFC 6455, and messages over the limit: the close code comes at once."""
import pytest
from wire import (BINARY, CLOSE, CONTINUATION, NO_MASK, PING, PONG, TEXT, close_payload, frame)

CONFIG = """
websocket:
  host: 127.0.0.1
  port: 0
  max_message_size: 1000
  handlers:
    - path: /echo
      type: echo
"""


@pytest.fixture(scope="module")
def g(shared_gateway):
    return shared_gateway(CONFIG)


PROTOCOL_ERRORS = {  # all of them 1002
    **{f"opcode {op}": frame(op, b"x") for op in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    **{f"rsv {rsv} on opcode {op}": frame(op, b"x", rsv=rsv) for rsv in (1, 2, 4, 7) for op in (TEXT, BINARY, PING)},
    "rsv on a close": frame(CLOSE, close_payload(1000), rsv=4),
    "unmasked text": frame(TEXT, b"x", mask=False),
    "unmasked ping": frame(PING, b"x", mask=False),
    "unmasked close": frame(CLOSE, close_payload(1000), mask=False),
    "fragmented ping": frame(PING, b"x", fin=False),
    "fragmented pong": frame(PONG, b"x", fin=False),
    "fragmented close": frame(CLOSE, close_payload(1000), fin=False),
    "ping of 126 bytes": frame(PING, b"x" * 126),
    "close of 126 bytes": frame(CLOSE, close_payload(1000, "r" * 124)),
    "ping with a declared length of 1 GiB": frame(PING, b"", length=1 << 30),
    "continuation of nothing": frame(CONTINUATION, b"x"),
    "continuation of nothing, not the last": frame(CONTINUATION, b"x", fin=False),
    "text inside a message": frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"),
    "binary inside a text message": frame(TEXT, b"a", fin=False) + frame(BINARY, b"b"),
    "length with its top bit": frame(BINARY, b"", length=1 << 63),
    "length in 16 bits that fits 7": frame(TEXT, b"x" * 100, width=16),
    "length in 64 bits that fits 16": frame(TEXT, b"x" * 200, width=64),
    "close with 1 byte": frame(CLOSE, b"\x03"),
    **{f"close code {code}": frame(CLOSE, close_payload(code)) for code in
       (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)},
}
NOT_UTF8 = {  # all of them 1007
    "a lone continuation byte": frame(TEXT, b"\x80"),
    "overlong slash": frame(TEXT, b"\xc0\xaf"),
    "surrogate": frame(TEXT, b"\xed\xa0\x80"),
    "above U+10FFFF": frame(TEXT, b"\xf4\x90\x80\x80"),
    "0xff": frame(TEXT, b"hello \xff"),
    "a character cut at the end": frame(TEXT, b"\xe2\x82"),
    "across frames": frame(TEXT, b"\xe2\x82", fin=False) + frame(CONTINUATION, b"\x20"),
    "cut at the end of the last frame": frame(TEXT, b"\xe2", fin=False) + frame(CONTINUATION, b"\x82"),
    "in a message that is not complete": frame(TEXT, b"ok", fin=False) + frame(CONTINUATION, b"\xc1", fin=False),
    "in a frame that is not complete": frame(TEXT, b"ok \xff more", mask=NO_MASK, length=500),
    "close reason": frame(CLOSE, close_payload(1000, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80")),
}
TOO_BIG = {  # all of them 1009; the limit is 1000
    "1001 bytes of text": frame(TEXT, b"x" * 1001),
    "1001 bytes of binary": frame(BINARY, b"x" * 1001),
    "1001 bytes declared": frame(TEXT, b"x", length=1001),
    "a declared length of 1 GiB": frame(BINARY, b"x", length=1 << 30),
    "a declared length of 2^63-1": frame(BINARY, b"x", length=(1 << 63) - 1),
    "in fragments": frame(TEXT, b"x" * 600, fin=False) + frame(CONTINUATION, b"x" * 401),
    "in fragments, the end still missing": frame(TEXT, b"x" * 1000, fin=False) + frame(CONTINUATION, b"x", fin=False),
    "in many fragments": frame(TEXT, b"", fin=False) + frame(CONTINUATION, b"x", fin=False) * 1001,
}


@pytest.mark.parametrize("how", ["at once", "byte by byte"])
@pytest.mark.parametrize("code,raw", [(1002, raw) for raw in PROTOCOL_ERRORS.values()]
                         + [(1007, raw) for raw in NOT_UTF8.values()] + [(1009, raw) for raw in TOO_BIG.values()],
                         ids=[*PROTOCOL_ERRORS, *(f"not UTF-8: {n}" for n in NOT_UTF8), *(f"too big: {n}" for n in TOO_BIG)])
def test_failed_at_once(g, code, raw, how):
    """The connection is failed without another byte from us, and ends."""
    c = g.client("/echo")
    if how == "at once":
        c.send_quietly(raw)
    else:
        c.trickle(raw, max(1, len(raw) // 300))
    c.expect_failure(code)


@pytest.mark.parametrize("cut", range(1, 6))
@pytest.mark.parametrize("raw", [frame(PING, rsv=4, length=5), frame(PING, fin=False, length=5), frame(11, length=5),
                                 frame(CLOSE, rsv=1, length=2)],
                         ids=["reserved bit", "fragmented ping", "opcode 11", "rsv on a close"])
def test_a_header_in_two_reads_is_enough(g, raw, cut):
    """The payload of a control frame that is not allowed is not waited for, wherever its header was cut."""
    c = g.client("/echo")
    c.send(frame(TEXT, b"before") + raw[:cut])
    c.expect(TEXT, b"before")  # so the first part has been read
    c.send(raw[cut:])
    c.expect_failure(1002)


@pytest.mark.parametrize("path", ["/echo", "/ws"])
@pytest.mark.parametrize("parts", [[1000], [600, 400], [0, 999, 0, 1], [1] * 1000], ids=["whole", "2", "4", "1000"])
def test_the_limit_itself_is_allowed(g, path, parts):
    c = g.client(path)
    for i, n in enumerate(parts):
        c.send_frame(TEXT if i == 0 else CONTINUATION, b"y" * n, fin=i == len(parts) - 1)
    c.expect(TEXT, b"y" * 1000)
    c.finish()


def test_the_default_limit(gateway):
    g = gateway("websocket:\n  host: 127.0.0.1\n  port: 0\n")
    c = g.client("/ws")
    c.binary(b"z" * 65536)
    c.expect(BINARY, b"z" * 65536)
    c.finish()
    c = g.client("/ws")
    c.send_quietly(frame(BINARY, b"z" * 65537))
    c.expect_failure(1009)


def test_a_route_may_set_its_own_limit(gateway):
    g = gateway(CONFIG + "      max_message_size: 10\n")
    c = g.client("/echo")
    c.send(frame(TEXT, b"0123456789") + frame(TEXT, b"0123456789a"))
    c.expect(TEXT, b"0123456789")
    c.expect_failure(1009)


@pytest.mark.parametrize("payload", [b"", b"unsolicited"])
def test_an_unsolicited_pong_is_ignored(g, payload):
    c = g.client("/echo")
    c.pong(payload)
    c.text("on")
    c.expect(TEXT, b"on")
    c.finish()


def test_messages_before_the_error_are_answered(g):
    c = g.client("/echo")
    c.send_quietly(frame(TEXT, b"go", fin=False) + frame(CONTINUATION, b"od") + frame(CONTINUATION, b"after the end"))
    c.expect(TEXT, b"good")
    c.expect_failure(1002)


def test_what_follows_an_error_is_ignored(g):
    c = g.client("/echo")
    c.send_quietly(frame(TEXT, b"\xff") + frame(TEXT, b"later") * 50 + frame(PING, b"later"))
    c.expect_failure(1007)


def test_the_end_comes_although_the_client_never_answers_the_close(gateway):
    g = gateway(CONFIG + "  close_timeout_ms: 300\n")
    c = g.client("/echo")
    c.send(frame(3))
    c.expect_close(1002)
    c.expect_eof()
