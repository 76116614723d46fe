#!/bin/sh
# Installs only the runtime and the packages that requirements.txt pins, into a new virtual environment without pip.
#
#   install.sh FOLDER [INTERPRETER]     INTERPRETER: of the environment  [$PYTHON, else python3]; $PYTHON brings pip
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
pip="-m pip --disable-pip-version-check --quiet --python $1/bin/python"

"${2:-$python}" -m venv --without-pip "$1"
source=$(mktemp -d) # a copy, because building leaves files next to the source
trap 'rm -rf "$source"' EXIT
(cd "$here/../../runtime" && tar cf - --exclude=__pycache__ pyproject.toml src) | tar xf - -C "$source"
# shellcheck disable=SC2086
"$python" $pip install --no-deps --requirement "$here/requirements.txt" "$source"
# shellcheck disable=SC2086
"$python" $pip check > /dev/null # no package missing, no conflict
