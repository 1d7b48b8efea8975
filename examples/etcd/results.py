"""Reads what runs have written, also where there is no run.json beside the CSVs."""

import csv
import json
import math
import re
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

NAME = re.compile(r"\d{8}_\d{6}_etcd_fsdelay_(baseline|delay)_(.+?)_(\d+us|fault-.+)")
# What readers of run.json look into.
SECTIONS = ("parameters", "cluster", "versions", "machine", "durations", "leader")


class Unreadable(Exception):
    """A directory that has no whole run; the message names it and says what is wrong with it."""


@dataclass
class Run:
    """One run. Times in seconds; `took` has the puts that succeeded, in ascending order."""

    directory: Path
    mode: str
    leader: str
    delay_us: int                       # 0 of a baseline, and of a fault
    fault: str                          # what WAL_FAULT injected, or ""
    took: list
    failed: int
    throughput: list
    latency: list
    facts: dict

    @property
    def injected(self):
        """Its fault, or else its delay: 0 of a baseline."""
        return self.fault or self.delay_us

    @property
    def median(self):
        return self.quantile(0.5)

    @property
    def p99(self):
        return self.quantile(0.99)

    def quantile(self, share):
        """Nearest rank; not a number if no put succeeded."""
        return self.took[max(0, math.ceil(len(self.took) * share) - 1)] if self.took else math.nan

    @property
    def fired_per_put(self):
        return (self.facts.get("fault") or {}).get("fired_per_put")

    @property
    def per_second(self):
        """Puts that succeeded, over the whole run."""
        took = self.facts.get("durations", {}).get("puts_s")
        return len(self.took) / took if took else None

    @property
    def leader_changed(self):
        return self.facts.get("leader", {}).get("changed", False)

    @property
    def fired(self):
        """False if its fault is known to have hit nothing: its puts met no delay."""
        return (self.facts.get("fault") or {}).get("fired") != 0

    @property
    def empty(self):
        """Whether it has no puts at all."""
        return not self.took and not self.failed

    @property
    def lasted(self):
        """Seconds from the first put to the end of the last."""
        return self.facts.get("durations", {}).get("puts_s") or len(self.throughput)


@dataclass
class Group:
    """Runs that stand for one another: of one series and one delay."""

    injected: object                    # as of its runs
    fired: bool
    number: int                         # of its series
    series: str                         # its name, "" where there is one only
    runs: list

    @property
    def name(self):
        """For a legend."""
        never = "" if self.fired else " (never fired)"
        return human(self.injected) + never + (f", {self.series}" if self.series else "")

    @property
    def took(self):
        return sorted(seconds for run in self.runs for seconds in run.took)

    @property
    def puts(self):
        return sum(len(run.took) + run.failed for run in self.runs)

    @property
    def failed(self):
        return sum(run.failed for run in self.runs)

    @property
    def empty(self):
        """How many of its runs have no puts."""
        return sum(run.empty for run in self.runs)

    @property
    def lasted(self):
        """Seconds that its longest run took."""
        return max(run.lasted for run in self.runs)

    @property
    def moved(self):
        """In how many runs leadership changed during the puts."""
        return sum(run.leader_changed for run in self.runs)

    @property
    def calls(self):
        """Delayed calls for each put, the median; None if it is not known."""
        known = [run.fired_per_put for run in self.runs if run.fired_per_put is not None]
        return statistics.median(known) if known else None

    def spread(self, name):
        """(median, least, most) of that figure of its runs."""
        return spread([getattr(run, name) for run in self.runs])


def text_of(file):
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise Unreadable(f"{file.parent}: {file.name}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Unreadable(f"{file.parent}: {file.name}: this is no text") from None


def rows(file):
    """[(whole number, number)], the header left out."""
    text = text_of(file)
    if not text.endswith("\n"):
        raise Unreadable(f"{file.parent}: {file.name}: it is cut off, its last line has no end")
    found = []
    for line, row in enumerate(csv.reader(text.splitlines()), 1):
        try:
            key, value = row
            found += [(int(key), float(value))] if line > 1 else []
        except ValueError:
            raise Unreadable(f"{file.parent}: {file.name}, line {line}: "
                             f"{','.join(row)!r} instead of two numbers") from None
    return found


def facts_of(directory):
    """What run.json says, nothing where there is none."""
    file = directory / "run.json"
    if not file.exists():
        return {}
    try:
        facts = json.loads(text_of(file))
    except ValueError as error:
        raise Unreadable(f"{directory}: run.json: cut off, or no JSON: {error}") from None
    if not (isinstance(facts, dict)
            and all(isinstance(facts.get(name, {}), dict) for name in SECTIONS)):
        raise Unreadable(f"{directory}: run.json: not as a run writes it")
    return facts


def read(directory):
    mode, leader, injected = NAME.fullmatch(directory.name).groups()
    took = [seconds for _, seconds in rows(directory / "per_op_latency.csv")]
    succeeded = sorted(seconds for seconds in took if not math.isnan(seconds))
    facts = facts_of(directory)
    named = injected.startswith("fault-")
    fault = facts.get("parameters", {}).get("wal_fault") or injected if named else ""
    delay_us = 0 if named else int(injected.removesuffix("us"))
    return Run(directory, mode, leader, delay_us, fault, succeeded, len(took) - len(succeeded),
               rows(directory / "throughput_per_sec.csv"), rows(directory / "latency_per_sec.csv"),
               facts)


def read_all(directory, below=True):
    """(runs, why others are left out) there, and below as in the directories of sweeps; the oldest first."""
    found = (directory.rglob if below else directory.glob)("*_etcd_fsdelay_*")
    found = sorted((path for path in found if NAME.fullmatch(path.name)),
                   key=lambda path: (path.name, path))
    runs, left_out = [], []
    for path in found:
        try:
            runs.append(read(path))
        except Unreadable as error:
            left_out.append(str(error))
            print(f"WARNING: left out: {error}", file=sys.stderr)
    return runs, left_out


def begun(directory):
    """When a run began, as the name of its directory has it."""
    date, time = directory.name[:8], directory.name[9:15]
    return f"{date[:4]}-{date[4:6]}-{date[6:]} {time[:2]}:{time[2:4]}:{time[4:]}"


def by_delay(runs):
    """{(delay or fault, whether it fired): its runs}, the baseline (0) first, faults last."""
    found = {(run.injected, run.fired) for run in runs}
    ordered = sorted(found, key=lambda one: (isinstance(one[0], str), one[0], not one[1]))
    return {one: [run for run in runs if (run.injected, run.fired) == one] for one in ordered}


def spread(values):
    """(median, least, most), those that are no number left out."""
    known = [value for value in values if not math.isnan(value)]
    return (statistics.median(known), min(known), max(known)) if known else (math.nan,) * 3


def calls_per_put(runs):
    """Delayed calls for each put: the median of the runs that kept their leader, or None."""
    known = [run.fired_per_put for run in runs if run.fired_per_put and not run.leader_changed]
    return statistics.median(known) if known else None


def human(delay_us):
    """A delay with its unit, or a fault; 0 is the baseline."""
    if isinstance(delay_us, str):
        return delay_us
    if not delay_us:
        return "no delay"
    for unit, size in (("s", 10**6), ("ms", 10**3)):
        if delay_us >= size:
            return f"{delay_us / size:g} {unit}"
    return f"{delay_us} µs"
