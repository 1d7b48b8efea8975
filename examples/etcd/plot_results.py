#!/usr/bin/python3
"""Plots the runs in a directory and below as PNG and SVG, and writes summary.csv and report.html."""

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
import series

# Told apart without colour too; the colours are ordered, and their order survives grey and all
# common kinds of colour blindness.
COLOURS = matplotlib.colormaps["cividis"]
DASHES = ["--", "-.", (0, (1, 1.2)), (0, (5, 1, 1, 1, 1, 1)), (0, (9, 2))]
MARKERS = "osD^vP*Xph"
NEVER_FIRED = "x"
# A plot over time of less says nothing.
OVER_TIME, LEAST_S = "_over_time", 5
STYLE = {"font.size": 9, "axes.grid": True, "grid.alpha": 0.3, "axes.spines.top": False,
         "axes.spines.right": False, "legend.frameon": False, "savefig.dpi": 200,
         "svg.hashsalt": "slowfs", "figure.constrained_layout.use": True}


def styles(groups):
    """(group, its colour, dashes and marker): what has no delay is black.

    Of one series the dashes tell delays apart too, of several they tell the series apart.
    """
    delays = list(dict.fromkeys(group.injected for group in groups if group.injected))
    several = len({group.number for group in groups}) > 1
    for group in groups:
        nth = delays.index(group.injected) if group.injected else 0
        style = {"color": COLOURS(0.82 * nth / max(len(delays) - 1, 1)) if group.injected else "black"}
        if several:
            style |= {"linestyle": ("-", *DASHES)[group.number % 6], "marker": MARKERS[group.number]}
        elif group.injected:
            style |= {"linestyle": DASHES[nth % len(DASHES)], "marker": MARKERS[nth % len(MARKERS)]}
        else:
            style |= {"linestyle": "-", "marker": "+"}
        if not group.fired:
            style["marker"] = NEVER_FIRED
        yield group, style


def none_succeeded(axes, group):
    """A line of the legend, in the place of what cannot be drawn."""
    axes.plot([], [], " ", label=f"{group.name}: no put{' succeeded' if group.puts else 's'}")


def plain(number, _position=None):
    """A tick as one writes it: 0.1, 1, 10, 1,000."""
    return f"{number:,.10g}"


def log_axis(axis, numbered=(1,)):
    axis.set_major_locator(LogLocator(subs=numbered, numticks=20))
    axis.set_major_formatter(FuncFormatter(plain))
    axis.set_minor_formatter(NullFormatter())


def cdf(axes, groups):
    for group, style in styles(groups):
        took = [1000 * second for second in group.took]
        if not took:
            none_succeeded(axes, group)
            continue
        share = [n / len(took) for n in range(1, len(took) + 1)]
        axes.step(took, share, where="post", color=style["color"], linestyle=style["linestyle"],
                  label=group.name)
    axes.set(xscale="log", xlabel="put latency (ms)", ylabel="share of puts", ylim=(0, 1.01))
    log_axis(axes.xaxis)


