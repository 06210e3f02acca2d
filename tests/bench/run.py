#!/usr/bin/python3
"""The benchmarks: our relay against others on the same upstream and load, in alternation, as ratios within one run.

CPU time of the process under test is what holds on a noisy machine; throughput and latency are printed beside it.
See README.md here for what each row means; `run.py --list` names them."""
import argparse
import fnmatch
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import recordings
import servers
from servers import Load, Missing, Process

MIB = 1 << 20
WORKER, WRITER = "mf-worker", "mf-writer"


class Bench:
    """What the rows share: the options, the scratch directory, the upstream."""

    def __init__(self, options, directory):
        self.options = options
        self.build = pathlib.Path(options.build).resolve()
        self.mockforge = pathlib.Path(options.mockforge).resolve() if options.mockforge else self.build / "mockforge"
        self.directory = directory
        self.certificate = servers.certificate(directory)
        self.rounds = options.rounds or (2 if options.quick else 4)
        self.seconds = options.seconds or (0.8 if options.quick else 2.0)
        self.warmup = 0.3 if options.quick else 0.5
        self.stall_every_ms = 1500 if options.quick else 3000
        self.upstream = servers.free_port()
        self.echo = Process("echo", [self.build / "bench/echo", self.upstream], servers.LOAD_CPU, directory)
        self.echo.wait_for_port(self.upstream)
        self.missing = {}

    def start(self, relays):
        """Starts these; what is missing is said once and left out."""
        running = {}
        for relay in relays:
            try:
                running[relay.name] = relay(self)
            except Missing as reason:
                if relay.name not in self.missing:
                    print(f"  (without {relay.name}: {reason})", flush=True)
                self.missing[relay.name] = str(reason)
        return running

    def run_load(self, relay, arguments, seconds=None, warmup=None):
        """One sample: what the load generator counted, and the relay's CPU time meanwhile, in us a round trip."""
        load = Load(self, relay, [*arguments, "--warmup", warmup or self.warmup, "--seconds", seconds or self.seconds])
        before = relay.process.cpu()
        result = load.finish()
        after = relay.process.cpu()
        if result["messages"] == 0:
            raise Missing(f"no message came back in {result['seconds']:.1f} s")
        threads = {name: used - before.get(name, 0) for name, used in after.items()}
        count = result["messages"]
        result["cpu_us"] = sum(threads.values()) / count * 1e6
        result["worker_us"] = sum(t for n, t in threads.items() if n.startswith(WORKER)) / count * 1e6
        result["writer_us"] = sum(t for n, t in threads.items() if n.startswith(WRITER)) / count * 1e6
        result["cpu_us_mib"] = sum(threads.values()) / result["bytes"] * MIB * 1e6
        result["rate"] = result["messages"] / result["seconds"]
        result["rss_kib"] = relay.process.resident_kib()
        return result

    def alternate(self, relays, arguments, seconds=None, warmup=None):
        """A B C A B C …: samples by relay's name."""
        samples = {name: [] for name in relays}
        for _ in range(self.rounds):
            for name in list(relays):
                try:
                    samples[name].append(self.run_load(relays[name], arguments, seconds, warmup))
                except Missing as reason:
                    print(f"  (without {name}: {reason})", flush=True)
                    self.missing[name] = str(reason)
                    del relays[name], samples[name]
        return samples


def median(samples, field):
    return statistics.median(sample[field] for sample in samples)


def ratio(samples, one, other, field, other_field=None):
    """The median over the rounds of one relay's figure to the other's in the same round."""
    return statistics.median(a[field] / b[other_field or field] for a, b in zip(samples[one], samples[other])
                             if b[other_field or field])


