"""Every kind can be set, and every option reaches the mount."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import timedelta
from typing import Callable, Dict

import pytest

import slowfs as package
from slowfs import Fault, Mount
from slowfs.kinds import OPTIONS, Common, Options
from slowfs.program import find

EVERY: Dict[str, Callable[[Mount], Fault]] = {
    "delay": lambda m: m.delay(timedelta(milliseconds=1), methods="write", per_byte="10ns", when="after"),
    "hang": lambda m: m.hang(methods="fsync"),
    "error": lambda m: m.error(["EIO", "ENOSPC"], methods="fsync", when="after"),
    "kill": lambda m: m.kill(methods="fsync"),
    "short": lambda m: m.short("50%", methods="write"),
    "lost-write": lambda m: m.lost_write(methods="write", hidden=True),
    "torn-write": lambda m: m.torn_write("random", methods="write", unit=512, hidden=True),
    "corrupt": lambda m: m.corrupt("flip", methods="write", unit=512, spots=2, length=1, hidden=True),
    "bad-sector": lambda m: m.bad_sector(range="0..4KiB", density=1e-4, unit="4KiB", sticky=True),
    "full": lambda m: m.full(10 << 20, inodes=5, owner=0, errno="EDQUOT"),
    "throttle": lambda m: m.throttle(
        iops=1000, read_bw="1GB", write_bw="1GB", burst=5, io_size="64KiB", per="file"
    ),
    "device": lambda m: m.device("hdd", channels=2, read="1ms", seek=timedelta(milliseconds=2)),
    "read-only": lambda m: m.read_only(at=["fsync", "write"]),
    "shutdown": lambda m: m.shutdown(at="fsync"),
    "fsync-fail": lambda m: m.fsync_fail("lost", methods="fsync"),
    "lying-sync": lambda m: m.lying_sync(methods="fsync", forever=True),
    "cut-at": lambda m: m.cut_at(["fsync", "rename"], when="after", keep="random", unit="4096", seed=7),
}


def test_no_kind_is_missing(pytestconfig: pytest.Config) -> None:
    program = find(pytestconfig.getoption("--slowfs"))
    told = subprocess.run([program, "kinds", "--json"], check=True, capture_output=True).stdout
    assert sorted(EVERY) == sorted(kind["name"] for kind in json.loads(told)["kinds"])


@pytest.mark.filterwarnings("ignore::slowfs.SlowfsWarning")
@pytest.mark.slowfs("--track-unsynced")
@pytest.mark.parametrize("kind", EVERY)
def test_it_can_be_set(slowfs: Mount, kind: str) -> None:
    fault = EVERY[kind](slowfs)
    (listed,) = slowfs.faults()
    assert listed["id"] == fault.id
    (effect,) = listed["fault"]["effects"]
    assert effect["kind"] == kind
    fault.clear()
    assert slowfs.faults() == []


@pytest.mark.filterwarnings("ignore::slowfs.SlowfsWarning")
def test_every_option_reaches_the_mount(slowfs: Mount) -> None:
    phased = slowfs.error(
        "EIO",
        methods=["read", "write"],
        path=r".*/wal/.*",
        probability=0.25,
        after=1,
        nth=2,
        count=3,
        starts=timedelta(hours=1),
        lasts="2h",
        on_for="1s",
        off_for="2s",
        random=True,
        uid=[0, 1],
        pid=os.getpid(),
        range="0..4096",
        size="1..4096",
        flags=["sync", "direct"],
        name="all-of-it",
        also=["delay 1ms", "kill"],
    )
    others = [
        slowfs.delay("1ms", methods="write", ramp="x1..x2/1s", stable=True, glob="*.log", add=True),
        slowfs.delay("1ms", methods="write", below=".*/wal", add=True),
    ]
    listed = {fault["id"]: fault["fault"] for fault in slowfs.faults()}
    assert list(listed) == [phased.id, *(other.id for other in others)], "each beside the others"
    told = listed[phased.id]
    assert phased.name == told["name"] == "all-of-it"
    assert told["methods"] == ["read", "write"]
    assert told["pattern"] == r".*/wal/.*"
    assert [effect["kind"] for effect in told["effects"]] == ["error", "delay", "kill"]
    assert told["options"]["probability"] == 0.25
    assert told["options"]["starts"] == 3600 * 10**9
    reached = {name for fault in listed.values() for name in fault["options"]}
    of_places = {"path", "glob", "below", "also", "name", "add"}
    assert reached >= OPTIONS.keys() - of_places
    assert OPTIONS.keys() == Common.__annotations__.keys() | Options.__annotations__.keys()


def test_what_slowfs_refuses_is_told_in_its_words(slowfs: Mount) -> None:
    with pytest.raises(package.SlowfsError, match="fsnyc.*fsync"):
        slowfs.delay("1ms", methods="fsnyc")
    with pytest.raises(package.SlowfsError, match="(?i)unit"):
        slowfs.delay("300", methods="fsync")
    with pytest.raises(TypeError, match="probabilty"):
        slowfs.hang(methods="fsync", probabilty=0.5)  # type: ignore[call-arg]
    assert slowfs.faults() == []


def test_what_a_fault_cannot_do_is_a_warning(slowfs: Mount) -> None:
    with pytest.warns(package.SlowfsWarning, match="access"):
        fault = slowfs.error("EIO", methods="access")
    assert fault.warnings
