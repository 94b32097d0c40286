#!/usr/bin/env bash
# Everything that must hold before a change lands. Each stage says how long it took.
#
# usage: scripts/test.sh [STAGE...]     all of them by default; see the list at the end
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup/report.sh
. scripts/setup/path.sh

native=(--release --workspace --exclude api-server --exclude gaia-wasi-rt --exclude gaia-vector-store)

stage_setup() { scripts/setup.sh test; }
stage_format() {
    cargo fmt --all --check
    cargo fmt --manifest-path wasm-apps/run-python/Cargo.toml --check
}
stage_build() { scripts/build.sh; }
stage_lint() {
    cargo clippy "${native[@]}" --all-targets -- -D warnings
    cargo clippy --release -p gaia-vector-store --all-targets -- -D warnings
    cargo clippy --release --target wasm32-wasip1 -p api-server -p gaia-wasi-rt -- -D warnings
    cargo clippy --release --locked --target wasm32-wasip1 --manifest-path wasm-apps/run-python/Cargo.toml -- -D warnings
}
stage_deny() {
    local deny="$GAIA_CACHE/cargo-deny/bin/cargo-deny"
    # Crates of other platforms are looked at too, so all must be here.
    cargo fetch --quiet --locked
    cargo fetch --quiet --locked --manifest-path wasm-apps/run-python/Cargo.toml
    "$deny" --offline check bans licenses sources
    "$deny" --offline --manifest-path wasm-apps/run-python/Cargo.toml --config deny.toml check bans licenses sources
    # The advisory database is on the internet; where it cannot be reached, that is said and not fatal.
    if timeout 60 "$deny" fetch db >/dev/null 2>&1; then "$deny" check advisories; else echo "advisories: database out of reach, not checked"; fi
}
stage_wasm() { cargo build --profile sandbox --target wasm32-wasip1; }
stage_rust_from_debian() { bash tests/setup/rust-from-debian.sh; }
stage_unit() {
    # One at a time: many of these load a model or start processes, and two cores are all there may be.
    export RUST_TEST_THREADS=1
    # All of them, whatever fails: one run tells everything that is wrong.
    cargo test "${native[@]}" --exclude e2e --no-fail-fast
    cargo test --release -p gaia-vector-store
}
stage_fuzz() { scripts/fuzz.sh --runs 20000; }
stage_native_shells() { cargo test --release -p api-server -p gaia-wasi-rt; }
stage_models() { target/release/gaia model pull smollm2-135m-instruct && target/release/gaia model pull all-minilm-l6-v2; }
e2e() { # e2e WASMEDGE [TESTS]
    echo "WasmEdge $1"
    # The whole selection, because what is chosen decides which features dependencies have: nothing is compiled anew.
    GAIA_WASMEDGE="$GAIA_CACHE/wasmedge/$1/bin/wasmedge" cargo test "${native[@]}" --test nodes -- --test-threads 1 "${@:2}"
}
stage_e2e() {
    # All of them with the newest WasmEdge; with the oldest those in which it is more than a place to run.
    e2e 0.17.1
    e2e 0.14.1 {answers,bare,confinement,isolation,lifecycle,plugins,streams,vision}::
}
stage_bench_short() { scripts/bench.sh --short; }
stage_page() { bash tests/page/run.sh; }
stage_deploy() {
    deploy/check.sh
    python3 scripts/scale.py --check
}
stage_contracts() { scripts/contracts.sh check; }
stage_domain() { scripts/demo-domain.sh; }

stages=("$@")
if [ ${#stages[@]} -eq 0 ]; then
    stages=(setup format build lint deny wasm rust_from_debian models unit fuzz native_shells e2e bench_short page deploy contracts domain)
fi
total=$(date +%s)
for stage in "${stages[@]}"; do
    printf '\n== %s\n' "$stage"
    started=$(date +%s)
    "stage_$stage"
    printf '== %s: %s s\n' "$stage" "$(($(date +%s) - started))"
done
printf '\n== all green in %s s\n' "$(($(date +%s) - total))"
