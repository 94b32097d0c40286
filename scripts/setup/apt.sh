# Fetching Debian packages into a private folder: no root, nothing outside the cache.
#
# The mirror is the one the machine itself uses (its own apt sources); no host is written here.
# Sourced by the other set-up scripts; needs GAIA_CACHE.

apt_dir="$GAIA_CACHE/apt"

# apt_options NAME -> options that give apt-get lists, cache and locks of its own under $apt_dir/NAME
apt_options() {
    mkdir -p "$apt_dir/$1/lists/partial" "$apt_dir/$1/cache/archives/partial"
    printf '%s ' -qq \
        -o Dir::State::Lists="$apt_dir/$1/lists" -o Dir::Cache="$apt_dir/$1/cache" \
        -o Acquire::Languages=none -o Acquire::Retries=3 -o APT::Sandbox::User="$(id -un)" -o Debug::NoLocking=true
}

# apt_mirror -> the URI of the main Debian archive in this machine's apt sources
apt_mirror() {
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
        awk '/^[[:space:]]*#/ {next}
             /^deb[[:space:]]/ {for (i = 2; i <= NF; i++) if ($i ~ /^[a-z+]+:/) print $i}
             /^URIs:/ {for (i = 2; i <= NF; i++) print $i}' |
        grep -E '/debian/?$' | head -n 1
}

# apt_extract FOLDER DEB... -> unpacks the packages over FOLDER
apt_extract() {
    local into=$1 deb
    shift
    mkdir -p "$into"
    for deb in "$@"; do dpkg-deb -x "$deb" "$into"; done
}
