#!/usr/bin/python3
"""Plots the puts of demo_scenario.py over time, with the steps of the scenario and who led."""

import csv
import json
import sys
from pathlib import Path

try:
    import matplotlib
except ModuleNotFoundError as error:
    sys.exit(f"{error}: apt-get install python3-matplotlib, or pip3 install matplotlib")

matplotlib.use("Agg")
import matplotlib.pyplot as plt

STYLE = {"font.size": 9, "axes.grid": True, "grid.alpha": 0.3, "axes.spines.top": False,
         "axes.spines.right": False, "legend.frameon": False, "savefig.dpi": 160,
         "svg.hashsalt": "slowfs", "figure.constrained_layout.use": True}
COLOURS = {"etcd0": "#1f6fb4", "etcd1": "#2a8c4a", "etcd2": "#d1661f"}


def rows(file):
    with open(file, encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def write(results):
    """Writes put_latency.png and .svg there."""
    puts = rows(results / "put_latency.csv")
    leaders = [(float(row["at_s"]), row["leader"]) for row in rows(results / "leaders.csv")]
    [mount] = json.loads((results / "report.json").read_text())["mounts"]
    end = mount["elapsed_ns"] / 1e9
    with plt.rc_context(STYLE):
        figure, (axes, led) = plt.subplots(2, 1, figsize=(8.4, 4.8), sharex=True,
                                           gridspec_kw={"height_ratios": [8, 1]})
        for node, colour in COLOURS.items():
            own = [put for put in puts if put["node"] == node and not put["error"]]
            if own:
                axes.plot([float(put["at_s"]) for put in own],
                          [1000 * float(put["took_s"]) for put in own], ".", markersize=3,
                          color=colour, label=f"put to {node}")
        failed = [put for put in puts if put["error"]]
        if failed:
            axes.plot([float(put["at_s"]) for put in failed],
                      [1000 * float(put["took_s"]) for put in failed], "x", color="black",
                      markersize=5, label="put that failed")
        marks(axes, mount["steps"])
        axes.set(yscale="log", ylabel="put latency (ms)", xlim=(0, end))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.legend(loc="upper left", bbox_to_anchor=(0, 1.0), markerscale=1.5)
        for (at, leader), (until, _) in zip(leaders, [*leaders[1:], (end, "")]):
            led.barh(0, max(until, 0) - max(at, 0), left=max(at, 0), height=0.8,
                     color=COLOURS.get(leader, "#cccccc"))
            if until - max(at, 0) > end / 15:
                led.text((max(at, 0) + until) / 2, 0, leader or "none", ha="center", va="center",
                         color="white")
        led.set(yticks=[], ylim=(-0.5, 0.5), xlabel="time since the scenario began (s)",
                ylabel="leader")
        led.grid(False)
        for ending in ("png", "svg"):
            figure.savefig(results / f"put_latency.{ending}",
                           metadata={"Date": None} if ending == "svg" else None)
        plt.close(figure)


def marks(axes, steps):
    """A line for each step, with what it does above the plot."""
    for step in steps:
        at = step["at_ns"] / 1e9
        axes.axvline(at, color="#555555", linestyle="--", linewidth=1)
        what = step["text"].split(" -m ")[0]
        axes.annotate(what.replace(":", "\n").replace(",", "\n"), (at, 1.0),
                      xycoords=("data", "axes fraction"), xytext=(2, 4),
                      textcoords="offset points", fontsize=8, va="bottom")


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "results/scenario"))
