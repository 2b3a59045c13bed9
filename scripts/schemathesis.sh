#!/usr/bin/env bash
# Asks a service over a small data set everything that its OpenAPI document allows and much that it does not
# (schemathesis, every check): nothing may be answered with 500, and nothing that the document does not say.
#   scripts/schemathesis.sh [CASES]      at least so many, 1000 unless told otherwise
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

cases=${1:-1000}
version=4.32.5
target=${CARGO_TARGET_DIR:-target}
venv=$target/schemathesis-$version
if [ ! -x "$venv/bin/schemathesis" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$version"
fi

cargo build --quiet --all-features --locked
folder=$(mktemp -d)
trap 'kill "$service" 2>/dev/null || true; rm -rf "$folder"' EXIT
cat >"$folder/config.toml" <<TOML
database.url = "sqlite:$folder/products.db"
seed = { auto = true, rows = 200 }
TOML
"$target/debug/poolwise" serve --config "$folder/config.toml" --listen 127.0.0.1:0 >"$folder/log" 2>&1 &
service=$!
for _ in $(seq 300); do
    url=$(sed -nE 's/.* serving at (http:[^ ]+).*/\1/p' "$folder/log")
    [ -z "$url" ] || break
    kill -0 "$service" || { cat "$folder/log" >&2; exit 1; }
    sleep 0.1
done

# The seed is fixed and nothing is remembered, so that a run is like the one before. How many examples
# a path gets decides how many cases there are, about.
status=0
SCHEMATHESIS_HOOKS=scripts/schemathesis_hooks.py "$venv/bin/schemathesis" --config-file scripts/schemathesis.toml \
    run "$url/openapi.json" \
    --checks all --seed 1 --generation-database none --suppress-health-check all --continue-on-failure \
    --request-timeout 60 --max-examples $((cases / 16)) | tee "$folder/said" || status=$?
if grep -E 'status="?5[0-9][0-9]' "$folder/log" >&2; then echo "error: these were answered with 5xx" >&2; status=1; fi
asked=$(sed -nE 's/^ *([0-9]+) generated.*/\1/p' "$folder/said")
if [ "${asked:-0}" -lt "$cases" ]; then
    echo "error: only ${asked:-0} cases were tried of $cases: --max-examples is too low" >&2
    status=1
fi
exit "$status"
