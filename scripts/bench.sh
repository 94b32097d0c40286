#!/usr/bin/env bash
# The measurements of docs/performance.md, on this machine. Options go to the program: --rounds 9, --json FILE.
set -euo pipefail
cd "$(dirname "$0")/.."
target/release/gaia model pull smollm2-135m-instruct >/dev/null
target/release/gaia model pull all-minilm-l6-v2 >/dev/null
exec target/release/gaia-bench "$@"
