"""The report of a directory of runs: one HTML file that needs no other."""

import base64
import html
import math

import results
import series

STYLE = """
body { font: 15px/1.45 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #222 }
img { width: 100%; max-width: 48em } figcaption { color: #555; font-size: 90% } figure { margin: 1em 0 }
table { border-collapse: collapse; font-size: 85%; width: 100% }
th, td { padding: .2em .5em; border-bottom: 1px solid #ddd; text-align: right; vertical-align: top }
th { background: #f3f3f3; vertical-align: bottom } th:first-child, td:first-child { text-align: left }
td.words, th:last-child { text-align: left } .warn { background: #fff0c2 } td.words { overflow-wrap: anywhere }
"""
BY_DELAY = ["delay of each call", "runs", "puts", "median, ms (range)", "99th percentile, ms (range)",
            "delayed calls per put", "remarks"]
RUNS = ["begun", "delay of each call", "puts", "median, ms", "99th percentile, ms", "puts per second",
        "delayed calls per put", "client's own, ms", "load", "leader", "remarks"]
# What run.json says, for people; what is not here is told by its name there.
NAMES = {
    "leader_target": "node that leads, as asked", "verify_delay": "delay checked on an fsync before",
    "ops": "puts", "wal_methods": "calls that are delayed", "wal_regex": "files that are delayed",
    "wal_fault": "fault", "client": "client", "clients": "clients at once",
    "rate": "puts begun per second (0: one after the other)", "warmup": "puts before, not counted",
    "put_timeout": "seconds until a put has failed", "mount_options": "options of the mount",
    "kind": "cluster", "slow_node": "node on slowfs",
    "heartbeat_ms": "heartbeat of etcd, ms", "election_ms": "election timeout of etcd, ms",
    "filesystem": "filesystem behind", "slowfs": "slowfs", "etcd": "etcd", "kernel": "Linux",
    "python": "Python", "cpus": "processors", "load_1m": "load"}
# Each row of the tables has these.
NOT_TOLD = ("mode", "wal_delay_us")


def cells(tag, values):
    return "".join(f"<{tag}>{html.escape(str(value))}</{tag}>" for value in values)


def row(values, remarks=(), title=""):
    """A row whose last cell are the remarks; in colour if there are any."""
    warn = ' class="warn"' if remarks else ""
    hint = f' title="{html.escape(title)}"' if title else ""
    return (f"<tr{warn}{hint}>{cells('td', values)}"
            f'<td class="words">{html.escape("; ".join(remarks))}</td></tr>')


def table(heading, rows):
    return "\n".join([f"<table><tr>{cells('th', heading)}</tr>", *rows, "</table>"])


def figure(title, caption, svg):
    """A plot, or why there is none."""
    if svg is None:
        return f"<h2>{html.escape(title)}</h2><p>{html.escape(caption)}</p>"
    image = base64.b64encode(svg.read_bytes()).decode()
    return (f'<figure><img alt="{html.escape(title)}" src="data:image/svg+xml;base64,{image}">'
            f"<figcaption>{html.escape(caption)}</figcaption></figure>")


def number(value, digits=3):
    return "" if value is None or math.isnan(value) else f"{value:,.{digits}f}"


def ranged(spread, several):
    """The median of some runs in milliseconds, and their range if there are several."""
    middle, least, most = (number(1000 * second) for second in spread)
    return f"{middle} ({least} to {most})" if several and middle else middle


def of_group(group):
    several = len(group.runs) > 1
    values = [group.name, len(group.runs), f"{group.puts:,}", ranged(group.spread("median"), several),
              ranged(group.spread("p99"), several), number(group.calls, 2)]
    return row(values, list(group_remarks(group)))


