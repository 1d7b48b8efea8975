"""The cluster of docker-compose-etcd.yml, found as it runs: containers, mount and control port."""

import json
import os
import subprocess
from pathlib import Path

import charyb_fault
import cluster
import daemons

FILE = Path(__file__).resolve().parent / "docker-compose-etcd.yml"
MOUNTPOINT, BACKING = "/mnt/slowfs/etcd2", "/data/raw/etcd2"
CLIENT_PORT = 2379
# `docker info` asks the engine, and may wait for one that is starting.
ANSWERS_WITHIN_S = 10


def docker(*arguments, timeout=60):
    """What `docker` prints; its own words if it fails."""
    try:
        return subprocess.run(["docker", *arguments], stdin=subprocess.DEVNULL, check=True,
                              capture_output=True, text=True, timeout=timeout).stdout
    except subprocess.CalledProcessError as error:
        raise RuntimeError(f"docker {' '.join(arguments)}: {error.stderr.strip()}") from None
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"docker {' '.join(arguments)}: no answer in {timeout} s") from None


def engine_answers():
    try:
        docker("info", "--format", "{{.ServerVersion}}", timeout=ANSWERS_WITHIN_S)
    except (RuntimeError, OSError):
        return False
    return True


class ComposeCluster(cluster.Cluster):
    """Containers that somebody else started, named as the nodes."""

    kind = "docker"

    def restart(self, node):
        docker("restart", node.name)
        node.close()

    def etcdctl(self, node):
        return ["docker", "exec", node.name, "etcdctl",
                f"--endpoints=http://{node.name}:{CLIENT_PORT}"]


def client_address(container):
    """Where the host reaches a container's etcd: its published port, else its own address."""
    found = json.loads(docker("inspect", container))[0]
    if not found["State"]["Running"]:
        raise RuntimeError(f"container {container} does not run")
    networks = found["NetworkSettings"]
    for published in networks["Ports"].get(f"{CLIENT_PORT}/tcp") or ():
        host = published["HostIp"]
        return "127.0.0.1" if host in ("", "0.0.0.0", "::") else host, int(published["HostPort"])
    for network in networks["Networks"].values():
        if network["IPAddress"]:
            return network["IPAddress"], CLIENT_PORT
    raise RuntimeError(f"container {container} has no address that the host can reach")


def attach():
    """The running cluster; says what to start if it, or the mount below it, is missing."""
    mountpoint = os.environ.get("SLOWFS_MOUNTPOINT", MOUNTPOINT)
    control = cluster.host_and_port(
        os.environ.get("SLOWFS_ADDR", f"{charyb_fault.HOST}:{charyb_fault.PORT}"))
    if not daemons.is_mounted(mountpoint):
        raise RuntimeError(f"nothing is mounted at {mountpoint}: "
                           f"slowfs mount {mountpoint} --subdir {BACKING} --daemon")
    try:
        nodes = [cluster.Node(name, *client_address(name)) for name in cluster.NAMES]
    except RuntimeError as error:
        raise RuntimeError(f"{error}\nstart it: docker compose -f {FILE.name} up -d") from None
    return ComposeCluster(nodes, mountpoint, control)
