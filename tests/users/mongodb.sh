# MongoDB's and Percona's test runners: the daemon in the foreground of a child, which is up once
# /proc/mounts names charybdefs; faults on the journal and the data files; the end by pkill.
for end in 'pkill charybdefs' 'killall charybdefs'; do
    rm -rf raw/* && mkdir -p raw/journal
    charybdefs "$PWD/mnt" -omodules=subdir,subdir="$PWD/raw",allow_other -f >log 2>&1 &
    daemon=$!
    soon grep -q "^charybdefs $PWD/mnt " /proc/mounts
    soon port_open
    python3 - mnt <<'END'
import errno, os, sys
from control import *
mnt = sys.argv[1]
log, data = mnt + "/journal/WiredTigerLog.1", mnt + "/collection.wt"
append(log)
append(data)
with client() as c:
    c.clear_all_faults()
    c.set_fault(["write_buf"], False, errno.ENOSPC, 100000, ".*/journal/.*", False, 0, False)
    refused(errno.ENOSPC, append, log)
    append(data)
    c.set_fault(["fsync", "fdatasync"], False, errno.EIO, 100000, r".*\.wt", False, 0, False)
    refused(errno.EIO, append, data)
    c.clear_fault("write_buf")
    append(log)
    c.clear_all_faults()
append(data)
assert open(log).read() == "entry\n" * 2
END
    $end
    wait "$daemon"
    ! grep -q '^charybdefs ' /proc/mounts
done
