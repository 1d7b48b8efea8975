#!/usr/bin/env python3
"""Replaces a file over and over, as programs do with their settings, and says so each time.

    replace.py write DIR TIMES [--forget directory | --forget order]
    replace.py check DIR        # standard input: what `write` had printed

Right is: write another file, fsync it, rename it over the old one, fsync the directory. With `--forget directory`
the last is left out; with `--forget order` the file is renamed before its fsync.
"""

import os
import sys


def content(version):
    return f"version {version}\n" * 500 + "end\n"


def sync(path):
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


def write(directory, times, forget):
    new, name = os.path.join(directory, "new"), os.path.join(directory, "settings")
    for version in range(1, times + 1):
        with open(new, "w") as file:
            file.write(content(version))
        if forget == "order":
            os.rename(new, name)
            sync(name)
        else:
            sync(new)
            os.rename(new, name)
        if forget != "directory":
            sync(directory)
        print(version, flush=True)


def check(directory):
    promised = int((["0"] + sys.stdin.read().split())[-1])
    try:
        with open(os.path.join(directory, "settings")) as file:
            found = file.read()
    except FileNotFoundError:
        sys.exit(f"version {promised} was promised, and there is none" if promised else 0)
    if not found:
        sys.exit("it is empty")
    version = int(found.split()[1]) if found.startswith("version ") else 0
    if found != content(version):
        sys.exit("it is torn")
    if version < promised:
        sys.exit(f"version {promised} was promised, and version {version} is there")


def main():
    match sys.argv[1:]:
        case ["write", directory, times]:
            write(directory, int(times), None)
        case ["write", directory, times, "--forget", "directory" | "order" as forget]:
            write(directory, int(times), forget)
        case ["check", directory]:
            check(directory)
        case _:
            sys.exit(__doc__)


main()
