#!/usr/bin/env bash
# PostgreSQL whose log cannot be synced, once: it panics, recovers by itself, and has all that it acknowledged.
. "$(dirname "$0")/mount.sh"
PATH=$PATH:$(find /usr/lib/postgresql -name bin | sort -V | tail -1)
"${user[@]}" initdb --username=postgres --auth=trust --no-sync data >/dev/null
"${user[@]}" postgres -D data -c listen_addresses= -c unix_socket_directories="$dir" >"$dir/log" 2>&1 &
sql() { psql -XAtq -h "$dir" -U postgres -c "$1"; }
ready sql 'CREATE TABLE t(v text)'
sql "INSERT INTO t VALUES ('acknowledged')"
slowfs error EIO -m fdatasync -r '.*/pg_wal/.*' --count 1
{ sql "INSERT INTO t VALUES ('in doubt')" 2>&1 || true; } | grep -E 'PANIC|closed'
ready sql 'SELECT 1'
sql "SELECT * FROM t WHERE v = 'acknowledged'"

# What one sees:
#> fault 1: error EIO -m fdatasync -r '.*/pg_wal/.*' --count 1
#> PANIC:  could not fdatasync file "...": Input/output error
#> server closed the connection unexpectedly
#> acknowledged
