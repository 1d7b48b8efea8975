#!/usr/bin/env python3
"""A small store that ends itself when its disk stalls, as databases do.

One thread writes and syncs, another reads. A third looks on: where one of their calls takes longer than
--limit, the process ends at once with exit code 7, so that others can take over. With --for it ends with 0
after that time, if no call took so long.

    stall_detector.py DIRECTORY --limit 2 --for 30
"""

import argparse
import os
import sys
import threading
import time
from pathlib import Path

# The exit code of a store that gives up on its disk.
STALLED = 7
BLOCK = 4096
BLOCKS = 64


class Disk:
    """The calls of one thread, and since when the present one is under way."""

    def __init__(self, name):
        self.name, self._since = name, None

    def call(self, function, *arguments):
        self._since = time.monotonic()
        try:
            return function(*arguments)
        finally:
            self._since = None

    def pending(self):
        """How long the present call has taken so far."""
        since = self._since
        return 0 if since is None else time.monotonic() - since


def write(disk, path, pause):
    """Writes and syncs one block after the other."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    for n in range(sys.maxsize):
        disk.call(os.pwrite, file, bytes([n % 256]) * BLOCK, n % BLOCKS * BLOCK)
        disk.call(os.fsync, file)
        time.sleep(pause)


def read(disk, path, pause):
    """Reads one block after the other, each from the disk: the file is opened anew."""
    for n in range(sys.maxsize):
        file = disk.call(os.open, path, os.O_RDONLY)
        disk.call(os.pread, file, BLOCK, n % BLOCKS * BLOCK)
        os.close(file)
        time.sleep(pause)


def detect(disks, limit, until):
    """Ends the process when a call takes too long; returns when the time is over."""
    while time.monotonic() < until:
        for disk in disks:
            took = disk.pending()
            if took > limit:
                print(f"fatal: {disk.name} has taken {took:.2f} s, more than {limit} s: the disk "
                      "stalls", file=sys.stderr, flush=True)
                # At once: whatever is cleaned up might wait for the disk.
                os._exit(STALLED)
        time.sleep(limit / 20)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("directory", type=Path)
    arguments.add_argument("--limit", type=float, default=2, help="seconds; default: %(default)s")
    arguments.add_argument("--for", dest="lasts", type=float, default=float("inf"),
                           help="end with 0 after so many seconds")
    arguments.add_argument("--pause", type=float, default=0.005, help="seconds between calls")
    options = arguments.parse_args()
    path = options.directory / "store"
    path.write_bytes(bytes(BLOCK * BLOCKS))
    disks = []
    for name, work in (("a write", write), ("a read", read)):
        disks.append(Disk(name))
        threading.Thread(target=work, args=(disks[-1], path, options.pause), daemon=True).start()
    print("at work", flush=True)
    detect(disks, options.limit, time.monotonic() + options.lasts)
    os._exit(0)


if __name__ == "__main__":
    main()
