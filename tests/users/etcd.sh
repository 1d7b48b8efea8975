# The write-ahead-log workflow: the daemon in the foreground with `debug`, options in two lists; the
# client means per mille by its 1000; one write on the host proves the delay; the end by umount.
mkdir -p raw/member/wal
charybdefs -f "$PWD/mnt" -omodules=subdir,subdir="$PWD/raw" -oallow_other,nonempty,debug >log 2>&1 &
daemon=$!
soon is_mounted mnt
soon port_open
[ "$(findmnt -T mnt -no FSTYPE,SOURCE)" = 'fuse.charybdefs charybdefs' ]
python3 - mnt <<'END'
import os, sys
from control import *
probe = sys.argv[1] + "/member/wal/_probe"
methods = "open,create,write,write_buf,fsync,fdatasync,fsyncdir,flush".split(",")
with client() as c:
    c.clear_all_faults()
    c.set_fault(["fsync", "fdatasync", "fsyncdir"], False, 0, 1000, "(^|.*/)member/wal/.*", False, 300000, False)
    assert took(append, probe) >= 0.3
    fired = faults()[0].fired
    append(sys.argv[1] + "/member/other")
    assert faults()[0].fired == fired, "another path is delayed"
    c.set_fault(methods, False, 0, 1000, "(^|.*/)member/wal/.*", False, 100000, False)
    assert took(append, probe) >= 0.4, "open, write, fsync and flush, 100 ms each"
    c.clear_all_faults()
assert not faults()
append(probe)
os.remove(probe)
END
umount mnt
wait "$daemon"
is_gone mnt
