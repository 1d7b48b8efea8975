"""The plug is pulled under a database at work, over and over: what is left of what it acknowledged?

Half of the cuts make an image, on which another instance is started while the first goes on; half are in
place, with every process killed, and the database is started on what is left of itself.
"""

import contextlib
import datetime
import os
import random
import shutil
import threading
import time
from dataclasses import dataclass, field

from programs import Refused, hand_over, value
from settings import NOTHING

ROWS, LENGTH = 4, 600  # of a transaction
CHECKPOINT = 12  # transactions between checkpoints
MOST = 20  # transactions before a cut
AT_CHECKPOINT = 1 / 3  # of the cuts are meant to meet one
JITTER = 0.02  # s; so that a cut is in the middle of something

KEPT = "kept all"
TAIL = "lost the newest"
MENDED = "started once repaired"
REFUSED = "refused to start"
BROKEN = "wrong or missing inside"
# The better first.
OUTCOMES = [KEPT, TAIL, MENDED, REFUSED, BROKEN]

IMAGE, IN_PLACE = "image", "in place"


@dataclass
class Tally:
    """What became of the cuts of one sort."""

    cuts: int = 0
    outcomes: dict = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    # Acknowledged before the cuts, all together; the most transactions that one cut has lost.
    acknowledged: int = 0
    most: int = 0
    said: list = field(default_factory=list)

    def count(self, left, known, plain):
        self.cuts += 1
        self.outcomes[left.outcome] += 1
        self.acknowledged += known
        self.most = max(self.most, left.lost)
        text = plain(left.said.splitlines()[0]) if left.said else ""
        if text and text not in self.said and len(self.said) < 4:
            self.said.append(text)


@dataclass(frozen=True)
class Left:
    """What one cut has left."""

    outcome: str
    lost: int = 0
    said: str = ""


def judge(transactions, known, rows, complaints=()):
    """`transactions` were asked for in this order, the first `known` of them were acknowledged.

    A later one may be there or not, but whole.
    """
    there = [len(rows.keys() & each.keys()) for each in transactions]
    asked = {row: text for each in transactions for row, text in each.items()}
    wrong = [row for row, text in rows.items() if asked.get(row) != text]
    torn = [n for n, each in enumerate(transactions) if there[n] not in (0, len(each))]
    lost = [n for n in range(known) if there[n] == 0]
    if wrong or torn or complaints:
        what = [*complaints, *(f"row {row} was never asked for like that" for row in wrong[:1]),
                *(f"transaction {n} is there by parts" for n in torn[:1])]
        return Left(BROKEN, len(lost), what[0])
    if not lost:
        return Left(KEPT)
    # The newest are gone only if none is there that is newer than one that is not.
    newest = max((n for n, found in enumerate(there) if found), default=-1)
    if newest > lost[0]:
        return Left(BROKEN, len(lost), "a transaction is gone, and newer ones are there")
    return Left(TAIL, len(lost))


