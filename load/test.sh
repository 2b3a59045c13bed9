#!/usr/bin/env bash
# Everything in this folder for a few seconds each, against one real service: the scenarios of Locust, the scripts of
# k6, that each tool notices a wrong answer, and that all of them measure what the lab measures.
#   load/test.sh [--binary FILE]      --binary: this poolwise instead of one that is built
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
# shellcheck source=load/service.sh
source load/service.sh

case ${1-} in
'') build '' ;;
--binary) value "$@" && poolwise=$2 ;;
*)
    echo "error: $1 is not known; there is --binary" >&2
    exit 2
    ;;
esac

packages locust
load/jmeter/run.sh --install
load/k6/run.sh --install

echo "==> the comparison finds what does not agree"
python3 -m unittest discover --start-directory load --quiet

work=$(mktemp -d)
trap 'exit 130' INT
trap 'exit 143' TERM HUP
trap 'stop_service; rm -rf "$work"' EXIT
start_service

# refused NAME CODE WORD COMMAND...: it must end with this code and say this word.
refused() {
    local name=$1 code=$2 word=$3 ended=0
    shift 3
    "$@" >"$work/said" 2>&1 || ended=$?
    if [ "$ended" -ne "$code" ] || ! grep -q "$word" "$work/said"; then
        echo "error: $name ended with $ended instead of $code, or did not say \"$word\":" >&2
        tail -n 30 "$work/said" >&2
        exit 1
    fi
    echo "$name: $(grep -m 1 "$word" "$work/said" | tr -s ' ')"
}

echo "==> a wrong number of rows is noticed by every tool"
refused locust 1 '20 rows instead of 19' "$venv/bin/locust" -f load/locust/case.py --headless --host "$url" --only-summary \
    --clients 2 --seconds 1 --limit 20 --rows 19
refused jmeter 1 '20 rows instead of 19' load/jmeter/run.sh --url "$url" --users 2 --seconds 2 --limit 20 --rows 19 --out "$work/jmeter"
refused k6 99 "✗ 'rate==1'" load/k6/run.sh case --url "$url" USERS=2 SECONDS=1 LIMIT=20 ROWS=19
refused 'a rate that cannot be held' 99 "✗ 'count==0'" load/k6/run.sh arrivals --url "$url" USERS=1 SECONDS=2 RATE=2000

echo "==> k6: pages for many users, and an arrival rate"
# A user for each arrival: on a machine that stands still for a moment none is dropped.
for script in "paged USERS=20" "arrivals RATE=30 USERS=60"; do
    # shellcheck disable=SC2086
    load/k6/run.sh $script --url "$url" SECONDS=2 LATE=30000 >"$work/said" 2>&1 || { cat "$work/said" >&2; exit 1; }
    grep -E 'http_reqs|checks_succeeded' "$work/said"
done

echo "==> Locust: every scenario"
load/locust/run_all.sh --short --url "$url" --out "$work/results"

echo "==> the same experiment in every tool"
scripts/load.sh --short --url "$url" --binary "$poolwise"
