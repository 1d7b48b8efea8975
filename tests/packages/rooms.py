"""Root directories of their own, in which packages are used. All that is mounted goes with our mount namespace."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

PLAIN = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"}
PATIENCE = 120
DELAY = 0.3


def in_a_namespace():
    """Goes on in a mount namespace of our own, where what we mount is seen by nobody else and ends with us."""
    if os.environ.get("SLOWFS_ROOMS") != str(os.getpid()):
        # unshare runs the program in its own place: the pid stays.
        os.environ["SLOWFS_ROOMS"] = str(os.getpid())
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv])


def output(*argv, **more):
    """What a command prints; its output is the complaint if it fails."""
    settings = {"stdin": subprocess.DEVNULL, "stderr": subprocess.STDOUT, "timeout": PATIENCE} | more
    done = subprocess.run([str(word) for word in argv], text=True, stdout=subprocess.PIPE, **settings)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(str(word) for word in argv)} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


class Room:
    """A directory that commands have as their root."""

    def __init__(self, path):
        self.path = path
        self.path.mkdir(exist_ok=True)

    @classmethod
    def over(cls, lower, path):
        """What is below `lower`; changes go to memory."""
        for name in ("upper", "work"):
            (path / name).mkdir(parents=True)
        room = cls(path / "root")
        layers = f"lowerdir={lower},upperdir={path}/upper,workdir={path}/work"
        output("mount", "-t", "overlay", "-o", layers, "slowfs-room", room.path)
        return room

    def furnish(self, *devices):
        """What every container has: /proc, and these of /dev."""
        for name in devices:
            place = self.path / "dev" / name
            place.parent.mkdir(exist_ok=True)
            place.touch()
            output("mount", "--bind", f"/dev/{name}", place)
        (self.path / "proc").mkdir(exist_ok=True)
        output("mount", "-t", "proc", "proc", self.path / "proc")

    def run(self, *argv):
        return output("chroot", self.path, *argv, env=PLAIN)

    def fails(self, *argv):
        """What a command says that is to fail."""
        try:
            return "no failure: " + self.run(*argv)
        except AssertionError as error:
            return str(error)

    def __truediv__(self, name):
        return self.path / name

    def files(self, *spared):
        """All that is there, by name, but what is below `spared` and what is mounted."""
        spared = {self.path / name for name in ("proc", "dev", *spared)}
        found = set()
        for place, directories, files in os.walk(self.path):
            here = Path(place)
            directories[:] = [name for name in directories if here / name not in spared]
            found.update(str((here / name).relative_to(self.path)) for name in directories + files
                         if here / name not in spared)
        return found


def is_used(room, program):
    """A mirror in that room: what is written arrives, late where a delay says so; then it is unmounted."""
    raw, mnt = room / "raw", room / "mnt"
    for place in (raw, mnt):
        place.mkdir(exist_ok=True)
    room.run(program, "mount", "/raw", "/mnt", "--listen", "none", "--daemon", "--log-file", "/log")
    try:
        room.run(program, "delay", f"{DELAY * 1000:.0f}ms", "-m", "write")
        began = time.monotonic()
        with open(mnt / "file", "wb", buffering=0) as file:
            file.write(b"arrived")
        took = time.monotonic() - began
        assert took >= DELAY, f"a write took {took} s where it is delayed by {DELAY} s"
        [fault] = json.loads(room.run(program, "list", "--json"))["faults"]
        assert fault["fired"] == 1, fault
        room.run(program, "clear")
        assert json.loads(room.run(program, "list", "--json"))["faults"] == []
        (mnt / "second").write_bytes(b"at once")
    finally:
        room.run(program, "umount", "/mnt")
    assert not os.path.ismount(mnt), "it is mounted still"
    assert (raw / "file").read_bytes() == b"arrived" and (raw / "second").read_bytes() == b"at once"
    for place in (raw / "file", raw / "second", room / "log"):
        place.unlink()
    raw.rmdir()
    mnt.rmdir()
