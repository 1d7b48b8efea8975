#!/usr/bin/python3
"""One run: puts to an etcd leader, with or without a delay of its write-ahead log."""

import argparse
import contextlib
import http.client
import sys
import time

import clients
import cluster
import compose
import daemons
import fault
import local
import parameters
import probe
import progress
import record
import trial
import workload
from control import Control, since
from thrift.Thrift import TException

# What goes wrong in the field: it is told in a line, not in a traceback.
TROUBLE = (RuntimeError, OSError, http.client.HTTPException, TException, parameters.Invalid,
           probe.WrongDelay, fault.Wrong)
USAGE = 2
FLOOR_READS = 200


@contextlib.contextmanager
def cluster_for(asked):
    """The cluster that CLUSTER names; what this starts ends with the block, by a signal too."""
    kind = cluster_kind(asked)
    if kind == "local":
        with local.running(asked) as started:
            yield started
        return
    daemons.end_on_signals()
    with contextlib.closing(attached(asked, kind)) as found:
        yield found


def cluster_kind(asked):
    return asked.cluster or ("docker" if compose.engine_answers() else "local")


def attached(asked, kind):
    if asked.mount_options:
        raise parameters.Invalid("MOUNT_OPTIONS is for CLUSTER=local: this cluster is mounted already")
    return compose.attach() if kind == "docker" else cluster.attach(kind)


def refuse_wrong(asked):
    """Raises Invalid, before a cluster starts or feels anything, for what its mount would not take."""
    if asked.mode == "baseline":
        return
    kind = cluster_kind(asked)
    if kind != "local":
        with contextlib.closing(attached(asked, kind)) as found:
            trial.ask(asked, found.control)
        return
    with local.idle(asked) as address:
        trial.ask(asked, address)
        trial.set_once(asked, address)


@contextlib.contextmanager
def connected(asked, on, leader):
    """The clients of a run."""
    def client():
        if asked.client == "etcdctl":
            return clients.Etcdctl(on.etcdctl(leader), asked.put_timeout)
        return clients.Resident(leader, asked.put_timeout)

    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(contextlib.closing(client())) for _ in range(asked.clients)]


def puts(all_clients, prefix):
    """An operation for each client, which puts a key of its own each time."""
    return [lambda op, client=client: client.put(f"{prefix}/{op}", value(op))
            for client in all_clients]


def value(op):
    return f"value-{op}"


def warm_up(asked, all_clients, prefix):
    """Connects and fills caches; then reads, which wait for no log, tell the client's own cost."""
    done = workload.drive(puts(all_clients, f"{prefix}/warm-up"), asked.warmup)
    failed = [one.error for one in done if one.error]
    if failed:
        raise RuntimeError(f"a put failed before any delay: {failed[0]}")
    if asked.client == "etcdctl":
        return None
    reads = [lambda _, client=client: client.get(prefix) for client in all_clients]
    count = min(FLOOR_READS, int(2 * asked.rate) + 1) if asked.rate else FLOOR_READS * len(reads)
    return record.summary(workload.drive(reads, count, asked.rate))


