# What holds at 2,000,000 rows: pages, their depth, a shop of 400 users, and orders. Sourced by
# bench.sh. Its rows lie in a database of their own.

# Of so many products there is enough in stock for every order of a run.
stocked_products=100000
# Depths of a page, in rows: the offsets of the second table.
offsets=(0 1000 10000 100000 1000000)

wants_millions() { is_wanted 16 || is_wanted 17 || is_wanted 18 || is_wanted 19; }

start_millions() {
    say "seeding $seeded_rows rows"
    sql postgres 'create database millions'
    cat >"$work/millions.toml" <<TOML
[database]
url = "postgres://poolwise@127.0.0.1:$postgres_port/millions"
[strategies.cached]
access = "pool"
cache = "redis"
TOML
    "$poolwise" seed --config "$work/bench.toml" --config "$work/millions.toml" \
        --rows "$seeded_rows" >/dev/null
    sql millions "update products set stock = 1000000 where id <= $stocked_products"
    # What autovacuum would do in the middle of it.
    sql millions 'vacuum analyze' checkpoint
}

# --- pages --------------------------------------------------------------------------------------

# measure_page NAME PARAMETERS: of `pooled`, over all rows.
measure_page() { measure_http "$1" "$poolwise_url/products/pooled?limit=100$2"; }

cell_crowd() {
    local clients=200
    start_poolwise bench.toml millions.toml
    measure_page crowd '&offset=0'
    record crowd_p95 "$(<"$work/p95")"
    pgbench_database=millions
    measure_pgbench pgbench-crowd "${select/where category = :c /} limit 100"
    record_ratio crowd_to_pgbench crowd.rate pgbench-crowd.rate
    stop "$poolwise_pid"
}

cell_depth() {
    local offset
    start_poolwise bench.toml millions.toml
    measure_page keyset-first ''
    # Page 20,000 of 100 rows is the last one.
    measure_page keyset-deep "&after=$((seeded_rows - 100))"
    record_ratio keyset_depth keyset-first.rate keyset-deep.rate
    for offset in "${offsets[@]}"; do
        measure_page "offset-$offset" "&offset=$offset"
        record_ratio "offset_$offset" keyset-first.rate "offset-$offset.rate"
    done
    stop "$poolwise_pid"
}

# --- a shop ---------------------------------------------------------------------------------------

cell_shop() {
    local out=$work/shop-$round strategy figure
    # It says by its code that the run is void or that a target was missed; the figures say it, too.
    "$poolwise" lab run shop --config "$work/bench.toml" --config "$work/millions.toml" \
        --strategies pooled,cached --rounds 1 --out "$out" >"$work/shop.log" 2>&1 || true
    if ! compgen -G "$out/*/tables.csv" >/dev/null; then
        cat "$work/shop.log" >&2
        return 1
    fi
    if grep -q '^VOID' "$work/shop.log"; then
        note "the lab calls a shop of this run void: $(grep -A 1 '^VOID' "$work/shop.log" | tail -n 1 | sed 's/^ *//')."
    fi
    for strategy in pooled cached; do
        for figure in latency_p95_ms error_share requests_per_second; do
            shop_figure "$strategy" "$figure" "$out"/*/tables.csv
        done
        say "$(printf '  %-20s %10.1f a second, p95 %.1f ms' "shop, $strategy" \
            "$(latest "shop_${strategy}_requests_per_second")" "$(latest "shop_${strategy}_latency_p95_ms")")"
    done
}

# shop_figure STRATEGY FIGURE FILE
shop_figure() {
    local value
    value=$(awk -F , -v strategy="$1" -v figure="$2" \
        '$1 == "figure" && $3 == strategy && $4 == figure { print $6; exit }' "$3")
    [[ -n $value ]] || { say "the shop's report has no $2 of $1"; return 1; }
    record "shop_$1_$2" "$value"
}

# --- orders ---------------------------------------------------------------------------------------

# Three lines of random products in one transaction: by the API, and the same statements by pgbench.
cell_orders() {
    local user number json='content-type: application/json'
    start_poolwise bench.toml millions.toml
    user="{\"name\":\"bench-$round\",\"password\":\"correct horse battery staple\"}"
    curl -sf -o /dev/null -H "$json" -d "$user" "$poolwise_url/auth/register"
    BENCH_TOKEN=$(curl -sf -H "$json" -d "$user" "$poolwise_url/auth/login" |
        sed -n 's/.*"access_token":"\([^"]*\)".*/\1/p')
    BENCH_PRODUCTS=$stocked_products
    export BENCH_TOKEN BENCH_PRODUCTS
    wrk_script=orders.lua
    measure_http orders "$poolwise_url/orders"
    number=$(sql millions "select id from users where name = 'bench-$round'")
    pgbench_database=millions
    measure_pgbench pgbench-orders "$(order_transaction "$number")"
    record_ratio orders_to_pgbench orders.rate pgbench-orders.rate
    stop "$poolwise_pid"
}

