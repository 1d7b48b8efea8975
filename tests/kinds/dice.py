"""What is drawn, computed anew: the formulas of src/fault/chance.rs and src/fault/distributions."""

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
DELAY = 2
UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}


def mix(z):
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
    return z ^ (z >> 31)


def draw(seed, key, n):
    """The number of the n-th match for delays."""
    dice = mix(seed ^ mix(key))
    return mix(mix((dice + DELAY * GOLDEN) & MASK) + (n + 1) * GOLDEN & MASK)


def unit(number):
    return ((number >> 12) + 0.5) / 2**52


def time(text):
    name = text.lstrip("0123456789")
    return int(text[: len(text) - len(name)]) * UNITS[name]


def asked(length, u):
    """Nanoseconds, not rounded yet."""
    name, _, rest = length.partition(":")
    if name != "uniform":
        return time(length)
    start, end = map(time, rest.split(".."))
    return start + u * (end - start)
