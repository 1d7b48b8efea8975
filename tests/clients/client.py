"""All five calls, by PyPI's thrift and stubs made from server.thrift: client.py PORT MOUNTPOINT"""

import errno
import os
import sys
import time

from server import server
from thrift.protocol import TBinaryProtocol
from thrift.transport import TSocket, TTransport

port, mnt = int(sys.argv[1]), sys.argv[2]
transport = TTransport.TBufferedTransport(TSocket.TSocket("127.0.0.1", port))
client = server.Client(TBinaryProtocol.TBinaryProtocol(transport))
transport.open()


def outcome(call, path):
    try:
        call(path)
        return 0
    except OSError as error:
        return error.errno


def check(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: {found}, not {wanted}")


hit, spared = os.path.join(mnt, "hit"), os.path.join(mnt, "spared")
methods = client.get_methods()
check("methods are sorted", methods, sorted(methods))
check("fsync is a method", "fsync" in methods, True)

client.set_fault(["mkdir", "rmdir", "unheard_of"], False, errno.ENOSPC, 100000, ".*/hit", False, 0, False)
check("mkdir that matches", outcome(os.mkdir, hit), errno.ENOSPC)
check("mkdir that does not", outcome(os.mkdir, spared), 0)
client.clear_fault("mkdir")
check("mkdir after clear_fault", outcome(os.mkdir, hit), 0)
check("rmdir still fails", outcome(os.rmdir, hit), errno.ENOSPC)

client.set_fault(["rmdir"], False, 0, 100000, ".*/spared", False, 60000, False)
began = time.monotonic()
check("rmdir that is delayed", outcome(os.rmdir, spared), 0)
check("it took 60 ms", time.monotonic() - began >= 0.06, True)

client.set_all_fault(False, errno.EIO, 0, ".*/hit", False, 0, False)
check("stat of what matches", outcome(os.stat, hit), errno.EIO)
check("stat of what does not", outcome(os.stat, mnt), 0)
client.clear_all_faults()
check("rmdir after clear_all_faults", outcome(os.rmdir, hit), 0)
transport.close()
