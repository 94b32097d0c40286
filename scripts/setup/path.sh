# Puts Gaia's own Rust in PATH where there is no rustup, and its own Node where the machine's is too old.
# Sourced after report.sh.

if ! command -v rustup >/dev/null 2>&1 && [ -d "$GAIA_CACHE/rust-1.96.0/usr/bin" ]; then
    export PATH="$GAIA_CACHE/rust-1.96.0/usr/bin:$PATH"
fi

# What the page's tools need.
node_oldest=20.19
node_is_new() { [ -n "$1" ] && printf '%s\n%s\n' "$node_oldest" "$("$1" --version | tr -d v)" | sort --check=quiet --version-sort; }

if [ -x "$GAIA_CACHE/node/node_modules/.bin/node" ] && ! node_is_new "$(command -v node)"; then
    export PATH="$GAIA_CACHE/node/node_modules/.bin:$PATH"
fi
