# System packages that only root can install. Prints the one line to type when it may not itself.
set -euo pipefail
. "$(dirname "$0")/report.sh"
. "$(dirname "$0")/apt.sh"

# What each program is for: gcc, g++ and make for llama.cpp; python3 with pip to fetch model packages;
# curl for nothing but the README's examples, which the tests run.
missing=""
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need gcc gcc
need g++ g++
need make make
need python3 python3
python3 -m pip --version >/dev/null 2>&1 || missing="$missing python3-pip"
need git git
if [ "${1:-}" = test ]; then
    need curl curl
    need chromium chromium
    need node nodejs
    need npm npm
    # The server, which the ledger's tests start for themselves.
    ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing="$missing postgresql"
    # In front of two gateways, and beside them when they are measured.
    [ -x /usr/sbin/haproxy ] || missing="$missing haproxy"
    # Reads the units in deploy/; and makes a certificate to try the proxy with.
    need systemd-analyze systemd
    need openssl openssl
fi

if [ -n "$missing" ]; then
    line="apt-get update && apt-get install --yes --no-install-recommends$missing"
    command -v apt-get >/dev/null || fail "missing:$missing. Install them and start again"
    [ "$(id -u)" -eq 0 ] || fail "missing:$missing. Type this and start again:
    sudo sh -c '$line'"
    step "system packages:$missing"
    DEBIAN_FRONTEND=noninteractive sh -c "$line" >"$GAIA_CACHE/apt.log" 2>&1 || fail "apt-get failed on$missing: see $GAIA_CACHE/apt.log"
    done_ "system packages"
else
    quiet "system packages"
fi

# cmake and libclang: the machine's own, else unpacked into the cache.
tools="$GAIA_CACHE/build-tools"
if [ ! -d "$tools/usr" ] && ! { command -v cmake >/dev/null && [ -n "${LIBCLANG_PATH:-}" ]; }; then
    command -v apt-get >/dev/null || fail "cmake and libclang are missing. Install them, set LIBCLANG_PATH and start again"
    step "cmake and libclang: fetching Debian's packages (60 MB)"
    packages="cmake libclang1-19 libclang-common-19-dev patchelf"
    options=$(apt_options machine)
    # shellcheck disable=SC2086
    apt-get $options update
    # shellcheck disable=SC2086
    more=$(apt-get $options install --simulate --no-install-recommends $packages | awk '/^Inst/ {print $2}')
    rm -rf "$tools.new" && mkdir -p "$tools.new/debs"
    # shellcheck disable=SC2086
    (cd "$tools.new/debs" && apt-get $options download $packages $more)
    apt_extract "$tools.new" "$tools.new"/debs/*.deb
    cp "$tools.new/usr/bin/patchelf" "$tools.new/patchelf"
    for file in "$tools.new"/usr/bin/cmake "$tools.new"/usr/lib/x86_64-linux-gnu/*.so* "$tools.new"/usr/lib/llvm-19/lib/*.so*; do
        [ -L "$file" ] || "$tools.new/patchelf" --set-rpath '$ORIGIN:$ORIGIN/../lib/x86_64-linux-gnu:$ORIGIN/../../x86_64-linux-gnu' "$file" 2>/dev/null || true
    done
    rm -rf "$tools" "$tools.new/debs"
    mv "$tools.new" "$tools"
    done_ "cmake and libclang"
fi
