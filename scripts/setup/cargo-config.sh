# Writes .cargo/config.toml (not in git): where compiled dependencies are kept and where the C++ tools are.
#
# Dependencies are compiled once into the cache and shared by every clone; finished programs are in target/.
set -euo pipefail
. "$(dirname "$0")/report.sh"

project=$(cd "$(dirname "$0")/../.." && pwd)
tools="$GAIA_CACHE/build-tools/usr"
config="$project/.cargo/config.toml"
mkdir -p "$project/.cargo"
{
    echo "# Written by make setup; changes here are overwritten."
    echo "[build]"
    echo "build-dir = \"$GAIA_CACHE/build\""
    echo "[env]"
    if [ -d "$tools" ]; then
        echo "LIBCLANG_PATH = \"$tools/lib/llvm-19/lib\""
        echo "CMAKE = \"$tools/bin/cmake\""
    fi
    if command -v gcc >/dev/null; then
        echo "BINDGEN_EXTRA_CLANG_ARGS = \"-I$(dirname "$(gcc -print-file-name=include/stddef.h)")\""
    fi
} >"$config.new.$$"
if cmp -s "$config.new.$$" "$config"; then rm "$config.new.$$"; else mv "$config.new.$$" "$config"; fi

# Cargo tells a changed source by its time alone. If another clone compiled into the cache last, its
# programs could look fresh here; so every source of this one counts as changed.
last="$GAIA_CACHE/build/.last-clone"
if [ "$(cat "$last" 2>/dev/null)" != "$project" ]; then
    find "$project" \( -name target -o -name node_modules -o -name .git \) -prune -o -name '*.rs' -exec touch {} +
    mkdir -p "$GAIA_CACHE/build"
    echo "$project" >"$last"
fi
