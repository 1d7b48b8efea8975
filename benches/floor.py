#!/usr/bin/python3
"""slowfs against the floor of its transport: a minimal mirror on the same library, bindfs, raw.

"kernel" is slowfs too, with files that --passthrough-except leaves to the kernel, and "written back"
with --writeback-cache.
All stand on one tmpfs and take turns within each round, because machines drift: a ratio is taken
within each round, and its median over the rounds stands with the interval that encloses it with 90%
confidence. Rows whose interval is wider than it should be get more rounds. Several builds of slowfs
are put side by side by `--slowfs NAME=PATH`, the first of which is held against the bar. Ends with
0 if the bar is met, 1 if not, 2 if it could not be measured.
"""

import argparse
import contextlib
import json
import math
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "scripts"))

import daemons

# A row: what is measured, by how many clients.
ROWS = {
    "write 4k": ("write-4k", 1),
    "write 4k + fdatasync": ("write-4k-fdatasync", 1),
    "randread 4k direct": ("randread-4k-direct", 1),
    "randread 4k direct, 4 clients": ("randread-4k-direct", 4),
    "write 1M": ("write-1m", 1),
    "read 1M, cold": ("read-1m-cold", 1),
    "create + close": ("create-close", 1),
    "open + close": ("open-close", 1),
    "stat, uncached": ("stat-uncached", 1),
    "rename": ("rename", 1),
    "unlink": ("unlink", 1),
    "walk, per entry": ("walk", 1),
}
# What the first build of slowfs is measured with too.
MODES = {"kernel": ["--passthrough-except", "none"], "written back": ["--writeback-cache"]}
CLIENTS = [1, 2, 4, 8, 16]
for count in CLIENTS:
    ROWS[f"write 4k, {count} clients"] = ("write-4k", count)
    ROWS[f"randread 4k direct, {count} clients"] = ("randread-4k-direct", count)
# What slowfs is to reach of the minimal mirror and, where that sends as many requests, of bindfs; there
# what the minimal mirror reaches is enough. How wide the interval may be.
BAR, BAR_OF_BINDFS, WIDTH = 0.95, 1.0, 0.1
# bindfs has no FUSE_FLUSH: each close is a request less.
FEWER_REQUESTS = ["create + close", "open + close"]
TABLE = [row for row in ROWS if " clients" not in row or row == "randread 4k direct, 4 clients"]


def median_interval(values):
    """The median, and the narrowest pair of values that encloses it with 90% confidence.

    Few values give less (five: 94% from the least to the greatest; four: 88%).
    """
    ordered, n = sorted(values), len(values)
    left_out = 0
    while 2 * sum(math.comb(n, i) for i in range(left_out + 2)) <= 0.1 * 2**n:
        left_out += 1
    return statistics.median(ordered), ordered[left_out], ordered[n - 1 - left_out]


def ratios(figures, target, other):
    """How many times as fast as `other` the target was, a figure a round."""
    return [theirs / ours for ours, theirs in zip(figures[target], figures[other])]


def bars(row, figures, build):
    """What is judged of a row: (against whom, median, least, greatest, bar) each."""
    if row not in TABLE:
        return []
    judged = [("minimal", *median_interval(ratios(figures, build, "minimal")), BAR)]
    if row not in FEWER_REQUESTS:
        reached = statistics.median(ratios(figures, "minimal", "bindfs"))
        judged.append(("bindfs", *median_interval(ratios(figures, build, "bindfs")),
                       min(BAR_OF_BINDFS, reached)))
    return judged


def missed(row, figures, build):
    """Those of them that are below their bar, in words."""
    return [f"{median:.2f} of {other}, not {bar:.2f}"
            for other, median, _, _, bar in bars(row, figures, build) if median < bar]


