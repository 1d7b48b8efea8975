#!/usr/bin/python3
"""Which faults the scripts refuse, before anything starts; which methods they set one on; and that they
count it. usage: SLOWFS=PROGRAM faults.py DIRECTORY"""

import os
import subprocess
import sys
import threading
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples/etcd"
sys.path[:0] = [str(EXAMPLES)]

import charyb_fault
import daemons
import local
import parameters
from control import Control, since
from thrift.protocol import TBinaryProtocol
from thrift.server import TServer
from thrift.transport import TSocket, TTransport

HERE, SLOWFS = Path(sys.argv[1]), Path(os.environ["SLOWFS"])


class Charybdefs:
    """The original's calls, as far as the scripts make them: it lists no fdatasync, and ignores what it
    does not know."""

    METHODS = ["create", "flush", "fsync", "fsyncdir", "open", "write", "write_buf"]

    def __init__(self):
        self.set = []

    def get_methods(self):
        return self.METHODS

    def set_fault(self, methods, *_rest):
        self.set.append(methods)


def misspelt_methods_are_refused_by_name():
    [port] = daemons.free_ports(1)
    played = Charybdefs()
    served = TServer.TSimpleServer(
        charyb_fault.server.Processor(played), TSocket.TServerSocket("127.0.0.1", port),
        TTransport.TBufferedTransportFactory(), TBinaryProtocol.TBinaryProtocolFactory())
    threading.Thread(target=served.serve, daemon=True).start()
    daemons.until(lambda: daemons.answers(port), "server")

    def delay(*more):
        return subprocess.run([EXAMPLES / "charyb_fault.py", "--port", str(port), "delay", "--delay-us", "5", *more],
                              capture_output=True, text=True, check=False)
    for methods, why in (
            ("fsync,fdatasyc", "the server has no method fdatasyc (did you mean fdatasync?)"),
            ("foo,fsink", "the server has no method foo, fsink (did you mean fsync?)"),
            (",", "no method is named")):
        done = delay("--methods", methods)
        assert (done.returncode, done.stdout) == (2, ""), done
        assert done.stderr == f"charyb_fault.py: {why}\n", done
    assert not played.set, played.set
    # Both defaults name fdatasync, which charybdefs does not list.
    for more in (), ("--methods", ",".join(parameters.METHODS)):
        done = delay(*more)
        assert done.returncode == 0, done
    assert played.set == [["fsync", "fdatasync", "fsyncdir"], list(parameters.METHODS)], played.set


