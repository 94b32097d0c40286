#!/usr/bin/env bash
# Holds the vector store against other people's expectations: the integration tests of
# langchain-qdrant, and Qdrant's official Python client against its own in-memory engine.
#
# usage: tests/conformance/vector-store.sh [BINARY]    target/release/gaia-vector-store by default
#
# Needs python3 with venv and a package index that pip can reach. Everything lies in a temporary
# folder; set GAIA_CONFORMANCE_DIR to keep it for the next run.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
binary=$(realpath "${1:-$here/../../target/release/gaia-vector-store}")
dir=${GAIA_CONFORMANCE_DIR:-$(mktemp -d)}
mkdir -p "$dir"
server=
finish() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    [ -n "${GAIA_CONFORMANCE_DIR:-}" ] || rm -rf "$dir"
}
trap finish EXIT

start() {
    rm -rf "$dir/store"
    "$binary" "$dir/store" 127.0.0.1:0 >"$dir/address" 2>"$dir/server.log" &
    server=$!
    until grep -q listening "$dir/address"; do
        kill -0 "$server" || { cat "$dir/server.log"; exit 1; }
        sleep 0.1
    done
    export QDRANT_URL
    QDRANT_URL=$(sed 's/.*listening on //' "$dir/address")
}

# Two environments: the suite of langchain-qdrant asks for what later clients no longer have.
if [ ! -d "$dir/client" ]; then
    python3 -m venv "$dir/client"
    "$dir/client/bin/pip" install --quiet qdrant-client==1.20.0 hatchling
fi
if [ ! -d "$dir/langchain" ]; then
    python3 -m venv "$dir/langchain"
    "$dir/langchain/bin/pip" install --quiet qdrant-client==1.15.1 langchain-qdrant==1.1.0 langchain-tests \
        pytest pytest-asyncio pytest-mock pytest-timeout requests
fi
if [ ! -d "$dir/langchain_qdrant-1.1.0" ]; then
    (cd "$dir" && client/bin/pip download --quiet --no-deps --no-binary :all: --no-build-isolation langchain-qdrant==1.1.0)
    tar -xzf "$dir/langchain_qdrant-1.1.0.tar.gz" -C "$dir"
fi

failed=0
echo "== Qdrant's Python client against its own in-memory engine"
GAIA_STORE_KEY=conformance start
QDRANT_API_KEY=conformance "$dir/client/bin/python" -W ignore "$here/qdrant_client_congruence.py" || failed=1
kill "$server" && wait "$server" || failed=1

echo "== langchain-qdrant"
# Without a key: most of these tests send none. Two kinds are left out: the client's in-memory mode,
# which is not us, and what downloads models.
GAIA_STORE_KEY= start
(cd "$dir/langchain_qdrant-1.1.0" && "$dir/langchain/bin/python" -m pytest -q -p no:cacheprovider -W ignore --timeout 120 \
    tests/integration_tests -k "not :memory: and not fastembed") | tail -n 40 || failed=1
exit $failed