def progress(text):
    """What goes on now, rewritten in place; nothing where nobody watches."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def floor_program():
    """The bench target, built: minimal mirror and rows."""
    out = subprocess.run(
        ["cargo", "bench", "--locked", "--bench", "floor", "--no-run", "--message-format", "json"],
        cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True).stdout
    built = [json.loads(line) for line in out.splitlines()]
    return next(b["executable"] for b in built
                if b.get("executable") and b["target"]["name"] == "floor")


@contextlib.contextmanager
def minimal_mounted(program, backing, at, log):
    """The minimal mirror knows no signal: it ends when it is unmounted."""
    process = daemons.start([program, "mount", backing, at], log)
    try:
        daemons.until(lambda: daemons.is_mounted(at), f"mount at {at}", [(process, log)])
        yield
    finally:
        with daemons.uninterrupted():
            if daemons.is_mounted(at):
                subprocess.run(["fusermount3", "-u", "-z", at], check=True)
            daemons.stop(process)


class Bench:
    """The targets, mounted, and what was measured of them."""

    def __init__(self, program, builds, directory):
        self.program, self.builds, self.directory = program, builds, directory
        self.targets = ["raw", *MODES, *builds, "minimal", "bindfs"]
        self.figures = {}

    @contextlib.contextmanager
    def mounted(self):
        """Everything mounted, each on a backing directory of its own."""
        for target in self.targets:
            self.backing(target).mkdir()
            self.at(target).mkdir(exist_ok=True)
        first = next(iter(self.builds.values()))
        slowfs = [(name, path, []) for name, path in self.builds.items()]
        slowfs += [(name, first, options) for name, options in MODES.items()]
        with contextlib.ExitStack() as mounts:
            for name, path, options in slowfs:
                mounts.enter_context(daemons.mounted(
                    [path, "mount", self.at(name), "--subdir", self.backing(name),
                     "--listen", "none", *options], self.at(name), self.directory / f"{name}.log"))
            mounts.enter_context(minimal_mounted(
                self.program, self.backing("minimal"), self.at("minimal"),
                self.directory / "minimal.log"))
            mounts.enter_context(daemons.mounted(
                ["bindfs", "-f", self.backing("bindfs"), self.at("bindfs")], self.at("bindfs"),
                self.directory / "bindfs.log"))
            yield self

    def backing(self, target):
        return self.directory / f"{target}-backing"

    def at(self, target):
        return self.backing(target) if target == "raw" else self.directory / target

    def measure(self, row, seconds):
        """One round of a row: each target once."""
        name, clients = ROWS[row]
        found = self.figures.setdefault(row, {target: [] for target in self.targets})
        for target in self.targets:
            done = subprocess.run(
                [self.program, "row", name, self.at(target), self.backing(target), str(clients),
                 str(seconds)],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise RuntimeError(f"{row} on {target}: {done.stderr.strip()}")
            found[target].append(float(done.stdout))
        self.targets.append(self.targets.pop(0))

    def is_wide(self, row):
        """Whether the interval is too wide for the row's bar; far off bindfs's it may be as it is."""
        ours = next(iter(self.builds))
        if row not in TABLE:
            _, low, high = median_interval(ratios(self.figures[row], ours, "minimal"))
            return high - low > WIDTH
        return any(high - low > WIDTH and (other == "minimal" or low < bar < high)
                   for other, _, low, high, bar in bars(row, self.figures[row], ours))

    def run(self, rows, rounds, most, seconds):
        """`rounds` of every row, then more, up to `most`, of those whose interval is too wide."""
        for turn in range(most):
            left = [row for row in rows if turn < rounds or self.is_wide(row)]
            for row in left:
                progress(f"round {turn + 1}: {row}")
                self.measure(row, seconds)
        progress("")


def machine(busy):
    """Where it was measured."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return {"cores": os.cpu_count(), "processor": models[0] if models else platform.machine(),
            "kernel": ".".join(platform.release().split(".")[:2]), "busy_cores_before": round(busy, 2)}


def busy_cores():
    """How many cores others keep busy, over a second in which this script does nothing."""
    def idle():
        with open("/proc/stat", encoding="ascii") as stat:
            _, _user, _nice, _system, idle, iowait, *_ = stat.readline().split()
        return (int(idle) + int(iowait)) / os.sysconf("SC_CLK_TCK")

    began, before = time.monotonic(), idle()
    time.sleep(1)
    return os.cpu_count() - (idle() - before) / (time.monotonic() - began)


