#!/usr/bin/env bash
# SQLite on a slow disk: a commit waits for the sync of its log, a reader for nothing.
. "$(dirname "$0")/mount.sh"
sql() { sqlite3 -batch -cmd '.timeout 5000' bank.db "$1"; }
sql 'PRAGMA journal_mode = WAL; CREATE TABLE t(v); INSERT INTO t VALUES (1)'
slowfs delay 300ms -m fsync --glob bank.db-wal --name slow-log
took sql 'PRAGMA synchronous = FULL; INSERT INTO t VALUES (2)'
took sql 'SELECT * FROM t'
slowfs list slow-log --json | grep -o '"fired":[0-9]*'
slowfs clear
took sql 'PRAGMA synchronous = FULL; INSERT INTO t VALUES (3)'

# What one sees:
#> wal
#> fault 1: delay 300ms -m fsync -r '.*/bank\.db-wal' --name slow-log
#> 600+ ms: sql PRAGMA synchronous = FULL; INSERT INTO t VALUES (2)
#> 1
#> 2
#> 0+ ms: sql SELECT * FROM t
#> "fired":2+
#> cleared every fault; 1 fault has gone; released 0 held
#> 0+ ms: sql PRAGMA synchronous = FULL; INSERT INTO t VALUES (3)
