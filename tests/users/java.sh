# A Java client and the daemon it starts: options before the mountpoint, given a second to come up;
# all faults cleared on connecting; field ids counted from 1; the end by SIGTERM to the child.
charybdefs -f -d "$PWD/mnt" -omodules=subdir,subdir="$PWD/raw" >log 2>&1 &
daemon=$!
sleep 1 # the client's own, not the test's: it does not wait for a condition either
python3 - mnt <<'END'
import errno, os, sys, time
from control import *
mnt = sys.argv[1]
java = protocol()
call(java, "clear_all_faults")
order = ["fsync", "fdatasync"], False, errno.EIO, 100000, ".*/commit.log", False, 0, False
call(java, "set_fault", *enumerate(order, 1))
refused(errno.EIO, append, mnt + "/commit.log")
append(mnt + "/other.log")
call(java, "clear_fault", (1, "fsync"))
append(mnt + "/commit.log")
call(java, "set_all_fault", *enumerate((False, 0, 100000, ".*/commit.log", False, 50000, False), 1))
assert took(append, mnt + "/commit.log") >= 0.05
call(java, "get_methods")
call(java, "clear_all_faults")
assert took(append, mnt + "/commit.log") < 3
END
kill "$daemon"
wait "$daemon"
is_gone mnt
