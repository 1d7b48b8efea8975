"""Whether a run's delay or fault can be set at all, asked before anything starts or feels it."""

import contextlib
import io

import charyb_fault
import fault
from control import Control
from parameters import Invalid


def ask(asked, address):
    """Raises Invalid if the mount at `address` has no such methods, or takes no such pattern."""
    control = Control(address)
    try:
        # A fault may be without: then its kind says which.
        if asked.wal_methods:
            every = ["all"] if asked.wal_fault else []
            charyb_fault.refuse_unknown(asked.wal_methods, control.methods() + every)
    except charyb_fault.Unknown as error:
        raise Invalid(f"WAL_METHODS={','.join(asked.wal_methods)}: {error}") from None
    objection = control.objection(asked.wal_regex)
    if objection:
        raise Invalid(f"WAL_REGEX={asked.wal_regex}: {objection}")


def set_once(asked, address):
    """Raises Invalid unless the mount there, which nobody works on, takes the fault."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), Control(address).delayed(asked):
            pass
    except fault.Wrong as error:
        raise Invalid(str(error)) from None
