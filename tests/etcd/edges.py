#!/usr/bin/python3
"""What plots and reports make of runs at the edges: conditions that differ, faults that never fired,
puts that all failed, sweeps in directories below, files that are not whole. The runs are made up.
usage: edges.py DIRECTORY"""

import contextlib
import csv
import io
import json
import re
import subprocess
import sys
import time
import warnings
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples/etcd"
sys.path[:0] = [str(EXAMPLES)]

import plot_results
import progress
import results
import series
import sweep

warnings.simplefilter("error")
HERE = Path(sys.argv[1])


def made(directory, second, delay_us=0, *, took=0.001, puts=8, failed=0, lasted=6, fired=2,
         moved=False, facts=True, **parameters):
    """Writes a run as experiment.py does."""
    mode = "delay" if delay_us else "baseline"
    run = directory / f"20250809_2223{second:02}_etcd_fsdelay_{mode}_etcd2_{delay_us}us"
    run.mkdir(parents=True)
    ops = [took + n * 1e-5 for n in range(puts)] + [float("nan")] * failed
    each, ops_asked = puts / lasted, puts + failed
    (run / "per_op_latency.csv").write_text(
        "op,seconds\n" + "".join(f"{n},{'NaN' if s != s else f'{s:.9f}'}\n" for n, s in enumerate(ops, 1)))
    (run / "throughput_per_sec.csv").write_text(
        "sec,ops\n" + "".join(f"{n},{round(each)}\n" for n in range(lasted)))
    (run / "latency_per_sec.csv").write_text(
        "sec,avg_latency_s\n" + "".join(f"{n},{took}\n" for n in range(lasted) if puts))
    fault = {"matched": 0, "fired": 0, "fired_per_put": 0} if not fired else {
        "matched": fired * ops_asked, "fired": fired * ops_asked, "fired_per_put": fired}
    asked = {"client": "resident", "clients": 1, "rate": 0, "put_timeout": 30, "ops": puts + failed,
             "wal_methods": ["fsync", "write"], "wal_regex": ".*", "wal_fault": "", "warmup": 5}
    if facts:
        (run / "run.json").write_text(json.dumps(
            {"parameters": {**asked, **parameters}, "cluster": {"kind": "local", "slow_node": "etcd2"},
             "versions": {"slowfs": "1", "etcd": "3"}, "machine": {"kernel": "6", "load_1m": second},
             "fault": fault if delay_us else None, "durations": {"puts_s": lasted},
             "leader": {"changed": moved, "before": "etcd2", "after": "etcd1" if moved else "etcd2"}}))
    return run


