#!/usr/bin/python3
"""A slow log under a real etcd: three nodes, the leader's data directory on slowfs.

Measures puts without a fault, with every sync of the leader's log delayed, and after the fault is
cleared; then unmounts and looks for every key in a cluster on the plain directories. Ends with 0
if all that should hold holds. Everything lives in a temporary directory and on free ports.
"""

import argparse
import contextlib
import json
import os
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "scripts"), str(REPOSITORY / "idl/gen-py")]

import cluster
import daemons
from server import server
from slowfs import SlowFS
from thrift import Thrift
from thrift.protocol import TBinaryProtocol
from thrift.transport import TSocket, TTransport

DELAY_US = 300_000
DELAY_MS = DELAY_US / 1000
LOG = r"(^|.*/)member/wal/.*"
LOG_SYNCS = ["fsync", "fdatasync", "fsyncdir"]
KEYS = "slowfs-demo/"


@contextlib.contextmanager
def client(port, service=server):
    """A control connection, opened as existing charybdefs clients open it."""
    transport = TTransport.TBufferedTransport(TSocket.TSocket("127.0.0.1", port))
    transport.open()
    try:
        yield service.Client(TBinaryProtocol.TBinaryProtocol(transport))
    finally:
        transport.close()


def clear_all_faults(port):
    with client(port) as control:
        control.clear_all_faults()


def delay_log(port):
    with client(port) as control:
        control.set_fault(LOG_SYNCS, False, 0, 1000, LOG, False, DELAY_US, False)


def watch_rename(port):
    """A fault that delays nothing worth mentioning, but counts renames of etcd's first log."""
    with client(port) as control:
        control.set_fault(["rename"], False, 0, 0, r"(^|.*/)member/wal\.tmp", False, 1, False)


def faults(port):
    with client(port, SlowFS) as control:
        return control.list_faults()


def elapsed_ms(action):
    began = time.monotonic()
    action()
    return (time.monotonic() - began) * 1000


def sync_ms(path):
    """One write and fsync of a file of our own at `path`, which is then removed."""
    with open(path, "wb", buffering=0) as file:
        file.write(bytes(4096))
        took = elapsed_ms(lambda: os.fsync(file.fileno()))
    os.unlink(path)
    return took


class Run:
    """What was measured and what was found to hold or not."""

    def __init__(self):
        self.written, self.phases, self.checks = {}, [], []

    def put(self, node, name):
        """One put, remembered; returns how long it took, in milliseconds."""
        key, value = KEYS + name, f"the value of {name}"
        self.written[key] = value
        return elapsed_ms(lambda: node.put(key, value))

    def measure(self, phase, node, puts):
        """Puts through `node` one by one, then syncs files beside its log and beside its data."""
        member = Path(node.data, "member")
        took = []
        for n in range(puts):
            took.append(self.put(node, f"{phase}/{n:04}"))
            progress(f"{phase}: put {n + 1} of {puts}, {took[-1]:.1f} ms")
        measured = {"phase": phase, "put_ms": took}
        for name in ("wal", "snap"):
            measured[f"{name}_sync_ms"] = [sync_ms(member / name / "probe") for _ in range(3)]
        self.phases.append(measured)
        progress(f"{phase}: {puts} puts, median {statistics.median(took):.1f} ms\n")
        return measured

    def check(self, holds, what):
        self.checks.append({"holds": bool(holds), "what": what})

    def passed(self):
        return all(check["holds"] for check in self.checks)


def progress(text):
    """One line of what goes on: rewritten on a terminal, elsewhere only finished lines."""
    if sys.stdout.isatty():
        print(f"\r\033[K{text}", end="", flush=True)
    elif text.endswith("\n"):
        print(text, end="", flush=True)


