# OpenAI's own Python package, for the README's example: into the cache, at the versions that the conformance suite pins.
# Prints the folder for PYTHONPATH.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/setup/report.sh

pins=tests/conformance/openai_client/requirements-3.txt
folder="$GAIA_CACHE/openai-python/$(sha256sum "$pins" | cut -c1-12)-$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
if [ ! -e "$folder/ready" ]; then
    step "OpenAI's Python package"
    rm -rf "$folder"
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --target "$folder" --constraint "$pins" openai \
        >"$GAIA_CACHE/openai-python.log" 2>&1 || fail "pip failed on openai; see $GAIA_CACHE/openai-python.log"
    touch "$folder/ready"
    done_ "OpenAI's Python package"
fi
printf '%s\n' "$folder"
