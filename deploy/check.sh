#!/usr/bin/env bash
# What is in this folder holds: manifests by Kubernetes' schemas and by the programs that they start, units by
# systemd, the proxy's file by HAProxy, the Containerfile by the tree; and each of these checks can fail.
#
# usage: deploy/check.sh      needs what `make setup` for the tests and `make build` have made
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup/report.sh
. scripts/setup/path.sh

PYTHONPATH="$(bash scripts/setup/kubernetes-validate.sh)" exec python3 tests/deploy/check.py
