"""The report of a sweep: one HTML file that needs no other."""

import base64
import html
import math

import results

STYLE = """
body { font: 15px/1.45 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #222 }
img { width: 100%; max-width: 48em } figcaption { color: #555; font-size: 90% }
table { border-collapse: collapse; font-size: 85%; display: block; overflow-x: auto }
th, td { padding: .2em .6em; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap }
th { background: #f3f3f3 } .warn { background: #fff0c2 }
"""
COLUMNS = ["delay", "repetition", "puts", "failed", "median (ms)", "p99 (ms)", "puts per s",
           "fired per put", "leader before, after", "client's own (ms)", "load", "run"]


def cells(tag, values):
    return "".join(f"<{tag}>{html.escape(str(value))}</{tag}>" for value in values)


def figure(title, caption, svg):
    image = base64.b64encode(svg.read_bytes()).decode()
    return (f'<figure><img alt="{html.escape(title)}" src="data:image/svg+xml;base64,{image}">'
            f"<figcaption>{html.escape(caption)}</figcaption></figure>")


def number(value, digits=3):
    return "" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def row(run):
    facts = run.facts
    leader, floor = facts.get("leader", {}), facts.get("client_floor") or {}
    own = floor.get("median_s")
    values = [results.human(run.injected), facts.get("sweep", {}).get("repetition", ""),
              len(run.took) + run.failed, run.failed, number(run.median * 1000),
              number(run.p99 * 1000), number(run.per_second, 1), number(run.fired_per_put, 2),
              f"{leader.get('before', run.leader)}, {leader.get('after', '')}",
              number(own and own * 1000), facts.get("machine", {}).get("load_1m", ""),
              run.directory.name]
    warn = ' class="warn"' if run.failed or run.leader_changed else ""
    return f"<tr{warn}>{cells('td', values)}</tr>"


def settings(runs):
    """What the runs share, and the names of what they do not: [(name, value)]."""
    found = {}
    for run in runs:
        for section in ("parameters", "cluster", "versions", "machine"):
            for name, value in run.facts.get(section, {}).items():
                text = ",".join(value) if isinstance(value, list) else value
                found.setdefault(f"{section}: {name}", set()).add(text)
    return [(name, next(iter(values)) if len(values) == 1 else "differs between the runs")
            for name, values in found.items()]


def stamp(run):
    """When it began, as its name has it."""
    return run.directory.name[:len("20250809_222355")]


def write(file, runs, plots, summary):
    heading, *lines = summary
    ordered = sorted(runs, key=lambda run: (run.delay_us, run.fault, run.directory.name))
    body = [
        "<h1>etcd puts under a delayed write-ahead log</h1>",
        f"<p>{len(runs)} runs, begun from {stamp(runs[0])} to {stamp(runs[-1])}. "
        "Rows in colour: a put failed, or leadership changed during the puts.</p>",
        *(figure(*plot) for plot in plots),
        "<h2>By delay</h2><p>Latencies: median over the runs, their least and their most.</p>",
        f"<table><tr>{cells('th', heading)}</tr>",
        *(f"<tr>{cells('td', line)}</tr>" for line in lines),
        f"</table><h2>Runs</h2><table><tr>{cells('th', COLUMNS)}</tr>",
        *map(row, ordered),
        "</table><h2>Made with</h2><table>",
        *(f"<tr>{cells('td', pair)}</tr>" for pair in settings(runs)),
        "</table>"]
    file.write_text(
        '<!DOCTYPE html>\n<html lang="en"><meta charset="utf-8"><title>etcd WAL delay</title>'
        f"<style>{STYLE}</style>\n" + "\n".join(body) + "\n</html>\n", encoding="utf-8")
