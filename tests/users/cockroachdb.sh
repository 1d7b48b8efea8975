# CockroachDB's disk-stall roachtest: two directories in the store, the daemon started and ready when
# the command returns, everybody may write; the disk stalls, the process is killed while it stalls,
# the fault is cleared by another connection; the end by umount -f.
store=$PWD/store
mkdir -p "$store"/{real,faulty}
charybdefs "$store/faulty" -oallow_other,modules=subdir,subdir="$store/real" 2>log && chmod 777 "$store"/{real,faulty}
setpriv --reuid 65534 --regid 65534 --clear-groups touch "$store/faulty/000001.log"
[ "$(stat -c %u "$store/real/000001.log")" = 65534 ]
python3 - "$store/faulty/000001.log" <<'END'
import signal, subprocess, sys, time
from control import *
log = sys.argv[1]
with client() as c:
    # The nemesis stalls with the longest delay that there is.
    c.set_all_fault(False, 0, 100000, ".*", False, 2**31 - 1, False)
# In full view of the kernel: a process that hangs in write(2) on the stalled disk.
stalled = subprocess.Popen(["sh", "-c", 'echo entry >>"$0"', log])
until(lambda: faults()[0].held > 0)
assert stalled.poll() is None, "it does not stall"
began = time.monotonic()
stalled.send_signal(signal.SIGKILL)
stalled.wait(10)
assert time.monotonic() - began < 2, "a killed process hangs on the stalled disk"
with client() as c:
    assert took(c.clear_all_faults) < 1
append(log)
END
[ "$(cat "$store/real/000001.log")" = entry ]
umount -f "$store/faulty"
within 2000 soon ended charybdefs
is_gone "$store/faulty"
