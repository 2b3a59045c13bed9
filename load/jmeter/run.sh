#!/usr/bin/env bash
# Runs poolwise.jmx without a window and prints a table. `load/jmeter/run.sh --help`
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."
# shellcheck source=load/service.sh
source load/service.sh

usage() {
    cat <<'HELP'
Usage: load/jmeter/run.sh [--url URL] [--users N] [--seconds N] [--limit N] [--rows N] [--out FOLDER]

Runs load/jmeter/poolwise.jmx with JMeter (Debian's package jmeter, installed where it is missing) and prints a
table of results.jtl. Exits with 1 when a request failed.

  --url URL      the service (http://127.0.0.1:8080)
  --users N      threads, each of which pauses 233 ms (20)
  --seconds N    how long it takes (60)
  --limit N      rows of an answer (without it: all that match, 21,000 of 60,000)
  --rows N       rows that each answer must have, where the service holds other than 60,000 products
  --install      only what is missing is installed
  --window       JMeter's window with the plan and these settings, instead of a run
  --out FOLDER   for results.jtl and jmeter.log (target/load/jmeter)

JMETER=/opt/apache-jmeter-5.6.3/bin/jmeter takes another JMeter.
HELP
}

url=http://127.0.0.1:8080 users=20 seconds=60 limit='' rows='' only_install='' window='' out=${CARGO_TARGET_DIR:-target}/load/jmeter
while (($# > 0)); do
    case $1 in
    --url) value "$@" && url=$2 && shift ;;
    --users) number "$@" && users=$2 && shift ;;
    --seconds) number "$@" && seconds=$2 && shift ;;
    --limit) number "$@" && limit=$2 && shift ;;
    --rows) number "$@" && rows=$2 && shift ;;
    --install) only_install=yes ;;
    --window) window=yes ;;
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
[[ $url =~ ^http://([^/:]+|\[[0-9a-f:]+\])(:([0-9]+))?/?$ ]] || { echo "error: --url must be http://HOST:PORT" >&2; exit 2; }
host=${BASH_REMATCH[1]} port=${BASH_REMATCH[3]:-80}
rows=${rows:-${limit:-21000}}

if [ -n "${JMETER-}" ]; then
    jmeter=("$JMETER")
else
    home=/usr/share/jmeter
    [ -e "$home/lib/ext/ApacheJMeter_http.jar" ] || install jmeter jmeter-http default-jre-headless
    [ -z "$window" ] || [ -e "$(dirname "$(readlink -f "$(command -v java)")")/../lib/libawt_xawt.so" ] || install default-jre
    # /usr/bin/jmeter of Debian cannot open any plan; debian.bsh says why, and starts it so that it can.
    # On two cores the optimising compiler takes more of them than the test does: one level is enough.
    jmeter=(java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Djmeter.home="$home"
        -cp "/usr/share/java/bsh.jar:$home/bin/ApacheJMeter.jar:$home/lib/*:$home/lib/ext/*"
        bsh.Interpreter load/jmeter/debian.bsh)
fi
[ -z "$only_install" ] || exit 0
mkdir -p "$out"
rm -f "$out/results.jtl"
settings=(-Jhost="$host" -Jport="$port" -Jusers="$users" -Jseconds="$seconds" -Jlimit="$limit" -Jrows="$rows")
# The columns, whatever the installation's own properties say.
for column in print_field_names latency thread_counts assertion_results_failure_message; do
    settings+=(-J"jmeter.save.saveservice.$column=true")
done
settings+=(-Jjmeter.save.saveservice.output_format=csv -Jjmeter.save.saveservice.assertion_results=none)
settings+=(-Jjmeter.save.saveservice.autoflush=true -Jsample_variables=rows -Jsummariser.name=)
[ -z "$window" ] || exec "${jmeter[@]}" -t load/jmeter/poolwise.jmx "${settings[@]}"
ended=0
"${jmeter[@]}" -n -t load/jmeter/poolwise.jmx -l "$out/results.jtl" -j "$out/jmeter.log" "${settings[@]}" >"$out/jmeter.out" 2>&1 || ended=$?
# It ends with 0 also when it could not read the plan.
if [ "$ended" -ne 0 ] || [ ! -s "$out/results.jtl" ]; then
    echo "error: JMeter ended with $ended; the end of $out/jmeter.out and jmeter.log:" >&2
    tail -n 20 "$out/jmeter.out" "$out/jmeter.log" >&2
    exit 1
fi
python3 load/jmeter/summary.py "$out/results.jtl" "$rows"
