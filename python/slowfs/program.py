"""The program `slowfs`: where it is, and what else a mount needs."""

from __future__ import annotations

import os
import shutil
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Optional, Union

from .errors import SlowfsError

Program = Union[str, "os.PathLike[str]"]

DEVICE = "/dev/fuse"


def find(program: Optional[Program] = None) -> str:
    """The program: the one that is named, that of `$SLOWFS`, the package's own, or the one on PATH."""
    named = os.fspath(program) if program is not None else os.environ.get("SLOWFS")
    wanted = named or _own() or "slowfs"
    found = shutil.which(wanted)
    if found is None:
        how = "install it, or name it by $SLOWFS" if wanted == "slowfs" else "it is no program"
        raise SlowfsError(f"cannot run {wanted}: {how}")
    return os.path.abspath(found)


def _own() -> Optional[str]:
    """That which was installed with this package, wherever pip puts programs; None of a package without."""
    try:
        files = distribution("slowfs").files or []
    except PackageNotFoundError:
        return None
    found = [str(file.locate()) for file in files if file.parts[-2:] == ("bin", "slowfs")]
    # By `pip install --target` it is beside the package, which pip does not write down.
    found.append(str(Path(__file__).parents[1] / "bin/slowfs"))
    return next((program for program in found if os.access(program, os.X_OK)), None)


def missing(program: Optional[Program] = None) -> Optional[str]:
    """What a mount lacks on this machine, on one line; None where nothing does."""
    try:
        find(program)
    except SlowfsError as error:
        return str(error)
    try:
        os.close(os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"cannot open {DEVICE}: {error.strerror}; in a container pass --device {DEVICE}"
    if os.geteuid() != 0 and shutil.which("fusermount3") is None:
        return "no fusermount3, by which ordinary users mount: install the package fuse3"
    return None
