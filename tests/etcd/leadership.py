#!/usr/bin/python3
"""Leadership moves by restarts where move-leader does not do it. usage: leadership.py SLOWFS"""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "examples/etcd")]

import cluster
import local
import parameters


class Stubborn(cluster.Node):
    """A node that refuses to hand over its leadership."""

    def call(self, path, **request):
        if path == "maintenance/transfer-leadership":
            raise RuntimeError("refused")
        return super().call(path, **request)


cluster.Node = Stubborn
asked = parameters.Parameters(slowfs=Path(sys.argv[1]), heartbeat_ms=50, election_ms=500)
with local.running(asked) as on:
    leader, term = on.agreed_leader()
    follower = next(node for node in on.nodes.values() if node is not leader)
    assert on.lead(leader) == "nothing"
    assert on.lead(follower) == "restart"
    now, later = on.leader()
    assert now is follower and later > term, (now, later)
