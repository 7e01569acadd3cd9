#!/usr/bin/env bash
# Three nodes on this machine: writes through each, kills the leader, shows
# that nothing acknowledged was lost, and cleans up.
set -euo pipefail
cd "$(dirname "$0")/.."
dir=$(mktemp -d)
declare -A pids
cleanup() {
  for n in "${!pids[@]}"; do kill -9 "${pids[$n]}" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$dir"
}
trap cleanup EXIT

base=${PFS_DEMO_PORT:-18080}
join=127.0.0.1:$((base + 11)),127.0.0.1:$((base + 12)),127.0.0.1:$((base + 13))
url() { echo "http://127.0.0.1:$((base + $1))"; }
start() {
  ./build/pfs-server -addr "127.0.0.1:$((base + $1))" -data-dir "$dir/n$1" -node-id "n$1" \
    -raft-addr "127.0.0.1:$((base + 10 + $1))" -bootstrap-expect 3 -join "$join" \
    -log-level error >"$dir/n$1.log" 2>&1 &
  pids[n$1]=$!
}
ready() {
  for _ in $(seq 150); do
    curl -fs -o "$dir/ready" "$(url "$1")/api/v1/ready" 2>/dev/null && return 0
    sleep 0.1
  done
  echo "node n$1 did not get ready:"; cat "$dir/n$1.log"; exit 1
}

echo "Starting three nodes..."
for n in 1 2 3; do start $n; done
for n in 1 2 3; do ready $n; done
PFS_URL=$(url 1) ./build/pfs cluster status

echo; echo "Writing 300 files, 100 through each node..."
acked=0
for i in $(seq 100); do
  for n in 1 2 3; do
    curl -fs -o /dev/null -X PUT --data-binary "file $i by n$n" "$(url $n)/api/v1/files?path=/memfs/n$n-$i" && acked=$((acked + 1))
  done
done
echo "acknowledged: $acked"

leader=$(PFS_URL=$(url 1) ./build/pfs cluster status -o json | sed -n 's/.*"leader_id": *"\([^"]*\)".*/\1/p')
echo; echo "Killing the leader, $leader, with SIGKILL..."
kill -9 "${pids[$leader]}"; wait "${pids[$leader]}" 2>/dev/null || true; unset "pids[$leader]"
left=(); for n in 1 2 3; do [ "n$n" = "$leader" ] || left+=("$n"); done
from=$(date +%s%N)
until curl -fs -m 2 -o /dev/null -X PUT --data-binary "after" "$(url "${left[0]}")/api/v1/files?path=/memfs/after" 2>/dev/null; do sleep 0.05; done
echo "writes are accepted again after $((($(date +%s%N) - from) / 1000000)) ms"

lost=0
for i in $(seq 100); do
  for n in 1 2 3; do
    for at in "${left[@]}"; do
      [ "$(curl -fs "$(url "$at")/api/v1/files?path=/memfs/n$n-$i")" = "file $i by n$n" ] || lost=$((lost + 1))
    done
  done
done
echo; echo "Reading all $acked files from both survivors: lost $lost"
PFS_URL=$(url "${left[0]}"),$(url "${left[1]}") ./build/pfs cluster status
[ "$lost" = 0 ] && [ "$acked" = 300 ]
echo "Nothing acknowledged was lost. Cleaning up."
