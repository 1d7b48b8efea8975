"""A mount, from its start to its end."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Dict, List, Mapping, Optional, Type, Union

from .control import Control, environment
from .errors import SlowfsError
from .fault import Fault
from .kinds import OPTIONS, Kinds
from .program import Program, find
from .words import Word, typed, word

Place = Union[str, "os.PathLike[str]"]

STARTING = 60.0
"""Seconds within which a mount answers, or has failed."""

ENDING = 20.0
"""Seconds within which it ends."""


class Mount(Kinds):
    """A mirror of a directory, until `close` or the end of a `with` block.

    Its daemon ends with this process at the latest, however that ends: what is held is released then,
    and the directory unmounted.
    """

    path: Path
    """The mountpoint: programs under test work here."""

    backing: Path
    """The directory behind it, which no fault reaches; patterns match paths below it."""

    log: Path
    """The daemon's log."""

    def __init__(
        self,
        backing: Place,
        path: Place,
        *mount_options: str,
        log: Optional[Place] = None,
        program: Optional[Program] = None,
    ) -> None:
        """Mounts `backing` at `path`; `mount_options` are more words for `slowfs mount`."""
        self._program = find(program)
        self.backing = Path(os.path.abspath(backing))
        self.path = Path(os.path.abspath(path))
        self.log = Path(os.path.abspath(log if log is not None else f"{self.path}.log"))
        argv = [self._program, "mount", str(self.backing), str(self.path), "--listen", "none"]
        argv += ["--json", "--end-with", str(os.getpid()), *mount_options]
        with open(self.log, "ab") as errors:
            # A ctrl-C is for the test, which then ends the daemon.
            self._daemon = subprocess.Popen(
                argv,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        try:
            told = self._told()
        except BaseException:
            self._end()
            raise
        self._control = Control(self._program, told["socket"])
        self.pid: int = told["pid"]

    @classmethod
    def below(
        cls, directory: Place, *mount_options: str, program: Optional[Program] = None
    ) -> "Mount":
        """Mounts `directory/backing` at `directory/mnt`; what is missing is made."""
        backing, path = Path(directory, "backing"), Path(directory, "mnt")
        backing.mkdir(parents=True, exist_ok=True)
        path.mkdir(exist_ok=True)
        return cls(backing, path, *mount_options, program=program)

    def __fspath__(self) -> str:
        return str(self.path)

    def __truediv__(self, name: Place) -> Path:
        return self.path / name

    def __repr__(self) -> str:
        return f"<slowfs mount {self.path} of {self.backing}>"

    def ask(self, command: str, *argv: Word) -> Dict[str, Any]:
        """What `slowfs COMMAND ARGV --json` answers of this mount, as docs/control.md has it."""
        return self._control.ask(command, *(word(each) for each in argv))

    def text(self, command: str, *argv: Word) -> str:
        """What `slowfs COMMAND ARGV` prints of this mount for people."""
        return self._control.text(command, *(word(each) for each in argv))

    def faults(self) -> List[Dict[str, Any]]:
        """The faults in force, in the order in which they are consulted."""
        faults: List[Dict[str, Any]] = self.ask("list")["faults"]
        return faults

    def stats(self) -> Dict[str, Any]:
        """How many requests there were, and how long they took."""
        return self.ask("stats")

    def apply(self, *faults: str, prune: bool = False) -> List[Fault]:
        """Has these faults in force in one step, as `slowfs apply` does with a file of them.

        Each is as typed after `slowfs`; a text may be of several lines, such as a file's. What stands in
        the same words goes on. `prune` clears every other fault.
        """
        argv = ["apply", "--file=-", *typed({"--prune": prune})]
        # Nothing at all would be taken for the output of a command that failed.
        answer = self._control.ask(*argv, given="\n".join([*faults, "# no more faults\n"]))
        return self._applied(answer)

    def clear(self, *what: Word) -> None:
        """Clears these faults, by name, id or method, or every one; what they hold is released."""
        self.ask("clear", *what)

    def close(self) -> None:
        """Clears every fault, releases what is held, and unmounts, busy or not."""
        status = self._daemon.poll()
        gone = "" if status is None else f"its daemon had ended ({status}) before"
        self._end()
        if self._daemon.returncode != 0 or gone:
            why = gone or f"its daemon ended with {self._daemon.returncode}"
            raise SlowfsError(f"{self.path} did not end well: {why}: {self._said()}")

    def __enter__(self) -> "Mount":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def _set(
        self,
        kind: str,
        given: List[Optional[Word]],
        named: Dict[str, Optional[Word]],
        options: Mapping[str, Any],
    ) -> Fault:
        unknown = sorted(options.keys() - OPTIONS.keys())
        if unknown:
            raise TypeError(f"`slowfs {kind}` has no option {', '.join(unknown)}")
        named.update((OPTIONS[name], value) for name, value in options.items())
        argv = [word(value) for value in given if value is not None]
        return Fault(self._control, self._control.ask(kind, *argv, *typed(named)))

    def _applied(self, answer: Dict[str, Any]) -> List[Fault]:
        """The faults of an answer that has the warnings of all of them in one list."""
        applied = []
        for fault in answer["faults"]:
            begin = f"fault {fault['id']}: "
            own = [warning for warning in answer["warnings"] if warning.startswith(begin)]
            applied.append(Fault(self._control, {**fault, "warnings": own}))
        return applied

    def _told(self) -> Dict[str, Any]:
        """The line by which the daemon tells that the mount answers."""
        assert self._daemon.stdout is not None
        out, line, end = self._daemon.stdout.fileno(), b"", time.monotonic() + STARTING
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([out], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise SlowfsError(f"no answer of {self.path} within {STARTING:.0f} s: {self._said()}")
            part = os.read(out, 65536)
            if not part:
                raise SlowfsError(f"cannot mount {self.path}: {self._said()}")
            line += part
        told: Dict[str, Any] = json.loads(line)
        return told

    def _said(self) -> str:
        """The last that the daemon has said."""
        lines = self.log.read_text(errors="replace").splitlines()
        return lines[-1] if lines else f"nothing in {self.log}"

    def _end(self) -> None:
        """Ends the daemon; one that does not end loses its mount all the same."""
        if self._daemon.poll() is None:
            self._daemon.send_signal(signal.SIGTERM)
        try:
            self._daemon.wait(ENDING)
        except subprocess.TimeoutExpired:
            self._daemon.kill()
            self._daemon.wait()
        if self._daemon.returncode != 0 and self._is_left():
            subprocess.run(
                [self._program, "umount", "--force", str(self.path)],
                env=environment(),
                capture_output=True,
                timeout=ENDING,
            )
        if self._daemon.stdout is not None:
            self._daemon.stdout.close()

    def _is_left(self) -> bool:
        """Whether something is mounted there still; nothing of a mount that does not answer is asked."""
        place = os.path.realpath(self.path.parent) + "/" + self.path.name
        for seen, coded in (("\\", "\\134"), (" ", "\\040"), ("\t", "\\011"), ("\n", "\\012")):
            place = place.replace(seen, coded)
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
            return any(line.split(" ")[4] == place for line in table)
