# Puts Gaia's own Rust in PATH where there is no rustup. Sourced after report.sh.

if ! command -v rustup >/dev/null 2>&1 && [ -d "$GAIA_CACHE/rust-1.96.0/usr/bin" ]; then
    export PATH="$GAIA_CACHE/rust-1.96.0/usr/bin:$PATH"
fi
