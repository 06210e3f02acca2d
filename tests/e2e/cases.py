"""A table of cases after sections 1 to 10 of the Autobahn testsuite, written from RFC 6455.

A case is what the client sends, as a list of writes, and what it must hear. Run against an echo of whole messages.
"""
from wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Frame, close_payload, frame

class Case:
    """expect: Frames in order; then, when `fails` names codes, the failure. `optional`: answers that a connection may
    not live to give, because the failure overtook them."""

    def __init__(self, name, writes, expect=(), fails=None, optional=()):
        self.name, self.writes, self.expect = name, [writes] if isinstance(writes, bytes) else list(writes), list(expect)
        self.fails, self.optional = fails, list(optional)


def text(data, **kw):
    return frame(TEXT, data, **kw)


def cont(data, **kw):
    return frame(CONTINUATION, data, **kw)


def echo(data, opcode=TEXT):
    return Frame(opcode, data)


def chopped(data, step):
    return [data[i:i + step] for i in range(0, len(data), step)]


def _sizes():
    for section, opcode, byte in (("1.1", TEXT, b"*"), ("1.2", BINARY, b"\xfe")):
        for i, n in enumerate((0, 125, 126, 127, 128, 65535, 65536), 1):
            yield Case(f"{section}.{i}", frame(opcode, byte * n), [echo(byte * n, opcode)])
        yield Case(f"{section}.8", chopped(frame(opcode, byte * 65536), 997), [echo(byte * 65536, opcode)])


def _pings():
    yield Case("2.1", frame(PING), [Frame(PONG)])
    yield Case("2.2", frame(PING, b"Hello, world!"), [Frame(PONG, b"Hello, world!")])
    yield Case("2.3", frame(PING, b"\0\xff\xfe\xfd\xfc\xfb\0\xff"), [Frame(PONG, b"\0\xff\xfe\xfd\xfc\xfb\0\xff")])
    yield Case("2.4", frame(PING, b"\xfe" * 125), [Frame(PONG, b"\xfe" * 125)])
    yield Case("2.5", frame(PING, b"\xfe" * 126), fails=1002)
    yield Case("2.6", chopped(frame(PING, b"\xfe" * 125), 1), [Frame(PONG, b"\xfe" * 125)])
    yield Case("2.7", frame(PONG))
    yield Case("2.8", frame(PONG, b"unsolicited"))
    yield Case("2.9", frame(PONG, b"unsolicited") + frame(PING, b"payload"), [Frame(PONG, b"payload")])
    ten = [b"payload-%d" % i for i in range(10)]
    yield Case("2.10", b"".join(frame(PING, p) for p in ten), [Frame(PONG, p) for p in ten])
    yield Case("2.11", chopped(b"".join(frame(PING, p) for p in ten), 1), [Frame(PONG, p) for p in ten])


def _reserved():
    for i, rsv in enumerate((1, 2, 3, 4, 5, 6, 7), 1):
        bad = frame(CLOSE, close_payload(1000), rsv=rsv) if i == 7 else frame(PING, b"x", rsv=rsv) if i == 6 else \
            frame(BINARY, b"\xff" * 8, rsv=rsv) if i == 5 else text(b"Hello", rsv=rsv)
        writes = text(b"before") + bad + frame(PING)
        yield Case(f"3.{i}", chopped(writes, 1) if i in (4,) else writes, fails=1002, optional=[echo(b"before")])


def _opcodes():
    for section, opcodes in (("4.1", range(3, 8)), ("4.2", range(11, 16))):
        for i, opcode in enumerate(opcodes, 1):
            payload = b"" if i == 1 else b"reserved opcode payload"
            before = text(b"Hello") if i > 2 else b""
            writes = before + frame(opcode, payload) + (frame(PING) if i > 2 else b"")
            yield Case(f"{section}.{i}", chopped(writes, 1) if i == 5 else writes, fails=1002,
                       optional=[echo(b"Hello")] if before else [])


