# The programs and the private servers that bench.sh measures with. Sourced by it.
# Everything is kept in $work; what runs is listed in $work/running and stopped by stop_all.

# --- programs -----------------------------------------------------------------------------------

# Where PostgreSQL's own programs are: Debian keeps the server's away from the PATH.
find_postgres() {
    local candidate
    for candidate in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -Vr) \
        "$(dirname "$(command -v initdb || echo /nowhere/initdb)")"; do
        if [[ -x $candidate/initdb && -x $candidate/postgres && -x $candidate/pgbench ]]; then
            postgres_bin=$candidate
            return 0
        fi
    done
    return 1
}

# The Debian packages of the programs that are not here.
missing_packages() {
    local program
    find_postgres || echo postgresql
    for program in wrk redis-server nginx curl perl; do
        command -v "$program" >/dev/null || echo "$program"
    done
    command -v mariadbd >/dev/null || ! is_wanted 13 || echo mariadb-server
    command -v pgbouncer >/dev/null || ! is_wanted 14 || echo pgbouncer
    command -v redis-benchmark redis-cli | wc -l | grep -qx 2 || echo redis-tools
}

install_missing() {
    local packages
    mapfile -t packages < <(missing_packages)
    if ((${#packages[@]} > 0)); then install "${packages[@]}"; fi
    mapfile -t packages < <(missing_packages)
    ((${#packages[@]} == 0)) || die "${packages[*]} still missing after apt-get install"
    find_postgres
}

# install PACKAGE...
install() {
    local packages=("$@") sudo=()
    say "installing ${packages[*]}"
    command -v apt-get >/dev/null ||
        die "please install ${packages[*]}: there is no apt-get here to do it"
    ((EUID == 0)) || sudo=(sudo -n)
    { "${sudo[@]}" apt-get update -q &&
        "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -qy --no-install-recommends "${packages[@]}"; } >&2 ||
        die "apt-get could not install ${packages[*]}; please install them and start again"
}

# Builds the release binary last, by itself: together with the example, the features of the
# development dependencies would be compiled into it.
build() {
    local manifest=$root/Cargo.toml target
    say 'building the release'
    cargo build --release --locked --all-features --manifest-path "$manifest" \
        --example slow_readers --example drive --example fixed_answer --example drain_mysql >&2
    cargo build --release --locked --all-features --manifest-path "$manifest" --bin poolwise >&2
    target=$(cargo metadata --no-deps --locked --format-version 1 --manifest-path "$manifest" |
        sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
    poolwise=$target/release/poolwise
    slow_readers=$target/release/examples/slow_readers
    drive=$target/release/examples/drive
    fixed_answer=$target/release/examples/fixed_answer
    drain_mysql=$target/release/examples/drain_mysql
}

# --- starting and stopping ----------------------------------------------------------------------

# A free port, as the kernel hands it out.
free_port() {
    perl -MIO::Socket::INET \
        -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport'
}

# start SIGNAL LOG COMMAND...: runs it beside us, to be stopped by SIGNAL; its id is in $started.
start() {
    local signal=$1 log=$2
    shift 2
    (cd "$work" && exec "$@") >"$log" 2>&1 </dev/null &
    started=$!
    echo "$started $signal $(birth_of "$started")" >>"$work/running"
}

# When a process was started, in the kernel's count; nothing when it has ended. With its id, which
# the kernel gives out again, it names the process.
birth_of() {
    sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | awk '$1 != "Z" { print $20 }'
}

# await NAME PID CHECK...: until CHECK succeeds; fails when the process ends or 30 s are over.
await() {
    local name=$1 pid=$2 tries
    shift 2
    for ((tries = 0; tries < 300; tries++)); do
        [[ -n $(birth_of "$pid") ]] || break
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.1
    done
    say "$name did not start"
    if [[ -s $work/$name.log ]]; then tail -n 20 "$work/$name.log" >&2; fi
    return 1
}

# stop PID: asks one that we started to stop, and makes it after 10 s.
stop() {
    local pid=$1 signal birth tries
    read -r signal birth < <(sed -n "s/^$pid //p" "$work/running")
    sed -i "/^$pid /d" "$work/running"
    for ((tries = 0; tries < 100; tries++)); do
        [[ -n $birth && $(birth_of "$pid") == "$birth" ]] || return 0
        if ((tries == 0)); then kill "-$signal" "$pid"; fi
        sleep 0.1
    done
    kill -KILL "$pid" || true
}

stop_all() {
    local pids pid
    [[ -n ${work:-} ]] || return 0
    if [[ -s $work/running ]]; then
        # The last one started depends on the others.
        mapfile -t pids < <(tac "$work/running" | cut -d ' ' -f 1)
        for pid in "${pids[@]}"; do stop "$pid"; done
    fi
    rm -rf "$work"
}

# --- the servers --------------------------------------------------------------------------------

# Shared buffers as in the reference figures; everything else as PostgreSQL comes.
start_postgres() {
    local as=() user data=$work/postgres/data
    mkdir "$work/postgres"
    if ((EUID == 0)); then
        # It refuses to run as root.
        user=$(id -un postgres 2>/dev/null || echo nobody)
        chown "$user" "$work/postgres"
        as=(setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups)
    fi
    (cd "$work" && "${as[@]}" "$postgres_bin/initdb" -D "$data" -U poolwise --auth trust \
        --encoding UTF8 --locale C.UTF-8 --no-sync) >"$work/postgres.log" 2>&1 || {
        cat "$work/postgres.log" >&2
        die 'initdb failed'
    }
    postgres_port=$(free_port)
    start INT "$work/postgres.log" "${as[@]}" "$postgres_bin/postgres" -D "$data" \
        -c listen_addresses=127.0.0.1 -c "port=$postgres_port" -c unix_socket_directories= \
        -c shared_buffers=256MB
    postgres_pid=$started
    await postgres "$postgres_pid" sql postgres 'select 1'
    sql postgres 'create database poolwise' >/dev/null
}

# sql DATABASE STATEMENT...
sql() {
    local database=$1 statement commands=()
    shift
    for statement in "$@"; do commands+=(-c "$statement"); done
    "$postgres_bin/psql" -X -q -A -t -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$postgres_port" \
        -U poolwise -d "$database" "${commands[@]}"
}

start_redis() {
    redis_port=$(free_port)
    start TERM "$work/redis.log" redis-server --bind 127.0.0.1 --port "$redis_port" \
        --save '' --appendonly no --dir "$work"
    redis_pid=$started
    await redis "$redis_pid" redis ping
}

redis() { redis-cli -h 127.0.0.1 -p "$redis_port" "$@"; }

# Three primaries that share the slots. Sets $cluster_pids and $cluster_nodes, HOST:PORT,...
start_redis_cluster() {
    local node port nodes=()
    cluster_pids=()
    for node in 1 2 3; do
        mkdir "$work/cluster-$node"
        port=$(free_port_with_bus)
        start TERM "$work/cluster-$node.log" redis-server --bind 127.0.0.1 --port "$port" \
            --save '' --appendonly no --dir "$work/cluster-$node" --cluster-enabled yes
        cluster_pids+=("$started")
        nodes+=("127.0.0.1:$port")
        await "cluster-$node" "$started" redis-cli -h 127.0.0.1 -p "$port" ping
    done
    redis-cli --cluster create "${nodes[@]}" --cluster-yes >"$work/cluster.log" 2>&1 || {
        cat "$work/cluster.log" >&2
        die 'the Redis Cluster could not be made'
    }
    for node in "${nodes[@]}"; do
        await cluster "$started" cluster_is_ready "${node#*:}"
    done
    cluster_nodes=$(IFS=, && echo "${nodes[*]}")
}

cluster_is_ready() { redis-cli -h 127.0.0.1 -p "$1" cluster info | grep -q '^cluster_state:ok'; }

# A node talks to the others on a second port, 10,000 above.
free_port_with_bus() {
    local port
    for ((;;)); do
        port=$(free_port)
        if ((port < 55000)) && perl -MIO::Socket::INET -e 'exit !IO::Socket::INET->new(
            Listen => 1, LocalAddr => "127.0.0.1", LocalPort => $ARGV[0])' $((port + 10000)); then
            echo "$port"
            return 0
        fi
    done
}

# The nginx.conf that Debian ships, but for the log, the prefix and the port.
start_nginx() {
    local user='' mime_types=/etc/nginx/mime.types port
    port=$(free_port)
    nginx_url=http://127.0.0.1:$port
    mkdir -p "$work/nginx/www"
    if ((EUID == 0)); then user="user $(id -un www-data 2>/dev/null || echo nobody);"; fi
    cat >"$work/nginx/nginx.conf" <<NGINX
daemon off;
$user
worker_processes auto;
pid nginx.pid;
error_log stderr;
events {
    worker_connections 768;
}
http {
    sendfile on;
    tcp_nopush on;
    types_hash_max_size 2048;
    include $mime_types;
    default_type application/octet-stream;
    access_log off;
    gzip on;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {
        listen 127.0.0.1:$port;
        root www;
    }
}
NGINX
    echo '[]' >"$work/nginx/www/products.json"
    start TERM "$work/nginx.log" nginx -e stderr -p "$work/nginx/" -c "$work/nginx/nginx.conf"
    nginx_pid=$started
    await nginx "$nginx_pid" curl -sf -o /dev/null "$nginx_url/products.json"
}

write_configs() {
    cat >"$work/bench.toml" <<TOML
[database]
backend = "postgres"
url = "postgres://poolwise@127.0.0.1:$postgres_port/poolwise"
pool_size = 8

[cache]
redis_url = "redis://127.0.0.1:$redis_port"
# Nothing expires while it is measured.
ttl = "1h"

[auth]
signing_key_file = "$work/signing.key"
generate_key = true

[strategies.memory]
access = "pool"
cache = "memory"

[strategies.redis-shared]
access = "pool"
cache = "redis"

[strategies.redis-alone]
access = "pool"
cache = { store = "redis", coalesce = false, compress = false }
TOML
    # Over bench.toml: so long that 200 slow readers are all served.
    cat >"$work/slow.toml" <<TOML
[server]
request_timeout = "300s"
[database]
wait_timeout = "300s"
TOML
    # Over bench.toml: the cluster instead of the one Redis.
    cat >"$work/cluster.toml" <<TOML
[cache]
redis_url = "redis-cluster://${cluster_nodes:-127.0.0.1:1}"
TOML
    # Over bench.toml: a database of its own for the bulk load.
    cat >"$work/seeding.toml" <<TOML
[database]
url = "postgres://poolwise@127.0.0.1:$postgres_port/seeding"
TOML
}

# start_poolwise CONFIG...: its log goes to /dev/null at its default level. Sets $poolwise_pid
# and $poolwise_url.
start_poolwise() {
    local port config arguments=()
    for config in "$@"; do arguments+=(--config "$work/$config"); done
    port=$(free_port)
    arguments+=(--listen "127.0.0.1:$port")
    poolwise_url=http://127.0.0.1:$port
    start TERM /dev/null "$poolwise" "${arguments[@]}"
    poolwise_pid=$started
    if ! await poolwise "$poolwise_pid" curl -sf -o /dev/null "$poolwise_url/noop"; then
        say 'once more, to see what it says:'
        timeout 3 "$poolwise" "${arguments[@]}" 2>&1 | tail -n 20 >&2
        return 1
    fi
}
