"""The gateway as a process, session files as lists of lines, and python-websockets as an upstream."""
import asyncio
import json
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import websockets

from setting import BINARY_PATH, TIMEOUT
from wire import Client, http

SANITIZER_REPORTS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "WARNING: ThreadSanitizer", "runtime error: ")


def run(coroutine, timeout=TIMEOUT):
    """Runs a coroutine to its end, within the time-out."""
    return asyncio.run(asyncio.wait_for(coroutine, timeout))


def eventually(predicate, what="", timeout=TIMEOUT):
    """Polls until the predicate gives something true, and gives that."""
    end = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        assert time.monotonic() < end, f"did not happen in {timeout} s: {what or predicate}"
        time.sleep(0.01)


def least(measure, limit, times=5):
    """The least of some measurements of a time, the first that is under the limit being enough: what else the machine
    does can only add to one of them, and what the program itself costs is in each."""
    least_so_far = measure()
    for _ in range(times - 1):
        if least_so_far < limit:
            break
        least_so_far = min(least_so_far, measure())
    return least_so_far


def environment(home, extra=None):
    """The caller's environment without what would configure the gateway behind the test's back."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("MOCKFORGE_")}
    env.update(HOME=str(home), XDG_STATE_HOME=str(Path(home) / "state"), NO_COLOR="1", LC_ALL="C.UTF-8")
    env.update(extra or {})
    return env


def mockforge(*args, cwd, env=None, input=None, timeout=TIMEOUT):
    """Runs a command to its end: CompletedProcess with text."""
    done = subprocess.run([str(BINARY_PATH), *map(str, args)], cwd=cwd, env=environment(cwd, env), input=input,
                          capture_output=True, text=True, timeout=timeout)
    assert not any(r in done.stderr for r in SANITIZER_REPORTS), done.stderr
    return done


class Process:
    """mockforge running in the background: its log as it grows, its end checked."""

    def __init__(self, args, cwd, env=None, prefix=(), stdin=subprocess.DEVNULL):
        self.args, self.lines, self.changed, self.stopped = list(map(str, args)), [], threading.Condition(), False
        self.process = subprocess.Popen([*prefix, str(BINARY_PATH), *self.args], cwd=cwd, env=environment(cwd, env),
                                        stdin=stdin, stdout=open(Path(cwd) / "stdout", "ab"),
                                        stderr=subprocess.PIPE)
        self.pid, self.cwd = self.process.pid, Path(cwd)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stderr:
            with self.changed:
                self.lines.append(line.decode("utf-8", "replace").rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    ended = False

    @property
    def log(self):
        with self.changed:
            return "\n".join(self.lines)

    def wait_log(self, pattern, timeout=TIMEOUT):
        """The first log line that the pattern is found in, now or later: its match."""
        end, seen = time.monotonic() + timeout, 0
        with self.changed:
            while True:
                for line in self.lines[seen:]:
                    found = re.search(pattern, line)
                    if found:
                        return found
                seen = len(self.lines)
                left = end - time.monotonic()
                assert left > 0 and not self.ended, f"no log line with {pattern!r}; the log:\n" + "\n".join(self.lines)
                self.changed.wait(left)

    def count_log(self, pattern):
        return len(re.findall(pattern, self.log))

    def send_signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=TIMEOUT):
        """The exit status, after the whole log was read."""
        status = self.process.wait(timeout)
        self.reader.join(timeout)
        return status

    def stop(self, number=signal.SIGTERM, timeout=TIMEOUT, hurry=False):
        """Asks it to end: it must do so with status 0 and no sanitizer report. hurry: asks again when it is not
        done at once, for the end of a test that left connections open."""
        if self.stopped:
            return
        self.stopped = True
        if self.process.poll() is None:
            self.send_signal(number)
        if hurry:
            try:
                self.process.wait(0.1)
            except subprocess.TimeoutExpired:
                self.send_signal(number)
        try:
            status = self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill9()
            raise AssertionError(f"did not end within {timeout} s of signal {number}; the log:\n{self.log}") from None
        self.check(status)

    def check(self, status, expected=0):
        self.stopped = True
        assert not any(r in self.log for r in SANITIZER_REPORTS), self.log
        assert status == expected, f"exit status {status}; the log:\n{self.log}"

    def kill9(self):
        self.stopped = True
        self.process.kill()
        self.wait()

    def memory(self, field="VmRSS"):
        """Bytes, from /proc."""
        return int(re.search(rf"{field}:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text())[1]) * 1024

    def cpu(self):
        """Seconds of processor time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def busy(self):
        """As cpu(), to the nanosecond: the clock of that process, which a machine that stalls does not move."""
        return time.clock_gettime(~self.pid << 3 | 2)

    def rests(self, seconds=0.5):
        """Is it idle now? What waits for a peer, a disk or a descriptor must not spin."""
        before = self.cpu()
        time.sleep(seconds)
        used = self.cpu() - before
        assert used < 0.3 * seconds, f"{used:.2f} s of processor time in {seconds} s although nothing can move"

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))


