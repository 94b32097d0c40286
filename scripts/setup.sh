#!/usr/bin/env bash
# Everything a fresh machine needs to build and run Gaia. Idempotent, resumable, quiet when done.
#
# usage: scripts/setup.sh [test]     `test` adds what only the tests need
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup/report.sh

started=$(date +%s)
# Two set-ups at once would trip over each other's downloads.
exec 9>"$GAIA_CACHE/setup.lock"
flock -n 9 || { step "another set-up is running; waiting for it" && flock 9; }

bash scripts/setup/system.sh "$@"
bash scripts/setup/cargo-config.sh
bash scripts/setup/rust.sh
bash scripts/setup/wasmedge.sh
if [ "${1:-}" = test ]; then
    bash scripts/setup/wasmedge.sh 0.17.1
    bash scripts/setup/wasmedge.sh 0.14.1
    bash scripts/setup/cargo-deny.sh
    bash scripts/setup/node.sh
    bash scripts/setup/contracts.sh
    bash scripts/setup/openai-python.sh >/dev/null
    bash scripts/setup/kubernetes-validate.sh >/dev/null
fi
elapsed=$(($(date +%s) - started))
[ "$elapsed" -lt 5 ] || step "done in $elapsed s"