class Table:
    """Prints rows as they come, and keeps them for --json."""

    def __init__(self):
        self.rows = []

    def add(self, row, what, measured, target, unit="x", at_least=False):
        ok = measured >= target if at_least else measured <= target
        sign = ">=" if at_least else "<="
        print(f"  {what:<58} {measured:9.2f} {unit:<4} target {sign} {target:<6g} {'pass' if ok else 'FAIL'}", flush=True)
        self.rows.append({"row": row, "what": what, "measured": round(measured, 3), "target": target, "unit": unit,
                          "at_least": at_least, "pass": ok})

    def information(self, row, what, measured, unit="x"):
        print(f"  {what:<58} {measured:9.2f} {unit:<4}", flush=True)
        self.rows.append({"row": row, "what": what, "measured": round(measured, 3), "unit": unit})

    def skip(self, row, what, reason):
        print(f"  {what:<58} not measured: {reason}", flush=True)
        self.rows.append({"row": row, "what": what, "skipped": reason})

    def samples(self, row, samples, large=False):
        for name, list_ in samples.items():
            if not list_:
                continue
            cost = f"{median(list_, 'cpu_us_mib'):8.0f} us/MiB" if large else f"{median(list_, 'cpu_us'):8.2f} us/rt"
            split = ""
            if any(s["writer_us"] for s in list_):
                split = f" (worker {median(list_, 'worker_us'):.2f}, writer {median(list_, 'writer_us'):.2f})"
            print(f"    {name:<20} {cost} {median(list_, 'rate'):10.0f} rt/s  p50 {median(list_, 'p50_us') / 1e3:7.2f} "
                  f"p99 {median(list_, 'p99_us') / 1e3:7.2f} ms  rss {median(list_, 'rss_kib') / 1024:6.1f} MiB{split}",
                  flush=True)
            self.rows.append({"row": row, "relay": name, "samples": list_})


# --- rows -----------------------------------------------------------------------------------------------------------

def against(bench, table, row, ours, relays, arguments, targets, large=False):
    """CPU against haproxy's, with a target, and nginx's, for information."""
    field = "cpu_us_mib" if large else "cpu_us"
    samples = bench.alternate(relays, arguments)
    table.samples(row, samples, large)
    for other, target in targets.items():
        what = f"{row}: CPU, {ours} / {other}"
        if ours not in samples or other not in samples:
            table.skip(row, what, bench.missing.get(ours) or bench.missing.get(other) or "it ended")
        elif target is None:
            table.information(row, what, ratio(samples, ours, other, field))
        else:
            table.add(row, what, ratio(samples, ours, other, field), target)


def group_relay(bench, table, wanted):
    """relay-64-w1 relay-64-w32 relay-64k relay-1m"""
    cases = {"relay-64-w1": (["--size", 64], 1.1, False),
             "relay-64-w32": (["--size", 64, "--window", 32], 1.0, False),
             "relay-64k": (["--size", 65536], 0.9, True),
             "relay-1m": (["--size", MIB], 1.0, True)}
    with_relays(bench, [servers.Mockforge, servers.Haproxy, servers.Nginx], lambda relays: [
        against(bench, table, row, "mockforge", relays, arguments, {"haproxy": target, "nginx": None}, large)
        for row, (arguments, target, large) in cases.items() if wanted(row)])


def group_record(bench, table, wanted):
    """record-67-w1 record-67-w32 record-290-w1 record-290-w32"""
    cases = [(f"record-{size}-w{window}", size, window) for size in (67, 290) for window in (1, 32)]
    for row, size, window in cases:
        if not wanted(row):
            continue

        def measure(relays, row=row, size=size, window=window):
            samples = bench.alternate(relays, ["--corpus", f"json{size}", "--window", window])
            table.samples(row, samples)
            plain, recording = "mockforge", "mockforge-recording"
            if not samples.get(plain) or not samples.get(recording):
                table.skip(row, f"{row}: recording on / off", bench.missing.get(recording) or bench.missing.get(plain))
            elif window == 1:
                table.add(row, f"{row}: CPU, recording / not", ratio(samples, recording, plain, "cpu_us"), 1.25)
            else:
                limit = {67: 1.3, 290: 3.2}[size]
                list_ = samples[recording]
                table.add(row, f"{row}: worker's CPU, recording / not", ratio(samples, recording, plain, "worker_us"), 1.6)
                table.add(row, f"{row}: worker + writer",
                          statistics.median(s["worker_us"] + s["writer_us"] for s in list_), limit, "us")
                table.information(row, f"{row}: CPU, recording / not", ratio(samples, recording, plain, "cpu_us"))
        with_relays(bench, [servers.Mockforge, servers.MockforgeRecording], measure)


