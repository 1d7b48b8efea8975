"""On which of its matches a fault fires, computed anew: from docs/dice.md and the words of its options.

Reads one JSON object: {"seed": N, "name": NAME, "matches": N, "after": N, "nth": N, "count": N, "probability": P}.
Prints the list of these matches, counted from 0.
"""

import json
import sys

from dice import FIRE, draw, fnv, unit

told = json.load(sys.stdin)
fired = []
for n in range(told["matches"]):
    place = n - told["after"] + 1
    taken = place > 0 and place % told["nth"] == 0
    if taken and unit(draw(told["seed"], fnv(told["name"]), n, FIRE)) < told["probability"]:
        fired.append(n)
print(fired[: told["count"]])
