"""Session files for the read-* rows (realistic ones, and one of ten gigabytes that is made in seconds) and to be replayed."""
import ctypes
import ctypes.util
import json
import random
import struct

WORDS = "alpha bravo charlie delta echo foxtrot golf hotel india juliet".split()
HEAD = '{"type":"recording","version":1,"recorded_at":"2024-01-15T10:30:00.000Z","generator":"bench"}\n'
HOLE = 100 << 10  # bytes of a skippable frame between two frames of lines: nothing is stored for them
FRAME_LINES = 340
FRAME_MS = 100  # of the recording's time in each frame


def realistic(path, megabytes):
    """Plain lines of about 290 bytes of JSON each, no two alike, on 20 connections; 5 ms of traffic for each 1,000."""
    rng = random.Random(7)
    us, size, number = 1000, 0, 0
    with open(path, "w") as out:
        out.write(HEAD)
        for c in range(1, 21):
            out.write(f'{{"type":"open","connection":"conn-{c}","timestamp_ms":0.{c},"path":"/ws"}}\n')
        while size < megabytes << 20:
            us += rng.randrange(20, 400)
            number += 1
            message = {"type": rng.choice(["trade", "quote", "order", "ack"]), "id": number,
                       "symbol": rng.choice(WORDS).upper(), "price": round(rng.random() * 1000, 2),
                       "size": rng.randrange(1, 10000), "time": 1700000000000 + number,
                       "account": f"{rng.getrandbits(128):032x}", "tags": rng.sample(WORDS, 3),
                       "note": " ".join(rng.choice(WORDS) for _ in range(18))}
            text = json.dumps(json.dumps(message, separators=(",", ":")))
            direction = "incoming" if rng.random() < 0.5 else "outgoing"
            line = (f'{{"connection":"conn-{rng.randrange(20) + 1}","timestamp_ms":{us / 1000:g},'
                    f'"direction":"{direction}","type":"text","data":{text}}}\n')
            size += len(line)
            out.write(line)
    return number


def huge(path, gigabytes, kind="sound"):
    """`gigabytes` of lines in zstd frames of 128 KiB, as a recorder leaves them, each frame's lines alike (so that making
    them is quick and the file is small), and between them skippable frames that are holes, so that the file is as long as
    a real one would be. kind: the seek table is `sound`, `missing`, or `lying` (every offset is off by some bytes).
    Gives the recording's length in seconds."""
    zstd = ctypes.CDLL(ctypes.util.find_library("zstd") or "libzstd.so.1")
    zstd.ZSTD_compress.restype = zstd.ZSTD_compressBound.restype = ctypes.c_size_t
    zstd.ZSTD_compressBound.argtypes = [ctypes.c_size_t]
    room = ctypes.create_string_buffer(zstd.ZSTD_compressBound(256 << 10))
    sizes, made, frames = [], 0, 0
    with open(path, "wb") as out:
        while made < gigabytes << 30:
            line = (f'{{"connection":"conn-1","timestamp_ms":{frames * FRAME_MS},"direction":"incoming","type":"text",'
                    f'"data":"{"x" * 290}"}}\n').encode()
            text = (HEAD.encode() if not frames else b"") + line * FRAME_LINES
            n = zstd.ZSTD_compress(room, ctypes.c_size_t(len(room)), text, ctypes.c_size_t(len(text)), ctypes.c_int(-5))
            out.write(room.raw[:n] if n > 65536 else ctypes.string_at(room, n))
            out.write(struct.pack("<II", 0x184D2A50, HOLE))
            out.seek(HOLE, 1)
            sizes += [(n, len(text)), (HOLE + 8, 0)]
            made += len(text)
            frames += 1
        out.truncate(out.tell())
        if kind != "missing":
            if kind == "lying":
                sizes = [(size + (5 if i % 4 == 0 else -5 if i % 4 == 2 else 0), n) for i, (size, n) in enumerate(sizes)]
                if len(sizes) % 4 == 2:
                    sizes[-2] = (sizes[-2][0] - 5, sizes[-2][1])
            rest = b"".join(struct.pack("<II", *entry) for entry in sizes) + struct.pack("<IBI", len(sizes), 0, 0x8F92EAB1)
            out.write(struct.pack("<II", 0x184D2A5E, len(rest)) + rest)
    return frames * FRAME_MS / 1000


def frame(text):
    """A server's text frame."""
    data = text.encode()
    if len(data) < 126:
        return struct.pack("!BB", 0x81, len(data)) + data
    if len(data) < 65536:
        return struct.pack("!BBH", 0x81, 126, len(data)) + data
    return struct.pack("!BBQ", 0x81, 127, len(data)) + data


def conversation(path, messages, gap_ms=0.01):
    """Plain lines of one connection; messages: (direction, text) of each."""
    with open(path, "w") as out:
        out.write(HEAD)
        out.write('{"type":"open","connection":"conn-1","timestamp_ms":0,"path":"/bench"}\n')
        for i, (direction, text) in enumerate(messages, 1):
            out.write(f'{{"connection":"conn-1","timestamp_ms":{i * gap_ms:.3f},"direction":"{direction}",'
                      f'"type":"text","data":{json.dumps(text)}}}\n')


def ticks(size, count):
    """What a server pushes: JSON of `size` bytes, no two alike."""
    rng = random.Random(size)
    for number in range(count):
        tick = {"type": "tick", "number": number, "price": round(rng.random() * 1000, 2)}
        text = json.dumps(tick, separators=(",", ":"))
        if len(text) + 10 < size:
            note, left = [], size - len(text) - 10
            while left > 0:
                note.append(rng.choice(WORDS))
                left -= len(note[-1]) + 1
            tick["note"] = " ".join(note)[:size - len(text) - 10]
            text = json.dumps(tick, separators=(",", ":"))
        yield text


def requests(count):
    """JSON-RPC as load's corpus `requests` asks, and answers that say the ids again: (direction, text) of each message."""
    for number, user in enumerate(random.Random(3).sample(range(1 << 28, 1 << 29), count)):
        head, params = {"jsonrpc": "2.0"}, {"id": user, "deep": True}
        for direction, rest in (("incoming", {"method": "user.get", "params": params, "id": 5000000 + number}),
                                ("outgoing", {"id": 5000000 + number, "result": {"id": user}})):
            yield direction, json.dumps({**head, **rest}, separators=(",", ":"))
