#!/usr/bin/env python3
"""A small database: a ledger of payments, each of which is there for good once it was told.

    ledger.py pay DIR TIMES [--bug]
    ledger.py check DIR         # standard input: what `pay` had printed

`entries` has the payments, each with its checksum. `count`, which is replaced whole, says how many of them are valid: what
comes after them in `entries` is what a crash has left, and is written over. So an entry must be durable before it
is counted. With `--bug` every third payment is counted first.
"""

import os
import sys
import zlib

SIZE = 600


def entry(number):
    text = f"payment {number} ".encode().ljust(SIZE - 8, b".")
    return text + f"{zlib.crc32(text):08x}".encode()


class Ledger:
    def __init__(self, directory):
        self.directory = os.open(directory, os.O_RDONLY)
        flags = os.O_RDWR | os.O_CREAT
        self.entries = os.open("entries", flags, dir_fd=self.directory)
        os.fsync(self.entries)
        os.fsync(self.directory)

    def append(self, number):
        os.pwrite(self.entries, entry(number), (number - 1) * SIZE)
        os.fsync(self.entries)

    def count(self, number):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        fd = os.open("count.new", flags, dir_fd=self.directory)
        os.write(fd, f"{number}\n".encode())
        os.fsync(fd)
        os.close(fd)
        os.rename("count.new", "count", src_dir_fd=self.directory, dst_dir_fd=self.directory)
        os.fsync(self.directory)


def pay(directory, times, bug):
    ledger = Ledger(directory)
    for number in range(1, times + 1):
        if bug and number % 3 == 0:
            ledger.count(number)
            ledger.append(number)
        else:
            ledger.append(number)
            ledger.count(number)
        print(f"paid {number}", flush=True)


def check(directory):
    promised = int((["0"] + sys.stdin.read().split())[-1])
    try:
        with open(os.path.join(directory, "count")) as file:
            count = int(file.read())
    except FileNotFoundError:
        count = 0
    if count < promised:
        sys.exit(f"payment {promised} is lost: there are {count}")
    if count:
        with open(os.path.join(directory, "entries"), "rb") as file:
            found = file.read(count * SIZE)
        for number in range(1, count + 1):
            if found[(number - 1) * SIZE : number * SIZE] != entry(number):
                sys.exit(f"entry {number} of {count} is not a payment")


def main():
    match sys.argv[1:]:
        case ["pay", directory, times, *more] if more in ([], ["--bug"]):
            pay(directory, int(times), bool(more))
        case ["check", directory]:
            check(directory)
        case _:
            sys.exit(__doc__)


main()
