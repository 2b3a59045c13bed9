#!/usr/bin/env bash
# Runs a script of this folder with k6, or with a stand-in where k6 is missing. `load/k6/run.sh --help`
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."
# shellcheck source=load/service.sh
source load/service.sh

usage() {
    cat <<'HELP'
Usage: load/k6/run.sh [case|paged|arrivals] [--url URL] [--out FILE] [--stand-in] [NAME=VALUE]...
       load/k6/run.sh --check

Runs load/k6/case.js, paged.js or arrivals.js. Exits with k6's own code, 99 when a threshold is crossed.

  --url URL     the service (http://127.0.0.1:8080)
  --out FILE    each sample as a line of JSON, as `k6 run --out json=FILE` writes it
  --stand-in    even if there is k6
  --check       nothing is run: the scripts are checked against the types that k6 publishes (npm, TypeScript)
  NAME=VALUE    what the script takes: SECONDS=10, LIMIT=20, ... (its first lines have them all)

k6 is taken from the PATH, or from K6=FILE. Where there is none, Node.js runs the scripts (load/k6/shim): their code,
requests, checks and thresholds are real, their speed is not k6's.
HELP
}

script='' url=http://127.0.0.1:8080 out='' stand_in='' check='' settings=()
while (($# > 0)); do
    case $1 in
    --url) value "$@" && url=$2 && shift ;;
    --out) value "$@" && out=$2 && shift ;;
    --stand-in) stand_in=yes ;;
    --check) check=yes ;;
    -h | --help)
        usage
        exit 0
        ;;
    [A-Z]*=*) settings+=(-e "$1") ;;
    case | paged | arrivals) script=$1 ;;
    *)
        echo "error: $1 is not known; see --help" >&2
        exit 2
        ;;
    esac
    shift
done
script=${script:-case}
folder=${CARGO_TARGET_DIR:-target}/load/k6
mkdir -p "$folder"

if [ -n "$check" ]; then
    need npm nodejs npm
    if ! cmp -s load/k6/package-lock.json "$folder/types/package-lock.json"; then
        rm -rf "$folder/types"
        mkdir "$folder/types"
        cp load/k6/package.json "$folder/types/"
        cp load/k6/package-lock.json "$folder/types/npm-shrinkwrap.json"
        npm ci --prefix "$folder/types" --ignore-scripts --no-audit --no-fund --loglevel=error >&2
        cp load/k6/package-lock.json "$folder/types/"
    fi
    # Beside the types, where the compiler looks for them.
    rm -rf "$folder/types/scripts"
    mkdir "$folder/types/scripts"
    cp -r load/k6/*.js load/k6/lib "$folder/types/scripts/"
    node "$folder/types/node_modules/typescript/bin/tsc" --noEmit --allowJs --checkJs --strict --noImplicitAny false \
        --target es2022 --module esnext --moduleResolution bundler --typeRoots "$folder/types/node_modules/@types" "$folder"/types/scripts/*.js
    echo "k6: the scripts fit k6's types"
    exit 0
fi

k6=${K6:-k6}
settings+=(-e "URL=$url")
[ -z "$out" ] || settings+=(--out "json=$out")
if [ -z "$stand_in" ] && has "$k6"; then
    exec "$k6" run --quiet --no-usage-report "${settings[@]}" "load/k6/$script.js"
fi
need node nodejs
echo "k6 is not installed: Node.js runs $script.js in its place" >&2
rm -rf "$folder/run"
mkdir -p "$folder/run/node_modules"
cp -r load/k6/*.js load/k6/lib load/k6/shim/*.js "$folder/run/"
cp -r load/k6/shim/k6 "$folder/run/node_modules/"
echo '{ "type": "module" }' >"$folder/run/package.json"
exec node "$folder/run/main.js" "${settings[@]}" "$folder/run/$script.js"
