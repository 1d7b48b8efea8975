"""The wheel: in a clean virtual environment it brings the command, the module and the fixture."""

import re
import sys
import zipfile

from rooms import PLAIN, output

TEST = '''\
import os
import shutil
import sys
import time

import slowfs


def test_it_is_the_program_of_the_wheel():
    assert slowfs.program.find() == os.path.join(os.path.dirname(sys.executable), "slowfs")
    assert shutil.which("slowfs") is None, "this proves nothing where another is on PATH"


def test_a_slow_disk(slowfs):
    with slowfs.delay("300ms", methods="write") as fault:
        began = time.monotonic()
        (slowfs / "file").write_bytes(b"x")
        assert time.monotonic() - began >= 0.3
    assert fault.fired == 1
'''


def files_of(place):
    return {str(path.relative_to(place)) for path in place.rglob("*") if "__pycache__" not in path.parts}


def holds_the_static_program(wheel, static):
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if re.fullmatch(r"[^/]*\.data/scripts/slowfs", name)]
        assert archive.read(name) == static.read_bytes(), "another program than the static one"


def installs(wheel, wheelhouse, scratch):
    venv, tests = scratch / "venv", scratch / "tests"
    output(sys.executable, "-m", "venv", venv)
    python = venv / "bin/python"
    pip = (python, "-m", "pip", "--disable-pip-version-check")
    output(*pip, "install", "--no-index", "--find-links", wheelhouse, "pytest")
    before = files_of(venv)
    output(*pip, "install", "--no-index", wheel)
    output(*pip, "check")
    told = output(venv / "bin/slowfs", "--version")
    installed = output(*pip, "show", "slowfs")
    [version] = re.findall(r"(?m)^Version: (.*)$", installed)
    assert told.split()[:2] == ["slowfs", version], (told, installed)
    tests.mkdir()
    (tests / "test_wheel.py").write_text(TEST)
    # Not by PATH, and with nothing of our own environment: as a CI machine has it.
    pytest = (python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--slowfs-required", tests)
    output(*pytest, cwd=tests, env=PLAIN | {"PATH": "/nowhere", "PYTHONDONTWRITEBYTECODE": "1"})
    output(*pip, "uninstall", "--yes", "slowfs")
    left = files_of(venv) - before
    assert not left, f"left by the wheel: {sorted(left)}"
