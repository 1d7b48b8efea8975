//! The operations that are tried, each in a place that `shapes::make` made.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{chown, lchown, symlink};
use std::path::Path;

use rustix::fs::{
    Access, AtFlags, CWD, FallocateFlags, FileType, Mode, OFlags, RenameFlags, Timespec,
    Timestamps, UTIME_NOW, UTIME_OMIT, XattrFlags,
};

use super::common::calls::{Mapping, aligned, truncate, unshare_umask};
use super::shapes::{ACCESS, DEFAULT, MASKED, acl};
use super::{ALICE, BOB, STAFF};

/// One operation on a place; what it found is part of its outcome.
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Path) -> io::Result<String>,
}

type Found = io::Result<String>;

const fn op(name: &'static str, run: fn(&Path) -> Found) -> Operation {
    Operation { name, run }
}

fn nothing<T, E: Into<io::Error>>(result: Result<T, E>) -> Found {
    result.map(|_| String::new()).map_err(Into::into)
}

fn open(path: &Path, flags: OFlags) -> io::Result<File> {
    let mode = Mode::from_raw_mode(0o6777);
    Ok(rustix::fs::open(path, flags | OFlags::CLOEXEC, mode).map(File::from)?)
}

fn read(path: &Path, flags: OFlags) -> Found {
    let mut content = String::new();
    open(path, flags)?.read_to_string(&mut content)?;
    Ok(content)
}

fn write(path: &Path, flags: OFlags) -> Found {
    nothing(open(path, flags)?.write_all(b"new"))
}

/// chdir(2) of this thread, and back.
fn enter(path: &Path) -> Found {
    unshare_umask();
    rustix::process::chdir(path)?;
    nothing(rustix::process::chdir("/"))
}

fn write_mapped(path: &Path) -> Found {
    let mut mapping = Mapping::new(&open(path, OFlags::RDWR)?, 5, libc::MAP_SHARED)?;
    mapping[0] = b'T';
    nothing(mapping.sync())
}

fn write_past_the_cache(path: &Path) -> Found {
    let file = open(path, OFlags::WRONLY | OFlags::DIRECT)?;
    Ok(rustix::io::pwrite(file, &aligned(4096), 4096)?.to_string())
}

fn copy(from: &Path, to: &Path) -> Found {
    let (from, to) = (open(from, OFlags::RDONLY)?, open(to, OFlags::WRONLY)?);
    Ok(rustix::fs::copy_file_range(from, None, to, None, 5)?.to_string())
}

fn allocate(path: &Path, flags: FallocateFlags) -> Found {
    nothing(rustix::fs::fallocate(open(path, OFlags::WRONLY)?, flags, 4, 10_000))
}

fn rename(place: &Path, from: &str, to: &str, flags: RenameFlags) -> Found {
    let (from, to) = (place.join(from), place.join(to));
    nothing(rustix::fs::renameat_with(CWD, from, CWD, to, flags))
}

fn mknod(path: &Path, kind: FileType, dev: u64) -> Found {
    nothing(rustix::fs::mknodat(CWD, path, kind, Mode::from_raw_mode(0o6777), dev))
}

fn chmod(path: &Path, mode: u32) -> Found {
    nothing(rustix::fs::chmod(path, Mode::from_raw_mode(mode)))
}

fn access(path: &Path, mode: Access) -> Found {
    nothing(rustix::fs::accessat(CWD, path, mode, AtFlags::EACCESS))
}

fn times(path: &Path, atime: i64, mtime: i64) -> Found {
    let time = |tv_nsec| Timespec { tv_sec: 1_000_000_000, tv_nsec };
    let times = Timestamps { last_access: time(atime), last_modification: time(mtime) };
    nothing(rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW))
}

fn set_attribute(path: &Path, name: &str, value: &[u8]) -> Found {
    nothing(rustix::fs::setxattr(path, name, value, XattrFlags::empty()))
}

