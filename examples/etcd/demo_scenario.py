#!/usr/bin/python3
"""A log device that degrades under a real etcd: when does its leader go?

Three nodes, the leader's log on slowfs. `slowfs run` plays degrading-log.scenario while keys are put one after
the other, to whoever leads. Writes what each put took, who led when, the report of slowfs, and a plot of both.
Ends with 0 if all that should hold holds.
"""

import argparse
import contextlib
import csv
import json
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import clients
import cluster
import daemons
import experiment
import local
import parameters
import plot_scenario

SCENARIO = Path(__file__).with_name("degrading-log.scenario")
PUT_TIMEOUT_S = 1
# A machine that others use may be late by more than etcd's own timeouts forgive.
HEARTBEAT_MS, ELECTION_MS = 300, 3000


@dataclass
class Put:
    """One put: when it began (seconds since 1970), what it took, to whom, and why it failed."""

    began: float
    took: float
    node: str
    error: str


class Watch(threading.Thread):
    """Notes who leads, as the nodes that are not on the mount see it."""

    def __init__(self, nodes):
        super().__init__(daemon=True)
        # Connections of its own: nobody shares one.
        self._nodes = [cluster.Node(node.name, node.host, node.port) for node in nodes.values()]
        self._ids = {node.status()[0]: node.name for node in self._nodes}
        self.seen, self._over = [], threading.Event()
        self._look()

    @property
    def leader(self):
        return self.seen[-1][1]

    def _look(self):
        for node in self._nodes:
            if node.name != cluster.SLOW:
                with contextlib.suppress(*experiment.TROUBLE):
                    leader = self._ids.get(node.status()[1], "")
                    if not self.seen or leader != self.leader:
                        self.seen.append((time.time(), leader))
                    return

    def run(self):
        while not self._over.wait(0.05):
            self._look()

    def end(self):
        self._over.set()
        self.join()


def put_over_and_over(on, watch, over):
    """Puts one key after the other, to whoever leads, until `over`."""
    done, client, node = [], None, None
    while not over.is_set():
        if watch.leader and watch.leader != node:
            with contextlib.suppress(AttributeError):
                client.close()
            node = watch.leader
            client = clients.Resident(on.nodes[node], PUT_TIMEOUT_S)
        began, error = time.time(), ""
        try:
            client.put(f"scenario/{len(done)}", f"value-{len(done)}")
        except clients.Failed as failed:
            error = str(failed).split(":")[0]
        done.append(Put(began, time.time() - began, node, error))
    client.close()
    return done


def play(slowfs, control, results):
    """Runs the scenario to its end; what its report says."""
    for name in ("report.html", "report.json"):
        (results / name).unlink(missing_ok=True)
    report = results / "report.json"
    argv = [slowfs, "run", SCENARIO, "--addr", "{}:{}".format(*control), "--report", report]
    subprocess.run(argv, check=True)
    return json.loads(report.read_text())