def table(found, builds):
    """The rows of the report, with whether the first build meets its bars."""
    others = [*builds[1:], "minimal", "bindfs"]
    targets = ["raw", *MODES, *builds, "minimal", "bindfs"]
    head = ["us per operation", *targets, *(f"{builds[0]} / {other}" for other in others), "bars"]
    lines = [head, ["---"] * len(head)]
    for row, figures in found.items():
        medians = [f"{statistics.median(figures[t]):.1f}" for t in targets]
        against = [median_interval(ratios(figures, builds[0], other)) for other in others]
        shown = [f"{median:.2f} ({low:.2f} to {high:.2f})" for median, low, high in against]
        judged = "met" if bars(row, figures, builds[0]) else "not judged"
        failed = "; ".join(missed(row, figures, builds[0]))
        lines.append([row, *medians, *shown, f"missed: {failed}" if failed else judged])
    return lines


def place(where):
    """The same in a line."""
    return (f"{where['cores']} cores ({where['processor']}), Linux {where['kernel']}, others kept"
            f" {where['busy_cores_before']} of them busy before; tmpfs; medians of"
            f" {where['rounds']} rounds and more of {where['seconds']} s, ratios with 90% interval")


def markdown(lines):
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def named(text):
    name, _, path = text.rpartition("=")
    return name or "slowfs", Path(path).resolve()


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--slowfs", action="append", type=named, metavar="[NAME=]PATH",
                           help="a slowfs to measure; several stand side by side")
    arguments.add_argument("--row", action="append", choices=ROWS, metavar="ROW",
                           help="only this row; several may be given (default: all of the table)")
    arguments.add_argument("--clients", action="store_true",
                           help="also throughput over 1 to 16 clients")
    arguments.add_argument("--rounds", type=int, default=7, help="of each row (default: 7)")
    arguments.add_argument("--most", type=int, default=25,
                           help="rounds where the interval stays wide (default: 25)")
    arguments.add_argument("--time", type=float, default=0.3, help="seconds a figure (default: 0.3)")
    arguments.add_argument("--json", type=Path, default=REPOSITORY / "results/floor.json",
                           help="where every figure goes (default: %(default)s)")
    options = arguments.parse_args()
    builds = dict(options.slowfs or [("slowfs", REPOSITORY / "target/release/slowfs")])
    rows = options.row or list(TABLE)
    rows += [row for row in ROWS if row not in TABLE] if options.clients else []

    try:
        program = floor_program()
        busy = busy_cores()
        with daemons.workspace("slowfs-floor-", "/dev/shm") as directory:
            if shutil.disk_usage(directory).free < 4 << 30:
                raise RuntimeError("/dev/shm has less than 4 GiB free")
            with Bench(program, builds, directory).mounted() as bench:
                bench.run(rows, options.rounds, max(options.most, options.rounds), options.time)
    except KeyboardInterrupt:
        print("\ninterrupted: everything is ended and unmounted", file=sys.stderr)
        return 130
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 2
    where = {**machine(busy), "seconds": options.time, "rounds": options.rounds}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(
        {"where": where, "builds": list(builds), "us": bench.figures}) + "\n")
    print(f"{place(where)}\n\n{markdown(table(bench.figures, list(builds)))}")
    below = {row: missed(row, figures, next(iter(builds))) for row, figures in bench.figures.items()}
    below = "; ".join(f"{row}: {', '.join(how)}" for row, how in below.items() if how)
    print(f"\nbars, {BAR} of the minimal mirror, and {BAR_OF_BINDFS} of bindfs where it sends as many"
          f" requests or what the minimal mirror reaches of it: {'MISSED, ' + below if below else 'met'}"
          f"\nevery figure: {options.json}")
    return 1 if below else 0


if __name__ == "__main__":
    sys.exit(main())
