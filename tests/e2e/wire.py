"""HTTP heads and RFC 6455 frames by hand: what no well-behaved client library lets a test send.

Everything is blocking with a time-out; a test reads as the exchange of bytes that it is. `Peer` is either end of a
WebSocket, `Client` opens one, `Listener` accepts them as an upstream would.
"""
import base64
import hashlib
import os
import re
import socket
import ssl
import struct

from setting import TIMEOUT

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
NO_MASK = b"\0\0\0\0"  # a masking key that changes nothing: bulk data need not be masked by Python


class Frame:
    """One frame as it was on the wire; equal when everything but the masking is."""

    def __init__(self, opcode, payload=b"", fin=True, rsv=0, masked=False):
        self.opcode, self.payload, self.fin, self.rsv, self.masked = opcode, bytes(payload), fin, rsv, masked

    def __eq__(self, other):
        return (self.opcode, self.payload, self.fin, self.rsv) == (other.opcode, other.payload, other.fin, other.rsv)

    def __repr__(self):
        data = self.payload if len(self.payload) <= 80 else self.payload[:80] + b"... (%d)" % len(self.payload)
        return f"Frame(opcode={self.opcode}, {data!r}, fin={self.fin}, rsv={self.rsv}, masked={self.masked})"

    @property
    def code(self):
        """The code of a close frame; 1005 when it has none."""
        return int.from_bytes(self.payload[:2], "big") if self.payload else 1005

    @property
    def reason(self):
        return self.payload[2:]


