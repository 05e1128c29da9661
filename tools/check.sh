#!/usr/bin/env bash
# Run the checks named, or all; go on after a failure, and say at the end what failed and what was not there to run.
# usage: tools/check.sh VENV [CHECK...]      checks: ruff format types rooms shellcheck clang-tidy tests
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$1/bin
shift
[ $# -gt 0 ] || set -- ruff format types rooms shellcheck clang-tidy tests

failed=() missing=()

# What these say is of interest only when something is wrong.
silent() {
    local said
    said=$("$@" 2>&1) || { printf '%s\n' "$said"; return 1; }
}

run() {
    case $1 in
    ruff) "$bin/ruff" check --quiet . ;;
    format) "$bin/ruff" format --quiet --check . ;;
    types) "$bin/mypy" --no-error-summary ;;
    rooms) silent "$bin/lint-imports" --no-cache --no-logo ;;
    shellcheck) shellcheck .ci/run tools/*.sh ;;
    clang-tidy) silent clang-tidy --quiet native/*.c -- -std=gnu11 "-I$("$bin/python" -c 'import sysconfig as s; print(s.get_path("include"))')" ;;
    tests) "$bin/pytest" -n 2 ;;
    *) echo "unknown check" >&2; return 2 ;;
    esac
}

for check in "$@"; do
    case $check in
    shellcheck | clang-tidy) command -v "$check" >/dev/null || { missing+=("$check"); continue; } ;;
    esac
    echo "== $check"
    run "$check" || failed+=("$check")
done

[ ${#missing[@]} = 0 ] || echo "not run, ${#missing[@]} not installed (make deps-apt): ${missing[*]}"
[ ${#failed[@]} = 0 ] || { echo "FAILED: ${failed[*]}"; exit 1; }
