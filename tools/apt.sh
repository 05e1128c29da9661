#!/usr/bin/env bash
# Install Debian packages without starting any service. Where that is not possible, say so and go on.
# usage: tools/apt.sh PACKAGE...
set -euo pipefail

missing=()
for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "deps-apt: not root on Debian, so going on without: ${missing[*]}" >&2
    exit 0
fi

# Debian starts the services it installs unless this file says no; ours goes away again.
policy=/usr/sbin/policy-rc.d
if ! [ -e $policy ]; then
    trap 'rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
fi

export DEBIAN_FRONTEND=noninteractive
quietly() { "$@" >/dev/null </dev/null; }
if quietly apt-get update -q && quietly apt-get install -q -y --no-install-recommends "${missing[@]}"; then
    echo "deps-apt: installed ${missing[*]}" >&2
else
    echo "deps-apt: apt-get failed, so going on without: ${missing[*]}" >&2
fi
