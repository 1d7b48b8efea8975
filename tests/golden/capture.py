#!/usr/bin/env python3
"""Prints the bytes that real Thrift clients send, one `name hex` per line: frames.txt.

usage: PYTHONPATH=idl/gen-py:DIR tests/golden/capture.py > tests/golden/frames.txt
where DIR has the stubs: thrift --gen py -out DIR tests/golden/dialects.thrift
"""

from dialects import listed, older, once, positive
from server import server
from slowfs_thrift import SlowFS
from slowfs_thrift.ttypes import Cut, Effect, Fault, Rot, Scenario, Step, Value
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.transport.TTransport import TFramedTransport, TMemoryBuffer


def capture(name, service, send, strict=True, framed=False):
    wire = TMemoryBuffer()
    transport = TFramedTransport(wire) if framed else wire
    send(service.Client(TBinaryProtocol(transport, strictWrite=strict)))
    print(name, wire.getvalue().hex())


WAL = (["fsync", "fdatasync", "fsyncdir"], False, 0, 1000, "(^|.*/)member/wal/.*",
       False, 300000, False)


def delay_wal(client):
    client.send_set_fault(*WAL)


capture("get_methods", server, lambda c: c.send_get_methods())
capture("clear_all_faults", server, lambda c: c.send_clear_all_faults())
capture("clear_fault", server, lambda c: c.send_clear_fault("write_buf"))
capture("set_fault", server, delay_wal)
capture("set_fault_non_strict", server, delay_wal, strict=False)
capture("set_fault_framed", server, delay_wal, framed=True)
capture("set_fault_framed_non_strict", server, delay_wal, strict=False, framed=True)
capture("set_fault_without_regexp", server,
        lambda c: c.send_set_fault(["write"], True, 0, 0, None, False, 0, False))
capture("set_all_fault", server,
        lambda c: c.send_set_all_fault(False, 5, -1, ".*", True, 7, True))
capture("positive_clear_fault", positive, lambda c: c.send_clear_fault("write_buf"))
capture("positive_set_fault", positive, delay_wal)
capture("positive_set_all_fault", positive,
        lambda c: c.send_set_all_fault(False, 5, -1, ".*", True, 7, True))
capture("once_get_faults", once, lambda c: c.send_get_faults())
capture("once_set_fault", once, lambda c: c.send_set_fault(*WAL, True))
capture("once_set_all_fault", once,
        lambda c: c.send_set_all_fault(False, 5, -1, ".*", True, 7, True, True))
capture("listed_set_fault", listed,
        lambda c: c.send_set_fault(["open"], False, [5, 28], 100000, "", False, 0, False))
capture("older_set_all_fault", older,
        lambda c: c.send_set_all_fault(False, 5, -1, ".*", True, 7))

# slowfs's own calls.
HANG_WAL = Fault(methods=["fsync", "write"], pattern="(^|.*/)member/wal/.*", name="slow-wal",
                 options={"probability": Value(share=0.25), "count": Value(whole=3),
                          "lasts": Value(text="5s")},
                 effects=[Effect("hang", {}),
                          Effect("error", {"errnos": Value(texts=["EIO", "28"])})])
