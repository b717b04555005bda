#!/usr/bin/env bash
# Follows requirements/*.in to the end and writes the pinned *.txt with the hashes of every file of
# each release, so that one list serves every Python and processor that we support. The answer must
# not name the index it came from: whoever installs chooses where from.
set -euo pipefail
cd "$(dirname "$0")/../requirements"

# A newer Python needs fewer back-ports, and its answer would lack what the oldest one needs.
if ! "../$VENV/bin/python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
    echo "make lock must run on Python 3.11, the oldest supported: make clean lock PYTHON=python3.11" >&2
    exit 1
fi

tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
"../$VENV/bin/python" -m venv "$tools"
"$tools/bin/pip" install --quiet --disable-pip-version-check pip-tools==7.6.2

# Those that others constrain come after them.
for name in build runtime dev bench audit doors phones docs; do
    # A fresh file, because an old answer would be kept where it still fits.
    rm -f "$name.txt"
    "$tools/bin/pip-compile" --quiet --generate-hashes --strip-extras --allow-unsafe --no-header \
        --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
        --output-file "$name.txt" "$name.in"
    { echo "# Written by \`make lock\` from $name.in; do not edit."
      sed -e '/^$/d' -e '/considered to be unsafe/d' "$name.txt"; } > "$tools/answer"
    cp "$tools/answer" "$name.txt"
    if grep -nE '://|^--|file:' "$name.txt"; then
        echo "requirements/$name.txt names where it came from (the lines above)" >&2
        exit 1
    fi
done
