#!/usr/bin/python3
"""Delays the write-ahead log below a charybdefs or slowfs mount, or clears every fault.

Makes only the calls that charybdefs has, so that it works with either.
"""

import argparse
import difflib
import logging
import sys
from contextlib import contextmanager
from pathlib import Path

# Behind whatever PYTHONPATH names: stubs generated elsewhere do as well.
sys.path.append(str(Path(__file__).resolve().parents[2] / "idl/gen-py"))

try:
    from thrift.protocol import TBinaryProtocol
    from thrift.Thrift import TException
    from thrift.transport import TSocket, TTransport
except ModuleNotFoundError as error:
    sys.exit(f"{error}: apt-get install python3-thrift, or pip3 install thrift")
from server import server

# It would say what main() says too.
logging.getLogger("thrift").addHandler(logging.NullHandler())

HOST, PORT = "127.0.0.1", 9090
WAL = r"(^|.*/)member/wal/.*"
ALWAYS_PERMIL = 1000
# The call has 32 bits for it.
LONGEST_US = 2**31 - 1
# charybdefs takes it for an fsync, and has no method of that name.
NOT_LISTED = "fdatasync"


class Unknown(ValueError):
    """Methods that the server does not have; the message names them."""


def meant(name, names):
    """What to add where there is no such `name`, but one that looks like it."""
    near = difflib.get_close_matches(name, sorted(names), 1)
    return f" (did you mean {near[0]}?)" if near else ""


def refuse_unknown(methods, known):
    """Raises unless all `methods` are `known`: what a server does not know it ignores."""
    if not methods:
        raise Unknown("no method is named")
    known = {*known, NOT_LISTED}
    wrong = [name + meant(name, known) for name in methods if name not in known]
    if wrong:
        raise Unknown(f"the server has no method {', '.join(wrong)}")


@contextmanager
def connected(host, port, service=server):
    """A client of `service` on a connection that lasts as long as the block."""
    transport = TTransport.TBufferedTransport(TSocket.TSocket(host, port))
    transport.open()
    try:
        yield service.Client(TBinaryProtocol.TBinaryProtocol(transport))
    finally:
        transport.close()


def clear(host, port):
    with connected(host, port) as control:
        control.clear_all_faults()
    print("Charybdefs: CLEARED all faults")


def delay(host, port, delay_us, methods, regex=WAL, prob_permil=ALWAYS_PERMIL):
    """Delays `methods` on the paths that match `regex`."""
    with connected(host, port) as control:
        refuse_unknown(methods, control.get_methods())
        control.set_fault(methods, False, 0, prob_permil, regex, False, delay_us, False)
    print(f"Charybdefs: injected delay {delay_us} us methods={methods} "
          f"prob={prob_permil}/1000 regex='{regex}'")


def microseconds(text):
    if not 0 <= int(text) <= LONGEST_US:
        raise argparse.ArgumentTypeError(f"{text}: from 0 to {LONGEST_US}, 35 minutes")
    return int(text)


def methods_in(text):
    return [name.strip() for name in text.split(",") if name.strip()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default=HOST)
    parser.add_argument("--port", default=PORT, type=int)
    commands = parser.add_subparsers(dest="command", required=True)

    command = commands.add_parser("clear", help="clear every fault")
    command.set_defaults(run=lambda o: clear(o.host, o.port))

    command = commands.add_parser("delay", help="delay some methods on some paths")
    command.add_argument("--delay-us", required=True, type=microseconds, help="how long")
    command.add_argument("--methods", default="fsync,fdatasync,fsyncdir",
                         help="default: %(default)s")
    command.add_argument("--regex", default=WAL,
                         help="must match the whole backing path; default: %(default)s")
    command.add_argument("--prob-permil", default=ALWAYS_PERMIL, type=int,
                         help="calls in 1000 that are delayed; default: %(default)s")
    command.set_defaults(run=lambda o: delay(o.host, o.port, o.delay_us, methods_in(o.methods),
                                             o.regex, o.prob_permil))
    options = parser.parse_args()
    try:
        options.run(options)
    except Unknown as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    except TException as error:
        sys.exit(f"{parser.prog}: {error}")


if __name__ == "__main__":
    main()
