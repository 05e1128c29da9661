#!/usr/bin/env bash
# Write requirements/*.txt anew from *.in: exact versions with hashes, for every Python we support.
# usage: tools/lock.sh VENV [uv pip compile options, such as --upgrade]
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$1
shift
for what in uv demo dev; do
    "$venv/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
        --custom-compile-command 'make lock' "$@" "requirements/$what.in" --output-file "requirements/$what.txt"
done
