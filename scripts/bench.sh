#!/usr/bin/env bash
# The measurements of docs/performance.md, on this machine.
#
# usage: scripts/bench.sh [--short] [PART...] [--rounds N] [--write]
#   --short   under three minutes: node against bare engine, judged with wide margins; exits 1 if one is missed
#   --write   puts what was kept into docs/performance.md
# Parts can be run one at a time; results are kept in target/bench until all are there.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup/report.sh
. scripts/setup/path.sh

target/release/gaia model pull smollm2-135m-instruct >/dev/null
target/release/gaia model pull all-minilm-l6-v2 >/dev/null
if [ "${1:-}" = --short ]; then shift; exec target/release/gaia-bench --short --rounds 2 --isolation-requests 256 "$@"; fi
llama=$(bash scripts/bench/llama-cpp.sh)
exec target/release/gaia-bench --llama "$llama" "$@"
