"""What a client knows to be acknowledged, and what became of it."""

from dataclasses import dataclass, field

KEPT = "kept all"
REFUSED = "refused and said why"
HUNG = "gave no answer"
LOST_SAID = "lost acknowledged data and said so"
LOST = "lost silently"
WRONG = "wrong answer silently"
# The better first.
OUTCOMES = [KEPT, REFUSED, HUNG, LOST_SAID, LOST, WRONG]


@dataclass
class Oracle:
    """What was asked for, and which of it was acknowledged."""

    asked: dict = field(default_factory=dict)
    acknowledged: set = field(default_factory=set)

    def next_rows(self, count, make):
        first = len(self.asked)
        rows = {row: make(row) for row in range(first, first + count)}
        self.asked.update(rows)
        return rows


@dataclass
class Reading:
    """What a database gave back: rows, which rows it would not give, and what it said."""

    rows: dict = field(default_factory=dict)
    unread: set = field(default_factory=set)
    errors: list = field(default_factory=list)
    hung: bool = False
    # The complaints in its log.
    said: list = field(default_factory=list)
    # What it said there of recovery without complaining.
    remarked: list = field(default_factory=list)


def judge(oracle, reading):
    """One of the outcomes, and how many acknowledged rows are lost, wrong and refused.

    A transaction that was not acknowledged may be there or not; if it is, then as it was asked for.
    """
    known = oracle.acknowledged
    lost = {row for row in known if row not in reading.rows and row not in reading.unread}
    wrong = {row for row, text in reading.rows.items() if oracle.asked.get(row) != text}
    said = bool(reading.errors or reading.said)
    if wrong or lost:
        silent = WRONG if wrong else LOST
        outcome = LOST_SAID if said else silent
    else:
        outcome = HUNG if reading.hung else REFUSED if reading.errors else KEPT
    return outcome, {"acknowledged": len(known), "lost": len(lost), "wrong": len(wrong),
                     "refused": len(known & reading.unread)}
