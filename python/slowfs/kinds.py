"""The kinds of fault, one method each.

Made by scripts/kinds.py from `slowfs kinds`: change it there, not here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Literal, Mapping, Optional, TypedDict

from .fault import Fault
from .words import Errnos, Numbers, Share, Size, Text, Texts, Time, Word

if TYPE_CHECKING:
    from typing_extensions import Unpack

OPTIONS = {
    "path": "--regex",
    "glob": "--glob",
    "below": "--below",
    "also": "--and",
    "name": "--name",
    "add": "--add",
    "probability": "--probability",
    "after": "--after",
    "nth": "--nth",
    "count": "--count",
    "stable": "--stable",
    "starts": "--starts",
    "lasts": "--for",
    "on_for": "--on-for",
    "off_for": "--off-for",
    "random": "--random",
    "ramp": "--ramp",
    "uid": "--uid",
    "pid": "--pid",
    "range": "--range",
    "size": "--size",
    "flags": "--flags",
}
"""The options of every kind, and how the command line has them."""


class Common(TypedDict, total=False):
    """What every kind takes."""

    path: str
    """Only where this regular expression matches the whole backing path."""
    glob: str
    """The same as a glob, such as `*.log` or `wal/**`."""
    below: str
    """Only directories whose whole path matches, and everything below them."""
    also: Texts
    """A second effect of the fault, as typed: `error EIO`."""
    name: str
    """The name of the fault; a fault that has this name is replaced."""
    add: bool
    """Keep the other faults of these methods; by default it takes their methods."""
    probability: Share
    """How often it fires on a matching operation: a fraction or a percentage."""
    after: int
    """Let the first N matching operations pass."""
    nth: int
    """Then fire on each Nth only."""
    count: int
    """Remove the fault after it has fired N times."""
    stable: bool
    """Draw by place (path, offset, how often there), so that threads make no difference."""
    starts: Time
    """Begin this long after it was set."""
    lasts: Time
    """Remove the fault this long after it began."""
    on_for: Time
    """Be on for this long, then off for --off-for, again and again."""
    off_for: Time
    """How long it is off each time."""
    random: bool
    """Draw the length of each phase: these times are means of an exponential distribution."""
    ramp: Text
    """Let delays grow from A times to B times as long within this time, as xA..xB/TIME."""
    uid: Numbers
    """Only requests of these users."""
    pid: Numbers
    """Only requests of these processes."""
    size: str
    """Only requests of this many bytes, as A..B."""
    flags: Texts
    """Only requests on files opened with one of these flags."""


class Options(Common, total=False):
    """What all kinds take but those that have a parameter of such a name."""

    range: str
    """Only requests that touch these bytes of a file, as A..B."""


class Kinds:
    """What faults can be set; `Mount` is one."""

    def _set(
        self,
        kind: str,
        given: List[Optional[Word]],
        named: Dict[str, Optional[Word]],
        options: Mapping[str, Any],
    ) -> Fault:
        raise NotImplementedError

    def delay(
        self,
        time: Time,
        *,
        methods: Texts,
        per_byte: Optional[Time] = None,
        when: Optional[Literal["before", "after"]] = None,
        **options: Unpack[Options],
    ) -> Fault:
        """Delay matching operations.

        time: how long, as in 300ms, 1us, 2s; or a distribution, as in exp:5ms.
        per_byte: additional time for each byte that is read, written, copied or allocated.
        when: hold the operation, or its answer after it has run, as before|after.
        """
        named: Dict[str, Optional[Word]] = {
            "--methods": methods,
            "--per-byte": per_byte,
            "--when": when,
        }
        return self._set("delay", [time], named, options)

    def hang(
        self,
        *,
        methods: Texts,
        **options: Unpack[Options],
    ) -> Fault:
        """Hold matching operations until the fault is cleared."""
        named: Dict[str, Optional[Word]] = {
            "--methods": methods,
        }
        return self._set("hang", [], named, options)

    def error(
        self,
        errnos: Errnos,
        *,
        methods: Texts,
        when: Optional[Literal["before", "after"]] = None,
        **options: Unpack[Options],
    ) -> Fault:
        """Fail matching operations.

        errnos: names or numbers of errors, of which one is drawn each time; or `random`.
        when: fail in place of the operation, or after it is done [default: before], as
        before|after.
        """
        named: Dict[str, Optional[Word]] = {
            "--methods": methods,
            "--when": when,
        }
        return self._set("error", [errnos], named, options)

    def kill(
        self,
        *,
        methods: Texts,
        **options: Unpack[Options],
    ) -> Fault:
        """Kill the processes that make matching operations."""
        named: Dict[str, Optional[Word]] = {
            "--methods": methods,
        }
        return self._set("kill", [], named, options)

    def short(
        self,
        amount: Optional[Text] = None,
        *,
        methods: Texts,
        **options: Unpack[Options],
    ) -> Fault:
        """Make matching reads and writes move fewer bytes than they ask for.

        amount: how much is moved: a number of bytes, or a share [default: 50%], as SIZE|50%.
        """
        named: Dict[str, Optional[Word]] = {
            "--methods": methods,
        }
        return self._set("short", [amount], named, options)

    def lost_write(
        self,
        *,
        methods: Texts,
        hidden: Optional[bool] = None,
        **options: Unpack[Options],
    ) -> Fault:
        """Report matching writes as done, but write nothing.

        hidden: do not change the modification time: the kernel's cache then hides the change.
        """
        named: Dict[str, Optional[Word]] = {
            "--methods": methods,
            "--hidden": hidden,
        }
        return self._set("lost-write", [], named, options)

    def torn_write(
        self,
        part: Text,
        *,
        methods: Texts,
        unit: Optional[Size] = None,
        hidden: Optional[bool] = None,
        **options: Unpack[Options],
    ) -> Fault:
        """Write only a part of matching writes.

        part: what is written: the first bytes, certain units, or random units, as
        prefix:SIZE|units:N,N|random.
        unit: size of a unit, which is written as a whole or not at all: a power of two [default:
        512; for a prefix 1].
        hidden: do not change the modification time: the kernel's cache then hides the change.
        """
        named: Dict[str, Optional[Word]] = {
            "--methods": methods,
            "--unit": unit,
            "--hidden": hidden,
        }
        return self._set("torn-write", [part], named, options)

    def corrupt(
        self,
        how: Text,
        *,
        methods: Texts,
        unit: Optional[Size] = None,
        spots: Optional[int] = None,
        length: Optional[int] = None,
        hidden: Optional[bool] = None,
        **options: Unpack[Options],
    ) -> Fault:
        """Change bytes that matching operations write or read.

        how: flip one bit of each spot, or BITS of them; or make its bytes zeros, random, or what
        was there before, as flip[:BITS]|zero|random|stale.
        unit: size of a unit, a power of two [default: 512].
        spots: how many spots of a request are changed [default: 1].
        length: how many units a spot has [default: 1].
        hidden: do not change the modification time: the kernel's cache then hides the change.
        """
        named: Dict[str, Optional[Word]] = {
            "--methods": methods,
            "--unit": unit,
            "--spots": spots,
            "--length": length,
            "--hidden": hidden,
        }
        return self._set("corrupt", [how], named, options)

    def fsync_fail(
        self,
        mode: Literal["lost", "dirty"],
        *,
        methods: Texts,
        **options: Unpack[Options],
    ) -> Fault:
        """Fail matching syncs with EIO, as filesystems do that cannot write back.

        mode: lost: later syncs do not store the data, unless it is written again; dirty: the next
        sync does, as lost|dirty.
        """
        named: Dict[str, Optional[Word]] = {
            "--methods": methods,
        }
        return self._set("fsync-fail", [mode], named, options)

    def lying_sync(
        self,
        *,
        methods: Texts,
        forever: Optional[bool] = None,
        **options: Unpack[Options],
    ) -> Fault:
        """Report matching syncs as done, but do nothing.

        forever: no later sync stores the data either, unless it is written again.
        """
        named: Dict[str, Optional[Word]] = {
            "--methods": methods,
            "--forever": forever,
        }
        return self._set("lying-sync", [], named, options)

    def bad_sector(
        self,
        *,
        methods: Optional[Texts] = None,
        range: Optional[str] = None,
        density: Optional[Share] = None,
        unit: Optional[Size] = None,
        sticky: Optional[bool] = None,
        **options: Unpack[Common],
    ) -> Fault:
        """Fail reads of parts of files, every time, until these are written again.

        range: only these bytes of each file [default: all], as A..B.
        density: the share of units that are bad [default: all of the range].
        unit: size of a unit, which is bad or good as a whole: a power of two from 512 to 1MiB
        [default: 512].
        sticky: no write heals them.
        """
        named: Dict[str, Optional[Word]] = {
            "--methods": methods,
            "--range": range,
            "--density": density,
            "--unit": unit,
            "--sticky": sticky,
        }
        return self._set("bad-sector", [], named, options)

    def full(
        self,
        free: Size,
        *,
        methods: Optional[Texts] = None,
        inodes: Optional[int] = None,
        owner: Optional[int] = None,
        errno: Optional[Literal["ENOSPC", "EDQUOT"]] = None,
        **options: Unpack[Options],
    ) -> Fault:
        """Have only so much free space, and then none.

        free: how many bytes are left.
        inodes: how many inodes are left [default: not counted].
        owner: only files of this user (a number), as a quota does.
        errno: the error when nothing is left [default: ENOSPC], as ENOSPC|EDQUOT.
        """
        named: Dict[str, Optional[Word]] = {
            "--methods": methods,
            "--free": free,
            "--inodes": inodes,
            "--owner": owner,
            "--errno": errno,
        }
        return self._set("full", [], named, options)

    def throttle(
        self,
        *,
        methods: Optional[Texts] = None,
        iops: Optional[int] = None,
        read_bw: Optional[Size] = None,
        write_bw: Optional[Size] = None,
        burst: Optional[int] = None,
        io_size: Optional[Size] = None,
        per: Optional[Literal["mount", "file"]] = None,
        **options: Unpack[Options],
    ) -> Fault:
        """Limit the operations or bytes per second, as a slow disk does.

        iops: operations per second.
        read_bw: bytes per second that are read.
        write_bw: bytes per second that are written.
        burst: how many may pass at once after a rest [default: 1].
        io_size: the most bytes that count as one operation [default: 256KiB].
        per: whether all files share the rates, or each has its own [default: mount], as mount|file.
        """
        named: Dict[str, Optional[Word]] = {
            "--methods": methods,
            "--iops": iops,
            "--read-bw": read_bw,
            "--write-bw": write_bw,
            "--burst": burst,
            "--io-size": io_size,
            "--per": per,
        }
        return self._set("throttle", [], named, options)

    def device(
        self,
        preset: Optional[Text] = None,
        *,
        methods: Optional[Texts] = None,
        channels: Optional[int] = None,
        read: Optional[Time] = None,
        write: Optional[Time] = None,
        seek: Optional[Time] = None,
        flush: Optional[Time] = None,
        metadata: Optional[Time] = None,
        read_bw: Optional[Size] = None,
        write_bw: Optional[Size] = None,
        total_bw: Optional[Size] = None,
        cache: Optional[Size] = None,
        drain: Optional[Size] = None,
        sync_waits: Optional[Literal["all", "file", "nothing"]] = None,
        iops: Optional[int] = None,
        burst_iops: Optional[int] = None,
        credits: Optional[int] = None,
        io_size: Optional[Size] = None,
        **options: Unpack[Options],
    ) -> Fault:
        """Take as much time as a certain disk: a hard disk, an SSD, a cloud volume.

        preset: the disk, whose figures count where none is given below.
        channels: how many requests it serves at once, at most 1024 [default: 1].
        read: how long a read takes, without its bytes.
        write: how long a write takes, without its bytes; into the cache, if there is one.
        seek: how long it takes to move, if a request does not begin where the last one ended.
        flush: how long a sync takes after the data that it waits for is on the medium.
        metadata: how long a change of names or attributes takes.
        read_bw: bytes per second that one channel reads.
        write_bw: bytes per second that one channel writes.
        total_bw: bytes per second of all channels together.
        cache: the write cache; needs --drain.
        drain: bytes per second from the cache to the medium.
        sync_waits: which data in the cache a sync waits for [default: all], as all|file|nothing.
        iops: operations per second, and credits earned per second.
        burst_iops: operations per second while there are credits.
        credits: the most credits it can have; it starts with as many.
        io_size: the most bytes that count as one operation [default: 256KiB].
        """
        named: Dict[str, Optional[Word]] = {
            "--methods": methods,
            "--channels": channels,
            "--read": read,
            "--write": write,
            "--seek": seek,
            "--flush": flush,
            "--metadata": metadata,
            "--read-bw": read_bw,
            "--write-bw": write_bw,
            "--total-bw": total_bw,
            "--cache": cache,
            "--drain": drain,
            "--sync-waits": sync_waits,
            "--iops": iops,
            "--burst-iops": burst_iops,
            "--credits": credits,
            "--io-size": io_size,
        }
        return self._set("device", [preset], named, options)

    def read_only(
        self,
        *,
        methods: Optional[Texts] = None,
        at: Optional[Texts] = None,
        **options: Unpack[Options],
    ) -> Fault:
        """Fail all changes with EROFS, as a filesystem that became read-only after an error.

        at: set in at the first operation of these methods; with `--after N` let N of them pass
        [default: at once].
        """
        named: Dict[str, Optional[Word]] = {
            "--methods": methods,
            "--at": at,
        }
        return self._set("read-only", [], named, options)

    def shutdown(
        self,
        *,
        methods: Optional[Texts] = None,
        at: Optional[Texts] = None,
        **options: Unpack[Options],
    ) -> Fault:
        """Fail everything with EIO, as a filesystem that has shut down.

        at: set in at the first operation of these methods; with `--after N` let N of them pass
        [default: at once].
        """
        named: Dict[str, Optional[Word]] = {
            "--methods": methods,
            "--at": at,
        }
        return self._set("shutdown", [], named, options)

    def cut_at(
        self,
        at: Texts,
        *,
        methods: Optional[Texts] = None,
        when: Optional[Literal["before", "after"]] = None,
        keep: Optional[Text] = None,
        unit: Optional[Literal["512", "4096"]] = None,
        seed: Optional[int] = None,
        kill: Optional[bool] = None,
        stay_off: Optional[bool] = None,
        **options: Unpack[Options],
    ) -> Fault:
        """Cut the power at an operation, as `slowfs power-cut --now` does.

        at: at the first operation of these methods; with `--after N` let N of them pass.
        when: before the operation, which is then not done, or after it is done [default: before],
        as before|after.
        keep: what to keep of what is not durable [default: none], as none|all|prefix:N|random.
        unit: how many bytes are written as a whole or not at all [default: 512], as 512|4096.
        seed: make the dice repeatable [default: a random seed].
        kill: send SIGKILL to every process that has files of the mount open or mapped.
        stay_off: leave the power off until `slowfs power-on` or `clear`.
        """
        named: Dict[str, Optional[Word]] = {
            "--methods": methods,
            "--when": when,
            "--keep": keep,
            "--unit": unit,
            "--seed": seed,
            "--kill": kill,
            "--stay-off": stay_off,
        }
        return self._set("cut-at", [at], named, options)
