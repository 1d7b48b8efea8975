//! What a directory must do, as cases that are functions of a directory.
//!
//! Each case runs once on a plain temporary directory (`plain`) and once on a mirror (`mounted`),
//! so that a case that is wrong about POSIX or Linux fails on the plain directory too. It runs
//! again on a mirror where every operation is delayed a little (`delayed`): each leaves its loop
//! thread and is concluded by a worker, files are opened past the page cache, attributes are not
//! cached, and still nothing may differ. And on one whose files the kernel reads and writes by itself
//! (`passed`), and on one whose files the kernel writes back later (`written_back`). Where a mirror must
//! differ, the case asks [`on_fuse`] and says why. The cases need root: they act as other users.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;

use std::cell::Cell;
use std::ffi::OsStr;
use std::fmt::Debug;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use tempfile::TempDir;

use common::calls;
use common::user::as_user;
use common::{Mount, delaying, is_fuse, passing, plain_directory, wait_for};

/// Runs each case on a plain directory and on each kind of mirror.
macro_rules! cases {
    ($($case:ident),+ $(,)?) => {
        mod plain {
            $(#[test] fn $case() { crate::on_plain_directory(super::$case) })+
        }
        mod mounted {
            $(#[test] fn $case() { crate::on_mirror(super::$case) })+
        }
        mod delayed {
            $(#[test] fn $case() { crate::on_delayed_mirror(super::$case) })+
        }
        mod passed {
            $(#[test] fn $case() { crate::on_passing_mirror(super::$case) })+
        }
        mod written_back {
            $(#[test] fn $case() { crate::on_writeback_mirror(super::$case) })+
        }
    };
}

mod acls;
mod attributes;
mod data;
mod directories;
mod links;
mod locks;
mod mapping;
mod names;
mod owners;
mod renames;
mod setid;
mod sizes;
mod space;
mod special;
mod unlinked;
mod xattrs;

/// An ordinary user, without privileges.
const NOBODY: u32 = 65534;

/// A group that only as a supplementary one is anybody's.
const STAFF: u32 = 50_001;

fn owner(path: impl AsRef<Path>) -> (u32, u32) {
    let stat = stat(path);
    (stat.st_uid, stat.st_gid)
}

fn on_plain_directory(case: fn(&Path)) {
    let scratch = plain_directory();
    assert!(!is_fuse(scratch.path()));
    case(scratch.path());
}

fn on_mirror(case: fn(&Path)) {
    let mount = Mount::new();
    case(&mount.mnt());
}

fn on_delayed_mirror(case: fn(&Path)) {
    let mount = Mount::new();
    let id = mount.add(&delaying(&["all"], Duration::from_micros(100)));
    case(&mount.mnt());
    let fault = mount.listed(id);
    assert!(fault.fired > 0 && fault.fired == fault.matched, "{fault:?}");
}

fn on_passing_mirror(case: fn(&Path)) {
    KERNEL_SERVES.set(true);
    let Some(mount) = passing("no such path") else { return };
    case(&mount.mnt());
    // RELEASE comes after close(2) has returned.
    wait_for("every file to be given back", || {
        let files = mount.client().stats().unwrap().passthrough.unwrap();
        assert_eq!(files.refused, 0);
        (files.open == 0).then_some(())
    });
}

fn on_writeback_mirror(case: fn(&Path)) {
    KERNEL_WRITES_BACK.set(true);
    let mount = Mount::with(&["--writeback-cache"]);
    let capabilities = mount.client().info().unwrap().capabilities;
    assert!(capabilities.iter().any(|c| c == "FUSE_WRITEBACK_CACHE"), "{capabilities:?}");
    case(&mount.mnt());
}

/// A directory on another filesystem than this one.
fn elsewhere(dir: &Path) -> TempDir {
    let candidates = ["/dev/shm", "/var/tmp", "/run"].map(tempfile::tempdir_in);
    let other = |found: &TempDir| stat(found.path()).st_dev != stat(dir).st_dev;
    candidates.into_iter().flatten().find(other).expect("a second filesystem to write to")
}

thread_local! {
    static KERNEL_SERVES: Cell<bool> = const { Cell::new(false) };
    static KERNEL_WRITES_BACK: Cell<bool> = const { Cell::new(false) };
}

/// Whether the kernel reads and writes files by itself where this thread's case runs.
fn kernel_serves() -> bool {
    KERNEL_SERVES.get()
}

/// Whether write(2) ends in the kernel's cache where this thread's case runs.
fn kernel_writes_back() -> bool {
    KERNEL_WRITES_BACK.get()
}

/// Whether the case runs on the mirror.
fn on_fuse(dir: &Path) -> bool {
    is_fuse(dir)
}

/// The errno of what must fail.
#[track_caller]
fn errno<T: Debug>(result: Result<T, impl Into<io::Error>>) -> Errno {
    match result {
        Ok(value) => panic!("succeeded with {value:?}"),
        Err(error) => Errno::from_io_error(&error.into()).expect("an errno of the system"),
    }
}

/// open(2), with mode 0666 for what it creates.
fn open(path: impl AsRef<Path>, flags: OFlags) -> rustix::io::Result<File> {
    let mode = Mode::from_raw_mode(0o666);
    rustix::fs::open(path.as_ref(), flags | OFlags::CLOEXEC, mode).map(File::from)
}

/// A file opened for reading and writing.
#[track_caller]
fn open_rw(path: impl AsRef<Path>) -> File {
    open(path, OFlags::RDWR).unwrap()
}

/// A fresh file, opened for reading and writing.
#[track_caller]
fn create(path: impl AsRef<Path>) -> File {
    open(path, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL).unwrap()
}

/// What stat(2) says, symlinks not followed.
#[track_caller]
fn stat(path: impl AsRef<Path>) -> Stat {
    let path = path.as_ref();
    rustix::fs::lstat(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[track_caller]
fn fstat(file: impl AsFd) -> Stat {
    rustix::fs::fstat(file).unwrap()
}

/// Type and permissions apart.
fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

fn permissions(stat: &Stat) -> u32 {
    stat.st_mode & 0o7777
}

fn chmod(path: impl AsRef<Path>, mode: u32) -> rustix::io::Result<()> {
    rustix::fs::chmod(path.as_ref(), Mode::from_raw_mode(mode))
}

fn chown(path: impl AsRef<Path>, uid: u32, gid: u32) -> rustix::io::Result<()> {
    rustix::fs::chown(path.as_ref(), Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
}

/// The way to a descriptor's file that does not depend on its name.
fn through_proc(file: impl AsFd) -> String {
    format!("/proc/self/fd/{}", file.as_fd().as_raw_fd())
}

/// The names in a directory, sorted, without `.` and `..`.
#[track_caller]
fn names(dir: impl AsRef<Path>) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> =
        entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    names
}

fn mknod(path: impl AsRef<Path>, kind: FileType, mode: u32, dev: u64) -> rustix::io::Result<()> {
    rustix::fs::mknodat(CWD, path.as_ref(), kind, Mode::from_raw_mode(mode), dev)
}

/// Runs `act` with this umask, which is this thread's alone.
fn with_umask<T: Send>(umask: u32, act: impl FnOnce() -> T + Send) -> T {
    let outcome = std::thread::scope(|scope| {
        let masked = scope.spawn(|| {
            calls::unshare_umask();
            rustix::process::umask(Mode::from_raw_mode(umask));
            act()
        });
        masked.join()
    });
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// A name of bytes.
fn bytes(name: &[u8]) -> &OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(name)
}

/// A small generator, the same in every run.
struct Rolls(u64);

impl Rolls {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % bound
    }
}

fn index(n: u64) -> usize {
    usize::try_from(n).unwrap()
}