def group_tls(bench, table, wanted):
    """tls-64-w1 tls-64-w32 tls-64k"""
    cases = {"tls-64-w1": (["--size", 64], 0.85, False),
             "tls-64-w32": (["--size", 64, "--window", 32], None, False),
             "tls-64k": (["--size", 65536], 0.85, True)}
    with_relays(bench, [servers.MockforgeTls, servers.HaproxyTls, servers.NginxTls], lambda relays: [
        against(bench, table, row, "mockforge-tls", relays, arguments, {"haproxy-tls": target, "nginx-tls": None}, large)
        for row, (arguments, target, large) in cases.items() if wanted(row)])


def group_idle(bench, table, wanted):
    """idle idle-tls"""
    count = 2000 if bench.options.quick else servers.CONNECTIONS
    plain = [servers.Mockforge, servers.Haproxy, servers.Nginx]
    tls = [servers.MockforgeTls, servers.HaproxyTls, servers.NginxTls]
    for row, relays in {"idle": plain, "idle-tls": tls}.items():
        if not wanted(row):
            continue
        for relay in relays:
            def measure(running, row=row, relay=relay):
                what = f"{row}: KiB a connection, both legs, {count} open, {relay.name}"
                if relay.name not in running:
                    return table.skip(row, what, bench.missing[relay.name])
                process = running[relay.name].process
                before = process.resident_kib()
                try:
                    load = Load(bench, running[relay.name], ["--idle", "--clients", count])
                except Missing as reason:
                    return table.skip(row, what, str(reason))
                time.sleep(1.5)
                each = (process.resident_kib() - before) / count
                load.finish()
                if relay is servers.Mockforge:
                    table.add(row, what, each, 8, "KiB")
                else:
                    table.information(row, what, each, "KiB")
            with_relays(bench, [relay], measure)


def group_big(bench, table, wanted):
    """big"""
    size = (128 if bench.options.quick else 1024) * MIB
    what = f"big: growth while one message of {size // MIB} MiB passes, recorded"
    if not wanted("big"):
        return

    def measure(relays):
        if not relays:
            return table.skip("big", what, bench.missing["mockforge-recording"])
        relay = relays["mockforge-recording"]
        process = relay.process
        process.forget_peak()
        before = process.resident_kib()
        try:
            result = Load(bench, relay, ["--big", size]).finish()
        except Missing as reason:
            return table.skip("big", what, str(reason))
        growth = (process.peak_kib() - before) / 1024
        table.add("big", what, growth, 8, "MiB")
        table.information("big", "big: megabytes a second", size / MIB / result["seconds"], "MB/s")
    with_relays(bench, [servers.MockforgeRecording], measure)


def group_stall(bench, table, wanted):
    """stall"""
    what = "stall: p99 while the disk stalls for 1 s / while it does not"
    if not wanted("stall"):
        return
    seconds = 4 if bench.options.quick else 7

    def measure(relays):
        normal, stalled = "mockforge-recording", "mockforge-stalled"
        if len(relays) < 2:
            return table.skip("stall", what, bench.missing.get(normal) or bench.missing.get(stalled))
        log = relays[stalled].stalls
        samples = bench.alternate(relays, ["--corpus", "json290", "--rate", 4000], seconds)
        table.samples("stall", samples)
        stalls = len(log.read_text().splitlines()) if log.exists() else 0
        if stalls == 0:
            return table.skip("stall", what, "no write to the recording went through the shim")
        table.information("stall", "stall: stalls of 1 s during the run", stalls, "")
        table.add("stall", what, median(samples[stalled], "p99_us") / median(samples[normal], "p99_us"), 1.5)
        table.information("stall", "stall: worst message, stalled", median(samples[stalled], "max_us") / 1e3, "ms")
    with_relays(bench, [servers.MockforgeRecording, servers.MockforgeStalled], measure)


