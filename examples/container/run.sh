#!/bin/sh
# Runs the image of the Containerfile with the fewest permissions that it needs. Needs podman, or docker with ENGINE=docker.
#
#   run.sh OUT [N [GRID]]     OUT: folder for the results     N: number of images [256]     GRID: CSV of attributes
#
# Environment: BUNDLES  folder of bundles [exported of this repository]; IMAGE [cldm]; GENERATOR, SEGMENTER, SEED
#              RUN_AS   USER:GROUP inside, as numbers [those of the caller]; root has to name them
set -eu
here=$(cd "$(dirname "$0")" && pwd)
engine=${ENGINE:-podman}
bundles=${BUNDLES:-$here/../../exported}

fail() {
    echo "error: $1" >&2
    exit 2
}
[ $# -ge 1 ] || fail "no folder for the results. Usage: run.sh OUT [N [GRID]]"
user=${RUN_AS:-$(id -u):$(id -g)}
case $user in
    0 | 0:* | *[!0-9:]* | :* | *: | *:*:*)
        fail "the user inside would be $user. Run this as the user who shall own the results, or set RUN_AS=1000:1000" ;;
esac
command -v "$engine" > /dev/null || fail "$engine is not installed. Install it, or set ENGINE=docker"
[ -d "$bundles" ] || fail "no folder of bundles at $bundles. Set BUNDLES"
mkdir -p "$1"
out=$(cd "$1" && pwd)
n=${2:-256}
grid=$(realpath "${3:-$here/../grid.csv}")
[ -f "$grid" ] || fail "no grid at $grid"
set --
if [ "$engine" = podman ] && [ "$(id -u)" -ne 0 ]; then
    set -- --userns keep-id # rootless: the user inside is then the user outside
fi

# :z lets SELinux hosts share the folders; other hosts ignore it.
exec "$engine" run --rm --network none --read-only --cap-drop ALL --security-opt no-new-privileges \
    --user "$user" "$@" \
    --volume "$(realpath "$bundles"):/bundle:ro,z" --volume "$grid:/grid.csv:ro,z" --volume "$out:/out:z" \
    --env GENERATOR --env SEGMENTER --env SEED \
    "${IMAGE:-cldm}" "$n" /grid.csv
