#!/usr/bin/env bash
# Redis on a full disk: it takes no more writes and says why, answers reads, and goes on once there is room.
. "$(dirname "$0")/mount.sh"
"${user[@]}" redis-server --port 0 --unixsocket "$dir/socket" --dir "$dir/mnt" --save '' --appendonly yes >"$dir/log" &
cli() { redis-cli -s "$dir/socket" "$@"; }
big=$(printf '%10000s' x)
ready cli ping
cli set a 1
slowfs full --free 0
df --output=avail . | tail -1
# It is told a moment later: by default Redis syncs its log once a second.
until cli set b "$big" | grep -o 'MISCONF.*'; do sleep 0.1; done
cli get a
slowfs clear
until cli set b "$big" | grep OK; do sleep 0.1; done

# What one sees:
#> OK
#> fault 1: full --free 0
#>     0
#> MISCONF Errors writing to the AOF file: No space left on device
#> 1
#> cleared every fault; 1 fault has gone; released 0 held
#> OK
