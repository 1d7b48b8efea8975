#!/usr/bin/env python3
"""Makes the kinds of fault of the Python and the Go package from what `slowfs kinds` tells.

usage: scripts/kinds.py --slowfs PROGRAM [--check]

With --check it writes nothing, and ends with 1 where a file is not what it would make.
"""

import argparse
import difflib
import json
import keyword
import re
import subprocess
import sys
import textwrap
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
WIDTH = 100

# The types of parameters, by what they take. Of all others a text does.
PYTHON = {"time": "Time", "distribution": "Time", "size": "Size", "count": "int", "share": "Share",
          "flag": "bool", "errnos": "Errnos", "methods": "Texts", "range": "str", "numbers": "Numbers"}
GO = {"count": "int64", "share": "float64", "flag": "", "methods": "...string", "numbers": "...int64"}

# Initialisms, which Go writes in capitals.
CAPITALS = {"iops", "io", "bw", "uid", "pid"}

# What every kind takes beside its own parameters, `slowfs kinds` leaves out: where it strikes.
PLACES = [
    ("path", "--regex", "str", "string", "only where this regular expression matches the whole backing path"),
    ("glob", "--glob", "str", "string", "the same as a glob, such as `*.log` or `wal/**`"),
    ("below", "--below", "str", "string", "only directories whose whole path matches, and everything below them"),
    ("also", "--and", "Texts", "...string", "a second effect of the fault, as typed: `error EIO`"),
    ("name", "--name", "str", "string", "the name of the fault; a fault that has this name is replaced"),
    ("add", "--add", "bool", "", "keep the other faults of these methods; by default it takes their methods"),
]
METHODS = "the methods, or `all`; `slowfs methods` lists them"


class Param:
    """A parameter of a kind, or an option of every kind."""

    def __init__(self, name, option, takes, form, about, first=False, needed=False):
        self.name, self.option, self.takes, self.form = name, option, takes, form
        self.about, self.first, self.needed = about, first, needed

    @property
    def told(self):
        """What it means, and how it is written where that is no common type."""
        special = self.takes in ("text", "range", "choice") and len(self.form) < 60
        return self.about + (f", as {self.form}" if special else "")

    @property
    def positional(self):
        return self.first or self.needed

    def python(self):
        """Its type, and its name as Python allows it."""
        if self.takes == "choice":
            choices = ", ".join(f'"{choice}"' for choice in self.form.split("|"))
            return f"Literal[{choices}]"
        return PYTHON.get(self.takes, "Text")

    def go(self):
        return GO.get(self.takes, "string")


class Kind:
    def __init__(self, told):
        self.name, self.about = told["name"], told["about"]
        self.needs_methods = told["category"] not in ("condition", "latch")
        self.params = [Param(p["name"], "--" + p["name"].replace("_", "-"), p["takes"], p["form"],
                             p["about"], p["first"], p["needed"]) for p in told["params"]]

    def ordered(self):
        """Those that stand before all others first."""
        return sorted(self.params, key=lambda p: (not p.first, not p.needed))


def options_of(markdown):
    """The options of every kind: the last table of the reference."""
    table = markdown.split("## Options\n", 1)[1]
    rows = re.findall(r"^\| (`.*?) \| `(\w+)` \| (.*) \|$", table, re.MULTILINE)
    assert len(rows) > 10, "no options found in `slowfs kinds --markdown`"
    for typed, name, about in rows:
        option, _, form = re.search(r"`(--[^`]*)`", typed)[1].replace("\\|", "|").partition(" ")
        takes = {"": "flag", "SHARE": "share", "N": "count", "TIME": "time", "N,...": "numbers",
                 "A..B": "range"}.get(form, "methods" if form.endswith(",...") else "text")
        yield Param(name, option, takes, form, about)


def upper(text):
    """The first letter a capital, the others as they are."""
    return text[:1].upper() + text[1:]