def plotted(directory):
    """The rows of summary.csv, the text of the report, and the plots that there are."""
    plot_results.write_all(directory, directory)
    with open(directory / "summary.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    report = (directory / "report.html").read_text()
    assert "nan" not in (directory / "summary.csv").read_text().lower()
    words = re.sub("<[^>]*>", " ", re.sub(r"<style>.*?</style>|src=\"[^\"]*\"", "", report, flags=re.S))
    assert "nan" not in words.lower().split(), words
    assert "<th>median_ms" not in report and "overflow-x" not in report
    return rows, words, {file.stem for file in directory.glob("*.svg")}


def conditions_are_not_mixed():
    at = HERE / "conditions"
    made(at, 1)
    made(at, 2, 1000, took=0.003)
    made(at, 3, 1000, took=0.009, clients=4, lasted=4)
    made(at, 4, 1000, took=0.004)
    made(at, 5, clients=4, took=0.002)
    rows, words, plots = plotted(at)
    found = {(row["series"], row["injected"]): (row["runs"], float(row["median_ms"])) for row in rows}
    assert found.keys() == {("1 client", "no delay"), ("1 client", "1 ms"), ("4 clients", "no delay"),
                            ("4 clients", "1 ms")}, found
    assert found["1 client", "1 ms"][0] == "2" and 3 < found["1 client", "1 ms"][1] < 4.1
    assert found["4 clients", "1 ms"][0] == "1" and found["4 clients", "1 ms"][1] > 9
    assert "made under different conditions" in words
    svg = (at / "latency_cdf.svg").read_text()
    assert "1 ms, 4 clients" in svg and "1 ms, 1 client " in svg
    assert len(plots) == 4, plots
    assert "less than 5 s: 1 ms, 4 clients." in words
    assert "1 ms, 4 clients" not in (at / "latency_over_time.svg").read_text()


def a_baseline_stands_beside_every_choice_of_calls():
    at = HERE / "calls"
    made(at, 1)
    made(at, 2, 1000)
    made(at, 3, 1000, wal_methods=["fsync"])
    told = series.of(results.read_all(at)[0])
    assert [(name, len(runs)) for name, runs, _ in told] == [("on fsync,write", 2), ("on fsync", 2)], told


def long_conditions_have_letters_and_too_many_are_refused():
    at = HERE / "many"
    for second in range(5):
        made(at, second, 1000, clients=second + 1, wal_regex=f".*/a-rather-long-name-{second}/of-a-file-that-is-deep")
    assert [name for name, _, _ in series.of(results.read_all(at)[0])] == list("ABCDE")
    made(at, 9, 1000, rate=7)
    try:
        plotted(at)
    except RuntimeError as refused:
        assert "6 different conditions" in str(refused), refused
        assert "clients" in str(refused) and "rate" in str(refused), refused
    else:
        raise AssertionError("six series were plotted")


def a_fault_that_never_fired_is_marked():
    at = HERE / "never"
    made(at, 1, 300_000, took=0.6, lasted=4)
    made(at, 2, 300_000, took=0.001, fired=0, lasted=4)
    rows, words, _ = plotted(at)
    assert [(row["runs"], row["never_fired"]) for row in rows] == [("1", ""), ("1", "yes")], rows
    assert float(rows[0]["median_ms"]) > 600 and "the fault never fired" in words
    assert "the fault never fired" in (at / "put_latency_vs_delay.svg").read_text()


def puts_that_all_failed_are_told():
    at = HERE / "failed"
    made(at, 1)
    made(at, 2, 300_000, puts=0, failed=3)
    rows, words, plots = plotted(at)
    assert (rows[1]["failed"], rows[1]["median_ms"], rows[1]["p99_ms"]) == ("3", "", ""), rows
    assert "no put succeeded" in words and len(plots) == 4
    assert "300 ms: no put succeeded" in (at / "latency_cdf.svg").read_text()
    alone = HERE / "all failed"
    made(alone, 1, 300_000, puts=0, failed=3)
    _, words, plots = plotted(alone)
    assert "Left out: no put succeeded." in words and not plots


def sweeps_below_are_found_and_short_runs_have_no_plot_over_time():
    at = HERE / "below"
    made(at, 1, lasted=4)
    made(at / "sweep-custom", 2, 1000, lasted=4)
    made(at / "sweep-custom", 3, 1000, lasted=4, facts=False)
    rows, words, _ = plotted(at)
    assert "no run.json" in words and [row["runs"] for row in rows] == ["1"] * 3, rows
    short = HERE / "short"
    made(short, 1, lasted=4)
    (short / "latency_over_time.svg").write_text("of an earlier plot")
    _, words, plots = plotted(short)
    assert plots == {"put_latency_vs_delay", "latency_cdf"}, plots
    assert "the longest run lasted 4.0 s" in words


def runs_without_puts_are_told():
    at = HERE / "empty"
    made(at, 1)
    made(at, 2, puts=0)
    made(at, 3, 1000, puts=0)
    rows, words, _ = plotted(at)
    assert [(row["puts"], row["median_ms"] != "") for row in rows] == [("8", True), ("0", False)], rows
    assert words.count("no puts") == 4 and "no puts in 1 of 2 runs" in words, words


def runs_that_are_not_whole_are_left_out_by_name():
    def cut(file, keep):
        file.write_text(file.read_text()[:keep])

    spoiled = [
        (lambda run: cut(run / "run.json", 90), "run.json: cut off, or no JSON"),
        (lambda run: (run / "run.json").write_text("[]"), "run.json: not as a run writes it"),
        (lambda run: (run / "run.json").write_text('{"leader": null}'), "run.json: not as a run"),
        (lambda run: (run / "latency_per_sec.csv").unlink(),
         "latency_per_sec.csv: No such file or directory"),
        (lambda run: (run / "per_op_latency.csv").write_bytes(b""), "per_op_latency.csv: it is cut off"),
        (lambda run: cut(run / "per_op_latency.csv", 18), "per_op_latency.csv: it is cut off"),
        (lambda run: (run / "per_op_latency.csv").write_bytes(b"op,seconds\n\xff\n"), "this is no text"),
        (lambda run: (run / "throughput_per_sec.csv").write_text("sec,ops\n0,1\n2\n"),
         "throughput_per_sec.csv, line 3: '2' instead of two numbers")]
    at, told = HERE / "spoiled", io.StringIO()
    made(at, 0)
    for second, (spoil, _) in enumerate(spoiled, 1):
        spoil(made(at, second, 1000))
    with contextlib.redirect_stderr(told):
        rows, words, _ = plotted(at)
    assert [row["injected"] for row in rows] == ["no delay"], rows
    lines = told.getvalue().splitlines()
    assert len(lines) == len(spoiled), lines
    for second, ((_, why), line) in enumerate(zip(spoiled, lines), 1):
        name = f"20250809_2223{second:02}_etcd_fsdelay_delay_etcd2_1000us"
        assert line.startswith(f"WARNING: left out: {at / name}: ") and why in line, (why, line)
        assert name in words, words
    swept = HERE / "swept"
    for second, keep in (1, None), (2, 90):
        file = made(swept, second) / "run.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "sweep": second})[:keep])
    with contextlib.redirect_stderr(io.StringIO()):
        assert sweep.done_points(swept) == [1], "the other is to be made again"
    alone = HERE / "all spoiled"
    cut(made(alone, 1) / "run.json", 90)
    done = subprocess.run([EXAMPLES / "plot_results.py", alone], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["WARNING", "plot_results.py"], done


def progress_is_told():
    for terminal, interval, form in ((False, "TOLD_S", "1 of 3 puts, 2 s left\n"),
                                     (True, "REDRAWN_S", "\r\x1b[K1 of 3 puts, 2 s left")):
        told, real = io.StringIO(), sys.stderr
        told.isatty = lambda terminal=terminal: terminal
        setattr(progress, interval, 0.02)
        sys.stderr = told
        try:
            with progress.shown(lambda: progress.of([1], 3, time.monotonic() - 1)):
                end = time.monotonic() + 30
                while form not in told.getvalue() and time.monotonic() < end:
                    time.sleep(0.01)
        finally:
            sys.stderr = real
        assert form in told.getvalue(), told.getvalue()
        assert told.getvalue().endswith("\r\x1b[K") == terminal


for check in (conditions_are_not_mixed, a_baseline_stands_beside_every_choice_of_calls,
              long_conditions_have_letters_and_too_many_are_refused,
              a_fault_that_never_fired_is_marked, puts_that_all_failed_are_told,
              sweeps_below_are_found_and_short_runs_have_no_plot_over_time,
              runs_without_puts_are_told, runs_that_are_not_whole_are_left_out_by_name,
              progress_is_told):
    check()
