#!/usr/bin/python3
"""Prints docs/what-databases-do.md, made of the results in tests/databases/results."""

import json
import sys
import textwrap
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "scripts")]
sys.dont_write_bytecode = True

from catalogue import DATABASES
from expected import NOTES, expected
from faults import FAULTS
from judge import HUNG, KEPT, LOST, LOST_SAID, OUTCOMES, REFUSED, WRONG

WIDTH = 110
MEANINGS = {
    KEPT: "every acknowledged transaction was there",
    REFUSED: "it did not start, or failed the read, with an error; no answer was wrong",
    HUNG: "it did not start within 90 s, and did not end either",
    LOST_SAID: "acknowledged transactions were missing, and its log or an answer said so",
    LOST: "acknowledged transactions were missing, without a warning or an error",
    WRONG: "an answer had other bytes than the acknowledged ones, without a warning or an error",
}

HEAD = """# What databases do on bad disks

`tests/databases/table.py` makes this page from the [results](../tests/databases/results) of runs, which `make
test-databases` makes. What has no result has no row.

Each cell is one run. It begins with {before} transactions without a fault, each synced and acknowledged. Then
come the fault and more transactions. Then the database is killed; in some runs it is stopped before the fault. It
starts again on a new mount, so that nothing is cached, and must return every row that it had acknowledged. Rows are
compared byte by byte. Transactions that were not acknowledged may be there or not. Without a fault the same
run keeps everything, and the database reports no error.

"""


def results():
    """By database and fault."""
    found = {}
    for path in sorted((HERE / "results").glob("*/*.json")):
        result = json.loads(path.read_text())
        found[result["database"], result["fault"]] = result
    return found


def aligned(rows):
    """A table whose columns stand one below the other."""
    rows = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*rows)]
    rows.insert(1, ["-" * width for width in widths])
    return "".join("| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths)) + " |\n" for row in rows)


def overview(found):
    databases = [d for d in DATABASES if not d.variant and any(name == d.name for name, _ in found)]
    rows = [["fault", *(d.title for d in databases)]]
    for fault in FAULTS:
        cells = [found.get((d.name, fault.name)) for d in databases]
        if any(cells):
            rows.append([fault.title, *(shown(cell) if cell else "" for cell in cells)])
    return aligned(rows)


def shown(result):
    return result["outcome"] if is_expected(result) else f"**{result['outcome']}**"


def stands_out(found):
    """The cells that are not as one would expect or wish."""
    lines = []
    for database in DATABASES:
        for fault in FAULTS:
            result = found.get((database.name, fault.name))
            if result and (result["outcome"] == WRONG or not is_expected(result)):
                text = f"{database.title}, {fault.title}: {result['outcome']}{counted(result)}."
                lines.append(item(" ".join([text, *filter(None, [noted(result), stuck(result)])])))
    return "What stands out:\n\n" + "".join(lines) + "\n" if lines else ""


def noted(result):
    return NOTES.get((result["database"], result["fault"], result["outcome"]))


def stuck(result):
    """Of a database that came up, and then took nothing more."""
    then = result["afterwards"]
    if then and then["how"].startswith("0 of"):
        return f"Then it took no more transactions: {quote(then['errors'])}."
    return None


def is_expected(result):
    return result["outcome"] in expected(result["database"], result["fault"])[0]


def counted(result):
    return f" ({counts(result)})" if counts(result) else ""


def counts(result):
    """What of the acknowledged was not as it should be."""
    parts = [f"{result[what]} {what}" for what in ("lost", "wrong", "refused") if result[what]]
    return f"{', '.join(parts)} of {result['acknowledged']} rows" if parts else ""


def quote(texts):
    """The first line of the first text, short enough for a page."""
    lines = [line.strip() for text in texts for line in text.splitlines() if line.strip()]
    return f"`{shortened(lines[0])}`" if lines else ""


def shortened(line, most=200):
    line = line.replace("`", "'")
    return line if len(line) <= most else line[:most - 3] + "..."


def details(database, found):
    """The section of one database."""
    mine = [(fault, found[database.name, fault.name]) for fault in FAULTS if (database.name, fault.name) in found]
    programs = sorted({result["program"] for _, result in mine})
    kernels = sorted({result["kernel"] for _, result in mine})
    dates = sorted({result["date"] for _, result in mine})
    run = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    about = textwrap.fill(f"{', '.join(programs)} on {', '.join(kernels)}, run {run}. {database.promise}", WIDTH)
    return f"## {database.title}\n\n{about}\n\n" + "\n".join(entry(fault, result) for fault, result in mine if fault.line) + "\n"


def entry(fault, result):
    outcomes, why = expected(result["database"], result["fault"])
    text = f"**{fault.title}**: {result['outcome']}{counted(result)}.\n\n"
    text += "".join(f"    {command}\n\n" for command in result["commands"])
    return text + "".join(map(item, happenings(result, f"Expected: {' or '.join(outcomes)}; {why}.")))


def happenings(result, first):
    """What happened, in its order."""
    yield first
    during = result["during"] or {"said": [], "errors": []}
    texts = during["said"] + during["errors"]
    if seen := quote([text for text in texts if loud(text)]) or quote(texts):
        yield f"During the fault: {seen}" + (", and it ended." if during["ended"] else ".")
    if said := quote(result["errors"] or result["said"]):
        yield f"At the restart: {said}."
    elif result["remarked"]:
        yield f"At the restart, as no complaint: {quote(result['remarked'])}."
    if then := result["afterwards"]:
        refusal = quote(then["errors"] or then["said"])
        outcome = f": {then['outcome']}{counted(then)}" if then["acknowledged"] else ""
        yield f"Then {then['how']}{outcome}{'; ' + refusal if refusal else ''}."
    if note := noted(result):
        yield note


def item(text):
    return textwrap.fill(text, WIDTH, initial_indent="- ", subsequent_indent="  ",
                         break_long_words=False, break_on_hyphens=False) + "\n"


def loud(text):
    """Whether it names what went wrong, rather than that the connection is gone."""
    return any(word in text for word in ("I/O error", "Input/output", "input/output", "ENOSPC", "space",
                                         "PANIC", "fatal", "FATAL", "Error 28", "errno"))


def page():
    from cell import BEFORE
    found = results()
    meanings = aligned([["outcome", "meaning"], *([name, MEANINGS[name]] for name in OUTCOMES)])
    text = HEAD.format(before=BEFORE) + meanings + "\nBold outcomes are not what the database's own "
    text += "documents promise.\n\n" + overview(found) + "\n" + stands_out(found)
    for database in DATABASES:
        if any(name == database.name for name, _ in found):
            text += details(database, found)
    return text.rstrip("\n") + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
