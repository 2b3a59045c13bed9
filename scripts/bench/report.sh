# The Markdown that bench.sh prints, from $work/samples and $work/notes. Sourced by it.

# summary NAME: "median min max count" of a sample; nothing when there is none.
summary() {
    awk -v name="$1" '$1 == name { print $2 }' "$work/samples" | sort -g | awk '
        { value[NR] = $1 }
        END {
            if (NR == 0) exit
            middle = NR % 2 ? value[(NR + 1) / 2] : (value[NR / 2] + value[NR / 2 + 1]) / 2
            print middle, value[1], value[NR], NR
        }'
}

has_samples() { grep -q "^$1 " "$work/samples"; }

# What awk needs to print a number by its size: 0.953, 98.3, 228,310.
readable='
    function readable(value,   text, head) {
        if (value < 10) return sprintf("%.3f", value)
        if (value < 1000) return sprintf("%.1f", value)
        text = sprintf("%.0f", value); head = ""
        while (length(text) > 3) {
            head = "," substr(text, length(text) - 2) head
            text = substr(text, 1, length(text) - 3)
        }
        return text head
    }'

# row NUMBER SAMPLE BOUND TARGET UNIT WHAT: a line of the table, if it was asked for. BOUND: "at
# least" and "at most" are held against the median; "never above" against the worst; "" is no target.
row() {
    local number=$1 sample=$2 bound=$3 target=$4 unit=$5 what=$6
    is_wanted "$number" || return 0
    if ! has_samples "$sample"; then
        echo "| $what | ${bound:+$bound $target}$unit | did not run | |"
        return 0
    fi
    summary "$sample" | awk -v what="$what" -v bound="$bound" -v target="$target" -v unit="$unit" \
        -v incomplete="$(has_samples "$sample.incomplete" && echo yes)" "$readable"'
        {
            measured = readable($1) unit
            if ($4 > 1) measured = measured " (" readable($2) " to " readable($3) ")"
            if (bound == "at least") verdict = $1 >= target ? "met" : "short"
            if (bound == "at most") verdict = $1 <= target ? "met" : "short"
            if (bound == "never above") verdict = $3 <= target ? "met" : "short"
            if (incomplete) { verdict = "short"; measured = measured ", not all completed" }
            wanted = bound == "" ? "-" : bound " " (target < 10 ? target : readable(target)) unit
            sub(/\.0 MiB$/, " MiB", wanted)
            printf "| %s | %s | %s | %s |\n", what, wanted, measured, verdict == "" ? "-" : verdict
        }'
}

# raw NAME WHAT: a line of the second table, if there is something to say.
raw() {
    local part
    has_samples "$1.rate" || return 0
    for part in rate web_ms database_ms redis_ms driver_percent; do summary "$1.$part"; done |
        awk -v what="$2" "$readable"'
            NR == 1 { rate = readable($1); range = readable($2) " to " readable($3) }
            NR > 1 && NR < 5 { cpu = cpu " " readable($1) " |" }
            NR == 5 { driver = sprintf("%.0f", $1) }
            END { printf "| %s | %s | %s |%s %s |\n", what, rate, range, cpu, driver }'
}

# Whether the machine had other work when we came, or its host took more than 1 % of it away.
is_busy() {
    awk -v busy="$load_before" -v cores="$(nproc)" -v stolen="$(stolen_percent)" \
        'BEGIN { exit !(busy > cores / 2 || stolen > 1) }'
}

# Share of the CPU time since the start of the script that a hypervisor kept from this machine.
stolen_percent() {
    { echo "$cpu_before"; head -n 1 /proc/stat; } | awk '
        { all = 0; for (i = 2; i <= 9; i++) all += $i }
        NR == 1 { all_before = all; stolen_before = $9 }
        END { printf "%.1f", 100 * ($9 - stolen_before) / (all - all_before) }'
}

version() { grep -oE '[0-9]+(\.[0-9]+)+' | head -n 1; }

machine() {
    local cpu commit
    cpu=$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)
    commit=$(git -C "$root" rev-parse --short HEAD 2>/dev/null || echo unknown)
    [[ -z $(git -C "$root" status --porcelain 2>/dev/null) ]] || commit+=' with local changes'
    cat <<MACHINE