def group_compare(bench, table, wanted):
    """compare-w32 compare-w1"""
    targets = {"compare-w32": (32, {"mitmdump": 140, "node-ws": 9, "mockttp": 9}),
               "compare-w1": (1, {"mitmdump": 30, "node-ws": 2.4, "mockttp": 2.4})}
    for row, (window, others) in targets.items():
        if not wanted(row):
            continue

        def measure(relays, row=row, window=window, others=others):
            # mitmdump needs a second to get going, and its buffers empty in bursts.
            samples = bench.alternate(relays, ["--corpus", "json290", "--window", window], max(bench.seconds, 2), 2)
            table.samples(row, samples)
            for other, target in others.items():
                what = f"{row}: CPU, {other} / mockforge-recording"
                if not samples.get(other) or not samples.get("mockforge-recording"):
                    table.skip(row, what, bench.missing.get(other) or bench.missing.get("mockforge-recording"))
                else:
                    table.add(row, what, ratio(samples, other, "mockforge-recording", "cpu_us"), target, at_least=True)
        with_relays(bench, [servers.MockforgeRecording, servers.Mitmdump, servers.NodeWs, servers.Mockttp], measure)


def group_mock(bench, table, wanted):
    """mock-echo mock-pattern mock-lua mock-jsonrpc"""
    if wanted("mock-echo"):
        with_relays(bench, [servers.MockEcho, servers.BareEcho], lambda relays: against(
            bench, table, "mock-echo", "mock-echo", relays, ["--size", 64, "--window", 32], {"bare-echo": 1.5}))
    if wanted("mock-pattern"):
        for corpus in ("json67", "json290")[bench.options.quick:]:
            with_relays(bench, [servers.MockEcho, servers.MockPattern],
                        lambda relays, corpus=corpus: mock_pattern(bench, table, relays, corpus))
    if wanted("mock-lua"):
        with_relays(bench, [servers.MockLuaText, servers.MockLuaTable], lambda relays: mock_rates(
            bench, table, "mock-lua", relays, ["--size", 64], 250000))
    if wanted("mock-jsonrpc"):
        with_relays(bench, [servers.MockJsonrpc], lambda relays: mock_rates(
            bench, table, "mock-jsonrpc", relays, ["--corpus", "calls"], None))


def mock_pattern(bench, table, relays, corpus):
    samples = bench.alternate(relays, ["--corpus", corpus, "--window", 32, "--any"])
    table.samples("mock-pattern", samples)
    what = f"mock-pattern: CPU a message, above echo's, {corpus}"
    if not samples.get("mock-echo") or not samples.get("mock-pattern"):
        return table.skip("mock-pattern", what, bench.missing.get("mock-pattern") or bench.missing.get("mock-echo"))
    table.add("mock-pattern", what, statistics.median(
        ours["cpu_us"] - echo["cpu_us"] for ours, echo in zip(samples["mock-pattern"], samples["mock-echo"])), 4, "us")


def mock_rates(bench, table, row, relays, arguments, target):
    """Thousands of messages in a second of the worker's CPU time."""
    samples = bench.alternate(relays, [*arguments, "--window", 32, "--any"])
    table.samples(row, samples)
    for name, list_ in samples.items():
        what = f"{row}: a second of worker's CPU, {name}"
        rate = statistics.median(1e3 / sample["worker_us"] for sample in list_)
        if target:
            table.add(row, what, rate, target / 1e3, "k/s", at_least=True)
        else:
            table.information(row, what, rate, "k/s")


def group_mock_broadcast(bench, table, wanted):
    """mock-broadcast"""
    row = "mock-broadcast"
    members = min(2000 if bench.options.quick else 10000, servers.MOCK_CONNECTIONS)
    if not wanted(row):
        return

    def measure(relays):
        if not relays:
            return table.skip(row, f"{row}: {members} members", bench.missing["mock-room"])
        relay = relays["mock-room"]
        try:
            load = Load(bench, relay, ["--clients", members, "--hello", relay.hello, "--corpus", "json290",
                                       "--broadcasts", 20])
            before = relay.process.resident_kib()
            relay.process.forget_peak()
            result = load.finish()
        except Missing as reason:
            return table.skip(row, f"{row}: {members} members", str(reason))
        table.information(row, f"{row}: to the last of {members}, p50 of 20", result["p50_us"] / 1e3, "ms")
        table.information(row, f"{row}: the same, slowest of 20", result["max_us"] / 1e3, "ms")
        table.information(row, f"{row}: payload of one, to all of them", result["bytes"] / 20 / 1024, "KiB")
        table.information(row, f"{row}: growth meanwhile", relay.process.peak_kib() - before, "KiB")
    with_relays(bench, [servers.MockRoom], measure)


