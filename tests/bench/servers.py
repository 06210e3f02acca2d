"""The programs that the benchmarks start: the echo upstream, the relays, and the load generator. Each is a process of
ours, pinned to a processor, stopped by its pid."""
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import textwrap
import time

HERE = pathlib.Path(__file__).resolve().parent
CPUS = sorted(os.sched_getaffinity(0))
RELAY_CPU, LOAD_CPU = CPUS[0], CPUS[-1]
FILES = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
CONNECTIONS = min(10000, (FILES - 400) // 2)  # a relay needs two descriptors for each
MOCK_CONNECTIONS = min(100000, FILES - 400)  # a mock one, and so does the load generator


class Missing(Exception):
    """A program that is not installed, or that does not come up: its rows are left out, and say why."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def certificate(directory):
    """A P-256 certificate for 127.0.0.1: (certificate, key, both in one file)."""
    cert, key, both = (directory / name for name in ("cert.pem", "key.pem", "both.pem"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
                    "-keyout", key, "-out", cert], check=True, capture_output=True)
    both.write_text(cert.read_text() + key.read_text())
    return cert, key, both


class Process:
    """A child on one processor, with its output in a log file."""

    def __init__(self, name, command, cpu, directory, env=None, stdin=subprocess.DEVNULL, stdout=None):
        self.name = name
        self.log = directory / f"{name}.log"
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
        with open(self.log, "ab") as log:
            pinned = [] if cpu is None else ["taskset", "-c", str(cpu)]
            self.child = subprocess.Popen([*pinned, *map(str, command)], cwd=directory, stdin=stdin,
                                          stdout=stdout or log, stderr=log, env={**os.environ, **(env or {})})
        self.pid = self.child.pid

    def wait_for_port(self, port, seconds=15):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.child.poll() is not None:
                raise Missing(f"{self.name} ended with {self.child.returncode}: {self.last_words()}")
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        self.stop()
        raise Missing(f"{self.name} does not listen: {self.last_words()}")

    def last_words(self):
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def stop(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(10)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()

    def cpu(self):
        """CPU seconds so far of each thread, by name; threads of one name together."""
        total = {}
        for task in pathlib.Path(f"/proc/{self.pid}/task").iterdir():
            try:
                name = (task / "comm").read_text().strip()
                schedstat = task / "schedstat"
                if schedstat.exists():
                    used = int(schedstat.read_text().split()[0]) / 1e9
                else:
                    fields = (task / "stat").read_text().rsplit(")", 1)[1].split()
                    used = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended between the listing and the reading
            total[name] = total.get(name, 0) + used
        return total

    def _status(self, field):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1])
        raise KeyError(field)

    def resident_kib(self):
        return self._status("VmRSS")

    def peak_kib(self):
        return self._status("VmHWM")

    def forget_peak(self):
        pathlib.Path(f"/proc/{self.pid}/clear_refs").write_text("5")


class Relay:
    """A relay before the echo upstream. Subclasses say what to start."""
    name = "?"
    tls = False
    path = "/"
    env = {}
    cpu = RELAY_CPU  # None: all of them

    def __init__(self, bench):
        self.bench = bench
        self.port = free_port()
        self.directory = bench.directory / self.name
        self.directory.mkdir(exist_ok=True)
        self.process = Process(self.name, self.command(), self.cpu, self.directory, self.env)
        self.process.wait_for_port(self.port)

    def command(self):
        raise NotImplementedError

    def stop(self):
        self.process.stop()

    @staticmethod
    def program(name):
        path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
        if path is None:
            raise Missing(f"{name} is not installed")
        return path


class Mockforge(Relay):
    name = "mockforge"
    path = "/bench"
    record = False
    workers = "1"

    def handler(self):
        """The keys of its route, each a line."""
        record = f"record: true\nrecord_path: {self.recordings}/bench.jsonl.zst\n" if self.record else ""
        return f"type: proxy\nupstream: ws://127.0.0.1:{self.bench.upstream}/\n{record}"

    def command(self):
        binary = self.bench.mockforge
        if not binary.exists():
            raise Missing(f"{binary} is not there")
        self.recordings = self.directory / "recordings"
        self.recordings.mkdir(exist_ok=True)
        cert, key, _ = self.bench.certificate
        tls = f"  tls: {{enabled: true, cert_path: {cert}, key_path: {key}}}\n" if self.tls else ""
        config = self.directory / "mockforge.yaml"
        config.write_text(
            f"websocket:\n"
            f"  host: 127.0.0.1\n"
            f"  port: {self.port}\n"
            f"  workers: {self.workers}\n"
            f"  ping_interval: 0\n"
            f"  max_connections: 100000\n"
            f"{tls}"
            f"  handlers:\n"
            f"    - path: {self.path}\n"
            f"{textwrap.indent(self.handler(), ' ' * 6)}")
        return [binary, "serve", "--config", config]

    def stop(self):
        super().stop()
        shutil.rmtree(self.recordings, ignore_errors=True)  # hundreds of megabytes


class MockforgeRecording(Mockforge):
    name = "mockforge-recording"
    record = True


class MockforgeStalled(MockforgeRecording):
    name = "mockforge-stalled"

    @property
    def env(self):
        return {"LD_PRELOAD": str(self.bench.build / "bench/stall.so"), "STALL_LOG": str(self.stalls),
                "STALL_EVERY_MS": str(self.bench.stall_every_ms), "STALL_MS": "1000"}

    @property
    def stalls(self):
        return self.directory / "stalls"


class MockforgeTls(Mockforge):
    name = "mockforge-tls"
    tls = True


class MockEcho(Mockforge):
    name = "mock-echo"
    keys = "type: echo\n"

    def handler(self):
        return self.keys


class MockPattern(MockEcho):
    """Two rules are looked at, one JSON answer is made. Every message of the corpora is an object."""
    name = "mock-pattern"
    keys = """\
rules:
  - match: {type: ping}
    response: {type: pong}
  - match: {}
    response: {type: ack, id: "{{message.id}}", at: "{{now}}"}
"""


class MockLuaText(MockEcho):
    name = "mock-lua-text"
    keys = "type: script\nscript: return 'pong'\n"


class MockLuaTable(MockEcho):
    name = "mock-lua-table"
    keys = "type: script\nscript: return {type = 'pong'}\n"


class MockJsonrpc(MockEcho):
    name = "mock-jsonrpc"
    keys = """\
type: jsonrpc
methods:
  - name: user.get
    response: {result: {id: "{{params.id}}", name: "{{params.name}}"}}
"""


class MockRequests(MockEcho):
    """What `replay-correlate` is held against: the same answers, from a template."""
    name = "mock-requests"
    keys = """\
type: jsonrpc
methods:
  - name: user.get
    response: {result: {id: "{{params.id}}"}}
"""


class MockRoom(MockEcho):
    """The first message joins, and any other goes to the room. As many workers as there are processors."""
    name = "mock-room"
    cpu = None
    workers = "0"
    hello = '{"action":"join"}'
    keys = """\
rules:
  - match: {action: join}
    handler: rooms.join("bench") return "joined"
  - match: {}
    response: "{{message}}"
    respond_to: room:bench
"""


class Replay(MockEcho):
    """Plays bench.recording, at `speed`."""
    name = "replay"
    speed = "max"

    def handler(self):
        return f"type: replay\ninput: {self.bench.recording}\nreplay: {{loop: true, speed: {self.speed}}}\n"


class ReplayTimed(Replay):
    name = "replay-timed"
    speed = "1"


class RelayOfFlood(Mockforge):
    """A relay whose upstream sends bench.frames, over and over."""
    name = "relay"

    def handler(self):
        return f"type: proxy\nupstream: ws://127.0.0.1:{self.flood_port}/\n"

    def command(self):
        self.flood_port = free_port()
        self.flood = Process("flood", [self.bench.build / "bench/echo", self.flood_port, self.bench.frames], LOAD_CPU,
                             self.directory)
        self.flood.wait_for_port(self.flood_port)
        return super().command()

    def stop(self):
        super().stop()
        self.flood.stop()


class BareEcho(Relay):
    name = "bare-echo"

    def command(self):
        return [self.bench.build / "bench/bare_echo", self.port]


class Haproxy(Relay):
    name = "haproxy"

    def command(self):
        program = self.program("haproxy")
        crt = f" ssl crt {self.bench.certificate[2]}" if self.tls else ""
        config = self.directory / "haproxy.cfg"
        config.write_text(
            f"global\n"
            f"  nbthread 1\n"
            f"  maxconn {CONNECTIONS + 50}\n"
            f"  tune.bufsize 65536\n"
            f"  tune.ssl.default-dh-param 2048\n"
            f"defaults\n"
            f"  mode http\n"
            f"  option http-server-close\n"
            f"  timeout connect 5s\n"
            f"  timeout client 1h\n"
            f"  timeout server 1h\n"
            f"  timeout tunnel 1h\n"
            f"frontend clients\n"
            f"  maxconn {CONNECTIONS + 50}\n"
            f"  bind 127.0.0.1:{self.port}{crt}\n"
            f"  default_backend upstream\n"
            f"backend upstream\n"
            f"  server echo 127.0.0.1:{self.bench.upstream}\n")
        return [program, "-db", "-f", config]


class HaproxyTls(Haproxy):
    name = "haproxy-tls"
    tls = True


class Nginx(Relay):
    name = "nginx"

    def command(self):
        program = self.program("nginx")
        cert, key, _ = self.bench.certificate
        tls = f"ssl_certificate {cert}; ssl_certificate_key {key};" if self.tls else ""
        config = self.directory / "nginx.conf"
        config.write_text(f"""
daemon off;
master_process off;
worker_processes 1;
worker_rlimit_nofile {FILES};
pid {self.directory}/nginx.pid;
error_log {self.directory}/error.log;
events {{ worker_connections {2 * CONNECTIONS + 200}; }}
http {{
  access_log off;
  client_body_temp_path {self.directory}/body;
  proxy_temp_path {self.directory}/proxy;
  fastcgi_temp_path {self.directory}/fastcgi;
  uwsgi_temp_path {self.directory}/uwsgi;
  scgi_temp_path {self.directory}/scgi;
  server {{
    listen 127.0.0.1:{self.port}{" ssl" if self.tls else ""} backlog=4096;
    {tls}
    location / {{
      proxy_pass http://127.0.0.1:{self.bench.upstream};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
      proxy_read_timeout 1h;
      proxy_send_timeout 1h;
      proxy_buffer_size 64k;
      proxy_buffers 4 64k;
      proxy_busy_buffers_size 64k;
    }}
  }}
}}
""")
        return [program, "-c", config, "-p", self.directory]


class NginxTls(Nginx):
    name = "nginx-tls"
    tls = True


class Mitmdump(Relay):
    name = "mitmdump"

    def command(self):
        return [self.program("mitmdump"), "-q", "--mode", f"reverse:http://127.0.0.1:{self.bench.upstream}",
                "--listen-host", "127.0.0.1", "--listen-port", self.port, "-w", self.directory / "flows",
                "--set", f"confdir={self.directory}"]


class NodeWs(Relay):
    name = "node-ws"
    script, module = "relay.mjs", "ws"

    def command(self):
        if not any((folder / "node_modules" / self.module).exists() for folder in (HERE, *HERE.parents)):
            raise Missing(f"npm's {self.module} is not installed (npm ci --prefix tests/bench)")
        return [self.program("node"), HERE / self.script, self.port, self.bench.upstream,
                self.directory / "recording.jsonl"]


class Mockttp(NodeWs):
    name = "mockttp"
    script, module = "mockttp.mjs", "mockttp"


class Load:
    """One run of the load generator against a relay; after `finish` the counters are there."""

    def __init__(self, bench, relay, arguments):
        command = [bench.build / "bench/load", "--path", relay.path, *arguments, relay.port]
        if relay.tls:
            command.insert(1, "--tls")
        self.process = Process("load", command, LOAD_CPU, bench.directory, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
        self.wait("start")

    def wait(self, word=None):
        line = self.process.child.stdout.readline().decode().strip()
        if not line or (word and line != word):
            self.process.child.wait()
            raise Missing(f"load: {self.process.last_words()}")
        return line

    def finish(self):
        self.process.child.stdin.close()
        result = json.loads(self.wait())
        self.process.child.wait()
        return result