def _fragments():
    two = text(b"fragment1", fin=False) + cont(b"fragment2")
    both = b"fragment1fragment2"
    ping, pong = frame(PING, b"pongme"), Frame(PONG, b"pongme")
    yield Case("5.1", frame(PING, b"fragment1", fin=False) + cont(b"fragment2"), fails=1002)
    yield Case("5.2", frame(PONG, b"fragment1", fin=False) + cont(b"fragment2"), fails=1002)
    yield Case("5.3", two, [echo(both)])
    yield Case("5.4", [text(b"fragment1", fin=False), cont(b"fragment2")], [echo(both)])
    yield Case("5.5", chopped(two, 1), [echo(both)])
    between = text(b"fragment1", fin=False) + ping + cont(b"fragment2")
    yield Case("5.6", between, [pong, echo(both)])
    yield Case("5.7", [text(b"fragment1", fin=False), ping, cont(b"fragment2")], [pong, echo(both)])
    yield Case("5.8", chopped(between, 1), [pong, echo(both)])
    lone = cont(b"non-continuation payload") + text(b"Hello, world!")
    yield Case("5.9", lone, fails=1002)
    yield Case("5.10", [cont(b"non-continuation payload"), text(b"Hello, world!")], fails=1002)
    yield Case("5.11", chopped(lone, 1), fails=1002)
    lone = cont(b"non-continuation payload", fin=False) + text(b"Hello, world!")
    yield Case("5.12", lone, fails=1002)
    yield Case("5.13", [cont(b"x", fin=False), text(b"Hello, world!")], fails=1002)
    yield Case("5.14", chopped(lone, 1), fails=1002)
    yield Case("5.15", two + cont(b"fragment3", fin=False) + text(b"fragment4"), fails=1002, optional=[echo(both)])
    yield Case("5.16", cont(b"fragment1", fin=False) + text(b"fragment2", fin=False) + cont(b"fragment3"), fails=1002)
    yield Case("5.17", cont(b"fragment1") + text(b"fragment2", fin=False) + cont(b"fragment3"), fails=1002)
    yield Case("5.18", text(b"fragment1", fin=False) + text(b"fragment2"), fails=1002)
    five = [text(b"fragment1", fin=False), cont(b"fragment2", fin=False), frame(PING, b"pongme 1"),
            cont(b"fragment3", fin=False), cont(b"fragment4", fin=False), frame(PING, b"pongme 2"), cont(b"fragment5")]
    heard = [Frame(PONG, b"pongme 1"), Frame(PONG, b"pongme 2"), echo(b"fragment1fragment2fragment3fragment4fragment5")]
    yield Case("5.19", [b"".join(five)], heard)
    yield Case("5.20", five, heard)


# Markus Kuhn's UTF-8 stress test and its neighbours, as Autobahn uses them
VALID = ["\u03ba\u1f79\u03c3\u03bc\u03b5".encode(), b"\0", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80", b"\x7f",
         b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf", b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd",
         b"\xef\xbf\xbe", b"\xf0\x9f\xbf\xbe", b"\xf0\x9f\xbf\xbf", b"\xf3\xbf\xbf\xbf", b"\xef\xbb\xbf"]