class Run:
    """One run on a cluster. Its keys are `prefix`/1 and so on."""

    def __init__(self, asked, on):
        self.asked, self.on, self.control = asked, on, Control(on.control)
        self.started = time.time()
        self.prefix = f"fsdelay/{time.time_ns()}"
        self.leader = on.nodes[asked.leader_target] if asked.leader_target else None
        self.done, self.measured, self.durations = [], {}, {}

    def measure(self):
        self.control.clear()
        began = time.monotonic()
        moved_by = self._lead()
        before = self._reign()
        # Some faults end the leader.
        self.measured["versions"] = {"slowfs": self.control.version(),
                                     "etcd": self.leader.version()}
        with connected(self.asked, self.on, self.leader) as all_clients:
            with progress.shown(f"{self.asked.warmup} puts to warm up"):
                self.measured["client_floor"] = warm_up(self.asked, all_clients, self.prefix)
            without = self._syncs()
            with self.control.delayed(self.asked):
                self._verify(without)
                self._put(all_clients)
        self.measured["leader"] = self._leadership(before, self._reign(), moved_by)
        self.durations["total_s"] = time.monotonic() - began

    def _lead(self):
        with progress.shown(f"waiting for {self.asked.leader_target or 'a node'} to lead"):
            if self.leader is None:
                self.leader, _ = self.on.agreed_leader()
            return self.on.lead(self.leader)

    def _reign(self):
        """(leader's name, term); (None, 0) if none is agreed upon in time."""
        with contextlib.suppress(TimeoutError):
            node, term = self.on.agreed_leader()
            return node.name, term
        return None, 0

    def _syncs(self):
        if not self.asked.verify_delay:
            return []
        with progress.shown("timing an fsync beside the log"):
            return probe.sync_times_ns(self.on.data / "member/wal")

    def _verify(self, without):
        if not self.asked.verify_delay:
            return
        counts = self.control.counts()
        under = self._syncs()
        counts = since(counts, self.control.counts())
        fired = counts and counts["fired"]
        self.measured["verify"] = {"fsync_ns": under, "fsync_without_ns": without, "fired": fired}
        if self.asked.wal_fault:
            probe.verify_fired(self.asked.wal_fault, under, fired)
        elif self.asked.mode == "delay":
            probe.verify(self.asked.wal_delay_us, without, under, fired)

    def _put(self, all_clients):
        counts, calls = self.control.counts(), self.control.calls()
        began, done = time.monotonic(), []
        with progress.shown(lambda: progress.of(done, self.asked.ops, began)):
            self.done = workload.drive(puts(all_clients, self.prefix), self.asked.ops,
                                       self.asked.rate, done)
        self.durations["puts_s"] = time.monotonic() - began
        counts = since(counts, self.control.counts())
        if self.asked.mode == "delay" and counts:
            counts["fired_per_put"] = counts["fired"] / len(self.done)
        self.measured["fault"] = counts if self.asked.mode == "delay" else None
        calls = since(calls, self.control.calls())
        self.measured["calls_on_the_mount"] = calls and {name: n for name, n in calls.items() if n}

    def _leadership(self, before, after, moved_by):
        """Who led, and the first put that was acknowledged under another term."""
        later = [one for one in self.done if not one.error and one.term != before[1]]
        first = min(later, key=lambda one: one.ended_ns, default=None)
        return {"before": before[0], "after": after[0], "term_before": before[1],
                "term_after": after[1], "moved_by": moved_by,
                "changed": bool(before != after or first), "first_op_after": first and first.op}

    def write(self, **more):
        """Writes what was measured, and `more` of it, and returns where."""
        name = (f"etcd_fsdelay_{self.asked.mode}_{self.asked.leader_target or self.leader.name}"
                f"_{self.asked.injected_name()}")
        facts = {"parameters": self.asked.as_json(),
                 "cluster": {"kind": self.on.kind, "slow_node": cluster.SLOW, **self.on.details},
                 "machine": record.machine(), "puts": record.summary(self.done),
                 **self.measured, "durations": self.durations, **more}
        return record.write(self.asked.results, self.started, name, self.done, facts)

    def complaints(self):
        """What keeps the run from meaning what its name says."""
        fault, leader = self.measured["fault"], self.measured["leader"]
        if fault and not fault["fired"]:
            yield f"the fault never fired ({fault['matched']} operations matched)"
        if leader["changed"]:
            yield (f"leadership changed during the puts, from {leader['before']} (term "
                   f"{leader['term_before']}) to {leader['after'] or 'nobody that all nodes know'} "
                   f"(term {leader['term_after']})")
        failed = sum(1 for one in self.done if one.error)
        if failed:
            yield f"{failed} of {len(self.done)} puts failed"


def milliseconds(seconds):
    return "-" if seconds is None else f"{seconds * 1000:.3f} ms"


def perform(asked, on, **more):
    """Measures and writes one run, says what it found, and returns it with its directory."""
    run = Run(asked, on)
    run.measure()
    directory = run.write(**more)
    found = record.summary(run.done)
    injected = f" {asked.injected()}" if asked.mode == "delay" else ""
    print(f"{asked.mode}{injected}, leader {run.leader.name}: {len(run.done)} puts, "
          f"median {milliseconds(found['median_s'])}, p99 {milliseconds(found['p99_s'])}")
    if run.measured["fault"]:
        print("the fault fired {fired} times, {fired_per_put:.2f} for each put".format(
            **run.measured["fault"]))
    for complaint in run.complaints():
        print(f"WARNING: {complaint}", file=sys.stderr)
    print(directory, flush=True)
    return run, directory


def guarded(action, name):
    """The exit code of `action()`: 0, 1 or 2 with a line of why, or 130 when a signal ended it."""
    try:
        action()
    except KeyboardInterrupt:
        print(f"\n{name}: interrupted; faults are cleared", file=sys.stderr)
        return 130
    except TROUBLE as error:
        print(f"{name}: {error}", file=sys.stderr)
        return USAGE if isinstance(error, parameters.Invalid) else 1
    return 0


def main():
    arguments = argparse.ArgumentParser("run_etcd_fsdelay.sh", description=__doc__)
    arguments.add_argument("mode", nargs="?", choices=parameters.MODES, help="instead of MODE")
    mode = arguments.parse_args().mode

    def one_run():
        asked = parameters.from_environment(mode)
        refuse_wrong(asked)
        with cluster_for(asked) as on:
            run, _ = perform(asked, on)
        if run.measured["fault"] and not run.measured["fault"]["fired"]:
            raise RuntimeError("such a fault delays nothing: see WAL_REGEX and WAL_METHODS")
    return guarded(one_run, "run_etcd_fsdelay.sh")


if __name__ == "__main__":
    sys.exit(main())
