#!/usr/bin/env bash
# The same experiment in each load tool, side by side with the lab's own run. `scripts/load.sh --help`
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
# shellcheck source=load/service.sh
source load/service.sh

usage() {
    cat <<'HELP'
Usage: scripts/load.sh [--short] [--full] [--url URL] [--tool locust|jmeter|k6|newman|lab]...

20 users who pause 233 ms ask one service for 20 products at a time, direct, pooled and cached in turn, without
compression: first with the lab, then with Locust, JMeter, k6 and Newman. Then a table of requests, errors, rows and
latencies over the steady part of each run.

Exits with 1 when requests/s or errors of a tool are more than 15 % from the lab's, or when an answer had another
number of rows. The pause is the limit here (20 users / 233 ms = 85.8 requests/s at most), so that this holds on a
busy machine too. Newman's requests/s are shown and not judged: it needs most of a processor for them.

  --short         6 s a tool instead of 30 s, against an unoptimised build
  --full          all rows that match (21,000) for 60 s a tool. There the tools are the limit, each another one, so
                  requests/s are shown and not judged
  --url URL       the service (without it: one of its own, on SQLite, that ends with the script)
  --tool NAME     only this tool and the lab; may be given more than once
  --binary FILE   this poolwise instead of one that is built
  --out FOLDER    for what the tools write (target/load/same)
HELP
}

url='' binary='' seconds=30 skip=3 limit=20 release=--release judge=() tools=() out=${CARGO_TARGET_DIR:-target}/load/same
while (($# > 0)); do
    case $1 in
    --short) seconds=6 skip=2 release= ;;
    --full) seconds=60 skip=5 limit='' judge=(--rates-differ) ;;
    --url) value "$@" && url=$2 && shift ;;
    --tool)
        [[ ${2-} =~ ^(locust|jmeter|k6|newman|lab)$ ]] || { echo "error: --tool needs locust, jmeter, k6, newman or lab" >&2; exit 2; }
        tools+=("$2")
        shift
        ;;
    --binary) value "$@" && binary=$2 && shift ;;
    --out) value "$@" && out=$2 && shift ;;
    -h | --help)
        usage
        exit 0
        ;;
    *)
        echo "error: $1 is not known; see --help" >&2
        exit 2
        ;;
    esac
    shift
done
if [ "${#tools[@]}" -eq 0 ]; then
    tools=(locust jmeter k6)
    [ ! -x scripts/newman.sh ] || tools+=(newman)
fi
users=20 pause=233
# Until all users are there, the steady part, and a little more.
all=$((skip + seconds + 1))

wants() { [[ " ${tools[*]} " == *" $1 "* ]]; }
# What is installed is not measured.
if wants locust; then packages locust; fi
if wants jmeter; then load/jmeter/run.sh --install; fi
if wants k6; then load/k6/run.sh --install; fi
need curl curl

if [ -n "$binary" ]; then poolwise=$binary; else build "$release"; fi
work=$(mktemp -d)
trap 'exit 130' INT
trap 'exit 143' TERM HUP
trap 'stop_service; rm -rf "$work"' EXIT
# A URL that is given may be another machine's.
remote=()
if [ -n "$url" ]; then remote=(--allow-remote); else start_service; fi
mkdir -p "$out"
# Only what this script leaves there.
rm -rf "$out"/{direct,pooled,cached}.json "$out"/lab-* "$out"/{lab,locust,jmeter,k6,newman}.log "$out"/locust.csv \
    "$out"/k6.json "$out"/{jmeter,newman,differs}

# What every answer must be; all three endpoints have it, or nothing can be compared.
query=category=electronics${limit:+&limit=$limit}
for endpoint in direct pooled cached; do
    curl -sf -H 'Accept-Encoding: identity' -o "$out/$endpoint.json" "$url/products/$endpoint?$query" ||
        { echo "error: $url/products/$endpoint does not answer: is the service running, and is --url right?" >&2; exit 1; }
    cmp -s "$out/direct.json" "$out/$endpoint.json" || { echo "error: $endpoint does not answer what direct answers" >&2; exit 1; }
