#!/usr/bin/env bash
# Fuzzes what reads hostile bytes. usage: scripts/fuzz.sh SECONDS
set -euo pipefail
cd "$(dirname "$0")/../fuzz"
command -v cargo-fuzz >/dev/null || { echo "fuzz: cargo-fuzz is missing: cargo install cargo-fuzz, and rustup toolchain install nightly"; exit 1; }
for target in fuzz_targets/*.rs; do
    cargo +nightly fuzz run "$(basename "$target" .rs)" -- -max_total_time="${1:-600}"
done