- Machine: ${cpu:-$(uname -m)}, $(nproc) cores, $(awk '/^MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo), Linux $(uname -r), load average $load_before before, CPU time stolen $(stolen_percent) %
- PostgreSQL $("$postgres_bin/postgres" --version | version), Redis $(redis-server --version | version), nginx $(nginx -v 2>&1 | version), wrk $(wrk -v 2>&1 | version), rustc $(rustc --version | version)
- poolwise at $commit; $(date -u +%Y-%m-%d); rounds: $rounds of $seconds s a cell; everything on the same cores
MACHINE
}

report() {
    machine
    if is_busy; then
        echo '- **Something else was running on this machine: do not trust these figures.**'
    fi
    ((seconds >= 10 && rounds >= 3)) || echo '- **A short run: it shows that the script works, not how fast anything is.**'
    cat <<'HEAD'

| what | target | measured: median (min to max) | verdict |
| --- | --- | --- | --- |
HEAD
    row 1 pooled_to_pgbench 'at least' 0.95 '' \
        '`pooled`, 21,000 rows, 20 clients, pool of 8 / `pgbench -M prepared -c 8 -j 1`, same SQL (tps)'
    row 2 page_to_pgbench 'at least' 0.65 '' \
        '`pooled`, `limit=100`, 20 clients, pool of 8 / pgbench likewise'
    row 3 api_to_database_cpu 'at most' 0.75 '' \
        'API CPU per 21,000-row response / database CPU for it'
    row 4 memory_to_nginx 'at least' 1.0 '' \
        'cached (memory) hits, 21,000 rows / nginx serving the same bytes from a file'
    row 5 redis_alone_to_benchmark 'at least' 0.6 '' \
        'cached (redis) hits, GETs not shared / `redis-benchmark -c 20 GET` of the same value'
    row 5 redis_shared_to_benchmark '' '' '' 'the same with GETs shared'
    row 5 api_to_redis_cpu 'at most' 1.7 '' \
        'cached (redis), GETs not shared: API CPU per hit / CPU of Redis for it'
    row 6 gzip_share 'at least' 0.8 '' \
        'cached (memory), gzip / identity, as a share of (identity bytes / gzip bytes)'
    row 7 slow_pooled 'never above' 128 ' MiB' \
        'peak resident memory while 200 slow clients read 21,000 rows each from `pooled`'
    row 7 slow_redis 'never above' 128 ' MiB' 'the same from cached (redis)'
    row 8 seeding 'at least' 200000 ' rows/s' \
        'seeding 2,000,000 rows into PostgreSQL, indexes and ANALYZE included'
    row 9 noop.rate '' '' '/s' 'the ceiling: `/noop`, 20 clients'
    driver_rows
    door_rows
    row 15 cluster_to_one 'at least' 0.8 '' \
        'cached (redis) hits from a Redis Cluster of 3 nodes / from one Redis, GETs not shared'
    million_rows
    if grep -q '_ms ' "$work/samples"; then
        cat <<'HEAD'

| medians | a second | min to max | API or nginx CPU, ms each | database CPU, ms each | Redis CPU, ms each | load driver, % of a core |
| --- | --- | --- | --- | --- | --- | --- |
HEAD
    fi
    raw pooled '`pooled`, 21,000 rows'
    raw pgbench 'pgbench, the same SQL'
    raw page '`pooled`, `limit=100`'
    raw pgbench-page 'pgbench, `limit 100`'
    raw memory 'cached (memory)'
    raw nginx 'nginx, the same bytes'
    raw redis-alone 'cached (redis), GETs not shared'
    raw redis-shared 'cached (redis), GETs shared'
    raw redis-benchmark '`redis-benchmark`, the same value'
    door_raws
    raw one-redis 'cached (redis), GETs not shared, beside the cluster'
    raw redis-cluster 'cached (redis), the same from the cluster'
    raw identity 'cached (memory), identity'
    raw gzip 'cached (memory), gzip'
    raw noop '`/noop`'
    million_raws
    if [[ -s $work/notes ]]; then
        echo
        cat "$work/notes"
    fi
}
