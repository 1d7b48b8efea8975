"""A fault that was set."""

from __future__ import annotations

import warnings
from types import TracebackType
from typing import Any, Dict, List, Optional, Type

from .control import Control
from .errors import NotReached, SlowfsError, SlowfsWarning
from .words import Time, word


class Fault:
    """A fault in force from when it is made; `clear`, or the end of a `with` block, lifts it.

    Its counts can be read while it is in force and after it has gone.
    """

    def __init__(self, control: Control, answer: Dict[str, Any]) -> None:
        self._control = control
        self._last: Optional[Dict[str, Any]] = None
        self.id: int = answer["id"]
        self.name: Optional[str] = answer["fault"]["name"]
        self.warnings: List[str] = answer["warnings"]
        for warning in self.warnings:
            warnings.warn(warning, SlowfsWarning, stacklevel=4)

    def listed(self) -> Dict[str, Any]:
        """What `slowfs list` tells of it."""
        try:
            faults = self._control.ask("list", str(self.id))["faults"]
            self._last = faults[0]
        except SlowfsError:
            # The mount may have ended, or too many have gone since.
            if self._last is None:
                raise
        assert self._last is not None
        return self._last

    @property
    def matched(self) -> int:
        """How many operations its methods, path and filters have fitted."""
        return int(self.listed()["matched"])

    @property
    def fired(self) -> int:
        """How many operations it has hit."""
        return int(self.listed()["fired"])

    @property
    def held(self) -> int:
        """How many operations it holds now."""
        return int(self.listed()["held"])

    @property
    def state(self) -> str:
        """"on", "off" for now, or "ended"."""
        return str(self.listed()["state"])

    def wait_fired(self, n: int = 1, timeout: Time = "10s") -> int:
        """Waits until it has fired so often since it was set, and tells how often it has."""
        return self._wait("fired", n, timeout)

    def wait_held(self, n: int = 1, timeout: Time = "10s") -> int:
        """Waits until it holds so many at once, if only for a moment, and tells how many."""
        return self._wait("held", n, timeout)

    def _wait(self, what: str, n: int, timeout: Time) -> int:
        argv = [f"--{what}={n}", f"--timeout={word(timeout)}"]
        try:
            return int(self._control.ask("wait", str(self.id), *argv, patience=None)[what])
        except SlowfsError as error:
            raise NotReached(str(error)) from None

    def clear(self) -> None:
        """Lifts it. What it holds is released at once: it runs and succeeds."""
        if self._last is not None and self._last["state"] == "ended" and not self._last["held"]:
            return
        try:
            self._control.ask("clear", str(self.id))
        except SlowfsError:
            # It is no error that it has gone by itself.
            if self.state != "ended":
                raise
        self.listed()

    def __enter__(self) -> "Fault":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.clear()

    def __repr__(self) -> str:
        return f"<slowfs fault {self.name or self.id}>"
