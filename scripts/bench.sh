#!/usr/bin/env bash
# Measures the targets of docs/BENCHMARKS.md and prints its table. `scripts/bench.sh --help`
#
# Private servers on free ports in a folder of their own, everything on this machine in one go. The
# two sides of each ratio run one after the other, round after round; a figure is the median of the
# rounds' ratios.
set -euo pipefail
shopt -s inherit_errexit
umask 022
export LC_ALL=C
export PATH=$PATH:/usr/sbin:/sbin

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
seconds=10
rounds=3
only=1,2,3,4,5,6,7,8,9,12,13,14,15,16,17,18,19
# The query of cells 1 and 3 to 7, as poolwise composes it.
select='select id, sku, name, category, price, stock, created_at, updated_at from products where category = :c order by id'
matching_rows=21000
seeded_rows=2000000
# Of the nodes of the Redis Cluster, where one is wanted.
cluster_pids=()

say() { echo "bench: $*" >&2; }

die() {
    say "$*"
    exit 1
}

usage() {
    cat <<'HELP'
Usage: scripts/bench.sh [--quick] [--seconds S] [--rounds N] [--only N[,N]...]

Builds the release, starts a private PostgreSQL, Redis and nginx, measures, and prints a Markdown
table to stdout; progress goes to stderr. Takes about 25 minutes. Keep the machine quiet.

  --quick       3 s a cell, one round: to see that it works
  --seconds S   length of a cell (10)
  --rounds N    how often everything is measured (3)
  --only N,N    only these rows:
                1 pooled/pgbench   2 the same, limit=100   3 API CPU/database CPU
                4 memory/nginx     5 redis/redis-benchmark 6 gzip/identity
                7 peak memory      8 seeding               9 the ceiling, /noop
                12 the lab's load driver/wrk           13 MariaDB/its bare driver
                14 PgBouncer/pgbench through it        15 Redis Cluster/one Redis
                over 2,000,000 rows:
                16 a page, 200 clients/pgbench         17 a shop of 400 users
                18 orders/pgbench                      19 pages, the last/the first

Missing programs are installed with apt-get. Exits with 1 when something could not be measured;
a target that is missed is a result, not an error.
HELP
}

# number OPTION VALUE
number() { [[ ${2:-} =~ ^[1-9][0-9]{0,5}$ ]] || die "$1 needs a whole number above 0"; }

parse_arguments() {
    while (($# > 0)); do
        case $1 in
        --quick) seconds=3 rounds=1 ;;
        --seconds) number "$@" && seconds=$2 && shift ;;
        --rounds) number "$@" && rounds=$2 && shift ;;
        --only)
            [[ ${2:-} =~ ^([1-9]|1[2-9])(,([1-9]|1[2-9]))*$ ]] ||
                die '--only needs numbers from 1 to 9 and 12 to 19, as in 1,4'
            only=$2
            shift
            ;;
        -h | --help)
            usage
            exit 0
            ;;
        *) die "unknown option $1; see --help" ;;
        esac
        shift
    done
}

is_wanted() { [[ ,$only, == *",$1,"* ]]; }

# --- the cells: each measures both sides of a ratio, once -----------------------------------------

cell_pooled() {
    measure_http pooled "$(products pooled)"
    record_ratio api_to_database_cpu pooled.web_ms pooled.database_ms
    if is_wanted 1; then
        measure_pgbench pgbench "$select"
        record_ratio pooled_to_pgbench pooled.rate pgbench.rate
    fi
}

cell_page() {
    measure_http page "$(products pooled)&limit=100"
    measure_pgbench pgbench-page "$select limit 100"
    record_ratio page_to_pgbench page.rate pgbench-page.rate
}

cell_memory() {
    measure_http memory "$(products memory)"
    measure_http nginx "$nginx_url/products.json"
    record_ratio memory_to_nginx memory.rate nginx.rate
}

