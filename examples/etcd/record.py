"""A run's directory: three CSVs, and run.json, which says what they were measured on."""

import collections
import json
import os
import platform
import shutil
import tempfile
import time
from pathlib import Path

from workload import NS, percentile_ns

FORMAT = 1


def seconds(ns):
    """Seconds with every nanosecond of them."""
    return None if ns is None else f"{ns // NS}.{ns % NS:09d}"


def per_op(done):
    yield "op,seconds"
    for one in done:
        yield f"{one.op},{'NaN' if one.error else seconds(one.took_ns)}"


def by_second(done):
    """What succeeded, by the elapsed second in which it ended, up to the last that had any end."""
    ended = [[] for _ in range(1 + max(one.ended_ns for one in done) // NS)]
    for one in done:
        if not one.error:
            ended[one.ended_ns // NS].append(one.took_ns)
    return enumerate(ended)


def throughput(done):
    yield "sec,ops"
    for second, took in by_second(done):
        yield f"{second},{len(took)}"


def latency(done):
    """A second in which no put ended has no average, and no row."""
    yield "sec,avg_latency_s"
    for second, took in by_second(done):
        if took:
            yield f"{second},{seconds(sum(took) // len(took))}"


def summary(done):
    """Counts and latencies in seconds, for run.json."""
    errors = collections.Counter(one.error for one in done if one.error)
    quantiles = {name: percentile_ns(done, percent) for name, percent in
                 (("min_s", 0), ("median_s", 50), ("p90_s", 90), ("p99_s", 99), ("max_s", 100))}
    return {"asked": len(done), "failed": sum(errors.values()), "errors": dict(errors),
            **{name: ns if ns is None else ns / NS for name, ns in quantiles.items()}}


def machine():
    return {"kernel": platform.release(), "python": platform.python_version(),
            "cpus": os.cpu_count(), "load_1m": round(os.getloadavg()[0], 2)}


def write_whole(file, text):
    """Writes a file that appears whole or not at all."""
    partial = file.with_name(f".{file.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(file)


def write(results, started, name, done, facts):
    """Writes the run that began at `started` (seconds since 1970); returns its directory.

    It appears whole or not at all, and no other is overwritten: where two began within a second,
    the later takes the next second's stamp.
    """
    results.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=results))
    try:
        for file, lines in (("per_op_latency", per_op), ("throughput_per_sec", throughput),
                            ("latency_per_sec", latency)):
            (partial / f"{file}.csv").write_text("".join(f"{line}\n" for line in lines(done)))
        began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started))
        (partial / "run.json").write_text(
            json.dumps({"format": FORMAT, "started": began, **facts}, indent=1) + "\n")
        partial.chmod(0o755)
        while True:
            stamp = time.strftime("%Y%m%d_%H%M%S", time.localtime(started))
            directory = results / f"{stamp}_{name}"
            try:
                return partial.rename(directory)
            except OSError:
                if not directory.exists():
                    raise
                started += 1
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
