#!/usr/bin/env python3
"""What delays ask, computed anew: from the formulas of docs/dice.md, and from nothing of slowfs.

Reads one JSON object: {"seed": N, "faults": [{"length": "exp:5us", "per_byte": "10ns", "key": NAME or ID,
"hits": [[n, asked_ns, len, backing_ns], ...]}]}.
Prints each hit that is off by more than a nanosecond, and at the end how many were looked at.
"""

import json
import sys

from dice import asked, draw, fnv, time, unit


def main():
    told = json.load(sys.stdin)
    looked = 0
    for fault in told["faults"]:
        key = fault["key"] if isinstance(fault["key"], int) else fnv(fault["key"])
        per_byte = time(fault["per_byte"])
        for n, got, size, backing in fault["hits"]:
            expected = asked(fault["length"], unit(draw(told["seed"], key, n)), backing, size) + size * per_byte
            if abs(got - expected) > 1:
                print(f"{fault['length']}: match {n} asked {got} for {expected}")
            looked += 1
    print(f"looked at {looked}")


main()
