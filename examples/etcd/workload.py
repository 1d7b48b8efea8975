"""Operations one after the other or at a fixed rate, each timed by the monotonic clock."""

import threading
import time
from dataclasses import dataclass

from clients import Failed

NS = 10**9
# Until every thread stands at its first operation.
START_NS = 20_000_000


@dataclass
class Done:
    """One operation; times in nanoseconds, `ended_ns` counted from the begin of the workload."""

    op: int
    took_ns: int
    ended_ns: int
    term: int = 0
    error: str = None


def sleep_until(moment_ns):
    left = moment_ns - time.monotonic_ns()
    if left > 0:
        time.sleep(left / NS)


def wake_precisely():
    """Lets the threads started from now on wake without the kernel's usual 50 us of slack."""
    with open("/proc/self/timerslack_ns", "w", encoding="ascii") as slack:
        slack.write("1")


def drive(operations, ops, rate=0, done=None):
    """Runs `ops` operations over the clients whose `operations` are given, in order of op.

    Each client begins the next one as soon as its last has ended. With a `rate` per second they
    begin on schedule, and count from when they should have begun: one that had to wait for a client
    that a stall kept busy shows that stall. Whoever gives the list `done` sees what is done so far.
    """
    wake_precisely()
    turns = iter(range(1, ops + 1))
    done = [] if done is None else done
    broken, stop = [], threading.Event()
    began_ns = time.monotonic_ns() + START_NS

    def client(operation):
        sleep_until(began_ns)
        for op in turns:
            start_ns = time.monotonic_ns()
            if rate:
                start_ns = began_ns + int((op - 1) * NS / rate)
                sleep_until(start_ns)
            if stop.is_set():
                return
            term, error = 0, None
            try:
                term = operation(op)
            except Failed as failure:
                error = str(failure)
            except BaseException as bug:
                broken.append(bug)
                return
            ended_ns = time.monotonic_ns()
            done.append(Done(op, ended_ns - start_ns, ended_ns - began_ns, term, error))

    # Daemons: an interrupted workload leaves those that a fault still holds.
    threads = [threading.Thread(target=client, args=[operation], daemon=True)
               for operation in operations]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        stop.set()
    if broken:
        raise broken[0]
    return sorted(done, key=lambda one: one.op)


def percentile_ns(done, percent):
    """Nearest rank, over those that succeeded; None if none did."""
    took = sorted(one.took_ns for one in done if not one.error)
    return took[max(0, -(-len(took) * percent // 100) - 1)] if took else None