INVALID = [b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80", b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf",
           b"\xfd\xbf\xbf\xbf\xbf\xbf", b"\xf4\x90\x80\x80", b"\x80", b"\xbf", b"\x80\xbf", b"\x80\xbf\x80\xbf\x80\xbf",
           b"".join(bytes([b]) for b in range(0x80, 0xc0)), b"\xc0 \xc1 \xc2 ", b"\xe0 \xe1 \xef ", b"\xf0 \xf1 \xf7 ",
           b"\xf8 \xfb ", b"\xfc \xfd ", b"\xc0", b"\xe0\x80", b"\xf0\x80\x80", b"\xf8\x80\x80\x80", b"\xdf", b"\xef\xbf",
           b"\xf7\xbf\xbf", b"\xfe", b"\xff", b"\xfe\xfe\xff\xff", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf",
           b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xc0\x80", b"\xe0\x80\x80", b"\xf0\x80\x80\x80",
           b"\xed\xa0\x80", b"\xed\xad\xbf", b"\xed\xae\x80", b"\xed\xaf\xbf", b"\xed\xb0\x80", b"\xed\xbf\xbf",
           b"\xed\xa0\x80\xed\xb0\x80", b"\xed\xaf\xbf\xed\xbf\xbf",
           b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"]


def by_byte(data):
    """One fragment a byte."""
    frames = [frame(CONTINUATION if i else TEXT, data[i:i + 1], fin=False) for i in range(len(data))]
    return b"".join(frames) + cont(b"")


def _utf8():
    yield Case("6.1.1", text(b""), [echo(b"")])
    yield Case("6.1.2", text(b"", fin=False) + cont(b"", fin=False) + cont(b""), [echo(b"")])
    yield Case("6.1.3", text(b"", fin=False) + cont(b"middle", fin=False) + cont(b""), [echo(b"middle")])
    hello = "Hello-\u00b5@\u00df\u00f6\u00e4\u00fc\u00e0\u00e1-UTF-8!!".encode()
    yield Case("6.2.1", text(hello), [echo(hello)])
    yield Case("6.2.2", text(hello[:12], fin=False) + cont(hello[12:]), [echo(hello)])
    yield Case("6.2.3", by_byte(hello), [echo(hello)])
    yield Case("6.2.4", chopped(by_byte(VALID[0]), 1), [echo(VALID[0])])
    bad = INVALID[-1]
    yield Case("6.3.1", text(bad), fails=1007)
    yield Case("6.3.2", by_byte(bad), fails=1007)
    head = bad[:-6 - 3]
    yield Case("6.4.1", text(head, fin=False) + cont(b"\xf4\x90\x80\x80", fin=False), fails=1007)  # the end never comes
    yield Case("6.4.2", text(head + b"\xf4", fin=False) + cont(b"\x90", fin=False), fails=1007)
    yield Case("6.4.3", [text(head + b"\xf4\x90\x80\x80edited")[:-8]], fails=1007)  # nor does the frame's end
    yield Case("6.4.4", chopped(text(head + b"\xf4\x90\x80\x80edited")[:-8], 1), fails=1007)
    for i, vector in enumerate(VALID, 1):
        yield Case(f"6.5.{i}", text(vector), [echo(vector)])
        yield Case(f"6.5.{i}b", by_byte(vector), [echo(vector)])
    for i, vector in enumerate(INVALID, 1):
        yield Case(f"6.6.{i}", text(vector), fails=1007)
        yield Case(f"6.6.{i}b", by_byte(vector), fails=1007)


def _closes():
    bye = frame(CLOSE, close_payload(1000))
    yield Case("7.1.1", text(b"Hello") + bye, [Frame(CLOSE, close_payload(1000))], optional=[echo(b"Hello")])
    yield Case("7.1.2", bye + bye, [Frame(CLOSE, close_payload(1000))])
    yield Case("7.1.3", bye + frame(PING), [Frame(CLOSE, close_payload(1000))])
    yield Case("7.1.4", bye + text(b"Hello"), [Frame(CLOSE, close_payload(1000))])
    yield Case("7.1.5", text(b"fragment1", fin=False) + bye + cont(b"fragment2"), [Frame(CLOSE, close_payload(1000))])
    yield Case("7.1.6", text(b"x" * 262144) + text(b"Hello") + bye + frame(PING), [Frame(CLOSE, close_payload(1000))],
               optional=[echo(b"x" * 262144), echo(b"Hello")])
    yield Case("7.3.2", frame(CLOSE, b"a"), fails=1002)
    yield Case("7.3.3", bye, [Frame(CLOSE, close_payload(1000))])
    yield Case("7.3.4", frame(CLOSE, close_payload(1000, "Hello World!")), [Frame(CLOSE, close_payload(1000))])
    yield Case("7.3.5", frame(CLOSE, close_payload(1000, "*" * 123)), [Frame(CLOSE, close_payload(1000))])
    yield Case("7.3.6", frame(CLOSE, close_payload(1000, "*" * 124)), fails=1002)
    yield Case("7.5.1", frame(CLOSE, close_payload(1000, INVALID[-1])), fails=1007)
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999):
        yield Case(f"7.7.{code}", frame(CLOSE, close_payload(code)), [Frame(CLOSE, close_payload(code))])
    for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
        yield Case(f"7.9.{code}", frame(CLOSE, close_payload(code)), fails=1002)


def _large():
    for i, n in enumerate((65536, 262144, 1 << 20, 4 << 20), 1):
        yield Case(f"9.1.{i}", text(b"*" * n), [echo(b"*" * n)])
        yield Case(f"9.2.{i}", frame(BINARY, b"\xfe" * n), [echo(b"\xfe" * n, BINARY)])
    for i, step in enumerate((64, 256, 1024, 4096, 16384, 65536), 1):
        data = b"*" * 262144
        parts = chopped(data, step)
        raw = b"".join(frame(CONTINUATION if k else TEXT, p, fin=k == len(parts) - 1) for k, p in enumerate(parts))
        yield Case(f"9.3.{i}", raw, [echo(data)])
        yield Case(f"9.5.{i}", chopped(text(data), step), [echo(data)])
    yield Case("9.7", b"".join(text(b"%d" % i) for i in range(1000)), [echo(b"%d" % i) for i in range(1000)])
    data = b"*" * 65536
    parts = chopped(data, 1300)
    yield Case("10.1.1", b"".join(frame(CONTINUATION if k else TEXT, p, fin=k == len(parts) - 1)
                                  for k, p in enumerate(parts)), [echo(data)])


CASES = [case for section in (_sizes, _pings, _reserved, _opcodes, _fragments, _utf8, _closes, _large)
         for case in section()]


def check(client, case):
    """Runs one case on a fresh connection."""
    for write in case.writes:
        client.send_quietly(write)
    for wanted in case.expect:
        got = client.recv_message()
        while got != wanted and got in case.optional:
            got = client.recv_message()
        if wanted.opcode == CLOSE and got.opcode == CLOSE:
            assert got.code == wanted.code, f"{case.name}: {got}"
            client.expect_eof()
            return
        assert got == wanted, f"{case.name}: expected {wanted}, got {got}"
    if case.fails is None:
        return client.finish()
    left = list(case.optional)
    got = client.recv_message()
    while got in left:
        left.remove(got)
        got = client.recv_message()
    assert got.opcode == CLOSE and got.code == case.fails, f"{case.name}: expected close {case.fails}, got {got}"
    client.send_quietly(frame(CLOSE, got.payload))
    client.expect_eof()
