#!/usr/bin/python3
"""slowfs against the raw directory and bindfs: fio throughput, concurrent delays, resident memory.

"kernel" is slowfs too, with a file that --passthrough-except leaves to the kernel. All stand on one
tmpfs and are measured in turns within one run, because machines drift: a ratio is taken within each
round, and its median over the rounds is held against a bar. Ends with 0 if every bar is met. Run it
on an idle machine: a FUSE request costs several times less where caller and daemon share a core, and
only a core that others keep busy makes the scheduler put bindfs's one thread beside its caller.
ROUNDS= and RUNTIME= (seconds per measurement) lengthen it.
"""

import argparse
import concurrent.futures
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "scripts"))

import daemons
from floor import busy_cores, median_interval, progress

ROUNDS = int(os.environ.get("ROUNDS", 5))
RUNTIME = float(os.environ.get("RUNTIME", 2))

# Name, what fio is told, the unit of the figure, and the least ratio of slowfs to bindfs.
WORKLOADS = [
    ("write 4k", ["--rw=write", "--bs=4k"], "kIOPS", 3),
    ("write 4k + fdatasync", ["--rw=write", "--bs=4k", "--fdatasync=1"], "kIOPS", 2),
    ("randread 4k direct", ["--rw=randread", "--bs=4k", "--direct=1"], "kIOPS", 2),
    ("write 1M", ["--rw=write", "--bs=1M"], "MB/s", 5),
]
FILE_SIZE = 256 << 20
DELAYED, DELAY_MS, DELAYS_END_MS = 16, 100, 150
RESIDENT_MB = 40


