#!/bin/sh
# On a machine with an NVIDIA GPU: the GPU tests, the parity table, the throughput table and a run of 100 000 images, in
# under 8 minutes. Needs Python 3.11 with torch, onnxruntime, numpy, h5py and scipy; engines that are missing are named.
#
#   bench/gpu.sh                                    # bundle exported/lge, results in out/gpu
#   bench/gpu.sh --dry-run                          # what would be done, and what is missing here
#   bench/gpu.sh --bundle exported/my-bundle --images 10000
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
PYTHONPATH="$root/runtime/src${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONPATH
exec "${PYTHON:-python3}" -m cldm_runtime.bench.gpu "$@"