class Gateway(Process):
    """`mockforge serve --config FILE`, or another command that listens; ready when the constructor returns."""

    def __init__(self, directory, config=None, args=(), env=None, command=("serve",), prefix=(), name="mockforge.yaml"):
        line = list(command)
        # Gateways run side by side here, and the admin port is 3000 unless a test says otherwise.
        env = {"MOCKFORGE_ADMIN_ENABLED": "false", **(env or {})}
        if config is not None:
            (Path(directory) / name).write_text(config)
            line += ["--config", name]
        super().__init__(line + list(args), directory, env, prefix)
        try:
            ready = self.wait_log(r" listening .*address=(\S+):(\d+)\b", TIMEOUT)
        except AssertionError:
            self.kill9()
            raise
        self.tls = "tls=yes" in ready.string
        self.host = {"0.0.0.0": "127.0.0.1", "[::]": "127.0.0.1"}.get(ready[1], ready[1]).strip("[]")
        self.port = int(ready[2])
        self.address = (self.host, self.port)

    def url(self, path="/ws"):
        return f"{'wss' if self.tls else 'ws'}://{self.host}:{self.port}{path}"

    def ask(self, path="/ws", headers=(), *, tls=None, **kw):
        """A raw client whose handshake was sent and not yet answered."""
        return Client(self.address, tls).ask(path, headers, **kw)

    def client(self, path="/ws", headers=(), *, status=101, **kw):
        """A raw client with the handshake done."""
        return self.ask(path, headers, **kw).answered(status)

    def http(self, raw):
        return http(self.address, raw)

    def pair(self, upstream, path="/proxy", headers=(), answer=(), **kw):
        """A raw client and the raw upstream's end of its relayed connection."""
        client = self.ask(path, headers, **kw)
        server = upstream.accept_ws(answer)
        return client.answered(), server


# session files

def session_text(path, strict=True):
    """What a session file holds, through the zstd command when it is compressed. strict: it must be whole."""
    path = Path(path)
    if path.suffix != ".zst":
        return path.read_text()
    done = subprocess.run(["zstd", "-dcq", str(path)], capture_output=True)
    assert not strict or done.returncode == 0, f"{path}: {done.stderr.decode()}"
    return done.stdout.decode()


class Session:
    """The lines of a session file, and the questions that tests ask of them."""

    def __init__(self, lines):
        self.lines = lines

    def of(self, *types):
        return [line for line in self.lines if line["type"] in types]

    @property
    def frames(self):
        return [line for line in self.lines if "direction" in line]

    @property
    def messages(self):
        return self.of("text", "binary", "continuation")

    def directions(self, *types):
        """[(direction, data), …] of the messages, or of these types."""
        return [(line["direction"], line["data"]) for line in (self.of(*types) if types else self.messages)]

    def data(self, direction):
        return [line["data"] for line in self.messages if line["direction"] == direction]


def read_session(path, strict=True):
    """A native or plain session file. Not strict: what can be read of one that is being written or was cut short."""
    lines = session_text(path, strict).split("\n")
    rest = lines.pop()
    assert not strict or rest == "", f"{path} ends in the middle of a line: {rest[-200:]!r}"
    return Session([json.loads(line) for line in lines])


def wait_for_lines(path, predicate, timeout=TIMEOUT):
    """Waits until a session file that is being written satisfies the predicate on its Session; gives that Session."""
    def look():
        if not Path(path).exists():
            return None
        session = read_session(path, strict=False)
        return session if predicate(session) else None
    return eventually(look, f"{path} holds what was expected", timeout)


def the_file(directory, pattern="*"):
    """The only file of this name pattern in a directory, once it is there."""
    found = eventually(lambda: sorted(Path(directory).glob(pattern)), f"{directory}/{pattern}")
    assert len(found) == 1, found
    return found[0]


# upstreams

class WsUpstream:
    """A python-websockets server on its own thread and loop. handler: async (websocket) -> None; default: echo.
    `seen` holds (path, headers) of each connection."""

    def __init__(self, handler=None, host="127.0.0.1", tls=None, **options):
        self.handler, self.tls, self.host, self.seen = handler or self.echo, tls, host, []
        options.setdefault("max_size", None)
        self.loop, self.options = asyncio.new_event_loop(), options
        self.ready, self.thread = threading.Event(), threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        assert self.ready.wait(TIMEOUT)

    @staticmethod
    async def echo(websocket):
        async for message in websocket:
            await websocket.send(message)

    async def _handle(self, websocket):
        self.seen.append((websocket.path, websocket.request_headers))
        try:
            await self.handler(websocket)
        except websockets.ConnectionClosed:
            pass

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._main())
        self.loop.close()

    async def _main(self):
        self.end = asyncio.Event()
        async with websockets.serve(self._handle, self.host, 0, ssl=self.tls, ping_interval=None, close_timeout=1,
                                    **self.options) as server:
            self.port = server.sockets[0].getsockname()[1]
            self.ready.set()
            await self.end.wait()

    def url(self, path="/", host=None):
        host = host or (f"[{self.host}]" if ":" in self.host else self.host)
        return f"{'wss' if self.tls else 'ws'}://{host}:{self.port}{path}"

    def stop(self):
        if self.thread.is_alive():
            self.loop.call_soon_threadsafe(self.end.set)
            self.thread.join(TIMEOUT)


class Background(threading.Thread):
    """A piece of a test on its own thread; join() gives its result or raises what it raised."""

    def __init__(self, function, *args):
        super().__init__(daemon=True)
        self.function, self.args, self.result, self.error = function, args, None, None
        self.start()

    def run(self):
        try:
            self.result = self.function(*self.args)
        except BaseException as error:  # re-raised by join()
            self.error = error

    def join(self, timeout=TIMEOUT):
        super().join(timeout)
        assert not self.is_alive(), f"{self.function} did not end in {timeout} s"
        if self.error:
            raise self.error
        return self.result

