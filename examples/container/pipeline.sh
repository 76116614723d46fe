#!/bin/sh
# Verifies two bundles, generates N labelled images, runs a segmenter on them, and reports. After a stop, the same
# command continues.
#
#   pipeline.sh [N [GRID]]     N: number of images [256]     GRID: CSV of attributes [grid.csv next to this file]
#
# Environment: BUNDLES  folder of bundles, read only [/bundle]      OUT  the only place that is written to [/out]
#              GENERATOR, SEGMENTER  bundles in it [lge, lge-segmenter]      SEED [0]
#
# Exit codes are those of cldm: 0 done, 2 usage or input, 3 bundle, 4 dataset, 5 provider, 6 a worker was killed.
set -eu
n=${1:-256}
grid=${2:-$(dirname "$0")/grid.csv}
bundles=${BUNDLES:-/bundle}
out=${OUT:-/out}
generator=$bundles/${GENERATOR:-lge}
segmenter=$bundles/${SEGMENTER:-lge-segmenter}

fail() {
    echo "error: $1" >&2
    exit 2
}
for bundle in "$generator" "$segmenter"; do
    [ -r "$bundle/manifest.json" ] ||
        fail "no bundle at $bundle. Mount the folder of bundles: --volume FOLDER:$bundles:ro"
done
[ -r "$grid" ] || fail "no grid at $grid. Mount it and give its path inside: --volume FILE:$grid:ro"
{ [ -d "$out" ] && [ -w "$out" ]; } ||
    fail "user $(id -u) cannot write to $out. Mount a folder of that user: --volume FOLDER:$out"

export TMPDIR="$out" ORT_DISABLE_TELEMETRY=1
cldm verify "$segmenter" --json > "$out/verify-segmenter.json"
cldm verify "$generator" --segmenter "$segmenter" --json > "$out/verify-generator.json"
echo "verified: $generator, $segmenter"
cldm-gen --n "$n" --attributes "$grid" --bundle "$generator" --seed "${SEED:-0}" --out "$out/samples.h5" --resume
cldm evaluate "$out/samples.h5" --segmenter "$segmenter" --out "$out"