def group_remarks(group):
    if group.empty:
        yield ("no puts" if group.empty == len(group.runs)
               else f"no puts in {group.empty} of {len(group.runs)} runs")
    if not group.fired:
        yield "the fault never fired: its puts met no delay"
    if group.failed:
        yield ("no put succeeded" if not group.took
               else f"{group.failed} of {group.puts} puts failed")
    if group.moved:
        yield f"leadership changed in {group.moved} of {len(group.runs)} runs"


def of_run(run, directory):
    facts = run.facts
    own = (facts.get("client_floor") or {}).get("median_s")
    place = run.directory.parent.relative_to(directory)
    begun = results.begun(run.directory) + (f", {place}" if place.parts else "")
    values = [begun, results.human(run.injected), f"{len(run.took) + run.failed:,}",
              number(run.median * 1000), number(run.p99 * 1000), number(run.per_second, 1),
              number(run.fired_per_put, 2), number(own and own * 1000),
              facts.get("machine", {}).get("load_1m", ""), run.leader]
    return row(values, list(run_remarks(run)), run.directory.name)


def run_remarks(run):
    if run.empty:
        yield "no puts"
    if not run.fired:
        yield "the fault never fired"
    if run.failed:
        yield f"{run.failed} puts failed" if run.took else "no put succeeded"
    if run.leader_changed:
        yield f"then {run.facts['leader'].get('after') or 'nobody'} led"


def settings(runs):
    """What the runs share, and the names of what they do not: [(name, value)]."""
    found = {}
    for run in runs:
        for section in ("parameters", "cluster", "versions", "machine"):
            for name, value in run.facts.get(section, {}).items():
                if name not in NOT_TOLD:
                    text = ", ".join(value) if isinstance(value, list) else value
                    found.setdefault(NAMES.get(name, name), set()).add(
                        {True: "yes", False: "no"}.get(text, text) if isinstance(text, bool) else text)
    return [(name, next(iter(values)) if len(values) == 1 else "differs between the runs")
            for name, values in found.items() if values != {""}]


def told_apart(runs):
    """What each series is, where there are several."""
    told = series.of(runs)
    if len(told) > 1:
        yield ("<h2>Series</h2><p>These runs were made under different conditions, and are not mixed. "
               "Runs without a delay stand in each series that has their conditions.</p>")
        yield table(["series", "runs", "made with"],
                    (f"<tr>{cells('td', (name, len(own)))}"
                     f'<td class="words">{html.escape(text)}</td></tr>' for name, own, text in told))


def missing(left_out):
    """The directories that could not be read, and why."""
    if left_out:
        yield "<p>Left out, because they hold no whole run:</p><ul>"
        yield from (f'<li class="warn">{html.escape(why)}</li>' for why in left_out)
        yield "</ul>"


def write(file, directory, runs, left_out, groups, plots):
    ordered = sorted(runs, key=lambda run: (run.delay_us, run.fault, run.directory.name))
    first, last = (results.begun(run.directory) for run in (runs[0], runs[-1]))
    body = [
        "<h1>etcd puts under a delayed write-ahead log</h1>",
        f"<p>{len(runs)} runs, begun from {first} to {last}. A row in colour has a remark: what keeps "
        "it from meaning what its delay says.</p>",
        *missing(left_out),
        *told_apart(runs),
        *(figure(*plot) for plot in plots),
        "<h2>By delay</h2><p>The median over the runs, and their range.</p>",
        table(BY_DELAY, map(of_group, groups)),
        "<h2>Runs</h2>",
        table(RUNS, (of_run(run, directory) for run in ordered)),
        "<h2>Made with</h2>",
        table(["what", "value"], (f"<tr>{cells('td', (name,))}"
                                  f'<td class="words">{html.escape(str(value))}</td></tr>'
                                  for name, value in settings(runs)))]
    file.write_text(
        '<!DOCTYPE html>\n<html lang="en"><meta charset="utf-8"><title>etcd WAL delay</title>'
        f"<style>{STYLE}</style>\n" + "\n".join(body) + "\n</html>\n", encoding="utf-8")
