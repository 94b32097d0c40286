#!/usr/bin/env bash
# The measurements of docs/performance.md, on this machine.
#
# usage: scripts/bench.sh [--short] [PART...] [--rounds N] [--model tiny|large|FILE] [--write]
#   --short   under two minutes: node against bare engine, judged with wide margins; exits 1 if one is missed twice
#   --model   another model than the small one; what is found is shown without bars
#   --write   puts what was kept into docs/performance.md; measures nothing
# Without a PART everything is measured, and with the models of random numbers what they are for. Parts can be run
# one at a time; results are kept in target/bench, each with its commit, until all are there. A run that is stopped
# ends what it started.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup/report.sh
. scripts/setup/path.sh

target/release/gaia model pull smollm2-135m-instruct >/dev/null
target/release/gaia model pull all-minilm-l6-v2 >/dev/null
if [ "${1:-}" = --short ]; then
    shift
    exec target/release/gaia-bench --short --rounds 2 --isolation-requests 640 "$@"
fi
llama=$(bash scripts/bench/llama-cpp.sh)
bench=(target/release/gaia-bench --llama "$llama")

# One contender more where it can be had; the results say why it is missing.
made=$(mktemp -d)
if bash scripts/bench/llama-cpp-python.sh 2>&1 >"$made/folder" | tee "$made/said" >&2; then
    python=(--llama-cpp-server "$(cat "$made/folder")")
else
    python=(--no-llama-cpp-server "$(sed -n '$s/^setup: \(llama_cpp.server: \)\{0,1\}//; s/: see .*//; $p' "$made/said")")
fi
rm -r "$made"
if [ $# -gt 0 ]; then exec "${bench[@]}" "${python[@]}" "$@"; fi

# Whoever ends this script ends what it waits for.
running=
trap '[ -z "$running" ] || kill "$running"' EXIT
trap 'exit 143' TERM INT HUP
waited() {
    "${bench[@]}" "$@" &
    running=$!
    wait "$running"
    running=
}
waited "${python[@]}"
waited --model tiny --rounds 2 one-stream streams
waited --model large --rounds 1 one-stream streams
exec "${bench[@]}" --show