class Pulled:
    """One database under many cuts."""

    def __init__(self, make, template, room, seed=1):
        self.make, self.template, self.room = make, template, room
        self.dice = random.Random(seed)
        self.db = make(room.mnt, room.scratch)
        self.transactions, self.known, self.next_row = [], 0, 0
        self.checkpoints = threading.Event()
        self.tallies = {IMAGE: Tally(), IN_PLACE: Tally()}

    def run(self, cuts, progress):
        """Cuts so often, by turns in an image and in place."""
        with contextlib.ExitStack() as stack:
            stack.callback(self.room.unmount)
            stack.callback(self.db.kill)
            self.begin()
            for n in range(cuts):
                progress(n)
                sort = (IMAGE, IN_PLACE)[n % 2]
                known, left = (self.image if sort == IMAGE else self.in_place)(n)
                self.tallies[sort].count(left, known, self.db.plain)
        return self.tallies

    def begin(self):
        """Starts it afresh."""
        self.transactions, self.known = [], 0
        shutil.rmtree(self.room.raw, ignore_errors=True)
        shutil.copytree(self.template, self.room.raw, symlinks=True, copy_function=shutil.copy2)
        for path in (self.room.raw, *self.room.raw.rglob("*")):
            hand_over(path)
        self.room.mount()
        self.db.start()

    # What is done to it.

    def image(self, n):
        """Cuts into an image; what is left there, and how much was acknowledged before."""
        name = f"cut{n}"
        known, failed = self.cut_at_work(n, "--to", name)
        if failed:
            raise RuntimeError(f"the database that goes on failed: {failed}")
        image = self.room.images / name
        scratch = self.room.scratch / name
        scratch.mkdir()
        hand_over(scratch)
        other = self.make(image, scratch)
        try:
            return known, self.look(other, known)[0]
        finally:
            other.kill()
            shutil.rmtree(image)
            shutil.rmtree(scratch)

    def in_place(self, n):
        """Cuts in place, and starts what was killed."""
        known, failed = self.cut_at_work(n, "--now", "--kill")
        self.db.kill()
        if not failed:
            raise RuntimeError("the database goes on after the cut")
        left, rows = self.look(self.db, known)
        # Where nothing is promised, damage may show later.
        if left.outcome in (KEPT, TAIL, MENDED) and self.make.keeps != NOTHING:
            self.transactions = [each for each in self.transactions if rows.keys() & each.keys()]
            self.known = len(self.transactions)
        else:
            self.db.kill()
            self.room.unmount()
            self.begin()
        return known, left

    def cut_at_work(self, n, *words):
        """Pulls the plug in the middle of transactions: how many were acknowledged before it, and why the
        database did not go on, if so."""
        self.checkpoints.clear()
        enough, ended, failed = threading.Event(), threading.Event(), []
        wanted = self.known + self.dice.randint(1, MOST)

        def work():
            try:
                is_last = False
                while not is_last:
                    # One more after the cut: so it shows whether the database goes on.
                    is_last = ended.is_set()
                    self.commit()
                    if self.known >= wanted:
                        enough.set()
            except Exception as why:  # Whatever it is: below it is waited for.
                failed.append(why)
                enough.set()
                self.checkpoints.set()

        worker = threading.Thread(target=work)
        worker.start()
        try:
            (self.checkpoints if self.dice.random() < AT_CHECKPOINT else enough).wait()
            time.sleep(self.dice.uniform(0, JITTER))
            known = self.known
            if not failed:
                keep, unit = (("none", 512), ("random", 512), ("random", 4096))[n // 2 % 3]
                self.room.ask("power-cut", *words, "--keep", keep, "--unit", unit, "--seed", n + 1)
        finally:
            ended.set()
            worker.join()
        return known, failed and failed[0]

    def commit(self):
        """One transaction, and now and then what is in the log goes to the data files."""
        if not self.db.alive():
            raise Refused("it was killed")
        rows = {row: value(row, LENGTH) for row in range(self.next_row, self.next_row + ROWS)}
        self.next_row += ROWS
        self.transactions.append(rows)
        self.db.commit(rows)
        self.known = len(self.transactions)
        if self.known % CHECKPOINT == 0:
            self.checkpoints.set()
            self.db.checkpoint()
            self.checkpoints.clear()

    def look(self, db, known):
        """Starts it and reads all: what is left, and the rows."""
        db.unplugged()
        try:
            return self.read(db, known)
        except Refused as why:
            said = str(why)
        db.kill()
        try:
            left, rows = self.read(db, known) if db.repair() else (None, {})
        except Refused:
            left, rows = None, {}
        if left and left.outcome in (KEPT, TAIL):
            return Left(MENDED, left.lost, said), rows
        return Left(REFUSED, said=said), rows

    def read(self, db, known):
        db.start()
        rows = db.scan()
        return judge(self.transactions, known, rows, db.verify()), rows


def run(make, cuts, template, room, progress):
    """The result of so many cuts under a database of this setting, as it is kept."""
    if not template.exists():
        fresh = template.with_suffix(".new")
        fresh.mkdir()
        hand_over(fresh)
        make(fresh, room.scratch).create(fresh)
        fresh.rename(template)
    tallies = Pulled(make, template, room).run(cuts, progress)
    return {
        "setting": make.name,
        "words": make.words,
        "program": make(room.mnt, room.scratch).program(),
        "kernel": "Linux " + os.uname().release.partition("-")[0],
        "date": datetime.date.today().isoformat(),
        "cuts": cuts,
        **{sort: vars(tally) for sort, tally in tallies.items()},
    }
