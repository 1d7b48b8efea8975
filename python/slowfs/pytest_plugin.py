"""The pytest plugin: the fixtures `slowfs` and `slowfs_mount`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Callable, Generator, List, Optional

import pytest

from .errors import SlowfsError
from .mount import Mount, Place
from .program import missing

_MOUNTS = pytest.StashKey[List[Mount]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("slowfs", "directories that become slow or broken on command")
    group.addoption(
        "--slowfs",
        metavar="PROGRAM",
        help="the program slowfs, if it is neither $SLOWFS nor on PATH",
    )
    group.addoption(
        "--slowfs-required",
        action="store_true",
        help="fail, and do not skip, the tests that cannot mount here (also $SLOWFS_REQUIRED=1)",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "slowfs(*options): more options of `slowfs mount` for this test's mounts"
    )


@pytest.fixture
def slowfs_mount(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Generator[Callable[..., Mount], None, None]:
    """Mounts as often as a test asks for, each a mirror of a fresh directory, until the test ends.

    `slowfs_mount(*options, directory=None)`: options of `slowfs mount`; the mirror is `directory/mnt`.
    """
    program: Optional[str] = request.config.getoption("--slowfs")
    lacking = missing(program)
    if lacking is not None:
        required = request.config.getoption("--slowfs-required")
        if required or os.environ.get("SLOWFS_REQUIRED") == "1":
            pytest.fail(f"slowfs: {lacking}", pytrace=False)
        pytest.skip(f"slowfs: {lacking}")
    marked = [o for mark in request.node.iter_markers("slowfs") for o in reversed(mark.args)]
    mounts: List[Mount] = []
    request.node.stash[_MOUNTS] = mounts

    def mount(*options: str, directory: Optional[Place] = None) -> Mount:
        place = directory if directory is not None else tmp_path / f"slowfs-{len(mounts)}"
        made = Mount.below(place, *reversed(marked), *options, program=program)
        mounts.append(made)
        return made

    yield mount
    failed = []
    for each in reversed(mounts):
        try:
            each.close()
        except SlowfsError as error:
            failed.append(str(error))
    if failed:
        raise SlowfsError("; ".join(failed))


@pytest.fixture
def slowfs(slowfs_mount: Callable[..., Mount]) -> Mount:
    """A mirror of a fresh directory, on which faults can be set, until the test ends."""
    return slowfs_mount()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, object, None]:
    """Beside a failure: the faults of its mounts, and what their daemons have logged."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.when != "call" or not report.failed:
        return
    for mount in item.stash.get(_MOUNTS, []):
        try:
            told = mount.text("list") + mount.text("list", "--ended")
        except SlowfsError as error:
            told = f"{error}\n"
        log = mount.log.read_text(errors="replace").splitlines()[-20:]
        report.sections.append((f"slowfs at {mount.path}", told + "\n".join(log)))
