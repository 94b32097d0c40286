# How set-up talks: one line a step, nothing when there is nothing to do. Sourced; sets GAIA_CACHE.

export GAIA_CACHE="${GAIA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gaia}"
mkdir -p "$GAIA_CACHE"

step() { printf 'setup: %s\n' "$*" >&2; }
done_() { printf 'setup: %s: ready\n' "$*" >&2; }
quiet() { [ -z "${GAIA_SETUP_VERBOSE:-}" ] || printf 'setup: %s: nothing to do\n' "$*" >&2; }
fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}
