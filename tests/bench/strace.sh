#!/bin/bash
# The relay's system calls under load, and calls for each round trip (a relay passes two messages in it).
#
#   tests/bench/strace.sh [--record] [LOAD-OPTION...]      such as --window 32 --size 64
#
# strace slows the relay down many times, so bursts are longer than without it: the figures at one in flight are exact,
# those at many are kind.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${BUILD:-build}
for program in strace taskset "$build/mockforge" "$build/bench/load" "$build/bench/echo"; do
    command -v "$program" >/dev/null || {
        echo "strace.sh: $program is not there (make all bench-tools)" >&2
        exit 3
    }
done

record=
if [[ ${1:-} == --record ]]; then
    record=yes
    shift
fi
scratch=$(mktemp -d)
pids=()
finish() {
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null || true
    done
    wait
    rm -rf "$scratch"
}
trap finish EXIT

port=$((20000 + RANDOM % 10000))
cat >"$scratch/mockforge.yaml" <<YAML
websocket:
  host: 127.0.0.1
  port: $port
  workers: 1
  ping_interval: 0
  handlers:
    - path: /bench
      type: proxy
      upstream: ws://127.0.0.1:$((port + 1))/
${record:+      record: true
      record_path: $scratch/bench.jsonl.zst}
YAML
"$build/bench/echo" $((port + 1)) &
pids+=($!)
"$build/mockforge" serve --config "$scratch/mockforge.yaml" >"$scratch/log" 2>&1 &
relay=$!
pids+=("$relay")
for _ in {1..100}; do
    (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
    sleep 0.05
done

# From before the first connection to after the last message: the load counts all that strace sees.
strace -c -f -q -p "$relay" -o "$scratch/strace" &
tracer=$!
sleep 0.5
result=$("$build/bench/load" --path /bench --warmup 0 --seconds 3 "$@" "$port" | tail -1)
kill -INT "$tracer"
wait "$tracer" || true
cat "$scratch/strace"
messages=$(sed -n 's/.*"messages": \([0-9]*\),.*/\1/p' <<<"$result")
echo "$result"
awk -v messages="$messages" '
    $1 ~ /^[0-9.]+$/ && $NF != "total" {
        sum += $4
        if ($4 / messages >= 0.001)
            printf "%-16s %8.3f calls a round trip\n", $NF, $4 / messages
    }
    END { printf "%-16s %8.3f of %d round trips\n", "all", sum / messages, messages }' "$scratch/strace"
