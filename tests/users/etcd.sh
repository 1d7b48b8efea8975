# The write-ahead-log workflow: the daemon in the foreground with `debug`, options in two lists; the
# client means per mille by its 1000; one write on the host proves the delay; the end by umount.
# The client is examples/etcd's, which finds its stubs by itself.
mkdir -p raw/member/wal
charybdefs -f "$PWD/mnt" -omodules=subdir,subdir="$PWD/raw" -oallow_other,nonempty,debug >log 2>&1 &
daemon=$!
soon is_mounted mnt
soon port_open
[ "$(findmnt -T mnt -no FSTYPE,SOURCE)" = 'fuse.charybdefs charybdefs' ]
fault() { env -u PYTHONPATH python3 "$REPOSITORY/examples/etcd/charyb_fault.py" "$@"; }
probe() { python3 -c "
import sys
from control import *
assert took(append, sys.argv[1]) >= float(sys.argv[2])" "$@"; }
methods=open,create,write,write_buf,fsync,fdatasync,fsyncdir,flush

[ "$(fault clear)" = 'Charybdefs: CLEARED all faults' ]
[ "$(fault delay --delay-us 300000)" = "Charybdefs: injected delay 300000 us methods=['fsync', \
'fdatasync', 'fsyncdir'] prob=1000/1000 regex='(^|.*/)member/wal/.*'" ]
probe mnt/member/wal/_probe 0.3
slowfs list --json | grep -q '"fired": *1\b'
probe mnt/member/other 0
slowfs list --json | grep -q '"fired": *1\b' # another path is not delayed
fault delay --delay-us 100000 --methods "$methods" --regex '(^|.*/)member/wal/.*' --prob-permil 1000
probe mnt/member/wal/_probe 0.4 # open, write, fsync and flush, 100 ms each
fault clear
slowfs list | grep -q '^no faults'
probe mnt/member/wal/_probe 0
# The documented way to name the stubs, and what it prints where nobody listens.
[ "$(python3 "$REPOSITORY/examples/etcd/charyb_fault.py" --host 127.0.0.1 --port 9090 clear)" = \
    'Charybdefs: CLEARED all faults' ]
fault --port 9 clear 2>refused && die "nobody listens there"
grep -q "Could not connect to any of \[('127.0.0.1', 9)\]" refused
umount mnt
wait "$daemon"
is_gone mnt
