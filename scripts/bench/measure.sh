# Clocks, load drivers and samples of bench.sh. Sourced by it.
# A sample is a line "NAME VALUE" in $work/samples, one for each round.

# calculate EXPRESSION: in floating point.
calculate() { awk "BEGIN { printf \"%.6f\", $1 }"; }

record() { echo "$1 $2" >>"$work/samples"; }

# The newest value of a sample.
latest() { awk -v name="$1" '$1 == name { value = $2 } END { print value }' "$work/samples"; }

# record_ratio NAME ABOVE BELOW: from the newest values of two samples.
record_ratio() { record "$1" "$(calculate "$(latest "$2") / $(latest "$3")")"; }

# Lines below the table: what one must know to read it.
note() { grep -qxF -- "- $1" "$work/notes" 2>/dev/null || echo "- $1" >>"$work/notes"; }

# --- CPU time -----------------------------------------------------------------------------------

# CPU milliseconds that a process and its children have used, children that have ended included.
cpu_ms() {
    # Some end while they are read.
    { cat /proc/[0-9]*/stat 2>/dev/null || true; } | awk -v root="$1" -v hertz="$(getconf CLK_TCK)" '
        {
            pid = $1
            sub(/^.*\) /, "") # the name, which may hold anything; the state is the first field now
            parent = $2; own = $12 + $13; of_ended_children = $14 + $15
            if (pid == root) ticks += own + of_ended_children
            if (parent == root) ticks += own
        }
        END { printf "%.0f", ticks * 1000 / hertz }'
}

# What they have used so far: web server (poolwise, and nginx: one of the two idles), PostgreSQL, Redis
# (the one and the nodes of the cluster: one of the two idles).
cpu_of_all() {
    local pid redis=0
    for pid in "$redis_pid" "${cluster_pids[@]}"; do redis=$((redis + $(cpu_ms "$pid"))); done
    echo "$(($(cpu_ms "$poolwise_pid") + $(cpu_ms "$nginx_pid")))" \
        "$(cpu_ms "$postgres_pid")" "$redis"
}

# record_cpu NAME RESPONSES BEFORE AFTER: milliseconds a response.
record_cpu() {
    local name=$1 responses=$2 before after server index=0
    read -ra before <<<"$3"
    read -ra after <<<"$4"
    for server in web database redis; do
        record "$name.${server}_ms" \
            "$(calculate "(${after[index]} - ${before[index]}) / $responses")"
        index=$((index + 1))
    done
}

# timed COMMAND...: leaves the CPU time that it took in $work/driver.
timed() {
    local TIMEFORMAT='%U + %S'
    { time "$@" 2>&3; } 3>&2 2>"$work/driver"
}

# record_driver NAME SECONDS: how busy the driver was, in percent of a core. It has one thread, so
# near 100 it is the limit, and the other side could have done more.
record_driver() { record "$1.driver_percent" "$(calculate "100 * ($(<"$work/driver")) / ($2)")"; }

# --- load drivers: each warms up for a second and records NAME.rate, NAME.*_ms ... ----------------

# run_wrk SECONDS URL [HEADER]: prints "REQUESTS SECONDS"; fails if any request did. The p95 of its
# response times, in ms, is in $work/p95 afterwards. $clients and $wrk_script may be set.
run_wrk() {
    local seconds=$1 url=$2 header=${3:-} output requests took failed p95
    export BENCH_SCRIPTS=$root/scripts/bench
    output=$(timed wrk -t1 -c "${clients:-20}" -d "${seconds}s" --timeout 30s ${header:+-H "$header"} \
        -s "$BENCH_SCRIPTS/${wrk_script:-wrk.lua}" "$url")
    read -r requests took failed p95 < <(sed -n 's/^result //p' <<<"$output")
    echo "$p95" >"$work/p95"
    if ((failed > 0 || requests == 0)); then
        say "$url: $failed of $requests requests failed"
        return 1
    fi
    echo "$requests $took"
}

# measure_http NAME URL [HEADER]
measure_http() {
    local name=$1 before after result requests took
    shift
    run_wrk 1 "$@" >/dev/null
    before=$(cpu_of_all)
    result=$(run_wrk "$seconds" "$@")
    after=$(cpu_of_all)
    read -r requests took <<<"$result"
    record "$name.rate" "$(calculate "$requests / $took")"
    record_cpu "$name" "$requests" "$before" "$after"
    record_driver "$name" "$took"
    progress "$name"
}

