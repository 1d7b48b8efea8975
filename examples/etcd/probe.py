"""The host-side probe: what one fsync of a file beside the log takes."""

import os
import time

PROBES = 3
# What a machine may be late by before the delay counts as wrong: a factor and nanoseconds.
LATE, LATE_NS = 1.5, 50_000_000


class WrongDelay(Exception):
    """The delay that was felt is not the one that was asked for."""


def sync_ns(directory):
    """Writes 4 KiB to a new file there, times its fsync alone, and removes it."""
    path = directory / "_probe"
    try:
        with open(path, "wb", buffering=0) as file:
            file.write(b"x" * 4096)
            began = time.monotonic_ns()
            os.fsync(file.fileno())
            return time.monotonic_ns() - began
    finally:
        path.unlink(missing_ok=True)


def sync_times_ns(directory):
    return [sync_ns(directory) for _ in range(PROBES)]


def verify(asked_us, without_ns, with_ns, fired):
    """Raises unless every sync under the fault took the delay, and not much more.

    `fired`: how often the fault fired meanwhile, None where the server cannot tell. Only that
    proves a delay of a few microseconds, which any fsync takes anyway.
    """
    asked_ns = asked_us * 1000
    felt = (min(with_ns) >= asked_ns and (fired is None or fired >= len(with_ns))
            and min(with_ns) - min(without_ns) <= asked_ns * LATE + LATE_NS)
    if not felt:
        raise WrongDelay(
            f"VERIFY_DELAY: asked for {asked_us} us, but {len(with_ns)} fsyncs in member/wal took "
            f"at least {min(with_ns) // 1000} us, without the fault {min(without_ns) // 1000} us; "
            f"the fault fired {'an unknown number of' if fired is None else fired} times. "
            "Do WAL_REGEX and WAL_METHODS fit?")


def verify_fired(injected, with_ns, fired):
    """Raises unless the fault fired for every sync: how long one takes is drawn."""
    if fired is not None and fired < len(with_ns):
        raise WrongDelay(f"VERIFY_DELAY: {injected} fired {fired} times for {len(with_ns)} fsyncs in "
                         "member/wal. Do WAL_REGEX and WAL_METHODS fit?")
