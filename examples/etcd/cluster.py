"""A three-node etcd, wherever it runs: its nodes, and which of them leads."""

import base64
import contextlib
import http.client
import json
from pathlib import Path

import daemons

NAMES = ("etcd0", "etcd1", "etcd2")
# The node whose data directory lies on the mount.
SLOW = "etcd2"
# An election takes up to two election timeouts, and a few are tried.
ELECTED_WITHIN_S = 30


def encode(text):
    return base64.b64encode(text.encode()).decode()


def decode(text):
    return base64.b64decode(text).decode()


class Node:
    """One node, asked over one HTTP connection to its v3 JSON gateway."""

    def __init__(self, name, host, port):
        self.name, self.host, self.port = name, host, port
        self._connection = http.client.HTTPConnection(host, port, timeout=30)

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    def call(self, path, **request):
        return self._ask("POST", f"/v3/{path}", json.dumps(request))

    def version(self):
        return self._ask("GET", "/version")["etcdserver"]

    def _ask(self, method, path, body=None):
        try:
            self._connection.request(method, path, body)
            with self._connection.getresponse() as response:
                reply = json.load(response)
        except BaseException:
            self.close()
            raise
        if response.status != 200:
            raise RuntimeError(f"{self.name}: {path}: {reply.get('error', reply)}")
        return reply

    def close(self):
        """Drops the connection; the next call opens another."""
        self._connection.close()

    def keys(self, prefix):
        """Every key below `prefix` with its value, as this node alone has them."""
        found = self.call("kv/range", key=encode(prefix), range_end=encode(prefix + "\x7f"),
                          serializable=True)
        return {decode(kv["key"]): decode(kv["value"]) for kv in found.get("kvs", [])}

    def status(self):
        """(own id, leader's id, raft term); leader 0 while there is none."""
        status = self.call("maintenance/status")
        return (status["header"]["member_id"], status.get("leader", 0),
                int(status.get("raftTerm", 0)))


class Cluster:
    """A running cluster: its nodes, its slow node's data on the mount, and the control port."""

    kind = "running"

    def __init__(self, nodes, data, control, details=None):
        self.nodes = {node.name: node for node in nodes}
        self.data, self.control = Path(data), control
        # What else is known of it, for the record.
        self.details = details or {}

    def restart(self, node):
        raise RuntimeError(f"{node.name} was not started by this script, so it cannot restart it")

    def etcdctl(self, node):
        """The command that `node` is asked with."""
        return ["etcdctl", f"--endpoints=http://{node.address}"]

    def leader(self):
        """The node that all agree leads, and the term; (None, 0) while they do not."""
        try:
            status = {name: node.status() for name, node in self.nodes.items()}
        except (OSError, http.client.HTTPException, RuntimeError):
            return None, 0
        views = {(lead, term) for _, lead, term in status.values()}
        for name, (own, _, term) in status.items():
            if views == {(own, term)}:
                return self.nodes[name], term
        return None, 0

    def agreed_leader(self, children=()):
        """Waits until all agree on a leader."""
        daemons.until(lambda: self.leader()[0], "leader", children, ELECTED_WITHIN_S)
        return self.leader()

    def lead(self, wanted):
        """Makes `wanted` the leader and returns how: nothing, move-leader or restart."""
        leading, _ = self.agreed_leader()
        if leading is wanted:
            return "nothing"
        with contextlib.suppress(OSError, http.client.HTTPException, RuntimeError, TimeoutError):
            leading.call("maintenance/transfer-leadership", targetID=wanted.status()[0])
            daemons.until(lambda: self.leader()[0] is wanted, f"leadership of {wanted.name}",
                          deadline=10)
            return "move-leader"
        # Who leads after a restart is up to the others: each of them as likely as the next.
        for _ in range(10):
            leading, _ = self.agreed_leader()
            if leading is wanted:
                return "restart"
            self.restart(leading)
        raise RuntimeError(f"{wanted.name} did not become leader, however often others restarted")

    def describe(self):
        """What `attach` needs to find it again."""
        return {"nodes": {node.name: node.address for node in self.nodes.values()},
                "data": str(self.data), "control": "{}:{}".format(*self.control),
                "details": self.details}

    def close(self):
        for node in self.nodes.values():
            node.close()


def attach(file):
    """The cluster that `local.py --keep FILE` runs."""
    try:
        found = json.loads(Path(file).read_text())
    except (OSError, ValueError) as error:
        raise RuntimeError(f"CLUSTER={file}: local, docker, or the file of a running one: "
                           f"{error}") from None
    nodes = [Node(name, *host_and_port(address)) for name, address in found["nodes"].items()]
    return Cluster(nodes, found["data"], host_and_port(found["control"]), found["details"])


def host_and_port(address):
    host, _, port = address.rpartition(":")
    return host, int(port)
