# Sourced by the scripts of this folder, from the root of the repository: what each of them needs to install, and a
# service of their own on a small machine's terms (SQLite in a temporary folder, a free port), for when no --url is
# given.
# shellcheck shell=bash

has() { command -v "$1" >/dev/null 2>&1; }

# value OPTION VALUE: anything, or the end.
value() { [ -n "${2-}" ] || { echo "error: $1 needs a value; see --help" >&2; exit 2; }; }

# number OPTION VALUE: a whole number above 0, or the end.
number() { [[ ${2:-} =~ ^[1-9][0-9]{0,6}$ ]] || { echo "error: $1 needs a whole number above 0" >&2; exit 2; }; }

# install PACKAGE...: Debian's packages.
install() {
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        has sudo || { echo "error: these are missing: apt-get install $*" >&2; exit 1; }
        as_root=(sudo)
    fi
    has apt-get || { echo "error: these must be installed, and there is no apt-get here: $*" >&2; exit 1; }
    echo "installing $*" >&2
    "${as_root[@]}" apt-get update -q >&2
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends "$@" >&2
}

# need PROGRAM PACKAGE...: installs the packages unless the program is there.
need() { has "$1" || install "${@:2}"; }

# packages TOOL: makes `venv`, with what load/TOOL/requirements.txt names, once for each change of that file.
packages() {
    local sum
    python3 -c 'import ensurepip, venv' 2>/dev/null || install python3-venv
    sum=$(sha256sum "load/$1/requirements.txt" | cut -c 1-12)
    venv=${CARGO_TARGET_DIR:-target}/load/$1-$sum
    [ ! -e "$venv/ready" ] || return 0
    echo "installing $1 into $venv" >&2
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes --no-compile -r "load/$1/requirements.txt"
    touch "$venv/ready"
}

# build "" or build --release: makes `poolwise`, the binary.
build() {
    cargo build --quiet --all-features --locked ${1:+"$1"}
    poolwise=${CARGO_TARGET_DIR:-target}/debug/poolwise
    [ "$1" != --release ] || poolwise=${CARGO_TARGET_DIR:-target}/release/poolwise
}

# reach URL: ends where no service is ready.
reach() {
    need curl curl
    curl -sf -o /dev/null --max-time 10 "$1/health/ready" ||
        { echo "error: $1/health/ready does not answer: is the service running, and is --url right?" >&2; exit 1; }
}

# start_service: runs $poolwise in $work until this script ends, and makes `url`. On a busy machine a crowd is served
# late; it is not refused.
start_service() {
    cat >"$work/service.toml" <<TOML
database.url = "sqlite:$work/products.db"
seed.auto = true
database.wait_timeout = "60s"
server.request_timeout = "2m"
log.level = "warn,poolwise::cli=info"
TOML
    "$poolwise" serve --config "$work/service.toml" --listen 127.0.0.1:0 >"$work/service.log" 2>&1 &
    service=$!
    for _ in $(seq 600); do
        url=$(sed -nE 's/.* serving at (http:[^ ]+).*/\1/p' "$work/service.log")
        [ -z "$url" ] || return 0
        kill -0 "$service" 2>/dev/null || break
        sleep 0.1
    done
    echo "error: the service did not start:" >&2
    cat "$work/service.log" >&2
    exit 1
}

# stop_service: on every way out of the script.
stop_service() {
    [ -z "${service-}" ] || kill "$service" 2>/dev/null || true
    [ -z "${service-}" ] || wait "$service" 2>/dev/null || true
    service=
}
