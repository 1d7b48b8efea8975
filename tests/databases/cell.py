"""One cell: a database meets a fault, is started again, and is asked for all it acknowledged."""

import contextlib
import datetime
import os
import shutil
import time

import faults
from judge import HUNG, REFUSED, Oracle, Reading, judge
from programs import PATIENCE, Hung, Refused, hand_over, value

ROWS = 8  # of a transaction
LENGTH = 1500
LARGE_ROWS, LARGE = 16, 4000
BEFORE = 40  # transactions that nothing happens to
PASS = 12  # writes or syncs of the log that pass before the fault
GO_ON = 5  # transactions, once the fault is over
BEYOND = 15  # transactions after the fault
CHECKPOINT = 20  # transactions before a checkpoint, if there is one
MOST = 600


class Cell:
    """The course of one cell, and what is written down of it."""

    def __init__(self, database, fault, room):
        self.db, self.fault, self.room = database, fault, room
        self.oracle = Oracle()
        self.errors = []
        self.commands = []
        self.fired = 0

    def run(self):
        """The result, as it is kept."""
        with contextlib.ExitStack() as stack:
            stack.callback(self.room.unmount)
            stack.callback(self.db.kill)
            self.room.mount()
            self.db.start()
            self.commit_many(BEFORE)
            self.db.checkpoint()
            during = getattr(self, self.fault.course)()
            looked = self.look()
            afterwards = self.afterwards(looked[0])
        return self.result(during, looked, afterwards)

    # The three courses.

    def running(self):
        """The fault acts on a server at work, which is then killed."""
        if self.fault.line:
            self.inject(self.fault.line.format(log=self.db.log, data=self.db.data, after=PASS))
        self.work()
        self.must_have_fired()
        said, alive = self.db.said(), self.db.alive()
        if self.fault.line:
            self.room.lift(self.fault.line)
        self.go_on()
        during = {"errors": self.errors[:3], "said": said[:6], "ended": not (alive or self.db.embedded)}
        self.db.kill()
        self.remount()
        return during

    def crashed(self):
        """The fault acts on the log that a killed server left, from its next start on."""
        first = len(self.oracle.asked)
        self.commit_many(BEFORE)
        self.db.kill()
        return self.at_rest(range(first, len(self.oracle.asked)))

    def stopped(self):
        """The fault acts on the data that a stopped server left, from its next start on."""
        self.db.stop()
        return self.at_rest(range(len(self.oracle.asked)))

    def at_rest(self, rows):
        self.remount()
        if self.fault.line:
            pattern = getattr(self.db, self.fault.files)
            texts = [self.oracle.asked[row] for row in rows]
            path, sector = self.room.find(pattern, texts)
            name = str(path.relative_to(self.room.raw)).replace(".", r"\.")
            here = {self.fault.files: f".*/{name}", "range": f"{sector}..{sector + 512}"}
            line = self.fault.line.format(**here)
            if faults.kind(self.fault) == "rot":
                self.commands.append("slowfs " + self.room.rot(line, path, texts))
            else:
                self.inject(line)
        return None

    # Their steps.

    def inject(self, line):
        self.commands.append(f"slowfs {line}")
        self.room.set_fault(line)

    def remount(self):
        self.room.unmount()
        self.room.mount()

    def must_have_fired(self):
        if self.fault.line:
            self.fired = self.room.fired(self.fault.line)
            if self.fired == 0:
                raise RuntimeError(f"{self.commands[-1]}: it never fired")

    def work(self):
        """What meets the fault: until it has fired and some more, or the server is gone."""
        large = self.fault.work == "large"
        least = CHECKPOINT if self.fault.work == "checkpoint" else 0
        failed, fired = 0, None
        for n in range(MOST):
            well = self.commit(*((LARGE_ROWS, LARGE) if large else (ROWS, LENGTH)))
            failed = 0 if well else failed + 1
            if n == least > 0:
                self.try_to(self.db.checkpoint)
            if failed >= (2 if large else 5) or not (well or self.comes_back()):
                return
            if fired is None and not large and (not self.fault.line or self.room.fired(self.fault.line)):
                fired = n
            if fired is not None and n >= max(fired, least) + BEYOND:
                return

    def go_on(self):
        """The fault is over: does the same server go on?"""
        if self.db.alive():
            for _ in range(GO_ON):
                self.commit(ROWS, LENGTH)

    def commit_many(self, count):
        for _ in range(count):
            rows = self.oracle.next_rows(ROWS, lambda row: value(row, LENGTH))
            self.db.commit(rows)
            self.oracle.acknowledged.update(rows)

    def commit(self, count, length):
        """Tries one transaction, and says whether it was acknowledged."""
        rows = self.oracle.next_rows(count, lambda row: value(row, length))
        well = self.try_to(lambda: self.db.commit(rows))
        if well:
            self.oracle.acknowledged.update(rows)
        return well

    def try_to(self, act):
        try:
            act()
            return True
        except Refused as why:
            self.note(self.errors, why)
            return False

    def comes_back(self):
        """Whether a database that refused something can be asked again within a while."""
        end = time.monotonic() + PATIENCE / 3
        while time.monotonic() < end:
            if not self.db.alive():
                return self.db.embedded
            with contextlib.suppress(Refused):
                self.db.get(0)
                return True
            time.sleep(0.2)
        return False

    # What is left.

    def look(self):
        """Starts it and reads all; the outcome, the counts and what was said."""
        reading = self.read()
        if self.fault.course != "running" and not self.fired:
            self.must_have_fired()
        reading.said, reading.remarked = self.db.said(), self.db.remarked()
        outcome, counts = judge(self.oracle, reading)
        return outcome, counts, reading

    def afterwards(self, outcome):
        """What becomes of it once the fault is over: how, and what a further look gave."""
        if outcome in (REFUSED, HUNG):
            self.db.kill()
            if self.fault.course != "running":
                how = "the disk mended"
                self.room.lift(self.fault.line)
            elif not (how := self.repair()):
                return None
            return how, *self.look()
        # It goes on: what it takes from now on, it must keep.
        self.oracle = Oracle(dict(self.oracle.asked))
        self.errors = []
        taken = sum(self.commit(ROWS, LENGTH) for _ in range(GO_ON))
        self.db.kill()
        outcome, counts, reading = self.look()
        reading.errors[:0] = self.errors
        return f"{taken} of {GO_ON} more transactions were taken, and it was killed", outcome, counts, reading

    def repair(self):
        try:
            return self.db.repair()
        except Refused as why:
            self.note(self.errors, why)
            return None

    def note(self, errors, why):
        text = self.db.plain(str(why))
        if text not in errors:
            errors.append(text)

    def read(self):
        reading = Reading()
        known = sorted(self.oracle.acknowledged)
        try:
            self.db.start()
        except Refused as why:
            return Reading(unread=set(known), errors=[self.db.plain(str(why))],
                           hung=isinstance(why, Hung))
        try:
            reading.rows = self.db.scan()
        except Refused as why:
            self.note(reading.errors, why)
            self.read_singly(known, reading)
        return reading

    def read_singly(self, known, reading):
        """A scan ends at the first row that cannot be read: which can?"""
        for row in known:
            try:
                if not self.db.alive():
                    self.db.start()
                found = self.db.get(row)
                if found is not None:
                    reading.rows[row] = found
            except Refused as why:
                reading.unread.add(row)
                self.note(reading.errors, why)

    def result(self, during, looked, afterwards):
        outcome, counts, reading = looked
        return {
            "database": self.db.name,
            "fault": self.fault.name,
            "line": self.fault.line,
            "program": self.db.program(),
            "kernel": "Linux " + os.uname().release.partition("-")[0],
            "date": datetime.date.today().isoformat(),
            "commands": self.commands,
            "fired": self.fired,
            "during": during,
            "outcome": outcome,
            **counts,
            "errors": reading.errors[:4],
            "said": reading.said[:6],
            "remarked": reading.remarked[:2],
            "afterwards": afterwards and {
                "how": afterwards[0], "outcome": afterwards[1], **afterwards[2],
                "errors": afterwards[3].errors[:3], "said": afterwards[3].said[:3]},
        }


def run(make, fault, template, room):
    """Runs one cell in a room, with a copy of the fresh database that `template` is, or becomes."""
    database = make(room.mnt, room.scratch)
    if not template.exists():
        fresh = template.with_suffix(".new")
        fresh.mkdir()
        hand_over(fresh)
        make(fresh, room.scratch).create(fresh)
        fresh.rename(template)
    shutil.copytree(template, room.raw, symlinks=True, copy_function=shutil.copy2)
    for path in (room.raw, *room.raw.rglob("*")):
        hand_over(path)
    return Cell(database, fault, room).run()
