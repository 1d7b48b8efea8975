"""A three-node etcd on loopback ports, and one resident connection to each node."""

import base64
import contextlib
import http.client
import json

import daemons

# A leader whose log is slowed by less than this keeps its leadership.
HEARTBEAT_MS, ELECTION_MS = 500, 5000


def encode(text):
    return base64.b64encode(text.encode()).decode()


def decode(text):
    return base64.b64decode(text).decode()


class Node:
    """One node, spoken to over one HTTP connection to its v3 JSON gateway."""

    def __init__(self, name, data, log, client_port, peer_port):
        self.name, self.data, self.log = name, data, log
        self.client_port, self.peer_port = client_port, peer_port
        self.peer = f"{name}=http://127.0.0.1:{peer_port}"
        self._connection = http.client.HTTPConnection("127.0.0.1", client_port, timeout=30)

    def start(self, peers):
        client, peer = (f"http://127.0.0.1:{p}" for p in (self.client_port, self.peer_port))
        return daemons.start([
            "etcd", "--name", self.name, "--data-dir", self.data,
            "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", peers, "--heartbeat-interval", HEARTBEAT_MS,
            "--election-timeout", ELECTION_MS], self.log)

    def call(self, path, **request):
        try:
            self._connection.request("POST", f"/v3/{path}", json.dumps(request))
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

    def put(self, key, value):
        self.call("kv/put", key=encode(key), value=encode(value))

    def keys(self, prefix):
        """Every key below `prefix` with its value, as this node alone has them."""
        found = self.call("kv/range", key=encode(prefix), range_end=encode(prefix + "\x7f"),
                          serializable=True)
        return {decode(kv["key"]): decode(kv["value"]) for kv in found.get("kvs", [])}

    def status(self):
        """(own id, leader's id, raft term); leader 0 while there is none."""
        status = self.call("maintenance/status")
        return (status["header"]["member_id"], status.get("leader", 0),
                status.get("raftTerm", 0))


def leader(nodes):
    """The node that all agree leads, and the term; (None, 0) while they do not."""
    try:
        status = {node.name: node.status() for node in nodes}
    except (OSError, http.client.HTTPException, RuntimeError):
        return None, 0
    views = {(lead, term) for _, lead, term in status.values()}
    for node in nodes:
        own, _, term = status[node.name]
        if views == {(own, term)}:
            return node, term
    return None, 0


def lead(nodes, wanted):
    """Moves leadership to `wanted` and waits until every node knows."""
    now, _ = leader(nodes)
    if now is not wanted:
        now.call("maintenance/transfer-leadership", targetID=wanted.status()[0])
    daemons.until(lambda: leader(nodes)[0] is wanted, f"leadership of {wanted.name}")


@contextlib.contextmanager
def running(nodes):
    """Runs one etcd process per node until the block ends; yields the processes in that order."""
    peers = ",".join(node.peer for node in nodes)
    processes = []
    try:
        for node in nodes:
            processes.append(node.start(peers))
        daemons.until(lambda: leader(nodes)[0], "leader",
                      [(process, node.log) for process, node in zip(processes, nodes)])
        yield processes
    finally:
        with daemons.uninterrupted():
            daemons.stop(*processes)
            for node in nodes:
                node.close()
