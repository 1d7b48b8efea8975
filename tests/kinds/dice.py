"""What is drawn, computed anew: from the formulas of docs/dice.md, and from nothing of slowfs."""

import csv
import math
from statistics import NormalDist

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
FIRE = 0
DELAY = 2
UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
QUANTILES = [0, 1, *range(5, 96, 5), 98, 99, 99.5, 99.9, 99.99, 100]


def mix(z):
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
    return z ^ (z >> 31)


def fnv(name):
    """The key of a fault of that name."""
    key = 0xCBF29CE484222325
    for byte in name.encode():
        key = (key ^ byte) * 0x100000001B3 & MASK
    return key


def draw(seed, key, n, purpose=DELAY):
    """The number of the n-th match for that."""
    dice = mix(seed ^ mix(key))
    return mix(mix((dice + purpose * GOLDEN) & MASK) + (n + 1) * GOLDEN & MASK)


def unit(number):
    return ((number >> 12) + 0.5) / 2**52


def time(text):
    name = text.lstrip("0123456789")
    return int(text[: len(text) - len(name)]) * UNITS[name]


def quantiles_of(path):
    with open(path, newline="") as file:
        times = sorted(int(row["latency_ns"]) for row in csv.DictReader(file) if row["method"] == "write")
    points = []
    for percent in QUANTILES:
        place = (len(times) - 1) * percent / 100
        low, high = times[math.floor(place)], times[math.ceil(place)]
        points.append((percent, round(low + (place - math.floor(place)) * (high - low))))
    return points


def between(points, percent):
    for (low, start), (high, end) in zip(points, points[1:]):
        if low <= percent < high:
            return start + (percent - low) / (high - low) * (end - start)
    raise ValueError(percent)


def bytes_of(text):
    name = text.lstrip("0123456789")
    return int(text[: len(text) - len(name)]) * {"": 1, "KiB": 1 << 10, "MiB": 1 << 20}[name]


def table_of(text):
    points = [part.split("=") for part in text.split(",")]
    return [(float(percent), time(at)) for percent, at in points]


def recorded(text, method, size):
    """The table of that method whose size is nearest, as so many times; of two the larger."""
    found = []
    for part in text.split(";"):
        classes, _, table = part.partition(":")
        for name in classes.split("+"):
            of, _, about = name.partition(".")
            if of == method:
                found.append((bytes_of(about or "0"), table_of(table)))
    found.sort()
    nearest = found[0]
    for other in found[1:]:
        if size * size >= nearest[0] * other[0]:
            nearest = other
    return nearest[1]


def asked(length, u, backing=None, size=0, method="write"):
    """Nanoseconds, not rounded yet."""
    longest = time("1h")
    if ",max=" in length:
        length, text = length.rsplit(",max=", 1)
        longest = time(text)
    name, _, rest = length.partition(":")
    if name == "uniform":
        start, end = map(time, rest.split(".."))
        ns = start + u * (end - start)
    elif name == "exp":
        ns = -time(rest) * math.log(1 - u)
    elif name == "normal":
        mean, deviation = map(time, rest.split(","))
        ns = mean + deviation * NormalDist().inv_cdf(u)
    elif name == "lognormal":
        p50, p99 = (time(part.split("=")[1]) for part in rest.split(","))
        ns = p50 * math.exp(math.log(p99 / p50) / 2.326348 * NormalDist().inv_cdf(u))
    elif name == "pareto":
        least, alpha = rest.split(",")
        ns = time(least) * (1 - u) ** (-1 / float(alpha))
    elif name == "table":
        ns = between(table_of(rest), u * 100)
    elif name == "recorded":
        ns = between(recorded(rest, method, size), u * 100)
    elif name == "file":
        ns = between(quantiles_of(rest), u * 100)
    elif name.startswith("x"):
        ns = (float(name[1:]) - 1) * backing
    else:
        return time(length)
    return min(max(ns, 0), longest)