def what_is_wrong_is_refused_before_etcd_starts():
    etcd, begun = HERE / "bin/etcd", HERE / "begun"
    etcd.parent.mkdir()
    etcd.write_text(f"#!/bin/sh\necho etcd >>'{begun}'\nexit 1\n")
    etcd.chmod(0o755)
    env = {**os.environ, "PATH": f"{etcd.parent}:{os.environ['PATH']}", "CLUSTER": "local"}

    def run(script, mode, **asked):
        done = subprocess.run([EXAMPLES / script, mode], cwd=HERE, env={**env, **asked},
                              capture_output=True, text=True, check=False)
        return done.returncode, done.stderr.strip()
    for asked, why in (
            ({"WAL_DELAY_US": "5", "WAL_METHODS": "foo,fsnc"},
             "WAL_METHODS=foo,fsnc: the server has no method foo, fsnc (did you mean fsync?)"),
            ({"WAL_DELAY_US": "5", "WAL_METHODS": ","}, "WAL_METHODS=,: names no method"),
            ({"WAL_DELAY_US": "5", "WAL_METHODS": "all"}, "WAL_METHODS=all: the server has no method all"),
            ({"WAL_DELAY_US": "5", "WAL_REGEX": "("}, "WAL_REGEX=(: invalid pattern (: unclosed group"),
            ({"WAL_FAULT": "5ms", "WAL_REGEX": "("}, "WAL_REGEX=(: invalid pattern (: unclosed group"),
            ({"WAL_FAULT": "foo"}, "WAL_FAULT=foo: no kind of fault is called foo; `slowfs kinds` lists them"),
            ({"WAL_FAULT": "dealy 5ms"}, "no kind of fault is called dealy (did you mean delay?)"),
            ({"WAL_FAULT": "5ms", "WAL_METHODS": "fsnc"}, "WAL_METHODS=fsnc: the server has no method fsnc"),
            ({"WAL_FAULT": "device nosuch"}, "WAL_FAULT=device nosuch: slowfs: device: there is no such device"),
            ({"WAL_FAULT": "full --free 1MiB", "WAL_METHODS": "fsync"}, "full makes no sense on fsync"),
            ({"WAL_FAULT": "full --free 1MiB", "VERIFY_DELAY": "1"}, "VERIFY_DELAY times an fsync"),
            ({"WAL_FAULT": "fsync-fail lost"}, "fsync-fail needs a mount with --track-unsynced")):
        code, told = run("run_etcd_fsdelay.sh", "delay", **asked)
        assert code == 2 and told.startswith("run_etcd_fsdelay.sh: ") and why in told, (asked, code, told)
    code, told = run("sweep.sh", "custom", WAL_METHODS="fsync,fsnc")
    assert code == 2 and "WAL_METHODS=fsync,fsnc: the server has no method fsnc" in told, told
    assert not begun.exists() and not (HERE / "results").exists()
    # These are right, so that etcd is started.
    for asked in ({"WAL_FAULT": "full --free 1MiB"}, {"WAL_FAULT": "lying-sync"}, {"WAL_FAULT": "read-only"},
                  {"WAL_FAULT": "shutdown"}, {"WAL_FAULT": "lost-write"}, {"WAL_FAULT": "hang -m fsync"},
                  {"WAL_FAULT": "delay 5ms", "WAL_METHODS": "all", "VERIFY_DELAY": "1"},
                  {"WAL_FAULT": "fsync-fail lost", "MOUNT_OPTIONS": "--track-unsynced"}):
        code, told = run("run_etcd_fsdelay.sh", "delay", **asked)
        assert begun.exists() and code == 1 and "etcd ended" in told, (asked, code, told)
        begun.unlink()


def a_fault_is_on_the_methods_that_fit_it():
    def named(text, **asked):
        return parameters.checked(parameters.Parameters(
            mode="delay", wal_fault=text, slowfs=SLOWFS, **asked)).wal_methods

    assert named("5ms") == named("error EIO") == parameters.METHODS
    assert named("lost-write") == ("write", "write_buf")
    for own in ("full --free 1MiB", "fsync-fail lost", "lying-sync", "read-only", "shutdown", "device hdd",
                "throttle --iops 9", "cut-at fsync", "delay 5ms -m fsync", "delay 5ms --methods=fsync"):
        assert named(own) == (), own
    assert named("lying-sync", wal_methods=("fsync",)) == ("fsync",)


def a_fault_is_counted_when_it_is_spent():
    asked = parameters.checked(parameters.Parameters(
        mode="delay", wal_fault="error EIO -m open --count 2", wal_regex=".*/log", slowfs=SLOWFS))
    layout = local.lay_out(HERE)
    (layout.backing["etcd2"] / "log").touch()
    with local.mounted(layout, SLOWFS) as (address, _):
        for _run in range(2):
            control = Control(address)
            with control.delayed(asked):
                before = control.counts()
                errors = 0
                for _open in range(3):
                    try:
                        (layout.mountpoint / "log").read_bytes()
                    except OSError:
                        errors += 1
                counts = since(before, control.counts())
            assert (errors, counts, control.faults()) == (2, {"matched": 2, "fired": 2}, []), (errors, counts)


for check in (misspelt_methods_are_refused_by_name, what_is_wrong_is_refused_before_etcd_starts,
              a_fault_is_on_the_methods_that_fit_it, a_fault_is_counted_when_it_is_spent):
    check()
