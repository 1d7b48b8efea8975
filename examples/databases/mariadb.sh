#!/usr/bin/env bash
# MariaDB on a disk that hangs: a commit waits, a reader does not (and sees the row, before it is durable), and all
# goes on once the disk does.
. "$(dirname "$0")/mount.sh"
PATH=$PATH:/usr/sbin
"${user[@]}" mariadb-install-db --no-defaults --datadir="$dir/mnt/data" --auth-root-authentication-method=normal >/dev/null
"${user[@]}" mariadbd --no-defaults --datadir="$dir/mnt/data" --socket="$dir/socket" --skip-networking >"$dir/log" 2>&1 &
sql() { mariadb --no-defaults --socket="$dir/socket" --user=root --skip-column-names -e "$1"; }
ready sql 'SELECT 1'
sql 'CREATE DATABASE bank; CREATE TABLE bank.t(v TEXT)'
slowfs hang -m fsync -r '.*/ib_logfile0' --name stuck
sql "INSERT INTO bank.t VALUES ('late')" && echo committed &
insert=$!
slowfs wait stuck --held 1
sql "SELECT state, info FROM information_schema.processlist WHERE info LIKE 'INSERT%'"
sql 'SELECT COUNT(*) FROM bank.t'
slowfs clear stuck
wait $insert
sql 'SELECT * FROM bank.t'

# What one sees:
#> fault 1: hang -m fsync -r '.*/ib_logfile0' --name stuck
#> fault stuck has held 1 at once
#> Commit	INSERT INTO bank.t VALUES ('late')
#> 1
#> cleared stuck; 1 fault has gone; released 1 held
#> committed
#> late
