#!/usr/bin/env bash
# The page: its sources give the committed files, and a real browser talks through it with a real node, and looks at a
# real gateway.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/setup/report.sh
. scripts/setup/path.sh

home=$(mktemp -d)
gaia() { GAIA_PASSWORD="only for tests" GAIA_WASMEDGE="$GAIA_CACHE/wasmedge/0.17.1/bin/wasmedge" target/release/gaia --home "$home" "$@"; }
trap 'gaia stop >/dev/null 2>&1 || true; rm -rf "$home"' EXIT

(cd web && npm ci --silent --no-audit --no-fund && npm run --silent check)

gaia init >/dev/null
gaia config set port 0 >/dev/null
gaia config set chat_model smollm2-135m-instruct >/dev/null
# The browser takes a core; llama.cpp's threads spin at barriers and would crawl.
gaia config set threads 1 >/dev/null
gaia start
gaia knowledge add knowledge/handbook --name handbook
url=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["url"])' "$home/run/state.json")
(cd web && GAIA_URL="$url" npm run --silent test:page)

# The gateway of its own tests: with the whole selection, because what is chosen decides which features dependencies have.
native=(--release --workspace --exclude api-server --exclude gaia-wasi-rt --exclude gaia-vector-store --exclude e2e)
scene=$(cargo test --quiet "${native[@]}" --test gateway --no-run --message-format=json | python3 -c '
import json, sys
for line in sys.stdin:
    made = json.loads(line)
    if made.get("executable") and made["target"]["name"] == "gateway":
        print(made["executable"])')
(cd web && GAIA_SCENE="$scene" npm run --silent test:domain)
