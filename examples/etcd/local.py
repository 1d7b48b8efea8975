#!/usr/bin/python3
"""A three-node etcd on loopback, the data of one node on slowfs.

Run as a program it keeps one until ctrl-C, for runs with CLUSTER=FILE.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import cluster
import daemons
import parameters
import progress
import record


@dataclass
class Layout:
    """Where a cluster is: what stays the same when it is started again. By the nodes' names."""

    directory: Path
    backing: dict
    mountpoint: Path
    client_ports: dict
    peer_ports: dict


def lay_out(directory):
    """Makes the nodes' data directories and a mountpoint, and chooses ports."""
    backing = {name: directory / name for name in cluster.NAMES}
    client_ports, peer_ports = (dict(zip(cluster.NAMES, ports)) for ports in free_ports())
    layout = Layout(directory, backing, directory / "slow", client_ports, peer_ports)
    for path in (*layout.backing.values(), layout.mountpoint):
        path.mkdir(mode=0o700)
    return layout


def free_ports():
    count = len(cluster.NAMES)
    ports = daemons.free_ports(2 * count)
    return ports[:count], ports[count:]


class LocalCluster(cluster.Cluster):
    """etcd processes on the data directories in `data`, by name."""

    kind = "local"

    def __init__(self, layout, data, control, asked):
        nodes = [cluster.Node(n, "127.0.0.1", port) for n, port in layout.client_ports.items()]
        details = {"heartbeat_ms": asked.heartbeat_ms, "election_ms": asked.election_ms,
                   "filesystem": filesystem(layout.directory)}
        super().__init__(nodes, data[cluster.SLOW], control, details)
        self._layout, self._data = layout, data
        self._processes = {}

    def _log(self, name):
        return self._layout.directory / f"{name}.log"

    def _peer(self, name):
        return f"http://127.0.0.1:{self._layout.peer_ports[name]}"

    def start(self, node):
        client, peer = f"http://{node.address}", self._peer(node.name)
        argv = [
            "etcd", "--name", node.name, "--data-dir", self._data[node.name],
            "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", ",".join(f"{n}={self._peer(n)}" for n in self.nodes),
            "--heartbeat-interval", self.details["heartbeat_ms"],
            "--election-timeout", self.details["election_ms"]]
        with daemons.uninterrupted():
            self._processes[node.name] = daemons.start(argv, self._log(node.name))

    def stop(self):
        """Ends one after the other: a leader first hands over, and waits for who takes it."""
        for process in self._processes.values():
            daemons.stop(process)

    def restart(self, node):
        daemons.stop(self._processes[node.name])
        node.close()
        self.start(node)

    def elect(self):
        self.agreed_leader([(process, self._log(name))
                            for name, process in self._processes.items()])


def filesystem(path):
    return subprocess.run(["stat", "--file-system", "--format=%T", path], check=True,
                          capture_output=True, text=True).stdout.strip()


@contextlib.contextmanager
def started(layout, data, control, asked):
    """Runs etcd on the directories in `data`, by name, until the block ends."""
    running = LocalCluster(layout, data, control, asked)
    try:
        for node in running.nodes.values():
            running.start(node)
        running.elect()
        yield running
    finally:
        with daemons.uninterrupted():
            running.stop()
            running.close()


@contextlib.contextmanager
def mounted(layout, slowfs, options=()):
    """Mounts slowfs over the slow node's directory until the block ends, with more `options`.

    Yields the control address and the data directories of all nodes.
    """
    [port] = daemons.free_ports(1)
    mount = [slowfs, "mount", layout.mountpoint, "--subdir", layout.backing[cluster.SLOW],
             "--listen", f"127.0.0.1:{port}", *options]
    with daemons.mounted(mount, layout.mountpoint, layout.directory / "slowfs.log", port):
        yield ("127.0.0.1", port), {**layout.backing, cluster.SLOW: layout.mountpoint}


@contextlib.contextmanager
def idle(asked):
    """A mount that nobody works on, as a cluster has one; yields its control address."""
    daemons.needed(asked.slowfs, "cargo build --release")
    with daemons.workspace("slowfs-etcd-") as directory:
        with mounted(lay_out(directory), asked.slowfs, asked.mount_options) as (control, _):
            yield control


@contextlib.contextmanager
def running(asked):
    """A cluster in a temporary directory, which goes with it."""
    daemons.needed(asked.slowfs, "cargo build --release")
    daemons.needed("etcd", "scripts/setup etcd")
    with daemons.workspace("slowfs-etcd-", asked.data_dir) as directory:
        layout = lay_out(directory)
        with contextlib.ExitStack() as stack:
            with progress.shown("starting three etcd and slowfs below one of them"):
                control, data = stack.enter_context(
                    mounted(layout, asked.slowfs, asked.mount_options))
                nodes = stack.enter_context(started(layout, data, control, asked))
            yield nodes


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--keep", metavar="FILE", required=True, type=Path,
                           help="write here where it is, once it runs; keep it until ctrl-C")
    options = arguments.parse_args()
    try:
        with running(parameters.from_environment()) as nodes:
            record.write_whole(options.keep, json.dumps(nodes.describe(), indent=1) + "\n")
            print(f"running: CLUSTER={options.keep}; ctrl-C ends it", flush=True)
            threading.Event().wait()
    except KeyboardInterrupt:
        return 0
    except (parameters.Invalid, RuntimeError, OSError) as error:
        print(f"{arguments.prog}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
