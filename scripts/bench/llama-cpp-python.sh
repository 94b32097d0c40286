#!/usr/bin/env bash
# llama_cpp.server to measure against: the Python server of the same source distribution that llama-server is built
# from. Prints a folder with the program `llama-cpp-server`; quiet when it is there. The bench does without it where
# this fails; its last line says why.
#
# Its library is llama.cpp's alone, compiled once more with the same flags: the objects of the other programs are not
# position independent, so that no shared library can be linked from them.
#
# usage: scripts/bench/llama-cpp-python.sh [same|native]
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/setup/report.sh
. scripts/bench/llama-cpp-source.sh

flavour=${1:-same}
llama_flags_of "$flavour"
build="$llama_folder/$flavour-shared"
folder="$llama_folder/$flavour-python"
packages=scripts/bench/llama-cpp-python.txt
wanted=$(sha256sum "$packages" "$0" | sha256sum)

if [ "$(cat "$folder/.done" 2>/dev/null)" = "$wanted" ]; then
    echo "$folder"
    exit 0
fi
llama_fetch

step "llama_cpp.server of llama-cpp-python $llama_version, $flavour: compiling its library (two minutes on two cores)"
log="$llama_folder/$flavour-python.log"
"$llama_cmake" -S "$llama_folder/source" -B "$build" -DBUILD_SHARED_LIBS=ON "${llama_flags[@]}" "${llama_options[@]}" \
    -DLLAMA_BUILD_COMMON=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_SERVER=OFF >"$log" 2>&1 || fail "llama_cpp.server: cmake failed: see $log"
"$llama_cmake" --build "$build" --target llama --parallel "$(nproc)" >>"$log" 2>&1 || fail "llama_cpp.server: its library did not build: see $log"

step "llama_cpp.server: its Python packages"
rm -rf "$folder"
python3 -m venv "$folder" >>"$log" 2>&1 || fail "llama_cpp.server: no Python environment: see $log"
"$folder/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement "$packages" >>"$log" 2>&1 ||
    fail "llama_cpp.server: its Python packages cannot be had: see $log"
cat >"$folder/llama-cpp-server" <<END
#!/bin/sh
LLAMA_CPP_LIB_PATH='$build/bin' PYTHONPATH='$llama_folder/package' exec '$folder/bin/python' -m llama_cpp.server "\$@"
END
chmod +x "$folder/llama-cpp-server"
"$folder/llama-cpp-server" --help >/dev/null 2>>"$log" || fail "llama_cpp.server does not start: see $log"
echo "$wanted" >"$folder/.done"
done_ "llama_cpp.server of llama-cpp-python $llama_version, $flavour"
echo "$folder"
