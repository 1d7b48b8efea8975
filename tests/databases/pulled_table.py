"""The table of docs/power-cut.md: what cuts left of databases, beside what their settings promise."""

import json

from cuts import BROKEN, IMAGE, IN_PLACE, KEPT, MENDED, OUTCOMES, REFUSED, TAIL
from settings import ALL, NOTHING, SETTINGS, TAIL as TAIL_AT_MOST
from table import aligned

BEGIN, END = "<!-- engines: written by `make test-databases` -->\n", "<!-- end of engines -->\n"
# To refuse is no loss, if its own tool then finds what was promised.
ALLOWED = {ALL: {KEPT, MENDED}, TAIL_AT_MOST: {KEPT, TAIL, MENDED}, NOTHING: set(OUTCOMES)}
COLUMNS = {KEPT: "kept all", TAIL: "lost the newest", MENDED: "started once repaired",
           REFUSED: "did not start", BROKEN: "wrong inside"}


def broken(setting, result):
    """Why this is not what the setting promises, if it is not."""
    for sort in (IMAGE, IN_PLACE):
        if setting.keeps == ALL and result[sort]["most"]:
            return f"{setting.words} {setting.keeps}, but a cut ({sort}) lost {result[sort]['most']} transactions"
        for outcome, count in result[sort]["outcomes"].items():
            if count and outcome not in ALLOWED[setting.keeps]:
                said = f": {result[sort]['said'][0]}" if result[sort]["said"] else ""
                return f"{setting.words} {setting.keeps}, but {count} cuts ({sort}): {outcome}{said}"
    return None


def table(results):
    """A row for each setting that has a result."""
    head = ["database", "setting", "promises: it", "cuts", "checked"]
    rows = [[*head, *(COLUMNS[outcome] for outcome in OUTCOMES), "most lost at once"]]
    for setting in SETTINGS:
        path = results / f"{setting.name}.json"
        if path.exists():
            rows.append(row(setting, json.loads(path.read_text())))
    return aligned(rows)


def row(setting, result):
    halves = [result[IMAGE], result[IN_PLACE]]
    counts = {outcome: sum(half["outcomes"][outcome] for half in halves) for outcome in OUTCOMES}
    most = max(half["most"] for half in halves)
    bold = {outcome: outcome not in ALLOWED[setting.keeps] for outcome in OUTCOMES}
    shown = [f"**{count}**" if count and bold[outcome] else str(count or "") for outcome, count in counts.items()]
    cuts = f"{halves[0]['cuts']} + {halves[1]['cuts']}"
    checked = f"{sum(half['acknowledged'] for half in halves):,}"
    return [result["program"], setting.words, setting.keeps, cuts, checked, *shown, str(most or "")]


def put_into(page, results):
    """Writes the table between its marks."""
    text = page.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{page} has no place for the table: {BEGIN.strip()} ... {END.strip()}")
    page.write_text(before + begin + table(results) + end + after)
