"""The control port of the mount below a run. What charybdefs does not know to answer is None."""

import contextlib

import charyb_fault
import daemons
import fault
from slowfs_thrift import SlowFS
from slowfs_thrift.ttypes import Refused
from thrift.Thrift import TApplicationException


class Control:
    """Asks the daemon at `address`, a host and a port, over a connection for each call."""

    def __init__(self, address):
        self.address = address
        # The newest fault that was there before ours.
        self._before = 0

    def _ask(self, question):
        with charyb_fault.connected(*self.address, SlowFS) as control:
            try:
                return question(control)
            except TApplicationException:
                return None

    def version(self):
        info = self._ask(lambda control: control.info())
        return info and info.version

    def methods(self):
        return self._ask(lambda control: control.get_methods())

    def objection(self, pattern):
        """Why it takes no such pattern, if it does not."""
        def objected(control):
            # Caught in here: a context manager sets tracebacks, which the stubs' exceptions do not take.
            try:
                control.match_files(pattern, b"", 1)
            except Refused as refused:
                return refused.message
            return None
        return self._ask(objected)

    def faults(self):
        return self._ask(lambda control: control.list_faults())

    def _known(self):
        """The faults in force and those that have gone, by their ids."""
        # In this order: one that goes meanwhile is in both.
        known = self._ask(lambda control: control.list_faults() + control.list_ended())
        return known if known is None else {fault.id: fault for fault in known}

    def counts(self):
        """How often what `delayed` has set matched and fired, also where it is spent by now."""
        known = self._known()
        if known is None:
            return None
        own = [fault for fault in known.values() if fault.id > self._before]
        return {"matched": sum(one.matched for one in own), "fired": sum(one.fired for one in own)}

    def calls(self):
        """What the mount has served of each method, whatever the path."""
        stats = self._ask(lambda control: control.stats())
        return stats if stats is None else {m.name: m.calls for m in stats.methods}

    def clear(self):
        charyb_fault.clear(*self.address)

    @contextlib.contextmanager
    def delayed(self, asked):
        """The delay or fault that `asked` names, if any; cleared at the end, however that comes."""
        if asked.mode == "baseline":
            yield
            return
        self._before = max(self._known() or (), default=0)
        try:
            if asked.wal_fault:
                fault.inject(asked.slowfs, asked.wal_fault, asked.wal_methods, asked.wal_regex,
                             self.address)
            else:
                charyb_fault.delay(*self.address, asked.wal_delay_us, list(asked.wal_methods),
                                   asked.wal_regex)
            yield
        finally:
            with daemons.uninterrupted():
                self.clear()


def since(before, now):
    """How much each count has grown; None where nothing counts."""
    if before is None or now is None:
        return None
    return {name: count - before.get(name, 0) for name, count in now.items()}
