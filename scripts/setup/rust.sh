# Rust 1.96.0 with clippy, rustfmt and the target wasm32-wasip1.
#
# First way: rustup, from rust-toolchain.toml. Second way, where no toolchain can be fetched (or with
# GAIA_RUST=debian): Debian's packages unpacked into the cache, and std for wasm32-wasip1 built from
# their source. Either way plain `cargo` works in the project folder afterwards.
set -euo pipefail
. "$(dirname "$0")/report.sh"
. "$(dirname "$0")/apt.sh"

project=$(cd "$(dirname "$0")/../.." && pwd)
version=$(sed -n 's/^channel = "\(.*\)"/\1/p' "$project/rust-toolchain.toml")
prefix="$GAIA_CACHE/rust-$version"
linked="gaia-$version"

# complete: does plain cargo in the project folder have the compiler, its tools and the wasm target?
complete() {
    cd "$project"
    [ "$(rustc --version 2>/dev/null | cut -d' ' -f2)" = "$version" ] &&
        cargo clippy --version >/dev/null 2>&1 && cargo fmt --version >/dev/null 2>&1 &&
        ls "$(rustc --print sysroot)"/lib/rustlib/wasm32-wasip1/lib/libcore-*.rlib >/dev/null 2>&1
}

by_rustup() {
    [ "${GAIA_RUST:-}" != debian ] && command -v rustup >/dev/null || return 1
    step "Rust $version: asking rustup for it"
    (cd "$project" && timeout 900 rustup toolchain install "$version" --profile minimal \
        --component clippy --component rustfmt --target wasm32-wasip1) >"$GAIA_CACHE/rustup.log" 2>&1 && complete
}

packages="rustc-web cargo-web rust-web-src rust-web-clippy rustfmt-web lld-19 wasi-libc patchelf"

# Downloads the compiler's packages and the libraries of theirs that this machine lacks.
fetch_packages() {
    local options missing
    options=$(apt_options machine)
    mkdir -p "$prefix/debs"
    # shellcheck disable=SC2086
    apt-get $options update
    # shellcheck disable=SC2086
    missing=$(apt-get $options install --simulate --no-install-recommends $packages | awk '/^Inst/ {print $2}')
    # shellcheck disable=SC2086
    (cd "$prefix/debs" && apt-get $options download $packages $missing)
}