cell_redis() {
    measure_redis_hits redis-alone
    measure_redis_benchmark redis-benchmark "$(redis_key redis-alone)"
    measure_redis_hits redis-shared
    record_ratio redis_alone_to_benchmark redis-alone.rate redis-benchmark.rate
    record_ratio redis_shared_to_benchmark redis-shared.rate redis-benchmark.rate
    record_ratio api_to_redis_cpu redis-alone.web_ms redis-alone.redis_ms
}

# measure_redis_hits STRATEGY [NAME]. Answers that went past the cache make the figure another one,
# so they are told.
measure_redis_hits() {
    local strategy=$1 name=${2:-$1} before bypassed
    before=$(cache_counter "$strategy" bypassed)
    measure_http "$name" "$(products "$strategy")"
    bypassed=$(($(cache_counter "$strategy" bypassed) - before))
    ((bypassed == 0)) ||
        note "$name: $bypassed answers of a round came from the database, because server.body_budget had no room for them."
}

# One key is on one node of the cluster, so both sides ask one server for the same value.
cell_cluster() {
    measure_redis_hits redis-alone one-redis
    start_poolwise bench.toml cluster.toml
    warm redis-alone
    curl -sf "$(products redis-alone)" | cmp -s - "$work/nginx/www/products.json" || {
        say 'the cluster answers with other bytes than pooled'
        return 1
    }
    measure_redis_hits redis-alone redis-cluster
    stop "$poolwise_pid"
    record_ratio cluster_to_one redis-cluster.rate one-redis.rate
}

# The name under which poolwise itself keeps the answer of a strategy.
redis_key() {
    local key
    key=$(redis --scan --pattern "poolwise:*:$1:identity:category=electronics")
    (($(redis strlen "$key") > body_bytes)) || {
        say "Redis does not hold the answer of $1"
        return 1
    }
    echo "$key"
}

cell_gzip() {
    local header='Accept-Encoding: gzip' bytes
    warm memory "$header"
    bytes=$(curl -sf -o /dev/null -w '%{size_download}' -H "$header" "$(products memory)")
    measure_http identity "$(products memory)"
    measure_http gzip "$(products memory)" "$header"
    record gzip_share "$(calculate \
        "$(latest gzip.rate) / $(latest identity.rate) / ($body_bytes / $bytes)")"
    note "gzip: $bytes bytes instead of $body_bytes, $(calculate "$body_bytes / $bytes" | cut -c 1-4) : 1."
}

cell_noop() { measure_http noop "$poolwise_url/noop"; }

cell_slow_pooled() { measure_slow_readers slow_pooled pooled; }

# Its entry is in Redis already: the first process has put it there.
cell_slow_redis() { measure_slow_readers slow_redis redis-shared; }

# measure_slow_readers NAME STRATEGY: the peak of a process that does nothing else.
measure_slow_readers() {
    local name=$1 strategy=$2 outcome peak
    start_poolwise bench.toml slow.toml
    if ! outcome=$(timeout 900 "$slow_readers" --clients 200 "$(products "$strategy")"); then
        record "$name.incomplete" 1
    fi
    [[ -n $outcome ]] || return 1
    peak=$(awk '/^VmHWM/ { printf "%.1f", $2 / 1024 }' "/proc/$poolwise_pid/status")
    stop "$poolwise_pid"
    record "$name" "$peak"
    note "200 slow clients of $strategy: $outcome."
    say "  $name: a peak of $peak MiB; $outcome"
}

cell_seeding() {
    local before
    sql postgres 'set client_min_messages = warning' 'drop database if exists seeding' \
        'create database seeding' checkpoint
    before=$EPOCHREALTIME
    "$poolwise" seed --config "$work/bench.toml" --config "$work/seeding.toml" \
        --rows "$seeded_rows" >"$work/seed.log" 2>&1 || {
        cat "$work/seed.log" >&2
        return 1
    }
    record seeding "$(calculate "$seeded_rows / ($EPOCHREALTIME - $before)")"
    say "  $(tail -n 1 "$work/seed.log")"
    sql postgres 'drop database seeding'
}