def group_mock_idle(bench, table, wanted):
    """mock-idle"""
    row = "mock-idle"
    count = min(2000 if bench.options.quick else 100000, servers.MOCK_CONNECTIONS)
    if not wanted(row):
        return
    if not bench.options.quick and count < 100000:
        print(f"  (mock-idle: {count} connections instead of 100000, as many as ulimit -Hn allows)", flush=True)
    cases = [(servers.MockEcho, []), (servers.MockPattern, []), (servers.MockPattern, ["--hello", '{"id":1}'])]
    for kind, hello in cases[2 * bench.options.quick:]:
        def measure(relays, kind=kind, hello=hello):
            what = f"{row}: KiB each, {count} open, {kind.name}{', has spoken' if hello else ''}"
            if not relays:
                return table.skip(row, what, bench.missing[kind.name])
            process = relays[kind.name].process
            before = process.resident_kib()
            try:
                load = Load(bench, relays[kind.name], ["--idle", "--clients", count, *hello])
            except Missing as reason:
                return table.skip(row, what, str(reason))
            time.sleep(1.5)
            each = (process.resident_kib() - before) / count
            load.finish()
            table.add(row, what, each, 4, "KiB")
        with_relays(bench, [kind], measure)


# --- replaying ------------------------------------------------------------------------------------------------------

def group_replay_max(bench, table, wanted):
    """replay-max"""
    row = "replay-max"
    if not wanted(row):
        return
    bench.recording, bench.frames = bench.directory / "replay.jsonl", bench.directory / "replay.frames"
    for size, count in {67: 300000, 290: 100000, 65536: 600}.items():
        texts = list(recordings.ticks(size, count))
        recordings.conversation(bench.recording, [("outgoing", text) for text in texts])
        bench.frames.write_bytes(b"".join(map(recordings.frame, texts)))
        del texts

        def measure(relays, size=size):
            samples = bench.alternate(relays, ["--drain", "--clients", 1])
            table.samples(row, samples, size > 60000)
            what = f"{row}: CPU a message of {size} bytes, replay / relay"
            if not samples.get("replay") or not samples.get("relay"):
                return table.skip(row, what, bench.missing.get("replay") or bench.missing.get("relay"))
            table.add(row, what, ratio(samples, "replay", "relay", "cpu_us"), 1.0)
            table.information(row, f"{row}: messages a second, {size} bytes, replay / relay",
                              ratio(samples, "replay", "relay", "rate"))
        with_relays(bench, [servers.Replay, servers.RelayOfFlood], measure)


def group_replay_clients(bench, table, wanted):
    """replay-clients"""
    row = "replay-clients"
    count = min(2000 if bench.options.quick else 10000, servers.MOCK_CONNECTIONS)
    if not wanted(row):
        return
    bench.recording = bench.directory / "replay.jsonl"
    recordings.conversation(bench.recording, [("outgoing", text) for text in recordings.ticks(290, 50000)], 1000)
    size = bench.recording.stat().st_size / 1024
    what = f"{row}: KiB each, {count} in the middle of one recording"

    def measure(relays):
        if not relays:
            return table.skip(row, what, bench.missing["replay-timed"])
        process = relays["replay-timed"].process
        before = process.resident_kib()
        try:
            load = Load(bench, relays["replay-timed"], ["--drain", "--clients", count, "--warmup", 2, "--seconds", 2])
        except Missing as reason:
            return table.skip(row, what, str(reason))
        growth = process.resident_kib() - before
        result = load.finish()
        table.add(row, what, growth / count, 8, "KiB")
        table.information(row, f"{row}: the recording's size", size, "KiB")
        table.information(row, f"{row}: the recording, loaded, before the first", before, "KiB")
        table.information(row, f"{row}: messages to all of them in 2 s", result["messages"], "")
    with_relays(bench, [servers.ReplayTimed], measure)


def group_replay_correlate(bench, table, wanted):
    """replay-correlate"""
    row = "replay-correlate"
    if not wanted(row):
        return
    bench.recording = bench.directory / "replay.jsonl"
    recordings.conversation(bench.recording, recordings.requests(100000))

    def measure(relays):
        samples = bench.alternate(relays, ["--corpus", "requests", "--window", 1, "--any"])
        table.samples(row, samples)
        what = f"{row}: CPU a message, replayed with its id / mock-requests"
        if not samples.get("replay") or not samples.get("mock-requests"):
            return table.skip(row, what, bench.missing.get("replay") or bench.missing.get("mock-requests"))
        table.add(row, what, ratio(samples, "replay", "mock-requests", "cpu_us"), 2)
    with_relays(bench, [servers.Replay, servers.MockRequests], measure)


