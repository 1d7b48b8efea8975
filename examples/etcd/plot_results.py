#!/usr/bin/python3
"""Plots the runs in a directory as PNG and SVG, and writes summary.csv and report.html."""

import argparse
import csv
import math
import statistics
import sys
from pathlib import Path

try:
    import matplotlib
except ModuleNotFoundError as error:
    sys.exit(f"{error}: apt-get install python3-matplotlib, or pip3 install matplotlib")

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

import report
import results

# Told apart without colour too; the colours are ordered, and their order survives grey and all
# common kinds of colour blindness.
COLOURS = matplotlib.colormaps["cividis"]
DASHES = ["--", "-.", (0, (1, 1.2)), (0, (5, 1, 1, 1, 1, 1)), (0, (9, 2))]
MARKERS = "osD^vP*Xph"
STYLE = {"font.size": 9, "axes.grid": True, "grid.alpha": 0.3, "axes.spines.top": False,
         "axes.spines.right": False, "legend.frameon": False, "savefig.dpi": 200,
         "svg.hashsalt": "slowfs", "figure.constrained_layout.use": True}


def styles(delays):
    """Colour, dashes and marker of each delay; the baseline is black and solid."""
    longest = max(len([d for d in delays if d]) - 1, 1)
    found, n = {}, 0
    for delay in delays:
        if delay:
            found[delay] = {"color": COLOURS(0.82 * n / longest),
                            "linestyle": DASHES[n % len(DASHES)],
                            "marker": MARKERS[n % len(MARKERS)]}
            n += 1
        else:
            found[delay] = {"color": "black", "linestyle": "-", "marker": "+"}
    return found


def plain(number, _position=None):
    """A tick as one writes it: 0.1, 1, 10, 1,000."""
    return f"{number:,.10g}"


def log_axis(axis, numbered=(1,)):
    axis.set_major_locator(LogLocator(subs=numbered, numticks=20))
    axis.set_major_formatter(FuncFormatter(plain))
    axis.set_minor_formatter(NullFormatter())


def cdf(axes, runs):
    grouped = results.by_delay(runs)
    for delay, style in styles(grouped).items():
        took = sorted(second * 1000 for run in grouped[delay] for second in run.took)
        share = [n / len(took) for n in range(1, len(took) + 1)]
        axes.step(took, share, where="post", color=style["color"], linestyle=style["linestyle"],
                  label=results.human(delay))
    axes.set(xscale="log", xlabel="put latency (ms)", ylabel="share of puts", ylim=(0, 1.01))
    log_axis(axes.xaxis)


