#!/usr/bin/env bash
# Everything that has to hold: formatting, lints, documentation, tests, the example, the exported
# documents, the contract over a cluster, the load tools, licences. Installs servers and tools from Debian where they
# are missing (`missing` lists them); the tests start private servers of their own, so that nothing that runs on this
# machine is touched.
#   ./scripts/test.sh [--long]      --long: also what takes many minutes
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

long=
case ${1-} in
    '') ;;
    --long) long=yes; export POOLWISE_LONG=1 ;;
    *) echo "error: $1 is not known; there is --long" >&2; exit 2 ;;
esac

step() { printf '\n==> %s\n' "$*"; }
skipped() { printf 'skipped: %s\n' "$*"; }
has() { command -v "$1" >/dev/null 2>&1; }
# Debian keeps servers away from the PATH of ordinary users.
export PATH=$PATH:/usr/sbin:/sbin

# The packages of the programs that are missing.
missing() {
    compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || has postgres || echo postgresql
    has pgbouncer || echo pgbouncer
    has mariadbd || echo mariadb-server
    [ -e /usr/lib/galera/libgalera_smm.so ] || echo galera-4
    has redis-server || echo redis-server
    has haproxy || echo haproxy
    has dnsmasq || echo dnsmasq-base
    has docker-compose || echo docker-compose
    has promtool || echo prometheus
    local exporter
    for exporter in postgres redis mysqld process; do
        has "prometheus-$exporter-exporter" || echo "prometheus-$exporter-exporter"
    done
    has systemd-analyze || echo systemd
    has java || echo default-jre-headless
    # The HTTP part is a package of its own.
    [ -e /usr/share/jmeter/lib/ext/ApacheJMeter_http.jar ] || echo jmeter jmeter-http
    has node || echo nodejs
    has npm || echo npm
    python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
    local tool
    for tool in curl git lsof rsync; do has "$tool" || echo "$tool"; done
}

install() {
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        has sudo || { echo "error: $* must be installed, by root or through sudo: apt-get install $*" >&2; exit 1; }
        as_root=(sudo)
    fi
    has apt-get || { echo "error: $* must be installed, and there is no apt-get here" >&2; exit 1; }
    "${as_root[@]}" apt-get update -q
    # RUNLEVEL=1: the packages' own servers need not start.
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get install -yq --no-install-recommends "$@"
}

step "servers for the tests"
mapfile -t packages < <(missing | tr ' ' '\n')
if [ "${#packages[@]}" -gt 0 ]; then install "${packages[@]}"; else echo "all there"; fi

step "cargo fmt"
if cargo fmt --version >/dev/null 2>&1; then cargo fmt --check; else skipped "rustfmt is not installed"; fi

step "cargo clippy"
if cargo clippy --version >/dev/null 2>&1; then
    cargo clippy --all-targets --all-features --locked -- -D warnings
    cargo clippy --all-targets --locked -- -D warnings
else
    skipped "clippy is not installed"
fi

step "cargo doc"
RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items --all-features --locked

step "cargo test"
# Much of their time tests wait for servers and for time to pass.
cargo test --all-features --locked -- --test-threads=$((2 * $(nproc)))

step "the example"
cargo run --quiet --all-features --locked --example custom_strategy

step "the contract, over two nodes of Galera and a Redis Cluster of three"
scripts/cluster.sh -- cargo test --quiet --all-features --locked --test it -- contract:: \
    --skip Sqlite --skip Postgres --skip PgBouncer --skip Tls

step "Locust, JMeter and k6 measure what the lab measures"
load/test.sh

step "the exported documents, from a build without features"
cargo run --quiet --locked -- openapi --check
cargo run --quiet --locked -- postman --check
cargo run --quiet --locked -- config schema --check

step "a build without features says which one is missing"
for asked in mysql redis-cluster; do
    if refused=$(cargo run --quiet --locked -- config check --config "tests/features/$asked.toml" 2>&1); then
        echo "error: tests/features/$asked.toml was taken without the feature" >&2
        exit 1
    fi
    grep -e "--features $asked" <<<"$refused"
done

step "schemathesis: the service keeps to its OpenAPI document"
scripts/schemathesis.sh "${long:+10000}"

step "cargo deny"
if cargo deny --version >/dev/null 2>&1; then
    cargo deny --offline --all-features check bans licenses sources
    if cargo deny fetch db >/dev/null 2>&1; then
        cargo deny --all-features check advisories
    else
        skipped "the database of advisories cannot be reached"
    fi
else
    skipped "cargo-deny is not installed (cargo install cargo-deny --locked)"
fi

step "everything passed"