def xor(data, key):
    n = len(data)
    stream = (key * (n // 4 + 1))[:n]
    return (int.from_bytes(data, "little") ^ int.from_bytes(stream, "little")).to_bytes(n, "little")


def frame(opcode, payload=b"", *, fin=True, rsv=0, mask=True, length=None, width=None):
    """One frame's bytes. mask: True (random key), False, or the key. length: what the header declares instead of the
    truth. width: 7, 16 or 64 bits for the length instead of the shortest."""
    declared = len(payload) if length is None else length
    if width is None:
        width = 7 if declared < 126 else 16 if declared < 65536 else 64
    bit = 0x80 if mask else 0
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    head += {7: lambda: bytes([bit | declared]),
             16: lambda: bytes([bit | 126]) + struct.pack("!H", declared),
             64: lambda: bytes([bit | 127]) + struct.pack("!Q", declared)}[width]()
    if not mask:
        return head + payload
    key = os.urandom(4) if mask is True else mask
    return head + key + (payload if key == NO_MASK else xor(payload, key))


def close_payload(code, reason=b""):
    return struct.pack("!H", code) + (reason.encode() if isinstance(reason, str) else reason)


def accept_for(key):
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


class Head:
    """A request's or response's head, and a response's body."""

    def __init__(self, raw):
        lines = raw.decode("latin-1").split("\r\n")
        self.raw, self.start, self.body = raw, lines[0], b""
        self.fields = [(n.strip(), v.strip()) for n, _, v in (line.partition(":") for line in lines[1:] if line)]

    @property
    def status(self):
        return int(self.start.split()[1])

    @property
    def target(self):
        return self.start.split()[1]

    def all(self, name):
        return [v for n, v in self.fields if n.lower() == name.lower()]

    def get(self, name, default=None):
        return (self.all(name) or [default])[0]

    def __repr__(self):
        return f"Head({self.start!r}, {self.fields}, body={self.body[:200]!r})"[:1500]


class Closed(Exception):
    """The other side ended the TCP connection where something was expected."""


class Peer:
    """One end of a connection: bytes, heads and frames. `masks` says whether we are the client."""

    def __init__(self, sock, masks):
        self.sock, self.masks, self.buffer = sock, masks, bytearray()
        self.reset = False
        sock.settimeout(TIMEOUT)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    # bytes

    def send(self, data):
        self.sock.sendall(data)

    def send_quietly(self, data):
        """For what the other side may already have refused."""
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            pass

    def trickle(self, data, step=1):
        for i in range(0, len(data), step):
            self.send_quietly(data[i:i + step])

    def fill(self, size=65536):
        """Reads once; False at the end of the connection, however it came."""
        try:
            data = self.sock.recv(size)
        except (ConnectionResetError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            self.reset, data = True, b""
        self.buffer += data
        return bool(data)

    def take(self, n):
        data = bytes(self.buffer[:n])
        del self.buffer[:n]
        return data

    def recv_exact(self, n):
        while len(self.buffer) < n:
            if not self.fill(max(65536, min(n - len(self.buffer), 1 << 20))):
                raise Closed(f"wanted {n} bytes, got {bytes(self.buffer)!r}"[:300])
        return self.take(n)

    def expect_eof(self):
        """The end of the connection, and nothing before it; ours is closed then, as any program would."""
        while self.fill():
            pass
        self.sock.close()
        assert not self.buffer, f"expected the end of the connection, got {bytes(self.buffer)!r}"[:300]

    def close_socket(self, reset=False):
        if reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    # heads

    def recv_head(self):
        while b"\r\n\r\n" not in self.buffer:
            if not self.fill():
                raise Closed(f"no whole head: {bytes(self.buffer)!r}"[:300])
        return Head(self.take(self.buffer.index(b"\r\n\r\n") + 4))

    def recv_response(self):
        """A response with its body, when it is not a 101."""
        head = self.recv_head()
        if head.status == 101:
            return head
        if head.get("content-length") is not None:
            head.body = self.recv_exact(int(head.get("content-length")))
        else:
            while self.fill():
                pass
            head.body = self.take(len(self.buffer))
        return head

    # frames

    def send_frame(self, opcode, payload=b"", **kw):
        kw.setdefault("mask", self.masks)
        self.send(frame(opcode, payload, **kw))

    def text(self, text, **kw):
        self.send_frame(TEXT, text.encode() if isinstance(text, str) else text, **kw)

    def binary(self, data, **kw):
        self.send_frame(BINARY, data, **kw)

    def ping(self, data=b""):
        self.send_frame(PING, data)

    def pong(self, data=b""):
        self.send_frame(PONG, data)

    def close(self, code=None, reason=b""):
        self.send_frame(CLOSE, b"" if code is None else close_payload(code, reason))

    def recv_frame(self):
        first, second = self.recv_exact(2)
        n = second & 0x7f
        if n == 126:
            n, = struct.unpack("!H", self.recv_exact(2))
        elif n == 127:
            n, = struct.unpack("!Q", self.recv_exact(8))
        key = self.recv_exact(4) if second & 0x80 else None
        payload = self.recv_exact(n)
        assert bool(key) != self.masks, "a client masks its frames and a server does not (RFC 6455 section 5.1)"
        return Frame(first & 15, xor(payload, key) if key else payload, bool(first & 0x80), first >> 4 & 7, bool(key))

    def recv_message(self):
        """The next whole message or control frame, as a Frame; control frames between fragments come first."""
        if not hasattr(self, "parts"):
            self.parts = []
        while True:
            f = self.recv_frame()
            if f.opcode >= 8:
                return f
            assert (f.opcode == CONTINUATION) == bool(self.parts), f"fragment out of order: {f}"
            self.parts.append(f)
            if f.fin:
                whole, self.parts = Frame(self.parts[0].opcode, b"".join(p.payload for p in self.parts)), []
                return whole

    def recv_text(self):
        f = self.recv_message()
        assert f.opcode == TEXT, f
        return f.payload.decode()

    def expect(self, opcode, payload=b""):
        f = self.recv_message()
        assert f == Frame(opcode, payload), f"expected opcode {opcode} {payload[:80]!r}, got {f}"

    def expect_close(self, code, reason=None):
        """The next frame is a close with this code (or one of these)."""
        f = self.recv_message()
        codes = (code,) if isinstance(code, int) else code
        assert f.opcode == CLOSE and f.code in codes, f"expected close {codes}, got {f}"
        if reason is not None:
            assert f.reason == (reason.encode() if isinstance(reason, str) else reason)
        return f

    def expect_failure(self, code):
        """The other side fails the connection: close with this code, then the end."""
        f = self.expect_close(code)
        self.send_quietly(frame(CLOSE, f.payload, mask=self.masks))
        self.expect_eof()

    def finish(self, code=1000, reason=b""):
        """Our close, theirs with the same code, then the end of the connection."""
        self.close(code, reason)
        self.expect_close(code)
        if self.masks:
            self.expect_eof()
        else:  # the server ends the TCP connection (RFC 6455 section 7.1.1)
            self.close_socket()


def tcp(address):
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.settimeout(TIMEOUT)
    sock.connect(address)
    return sock


def request_head(path="/ws", headers=(), *, host="localhost", drop=(), key=None, method="GET", version="HTTP/1.1"):
    """The head of an opening handshake; `headers` replace the usual ones of the same name, `drop` leaves some out."""
    fields = [("Host", host), ("Upgrade", "websocket"), ("Connection", "Upgrade"),
              ("Sec-WebSocket-Key", key or base64.b64encode(os.urandom(16)).decode()), ("Sec-WebSocket-Version", "13")]
    given = {n.lower() for n, _ in headers} | {d.lower() for d in drop}
    fields = [(n, v) for n, v in fields if n.lower() not in given] + list(headers)
    return (f"{method} {path} {version}\r\n" + "".join(f"{n}: {v}\r\n" for n, v in fields) + "\r\n").encode("latin-1")


def part(client, server, code=1000, reason=b""):
    """The whole closing handshake of a relayed connection, begun by the client."""
    client.close(code, reason)
    server.expect_close(code)
    server.close(code, reason)
    client.expect_close(code)
    server.close_socket()
    client.expect_eof()


class Client(Peer):
    """A WebSocket client. `ask` only sends the handshake; `answered` reads what comes back."""

    def __init__(self, address, tls=None, server_hostname="localhost"):
        sock = tcp(address)
        if tls:
            sock = tls.wrap_socket(sock, server_hostname=server_hostname)
        super().__init__(sock, masks=True)
        self.key = base64.b64encode(os.urandom(16)).decode()

    def ask(self, path="/ws", headers=(), *, together=b"", **kw):
        """together: bytes sent in the same write as the head."""
        self.send(request_head(path, headers, key=self.key, **kw) + together)
        return self

    def answered(self, status=101):
        self.response = self.recv_response()
        assert self.response.status == status, self.response
        if status == 101:
            assert self.response.get("sec-websocket-accept") == accept_for(self.key), self.response
            assert self.response.get("upgrade", "").lower() == "websocket"
            assert self.response.get("connection", "").lower() == "upgrade"
        return self


def http(address, raw, tls=None):
    """Sends raw bytes, gives the response; the connection must end after it."""
    with Peer(tcp(address) if not tls else tls.wrap_socket(tcp(address), server_hostname="localhost"), True) as peer:
        peer.send_quietly(raw)
        response = peer.recv_response()
        peer.expect_eof()
        return response


class Upstream(Peer):
    """The server's end of a connection that the gateway opened."""

    def take_request(self):
        self.request = self.recv_head()
        return self.request

    def answer(self, headers=(), *, together=b""):
        """101, with more bytes in the same write when asked."""
        fields = [("Upgrade", "websocket"), ("Connection", "Upgrade"),
                  ("Sec-WebSocket-Accept", accept_for(self.request.get("sec-websocket-key"))), *headers]
        self.send(("HTTP/1.1 101 Switching Protocols\r\n" + "".join(f"{n}: {v}\r\n" for n, v in fields)
                   + "\r\n").encode() + together)
        return self


class Listener:
    """A listening socket on a free port that plays the upstream, one connection at a time and by hand."""

    def __init__(self, host="127.0.0.1", tls=None, backlog=128):
        self.sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind((host, 0))
        self.sock.listen(backlog)
        self.sock.settimeout(TIMEOUT)
        self.host, self.port, self.tls, self.peers = host, self.sock.getsockname()[1], tls, []

    def url(self, path="/", host=None):
        host = host or (f"[{self.host}]" if ":" in self.host else self.host)
        return f"{'wss' if self.tls else 'ws'}://{host}:{self.port}{path}"

    def accept(self):
        """The next connection; its request is not yet read."""
        sock, _ = self.sock.accept()
        sock.settimeout(TIMEOUT)
        if self.tls:
            sock = self.tls.wrap_socket(sock, server_side=True)
        peer = Upstream(sock, masks=False)
        self.peers.append(peer)
        return peer

    def accept_ws(self, headers=(), **kw):
        peer = self.accept()
        peer.take_request()
        return peer.answer(headers, **kw)

    def stop(self):
        self.sock.close()
        for peer in self.peers:
            peer.sock.close()


def dead_port():
    """An address where nothing listens, held so that nothing else takes it: (socket, port)."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock, sock.getsockname()[1]


def one_line(body):
    """Is it a reason for people: one line of text?"""
    return bool(re.fullmatch(rb"[ -~]+\n?", body))