def averaged(rows):
    """[(middle, mean)] of (second, value) rows, over a twentieth of their span each."""
    width, buckets = max(1, math.ceil(max(second for second, _ in rows) / 20)), {}
    for second, value in rows:
        buckets.setdefault(second // width, []).append(value)
    return [((n + 0.5) * width, statistics.fmean(values)) for n, values in sorted(buckets.items())]


def over_time(series, label, scale):
    """A plot of one value a second: a line a delay, over all its repetitions."""
    def plot(axes, runs):
        grouped = results.by_delay(runs)
        for delay, style in styles(grouped).items():
            rows = [(second, value * scale) for run in grouped[delay]
                    for second, value in series(run)]
            if rows:
                axes.plot(*zip(*averaged(rows)), markersize=3.5, label=results.human(delay),
                          **style)
        axes.set(xscale="log", yscale="log", xlabel="time since the first put (s)", ylabel=label)
        log_axis(axes.xaxis, numbered=(1, 2, 5))
        log_axis(axes.yaxis)
    return plot


def throughput(run):
    """Without the last second, which the end of the run cuts short; if that is all, its rate."""
    return run.throughput[:-1] or ([(0, run.per_second)] if run.per_second else [])


def without_delay(axes, spread, name, **style):
    """The baseline, which a log axis has no place for, as a line over the range of its runs."""
    middle, least, most = spread
    axes.axhspan(least, most, color=style["color"], alpha=0.15, linewidth=0)
    axes.axhline(middle, linewidth=0.8, label=f"{name} without a delay", **style)


def expected(axes, runs, delays):
    """What the puts would take if they took nothing but the delays that they wait for."""
    calls = results.calls_per_put(runs)
    if calls and delays:
        ends = [delays[0] / 1000, delays[-1] / 1000]
        axes.plot(ends, [calls * end for end in ends], color="black", linewidth=1, linestyle="--",
                  zorder=1, label=f"delay × {calls:.3g} delayed calls per put")


def against_delay(axes, runs):
    grouped = results.by_delay(runs)
    delays = [delay for delay in grouped if delay and not isinstance(delay, str)]
    for name, marker, line, colour in (("median", "o", "-", COLOURS(0.0)),
                                       ("p99", "s", ":", COLOURS(0.65))):
        spreads = {delay: [1000 * second for second in
                           results.spread([getattr(run, name) for run in group])]
                   for delay, group in grouped.items()}
        if 0 in spreads:
            without_delay(axes, spreads[0], name, color=colour, linestyle=line)
        for fault, style in styles(grouped).items():
            if isinstance(fault, str):
                axes.axhline(spreads[fault][0], linewidth=1, color=style["color"], linestyle=line,
                             label=f"{name} under {fault}")
        for delay in delays:
            middle, least, most = spreads[delay]
            moved = any(run.leader_changed for run in grouped[delay])
            axes.errorbar(delay / 1000, middle, [[middle - least], [most - middle]], fmt=marker,
                          color=colour, capsize=3, markersize=5,
                          markerfacecolor="white" if moved else colour)
        axes.plot([], [], marker, color=colour, label=f"{name} of the puts")
    if any(run.leader_changed for run in runs):
        axes.plot([], [], "o", color="grey", markerfacecolor="white", label="leadership changed")
    expected(axes, runs, delays)
    axes.set(yscale="log", ylabel="put latency (ms)")
    if delays:
        axes.set(xscale="log", xlabel="injected delay of each call (ms)")
        log_axis(axes.xaxis)
    else:
        axes.set_xticks([])
    # The line goes on to where nothing is measured: it need not be seen.
    fastest = min((run.took[0] for run in runs if run.took), default=None)
    if fastest:
        axes.set_ylim(bottom=1000 * fastest / 2)
    log_axis(axes.yaxis)


# File, title, caption, how it is drawn.
PLOTS = [
    ("put_latency_vs_delay", "Put latency against injected delay",
     "Points: median over the repetitions; bars and bands: their range. The p99 of fewer than 100 "
     "puts is the slowest of them.", against_delay),
    ("latency_cdf", "Distribution of put latency",
     "All repetitions of a delay together.", cdf),
    ("throughput_over_time", "Throughput over time",
     "Puts that ended in a second; mean over the repetitions and over a twentieth of the time.",
     over_time(throughput, "puts per second", 1)),
    ("latency_over_time", "Latency over time",
     "Average latency of the puts that ended in a second; mean over the repetitions and over a "
     "twentieth of the time.",
     over_time(lambda run: run.latency, "put latency (ms)", 1000)),
]


def draw(runs, out):
    """Writes each plot twice, and returns what the report shows of them."""
    shown = []
    with plt.rc_context(STYLE):
        for file, title, caption, plot in PLOTS:
            figure, axes = plt.subplots(figsize=(6.4, 3.8))
            plot(axes, runs)
            axes.set_title(title, fontsize=10)
            # Long labels go below: beside the axes they would take half the width.
            if plot is against_delay:
                columns = 1 if any(run.fault for run in runs) else 2
                axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15), ncol=columns)
            else:
                axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), title="delay of each call")
            figure.savefig(out / f"{file}.png")
            figure.savefig(out / f"{file}.svg", metadata={"Date": None})
            plt.close(figure)
            shown.append((title, caption, out / f"{file}.svg"))
    return shown


def summary(runs):
    """A row a delay, latencies in milliseconds."""
    yield ("delay_us", "runs", "puts", "failed", "median_ms", "median_least_ms", "median_most_ms",
           "p99_ms", "p99_least_ms", "p99_most_ms", "fired_per_put", "leader_changed_runs",
           "injected")
    for delay, group in results.by_delay(runs).items():
        calls = [run.fired_per_put for run in group if run.fired_per_put is not None]
        latencies = [*results.spread([run.median for run in group]),
                     *results.spread([run.p99 for run in group])]
        yield ("" if isinstance(delay, str) else delay, len(group),
               sum(len(run.took) + run.failed for run in group),
               sum(run.failed for run in group), *(f"{1000 * second:.4f}" for second in latencies),
               f"{results.spread(calls)[0]:.3f}" if calls else "",
               sum(run.leader_changed for run in group), results.human(delay))


def write_all(directory, out):
    """Plots, summary and report of the runs in `directory`."""
    runs = results.read_all(directory)
    if not runs:
        raise RuntimeError(f"{directory}: no runs (directories named *_etcd_fsdelay_*)")
    out.mkdir(parents=True, exist_ok=True)
    table = list(summary(runs))
    with open(out / "summary.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(table)
    report.write(out / "report.html", runs, draw(runs, out), table)
    print(f"{len(runs)} runs: {out / 'report.html'}")


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("directory", nargs="?", type=Path, default=Path("results"),
                           help="where the runs are; default: %(default)s")
    arguments.add_argument("--out", type=Path, help="where to write; default: there too")
    options = arguments.parse_args()
    try:
        write_all(options.directory, options.out or options.directory)
    except (RuntimeError, OSError) as error:
        sys.exit(f"{arguments.prog}: {error}")


if __name__ == "__main__":
    main()
