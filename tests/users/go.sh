# Go's clients: a new connection for each call, a deadline of three seconds, and the fields written
# from the last to the first; while operations are held, and many of them.
charybdefs "$PWD/mnt" -omodules=subdir,subdir="$PWD/raw",allow_other 2>log
python3 - mnt <<'END'
import errno, os, sys, threading
from control import *
mnt = os.path.abspath(sys.argv[1])

def go(name, *arguments):
    connection = protocol(timeout_ms=3000)
    fields = [(-number, value) for number, value in enumerate(arguments, 1)]
    call(connection, name, *reversed(fields))
    connection.trans.close()

def stall(methods, regexp):
    go("set_fault", methods, False, 0, 100000, regexp, False, 2**31 - 1, False)

for _ in range(3):
    stall(["write", "write_buf", "fsync"], ".*/stalled-.*")
    writers = [threading.Thread(target=append, args=(f"{mnt}/stalled-{n}",)) for n in range(16)]
    for writer in writers:
        writer.start()
    for _ in range(50):
        assert took(go, "get_methods") < 3
        append(mnt + "/beside")
    assert all(writer.is_alive() for writer in writers)
    assert took(go, "clear_all_faults") < 3
    for writer in writers:
        writer.join(3)
        assert not writer.is_alive(), "clearing did not release it"
go("set_all_fault", False, errno.EIO, 100000, ".*/broken", False, 0, False)
refused(errno.EIO, append, mnt + "/broken")
go("clear_fault", "create")
go("clear_all_faults")
append(mnt + "/broken")
END
umount mnt
soon ended charybdefs
