"""What a script is at, while it is at it: on standard error."""

import contextlib
import sys
import threading
import time

# In the same line of a terminal, over and over; elsewhere a line now and then.
REDRAWN_S, TOLD_S = 0.2, 10
BACK_AND_EMPTY = "\r\x1b[K"


@contextlib.contextmanager
def shown(what):
    """Shows the text, or what the function says, until the block ends."""
    say = what if callable(what) else lambda: what
    terminal, over = sys.stderr.isatty(), threading.Event()

    def show():
        while not over.wait(REDRAWN_S if terminal else TOLD_S):
            with contextlib.suppress(OSError, ValueError):
                line = f"{BACK_AND_EMPTY}{say()}" if terminal else f"{say()}\n"
                sys.stderr.write(line)
                sys.stderr.flush()

    shower = threading.Thread(target=show, daemon=True)
    shower.start()
    try:
        yield
    finally:
        over.set()
        shower.join()
        if terminal:
            sys.stderr.write(BACK_AND_EMPTY)
            sys.stderr.flush()


def of(done, total, began):
    """How many of `total` are in the list `done`, and how long the rest will take."""
    count, took = len(done), time.monotonic() - began
    left = f", {duration(took * (total - count) / count)} left" if count else ""
    return f"{count} of {total} puts{left}"


def duration(seconds):
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