# The programs find their libraries beside themselves: no LD_LIBRARY_PATH to leak into builds.
set_run_paths() {
    local patchelf="$1/usr/bin/patchelf" file
    cp "$patchelf" "$prefix/patchelf"
    for file in "$1"/usr/bin/* "$1"/usr/lib/llvm-19/bin/*; do
        if [ -f "$file" ] && [ ! -L "$file" ]; then
            "$prefix/patchelf" --set-rpath '$ORIGIN/../lib/x86_64-linux-gnu:$ORIGIN/../../x86_64-linux-gnu' "$file" 2>/dev/null || true
        fi
    done
    for file in "$1"/usr/lib/x86_64-linux-gnu/*.so*; do
        [ -L "$file" ] || "$prefix/patchelf" --set-rpath '$ORIGIN' "$file" 2>/dev/null || true
    done
}

# Builds std for wasm32-wasip1 from exactly the compiler's source, and lays it into the sysroot.
build_wasm_std() {
    local usr="$1/usr" work="$prefix/std-build" manifest lib
    rm -rf "$work"
    mkdir -p "$work"
    cp -r "$usr/lib/rustlib/src/rust/library" "$work/library"
    chmod -R u+w "$work"
    cd "$work/library"
    sed -i -e '/"coretests"/d' -e '/"alloctests"/d' Cargo.toml
    find . -path ./vendor -prune -o -name Cargo.toml -print | while read -r manifest; do
        awk '/^\[/ {skip = ($0 ~ /dev-dependencies/)} !skip' "$manifest" >"$manifest.new" && mv "$manifest.new" "$manifest"
    done
    rm -f Cargo.lock
    # `cc` is named by a feature that is off here; an empty stand-in satisfies the resolver.
    mkdir -p vendor/cc/src
    printf '{"files":{},"package":null}' >vendor/cc/.cargo-checksum.json
    printf '[package]\nname="cc"\nversion="1.2.0"\nedition="2021"\n[features]\nparallel=[]\n' >vendor/cc/Cargo.toml
    : >vendor/cc/src/lib.rs
    RUSTC="$usr/bin/rustc" RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zforce-unstable-if-unmarked" \
        CARGO_TARGET_DIR="$work/target" CARGO_BUILD_BUILD_DIR="$work/target" \
        "$usr/bin/cargo" build --quiet --offline --profile dist --target wasm32-wasip1 \
        --manifest-path sysroot/Cargo.toml --features "panic-unwind backtrace" \
        --config 'source.crates-io.replace-with="vendored"' --config 'source.vendored.directory="vendor"' >"$GAIA_CACHE/wasm-std.log" 2>&1
    lib="$usr/lib/rustlib/wasm32-wasip1/lib"
    mkdir -p "$lib/self-contained" "$usr/lib/rustlib/x86_64-unknown-linux-gnu/bin"
    cp "$work"/target/wasm32-wasip1/dist/deps/*.rlib "$lib/"
    cp "$usr/lib/wasm32-wasi/libc.a" "$usr"/lib/wasm32-wasi/crt1-*.o "$lib/self-contained/"
    ln -sf ../../../../bin/wasm-ld-19 "$usr/lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld"
    cd "$project"
    rm -rf "$work"
}

unpack_debian() {
    [ ! -d "$prefix/usr" ] || return 0
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
        fail "Rust $version is missing, rustup could not fetch it (see $GAIA_CACHE/rustup.log) and this is no Debian. Install rustup, run 'rustup toolchain install $version', start again"
    step "Rust $version: fetching Debian's packages (200 MB)"
    rm -rf "$prefix" && mkdir -p "$prefix"
    fetch_packages
    apt_extract "$prefix/unpacked" "$prefix"/debs/*.deb
    set_run_paths "$prefix/unpacked"
    [ "$("$prefix/unpacked/usr/bin/rustc" --version | cut -d' ' -f2)" = "$version" ] ||
        fail "Debian's mirror has $("$prefix/unpacked/usr/bin/rustc" --version), Gaia needs $version"
    step "Rust $version: building std for wasm32-wasip1 (about a minute)"
    build_wasm_std "$prefix/unpacked"
    rm -rf "$prefix/debs"
    mv "$prefix/unpacked/usr" "$prefix/usr"
    # What was compiled against another std of the same version does not link with this one (E0463).
    rm -rf "$GAIA_CACHE/build/wasm32-wasip1" "$GAIA_CACHE/build/tmp"
}

link_debian() {
    if command -v rustup >/dev/null; then
        rustup toolchain link "$linked" "$prefix/usr" 2>/dev/null
        (cd "$project" && rustup override set "$linked" 2>/dev/null)
        complete || fail "Rust $version is at $prefix/usr but cargo does not use it; try: rustup override set $linked"
    else
        case ":$PATH:" in
            *":$prefix/usr/bin:"*) ;;
            *) step "for cargo in your own shell: export PATH=\"$prefix/usr/bin:\$PATH\"" ;;
        esac
    fi
}

# No function that must stop at its first failure is called in a condition: bash would ignore `set -e` in it.
if complete && { [ "${GAIA_RUST:-}" != debian ] || [ "$(rustc --print sysroot)" = "$prefix/usr" ]; }; then
    quiet "Rust $version"
    exit 0
fi
if [ ! -d "$prefix/usr" ] && by_rustup; then
    done_ "Rust $version"
    exit 0
fi
unpack_debian
link_debian
done_ "Rust $version"
