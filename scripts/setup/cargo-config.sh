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
