#!/usr/bin/env bash
# A node with the handbook as its knowledge: starts it if it is not running, and prints its address.
set -euo pipefail
cd "$(dirname "$0")/.."

gaia=target/release/gaia
running=0
"$gaia" status >/dev/null 2>&1 || running=$?
if [ "$running" -ne 0 ]; then "$gaia" start; fi
# Unchanged documents are skipped by their hash: a second run has nothing to do here.
"$gaia" knowledge add knowledge/handbook --name handbook
"$gaia" status
