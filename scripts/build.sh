#!/usr/bin/env bash
# Builds the programs into target/release: gaia, libgaia_wasi_nn.so, api-server.wasm.
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
cargo build --release --target wasm32-wasip1 -p api-server
cp target/wasm32-wasip1/release/api-server.wasm target/release/api-server.wasm
