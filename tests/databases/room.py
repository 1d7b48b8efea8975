"""A place for one database: a mirror that can be mounted anew, and its faults."""

import contextlib
import json
import re
import shlex
import subprocess

import daemons

SEED = "17"
SEEDS = 300


class Room:
    """A backing directory and a mount of it; each mount begins with nothing cached."""

    def __init__(self, slowfs, scratch, options=()):
        self.slowfs, self.scratch, self.options = slowfs, scratch, options
        self.raw, self.mnt, self.log = scratch / "raw", scratch / "mnt", scratch / "slowfs.log"
        self.mnt.mkdir()
        self.stack = contextlib.ExitStack()
        self.addr = None

    def mount(self):
        (port,) = daemons.free_ports(1)
        self.addr = f"127.0.0.1:{port}"
        argv = [self.slowfs, "mount", self.mnt, "--subdir", self.raw, "--listen", self.addr, "--seed", SEED,
                *self.options]
        self.stack.enter_context(daemons.mounted(argv, self.mnt, self.log, port))

    def unmount(self):
        self.stack.close()

    def ask(self, *argv):
        done = subprocess.run([self.slowfs, *map(str, argv), "--addr", self.addr], text=True, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            raise RuntimeError(f"slowfs {shlex.join(map(str, argv))}: {done.stdout.strip()}")
        return done.stdout

    def set_fault(self, line):
        self.ask(*shlex.split(line), "--name", "cell")

    def rot(self, line, path, rows):
        """Sets what rots with the first seed that hits a row, and gives the line with that seed."""
        before = path.read_bytes()
        for seed in range(1, SEEDS):
            typed = f"{line} --seed {seed}"
            self.ask(*shlex.split(typed))
            after = path.read_bytes()
            (at,) = (at for at, pair in enumerate(zip(before, after)) if pair[0] != pair[1])
            around = before[at - 16:at + 16]
            if before.count(around) == 1 and any(around in text.encode() for text in rows):
                return typed
            self.ask("heal", "--all")
        raise RuntimeError(f"none of {SEEDS} seeds hit a row in {path}")

    def fired(self, line):
        """How often the fault acted; how many spots `rot` has changed."""
        if line.startswith("rot "):
            injections = json.loads(self.ask("injections", "--json"))["injections"]
            return sum(injection["state"] == "standing" for injection in injections)
        return json.loads(self.ask("list", "cell", "--json"))["faults"][0]["fired"]

    def lift(self, line):
        """The disk is mended: what was changed by `rot` is put back."""
        if line.startswith("rot "):
            self.ask("heal", "--all")
        else:
            self.ask("clear")

    def find(self, pattern, rows):
        """The file and the sector of the row that lies there once, from the middle of `rows`.

        A file may hold older copies of a row, which nobody reads.
        """
        files = [path for path in sorted(self.raw.rglob("*"))
                 if path.is_file() and re.fullmatch(pattern, str(path))]
        contents = [(path, path.read_bytes()) for path in files]
        middle = len(rows) // 2
        order = sorted(range(len(rows)), key=lambda at: abs(at - middle))
        for text in (rows[at].encode() for at in order):
            # Long enough to be unique, and not at an end, which a log may cut.
            inner = text[40:104]
            found = [(path, at) for path, content in contents for at in occurrences(content, inner)]
            if len(found) == 1:
                path, at = found[0]
                return path, at // 512 * 512
        raise RuntimeError(f"no row lies once in the files {pattern}: {[str(f) for f in files]}")


def occurrences(content, text):
    at = content.find(text)
    while at >= 0:
        yield at
        at = content.find(text, at + 1)
