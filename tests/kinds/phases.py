"""Whether a trace shows what the phases and ramps of its faults say, computed anew.

    phases.py TRACE LIST

TRACE is what `slowfs trace` wrote, LIST what `slowfs list --json` answered, the faults of which were all
set before what is traced. Prints an object: for each fault how many requests came while it was `on` and
`off`, and those that are `wrong`.
"""

import json
import math
import re
import sys

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
PHASE = 5
ROUNDS = 1_000
UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


def mix(z):
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def key(listed):
    name = listed["fault"]["name"]
    if name is None:
        return listed["id"]
    hashed = 0xCBF29CE484222325
    for byte in name.encode():
        hashed = ((hashed ^ byte) * 0x100000001B3) & MASK
    return hashed


def draw(seed, key, n, purpose):
    return mix((mix((mix(seed ^ mix(key)) + purpose * GOLDEN) & MASK) + (n + 1) * GOLDEN) & MASK)


def unit(bits):
    return ((bits >> 12) + 0.5) / 2**52


def random_phase(options, dice, age):
    """Whether it is on so long after its start, and until when."""
    means = options["on_for"], options["off_for"]
    length = ROUNDS * sum(means)
    stretch, within = divmod(age, length)
    of_stretch = draw(*dice, stretch, PHASE)
    end, k = 0, 0
    while True:
        u = unit(mix((of_stretch + (k + 1) * GOLDEN) & MASK))
        end += round(-means[k % 2] * math.log(1 - u))
        if within < end:
            return k % 2 == 0, stretch * length + min(end, length)
        k += 1


def fixed_phase(options, age):
    on, off = options["on_for"], options["off_for"]
    begun = age - age % (on + off)
    is_on = age - begun < on
    return is_on, begun + (on if is_on else on + off)


def phase(options, dice, age):
    if age < 0:
        return False, 0
    if "on_for" not in options:
        return True, None
    return random_phase(options, dice, age) if options.get("random") else fixed_phase(options, age)


def factor(options, age):
    if "ramp" not in options:
        return 1
    first, last, over = re.fullmatch(r"x(.+)\.\.x(.+)/(.+)", options["ramp"]).groups()
    over = sum(int(n) * UNITS[unit] for n, unit in re.findall(r"(\d+)([a-z]+)", over))
    first, last = float(first), float(last)
    return first + (last - first) * min(1, age / over)


def is_right(listed, hit, start, is_on, end, event):
    """Whether that hit, or none, is what the fault does to a request that arrived then."""
    [effect] = listed["fault"]["effects"]
    kind = effect["kind"]
    if kind == "throttle":  # what it lets through at once is no hit
        return is_on or hit is None
    if not is_on or hit is None:
        return is_on == (hit is not None)
    if event["done_ns"] < (hit["due_ns"] or 0):
        return False
    if kind == "hang":
        return hit["due_ns"] == start + end and hit["action"] == "held"
    if kind == "delay":
        asked = round(effect["params"]["time"] * factor(listed["fault"]["options"], event["t_ns"] - start))
        return abs(hit["asked_ns"] - asked) <= 1
    return hit["action"] == "failed"


def main(trace, faults):
    with open(trace) as lines:
        head, *events = map(json.loads, lines)
    with open(faults) as answer:
        faults = json.load(answer)["faults"]
    assert all("seq" in event for event in events), "requests were dropped"
    found = {}
    for listed in faults:
        fault, dice = listed["fault"], (int(head["seed"]), key(listed))
        options = fault["options"]
        start = listed["set_ns"] + options.get("starts", 0)
        counts = {"on": 0, "off": 0, "hits": 0, "wrong": []}
        for event in events:
            path = event["path"] or ""
            if event["method"] not in fault["methods"] or not re.fullmatch(fault["pattern"], path):
                continue
            hit = next((hit for hit in event["hits"] if hit["id"] == listed["id"]), None)
            is_on, end = phase(options, dice, event["t_ns"] - start)
            counts["on" if is_on else "off"] += 1
            counts["hits"] += hit is not None
            if not is_right(listed, hit, start, is_on, end, event):
                counts["wrong"].append(event)
        found[listed["id"]] = counts
    print(json.dumps(found))


main(*sys.argv[1:])
