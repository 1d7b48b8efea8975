#!/usr/bin/python3
"""A slow log under a real etcd: three nodes, the leader's data directory on slowfs.

Three runs on one cluster, each as run_etcd_fsdelay.sh makes it: without a delay, with the leader's
log delayed, without again. Then unmounts and looks for every key in a cluster on the plain
directories, and plots. Ends with 0 if all that should hold holds.
"""

import argparse
import statistics
import sys
import threading
from pathlib import Path

import cluster
import daemons
import experiment
import local
import parameters
import plot_results
import probe
from control import Control

DELAY_US = 300_000
DELAY_MS = DELAY_US / 1000
# A machine that others use may be late by more than etcd's own timeouts forgive.
HEARTBEAT_MS, ELECTION_MS = 300, 3000


class Demonstration:
    """The runs, and what was found to hold or not."""

    def __init__(self, options):
        self.results, self.slowfs = options.results, options.slowfs.resolve()
        self.puts, self.delayed_puts = options.puts, options.delayed_puts
        self.runs, self.written, self.checks = [], {}, []

    def check(self, holds, what):
        self.checks.append((bool(holds), what))

    def asked(self, mode):
        delayed = mode == "delay"
        return parameters.checked(parameters.Parameters(
            mode=mode, wal_delay_us=DELAY_US, verify_delay=True, results=self.results,
            ops=self.delayed_puts if delayed else self.puts, warmup=20,
            heartbeat_ms=HEARTBEAT_MS, election_ms=ELECTION_MS))

    def run(self, phase, mode, on):
        """One run; returns the latency of each put that succeeded, in milliseconds."""
        print(f"\n-- {phase}", flush=True)
        run, _ = experiment.perform(self.asked(mode), on)
        took = [one.took_ns / 1e6 for one in run.done if not one.error]
        self.written.update({f"{run.prefix}/{one.op}": experiment.value(one.op)
                             for one in run.done if not one.error})
        self.check(len(took) == len(run.done), f"{phase}: every put succeeded")
        self.check(not run.measured["leader"]["changed"], f"{phase}: {cluster.SLOW} stayed leader")
        self.runs.append((phase, took, run.measured["verify"]["fsync_ns"]))
        return took, run.measured["fault"]

    def measure(self, on):
        before, _ = self.run("without a delay", "baseline", on)
        self.check(statistics.median(before) < DELAY_MS / 2, "puts take less than half the delay")
        slow, fault = self.run(f"log delayed {DELAY_MS:.0f} ms a call", "delay", on)
        self.check(min(slow) >= DELAY_MS, "every put takes the delay")
        self.check(fault["fired"] >= len(slow), "the fault fired for every put")
        self._beside(on)
        after, _ = self.run("the delay cleared", "baseline", on)
        self.check(statistics.median(after) < DELAY_MS / 2,
                   "puts take less than half the delay again")

    def _beside(self, on):
        """A sync beside the log while that is delayed, and one in it, held and then freed."""
        control = Control(on.control)
        with control.delayed(self.asked("delay")):
            beside = min(probe.sync_times_ns(on.data / "member/snap")) / 1e6
            self.check(beside < DELAY_MS, f"beside the log a sync takes {beside:.1f} ms meanwhile")
            syncs = []
            held = threading.Thread(
                target=lambda: syncs.append(probe.sync_ns(on.data / "member/wal")), daemon=True)
            held.start()
            daemons.until(lambda: any(fault.held for fault in control.faults()), "held operation")
        held.join(DELAY_MS / 1000)
        self.check(syncs and syncs[0] / 1e6 < DELAY_MS, "clearing frees what the fault holds")

    def on_mount_and_off(self, directory):
        layout, asked = local.lay_out(directory), self.asked("baseline")
        with local.mounted(layout, self.slowfs) as (control, data):
            with local.started(layout, data, control, asked) as on:
                self.measure(on)
        print("\n-- unmounted; the same data on the plain directories", flush=True)
        with local.started(layout, layout.backing, None, asked) as on:
            for node in on.nodes.values():
                found = node.keys("fsdelay/")
                kept = sum(found.get(key) == value for key, value in self.written.items())
                self.check(kept == len(self.written),
                           f"{node.name} has {kept} of the {len(self.written)} keys")

    def report(self):
        print(f"\n{'milliseconds':28}{'puts':>6}{'min':>8}{'median':>8}{'max':>8}{'added':>8}"
              f"{'sync in wal':>13}")
        usual = statistics.median(self.runs[0][1])
        for phase, took, syncs in self.runs:
            median = statistics.median(took)
            print(f"{phase:28}{len(took):6}{min(took):8.1f}{median:8.1f}{max(took):8.1f}"
                  f"{median - usual:8.1f}{statistics.median(syncs) / 1e6:13.1f}")
        print()
        for holds, what in self.checks:
            print(f"{'ok' if holds else 'FAILED':7} {what}")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--slowfs", type=Path, default=parameters.default_slowfs(),
                           help="the slowfs to run (default: %(default)s)")
    arguments.add_argument("--results", type=Path, default=Path("results/demo"),
                           help="where runs and plots go (default: %(default)s)")
    arguments.add_argument("--puts", type=int, default=200, help="without a delay")
    arguments.add_argument("--delayed-puts", type=int, default=30)
    shown = Demonstration(arguments.parse_args())

    def demonstrate():
        with daemons.workspace("slowfs-etcd-") as directory:
            shown.on_mount_and_off(directory)
        shown.report()
        plot_results.write_all(shown.results, shown.results)
        if not all(holds for holds, _ in shown.checks):
            raise RuntimeError("not all of it held")
    return experiment.guarded(demonstrate, "demo")


if __name__ == "__main__":
    sys.exit(main())
