"""The parameters of a run, as its environment variables give them."""

import dataclasses
import math
import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import charyb_fault
import cluster
import fault

REPOSITORY = Path(__file__).resolve().parents[2]
MODES = ("baseline", "delay")
CLIENTS = ("resident", "etcdctl")
METHODS = ("open", "create", "write", "write_buf", "fsync", "fdatasync", "fsyncdir", "flush")
# With RATE: so many puts may be under way before one has to wait for another.
OPEN_LOOP_CLIENTS = 64


class Invalid(Exception):
    """A parameter that cannot be used; the message names it."""


def default_slowfs():
    built = REPOSITORY / "target/release/slowfs"
    return built if built.exists() else Path(shutil.which("slowfs") or built)


def flag(text):
    if text not in ("", "0", "1"):
        raise ValueError("write 0 or 1")
    return text == "1"


def number(kind, form):
    """A reader of numbers that says how they are written."""
    def read(text):
        try:
            return kind(text)
        except ValueError:
            raise ValueError(f"write {form}") from None
    return read


def methods(text):
    found = tuple(charyb_fault.methods_in(text))
    if not found:
        raise ValueError("names no method")
    return found


def whole(form):
    return number(int, f"a whole number{form}")


@dataclass(frozen=True)
class Parameters:
    """Each field is the environment variable of that name in capitals."""

    mode: str = "baseline"
    leader_target: str = "etcd2"        # "": whoever leads
    wal_delay_us: int = 0
    wal_fault: str = ""                 # instead of it: a length, or any fault of slowfs
    ops: int = 200
    verify_delay: bool = False
    wal_methods: tuple = None           # None: METHODS, or what the fault's kind has; see `checked`
    wal_regex: str = charyb_fault.WAL
    cluster: str = ""                   # local, docker, the file of a running one; "": see cluster
    client: str = "resident"
    clients: int = 0                    # 0: 1 in a closed loop, OPEN_LOOP_CLIENTS with RATE
    rate: float = 0                     # puts begun per second; 0: each client's one by one
    warmup: int = 50
    put_timeout: float = 30             # seconds
    heartbeat_ms: int = 100             # of the local cluster; etcd's own defaults
    election_ms: int = 1000
    mount_options: tuple = ()           # of the local cluster's mount, as `slowfs mount` has them
    data_dir: Path = None               # where the local cluster keeps its data; None: $TMPDIR
    results: Path = Path("results")
    slowfs: Path = dataclasses.field(default_factory=default_slowfs)

    def with_(self, **changes):
        return dataclasses.replace(self, **changes)

    def injected(self):
        """What each call is hit by, for people."""
        return self.wal_fault or f"{self.wal_delay_us} us"

    def injected_name(self):
        """The same in a directory's name."""
        return f"fault-{fault.slug(self.wal_fault)}" if self.wal_fault else f"{self.wal_delay_us}us"

    def as_json(self):
        """What tells how a run was made; where it was made does not belong to it."""
        fields = dataclasses.asdict(self)
        for place in ("data_dir", "results", "slowfs", "cluster"):
            del fields[place]
        return {**fields, "wal_methods": list(self.wal_methods or ()),
                "mount_options": list(self.mount_options)}


READERS = {"verify_delay": flag, "wal_delay_us": whole(" of microseconds, as 300000 for 300 ms"),
           "ops": whole(", as 200"), "clients": whole(", as 4"), "warmup": whole(", as 50"),
           "rate": number(float, "puts per second, as 200"),
           "put_timeout": number(float, "seconds, as 30 or 0.5"),
           "heartbeat_ms": whole(" of milliseconds, as 100"),
           "election_ms": whole(" of milliseconds, as 1000"),
           "data_dir": Path, "results": Path, "slowfs": Path,
           "wal_methods": methods, "mount_options": lambda text: tuple(shlex.split(text))}


def from_environment(mode=None):
    """The parameters of a run; `mode` goes before MODE."""
    given = {}
    for field in dataclasses.fields(Parameters):
        text = os.environ.get(field.name.upper())
        # Empty means the default, but an empty LEADER_TARGET is a choice.
        if text is None or (text == "" and field.name != "leader_target"):
            continue
        try:
            given[field.name] = READERS.get(field.name, str)(text)
        except ValueError as error:
            raise Invalid(f"{field.name.upper()}={text}: {error}") from None
    if mode:
        given["mode"] = mode
    return checked(Parameters(**given))


def checked(asked):
    """`asked` with what follows from it filled in."""
    def refuse_unless(holds, message):
        if not holds:
            raise Invalid(message)

    refuse_unless(asked.mode in MODES, f"MODE is baseline or delay, not {asked.mode}")
    refuse_unless(asked.leader_target in ("", *cluster.NAMES),
                  f"LEADER_TARGET is one of {', '.join(cluster.NAMES)}, or empty for whoever leads")
    refuse_unless(asked.client in CLIENTS, f"CLIENT is resident or etcdctl, not {asked.client}")
    refuse_unless(asked.ops > 0, f"OPS={asked.ops}: at least 1")
    refuse_unless(asked.wal_delay_us <= charyb_fault.LONGEST_US,
                  f"WAL_DELAY_US={asked.wal_delay_us}: at most {charyb_fault.LONGEST_US}, 35 minutes; "
                  "WAL_FAULT takes longer ones, as 1h")
    refuse_unless(min(asked.clients, asked.rate, asked.warmup) >= 0,
                  "CLIENTS, RATE and WARMUP are not negative")
    refuse_unless(math.isfinite(asked.rate), f"RATE={asked.rate}: not a number of puts per second")
    refuse_unless(0 < asked.put_timeout < math.inf, "PUT_TIMEOUT is above 0")
    refuse_unless(0 < 5 * asked.heartbeat_ms <= asked.election_ms,
                  "ELECTION_MS is at least five times HEARTBEAT_MS, which is above 0")
    refuse_unless(not (asked.wal_fault and asked.wal_delay_us),
                  f"WAL_FAULT={asked.wal_fault} and WAL_DELAY_US={asked.wal_delay_us} are both "
                  "given: a run injects one of them")
    if asked.mode == "baseline":
        asked = asked.with_(wal_delay_us=0, wal_fault="")
    refuse_unless(asked.mode == "baseline" or asked.wal_delay_us > 0 or asked.wal_fault,
                  "MODE=delay needs WAL_DELAY_US, above 0, or WAL_FAULT")
    asked, hit = with_methods(asked)
    refuse_unless(asked.mode == "baseline" or not asked.verify_delay or {"fsync", "all"} & set(hit),
                  f"VERIFY_DELAY times an fsync, which is not among what is delayed: {','.join(hit)}")
    if not asked.clients:
        asked = asked.with_(clients=OPEN_LOOP_CLIENTS if asked.rate else 1)
    return asked


def with_methods(asked):
    """`asked` with the methods to name, and those that are hit: of some kinds of fault all its own."""
    if not asked.wal_fault:
        hit = asked.wal_methods or METHODS
        return asked.with_(wal_methods=hit), hit
    try:
        kind = fault.kind_of(asked.slowfs, asked.wal_fault)
        named = asked.wal_methods or fault.methods(kind, asked.wal_fault, METHODS)
    except fault.Wrong as error:
        raise Invalid(f"WAL_FAULT={asked.wal_fault}: {error}") from None
    return asked.with_(wal_methods=named), named or kind["methods"]
