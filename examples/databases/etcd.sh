#!/usr/bin/env bash
# etcd on a slow disk: a put waits for the sync of its log, which etcd complains of; a read from memory does not.
. "$(dirname "$0")/mount.sh"
client=http://127.0.0.1:${PORT:-23790} peer=http://127.0.0.1:${PEER:-23800}
etcd --name one --data-dir "$dir/mnt/etcd" --listen-client-urls "$client" --advertise-client-urls "$client" \
    --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "one=$peer" \
    --logger zap >"$dir/log" 2>&1 &
export ETCDCTL_ENDPOINTS=$client
ready etcdctl put a 1
slowfs delay 1200ms -m fsync -r '(^|.*/)member/wal/.*'
took etcdctl put a 2
took etcdctl get a --print-value-only --consistency=s
grep -o 'slow fdatasync' "$dir/log" | head -1
slowfs clear
took etcdctl put a 3

# What one sees:
#> fault 1: delay 1s200ms -m fsync -r '(^|.*/)member/wal/.*'
#> OK
#> 1200+ ms: etcdctl put a 2
#> 2
#> 0+ ms: etcdctl get a --print-value-only --consistency=s
#> slow fdatasync
#> cleared every fault; 1 fault has gone; released 0 held
#> OK
#> 0+ ms: etcdctl put a 3
