"""The packages of Debian and of rpm: installed in a clean root, used there, removed; nothing is left."""

import os
import re
import shutil
import subprocess

from rooms import Room, is_used, output

LINKS = {"usr/bin/charybdefs": "slowfs", "usr/sbin/mount.slowfs": "../bin/slowfs",
         "usr/sbin/mount.fuse.slowfs": "../bin/slowfs"}
# What both have beside their own documents.
EXPECTED = ["usr/bin/slowfs", *LINKS, "usr/share/slowfs/devices/nvme.toml", "usr/share/slowfs/idl/slowfs.thrift",
            "usr/share/doc/slowfs/README.md", "usr/share/doc/slowfs/docs/control.md",
            "usr/share/doc/slowfs/examples/databases/sqlite.sh",
            "usr/share/doc/slowfs/examples/cookbook/recipes.py", "usr/lib/systemd/system/slowfs@.service",
            "usr/share/bash-completion/completions/slowfs", "usr/share/fish/vendor_completions.d/slowfs.fish",
            "usr/share/man/man1/slowfs.1.gz", "usr/share/man/man1/slowfs-delay.1.gz",
            "usr/share/man/man1/charybdefs.1.gz", "usr/share/man/man8/mount.slowfs.8.gz"]
ZSH = ["vendor-completions", "site-functions"]
# By what each differs from the other: where a distribution has its licences and its zsh's completions.
OF_DEBIAN = r"usr/share/(doc/slowfs/(copyright|changelog\.gz|changelog\.Debian\.gz)|zsh/vendor-completions/_slowfs)"
OF_RPM = r"usr/share/(licenses/slowfs/.*|doc/slowfs/CHANGELOG\.md|zsh/site-functions/_slowfs)"
# What lintian says, and why it stays.
KNOWN = {
    "bogus-mail-host": "the project has no address yet: docs/releasing.md",
    "bogus-mail-host-in-debian-changelog": "likewise",
    "initial-upload-closes-no-bugs": "it goes to no archive of Debian's",
}


def version_of(repository):
    return re.search(r'(?m)^version = "(.*)"', (repository / "Cargo.toml").read_text())[1]


def is_furnished(room, program):
    """What is installed there is whole: the files, the links, the other names by which it is called."""
    for name in EXPECTED:
        assert os.path.lexists(room / name), f"no {name}"
    assert any(os.path.lexists(room / "usr/share/zsh" / place / "_slowfs") for place in ZSH), "no completions for zsh"
    for name, target in LINKS.items():
        assert os.readlink(room / name) == target, name
    told = room.run(program, "--version")
    assert told.startswith("slowfs "), told
    is_used(room, program)
    # mount(8) finds its helper.
    for name in ("raw", "mnt"):
        (room / name).mkdir()
    room.run("mount", "-t", "slowfs", "/raw", "/mnt", "-o", "listen=none")
    room.run("umount", "/mnt")
    for name in ("raw", "mnt"):
        (room / name).rmdir()


def debian(package, clean, scratch, repository):
    room = Room.over(clean, scratch / "debian")
    room.furnish("fuse")
    before = room.files("run", "tmp")
    shutil.copy(package, room / "tmp/slowfs.deb")
    room.run("dpkg", "--install", "/tmp/slowfs.deb")
    assert room.run("dpkg-query", "-W", "-f", "${Version} ${Status}", "slowfs") == \
        f"{version_of(repository)}-1 install ok installed"
    is_furnished(room, "slowfs")
    assert room.run("dpkg", "--verify", "slowfs") == ""
    room.run("dpkg", "--purge", "slowfs")
    left = {name for name in room.files("run", "tmp") - before if not re.match(r"var/(lib/dpkg|log)/", name)}
    assert not left, f"left by Debian's package: {sorted(left)}"


def complaints(package):
    """What lintian says of it, but for what is known."""
    done = subprocess.run(["lintian", "--no-cfg", "--allow-root", "--tag-display-limit", "0", package],
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    unknown = [line for line in done.stdout.splitlines() if line.split()[2:3] not in [[tag] for tag in KNOWN]]
    # 2 is for errors among its lines.
    assert done.returncode in (0, 2) and not unknown, f"lintian ended with {done.returncode}:\n" + "\n".join(unknown)


def rpm(package, debian_package, clean, scratch, repository):
    asked = output("rpm", "-qp", "--qf", "%{NAME} %{VERSION} %{ARCH} %{LICENSE} %{BUILDHOST}", package)
    assert asked == f"slowfs {version_of(repository)} {os.uname().machine} MIT OR Apache-2.0 slowfs", asked
    requires = output("rpm", "-qp", "--requires", package)
    assert "libc.so.6(GLIBC_2." in requires and "bin/" not in requires, requires
    assert output("rpm", "-qp", "--scripts", package) == ""
    same_files(package, debian_package)
    room = Room.over(clean, scratch / "rpm")
    room.furnish("fuse")
    # The root is Debian's. What the package requires is there, but rpm does not know it; this is of Fedora's root.
    (room / "usr/share/licenses").mkdir()
    before = room.files("run", "tmp")
    into = ("rpm", "--root", room.path, "--dbpath", "/var/lib/rpm", "--nodeps")
    output(*into, "--install", package)
    is_furnished(room, "slowfs")
    assert output(*into, "--verify", "slowfs") == ""
    output(*into, "--erase", "slowfs")
    left = {name for name in room.files("run", "tmp") - before if not re.match(r"var/lib/rpm(/|$)", name)}
    assert not left, f"left by the rpm: {sorted(left)}"


def same_files(package, debian_package):
    """Both hold the same, but where the distributions have their own places."""
    listed = output("rpm", "-qp", "--qf", "[%{FILEMODES:perms} %{FILENAMES}\n]", package).splitlines()
    ours = {line.split()[1].strip("/") for line in listed if not line.startswith("d")}
    listed = output("dpkg-deb", "--contents", debian_package).splitlines()
    theirs = {line.split(maxsplit=5)[5].split(" -> ")[0].removeprefix("./") for line in listed
              if not line.startswith("d")}
    ours = {name for name in ours if not re.fullmatch(OF_RPM, name)}
    theirs = {name for name in theirs if not re.fullmatch(OF_DEBIAN, name)}
    assert ours == theirs, f"only in the rpm: {sorted(ours - theirs)}; only in Debian's: {sorted(theirs - ours)}"