/// What a directory's permissions decide about.
pub(crate) const IN_DIRECTORIES: &[Operation] = &[
    op("stat of f", |p| Ok(fs::metadata(p.join("d/f"))?.len().to_string())),
    op("stat of none", |p| nothing(fs::metadata(p.join("d/none")))),
    op("list", |p| Ok(fs::read_dir(p.join("d"))?.count().to_string())),
    op("chdir", |p| enter(&p.join("d"))),
    op("readlink", |p| Ok(fs::read_link(p.join("d/link"))?.display().to_string())),
    op("open through link", |p| read(&p.join("d/link"), OFlags::RDONLY)),
    op("create", |p| write(&p.join("d/new"), OFlags::CREATE | OFlags::WRONLY)),
    op("create exclusively", |p| {
        write(&p.join("d/new"), OFlags::CREATE | OFlags::EXCL | OFlags::RDWR)
    }),
    op("create what is there", |p| write(&p.join("d/f"), OFlags::CREATE | OFlags::WRONLY)),
    op("create through link", |p| write(&p.join("d/link"), OFlags::CREATE | OFlags::WRONLY)),
    op("create exclusively what is there", |p| {
        write(&p.join("d/f"), OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY)
    }),
    op("mkdir", |p| nothing(rustix::fs::mkdir(p.join("d/new"), Mode::from_raw_mode(0o3777)))),
    op("mkdir below", |p| nothing(fs::create_dir(p.join("d/sub/new")))),
    op("mkfifo", |p| mknod(&p.join("d/new"), FileType::Fifo, 0)),
    op("mknod of a file", |p| mknod(&p.join("d/new"), FileType::RegularFile, 0)),
    op("mknod of a device", |p| {
        mknod(&p.join("d/new"), FileType::CharacterDevice, rustix::fs::makedev(1, 3))
    }),
    op("symlink", |p| nothing(symlink("target", p.join("d/new")))),
    op("link within", |p| nothing(fs::hard_link(p.join("d/f"), p.join("d/new")))),
    op("link out", |p| nothing(fs::hard_link(p.join("d/f"), p.join("out/new")))),
    op("link in", |p| nothing(fs::hard_link(p.join("out/g"), p.join("d/new")))),
    op("unlink", |p| nothing(fs::remove_file(p.join("d/f")))),
    op("unlink of link", |p| nothing(fs::remove_file(p.join("d/link")))),
    op("rmdir", |p| nothing(fs::remove_dir(p.join("d/sub")))),
    op("rename within", |p| rename(p, "d/f", "d/new", RenameFlags::empty())),
    op("rename out", |p| rename(p, "d/f", "out/new", RenameFlags::empty())),
    op("rename in", |p| rename(p, "out/g", "d/new", RenameFlags::empty())),
    op("rename in over f", |p| rename(p, "out/g", "d/f", RenameFlags::empty())),
    op("rename out over g", |p| rename(p, "d/f", "out/g", RenameFlags::empty())),
    op("rename to a new name", |p| rename(p, "d/f", "d/new", RenameFlags::NOREPLACE)),
    op("exchange", |p| rename(p, "d/f", "out/g", RenameFlags::EXCHANGE)),
    op("rename of a directory out", |p| rename(p, "d/sub", "out/sub", RenameFlags::empty())),
    op("rename of a directory within", |p| rename(p, "d/sub", "d/new", RenameFlags::empty())),
    op("chmod of d", |p| chmod(&p.join("d"), 0o2770)),
    op("chgrp of d", |p| nothing(chown(p.join("d"), None, Some(STAFF)))),
    op("times of d", |p| times(&p.join("d"), 0, 0)),
    op("setxattr of d", |p| set_attribute(&p.join("d"), "user.new", b"v")),
    op("ACL of d", |p| set_attribute(&p.join("d"), ACCESS, &acl(&MASKED))),
    op("default ACL of d", |p| set_attribute(&p.join("d"), DEFAULT, &acl(&MASKED))),
    op("may list d", |p| access(&p.join("d"), Access::READ_OK)),
    op("may pass d", |p| access(&p.join("d"), Access::EXEC_OK)),
];

