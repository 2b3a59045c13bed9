#!/usr/bin/env bash
# Runs the Postman collection with Newman against a service that runs. `scripts/newman.sh --help`
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

usage() {
    cat <<'HELP'
Usage: scripts/newman.sh [--folder contract|stress] [--url URL] [OPTION]...

Runs a folder of postman/poolwise.postman_collection.json with Newman against a service that runs, and prints
a table of its requests. Exits with 1 when anything failed, with 2 when an option is wrong.

  --folder contract   tests of what the service promises, once, by one client (the default)
  --folder stress     the experiment: clients that ask direct, pooled and cached in turn, each a process
  --url URL           the service (http://127.0.0.1:8080)
  --rows N            products that it holds, a multiple of 20 (60000): 7 of every 20 are asked for
  --out FOLDER        also write what Newman reports (client-NN.json) and every request (requests.jtl, in JMeter's
                      format) to this folder
For stress:
  --clients N         clients at once (20)
  --processes N       processes that they share (as many as clients). Each takes some two seconds of a processor before
                      all begin: 20 of them take 20 s on two processors that have nothing else to do
  --pause MS          time between an answer and the next request of a client (233)
  --seconds N         how long they go on (60)
  --limit N           ask for so many products at a time; without it for all that match

Node.js 18 or later and npm are installed with apt-get where they are missing, Newman below target/.
HELP
}

for argument in "$@"; do
    case $argument in -h | --help) usage; exit 0 ;; esac
done

has() { command -v "$1" >/dev/null 2>&1; }

install_node() {
    local as_root=() packages=()
    has node || packages+=(nodejs)
    has npm || packages+=(npm)
    [ "${#packages[@]}" -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        has sudo || { echo "error: install ${packages[*]}: apt-get install ${packages[*]}" >&2; exit 1; }
        as_root=(sudo)
    fi
    has apt-get || { echo "error: ${packages[*]} must be installed, and there is no apt-get here" >&2; exit 1; }
    "${as_root[@]}" apt-get update -q >&2
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends "${packages[@]}" >&2
}

# `installed` is written last, so that an installation that broke off is done again.
install_newman() {
    cmp -s scripts/newman/package-lock.json "$modules/installed" && return 0
    echo "installing Newman into $modules" >&2
    cp scripts/newman/package.json scripts/newman/package-lock.json "$modules/"
    npm ci --prefix "$modules" --ignore-scripts --no-audit --no-fund --loglevel=error >&2
    cp scripts/newman/package-lock.json "$modules/installed"
}

install_node
modules=${CARGO_TARGET_DIR:-target}/newman
mkdir -p "$modules"
modules=$(readlink -f "$modules")
(
    flock 9
    install_newman
) 9>"$modules/lock"
NODE_PATH=$modules/node_modules exec node scripts/newman/run.js "$@"
