//! Programs people run, judged by their own checks.
//!
//! Each case is a function of a directory: it has its program work and crash there, and gives back
//! what must hold of that directory from then on. It runs on a plain directory (`plain`), on a
//! mirror (`mounted`), on one past the page cache (`direct`) and on one where a tenth of all
//! operations comes 100 us late (`delayed`). The mirror is unmounted before the last check, which
//! sees the backing directory. The cases need root: the databases run as another user.
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
use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use common::disk::Disk;
use common::{Mount, delaying, is_fuse, long_or, plain_directory, wait_up_to};
use tempfile::TempDir;

/// What must hold of the directory that a case has worked in, whatever it is reached through.
type Check = Box<dyn FnOnce(&Path)>;

/// Runs each case on a plain directory and on four kinds of mirror, with that beneath.
macro_rules! cases {
    ($beneath:ident: $($case:ident),+ $(,)?) => {
        mod plain {
            $(#[test] fn $case() { crate::on_plain_directory(crate::$beneath, super::$case) })+
        }
        mod mounted {
            $(#[test] fn $case() { crate::on_mirror(crate::$beneath, &[], super::$case) })+
        }
        mod direct {
            $(#[test] fn $case() {
                crate::on_mirror(crate::$beneath, &["--direct-io"], super::$case)
            })+
        }
        mod delayed {
            $(#[test] fn $case() { crate::on_delayed_mirror(crate::$beneath, super::$case) })+
        }
        mod written_back {
            $(#[test] fn $case() {
                crate::on_mirror(crate::$beneath, &["--writeback-cache"], super::$case)
            })+
        }
    };
}

mod archives;
mod cargo;
mod git;
mod postgres;
mod redis;
mod server;
mod sqlite;
mod tree;

/// How long a program may take to get somewhere. PostgreSQL syncs a thousand files when it recovers.
const PATIENCE: Duration = Duration::from_secs(120);

/// An ordinary user, without privileges.
const NOBODY: u32 = 65534;

/// Makes what is beneath a case: a filesystem of its own, or none.
type Beneath = fn() -> Option<Disk>;

/// Where temporary files are.
fn on_disk() -> Option<Disk> {
    None
}

/// For what syncs all the time: whether a mirror is right does not depend on a device's pace. The long run has
/// a device.
fn in_memory() -> Option<Disk> {
    long_or(on_disk as Beneath, || Some(Disk::tmpfs()))()
}

fn directory_on(disk: Option<&Disk>) -> TempDir {
    disk.map_or_else(plain_directory, Disk::directory)
}

fn on_plain_directory(beneath: Beneath, case: fn(&Path) -> Check) {
    let disk = beneath();
    let scratch = directory_on(disk.as_ref());
    assert!(!is_fuse(scratch.path()));
    case(scratch.path())(scratch.path());
}

thread_local! {
    static KERNEL_WRITES_BACK: Cell<bool> = const { Cell::new(false) };
}

/// Whether write(2) ends in the kernel's cache where this thread's case runs.
fn kernel_writes_back() -> bool {
    KERNEL_WRITES_BACK.get()
}

fn on_mirror(beneath: Beneath, options: &[&str], case: fn(&Path) -> Check) {
    KERNEL_WRITES_BACK.set(options.contains(&"--writeback-cache"));
    let disk = beneath();
    let mut mount = Mount::over(directory_on(disk.as_ref()), options);
    let check = case(&mount.mnt());
    check_behind(&mut mount, check);
}

fn on_delayed_mirror(beneath: Beneath, case: fn(&Path) -> Check) {
    let disk = beneath();
    let mut mount = Mount::over(directory_on(disk.as_ref()), &[] as &[&str]);
    let late = delaying(&["all"], Duration::from_micros(100));
    let id = mount.add(&late.with("probability", "0.1"));
    let check = case(&mount.mnt());
    let fault = mount.listed(id);
    assert!(fault.fired > fault.matched / 20 && fault.fired < fault.matched / 5, "{fault:?}");
    check_behind(&mut mount, check);
}

/// Unmounts, and checks what the backing directory has.
fn check_behind(mount: &mut Mount, check: Check) {
    mount.stop();
    // Programs that are killed in the middle of operations are nothing to complain of.
    assert!(!mount.log_text().contains("ERROR"), "{}", mount.log_text());
    check(&mount.raw());
}

/// A check that passes whatever was lost is none.
fn must_notice(beneath: Beneath, case: fn(&Path) -> Check, damage: fn(&Path)) {
    let disk = beneath();
    let scratch = directory_on(disk.as_ref());
    let check = case(scratch.path());
    damage(scratch.path());
    let outcome = catch_unwind(AssertUnwindSafe(|| check(scratch.path())));
    assert!(outcome.is_err(), "the damage went unnoticed");
}

fn wait_for<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    wait_up_to(PATIENCE, what, condition)
}

/// A new directory that belongs to the ordinary user.
fn nobodys(dir: PathBuf) -> PathBuf {
    fs::create_dir(&dir).unwrap();
    chown(&dir, Some(NOBODY), Some(NOBODY)).unwrap();
    dir
}

/// A program with nothing of the test's environment that could change what it does.
fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env_clear().env("PATH", path).env("LC_ALL", "C");
    command
}

/// A program run by the ordinary user.
fn as_nobody(name: impl AsRef<OsStr>) -> Command {
    let mut command = program(name);
    command.uid(NOBODY).gid(NOBODY).current_dir("/");
    command
}
