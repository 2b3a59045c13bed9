#!/usr/bin/env bash
# Makes the passwords and the key that docker-compose.yml mounts, once: what is there stays as it is.
#   scripts/secrets.sh [FOLDER]      FOLDER: deploy/secrets
# Containers run as users of their own, so each file can be read by everybody who reaches it; the folder is yours
# alone, so that on this machine nobody else does.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

folder=${1:-deploy/secrets}
mkdir -p "$folder"
chmod 700 "$folder"
umask 022

# 24 random bytes; no sign that a URL, a shell or a configuration file would read as its own.
password() { head -c 24 /dev/urandom | base64 -w 0 | tr '+/' '-_'; }

# secret NAME TEXT: written whole or not at all.
secret() {
    [ -e "$folder/$1" ] && return
    printf '%s\n' "$2" >"$folder/$1.new"
    mv "$folder/$1.new" "$folder/$1"
    echo "made $folder/$1"
}

for name in postgres_admin_password postgres_password redis_password mysql_root_password mysql_password grafana_password; do
    secret "$name" "$(password)"
done
secret signing_key "$(head -c 32 /dev/urandom | base64 -w 0)"
# The same passwords in the form in which others read them.
redis=$(cat "$folder/redis_password")
secret redis.conf "requirepass $redis"
secret redis_exporter.json "{\"redis://redis:6379\": \"$redis\"}"
secret mysqld_exporter.cnf "[client]
host = mysql
user = poolwise
password = $(cat "$folder/mysql_password")"