# A statement of sql/postgres/orders.sql by its name; what follows are the values of $1, $2, ...
statement() {
    local text number=0 value
    text=$(sed -n "/^-- name: $1\$/,/^-- name: /{/^-- name: /d;p}" "$root/sql/postgres/orders.sql")
    shift
    for value in "$@"; do
        number=$((number + 1))
        text=${text//"\$$number"/"$value"}
    done
    echo "$text;"
}

# What the service sends for an order, of the user with this number. It fills in the names and prices
# that the first statement has read; pgbench, which keeps no rows, has some of its own. A colon in the
# JSON is followed by a blank, or pgbench would take it for a variable.
order_transaction() {
    local user=$1 third=$((stocked_products / 3)) products=':a::bigint, :b::bigint, :c::bigint'
    local product='{"product_id": %s}'
    local line='"product_id": %s, "sku": "ELE-000000012345", "name": "Some product of a usual name", "price": 1250, "quantity": 1}'
    cat <<PGBENCH
\\set a random(1, $third)
\\set b random($third + 1, 2 * $third)
\\set c random(2 * $third + 1, 3 * $third)
begin;
$(statement lock_products "format('[$product, $product, $product]', $products)")
$(statement place_order "$user" 3 3750 'now()' \
    "format('[{\"position\": 0, $line, {\"position\": 1, $line, {\"position\": 2, $line]', $products)" "''")
commit;
PGBENCH
}

# --- the report ---------------------------------------------------------------------------------

million_rows() {
    local offset strategy
    row 16 crowd_to_pgbench 'at least' 0.6 '' \
        '2,000,000 rows: `pooled`, `limit=100&offset=0`, 200 clients, pool of 8 / pgbench likewise, `-c 8`'
    row 16 crowd_p95 'at most' 200 ' ms' 'its p95'
    for strategy in pooled cached; do
        row 17 "shop_${strategy}_latency_p95_ms" 'at most' 200 ' ms' \
            "a shop of 400 users over 2,000,000 rows, \`$strategy\`: p95"
        row 17 "shop_${strategy}_error_share" 'never above' 0 '' 'the same: share of errors'
        row 17 "shop_${strategy}_requests_per_second" '' '' '/s' 'the same: requests'
    done
    row 18 orders_to_pgbench 'at least' 0.5 '' \
        'orders of 3 lines, 20 clients, pool of 8 / pgbench with the same transaction, `-c 8`'
    row 19 keyset_depth 'at most' 1.2 '' \
        'the cost of a keyset page of 100 rows, the 20,000th / the first'
    for offset in "${offsets[@]}"; do
        row 19 "offset_$offset" '' '' '' "the cost of a page after \`offset=$offset\` / the first"
    done
}

million_raws() {
    local offset
    raw crowd '2,000,000 rows: `pooled`, `limit=100&offset=0`, 200 clients'
    raw pgbench-crowd '2,000,000 rows: pgbench, `limit 100`'
    raw orders 'orders of 3 lines'
    raw pgbench-orders 'pgbench, the same transaction'
    raw keyset-first '2,000,000 rows: the first page of 100'
    raw keyset-deep 'the 20,000th, by `after`'
    for offset in "${offsets[@]}"; do raw "offset-$offset" "a page after \`offset=$offset\`"; done
}
