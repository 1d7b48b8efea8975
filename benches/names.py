#!/usr/bin/python3
"""What faults cost those whom they do not match: calls by name, and a file's first operation.

Daemons with 0, 10, 100 and 1,000 faults on every method, whose patterns match nothing, stand on one
tmpfs and take turns within each round: a ratio is taken within its round. Ends with 0 if every bar is
met, 1 if not, 2 if it could not be measured.
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "scripts"))

import daemons
from delays import resident_mb, verdict
from floor import busy_cores, floor_program, machine, median_interval, named, progress, ratios

COUNTS = [0, 10, 100, 1000]
ROWS = ["create-unlink", "rename", "stat-uncached"]
# What is left of the speed without faults.
BARS = {100: 0.95, 1000: 0.85}
# A file's first operation beside the most faults, above its second: median, and one in a hundred.
FIRST_US = (200, 1000)
# The forms that patterns have; one is for the engine that goes back.
FORMS = ["(^|.*/)shard-{}/wal/.*", r".*/table-{}\.sst", "/data/db{}/.*", r"(?!.*\.tmp$).*/log-{}/.*"]


def fault(n):
    """The first has a name, by which it is set anew."""
    name = "--name one" if n == 0 else "--add"
    return f"error EIO -m all {name} -r '{FORMS[n % len(FORMS)].format(n)}'"


class Bench:
    """A daemon for each build and number of faults."""

    def __init__(self, program, builds, directory):
        self.program, self.builds, self.directory = program, builds, directory
        self.targets = [(build, count) for build in builds for count in COUNTS]
        self.controls = dict(zip(self.targets, daemons.free_ports(len(self.targets))))
        self.figures, self.resident = {}, {}

    def at(self, target):
        return self.directory / f"{target[0]}-{target[1]}"

    def backing(self, target):
        return self.directory / f"{target[0]}-{target[1]}-backing"

    @contextlib.contextmanager
    def mounted(self):
        with contextlib.ExitStack() as mounts:
            processes = {target: mounts.enter_context(self.mount(target)) for target in self.targets}
            yield self
            self.resident = {target: resident_mb(p) for target, p in processes.items()}

    @contextlib.contextmanager
    def mount(self, target):
        build, count = target
        self.at(target).mkdir()
        self.backing(target).mkdir()
        faults = [word for n in range(count) for word in ("--fault", fault(n))]
        port = self.controls[target]
        command = [self.builds[build], "mount", self.at(target), "--subdir", self.backing(target),
                   "--listen", f"127.0.0.1:{port}", *faults]
        log = self.directory / f"{build}-{count}.log"
        with daemons.mounted(command, self.at(target), log, port) as process:
            yield process

    def measure(self, row, seconds):
        """One round of a row: each target once."""
        found = self.figures.setdefault(row, {target: [] for target in self.targets})
        for target in self.targets:
            done = subprocess.run(
                [self.program, "row", row, self.at(target), self.backing(target), "1", str(seconds)],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise RuntimeError(f"{row} on {target}: {done.stderr.strip()}")
            found[target].append(float(done.stdout))
        self.targets.append(self.targets.pop(0))

    def first_us(self, target, files):
        """What the first write of each file takes above the second."""
        directory = self.at(target) / "first"
        directory.mkdir(exist_ok=True)
        return [first_above_second(directory / f"{n}-{time.monotonic_ns()}") for n in range(files)]

    def after_set_us(self, target, sets):
        """The same, each after one of the faults was set anew."""
        def put(n):
            line = [self.builds[target[0]], "error", "EIO", "-m", "all", "-r", f".*/more-{n}/.*",
                    "--name", "one", "--addr", f"127.0.0.1:{self.controls[target]}"]
            subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
            return self.first_us(target, 1)[0]

        return [put(n) for n in range(sets)]


def first_above_second(path):
    file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    try:
        times = [time.perf_counter_ns()]
        for _ in range(2):
            os.pwrite(file, b"x", 0)
            times.append(time.perf_counter_ns())
    finally:
        os.close(file)
    return (2 * times[1] - times[0] - times[2]) / 1e3


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def report(bench, first, after_set):
    """Prints the figures; returns whether the first build meets every bar."""
    ours, met = next(iter(bench.builds)), True
    for row, figures in bench.figures.items():
        for build in bench.builds:
            told = []
            for count in COUNTS[1:]:
                median, low, high = median_interval(ratios(figures, (build, count), (build, 0)))
                bar = BARS.get(count)
                told.append(f"{count}: {median:.2f} ({low:.2f} to {high:.2f})")
                if bar and build == ours:
                    told[-1] += f", bar {bar}: {verdict(median >= bar)}"
                    met &= median >= bar
            unarmed = statistics.median(figures[build, 0])
            print(f"{build}, {row}: {unarmed:.1f} us without faults; with {'; '.join(told)}")
    for (build, count), values in first.items():
        p50, p99 = statistics.median(values), percentile(values, 0.99)
        told = f"{build}, {count} faults: a file's first operation {p50:.0f} us longer, p99 {p99:.0f} us"
        if count == COUNTS[-1] and build == ours:
            good = p50 <= FIRST_US[0] and p99 <= FIRST_US[1]
            told += f", bars {FIRST_US[0]} and {FIRST_US[1]} us: {verdict(good)}"
            met &= good
        print(f"{told}; resident {bench.resident[build, count]:.1f} MB")
    for build, values in after_set.items():
        print(f"{build}, {COUNTS[-1]} faults: the first operation after a set"
              f" {statistics.median(values):.0f} us longer, the worst of {len(values)}"
              f" {max(values):.0f} us")
    return met


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--slowfs", action="append", type=named, metavar="[NAME=]PATH",
                           help="a slowfs to measure; several stand side by side")
    arguments.add_argument("--rounds", type=int, default=11, help="of each row (default: 11)")
    arguments.add_argument("--time", type=float, default=0.3, help="seconds a figure (default: 0.3)")
    arguments.add_argument("--files", type=int, default=1000,
                           help="of which the first operation is timed (default: 1000)")
    options = arguments.parse_args()
    builds = dict(options.slowfs or [("slowfs", REPOSITORY / "target/release/slowfs")])
    try:
        program = floor_program()
        where = machine(busy_cores())
        with daemons.workspace("slowfs-names-", "/dev/shm") as directory:
            with Bench(program, builds, directory).mounted() as bench:
                for turn in range(options.rounds):
                    for row in ROWS:
                        progress(f"round {turn + 1}: {row}")
                        bench.measure(row, options.time)
                progress("first operations")
                first = {target: bench.first_us(target, options.files)
                         for target in sorted(bench.targets, key=lambda target: target[1])}
                after_set = {build: bench.after_set_us((build, COUNTS[-1]), 50) for build in builds}
                progress("")
    except KeyboardInterrupt:
        print("\ninterrupted: everything is ended and unmounted", file=sys.stderr)
        return 130
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 2
    print(f"{where['cores']} cores ({where['processor']}), Linux {where['kernel']}, others kept"
          f" {where['busy_cores_before']} of them busy before; tmpfs; medians of {options.rounds}"
          f" rounds of {options.time} s, ratios to no faults with 90% interval")
    return 0 if report(bench, first, after_set) else 1


if __name__ == "__main__":
    sys.exit(main())