KILL = Fault(methods=["all"], effects=[Effect("kill", {})])
capture("put_fault", SlowFS, lambda c: c.send_put_fault(HANG_WAL, True))
capture("put_fault_framed", SlowFS, lambda c: c.send_put_fault(HANG_WAL, True), framed=True)
capture("put_fault_bare", SlowFS, lambda c: c.send_put_fault(KILL, False))
STABLE = Fault(methods=["write"], options={"stable": Value(flag=True)}, effects=[Effect("kill", {})])
capture("put_fault_flag", SlowFS, lambda c: c.send_put_fault(STABLE, False))
capture("put_faults", SlowFS, lambda c: c.send_put_faults([HANG_WAL, KILL], [7, 8], True))
capture("apply_faults", SlowFS, lambda c: c.send_apply_faults([HANG_WAL, KILL], True))
capture("clear", SlowFS, lambda c: c.send_clear(["fsync", "slow-wal", "7"]))
capture("remove_fault", SlowFS, lambda c: c.send_remove_fault("7"))
capture("clear_methods", SlowFS, lambda c: c.send_clear_methods(["read", "write"]))
capture("list_faults", SlowFS, lambda c: c.send_list_faults())
capture("list_ended", SlowFS, lambda c: c.send_list_ended())
capture("wait", SlowFS, lambda c: c.send_wait("slow-wal", "fired", 3, 2_000_000_000))
capture("list_kinds", SlowFS, lambda c: c.send_list_kinds())
capture("list_methods", SlowFS, lambda c: c.send_list_methods())
capture("trace_start", SlowFS, lambda c: c.send_trace_start(["write"], ".*/wal/.*", True))
capture("trace_read", SlowFS, lambda c: c.send_trace_read(7, 100))
capture("trace_stop", SlowFS, lambda c: c.send_trace_stop())
SCENARIO = Scenario(name="disk", end_ns=60_000_000_000, seed="7", timed=True, detached=True, steps=[
    Step(line=1, at_ns=0, command="put", faults=[KILL], add=True, text="kill -m all --add"),
    Step(line=2, once="slow", fired=3, command="clear", clear=["slow"], text="clear slow"),
    Step(line=3, at_ns=5, command="only", faults=[HANG_WAL, KILL], text="recipe full"),
    Step(line=4, once="7", fired=1, command="end", text="end")])
capture("run_load", SlowFS, lambda c: c.send_run_load(SCENARIO))
ROT = Rot(pattern=".*/data/.*", how="flip:3", spots=4, unit=4096, length=2,
          seed="18446744073709551615", hidden=True)
IMAGE = Cut(to="lost", keep="prefix:7", unit=4096, seed="8", max_stall_ns=2_000_000_000)
IN_PLACE = Cut(keep="random", stay_off=True, kill=True)
STORED = Scenario(name="stored", end_ns=9, steps=[
    Step(line=1, at_ns=1, command="rot", rot=ROT, text="rot flip:3"),
    Step(line=2, at_ns=2, command="heal", text="heal"),
    Step(line=3, at_ns=3, command="checkpoint", text="checkpoint"),
    Step(line=4, at_ns=4, command="power_cut", cut=IMAGE, text="power-cut --to lost"),
    Step(line=5, at_ns=5, command="power_cut", cut=IN_PLACE, text="power-cut --now"),
    Step(line=6, at_ns=6, command="power_on", text="power-on")])
capture("run_load_stored", SlowFS, lambda c: c.send_run_load(STORED))
capture("run_start", SlowFS, lambda c: c.send_run_start())
capture("run_read", SlowFS, lambda c: c.send_run_read(7))
capture("run_stop", SlowFS, lambda c: c.send_run_stop())
capture("info", SlowFS, lambda c: c.send_info())
capture("stats", SlowFS, lambda c: c.send_stats())
capture("match_files", SlowFS, lambda c: c.send_match_files(".*/wal/.*", b"/b/\xff", 5))
capture("match_path", SlowFS, lambda c: c.send_match_path(b"/m/\xff"))
capture("injections", SlowFS, lambda c: c.send_injections(7, 100))
capture("heal", SlowFS, lambda c: c.send_heal([3, 4], 2))
capture("rot", SlowFS, lambda c: c.send_rot(ROT))
capture("rot_bare", SlowFS, lambda c: c.send_rot(Rot(pattern=".*")))
capture("unsynced", SlowFS, lambda c: c.send_unsynced())
capture("checkpoint", SlowFS, lambda c: c.send_checkpoint())
capture("unsynced_moments", SlowFS, lambda c: c.send_unsynced_moments(7))
capture("power_cut", SlowFS,
        lambda c: c.send_power_cut("lost", "prefix:7", 4096, "8", 3, 2_000_000_000))
capture("power_prepare", SlowFS, lambda c: c.send_power_prepare(30_000_000_000))
capture("power_commit", SlowFS, lambda c: c.send_power_commit(7, "random", 512, "8", True, True, 9))
capture("power_abort", SlowFS, lambda c: c.send_power_abort(7))
capture("power_on", SlowFS, lambda c: c.send_power_on())
