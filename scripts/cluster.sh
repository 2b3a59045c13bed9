#!/usr/bin/env bash
# A Galera cluster of two nodes (MariaDB) and a Redis Cluster of three, private and on free ports, to try Poolwise over
# more than one machine's worth of servers. Everything goes when it ends.
#   scripts/cluster.sh                  runs until Ctrl-C, and prints URLs and a configuration
#   scripts/cluster.sh -- COMMAND...    runs COMMAND over it, and ends with its exit code
# COMMAND finds in its environment: CLUSTER_CONFIG (a file for --config), CLUSTER_GALERA_PORT, CLUSTER_REDIS_URL.
set -euo pipefail
shopt -s inherit_errexit
umask 022
export LC_ALL=C
export PATH=$PATH:/usr/sbin:/sbin

galera=/usr/lib/galera/libgalera_smm.so
say() { echo "cluster: $*" >&2; }
die() { say "$*"; exit 1; }

case ${1-} in
'') command=() ;;
--)
    shift
    command=("$@")
    ((${#command[@]} > 0)) || die 'a command is missing after --'
    ;;
*) die "$1 is not known; there is -- COMMAND..." ;;
esac

# The packages of the programs that are missing.
missing() {
    command -v mariadbd >/dev/null || echo mariadb-server
    [ -e "$galera" ] || echo galera-4
    # A node that joins gets its first copy through these.
    command -v rsync >/dev/null || echo rsync
    command -v lsof >/dev/null || echo lsof
    command -v redis-server >/dev/null || echo redis-server
    command -v redis-cli >/dev/null || echo redis-tools
}

mapfile -t packages < <(missing)
if ((${#packages[@]} > 0)); then
    as_root=()
    if ((EUID != 0)); then as_root=(sudo); fi
    command -v apt-get >/dev/null || die "please install ${packages[*]}: there is no apt-get here"
    say "installing ${packages[*]}"
    {
        "${as_root[@]}" apt-get update -q
        # RUNLEVEL=1: the packages' own servers need not start.
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
            apt-get install -yq --no-install-recommends "${packages[@]}"
    } >&2
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/poolwise-cluster-XXXXXX")
pids=() group=

stop_all() {
    local pid
    [ -z "$group" ] || kill -- "-$group" 2>/dev/null || true
    # The last one started goes first.
    for ((i = ${#pids[@]} - 1; i >= 0; i--)); do kill "${pids[i]}" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do
        for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap stop_all EXIT
# To end it is what a person does; what was to be run has not been then.
if ((${#command[@]} > 0)); then
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
else
    trap 'say stopping; exit 0' INT TERM HUP
fi

# MariaDB refuses to be root.
as_user=()
if ((EUID == 0)); then
    user=$(id -un mysql 2>/dev/null || echo nobody)
    chown "$user" "$work"
    as_user=(setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups)
fi

# A free port, as the kernel hands it out, once.
declare -A taken=()
free_port() {
    local port
    while :; do
        port=$(perl -MIO::Socket::INET \
            -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport')
        if [[ -z ${taken[$port]:-} ]]; then break; fi
    done
    taken[$port]=1
    REPLY=$port
}

# start NAME COMMAND...: runs it beside us.
start() {
    local name=$1
    shift
    (cd "$work" && exec "$@") >"$work/$name.log" 2>&1 </dev/null &
    pids+=($!)
}

# await NAME CHECK...: until CHECK succeeds; dies when the last one started has ended, or after 60 s.
await() {
    local name=$1
    shift
    for _ in $(seq 600); do
        "$@" >/dev/null 2>&1 && return
        kill -0 "${pids[-1]}" 2>/dev/null || break
        sleep 0.1
    done
    tail -n 20 "$work/$name.log" >&2
    die "$name did not start"
}

# --- Galera -------------------------------------------------------------------------------------

node_ports=() group_ports=()
for node in 1 2; do
    free_port && node_ports+=("$REPLY")
    free_port && group_ports+=("$REPLY")
done
group=$(printf ',127.0.0.1:%s' "${group_ports[@]}")
group=gcomm://${group#,}

# sql NODE STATEMENT
sql() { mariadb --no-defaults -h 127.0.0.1 -P "${node_ports[$1 - 1]}" -u root -N -B -e "$2"; }
has_joined() { [ "$(sql "$1" "show status like 'wsrep_ready'" | cut -f 2)" = ON ]; }

# galera_node NUMBER OPTION...
galera_node() {
    local node=$1 data=$work/galera-$1 port transfer streaming
    shift
    port=${node_ports[node - 1]}
    free_port && transfer=$REPLY
    free_port && streaming=$REPLY
    # sync_wait: a read on one node sees what was committed on the other before. The time-outs of evs and gmcast: on a
    # busy machine a node may say nothing for a while, and is not to be thrown out for it.
    start "galera-$node" "${as_user[@]}" mariadbd --no-defaults --datadir="$data" --tmpdir="$work" \
        --socket="$work/galera-$node.socket" --pid-file="$work/galera-$node.pid" \
        --bind-address=127.0.0.1 --port="$port" --skip-name-resolve \
        --character-set-server=utf8mb4 --binlog-format=row --default-storage-engine=InnoDB \
        --innodb-autoinc-lock-mode=2 --innodb-flush-log-at-trx-commit=0 --innodb-flush-method=nosync \
        --innodb-doublewrite=0 --innodb-buffer-pool-size=64M --innodb-log-file-size=8M --max-connections=200 \
        --wsrep-on=ON --wsrep-provider="$galera" --wsrep-cluster-name=poolwise \
        --wsrep-cluster-address="$group" --wsrep-node-name="node-$node" \
        --wsrep-node-address="127.0.0.1:${group_ports[node - 1]}" \
        --wsrep-sst-method=rsync --wsrep-sst-receive-address="127.0.0.1:$transfer" \
        --wsrep-sync-wait=7 --wsrep-slave-threads=2 \
        --wsrep-provider-options="gmcast.listen_addr=tcp://127.0.0.1:${group_ports[node - 1]};ist.recv_addr=127.0.0.1:$streaming;gcache.size=64M;pc.recovery=no;evs.suspect_timeout=PT30S;evs.inactive_timeout=PT60S;gmcast.peer_timeout=PT30S" \
        "$@"
    await "galera-$node" has_joined "$node"
}

say 'starting Galera'
# The files come from the first node to the second; both need the tables of the server itself to start.
"${as_user[@]}" mariadb-install-db --no-defaults --datadir="$work/galera-1" --tmpdir="$work" \
    --auth-root-authentication-method=normal --skip-test-db >"$work/install.log" 2>&1 ||
    { cat "$work/install.log" >&2; die 'mariadb-install-db failed'; }
galera_node 1 --wsrep-new-cluster
for host in localhost 127.0.0.1; do
    sql 1 "create user poolwise@'$host' identified by 'secret';
        grant all on poolwise.* to poolwise@'$host'; grant all on \`products%\`.* to poolwise@'$host';
        grant process on *.* to poolwise@'$host'"
done
sql 1 'create database poolwise character set utf8mb4'
"${as_user[@]}" mkdir "$work/galera-2"
galera_node 2
[ "$(sql 2 "show status like 'wsrep_cluster_size'" | cut -f 2)" = 2 ] || die 'the nodes do not see each other'

# --- Redis Cluster ------------------------------------------------------------------------------

say 'starting Redis Cluster'
nodes=()
for node in 1 2 3; do
    mkdir "$work/redis-$node"
    free_port && port=$REPLY
    free_port
    start "redis-$node" redis-server --bind 127.0.0.1 --port "$port" --cluster-port "$REPLY" \
        --cluster-enabled yes --save '' --appendonly no --dir "$work/redis-$node"
    await "redis-$node" redis-cli -h 127.0.0.1 -p "$port" ping
    nodes+=("127.0.0.1:$port")
done
redis-cli --cluster create "${nodes[@]}" --cluster-yes >"$work/redis.log" 2>&1 ||
    { cat "$work/redis.log" >&2; die 'the Redis Cluster could not be made'; }
covers() { redis-cli -h 127.0.0.1 -p "${1#*:}" cluster info | grep -q '^cluster_state:ok'; }
for node in "${nodes[@]}"; do await redis covers "$node"; done

# --- what to do with it -------------------------------------------------------------------------

url() { echo "mysql://poolwise:secret@127.0.0.1:${node_ports[$1 - 1]}/poolwise"; }
CLUSTER_REDIS_URL=redis-cluster://$(IFS=, && echo "${nodes[*]}")
CLUSTER_GALERA_PORT=${node_ports[0]}
CLUSTER_CONFIG=$work/poolwise.toml
export CLUSTER_REDIS_URL CLUSTER_GALERA_PORT CLUSTER_CONFIG
cat >"$work/new.toml" <<TOML
[database]
backend = "mysql"
url = "$(url 1)"
pool_size = 8

[cache]
redis_url = "$CLUSTER_REDIS_URL"

[auth]
signing_key = "$(head -c 32 /dev/urandom | base64 -w 0)"

[seed]
auto = true

[strategies.cached]
access = "pool"
cache = "redis"

# The same through the other node.
[strategies.other-node]
access = "pool"
database_url = "$(url 2)"
TOML
chmod 644 "$work/new.toml"
mv "$work/new.toml" "$CLUSTER_CONFIG"

if ((${#command[@]} > 0)); then
    status=0
    # Beside us, so that we hear of a signal at once, and in a group of its own, which ends with us.
    setsid "${command[@]}" <&0 &
    group=$!
    pids+=("$group")
    wait "$group" || status=$?
    exit "$status"
fi

cat <<TEXT
Galera:         $(url 1)
                $(url 2)
Redis Cluster:  $CLUSTER_REDIS_URL
Configuration:  $CLUSTER_CONFIG

  cargo run --release --all-features -- --config $CLUSTER_CONFIG

Ctrl-C ends it.
TEXT
# Whichever ends first: none should.
wait -n "${pids[@]}" || true
die 'a server has ended'
