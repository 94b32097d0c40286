#!/usr/bin/env bash
# HAProxy to measure against: the machine's own where there is one, else Debian's package unpacked into the cache.
# Prints a program that starts it; quiet when it is there.
#
# usage: scripts/bench/haproxy.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/setup/report.sh
. scripts/setup/apt.sh

folder="$GAIA_CACHE/bench/haproxy"
if command -v haproxy >/dev/null; then
    command -v haproxy
    exit 0
fi
if [ ! -e "$folder/ready" ]; then
    command -v apt-get >/dev/null || fail "HAProxy is missing: install it, or measure on Debian"
    step "HAProxy: fetching Debian's packages"
    options=$(apt_options machine)
    # shellcheck disable=SC2086
    apt-get $options update || fail "HAProxy: the lists of packages cannot be fetched"
    # shellcheck disable=SC2086
    more=$(apt-get $options install --simulate --no-install-recommends haproxy | awk '/^Inst/ {print $2}')
    rm -rf "$folder" && mkdir -p "$folder/debs"
    # shellcheck disable=SC2086
    (cd "$folder/debs" && apt-get $options download haproxy $more) || fail "HAProxy: its packages cannot be fetched"
    apt_extract "$folder" "$folder"/debs/*.deb
    rm -rf "$folder/debs"
    libraries=$(find "$folder" -name '*.so*' -printf '%h\n' | sort -u | paste -sd:)
    cat >"$folder/run" <<END
#!/bin/sh
LD_LIBRARY_PATH='$libraries' exec '$folder/usr/sbin/haproxy' "\$@"
END
    chmod +x "$folder/run"
    "$folder/run" -v >/dev/null || fail "HAProxy does not start"
    touch "$folder/ready"
    done_ "HAProxy $("$folder/run" -v | awk 'NR == 1 {print $3}')"
fi
echo "$folder/run"
