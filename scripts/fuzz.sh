#!/usr/bin/env bash
# Fuzzes what reads hostile bytes, with the project's own compiler: libFuzzer needs only that the code is
# built with LLVM's coverage counters, which any Rust compiler can add.
#
# usage: scripts/fuzz.sh [SECONDS]       every target for so long, over fuzz/corpus and what earlier runs found
#        scripts/fuzz.sh --runs COUNT    every target so often, the same each time
# What makes a target fail is kept in target/fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup/report.sh
. scripts/setup/path.sh

host=$(rustc -vV | sed -n 's/^host: //p')
flags="--cfg fuzzing -Cdebug-assertions -Coverflow-checks -Ccodegen-units=1 -Cpasses=sancov-module"
for flag in level=4 inline-8bit-counters pc-table trace-compares; do
    flags+=" -Cllvm-args=-sanitizer-coverage-$flag"
done
# With a target named, the flags are for the fuzzed code and not for build scripts.
RUSTFLAGS="$flags" cargo build --quiet --release --locked --target "$host" --manifest-path fuzz/Cargo.toml --target-dir target/fuzz

for source in fuzz/fuzz_targets/*.rs; do
    target=$(basename "$source" .rs)
    kept=target/fuzz/artifacts/$target
    log=target/fuzz/$target.log
    if [ "${1:-}" = --runs ]; then
        found=$(mktemp -d)
        limit=(-seed=1 -runs="$2")
    else
        found=target/fuzz/corpus/$target
        limit=(-max_total_time="${1:-300}")
    fi
    mkdir -p "$kept" "$found"
    "target/fuzz/$host/release/$target" "${limit[@]}" -artifact_prefix="$kept/" -timeout=10 -rss_limit_mb=2048 \
        -print_final_stats=1 "$found" "fuzz/corpus/$target" >"$log" 2>&1 ||
        { tail -n 40 "$log"; echo "fuzz: $target failed: the input is in $kept"; exit 1; }
    [ "${1:-}" != --runs ] || rm -rf "$found"
    echo "fuzz: $target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") runs, $(sed -n 's/^stat::new_units_added: *//p' "$log") new inputs"
done
