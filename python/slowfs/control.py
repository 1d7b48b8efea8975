"""Asks a mount by the program's commands, whose answers are JSON."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any, Dict, Optional

from .errors import SlowfsError

PATIENCE = 60.0
"""Seconds after which a command counts as stuck."""


def environment() -> Dict[str, str]:
    """This process's environment, without what would have the program ask somebody else."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SLOWFS")}


class Control:
    """Where a mount is asked: the program, and the mount's control socket."""

    def __init__(self, program: str, address: str) -> None:
        self._program = program
        self._address = address

    def text(self, *argv: str) -> str:
        """What a command prints for people."""
        return self._run(argv, PATIENCE).stdout

    def ask(
        self, *argv: str, patience: Optional[float] = PATIENCE, given: str = ""
    ) -> Dict[str, Any]:
        """A command's answer; `given` is what it finds on its standard input."""
        done = self._run((*argv, "--json"), patience, given)
        try:
            answer: Dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            said = done.stderr.strip() or f"it ended with {done.returncode}, saying nothing"
            raise SlowfsError(f"slowfs {argv[0]}: {said.removeprefix('slowfs: ')}") from None
        if not answer.get("ok"):
            raise SlowfsError(f"slowfs {argv[0]}: {answer.get('error') or done.stderr.strip()}")
        return answer

    def _run(
        self, argv: "tuple[str, ...]", patience: Optional[float], given: str = ""
    ) -> "subprocess.CompletedProcess[str]":
        # What follows `--` would be taken for no option.
        command = [self._program, argv[0], "--addr", self._address, *argv[1:]]
        try:
            return subprocess.run(
                command,
                env=environment(),
                cwd="/",
                input=given,
                capture_output=True,
                text=True,
                errors="surrogateescape",
                timeout=patience,
            )
        except subprocess.TimeoutExpired:
            raise SlowfsError(f"`slowfs {' '.join(argv)}` did not end within {patience} s") from None
        except OSError as error:
            raise SlowfsError(f"cannot run {self._program}: {error.strerror}") from error
