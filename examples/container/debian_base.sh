#!/bin/sh
# A base image of Debian's packages alone, for where no registry of images is at hand. Needs mmdebstrap and podman.
#
#   debian_base.sh [IMAGE]     IMAGE: name of the new image [cldm-base]
#
# Then build with --build-arg BASE=localhost/cldm-base.
set -eu
for program in mmdebstrap podman; do
    command -v "$program" > /dev/null || {
        echo "error: $program is not installed. Install it: apt-get install mmdebstrap podman" >&2
        exit 2
    }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Bookworm has Python 3.11, for which requirements.txt is written; numpy needs libstdc++6. No pipe, so that a failure is one.
mmdebstrap --quiet --variant=essential --include=python3,python3-pip,libstdc++6 bookworm "$work/root.tar"
podman import --quiet "$work/root.tar" "${1:-cldm-base}"
