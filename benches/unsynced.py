#!/usr/bin/python3
"""What --track-unsynced costs: each append that is synced, and each write over what is there.

A mount with it and one without stand on one tmpfs, where a sync takes no time of its own, so that all
that is seen is slowfs's. They take turns within each round, every second time in the other order, and a
ratio is taken within its round. What is remembered is forgotten between the rounds, and stays in memory.
Ends with 0 if every bar is met, 1 if not, 2 if it could not be measured.
"""

import argparse
import contextlib
import statistics
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "scripts"))

import daemons
from delays import verdict
from floor import busy_cores, floor_program, machine, median_interval, progress

# What is measured, and how many times as long it may take with it.
ROWS = {
    "append 4k + fdatasync": ("append-4k-fdatasync", 1.10),
    "write 4k over": ("write-4k", 1.25),
}
WITHOUT, WITH = "without", "with"
TARGETS = {WITHOUT: [], WITH: ["--track-unsynced"]}


class Bench:
    """Both mounts."""

    def __init__(self, slowfs, directory, seconds):
        self.slowfs, self.directory, self.seconds = slowfs, directory, seconds
        self.program = floor_program()
        self.controls = dict(zip(TARGETS, daemons.free_ports(len(TARGETS))))

    @contextlib.contextmanager
    def mounted(self):
        with contextlib.ExitStack() as mounts:
            for name, options in TARGETS.items():
                at, backing = self.at(name), self.backing(name)
                at.mkdir()
                backing.mkdir()
                port = self.controls[name]
                command = [self.slowfs, "mount", at, "--subdir", backing, "--listen", f"127.0.0.1:{port}",
                           *options]
                mounts.enter_context(daemons.mounted(command, at, self.directory / f"{name}.log", port))
            yield self

    def at(self, name):
        return self.directory / name

    def backing(self, name):
        return self.directory / f"{name}-backing"

    def us(self, row, name):
        """How long an operation takes there."""
        done = subprocess.run(
            [self.program, "row", row, self.at(name), self.backing(name), "1", str(self.seconds)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{row} {name} --track-unsynced: {done.stderr.strip()}")
        if name == WITH:
            subprocess.run([self.slowfs, "checkpoint", "--addr", f"127.0.0.1:{self.controls[name]}"],
                           check=True, stdout=subprocess.DEVNULL)
        return float(done.stdout)

    def rounds(self, row, number):
        """Of each round how long it took without and with it."""
        for n in range(number):
            progress(f"{row}, round {n + 1}")
            order = [WITHOUT, WITH] if n % 2 == 0 else [WITH, WITHOUT]
            found = {name: self.us(row, name) for name in order}
            yield found[WITHOUT], found[WITH]


def report(bench, rounds):
    """Prints the figures as they come; returns whether every bar is met."""
    all_met = True
    for told, (row, bar) in ROWS.items():
        found = list(bench.rounds(row, rounds))
        progress("")
        without, tracked = (statistics.median(figures) for figures in zip(*found))
        ratio, low, high = median_interval([theirs / ours for ours, theirs in found])
        met = ratio <= bar
        all_met &= met
        print(f"{told}: {without:.2f} us without, {tracked:.2f} us with --track-unsynced: {ratio:.3f} times as long"
              f" ({low:.3f} to {high:.3f}), bar {bar}: {verdict(met)}", flush=True)
    return all_met


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--slowfs", type=Path, default=REPOSITORY / "target/release/slowfs",
                           help="the slowfs to measure (default: %(default)s)")
    arguments.add_argument("--rounds", type=int, default=21, help="of each row (default: 21)")
    arguments.add_argument("--time", type=float, default=0.15, help="seconds a figure (default: 0.15)")
    options = arguments.parse_args()
    try:
        where = machine(busy_cores())
        print(f"{where['cores']} cores ({where['processor']}), Linux {where['kernel']}, others kept"
              f" {where['busy_cores_before']} of them busy before; tmpfs; medians of {options.rounds} rounds of"
              f" {options.time} s, ratios with 90% interval")
        with daemons.workspace("slowfs-unsynced-", "/dev/shm") as directory:
            with Bench(options.slowfs.resolve(), directory, options.time).mounted() as bench:
                met = report(bench, options.rounds)
    except KeyboardInterrupt:
        print("\ninterrupted: everything is ended and unmounted", file=sys.stderr)
        return 130
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 2
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
