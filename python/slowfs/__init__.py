"""Mounts slowfs in a test: a directory that becomes slow, broken or treacherous on command.

    import slowfs

    with slowfs.Mount.below("/tmp/test") as mount:
        with mount.delay("300ms", methods="fsync", path=r".*/wal/.*") as fault:
            commit(mount / "db")
        assert fault.fired

In pytest the fixture `slowfs` is such a mount. The program `slowfs` does the work.
"""

from .errors import NotReached, SlowfsError, SlowfsWarning
from .fault import Fault
from .mount import Mount
from .program import missing

__all__ = ["Fault", "Mount", "NotReached", "SlowfsError", "SlowfsWarning", "missing"]
