# Which llama.cpp is measured against, where it comes from, and how it is compiled. Sourced after report.sh.

llama_version=0.3.36
llama_sha256=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e
llama_folder="$GAIA_CACHE/bench/llama.cpp-$llama_version"

llama_cmake="$GAIA_CACHE/build-tools/usr/bin/cmake"
[ -x "$llama_cmake" ] || llama_cmake=cmake

# Of all builds: nothing that needs the network.
llama_options=(-DCMAKE_BUILD_TYPE=Release -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF
    -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF)

# Sets llama_flags. As llama-cpp-sys-2 builds it: see backend::missing_cpu_features in host/engine.
llama_flags_of() {
    case $1 in
    same) llama_flags=(-DGGML_NATIVE=OFF -DGGML_AVX=ON -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON -DGGML_OPENMP=OFF
        "-DCMAKE_C_FLAGS=-march=x86-64" "-DCMAKE_CXX_FLAGS=-march=x86-64") ;;
    native) llama_flags=(-DGGML_NATIVE=ON -DGGML_OPENMP=ON) ;;
    *) fail "same or native, not \`$1\`" ;;
    esac
}

# The sources of llama.cpp as source/, and of the Python package as package/llama_cpp/.
llama_fetch() {
    if [ -d "$llama_folder/source" ] && [ -d "$llama_folder/package" ]; then return; fi
    step "llama.cpp of llama-cpp-python $llama_version: fetching (77 MB)"
    local new="$llama_folder/new" name="llama_cpp_python-$llama_version"
    rm -rf "$new" && mkdir -p "$new"
    python3 -m pip download --quiet --no-deps --no-binary llama-cpp-python --dest "$new" "llama-cpp-python==$llama_version" >&2 ||
        fail "llama-cpp-python $llama_version cannot be fetched"
    echo "$llama_sha256  $new/$name.tar.gz" | sha256sum --check --quiet >&2 || fail "llama-cpp-python $llama_version is not the file that is known"
    tar -xzf "$new/$name.tar.gz" -C "$new" "$name/vendor/llama.cpp" "$name/llama_cpp"
    if [ ! -d "$llama_folder/source" ]; then mv "$new/$name/vendor/llama.cpp" "$llama_folder/source"; fi
    rm -rf "$llama_folder/package" "$new/package"
    mkdir "$new/package"
    mv "$new/$name/llama_cpp" "$new/package/"
    mv "$new/package" "$llama_folder/package"
    rm -rf "$new"
}
