"""Control calls as the known users' clients make them."""

import contextlib
import os
import time

from server import server
from slowfs_thrift import SlowFS
from thrift.protocol import TBinaryProtocol
from thrift.Thrift import TApplicationException, TMessageType, TType
from thrift.transport import TSocket, TTransport


def protocol(timeout_ms=3000):
    """An open connection to port 9090, where all of them expect the daemon."""
    socket = TSocket.TSocket("127.0.0.1", 9090)
    socket.setTimeout(timeout_ms)
    transport = TTransport.TBufferedTransport(socket)
    transport.open()
    return TBinaryProtocol.TBinaryProtocol(transport)


@contextlib.contextmanager
def client():
    """Thrift's own client."""
    connection = protocol()
    yield server.Client(connection)
    connection.trans.close()


def faults():
    """What `slowfs list` shows; only to check what the users' own calls do."""
    connection = protocol()
    listed = SlowFS.Client(connection).list_faults()
    connection.trans.close()
    return listed


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s"
        time.sleep(0.01)


def call(out, name, *fields):
    """A call whose fields are written as given, each an id and a value; the ids make the dialect."""
    out.writeMessageBegin(name, TMessageType.CALL, 1)
    for number, value in fields:
        write(out, number, value)
    out.writeFieldStop()
    out.writeMessageEnd()
    out.trans.flush()
    _, kind, _ = out.readMessageBegin()
    if kind == TMessageType.EXCEPTION:
        error = TApplicationException()
        error.read(out)
        raise error
    out.skip(TType.STRUCT)
    out.readMessageEnd()


def write(out, number, value):
    if isinstance(value, bool):
        out.writeFieldBegin("", TType.BOOL, number)
        out.writeBool(value)
    elif isinstance(value, int):
        out.writeFieldBegin("", TType.I32, number)
        out.writeI32(value)
    elif isinstance(value, str):
        out.writeFieldBegin("", TType.STRING, number)
        out.writeString(value)
    else:
        out.writeFieldBegin("", TType.LIST, number)
        out.writeListBegin(TType.STRING, len(value))
        for item in value:
            out.writeString(item)
        out.writeListEnd()
    out.writeFieldEnd()


def refused(errno, operation, *arguments):
    """The operation fails with that errno."""
    try:
        operation(*arguments)
    except OSError as error:
        assert error.errno == errno, error
        return
    raise AssertionError(f"{operation.__name__} was not refused")


def append(path, text="entry\n"):
    """What a database does to its log."""
    fd = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o644)
    try:
        os.write(fd, text.encode())
        os.fsync(fd)
    finally:
        os.close(fd)


def took(operation, *arguments):
    began = time.monotonic()
    operation(*arguments)
    return time.monotonic() - began
