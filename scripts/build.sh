#!/usr/bin/env bash
# Builds the programs into target/release: gaia, libgaia_wasi_nn.so, api-server.wasm, plugins/.
#
# usage: scripts/build.sh [FEATURES]    cuda, vulkan or metal
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup/report.sh
. scripts/setup/path.sh

features=()
for feature in ${1:-}; do features+=(--features "gaia-wasi-nn/$feature"); done

# One selection of packages for every native build, so that dependencies are compiled once.
cargo build --release --workspace --exclude api-server --exclude gaia-wasi-rt --exclude gaia-vector-store "${features[@]}"
# The store's features are its own: docs/decisions/store-process.md
cargo build --release -p gaia-vector-store
cargo build --profile sandbox --target wasm32-wasip1 -p api-server -p unit-converter -p web-search
cp target/wasm32-wasip1/sandbox/api-server.wasm target/release/api-server.wasm
# Its dependencies are its own: wasm-apps/run-python/Cargo.toml
cargo build --release --locked --target wasm32-wasip1 --manifest-path wasm-apps/run-python/Cargo.toml --target-dir target/run-python
plugin() { # plugin NAME MODULE
    mkdir -p "target/release/plugins/$1"
    cp "wasm-apps/$1/plugin.toml" "target/release/plugins/$1/plugin.toml"
    cp "$2" "target/release/plugins/$1/plugin.wasm"
    if [ -e "wasm-apps/$1/prompt.md" ]; then cp "wasm-apps/$1/prompt.md" "target/release/plugins/$1/prompt.md"; fi
}
plugin unit-converter target/wasm32-wasip1/sandbox/unit-converter.wasm
plugin web-search target/wasm32-wasip1/sandbox/web-search.wasm
plugin run-python target/run-python/wasm32-wasip1/release/run-python.wasm
