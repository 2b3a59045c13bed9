#!/usr/bin/env bash
# Writes what `docker stats` says of the running containers to standard output as CSV, once a second, until Ctrl-C
# or for so many seconds:
#   ./scripts/compose-stats.sh > stats.csv
#   ./scripts/compose-stats.sh 60 api-1 postgres > stats.csv    for 60 s, of containers whose name has one of these in it
# Columns: time (UTC), container, CPU in percent of one core, memory used and its limit in bytes, and bytes received and
# sent since the container started.
set -euo pipefail

fail() { echo "error: $*" >&2; exit 2; }

seconds=
case ${1-} in
    -h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit ;;
    '') ;;
    *[!0-9]*) ;;
    *) seconds=$1; shift ;;
esac
[ "$seconds" != 0 ] || fail "the time must be at least 1 second"
command -v docker >/dev/null || fail "there is no docker command"

# Docker redraws the table more often than it asks, so each line gets its time, and the first of a second counts.
stamped() {
    local line now
    while IFS= read -r line; do
        TZ=UTC0 printf -v now '%(%Y-%m-%dT%H:%M:%SZ)T' -1
        printf '%s|%s\n' "$now" "$line"
    done
}

# From "12.5MiB", "1.2GB" or "648B" to bytes: docker writes memory in powers of 1024 and traffic in powers of 1000.
to_csv() {
    local awk=(awk)
    # mawk keeps lines back until it has many.
    case $(readlink -f "$(command -v awk)") in *mawk) awk+=(-W interactive) ;; esac
    "${awk[@]}" -F'|' -v names="$*" '
        BEGIN {
            split("B kB MB GB TB PB", decimal, " ")
            for (power in decimal) factor[decimal[power]] = 1000 ^ (power - 1)
            split("B KiB MiB GiB TiB PiB", binary, " ")
            for (power in binary) factor[binary[power]] = 1024 ^ (power - 1)
            wanted = split(names, parts, " ")
        }
        function bytes(text,    unit) {
            gsub(/ /, "", text)
            unit = text
            sub(/^[0-9.]+/, "", unit)
            if (!(unit in factor)) return ""
            return sprintf("%.0f", text * factor[unit])
        }
        function is_wanted(name,    i) {
            if (wanted == 0) return 1
            for (i = 1; i <= wanted; i++) if (index(name, parts[i])) return 1
            return 0
        }
        {
            # What moves the cursor on a terminal.
            gsub(/\033\[[0-9;]*[A-Za-z]/, "")
            cpu = $3; sub(/%$/, "", cpu)
        }
        # A container that has just started, or is just ending, has "--".
        NF == 5 && cpu ~ /^[0-9.]+$/ && is_wanted($2) && last[$2] != $1 {
            last[$2] = $1
            split($4, memory, "/"); split($5, net, "/")
            printf "%s,%s,%s,%s,%s,%s,%s\n", $1, $2, cpu, \
                bytes(memory[1]), bytes(memory[2]), bytes(net[1]), bytes(net[2])
            fflush()
        }
    '
}

stats=(docker stats --format '{{.Name}}|{{.CPUPerc}}|{{.MemUsage}}|{{.NetIO}}')
[ -z "$seconds" ] || stats=(timeout --foreground "$seconds" "${stats[@]}")
echo "time,container,cpu_percent,memory_bytes,memory_limit_bytes,received_bytes,sent_bytes"
trap 'exit 0' INT TERM
ended=(0 0)
"${stats[@]}" | { stamped | to_csv "$@"; } || ended=("${PIPESTATUS[@]}")
# 141: whoever read, such as head, has enough.
[ "${ended[1]}" != 141 ] || exit 0
# 124: the time was over.
case ${ended[0]} in
    0 | 124) ;;
    *) echo "error: docker stats does not work; what it said stands above" >&2; exit 1 ;;
esac
