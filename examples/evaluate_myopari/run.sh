#!/bin/sh
# Evaluates the segmenters of myopari (PyPI, MIT licence) on generated images, beside the bundle's. From the root of the repository:
#
#     sh examples/evaluate_myopari/run.sh [OUT [N]]
#
# OUT: folder, out/myopari by default. N: number of images, 64 by default; a network takes half a second for each on two cores.
set -eu

out=${1:-out/myopari}
count=${2:-64}
python=${PYTHON:-python}

sh examples/evaluate_myopari/fetch.sh "$out"

"$python" -m cldm_runtime gen --n "$count" --attributes examples/grid.csv --bundle exported/lge --out "$out/samples.h5" --overwrite
"$python" -m cldm_runtime segmenter check "$out/tiramisu_emidec.toml" "$out/samples.h5" --out "$out/check.png"
"$python" -m cldm_runtime evaluate "$out/samples.h5" --segmenter "$out/tiramisu_emidec.toml" \
    --segmenter "$out/tiramisu_emidec_filling.toml" --segmenter exported/lge-segmenter --out "$out"
