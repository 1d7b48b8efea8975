"""However a test ends: nothing stays mounted, nothing stays held."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import List

import pytest

from slowfs import Mount, SlowfsError
from slowfs.program import find


@pytest.fixture(autouse=True)
def program(monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> str:
    found = find(pytestconfig.getoption("--slowfs"))
    monkeypatch.setenv("SLOWFS", found)
    monkeypatch.delenv("SLOWFS_REQUIRED", raising=False)
    return found


def mounted(below: Path) -> List[str]:
    with open("/proc/self/mountinfo") as table:
        return [line for line in table if f" {below.resolve()}/" in line]


def until_gone(below: Path) -> None:
    end = time.monotonic() + 20
    while mounted(below) and time.monotonic() < end:
        time.sleep(0.02)
    assert mounted(below) == []


HELD = """
    import os, subprocess, sys, threading
    def test_it(slowfs):
        # The kernel locks the directory in which something is made.
        os.mkdir(slowfs / "sub")
        fault = slowfs.hang(methods="mkdir")
        threading.Thread(target=os.mkdir, args=(slowfs / "sub" / "held",), daemon=True).start()
        fault.wait_held()
        open(slowfs / "open", "w")
        print("held", flush=True)
        {end}
"""


@pytest.mark.parametrize("end, outcome", [("pass", "passed"), ("assert False", "failed")])
def test_what_is_held_runs_at_the_end_of_the_test(
    pytester: pytest.Pytester, end: str, outcome: str
) -> None:
    pytester.makepyfile(HELD.format(end=end))
    result = pytester.runpytest_subprocess("--basetemp", "base")
    result.assert_outcomes(**{outcome: 1})
    assert mounted(pytester.path) == []
    assert list(pytester.path.glob("base/*/slowfs-0/backing/sub/held"))
    if end != "pass":
        result.stdout.fnmatch_lines(["*slowfs at *", "*hang*mkdir*"])


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_run_leaves_nothing(pytester: pytest.Pytester, how: signal.Signals) -> None:
    pytester.makepyfile(HELD.format(end="import time; time.sleep(600)"))
    argv = [sys.executable, "-m", "pytest", "-s", "--basetemp", "base"]
    run = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    assert any("held" in line for line in iter(run.stdout.readline, ""))
    assert mounted(pytester.path)
    run.send_signal(how)
    run.wait(20)
    run.stdout.close()
    until_gone(pytester.path)


def test_a_daemon_that_was_lost_fails_the_test_and_leaves_no_mount(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile("import os\ndef test_it(slowfs): os.kill(slowfs.pid, 9)")
    result = pytester.runpytest_subprocess("--basetemp", "base")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*did not end well: *"])
    assert mounted(pytester.path) == []


def test_a_mount_that_fails_says_why(tmp_path: Path) -> None:
    (tmp_path / "mnt").mkdir()
    with pytest.raises(SlowfsError, match="cannot mirror .*none.*No such file"):
        Mount(tmp_path / "none", tmp_path / "mnt")
    assert mounted(tmp_path) == []


def test_without_pytest_a_block_does_it(tmp_path: Path) -> None:
    with Mount.below(tmp_path) as mount:
        assert mounted(tmp_path)
        (mount / "file").write_text("x")
    assert mounted(tmp_path) == []
    assert (mount.backing / "file").read_text() == "x"


def test_without_the_program_it_is_skipped_or_fails(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLOWFS", "/nonexistent/slowfs")
    pytester.makepyfile("def test_it(slowfs): pass")
    result = pytester.runpytest_subprocess("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*SKIPPED*cannot run /nonexistent/slowfs*"])
    required = pytester.runpytest_subprocess("--slowfs-required")
    required.assert_outcomes(errors=1)
    required.stdout.fnmatch_lines(["*cannot run /nonexistent/slowfs*"])
    monkeypatch.setenv("SLOWFS_REQUIRED", "1")
    pytester.runpytest_subprocess().assert_outcomes(errors=1)


def test_without_the_device_it_is_skipped(pytester: pytest.Pytester) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can take the device away")
    pytester.makepyfile("def test_it(slowfs): pass")
    # As in a container that was not given it.
    shut = "mount --bind /dev/fuse /dev/fuse && mount -o remount,bind,nodev /dev/fuse"
    argv = ["unshare", "-m", "sh", "-c", f'{shut} && exec "$@"', "sh"]
    result = pytester.run(*argv, sys.executable, "-m", "pytest", "-rs")
    result.stdout.fnmatch_lines(["*SKIPPED*cannot open /dev/fuse: Permission denied*--device*"])


def test_workers_of_xdist_have_mounts_of_their_own(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        @pytest.mark.parametrize("n", range(6))
        def test_it(slowfs, n):
            with slowfs.error("EIO", methods="create") as fault:
                with pytest.raises(OSError):
                    (slowfs / "file").touch()
            assert fault.fired == 1
        """
    )
    pytester.runpytest_subprocess("-n", "3").assert_outcomes(passed=6)
