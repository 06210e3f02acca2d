"""Shared state and broadcasts between gateways: in memory, on a real redis-server, and on sockets that pretend to be one."""
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from harness import Background, eventually, least
from setting import SLOW, TIMEOUT
from wire import TEXT

needs_redis = pytest.mark.skipif(not shutil.which("redis-server") or not shutil.which("redis-cli"),
                                 reason="redis-server and redis-cli (Debian: redis-server) are not installed")

# What a client asks for: {"op": "incr", "args": ["key", 1]}.
ASK = """
        local m = message.json
        local ok, value = pcall(shared[m.op], table.unpack(m.args))
        if not ok then return {error = value} end
        return {value = value, none = value == nil}
"""


def config(shared, workers=1, routes=""):
    return f"""
websocket:
  host: 127.0.0.1
  port: 0
  workers: {workers}
  script: {{max_ms: 5000}}
  shared_state: {json.dumps({"enabled": True, **shared})}
  handlers:
    - path: /ask
      type: script
      script: |{ASK}
    - path: /echo
      type: echo
    - path: /count
      default: "{{{{connection_count.cluster}}}}"
    - path: /chat
      rules:
        - match: {{action: join}}
          handler: |
            rooms.join(message.room)
            return {{joined = message.room}}
        - match: {{action: say}}
          handler: broadcast(message.to, {{text = message.text}})
    - path: /shared
      rules:
        - match: {{type: get_counter}}
          handler: 'return {{type = "counter", value = shared.get("counter") or 0}}'
        - match: {{type: increment}}
          handler: |
            local count = shared.incr("counter")
            broadcast("/shared", {{type = "counter_updated", value = count}})
            return {{type = "incremented", value = count}}
{routes}"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


class Redis:
    """A redis-server of our own on a free port; stopped by its pid."""

    def __init__(self, directory, password=None):
        self.directory, self.password, self.port, self.process = directory, password, free_port(), None
        self.start()

    def start(self):
        line = ["redis-server", "--save", "", "--appendonly", "no", "--port", str(self.port), "--bind", "127.0.0.1",
                "--dir", str(self.directory)]
        if self.password:
            line += ["--requirepass", self.password]
        self.process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        eventually(lambda: self.cli("ping") == "PONG", "redis-server answers")

    def cli(self, *args):
        env = {**os.environ, **({"REDISCLI_AUTH": self.password} if self.password else {})}
        done = subprocess.run(["redis-cli", "-p", str(self.port), *map(str, args)], capture_output=True, text=True, env=env,
                              timeout=TIMEOUT)
        return done.stdout.rstrip("\n")

    def url(self, user="", db=""):
        return f"redis://{user}127.0.0.1:{self.port}{db}"

    def kill(self):
        self.process.kill()
        self.process.wait()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)


@pytest.fixture
def redis(tmp_path):
    made = []

    def maker(**kw):
        made.append(Redis(tmp_path, **kw))
        return made[-1]
    yield maker
    for server in made:
        server.kill()


def ask(client, op, *args):
    client.text(json.dumps({"op": op, "args": args}))
    return answer(client)


def answer(client):
    got = json.loads(client.recv_text())
    assert "error" not in got, got
    return None if got["none"] else got["value"]


def error_of(client, op, *args):
    client.text(json.dumps({"op": op, "args": args}))
    return json.loads(client.recv_text())["error"]


def works(client):
    """Does shared state answer now?"""
    client.text(json.dumps({"op": "get", "args": ["x"]}))
    return "error" not in json.loads(client.recv_text())


def on_redis(gateway, redis, config_text, **kw):
    g = gateway(config_text, **kw)
    g.wait_log("redis_connected connection=commands")
    g.wait_log("redis_connected connection=news")
    return g


def subscribers(redis):
    return int(redis.cli("pubsub", "numsub", "mockforge:bus:0").split("\n")[1])


def two_gateways(gateway, redis, tmp_path, **kw):
    gs = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        gs.append(on_redis(gateway, redis, config({"redis_url": redis.url()}, **kw), directory=tmp_path / name))
    eventually(lambda: subscribers(redis) == 2)
    return gs


def chat(client, **message):
    client.text(json.dumps(message))


def join(client, room):
    chat(client, action="join", room=room)
    assert json.loads(client.recv_text()) == {"joined": room}


def nothing_came(client):
    """Of what is said to it: a ping is answered first."""
    client.ping(b"?")
    frame = client.recv_frame()
    assert frame.payload == b"?", frame


# ---- both kinds ----

VALUES = [0, -1, 5, 9007199254740993, 1.5, 1e300, True, False, None, "", "text", "5", "grüße 日本 🙂", "quote\" \\ \n\t\u0000",
          [], {}, [1, [2, {"a": None}]], {"a": {"b": [1, 2.5, "x", None, True]}, "e": [], "o": {}}]


def round_trip(client):
    for value in VALUES:
        assert ask(client, "set", "value", value) is True
        got = ask(client, "get", "value")
        assert got == value and type(got) is type(value), (value, got)
    assert ask(client, "get", "nothing") is None


def operations(client):
    assert ask(client, "incr", "n") == 1
    assert ask(client, "incr", "n", 41) == 42
    assert ask(client, "decr", "n") == 41
    assert ask(client, "decr", "n", 50) == -9
    assert ask(client, "get", "n") == -9
    assert ask(client, "set", "n", 9223372036854775807) is True
    assert "overflow" in error_of(client, "incr", "n")
    assert ask(client, "get", "n") == 9223372036854775807
    assert ask(client, "set", "n", "text") is True
    assert error_of(client, "incr", "n").startswith("shared.incr: ")
    assert ask(client, "del", "n") is True
    assert ask(client, "del", "n") is False
    assert ask(client, "expire", "n", 1000) is False
    assert ask(client, "set", "n", 1, 100) is True
    eventually(lambda: ask(client, "get", "n") is None)
    assert ask(client, "set", "n", 1) is True
    assert ask(client, "expire", "n", 50) is True
    eventually(lambda: ask(client, "get", "n") is None)


def guide_counter(g):
    a, b = g.client("/shared"), g.client("/shared")
    a.text('{"type":"get_counter"}')
    a.expect(TEXT, b'{"type":"counter","value":0}')
    for i in range(1, 4):
        a.text('{"type":"increment"}')
        seen = sorted(a.recv_text() for _ in range(2))
        assert seen == [f'{{"type":"counter_updated","value":{i}}}', f'{{"type":"incremented","value":{i}}}']
        assert b.recv_text() == f'{{"type":"counter_updated","value":{i}}}'
    b.text('{"type":"get_counter"}')
    b.expect(TEXT, b'{"type":"counter","value":3}')
    a.finish()
    b.finish()


def ordered(client, n=500):
    """All at once: the answers come in order, and every command was done before the next one."""
    for i in range(n):
        client.text(json.dumps({"op": "incr", "args": ["ordered"]}))
        client.text(json.dumps({"op": "get", "args": ["ordered"]}))
    for i in range(1, n + 1):
        assert answer(client) == i
        assert answer(client) == i


def increments(g, clients=8, each=200):
    def run(client):
        return [ask(client, "incr", "many") for _ in range(each)]
    sockets = [g.client("/ask") for _ in range(clients)]
    results = [Background(run, c) for c in sockets]
    seen = sorted(n for r in results for n in r.join())
    assert seen == list(range(1, clients * each + 1))
    for c in sockets:
        c.finish()


def everything(g):
    client = g.client("/ask")
    round_trip(client)
    operations(client)
    ordered(client)
    client.finish()
    guide_counter(g)
    increments(g)


def test_memory(gateway):
    everything(gateway(config({})))


def test_memory_of_four_workers(gateway):
    everything(gateway(config({}, workers=4)))


@needs_redis
def test_redis(gateway, redis):
    r = redis()
    everything(on_redis(gateway, r, config({"redis_url": r.url()}, workers=2)))


def test_off(gateway):
    g = gateway(config({"enabled": False}))
    client = g.client("/ask")
    assert "shared state is off: websocket.shared_state.enabled" in error_of(client, "get", "x")
    client.finish()


def test_limits(gateway):
    client = gateway(config({}).replace("  host:", "  max_message_size: 4194304\n  host:")).client("/ask")
    assert ask(client, "set", "k" * 1024, 1) is True
    assert "the key is too long" in error_of(client, "set", "k" * 1025, 1)
    assert ask(client, "set", "k", "v" * (1048576 - 2)) is True
    assert "the value is too long" in error_of(client, "set", "k", "v" * 1048575)
    assert len(ask(client, "get", "k")) == 1048576 - 2
    client.finish()


def test_a_reload_says_what_it_cannot(gateway, tmp_path):
    g = gateway(config({}))
    client = g.client("/ask")
    assert ask(client, "incr", "n") == 1
    (tmp_path / "mockforge.yaml").write_text(config({"prefix": "other:"}))
    g.send_signal(signal.SIGHUP)
    g.wait_log('reload_incomplete why="websocket.shared_state takes effect at the next start"')
    g.wait_log("reloaded")
    assert ask(client, "incr", "n") == 2
    client.finish()


# ---- Redis as others see it ----

@needs_redis
def test_other_programs(gateway, redis):
    r = redis()
    client = on_redis(gateway, r, config({"redis_url": r.url()})).client("/ask")
    r.cli("set", "mockforge:n", "41")
    assert ask(client, "incr", "n") == 42
    assert r.cli("get", "mockforge:n") == "42"
    assert r.cli("incrby", "mockforge:n", "8") == "50"
    assert ask(client, "get", "n") == 50
    for text, value in [("1.5", 1.5), ("hello", "hello"), ("007", "007"), ('{"a":[1]}', {"a": [1]}), ('"quoted"', "quoted"),
                        ("", ""), ("{broken", "{broken"), ("grüße", "grüße"), (" 5 ", 5), ("nan", "nan")]:
        r.cli("set", "mockforge:text", text)
        assert ask(client, "get", "text") == value, text
    r.cli("eval", "redis.call('set', KEYS[1], '\\255\\254')", 1, "mockforge:text")
    assert ask(client, "get", "text") == "\ufffd\ufffd"
    r.cli("eval", "redis.call('set', KEYS[1], string.rep('x', 1048577))", 1, "mockforge:text")
    assert "the value is longer than" in error_of(client, "get", "text")
    r.cli("rpush", "mockforge:list", "1")
    assert "WRONGTYPE" in error_of(client, "get", "list")
    assert "WRONGTYPE" in error_of(client, "incr", "list")
    ask(client, "set", "mine", {"a": 1}, 60000)
    assert json.loads(r.cli("get", "mockforge:mine")) == {"a": 1}
    assert 0 < int(r.cli("ttl", "mockforge:mine")) <= 60
    ask(client, "set", "mine", "text")
    assert r.cli("get", "mockforge:mine") == '"text"' and r.cli("ttl", "mockforge:mine") == "-1"
    ask(client, "set", "odd key\r\n\0\"%s%b", 1)
    assert r.cli("exists", "mockforge:mine") == "1" and r.cli("dbsize") == "5"
    client.finish()


@needs_redis
def test_password_database_and_prefix(gateway, redis):
    r = redis(password="p@ss/word:1")
    url = r.url("default:p%40ss%2Fword%3A1@", "/3")
    client = on_redis(gateway, r, config({"redis_url": url, "prefix": "mine:"})).client("/ask")
    assert ask(client, "incr", "n") == 1
    assert r.cli("-n", 3, "get", "mine:n") == "1"
    assert r.cli("pubsub", "channels") == "mine:bus:3"
    client.finish()


@needs_redis
def test_a_wrong_password(gateway, redis):
    r = redis(password="right")
    g = gateway(config({"redis_url": r.url(":hunter2@"), "timeout_ms": 300}))
    g.wait_log('error redis_refused connection=commands address=127.0.0.1:[0-9]+ why="WRONGPASS')
    client, echo = g.client("/ask"), g.client("/echo")
    assert error_of(client, "get", "x").startswith("shared.get: no connection to Redis: WRONGPASS")
    echo.text("hi")
    echo.expect(TEXT, b"hi")
    time.sleep(1)
    assert g.count_log("redis_refused connection=commands") == 1
    assert not g.count_log('redis_away .*why="(?!did not answer in time)'), "a refusal is not an absence"
    assert "hunter2" not in g.log
    for c in (client, echo):
        c.finish()


@needs_redis
def test_a_user_with_few_rights(gateway, redis):
    """What docs/threat-model.md says is enough."""
    r = redis()
    allowed = [f"+{c}" for c in "get set incrby decrby del pexpire publish subscribe select ping".split()]
    assert r.cli("acl", "setuser", "gate", "on", ">secret", "~mockforge:*", "&mockforge:*", "-@all", *allowed) == "OK"
    g = on_redis(gateway, r, config({"redis_url": r.url("gate:secret@", "/2")}))
    client = g.client("/ask")
    operations(client)
    client.finish()
    time.sleep(1.5)  # a count was published
    assert "redis_publish_failed" not in g.log and "redis_refused" not in g.log


# ---- Redis comes and goes ----

@needs_redis
def test_down_at_the_start(gateway, redis):
    r = redis()
    r.kill()
    g = gateway(config({"redis_url": r.url(), "timeout_ms": 300}))
    g.wait_log("redis_away connection=commands .*Connection refused")
    client, echo = g.client("/ask"), g.client("/echo")
    begin = time.monotonic()
    assert "Connection refused" in error_of(client, "incr", "n")
    assert time.monotonic() - begin > 0.29
    echo.text("hi")
    echo.expect(TEXT, b"hi")
    r.start()
    eventually(lambda: works(client))
    assert ask(client, "incr", "n") == 1  # the one that failed was never done
    for c in (client, echo):
        c.finish()


class Load:
    """Clients that increment all the time, on their own threads, and one that measures how fast others are served."""

    def __init__(self, g):
        self.ended, self.slowest, self.failures = threading.Event(), 0, {}
        self.clients, self.echo = [g.client("/ask") for _ in range(8)], g.client("/echo")
        self.runs = [Background(self.increment, c) for c in self.clients]
        self.others = Background(self.measure)

    def increment(self, client):
        seen, failed = [], 0
        while not self.ended.is_set():
            client.text(json.dumps({"op": "incr", "args": ["n"]}))
            got = json.loads(client.recv_text())
            if "error" in got:
                failed += 1
                self.failures[client] = failed
            else:
                seen.append(got["value"])
        return seen, failed

    def measure(self):
        while not self.ended.is_set():
            begin = time.monotonic()
            self.echo.text("x")
            self.echo.recv_text()
            self.slowest = max(self.slowest, time.monotonic() - begin)
            time.sleep(0.01)

    def stop(self):
        """[(the numbers that a client saw, how often it failed), …]"""
        self.ended.set()
        results = [run.join() for run in self.runs]
        self.others.join()
        for c in [*self.clients, self.echo]:
            c.finish()
        return results


@needs_redis
def test_cut_off_under_load(gateway, redis):
    """What was answered was done; what failed was done once at most."""
    r = redis()
    g = on_redis(gateway, r, config({"redis_url": r.url(), "timeout_ms": 2000}, workers=2))

    def slowest():
        r.cli("set", "mockforge:n", "0")
        load = Load(g)
        for _ in range(6):
            time.sleep(0.1)
            before = g.count_log("redis_connected connection=commands")
            r.cli("client", "kill", "type", "normal")
            eventually(lambda: g.count_log("redis_connected connection=commands") > before)
        results = load.stop()
        seen, failed = [n for numbers, _ in results for n in numbers], sum(n for _, n in results)
        held = int(r.cli("get", "mockforge:n"))
        assert len(set(seen)) == len(seen)
        assert len(seen) <= held <= len(seen) + failed
        return load.slowest
    assert least(slowest, 0.5 * SLOW) < 0.5 * SLOW


@needs_redis
def test_killed_under_load(gateway, redis):
    r = redis()
    g = on_redis(gateway, r, config({"redis_url": r.url(), "timeout_ms": 500}, workers=2))

    def slowest():
        r.cli("set", "mockforge:n", "0")
        load = Load(g)
        for i in range(1, 4):
            time.sleep(0.3)
            before = g.count_log("redis_connected connection=commands")
            r.kill()
            time.sleep(0.7)
            eventually(lambda: all(load.failures.get(c, 0) >= i for c in load.clients), "each has been told that it failed")
            r.start()
            eventually(lambda: g.count_log("redis_connected connection=commands") == before + 1)
        time.sleep(0.3)
        results = load.stop()
        last = [n for numbers, _ in results for n in last_life(numbers)]
        assert sorted(last) == list(range(1, int(r.cli("get", "mockforge:n")) + 1))
        return load.slowest
    assert least(slowest, 0.5 * SLOW, 3) < 0.5 * SLOW


def last_life(numbers):
    """They grow, and begin anew with each life of Redis."""
    start = max((i for i in range(1, len(numbers)) if numbers[i] < numbers[i - 1]), default=0)
    return numbers[start:]


@needs_redis
def test_hung(gateway, redis):
    r = redis()
    g = on_redis(gateway, r, config({"redis_url": r.url(), "timeout_ms": 400}))
    client, echo = g.client("/ask"), g.client("/echo")
    assert ask(client, "incr", "n") == 1
    r.pause()
    begin = time.monotonic()
    first = error_of(client, "incr", "n")
    assert "Redis did not answer within 400 ms" in first or "no connection to Redis" in first
    assert time.monotonic() - begin > 0.2
    for _ in range(3):
        assert "no connection to Redis" in error_of(client, "incr", "other")
    echo.text("hi")
    echo.expect(TEXT, b"hi")
    g.rests()
    r.go_on()
    eventually(lambda: works(client))
    assert ask(client, "get", "n") in (1, 2)  # it may have been done, once
    assert ask(client, "get", "other") is None  # these never were
    for c in (client, echo):
        c.finish()


@needs_redis
def test_broadcasts_while_it_hangs(gateway, redis):
    """They are lost for others, and memory does not grow with them."""
    r = redis()
    g = on_redis(gateway, r, config({"redis_url": r.url(), "timeout_ms": 300}).replace(
        "  host:", "  max_message_size: 4194304\n  host:"))
    client = g.client("/chat")
    r.pause()
    time.sleep(0.1)
    before = g.memory()
    for _ in range(200):
        chat(client, action="say", to="nowhere", text="x" * 1000000)
    nothing_came(client)
    assert g.memory() - before < 120e6 * SLOW
    g.wait_log("redis_away connection=commands")
    r.go_on()
    eventually(lambda: g.count_log("redis_connected connection=commands") >= 2)
    client.finish()


@needs_redis
def test_end_with_requests_under_way(gateway, redis):
    r = redis()
    g = on_redis(gateway, r, config({"redis_url": r.url(), "timeout_ms": 60000}))
    clients = [g.client("/ask") for _ in range(20)]
    r.pause()
    for c in clients:
        c.text(json.dumps({"op": "incr", "args": ["n"]}))
    time.sleep(0.2)
    begin = time.monotonic()
    g.send_signal(signal.SIGTERM)
    for c in clients:
        c.expect_close(1001)
        c.close(1001)
    g.check(g.wait())
    assert time.monotonic() - begin < 2 * SLOW


# ---- sockets that pretend to be Redis ----

class Pretender:
    """A thread for each connection, which ends with its socket. `talk(socket, number)` is what it does."""

    def __init__(self, talk):
        self.talk, self.count, self.times, self.got = talk, 0, [], []
        self.server = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self.server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                s, _ = self.server.accept()
            except OSError:
                return
            self.count += 1
            self.times.append(time.monotonic())
            threading.Thread(target=self._run, args=(s, self.count), daemon=True).start()

    def _run(self, s, number):
        with s:
            try:
                self.talk(self, s, number)
            except OSError:
                pass

    def commands(self, s):
        """Each command that comes, as a list of texts."""
        f = s.makefile("rb")
        while line := f.readline():
            words = []
            for _ in range(int(line[1:])):
                size = int(f.readline()[1:])
                words.append(f.read(size + 2)[:-2].decode("latin-1"))
            self.got.append(words)
            yield words

    def stop(self):
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()


@pytest.fixture
def pretender():
    made = []

    def maker(talk):
        made.append(Pretender(talk))
        return made[-1]
    yield maker
    for p in made:
        p.stop()


def hang_up(_, s, number):
    s.close()


def pong_and_hang_up(_, s, number):
    s.recv(1000)
    s.sendall(b"+PONG\r\n")
    s.close()


@pytest.mark.parametrize("talk", [hang_up, pong_and_hang_up])
def test_backoff(gateway, pretender, talk):
    """Requests all the time, and yet a handful of attempts, further and further apart."""
    p = pretender(talk)
    g = gateway(config({"redis_url": p.url, "timeout_ms": 100}))
    client, end = g.client("/ask"), time.monotonic() + 3
    while time.monotonic() < end:
        error_of(client, "get", "x")
    assert 6 <= p.count <= 30, p.count  # of two lines
    g.rests()
    assert g.count_log("redis_away") < 40
    client.finish()


def test_nothing_is_sent_twice(gateway, pretender):
    """A command whose answer is late ends its connection; it does not come again on the next one."""
    def talk(p, s, number):
        for words in p.commands(s):
            if words[0] == "PING":
                s.sendall(b"+PONG\r\n")
            elif words[0] == "PUBLISH":
                s.sendall(b":1\r\n")
            elif words[0] == "INCRBY" and words[2] == "1":
                time.sleep(0.6)
                s.sendall(b":1\r\n")
            elif words[0] == "INCRBY":
                s.sendall(b":42\r\n")

    p = pretender(talk)
    g = gateway(config({"redis_url": p.url, "timeout_ms": 200}))
    g.wait_log("redis_connected connection=commands")
    client = g.client("/ask")
    assert "did not answer within 200 ms" in error_of(client, "incr", "n", 1)
    eventually(lambda: g.count_log("redis_connected connection=commands") == 2)
    assert ask(client, "incr", "n", 2) == 42
    time.sleep(0.6)
    assert sorted(w[2] for w in p.got if w[0] == "INCRBY") == ["1", "2"]
    client.finish()


def test_a_dead_subscription(gateway, pretender):
    """The line that listens hears nothing of what we publish: it is made anew."""
    def talk(p, s, number):
        for words in p.commands(s):
            if words[0] == "PING":
                s.sendall(b"+PONG\r\n")
            elif words[0] == "PUBLISH":
                s.sendall(b":1\r\n")

    g = gateway(config({"redis_url": pretender(talk).url}))
    g.wait_log("redis_away connection=news .*what was published did not come back", timeout=20 * SLOW)
    assert "redis_away connection=commands" not in g.log


def test_hostile_news(gateway, pretender):
    """What comes on the channel is checked: no text that is not UTF-8, no message that is not ours."""
    lines = {}

    def talk(p, s, number):
        for words in p.commands(s):
            if words[0] == "PING":
                s.sendall(b"+PONG\r\n")
            elif words[0] == "PUBLISH":
                s.sendall(b":1\r\n")
            elif words[0] == "SUBSCRIBE":
                channel = words[1].encode()
                s.sendall(b"*3\r\n$9\r\nsubscribe\r\n$%d\r\n%s\r\n:1\r\n" % (len(channel), channel))
                lines["news"] = (s, channel)

    def send(payload):
        s, channel = lines["news"]
        s.sendall(b"*3\r\n$7\r\nmessage\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (len(channel), channel, len(payload), payload))

    g = gateway(config({"redis_url": pretender(talk).url}))
    client = g.client("/chat")
    eventually(lambda: lines)
    for payload in (b"", b"x" * 100000, b"mf1n00112233445566ff000005lob", b"mf1n00112233445566ff110005/chat", b"mf1",
                    b"mf1n00112233445566ff100005/chat\xff\xfe", b"mf1x00112233445566ff100005/chatx",
                    b"mf1n00112233445566ff700005/chatx", b"mf1c00112233445566ff000000-5"):
        send(payload)
    send(b"mf1n00112233445566ff100005/chathello")
    frame = client.recv_frame()
    if frame.payload == b"":  # the binary message of no bytes is one
        frame = client.recv_frame()
    assert frame.payload == b"hello"
    g.wait_log("redis_foreign_message")
    count = g.client("/count")
    count.text("?")
    count.expect(TEXT, b"2")
    for c in (client, count):
        c.finish()


# ---- several gateways ----

@needs_redis
def test_rooms_of_two_gateways(gateway, redis, tmp_path):
    one, two = two_gateways(gateway, redis(), tmp_path, workers=2)
    a, b, c = one.client("/chat"), two.client("/chat"), two.client("/chat")
    join(a, "lobby")
    join(b, "lobby")
    for sender in (a, b):
        for i in range(20):
            chat(sender, action="say", to="lobby", text=f"grüße {i}")
    assert [json.loads(a.recv_text())["text"] for _ in range(40)].count("grüße 7") == 2
    assert [json.loads(b.recv_text())["text"] for _ in range(40)].count("grüße 7") == 2
    nothing_came(c)
    chat(c, action="say", to="/chat", text="route")
    for client in (a, b, c):
        assert json.loads(client.recv_text())["text"] == "route"
    time.sleep(0.2)
    for client in (a, b, c):  # once each
        nothing_came(client)
        client.finish()


@needs_redis
def test_the_counter_of_two_gateways(gateway, redis, tmp_path):
    one, two = two_gateways(gateway, redis(), tmp_path)
    a, b = one.client("/shared"), two.client("/shared")
    a.text('{"type":"increment"}')
    assert sorted(a.recv_text() for _ in range(2))[0] == '{"type":"counter_updated","value":1}'
    assert b.recv_text() == '{"type":"counter_updated","value":1}'
    b.text('{"type":"increment"}')
    assert a.recv_text() == '{"type":"counter_updated","value":2}'
    for c in (a, b):
        assert c is a or len([c.recv_text() for _ in range(2)]) == 2
        c.finish()


@needs_redis
def test_a_subscription_comes_back(gateway, redis, tmp_path):
    r = redis()
    one, two = two_gateways(gateway, r, tmp_path)
    a, b = one.client("/chat"), two.client("/chat")
    join(b, "lobby")
    r.kill()
    for g in (one, two):
        g.wait_log("redis_away connection=news")
    chat(a, action="say", to="lobby", text="lost")
    join(a, "lobby")
    chat(a, action="say", to="lobby", text="here")
    assert json.loads(a.recv_text())["text"] == "here"  # one's own gateway needs no Redis
    r.start()
    eventually(lambda: subscribers(r) == 2)
    for g in (one, two):
        eventually(lambda: g.count_log("redis_connected connection=commands") == 2)
    chat(a, action="say", to="lobby", text="again")
    for c in (a, b):
        assert json.loads(c.recv_text())["text"] == "again"
        c.finish()


@needs_redis
def test_connections_of_the_cluster(gateway, redis, tmp_path):
    one, two = two_gateways(gateway, redis(), tmp_path)
    asker, others = one.client("/count"), [two.client("/echo") for _ in range(5)]

    def count():
        asker.text("?")
        return int(asker.recv_text())
    eventually(lambda: count() == 6)
    for c in others:
        c.finish()
    eventually(lambda: count() == 1)
    two.kill9()
    asker.finish()


@needs_redis
def test_other_databases_are_other_worlds(gateway, redis, tmp_path):
    """Channels are no part of a database, but ours are named by it."""
    r, gs = redis(), []
    for name, db in (("one", ""), ("two", "/1")):
        (tmp_path / name).mkdir()
        gs.append(on_redis(gateway, r, config({"redis_url": r.url(db=db)}), directory=tmp_path / name))
    a, b = (g.client("/chat") for g in gs)
    for c in (a, b):
        join(c, "lobby")
    time.sleep(0.2)
    chat(a, action="say", to="lobby", text="x")
    a.recv_text()
    time.sleep(0.2)
    nothing_came(b)
    for c in (a, b):
        c.finish()


TICKING = """
    - path: /tick
      broadcast: {interval_ms: 300, message: tick}
"""


@needs_redis
def test_what_every_gateway_says_by_itself(gateway, redis, tmp_path):
    """A route's broadcast ticks in each gateway, for its own clients."""
    one, _ = two_gateways(gateway, redis(), tmp_path, routes=TICKING)
    client = one.client("/tick")
    client.recv_text()
    begin = time.monotonic()
    for _ in range(5):
        client.recv_text()
    assert time.monotonic() - begin > 1.2
    client.finish()
