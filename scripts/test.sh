#!/usr/bin/env bash
# Everything that has to hold: formatting, lints, documentation, tests, the example, the exported
# documents, licences. Installs PostgreSQL, PgBouncer, MariaDB, Redis and Python's venv from Debian where they are
# missing; the tests start private servers of their own, so that nothing that runs on this machine is
# touched.
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
    has redis-server || echo redis-server
    python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
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
mapfile -t packages < <(missing)
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

step "the exported documents, from a build without features"
cargo run --quiet --locked -- openapi --check

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