def snake(name):
    name = name.replace("-", "_")
    return name + "_" if keyword.iskeyword(name) else name


def camel(name):
    parts = re.split("[-_]", name)
    return "".join(p.upper() if p in CAPITALS else p.capitalize() for p in parts)


def wrapped(text, prefix, width=WIDTH):
    return textwrap.wrap(text, width, initial_indent=prefix, subsequent_indent=prefix,
                         break_long_words=False, break_on_hyphens=False)


def python(kinds, options):
    """The module slowfs.kinds."""
    hidden = {p.name for kind in kinds for p in kind.params} & {o.name for o in options}
    out = ['"""The kinds of fault, one method each.', "",
           "Made by scripts/kinds.py from `slowfs kinds`: change it there, not here.", '"""', "",
           "from __future__ import annotations", "",
           "from typing import TYPE_CHECKING, Any, Dict, List, Literal, Mapping, Optional, TypedDict", "",
           "from .fault import Fault",
           "from .words import Errnos, Numbers, Share, Size, Text, Texts, Time, Word", "",
           "if TYPE_CHECKING:", "    from typing_extensions import Unpack", "", "OPTIONS = {"]
    places = [Param(name, option, None, "", about) for name, option, _, _, about in PLACES]
    out += [f'    "{p.name}": "{p.option}",' for p in places + options]
    out += ["}", '"""The options of every kind, and how the command line has them."""', "", "",
            "class Common(TypedDict, total=False):", '    """What every kind takes."""', ""]
    types = {name: kind for name, _, kind, _, _ in PLACES}

    def fields(params):
        for param in params:
            yield f"    {param.name}: {types.get(param.name) or param.python()}"
            yield from wrapped(f'"""{upper(param.told)}."""', "    ")

    out += fields(places + [o for o in options if o.name not in hidden])
    out += ["", "", "class Options(Common, total=False):",
            '    """What all kinds take but those that have a parameter of such a name."""', ""]
    out += list(fields(o for o in options if o.name in hidden)) or ["    pass"]
    out += ["", "", "class Kinds:", '    """What faults can be set; `Mount` is one."""', "",
            "    def _set(", "        self,", "        kind: str,", "        given: List[Optional[Word]],",
            "        named: Dict[str, Optional[Word]],", "        options: Mapping[str, Any],",
            "    ) -> Fault:", "        raise NotImplementedError"]
    for kind in kinds:
        out += python_method(kind, {p.name for p in kind.params} & hidden)
    return "\n".join(out) + "\n"


def python_method(kind, hides):
    params = [p for p in kind.ordered() if p.positional]
    named = [p for p in kind.ordered() if not p.positional]
    out = ["", f"    def {snake(kind.name)}(", "        self,"]
    none = lambda p: f"        {snake(p.name)}: Optional[{p.python()}] = None,"
    out += [f"        {snake(p.name)}: {p.python()}," if p.needed else none(p) for p in params]
    out += ["        *,", "        methods: " + ("Texts," if kind.needs_methods else "Optional[Texts] = None,")]
    out += [none(p) for p in named]
    out += [f"        **options: Unpack[{'Common' if hides else 'Options'}],", "    ) -> Fault:"]
    out += wrapped(f'"""{kind.about}.', "        ")
    if kind.params:
        out.append("")
        for param in kind.ordered():
            out += wrapped(f"{snake(param.name)}: {param.told}.", "        ")
        out.append('        """')
    else:
        out[-1] += '"""'
    given = ", ".join(snake(p.name) for p in params if p.first)
    out.append("        named: Dict[str, Optional[Word]] = {")
    out.append('            "--methods": methods,')
    out += [f'            "{p.option}": {snake(p.name)},' for p in kind.ordered() if not p.first]
    out += ["        }", f'        return self._set("{kind.name}", [{given}], named, options)']
    return out