def group_drive(bench, table, wanted):
    """drive"""
    row = "drive"
    if not wanted(row):
        return
    file, clients, count = bench.directory / "drive.jsonl", 64, 1000
    texts = list(recordings.ticks(290, count))
    recordings.conversation(file, [(direction, text) for text in texts for direction in ("incoming", "outgoing")])
    drive = (f"taskset -c {servers.RELAY_CPU} {bench.mockforge} ws replay --input {file} --speed max --clients {clients} "
             f"--target ws://127.0.0.1:{bench.upstream}/")
    load = (f"taskset -c {servers.RELAY_CPU} {bench.build}/bench/load --corpus json290 --clients {clients} --warmup 0.01 "
            f"--seconds {bench.seconds} {bench.upstream} > {bench.directory}/load.json")
    ratios, each = [], []
    for _ in range(bench.rounds):
        _, ours = elapsed(drive)
        _, bare = elapsed(load)
        messages = json.loads((bench.directory / "load.json").read_text().splitlines()[-1])["messages"]
        each.append(ours / (clients * count) * 1e6)
        ratios.append(each[-1] / (bare / messages * 1e6))
    table.add(row, f"{row}: CPU a round trip of 290 bytes, ws replay / bare load", statistics.median(ratios), 2)
    table.information(row, f"{row}: CPU a round trip, ws replay --target", statistics.median(each), "us")


# --- reading session files ------------------------------------------------------------------------------------------

