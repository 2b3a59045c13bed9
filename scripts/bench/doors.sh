# The other doors: MariaDB held against its bare driver, and PgBouncer against pgbench through the
# same PgBouncer. Sourced by bench.sh.

# --- MariaDB ------------------------------------------------------------------------------------

start_mariadb() {
    local user data=$work/mariadb as=()
    mkdir "$data"
    user=$(id -un)
    if ((EUID == 0)); then
        user=$(id -un mysql 2>/dev/null || echo nobody)
        chown "$user" "$data"
        as=(setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups)
    fi
    mariadb-install-db --no-defaults --user="$user" --datadir="$data/data" --skip-test-db \
        --auth-root-authentication-method=normal >"$work/mariadb.log" 2>&1 || {
        cat "$work/mariadb.log" >&2
        return 1
    }
    mariadb_port=$(free_port)
    # The buffer pool holds the table, as PostgreSQL's shared buffers do; the rest as it comes.
    start TERM "$work/mariadb.log" "${as[@]}" mariadbd --no-defaults --datadir="$data/data" \
        --port="$mariadb_port" --bind-address=127.0.0.1 --socket="$data/socket" \
        --pid-file="$data/pid" --innodb-buffer-pool-size=256M --local-infile=1
    mariadb_pid=$started
    await mariadb "$mariadb_pid" mariadb_sql 'select 1'
    mariadb_sql 'create database poolwise' "create user poolwise@'127.0.0.1'" \
        "grant all on poolwise.* to poolwise@'127.0.0.1'"
    mariadb_url=mysql://poolwise@127.0.0.1:$mariadb_port/poolwise
    cat >"$work/mariadb.toml" <<TOML
[database]
backend = "mysql"
url = "$mariadb_url"
TOML
    "$poolwise" seed --config "$work/bench.toml" --config "$work/mariadb.toml" --rows 60000 >/dev/null
}

# mariadb_sql STATEMENT...
mariadb_sql() {
    local statement
    for statement in "$@"; do
        mariadb --no-defaults --socket="$work/mariadb/socket" --user=root -e "$statement"
    done
}

cell_mariadb() {
    local result statements took
    # Of the same kind: the process whose CPU time is the database's.
    postgres_pid=$mariadb_pid
    start_poolwise bench.toml mariadb.toml
    curl -sf "$(products pooled)" | cmp -s - "$work/nginx/www/products.json" || {
        say 'MariaDB answers with other bytes than PostgreSQL'
        return 1
    }
    measure_http mariadb "$(products pooled)"
    stop "$poolwise_pid"
    run_drain 1 >/dev/null
    result=$(run_drain "$seconds")
    read -r statements took <<<"$result"
    record mysql-async.rate "$(calculate "$statements / $took")"
    record_driver mysql-async "$took"
    say "$(printf '  %-20s %10.1f a second' mysql-async "$(latest mysql-async.rate)")"
    record_ratio mariadb_to_driver mariadb.rate mysql-async.rate
}

# run_drain SECONDS: prints "STATEMENTS SECONDS".
run_drain() {
    timed "$drain_mysql" "$mariadb_url" "${select/:c/?}" electronics --tasks 8 --seconds "$1"
}

# --- PgBouncer ----------------------------------------------------------------------------------

start_pgbouncer() {
    local as=() user
    mkdir "$work/pgbouncer"
    pgbouncer_port=$(free_port)
    cat >"$work/pgbouncer/pgbouncer.ini" <<INI
[databases]
poolwise = host=127.0.0.1 port=$postgres_port dbname=poolwise
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $pgbouncer_port
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 8
max_client_conn = 200
admin_users = poolwise
INI
    sed -i 's/^poolwise = .*/& user=poolwise/' "$work/pgbouncer/pgbouncer.ini"
    if ((EUID == 0)); then
        # It refuses to run as root.
        user=$(id -un postgres 2>/dev/null || echo nobody)
        as=(setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups)
    fi
    start INT "$work/pgbouncer.log" "${as[@]}" pgbouncer "$work/pgbouncer/pgbouncer.ini"
    await pgbouncer "$started" env PGCONNECT_TIMEOUT=2 "$postgres_bin/psql" -X -q \
        -h 127.0.0.1 -p "$pgbouncer_port" -U poolwise -d poolwise -c 'select 1'
    cat >"$work/pgbouncer.toml" <<TOML
[database]
url = "postgres://poolwise@127.0.0.1:$pgbouncer_port/poolwise"
prepared_statements = "unnamed"
TOML
}

cell_pgbouncer() {
    start_poolwise bench.toml pgbouncer.toml
    measure_http pgbouncer "$(products pooled)&limit=100"
    stop "$poolwise_pid"
    # Without a named statement a parameter is bound anew each time, as poolwise does here.
    pgbench_mode=extended
    postgres_port=$pgbouncer_port
    measure_pgbench pgbench-pgbouncer "$select limit 100"
    record_ratio pgbouncer_to_pgbench pgbouncer.rate pgbench-pgbouncer.rate
}

# --- the report ---------------------------------------------------------------------------------

door_rows() {
    row 13 mariadb_to_driver 'at least' 0.75 '' \
        'MariaDB: `pooled`, 21,000 rows, 20 clients, pool of 8 / 8 tasks of bare mysql_async draining the same SQL'
    row 14 pgbouncer_to_pgbench 'at least' 0.65 '' \
        'PgBouncer, transaction mode: `pooled`, `limit=100`, 20 clients, pool of 8 / `pgbench -M extended -c 8 -j 1`'
}

door_raws() {
    raw mariadb 'MariaDB: `pooled`, 21,000 rows'
    raw pgbouncer 'PgBouncer: `pooled`, `limit=100`'
    raw pgbench-pgbouncer 'PgBouncer: pgbench, `limit 100`'
}
