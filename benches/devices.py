#!/usr/bin/python3
"""fio on a mount with a device, beside what the device claims and the same fio without one.

What a device claims is what its model (tests/kinds/device.py) makes of the same clients, each of which asks
again as soon as it is answered. The mount's own time comes on top of it: where that is more than a tenth of
the claim, the mount is the limit, and nothing is judged. Everywhere else IOPS and the median are to be within
10% of the claim. Ends with 0 if they are, 1 if not, 2 if it could not be measured.
"""

import argparse
import heapq
import json
import random
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY / "scripts"), str(REPOSITORY / "tests/kinds")]

import daemons
from floor import busy_cores, machine
from device import Device, sheet

DEVICES = ["nvme", "ssd", "hdd", "ebs-gp3"]
DEPTHS = [1, 4, 32]
# How fio calls it, the bytes of a request, and whether it goes on where the last one ended.
JOBS = {"randread 4k": ("randread", 4096, False), "randwrite 4k": ("randwrite", 4096, False),
        "read 256k": ("read", 256 << 10, True)}
FILE = 8 << 20
# How far off the claim IOPS and the median may be, and how much of it may be the mount's own time.
BAR, OWN = 0.1, 0.1
# So many requests of the model are enough.
MODELLED = 60_000


def claimed(name, job, depth, seconds):
    """IOPS, median and 99th percentile in microseconds, as the model has them."""
    kind, length, is_sequential = JOBS[job]
    method = "write" if "write" in kind else "read"
    device, dice = Device(sheet(name), 1, 1), random.Random(1)
    clients, offsets = [(0, client) for client in range(depth)], [0] * depth
    times, ends, now = [], [], 0
    for n in range(MODELLED):
        now, client = heapq.heappop(clients)
        if now > seconds * 1e9:
            break
        offset = offsets[client] if is_sequential else dice.randrange(FILE // length) * length
        offsets[client] = (offset + length) % FILE
        due = device.due(n, now, method, client, offset, length)
        times.append(due - now)
        ends.append(due)
        heapq.heappush(clients, (due, client))
    times.sort()
    return {"iops": sum(end <= now for end in ends) / (now / 1e9), "p50": times[len(times) // 2] / 1e3,
            "p99": times[len(times) * 99 // 100] / 1e3}


def measured(directory, job, depth, seconds):
    """The same of a directory, as fio has it. Each client is a thread that waits for each answer, with a file
    of its own: the kernel lets one at a time write to each."""
    kind, length, _ = JOBS[job]
    done = subprocess.run(
        ["fio", "--name=row", f"--directory={directory}", f"--rw={kind}", f"--bs={length}",
         f"--numjobs={depth}", "--thread", "--ioengine=psync", "--direct=1", "--group_reporting",
         "--filename_format=f.$jobnum", f"--size={FILE}", "--time_based", f"--runtime={seconds}",
         "--output-format=json"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"fio {job}: {done.stderr.strip()}")
    # What it warns of stands before.
    found = json.loads(done.stdout[done.stdout.index("{"):])["jobs"][0]
    side = found["write" if "write" in kind else "read"]
    of = side["clat_ns"]["percentile"]
    return {"iops": side["iops"], "p50": of["50.000000"] / 1e3, "p99": of["99.000000"] / 1e3}


class Mounted:
    """A mount, and what is set on it."""

    def __init__(self, slowfs, directory, control):
        self.slowfs, self.directory, self.control = slowfs, directory, control

    def ask(self, *words):
        subprocess.run([self.slowfs, *words, "--addr", self.control], check=True,
                       stdout=subprocess.DEVNULL)


def bench(options, directory):
    """Each row: device, job, depth, what was claimed, measured, and measured without the device."""
    backing, at = directory / "backing", directory / "slowfs"
    backing.mkdir()
    at.mkdir()
    for n in range(max(DEPTHS)):
        (backing / f"f.{n}").write_bytes(bytes(FILE))
    [port] = daemons.free_ports(1)
    control = f"127.0.0.1:{port}"
    command = [options.slowfs, "mount", at, "--subdir", backing, "--listen", control, "--seed", "1"]
    rows = []
    with daemons.mounted(command, at, directory / "slowfs.log", port):
        mount = Mounted(options.slowfs, at, control)
        for job in JOBS:
            for depth in DEPTHS:
                unarmed = measured(at, job, depth, options.seconds)
                for device in options.device:
                    mount.ask("device", device)
                    armed = measured(at, job, depth, options.seconds)
                    mount.ask("clear")
                    claim = claimed(device, job, depth, options.seconds)
                    rows.append((device, job, depth, claim, armed, unarmed))
    return sorted(rows, key=lambda row: options.device.index(row[0]))


def verdict(claim, armed, unarmed):
    """`the mount` where that is the limit; else by how much the worse of both is off, and whether it may be."""
    if unarmed["p50"] > OWN * claim["p50"]:
        return "the mount", True
    off = max(abs(armed[what] / claim[what] - 1) for what in ("iops", "p50"))
    return f"{off:.1%} off", off <= BAR


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def table(rows):
    """In Markdown, and whether every bar is met."""
    lines = ["| device | job | depth | IOPS claimed | measured | MB/s | p50, us: claimed | measured | p99, us: claimed "
             "| measured | unarmed: IOPS | p50, us | |", "|---|---|" + "--:|" * 10 + "---|"]
    met = True
    for device, job, depth, claim, armed, unarmed in rows:
        told, fine = verdict(claim, armed, unarmed)
        met &= fine
        bandwidth = armed["iops"] * JOBS[job][1] / 1e6
        cells = [device, job, depth, number(claim["iops"]), number(armed["iops"]), number(bandwidth),
                 number(claim["p50"]), number(armed["p50"]), number(claim["p99"]), number(armed["p99"]),
                 number(unarmed["iops"]), number(unarmed["p50"]), told if fine else f"**{told}**"]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines), met


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--slowfs", type=Path, default=REPOSITORY / "target/release/slowfs",
                           help="the slowfs to measure (default: %(default)s)")
    arguments.add_argument("--seconds", type=int, default=3, help="how long each run takes (default: 3)")
    arguments.add_argument("--device", action="append", help=f"one of them (default: {', '.join(DEVICES)})")
    arguments.add_argument("--write", action="store_true", help="put the table into docs/devices.md")
    options = arguments.parse_args()
    options.slowfs, options.device = options.slowfs.resolve(), options.device or DEVICES
    where = machine(busy_cores())
    where = (f"{where['cores']} cores ({where['processor']}), Linux {where['kernel']}, others kept"
             f" {where['busy_cores_before']} of them busy before; tmpfs; {options.seconds} s a figure")
    try:
        with daemons.workspace("slowfs-bench-", "/dev/shm") as directory:
            text, met = table(bench(options, directory))
    except KeyboardInterrupt:
        print("\ninterrupted: everything is ended and unmounted", file=sys.stderr)
        return 130
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 2
    print(f"{where}\n\n{text}")
    if options.write:
        from performance import replace
        replace(REPOSITORY / "docs/devices.md", "table", f"{where}.\n\n{text}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
