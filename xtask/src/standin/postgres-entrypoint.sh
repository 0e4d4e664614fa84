#!/bin/sh
# Stand-in for the entrypoint of the official PostgreSQL image, with its contract:
#   POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB, POSTGRES_INITDB_ARGS (each also as ..._FILE), PGDATA,
#   POSTGRES_HOST_AUTH_METHOD, and scripts in /docker-entrypoint-initdb.d, run once on an empty data directory.
#
# Where the parent of PGDATA may be written, the database is made beside it and moved into place when it is
# complete: a container killed in the middle starts afresh instead of finding half a database.
set -eu

say() { echo "entrypoint: $*" >&2; }
fail() { say "$*"; exit 1; }

# The value of $1, or what the file named by $1_FILE holds, or $2.
setting() {
    eval "value=\${$1:-} file=\${${1}_FILE:-}"
    if [ -n "$value" ] && [ -n "$file" ]; then fail "both $1 and ${1}_FILE are set"; fi
    if [ -n "$file" ]; then value=$(cat "$file"); fi
    printf '%s' "${value:-$2}"
}

case ${1:-} in
'' | -*) set -- postgres "$@" ;;
esac
if [ "$1" != postgres ]; then exec "$@"; fi

if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA"
    chown 70:70 "$PGDATA"
    find "$PGDATA" \! -user 70 -exec chown 70:70 '{}' +
    exec setpriv --reuid=70 --regid=70 --clear-groups -- "$0" "$@"
fi

sockets=/var/run/postgresql
if ! [ -w "$sockets" ]; then sockets=/tmp; fi

# Runs SQL from standard input in database $1 of the server that is being prepared.
ask() {
    psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --host "$sockets" --port "${PGPORT:-5432}" --username "$user" --dbname "$1"
}

run_scripts() {
    for script in /docker-entrypoint-initdb.d/*; do
        say "running $script"
        case $script in
        *.sh) if [ -x "$script" ]; then "$script"; else . "$script"; fi ;;
        *.sql) ask "$db" < "$script" ;;
        *.sql.gz) gunzip -c "$script" | ask "$db" ;;
        *.sql.xz) xzcat "$script" | ask "$db" ;;
        *) say "ignoring $script" ;;
        esac
    done
}

# Makes a database in the folder $1.
make() {
    new=$1
    say "making a database for user $user"
    secret=$(mktemp)
    trap 'rm -f "$secret"' EXIT
    printf '%s\n' "$password" > "$secret"
    # Not synced file by file: the whole is synced at the end, before it counts.
    # shellcheck disable=SC2086
    initdb --pgdata="$new" --username="$user" --pwfile="$secret" --auth-local=trust --auth-host="$method" \
        --encoding=UTF8 --locale=C.UTF-8 --no-sync --no-instructions $(setting POSTGRES_INITDB_ARGS '') > /dev/null
    rm -f "$secret"
    printf '\nhost all all all %s\n' "$method" >> "$new/pg_hba.conf"
    printf "\nlisten_addresses = '*'\n" >> "$new/postgresql.conf"
    if [ "$db" != postgres ]; then
        quoted=$(printf '%s' "$db" | sed 's/"/""/g')
        # Without a server: it would take longer to start than the statement to run.
        printf 'CREATE DATABASE "%s"\n' "$quoted" | postgres --single -F -D "$new" postgres > /dev/null
    fi
    if [ -n "$(ls /docker-entrypoint-initdb.d)" ]; then
        export PGUSER="$user" PGDATABASE="$db" PGHOST="$sockets" POSTGRES_USER="$user" POSTGRES_DB="$db"
        pg_ctl --pgdata="$new" --wait --silent --options="-c listen_addresses='' -k $sockets -F" start > /dev/null
        run_scripts
        pg_ctl --pgdata="$new" --wait --silent --mode=fast stop
        unset PGUSER PGDATABASE PGHOST
    fi
    # One call for the whole file system is ten times as fast as one for each of a thousand files.
    sync -f "$new" 2> /dev/null || initdb --pgdata="$new" --sync-only > /dev/null
}

if ! [ -s "$PGDATA/PG_VERSION" ]; then
    user=$(setting POSTGRES_USER postgres)
    db=$(setting POSTGRES_DB "$user")
    password=$(setting POSTGRES_PASSWORD '')
    method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
    if [ -z "$password" ] && [ "$method" != trust ]; then
        fail "POSTGRES_PASSWORD is not set: a database without a password is open to everybody"
    fi
    umask 0077
    if [ -z "$password" ]; then password=$(head -c 24 /dev/urandom | base64); fi
    parent=$(dirname "$PGDATA")
    if [ -w "$parent" ] && { ! [ -e "$PGDATA" ] || rmdir "$PGDATA" 2> /dev/null; }; then
        rm -rf "$PGDATA.new"
        make "$PGDATA.new"
        mv "$PGDATA.new" "$PGDATA"
        sync -f "$parent" 2> /dev/null || sync
    else
        make "$PGDATA"
    fi
    say "the database is ready"
fi

# The server refuses a directory that others can write, which is how a volume's group may have left it.
chmod 0700 "$PGDATA"

# The password stays out of the server's environment.
unset POSTGRES_PASSWORD
if [ "$sockets" = /tmp ]; then exec "$@" -k /tmp; fi
exec "$@"
