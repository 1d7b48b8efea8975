#!/usr/bin/python3
"""charybdefs's cookbook over Thrift: one ready-made fault per option, every other cleared first.

Makes only the calls that charybdefs has, so that it works with either. `slowfs recipe` does the
same without Python. The daemon is asked at $SLOWFS_ADDR, else at 127.0.0.1 and the port in
$CHARYBDEFS_PORT, else at 127.0.0.1:9090.
"""

import argparse
import errno
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve()
# In the repository, and where `make install-charybdefs` has put this.
sys.path[:0] = [str(HERE.parents[2] / "idl/gen-py"), str(HERE.parents[1] / "gen-py")]

from server import server
from thrift.Thrift import TException
from thrift.protocol import TBinaryProtocol
from thrift.transport import TSocket, TTransport

CONTENTS = ["read", "read_buf", "write", "write_buf"]
# Out of 100,000, as set_fault counts; a fault that only delays is left at 0, which is always.
ALWAYS, ONE_IN_100, ONE_IN_1000 = 0, 1000, 100


def fault(random=False, err_no=0, probability=ALWAYS, regexp="", delay_us=0):
    """The arguments of set_all_fault, in its order."""
    return random, err_no, probability, regexp, False, delay_us, False


# Option, what it does, methods (None: all), the fault (None: none).
RECIPES = [
    ("clear", "clear every fault", None, None),
    ("full", "a full disk: ENOSPC", None, fault(err_no=errno.ENOSPC)),
    ("io-error", "a dead disk: EIO", None, fault(err_no=errno.EIO)),
    ("quota", "a quota used up: EDQUOT", None, fault(err_no=errno.EDQUOT)),
    ("delay", "every call takes 50 ms longer", None, fault(delay_us=50_000)),
    ("random", "every call fails with a random errno", None, fault(random=True)),
    ("specific-syscalls", "the same for reads and writes only", CONTENTS, fault(random=True)),
    ("probability", "the same for one read or write in a hundred", CONTENTS,
     fault(random=True, probability=ONE_IN_100)),
    ("file-pattern", "the same for reads and writes of *sendmail.cf", CONTENTS,
     fault(random=True, regexp=".*sendmail.cf")),
    ("broken-drive", "one call in a thousand takes 100 ms longer, then fails: EIO", None,
     fault(err_no=errno.EIO, probability=ONE_IN_1000, delay_us=100_000)),
]


def address():
    named = os.environ.get("SLOWFS_ADDR")
    if named:
        host, _, port = named.rpartition(":")
        return host.strip("[]") or "127.0.0.1", int(port)
    return "127.0.0.1", int(os.environ.get("CHARYBDEFS_PORT") or 9090)


def follow(methods, arguments):
    transport = TTransport.TBufferedTransport(TSocket.TSocket(*address()))
    client = server.Client(TBinaryProtocol.TBinaryProtocol(transport))
    transport.open()
    try:
        client.clear_all_faults()
        if arguments is not None and methods is None:
            client.set_all_fault(*arguments)
        elif arguments is not None:
            client.set_fault(methods, *arguments)
    finally:
        transport.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    group = parser.add_mutually_exclusive_group(required=True)
    for name, what, methods, arguments in RECIPES:
        group.add_argument(f"--{name}", help=what, action="store_const", dest="recipe",
                           const=(what, methods, arguments))
    what, *recipe = parser.parse_args().recipe
    try:
        follow(*recipe)
    except TException as error:
        sys.exit(f"{parser.prog}: {error}")
    print(what)


if __name__ == "__main__":
    main()
