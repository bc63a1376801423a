#!/usr/bin/env bash
# Install the Penstock that lies beside this file, never what the pull request brings, and review with it.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
place=$(mktemp -d "${RUNNER_TEMP:-/tmp}/penstock.XXXXXX")
trap 'rm -rf "$place"' EXIT

# From an empty folder, and isolated: Python and pip would take modules and settings from the current one.
cd "$place"
"${PENSTOCK_PYTHON:-python3}" -I -m venv "$place/venv"
"$place/venv/bin/python" -I -m pip install --quiet --disable-pip-version-check "${PENSTOCK_SOURCE:-$here/../..}"
cd "${GITHUB_WORKSPACE:?}/${PENSTOCK_DIRECTORY:-.}"
"$place/venv/bin/python" -I "$here/review.py" "$place/venv/bin/penstock"