def under_faults(run, port, etcd2, nodes):
    """The measurements on a running cluster whose etcd2 has its data directory on the mount."""
    renamed = sum(fault.fired for fault in faults(port))
    clear_all_faults(port)
    segments = sorted(path.name for path in Path(etcd2.data, "member/wal").glob("*.wal"))
    run.check(renamed == 1 and segments == ["0000000000000000-0000000000000000.wal"],
              "etcd writes the log that it opened in member/wal.tmp and renamed to member/wal")

    progress("moving leadership to etcd2\n")
    cluster.lead(nodes, etcd2)
    reign = cluster.leader(nodes)

    before = run.measure("without a fault", etcd2, 100)
    run.check(statistics.median(before["put_ms"]) < DELAY_MS / 2,
              "without a fault puts take less than half the delay")

    delay_log(port)
    slow = run.measure(f"log syncs delayed {DELAY_MS:.0f} ms", etcd2, 20)
    run.check(min(slow["put_ms"] + slow["wal_sync_ms"]) >= DELAY_MS,
              "with the fault every put, and every sync of a file in member/wal, takes the delay")
    run.check(max(slow["snap_sync_ms"]) < DELAY_MS,
              "with the fault syncs in member/snap take less than the delay")

    with ThreadPoolExecutor(1) as pool:
        put = pool.submit(run.put, etcd2, "held")
        daemons.until(lambda: put.done() or any(fault.held for fault in faults(port)), "held put")
        held = not put.done()
        clear_all_faults(port)
        run.check(held and put.result() < DELAY_MS,
                  "a put held by the fault ends when it is cleared")
    after = run.measure("after clear_all_faults", etcd2, 100)
    run.check(after["put_ms"][0] < DELAY_MS and statistics.median(after["put_ms"]) < DELAY_MS / 2,
              "after clear_all_faults puts take less than half the delay, from the first on")
    run.check(cluster.leader(nodes) == reign, "etcd2 stayed leader all the time")


def demonstrate(run, slowfs, directory):
    names = ("etcd0", "etcd1", "etcd2")
    backing = {name: directory / name for name in names}
    mountpoint = directory / "slow"
    for path in (*backing.values(), mountpoint):
        path.mkdir(mode=0o700)
    port, *ports = daemons.free_ports(1 + 2 * len(names))

    def nodes(data):
        return [cluster.Node(name, data[name], directory / f"{name}.log", *ports[2 * n:2 * n + 2])
                for n, name in enumerate(names)]

    mount = [slowfs, "mount", mountpoint, "--subdir", backing["etcd2"],
             "--listen", f"127.0.0.1:{port}"]
    progress(f"mounting {mountpoint}\n")
    with daemons.mounted(mount, mountpoint, directory / "slowfs.log", port):
        watch_rename(port)
        progress("starting three etcd nodes, etcd2 on the mount\n")
        slow = nodes({**backing, "etcd2": mountpoint})
        with cluster.running(slow):
            under_faults(run, port, slow[2], slow)

    progress("unmounted; starting etcd on the plain directories\n")
    plain = nodes(backing)
    with cluster.running(plain):
        with contextlib.suppress(TimeoutError):
            daemons.until(lambda: all(node.keys(KEYS) == run.written for node in plain), "keys")
        for node in plain:
            run.check(node.keys(KEYS) == run.written,
                      f"{node.name} on its plain directory has all {len(run.written)} keys")


def report(run):
    print(f"\n{'milliseconds':28}{'puts':>6}{'min':>8}{'median':>8}{'max':>8}{'added':>8}"
          f"{'sync in wal':>13}{'in snap':>9}")
    usual = statistics.median(run.phases[0]["put_ms"])
    for phase in run.phases:
        puts, median = phase["put_ms"], statistics.median(phase["put_ms"])
        print(f"{phase['phase']:28}{len(puts):6}{min(puts):8.1f}{median:8.1f}{max(puts):8.1f}"
              f"{median - usual:8.1f}{statistics.median(phase['wal_sync_ms']):13.1f}"
              f"{statistics.median(phase['snap_sync_ms']):9.1f}")
    print()
    for check in run.checks:
        print(f"{'ok' if check['holds'] else 'FAILED':7} {check['what']}")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--slowfs", type=Path, default=REPOSITORY / "target/release/slowfs",
                           help="the slowfs to run (default: %(default)s)")
    arguments.add_argument("--json", type=Path, help="write every measurement to this file")
    options = arguments.parse_args()

    run = Run()
    try:
        with daemons.workspace("slowfs-etcd-") as directory:
            demonstrate(run, options.slowfs.resolve(), directory)
    except KeyboardInterrupt:
        print("\ninterrupted: everything is ended and unmounted", file=sys.stderr)
        return 130
    except (RuntimeError, OSError, Thrift.TException) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    report(run)
    if options.json:
        found = {"delay_ms": DELAY_MS, "passed": run.passed(), "phases": run.phases,
                 "checks": run.checks}
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0 if run.passed() else 1


if __name__ == "__main__":
    sys.exit(main())