done
rows=$(python3 -c 'import json, sys; print(len(json.load(open(sys.argv[1], "rb"))))' "$out/direct.json")
echo "$users users, $pause ms pause, $rows rows an answer, $seconds s a tool: $url"

# run TOOL COMMAND...: what fails is said here, and shows in the comparison, which comes all the same.
status=0
run() {
    local tool=$1 ended=0
    shift
    printf '==> %s\n' "$tool"
    "$@" >"$out/$tool.log" 2>&1 || ended=$?
    [ "$ended" -eq 0 ] && return 0
    # The lab's 1 also says that the machine was too busy for its verdict; what is compared here is judged here.
    [ "$tool" = lab ] && [ "$ended" -eq 1 ] && return 0
    status=1
    echo "error: $tool ended with $ended; the end of $out/$tool.log:" >&2
    tail -n 25 "$out/$tool.log" >&2
}

# drive TOOL: runs it; what it recorded is in `file`.
drive() {
    case $1 in
    lab)
        labs=$((${labs-0} + 1))
        file=$out/lab-$labs
        run lab "$poolwise" lab run load/lab/case.toml --url "$url" "${remote[@]}" --duration "${seconds}s" --out "$file.dated" ${limit:+--limit "$limit"}
        mv "$file.dated"/* "$file" || { echo "error: the lab left no results" >&2; exit 1; }
        rmdir "$file.dated"
        ;;
    locust)
        file=$out/locust.csv
        run locust "$venv/bin/locust" -f load/locust/case.py --headless --host "$url" --only-summary --clients "$users" \
            --pause "$pause" --seconds "$all" --limit "${limit:-0}" --rows "$rows" --records "$file"
        ;;
    jmeter)
        file=$out/jmeter/results.jtl
        run jmeter load/jmeter/run.sh --url "$url" --users "$users" --seconds "$all" --rows "$rows" --out "$out/jmeter" \
            ${limit:+--limit "$limit"}
        ;;
    k6)
        file=$out/k6.json
        run k6 load/k6/run.sh case --url "$url" --out "$file" \
            USERS="$users" PAUSE="$pause" SECONDS="$all" LIMIT="${limit:-0}" ROWS="$rows"
        ;;
    newman)
        file=$out/newman/requests.jtl
        # Four processes and not one a client: 20 keep two processors busy for half a minute before they begin.
        # It is told how many products there are where the answers are not as long as --limit allows: 7 of 20 match.
        options=(--out "$out/newman" ${limit:+--limit "$limit"})
        [ "$rows" = "$limit" ] || options+=(--rows $((rows * 20 / 7)))
        run newman scripts/newman.sh --folder stress --url "$url" --clients "$users" --processes 4 --pause "$pause" \
            --seconds "$all" "${options[@]}"
        ;;
    esac
}

compare() { python3 load/compare.py --reference "$out/direct.json" --seconds "$seconds" --skip "$skip" "${judge[@]}" "$@"; }

# A machine that is busy with something else for seconds hits one tool and not the other. So a tool whose rate
# differs is run again, right after the lab; wrong rows and errors are never excused.
drive lab
lab=$file
records=("lab=$lab")
for tool in "${tools[@]}"; do
    [ "$tool" != lab ] || continue
    drive "$tool"
    for again in 2 3 4 5; do
        differs=0
        compare --quiet "lab=$lab" "$tool=$file" 2>"$out/differs" || differs=$?
        [ "$differs" -eq 4 ] || break
        sed "s/^error: //; s/$/: once more ($again of 5)/; q" "$out/differs"
        drive lab
        lab=$file
        records+=("lab=$lab")
        drive "$tool"
    done
    records+=("$tool=$file")
done
echo
compare "${records[@]}" || status=1
exit "$status"
