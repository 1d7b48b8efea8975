#!/usr/bin/python3
"""Writes what benches/floor.py measured into docs/performance.md, and its plot."""

import argparse
import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

import floor

PAGE = floor.REPOSITORY / "docs/performance.md"
PLOT = floor.REPOSITORY / "docs/performance.svg"
PLOTTED = {"write 4k": "write 4k", "randread 4k direct": "random reads of 4k, direct"}


def replace(file, name, text):
    """Puts the text between the marks of that name."""
    begin, end = f"<!-- {name}: written by `make performance` -->", f"<!-- end of {name} -->"
    content = file.read_text()
    before, rest = content.split(begin)
    _, after = rest.split(end)
    file.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def plot(found, builds):
    """Thousands of operations a second, over the number of clients."""
    matplotlib.rcParams["svg.hashsalt"] = "slowfs"
    figure, axes = plt.subplots(1, len(PLOTTED), figsize=(9, 3.6), layout="constrained")
    for axis, (row, title) in zip(axes, PLOTTED.items()):
        for target in [*builds, "minimal", "bindfs"]:
            runs = [found[f"{row}, {clients} clients"][target] for clients in floor.CLIENTS]
            rates = [[1e3 / us for us in run] for run in runs]
            medians, lows, highs = zip(*map(floor.median_interval, rates))
            [line] = axis.plot(floor.CLIENTS, medians, marker="o", label=target)
            axis.fill_between(floor.CLIENTS, lows, highs, alpha=0.15, color=line.get_color())
        axis.set(title=title, xlabel="clients", xscale="log", xticks=floor.CLIENTS, ylim=(0, None))
        axis.set_xticks(floor.CLIENTS, map(str, floor.CLIENTS))
        axis.minorticks_off()
        axis.set_ylabel("thousand operations a second")
        axis.legend()
    figure.savefig(PLOT, metadata={"Date": None})


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--json", type=Path, default=floor.REPOSITORY / "results/floor.json",
                           help="what was measured (default: %(default)s)")
    measured = json.loads(arguments.parse_args().json.read_text())
    found, builds, where = measured["us"], measured["builds"], floor.place(measured["where"])
    if missing := [row for row in floor.ROWS if row not in found]:
        sys.exit(f"no figures for {', '.join(missing)}: run benches/floor.py --clients")
    lines = floor.table({row: found[row] for row in floor.TABLE}, builds)
    replace(PAGE, "table", f"{where}.\n\n{floor.markdown(lines)}")
    plot(found, builds)
    replace(PAGE, "plot", f"![Throughput over 1 to 16 clients]({PLOT.name})")
    print(f"written: {PAGE}, {PLOT}")


if __name__ == "__main__":
    main()
