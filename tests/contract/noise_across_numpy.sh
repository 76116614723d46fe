#!/usr/bin/env bash
# The golden vectors of the noise with several versions of numpy, each in a virtual environment of its own, which is
# removed in the end. Needs Python 3.11 with pip, and a package index.
#
#     tests/contract/noise_across_numpy.sh [VERSION ...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
[ $# -gt 0 ] || set -- 1.26.4 2.0.2 2.1.3 2.2.6 2.3.5 2.4.6
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version; do
    "${PYTHON:-python3.11}" -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "numpy==$version" scipy pytest==9.2.0
    echo "numpy $version: $(PYTHONPATH=runtime/src PYTHONDONTWRITEBYTECODE=1 "$folder/$version/bin/python" -m pytest \
        -p no:cacheprovider tests/runtime/test_noise.py | tail -1)"
done
