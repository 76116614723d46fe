#!/bin/sh
# Gets what the build needs into cpp_bench/.deps: headers of ONNX Runtime (Debian trixie) and nlohmann's JSON, and a
# link to the library in the onnxruntime wheel of the Python given. No root, nothing installed: packages are unpacked.
set -eu
python=${1:-python3}
here=$(cd "$(dirname "$0")" && pwd)
deps=$here/.deps
mkdir -p "$deps"
library=$("$python" -c 'import glob, os, onnxruntime; print(glob.glob(os.path.join(os.path.dirname(onnxruntime.__file__), "capi", "libonnxruntime.so.*"))[0])')
ln -sfn "$library" "$deps/libonnxruntime.so.1"
[ -e "$deps/ready" ] && exit 0
rm -rf "$deps/apt" "$deps/unpacked" "$deps/include"
mkdir -p "$deps/apt/lists/partial" "$deps/apt/archives/partial" "$deps/unpacked"
mirror=$(sed -n 's/^URIs: *//p; s/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*\) .*/\2/p' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null \
    | grep -v security | head -n 1)
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror:-http://deb.debian.org/debian} trixie main" > "$deps/apt/sources.list"
options="-o Dir::State=$deps/apt -o Dir::State::status=/dev/null -o Dir::Cache=$deps/apt -o Dir::Etc::sourcelist=$deps/apt/sources.list"
options="$options -o Dir::Etc::sourceparts=/dev/null -o APT::Get::List-Cleanup=0 -o Acquire::Retries=1 -o Acquire::http::Timeout=20"
cd "$deps"
# shellcheck disable=SC2086
apt-get $options -qq update
# shellcheck disable=SC2086
apt-get $options -qq download libonnxruntime-dev nlohmann-json3-dev
for package in ./*.deb; do
    dpkg-deb -x "$package" unpacked
done
mv unpacked/usr/include include
rm -rf apt unpacked ./*.deb
touch "$deps/ready"