# run_pgbench SECONDS SQL: prints "TRANSACTIONS TPS". A literal would be a text of its own, so the
# category is a variable: in prepared mode that is a bound parameter, as poolwise binds it.
run_pgbench() {
    local output
    echo "$2" >"$work/pgbench.sql"
    output=$(timed "$postgres_bin/pgbench" -h 127.0.0.1 -p "$postgres_port" -U poolwise -M "${pgbench_mode:-prepared}" \
        -c 8 -j 1 -n -T "$1" -D c=electronics -f "$work/pgbench.sql" \
        "${pgbench_database:-poolwise}" 2>&1) || {
        say "pgbench failed: $(grep -m 1 error <<<"$output")"
        return 1
    }
    awk '/^number of transactions actually processed/ { n = $NF }
         /^number of failed transactions/ { failed = $5 }
         /^tps = / { tps = $3 }
         END { if (n == 0 || tps == 0 || failed > 0) exit 1; print n, tps }' <<<"$output"
}

# measure_pgbench NAME SQL
measure_pgbench() {
    local name=$1 sql=$2 before after result transactions tps
    run_pgbench 1 "$sql" >/dev/null
    before=$(cpu_of_all)
    result=$(run_pgbench "$seconds" "$sql")
    after=$(cpu_of_all)
    read -r transactions tps <<<"$result"
    record "$name.rate" "$tps"
    record_cpu "$name" "$transactions" "$before" "$after"
    record_driver "$name" "$seconds"
    progress "$name"
}

# run_redis_benchmark REQUESTS KEY: prints requests per second.
run_redis_benchmark() {
    timed redis-benchmark -h 127.0.0.1 -p "$redis_port" -c 20 -n "$1" --csv GET "$2" |
        awk -F '","' '/^"GET/ { rate = $2 } END { if (rate == 0) exit 1; print rate }'
}

# measure_redis_benchmark NAME KEY. It stops after a number of requests, so the warm-up also says
# how many fill the time.
measure_redis_benchmark() {
    local name=$1 key=$2 before after rate requests
    rate=$(run_redis_benchmark 300 "$key")
    requests=$(awk -v rate="$rate" -v seconds="$seconds" 'BEGIN { printf "%d", rate * seconds }')
    before=$(cpu_of_all)
    rate=$(run_redis_benchmark "$requests" "$key")
    after=$(cpu_of_all)
    record "$name.rate" "$rate"
    record_cpu "$name" "$requests" "$before" "$after"
    record_driver "$name" "$requests / $rate"
    progress "$name"
}

progress() {
    say "$(printf '  %-20s %10.1f a second; CPU ms: web %.3f, database %.3f, redis %.3f' "$1" \
        "$(latest "$1.rate")" "$(latest "$1.web_ms")" "$(latest "$1.database_ms")" \
        "$(latest "$1.redis_ms")")"
}

# --- what the service says ------------------------------------------------------------------------

# The address of a strategy's answer to the query that most cells ask.
products() { echo "$poolwise_url/strategies/$1/products?category=electronics"; }

# cache_counter STRATEGY COUNTER: from /stats.
cache_counter() {
    curl -sf "$poolwise_url/stats" | sed "s/.*\"name\":\"$1\"//" |
        grep -o "\"$2\":[0-9]*" | awk -F : 'NR == 1 { print $2 }'
}

# warm STRATEGY [HEADER]: until it answers from its cache, in the coding that the header asks for.
warm() {
    local strategy=$1 header=${2:-} coding tries headers
    coding=${header#*: }
    for ((tries = 0; tries < 100; tries++)); do
        headers=$(curl -sf -D - -o /dev/null ${header:+-H "$header"} "$(products "$strategy")")
        if grep -qi '^x-cache: hit' <<<"$headers" &&
            { [[ -z $coding ]] || grep -qi "^content-encoding: $coding" <<<"$headers"; }; then
            return 0
        fi
        sleep 0.1
    done
    say "$strategy never answered from its cache${header:+ ($header)}"
    return 1
}
