#!/usr/bin/env bash
# Every scenario in order, without a window. `load/locust/run_all.sh --help`
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."
# shellcheck source=load/service.sh
source load/service.sh

usage() {
    cat <<'HELP'
Usage: load/locust/run_all.sh [--url URL] [--short] [--minutes N] [--out FOLDER] [SCENARIO...]

Runs smoke, baseline, read_heavy, write_heavy, stages, soak, spike and break_point one after the other with Locust,
writes for each a report (.html) and statistics (.csv) into test_results_DATE/, and prints a table. Takes about
50 minutes, 30 of them for the soak. Exits with 1 when a request failed; at the break-point they may.

  --url URL      the service (without it: one of its own, on SQLite, that ends with the script)
  --short        each for a few seconds, to see that all works
  --minutes N    how long the soak takes (30)
  --out FOLDER   instead of test_results_DATE
  SCENARIO...    only these

A scenario by hand, with Locust's web page at http://127.0.0.1:8089:
  target/load/locust-*/bin/locust -f load/locust/stages.py --host http://127.0.0.1:8080
HELP
}

all=(smoke baseline read_heavy write_heavy stages soak spike break_point)
url='' out='' minutes=30 short=() wanted=()
while (($# > 0)); do
    case $1 in
    --url) value "$@" && url=$2 && shift ;;
    --short) short=(--short) ;;
    --minutes) number "$@" && minutes=$2 && shift ;;
    --out) value "$@" && out=$2 && shift ;;
    -h | --help)
        usage
        exit 0
        ;;
    -*)
        echo "error: $1 is not known; see --help" >&2
        exit 2
        ;;
    *)
        [[ " ${all[*]} " == *" $1 "* ]] || { echo "error: $1 is no scenario; there are ${all[*]}" >&2; exit 2; }
        wanted+=("$1")
        ;;
    esac
    shift
done
[ "${#wanted[@]}" -gt 0 ] || wanted=("${all[@]}")
out=${out:-test_results_$(date +%Y-%m-%d_%H-%M-%S)}

packages locust
work=$(mktemp -d)
trap 'exit 130' INT
trap 'exit 143' TERM HUP
trap 'stop_service; rm -rf "$work"' EXIT
if [ -z "$url" ]; then
    # Its figures are those of an optimised service, but for a few seconds of it.
    if [ "${#short[@]}" -gt 0 ]; then build ''; else build --release; fi
    start_service
fi
reach "$url"
mkdir -p "$out"

status=0
for scenario in "${wanted[@]}"; do
    extra=()
    [ "$scenario" != soak ] || extra=(--minutes "$minutes")
    # To break is what it is for.
    [ "$scenario" != break_point ] || extra=(--exit-code-on-error 0)
    printf '==> %s: %s\n' "$scenario" "$(sed -n '1s/^"""[^:]*: //; 1s/[.?].*//p' "load/locust/$scenario.py")"
    ended=0
    "$venv/bin/locust" -f "load/locust/$scenario.py" --headless --host "$url" --only-summary \
        --html "$out/$scenario.html" --csv "$out/$scenario" --loglevel WARNING "${short[@]}" "${extra[@]}" \
        >"$out/$scenario.log" 2>&1 || ended=$?
    if [ "$scenario" = break_point ]; then sed -n '/^[0-9].* users/p; /^not even/p' "$out/$scenario.log"; fi
    if [ "$ended" -ne 0 ]; then
        status=1
        echo "error: $scenario ended with $ended; the end of $out/$scenario.log:" >&2
        tail -n 25 "$out/$scenario.log" >&2
    fi
    echo "$ended" >"$work/$scenario.ended"
done
echo
python3 load/locust/summary.py "$out" "$work" "${wanted[@]}" || status=1
exit "$status"
