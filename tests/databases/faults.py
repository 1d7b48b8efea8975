"""The faults of a cell: what is typed, when, and around what course of events.

In a line `{log}` and `{data}` stand for the database's own files, `{after}` for how many writes pass
first, and `{range}` for the sector that holds a row which is acknowledged.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    name: str
    title: str
    # `running`: the fault acts on a server at work, which is then killed and started again.
    # `crashed`: it acts on the files of a server that was killed, `stopped`: of one that was stopped.
    course: str
    line: str | None
    # What the server does while a fault of the first course is in force: `commits` small
    # transactions, or `large` ones until one fails, or a `checkpoint` after some.
    work: str = "commits"
    # Which files it acts on, for a row to be found there.
    files: str = "log"


WRITES = "-m write -r '{log}' --size 1KiB..1GiB --after {after} --count"

FAULTS = [
    Fault("killed", "nothing, killed", "running", None),
    Fault("stopped", "nothing, stopped", "stopped", None, files="data"),
    Fault("torn-log", "log write torn by a crash", "running", f"torn-write random {WRITES} 1 --and kill"),
    Fault("torn-log-unsaid", "log write torn, but reported as done", "running", f"torn-write random {WRITES} 1"),
    Fault("flip-log", "a bit of a log write flipped", "running", f"corrupt flip {WRITES} 1"),
    Fault("flip-log-copied", "bits of four log writes flipped, then a checkpoint", "running",
          f"corrupt flip {WRITES} 4", work="checkpoint"),
    Fault("flip-data", "a bit of data flipped", "stopped", "rot flip -r '{data}'", files="data"),
    Fault("bad-log", "bad sector in the log", "crashed", "bad-sector --range {range} -r '{log}'"),
    Fault("bad-data", "bad sector in data", "stopped", "bad-sector --range {range} -r '{data}'", files="data"),
    Fault("full", "disk full, then freed", "running", "full --free 512KiB", work="large"),
    Fault("eio-log", "fsync of the log fails once", "running",
          "error EIO -m fsync,fdatasync -r '{log}' --count 1 --after {after}"),
    Fault("eio-data", "fsync of data fails once", "running",
          "error EIO -m fsync,fdatasync -r '{data}' --count 1", work="checkpoint"),
]

# What `make test` runs.
SHORT = [(database, fault) for database in ("sqlite", "redis")
         for fault in ("torn-log", "flip-log", "eio-log")]


def kind(fault):
    return fault.line.split()[0] if fault.line else None