def write(results, puts, leaders, began):
    """The figures, with times since the scenario began."""
    with open(results / "put_latency.csv", "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("at_s", "took_s", "node", "error"))
        rows.writerows((f"{put.began - began:.6f}", f"{put.took:.6f}", put.node, put.error)
                       for put in puts)
    with open(results / "leaders.csv", "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("at_s", "leader"))
        rows.writerows((f"{at - began:.6f}", leader) for at, leader in leaders)


def phases(report):
    """(begin, end, what was done) of each, in seconds since the scenario began."""
    steps = report["mounts"][0]["steps"]
    moments = [(0, "healthy"), *((step["at_ns"] / 1e9, step["text"].split(" -m ")[0])
                                 for step in steps)]
    ends = [at for at, _ in moments[1:]] + [report["mounts"][0]["elapsed_ns"] / 1e9]
    return [(at, end, what) for (at, what), end in zip(moments, ends)]


def told(report, puts, leaders, began):
    """Prints a line a phase; what should hold, and whether it does."""
    print(f"\n{'from':>6}{'to':>6}  {'log device':38}{'puts':>6}{'failed':>8}{'median ms':>11}"
          f"{'p99 ms':>9}{'max ms':>9}  leader")
    medians = []
    for at, end, what in phases(report):
        own = [put for put in puts if at <= put.began - began < end]
        took = sorted(1000 * put.took for put in own if not put.error)
        shown = (f"{statistics.median(took):.1f}", f"{took[int(0.99 * (len(took) - 1))]:.1f}",
                 f"{took[-1]:.1f}") if took else ("-", "-", "-")
        medians.append(statistics.median(took) if took else None)
        led = [name for then, name in leaders if then - began <= at][-1:]
        led += [name or "none" for then, name in leaders if at < then - began < end]
        print(f"{at:6.1f}{end:6.1f}  {what:38}{len(own):6}{sum(bool(p.error) for p in own):8}"
              f"{shown[0]:>11}{shown[1]:>9}{shown[2]:>9}  {' -> '.join(led)}")
    healthy, slow, slower, _, recovered = medians
    stall = phases(report)[3][0]
    gone = [at - began for at, name in leaders if at - began > stall and name != cluster.SLOW]
    first = next((put.began - began for put in puts if put.began - began > stall and not put.error
                  and put.node != cluster.SLOW), None)
    print()
    if gone:
        print(f"{cluster.SLOW} lost the lead {gone[0] - stall:.1f} s after its log stalled")
    if first:
        print(f"the first put under another leader began {first - stall:.1f} s after")
    before = {name for at, name in leaders if at - began < stall}
    return [
        (before == {cluster.SLOW}, f"{cluster.SLOW} leads until its log stalls, however slow"),
        (slow >= 5 and healthy < slow < slower, "puts are slower with each step"),
        (bool(gone), "the stall costs it the lead"),
        (first is not None, "puts succeed again under another leader, while its log still stalls"),
        (recovered and recovered < slower, "the device that stalled slows nobody any more"),
    ]


def demonstrate(options):
    options.results.mkdir(parents=True, exist_ok=True)
    asked = parameters.checked(parameters.Parameters(heartbeat_ms=HEARTBEAT_MS,
                                                     election_ms=ELECTION_MS))
    with daemons.workspace("slowfs-scenario-") as directory:
        layout = local.lay_out(directory)
        with local.mounted(layout, options.slowfs.resolve()) as (control, data), \
                local.started(layout, data, control, asked) as on:
            on.lead(on.nodes[cluster.SLOW])
            watch, over, puts = Watch(on.nodes), threading.Event(), []
            putting = threading.Thread(
                target=lambda: puts.extend(put_over_and_over(on, watch, over)), daemon=True)
            watch.start()
            putting.start()
            try:
                report = play(options.slowfs.resolve(), control, options.results)
            finally:
                over.set()
                putting.join(2 * PUT_TIMEOUT_S + 30)
                watch.end()
    began = report["mounts"][0]["started_unix_ns"] / 1e9
    write(options.results, puts, watch.seen, began)
    plot_scenario.write(options.results)
    checks = told(report, puts, watch.seen, began)
    for holds, what in checks:
        print(f"{'ok' if holds else 'FAILED':7} {what}")
    print(f"\n{options.results / 'put_latency.png'}, {options.results / 'report.json'}")
    if not all(holds for holds, _ in checks):
        raise RuntimeError("not all of it held")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--slowfs", type=Path, default=parameters.default_slowfs(),
                           help="the slowfs to run (default: %(default)s)")
    arguments.add_argument("--results", type=Path, default=Path("results/scenario"),
                           help="where all is written (default: %(default)s)")
    options = arguments.parse_args()
    return experiment.guarded(lambda: demonstrate(options), "demo-scenario")


if __name__ == "__main__":
    sys.exit(main())