/// What a file's own permissions decide about.
pub(crate) const ON_FILES: &[Operation] = &[
    op("read", |p| read(&p.join("d/f"), OFlags::RDONLY)),
    op("read without a trace", |p| read(&p.join("d/f"), OFlags::RDONLY | OFlags::NOATIME)),
    op("write", |p| write(&p.join("d/f"), OFlags::WRONLY)),
    op("read and write", |p| write(&p.join("d/f"), OFlags::RDWR)),
    op("append", |p| write(&p.join("d/f"), OFlags::WRONLY | OFlags::APPEND)),
    op("open with truncation", |p| nothing(open(&p.join("d/f"), OFlags::WRONLY | OFlags::TRUNC))),
    op("truncate", |p| nothing(truncate(p.join("d/f"), 3))),
    op("truncate to nothing", |p| nothing(truncate(p.join("d/f"), 0))),
    op("truncate upwards", |p| nothing(truncate(p.join("d/f"), 5000))),
    op("truncate through a handle", |p| nothing(open(&p.join("d/f"), OFlags::RDWR)?.set_len(4))),
    op("write of nothing", |p| Ok(open(&p.join("d/f"), OFlags::RDWR)?.write(b"")?.to_string())),
    op("write through a mapping", |p| write_mapped(&p.join("d/f"))),
    op("write past the cache", |p| write_past_the_cache(&p.join("d/f"))),
    op("copy into", |p| copy(&p.join("out/g"), &p.join("d/f"))),
    op("allocate", |p| allocate(&p.join("d/f"), FallocateFlags::empty())),
    op("punch a hole", |p| {
        allocate(&p.join("d/f"), FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE)
    }),
    op("chmod", |p| chmod(&p.join("d/f"), 0o640)),
    op("chmod to setuid", |p| chmod(&p.join("d/f"), 0o6755)),
    op("chmod to setgid without execution", |p| chmod(&p.join("d/f"), 0o2745)),
    op("chown to alice", |p| nothing(chown(p.join("d/f"), Some(ALICE), None))),
    op("chown to bob", |p| nothing(chown(p.join("d/f"), Some(BOB), Some(BOB)))),
    op("chown to nobody new", |p| nothing(chown(p.join("d/f"), None, None))),
    op("chgrp to the staff", |p| nothing(chown(p.join("d/f"), None, Some(STAFF)))),
    op("chgrp to alice's", |p| nothing(chown(p.join("d/f"), None, Some(ALICE)))),
    op("chgrp of link", |p| nothing(lchown(p.join("d/link"), None, Some(STAFF)))),
    op("times now", |p| times(&p.join("d/f"), UTIME_NOW, UTIME_NOW)),
    op("times set", |p| times(&p.join("d/f"), 1, 2)),
    op("one time now", |p| times(&p.join("d/f"), UTIME_OMIT, UTIME_NOW)),
    op("times left alone", |p| times(&p.join("d/f"), UTIME_OMIT, UTIME_OMIT)),
    op("times of link", |p| times(&p.join("d/link"), 1, 2)),
    op("setxattr", |p| set_attribute(&p.join("d/f"), "user.new", b"value")),
    op("setxattr, trusted", |p| set_attribute(&p.join("d/f"), "trusted.new", b"value")),
    op("setxattr of an ACL", |p| set_attribute(&p.join("d/f"), ACCESS, &acl(&MASKED))),
    op("setxattr of link", |p| {
        let (path, flags) = (p.join("d/link"), XattrFlags::empty());
        nothing(rustix::fs::lsetxattr(path, "user.new", b"v", flags))
    }),
    op("removexattr", |p| nothing(rustix::fs::removexattr(p.join("d/f"), "user.old"))),
    op("removexattr of an ACL", |p| nothing(rustix::fs::removexattr(p.join("d/f"), ACCESS))),
    op("getxattr", |p| {
        Ok(rustix::fs::getxattr(p.join("d/f"), "user.old", &mut [0; 64])?.to_string())
    }),
    op("listxattr", |p| Ok(rustix::fs::listxattr(p.join("d/f"), &mut [0; 4096])?.to_string())),
    op("may read", |p| access(&p.join("d/f"), Access::READ_OK)),
    op("may write", |p| access(&p.join("d/f"), Access::WRITE_OK)),
    op("may run", |p| access(&p.join("d/f"), Access::EXEC_OK)),
];
