"""What WAL_FAULT injects: any fault that slowfs has, in the words of its command line."""

import re
import shlex
import subprocess

# Kinds that have methods of their own, which WAL_METHODS does not name.
OWN_METHODS = ("device", "throttle")


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


def command(slowfs, text, methods, regex, address):
    """The command that sets it on the mount at `address`."""
    kind, *rest = words(text)
    on = [] if kind in OWN_METHODS else ["-m", ",".join(methods)]
    return [slowfs, kind, *rest, *on, "-r", regex, "--addr", "{}:{}".format(*address)]


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
