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

version=0.3.36
sha256=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e
flavour=${1:-same}
tools=(llama-server llama-bench llama-batched-bench)
folder="$GAIA_CACHE/bench/llama.cpp-$version"
built="$folder/$flavour/bin"

case $flavour in
# As llama-cpp-sys-2 builds it: see backend::missing_cpu_features in host/engine.
same) flags=(-DGGML_NATIVE=OFF -DGGML_AVX=ON -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON -DGGML_OPENMP=OFF
    "-DCMAKE_C_FLAGS=-march=x86-64" "-DCMAKE_CXX_FLAGS=-march=x86-64") ;;
native) flags=(-DGGML_NATIVE=ON -DGGML_OPENMP=ON) ;;
*) fail "same or native, not \`$flavour\`" ;;
esac

if [ -e "$folder/$flavour/.done" ]; then
    echo "$built"
    exit 0
fi

cmake="$GAIA_CACHE/build-tools/usr/bin/cmake"
[ -x "$cmake" ] || cmake=cmake

if [ ! -d "$folder/source" ]; then
    step "llama.cpp of llama-cpp-python $version: fetching (77 MB)"
    rm -rf "$folder/new" && mkdir -p "$folder/new"
    python3 -m pip download --quiet --no-deps --no-binary llama-cpp-python --dest "$folder/new" "llama-cpp-python==$version" >&2
    archive="$folder/new/llama_cpp_python-$version.tar.gz"
    echo "$sha256  $archive" | sha256sum --check --quiet >&2 || fail "llama-cpp-python $version is not the file that is known"
    tar -xzf "$archive" -C "$folder/new" "llama_cpp_python-$version/vendor/llama.cpp"
    mv "$folder/new/llama_cpp_python-$version/vendor/llama.cpp" "$folder/source"
    rm -rf "$folder/new"
fi

step "llama.cpp of llama-cpp-python $version, $flavour: compiling (ten minutes on two cores)"
log="$folder/$flavour.log"
"$cmake" -S "$folder/source" -B "$folder/$flavour" -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF "${flags[@]}" \
    -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF \
    >"$log" 2>&1 || fail "cmake failed: see $log"
"$cmake" --build "$folder/$flavour" --target "${tools[@]}" --parallel "$(nproc)" >>"$log" 2>&1 || fail "llama.cpp did not build: see $log"
touch "$folder/$flavour/.done"
done_ "llama.cpp of llama-cpp-python $version, $flavour"
echo "$built"
