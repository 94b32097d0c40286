#!/usr/bin/env bash
# LiteLLM's proxy to measure against, from PyPI into the cache, at the versions that litellm.txt pins. Prints its
# program; quiet when it is there. The bench does without it where this fails; its last line says why.
#
# usage: scripts/bench/litellm.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/setup/report.sh

pins=scripts/bench/litellm.txt
folder="$GAIA_CACHE/bench/litellm-$(sha256sum "$pins" | cut -c1-12)-$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
log="$GAIA_CACHE/bench/litellm.log"
if [ ! -e "$folder/ready" ]; then
    step "LiteLLM's proxy: its Python packages (150 MB)"
    rm -rf "$folder" && mkdir -p "$folder"
    python3 -m venv "$folder" >"$log" 2>&1 || fail "LiteLLM: no Python environment: see $log"
    "$folder/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement "$pins" >>"$log" 2>&1 ||
        fail "LiteLLM: its Python packages cannot be had: see $log"
    # Without this it asks the network for a list of prices.
    LITELLM_LOCAL_MODEL_COST_MAP=True "$folder/bin/litellm" --version >>"$log" 2>&1 || fail "LiteLLM does not start: see $log"
    touch "$folder/ready"
    done_ "LiteLLM's proxy"
fi
echo "$folder/bin/litellm"
