"""The control port of the mount below a run. What charybdefs does not know to answer is None."""

import contextlib

import charyb_fault
import daemons
import fault
from slowfs_thrift import SlowFS
from thrift.Thrift import TApplicationException


class Control:
    """Asks the daemon at `address`, a host and a port, over a connection for each call."""

    def __init__(self, address):
        self.address = address

    def _ask(self, question):
        with charyb_fault.connected(*self.address, SlowFS) as control:
            try:
                return question(control)
            except TApplicationException:
                return None

    def version(self):
        info = self._ask(lambda control: control.info())
        return info and info.version

    def faults(self):
        return self._ask(lambda control: control.list_faults())

    def counts(self):
        """How often the faults in force matched and fired."""
        faults = self.faults()
        return faults if faults is None else {"matched": sum(f.matched for f in faults),
                                              "fired": sum(f.fired for f in faults)}

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
