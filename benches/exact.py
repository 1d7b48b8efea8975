#!/usr/bin/python3
"""How late each kind that takes time is answered, beside `delay` of the same length, and a throttle's rate.

By the trace: when a request was answered, less when it was due. Each round takes `delay` and then all others,
with one client and with 64 held at once. A kind may be later than `delay` by 2 us or a tenth of what that is
late itself, whichever is more: by the lower end of the interval of the rounds' differences. Ends with 0 if
every bar is met, 1 if not, 2 if it could not be measured.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "scripts"))

import daemons
from floor import busy_cores, machine, median_interval

ROUNDS = int(os.environ.get("ROUNDS", 7))
# Bytes of a write, and of a file.
BLOCK, FILE = 4096, 1 << 20
MICROSECOND = 1_000
# How later than `delay` a kind may be: so many ns, or this share of what that is late.
BAR_NS, BAR_SHARE = 2 * MICROSECOND, 0.1
# Clients, what each request waits in us, and how many requests each client makes.
LENGTHS = [(1, 100, 1_500), (1, 1_000, 250), (1, 10_000, 30), (64, 10_000, 30)]
# The throttle's rate, how long it is held to it, and how far off it may be.
RATE, SECONDS, RATE_BAR = 500, 10, 0.005

REFERENCE = "delay"


def kinds(us, measured):
    """The faults that hold a write of BLOCK bytes so many us, by name; `measured` is a file of such times."""
    at = f"{us}us"
    return {
        REFERENCE: f"delay {at}",
        "uniform": f"delay uniform:{at}..{at}",
        "normal": f"delay normal:{at},1ns",
        "lognormal": f"delay lognormal:p50={at},p99={us * 1_001}ns",
        "pareto": f"delay pareto:{at},10000",
        "exp": f"delay exp:1h,max={at}",
        "table": f"delay table:0={at},100={at}",
        "file": f"delay file:{measured}",
        "per-byte": f"delay {us * 1_000 - 10 * BLOCK}ns --per-byte 10ns",
        "when-after": f"delay {at} --when after",
        "ramp": f"delay {at} --ramp x1..x1/1s",
        "phases": f"delay {at} --on-for 1h --off-for 1s",
        "throttle": f"throttle --iops {1_000_000 // us} --per file",
        "device": f"device --write {at} --channels 64",
    }


class Mounted:
    """A mount to measure on, and where its files lie."""

    def __init__(self, slowfs, directory, control):
        self.slowfs, self.directory, self.control = slowfs, directory, control

    def command(self, *words):
        return [str(word) for word in (self.slowfs, *words, "--addr", self.control)]

    def ask(self, *words):
        subprocess.run(self.command(*words), check=True, stdout=subprocess.DEVNULL)

    @property
    def files(self):
        return self.directory / "slowfs"

    def write(self, clients, *how):
        """So many clients write, each a file of its own, and each waits for each answer."""
        subprocess.run(["fio", "--name=write", f"--directory={self.files}", "--rw=write", f"--bs={BLOCK}",
                        f"--numjobs={clients}", "--thread", "--ioengine=psync", "--group_reporting",
                        "--filename_format=f.$jobnum", "--fallocate=none", "--overwrite=1", *how],
                       check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def traced(self, name, fault, clients, *how):
        """The events of such writes while that fault is set."""
        trace = self.directory / "trace"
        trace.unlink(missing_ok=True)
        tracer = subprocess.Popen(self.command("trace", "--fired", "--to", trace), stdin=subprocess.DEVNULL)
        try:
            daemons.until(lambda: trace.exists() and trace.stat().st_size > 0, "trace")
            self.ask(*fault.split(), "-m", "write")
            self.write(clients, *how)
            self.ask("clear")
        finally:
            daemons.stop(tracer)
        _, *events = map(json.loads, trace.read_text().splitlines())
        if any(event.get("dropped") for event in events):
            raise RuntimeError(f"the trace of {name} has lost requests")
        return [event for event in events if event.get("hits")]


def lateness(events):
    """The median of how late they were answered, in ns."""
    late = [event["done_ns"] - hit["due_ns"] for event in events for hit in event["hits"] if hit.get("due_ns")]
    if len(late) < len(events) / 2 or min(late) < 0:
        raise RuntimeError(f"of {len(events)} requests {len(late)} were held, one for {min(late)} ns too short")
    return statistics.median(late)


def rows(mount):
    """Of each length and kind how late it was, and the rounds' differences to `delay`."""
    for clients, us, writes in LENGTHS:
        measured = mount.directory / "measured"
        measured.write_text(f"0={us}us\n100={us}us\n")
        found = {}
        for n in range(ROUNDS):
            faults = list(kinds(us, measured).items())
            # Each round begins elsewhere, so that no kind always follows the same one.
            for name, fault in faults[n:] + faults[:n]:
                late = lateness(mount.traced(name, fault, clients, f"--size={writes * BLOCK}"))
                found.setdefault(name, []).append(late)
        reference = found[REFERENCE]
        for name, late in found.items():
            yield clients, us, name, late, [own - other for own, other in zip(late, reference)]


