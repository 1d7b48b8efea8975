#!/usr/bin/python3
"""How sixteen concurrent delays end, and how much memory slowfs is resident in, held against bars; and how exact
a long delay is, beside an operation after as long a wait.

Ends with 0 if every bar is met. benches/floor.py measures what operations cost without a fault.
"""

import argparse
import concurrent.futures
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "scripts"))

import daemons
from floor import median_interval

ROUNDS = int(os.environ.get("ROUNDS", 5))
DELAYED, DELAY_MS, DELAYS_END_MS = 16, 100, 150
RESIDENT_MB = 40
LONG_S = (0.01, 0.1, 1.0)
PAIRS = 21


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


def long_delay(slowfs, control, directory, seconds):
    """Microseconds by which a delayed fdatasync exceeds its delay and one after as long a wait, a figure a pair.

    Who has waited finds caches cold and processors asleep, whether the wait was within the call or before it.
    """
    for command in ["clear"], ["delay", f"{seconds}s", "-m", "fdatasync", "-r", ".*/long"]:
        subprocess.run([slowfs, *command, "--addr", control], check=True, stdout=subprocess.DEVNULL)
    with open(directory / "long", "wb", buffering=0) as long, open(directory / "free", "wb", buffering=0) as free:
        def delayed():
            late = sync(long) - seconds
            if late < 0:
                raise RuntimeError(f"an fdatasync delayed {seconds} s returned {-late * 1e6:.1f} us early")
            return late

        def waited():
            time.sleep(seconds)
            return sync(free)

        def sync(file):
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            return time.perf_counter() - began

        sync(free)
        pairs = []
        for turn in range(PAIRS):
            first, second = (delayed, waited) if turn % 2 else (waited, delayed)
            one, other = first(), second()
            pairs.append((one - other if turn % 2 else other - one) * 1e6)
    return pairs


def resident_mb(process):
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def bench(slowfs, directory):
    """Delays, and resident memory before and after them."""
    backing, at = directory / "backing", directory / "slowfs"
    backing.mkdir()
    at.mkdir()
    [port] = daemons.free_ports(1)
    control = f"127.0.0.1:{port}"
    command = [slowfs, "mount", at, "--subdir", backing, "--listen", control]
    with daemons.mounted(command, at, directory / "slowfs.log", port) as daemon:
        resident = [resident_mb(daemon)]
        subprocess.run([slowfs, "delay", f"{DELAY_MS}ms", "-m", "fsync", "--addr", control],
                       check=True, stdout=subprocess.DEVNULL)
        delays = [concurrent_delays(at) for _ in range(ROUNDS)]
        resident.append(resident_mb(daemon))
        long = {seconds: long_delay(slowfs, control, at, seconds) for seconds in LONG_S}
    return {"delays_ms": delays, "resident_mb": resident, "long_us": long}


def verdict(met):
    return "met" if met else "MISSED"


def report(found):
    """Prints the figures; returns whether every bar is met."""
    median, low, high = median_interval(found["delays_ms"])
    print(f"{DELAYED} concurrent fsyncs delayed {DELAY_MS} ms end after {median:.1f} ms "
          f"({low:.1f} - {high:.1f}), bar {DELAYS_END_MS} ms: {verdict(median <= DELAYS_END_MS)}")
    idle, used = found["resident_mb"]
    print(f"resident memory of slowfs: {idle:.1f} MB idle, {used:.1f} MB after them, "
          f"bar {RESIDENT_MB} MB: {verdict(max(idle, used) < RESIDENT_MB)}")
    for seconds, exceeds in found["long_us"].items():
        at, least, most = median_interval(exceeds)
        print(f"an fdatasync delayed {seconds * 1e3:.0f} ms takes {at:+.1f} us ({least:+.1f} to {most:+.1f}) beyond that and "
              f"what one takes after as long a wait")
    return median <= DELAYS_END_MS and max(idle, used) < RESIDENT_MB


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--slowfs", type=Path, default=REPOSITORY / "target/release/slowfs",
                           help="the slowfs to measure (default: %(default)s)")
    options = arguments.parse_args()

    try:
        with daemons.workspace("slowfs-bench-", "/dev/shm") as directory:
            found = bench(options.slowfs.resolve(), directory)
    except KeyboardInterrupt:
        print("\ninterrupted: everything is ended and unmounted", file=sys.stderr)
        return 130
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0 if report(found) else 1


if __name__ == "__main__":
    sys.exit(main())
