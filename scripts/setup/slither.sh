# Slither, which reads contracts for what usually goes wrong: from PyPI into the cache, at one version.
# Prints the folder for PYTHONPATH.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/setup/report.sh

version=0.11.6
folder="$GAIA_CACHE/slither/$version-$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
if [ ! -e "$folder/ready" ]; then
    step "Slither $version"
    rm -rf "$folder"
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --target "$folder" "slither-analyzer==$version" \
        >"$GAIA_CACHE/slither.log" 2>&1 || fail "pip failed on slither-analyzer; see $GAIA_CACHE/slither.log"
    touch "$folder/ready"
    done_ "Slither $version"
fi
printf '%s\n' "$folder"
