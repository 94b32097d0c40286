# What is had from PyPI, into the cache, once. Sourced after report.sh.

# Prints the folder for PYTHONPATH. WORDS name what is fetched, VERSION tells it from others of its NAME.
# usage: python_tool NAME VERSION WORDS PIP-ARGUMENT...
python_tool() {
    local name="$1" words="$3" folder log
    log="$GAIA_CACHE/$name.log"
    folder="$GAIA_CACHE/$name/$2-$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
    shift 3
    if [ ! -e "$folder/ready" ]; then
        step "$words"
        rm -rf "$folder"
        python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --target "$folder" "$@" \
            >"$log" 2>&1 || fail "pip failed on $words; see $log"
        touch "$folder/ready"
        done_ "$words"
    fi
    printf '%s\n' "$folder"
}
