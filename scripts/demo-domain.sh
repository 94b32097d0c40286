#!/usr/bin/env bash
# A whole domain on this machine: a chain, the contracts, a gateway, three nodes, a user who pays. See tests/domain/demo.py.
#
# usage: scripts/demo-domain.sh [--keep]
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup/report.sh
. scripts/setup/path.sh

bash scripts/setup/node.sh
scripts/contracts.sh setup
scripts/contracts.sh build
for model in smollm2-135m-instruct all-minilm-l6-v2; do target/release/gaia model pull "$model"; done
PYTHONPATH="$(bash scripts/setup/openai-python.sh)" exec python3 tests/domain/demo.py "$@"