def fio(directory, options):
    """One measurement: (operations per second, bytes per second)."""
    out = subprocess.run(
        ["fio", "--name=bench", f"--filename={directory}/file", f"--size={FILE_SIZE}",
         "--ioengine=psync", "--time_based", f"--runtime={RUNTIME * 1000:.0f}ms",
         "--fallocate=none", "--output-format=json", *options],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout
    job = json.loads(out[out.index("{"):])["jobs"][0]
    done = job["read" if job["read"]["total_ios"] else "write"]
    return done["iops"], done["bw_bytes"]


def throughput(directories):
    """{workload: {target: figures, one a round}}, the targets taken in turns."""
    figures = {name: {target: [] for target in directories} for name, *_ in WORKLOADS}
    targets = list(directories)
    for turn in range(ROUNDS):
        for name, options, unit, _ in WORKLOADS:
            for target in targets:
                progress(f"round {turn + 1} of {ROUNDS}: {name} on {target}")
                iops, bandwidth = fio(directories[target], options)
                figures[name][target].append(iops / 1e3 if unit == "kIOPS" else bandwidth / 1e6)
        targets.append(targets.pop(0))
    return figures


def concurrent_delays(directory):
    """Milliseconds until the last of sixteen delayed fsyncs, of a file each, has returned."""
    start = threading.Barrier(DELAYED + 1)

    def sync(n):
        with open(directory / f"delayed{n}", "wb", buffering=0) as file:
            file.write(b"x")
            start.wait()
            began = time.monotonic()
            os.fsync(file.fileno())
            return began, time.monotonic()

    with concurrent.futures.ThreadPoolExecutor(DELAYED) as pool:
        syncs = [pool.submit(sync, n) for n in range(DELAYED)]
        start.wait()
        times = [s.result() for s in syncs]
    shortest = min(end - began for began, end in times) * 1e3
    if shortest < DELAY_MS:
        raise RuntimeError(f"an fsync delayed {DELAY_MS} ms returned after {shortest:.1f} ms")
    return (max(end for _, end in times) - min(began for began, _ in times)) * 1e3


def resident_mb(process):
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def bench(slowfs, directory):
    """Everything measured: throughput by workload and target, delays, resident memory."""
    backing = {target: directory / f"{target}-backing" for target in ("raw", "slowfs", "kernel", "bindfs")}
    for path in backing.values():
        path.mkdir()
        with open(path / "file", "wb") as file:
            for _ in range(FILE_SIZE >> 20):
                file.write(os.urandom(1 << 20))
    mounted = ("slowfs", "kernel", "bindfs")
    at = {"raw": backing["raw"], **{target: directory / target for target in mounted}}
    for target in mounted:
        at[target].mkdir()
    [port] = daemons.free_ports(1)
    control = f"127.0.0.1:{port}"

    with contextlib.ExitStack() as mounts:
        daemon = mounts.enter_context(daemons.mounted(
            [slowfs, "mount", at["slowfs"], "--subdir", backing["slowfs"], "--listen", control],
            at["slowfs"], directory / "slowfs.log", port))
        mounts.enter_context(daemons.mounted(
            [slowfs, "mount", at["kernel"], "--subdir", backing["kernel"], "--listen", "none",
             "--passthrough-except", "none"], at["kernel"], directory / "kernel.log"))
        mounts.enter_context(daemons.mounted(
            ["bindfs", "-f", backing["bindfs"], at["bindfs"]],
            at["bindfs"], directory / "bindfs.log"))
        resident = [resident_mb(daemon)]
        figures = throughput(at)
        resident.append(resident_mb(daemon))
        subprocess.run([slowfs, "delay", f"{DELAY_MS}ms", "-m", "fsync", "--addr", control],
                       check=True, stdout=subprocess.DEVNULL)
        delays = [concurrent_delays(at["slowfs"]) for _ in range(ROUNDS)]
    return {"throughput": figures, "delays_ms": delays, "resident_mb": resident}


def verdict(met):
    return "met" if met else "MISSED"


def report(found):
    """Prints the tables; returns whether every bar is met."""
    progress("")
    print(f"fio psync on tmpfs, {ROUNDS} rounds of {RUNTIME:g} s; medians; ratios with interval\n")
    print(f"{'':24}{'unit':>6}{'raw':>10}{'kernel':>10}{'slowfs':>10}{'bindfs':>10}"
          f"{'slowfs/bindfs':>16}{'interval':>16}{'bar':>6}")
    passed = True
    for name, _, unit, bar in WORKLOADS:
        by_target = found["throughput"][name]
        medians = [statistics.median(by_target[t]) for t in ("raw", "kernel", "slowfs", "bindfs")]
        ratio, low, high = median_interval(
            [ours / theirs for ours, theirs in zip(by_target["slowfs"], by_target["bindfs"])])
        passed &= ratio >= bar
        print(f"{name:24}{unit:>6}{''.join(f'{m:10.1f}' for m in medians)}{ratio:15.2f}x"
              f"{f'{low:.2f} - {high:.2f}':>16}{bar:5}x  {verdict(ratio >= bar)}")

    median, low, high = median_interval(found["delays_ms"])
    print(f"\n{DELAYED} concurrent fsyncs delayed {DELAY_MS} ms end after {median:.1f} ms "
          f"({low:.1f} - {high:.1f}), bar {DELAYS_END_MS} ms: {verdict(median <= DELAYS_END_MS)}")
    idle, used = found["resident_mb"]
    print(f"resident memory of slowfs: {idle:.1f} MB idle, {used:.1f} MB after the load, "
          f"bar {RESIDENT_MB} MB: {verdict(max(idle, used) < RESIDENT_MB)}")
    return passed and median <= DELAYS_END_MS and max(idle, used) < RESIDENT_MB


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--slowfs", type=Path, default=REPOSITORY / "target/release/slowfs",
                           help="the slowfs to measure (default: %(default)s)")
    arguments.add_argument("--json", type=Path, default=REPOSITORY / "results/fio.json",
                           help="where every figure goes (default: %(default)s)")
    options = arguments.parse_args()

    busy = busy_cores()
    if busy > 0.2:
        print(f"note: others keep {busy:.1f} of {os.cpu_count()} cores busy: ratios will be low and"
              " their intervals wide", file=sys.stderr)
    try:
        with daemons.workspace("slowfs-bench-", "/dev/shm") as directory:
            if shutil.disk_usage(directory).free < 5 * FILE_SIZE:
                raise RuntimeError(f"/dev/shm has less than {5 * FILE_SIZE >> 20} MiB free")
            found = bench(options.slowfs.resolve(), directory)
    except KeyboardInterrupt:
        print("\ninterrupted: everything is ended and unmounted", file=sys.stderr)
        return 130
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    options.json.parent.mkdir(parents=True, exist_ok=True)
    settings = {"rounds": ROUNDS, "runtime_s": RUNTIME, "busy_cores_before": busy}
    options.json.write_text(json.dumps({**settings, **found}) + "\n")
    passed = report(found)
    print(f"every figure: {options.json}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
