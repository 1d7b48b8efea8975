"""What WAL_FAULT injects: any fault that slowfs has, in the words of its command line."""

import json
import re
import shlex
import subprocess

import charyb_fault
import daemons

# Kinds of these categories hit nothing until methods are named; the others have methods of their own.
NEED_METHODS = ("time", "answer", "data")


class Wrong(ValueError):
    """Words that are no fault; the message says why."""


def words(text):
    """The words behind `slowfs`: a length alone is one of `delay`."""
    try:
        found = shlex.split(text)
    except ValueError as error:
        raise Wrong(str(error)) from None
    is_kind = found and re.fullmatch("[a-z]+(-[a-z]+)*", found[0])
    return found if is_kind else ["delay", *found]


def kind_of(slowfs, text):
    """The kind of that fault, as the program describes it."""
    daemons.needed(slowfs, "cargo build --release")
    done = subprocess.run([slowfs, "kinds", "--json"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Wrong(f"{slowfs} does not say which kinds it has: {done.stderr.strip()}")
    kinds = {kind["name"]: kind for kind in json.loads(done.stdout)["kinds"]}
    name = words(text)[0]
    if name not in kinds:
        near = charyb_fault.meant(name, kinds)
        raise Wrong(f"no kind of fault is called {name}{near}; `slowfs kinds` lists them")
    return kinds[name]


def methods(kind, text, usual):
    """What to name where nobody asked for methods: the `usual` ones that the kind can be set on.

    None where it has methods of its own, or `text` names some.
    """
    named = any(re.match("-m|--methods", word) for word in words(text))
    if named or kind["category"] not in NEED_METHODS:
        return ()
    return tuple(name for name in usual if name in kind["methods"])


def command(slowfs, text, methods, regex, address):
    """The command that sets it on the mount at `address`."""
    on = ["-m", ",".join(methods)] if methods else []
    return [slowfs, *words(text), *on, "-r", regex, "--addr", "{}:{}".format(*address)]


def inject(slowfs, text, methods, regex, address):
    """Sets it, and says so."""
    done = subprocess.run(command(slowfs, text, methods, regex, address), capture_output=True,
                          text=True, check=False)
    if done.returncode:
        raise Wrong(f"WAL_FAULT={text}: {(done.stderr or done.stdout).strip()}")
    print(f"slowfs: {done.stdout.strip()}")


def slug(text):
    """As a part of a directory's name."""
    return re.sub("[^A-Za-z0-9.]+", "-", text).strip("-")[:80]
