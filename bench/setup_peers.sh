#!/bin/bash
# Install the peers that pidward is measured beside: Debian packages, then Python and node ones below bench/peers_env.
#
# No service is started by the installation: an existing policy-rc.d is left alone, and one that denies every start is
# put there for the time of the installation otherwise. Needs root, and the network. Run again to repair; it is quick
# when everything is there.
set -eu
here=$(dirname "$(readlink -f "$0")")
policy=/usr/sbin/policy-rc.d

deny_service_starts() {
    [ -e "$policy" ] && return
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
}

# The real interpreter, not a version manager's shim.
find_python() {
    "${PYTHON:-python3.11}" -c 'import os, sys; print(os.path.realpath(sys.executable))'
}

install_debian() {
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
        s6 execline runit daemontools monit erlang-base gcc libc6-dev make
    command -v npm > /dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends npm
}

# An environment of its own for each, as an administrator would install it.
install_python() {
    local python requirement folder
    python=$(find_python)
    for requirement in supervisor==4.3.0 circus==0.19.0 honcho==2.0.0 supervice==0.4.2; do
        folder=$here/peers_env/${requirement%%=*}
        [ -x "$folder/bin/pip" ] || "$python" -m venv "$folder"
        "$folder/bin/pip" install --quiet --disable-pip-version-check "$requirement"
    done
}

install_node() {
    mkdir -p "$here/peers_env/pm2"
    cd "$here/peers_env/pm2"
    [ -e package.json ] || npm init -y > /dev/null
    npm install --no-fund --no-audit pm2@7.0.4
    cd "$here"
}

deny_service_starts
install_debian
install_python
install_node
make -C "$here"