def go(kinds, options):
    """kinds.go: a method for each kind, a function for each parameter and option."""
    out = ["// Code generated by scripts/kinds.py from `slowfs kinds`; DO NOT EDIT.", "", "package slowfs"]
    for kind in kinds:
        params = [p for p in kind.ordered() if p.positional]
        name = camel(kind.name)
        out.append("")
        out += wrapped(f"{name} sets a fault: {kind.about[:1].lower() + kind.about[1:]}.", "// ")
        for param in params:
            empty = "" if param.needed else ' ("": the default)'
            out += ["//"] + wrapped(f"{lower_camel(param.name)}{empty}: {param.told}.", "// ")
        others = [camel(p.name) for p in kind.ordered() if not p.positional]
        if others:
            out += ["//"] + wrapped(f"Options of its own: {', '.join(others)}.", "// ")
        given = "".join(f"{lower_camel(p.name)} string, " for p in params)
        out.append(f"func (m *FS) {name}({given}options ...Option) *Fault {{")
        out.append("\tm.t.Helper()")
        first = [lower_camel(p.name) for p in params if p.first]
        for param in (p for p in params if not p.first):
            own = f'set("{param.option}", {lower_camel(param.name)})'
            out.append(f"\toptions = append([]Option{{{own}}}, options...)")
        out += [f'\treturn m.set("{kind.name}", {first[0] if first else chr(34) * 2}, options)', "}"]
    for name, option, _, takes, about in [("methods", "--methods", "", "...string", METHODS), *PLACES]:
        out += go_option(camel(name), option, takes, about)
    shared = {}
    for option in options:
        shared.setdefault(option.name, []).append((None, option))
    for kind in kinds:
        for param in (p for p in kind.params if not p.positional):
            shared.setdefault(param.name, []).append((kind.name, param))
    for name, uses in shared.items():
        types = {param.go() for _, param in uses}
        assert len(types) == 1, f"{name} means different types to different kinds: {types}"
        abouts = {}
        for kind, param in uses:
            abouts.setdefault(param.told, []).append(kind)
        about = "; ".join((f"of {', '.join(of)}: " if None not in of else "") + text
                          for text, of in abouts.items())
        out += go_option(camel(name), uses[0][1].option, types.pop(), about)
    return "\n".join(out) + "\n"


def lower_camel(name):
    name = camel(name)
    return name[:1].lower() + name[1:] if not name.isupper() else name.lower()


def go_option(name, option, takes, about):
    out = [""] + wrapped(f"{name} is an option: {about}.", "// ")
    if takes == "":
        return out + [f"func {name}() Option {{", f'\treturn flag("{option}")', "}"]
    value = "values" if takes.startswith("...") else "value"
    typed = {"...string": "joined(values)", "...int64": "numbers(values)", "int64": "count(value)",
             "float64": "share(value)"}.get(takes, value)
    # It is typed once for each value.
    made = f'each("{option}", values...)' if option == "--and" else f'set("{option}", {typed})'
    return out + [f"func {name}({value} {takes}) Option {{", f"\treturn {made}", "}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--slowfs", type=Path, required=True, help="the program")
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    args = parser.parse_args()
    tell = lambda how: subprocess.run([args.slowfs.resolve(), "kinds", how], check=True, text=True,
                                      stdout=subprocess.PIPE).stdout
    kinds = [Kind(kind) for kind in json.loads(tell("--json"))["kinds"]]
    options = list(options_of(tell("--markdown")))
    stale = False
    for path, text in ((REPOSITORY / "python/slowfs/kinds.py", python(kinds, options)),
                       (REPOSITORY / "go/kinds.go", go(kinds, options))):
        there = path.read_text() if path.exists() else ""
        if not args.check:
            path.write_text(text)
        elif there != text:
            stale = True
            sys.stdout.writelines(difflib.unified_diff(
                there.splitlines(True), text.splitlines(True), str(path), "what slowfs kinds tells"))
    if stale:
        print(f"{Path(__file__).name}: run scripts/kinds.py --slowfs {args.slowfs}", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
