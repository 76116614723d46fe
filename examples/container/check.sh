#!/bin/sh
# The steps of the image and run.sh without a container engine: the pinned runtime alone, read-only bundles, no home, a
# user without privileges, no network, one folder to write to. Fails if anything else was written.
#
#   check.sh [ENVIRONMENT]     ENVIRONMENT: one that install.sh made  [a new one]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
chmod 755 "$work"
environment=${1:-$work/environment}
[ $# -ge 1 ] || sh "$here/install.sh" "$environment"

mkdir "$work/bundle" "$work/image" "$work/out"
cp -r "$here/../../exported/lge" "$here/../../exported/lge-segmenter" "$work/bundle"
cp "$here/pipeline.sh" "$here/../grid.csv" "$work/image"
chmod -R a+rX,a-w "$work/bundle" "$work/image"
sums() { find "$work/bundle" "$work/image" -type f -exec sha256sum {} + | sort; }

# A user id that nobody else has, so that everything it writes can be found.
user=$((100000 + $$))
alone="setpriv --reuid=$user --regid=$user --clear-groups --no-new-privs"
spaces="unshare --net --mount"
if [ "$(id -u)" -ne 0 ]; then
    alone=
    spaces="unshare --map-root-user --net --mount"
    echo "note: runs as the present user; as root it would run as a user without rights."
elif $alone "$environment/bin/python" -c '' 2> /dev/null; then
    chown "$user" "$work/out"
else
    alone=
    echo "note: runs as root, for no other user can run $environment/bin/python."
fi
read_only='mount --bind "$1" "$1" && mount -o remount,bind,ro / && shift && exec "$@"'
if $spaces sh -c "$read_only" sh "$work/out" true 2> /dev/null; then
    set -- $spaces sh -c "$read_only" sh "$work/out"
else
    set --
    echo "note: network and file system stay as they are, for unshare is not allowed here."
fi

sums > "$work/before"
env -i PATH="$environment/bin:/usr/bin:/bin" HOME="$work/home" BUNDLES="$work/bundle" OUT="$work/out" \
    "$@" $alone sh "$work/image/pipeline.sh" 8

for file in samples.h5 scores.csv scores.json report.html verify-generator.json verify-segmenter.json; do
    [ -s "$work/out/$file" ] || { echo "error: $file was not written." >&2; exit 1; }
done
sums > "$work/after"
cmp "$work/before" "$work/after"
written=$(find "$work" "$environment" -path "$work/out" -prune -o \
    -newer "$work/before" ! -path "$work/after" ! -path "$work" -print)
if [ -n "$alone" ]; then # the places that every user may write to; others remove their files meanwhile
    written=$written$(find /tmp /var/tmp /dev/shm -ignore_readdir_race -path "$work/out" -prune -o -user "$user" -print)
fi
[ -z "$written" ] || { echo "error: written outside of the results: $written" >&2; exit 1; }
echo "checked: nothing but the results was written, and the bundles are unchanged."
