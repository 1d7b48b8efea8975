"""Three tests of a program that keeps its data in SQLite.

    SLOWFS=target/release/slowfs pytest python/examples
"""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from slowfs import Mount


class Ledger:
    """The program under test: what it has booked is there for good."""

    def __init__(self, directory: Path) -> None:
        self._db = sqlite3.connect(directory / "ledger.db", isolation_level=None)
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("CREATE TABLE IF NOT EXISTS entry (n INTEGER PRIMARY KEY, text TEXT)")

    def book(self, text: str) -> None:
        self._db.execute("INSERT INTO entry (text) VALUES (?)", (text,))

    def entries(self) -> "list[str]":
        return [text for (text,) in self._db.execute("SELECT text FROM entry ORDER BY n")]

    def is_sound(self) -> bool:
        (verdict,) = self._db.execute("PRAGMA integrity_check").fetchone()
        return bool(verdict == "ok")


def test_a_slow_disk_slows_writers_and_not_readers(slowfs: Mount) -> None:
    ledger = Ledger(slowfs.path)
    ledger.book("first")
    with slowfs.delay("200ms", methods="fsync", glob="ledger.db*") as fault:
        began = time.monotonic()
        ledger.book("second")
        assert time.monotonic() - began >= 0.2 * fault.fired
        assert fault.fired >= 2, "the journal and the database are synced"
        fired = fault.fired
        assert ledger.entries() == ["first", "second"]
        assert fault.fired == fired, "a reader syncs nothing"


def test_a_full_disk_costs_the_entry_and_nothing_else(slowfs: Mount) -> None:
    ledger = Ledger(slowfs.path)
    ledger.book("first")
    with slowfs.full(0) as fault:
        with pytest.raises(sqlite3.OperationalError, match="full"):
            ledger.book("x" * 100_000)
        assert fault.fired
        assert ledger.entries() == ["first"]
    ledger.book("second")
    assert ledger.entries() == ["first", "second"]
    assert ledger.is_sound()


def test_what_was_booked_survives_a_kill_within_a_commit(slowfs: Mount) -> None:
    Ledger(slowfs.path)
    # The caller of the tenth sync of the journal is killed within it.
    with slowfs.kill(methods="fsync", glob="*-journal", after=9, count=1) as fault:
        argv = [sys.executable, __file__, str(slowfs.path)]
        run = subprocess.run(argv, stdout=subprocess.PIPE, text=True)
        assert run.returncode == -signal.SIGKILL
        assert fault.fired == 1
    promised = run.stdout.splitlines()
    ledger = Ledger(slowfs.path)
    assert promised and ledger.entries()[: len(promised)] == promised
    assert len(ledger.entries()) <= len(promised) + 1
    assert ledger.is_sound()


if __name__ == "__main__":
    its_own = Ledger(Path(sys.argv[1]))
    for number in range(100):
        its_own.book(f"entry {number}")
        print(f"entry {number}", flush=True)
