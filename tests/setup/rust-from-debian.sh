#!/usr/bin/env bash
# The way to Rust without rustup's servers: forced in a scratch folder, then a crate is built for wasm with it.
set -euo pipefail
cd "$(dirname "$0")/../.."
project=$PWD
. scripts/setup/report.sh

command -v apt-get >/dev/null || { echo "rust from Debian: this is no Debian, nothing to check"; exit 0; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"; command -v rustup >/dev/null && rustup override unset --path "$scratch" >/dev/null 2>&1 || true' EXIT
cp -r rust-toolchain.toml scripts "$scratch/"
GAIA_RUST=debian bash "$scratch/scripts/setup/rust.sh"

mkdir -p "$scratch/src"
printf '[package]\nname = "hello"\nversion = "0.0.0"\nedition = "2024"\n[workspace]\n' >"$scratch/Cargo.toml"
printf 'fn main() { println!("hello from {}", std::env::consts::ARCH); }\n' >"$scratch/src/main.rs"
cd "$scratch"
PATH="$GAIA_CACHE/rust-1.96.0/usr/bin:$PATH" cargo build --quiet --release --target wasm32-wasip1 --target-dir "$scratch/target"
said=$("$GAIA_CACHE/wasmedge/0.17.1/bin/wasmedge" "$scratch/target/wasm32-wasip1/release/hello.wasm")
[ "$said" = "hello from wasm32" ] || { echo "the program built with Debian's Rust said: $said"; exit 1; }
echo "rust from Debian: ok"
cd "$project"
