#!/bin/sh
# Prints what the build lacks on this machine, in one line; nothing where it lacks nothing. Fetches the headers.
here=$(cd "$(dirname "$0")" && pwd)
compiler=${CXX:-g++}
if ! command -v "$compiler" > /dev/null; then
    echo "no C++ compiler ($compiler)"
elif ! command -v cmake > /dev/null; then
    echo "no cmake"
elif ! echo '#include <zlib.h>' | "$compiler" -E -x c++ - > /dev/null 2>&1; then
    echo "no headers of zlib (zlib1g-dev)"
elif ! "$here/fetch.sh" "${1:-python3}" > /dev/null 2>&1; then
    echo "the headers of onnxruntime cannot be fetched (cpp_bench/fetch.sh says why)"
fi
