#!/bin/sh
# Puts the two networks of myopari (PyPI, MIT licence) and their descriptions into a folder. Nothing is installed.
#     sh examples/evaluate_myopari/fetch.sh FOLDER
set -eu

folder=$1
mkdir -p "$folder"
cp "$(dirname "$0")"/*.toml "$folder"
python=${PYTHON:-python}
if [ ! -f "$folder/tiramisu_emidec_fp32.onnx" ]; then
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest "$folder" myopari==0.1.6
    "$python" -c '
import sys, zipfile
from pathlib import Path
folder = Path(sys.argv[1])
with zipfile.ZipFile(folder / "myopari-0.1.6-py3-none-any.whl") as wheel:
    for name in ("emidec", "acdc"):
        file = f"tiramisu_{name}_fp32.onnx"
        (folder / file).write_bytes(wheel.read(f"myopari/Resources/{file}"))' "$folder"
    rm "$folder/myopari-0.1.6-py3-none-any.whl"
fi
