# WasmEdge: the one that is there, else Debian's binary packages in a private prefix.
#
# usage: wasmedge.sh [VERSION]   (default 0.17.1; 0.14.1 is what CI adds)
# A private prefix holds the whole closure (its own glibc and LLVM), so it runs on an older Debian
# and needs no root. `bin/wasmedge` in it is a two-line wrapper that goes through its own loader.
set -euo pipefail
. "$(dirname "$0")/report.sh"
. "$(dirname "$0")/apt.sh"

version=${1:-0.17.1}
prefix="$GAIA_CACHE/wasmedge/$version"

# wasmedge_version PROGRAM -> "0.17.1", or nothing if it does not run
wasmedge_version() { "$1" --version 2>/dev/null | sed -n 's/.*version \([0-9.]*\).*/\1/p' | head -n 1; }

usable() {
    local found
    found=$(wasmedge_version "$1")
    [ -n "$found" ] && [ "$(printf '%s\n0.14.1\n' "$found" | sort -V | head -n 1)" = 0.14.1 ]
}

# The machine's own WasmEdge is good enough unless a particular version was asked for.
if [ $# -eq 0 ]; then
    for candidate in "${GAIA_WASMEDGE:-}" "$(command -v wasmedge || true)" "$HOME/.wasmedge/bin/wasmedge"; do
        if [ -n "$candidate" ] && [ -x "$candidate" ] && usable "$candidate"; then
            quiet "WasmEdge $(wasmedge_version "$candidate") at $candidate"
            exit 0
        fi
    done
fi
if [ -x "$prefix/bin/wasmedge" ] && [ "$(wasmedge_version "$prefix/bin/wasmedge")" = "$version" ]; then
    quiet "WasmEdge $version in the cache"
    exit 0
fi
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null || [ -z "$(apt_mirror)" ]; then
    fail "WasmEdge 0.14.1 or newer is missing, and this is no Debian. Install it with its own installer and start again:
    curl -sSf https://raw.githubusercontent.com/WasmEdge/WasmEdge/master/utils/install.sh | bash"
fi

case $version in
    0.14.1) suites="trixie" ;;
    *) suites="forky sid" ;;
esac
step "WasmEdge $version: fetching Debian's packages into $prefix"
for suite in $suites; do
    work="$apt_dir/$suite"
    mkdir -p "$work"
    printf 'deb %s %s main\n' "$(apt_mirror)" "$suite" >"$work/sources.list"
    : >"$work/status"
    # An empty dpkg status makes apt name the whole closure, glibc included.
    # shellcheck disable=SC2046
    options="$(apt_options "$suite") -o Dir::Etc::SourceList=$work/sources.list -o Dir::Etc::SourceParts=/nonexistent -o Dir::State::status=$work/status"
    # shellcheck disable=SC2086
    apt-get $options update
    # shellcheck disable=SC2086
    offered=$(apt-cache $options policy wasmedge | sed -n 's/.*Candidate: \([0-9.]*\).*/\1/p')
    [ "$offered" = "$version" ] || { step "suite $suite offers WasmEdge ${offered:-nothing}, not $version"; continue; }
    # shellcheck disable=SC2086
    apt-get $options install --download-only --yes --no-install-recommends wasmedge libwasmedge-dev >/dev/null
    rm -rf "$prefix.new"
    apt_extract "$prefix.new/root" "$work"/cache/archives/*.deb
    mkdir -p "$prefix.new/bin"
    cat >"$prefix.new/bin/wasmedge" <<'WRAPPER'
#!/bin/sh
root=$(dirname "$(dirname "$(readlink -f "$0")")")/root
libraries=$root/usr/lib/x86_64-linux-gnu
for llvm in "$root"/usr/lib/llvm-*/lib; do [ -d "$llvm" ] && libraries=$libraries:$llvm; done
exec "$root/usr/lib64/ld-linux-x86-64.so.2" --library-path "$libraries" "$root/usr/bin/wasmedge" "$@"
WRAPPER
    chmod +x "$prefix.new/bin/wasmedge"
    [ "$(wasmedge_version "$prefix.new/bin/wasmedge")" = "$version" ] || fail "WasmEdge $version was unpacked into $prefix.new but does not run: try $prefix.new/bin/wasmedge --version"
    rm -rf "$prefix"
    mv "$prefix.new" "$prefix"
    rm -rf "$work/cache"
    done_ "WasmEdge $version"
    exit 0
done
fail "no Debian suite of this machine's mirror ($(apt_mirror)) has WasmEdge $version; install WasmEdge yourself and set GAIA_WASMEDGE=/path/to/wasmedge"
