"""Faults from their beginning to their end, and what they tell."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Callable

import pytest

from slowfs import Mount, NotReached, SlowfsError, SlowfsWarning


def sync(path: Path) -> None:
    with open(path, "w") as file:
        file.write("x")
        file.flush()
        os.fsync(file.fileno())


def test_it_is_in_force_within_its_block_only(slowfs: Mount) -> None:
    (slowfs / "wal").mkdir()
    began = time.monotonic()
    with slowfs.delay("300ms", methods="fsync", path=r".*/wal/.*") as fault:
        sync(slowfs / "wal" / "0")
        took = time.monotonic() - began
        sync(slowfs / "beside")
        assert fault.fired == fault.matched == 1
    assert took >= 0.3
    sync(slowfs / "wal" / "1")
    assert fault.fired == 1, "and can be asked afterwards"
    assert fault.state == "ended"
    assert slowfs.faults() == []
    assert (slowfs.backing / "wal" / "1").read_text() == "x"


def test_an_error_is_what_the_program_gets(slowfs: Mount) -> None:
    with slowfs.error("ENOSPC", methods="create", count=1) as fault:
        with pytest.raises(OSError, match="No space left"):
            (slowfs / "first").touch()
        (slowfs / "second").touch()
        assert fault.wait_fired() == 1
    assert [path.name for path in slowfs.path.iterdir()] == ["second"]


def test_what_is_held_is_seen_and_released(slowfs: Mount) -> None:
    with slowfs.hang(methods="mkdir") as fault:
        thread = threading.Thread(target=os.mkdir, args=(slowfs / "held",))
        thread.start()
        assert fault.wait_held() == 1
        assert fault.held == 1
        assert not (slowfs.backing / "held").exists()
    thread.join(10)
    assert (slowfs.backing / "held").is_dir(), "it ran once its fault was cleared"
    assert fault.held == 0


def test_what_does_not_come_is_told_in_time(slowfs: Mount) -> None:
    fault = slowfs.hang(methods="fsync")
    began = time.monotonic()
    with pytest.raises(NotReached):
        fault.wait_fired(timeout="50ms")
    assert time.monotonic() - began >= 0.05
    slowfs.clear()
    with pytest.raises(NotReached):
        fault.wait_held(timeout="1h")
    fault.clear()


def test_a_set_of_faults_is_in_force_in_one_step(slowfs: Mount) -> None:
    other = slowfs.hang(methods="rmdir", name="other")
    slow, broken = slowfs.apply("delay 300ms -m fsync --name slow", "error EIO -m mkdir")
    assert (slow.name, broken.name) == ("slow", None)
    with pytest.raises(OSError):
        os.mkdir(slowfs / "dir")
    # A file's text: what it has in the same words goes on, with its counts.
    text = "# the disk\ndelay 200ms -m fsync --name slow\nerror EIO -m mkdir\n"
    slow_now, same = slowfs.apply(text)
    assert (same.id, same.fired) == (broken.id, 1)
    assert slow_now.id != slow.id and slow.state == "ended"
    assert [fault["id"] for fault in slowfs.faults()] == [other.id, slow_now.id, same.id]
    with pytest.raises(SlowfsError, match="standard input:2: no method mkdri; did you mean mkdir?"):
        slowfs.apply("hang -m read", "hang -m mkdri", prune=True)
    assert len(slowfs.faults()) == 3, "it is refused whole"
    with pytest.warns(SlowfsWarning, match="cannot fire as long as") as told:
        first, second = slowfs.apply("hang -m read", "kill -m read", prune=True)
    assert told[0].filename == __file__
    assert first.warnings == [] and second.warnings == [str(told[0].message)]
    assert [fault["id"] for fault in slowfs.faults()] == [first.id, second.id]
    assert slowfs.apply(prune=True) == [] == slowfs.faults()


def test_mounts_are_apart(slowfs_mount: Callable[..., Mount], tmp_path: Path) -> None:
    slow, sound = slowfs_mount(), slowfs_mount("--seed", "7", directory=tmp_path / "named")
    assert sound.path == tmp_path / "named" / "mnt"
    assert sound.ask("ping")["seeded"] and not slow.ask("ping")["seeded"]
    with slow.error("EIO", methods="create") as fault:
        (sound / "file").touch()
        with pytest.raises(OSError):
            (slow / "file").touch()
    assert fault.fired == 1


@pytest.mark.slowfs("--read-only")
def test_a_marker_has_options_of_the_mount(slowfs: Mount) -> None:
    with pytest.raises(OSError, match="Read-only"):
        (slowfs / "file").touch()


def test_all_of_the_command_line_is_there(slowfs: Mount) -> None:
    slowfs.ask("recipe", "flaky-fsync")
    (slowfs / "file").touch()
    assert slowfs.stats()["calls"] > 0
    assert "fsync" in slowfs.text("list")
    slowfs.clear("fsync")
    assert [fault["fault"]["methods"] for fault in slowfs.faults()] in ([], [["fdatasync"]])
    slowfs.clear()
    assert slowfs.faults() == []
