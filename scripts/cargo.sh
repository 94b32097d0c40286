#!/usr/bin/env bash
# cargo, from Gaia's own Rust where there is no rustup.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup/report.sh
. scripts/setup/path.sh
exec cargo "$@"
