#!/usr/bin/env bash
# Make a virtual environment ready: interpreter, locked tools, pidward itself (editable, with its native part).
# Needs the network the first time only, and does nothing when nothing has changed.
# usage: tools/setup.sh demo|dev VENV
set -euo pipefail
cd "$(dirname "$0")/.."
what=$1
venv=$2

say() { printf '%s\n' "$*" >&2; }
fail() { say "setup: $*"; exit 1; }

# A pyenv shim is a script that takes 0.1 s to find the interpreter, at every start of pidward; so only a real program
# counts, and its own path is used.
is_program() { [ -x "$1" ] && [ "$(head -c 4 "$1" | tr -d '\0')" = $'\x7fELF' ]; }

candidates() {
    local version
    [ -z "${PYTHON:-}" ] || type -ap "$PYTHON" || true
    for version in 3.13 3.12 3.11; do type -ap "python$version" || true; done
    for version in 3.13 3.12 3.11; do
        printf '%s\n' "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$version".*/bin/"python$version"
    done
    printf '%s\n' /usr/bin/python3 /usr/local/bin/python3
}

# Prints the first interpreter that is new enough and can make a virtual environment; notes one that only lacks venv.
without_venv=
find_python() {
    local path
    while read -r path; do
        path=$(readlink -f "$path")
        is_program "$path" || continue
        "$path" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || continue
        if "$path" -c 'import ensurepip, venv' 2>/dev/null; then
            python=$path
            return 0
        fi
        : "${without_venv:=$path}"
    done < <(candidates)
    return 1
}

make_venv() {
    local python=
    if ! find_python && [ -n "$without_venv" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "setup: $without_venv lacks venv; installing python3-venv"
        tools/apt.sh python3-venv
        find_python || true
    fi
    if [ -z "$python" ]; then
        [ -z "$without_venv" ] || fail "$without_venv cannot make virtual environments; as root: apt-get install python3-venv"
        fail "no Python 3.11 or newer found; install one (Debian 12: apt-get install python3 python3-venv) or set PYTHON"
    fi
    say "setup: $venv with $python"
    "$python" -m venv --clear "$venv"
}

# uv is quick and writes the lighter console script (pip's of 2023 imports re: 6 ms at every start); pip does as well.
install() {
    if [ -x "$venv/bin/uv" ]; then
        "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --compile-bytecode "$@"
    else
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
    fi
}

install_locked() { # the lock's name
    say "setup: installing requirements/$1.txt"
    [ -x "$venv/bin/uv" ] || install --require-hashes -r requirements/uv.txt || say "setup: uv cannot be had; using pip"
    install --require-hashes -r "requirements/$1.txt" || fail "could not install the tools; the first time needs the network"
}

install_pidward() { # no network: what the build needs is in every lock
    say "setup: building pidward"
    install --no-index --no-deps --no-build-isolation -e . || fail "could not build pidward"
    # The installers keep the build's words to themselves, so the one that matters is said here.
    if ! [ -x src/pidward/native/shim ] || ! compgen -G 'src/pidward/kernel/_spawn.*so' >/dev/null; then
        say "setup: no usable C compiler: pidward runs on its pure-Python rung ('pidward doctor' tells what that costs)"
    fi
}

# Runs a command unless the files it depends on are as they were at its last success.
once() { # stamp name, files..., --, command...
    local stamp=$venv/.ready-$1 files=() now
    shift
    while [ "$1" != -- ]; do files+=("$1"); shift; done
    shift
    now=$(sha256sum "${files[@]}" | sha256sum)
    [ -e "$stamp" ] && [ "$(cat "$stamp")" = "$now" ] && return
    "$@"
    printf '%s\n' "$now" >"$stamp"
}

case $what in
demo | dev) ;;
*) fail "usage: tools/setup.sh demo|dev VENV" ;;
esac
"$venv/bin/python" -c '' 2>/dev/null || make_venv
exec 9>"$venv/.setup.lock"  # not .lock: that one is uv's
flock 9
# The tools of dev include those of demo.
if [ "$what" = dev ] || ! [ -e "$venv/.ready-dev" ]; then
    once "$what" requirements/uv.txt "requirements/$what.txt" -- install_locked "$what"
fi
once package pyproject.toml setup.py src/pidward/__init__.py native/*.[ch] -- install_pidward
