#!/usr/bin/env python3
"""The model of a device once more, written from docs/devices.md: when is each request due?

Reads one JSON object:
  {"seed": N, "key": N, "device": "nvme", "figures": {"flush": "2ms"},
   "requests": [[n, t_ns, method, inode, offset, len, due_ns or null], ...]}
Prints each request that is off by more than a nanosecond, and at the end how many were looked at.
"""

import json
import math
import re
import sys
from pathlib import Path

from dice import GOLDEN, MASK, asked, draw, mix, unit

DEVICES = Path(__file__).resolve().parents[2] / "devices"
SECOND = 10**9
SIZES = {"": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
METADATA = """create fallocate link mkdir mknod removexattr rename rmdir chmod chown truncate ftruncate
utimens setxattr symlink unlink""".split()


def size(text):
    number, unit_of = re.fullmatch(r"(\d+)(\D*)", str(text)).groups()
    return int(number) * SIZES[unit_of]


def sheet(device):
    """What stands in the file of a preset, with what comes from its size."""
    name, _, arguments = device.partition(":")
    text = (DEVICES / f"{name}.toml").read_text()
    figures = {}
    for line in text.splitlines():
        line = line.split("#")[0].strip()
        if line:
            key, value = (part.strip().strip('"') for part in line.split("=", 1))
            figures[key] = value
    if arguments:
        figures.update(zip(figures["arguments"].split(","), arguments.split(",")))
    if "size" in figures:
        earned = size(figures["size"]) * int(figures["iops_per_gib"]) // 2**30
        iops = min(max(earned, int(figures["iops_least"])), int(figures["iops_most"]))
        figures["iops"] = iops
        if int(figures["burst_iops"]) <= iops:
            del figures["burst_iops"], figures["credits"]
        if size(figures["size"]) <= size(figures["small"]):
            figures["total_bw"] = figures["small_bw"]
    return figures


class Pace:
    """So many a second, and so many at once: a place in seconds, as a fraction of whole numbers."""

    def __init__(self, each_second, burst):
        self.each_second, self.burst, self.place = each_second, burst, 0

    def take(self, now, cost):
        self.place = max(self.place, now * self.each_second) + cost * SECOND
        return max(now, -((self.burst * SECOND - self.place) // self.each_second))


class Device:
    def __init__(self, figures, seed, key):
        self.figures, self.seed, self.key = figures, seed, key
        self.channels = []  # [free, head]
        self.clean, self.of_file, self.cache_head = 0, {}, None
        self.line = 0
        self.paces = []
        if "iops" in figures:
            iops = int(figures["iops"])
            self.paces = [
                Pace(int(figures.get("burst_iops", iops)), 1),
                Pace(iops, int(figures.get("credits", 1))),
            ]

    def length(self, name, k, method=None, size=0):
        number = mix(draw(self.seed, self.key, self.n) + (k + 1) * GOLDEN & MASK)
        typed = str(self.figures.get(name, "0s"))
        return math.floor(asked(typed, unit(number), size=size, method=method) + 0.5)

    def transfer(self, name, length):
        if name not in self.figures:
            return 0
        return -(-length * SECOND // size(self.figures[name]))

    def admit(self, now, length):
        cost = max(1, -(-length // size(self.figures.get("io_size", "256KiB"))))
        return max([now] + [pace.take(now, cost) for pace in self.paces])

    def channel(self, at):
        most = int(self.figures.get("channels", 1))
        first = min(range(len(self.channels)), key=lambda place: self.channels[place][0], default=None)
        if first is None or self.channels[first][0] > at and len(self.channels) < most:
            self.channels.append([0, None])
            return self.channels[-1]
        return self.channels[first]

    def passed(self, begins, ends, length):
        self.line = max(begins, self.line) + self.transfer("total_bw", length)
        return max(ends, self.line)

    def medium(self, name, at, begin, length, k):
        channel = self.channel(at)
        begins = max(channel[0], at)
        seek = self.length("seek", k + 1) if begin is None or channel[1] != begin else 0
        ends = begins + seek + self.length(name, k, name, length) + self.transfer(f"{name}_bw", length)
        due = self.passed(begins, ends, length)
        channel[:] = [due, begin and (begin[0], begin[1] + length)]
        return due

    def write(self, now, inode, offset, length, k):
        at = self.admit(now, length)
        if "cache" not in self.figures:
            return self.medium("write", at, (inode, offset), length, k)
        drains = self.length("seek", k + 1) if self.cache_head != (inode, offset) else 0
        drains += self.transfer("drain", length)
        channel = self.channel(at)
        begins = max(channel[0], at)
        room = max(self.clean, begins) + drains - self.transfer("drain", size(self.figures["cache"]))
        begins = max(begins, room)
        ends = begins + self.length("write", k, "write", length) + self.transfer("write_bw", length)
        due = channel[0] = self.passed(begins, ends, length)
        self.clean = self.of_file[inode] = max(self.clean, due) + drains
        self.cache_head = (inode, offset + length)
        return due

    def due(self, n, now, method, inode, offset, length):
        self.n = n
        if method == "read":
            return self.medium("read", self.admit(now, length), (inode, offset), length, 0)
        if method == "write":
            return self.write(now, inode, offset, length, 0)
        if method == "copy_file_range":
            read = self.medium("read", self.admit(now, length), None, length, 0)
            return self.write(read, inode, offset, length, 2)
        if method in ("fsync", "fdatasync", "fsyncdir"):
            waits = self.figures.get("sync_waits", "all")
            clean = {"all": self.clean, "file": self.of_file.get(inode, 0), "nothing": 0}[waits]
            return max(now, clean) + self.length("flush", 0, method)
        assert method in METADATA, method
        if str(self.figures.get("metadata", "0s")) == "0s":
            return now
        channel = self.channel(now)
        channel[0] = max(channel[0], now) + self.length("metadata", 0, method)
        return channel[0]


def main():
    told = json.load(sys.stdin)
    figures = sheet(told["device"]) if told["device"] else {}
    device = Device(figures | told["figures"], told["seed"], told["key"])
    begun = told["requests"][0][1]
    for n, t_ns, method, inode, offset, length, due_ns in told["requests"]:
        now = max(0, t_ns - begun)
        due = device.due(n, now, method, inode, offset or 0, length or 0)
        held = due_ns is not None
        if held != (due > now) or held and abs(due_ns - begun - due) > 1:
            print(f"{n}: {method} of {inode} at {now} is due at {due}, not {due_ns and due_ns - begun}")
    print(f"looked at {len(told['requests'])}")


if __name__ == "__main__":
    main()
