# Scylla's cluster tests: over a directory that is not empty; the client connects as soon as the
# command returns and does not try twice; keyword arguments; one connection from start to end, while
# others come and go; the end by fusermount, the connection still open.
echo hidden >mnt/already-there
charybdefs "$PWD/mnt" -omodules=subdir,subdir="$PWD/raw",allow_other,nonempty 2>log
mkdir -p mnt/commitlog
cat >test.py <<'END'
import errno, os, subprocess, sys, threading, time
from control import *
mnt = os.path.abspath(sys.argv[1])
held = server.Client(protocol())
log = mnt + "/commitlog/CommitLog-1.log"
append(log)

def fault(**changed):
    usual = dict(random=False, err_no=0, probability=0, regexp=".*", kill_caller=False, delay_us=0,
                 auto_delay=False)
    return {**usual, **changed}

held.set_fault(methods=["write", "write_buf"], **fault(err_no=errno.EIO, regexp=".*commitlog.*"))
refused(errno.EIO, append, log)
append(mnt + "/data")
held.set_all_fault(**fault(err_no=errno.ENOSPC, regexp=".*commitlog.*"))
refused(errno.ENOSPC, os.stat, log)
held.clear_fault(method="getattr")
os.stat(log)
# Others are served while this connection stays open.
for _ in range(20):
    with client() as other:
        assert "fsync" in other.get_methods()
# kill_caller: the process that writes dies, this one does not.
held.clear_all_faults()
held.set_fault(methods=["write_buf"], **fault(kill_caller=True))
died = subprocess.run(["sh", "-c", f"exec dd if=/dev/zero of={log} bs=1 count=1 2>/dev/null"])
assert died.returncode == -9, died
held.clear_all_faults()
append(log)
for _ in range(100):  # a copy of one of our descriptors may still be closing
    if subprocess.run(["fusermount", "-u", mnt], stderr=subprocess.DEVNULL).returncode == 0:
        sys.exit(0)
    time.sleep(0.05)
sys.exit("fusermount -u does not get it unmounted")
END
python3 test.py mnt
soon ended charybdefs
[ "$(cat mnt/already-there)" = hidden ]