def rate(mount):
    """Operations a second that a throttle lets through, by when the first and the last were due."""
    how = [f"--size={FILE}", "--time_based", f"--runtime={SECONDS}"]
    events = mount.traced("throttle", f"throttle --iops {RATE}", 16, *how)
    done = [event["done_ns"] for event in events]
    return (len(done) - 1) / (max(done) - min(done)) * 1e9


def report(mount):
    """Prints the figures as they come; returns whether every bar is met."""
    all_met = True
    print(f"{'held':>4} {'each':>6}  {'kind':<11} {'late':>9}  {'more than delay, and 90% interval':>38}  bar")
    for clients, us, name, late, more in rows(mount):
        median, low, high = (value / MICROSECOND for value in median_interval(more))
        usual = statistics.median(late) / MICROSECOND
        bar = max(BAR_NS, BAR_SHARE * (statistics.median(late) - statistics.median(more))) / MICROSECOND
        met = low <= bar
        all_met &= met
        length = f"{us}us" if us < 1_000 else f"{us // 1_000}ms"
        more = f"{median:+8.1f}us ({low:+8.1f} to {high:+8.1f})"
        judged = "" if name == REFERENCE else f"  {bar:.1f}us: {'met' if met else 'MISSED'}"
        print(f"{clients:>4} {length:>6}  {name:<11} {usual:7.1f}us  {more:>38}{judged}", flush=True)
    found = rate(mount)
    met = abs(found / RATE - 1) <= RATE_BAR
    print(f"a throttle of {RATE} operations a second let {found:.2f} through, over {SECONDS} s: "
          f"{found / RATE - 1:+.2%}, bar {RATE_BAR:.1%}: {'met' if met else 'MISSED'}")
    return all_met and met


def bench(slowfs, directory):
    backing, at = directory / "backing", directory / "slowfs"
    backing.mkdir()
    at.mkdir()
    [port] = daemons.free_ports(1)
    control = f"127.0.0.1:{port}"
    command = [slowfs, "mount", at, "--subdir", backing, "--listen", control, "--seed", "1"]
    with daemons.mounted(command, at, directory / "slowfs.log", port):
        mount = Mounted(slowfs, directory, control)
        mount.write(64, f"--size={FILE}")
        return report(mount)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--slowfs", type=Path, default=REPOSITORY / "target/release/slowfs",
                           help="the slowfs to measure (default: %(default)s)")
    options = arguments.parse_args()
    where = machine(busy_cores())
    print(f"{where['cores']} cores ({where['processor']}), Linux {where['kernel']}, others kept"
          f" {where['busy_cores_before']} of them busy before; tmpfs; {ROUNDS} rounds\n")
    try:
        with daemons.workspace("slowfs-bench-", "/dev/shm") as directory:
            met = bench(options.slowfs.resolve(), directory)
    except KeyboardInterrupt:
        print("\ninterrupted: everything is ended and unmounted", file=sys.stderr)
        return 130
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 2
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
