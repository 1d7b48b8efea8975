"""The static program: it needs no file beside it, and draws what the other one draws."""

import contextlib
import json
import shutil
import signal
import subprocess

from daemons import until
from rooms import PATIENCE, Room, is_used, output

LENGTHS = ["uniform:1us..9us", "exp:3us", "normal:5us,4us", "lognormal:p50=2us,p99=30us", "pareto:1us,1.5",
           "table:0=1us,50=3us,99=30us,100=200us"]
WRITES = 300


def needs_nothing(static):
    told = output("readelf", "--wide", "--program-headers", "--dynamic", "--sections", static)
    for sign in ("INTERP", "(NEEDED)", ".symtab", ".debug_info"):
        assert sign not in told, f"{sign} in {static}:\n{told}"


def runs_in_an_empty_root(static, scratch):
    room = Room(scratch / "empty")
    shutil.copy(static, room / "slowfs")
    # The kernel's own files are missing: it says so in a line.
    for name in ("raw", "mnt"):
        (room / name).mkdir()
    said = room.fails("/slowfs", "mount", "/raw", "/mnt", "--listen", "none")
    assert "/proc" in said.splitlines()[-1], said
    room.furnish("fuse", "null")
    is_used(room, "/slowfs")
    left = room.files()
    assert left == {"slowfs", "run", "run/slowfs", "run/slowfs/.lock"}, left


def drawn(program, place):
    """What each length asks of each of a row of writes, and which of them fail, from one seed."""
    raw, mnt, trace = place / "raw", place / "mnt", place / "trace"
    for new in (place, raw, mnt):
        new.mkdir()
    told = json.loads(output(program, "mount", raw, mnt, "--listen", "none", "--daemon", "--json", "--seed", "7",
                             "--log-file", place / "log"))
    control = ("--addr", told["socket"])
    asked = []
    try:
        for length in LENGTHS:
            output(program, "clear", *control)
            output(program, "delay", length, "--and", "error EIO,ENOSPC,EDQUOT", "-m", "write", "-p", "70%", *control)
            asked.append(traced(program, control, mnt / "file", trace))
    finally:
        output(program, "umount", mnt)
    return asked


def traced(program, control, path, trace):
    """What came of each of a row of writes: the error, and what the trace tells of the faults."""
    reader = subprocess.Popen([program, "trace", "-m", "write", "--to", trace, *control])
    try:
        until(lambda: trace.exists() and trace.read_text().count("\n") > 0, "head of the trace")
        for _ in range(WRITES):
            with open(path, "wb", buffering=0) as file, contextlib.suppress(OSError):
                file.write(b"x")
        lines = lambda: trace.read_text().count("\n")
        until(lambda: lines() > WRITES, f"line of each write in {trace}")
    finally:
        reader.send_signal(signal.SIGINT)
        assert reader.wait(PATIENCE) == 0
    events = [json.loads(line) for line in trace.read_text().splitlines()[1:]]
    trace.unlink()
    return [(event["result"], [(hit["n"], hit["asked_ns"]) for hit in event["hits"]]) for event in events]


def both_draw_the_same(static, slowfs, scratch):
    ours, theirs = drawn(static, scratch / "static"), drawn(slowfs, scratch / "dynamic")
    for length, mine, other in zip(LENGTHS, ours, theirs, strict=True):
        assert len({hit[1] for _, hits in mine for hit in hits}) > WRITES / 4, f"{length}: {mine}"
        assert {result for result, _ in mine} == {"ok", "EIO", "ENOSPC", "EDQUOT"}, f"{length}: {mine}"
        differ = [pair for pair in zip(mine, other, strict=True) if pair[0] != pair[1]]
        assert not differ, f"{length}: static and dynamic, {len(differ)} of {WRITES} differ: {differ[:3]}"