def averaged(rows):
    """[(middle, mean)] of (second, value) rows, over a twentieth of their span each."""
    width, buckets = max(1, math.ceil(max(second for second, _ in rows) / 20)), {}
    for second, value in rows:
        buckets.setdefault(second // width, []).append(value)
    return [((n + 0.5) * width, statistics.fmean(values)) for n, values in sorted(buckets.items())]


def over_time(value_of, label, scale):
    """A plot of one value a second: a line a delay, over all its repetitions."""
    def plot(axes, groups):
        for group, style in styles(groups):
            if group.lasted < LEAST_S:
                continue
            rows = [(second, value * scale) for run in group.runs for second, value in value_of(run)]
            if not group.took:
                none_succeeded(axes, group)
            elif rows:
                axes.plot(*zip(*averaged(rows)), markersize=3.5, label=group.name, **style)
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
    axes.axhline(middle, linewidth=0.8, label=name, **style)


def expected(axes, groups, of, colour):
    """What the puts would take if they took nothing but the delays that they wait for."""
    calls = results.calls_per_put([run for group in groups for run in group.runs])
    delays = [group.injected for group in groups if group.injected and at_a_delay(group)]
    if calls and len(set(delays)) > 1:
        ends = [min(delays) / 1000, max(delays) / 1000]
        axes.plot(ends, [calls * end for end in ends], color=colour, linewidth=1, linestyle="--",
                  zorder=1, label=f"delay × {calls:.3g} delayed calls per put{of}")


def at_a_delay(group):
    return not isinstance(group.injected, str)


def point(axes, group, spread, marker, colour):
    """Hollow where leadership changed in a run, a cross where the fault never fired."""
    middle, least, most = spread
    axes.errorbar(group.injected / 1000, middle, [[middle - least], [most - middle]], color=colour,
                  fmt=marker if group.fired else NEVER_FIRED, capsize=3, markersize=5,
                  markerfacecolor="white" if group.moved else colour)


def of_series(axes, groups, figure, marker, line, colour):
    """The points of one figure, the median or the p99, over the delays of one series."""
    of = f", {groups[0].series}" if groups[0].series else ""
    for group, style in styles(groups):
        if not group.took:
            continue
        spread = [1000 * second for second in group.spread(figure)]
        if not group.injected:
            without_delay(axes, spread, f"{figure} without a delay{of}", color=colour,
                          linestyle=line)
        elif at_a_delay(group):
            point(axes, group, spread, marker, colour)
        else:
            axes.axhline(spread[0], linewidth=1, linestyle=line, color=style["color"],
                         label=f"{figure} under {group.name}")
    if any(group.took and group.injected and at_a_delay(group) for group in groups):
        axes.plot([], [], marker, color=colour, label=f"{figure} of the puts{of}")


def against_delay(axes, groups):
    numbers = sorted({group.number for group in groups})
    for number in numbers:
        own = [group for group in groups if group.number == number]
        colours = (0.0, 0.65) if len(numbers) == 1 else (0.9 * number / (len(numbers) - 1),) * 2
        for figure, marker, line, colour in zip(("median", "p99"), "os", ("-", ":"), colours):
            of_series(axes, own, figure, marker, line, COLOURS(colour))
        several = len(numbers) > 1
        expected(axes, own, f", {own[0].series}" if several else "",
                 COLOURS(colours[0]) if several else "black")
    if any(group.moved for group in groups):
        axes.plot([], [], "o", color="grey", markerfacecolor="white", label="leadership changed")
    if not all(group.fired for group in groups):
        axes.plot([], [], NEVER_FIRED, color="grey", label="the fault never fired")
    for group in groups:
        if not group.took:
            none_succeeded(axes, group)
    axes.set(yscale="log", ylabel="put latency (ms)")
    if any(group.took and group.injected and at_a_delay(group) for group in groups):
        axes.set(xscale="log", xlabel="injected delay of each call (ms)")
        log_axis(axes.xaxis)
    else:
        axes.set_xticks([])
    # The line goes on to where nothing is measured: it need not be seen.
    fastest = min((group.took[0] for group in groups if group.took), default=None)
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


def why_not(file, groups):
    """Why that plot is left out, or None."""
    if not any(group.took for group in groups):
        return "Left out: no put succeeded."
    lasted = max(group.lasted for group in groups)
    if file.endswith(OVER_TIME) and lasted < LEAST_S:
        return f"Left out: the longest run lasted {lasted:.1f} s, and below {LEAST_S} s it shows nothing."
    return None


def left_out(file, groups):
    """What a plot does not show, for its caption."""
    short = [group.name for group in groups if group.lasted < LEAST_S]
    if not file.endswith(OVER_TIME) or not short:
        return ""
    return f" Not shown, since it took less than {LEAST_S} s: {'; '.join(short)}."


def draw(groups, out):
    """Writes each plot twice, and returns what the report shows of them: title, caption, file."""
    shown = []
    for file, title, caption, plot in PLOTS:
        files = [out / f"{file}.{ending}" for ending in ("png", "svg")]
        reason = why_not(file, groups)
        if reason:
            for stale in files:
                stale.unlink(missing_ok=True)
            shown.append((title, reason, None))
            continue
        with plt.rc_context(STYLE):
            figure, axes = plt.subplots(figsize=(6.4, 3.8))
            plot(axes, groups)
            axes.set_title(title, fontsize=10)
            drawn = legend(axes, plot is against_delay, groups)
            # The axes stay as large as they are, however long the legend.
            drawn.set_in_layout(False)
            whole = {"bbox_inches": "tight", "bbox_extra_artists": [drawn]}
            figure.savefig(files[0], **whole)
            figure.savefig(files[1], metadata={"Date": None}, **whole)
            plt.close(figure)
        shown.append((title, caption + left_out(file, groups), files[1]))
    return shown


def legend(axes, below, groups):
    """Long labels go below: beside the axes they would take half the width."""
    longest = max(len(group.name) for group in groups)
    if below or longest > 20:
        return axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16),
                           ncol=1 if longest > 20 else 2)
    return axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), title="delay of each call")


def milliseconds(spread):
    """Empty where no put succeeded."""
    return ["" if math.isnan(second) else f"{1000 * second:.4f}" for second in spread]


def summary(groups):
    """A row a delay of each series, latencies in milliseconds."""
    yield ("delay_us", "runs", "puts", "failed", "median_ms", "median_least_ms", "median_most_ms",
           "p99_ms", "p99_least_ms", "p99_most_ms", "fired_per_put", "leader_changed_runs",
           "injected", "never_fired", "series")
    for group in groups:
        yield (group.injected if at_a_delay(group) else "", len(group.runs), group.puts, group.failed,
               *milliseconds(group.spread("median")), *milliseconds(group.spread("p99")),
               "" if group.calls is None else f"{group.calls:.3f}", group.moved,
               results.human(group.injected), "" if group.fired else "yes", group.series)


def write_all(directory, out):
    """Plots, summary and report of the runs in `directory` and below."""
    runs, left_out = results.read_all(directory)
    if not runs:
        raise RuntimeError(f"{directory}: no whole run" if left_out else
                           f"{directory}: no runs (directories named *_etcd_fsdelay_*)")
    groups = series.groups(runs)
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "summary.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(summary(groups))
    report.write(out / "report.html", directory, runs, left_out, groups, draw(groups, out))
    told = series.of(runs)
    if len(told) > 1:
        print(f"{len(told)} series, made under different conditions: "
              + "; ".join(f"{name}: {text}" if name != text else text for name, _, text in told))
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
