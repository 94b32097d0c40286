#!/usr/bin/env bash
# The measurements of docs/domain-performance.md, on this machine: a domain's gateway, HAProxy and LiteLLM's proxy before
# the same nodes.
#
# usage: scripts/bench-domain.sh [--short] [--part NAME,NAME] [--rounds N] [--seconds N] [--requests N] [--write|--show]
#   --short       under two minutes, without LiteLLM, judged with wide margins; exits 1 if one is missed twice
#   --part        cost, latency, streams, prefixes, nodes, death, kills; all of them if none is named
#   --requests    of the part that kills; a million is what the bar asks for
#   --write       puts what was kept into docs/domain-performance.md; measures nothing
# Results are kept in target/domain-bench, each with its commit.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup/report.sh
. scripts/setup/path.sh

for argument in "$@"; do
    case $argument in --write | --show) exec target/release/gaia-domain-bench "$@" ;; esac
done
target/release/gaia model pull smollm2-135m-instruct >/dev/null
options=(--haproxy "$(bash scripts/bench/haproxy.sh)")
if [ "${1:-}" = --short ]; then exec target/release/gaia-domain-bench "${options[@]}" "$@"; fi
# One contender more where it can be had; the results say that it is missing.
if litellm=$(bash scripts/bench/litellm.sh); then options+=(--litellm "$litellm"); fi
exec target/release/gaia-domain-bench "${options[@]}" "$@"