# --- all of it ----------------------------------------------------------------------------------

prepare() {
    local strategy file
    # Other settings of whoever calls would change what is measured.
    unset "${!POOLWISE__@}" "${!PG@}"
    install_missing
    build
    work=$(mktemp -d "${TMPDIR:-/tmp}/poolwise-bench.XXXXXX")
    chmod 755 "$work"
    touch "$work/samples"
    # It has a server of its own.
    [[ $only != 12 ]] || return 0
    say 'starting PostgreSQL, Redis, nginx and poolwise'
    start_postgres
    start_redis
    if is_wanted 15; then start_redis_cluster; fi
    start_nginx
    write_configs
    "$poolwise" seed --config "$work/bench.toml" --rows 60000 >/dev/null
    if is_wanted 13; then start_mariadb; fi
    if is_wanted 14; then start_pgbouncer; fi
    if wants_millions; then start_millions; fi
    # What autovacuum would do in the middle of it.
    sql poolwise 'vacuum analyze products' checkpoint
    start_poolwise bench.toml
    file=$work/nginx/www/products.json
    curl -sf -o "$file" "$(products pooled)"
    body_bytes=$(stat -c %s "$file")
    [[ $(grep -o '"sku":' "$file" | wc -l) == "$matching_rows" ]] ||
        die "the answer of pooled does not have $matching_rows rows"
    for strategy in memory redis-shared redis-alone; do
        warm "$strategy"
        curl -sf "$(products "$strategy")" | cmp -s - "$file" ||
            die "$strategy answers with other bytes than pooled"
    done
}

# cell NAME: in a shell of its own, so that what fails there fails alone.
cell() {
    local status
    say "round $round of $rounds: $1"
    set +e
    (
        set -e
        "cell_$1"
    )
    status=$?
    set -e
    if ((status != 0)); then
        say "$1 could not be measured"
        failures=$((failures + 1))
    fi
}

measure_all() {
    local round
    for ((round = 1; round <= rounds; round++)); do
        if is_wanted 1 || is_wanted 3; then cell pooled; fi
        if is_wanted 2; then cell page; fi
        if is_wanted 4; then cell memory; fi
        if is_wanted 5; then cell redis; fi
        if is_wanted 6; then cell gzip; fi
        if is_wanted 9; then cell noop; fi
        if is_wanted 12; then cell driver; fi
        if is_wanted 13; then cell mariadb; fi
        if is_wanted 14; then cell pgbouncer; fi
        if is_wanted 15; then cell cluster; fi
        if is_wanted 16; then cell crowd; fi
        if is_wanted 19; then cell depth; fi
        if is_wanted 17; then cell shop; fi
        if is_wanted 18; then cell orders; fi
    done
    # Last, because the bulk load keeps the database writing for a while.
    for ((round = 1; round <= rounds; round++)); do
        if is_wanted 7; then
            cell slow_pooled
            cell slow_redis
        fi
        if is_wanted 8; then cell seeding; fi
    done
}

# shellcheck source=scripts/bench/servers.sh
source "$root/scripts/bench/servers.sh"
# shellcheck source=scripts/bench/measure.sh
source "$root/scripts/bench/measure.sh"
# shellcheck source=scripts/bench/driver.sh
source "$root/scripts/bench/driver.sh"
# shellcheck source=scripts/bench/doors.sh
source "$root/scripts/bench/doors.sh"
# shellcheck source=scripts/bench/millions.sh
source "$root/scripts/bench/millions.sh"
# shellcheck source=scripts/bench/report.sh
source "$root/scripts/bench/report.sh"

parse_arguments "$@"
load_before=$(cut -d ' ' -f 1 /proc/loadavg)
cpu_before=$(head -n 1 /proc/stat)
failures=0
trap 'exit 130' INT
trap 'exit 143' TERM HUP
trap stop_all EXIT
prepare
measure_all
report
((failures == 0)) || die "could not be measured: $failures of the cells"
