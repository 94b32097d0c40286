# cargo-deny, compiled once into the cache; checks licences, bans and sources of the dependencies.
set -euo pipefail
. "$(dirname "$0")/report.sh"
. "$(dirname "$0")/path.sh"

version=0.20.2
if [ "$("$GAIA_CACHE/cargo-deny/bin/cargo-deny" --version 2>/dev/null)" = "cargo-deny $version" ]; then
    quiet "cargo-deny $version"
    exit 0
fi
step "cargo-deny $version: compiling (some minutes)"
CARGO_TARGET_DIR="$GAIA_CACHE/cargo-deny/target" CARGO_BUILD_BUILD_DIR="$GAIA_CACHE/cargo-deny/target" \
    cargo install --quiet --locked --no-default-features --root "$GAIA_CACHE/cargo-deny" --version "$version" cargo-deny >"$GAIA_CACHE/cargo-deny.log" 2>&1 ||
    fail "cargo-deny $version did not build: see $GAIA_CACHE/cargo-deny.log"
rm -rf "$GAIA_CACHE/cargo-deny/target"
done_ "cargo-deny $version"