def elapsed(command):
    """Seconds that a shell command took: by the clock, and of processor time with all that it started."""
    began, before = time.monotonic(), os.times()
    subprocess.run(command, shell=True, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return time.monotonic() - began, used


READ_TARGETS = ("read-show", "read-grep", "read-json", "read-stats", "read-convert")


def group_read(bench, table, wanted):
    """read-show read-grep read-json read-stats read-convert read-text read-har read-document read-cut read-redact read-merge
    read-diff read-mock"""
    if not shutil.which("jq") or not shutil.which("zstdcat"):
        return table.skip("read", "read-*", "jq or zstdcat is not there")
    plain, file = bench.directory / "read.jsonl", bench.directory / "read.jsonl.zst"
    count = recordings.realistic(plain, 25 if bench.options.quick else 100)
    ws = f"{bench.mockforge} ws"
    subprocess.run(f"{ws} convert {plain} {file}", shell=True, check=True, stderr=subprocess.DEVNULL)
    rows = {"read-show": f"{ws} show --json {file}",
            "read-grep": f"{ws} show --json --grep JULIET {file}",
            "read-json": f"{ws} show --json --json-path type=trade {file}",
            "read-stats": f"{ws} stats {file}",
            "read-convert": f"{ws} convert -f {file} {bench.directory / 'out.jsonl'}",
            "read-text": f"{ws} show {file}",
            "read-har": f"{ws} convert -f {file} {bench.directory / 'out.har'}",
            "read-document": f"{ws} convert -f {file} {bench.directory / 'out.json'}",
            "read-cut": f"{ws} cut -f --from 1 -o {bench.directory / 'cut.jsonl'} {file}",
            "read-redact": f"{ws} redact -f --json-path account -o {bench.directory / 'redacted.jsonl'} {file}",
            "read-merge": f"{ws} merge -f -o {bench.directory / 'merged.jsonl'} {file} {file}",
            "read-diff": f"{ws} diff {file} {file}",
            "read-mock": f"{ws} convert -f --to mock {file} {bench.directory / 'out.yaml'}"}
    rows = {row: command for row, command in rows.items() if wanted(row)}
    times = {row: [] for row in ["jq", *rows]}
    for _ in range(bench.rounds):
        for row, command in {"jq": f"zstdcat {file} | jq -c .", **rows}.items():
            times[row].append(elapsed(command))
    print(f"    {count} messages, {plain.stat().st_size / MIB:.0f} MiB; zstdcat | jq -c . "
          f"{statistics.median(clock for clock, _ in times['jq']):.2f} s", flush=True)
    for row in rows:
        clock, cpu = (statistics.median(a[i] / b[i] for a, b in zip(times[row], times["jq"])) for i in (0, 1))
        if row in READ_TARGETS:
            table.add(row, f"{row}: CPU, mockforge / zstdcat | jq -c .", cpu, 0.1)
        else:
            table.information(row, f"{row}: CPU, mockforge / zstdcat | jq -c .", cpu)
        table.information(row, f"{row}: time by the clock", clock)


def group_seek(bench, table, wanted):
    """read-seek"""
    gigabytes = 1 if bench.options.quick else 10
    for kind, limit in {"sound": 0.2, "missing": 1, "lying": 1}.items():
        file = bench.directory / f"{kind}.jsonl.zst"
        seconds = recordings.huge(file, gigabytes, kind)
        worst = max(elapsed(f"{bench.mockforge} ws show --recover --from {seconds * part} --limit 2 {file}")[0]
                    for part in (0.001, 0.5, 0.98) for _ in range(bench.rounds))
        file.unlink()
        table.add("read-seek", f"read-seek: {gigabytes} GB, {kind} seek table, the slowest", worst, limit, "s")


GROUPS = [group_relay, group_record, group_tls, group_idle, group_big, group_stall, group_mock, group_mock_broadcast,
          group_mock_idle, group_compare, group_replay_max, group_replay_clients, group_replay_correlate, group_drive, group_read,
          group_seek]


def with_relays(bench, relays, measure):
    running = bench.start(relays)
    try:
        measure(dict(running))
    finally:
        for relay in running.values():
            relay.stop()


# --- the run --------------------------------------------------------------------------------------------------------

def version(command):
    try:
        output = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        return (output.stdout + output.stderr).strip().splitlines()[0]
    except (OSError, IndexError, subprocess.TimeoutExpired):
        return "not installed"


def describe(bench):
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo", encoding="ascii", errors="replace")
                  if line.startswith("model name")), platform.machine())
    path = os.environ["PATH"] + ":/usr/sbin"
    facts = [f"{model}, {os.cpu_count()} processors, Linux {platform.release()}, load {os.getloadavg()[0]:.2f}",
             version(["env", f"PATH={path}", "haproxy", "-v"]), version(["env", f"PATH={path}", "nginx", "-v"]),
             version([str(bench.mockforge), "--version"])]
    if servers.RELAY_CPU == servers.LOAD_CPU:
        facts.append("one processor only: relay and load share it, and the figures say little")
    print("\n".join(f"# {fact}" for fact in facts))
    print(f"# 64 clients; medians of {bench.rounds} alternating rounds of {bench.seconds} s; rt = round trip", flush=True)
    return facts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build", help="where the programs were built")
    parser.add_argument("--mockforge", help="another binary than BUILD/mockforge")
    parser.add_argument("--quick", action="store_true", help="under two minutes: fewer, shorter rounds, no comparators")
    parser.add_argument("--rows", default="*", help="globs, with commas: relay-*,big")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="of each sample")
    parser.add_argument("--json", help="write all samples to this file")
    parser.add_argument("--list", action="store_true", help="name the rows")
    options = parser.parse_args()
    if options.list:
        for group in GROUPS:
            print(group.__doc__)
        return 0

    def wanted(row):
        if options.rows == "*" and options.quick:
            return not row.startswith("compare") and row not in ("tls-64-w32", "idle-tls", "mock-jsonrpc")
        return any(fnmatch.fnmatch(row, glob) for glob in options.rows.split(","))

    table = Table()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.build) as directory:
        bench = Bench(options, pathlib.Path(directory).resolve())
        try:
            facts = describe(bench)
            for group in GROUPS:
                if any(wanted(row) for row in group.__doc__.split()):
                    group(bench, table, wanted)
        finally:
            bench.echo.stop()
    judged = [row for row in table.rows if "pass" in row]
    skipped = sum("skipped" in row for row in table.rows)
    print(f"bench: {sum(row['pass'] for row in judged)} of {len(judged)} targets met, {skipped} rows not measured, "
          f"{time.monotonic() - started:.0f} s, load {os.getloadavg()[0]:.2f}")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps({"machine": facts, "rows": table.rows}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
