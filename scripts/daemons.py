"""Starts and ends the processes of the demo and the benchmark, by pid, mounts included."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def needed(program, source):
    """Raises unless there is such a program; `source` is the command that makes or installs it."""
    if not shutil.which(program):
        raise RuntimeError(f"no program {program}: {source}")


def start(argv, log):
    """Starts `argv` in a session of its own, so that a ctrl-C reaches only the script."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("ETCD_", "SLOWFS_"))}
    with open(log, "ab") as out:
        return subprocess.Popen(
            [str(a) for a in argv], env=env, stdin=subprocess.DEVNULL, stdout=out,
            stderr=subprocess.STDOUT, start_new_session=True)


def stop(*processes, grace=10):
    """Ends `processes`: SIGTERM to all, SIGKILL to those that have not ended `grace` s later."""
    for process in processes:
        process.terminate()
    end = time.monotonic() + grace
    for process in processes:
        try:
            process.wait(max(0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def until(condition, what, children=(), deadline=30):
    """Waits for `condition()`; fails after `deadline` s, or once one of `children` has ended.

    `children` are pairs of a process and its log, whose end explains the failure.
    """
    end = time.monotonic() + deadline
    while not condition():
        ended = [child for child in children if child[0].poll() is not None]
        if ended or time.monotonic() > end:
            why = f"{ended[0][0].args[0]} ended" if ended else f"not within {deadline} s"
            logs = "".join(f"\n{log}: ...\n{tail(log)}" for _, log in ended or children)
            raise (RuntimeError if ended else TimeoutError)(f"no {what}: {why}{logs}")
        time.sleep(0.02)


def tail(log):
    return "\n".join(Path(log).read_text(errors="replace").splitlines()[-10:])


def is_mounted(path):
    """Whether something is mounted at `path`, dead mounts included."""
    escaped = str(path).replace("\\", "\\134").replace(" ", "\\040")
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as table:
        return any(line.split()[4] == escaped for line in table)


def answers(port):
    """Whether something listens on that loopback port."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def free_ports(n):
    """`n` loopback ports that nobody uses now."""
    with contextlib.ExitStack() as stack:
        bound = [stack.enter_context(socket.socket()) for _ in range(n)]
        for s in bound:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in bound]


class Interrupts:
    """How many blocks hold interrupts back, and whether one came meanwhile."""

    blocks, came = 0, False


@contextlib.contextmanager
def uninterrupted():
    """Holds back the signals that end us, so that what is begun here is finished.

    After `end_on_signals` only. A signal mask does not do: it is a thread's, and what another
    thread receives (gRPC has some) interrupts the main one all the same.
    """
    Interrupts.blocks += 1
    try:
        yield
    finally:
        Interrupts.blocks -= 1
        if Interrupts.came and not Interrupts.blocks:
            Interrupts.came = False
            raise KeyboardInterrupt


@contextlib.contextmanager
def mounted(argv, mountpoint, log, port=None):
    """Runs the FUSE daemon `argv` until the block ends; one that leaves its mount is an error."""
    process = start(argv, log)
    try:
        until(lambda: is_mounted(mountpoint) and (port is None or answers(port)),
              f"mount at {mountpoint}", [(process, log)])
        yield process
    finally:
        with uninterrupted():
            stop(process)
            if is_mounted(mountpoint):
                subprocess.run(["fusermount3", "-u", "-z", mountpoint], check=True)
                raise RuntimeError(f"{argv[0]} ended without unmounting {mountpoint}")


def end_on_signals():
    """From now on the first signal raises KeyboardInterrupt, further ones do nothing."""
    def interrupt(_number, _frame):
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        if not Interrupts.blocks:
            raise KeyboardInterrupt
        Interrupts.came = True

    for number in SIGNALS:
        signal.signal(number, interrupt)


@contextlib.contextmanager
def workspace(prefix, parent=None):
    """A temporary directory that goes when the block ends, be it by a signal."""
    end_on_signals()
    directory = Path(tempfile.mkdtemp(prefix=prefix, dir=parent)).resolve()
    try:
        yield directory
    finally:
        with uninterrupted():
            shutil.rmtree(directory)
