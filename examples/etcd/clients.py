"""Clients that put keys and tell the raft term in which each was written.

The resident one speaks gRPC over one connection that stays open. etcd's JSON gateway needs no gRPC,
but answers a third of a millisecond later, which is what a local put takes. Three requests do not
make generated stubs worth their weight: their messages are encoded here, as etcd's rpc.proto
numbers their fields.
"""

import json
import subprocess
import sys

try:
    import grpc
except ModuleNotFoundError as error:
    sys.exit(f"{error}: apt-get install python3-grpcio, or pip3 install grpcio")

LENGTH_DELIMITED, VARINT = 2, 0
CONNECTED_WITHIN_S = 30


class Failed(Exception):
    """A put that was not acknowledged."""


def varint(number):
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def field(number, value):
    """A field of bytes, or of a number or bool."""
    if isinstance(value, bytes):
        return varint(number << 3 | LENGTH_DELIMITED) + varint(len(value)) + value
    return varint(number << 3 | VARINT) + varint(value)


def fields(message):
    """The fields of a message, of these two types, by number."""
    found, at = {}, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        tag = number()
        value = number()
        if tag & 7 == LENGTH_DELIMITED:
            value, at = message[at:at + value], at + value
        found[tag >> 3] = value
    return found


def raft_term(reply):
    """From the ResponseHeader (field 1) that every reply begins with."""
    return fields(fields(reply)[1]).get(4, 0)


class Resident:
    """One gRPC connection of its own to one node."""

    def __init__(self, node, timeout):
        self._timeout = timeout
        # Channels to one address share a connection unless told otherwise.
        self._channel = grpc.insecure_channel(
            node.address, options=[("grpc.use_local_subchannel_pool", 1)])
        try:
            grpc.channel_ready_future(self._channel).result(CONNECTED_WITHIN_S)
        except grpc.FutureTimeoutError:
            self.close()
            raise RuntimeError(f"{node.name}: no connection in {CONNECTED_WITHIN_S} s") from None
        self._put = self._channel.unary_unary("/etcdserverpb.KV/Put")
        self._range = self._channel.unary_unary("/etcdserverpb.KV/Range")

    def put(self, key, value):
        return self._call(self._put, field(1, key.encode()) + field(2, value.encode()))

    def get(self, key):
        """Read from the node's memory alone (serializable): no log, no other node."""
        return self._call(self._range, field(1, key.encode()) + field(7, True))

    def _call(self, method, request):
        try:
            return raft_term(method(request, timeout=self._timeout))
        except grpc.RpcError as error:
            raise Failed(f"{error.code().name}: {error.details()}") from None

    def close(self):
        self._channel.close()


class Etcdctl:
    """One etcdctl for each put, as the documented workflow times it."""

    def __init__(self, argv, timeout):
        self._argv, self._timeout = argv, timeout

    def put(self, key, value):
        command = [*self._argv, f"--command-timeout={self._timeout}s", "-w", "json"]
        try:
            out = subprocess.run([*command, "put", key, value], stdin=subprocess.DEVNULL,
                                 check=True, capture_output=True, text=True).stdout
            # Some builds print warnings first, as text or as JSON.
            return json.loads(out.splitlines()[-1])["header"]["raft_term"]
        except subprocess.CalledProcessError as error:
            raise Failed((error.stderr.strip() or "etcdctl failed").splitlines()[-1]) from None
        except (ValueError, LookupError):
            raise Failed(f"etcdctl printed {out!r}") from None

    def close(self):
        """Nothing stays open."""
