#!/usr/bin/env bash
# llama.cpp's own programs to measure against, built from the source distribution of llama-cpp-python:
# llama-server, llama-bench and llama-batched-bench. Prints their folder; quiet when they are there.
# May be stopped and started again: it goes on where it was.
#
# usage: scripts/bench/llama-cpp.sh [same|native]
#   same    the processor flags of Gaia's own engine (the default): one llama.cpp against itself
#   native  everything this processor has, and OpenMP: what a user who builds it here would have
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/setup/report.sh
. scripts/bench/llama-cpp-source.sh

flavour=${1:-same}
llama_flags_of "$flavour"
tools=(llama-server llama-bench llama-batched-bench)
built="$llama_folder/$flavour/bin"

if [ -e "$llama_folder/$flavour/.done" ]; then
    echo "$built"
    exit 0
fi
llama_fetch

step "llama.cpp of llama-cpp-python $llama_version, $flavour: compiling (ten minutes on two cores)"
log="$llama_folder/$flavour.log"
"$llama_cmake" -S "$llama_folder/source" -B "$llama_folder/$flavour" -DBUILD_SHARED_LIBS=OFF "${llama_flags[@]}" "${llama_options[@]}" \
    >"$log" 2>&1 || fail "cmake failed: see $log"
"$llama_cmake" --build "$llama_folder/$flavour" --target "${tools[@]}" --parallel "$(nproc)" >>"$log" 2>&1 || fail "llama.cpp did not build: see $log"
touch "$llama_folder/$flavour/.done"
done_ "llama.cpp of llama-cpp-python $llama_version, $flavour"
echo "$built"
